"""Correlations of resamples, against SciPy on items written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from cisweave.core.resampling import draw_counts, resampled_pearson, resampled_ranks, resampled_spearman


@pytest.fixture
def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Two vectors of 40 items that go together; a third of the second is tied."""
    random = np.random.default_rng(0)
    second = np.maximum(random.normal(size=40), -0.4)
    return second + random.normal(scale=0.7, size=40), second


def test_every_resample_draws_as_many_items_as_there_are() -> None:
    counts = draw_counts(7, 20, 1, "a")
    assert counts.shape == (20, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert (counts != draw_counts(7, 20, 1, "b")).any()
    assert draw_counts(0, 3, 1).shape == (3, 0)


def test_resampled_ranks_are_those_of_the_drawn_items(vectors: tuple[np.ndarray, np.ndarray]) -> None:
    counts = draw_counts(40, 5, 2)
    found = resampled_ranks(vectors[1], counts)
    for row, ranks in zip(counts, found, strict=True):
        items = np.repeat(np.arange(40), row)
        assert np.allclose(ranks[items], rankdata(vectors[1][items]))


def test_resampled_correlations_are_those_of_the_drawn_items(vectors: tuple[np.ndarray, np.ndarray]) -> None:
    counts = draw_counts(40, 25, 3)
    drawn = [np.repeat(np.arange(40), row) for row in counts]
    for found, library in ((resampled_pearson, pearsonr), (resampled_spearman, spearmanr)):
        expected = [library(vectors[0][items], vectors[1][items]).statistic for items in drawn]
        assert np.allclose(found(*vectors, counts), expected, atol=1e-12)


def test_a_resample_without_variation_has_no_correlation(vectors: tuple[np.ndarray, np.ndarray]) -> None:
    counts = np.zeros((2, 40), dtype=np.int64)
    counts[0, 3] = 40
    counts[1] = 1
    for resampled in (resampled_pearson, resampled_spearman):
        found = resampled(*vectors, counts)
        assert np.isnan(found[0])
        assert np.isfinite(found[1])
