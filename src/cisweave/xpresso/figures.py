"""Figures of the xpresso room: models side by side, their differences, losses, predictions against measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.figures import BLUE, INK, ORANGE, RED, SOFT, TEAL, VIOLET, Picture, panels, picture
from cisweave.core.logs import get_logger
from cisweave.tables.frames import read_table, write_tsv
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.compare import COMPARISON_COLUMNS, NAMES, RANKING_COLUMNS, RESULT_COLUMNS, TEST_COLUMNS, TEXTS
from cisweave.xpresso.compare import TABLES as COMPARISON_TABLES
from cisweave.xpresso.evaluate import (
    BASELINE,
    COLLECTED_COLUMNS,
    HISTORY,
    HISTORY_COLUMNS,
    PREDICTIONS,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = get_logger(__name__)

TABLES = [*COMPARISON_TABLES, "curves", "densities"]
NAME_COLUMNS = {**dict.fromkeys(TABLES, NAMES), **TEXTS}
"""Columns of each table that are text whatever stands in them."""
FIGURES = ["comparison", "differences", "curves", "scatter", "densities"]
CURVE_COLUMNS = [*HISTORY_COLUMNS, "chosen"]
DENSITY_COLUMNS = ["model", "value", "measured", "predicted"]
COLUMNS = {
    "comparison": COMPARISON_COLUMNS,
    "ranking": RANKING_COLUMNS,
    "tests": TEST_COLUMNS,
    "published": RESULT_COLUMNS,
}
COLOURS = {"P": VIOLET, "PH": BLUE, "PHT": ORANGE, "T": TEAL, "PHM": RED}
"""Colour of models by their inputs; other inputs are black, baselines grey."""
ACROSS = 5
"""Panels in a row."""
LONGEST_TITLE = 24
"""Letters of a title that fit over a panel."""
GRID = 200
"""Points at which densities are drawn."""
SIGNIFICANT = 0.05
"""Adjusted p below which a difference is marked."""
NOTHING = "there is nothing to show"


def draw_xpresso_figures(comparison: str | Path, evaluations: Sequence[str | Path], out: str | Path) -> None:
    """Draw the figures of the room as PNG and SVG, and write the tables behind them (TSV); the same in, the same bytes.

    Parameters
    ----------
    comparison
        Folder of :func:`cisweave.xpresso.compare.compare_models`; its tables are copied, so that ``out`` is whole.
    evaluations
        Evaluation folders of the models that are drawn one by one; baselines among them are left out there.
    out
        Folder for :data:`TABLES` (``.tsv``) and :data:`FIGURES` (``.png`` and ``.svg``).
    """
    comparison, out = Path(comparison), Path(out)
    tables = {name: read_table(comparison / f"{name}.tsv", COLUMNS[name], TEXTS[name]) for name in COMPARISON_TABLES}
    models = [str(name) for name in best_rows(tables["comparison"]).query("not baseline")["model"]]
    folders = [Path(folder) for folder in evaluations]
    chosen = chosen_predictions(stacked([read_table(folder / PREDICTIONS, COLLECTED_COLUMNS) for folder in folders]))
    chosen = {name: chosen[name] for name in models if name in chosen}
    tables["curves"] = curve_table([read_table(folder / HISTORY, HISTORY_COLUMNS, NAMES) for folder in folders], chosen)
    tables["densities"] = density_table(chosen)
    pictures = {
        "comparison": comparison_figure(tables["comparison"], tables["published"]),
        "differences": differences_figure(tables["tests"], tables["ranking"]),
        "curves": curves_figure(tables["curves"]),
        "scatter": scatter_figure(chosen, tables["comparison"]),
        "densities": densities_figure(tables["densities"]),
    }
    for name in FIGURES:
        pictures[name].write(out / name)
    for name in TABLES:
        write_tsv(tables[name], out / f"{name}.tsv", float_format="%.6g")
    inputs = [
        *(comparison / f"{name}.tsv" for name in COMPARISON_TABLES),
        *(folder / PREDICTIONS for folder in folders),
    ]
    write_receipt(out / "comparison.tsv", inputs=inputs)
    logger.info("%d figures and %d tables in %s", len(FIGURES), len(TABLES), out)


def best_rows(comparison: pd.DataFrame) -> pd.DataFrame:
    """Rows of the best epochs with column ``baseline``, best model first."""
    rows = comparison[comparison["epoch"] == "best"]
    rows = rows.assign(baseline=rows["type"].str.startswith(BASELINE), inputs=rows["inputs"].fillna(""))
    return rows.sort_values("r2", ascending=False, kind="stable", ignore_index=True)


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows of several tables; those without rows have no say in the types of columns."""
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.concat(frames, ignore_index=True)


def chosen_predictions(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Test genes of every model as the runs predict them that the evaluation chose, one per fold."""
    test = table[(table["split"] == "test") & table["chosen"]]
    return {str(name): rows for name, rows in test.groupby("model", sort=False)}


@contextmanager
def grid(number: int, width: float, height: float, **options: Any) -> Iterator[tuple[Figure, list[Axes]]]:
    """At least one and at most ``number`` axes of this size in inches, :data:`ACROSS` in a row."""
    number = max(number, 1)
    across = min(number, ACROSS)
    down = -(-number // across)
    with panels(down, across, width * across, height * down, **options) as (figure, axes):
        for ax in axes[number:]:
            ax.set_axis_off()
        yield figure, axes[:number]


def label_panels(axes: Sequence[Axes], names: Sequence[str], x: str, y: str = "") -> None:
    """Titles of panels in a grid, no mathematics in them; labels below the lowest of each column, left of each row."""
    for number, (ax, name) in enumerate(zip(axes, names, strict=True)):
        title = name.replace("/", "/\n", 1) if len(name) > LONGEST_TITLE else name
        ax.set_title(title, fontsize=7.5, parse_math=False)
        if number + ACROSS >= len(axes):
            ax.set_xlabel(x)
            ax.tick_params(labelbottom=True)
        if number % ACROSS == 0:
            ax.set_ylabel(y)


def nothing(ax: Axes, figure: Figure) -> Picture:
    """A figure that says that there is nothing to draw."""
    ax.text(0.5, 0.5, NOTHING, ha="center", va="center", transform=ax.transAxes, color=SOFT)
    ax.set_axis_off()
    return picture(figure)


# --- models side by side ----------------------------------------------------------------------------------------------
def comparison_figure(comparison: pd.DataFrame, published: pd.DataFrame) -> Picture:
    """r² of models and baselines, best first: intervals over genes and over runs, last epoch, published figures."""
    rows = best_rows(comparison)
    last = comparison[comparison["epoch"] == "last"].set_index("model")["r2"]
    with panels(1, 1, 7.6, 1.3 + 0.21 * max(len(rows), 3)) as (figure, (ax,)):
        if not len(rows):
            return nothing(ax, figure)
        places = np.arange(len(rows))[::-1]
        colours = [colour_of(row) for row in rows.to_dict("records")]
        ax.hlines(places, rows["r2_low"], rows["r2_high"], color=colours, alpha=0.35, linewidth=5)
        ax.hlines(places, rows["r2_run_low"], rows["r2_run_high"], color=INK, linewidth=1.1)
        ax.scatter(rows["r2"], places, color=colours, s=22, zorder=3)
        models = (~rows["baseline"]).to_numpy()
        ax.scatter(
            last.reindex(rows["model"]).to_numpy()[models],
            places[models],
            facecolor="none",
            edgecolor=SOFT,
            s=30,
            linewidth=0.9,
            zorder=2,
        )
        draw_published(ax, published, dict(zip(rows["model"], places + 0.27, strict=True)))
        ax.set_yticks(
            places, [f"{row['model']}  {row['inputs']}".strip() for row in rows.to_dict("records")], parse_math=False
        )
        ends = [0.0, *lowest(rows), *published[["r2", "low"]].min().dropna()]
        ax.set(xlabel="r² on the test genes", ylim=(-0.8, len(rows) - 0.2), xlim=(min(ends) - 0.02, None))
        ax.grid(False, axis="y")
        comparison_legend(figure, rows, published)
        return picture(figure)


def draw_published(ax: Axes, published: pd.DataFrame, places: Mapping[str, float]) -> None:
    """Published r² of each model at its place: the first filled, with its interval; others hollow."""
    heights = published["model"].map(places)
    first = ~published["model"].duplicated()
    ax.hlines(heights[first], published.loc[first, "low"], published.loc[first, "high"], color=SOFT, linewidth=1.1)
    ax.scatter(published.loc[first, "r2"], heights[first], color=SOFT, marker="D", s=11, zorder=3)
    ax.scatter(
        *(published.loc[~first, "r2"], heights[~first]),
        facecolor="none",
        edgecolor=SOFT,
        marker="D",
        s=11,
        linewidth=0.7,
        zorder=3,
    )


def colour_of(row: dict[Any, Any]) -> str:
    """Colour of a model."""
    return SOFT if row["baseline"] else COLOURS.get(str(row["inputs"]), INK)


def lowest(rows: pd.DataFrame) -> list[float]:
    """Lower ends of what is drawn."""
    ends = [rows[column].min() for column in ("r2", "r2_low", "r2_run_low")]
    return [float(end) for end in ends if np.isfinite(end)]


def comparison_legend(figure: Figure, rows: pd.DataFrame, published: pd.DataFrame) -> None:
    """What the marks mean, as far as they occur."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=INK, alpha=0.35, linewidth=5, label="interval over genes"),
        Line2D([], [], color=INK, linewidth=1.1, label="interval over runs"),
        Line2D([], [], color=SOFT, marker="o", markerfacecolor="none", linestyle="", markersize=5, label="last epoch"),
    ]
    present = set(rows.loc[~rows["baseline"], "inputs"])
    marks += [
        Line2D([], [], color=colour, marker="o", linestyle="", markersize=5, label=f"reads {inputs}")
        for inputs, colour in COLOURS.items()
        if inputs in present
    ]
    if rows["baseline"].any():
        marks.append(Line2D([], [], color=SOFT, marker="o", linestyle="", markersize=5, label="baseline"))
    if len(published):
        marks.append(Line2D([], [], color=SOFT, marker="D", linestyle="", markersize=3.5, label="published"))
    figure.legend(handles=marks, loc="outside upper center", ncols=min(len(marks), 5), columnspacing=1.2)


def differences_figure(tests: pd.DataFrame, ranking: pd.DataFrame) -> Picture:
    """Difference of r² of every pair of models (row less column); a dot where it holds over genes."""
    part = tests[tests["epoch"] == "best"]
    order = [str(name) for name in ranking[ranking["epoch"] == "best"]["model"]]
    size = 1.8 + 0.24 * max(len(order), 3)
    with panels(1, 1, size + 1.2, size) as (figure, (ax,)):
        if not len(part):
            return nothing(ax, figure)
        values, marked = difference_matrices(part, order)
        reach = max(float(np.abs(np.nan_to_num(values)).max()), 1e-9)
        image = ax.imshow(values, cmap="RdBu", vmin=-reach, vmax=reach)
        down, across = np.nonzero(marked)
        ax.scatter(across, down, s=5, color=INK)
        ax.set_xticks(np.arange(len(order)), order, rotation=90, parse_math=False)
        ax.set_yticks(np.arange(len(order)), order, parse_math=False)
        ax.grid(False)
        figure.colorbar(image, ax=ax, shrink=0.6, label="difference of r² (row − column)")
        return picture(figure)


def difference_matrices(tests: pd.DataFrame, order: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Differences (models, models), NaN where there is no test, and which hold over genes after adjustment."""
    place = {name: number for number, name in enumerate(order)}
    values = np.full((len(order), len(order)), np.nan)
    marked = np.zeros(values.shape, dtype=np.bool_)
    for row in tests.to_dict("records"):
        first, second = place[row["first"]], place[row["second"]]
        values[first, second], values[second, first] = row["difference"], -row["difference"]
        marked[first, second] = marked[second, first] = row["p_genes_holm"] < SIGNIFICANT
    return values, marked


# --- training ---------------------------------------------------------------------------------------------------------
def curve_table(histories: Sequence[pd.DataFrame], chosen: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Losses per epoch of all runs, models in the order of ``chosen``; which run is the chosen one of its fold."""
    table = stacked([*histories, pd.DataFrame(columns=HISTORY_COLUMNS)])
    runs = {
        (name, fold, seed)
        for name, rows in chosen.items()
        for fold, seed in set(zip(rows["fold"], rows["seed"], strict=True))
    }
    place = {name: number for number, name in enumerate(chosen)}
    table = table[table["model"].isin(place)]
    table = table.assign(chosen=[key in runs for key in zip(table["model"], table["fold"], table["seed"], strict=True)])
    ordered = table.assign(place=table["model"].map(place)).sort_values("place", kind="stable", ignore_index=True)
    return ordered[CURVE_COLUMNS]


def curves_figure(curves: pd.DataFrame) -> Picture:
    """Loss per epoch of training genes (dashes) and validation genes (lines), a panel per model, a pair per run."""
    names = curves["model"].drop_duplicates().tolist()
    with grid(len(names), 2.3, 1.9) as (figure, axes):
        if not names:
            return nothing(axes[0], figure)
        for ax, name in zip(axes, names, strict=True):
            rows = curves[curves["model"] == name]
            for (_, _, picked), run in rows.groupby(["fold", "seed", "chosen"]):
                look: dict[str, Any] = {"alpha": 1.0 if picked else 0.35, "linewidth": 1.1 if picked else 0.7}
                ax.plot(run["epoch"], run["train_loss"], "--", color=SOFT, **look)
                ax.plot(run["epoch"], run["valid_loss"], "-", color=BLUE, **look)
                if picked and run["valid_loss"].notna().any():
                    best = run.loc[run["valid_loss"].idxmin()]
                    ax.plot(best["epoch"], best["valid_loss"], "o", color=INK, markersize=3)
        label_panels(axes, names, "epoch", "loss")
        return picture(figure)


# --- predictions ------------------------------------------------------------------------------------------------------
def scatter_figure(chosen: dict[str, pd.DataFrame], comparison: pd.DataFrame) -> Picture:
    """Predicted against measured expression of the test genes, a panel per model, darker the larger the error."""
    figures = best_rows(comparison).set_index("model")["r2_chosen"]
    with grid(len(chosen), 2.1, 2.1, sharex=True, sharey=True) as (figure, axes):
        if not chosen:
            return nothing(axes[0], figure)
        every = np.concatenate([rows[["measured", "best"]].to_numpy().ravel() for rows in chosen.values()])
        low, high = float(every.min()), float(every.max())
        for ax, (name, rows) in zip(axes, chosen.items(), strict=True):
            error = (rows["best"] - rows["measured"]).abs()
            ax.scatter(rows["best"], rows["measured"], c=error, cmap="viridis_r", s=3, linewidth=0, rasterized=True)
            ax.plot([low, high], [low, high], color=SOFT, linewidth=0.8)
            told = f"r² = {figures[name]:.3f}\nn = {len(rows):,}"
            ax.text(0.04, 0.96, told, transform=ax.transAxes, va="top", fontsize=7.5)
        label_panels(axes, list(chosen), "predicted", "measured")
        return picture(figure)


def density_table(chosen: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Densities of measured and predicted expression of the test genes at :data:`GRID` values, per model."""
    frames = []
    for name, rows in chosen.items():
        both = rows[["measured", "best"]].to_numpy(dtype=np.float64)
        value = np.linspace(both.min(), both.max(), GRID)
        columns = {"measured": density(both[:, 0], value), "predicted": density(both[:, 1], value)}
        frames.append(pd.DataFrame({"model": name, "value": value, **columns}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=DENSITY_COLUMNS)


def density(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernel density at some places; NaN for values that do not vary."""
    from scipy.stats import gaussian_kde

    spread = float(np.ptp(values)) if len(values) else 0.0
    if spread <= 1e-9 * max(1.0, float(np.abs(values).max(initial=0.0))):
        return np.full(len(places), np.nan)
    found: NDArray[np.float64] = gaussian_kde(values)(places)
    return found


def densities_figure(densities: pd.DataFrame) -> Picture:
    """Densities of measured (filled) and predicted (line) expression, a panel per model."""
    names = densities["model"].drop_duplicates().tolist()
    with grid(len(names), 2.1, 1.6, sharex=True) as (figure, axes):
        if not names:
            return nothing(axes[0], figure)
        for ax, name in zip(axes, names, strict=True):
            rows = densities[densities["model"] == name]
            ax.fill_between(rows["value"], rows["measured"], color=SOFT, alpha=0.35, linewidth=0)
            ax.plot(rows["value"], rows["predicted"], color=BLUE, linewidth=1.1)
            ax.set_yticks([])
        label_panels(axes, names, "expression")
        return picture(figure)
