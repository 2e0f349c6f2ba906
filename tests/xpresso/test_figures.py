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
    for name in ("comparison", "ranking", "tests"):
        assert read_table(tmp_path / f"{name}.tsv").equals(read_table(compared / f"comparison/{name}.tsv"))


def test_curves_are_those_of_the_models_in_their_order(compared: Path, tmp_path: Path) -> None:
    draw_xpresso_figures(compared / "comparison", evaluations(compared), tmp_path)
    curves = read_table(tmp_path / "curves.tsv")
    assert curves["model"].drop_duplicates().tolist() == ["good", "fair", "dead"]
    assert curves.groupby(["model", "seed"]).size().tolist() == [6] * 6
    assert curves.groupby("model")["chosen"].mean().tolist() == [0.5] * 3  # one of two seeds each


def test_models_are_drawn_by_the_seed_of_the_validation_genes(compared: Path) -> None:
    table = pd.read_parquet(compared / "evaluation/good/predictions.parquet")
    valid = table[table["split"] == "valid"]
    errors = ((valid["best"] - valid["measured"]) ** 2).groupby(valid["seed"]).mean()
    chosen = chosen_predictions(table)["good"]
    assert chosen["seed"].unique().tolist() == [errors.idxmin()]
    assert len(chosen) == GENES["test"]
    worse = table[table["seed"] == errors.idxmax()].assign(fold=2)
    assert len(chosen_predictions(pd.concat([table, worse]))["good"]) == 2 * GENES["test"]  # one seed per fold


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


def test_the_script_draws(compared: Path, tmp_path: Path) -> None:
    app = Typer()
    app.command()(main)
    options = [f"--evaluation={path}" for path in evaluations(compared)]
    result = CliRunner().invoke(app, [f"--comparison={compared / 'comparison'}", f"--out={tmp_path / 'out'}", *options])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out/scatter.png").read_bytes().startswith(PNG)
