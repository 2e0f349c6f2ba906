"""Expression from promoters: any promoters, any model of the zoo.

Dimension legend
    genes - promoters, window - bases that a model reads, extras - inputs that are no sequence
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import PromoterPredictSettings
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError, check_balance
from cisweave.core.logs import get_logger
from cisweave.genome.stream import stage_counts, summary_line
from cisweave.sequence.onehot import UNKNOWN
from cisweave.tables.frames import write_parquet, write_tsv
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.dataset import REJECT_COLUMNS
from cisweave.xpresso.models import PromoterModel, load_promoter_model
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.sources import Source, gene_problems, open_source

logger = get_logger(__name__)

STAGE = "xpresso_predict"
PREDICTION_COLUMNS = [
    *("gene_id", "chrom", "start", "end", "strand"),
    *("prediction_z", "log10_expression", "unknown_bases"),
]
"""The window that was read (0-based half-open; empty where its place is not known); the prediction as z-score of the
training genes and as log10(expression + pseudocount), empty where the model was trained on z-scores; letters other
than A, C, G and T in the window, N beyond the end of a contig included."""
FLOATS = "%.9g"
"""Format of predictions in text: all digits of a float32."""
TEXT = (".tsv", ".tsv.gz")


def predict_promoters(
    model: str | Path,
    out: str | Path,
    files: PromoterFiles,
    *,
    rejects: str | Path | None = None,
    settings: PromoterPredictSettings | None = None,
    device: DeviceName = "auto",
) -> pd.DataFrame:
    """Predict the expression of genes from their promoters, and write a table and a receipt (``xpresso predict``).

    Parameters
    ----------
    model
        Folder of a promoter model.
    out
        ``.tsv``, ``.tsv.gz`` or ``.parquet``, columns :data:`PREDICTION_COLUMNS`, genes in the order of the source.
    files
        What is predicted.
    rejects
        TSV ``gene_id, code, message`` of genes that are not predicted; without it the log says how many they are.
    settings
        Batches, and what becomes of genes with unknown bases or inputs.

    Returns
    -------
    pandas.DataFrame
        The table.

    Raises
    ------
    CisweaveError
        If promoters have another length than the model reads, or a gene lacks what the settings ask for.
    """
    settings = settings or PromoterPredictSettings()
    check_table_name(out)
    loaded = load_promoter_model(model, device)
    with open_source(loaded, files, Path(out).parent) as source:
        problems = gene_problems(loaded, source, settings)
        rows = np.setdiff1d(np.arange(len(source)), problems.index.to_numpy(dtype=np.int64))
        table = prediction_table(loaded, source, rows, settings.batch_size)
        rejected = pd.concat([source.rejected, problems], ignore_index=True)
        total = len(source) + len(source.rejected)
    check_balance(total, len(table), len(rejected), "genes")
    write_rejects(rejected, rejects)
    write_predictions(table, out)
    counts = stage_counts(len(table), rejected["code"].tolist())
    write_receipt(
        out,
        settings=settings.model_dump(mode="json"),
        inputs=[*files.inputs, *loaded.files],
        device=str(loaded.device),
        dtype="float32",
        notes={"genes": counts},
    )
    logger.info("%s", summary_line(STAGE, counts, "genes"))
    return table


def prediction_table(
    model: PromoterModel, source: Source, rows: NDArray[np.int64], batch_size: int = 128
) -> pd.DataFrame:
    """Predictions of some genes (:data:`PREDICTION_COLUMNS`)."""
    z, unknown = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
    for part in batches(len(rows), batch_size):
        z[part], unknown[part] = predict_rows(model, source, rows[part], batch_size)
    places = source.places().iloc[rows].reset_index(drop=True)
    return places.assign(prediction_z=z, log10_expression=model.log10(z), unknown_bases=unknown)[PREDICTION_COLUMNS]


def predict_rows(
    model: PromoterModel, source: Source, rows: NDArray[np.int64], batch_size: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Predictions (k,) as z-scores, and unknown bases (k,) of the windows, of genes that memory can hold."""
    codes = source.codes(rows) if model.reads_promoter else None
    extras = model.scaling.extras(source.data, rows, model.extra_inputs)
    unknown = np.zeros(len(rows), dtype=np.int64) if codes is None else (codes == UNKNOWN).sum(axis=1)
    return model.predict(codes, extras, batch_size), unknown


def batches(total: int, size: int) -> Iterator[slice]:
    """Parts of at most ``size``."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))


# --- files ------------------------------------------------------------------------------------------------------------
def check_table_name(out: str | Path) -> None:
    """Raise unless a table can have this name."""
    if not str(out).endswith((*TEXT, ".parquet")):
        raise CisweaveError(f"the name must end in {', '.join(TEXT)} or .parquet", path=out)


def write_predictions(table: pd.DataFrame, out: str | Path) -> None:
    """Write a table as its name says."""
    if str(out).endswith(".parquet"):
        write_parquet(table, out)
    else:
        write_tsv(table, out, float_format=FLOATS)


def write_rejects(rejected: pd.DataFrame, path: str | Path | None) -> None:
    """Write the genes that are not predicted, or say in the log how many they are."""
    if path is not None:
        write_tsv(rejected[REJECT_COLUMNS], path)
    elif len(rejected):
        first = rejected.iloc[0]
        logger.warning(
            "%d genes are not predicted, %s for one: %s; to see all, name a file for them: --rejects",
            len(rejected), first["gene_id"], first["message"],
        )  # fmt: skip
