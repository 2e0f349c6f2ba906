"""Genes of an annotation, the transcript that stands for each, and its half-life features.

As Xpresso made them (Agarwal and Shendure, Cell Reports 2020).

Lengths count bases; the stop codon counts nowhere. As published (``compat: xpresso``) each exon's part counts one base
less, since the 1-based ends were subtracted, and INTRONLEN is what of the transcript's span remains.

Dimension legend
    8 - half-life features
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from cisweave.core.errors import CisweaveError
from cisweave.genome.genes import gene_of, without_version
from cisweave.genome.gtf import GENE_KINDS, TRANSCRIPT_KINDS, Feature, gene_id, read_features, transcript_ids
from cisweave.genome.transcripts import KINDS, STOP_CODONS, Interval, Transcript, add_feature
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import UNKNOWN, Codes, decode, reverse_complement
from cisweave.xpresso.dataset import HALF_LIFE

Compat = Literal["xpresso"]
GC_DECIMALS = 3
DENSITY_DECIMALS = 2
CODON = 3


# --- genes of an annotation -------------------------------------------------------------------------------------------
@dataclass
class AnnotatedGene:
    """A gene and its transcripts; ``symbol`` and ``biotype`` are empty where the annotation does not tell them.

    ``shared`` is a transcript id that another gene has, too: it is taken for neither.
    """

    gene_id: str
    symbol: str = ""
    biotype: str = ""
    transcripts: list[Transcript] = field(default_factory=list)
    shared: str = ""


def read_annotation(path: str | Path) -> dict[str, AnnotatedGene]:
    """Genes with their transcripts from a GTF or GFF3, by id (Ensembl's without version), in the order of the file.

    Raises
    ------
    CisweaveError
        At a line that is none of a GTF or GFF3, a transcript or exon that names no gene or transcript, and if there is
        no transcript at all.
    """
    genes: dict[str, AnnotatedGene] = {}
    transcripts: dict[str, Transcript] = {}
    shared: set[str] = set()
    for feature in read_features(path, KINDS | GENE_KINDS):
        if feature.kind in GENE_KINDS | TRANSCRIPT_KINDS:
            told = gene_of(feature, path)
            gene = genes.setdefault(without_version(told.gene_id), AnnotatedGene(without_version(told.gene_id)))
            gene.symbol, gene.biotype = gene.symbol or told.name, gene.biotype or told.type
        if feature.kind in GENE_KINDS:
            continue
        for name in transcript_ids(feature):
            if not name:
                raise CisweaveError(
                    f"this {feature.kind} names no transcript (transcript_id, in GFF3 Parent)",
                    path=path,
                    line=feature.line,
                )
            add_feature(transcripts, name, feature)
            own, first = without_version(told_gene(feature)), without_version(transcripts[name].gene_id)
            if own and own != first:
                for gene_name in (own, first):
                    genes.setdefault(gene_name, AnnotatedGene(gene_name)).shared = name
                shared.add(name)
    if not transcripts:
        raise CisweaveError("this file holds no transcript and no exon", path=path)
    for transcript in transcripts.values():
        if not transcript.gene_id:
            raise CisweaveError(
                f"transcript {transcript.transcript_id} names no gene (gene_id, in GFF3 Parent)",
                path=path,
                line=transcript.line,
            )
        if transcript.transcript_id in shared:
            continue
        transcript.sort()
        own = without_version(transcript.gene_id)
        genes.setdefault(own, AnnotatedGene(own)).transcripts.append(transcript)
    return genes


def told_gene(feature: Feature) -> str:
    """The gene that a line of a transcript names; empty where it names its transcript alone."""
    return gene_id(feature) if feature.kind in TRANSCRIPT_KINDS or "gene_id" in feature.attributes else ""


# --- parts of a transcript --------------------------------------------------------------------------------------------
class Parts(NamedTuple):
    """Exon parts of a transcript in genomic order (0-based half-open): 5' UTR, coding sequence, 3' UTR."""

    utr5: list[Interval]
    coding: list[Interval]
    utr3: list[Interval]


def parts_of(transcript: Transcript) -> Parts:
    """The parts as annotated; without coding sequence there is none of them."""
    if not transcript.coding:
        return Parts([], [], [])
    low, high = transcript.coding[0][0], transcript.coding[-1][1]
    before = [(start, min(end, low)) for start, end in transcript.exons if start < low]
    behind = [(max(start, high), end) for start, end in transcript.exons if end > high]
    return Parts(*((before, transcript.coding, behind)[:: 1 if transcript.strand == "+" else -1]))


def total(parts: Iterable[Interval]) -> int:
    """Bases of intervals."""
    return sum(end - start for start, end in parts)


def counted(parts: Sequence[Interval], compat: Compat | None) -> int:
    """Length of a part of a transcript; as published, a base less per exon."""
    return total(parts) - (len(parts) if compat else 0)


def drop_first(parts: Sequence[Interval], bases: int) -> list[Interval]:
    """Intervals without their lowest bases."""
    kept = []
    for start, end in parts:
        taken = min(bases, end - start)
        bases -= taken
        if start + taken < end:
            kept.append((start + taken, end))
    return kept


def drop_last(parts: Sequence[Interval], bases: int) -> list[Interval]:
    """Intervals without their highest bases."""
    mirrored = [(-end, -start) for start, end in reversed(parts)]
    return [(-end, -start) for start, end in reversed(drop_first(mirrored, bases))]


def joined(parts: Sequence[Interval], strand: str, genome: Genome, contig: str) -> Codes:
    """Codes (bases,) of intervals, joined and read on the strand."""
    codes = np.concatenate([np.zeros(0, np.uint8), *(genome.codes(contig, start, end) for start, end in parts)])
    return reverse_complement(codes) if strand == "-" else codes


def without_stop(parts: Parts, transcript: Transcript, genome: Genome, contig: str) -> Parts:
    """The parts without the stop codon: GTF leaves it to the 3' UTR, GFF3 to the coding sequence.

    What is not a stop codon by its sequence, as in transcripts whose end is not known, is left where it is.
    """
    forward = transcript.strand == "+"
    if transcript.stop_in_cds:
        last = joined(parts.coding, transcript.strand, genome, contig)[-CODON:]
        drop = drop_last if forward else drop_first
        return parts._replace(coding=drop(parts.coding, CODON)) if decode(last) in STOP_CODONS else parts
    first = joined(parts.utr3, transcript.strand, genome, contig)[:CODON]
    drop = drop_first if forward else drop_last
    return parts._replace(utr3=drop(parts.utr3, CODON)) if decode(first) in STOP_CODONS else parts


# --- the transcript of a gene -----------------------------------------------------------------------------------------
def choose_transcript(transcripts: Sequence[Transcript], compat: Compat | None = None) -> Transcript | None:
    """The transcript that stands for a gene: longest coding sequence, then longest 5' UTR, then longest 3' UTR.

    Transcripts with a 5' UTR go before those without; of equal ones the first is taken. Of a gene without coding
    sequence it is the longest transcript. ``None`` if there is none with exons.
    """
    candidates = [transcript for transcript in transcripts if transcript.exons]
    if not candidates:
        return None

    def rank(transcript: Transcript) -> tuple[int, ...]:
        parts = parts_of(transcript)
        lengths = [counted(part, compat) for part in (parts.coding, parts.utr5, parts.utr3)]
        return (bool(parts.coding), bool(parts.utr5), *lengths, 0 if parts.coding else total(transcript.exons))

    return max(candidates, key=rank)


def start_site(transcript: Transcript) -> int:
    """5' end of a transcript, 0-based."""
    return transcript.exons[0][0] if transcript.strand == "+" else transcript.exons[-1][1] - 1


def half_life_features(
    transcript: Transcript, genome: Genome, contig: str, compat: Compat | None = None
) -> dict[str, float]:
    """Half-life features by name (:data:`cisweave.xpresso.dataset.HALF_LIFE`), raw: bases, fractions, exons per kb.

    GC fractions have three decimals and are 0 where there is no known base; ORFEXONDENSITY is 1,000 times the coding
    exons over CDSLEN, with two decimals. All are NaN for a transcript without coding sequence.

    Parameters
    ----------
    transcript
        Its exons lie within the contig.
    contig
        Its contig as the genome spells it.
    compat
        ``xpresso``: lengths as published.
    """
    parts = without_stop(parts_of(transcript), transcript, genome, contig)
    lengths = [counted(part, compat) for part in parts]
    utr5, coding, utr3 = lengths
    if coding <= 0:
        return dict.fromkeys(HALF_LIFE, np.nan)
    span = transcript.exons[-1][1] - transcript.exons[0][0]
    intron = span - 1 - sum(lengths) if compat else span - total(transcript.exons)
    shares = [gc_share(joined(part, transcript.strand, genome, contig)) for part in parts]
    density = round(1000 * len(parts.coding) / coding, DENSITY_DECIMALS)
    return dict(zip(HALF_LIFE, (utr5, coding, intron, utr3, *shares, density), strict=True))


def gc_share(codes: Codes) -> float:
    """Share of C and G among the known bases, three decimals; 0 where there is none."""
    known = int((codes < UNKNOWN).sum())
    return round(int(((codes == 1) | (codes == 2)).sum()) / known, GC_DECIMALS) if known else 0.0
