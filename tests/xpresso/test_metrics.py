"""Figures of agreement and their intervals, against SciPy, scikit-learn and published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress, spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from cisweave.xpresso.metrics import (
    METRICS,
    GeneResamples,
    bootstrap_p,
    holm,
    interval,
    paired_p,
    score,
    t_interval,
)

DEEPLNCLOC = np.array([0.588, 0.589, 0.608, 0.608, 0.607, 0.608, 0.594, 0.590, 0.586, 0.580])
"""Stored r² of ten runs of the promoter-only DeepLncLoc transformer; published as 0.5958 [0.5880, 0.6036]."""


@pytest.fixture
def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Predictions and measurements of 50 genes, a third of them tied as genes without expression are."""
    random = np.random.default_rng(0)
    measured = np.maximum(random.normal(size=50), -0.4)
    return 0.5 * measured + random.normal(scale=0.6, size=50) + 3, measured


def test_scores_are_those_of_the_libraries(vectors) -> None:
    predicted, measured = vectors
    found = score(predicted, measured)
    assert list(found) == list(METRICS)
    assert found["r2"] == pytest.approx(linregress(predicted, measured).rvalue ** 2, abs=1e-12)
    assert found["R2"] == pytest.approx(r2_score(measured, predicted), abs=1e-12)
    assert found["R2"] < 0 < found["r2"]  # the offset of 3 that r2 does not see
    assert found["spearman"] == pytest.approx(spearmanr(predicted, measured).statistic, abs=1e-12)
    assert found["mae"] == pytest.approx(mean_absolute_error(measured, predicted), abs=1e-12)
    assert found["rmse"] == pytest.approx(mean_squared_error(measured, predicted) ** 0.5, abs=1e-12)


def test_the_sign_of_a_correlation_is_lost_in_its_square_alone(vectors) -> None:
    predicted, measured = vectors
    up, down = score(predicted, measured), score(-predicted, measured)
    assert up["r2"] == pytest.approx(down["r2"])
    assert up["pearson"] == pytest.approx(-down["pearson"])


def test_a_collapsed_model_explains_nothing(vectors) -> None:
    _, measured = vectors
    found = score(np.full(50, measured.mean()), measured)
    assert (found["r2"], found["spearman"]) == (0.0, 0.0)
    assert found["R2"] == pytest.approx(0.0, abs=1e-12)
    drawn = GeneResamples(measured, 20, seed=1).scores(np.full(50, 0.1))
    assert not drawn["r2"].any()
    assert not drawn["spearman"].any()


def test_measurements_that_do_not_vary_have_no_correlation() -> None:
    found = score(np.arange(4.0), np.ones(4))
    assert np.isnan([found["r2"], found["R2"], found["spearman"]]).all()
    assert found["mae"] == 1.0
    assert np.isnan(GeneResamples(np.ones(4), 3, seed=1).scores(np.arange(4.0))["r2"]).all()


def test_resampled_scores_are_those_of_the_drawn_genes(vectors) -> None:
    predicted, measured = vectors
    resamples = GeneResamples(measured, 25, seed=3)
    found = resamples.scores(predicted)
    for number, counts in enumerate(np.concatenate(resamples.blocks)):
        genes = np.repeat(np.arange(50), counts)
        assert len(genes) == 50
        expected = score(predicted[genes], measured[genes])
        for metric in METRICS:
            assert found[metric][number] == pytest.approx(expected[metric], abs=1e-9), metric


def test_blocks_of_resamples_change_nothing(vectors, monkeypatch) -> None:
    predicted, measured = vectors
    whole = GeneResamples(measured, 30, seed=3).scores(predicted)
    monkeypatch.setattr("cisweave.xpresso.metrics.BLOCK", 400)
    resamples = GeneResamples(measured, 30, seed=3)
    assert len(resamples.blocks) == 4
    parts = resamples.scores(predicted)
    assert all(np.allclose(whole[metric], parts[metric], rtol=0, atol=1e-12) for metric in METRICS)


def test_resamples_depend_on_seed_and_fold(vectors) -> None:
    predicted, measured = vectors
    first, same, seed, fold = (
        GeneResamples(measured, 5, *place).r2(predicted) for place in ((1, 1), (1, 1), (2, 1), (1, 2))
    )
    assert (first == same).all()
    assert (first != seed).any()
    assert (first != fold).any()


def test_no_resamples_no_interval(vectors) -> None:
    predicted, measured = vectors
    drawn = GeneResamples(measured, 0, seed=1).scores(predicted)
    assert all(len(values) == 0 for values in drawn.values())
    assert np.isnan(interval(drawn["r2"], 0.95)).all()


def test_a_large_offset_does_not_spoil_the_correlation(vectors) -> None:
    predicted, measured = vectors
    resamples = GeneResamples(measured, 10, seed=1)
    assert np.allclose(resamples.r2(predicted + 1e6), resamples.r2(predicted), atol=1e-6)


def test_interval_holds_the_middle_of_the_draws() -> None:
    drawn = np.append(np.arange(101.0), np.nan)
    assert interval(drawn, 0.9) == pytest.approx((5.0, 95.0))


def test_t_interval_is_the_published_one() -> None:
    low, high = t_interval(DEEPLNCLOC, 0.95)
    assert round(float(DEEPLNCLOC.mean()), 4) == 0.5958
    assert (round(low, 4), round(high, 4)) == (0.5880, 0.6036)
    assert np.isnan(t_interval(DEEPLNCLOC[:1], 0.95)).all()


def test_holm_is_the_textbook_procedure() -> None:
    found = holm(np.array([0.04, 0.01, np.nan, 0.03, 0.005]))
    assert found[[1, 0, 3, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(found[2])
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]


def test_paired_p_is_students() -> None:
    assert paired_p(np.array([1.0, 2.0, 3.0])) == pytest.approx(0.0741799, abs=1e-6)  # t = 2 · √3, 2 degrees of freedom
    assert np.isnan(paired_p(np.array([1.0])))
    assert np.isnan(paired_p(np.array([1.0, 1.0])))


def test_p_over_genes_keeps_its_level() -> None:
    """Of two models that are equally good, one in twenty pairs differs at 0.05."""
    random = np.random.default_rng(5)
    small = 0
    for trial in range(300):
        measured = random.normal(size=150)
        shared = measured + random.normal(size=150)
        first, second = (shared + random.normal(scale=0.5, size=150) for _ in range(2))
        resamples = GeneResamples(measured, 200, seed=trial)
        difference = score(first, measured)["r2"] - score(second, measured)["r2"]
        small += bootstrap_p(difference, resamples.r2(first) - resamples.r2(second)) < 0.05
    assert 5 <= small <= 28  # 15 expected; 3.4 binomial standard deviations on either side


def test_p_without_spread_is_no_number() -> None:
    assert np.isnan(bootstrap_p(0.1, np.zeros(0)))
    assert np.isnan(bootstrap_p(0.0, np.zeros(10)))
    assert bootstrap_p(1.96, np.random.default_rng(0).normal(size=100_000)) == pytest.approx(0.05, abs=0.002)
