"""Sequences of loci as codes in one HDF5 shard: the genome's own, one haplotype of a variant, or spliced transcripts.

Dimension legend
    loci - windows, length - bases of a window, 4 - channels A, C, G, T
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from cisweave.config import ExtractSettings
from cisweave.core.errors import CisweaveError, check_balance, shorten
from cisweave.core.logs import get_logger
from cisweave.genome.contigs import resolve_contig
from cisweave.genome.genes import read_genes
from cisweave.genome.loci import (
    MAX_COORDINATE,
    STAGE,
    Locus,
    check_loci,
    read_loci,
    read_peaks,
    tss_loci,
    variant_chunks,
    variant_loci,
)
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import stage_counts, summary_line
from cisweave.genome.transcripts import read_transcripts, splice_parts
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import UNKNOWN, Codes, reverse_complement
from cisweave.sequence.store import create_store
from cisweave.sequence.windows import allele_padding, allele_window
from cisweave.tables.frames import require_columns, write_tsv
from cisweave.tables.ledger import LEDGER_COLUMNS
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    import torch

__all__ = [
    "Locus",
    "check_loci",
    "extract_codes",
    "extract_one_hot",
    "extract_sequences",
    "read_loci",
    "tss_loci",
    "variant_loci",
]

logger = get_logger(__name__)

BATCH = 4096
LOCUS_LEDGER = [*LEDGER_COLUMNS, "locus_id", "start", "end"]
"""The ledger's columns, then the locus: its id, and its window 0-based half-open."""
UNITS = {
    "loci": "loci",
    "tss": "TSS",
    "variants": "alleles",
    "peaks": "peaks",
    "transcripts": "transcripts",
}
"""What one row of the ledger stands for."""


class Part(NamedTuple):
    """Some loci on their way into the store: ids, sequences, further values, and ledger rows of what is left out."""

    ids: list[Any]
    codes: Codes | list[Codes]
    columns: dict[str, list[Any]]
    rejected: pd.DataFrame
    kept: int


class Taken:
    """Counts what was read of the user's file: alleles, or rows or transcripts of the shard."""

    def __init__(self) -> None:
        self.number = 0


# --- haplotypes -------------------------------------------------------------------------------------------------------
def haplotype(genome: Genome, chrom: str, locus: Any) -> Codes:
    """Codes (length,) of one haplotype of a variant."""
    window, shift, bases = placement(locus)
    return allele_window(genome, chrom, locus.pos, locus.ref, bases, window, shift)


def placement(locus: Any) -> tuple[int, int, str]:
    """Length and shift of a haplotype's window, and the allele it holds."""
    window = locus.end - locus.start
    return window, locus.start + window // 2 - locus.pos, locus.ref if locus.allele == "ref" else locus.alt


def contig_message(chrom: str) -> str:
    """What is wrong with a contig that the FASTA lacks."""
    return f"contig {shorten(chrom)} is not in the FASTA"


# --- many loci at once ------------------------------------------------------------------------------------------------
class Cutter:
    """Cuts loci out of a genome as the settings say.

    Parameters
    ----------
    rejecting
        Loci that cannot be cut become ledger rows; otherwise the first of them is an error.
    """

    def __init__(self, genome: Genome, settings: ExtractSettings, rejecting: bool):
        self.genome = genome
        self.settings = settings
        self.rejecting = rejecting
        self._names: dict[str, str | None] = {}

    def cut(self, places: pd.DataFrame) -> Part:
        """Codes of loci, and ledger rows; an allele of which one haplotype is rejected is rejected with both."""
        codes, problems, messages = self.windows(places)
        bad = pd.Series(problems != "")
        if bad.any():
            self.refuse(places, problems, messages)
            groups = [places["record"], places["number"]]
            whole_groups = bad.groupby([column.to_numpy() for column in groups]).transform("any").to_numpy()
            first = places[bad.to_numpy()].assign(code=problems[bad], message=messages[bad])
            first = first.drop_duplicates(["record", "number"])
            keep = ~whole_groups
            places, codes = places[keep], codes[keep]
            rejected = locus_ledger(first)
        else:
            rejected = no_rejections()
        kept = len(places[["record", "number"]].drop_duplicates())
        return Part(places["locus_id"].tolist(), codes, {}, rejected, kept)

    def windows(self, places: pd.DataFrame) -> tuple[Codes, NDArray[Any], NDArray[Any]]:
        """Codes (loci, length), and code and message of the ledger for each locus (empty where all is well)."""
        start, end = places["start"].to_numpy(), places["end"].to_numpy()
        length = int(end[0] - start[0]) if len(places) else 0
        problems = places["problem"].to_numpy(dtype=object, copy=True)
        messages = np.array([Reason(code).explanation if code else "" for code in problems], dtype=object)
        contigs = self.contigs(places["chrom"])
        lost = np.array([contig is None for contig in contigs], dtype=bool) & (problems == "")
        problems[lost] = str(Reason.UNKNOWN_CONTIG)
        messages[lost] = [contig_message(name) for name in places["chrom"].to_numpy()[lost]]
        codes = np.full((len(places), length), UNKNOWN, np.uint8)
        padding = np.zeros(len(places), np.int64)
        plain = np.flatnonzero((problems == "") & (places["allele"] == "").to_numpy())
        if len(plain):
            codes[plain] = self.genome.bulk_codes(contigs[plain], start[plain], length)
            limits = np.array([self.genome.contigs[name] for name in contigs[plain]], dtype=np.int64)
            padding[plain] = np.minimum(np.maximum(-start[plain], 0), length)
            padding[plain] += np.minimum(np.maximum(end[plain] - limits, 0), length)
        self.haplotypes(places, contigs, codes, padding, problems, messages)
        if self.settings.strand == "as_annotated":
            reverse = (places["strand"] == "-").to_numpy()
            codes[reverse] = reverse_complement(codes[reverse])
        self.apply_policies(codes, padding, problems, messages)
        return codes, problems, messages

    def contigs(self, chroms: pd.Series) -> NDArray[Any]:
        """How the FASTA spells each contig; ``None`` where it lacks it."""
        for name in pd.unique(chroms):
            if name not in self._names:
                self._names[name] = resolve_contig(name, self.genome.contigs)
        return np.array([self._names[name] for name in chroms], dtype=object)

    def haplotypes(
        self,
        places: pd.DataFrame,
        contigs: NDArray[Any],
        codes: Codes,
        padding: NDArray[np.int64],
        problems: NDArray[Any],
        messages: NDArray[Any],
    ) -> None:
        """Fill the rows that are haplotypes of variants."""
        rows = np.flatnonzero((problems == "") & (places["allele"] != "").to_numpy())
        chosen = places.iloc[rows]
        for row, row_of_table in zip(rows.tolist(), chosen.itertuples(index=False), strict=True):
            locus = cast("Any", row_of_table)
            contig = contigs[row]
            try:
                codes[row] = haplotype(self.genome, contig, locus)
            except CisweaveError as error:
                problems[row], messages[row] = str(Reason.ALLELE_OUTSIDE_WINDOW), str(error)
                continue
            window, shift, bases = placement(locus)
            limit = self.genome.contigs[contig]
            padding[row] = allele_padding(limit, locus.pos, locus.ref, bases, window, shift)

    def apply_policies(
        self, codes: Codes, padding: NDArray[np.int64], problems: NDArray[Any], messages: NDArray[Any]
    ) -> None:
        """Mark the windows that the settings do not allow."""
        if self.settings.edges == "reject":
            off = (padding > 0) & (problems == "")
            problems[off] = str(Reason.WINDOW_OFF_CONTIG)
            messages[off] = [f"{count} base(s) of the window lie outside the contig" for count in padding[off]]
        if self.settings.unknown != "keep":
            unknown = (codes == UNKNOWN).sum(axis=1) - padding
            bad = (unknown > 0) & (problems == "")
            problems[bad] = str(Reason.UNKNOWN_BASE)
            messages[bad] = [f"{count} base(s) of the window are not A, C, G or T" for count in unknown[bad]]

    def refuse(self, places: pd.DataFrame, problems: NDArray[Any], messages: NDArray[Any]) -> None:
        """Raise for the first locus that must not be rejected, only reported."""
        stops = problems != ""
        if self.rejecting:
            stops = (problems == str(Reason.UNKNOWN_BASE)) & (self.settings.unknown == "error")
        if stops.any():
            row = int(np.flatnonzero(stops)[0])
            raise CisweaveError(
                f"locus {shorten(places['locus_id'].iloc[row])}: {messages[row]}", path=self.genome.path
            )


def locus_ledger(places: pd.DataFrame) -> pd.DataFrame:
    """Ledger rows of loci that have a ``code`` and a ``message``."""
    rows = places.drop(columns=["allele"]).rename(columns={"chrom": "contig", "number": "allele"})
    return rows.assign(stage=STAGE)[LOCUS_LEDGER]


def no_rejections() -> pd.DataFrame:
    """Ledger rows of nothing."""
    return pd.DataFrame(columns=LOCUS_LEDGER)


def extract_codes(loci: pd.DataFrame, fasta: str | Path, settings: ExtractSettings | None = None) -> Codes:
    """Codes (loci, length) of a table of loci (columns as :func:`cisweave.genome.loci.read_loci` describes them)."""
    places = check_loci(loci)
    with Genome(fasta) as genome:
        cutter = Cutter(genome, settings or ExtractSettings(), rejecting=False)
        parts = [np.asarray(cutter.cut(batch).codes) for batch in batches(places)]
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.uint8)


def extract_one_hot(loci: pd.DataFrame, fasta: str | Path, threads: int | None = None) -> torch.Tensor:
    """One-hot int8 tensor (loci, 4, length) of windows of the genome, straight from the FASTA, forward strand.

    Parameters
    ----------
    loci
        Columns ``chrom, start, end`` (0-based half-open, one length); further columns are ignored.
    threads
        Threads; ``None``: at most four. The result does not depend on it.

    Raises
    ------
    CisweaveError
        If a locus is wrong or its contig not in the FASTA.
    """
    import torch

    require_columns(loci, ("chrom", "start", "end"))
    start, length = equal_windows(loci)
    with Genome(fasta) as genome:
        numbers, names = pd.factorize(loci["chrom"], use_na_sentinel=False)
        found = [resolve_contig(str(name), genome.contigs) for name in names]
        if None in found:
            raise CisweaveError(contig_message(str(names[found.index(None)])), path=genome.path)
        chroms = np.array(found, dtype=object)[numbers]
        return torch.from_numpy(genome.bulk_one_hot(chroms, start, length, threads))


def equal_windows(loci: pd.DataFrame) -> tuple[NDArray[np.int64], int]:
    """Starts of windows that all have one length, and this length; what is wrong is said of the first such locus."""
    start, end = loci["start"], loci["end"]
    if not (types.is_integer_dtype(start.dtype) and types.is_integer_dtype(end.dtype)):
        checked = check_loci(loci[["chrom", "start", "end"]].assign(locus_id=np.arange(len(loci))))
        start, end = checked["start"], checked["end"]
    starts = start.to_numpy(dtype=np.int64)
    lengths = end.to_numpy(dtype=np.int64) - starts
    length = int(lengths[0]) if len(lengths) else 0
    if (lengths != length).any() or (len(lengths) and length < 1) or (np.abs(starts) >= MAX_COORDINATE).any():
        check_loci(loci[["chrom", "start", "end"]].assign(locus_id=np.arange(len(loci))))
    return starts, length


def batches(frame: pd.DataFrame, size: int = BATCH) -> Iterator[pd.DataFrame]:
    """Parts of about ``size`` rows, of an even number, so that both haplotypes of an allele stay together."""
    for start in range(0, len(frame), size):
        yield frame.iloc[start : start + size].reset_index(drop=True)


# --- the command ------------------------------------------------------------------------------------------------------
def extract_sequences(
    fasta: str | Path,
    out: str | Path,
    loci: str | Path | None = None,
    tss: str | Path | None = None,
    variants: str | Path | None = None,
    peaks: str | Path | None = None,
    transcripts: str | Path | None = None,
    rejects: str | Path | None = None,
    settings: ExtractSettings | None = None,
    shard: int = 1,
    shards: int = 1,
) -> dict[str, Any]:
    """Write the sequences of loci, and a receipt (``cisweave genome extract``).

    Parameters
    ----------
    fasta
        The genome.
    out
        HDF5: ``codes`` uint8 (loci, length), A 0, C 1, G 2, T 3, N and outside the contig 4; ``locus_id`` (loci,).
        Transcripts: ``codes`` (bases,) with ``offsets`` (loci + 1,) and further columns
        (:func:`cisweave.genome.transcripts.splice_parts`).
    loci, tss, variants, peaks, transcripts
        Exactly one of: a table as :func:`cisweave.genome.loci.read_loci` describes it; genes in any format of
        :func:`cisweave.genome.genes.read_genes` (one window per gene, its id is the gene's); variants in any format of
        :func:`cisweave.genome.stream.read_chunks` (two windows per allele, ids as
        :func:`cisweave.genome.loci.variant_loci` gives them); a BED or narrowPeak
        (:func:`cisweave.genome.loci.read_peaks`); a GTF or GFF3.
    rejects
        TSV of what could not be cut, with the reason: the ledger's columns, then ``locus_id, start, end``. Without it
        the first such locus is an error.
    shard, shards
        Write only part ``shard`` (from 1) of ``shards`` contiguous parts of about equal size, for scattered jobs.

    Returns
    -------
    dict
        ``in``, ``kept``, ``rejected`` and ``reasons`` (number by code) of this shard.
    """
    settings = settings or ExtractSettings()
    given = {
        name: path
        for name, path in zip(UNITS, (loci, tss, variants, peaks, transcripts), strict=True)
        if path is not None
    }
    if len(given) != 1:
        raise CisweaveError("give exactly one of loci, tss, variants, peaks and transcripts")
    if not 1 <= shard <= shards:
        raise CisweaveError(f"shard must be from 1 to {shards}, not {shard}")
    if rejects is None and "reject" in (settings.unknown, settings.edges):
        raise CisweaveError("the settings reject loci (unknown or edges), so name a file for them: --rejects")
    ((source, path),) = given.items()
    rejected: list[pd.DataFrame] = []
    kept, taken = 0, Taken()
    with Genome(fasta) as genome:
        cutter = Cutter(genome, settings, rejecting=rejects is not None)
        length, whole_ids, parts = prepare(source, path, cutter, (shard, shards), taken)
        ragged = source == "transcripts"
        with create_store(out, ragged=ragged, length=length, whole_ids=whole_ids) as store:
            for part in parts:
                store.append(part.codes, part.ids, **part.columns)
                rejected.append(part.rejected)
                kept += part.kept
            ledger = pd.concat([no_rejections(), *rejected], ignore_index=True)[LOCUS_LEDGER]
            check_balance(taken.number, kept, len(ledger), UNITS[source])
            if rejects is not None:
                write_tsv(ledger, rejects)
            elif len(ledger):
                first = ledger.iloc[0]
                raise CisweaveError(
                    f"{first['message']}; to leave such loci out, name a file for them: --rejects",
                    path=path,
                    line=int(first["line"]),
                )
    counts = stage_counts(kept, ledger["code"].tolist())
    write_receipt(
        out,
        settings={**settings.model_dump(mode="json"), "shard": shard, "shards": shards},
        inputs=[fasta, path],
        notes={UNITS[source]: counts},
    )
    logger.info("%s", summary_line(STAGE, counts, UNITS[source]))
    return counts


def prepare(
    source: str, path: str | Path, cutter: Cutter, share: tuple[int, int], taken: Taken
) -> tuple[int, bool, Iterable[Part]]:
    """Bases per window, whether ids are whole numbers, and what is to be written, part by part."""
    settings = cutter.settings
    if source == "transcripts":
        return 0, False, transcript_parts(path, cutter, share, taken)
    if source == "variants":
        return settings.window, False, variant_parts(path, cutter, share, taken)
    if source == "loci":
        places = read_loci(path)
    elif source == "peaks":
        places = read_peaks(path, settings)
    else:
        places = tss_loci(read_genes(path), settings.window, settings.strand)
    length = int(places["end"].iloc[0] - places["start"].iloc[0]) if len(places) else 0
    whole_ids = types.infer_dtype(places["locus_id"], skipna=False) == "integer"
    first, last = bounds(len(places), share)
    taken.number = last - first
    return length, whole_ids, (cutter.cut(batch) for batch in batches(places.iloc[first:last]))


def bounds(total: int, share: tuple[int, int]) -> tuple[int, int]:
    """First and last row (half-open) of a part of contiguous parts whose sizes differ by one at most."""
    shard, shards = share
    return (shard - 1) * total // shards, shard * total // shards


def transcript_parts(path: str | Path, cutter: Cutter, share: tuple[int, int], taken: Taken) -> Iterator[Part]:
    """The transcripts of a part of a file."""
    transcripts = read_transcripts(path)
    first, last = bounds(len(transcripts), share)
    taken.number = last - first
    for part in splice_parts(transcripts, (first, last), cutter.genome, cutter.settings, path):
        yield Part(*part)


def variant_parts(path: str | Path, cutter: Cutter, share: tuple[int, int], taken: Taken) -> Iterator[Part]:
    """Both haplotypes of each allele of a part of a file; what is no allele stands in the first part's ledger."""
    window, (shard, shards) = cutter.settings.window, share
    first, last = 0, None
    if shards > 1:
        if str(path) == "-":
            raise CisweaveError("variants from standard input cannot be cut into shards; give a file")
        first, last = bounds(sum(len(places) for places, _ in variant_chunks(path, window)) // 2, share)
    done = 0
    for places, refused in variant_chunks(path, window):
        if shard == 1 and len(refused):
            taken.number += len(refused)
            yield Part([], np.zeros((0, window), np.uint8), {}, refused.reindex(columns=LOCUS_LEDGER), 0)
        count = len(places) // 2
        low = min(max(first - done, 0), count)
        high = count if last is None else min(max(last - done, 0), count)
        done += count
        taken.number += high - low
        for batch in batches(places.iloc[2 * low : 2 * high]):
            yield cutter.cut(batch)
