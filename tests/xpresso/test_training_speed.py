"""The benchmark of training, as small as can be: all figures are there, and both ways compute the same."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


def test_figures_of_a_small_run() -> None:
    from benchmarks.xpresso import training_speeds

    report = training_speeds(pairs=1, genes=32, batch=16, small=True, epoch_genes=64)
    for name in ("xpresso", "deeplncloc"):
        assert report[f"{name}_max_abs_diff"] <= 1e-5
        assert report[f"{name}_speed"] > 0
        assert report[f"{name}_genes_per_s"] > 0
        assert f"{name}_epoch_s" in report
    assert report["window"] == 1_000
