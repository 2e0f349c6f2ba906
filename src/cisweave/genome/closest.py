"""Giving variants their genes by transcription start sites (TSS): the closest, all within reach, or a user's pairs.

Distances are ``pos - tss`` in bases of the genome: positive where the variant lies right of the TSS, whatever the
strand. An indel stands at its ``pos``. How ties are settled says :mod:`cisweave.genome.nearest`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from cisweave.config import ClosestSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.genome.genes import read_genes
from cisweave.genome.nearest import (
    NONE,
    PROGRAM,
    BedopsSearch,
    Rows,
    TssIndex,
)
from cisweave.genome.pairs import PairJoin, read_pairs
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import Chunk, Step, apply_step, read_chunks, write_stage
from cisweave.genome.table import GENE_COLUMNS, check_variants
from cisweave.tables.ledger import ledger_rows

logger = get_logger(__name__)

STAGE = "closest_tss"
MOST_ROWS = 500_000
"""Rows of one chunk in mode ``window``, about: chunks with more are cut, so that memory stays bounded."""


class GeneAssigner:
    """Gives the variants of one chunk after another their genes.

    Parameters
    ----------
    genes
        ``chrom, tss`` (1-based)``, strand, gene_id`` (:func:`cisweave.genome.genes.read_genes`).
    settings
        Mode, engine and distances.
    join
        The user's pairs, for mode ``pairs``.
    """

    def __init__(self, genes: pd.DataFrame, settings: ClosestSettings, join: PairJoin | None = None):
        self.settings = settings
        self.join = join
        self.index = TssIndex(genes)
        self.genes = genes[["gene_id", "strand", "tss"]].reset_index(drop=True)
        self._row_of = pd.Series(np.arange(len(genes)), index=self.genes["gene_id"])
        self._stack = ExitStack()
        self._search: TssIndex | BedopsSearch = self.index
        if settings.mode == "closest" and choose_engine(settings.engine) == "bedops":
            self._search = self._stack.enter_context(BedopsSearch(self.index))

    def __enter__(self) -> GeneAssigner:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def step(self) -> Step:
        """What the mode does with a chunk."""
        return {"closest": self.closest, "window": self.window, "pairs": self.paired}[self.settings.mode]

    def closest(self, variants: pd.DataFrame) -> Chunk:
        """The closest gene of each variant; those without one within ``max_distance`` are rejected."""
        rows = self._search.closest(variants["chrom"], positions_of(variants))
        distance = self._distance(variants, rows)
        near = (rows != NONE) & (np.abs(distance) <= self.settings.max_distance)
        kept = self._with_genes(variants, np.flatnonzero(near), rows[near])
        return kept, self._without(variants, ~near, rows)

    def window(self, variants: pd.DataFrame) -> Chunk:
        """All genes within ``max_distance`` of each variant, the closest first."""
        chroms, positions = variants["chrom"], positions_of(variants)
        sites, rows = self.index.within(chroms, positions, self.settings.max_distance)
        alone = np.bincount(sites, minlength=len(variants)) == 0
        return self._with_genes(variants, sites, rows), self._without(
            variants, alone, self.index.closest(chroms, positions)
        )

    def paired(self, variants: pd.DataFrame) -> Chunk:
        """The genes that the user's table pairs with each variant."""
        assert self.join is not None
        sites, pairs = self.join.match(variants)
        rows = self._row_of.reindex(self.join.pairs["gene_id"].iloc[pairs]).fillna(NONE).to_numpy(dtype=np.int64)
        known = rows != NONE
        own = self.index.contig_codes(variants["chrom"])
        same = known & (own[sites] == self._contig_of(rows))
        distance = np.abs(positions_of(variants)[sites] - self._tss_of(rows))
        limit = self.settings.pair_max_distance
        near = same & (distance <= limit) if limit is not None else same
        kept = self._with_genes(variants, sites[near], rows[near])
        counted = [np.bincount(sites[which], minlength=len(variants)) > 0 for which in (near, same, known, sites >= 0)]
        accepted, on_contig, with_gene, with_pair = counted
        causes = [
            (Reason.TOO_FAR_FROM_TSS, on_contig, f"the genes of all its pairs are more than {limit} bases away"),
            (Reason.OTHER_CONTIG, with_gene & ~on_contig, "the genes of all its pairs lie on other contigs"),
            (Reason.UNKNOWN_GENE, with_pair & ~with_gene, "the genes of all its pairs are unknown"),
            (Reason.NO_PAIR, ~with_pair, "no pair names this variant"),
        ]
        rejected = [
            ledger_rows(variants[which & ~accepted], STAGE, reason.value, message) for reason, which, message in causes
        ]
        return kept, pd.concat(rejected).sort_index(ignore_index=False)

    def cut(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Cut chunks whose variants have very many genes within reach."""
        for kept, rejected in chunks:
            counts = self.index.count_within(kept["chrom"], positions_of(kept), self.settings.max_distance)
            part = np.cumsum(counts) // MOST_ROWS if len(counts) else np.zeros(0, dtype=np.int64)
            starts = np.flatnonzero(np.diff(part, prepend=-1)).tolist() or [0]
            for start, end in zip(starts, [*starts[1:], len(kept)], strict=True):
                yield kept.iloc[start:end].reset_index(drop=True), rejected if start == 0 else rejected.iloc[:0]

    def _tss_of(self, rows: Rows) -> Rows:
        return np.append(self.genes["tss"].to_numpy(dtype=np.int64), 0)[rows]

    def _contig_of(self, rows: Rows) -> Rows:
        codes = np.full(len(self.genes) + 1, NONE, dtype=np.int64)
        codes[self.index.order] = self.index.codes
        return codes[rows]

    def _distance(self, variants: pd.DataFrame, rows: Rows) -> Rows:
        return positions_of(variants) - self._tss_of(rows)

    def _with_genes(self, variants: pd.DataFrame, sites: Rows, rows: Rows) -> pd.DataFrame:
        """The variants numbered ``sites`` with the genes in ``rows``."""
        chosen = variants.iloc[sites].reset_index(drop=True)
        genes = self.genes.iloc[rows].reset_index(drop=True)
        chosen = chosen.assign(gene_id=genes["gene_id"], gene_strand=genes["strand"], tss=genes["tss"])
        chosen = chosen.assign(dist_to_tss=chosen["pos"] - chosen["tss"])
        return chosen.astype({column: kind for column, kind in GENE_COLUMNS.items() if column in chosen})

    def _without(self, variants: pd.DataFrame, which: np.ndarray, rows: Rows) -> pd.DataFrame:
        """Ledger rows of the variants ``which`` have no gene within reach; ``rows``: the closest gene of each."""
        none, far = which & (rows == NONE), which & (rows != NONE)
        distance = pd.Series(np.abs(self._distance(variants, rows)[far]), index=variants.index[far])
        names = self.genes["gene_id"].iloc[rows[far]].set_axis(distance.index)
        message = names.astype("str") + " is " + distance.astype("str") + " bases away"
        rejected = [
            ledger_rows(variants[none], STAGE, Reason.NO_TSS.value, "no TSS on this contig"),
            ledger_rows(variants[far], STAGE, Reason.TOO_FAR_FROM_TSS.value, message),
        ]
        return pd.concat(rejected).sort_index()


def positions_of(variants: pd.DataFrame) -> Rows:
    """The positions of the variants (1-based)."""
    return variants["pos"].to_numpy(dtype=np.int64)


def choose_engine(engine: Literal["auto", "bedops", "builtin"]) -> Literal["bedops", "builtin"]:
    """``bedops`` or ``builtin``; ``auto`` takes BEDOPS where it is found and says so where it is not."""
    if engine != "auto":
        return engine
    if shutil.which(PROGRAM):
        return "bedops"
    logger.warning("%s (BEDOPS) is not on PATH; using the in-process search, which gives the same result", PROGRAM)
    return "builtin"


def assign_closest(
    variants: pd.DataFrame, tss: pd.DataFrame, settings: ClosestSettings | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the variants of a table their genes, by distance.

    Parameters
    ----------
    variants
        Variant table (:mod:`cisweave.genome.table`).
    tss
        ``chrom, tss`` (1-based)``, strand, gene_id``, as :func:`cisweave.genome.genes.read_genes` gives it.
    settings
        Mode (``closest`` or ``window``), engine and farthest distance in bases.

    Returns
    -------
    assigned, rejected
        The variants with ``gene_id, gene_strand, tss`` (1-based) and ``dist_to_tss`` = pos - tss (negative where the
        variant lies left of the TSS, whatever the strand); and ledger rows. Rows keep their order; in mode ``window`` a
        variant has a row for each gene, the closest first.
    """
    settings = settings or ClosestSettings()
    check_variants(variants)
    if settings.mode == "pairs":
        raise CisweaveError("mode pairs needs the file of pairs: use closest_tss")
    with GeneAssigner(tss, settings) as assigner:
        return assigner.step(variants.reset_index(drop=True))


def closest_tss(
    vcf: str | Path,
    genes: str | Path,
    out: str | Path,
    rejects: str | Path,
    settings: ClosestSettings | None = None,
    pairs: str | Path | None = None,
) -> None:
    """Write variants with their genes, the ledger of those without, and a receipt (``cisweave genome closest-tss``).

    Memory does not grow with the number of variants.

    Parameters
    ----------
    vcf
        Any file of variants that :func:`cisweave.genome.stream.read_chunks` reads, or ``-``.
    genes
        Any file of genes that :func:`cisweave.genome.genes.read_genes` reads.
    out
        Variant table with ``gene_id, gene_strand, tss`` (1-based)``, dist_to_tss`` (pos - tss): ``.tsv``, ``.tsv.gz``
        or ``.parquet``; in the order of ``vcf``, in mode ``window`` then by distance, in mode ``pairs`` then as in
        ``pairs``.
    rejects
        Ledger (TSV) of the alleles without a row in ``out``.
    settings
        Mode, engine and distances.
    pairs
        Table of pairs (:func:`cisweave.genome.pairs.read_pairs`); needed in mode ``pairs``.

    Raises
    ------
    CisweaveError
        If a file cannot be read, the mode and ``pairs`` do not go together, or ``engine`` is ``bedops`` and BEDOPS is
        not found.
    """
    settings = settings or ClosestSettings()
    check_request(settings, out, pairs)
    found = read_genes(genes)
    join = PairJoin(read_pairs(pairs), settings.pair_places) if pairs is not None else None
    ids = found["gene_id"].tolist()
    with GeneAssigner(found, settings, join) as assigner:
        chunks = read_chunks(vcf, STAGE)
        if settings.mode == "window":
            chunks = assigner.cut(chunks)
        write_stage(
            apply_step(chunks, assigner.step),
            out,
            rejects,
            stage=STAGE,
            inputs=[path for path in (vcf, genes, pairs) if path is not None],
            settings=settings.model_dump(mode="json"),
            notes=(lambda: {"pairs": join.report(ids, pairs)}) if join is not None and pairs is not None else None,
        )


def check_request(settings: ClosestSettings, out: str | Path, pairs: str | Path | None) -> None:
    """Raise where mode, table of pairs and output do not go together."""
    if settings.mode == "pairs" and pairs is None:
        raise CisweaveError("mode pairs needs a table of pairs: give it with --pairs")
    if settings.mode != "pairs" and pairs is not None:
        raise CisweaveError(f"a table of pairs goes with mode pairs only, not with {settings.mode}")
    if str(out).endswith((".vcf", ".vcf.gz", ".bcf")):
        raise CisweaveError("genes have no place in a VCF; write a table: .tsv, .tsv.gz or .parquet", path=out)
