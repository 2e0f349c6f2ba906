"""Prove the genome room: damaged files, liftover with known truth, TSS against BEDOPS, speed and memory.

The last line printed is one line of JSON, kept as results/checks/genome.json. Figures of real data are null where the
environment variable CISWEAVE_REAL_DATA names no folder, and those of BEDOPS where it is not installed. Exit status 1
means that something is not as it must be; speed is only reported.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.genome_extract import extract_speed
from benchmarks.genome_tss import tss_speed
from scripts.checks import Found, run_checks
from tests.checks_genome.fuzz import fuzz, fuzz_commands
from tests.checks_genome.lift_real import lift_real_roundtrip
from tests.checks_genome.lift_world import lift_world_right
from tests.checks_genome.streaming import stream_peak_mb
from tests.checks_genome.tss_cases import tss_cases
from tests.real.checks import data_folder

from cisweave.simulate import build_world

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results/checks/genome.json"
FIGURES = (
    "fuzz_cases",
    "fuzz_failures",
    "lift_world_right",
    "lift_real_roundtrip",
    "tss_cases",
    "tss_equal_bedops",
    "extract_speed_vs_tangermeme",
    "extract_speed_vs_pyfaidx",
    "tss_speed_vs_bedops",
    "tss_speed_vs_pyranges",
    "stream_peak_mb_1e5",
    "stream_peak_mb_1e6",
)
"""The figures in the order in which they are printed; others follow."""
LEAST_ROUNDTRIP = 0.99
MOST_GROWTH = 1.5
"""Of the peak memory, from 1e5 to 1e6 records."""


class Scale(NamedTuple):
    """How much of everything."""

    fuzz_cases: int = 10_000
    commands: int = 40
    worlds: tuple[tuple[str, int], ...] = (("demo", 1), ("tiny", 1), ("tiny", 2), ("tiny", 3))
    tss_tables: int = 400
    loci: int = 50_000
    variants: int = 1_000_000
    rounds: int = 5
    records: tuple[int, int] = (100_000, 1_000_000)


QUICK = Scale(300, 4, (("tiny", 1),), 40, 2_000, 50_000, 1, (20_000, 60_000))


def damaged_files(scale: Scale) -> Found:
    """Damaged files of every kind through the room, and some through the commands."""
    report = fuzz(scale.fuzz_cases, jobs=min(os.cpu_count() or 1, 8))
    failures = report.failures + fuzz_commands(scale.commands)
    figures = {
        "fuzz_cases": report.cases,
        "fuzz_failures": len(failures),
        "fuzz_refused": report.refused,
        "fuzz_commands": scale.commands,
    }
    return figures, failures


def lift_worlds(scale: Scale) -> Found:
    """Variants of built-in worlds, lifted: the share that comes to its true place, by class."""
    lowest: dict[str, float] = {}
    for size, seed in scale.worlds:
        with tempfile.TemporaryDirectory(prefix="cisweave-world-") as folder:
            build_world(folder, size, seed)
            for with_source in (False, True):
                for name, share in lift_world_right(Path(folder), with_source).items():
                    lowest[name] = min(share, lowest.get(name, 1.0))
    problems = [f"liftover: {share:.4f} of class {name} is right" for name, share in lowest.items() if share < 1]
    return {"lift_world_right": min(lowest.values()), "lift_world_classes": lowest}, problems


def lift_real(_: Scale) -> Found:
    """Real positions through the real chains and back."""
    folder, reason = data_folder()
    if folder is None:
        return {"lift_real_roundtrip": None, "real_data": reason}, []
    share = lift_real_roundtrip(folder)
    problems = [] if share >= LEAST_ROUNDTRIP else [f"liftover: only {share:.4f} of real positions come back"]
    return {"lift_real_roundtrip": round(share, 5), "real_data": "used"}, problems


def closest_tss(scale: Scale) -> Found:
    """The closest TSS of every awkward site, by both engines and by BEDOPS itself."""
    cases, equal = tss_cases(scale.tss_tables)
    problems = [] if equal in (None, cases) else [f"closest TSS: {equal} of {cases} cases are as BEDOPS has them"]
    return {"tss_cases": cases, "tss_equal_bedops": equal}, problems


def speed_of_sequences(scale: Scale) -> Found:
    """Windows out of a FASTA, against other programs."""
    return rounded(extract_speed(scale.loci, rounds=scale.rounds)), []


def speed_of_tss(scale: Scale) -> Found:
    """The closest TSS of many variants, against other programs."""
    return rounded(tss_speed(scale.variants, rounds=scale.rounds)), []


def rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """Ratios as people read them."""
    return {name: value if value is None else round(value, 2) for name, value in figures.items()}


def memory(scale: Scale) -> Found:
    """Peak memory of a short and a long file on the whole way."""
    few, many = (round(stream_peak_mb(number), 1) for number in scale.records)
    problems = [] if many <= MOST_GROWTH * few else [f"memory grows from {few} to {many} MB with the file"]
    return {"stream_peak_mb_1e5": few, "stream_peak_mb_1e6": many}, problems


PARTS: dict[str, tuple[str, Callable[[Scale], Found]]] = {
    "speed": ("windows, against tangermeme and pyfaidx", speed_of_sequences),
    "tss-speed": ("the closest TSS, against BEDOPS, pyranges and bioframe", speed_of_tss),
    "memory": ("memory of a stream of 1e5 and of 1e6 records", memory),
    "lift": ("liftover of built-in worlds", lift_worlds),
    "lift-real": ("liftover there and back on real chains", lift_real),
    "tss": ("the closest TSS of awkward cases", closest_tss),
    "fuzz": ("damaged files (minutes)", damaged_files),
}
"""The parts in the order in which they run: what is timed comes first."""


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(run_checks("genome", __doc__ or "", PARTS, FIGURES, OUT, (Scale(), QUICK)))
