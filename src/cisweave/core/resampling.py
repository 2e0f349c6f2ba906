"""Genes drawn with replacement: correlations of all resamples at once.

A resample is told by how often each item was drawn. What holds of the items weighted by these counts holds of the drawn
items written out, so no resample is ever written out.

Dimension legend
    items - genes, resamples - bootstrap draws of the items
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cisweave.core.seeds import generator

LEAST_VARIATION = 1e-12
"""A resample whose variance is below this share of that of all items counts as one without variation."""


def draw_counts(items: int, resamples: int, seed: int, *names: str | int) -> NDArray[np.int64]:
    """How often each item is drawn (resamples, items); rows add up to ``items``."""
    if not items:
        return np.zeros((resamples, 0), dtype=np.int64)
    counts: NDArray[np.int64] = generator(seed, *names).multinomial(items, np.full(items, 1 / items), size=resamples)
    return counts


def resampled_ranks(vector: NDArray[np.floating], counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Ranks (resamples, items) that the items have among those drawn; equal values share the mean of their ranks."""
    values, place = np.unique(vector, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(values)))
    drawn = np.add.reduceat(counts[:, order], starts, axis=1)
    mean_rank = np.cumsum(drawn, axis=1) - (drawn - 1) / 2
    ranks: NDArray[np.float64] = mean_rank[:, place]
    return ranks


def resampled_spearman(
    first: NDArray[np.floating], second: NDArray[np.floating], counts: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Spearman's correlation (resamples,) of two vectors (items,); NaN where a side does not vary."""
    return rank_correlation(centred_ranks(first, counts), centred_ranks(second, counts), counts)


def centred_ranks(vector: NDArray[np.floating], counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """:func:`resampled_ranks` less their mean, for :func:`rank_correlation`."""
    centred: NDArray[np.float64] = resampled_ranks(vector, counts) - (counts.sum(axis=1, keepdims=True) + 1) / 2
    return centred


def rank_correlation(
    first: NDArray[np.float64], second: NDArray[np.float64], counts: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Correlation (resamples,) of centred ranks (resamples, items); NaN where a side does not vary."""
    together = np.einsum("ri,ri,ri->r", counts, first, second)
    alone = np.einsum("ri,ri,ri->r", counts, first, first) * np.einsum("ri,ri,ri->r", counts, second, second)
    return divide(together, np.sqrt(alone), alone > 0)


def resampled_pearson(
    first: NDArray[np.floating], second: NDArray[np.floating], counts: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Pearson's correlation (resamples,) of two vectors (items,); NaN where a side does not vary."""
    x, y = (vector - vector.mean(dtype=np.float64) for vector in (first, second))
    moments = counts.astype(np.float64) @ np.stack([x, y, x * x, y * y, x * y], axis=1) / counts.sum(axis=1)[:, None]
    mean_x, mean_y, square_x, square_y, product = moments.T
    var_x, var_y = square_x - mean_x**2, square_y - mean_y**2
    varied = (var_x > LEAST_VARIATION * (x * x).mean()) & (var_y > LEAST_VARIATION * (y * y).mean())
    return divide(product - mean_x * mean_y, np.sqrt(np.maximum(var_x * var_y, 0)), varied)


def divide(above: NDArray[np.float64], below: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Quotient, NaN elsewhere."""
    quotient: NDArray[np.float64] = np.divide(above, below, out=np.full(len(above), np.nan), where=where)
    return quotient
