"""Evaluation of a model's runs: what is measured on which genes, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import PromoterBaselineSettings, PromoterEvaluationSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json, write_json
from cisweave.tables.frames import read_table
from cisweave.xpresso.evaluate import EVALUATION_COLUMNS, evaluate_model
from cisweave.xpresso.metrics import METRICS, score, t_interval
from tests.xpresso.evaluation_runs import GENES, measured_genes, write_baselines, write_run

SETTINGS = PromoterEvaluationSettings(bootstrap=200)


def pick(table: pd.DataFrame, **wanted: object) -> pd.Series:
    """The one row with these values."""
    rows = table
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.fixture
def seeds(tmp_path: Path) -> list[Path]:
    """Three seeds of one model, of which seed 2 predicts best."""
    return [write_run(tmp_path / f"seed{seed}", noise, seed) for seed, noise in ((0, 0.6), (1, 0.9), (2, 0.3))]


def test_every_run_is_measured_on_its_test_genes(seeds: list[Path], tmp_path: Path) -> None:
    evaluate_model(seeds, tmp_path / "out", SETTINGS, "a model")
    table = read_table(tmp_path / "out/evaluation.tsv", EVALUATION_COLUMNS)
    for seed, folder in enumerate(seeds):
        genes = pd.read_parquet(folder / "predictions.parquet").query("split == 'test'")
        for epoch in ("best", "last"):
            expected = score(genes[epoch].to_numpy(), genes["measured"].to_numpy())
            for metric in METRICS:
                row = pick(table, split="test", epoch=epoch, scope="run", seed=seed, metric=metric)
                assert row["value"] == pytest.approx(expected[metric], rel=1e-5)
                assert row["low"] < row["value"] < row["high"]
                assert row["genes"] == GENES["test"]
    assert set(table["model"]) == {"a model"}
    assert set(table["type"]) == {"cnn/Xpresso"}
    assert set(table["parameters"]) == {112_485}
    assert set(table["restarts"]) == {1}  # of all seeds together


def test_means_and_intervals_over_seeds(seeds: list[Path], tmp_path: Path) -> None:
    scores = evaluate_model(seeds, tmp_path / "out", SETTINGS, "a").scores
    test = scores[(scores["split"] == "test") & (scores["epoch"] == "best")]
    runs = test.query("scope == 'run' and metric == 'r2'")["value"].to_numpy()
    row = pick(test, scope="mean", metric="r2")
    assert row["value"] == pytest.approx(runs.mean())
    assert (row["run_low"], row["run_high"]) == pytest.approx(t_interval(runs, 0.95))
    assert row["low"] < row["value"] < row["high"]
    assert row["high"] - row["low"] < row["run_high"] - row["run_low"]  # the seeds differ much, on purpose
    assert row["runs"] == 3


def test_the_ensemble_is_the_mean_prediction(seeds: list[Path], tmp_path: Path) -> None:
    scores = evaluate_model(seeds, tmp_path / "out", SETTINGS, "a").scores
    tables = [pd.read_parquet(folder / "predictions.parquet").query("split == 'test'") for folder in seeds]
    together = np.mean([table["last"].to_numpy() for table in tables], axis=0)
    expected = score(together, tables[0]["measured"].to_numpy())["rmse"]
    row = pick(scores, split="test", epoch="last", scope="ensemble", metric="rmse")
    assert row["value"] == pytest.approx(expected)


def test_the_chosen_seed_is_that_of_the_validation_genes(seeds: list[Path], tmp_path: Path) -> None:
    """The seed whose validation genes are predicted best is not that of the test genes here."""
    table = pd.read_parquet(seeds[2] / "predictions.parquet")
    table.loc[table["split"] == "valid", "best"] += 5
    table.to_parquet(seeds[2] / "predictions.parquet", index=False)
    scores = evaluate_model(seeds, tmp_path / "out", SETTINGS, "a").scores
    best = scores[(scores["split"] == "test") & (scores["epoch"] == "best") & (scores["metric"] == "r2")]
    runs = best[best["scope"] == "run"].set_index("seed")["value"]
    assert runs.idxmax() == 2
    assert pick(best, scope="chosen")["value"] == runs[0]


def test_validation_genes_are_measured_apart(seeds: list[Path], tmp_path: Path) -> None:
    scores = evaluate_model(seeds[:1], tmp_path / "out", SETTINGS, "a").scores
    row = pick(scores, split="valid", epoch="best", scope="run", metric="mae")
    genes = pd.read_parquet(seeds[0] / "predictions.parquet").query("split == 'valid'")
    assert row["value"] == pytest.approx((genes["best"] - genes["measured"]).abs().mean())
    assert np.isnan(row["low"])
    assert row["genes"] == GENES["valid"]


def test_folds_are_averaged_fold_by_fold(tmp_path: Path) -> None:
    places = [(fold, seed, 0.2 + 0.2 * fold + 0.1 * seed) for fold in (1, 2, 3) for seed in (0, 1)]
    runs = [write_run(tmp_path / f"{fold}{seed}", noise, seed, fold) for fold, seed, noise in places]
    scores = evaluate_model(runs, tmp_path / "out", SETTINGS, "a").scores
    test = scores.query("split == 'test' and epoch == 'best' and metric == 'spearman'")
    folds = test[test["scope"] == "run"].groupby("fold")["value"].mean().to_numpy()
    row = pick(test, scope="mean")
    assert row["value"] == pytest.approx(folds.mean())
    assert (row["run_low"], row["run_high"]) == pytest.approx(t_interval(folds, 0.95))
    assert (row["runs"], row["genes"]) == (6, 3 * GENES["test"])


def test_interval_over_genes_is_about_what_theory_says(tmp_path: Path) -> None:
    """Fisher's interval of Pearson's correlation, for values that are normal."""
    genes = measured_genes(1, {"valid": 20, "test": 2000})
    run = write_run(tmp_path / "run", 0.6, genes=genes)
    scores = evaluate_model([run], tmp_path / "out", PromoterEvaluationSettings(bootstrap=600), "a").scores
    row = pick(scores, split="test", epoch="best", scope="run", metric="pearson")
    middle, reach = np.arctanh(row["value"]), 1.96 / np.sqrt(1997)
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.tanh([middle - reach, middle + reach])), abs=0.006)


def test_collected_files_hold_all_runs(seeds: list[Path], tmp_path: Path) -> None:
    evaluate_model(seeds, tmp_path / "out", SETTINGS, "a")
    table = pd.read_parquet(tmp_path / "out/predictions.parquet")
    assert table.groupby(["seed", "split"]).size().to_dict() == {
        (seed, split): GENES[split] for seed in range(3) for split in ("test", "valid")
    }
    history = read_table(tmp_path / "out/history.tsv")
    assert history.groupby("seed")["epoch"].max().tolist() == [5, 5, 5]


def test_baselines_have_names_of_their_own(tmp_path: Path) -> None:
    folder = write_baselines(tmp_path / "baselines", {"kmer1": 1.0, "mean": -1})
    scores = evaluate_model([folder / "predictions.parquet"], tmp_path / "out", SETTINGS).scores
    assert scores["model"].drop_duplicates().tolist() == ["kmer1", "mean"]
    assert pick(scores, model="mean", split="test", epoch="best", scope="run", metric="r2")["value"] == 0
    assert read_table(tmp_path / "out/history.tsv").empty


def test_the_same_runs_give_the_same_bytes(seeds: list[Path], tmp_path: Path) -> None:
    for out in ("one", "two"):
        evaluate_model(seeds, tmp_path / out, SETTINGS, "a")
    for name in ("evaluation.tsv", "predictions.parquet", "history.tsv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def damage(folder: Path, **columns: object) -> None:
    table = pd.read_parquet(folder / "predictions.parquet")
    place = int(np.flatnonzero(table["split"] == "test")[0])
    for column, value in columns.items():
        table.loc[place, column] = value
    table.to_parquet(folder / "predictions.parquet", index=False)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("best", np.nan, "diverged"), ("measured", 9.0, "same data"), ("gene_id", "X", "same data")],
)
def test_predictions_that_do_not_fit_are_refused(
    seeds: list[Path], tmp_path: Path, column: str, value: object, message: str
) -> None:
    damage(seeds[1], **{column: value})
    with pytest.raises(CisweaveError, match=message):
        evaluate_model(seeds, tmp_path / "out", SETTINGS, "a")
    assert not (tmp_path / "out").exists()


def test_a_gene_twice_is_refused(seeds: list[Path], tmp_path: Path) -> None:
    table = pd.read_parquet(seeds[0] / "predictions.parquet")
    pd.concat([table, table[-1:]]).to_parquet(seeds[0] / "predictions.parquet", index=False)
    with pytest.raises(CisweaveError, match="stands twice"):
        evaluate_model(seeds, tmp_path / "out", SETTINGS, "a")


def test_a_seed_twice_is_refused(seeds: list[Path], tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="seed 1, fold 1 stands also in"):
        evaluate_model([*seeds, write_run(tmp_path / "again", 0.5, 1)], tmp_path / "out", SETTINGS, "a")


def test_another_type_is_refused(seeds: list[Path], tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", 0.5, 7, kind="lstm/classic")
    with pytest.raises(CisweaveError, match="this is a lstm/classic, but .*seed0 is a cnn/Xpresso"):
        evaluate_model([*seeds, other], tmp_path / "out", SETTINGS, "a")


@pytest.mark.parametrize("content", ["[]", "{}", '{"type": "a", "inputs": "P", "fold": "x"}', "{"])
def test_metrics_of_another_kind_are_refused(seeds: list[Path], tmp_path: Path, content: str) -> None:
    (seeds[0] / "metrics.json").write_text(content)
    with pytest.raises(CisweaveError, match=r"metrics\.json"):
        evaluate_model(seeds, tmp_path / "out", SETTINGS, "a")


def test_no_runs_and_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="no run"):
        evaluate_model([], tmp_path / "out", SETTINGS, "a")
    with pytest.raises(CisweaveError, match="not a folder of a run"):
        evaluate_model([tmp_path / "nowhere"], tmp_path / "out", SETTINGS, "a")


def test_a_run_without_test_genes_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 0.5, genes=measured_genes(1, {"train": 5, "valid": 5}))
    with pytest.raises(CisweaveError, match="no test genes"):
        evaluate_model([run], tmp_path / "out", SETTINGS, "a")


def test_trainings_and_baselines_are_evaluated_as_they_are_written(tmp_path: Path) -> None:
    from cisweave.xpresso.baselines import fit_baselines
    from cisweave.xpresso.training import train_model
    from tests.xpresso.training_data import QUIET, write_promoters, xpresso

    data, split = write_promoters(tmp_path)
    runs = [tmp_path / "run" / str(seed) for seed in (1, 2)]
    for seed, run in enumerate(runs, start=1):
        train_model(data, split, run, xpresso(max_epochs=2), training=QUIET, seed=seed, device="cpu")
    fit_baselines(data, split, tmp_path / "baselines", PromoterBaselineSettings())
    found = evaluate_model(runs, tmp_path / "model", SETTINGS, "small")
    assert set(found.history["epoch"]) == {0, 1}
    assert found.history[["train_loss", "valid_loss"]].notna().all(axis=None)
    row = pick(found.scores, split="test", epoch="last", scope="run", seed=2, metric="rmse")
    told = read_json(runs[1] / "metrics.json")
    assert row["value"] == pytest.approx(told["last"]["test"]["rmse"])
    assert row["parameters"] == told["parameters"]
    lines = evaluate_model([tmp_path / "baselines"], tmp_path / "lines", SETTINGS)
    both = [table.predictions.groupby("gene_id")["measured"].first() for table in (found, lines)]
    assert np.allclose(*both, atol=1e-9)


def test_evaluating_needs_no_torch() -> None:
    """These jobs are light, and many: importing PyTorch would take longer than the work."""
    modules = ("evaluate", "compare", "baselines", "figures", "metrics")
    code = "import sys; " + "; ".join(f"import cisweave.xpresso.{name}" for name in modules)
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("key", "value"), [("parameters", 9), ("settings", {"optimizer": "adam"}), ("slice", [0, 5]), ("network", {"k": 1})]
)
def test_runs_of_other_settings_are_not_seeds_of_one_model(key: str, value: object, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(seed), 0.3, seed) for seed in (0, 1)]
    write_json(runs[1] / "metrics.json", read_json(runs[1] / "metrics.json") | {key: value})
    with pytest.raises(CisweaveError, match=f"its {key} are not those of"):
        evaluate_model(runs, tmp_path / "out", SETTINGS, "model")


def test_values_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 0.3)
    table = pd.read_parquet(run / "predictions.parquet")
    table.assign(measured="a").to_parquet(run / "predictions.parquet", index=False)
    with pytest.raises(CisweaveError, match="measured of gene G1_"):
        evaluate_model([run], tmp_path / "out", SETTINGS, "model")


@pytest.mark.parametrize("name", ["", " ", "a\tb", "a\nb"])
def test_a_name_must_be_readable(name: str, tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="cannot be called"):
        evaluate_model([write_run(tmp_path / "run", 0.3)], tmp_path / "out", SETTINGS, name)
