"""Figures of the seal room: performance per context, pre-training against fine-tuning, effects, training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cisweave.core.figures import BLUE, INK, ORANGE, RED, SOFT, TEAL, VIOLET, Picture, panels, picture
from cisweave.core.logs import get_logger
from cisweave.models.folders import HISTORY
from cisweave.seal.summary import DISTANCES, UPPER, SealTables, summarize_seal
from cisweave.tables.frames import write_tsv
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = get_logger(__name__)

TABLES = ["performance", "distance", "contexts", "curves"]
FIGURES = ["performance", "phases", "distance", "contexts", "curves"]
COLOURS = [BLUE, ORANGE, TEAL, VIOLET, RED, INK]
MOST_NAMED = 45
"""Most contexts that are named on an axis."""


def draw_seal_figures(
    performances: Sequence[str | Path],
    effects: Sequence[str | Path],
    models: Mapping[str, str | Path],
    general: str,
    out: str | Path,
) -> SealTables:
    """Draw the figures of the room as PNG and SVG, and write the tables behind them (TSV); the same in, the same bytes.

    Parameters are those of :func:`cisweave.seal.summary.summarize_seal`; ``out`` is the folder for :data:`TABLES`
    (``.tsv``) and :data:`FIGURES` (``.png`` and ``.svg``).
    """
    tables = summarize_seal(performances, effects, models, general)
    out = Path(out)
    pictures = {
        "performance": performance_figure(tables.performance),
        "phases": phases_figure(tables.performance),
        "distance": distance_figure(tables.distance),
        "contexts": contexts_figure(tables.contexts),
        "curves": curves_figure(tables.curves),
    }
    for name, drawn in pictures.items():
        drawn.write(out / name)
    for name in TABLES:
        write_tsv(getattr(tables, name), out / f"{name}.tsv", float_format="%.6g")
    histories = [Path(folder) / HISTORY for folder in models.values()]
    write_receipt(out / "performance.tsv", inputs=[*performances, *effects, *histories])
    logger.info("%d figures and %d tables in %s", len(pictures), len(TABLES), out)
    return tables


def by_set(frame: pd.DataFrame, column: str = "set") -> dict[str, tuple[str, pd.DataFrame]]:
    """Name -> colour and rows, in the order of the rows."""
    names = frame[column].drop_duplicates()
    return {name: (COLOURS[number % len(COLOURS)], frame[frame[column] == name]) for number, name in enumerate(names)}


def nothing(ax: Axes, words: str, figure: Any) -> Picture:
    """A figure that says that there is nothing to draw."""
    ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes, color=SOFT)
    ax.set_axis_off()
    return picture(figure)


# --- performance ------------------------------------------------------------------------------------------------------
def performance_figure(performance: pd.DataFrame) -> Picture:
    """Spearman correlation per context with its interval over resampled genes, best context first, a panel per set."""
    sets = by_set(performance)
    longest = max((len(rows) for _, rows in sets.values()), default=0)
    height = 1.2 + 0.16 * min(max(longest, 5), MOST_NAMED)
    with panels(1, max(len(sets), 1), 3.5 * max(len(sets), 1), height, sharex=True) as (figure, axes):
        if not sets:
            return nothing(axes[0], "no set has measured expression", figure)
        for ax, (name, (colour, rows)) in zip(axes, sets.items(), strict=True):
            draw_intervals(ax, rows.sort_values("spearman", ascending=False, kind="stable"), colour)
            middle = rows["spearman"].median()
            ax.axvline(middle, color=SOFT, linewidth=0.9, linestyle=":")
            ax.set(title=f"{name}: median {middle:.3f}", xlabel="Spearman correlation, test genes")
        return picture(figure)


def draw_intervals(ax: Axes, rows: pd.DataFrame, colour: str) -> None:
    """One dot and its interval per context, from the top; names where there are not too many."""
    places = np.arange(len(rows))[::-1]
    ax.hlines(places, rows["spearman_low"], rows["spearman_high"], color=colour, alpha=0.4, linewidth=1.6)
    ax.plot(rows["spearman"], places, "o", color=colour, markersize=3.2)
    ax.set(ylim=(-0.8, len(rows) - 0.2))
    ax.grid(False, axis="y")
    name_rows(ax, places, list(rows["context"]))


def name_rows(ax: Axes, places: Any, names: list[str]) -> None:
    """Name the rows of an axis, or say how many there are."""
    if len(names) <= MOST_NAMED:
        ax.set_yticks(places, names)
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(names)} contexts")


def phases_figure(performance: pd.DataFrame) -> Picture:
    """Pre-training against fine-tuning: correlation and squared error of every context, median as a bar."""
    sets = by_set(performance)
    with panels(1, 2, 7.6, 2.9) as (figure, (left, right)):
        if not sets:
            right.set_axis_off()
            return nothing(left, "no set has measured expression", figure)
        for ax, column, label in ((left, "spearman", "Spearman correlation"), (right, "mse", "mean squared error")):
            for place, (colour, rows) in enumerate(sets.values()):
                spread = 0.28 * np.sin(np.arange(len(rows)) * 2.4)
                ax.hlines(rows[column].median(), place - 0.36, place + 0.36, color=INK, linewidth=1.8, zorder=1)
                ax.plot(place + spread, rows[column], "o", color=colour, alpha=0.7, markersize=3, zorder=2)
            labels = [f"{name}\n{rows['phase'].iloc[0]}" for name, (_, rows) in sets.items()]
            ax.set_xticks(np.arange(len(sets)), labels)
            ax.set(ylabel=label, xlim=(-0.6, len(sets) - 0.4))
            ax.grid(False, axis="x")
        return picture(figure)


# --- effects ----------------------------------------------------------------------------------------------------------
def distance_figure(distance: pd.DataFrame) -> Picture:
    """Strongest effect of alleles by their distance from the TSS: median and upper quantile, a line per set."""
    with panels(1, 1, 7.6, 2.9) as (figure, (ax,)):
        if not distance["alleles"].sum():
            return nothing(ax, "no allele was scored", figure)
        filled = filled_bins(distance)
        for name, (colour, rows) in by_set(distance[distance["from"].isin(DISTANCES[:filled])]).items():
            places = np.arange(len(rows))
            ax.plot(places, rows["upper"], "o--", color=colour, markersize=3, linewidth=1)
            ax.plot(places, rows["median"], "o-", color=colour, markersize=3.5, label=name)
        counts = distance.groupby("from")["alleles"].agg(["min", "max"])[:filled]
        labels = zip(distance_labels(), counts["min"], counts["max"], strict=False)
        ax.set_xticks(np.arange(filled), [f"{label}\nn = {count_label(least, most)}" for label, least, most in labels])
        ax.set(
            yscale="log",
            xlabel="distance to TSS (n: alleles)",
            ylabel="strongest |effect| (ln expression)",
            title=f"median (line) and {100 * UPPER:.0f} % quantile (dashes)",
        )
        ax.legend(loc="upper right")
        return picture(figure)


def filled_bins(distance: pd.DataFrame) -> int:
    """Number of bins up to the last that holds an allele."""
    return int(np.flatnonzero(distance.groupby("from")["alleles"].sum())[-1]) + 1


def distance_labels() -> list[str]:
    """The bins of distance in words."""
    named = [(f"{start / 1000:g}", "kb") if start >= 1000 else (str(start), "bp") for start in DISTANCES]
    inner = [
        f"{start}{'' if unit == last else f' {unit}'}–{end} {last}" for (start, unit), (end, last) in pairwise(named)
    ]
    return [*inner, f"≥ {' '.join(named[-1])}"]


def count_label(least: int, most: int) -> str:
    """A count, or the range of counts of several sets."""
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"


def contexts_figure(contexts: pd.DataFrame) -> Picture:
    """Size of effects per context, largest first, and for how many alleles the context is the strongest."""
    sets = by_set(contexts)
    longest = max((len(rows) for _, rows in sets.values()), default=0)
    height = 1.2 + 0.16 * min(max(longest, 5), MOST_NAMED)
    with panels(1, max(len(sets), 1), 3.8 * max(len(sets), 1), height) as (figure, axes):
        if not contexts["alleles"].sum():
            return nothing(axes[0], "no allele was scored", figure)
        for ax, (name, (colour, rows)) in zip(axes, sets.items(), strict=True):
            ordered = rows.sort_values("upper", ascending=False, kind="stable")
            places = np.arange(len(ordered))[::-1]
            ax.hlines(places, ordered["median"], ordered["upper"], color=colour, alpha=0.4, linewidth=1.6)
            ax.plot(ordered["median"], places, "o", color=colour, markersize=3.2)
            ax.plot(ordered["upper"], places, "|", color=colour, markersize=6)
            label = f"|effect|: median to {100 * UPPER:.0f} % quantile"
            if len(rows) <= MOST_NAMED:
                label += "\n(n): strongest context of n alleles"
            ax.set(title=name, xlabel=label, ylim=(-0.8, len(rows) - 0.2))
            ax.grid(False, axis="y")
            leads = zip(ordered["context"], ordered["strongest"], strict=True)
            name_rows(ax, places, [f"{context} ({number:,})" for context, number in leads])
        return picture(figure)


# --- training ---------------------------------------------------------------------------------------------------------
def curves_figure(curves: pd.DataFrame) -> Picture:
    """Loss per epoch of the training genes (dashes) and the validation genes (line), a panel per model."""
    models = by_set(curves, "model")
    with panels(1, max(len(models), 1), 3.2 * max(len(models), 1), 2.5) as (figure, axes):
        if not models:
            return nothing(axes[0], "no model was trained in this run", figure)
        for ax, (name, (colour, rows)) in zip(axes, models.items(), strict=True):
            for loss, line, label in (("train_loss", "--", "training"), ("valid_loss", "-", "validation")):
                part = rows[rows["figure"] == loss]
                ax.plot(part["epoch"] + 1, part["value"], line, color=colour, linewidth=1.2, label=label)
            best = rows[rows["figure"] == "valid_loss"].dropna().nsmallest(1, "value")
            ax.plot(best["epoch"] + 1, best["value"], "o", color=INK, markersize=4, label="kept")
            ax.legend(loc="upper right")
            ax.set(title=name, xlabel="epoch", ylabel="weighted squared error")
        return picture(figure)
