"""Floors of the truth check from several seeds: mean - 4 standard deviations of each figure.

Prints a table: one row a run, then mean, standard deviation (n - 1) and floor. A run has one seed:
    snakemake --profile profiles/local --configfile config/demo.yaml \
        --config run=seed2 seed=2 "simulate={enabled: true, size: demo, seed: 2}"
Run: python benchmarks/truth_floors.py results/*/truth.json > benchmarks/truth_floors.tsv
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

FIGURES = ["expression_spearman", "effect_sign_agreement", "effect_spearman", "motif_recall"]
DEVIATIONS = 4


def main(paths: list[Path]) -> None:
    """Read the truth checks of the runs and print the table."""
    rows = [[json.loads(path.read_text())["figures"][figure] for figure in FIGURES] for path in paths]
    columns = list(zip(*rows, strict=True))
    mean = [statistics.mean(column) for column in columns]
    deviation = [statistics.stdev(column) for column in columns]
    floor = [m - DEVIATIONS * s for m, s in zip(mean, deviation, strict=True)]
    print("run", *FIGURES, sep="\t")
    names = [path.parent.name for path in paths]
    for name, row in zip([*names, "mean", "sd", "floor"], [*rows, mean, deviation, floor], strict=True):
        print(name, *(f"{value:.4f}" for value in row), sep="\t")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
