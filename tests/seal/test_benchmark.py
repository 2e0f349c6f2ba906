"""The benchmark of the fast engine, as small as can be: all figures are there and right."""

import pytest

pytestmark = pytest.mark.slow


def test_figures_of_a_small_run(monkeypatch):
    from benchmarks.seal import DATA, engine_speed

    monkeypatch.delenv(DATA, raising=False)
    report = engine_speed(
        small=True, pairs=1, plain_number=2, fast_number=8, promoter=40, memory_variants=4, precisions=False
    )
    assert report["probability_max_abs_diff"] <= 1e-6
    assert report["head_max_abs_diff"] <= 1e-6
    assert report["head_max_rel_diff"] <= 1e-4
    assert report["engine_max_rel_diff"] <= 1e-3
    assert report["score_sd"] >= 0.01
    assert report["saturation_alleles"] == 120
    assert report["peak_mb_10x"] < 1.2 * report["peak_mb_1x"]
    assert {"engine_speed_snv", "engine_speed_indel", "engine_speed_saturation", "plain_gflops"} <= set(report)
