"""The figures of the xpresso room and the tables behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from scripts.xpresso_figures import main
from typer import Typer
from typer.testing import CliRunner

from cisweave.config import PromoterEvaluationSettings
from cisweave.core.figures import panels
from cisweave.report.data import ReportData, ReportFiles
from cisweave.tables.frames import read_table
from cisweave.xpresso.compare import compare_models
from cisweave.xpresso.evaluate import evaluate_model
from cisweave.xpresso.figures import (
    FIGURES,
    TABLES,
    best_rows,
    chosen_predictions,
    density,
    difference_matrices,
    draw_published,
    draw_xpresso_figures,
)
from tests.xpresso.evaluation_runs import GENES, write_baselines, write_run

SETTINGS = PromoterEvaluationSettings(bootstrap=60)
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with two seeds, one that collapsed, and baselines, evaluated and compared."""
    folder = tmp_path_factory.mktemp("figures")
    for name, kind, noise in (
        ("fair", "cnn/Xpresso", 0.5),
        ("good", "lstm/classic", 0.3),
        ("dead", "cnn/Xpresso_ort", -1),
    ):
        runs = [write_run(folder / "runs" / name / str(seed), noise, seed, kind=kind) for seed in (0, 1)]
        evaluate_model(runs, folder / "evaluation" / name, SETTINGS, name)
    runs = [write_baselines(folder / "runs/baselines", {"halflife": 0.8, "mean": -1})]
    evaluate_model(runs, folder / "evaluation/baselines", SETTINGS)
    evaluations = sorted((folder / "evaluation").iterdir())
    compare_models(evaluations, folder / "comparison", SETTINGS, published=True)
    return folder


def evaluations(folder: Path) -> list[Path]:
    return sorted((folder / "evaluation").iterdir())


def test_all_figures_and_tables_are_written_the_same_twice(compared: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        draw_xpresso_figures(compared / "comparison", evaluations(compared), tmp_path / out)
    names = [*(f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")), *(f"{name}.tsv" for name in TABLES)]
    for name in names:
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes(), name
        assert not name.endswith("png") or content.startswith(PNG)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {*names, "comparison.tsv.receipt.json"}


def test_tables_of_the_comparison_are_copied_whole(compared: Path, tmp_path: Path) -> None:
    draw_xpresso_figures(compared / "comparison", evaluations(compared), tmp_path)
    for name in ("comparison", "ranking", "tests", "published"):
        assert read_table(tmp_path / f"{name}.tsv").equals(read_table(compared / f"comparison/{name}.tsv"))


def test_curves_are_those_of_the_models_in_their_order(compared: Path, tmp_path: Path) -> None:
    draw_xpresso_figures(compared / "comparison", evaluations(compared), tmp_path)
    curves = read_table(tmp_path / "curves.tsv")
    assert curves["model"].drop_duplicates().tolist() == ["good", "fair", "dead"]
    assert curves.groupby(["model", "seed"]).size().tolist() == [6] * 6
    assert curves.groupby("model")["chosen"].mean().tolist() == [0.5] * 3  # one of two seeds each


def test_the_run_that_is_drawn_is_the_one_whose_figure_stands_beside_it(tmp_path: Path) -> None:
    """Also where validation genes cannot choose: of runs that are equal on them, both take the first."""
    runs = [write_run(tmp_path / str(seed), noise, seed) for seed, noise in ((5, 0.9), (2, 0.3))]
    for run in runs:
        table = pd.read_parquet(run / "predictions.parquet")
        table.loc[table["split"] == "valid", "best"] = table["measured"]
        table.to_parquet(run / "predictions.parquet", index=False)
    found = evaluate_model(runs, tmp_path / "evaluation", SETTINGS, "twins")
    drawn = chosen_predictions(pd.read_parquet(tmp_path / "evaluation/predictions.parquet"))["twins"]
    told = found.scores.query("split == 'test' and epoch == 'best' and scope == 'chosen' and metric == 'r2'")
    assert drawn["seed"].unique().tolist() == [5]
    assert np.corrcoef(drawn["best"], drawn["measured"])[0, 1] ** 2 == pytest.approx(told["value"].iloc[0])


def test_a_run_of_each_fold_is_drawn(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{fold}{seed}", 0.3 + seed, seed, fold) for fold in (1, 2) for seed in (0, 1)]
    drawn = chosen_predictions(evaluate_model(runs, tmp_path / "evaluation", SETTINGS, "model").predictions)["model"]
    assert drawn.groupby("fold")["seed"].unique().map(list).to_dict() == {1: [0], 2: [0]}
    assert len(drawn) == 2 * GENES["test"]


def test_every_published_figure_is_drawn() -> None:
    rows = [("a", 0.5, 0.4, 0.6), ("a", 0.7, np.nan, np.nan), ("b", -0.1, np.nan, np.nan)]
    with panels(1, 1, 3, 3) as (_, (ax,)):
        draw_published(ax, pd.DataFrame(rows, columns=["model", "r2", "low", "high"]), {"a": 1.27, "b": 0.27})
        _, filled, hollow = ax.collections
        assert filled.get_offsets().tolist() == [[0.5, 1.27], [-0.1, 0.27]]
        assert hollow.get_offsets().tolist() == [[0.7, 1.27]]
        assert len(hollow.get_facecolor()) == 0


def test_densities_hold_all_genes(compared: Path, tmp_path: Path) -> None:
    draw_xpresso_figures(compared / "comparison", evaluations(compared), tmp_path)
    densities = read_table(tmp_path / "densities.tsv").set_index("model")
    good = densities.loc["good"]
    step = good["value"].iloc[1] - good["value"].iloc[0]
    assert 0.85 < good["measured"].sum() * step <= 1.0
    assert densities.loc["dead", "predicted"].isna().all()  # one value has no density


def test_density_is_that_of_the_kernel() -> None:
    values, places = np.random.default_rng(0).normal(size=50), np.linspace(-2, 2, 5)
    width = values.std(ddof=1) * 50 ** (-1 / 5)  # Scott's rule
    expected = norm.pdf(places[:, None], values, width).mean(axis=1)
    assert np.allclose(density(values, places), expected)
    assert np.isnan(density(np.full(50, 0.1) + 1e-17, places)).all()


def test_differences_are_antisymmetric_and_marked_where_they_hold() -> None:
    rows = {"first": ["a", "b"], "second": ["b", "c"], "difference": [0.2, -0.1], "p_genes_holm": [0.01, np.nan]}
    values, marked = difference_matrices(pd.DataFrame(rows), ["b", "a", "c"])
    assert values[1, 0] == 0.2
    assert values[0, 1] == -0.2
    assert values[0, 2] == -0.1
    assert np.isnan(values[[0, 1], [0, 2]]).all()
    assert np.argwhere(marked).tolist() == [[0, 1], [1, 0]]


def test_baselines_are_told_from_models(compared: Path) -> None:
    rows = best_rows(read_table(compared / "comparison/comparison.tsv")).set_index("model")
    assert rows.index[rows["baseline"]].tolist() == ["halflife", "mean"]
    assert rows.loc["mean", "inputs"] == ""


def test_baselines_alone_are_drawn(compared: Path, tmp_path: Path) -> None:
    only = [compared / "evaluation/baselines"]
    compare_models(only, tmp_path / "comparison", PromoterEvaluationSettings(bootstrap=0))
    draw_xpresso_figures(tmp_path / "comparison", only, tmp_path / "figures")
    assert read_table(tmp_path / "figures/curves.tsv").empty
    assert read_table(tmp_path / "figures/tests.tsv").empty


def test_any_name_is_drawn_as_it_is(tmp_path: Path) -> None:
    folders = []
    for name, noise in (("123", 0.3), (r"$\frac{a$", 0.6)):
        folders.append(tmp_path / "evaluation" / str(noise))
        evaluate_model([write_run(tmp_path / str(noise), noise)], folders[-1], SETTINGS, name)
    compare_models(folders, tmp_path / "comparison", SETTINGS)
    draw_xpresso_figures(tmp_path / "comparison", folders, tmp_path / "figures")
    data = ReportData(ReportFiles(xpresso=tmp_path / "figures"))
    assert {
        name: table["model"].iloc[0] for name, table in data.xpresso.items() if "model" in table and len(table)
    } == (dict.fromkeys(("comparison", "ranking", "curves", "densities"), "123"))


def test_the_script_draws(compared: Path, tmp_path: Path) -> None:
    app = Typer()
    app.command()(main)
    options = [f"--evaluation={path}" for path in evaluations(compared)]
    result = CliRunner().invoke(app, [f"--comparison={compared / 'comparison'}", f"--out={tmp_path / 'out'}", *options])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out/scatter.png").read_bytes().startswith(PNG)
