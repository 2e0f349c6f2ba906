"""The truth check: what is written, what fails, and with which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from cisweave.cli.report import app
from cisweave.config import TruthSettings
from cisweave.core.errors import CisweaveError
from cisweave.report import truth
from cisweave.report.probes import PROBES, Probe


def scores(recall: float = 0.8) -> truth.Scores:
    """Scores with one table."""
    figures = dict.fromkeys(truth.FIGURES, 0.7) | {"motif_recall": recall}
    good = {"gc_content": 0.1, "tss_distance": 0.2, "limit": 0.35, "passed": True}
    names = ("expression_spearman", "effect_sign_agreement", "effect_spearman", "motif_recall")
    table = pd.DataFrame({"tf": ["A"], "spearman": [float("nan")], "pairs": [3]})
    return truth.Scores(figures, {name: dict(good) for name in names}, {"loci": 3}, {"per_tf": table})


def outcomes(value: float = 0.5, reason: str = "") -> list[Probe]:
    """All probes, which pass up to 1; ``value`` and ``reason`` are those of the first."""
    first = Probe(PROBES[0], value, 1.0, "at most", "a difference", {"per_tf": {"A": value}}, reason)
    return [first, *(Probe(name, 0.5, 1.0, "at most", "a difference", {}) for name in PROBES[1:])]


def test_everything_passes() -> None:
    settings = TruthSettings(floors={"motif_recall": 0.75})
    result = truth.summarise(scores(), outcomes(), settings)
    assert result["passed"]
    assert result["failures"] == []
    assert result["floors"] == {"motif_recall": {"value": 0.8, "floor": 0.75, "passed": True}}
    assert result["summary"] == {
        "expression_spearman": 0.7,
        "baseline_spearman": 0.2,
        "effect_sign_agreement": 0.7,
        "effect_spearman": 0.7,
        "motif_recall": 0.8,
        "probes": 14,
        "probes_passed": 14,
    }
    assert list(result["probes"]) == list(PROBES)
    assert result["per_tf"] == [{"tf": "A", "spearman": None, "pairs": 3}]
    json.dumps(result, allow_nan=False)


def test_a_floor_a_baseline_and_a_probe_that_fail_are_named() -> None:
    found = scores(recall=0.5)
    found.baselines["effect_spearman"] |= {"gc_content": 0.5, "passed": False}
    result = truth.summarise(found, outcomes(2.0), TruthSettings(floors={"motif_recall": 0.75}))
    assert not result["passed"]
    assert (result["floors_passed"], result["baselines_passed"], result["probes_passed"]) == (False, False, False)
    floor, baseline, sharp = result["failures"]
    assert floor == "motif_recall is 0.5, below its floor 0.75"
    assert baseline.startswith("a baseline of effect_spearman reaches half of it or more (GC content 0.500")
    assert sharp == "probe strand failed: a difference is 2, must be at most 1"
    assert (result["summary"]["probes"], result["summary"]["probes_passed"]) == (14, 13)


def test_a_probe_without_a_value_fails_and_says_why() -> None:
    result = truth.summarise(scores(), outcomes(float("nan"), "there is nothing to look at"), TruthSettings())
    assert not result["passed"]
    assert result["failures"] == ["probe strand failed: a difference has no value, there is nothing to look at"]
    assert result["probes"]["strand"]["value"] is None
    assert result["probes"]["strand"]["reason"] == "there is nothing to look at"
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (lambda probes: probes[1:], "probe strand did not run"),
        (lambda probes: [*probes, probes[0]], "probe strand ran unexpectedly"),
        (lambda probes: [*probes, Probe("new", 0, 1, "at most", "m", {})], "probe new ran unexpectedly"),
    ],
)
def test_exactly_the_planned_probes_must_run(change: Callable[[list[Probe]], list[Probe]], failure: str) -> None:
    result = truth.summarise(scores(), change(outcomes()), TruthSettings())
    assert result["failures"] == [failure]
    assert (result["passed"], result["probes_passed"]) == (False, False)
    assert result["summary"]["probes"] == 14


def test_a_floor_for_an_unknown_figure_is_a_mistake() -> None:
    with pytest.raises(CisweaveError, match=r"truth\.floors\.recall: no such figure; write one of .*motif_recall"):
        truth.check_floor_names(TruthSettings(floors={"recall": 0.5}))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of a truth check whose scores and probes are given here."""
    monkeypatch.setattr(truth, "read_world", lambda folder: None)
    monkeypatch.setattr(truth, "score", lambda *_: scores())
    monkeypatch.setattr(truth, "run_probes", lambda *_: outcomes())
    names = [
        "world", "evaluation", "effects", "chromatin-effects", "loci", "sequences", "attributions", "annotated",
        "motifs", "motif-table", "chromatin", "pretrained", "profiles", "fasta",
    ]  # fmt: skip
    words = ["truth", "--out", str(tmp_path / "truth.json")]
    return words + [word for name in names for word in (f"--{name}", str(tmp_path / name))]


@pytest.mark.parametrize(("floor", "status"), [(0.75, 0), (0.9, 1)])
def test_truth_json_is_written_before_the_command_fails(
    world: list[str], tmp_path: Path, floor: float, status: int
) -> None:
    settings = json.dumps({"floors": {"motif_recall": floor}})
    done = CliRunner().invoke(app, [*world, "--settings", settings])
    assert done.exit_code == status
    written = json.loads((tmp_path / "truth.json").read_text())
    assert written["floors"]["motif_recall"]["passed"] is (status == 0)
    if status:
        assert "motif_recall is 0.8, below its floor 0.9" in done.stderr


def test_check_fails_on_a_failed_truth_check(world: list[str], tmp_path: Path) -> None:
    settings = json.dumps({"floors": {"motif_recall": 0.9}})
    done = CliRunner().invoke(app, [*world, "--settings", settings, "--no-stop"])
    assert done.exit_code == 0
    passed = tmp_path / "passed.json"
    done = CliRunner().invoke(app, ["check", "--truth", str(tmp_path / "truth.json"), "--out", str(passed)])
    assert done.exit_code == 1
    assert "below its floor" in done.stderr
    assert not passed.exists()


def test_numbers_are_rounded_and_what_is_not_finite_becomes_null() -> None:
    assert truth.rounded({"a": [0.123456789, float("inf"), True, 3, "x"]}) == {"a": [0.123457, None, True, 3, "x"]}


def test_shifts_keep_long_alleles_inside() -> None:
    assert truth.window_shifts(600) == [0, -60, 90]


@pytest.mark.parametrize(
    "text", ["[]", "{}", "null", '{"failures": []}', '{"failures": "none", "floors": {}, "probes": {}}']
)
def test_check_refuses_what_is_no_truth_check(tmp_path: Path, text: str) -> None:
    (tmp_path / "truth.json").write_text(text)
    passed = tmp_path / "passed.json"
    done = CliRunner().invoke(app, ["check", "--truth", str(tmp_path / "truth.json"), "--out", str(passed)])
    assert isinstance(done.exception, CisweaveError)
    assert "truth.json: this is not a truth check" in str(done.exception)
    assert not passed.exists()
