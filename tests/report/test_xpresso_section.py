"""The section of the xpresso room on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import PromoterEvaluationSettings
from cisweave.report.blocks import Block, Figure, Notice, Table, Tiles
from cisweave.report.data import ReportData, ReportFiles
from cisweave.report.sections.xpresso import beaten_models, best_rival, chosen_model, xpresso_section
from cisweave.tables.frames import read_table
from cisweave.xpresso.compare import compare_models
from cisweave.xpresso.evaluate import evaluate_model
from cisweave.xpresso.figures import FIGURES, draw_xpresso_figures
from tests.xpresso.evaluation_runs import GENES, write_baselines, write_run

SETTINGS = PromoterEvaluationSettings(bootstrap=60)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    """Two models that learned, one that did not, and two baselines."""
    folder = tmp_path_factory.mktemp("section")
    evaluations = [folder / "evaluation" / name for name in ("good", "fair", "poor", "baselines")]
    for name, kind, noise in (
        ("good", "lstm/classic", 0.3),
        ("fair", "cnn/Xpresso", 0.5),
        ("poor", "token/globalP", 9.0),
    ):
        runs = [write_run(folder / "runs" / name / str(seed), noise, seed, kind=kind) for seed in (0, 1)]
        evaluate_model(runs, folder / "evaluation" / name, SETTINGS, name)
    evaluate_model([write_baselines(folder / "runs/baselines", {"kmer4": 0.6, "mean": -1})], evaluations[3], SETTINGS)
    compare_models(evaluations, folder / "comparison", SETTINGS, published=True)
    draw_xpresso_figures(folder / "comparison", evaluations, folder / "figures")
    return ReportFiles(xpresso=folder / "figures")


def of_kind(blocks: list[Block], kind: type) -> list:
    return [block for block in blocks if isinstance(block, kind)]


def test_a_run_without_the_room_has_no_section() -> None:
    assert xpresso_section(ReportData(ReportFiles())) == []


def test_tiles_tell_model_baseline_and_gain(files: ReportFiles) -> None:
    tiles = of_kind(xpresso_section(ReportData(files)), Tiles)[0].tiles
    rows = read_table(files.xpresso / "comparison.tsv").query("epoch == 'best'").set_index("model")
    assert [tile.label for tile in tiles] == [
        "r², chosen model",
        "r², best baseline",
        "Gain over the baseline",
        "Models",
    ]
    assert tiles[0].value == f"{rows.loc['good', 'r2']:.3f}"
    assert tiles[0].note.startswith("good, ")
    assert f"{GENES['test']} test genes" in tiles[0].note
    assert tiles[1].value == f"{rows.loc['kmer4', 'r2']:.3f}"
    assert float(tiles[2].value) == pytest.approx(rows.loc["good", "r2"] - rows.loc["kmer4", "r2"], abs=1e-3)
    assert (tiles[3].value, tiles[3].note) == ("3", "of 3 types, 2 seeds; 3 collapsed starts")


def test_a_model_below_a_baseline_of_its_inputs_is_named(files: ReportFiles) -> None:
    lines = of_kind(xpresso_section(ReportData(files)), Notice)[0].lines
    assert len(lines) == 1
    assert lines[0].startswith("poor (r² 0.0")
    assert "linear baseline kmer4" in lines[0]


def test_baselines_that_read_more_are_no_rivals() -> None:
    rows = {
        "model": ["net", "tf", "kmer4"],
        "inputs": ["PH", "T", "P"],
        "baseline": [False, True, True],
        "r2": [0.5, 0.7, 0.4],
    }
    assert beaten_models(pd.DataFrame(rows)) == []


def test_the_gain_is_over_a_baseline_of_the_models_inputs() -> None:
    rows = {"model": ["tf", "kmer4", "halflife"], "inputs": ["HT", "P", "H"], "r2": [0.7, 0.4, 0.5]}
    baselines = pd.DataFrame(rows)
    assert best_rival(baselines, "PH")["model"] == "halflife"
    assert best_rival(baselines, "PHT")["model"] == "tf"
    assert best_rival(baselines, "M") is None


def test_the_table_has_a_row_per_model_and_the_published_figures(files: ReportFiles) -> None:
    table = of_kind(xpresso_section(ReportData(files)), Table)[0]
    labels = [column.label for column in table.columns]
    rows = {row[0].text: dict(zip(labels, (cell.text for cell in row), strict=True)) for row in table.rows}
    assert next(iter(rows)) == "good"
    assert set(rows) == {"good", "fair", "poor", "kmer4", "mean"}
    assert rows["fair"]["published r²"].split(" · ") == [
        "0.567 [0.559, 0.574], promoter, half-life (Pipoli et al. 2022)",
        "0.551 [0.540, 0.561], promoter, half-life; genes of the microRNA split (Pipoli et al. 2022)",
        "0.590, promoter, half-life (Agarwal and Shendure 2020)",
    ]
    assert rows["poor"]["published r²"] == rows["mean"]["published r²"] == "–"
    assert rows["good"]["rank, over genes"].startswith("1 (1 to ")
    assert rows["good"]["runs"] == "2"
    assert rows["mean"]["inputs"] == "–"


def test_without_published_figures_there_is_no_such_column(files: ReportFiles, tmp_path: Path) -> None:
    folder = files.xpresso.parent
    names = ("good", "baselines")
    evaluations = [folder / "evaluation" / name for name in names]
    compare_models(evaluations, tmp_path / "comparison", PromoterEvaluationSettings(bootstrap=0))
    draw_xpresso_figures(tmp_path / "comparison", evaluations, tmp_path / "figures")
    blocks = xpresso_section(ReportData(replace(files, xpresso=tmp_path / "figures")))
    table = of_kind(blocks, Table)[0]
    assert "published r²" not in [column.label for column in table.columns]
    assert len(table.rows) == 3
    assert not of_kind(blocks, Notice)


def test_all_figures_are_shown(files: ReportFiles) -> None:
    figures = of_kind(xpresso_section(ReportData(files)), Figure)
    assert len(figures) == len(FIGURES)
    assert {figure.png for figure in figures} == {(files.xpresso / f"{name}.png").read_bytes() for name in FIGURES}


def test_the_validation_genes_choose_the_model() -> None:
    models = pd.DataFrame({"model": ["a", "b"], "r2": [0.6, 0.5], "r2_valid": [0.4, 0.5]})
    assert chosen_model(models)["model"] == "b"
    assert chosen_model(models.assign(r2_valid=np.nan))["model"] == "a"
