"""Grids of hyper-parameters: the points, and the choice by validation genes."""

import json
import shutil

import pandas as pd
import pytest

from cisweave.config import ExpressionSettings, GridSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.folders import load_model, read_spec
from cisweave.seal.expression import pretrain
from cisweave.seal.grid import grid_points, select_model
from cisweave.tables.frames import read_table
from tests.seal.expression_world import GENERAL, QUIET, SETTINGS, make_world

MODEL = ExpressionSettings(hidden=64, pretrain={"learning_rate": 0.01, "l2": 1e-5})


def test_no_grid_is_one_point_with_the_model_s_settings():
    for phase in ("pretrain", "finetune"):
        points = grid_points(GridSettings(), MODEL, phase)
        assert [point.settings for point in points] == [MODEL]
    assert points[0].name == "lr0.0001_l2-0.0001_w1"


def test_every_combination_once():
    grid = GridSettings(
        hidden=[700, 1000, 700],
        pretrain={"learning_rate": [1e-3, 1e-4], "l2": [1e-5], "gene_weight": [1, 2]},
        finetune={"l2": [0.0, 0.01]},
    )
    points = grid_points(grid, MODEL, "pretrain")
    chosen = [
        (point.settings.hidden, point.settings.pretrain.learning_rate, point.settings.pretrain.gene_weight)
        for point in points
    ]
    assert chosen == [(h, rate, weight) for h in (700, 1000) for rate in (1e-3, 1e-4) for weight in (1, 2)]
    assert points[0].name == "h700_lr0.001_l2-1e-05_w1"
    assert len({point.name for point in points}) == 8
    assert all(point.settings.finetune == MODEL.finetune for point in points)
    assert all(point.settings.pretrain.max_epochs == 200 for point in points)
    second = grid_points(grid, MODEL, "finetune")
    assert [point.settings.finetune.l2 for point in second] == [0.0, 0.01]
    assert {point.settings.hidden for point in second} == {64}


def test_names_that_would_be_the_same():
    grid = GridSettings(pretrain={"l2": [0.1, 0.10000001]})
    with pytest.raises(CisweaveError, match="take values further apart"):
        grid_points(grid, MODEL, "pretrain")


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    """A small grid trained: a rate that is far too low, one that fits, and one that is too high."""
    folder = tmp_path_factory.mktemp("grid")
    world = make_world(folder)
    settings = SETTINGS.model_copy(update={"bootstrap": 0})
    grid = GridSettings(pretrain={"learning_rate": [1e-5, 0.02, 1.0]})
    for point in grid_points(grid, settings, "pretrain"):
        phase = point.settings.pretrain.model_copy(update={"max_epochs": 15})
        chosen = point.settings.model_copy(update={"pretrain": phase})
        model = folder / point.name
        pretrain(world / "profiles.h5", world / "general.tsv", GENERAL, model, chosen, QUIET, device="cpu")
    return sorted(path.parent for path in folder.glob("*/model.yaml"))


def test_the_best_by_validation_is_copied(candidates, tmp_path):
    best = select_model(candidates, tmp_path / "chosen", tmp_path / "grid.tsv")
    assert best == "h8_lr0.02_l2-0_w1"
    table = read_table(tmp_path / "grid.tsv")
    assert table.name[0] == best
    assert table.valid_mse.is_monotonic_increasing
    assert table.chosen.tolist() == [True, False, False]
    assert sorted(table.learning_rate) == [1e-5, 0.02, 1.0]
    assert set(table.hidden) == {8}
    source = next(path for path in candidates if path.name == best)
    copied = {path.name for path in (tmp_path / "chosen").iterdir()}
    assert copied == {
        *("weights.safetensors", "model.yaml", "metrics.json", "history.csv", "genes.tsv", "performance.tsv"),
        "model.yaml.receipt.json",
    }
    for name in copied - {"model.yaml.receipt.json"}:
        assert (tmp_path / "chosen" / name).read_bytes() == (source / name).read_bytes()
    assert load_model(tmp_path / "chosen").spec == read_spec(source)


def test_test_genes_do_not_choose(candidates, tmp_path):
    copies = []
    for source in candidates:
        copies.append(shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("run")))
        metrics = json.loads((copies[-1] / "metrics.json").read_text())
        good = source.name.startswith("h8_lr1e-05")
        metrics["test"] |= {"mse_median": 0.0 if good else 9.0, "spearman_median": 1.0 if good else 0.0}
        (copies[-1] / "metrics.json").write_text(json.dumps(metrics))
    assert select_model(copies, tmp_path / "chosen", tmp_path / "grid.tsv") == "h8_lr0.02_l2-0_w1"


def test_choice_by_correlation(candidates, tmp_path):
    copies = []
    for source, rho in zip(candidates, (0.3, None, 0.5), strict=True):
        copies.append(shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("run")))
        metrics = json.loads((copies[-1] / "metrics.json").read_text())
        metrics["valid"]["spearman_median"] = rho
        (copies[-1] / "metrics.json").write_text(json.dumps(metrics))
    assert select_model(copies, tmp_path / "chosen", tmp_path / "grid.tsv", "spearman") == candidates[2].name
    assert pd.isna(read_table(tmp_path / "grid.tsv").valid_spearman.iloc[-1])


def test_candidates_of_one_name_are_told_apart_by_their_paths(candidates, tmp_path):
    copies = [
        shutil.copytree(source, tmp_path / name / "model", ignore=shutil.ignore_patterns("run"))
        for name, source in zip("abc", candidates, strict=True)
    ]
    best = select_model(copies, tmp_path / "chosen", tmp_path / "grid.tsv")
    assert candidates["abc".index(best[0])].name == "h8_lr0.02_l2-0_w1"
    assert sorted(read_table(tmp_path / "grid.tsv").name) == ["a/model", "b/model", "c/model"]


def test_candidates_must_be_comparable(candidates, tmp_path):
    other = shutil.copytree(candidates[0], tmp_path / "other", ignore=shutil.ignore_patterns("run"))
    text = (other / "model.yaml").read_text()
    (other / "model.yaml").write_text(text.replace("chr3", "chr2"))
    with pytest.raises(CisweaveError, match="trained for different contexts, splits or data"):
        select_model([candidates[0], other], tmp_path / "chosen", tmp_path / "grid.tsv")
    with pytest.raises(CisweaveError, match="is given twice"):
        select_model([candidates[0], candidates[0]], tmp_path / "chosen", tmp_path / "grid.tsv")
    with pytest.raises(CisweaveError, match="one of the candidates"):
        select_model(candidates, candidates[1], tmp_path / "grid.tsv")
