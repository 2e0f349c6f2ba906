"""Accuracy per context and its intervals."""

import numpy as np
import pytest

from cisweave.seal.performance import (
    PERFORMANCE_COLUMNS,
    performance_table,
    score_expression,
)


@pytest.fixture
def vectors():
    """Predictions and measurements of 40 genes, a third of them tied as genes without expression are."""
    random = np.random.default_rng(0)
    measured = np.maximum(random.normal(size=40), -0.4)
    return measured + random.normal(scale=0.7, size=40), measured


def test_table_has_a_row_and_an_interval_per_context(vectors):
    predicted, measured = (np.stack([vector, -vector], axis=1) for vector in vectors)
    predicted[:, 1] = predicted[:, 0]
    table = performance_table(predicted, measured, ["a", "b"], "finetune", 400, seed=3)
    assert list(table.columns) == PERFORMANCE_COLUMNS
    assert table.context.tolist() == ["a", "b"]
    assert set(table.phase) == {"finetune"}
    assert (table.spearman_low < table.spearman).all()
    assert (table.spearman < table.spearman_high).all()
    assert table.spearman[1] == pytest.approx(-table.spearman[0])
    assert table.spearman_low[1] == pytest.approx(-table.spearman_high[0], abs=0.05)
    assert table.equals(performance_table(predicted, measured, ["a", "b"], "finetune", 400, seed=3))
    assert 0.1 < table.spearman_high[0] - table.spearman_low[0] < 0.6


def test_no_resamples_no_interval(vectors):
    predicted, measured = (vector[:, None] for vector in vectors)
    table = performance_table(predicted, measured, ["a"], "pretrain")
    assert np.isnan(table.spearman_low[0])
    assert table.mse[0] == pytest.approx(((predicted - measured) ** 2).mean(), rel=1e-12)


def test_a_constant_prediction_has_no_correlation(vectors):
    scores = score_expression(np.zeros((40, 1)), vectors[1][:, None], ["a"])
    assert scores["spearman_median"] is None
    assert np.isnan(performance_table(np.zeros((40, 1)), vectors[1][:, None], ["a"], "x", 10).spearman[0])
