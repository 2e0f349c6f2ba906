"""Spliced transcripts: exons of a GTF or GFF3 joined and read in the transcript's direction, with their coding start.

Positions within a transcript are 0-based from its 5' end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cisweave.config import ExtractSettings
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.logs import get_logger
from cisweave.genome.contigs import resolve_contig
from cisweave.genome.gtf import EXON_KINDS, TRANSCRIPT_KINDS, Feature, gene_id, read_features, transcript_ids
from cisweave.genome.reasons import Reason
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import UNKNOWN, Codes, decode, reverse_complement
from cisweave.tables.ledger import LEDGER_COLUMNS

logger = get_logger(__name__)

STAGE = "extract"
KINDS = TRANSCRIPT_KINDS | EXON_KINDS | {"start_codon"}
STOP_CODONS = {"TAA", "TAG", "TGA"}
PART = 1000
Interval = tuple[int, int]
TranscriptPart = tuple[list[Any], list[Codes], dict[str, list[Any]], pd.DataFrame, int]


@dataclass(slots=True)
class Transcript:
    """What an annotation says of one transcript; intervals are 0-based half-open in the genome.

    Attributes
    ----------
    line
        Line of the file where it comes first.
    start
        5'-most base of the annotated start codon, -1 where there is none.
    apart
        Whether its exons lie on two contigs or strands.
    stop_in_cds
        Whether the coding sequence includes the stop codon, as in GFF3.
    """

    transcript_id: str
    gene_id: str
    chrom: str
    strand: str
    line: int
    exons: list[Interval] = field(default_factory=list)
    coding: list[Interval] = field(default_factory=list)
    start: int = -1
    apart: bool = False
    stop_in_cds: bool = False

    def sort(self) -> None:
        """Put exons and coding intervals in genomic order."""
        self.exons.sort()
        self.coding.sort()

    def place(self, position: int) -> int:
        """Where a base of the genome stands in the transcript; -1 for one outside the exons."""
        before = 0
        for start, end in self.exons if self.strand == "+" else reversed(self.exons):
            if start <= position < end:
                return before + (position - start if self.strand == "+" else end - 1 - position)
            before += end - start
        return -1

    def first_coding_base(self) -> int:
        """The 5'-most base of the coding sequence, in the genome."""
        return self.coding[0][0] if self.strand == "+" else self.coding[-1][1] - 1

    def last_coding_base(self) -> int:
        """The 3'-most base of the coding sequence, in the genome."""
        return self.coding[-1][1] - 1 if self.strand == "+" else self.coding[0][0]


def read_transcripts(path: str | Path) -> list[Transcript]:
    """Transcripts of a GTF or GFF3 in the order in which they come first; exon numbers are not needed.

    Raises
    ------
    CisweaveError
        At the first line that is none of a GTF or GFF3 (:func:`cisweave.genome.gtf.read_features`), an exon without
        transcript, and if there is no transcript at all.
    """
    found: dict[str, Transcript] = {}
    for feature in read_features(path, KINDS):
        for name in transcript_ids(feature):
            if not name:
                raise CisweaveError(
                    f"this {feature.kind} names no transcript (transcript_id, in GFF3 Parent)",
                    path=path,
                    line=feature.line,
                )
            add_feature(found, name, feature)
    if not found:
        raise CisweaveError("this file holds no transcript and no exon", path=path)
    for transcript in found.values():
        transcript.sort()
    return list(found.values())


def add_feature(found: dict[str, Transcript], name: str, feature: Feature) -> None:
    """Take up one line of the annotation."""
    transcript = found.get(name)
    if transcript is None:
        transcript = found[name] = Transcript(name, "", feature.chrom, feature.strand, feature.line)
    if not transcript.gene_id and (feature.kind in TRANSCRIPT_KINDS or "gene_id" in feature.attributes):
        transcript.gene_id = gene_id(feature)
    if (feature.chrom, feature.strand) != (transcript.chrom, transcript.strand):
        transcript.apart = True
    interval = (feature.start0, feature.end)
    if feature.kind == "exon":
        transcript.exons.append(interval)
    elif feature.kind == "CDS":
        transcript.coding.append(interval)
        transcript.stop_in_cds = "Parent" in feature.attributes
    elif feature.kind == "start_codon":
        first = feature.start0 if feature.strand != "-" else feature.end - 1
        before = transcript.start
        chosen = min(before, first) if feature.strand != "-" else max(before, first)
        transcript.start = first if before < 0 else chosen


# --- checks -----------------------------------------------------------------------------------------------------------
def find_problem(transcript: Transcript, contig: str | None, length: int) -> tuple[str, str]:
    """Code and message of the ledger for a transcript that cannot be spliced; empty where it can."""
    if contig is None:
        return Reason.UNKNOWN_CONTIG, f"contig {shorten(transcript.chrom)} is not in the FASTA"
    if transcript.apart:
        return Reason.EXONS_APART, "its lines lie on two contigs or strands"
    if transcript.strand == ".":
        return Reason.NO_STRAND, "its strand is not given"
    if not transcript.exons:
        return Reason.NO_EXON, "no exon of it is in the file"
    for before, after in zip(transcript.exons, transcript.exons[1:], strict=False):
        if after[0] < before[1]:
            return Reason.EXONS_OVERLAP, f"{interval_text(before)} and {interval_text(after)} overlap"
    if transcript.exons[-1][1] > length:
        last = interval_text(transcript.exons[-1])
        return Reason.EXON_OFF_CONTIG, f"exon {last} ends behind the contig, which has {length} bases"
    outside = next((part for part in transcript.coding if not lies_within(part, transcript.exons)), None)
    if outside is not None:
        return Reason.START_OUTSIDE_EXONS, f"the coding sequence {interval_text(outside)} is not within one exon"
    if transcript.start >= 0 and transcript.place(transcript.start) < 0:
        return Reason.START_OUTSIDE_EXONS, f"the start codon at {transcript.start + 1} is in no exon"
    return "", ""


def lies_within(part: Interval, exons: list[Interval]) -> bool:
    """Whether an interval lies within one exon."""
    return any(start <= part[0] and part[1] <= end for start, end in exons)


def interval_text(interval: Interval) -> str:
    """An interval as the annotation writes it: 1-based, closed."""
    return f"{interval[0] + 1}-{interval[1]}"


# --- sequences --------------------------------------------------------------------------------------------------------
def splice(transcript: Transcript, genome: Genome, contig: str) -> Codes:
    """Codes (length,) of the exons, joined and read from the 5' end."""
    codes = np.concatenate([genome.codes(contig, start, end) for start, end in transcript.exons])
    return reverse_complement(codes) if transcript.strand == "-" else codes


def coding_part(transcript: Transcript, codes: Codes, settings: ExtractSettings) -> tuple[int, int]:
    """Start and end (half-open) of the coding sequence in the transcript, without the stop codon; -1 for none.

    The start is the first base of the annotated start codon; where none is annotated there is no coding sequence or,
    with ``coding_start: cds``, one that starts at the first coding base.
    """
    start = transcript.place(transcript.start) if transcript.start >= 0 else -1
    if start < 0 and transcript.coding and settings.coding_start == "cds":
        start = transcript.place(transcript.first_coding_base())
    if start < 0 or not transcript.coding:
        return start, -1
    end = transcript.place(transcript.last_coding_base()) + 1
    if transcript.stop_in_cds and decode(codes[max(end - 3, 0) : end]) in STOP_CODONS:
        end -= 3
    return start, end


def splice_parts(
    transcripts: list[Transcript], share: Interval, genome: Genome, settings: ExtractSettings, path: str | Path
) -> Iterator[TranscriptPart]:
    """Spliced transcripts part by part, and ledger rows of those that cannot be spliced.

    Parameters
    ----------
    transcripts
        All of the file ``path``.
    share
        Numbers (from 0, half-open) of those that are wanted.

    Yields
    ------
    tuple
        Ids; codes (length,) of each; further values: ``cds_start``, ``cds_end`` (:func:`coding_part`), ``contig`` (as
        the FASTA spells it), ``strand``, ``gene_id``, ``exon_count``, and for all exons in the transcript's direction
        ``exon_start``, ``exon_end`` (0-based half-open in the genome); ledger rows; number of ids.
    """
    if settings.coding_start == "start_codon" and not any(transcript.start >= 0 for transcript in transcripts):
        logger.warning("%s annotates no start codon; set coding_start: cds to take the first coding base", path)
    first, last = share
    for begin in range(first, last, PART):
        yield splice_part(transcripts[begin : min(begin + PART, last)], begin, genome, settings)


def splice_part(transcripts: list[Transcript], begin: int, genome: Genome, settings: ExtractSettings) -> TranscriptPart:
    """Some transcripts; ``begin`` is the number (from 0) of the first in its file."""
    ids: list[Any] = []
    sequences: list[Codes] = []
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("cds_start", "cds_end", "contig", "strand", "gene_id", "exon_count", "exon_start", "exon_end")
    }
    rejected = []
    for record, transcript in enumerate(transcripts, start=begin + 1):
        contig = resolve_contig(transcript.chrom, genome.contigs)
        code, message = find_problem(transcript, contig, genome.contigs[contig] if contig else 0)
        codes = splice(transcript, genome, contig) if contig and not code else np.zeros(0, np.uint8)
        unknown = int((codes == UNKNOWN).sum())
        if unknown and settings.unknown != "keep":
            code, message = Reason.UNKNOWN_BASE, f"{unknown} base(s) of the transcript are not A, C, G or T"
            if settings.unknown == "error":
                raise CisweaveError(f"transcript {shorten(transcript.transcript_id)}: {message}", path=genome.path)
        if code:
            rejected.append(ledger_row(transcript, record, code, message))
            continue
        start, end = coding_part(transcript, codes, settings)
        exons = transcript.exons if transcript.strand == "+" else transcript.exons[::-1]
        ids.append(transcript.transcript_id)
        sequences.append(codes)
        values = (start, end, contig, transcript.strand, transcript.gene_id, len(exons))
        for name, value in zip(columns, values, strict=False):
            columns[name].append(value)
        columns["exon_start"].extend(first for first, _ in exons)
        columns["exon_end"].extend(last for _, last in exons)
    frame = pd.DataFrame(rejected, columns=[*LEDGER_COLUMNS, "locus_id", "start", "end"])
    return ids, sequences, columns, frame, len(ids)


def ledger_row(transcript: Transcript, record: int, code: str, message: str) -> tuple[Any, ...]:
    """The ledger row of a transcript; its place is that of its exons, in the ledger's position 1-based."""
    start = transcript.exons[0][0] if transcript.exons else -1
    end = transcript.exons[-1][1] if transcript.exons else -1
    place = (transcript.line, record, 0, transcript.chrom, start + 1, "", "")
    named = f"transcript {shorten(transcript.transcript_id)}: {message}"
    return (STAGE, *place, str(code), named, transcript.transcript_id, start, end)
