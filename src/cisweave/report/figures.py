"""Figures that are drawn for the page alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cisweave.core.figures import BLUE, ORANGE, RED, SOFT, TEAL, panels, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def grid_shape(count: int, columns: int) -> tuple[int, int]:
    """Rows and columns for ``count`` panels."""
    columns = min(columns, max(1, count))
    return math.ceil(count / columns), columns


def training_curves(histories: Mapping[str, pd.DataFrame]) -> bytes:
    """Training and validation loss per epoch, one panel a model; validation AUC on a second axis if logged."""
    rows, columns = grid_shape(len(histories), 2 if len(histories) in (2, 4) else 3)
    with panels(rows, columns, 3.5 * max(columns, 2), 2.5 * rows) as (figure, axes):
        for ax, (name, history) in zip(axes, histories.items(), strict=False):
            draw_history(ax, name, history)
        for ax in axes[len(histories) :]:
            ax.set_visible(False)
        return png(figure)


def draw_history(ax: Axes, name: str, history: pd.DataFrame) -> None:
    """One model's curves; epochs are counted from 1."""
    epoch = history["epoch"] + 1
    for column, label, colour in (("train_loss", "training loss", BLUE), ("valid_loss", "validation loss", ORANGE)):
        if column in history:
            ax.plot(epoch, history[column], color=colour, label=label, linewidth=1.5)
    ax.set(title=name, xlabel="epoch", ylabel="loss")
    if len(history) <= 12:
        ax.set_xticks(epoch)
    if "valid_auc" in history:
        twin = ax.twinx()
        twin.plot(epoch, history["valid_auc"], color=TEAL, label="validation AUC", linewidth=1.5, linestyle="--")
        twin.set(ylabel="median AUC", ylim=(min(0.45, history["valid_auc"].min()), 1.0))
        twin.grid(False)
        twin.spines["right"].set_visible(True)
        ax.plot([], [], color=TEAL, label="validation AUC", linewidth=1.5, linestyle="--")
    ax.legend(loc="best")


def expression_scatter(contexts: Mapping[str, tuple[ArrayLike, ArrayLike, float]]) -> bytes:
    """Predicted against measured ln expression, a panel per context: (measured, predicted, Spearman)."""
    rows, columns = grid_shape(len(contexts), 4)
    with panels(rows, columns, 2.6 * columns, 2.55 * rows) as (figure, axes):
        for ax, (name, (given_measured, given_predicted, rho)) in zip(axes, contexts.items(), strict=False):
            measured, predicted = np.asarray(given_measured), np.asarray(given_predicted)
            low, high = float(min(measured.min(), predicted.min())), float(max(measured.max(), predicted.max()))
            ax.plot([low, high], [low, high], color=SOFT, linewidth=0.8, linestyle=":")
            size = 12 if len(measured) < 500 else 4
            ax.scatter(measured, predicted, s=size, color=BLUE, alpha=0.55, linewidths=0)
            ax.set_title(name)
            ax.text(0.04, 0.95, f"ρ = {rho:.2f}", transform=ax.transAxes, va="top", fontsize=8.5)
        for ax in axes[len(contexts) :]:
            ax.set_visible(False)
        figure.supxlabel("measured ln(expression + pseudocount)", fontsize=8.5)
        figure.supylabel("predicted ln(expression + pseudocount)", fontsize=8.5)
        return png(figure)


def effects_by_distance(distance: ArrayLike, effect: ArrayLike) -> bytes:
    """Strongest effect of every variant against its distance from the TSS, and how effects are distributed."""
    distance, effect = np.asarray(distance, dtype=float), np.asarray(effect, dtype=float)
    with panels(1, 2, 10.4, 2.9, width_ratios=[2.4, 1]) as (figure, axes):
        colours = np.where(effect > 0, RED, BLUE)
        axes[0].scatter(distance / 1000, effect, s=10 if len(effect) < 2000 else 3, c=colours, alpha=0.6, linewidths=0)
        axes[0].axhline(0, color=SOFT, linewidth=0.8)
        axes[0].set(
            title="effect by distance", xlabel="distance to TSS, gene orientation (kb)", ylabel="effect (ln expression)"
        )
        reach = float(np.abs(effect).max()) or 1.0
        axes[1].hist(effect, bins=np.linspace(-reach, reach, 41).tolist(), color=TEAL)
        axes[1].set(title="distribution", xlabel="effect (ln expression)", ylabel="variants", yscale="log")
        return png(figure)


def ranked_bars(labels: Sequence[str], values: ArrayLike, xlabel: str, colour: str = BLUE) -> bytes:
    """Horizontal bars, the first label on top."""
    values = np.asarray(values, dtype=float)
    with panels(1, 1, 7.2, 0.6 + 0.24 * len(labels)) as (figure, axes):
        places = np.arange(len(labels))[::-1]
        axes[0].barh(places, values, color=colour, height=0.7)
        axes[0].set_yticks(places, labels)
        axes[0].set(xlabel=xlabel, ylim=(-0.7, len(labels) - 0.3))
        axes[0].grid(False, axis="y")
        for place, value in zip(places.tolist(), values.tolist(), strict=True):
            axes[0].annotate(
                f"{value:g}", (value, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7.5
            )
        return png(figure)


def recall_bars(table: pd.DataFrame) -> bytes:
    """Share of planted instances found and named right, per transcription factor (``tf, found, named, instances``)."""
    with panels(1, 1, 7.2, 0.7 + 0.3 * len(table)) as (figure, axes):
        places = np.arange(len(table))[::-1]
        axes[0].barh(places, table["found"], color="#c9d8e8", height=0.72, label="covered by a seqlet")
        axes[0].barh(places, table["named"], color=TEAL, height=0.42, label="and named right")
        axes[0].set_yticks(places, [f"{tf} ({n})" for tf, n in zip(table.tf, table.instances, strict=True)])
        axes[0].set(xlim=(0, 1), xlabel="share of planted instances", ylim=(-0.7, len(table) - 0.3))
        axes[0].grid(False, axis="y")
        axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return png(figure)
