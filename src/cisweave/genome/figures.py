"""Figures of what became of the alleles, and the tables behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cisweave.core.figures import BLUE, INK, ORANGE, RED, SOFT, TEAL, VIOLET, Picture, panels, picture
from cisweave.core.logs import get_logger
from cisweave.genome.summary import CLASSES, GenomeTables, summarize
from cisweave.tables.frames import write_tsv
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

logger = get_logger(__name__)

TABLES = ["flow", "rejects", "classes", "lengths", "distance", "contigs", "summary"]
FIGURES = ["flow", "rejects", "alleles", "distance", "contigs"]
COLOURS = dict(zip(CLASSES, [BLUE, VIOLET, TEAL, ORANGE, SOFT], strict=True))
OUTCOMES = {"normalize": "normalized", "liftover": "lifted", "closest_tss": "with a gene", "seal_predict": "scored"}
"""What the alleles are that a step kept."""
STEP_COLOURS = dict(zip(OUTCOMES, [BLUE, TEAL, ORANGE, VIOLET], strict=True))
LEAST_LENGTHS = 5
"""Lengths of indels that are drawn though no allele has them."""
MOST_CONTIGS = 30
"""Most contigs drawn one by one."""


def draw_genome_figures(
    steps: Mapping[str, str | Path], ledgers: Sequence[str | Path], out: str | Path
) -> GenomeTables:
    """Draw the figures of the room as PNG and SVG, and write the tables behind them (TSV); the same in, the same bytes.

    Parameters
    ----------
    steps
        Step -> what it wrote, in order, the table of assigned variants last
        (:func:`cisweave.genome.summary.summarize`).
    ledgers
        Reject ledger (TSV) of each context set, in the folder of that name.
    out
        Folder for :data:`TABLES` (``.tsv``) and :data:`FIGURES` (``.png`` and ``.svg``).
    """
    tables = summarize(steps, ledgers)
    out = Path(out)
    pictures = {
        "flow": flow_figure(tables.flow),
        "rejects": rejects_figure(tables.rejects, tables.flow["context_sets"].iloc[0]),
        "alleles": alleles_figure(tables.classes, tables.lengths),
        "distance": distance_figure(tables.distance),
        "contigs": contigs_figure(tables.contigs),
    }
    for name, drawn in pictures.items():
        drawn.write(out / name)
    for name in TABLES:
        write_tsv(getattr(tables, name), out / f"{name}.tsv")
    write_receipt(out / "summary.tsv", inputs=[*steps.values(), *ledgers])
    logger.info("%d figures and %d tables in %s", len(pictures), len(TABLES), out)
    return tables


# --- through the steps ------------------------------------------------------------------------------------------------
def flow_figure(flow: pd.DataFrame) -> Picture:
    """Alleles through the steps: what is kept goes on to the right, what is rejected leaves downwards.

    Context sets in which different alleles were scored have a panel each.
    """
    paths = flow_paths(flow)
    with panels(len(paths), 1, 10.4, 2.9 * len(paths)) as (figure, axes):
        for ax, (sets, steps) in zip(axes, paths.items(), strict=True):
            draw_flow(ax, steps)
            if len(paths) > 1:
                ax.set_title(sets.replace(",", ", "))
        return picture(figure)


def flow_paths(flow: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """For each group of context sets the steps their alleles went through."""
    common = flow["context_sets"].iloc[0]
    groups = [sets for sets in flow["context_sets"].drop_duplicates() if sets != common] or [common]
    return {sets: flow[flow["context_sets"].isin([common, sets])].reset_index(drop=True) for sets in groups}


def draw_flow(ax: Axes, steps: pd.DataFrame) -> None:
    """One path: nodes are numbers of alleles, level at the top; heights are proportional to them."""
    total = max(int(steps["in"].iloc[0]), 1)
    floor, node = -0.34, 0.02
    states = ["alleles read", *(OUTCOMES.get(step, step.replace("_", " ")) for step in steps["step"])]
    numbers = [int(steps["in"].iloc[0]), *(int(kept) for kept in steps["kept"])]
    for place, (state, number) in enumerate(zip(states, numbers, strict=True)):
        ax.add_patch(rectangle(place - node, 1 - number / total, 2 * node, number / total, INK))
        ax.text(place, 1.06, f"{number:,}", ha="center", va="bottom", fontsize=11, fontweight="bold")
        ax.text(place, 1.22, state, ha="center", va="bottom", color=SOFT)
    names = [str(step).replace("_", "-") for step in steps["step"]]
    for place, (name, before, after) in enumerate(zip(names, numbers, numbers[1:], strict=False)):
        kept, lowest = 1 - after / total, 1 - before / total
        ax.add_patch(rectangle(place + node, kept, 1 - 2 * node, 1 - kept, BLUE, alpha=0.25))
        if before > after:
            ax.add_patch(leaving(place + node, lowest, kept, place + 0.5, floor))
        left, colour = (f"\N{MINUS SIGN}{before - after:,}", RED) if before > after else ("none", SOFT)
        ax.text(place + 0.5, floor - 0.05, left, ha="center", va="top", color=colour, fontweight="bold")
        ax.text(place + 0.5, floor - 0.2, f"rejected by {name}", ha="center", va="top", color=SOFT, fontsize=8)
    ax.set(xlim=(-0.35, len(steps) + 0.35), ylim=(floor - 0.36, 1.42))
    ax.set_axis_off()


def rectangle(left: float, bottom: float, width: float, height: float, colour: str, alpha: float = 1.0) -> Any:
    """A filled rectangle."""
    from matplotlib.patches import Rectangle

    return Rectangle((left, bottom), width, height, facecolor=colour, alpha=alpha, linewidth=0)


def leaving(left: float, low: float, high: float, middle: float, floor: float) -> Any:
    """A band that leaves the stream at ``left`` between ``low`` and ``high`` and bends down to ``floor``."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    half = min((high - low) / 2, 0.2)
    points = [
        (left, high),
        (middle + half, high),
        (middle + half, high),
        (middle + half, floor),
        (middle - half, floor),
        (middle - half, low),
        (middle - half, low),
        (left, low),
        (left, high),
    ]
    codes = [Outline.MOVETO, *[Outline.CURVE4] * 3, Outline.LINETO, *[Outline.CURVE4] * 3, Outline.CLOSEPOLY]
    return PathPatch(Outline(points, codes), facecolor=RED, edgecolor=RED, alpha=0.55, linewidth=0.8)


def rejects_figure(rejects: pd.DataFrame, every: str) -> Picture:
    """Rejected alleles by step and code; rows that do not stand for ``every`` context set name theirs."""
    with panels(1, 1, 7.6, 1.0 + 0.235 * max(len(rejects), 3)) as (figure, (ax,)):
        if rejects.empty:
            return nothing(ax, "no allele was rejected", figure)
        places = np.arange(len(rejects))[::-1]
        named = zip(rejects["code"], rejects["context_sets"], strict=True)
        labels = [str(code) if sets == every else f"{code} ({sets.replace(',', ', ')})" for code, sets in named]
        for step in rejects["step"].drop_duplicates():
            chosen = (rejects["step"] == step).to_numpy()
            colour = STEP_COLOURS.get(step, SOFT)
            name = str(step).replace("_", "-")
            ax.barh(places[chosen], rejects["alleles"][chosen], color=colour, height=0.7, label=name)
        ax.set_yticks(places, labels)
        ax.set(xlabel="rejected alleles", ylim=(-0.7, len(rejects) - 0.3))
        write_numbers(ax, places, rejects["alleles"])
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2, handlelength=1)
        return picture(figure)


def write_numbers(ax: Axes, places: Any, numbers: Any) -> None:
    """Write each horizontal bar's number behind it."""
    ax.grid(False, axis="y")
    count_alleles_on(ax.xaxis)
    ax.margins(x=0.1)
    for place, number in zip(places, numbers, strict=True):
        ax.annotate(
            f"{number:,}",
            (number, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
        )


def count_alleles_on(axis: Axis) -> None:
    """Give an axis ticks at whole numbers, thousands set apart."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def nothing(ax: Axes, words: str, figure: Any) -> Picture:
    """A figure that says that there is nothing to draw."""
    ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes, color=SOFT)
    ax.set_axis_off()
    return picture(figure)


# --- of what kind -----------------------------------------------------------------------------------------------------
def alleles_figure(classes: pd.DataFrame, lengths: pd.DataFrame) -> Picture:
    """Alleles by class, and how many bases indels put in or take out."""
    with panels(1, 2, 10.4, 2.9, width_ratios=[1, 1.7]) as (figure, (left, right)):
        places = np.arange(len(classes))[::-1]
        left.barh(places, classes["alleles"], color=[COLOURS[name] for name in classes["class"]], height=0.7)
        left.set_yticks(places, list(classes["class"]))
        left.set(title="class", xlabel="alleles")
        write_numbers(left, places, classes["alleles"])
        draw_lengths(right, lengths)
        return picture(figure)


def draw_lengths(ax: Axes, lengths: pd.DataFrame) -> None:
    """Deletions and insertions side by side for each bin of lengths, up to the last that is not empty."""
    filled = lengths["from"][lengths["alleles"] > 0]
    lengths = lengths[lengths["from"] <= max(filled.max() if len(filled) else 0, LEAST_LENGTHS)]
    for name, shift in (("deletion", -0.2), ("insertion", 0.2)):
        rows = lengths[lengths["class"] == name]
        ax.bar(np.arange(len(rows)) + shift, rows["alleles"], width=0.4, color=COLOURS[name], label=f"{name}s")
    labels = [length_label(row["from"], row["to"]) for _, row in rows.iterrows()]
    ax.set_xticks(np.arange(len(labels)), labels)
    ax.set(title="length of indels", xlabel="inserted or deleted bases", ylabel="alleles")
    count_alleles_on(ax.yaxis)
    ax.grid(False, axis="x")
    ax.legend(loc="upper right")


def length_label(first: int, last: Any) -> str:
    """A bin of lengths in words."""
    if pd.isna(last):
        return f"≥ {first}"
    return f"{first}" if first == last else f"{first}–{last}"


def distance_figure(distance: pd.DataFrame) -> Picture:
    """Distance of the alleles from the TSS of their genes."""
    with panels(1, 1, 10.4, 2.7) as (figure, (ax,)):
        width = int(distance["end"].iloc[0] - distance["start"].iloc[0])
        far = int(distance["end"].max())
        scale, unit = (1000, "kb") if far >= 2000 else (1, "bp")
        for side, chosen, colour in (
            ("upstream", distance["start"] < 0, TEAL),
            ("downstream", distance["start"] >= 0, BLUE),
        ):
            rows = distance[chosen]
            ax.bar(rows["start"] / scale, rows["alleles"], width=0.92 * width / scale, align="edge", color=colour)
            place = 0.01 if side == "upstream" else 0.99
            ax.text(
                place,
                0.97,
                f"{side}: {int(rows['alleles'].sum()):,}",
                transform=ax.transAxes,
                ha="left" if side == "upstream" else "right",
                va="top",
                color=colour,
                fontweight="bold",
            )
        ax.axvline(0, color=SOFT, linewidth=0.9, linestyle=":")
        ax.set(xlabel=f"distance to TSS, gene orientation ({unit})", ylabel=f"alleles per {bin_label(width)}")
        ax.set_ylim(0, max(1.0, 1.22 * float(distance["alleles"].max())))
        count_alleles_on(ax.yaxis)
        return picture(figure)


def bin_label(width: int) -> str:
    """The width of a bin with its unit."""
    return f"{width / 1000:g} kb" if width >= 1000 else f"{width} bp"


def contigs_figure(contigs: pd.DataFrame) -> Picture:
    """Alleles per contig, by class."""
    shown = few_contigs(contigs)
    with panels(1, 1, 7.6, 1.0 + 0.235 * max(len(shown), 3)) as (figure, (ax,)):
        if shown.empty:
            return nothing(ax, "no allele has a gene", figure)
        places = np.arange(len(shown))[::-1]
        start = np.zeros(len(shown))
        for name in CLASSES:
            if shown[name].any():
                ax.barh(places, shown[name], left=start, color=COLOURS[name], height=0.7, label=name)
                start = start + shown[name].to_numpy()
        ax.set_yticks(places, list(shown["contig"]))
        ax.set(xlabel="alleles with a gene", ylim=(-0.7, len(shown) - 0.3))
        write_numbers(ax, places, shown["alleles"])
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, borderaxespad=0.2, handlelength=1)
        return picture(figure)


def few_contigs(contigs: pd.DataFrame) -> pd.DataFrame:
    """The contigs with the most alleles in the assembly's order, and all others as one row."""
    if len(contigs) <= MOST_CONTIGS:
        return contigs
    largest = contigs["alleles"].nlargest(MOST_CONTIGS - 1).index
    others = contigs.drop(largest)
    row = others.drop(columns="contig").sum().to_frame().T.assign(contig=f"{len(others):,} other contigs")
    return pd.concat([contigs.loc[sorted(largest)], row], ignore_index=True)[contigs.columns]
