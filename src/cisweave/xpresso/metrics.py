"""Figures of agreement between predicted and measured expression, with intervals over genes and over seeds.

==========  =========================================================================================================
``r2``      square of Pearson's correlation, the figure that Xpresso and its successors publish as R²; blind to scale,
            offset and sign of the predictions
``pearson`` Pearson's correlation
``R2``      coefficient of determination, 1 - SSE / SST; below 0 for predictions worse than the mean of these genes
``spearman`` Spearman's correlation
``mae``     mean absolute error, in the unit of the values (log10 expression)
``rmse``    root of the mean squared error, in the same unit
==========  =========================================================================================================

Predictions that are the same for all genes order nothing: their correlations are 0, as published for models that
collapsed. Where the measured values do not vary, correlations and ``R2`` are NaN.

Dimension legend
    genes - test genes, resamples - bootstrap draws of the genes, runs - trainings (seeds, folds)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cisweave.core.resampling import centred_ranks, draw_counts, rank_correlation, resampled_pearson

METRICS = ("r2", "pearson", "R2", "spearman", "mae", "rmse")
BLOCK = 2_000_000
"""Counts (resamples times genes) that are worked on at a time."""


def score(predicted: NDArray[np.floating], measured: NDArray[np.floating]) -> dict[str, float]:
    """All :data:`METRICS` of predictions (genes,) against measurements (genes,)."""
    predicted, measured = predicted.astype(np.float64), measured.astype(np.float64)
    if not len(measured):
        return dict.fromkeys(METRICS, float("nan"))
    error = predicted - measured
    total = ((measured - measured.mean()) ** 2).sum()
    pearson = correlation(predicted, measured, "pearson")
    return {
        "r2": pearson**2,
        "pearson": pearson,
        "R2": float(1 - (error**2).sum() / total) if varies(measured) else float("nan"),
        "spearman": correlation(predicted, measured, "spearman"),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
    }


def varies(values: NDArray[np.floating]) -> bool:
    """Whether not all values are the same."""
    return len(values) > 0 and bool(np.ptp(values) > 0)


def correlation(predicted: NDArray[np.floating], measured: NDArray[np.floating], kind: str) -> float:
    """Pearson's or Spearman's correlation; 0 where the predictions do not vary, NaN where the measurements do not."""
    from scipy.stats import pearsonr, spearmanr

    if not varies(measured):
        return float("nan")
    if not varies(predicted):
        return 0.0
    return float((pearsonr if kind == "pearson" else spearmanr)(predicted, measured).statistic)


# --- over genes -------------------------------------------------------------------------------------------------------
class GeneResamples:
    """Draws with replacement of one set of genes, the same for every prediction of these genes.

    Parameters
    ----------
    measured
        Measured values (genes,).
    resamples
        Number of draws; 0 gives none.
    seed, fold
        What the draws depend on, besides the number of genes.
    """

    def __init__(self, measured: NDArray[np.floating], resamples: int, seed: int, fold: int = 1):
        self.measured = measured.astype(np.float64)
        counts = draw_counts(len(measured), resamples, seed, "bootstrap", fold)
        parts = max(1, -(-counts.size // BLOCK))
        self.blocks = [block for block in np.array_split(counts, parts) if len(block)]
        self.varies = varies(self.measured)
        self._ranks: list[NDArray[np.float64]] | None = None

    def pearson(self, predicted: NDArray[np.floating]) -> NDArray[np.float64]:
        """Pearson's correlation (resamples,) of predictions (genes,)."""
        if self.varies and not varies(predicted):
            return np.zeros(sum(len(block) for block in self.blocks))
        return joined([resampled_pearson(predicted, self.measured, block) for block in self.blocks])

    def r2(self, predicted: NDArray[np.floating]) -> NDArray[np.float64]:
        """Its square (resamples,)."""
        squared: NDArray[np.float64] = self.pearson(predicted) ** 2
        return squared

    def spearman(self, predicted: NDArray[np.floating]) -> NDArray[np.float64]:
        """Spearman's correlation (resamples,) of predictions (genes,)."""
        if self.varies and not varies(predicted):
            return np.zeros(sum(len(block) for block in self.blocks))
        if self._ranks is None:
            self._ranks = [centred_ranks(self.measured, block) for block in self.blocks]
        pairs = zip(self.blocks, self._ranks, strict=True)
        return joined([rank_correlation(centred_ranks(predicted, block), ranks, block) for block, ranks in pairs])

    def scores(self, predicted: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """All :data:`METRICS` (resamples,) of predictions (genes,)."""
        predicted = predicted.astype(np.float64)
        pearson = self.pearson(predicted)
        error = predicted - self.measured
        centred = self.measured - self.measured.mean() if len(self.measured) else self.measured
        columns = np.stack([np.abs(error), error**2, centred, centred**2], axis=1)
        means = [block @ columns / max(len(self.measured), 1) for block in self.blocks]
        mae, mse, middle, square = np.concatenate(means).T if means else np.zeros((4, 0))
        spread = square - middle**2
        unexplained = np.divide(mse, spread, out=np.full(len(mse), np.nan), where=spread > 0)
        return {
            "r2": pearson**2,
            "pearson": pearson,
            "R2": 1 - unexplained,
            "spearman": self.spearman(predicted),
            "mae": mae,
            "rmse": np.sqrt(mse),
        }


def joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """All blocks of resamples in one."""
    return np.concatenate(parts) if parts else np.zeros(0)


def interval(drawn: NDArray[np.floating], confidence: float, drawn_alone: bool = False) -> tuple[float, float]:
    """Quantiles of the resamples that hold ``confidence`` between them; NaN without resamples.

    With ``drawn_alone`` they are values that were drawn, not between two of them: ranks stay whole.
    """
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return float("nan"), float("nan")
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(drawn, ends, method="inverted_cdf" if drawn_alone else "linear")
    return float(low), float(high)


def bootstrap_p(difference: float, drawn: NDArray[np.floating]) -> float:
    """Two-sided p of a difference by its bootstrap standard error (normal), NaN where that cannot be told.

    Counting resamples beyond 0 could not go below 2 / resamples, too coarse for many pairs.
    """
    from scipy.stats import norm

    drawn = drawn[np.isfinite(drawn)]
    error = float(drawn.std(ddof=1)) if len(drawn) > 1 else 0.0
    return float(2 * norm.sf(abs(difference) / error)) if error > 0 else float("nan")


# --- over seeds and folds ---------------------------------------------------------------------------------------------
def t_interval(values: NDArray[np.floating], confidence: float) -> tuple[float, float]:
    """Mean ± t · s / √n of the runs' figures (runs,); NaN for fewer than two."""
    from scipy.stats import t

    number = len(values)
    if number < 2:
        return float("nan"), float("nan")
    reach = float(t.ppf((1 + confidence) / 2, number - 1) * values.std(ddof=1) / np.sqrt(number))
    middle = float(values.mean())
    return middle - reach, middle + reach


def paired_p(differences: NDArray[np.floating]) -> float:
    """Two-sided p of paired differences (runs,) by Student's t; NaN for fewer than two, or equal ones."""
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0.0).pvalue) if len(differences) > 1 and varies(differences) else float("nan")


def holm(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Adjust p values (tests,) by Holm's method, those that are numbers; the others stay NaN."""
    adjusted = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted
