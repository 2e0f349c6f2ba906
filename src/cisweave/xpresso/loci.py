"""Promoters to explain: the locus table and the sequences that ``seqlets attribute`` reads.

Windows stand in the table and in the store as the genome has them, whatever the gene's strand, so that all that
follows (seqlets, their places and strands, logos) is in genome coordinates. The column ``strand`` says how the model
reads each: ``-`` means as its reverse complement.

Dimension legend
    loci - promoters, window - bases that the model reads
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import PromoterPredictSettings
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.genome.genes import without_version
from cisweave.sequence.onehot import Codes, reverse_complement
from cisweave.sequence.store import create_store
from cisweave.tables.attributions import LOCUS_COLUMNS
from cisweave.tables.frames import read_table, write_tsv
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.models import PromoterModel, load_promoter_model
from cisweave.xpresso.predict import batches, predict_rows
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.sources import Source, open_source

logger = get_logger(__name__)

CORE = 1000
"""Bases around the TSS that are the core of a locus."""
COLUMNS = [*LOCUS_COLUMNS, "strand"]
TEXT = [name for name, kind in LOCUS_COLUMNS.items() if kind == "str"]


def promoter_loci(
    model: str | Path,
    data: str | Path,
    out: str | Path,
    sequences: str | Path,
    *,
    genes: Sequence[str] | None = None,
    top: int = 100,
    settings: PromoterPredictSettings | None = None,
    device: DeviceName = "auto",
) -> pd.DataFrame:
    """Choose promoters to explain and write their locus table, their sequences and receipts (``xpresso loci``).

    Parameters
    ----------
    model
        Folder of a promoter model that reads promoters.
    data
        Folder of promoter data.
    out
        TSV: the locus table (:data:`cisweave.tables.attributions.LOCUS_COLUMNS`) and ``strand``. A promoter without a
        place in the genome goes by its gene as contig, and its place in the promoter.
    sequences
        HDF5 ``codes`` uint8 (loci, window), genome orientation, and ``locus_id``.
    genes
        The genes to explain, in this order; ``None``: those of highest prediction.
    top
        How many, where ``genes`` names none. Promoters with unknown bases are passed over.
    settings
        Batches.

    Returns
    -------
    pandas.DataFrame
        The locus table.
    """
    settings = settings or PromoterPredictSettings()
    files = PromoterFiles(data=Path(data))
    loaded = load_promoter_model(model, device)
    if not loaded.reads_promoter:
        raise CisweaveError("this model reads no promoter, so no base explains what it predicts", path=loaded.folder)
    with open_source(loaded, files, Path(out).parent) as source:
        named = source.data.rows(dict.fromkeys(genes)) if genes is not None else None
        rows = strongest(loaded, source, top, settings) if named is None else named
        table = locus_table(source, rows, loaded.spec.outputs[0])
        write_sequences(sequences, source, rows)
    write_tsv(table, out)
    for result in (out, sequences):
        write_receipt(
            result,
            settings={"genes": None if genes is None else list(genes), "top": top},
            inputs=[*files.inputs, *loaded.files],
            device=str(loaded.device),
        )
    logger.info("%d promoters to explain, %d on the minus strand", len(table), (table["strand"] == "-").sum())
    return table


def read_genes(path: str | Path) -> list[str]:
    """Gene ids of a table with the column ``gene_id``, in order, each once, Ensembl's without version."""
    named = read_table(path, ["gene_id"], dtype={"gene_id": "str"})["gene_id"].dropna()
    if not len(named):
        raise CisweaveError("this table names no gene", path=path)
    return list(dict.fromkeys(without_version(name) for name in named))


def strongest(model: PromoterModel, source: Source, top: int, settings: PromoterPredictSettings) -> NDArray[np.int64]:
    """Rows of the genes of highest prediction among those without unknown bases, the highest first."""
    rows = np.flatnonzero(~source.unknown)
    size = settings.batch_size
    found = [predict_rows(model, source, rows[part], size)[0] for part in batches(len(rows), size)]
    order = np.argsort(-np.concatenate([np.zeros(0), *found]), kind="stable")
    return rows[order[:top]]


def locus_table(source: Source, rows: NDArray[np.int64], track: str) -> pd.DataFrame:
    """The locus table of some genes."""
    places = source.places().iloc[rows].reset_index(drop=True)
    placed, reverse = source.placed[rows], source.reverse[rows]
    window, anchor = source.geometry.window, source.geometry.anchor
    tss = np.where(placed & reverse, window - 1 - anchor, anchor)
    holds_tss = 0 <= anchor < window
    core_start = np.maximum(tss - CORE // 2, 0) if holds_tss else np.zeros_like(tss)
    core_end = np.minimum(tss + CORE // 2, window) if holds_tss else np.full_like(tss, window)
    start = places["start"].fillna(pd.Series(source.offsets[rows]))
    table = pd.DataFrame({"locus_id": np.arange(len(rows)), "region_id": np.arange(len(rows))}).assign(
        kind="promoter",
        chrom=places["chrom"].where(placed, places["gene_id"]),
        start=start,
        end=start + window,
        core_start=core_start,
        core_end=core_end,
        gene_id=places["gene_id"],
        tracks=track,
        strand=np.where(placed & reverse, "-", "+"),
    )
    table = table.reindex(columns=COLUMNS)
    return table.fillna(dict.fromkeys(TEXT, ""))


def write_sequences(path: str | Path, source: Source, rows: NDArray[np.int64]) -> None:
    """Write the windows of some genes as the genome has them."""
    with create_store(path, length=source.geometry.window, whole_ids=True) as store:
        for part, codes in genome_windows(source, rows):
            store.append(codes, np.arange(len(rows))[part].tolist())


def genome_windows(source: Source, rows: NDArray[np.int64], size: int = 1024) -> Iterator[tuple[slice, Codes]]:
    """Windows of genes in genome orientation, part by part; those without a place in that of the gene."""
    turned = (source.placed & source.reverse)[rows]
    for part in batches(len(rows), size):
        codes = source.codes(rows[part])
        codes[turned[part]] = reverse_complement(codes[turned[part]])
        yield part, codes
