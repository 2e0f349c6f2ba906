"""The check of the xpresso room sees what is wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from cisweave.models.promoter.registry import TYPES
from cisweave.report.blocks import Column, Content, Table, Text
from cisweave.report.html import render
from cisweave.report.sections.xpresso import CAPTION
from scripts import check_xpresso

PARITY: dict[str, Any] = {"promoters": 25, "promoters_max_abs_diff": 4e-7, "k562_promoters": 25}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, None),
        ({"promoters": 24, "k562_promoters": 24}, "24 promoters"),
        ({"promoters_max_abs_diff": 2e-6}, "off the published"),
        ({"promoters_max_abs_diff": float("nan")}, "off the published"),
        ({"k562_promoters": 24}, "K562"),
    ],
)
def test_predictions_that_are_off_are_a_problem(
    change: dict[str, float], word: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(check_xpresso, "data_folder", lambda: (tmp_path, ""))
    monkeypatch.setattr(check_xpresso, "promoters_check", lambda _: {**PARITY, **change})
    problems = check_xpresso.promoters()[1]
    assert len(problems) == (0 if word is None else 1)
    assert word is None or word in problems[0]


def test_genes_out_of_place_are_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(check_xpresso, "data_folder", lambda: (tmp_path, ""))
    for right, problems in ((18_377, 0), (18_376, 1)):
        found = {"split_ids": 18_377, "split_ids_in_order": right}
        monkeypatch.setattr(check_xpresso, "split_check", lambda _, found=found: found)
        assert len(check_xpresso.split()[1]) == problems


def test_a_network_that_only_ties_with_ridge_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(check_xpresso, "data_folder", lambda: (tmp_path, ""))
    for score, problems in ((0.61, 0), (0.6, 1), (float("nan"), 1)):
        found = {"tfnet_r2": score, "ridge_r2": 0.6}
        monkeypatch.setattr(check_xpresso, "tfnet_on_real", lambda _, found=found: found)
        assert len(check_xpresso.tfnet()[1]) == problems


def test_without_real_data_the_figures_stay_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_xpresso, "data_folder", lambda: (None, "not set"))
    assert check_xpresso.promoters() == ({"real_data": "not set"}, [])
    assert check_xpresso.split() == check_xpresso.tfnet() == ({}, [])


def test_a_wrong_number_of_parameters_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    real = check_xpresso.count_parameters
    published = sum(kind.parameters is not None for kind in TYPES.values())
    assert check_xpresso.counts() == ({"parameter_counts": published, "parameter_counts_right": published}, [])
    monkeypatch.setattr(check_xpresso, "count_parameters", lambda network: real(network) + 1)
    figures, problems = check_xpresso.counts()
    assert figures["parameter_counts_right"] == 0
    assert len(problems) == published


@pytest.fixture
def comparison() -> pd.DataFrame:
    """Every type of the zoo, better than the baselines."""
    rows = [(name.replace("/", "_"), name, kind.inputs, 0.5) for name, kind in TYPES.items()]
    rows += [("halflife", "baseline/ridge", "H", 0.2), ("kmer4+halflife", "baseline/ridge", "PH", 0.3)]
    rows += [("tf", "baseline/ridge", "T", 0.6)]
    return pd.DataFrame(rows, columns=["model", "type", "inputs", "r2"])


def test_a_zoo_that_learnt_passes(comparison: pd.DataFrame) -> None:
    assert check_xpresso.zoo_problems(comparison) == []
    figures = check_xpresso.zoo_figures(comparison)
    assert figures["model_types"] == len(TYPES)
    assert figures["baseline_r2"] == {"halflife": 0.2, "kmer4+halflife": 0.3, "tf": 0.6}


@pytest.mark.parametrize("kind", check_xpresso.MUST_BEAT)
def test_a_model_below_the_baselines_is_a_problem(kind: str, comparison: pd.DataFrame) -> None:
    comparison.loc[comparison["type"] == kind, "r2"] = 0.3
    (problem,) = check_xpresso.zoo_problems(comparison)
    assert problem.startswith(kind)
    (problem, *_) = check_xpresso.zoo_problems(comparison[comparison["type"] != kind])
    assert problem == f"not trained: {kind}"


def test_a_comparison_without_baselines_is_a_problem(comparison: pd.DataFrame) -> None:
    models = comparison[comparison["type"].isin(TYPES)]
    assert check_xpresso.zoo_problems(models) == ["there is no baseline of half-life features and k-mers"]


def page(names: list[str]) -> str:
    """A report whose table of models has these rows, and that names other models elsewhere."""
    columns = [Column("model", "model"), Column("r2", "r²", ".3f", bar=1.0)]
    table = Table.of(pd.DataFrame({"model": names, "r2": 0.5}), columns, CAPTION, search=True)
    other = Table.of(pd.DataFrame({"model": ["TF"]}), columns[:1], "Another table")
    return render("own", [Content("xpresso", "Promoter models", [Text("The mean, TF and halflife."), other, table])])


def test_rows_are_those_of_the_table_of_models() -> None:
    rows = check_xpresso.table_rows(page(["A & B", "mean"]), CAPTION)
    assert rows == [["A & B", "0.500"], ["mean", "0.500"]]
    assert check_xpresso.table_rows(page(["A"]), "no such table") == []


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (["TF", "mean"], []),
        (["mean"], ["not in the table of the report: TF"]),
        (["TF", "mean", "halflife"], ["the table of the report has 3 rows for 2 models"]),
    ],
)
def test_a_model_that_the_table_lacks_is_a_problem(
    shown: list[str], said: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Though its name stands elsewhere on the page."""
    (tmp_path / "comparison").mkdir()
    pd.DataFrame({"model": ["TF", "TF", "mean", "mean"]}).to_csv(tmp_path / "comparison/comparison.tsv", index=False)
    (tmp_path / "report.html").write_text(page(shown))
    monkeypatch.setattr(check_xpresso, "RESULTS", tmp_path)
    monkeypatch.setattr(check_xpresso, "REPORT", tmp_path / "report.html")
    monkeypatch.setattr(check_xpresso.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0))
    figures, problems = check_xpresso.report()
    assert problems == said
    assert figures == {"models_in_report": len({"TF", "mean"} & set(shown))}
