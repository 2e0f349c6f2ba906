"""The strongest contexts of each score, and how unusual they are among all variants scored.

Dimension legend
    rows - an allele with one of its genes, contexts - tissues or cell states
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.seal.assigned import COLUMNS
from cisweave.tables.frames import damages, unreadable
from cisweave.tables.ledger import KEY

Floats = NDArray[np.float32]

BLOCK = 2048
"""Rows read at a time."""
COLUMN_BYTES = 1 << 24
"""Memory for whole columns that are read together."""
QUANTILES = {"median_abs": 0.5, "q95_abs": 0.95, "q99_abs": 0.99, "max_abs": 1.0}


@dataclass
class Strongest:
    """For each row of a table of effects, in its order.

    Attributes
    ----------
    context, up, down
        int32 (rows,), number of the context with the largest absolute, the highest and the lowest effect.
    effect, up_effect, down_effect
        float32 (rows,), these effects.
    quantile
        float32 (rows,), share of all rows whose absolute effect in ``context`` is no larger.
    rank
        int64 (rows,), 1 for the largest absolute effect; equal ones share a rank.
    """

    context: NDArray[np.int32]
    up: NDArray[np.int32]
    down: NDArray[np.int32]
    effect: Floats
    up_effect: Floats
    down_effect: Floats
    quantile: Floats
    rank: NDArray[np.int64]


def context_names(path: str | Path) -> list[str]:
    """Contexts of a table of effects (Parquet): the columns that are no part of the variant table."""
    from pyarrow import parquet

    try:
        names = list(parquet.read_schema(path).names)
    except damages() as error:
        raise unreadable(Path(path), error) from error
    contexts = [str(name) for name in names if name not in COLUMNS]
    if not contexts:
        raise CisweaveError("the table of effects has no context column", path=path)
    return contexts


def strongest_contexts(path: str | Path, contexts: Sequence[str]) -> tuple[Strongest, pd.DataFrame]:
    """The strongest contexts of each row of a table of effects, and what the effects of each context are like.

    The table is read in blocks, and then column by column; memory holds about 40 bytes a row.

    Returns
    -------
    strongest
        Per row.
    per_context
        Columns ``context``, ``rows``, and quantiles of the absolute effects: ``median_abs``, ``q95_abs``, ``q99_abs``,
        ``max_abs`` (NaN where nothing was scored).
    """
    found = [extremes(frame[list(contexts)].to_numpy(np.float32)) for frame in allele_blocks(path)]
    context, up, down, effect, up_effect, down_effect = (
        np.concatenate([part[number] for part in found]) for number in range(6)
    )
    size = np.abs(effect)
    quantile = np.zeros(len(size), dtype=np.float32)
    figures = []
    for first, values in column_groups(path, contexts, len(size)):
        for number in range(values.shape[1]):
            ordered = np.sort(np.abs(values[:, number]))
            here = context == first + number
            quantile[here] = np.searchsorted(ordered, size[here], side="right") / max(len(ordered), 1)
            figures.append(figures_of(contexts[first + number], ordered))
    rank = np.searchsorted(np.sort(-size), -size, side="left") + 1
    strongest = Strongest(context, up, down, effect, up_effect, down_effect, quantile, rank.astype(np.int64))
    return strongest, pd.DataFrame(figures, columns=["context", "rows", *QUANTILES])


def extremes(values: Floats) -> tuple[NDArray[Any], ...]:
    """Numbers of the largest absolute, highest and lowest of effects (rows, contexts), and these effects."""
    rows = np.arange(len(values))
    numbers = [each.argmax(axis=1).astype(np.int32) for each in (np.abs(values), values, -values)]
    return (*numbers, *(values[rows, number] for number in numbers))


def figures_of(context: str, ordered: Floats) -> dict[str, Any]:
    """Quantiles of the absolute effects of one context, which are in order."""
    known = len(ordered) > 0
    quantiles = {name: float(np.quantile(ordered, at)) if known else np.nan for name, at in QUANTILES.items()}
    return {"context": context, "rows": len(ordered), **quantiles}


def column_groups(path: str | Path, contexts: Sequence[str], rows: int) -> Iterator[tuple[int, Floats]]:
    """Whole columns of a table of effects, a few at a time: number of the first, and values (rows, columns)."""
    from pyarrow import parquet

    step = max(1, COLUMN_BYTES // (4 * max(rows, 1)))
    with parquet.ParquetFile(path) as table:
        for first in range(0, len(contexts), step):
            some = list(contexts[first : first + step])
            columns = table.read(columns=some)
            yield first, np.stack([columns[name].to_numpy() for name in some], axis=1).astype(np.float32, copy=False)


def allele_blocks(path: str | Path, rows: int = BLOCK) -> Iterator[pd.DataFrame]:
    """A table of effects (Parquet) block by block, all genes of an allele in one block; at least one, be it empty."""
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as table:
            rest = table.schema_arrow.empty_table().to_pandas()
            for batch in table.iter_batches(batch_size=rows):
                frame = pd.concat([rest, batch.to_pandas()], ignore_index=True) if len(rest) else batch.to_pandas()
                cut = last_allele(frame)
                if cut:
                    yield frame.iloc[:cut].reset_index(drop=True)
                rest = frame.iloc[cut:]
            yield rest.reset_index(drop=True)
    except damages() as error:
        raise unreadable(Path(path), error) from error


def last_allele(frame: pd.DataFrame) -> int:
    """The row with which the last allele of a frame begins."""
    if not len(frame):
        return 0
    other = (frame[KEY] != frame[KEY].iloc[-1]).any(axis=1).to_numpy()
    return int(np.flatnonzero(other)[-1]) + 1 if other.any() else 0
