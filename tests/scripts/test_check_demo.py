"""The proof of an installation: its figures, and what makes it fail."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cisweave.report.probes import PROBES

ROOT = Path(__file__).parents[2]
SUMMARY = {
    "expression_spearman": 0.8,
    "baseline_spearman": 0.1,
    "effect_sign_agreement": 0.9,
    "effect_spearman": 0.7,
    "motif_recall": 0.6,
    "probes": len(PROBES),
    "probes_passed": len(PROBES),
}
TRUTH: dict[str, Any] = {
    "summary": SUMMARY,
    "probes": {name: {} for name in PROBES},
    "floors": {"motif_recall": {"value": 0.6, "floor": 0.5, "passed": True}},
    "floors_passed": True,
}
MUTATIONS = {"mutations": 2, "mutations_caught": 2, "missed": []}
REAL = {"seal_rows": 206, "seal_rows_equal": 206, "chr20_in": 5, "chr20_scored": 3, "chr20_rejected": 2, "other": 1}


@pytest.fixture
def check_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, on a folder of results as a good run leaves them, with all it calls replaced."""
    spec = importlib.util.spec_from_file_location("check_demo", ROOT / "scripts/check_demo.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("OUT", "TRUTH", "REPORT", "MUTATIONS"):
        monkeypatch.setattr(module, name, tmp_path / getattr(module, name).name)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "SECONDS", {"set-up": tmp_path / "a", "demo": tmp_path / "b"})
    module.REPORT.touch()
    module.TRUTH.write_text(json.dumps(TRUTH))
    (tmp_path / "a").write_text("100\n")
    (tmp_path / "b").write_text("500\n")
    outcome: dict[str, Any] = {"mutations": MUTATIONS, "real": {**REAL, "real_data": "used"}, "status": {}}

    def run(command: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
        words = " ".join(map(str, command))
        part = next(part for part in ("demo.sh", "mutations", "check_real") if part in words)
        if part == "mutations":
            module.MUTATIONS.write_text(json.dumps(outcome["mutations"]))
        text = "noise\n" + (outcome.get("text") or json.dumps(outcome["real"])) + "\n"
        return subprocess.CompletedProcess(command, outcome["status"].get(part, 0), stdout=text)

    monkeypatch.setattr(module.subprocess, "run", run)
    module.outcome = outcome
    return module


def last_line(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert json.loads(module.OUT.read_text()) == figures
    return figures


def test_good_installation(check_demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_demo.main() == 0
    figures = last_line(check_demo, capsys)
    real = {name: value for name, value in REAL.items() if name != "other"}
    assert figures == {
        **SUMMARY,
        "mutations": 2,
        "mutations_caught": 2,
        "wall_s": 600,
        **real,
        "real_data": "used",
    }


def test_without_real_data_figures_are_null_with_a_reason(
    check_demo: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    check_demo.outcome["real"] = {**dict.fromkeys(REAL), "real_data": "CISWEAVE_REAL_DATA is not set"}
    assert check_demo.main() == 0
    figures = last_line(check_demo, capsys)
    assert figures["seal_rows"] is None
    assert figures["real_data"] == "CISWEAVE_REAL_DATA is not set"


@pytest.mark.parametrize("part", ["demo.sh", "mutations", "check_real"])
def test_each_part_can_fail_it(check_demo: ModuleType, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_demo.outcome["status"][part] = 1
    assert check_demo.main() == 1
    assert last_line(check_demo, capsys)["mutations"] == 2


def test_missed_mutation_and_failed_probe_are_told(check_demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    check_demo.outcome["mutations"] = {"mutations": 2, "mutations_caught": 1, "missed": ["flipped strand"]}
    check_demo.TRUTH.write_text(json.dumps({**TRUTH, "summary": {**SUMMARY, "probes_passed": 2}}))
    assert check_demo.main() == 1
    told = capsys.readouterr().err
    assert "check-demo: not caught: flipped strand" in told
    assert "check-demo: not every probe passed" in told


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"floors": {}}, "the truth check has no floors"),
        ({"floors_passed": False}, "not every floor was reached"),
        ({"probes": {name: {} for name in PROBES[1:]}}, f"the truth check has no probe {PROBES[0]}"),
        ({"probes": {name: {} for name in [*PROBES, "new"]}}, "the truth check has a probe new that is not listed"),
    ],
)
def test_truth_check_must_be_whole(
    check_demo: ModuleType, change: dict[str, Any], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_demo.TRUTH.write_text(json.dumps({**TRUTH, **change}))
    assert check_demo.main() == 1
    assert f"check-demo: {problem}\n" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["Killed", "3", "null"])
def test_checks_that_give_no_figures_are_a_problem(
    check_demo: ModuleType, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_demo.outcome["text"] = text
    assert check_demo.main() == 1
    told = capsys.readouterr()
    assert "check-demo: the checks on real data gave no figures" in told.err
    assert json.loads(told.out.splitlines()[-1])["seal_rows"] is None
