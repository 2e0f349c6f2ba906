"""Prove that an installation works: the demo, its truth check, the mutation tests, the checks on real data.

The last line printed is one line of JSON, kept as results/checks/demo.json. Figures of real data are null, with the
reason, where the environment variable CISWEAVE_REAL_DATA names no folder. Exit status 1 means that something is not as
it must be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cisweave.core.files import read_json, write_json
from cisweave.report.probes import PROBES

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results/checks/demo.json"
TRUTH = ROOT / "results/demo/truth.json"
REPORT = ROOT / "results/demo/report.html"
SECONDS = {"set-up": ROOT / ".venv/setup.seconds", "demo": ROOT / "results/demo/logs/demo.seconds"}
MUTATIONS = ROOT / "results/checks/mutations.json"
TRUTH_FIGURES = [
    "expression_spearman",
    "baseline_spearman",
    "effect_sign_agreement",
    "effect_spearman",
    "motif_recall",
    "probes",
    "probes_passed",
]
REAL_FIGURES = ["seal_rows", "seal_rows_equal", "chr20_in", "chr20_scored", "chr20_rejected"]


def say(text: str) -> None:
    """Tell what is going on; standard output is for the figures."""
    print(f"check-demo: {text}", file=sys.stderr, flush=True)


def run_demo() -> list[str]:
    """Run the demo, which does nothing where it is finished; return what went wrong."""
    say("the demo (nothing to do where it has run)")
    status = subprocess.run([ROOT / "scripts/demo.sh"], stdout=sys.stderr, check=False).returncode
    problems = [] if status == 0 else [f"the demo ended with status {status}"]
    return problems + [f"{path.relative_to(ROOT)} is missing" for path in (REPORT, TRUTH) if not path.is_file()]


def truth_figures() -> tuple[dict[str, Any], list[str]]:
    """Scores and probes of the truth check; nothing that must be checked may be left out of it."""
    truth = read_json(TRUTH) if TRUTH.is_file() else {}
    summary, run = truth.get("summary", {}), set(truth.get("probes", {}))
    problems = [f"the truth check has no probe {name}" for name in PROBES if name not in run]
    problems += [f"the truth check has a probe {name} that is not listed" for name in sorted(run - set(PROBES))]
    if summary.get("probes") is None or summary["probes"] != summary.get("probes_passed"):
        problems.append("not every probe passed")
    if not truth.get("floors"):
        problems.append("the truth check has no floors")
    elif not truth.get("floors_passed"):
        problems.append("not every floor was reached")
    return {name: summary.get(name) for name in TRUTH_FIGURES}, problems


def mutation_figures() -> tuple[dict[str, Any], list[str]]:
    """How many defects were planted and how many the probes caught."""
    say("the mutation tests: each probe must catch its defect (a tiny model is trained the first time)")
    MUTATIONS.unlink(missing_ok=True)
    command = [sys.executable, "-m", "cisweave", "report", "mutations", "--out", MUTATIONS]
    status = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode
    result = read_json(MUTATIONS) if MUTATIONS.is_file() else {}
    problems = [f"not caught: {name}" for name in result.get("missed", [])]
    if status != 0 and not problems:
        problems = [f"the mutation tests ended with status {status}"]
    return {name: result.get(name) for name in ("mutations", "mutations_caught")}, problems


def real_figures() -> tuple[dict[str, Any], list[str]]:
    """Figures of the checks on real data."""
    say("the checks on real data")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/check_real.py"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    problems = [] if done.returncode == 0 else ["a figure of the real data is not what it must be"]
    try:
        figures = dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        figures = {"real_data": "the checks gave no figures"}
        problems = ["the checks on real data gave no figures"]
    return {**{name: figures.get(name) for name in REAL_FIGURES}, "real_data": figures.get("real_data")}, problems


def wall_seconds() -> int | None:
    """Seconds from the clone to the report: set-up and demo."""
    if not all(path.is_file() for path in SECONDS.values()):
        return None
    return sum(int(path.read_text()) for path in SECONDS.values())


def main() -> int:
    """Run all parts, print the figures and return the exit status."""
    problems = run_demo()
    truth, unproven = truth_figures()
    mutations, missed = mutation_figures()
    real, wrong = real_figures()
    problems += unproven + missed + wrong
    figures = {**truth, **mutations, "wall_s": wall_seconds(), **real}
    for problem in problems:
        say(problem)
    write_json(OUT, figures)
    print(json.dumps(figures))
    return 1 if problems else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
