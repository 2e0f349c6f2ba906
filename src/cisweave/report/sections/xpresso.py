"""The xpresso room: how well models of the zoo predict expression, side by side and beside their baselines."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cisweave.core.files import existing
from cisweave.report.blocks import Block, Column, Figure, Heading, Notice, Table, Text, Tile, Tiles
from cisweave.report.data import ReportData
from cisweave.xpresso.figures import SIGNIFICANT, best_rows

EVERY_INPUT = "PHTM"


def xpresso_section(data: ReportData) -> list[Block]:
    """Models and baselines by r², their differences, and every model's predictions and losses."""
    if not data.xpresso:
        return []
    rows = best_rows(data.xpresso["comparison"])
    blocks: list[Block] = [Tiles(tiles(data, rows))]
    beaten = beaten_models(rows)
    if beaten:
        blocks.append(Notice(beaten, "neutral"))
    blocks += [Text(READING), picture(data, "comparison"), comparison_block(data)]
    if len(data.xpresso["tests"]):
        blocks += [Heading("Differences"), Text(TESTS), picture(data, "differences")]
    if not rows["baseline"].all():
        blocks += [Heading("Model by model"), picture(data, "scatter"), picture(data, "densities")]
    if len(data.xpresso["curves"]):
        blocks.append(picture(data, "curves"))
    return blocks


READING = (
    "All models are measured on the same test genes. r² is the square of Pearson's correlation, the figure that is "
    "published for these models; it is blind to scale and offset, so R² (1 − SSE/SST) stands beside it. Half-life "
    "features (H) come from the annotation; factors (T) are measured occupancy, RNA polymerase among them, and so are "
    "close to a read-out of transcription: compare models of the same inputs."
)
TESTS = (
    "A dot marks a pair that differs on other genes, too: paired resamples of the test genes, Holm-adjusted p below "
    f"{SIGNIFICANT}. tests.tsv has each pair with its interval, and Student's t over seeds or folds."
)


# --- tiles ------------------------------------------------------------------------------------------------------------
def tiles(data: ReportData, rows: pd.DataFrame) -> list[Tile]:
    """The model that the validation genes choose, the best baseline of its inputs, and what is between them."""
    models, baselines = rows[~rows["baseline"]], rows[rows["baseline"]]
    best = chosen_model(models) if len(models) else None
    line = best_rival(baselines, best["inputs"] if best else EVERY_INPUT)
    found = []
    if best:
        found.append(Tile("r², chosen model", f"{best['r2']:.3f}", f"{best['model']}, {told(best)}"))
    if line:
        found.append(Tile("r², best baseline", f"{line['r2']:.3f}", f"{line['model']}, {told(line)}"))
    if best and line:
        found += gain_tiles(data.xpresso["tests"], best, line)
    if best:
        restarts = int(models["restarts"].sum())
        note = f"of {models['type'].nunique()} types, {runs_text(models)}"
        found.append(Tile("Models", str(len(models)), note + (f"; {restarts} collapsed starts" if restarts else "")))
    return found


def chosen_model(models: pd.DataFrame) -> dict[Any, Any]:
    """The model with the best r² on the validation genes; on the test genes where there are none."""
    figure = "r2_valid" if models["r2_valid"].notna().any() else "r2"
    return models.sort_values(figure, ascending=False, kind="stable").to_dict("records")[0]


def best_rival(baselines: pd.DataFrame, inputs: str) -> dict[Any, Any] | None:
    """The best baseline that reads no more than these inputs."""
    rivals = [row for row in baselines.to_dict("records") if set(row["inputs"]) <= set(inputs)]
    return max(rivals, key=lambda row: float(row["r2"]), default=None)


def told(row: Any) -> str:
    """Interval and number of genes of a row in words."""
    interval = interval_text(row, "low", "high")
    return (f"{interval} over " if interval else "") + f"{int(row['genes']):,} test genes"


def runs_text(models: pd.DataFrame) -> str:
    """Seeds and folds in words."""
    seeds, folds = int(models["seeds"].max()), int(models["folds"].max())
    text = f"{seeds} seed{'s' if seeds > 1 else ''}"
    return f"{text} in {folds} folds" if folds > 1 else text


def gain_tiles(tests: pd.DataFrame, best: dict[Any, Any], line: dict[Any, Any]) -> list[Tile]:
    """How far the chosen model is above the best baseline."""
    part = tests[tests["epoch"] == "best"]
    for first, second, sign in ((best["model"], line["model"], 1), (line["model"], best["model"], -1)):
        pair = part[(part["first"] == first) & (part["second"] == second)]
        for row in pair.to_dict("records"):
            low, high = sorted((sign * row["low"], sign * row["high"]))
            note = f"{low:+.3f} to {high:+.3f} over genes, paired".replace("-", "\N{MINUS SIGN}")
            value = f"{sign * row['difference']:+.3f}".replace("-", "\N{MINUS SIGN}")
            known = pd.notna(row["low"])
            return [
                Tile("Gain over the baseline", value, note if known else "r² of the chosen model less the baseline's")
            ]
    return []


def beaten_models(rows: pd.DataFrame) -> list[str]:
    """A line for each model that does not beat the best baseline that reads no more than it does."""
    lines = []
    for model in rows[~rows["baseline"]].to_dict("records"):
        better = best_rival(rows[rows["baseline"]], model["inputs"])
        if better is not None and better["r2"] >= model["r2"]:
            lines.append(
                f"{model['model']} (r² {model['r2']:.3f}) does not beat the linear baseline {better['model']} "
                f"({better['r2']:.3f}), which reads no more than it does."
            )
    return lines


# --- the table --------------------------------------------------------------------------------------------------------
def interval_text(row: Any, low: str, high: str) -> str:
    """An interval of r², empty where there is none."""
    bounds = row[f"r2_{low}"], row[f"r2_{high}"]
    return "" if pd.isna(bounds[0]) else "{:.3f} to {:.3f}".format(*bounds).replace("-", "\N{MINUS SIGN}")


def comparison_block(data: ReportData) -> Table:
    """All models and baselines, best first."""
    comparison, published = data.xpresso["comparison"], data.xpresso["published"]
    rows = best_rows(comparison)
    last = comparison[comparison["epoch"] == "last"].set_index("model")["r2"]
    records = rows.to_dict("records")
    table = rows.assign(
        over_genes=[interval_text(row, "low", "high") for row in records],
        over_runs=[interval_text(row, "run_low", "run_high") for row in records],
        last=last.reindex(rows["model"]).to_numpy(),
        rank=rank_texts(data.xpresso["ranking"], rows["model"]),
        runs=[int(row["seeds"]) * int(row["folds"]) for row in records],
        published=[published_text(published[published["model"] == row["model"]]) for row in records],
    )
    columns = [*COLUMNS, PUBLISHED] if len(published) else COLUMNS
    return Table.of(table, columns, CAPTION, search=True)


COLUMNS = [
    Column("model", "model"),
    Column("type", "type", "code"),
    Column("inputs", "inputs"),
    Column("runs", "runs", ".0f"),
    Column("r2", "r²", ".3f", bar=1.0),
    Column("over_genes", "over genes"),
    Column("over_runs", "over runs"),
    Column("rank", "rank, over genes"),
    Column("R2", "R²", ".3f"),
    Column("spearman", "Spearman ρ", ".3f"),
    Column("rmse", "RMSE", ".3f"),
    Column("last", "r², last epoch", ".3f"),
    Column("r2_ensemble", "r², mean of seeds", ".3f"),
    Column("parameters", "weights", ",.0f"),
]
PUBLISHED = Column("published", "published r²")
CAPTION = (
    "Test genes, weights of the best validation epoch, mean over runs (seeds and folds). Inputs: P promoter, H "
    "half-life features, T factors, M microRNAs. Intervals of r²: over resampled genes, and Student's t over runs. "
    "RMSE in the unit of the labels (log10 expression). Types that begin with baseline/ are linear models."
)


def rank_texts(ranking: pd.DataFrame, models: pd.Series) -> list[str]:
    """Rank and its interval over genes, in words."""
    rows = ranking[ranking["epoch"] == "best"].set_index("model")
    texts = []
    for name in models:
        rank, low, high = (rows.loc[name, column] for column in ("rank", "rank_low", "rank_high"))
        texts.append(f"{rank:.0f}" if pd.isna(low) else f"{rank:.0f} ({low:.0f} to {high:.0f})")
    return texts


def published_text(results: pd.DataFrame) -> str:
    """All that was published of a type: figure, interval, inputs, and by whom."""
    return " · ".join(result_text(row) for row in results.to_dict("records"))


def result_text(row: Any) -> str:
    """One published figure; the source without its address."""
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['r2']:.3f}{interval}, {row['data']} ({row['source'].split(',')[0]})"


CAPTIONS = {
    "comparison": (
        "r² on the test genes, best first: mean over runs (dot, coloured by inputs), its interval over genes (bar) and "
        "over runs (line), the last epoch (circle), baselines (grey) and, where shown, published figures (diamonds, "
        "the first that the table names filled).",
        "r² of all models and baselines with intervals",
    ),
    "differences": (
        "Difference of r² of every pair, row less column, models by rank. Pairs of baselines are not tested (white).",
        "Differences of r² between models as a coloured square, marked where significant",
    ),
    "scatter": (
        "Predicted and measured expression of the test genes; the colour is the error, the line is perfect prediction. "
        "Drawn is the seed that the validation genes choose.",
        "Predicted against measured expression, a panel per model",
    ),
    "densities": (
        "Density of measured (grey) and predicted (line) expression of the test genes; a line that is narrower keeps "
        "to the mean.",
        "Distributions of predicted and measured expression, a panel per model",
    ),
    "curves": (
        "Loss per epoch, training (dashes) and validation (line), of all runs; dark is the run that the validation "
        "genes choose, with its best epoch as a dot.",
        "Training curves, a panel per model",
    ),
}
"""Caption and description in words, per figure."""


def picture(data: ReportData, name: str) -> Figure:
    """A figure of the room as its program drew it."""
    assert data.files.xpresso is not None
    caption, alt = CAPTIONS[name]
    return Figure(existing(data.files.xpresso / f"{name}.png").read_bytes(), caption, alt)
