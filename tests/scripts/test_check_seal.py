"""The check of the seal room sees what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts import check_seal

GOOD: dict[str, Any] = {
    "probability_max_abs_diff": 5e-7,
    "head_max_abs_diff": 1e-8,
    "head_max_rel_diff": 1e-6,
    "engine_max_rel_diff": 1e-5,
    "score_sd": 0.03,
    "peak_mb_1x": 2000.0,
    "peak_mb_10x": 2100.0,
}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, None),
        ({"probability_max_abs_diff": 2e-6}, "probability_max_abs_diff"),
        ({"probability_max_abs_diff": float("nan")}, "probability_max_abs_diff"),
        ({"head_max_abs_diff": 2e-6}, "head_max_abs_diff"),
        ({"head_max_rel_diff": 2e-4}, "head_max_rel_diff"),
        ({"engine_max_rel_diff": 2e-3}, "engine_max_rel_diff"),
        ({"score_sd": 0.001}, "too small"),
        ({"peak_mb_10x": 3000.0}, "memory grows"),
    ],
)
def test_engine_that_is_off_is_a_problem(
    change: dict[str, float], word: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_seal, "engine_speed", lambda *_: {**GOOD, **change})
    figures, problems = check_seal.engine(check_seal.QUICK)
    assert figures["score_sd"] == {**GOOD, **change}["score_sd"]
    assert len(problems) == (0 if word is None else 1)
    assert word is None or word in problems[0]


@pytest.fixture
def explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """DeepLIFT rows whose sums are the scores."""
    table = pd.DataFrame({"score": [0.5, -0.25], "attribution_sum": [0.5, -0.25]})
    table.to_parquet(tmp_path / "tracks.parquet")
    monkeypatch.setattr(check_seal, "ROOT", tmp_path)
    monkeypatch.setattr(check_seal, "EXPLAINED", tmp_path / "tracks.parquet")
    monkeypatch.setattr(check_seal, "data_folder", lambda: (tmp_path, "used"))
    (tmp_path / "parity").mkdir()
    np.save(tmp_path / check_seal.PUBLISHED_ROWS, np.array([[0.25, 0.25], [0.5, -0.75]], dtype=np.float32))
    scores = pd.DataFrame({"early_fetal.A1C": [0.5, -0.25]})
    scores.to_csv(tmp_path / check_seal.PUBLISHED_SCORES, sep="\t", index=False)
    return tmp_path


def test_sums_that_are_the_scores_pass(explained: Path) -> None:
    figures, problems = check_seal.deeplift(check_seal.QUICK)
    assert problems == []
    assert figures["deeplift_parity_max_abs_diff"] == 0


def test_sums_that_are_off_are_problems(explained: Path) -> None:
    table = pd.read_parquet(explained / "tracks.parquet")
    table.assign(attribution_sum=table["attribution_sum"] + 2e-6).to_parquet(explained / "tracks.parquet")
    scores = pd.DataFrame({"early_fetal.A1C": [0.5, -0.2501]})
    scores.to_csv(explained / check_seal.PUBLISHED_SCORES, sep="\t", index=False)
    _, problems = check_seal.deeplift(check_seal.QUICK)
    assert len(problems) == 2


def test_a_missing_truth_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_seal, "TRUTH", tmp_path / "truth.json")
    monkeypatch.setattr(check_seal, "ROOT", tmp_path)
    (tmp_path / "scripts").mkdir()
    demo = tmp_path / "scripts/demo.sh"
    demo.write_text("#!/bin/sh\nexit 0\n")
    demo.chmod(0o755)
    assert any("no floor for effect_spearman" in problem for problem in check_seal.world(check_seal.QUICK)[1])
    floors = dict.fromkeys(("expression_spearman", "effect_sign_agreement", "effect_spearman"), 0.5)
    summary = dict.fromkeys(floors, 0.8)
    (tmp_path / "truth.json").write_text(json.dumps({"summary": summary, "floors": floors, "floors_passed": True}))
    figures, problems = check_seal.world(check_seal.QUICK)
    assert (figures["world_spearman"], problems) == (0.8, [])
