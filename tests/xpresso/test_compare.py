"""Models side by side: tables, ranks and tests of differences."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from cisweave.config import PromoterEvaluationSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.published import RESULTS
from cisweave.tables.frames import read_table
from cisweave.xpresso.compare import (
    COMPARISON_COLUMNS,
    RANKING_COLUMNS,
    RESULT_COLUMNS,
    TABLES,
    TEST_COLUMNS,
    compare_models,
    published_of,
    ranks_of,
    run_differences,
    shared_genes,
)
from cisweave.xpresso.evaluate import evaluate_model
from cisweave.xpresso.metrics import score
from tests.xpresso.evaluation_runs import GENES, measured_genes, write_baselines, write_run

SETTINGS = PromoterEvaluationSettings(bootstrap=300)
MODELS = {"good": ("cnn/Xpresso", 0.3), "fair": ("lstm/classic", 0.5), "poor": ("token/globalP", 1.5)}


@pytest.fixture
def evaluations(tmp_path: Path) -> list[Path]:
    """Three models with three seeds each, and two baselines."""
    folders = []
    for name, (kind, noise) in MODELS.items():
        runs = [write_run(tmp_path / name / str(seed), noise + 0.01 * seed, seed, kind=kind) for seed in range(3)]
        evaluate_model(runs, tmp_path / "evaluation" / name, SETTINGS, name)
        folders.append(tmp_path / "evaluation" / name)
    runs = [write_baselines(tmp_path / "baselines", {"halflife": 0.8, "mean": -1})]
    evaluate_model(runs, tmp_path / "evaluation/baselines", SETTINGS)
    return [*folders, tmp_path / "evaluation/baselines"]


def test_comparison_repeats_the_evaluations(evaluations: list[Path], tmp_path: Path) -> None:
    compare_models(evaluations, tmp_path / "out", SETTINGS)
    table = read_table(tmp_path / "out/comparison.tsv", COMPARISON_COLUMNS)
    assert table[["model", "epoch"]].apply(tuple, axis=1).tolist() == [
        (model, epoch) for model in (*MODELS, "halflife", "mean") for epoch in ("best", "last")
    ]
    rows = table.set_index(["model", "epoch"])
    told = read_table(evaluations[1] / "evaluation.tsv").query(
        "split == 'test' and epoch == 'last' and scope == 'mean'"
    )
    for row in told.to_dict("records"):
        fair = rows.loc["fair", "last"]
        assert fair[row["metric"]] == pytest.approx(row["value"])
        for bound in ("low", "high", "run_low", "run_high"):
            assert fair[f"{row['metric']}_{bound}"] == pytest.approx(row[bound], nan_ok=True)
    assert (fair["folds"], fair["seeds"], fair["genes"]) == (1, 3, GENES["test"])
    assert (rows.loc["good", "best"]["type"], rows.loc["good", "best"]["restarts"]) == ("cnn/Xpresso", 1)
    assert table["published_r2"].isna().all()


def test_published_figures_are_shown_on_request_alone(evaluations: list[Path], tmp_path: Path) -> None:
    table = compare_models(evaluations, tmp_path / "out", SETTINGS, published=True).comparison
    rows = table[table["epoch"] == "best"].set_index("model")
    assert rows.loc["good", ["published_r2", "published_low", "published_high"]].tolist() == [0.5668, 0.5593, 0.5743]
    assert rows.loc["fair", "published_r2"] == RESULTS["lstm/classic"][0].r2
    assert "10.1016/j.cmpb.2022.107035" in rows.loc["good", "published_source"]
    assert rows.loc[["poor", "mean"], "published_r2"].isna().all()


def test_every_published_figure_stands_in_its_table(evaluations: list[Path], tmp_path: Path) -> None:
    compare_models(evaluations, tmp_path / "out", SETTINGS, published=True)
    table = read_table(tmp_path / "out/published.tsv", RESULT_COLUMNS)
    assert table.groupby("model", sort=False)["r2"].agg(list).to_dict() == {
        "good": [0.5668, 0.5508, 0.590],  # the last is Xpresso's own
        "fair": [0.6058],
        "halflife": [0.170],
    }
    assert table["source"].str.startswith("Agarwal").tolist() == [False, False, True, False, True]
    compare_models(evaluations, tmp_path / "none", SETTINGS)
    assert read_table(tmp_path / "none/published.tsv", RESULT_COLUMNS).empty


def test_published_linear_models_are_those_of_the_same_inputs() -> None:
    figures = {name: published_of(name, "baseline/ridge")[0].r2 for name in ("halflife", "kmer1+halflife")}
    assert figures == {"halflife": 0.170, "kmer1+halflife": 0.273}
    assert published_of("kmer5+halflife", "baseline/ridge")[0].r2 == 0.470
    assert published_of("kmer4", "baseline/ridge") == ()
    assert published_of("halflife", "token/globalP") == ()  # a model of that name is no baseline


def test_ranking_goes_by_r2(evaluations: list[Path], tmp_path: Path) -> None:
    compare_models(evaluations, tmp_path / "out", SETTINGS)
    table = read_table(tmp_path / "out/ranking.tsv", RANKING_COLUMNS)
    best = table[table["epoch"] == "best"]
    assert best["rank"].tolist() == [1, 2, 3, 4, 5]
    assert best["model"].tolist()[:2] == ["good", "fair"]
    assert best["model"].tolist()[-1] == "mean"
    assert (best["rank_low"] <= best["rank"]).all()
    assert (best["rank"] <= best["rank_high"]).all()
    assert (best[["rank_low", "rank_high"]] % 1 == 0).all(axis=None)
    assert best["first"].sum() == pytest.approx(1.0)
    assert best["first"].iloc[0] > 0.95
    assert (best["genes"] == GENES["test"]).all()


def test_every_pair_but_those_of_baselines_is_tested(evaluations: list[Path], tmp_path: Path) -> None:
    compare_models(evaluations, tmp_path / "out", SETTINGS)
    table = read_table(tmp_path / "out/tests.tsv", TEST_COLUMNS)
    pairs = set(combinations((*MODELS, "halflife", "mean"), 2)) - {("halflife", "mean")}
    for epoch in ("best", "last"):
        part = table[table["epoch"] == epoch]
        assert set(zip(part["first"], part["second"], strict=True)) == pairs
        assert len(part) == len(pairs)
    rows = table[table["epoch"] == "best"].set_index(["first", "second"])
    assert rows.loc[("good", "poor"), "p_genes_holm"] < 1e-6
    assert rows.loc[("good", "poor"), "p_runs_holm"] < 0.05
    assert rows.loc[("fair", "mean"), "low"] > 0
    assert (table["p_genes_holm"] >= table["p_genes"]).all()


def test_differences_are_paired_by_gene_and_by_seed(evaluations: list[Path], tmp_path: Path) -> None:
    tests = compare_models(evaluations, tmp_path / "out", SETTINGS).tests
    row = tests.query("epoch == 'best' and first == 'good' and second == 'fair'").iloc[0]
    r2 = {}
    for name in ("good", "fair"):
        table = pd.read_parquet(tmp_path / "evaluation" / name / "predictions.parquet").query("split == 'test'")
        r2[name] = [
            score(part["best"].to_numpy(), part["measured"].to_numpy())["r2"] for _, part in table.groupby("seed")
        ]
    assert row["difference"] == pytest.approx(np.mean(r2["good"]) - np.mean(r2["fair"]))
    assert row["low"] < row["difference"] < row["high"]
    assert row["p_runs"] == pytest.approx(ttest_rel(r2["good"], r2["fair"]).pvalue)
    assert row["runs"] == 3
    alone = tests.query("epoch == 'best' and first == 'good' and second == 'halflife'").iloc[0]
    assert alone["runs"] == 3  # the baseline stands against every seed


def test_pairs_on_the_same_genes_are_sharper_than_their_intervals(tmp_path: Path) -> None:
    """Two models with nearly the same errors differ surely, though their intervals overlap."""
    genes = measured_genes(1, {"valid": 20, "test": 600})
    rng = np.random.default_rng(9)
    noise, extra = rng.normal(0, 0.8, len(genes)), rng.normal(0, 0.3, len(genes))
    folders = []
    for name, error in (("a", noise), ("b", noise + extra)):
        run = write_run(tmp_path / name, 0.1, genes=genes.copy())
        table = pd.read_parquet(run / "predictions.parquet")
        table["best"] = table["measured"] + error
        table.to_parquet(run / "predictions.parquet", index=False)
        evaluate_model([run], tmp_path / "evaluation" / name, SETTINGS, name)
        folders.append(tmp_path / "evaluation" / name)
    found = compare_models(folders, tmp_path / "out", SETTINGS)
    rows = found.comparison.query("epoch == 'best'").set_index("model")
    assert rows.loc["a", "r2_low"] < rows.loc["b", "r2_high"]
    row = found.tests.query("epoch == 'best'").iloc[0]
    assert row["low"] > 0
    assert np.isnan(row["p_runs"])  # one run each tells nothing of other seeds


def test_models_on_other_genes_meet_on_those_they_share(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    genes = measured_genes()
    fewer = genes.drop(genes[genes["split"] == "test"].index[:30]).reset_index(drop=True)
    folders = []
    for name, part in (("all", genes), ("fewer", fewer), ("whole", genes)):
        run = write_run(tmp_path / name, 0.5, len(name), genes=part.copy())
        evaluate_model([run], tmp_path / "evaluation" / name, SETTINGS, name)
        folders.append(tmp_path / "evaluation" / name)
    found = compare_models(folders, tmp_path / "out", SETTINGS)
    assert "50 that all share" in caplog.text
    assert set(found.ranking["genes"]) == {50}
    counts = found.tests.query("epoch == 'best'").set_index(["first", "second"])["genes"].to_dict()
    assert counts == {("all", "fewer"): 50, ("all", "whole"): 80, ("fewer", "whole"): 50}
    assert found.comparison["genes"].tolist() == [80, 80, 50, 50, 80, 80]


def test_folds_are_compared_fold_by_fold(tmp_path: Path) -> None:
    folders = []
    for name, noise in (("a", 0.3), ("b", 0.9)):
        runs = [
            write_run(tmp_path / name / f"{fold}{seed}", noise, seed, fold) for fold in (1, 2, 3) for seed in (0, 1)
        ]
        evaluate_model(runs, tmp_path / "evaluation" / name, SETTINGS, name)
        folders.append(tmp_path / "evaluation" / name)
    found = compare_models(folders, tmp_path / "out", SETTINGS)
    row = found.tests.query("epoch == 'best'").iloc[0]
    assert (row["runs"], row["genes"]) == (3, 3 * GENES["test"])
    assert row["p_runs"] < 0.05
    assert found.comparison["folds"].tolist() == [3] * 4
    assert found.comparison["seeds"].tolist() == [2] * 4


def test_the_same_in_the_same_bytes(evaluations: list[Path], tmp_path: Path) -> None:
    for out in ("one", "two"):
        compare_models(evaluations, tmp_path / out, SETTINGS)
    for name in TABLES:
        assert (tmp_path / f"one/{name}.tsv").read_bytes() == (tmp_path / f"two/{name}.tsv").read_bytes()


def test_without_resamples_there_are_figures_but_no_intervals(evaluations: list[Path], tmp_path: Path) -> None:
    found = compare_models(evaluations, tmp_path / "out", PromoterEvaluationSettings(bootstrap=0))
    assert found.tests["difference"].notna().all()
    assert found.tests[["low", "p_genes", "p_genes_holm"]].isna().all(axis=None)
    assert found.ranking["first"].isna().all()


def test_a_name_twice_and_no_model_are_refused(evaluations: list[Path], tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="model good stands also in"):
        compare_models([*evaluations, evaluations[0]], tmp_path / "out", SETTINGS)
    with pytest.raises(CisweaveError, match="no model to compare"):
        compare_models([], tmp_path / "out", SETTINGS)


def test_models_of_other_data_are_refused(evaluations: list[Path], tmp_path: Path) -> None:
    genes = measured_genes().assign(measured=lambda table: table["measured"] + 1)
    evaluate_model([write_run(tmp_path / "other", 0.3, genes=genes)], tmp_path / "evaluation/other", SETTINGS, "other")
    with pytest.raises(CisweaveError, match=r"gene G1_\d+ is not that of other models"):
        compare_models([*evaluations, tmp_path / "evaluation/other"], tmp_path / "out", SETTINGS)


def test_models_without_common_genes_are_refused(evaluations: list[Path], tmp_path: Path) -> None:
    run = write_run(tmp_path / "other", 0.3, fold=2)
    evaluate_model([run], tmp_path / "evaluation/other", SETTINGS, "other")
    with pytest.raises(CisweaveError, match="share no test genes"):
        compare_models([*evaluations, tmp_path / "evaluation/other"], tmp_path / "out", SETTINGS)


def test_a_model_may_be_called_by_a_number(tmp_path: Path) -> None:
    folders = []
    for name in ("123", "True", "1e5"):
        folders.append(tmp_path / "evaluation" / name)
        evaluate_model([write_run(tmp_path / name, 0.3 + len(name))], folders[-1], SETTINGS, name)
    for chosen in (folders, folders[:1]):
        found = compare_models(chosen, tmp_path / "out", SETTINGS)
        assert set(found.comparison["model"]) == {folder.name for folder in chosen}


def test_damaged_evaluations_are_told(evaluations: list[Path], tmp_path: Path) -> None:
    path = evaluations[0] / "evaluation.tsv"
    whole = path.read_text()
    path.write_text(whole.replace("\tmean\t", "\tmeen\t"))
    with pytest.raises(CisweaveError, match="good lacks rows of scope mean"):
        compare_models(evaluations, tmp_path / "out", SETTINGS)
    path.write_text(whole.replace("good\t", "other\t"))
    with pytest.raises(CisweaveError, match=r"good does not stand both"):
        compare_models(evaluations, tmp_path / "out", SETTINGS)
    path.write_text(whole.splitlines(keepends=True)[0])
    with pytest.raises(CisweaveError, match="good does not stand both"):
        compare_models(evaluations, tmp_path / "out", SETTINGS)


def test_shared_genes_leave_out_folds_that_one_lacks() -> None:
    assert shared_genes([{1: ("a", "b"), 2: ("c",)}, {1: ("b", "d")}]) == {1: ("b",)}


def test_equal_models_share_the_better_rank() -> None:
    assert ranks_of(np.array([[0.5, 0.1], [0.5, 0.3], [np.nan, 0.2]])).tolist() == [[1, 3], [1, 1], [3, 2]]


def test_runs_are_paired_by_seed_and_by_fold() -> None:
    left, right = pd.Series([0.5, 0.6, 0.7], index=[0, 1, 2]), pd.Series([0.1, 0.3], index=[2, 0])
    assert run_differences({1: left}, {1: right}) == pytest.approx([0.2, 0.6])
    one = pd.Series([0.2], index=[0])
    assert run_differences({1: one}, {1: left}) == pytest.approx([-0.3])  # a model that has one seed
    assert run_differences({1: one}, {1: left}, exact=True) == pytest.approx([-0.3, -0.4, -0.5])
    assert run_differences({1: left, 2: left}, {1: right, 2: right}) == pytest.approx([0.4, 0.4])
