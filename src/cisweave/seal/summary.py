"""The tables behind the figures of the seal room: performance per context, effects by distance and by context.

Dimension legend
    contexts - tissues or cell states, genes - test genes, alleles - pairs of a scored allele and its gene
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.files import existing
from cisweave.models.folders import HISTORY
from cisweave.seal.performance import PERFORMANCE_COLUMNS
from cisweave.seal.strongest import context_names
from cisweave.tables.frames import read_table

DISTANCE_COLUMNS = ["set", "from", "to", "alleles", "median", "upper"]
CONTEXT_COLUMNS = ["set", "context", "alleles", "median", "upper", "strongest"]
CURVE_COLUMNS = ["model", "epoch", "figure", "value"]
DISTANCES = [0, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]
"""Bounds of the bins of distance to the TSS, in bases; the last bin has no end."""
UPPER = 0.95
"""The quantile called ``upper``."""


@dataclass
class SealTables:
    """Tables of a run's seal room.

    Attributes
    ----------
    performance
        Per context on the test genes: Spearman correlation with its 95 % interval, mean squared error;
        ``phase`` is ``pretrain`` or ``finetune``.
    distance
        Strongest |effect| of alleles over the contexts of a set (ln expression), by distance to the TSS in bases.
    contexts
        |effect| of all alleles per context, and for how many alleles the context is the strongest.
    curves
        Losses per epoch of every expression model.
    """

    performance: pd.DataFrame
    distance: pd.DataFrame
    contexts: pd.DataFrame
    curves: pd.DataFrame


def summarize_seal(
    performances: Sequence[str | Path],
    effects: Sequence[str | Path],
    models: Mapping[str, str | Path],
    general: str,
) -> SealTables:
    """Tables of all context sets; the set of a file is the name of the folder it stands in.

    Parameters
    ----------
    performances
        Accuracy per context (``performance.tsv`` of ``seal evaluate``).
    effects
        Effects (Parquet, from ``seal gather``).
    models
        Name -> folder of the expression models whose training curves are shown.
    general
        The context set of the pre-trained model.
    """
    measured = [set_performance(Path(path), general) for path in performances]
    by_distance, by_context = [], []
    for path in effects:
        name, table = Path(path).parent.name, EffectTable(Path(path))
        by_distance.append(distance_rows(name, table))
        by_context.append(context_rows(name, table))
    return SealTables(
        stacked(measured, ["set", *PERFORMANCE_COLUMNS]),
        stacked(by_distance, DISTANCE_COLUMNS),
        stacked(by_context, CONTEXT_COLUMNS),
        stacked([curve_rows(name, Path(folder)) for name, folder in models.items()], CURVE_COLUMNS),
    )


def stacked(frames: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """All frames in one, with these columns also where there is none."""
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True)[columns] if filled else pd.DataFrame(columns=columns)


# --- performance ------------------------------------------------------------------------------------------------------
def set_performance(path: Path, general: str) -> pd.DataFrame:
    """Performance per context of one set, on its test genes."""
    name = path.parent.name
    phase = "pretrain" if name == general else "finetune"
    return read_table(path, PERFORMANCE_COLUMNS)[PERFORMANCE_COLUMNS].assign(set=name, phase=phase)


# --- effects ----------------------------------------------------------------------------------------------------------
class EffectTable:
    """Effects read column by column, so that a table of millions of alleles needs little memory."""

    def __init__(self, path: Path):
        self.path = existing(path)
        self.contexts = context_names(self.path)
        self.distance = np.abs(self.column("dist_to_tss").astype(np.int64))
        self.strongest = np.zeros(len(self.distance), dtype=np.float32)
        self.leader = np.full(len(self.distance), -1)
        self.spread: list[tuple[float, float]] = []
        for number, context in enumerate(self.contexts):
            size = np.abs(self.column(context).astype(np.float32))
            ahead = size > self.strongest
            self.strongest[ahead], self.leader[ahead] = size[ahead], number
            self.spread.append((middle(size), upper(size)))

    def column(self, name: str) -> NDArray[np.generic]:
        """One column."""
        values: NDArray[np.generic] = pd.read_parquet(self.path, columns=[name])[name].to_numpy()
        return values


def middle(values: NDArray[np.floating]) -> float:
    """The median; not a number where there is nothing."""
    return float(np.median(values)) if len(values) else float("nan")


def upper(values: NDArray[np.floating]) -> float:
    """The :data:`UPPER` quantile; not a number where there is nothing."""
    return float(np.quantile(values, UPPER)) if len(values) else float("nan")


def distance_rows(name: str, table: EffectTable) -> pd.DataFrame:
    """Strongest |effect| of the alleles in each bin of distance."""
    member = np.searchsorted(DISTANCES, table.distance, side="right") - 1
    rows = []
    for number, start in enumerate(DISTANCES):
        size = table.strongest[member == number]
        end = DISTANCES[number + 1] if number + 1 < len(DISTANCES) else pd.NA
        rows.append((name, start, end, len(size), middle(size), upper(size)))
    return pd.DataFrame(rows, columns=DISTANCE_COLUMNS).astype({"to": "Int64"})


def context_rows(name: str, table: EffectTable) -> pd.DataFrame:
    """|effect| per context, and the alleles for which it is the strongest context."""
    leads = np.bincount(table.leader[table.leader >= 0], minlength=len(table.contexts))
    rows = [
        (name, context, len(table.distance), *table.spread[number], int(leads[number]))
        for number, context in enumerate(table.contexts)
    ]
    return pd.DataFrame(rows, columns=CONTEXT_COLUMNS)


# --- training ---------------------------------------------------------------------------------------------------------
def curve_rows(name: str, folder: Path) -> pd.DataFrame:
    """Losses per epoch of one model; none for an imported one, whose history is empty."""
    history = pd.read_csv(existing(folder / HISTORY))
    losses = [column for column in ("train_loss", "valid_loss") if column in history]
    if not losses:
        return pd.DataFrame(columns=CURVE_COLUMNS)
    long = history.melt(id_vars="epoch", value_vars=losses, var_name="figure", value_name="value")
    return long.assign(model=name)[CURVE_COLUMNS]
