"""How well expression is predicted: per context, with intervals, and gene by gene (Seal, section 3.6).

Dimension legend
    genes - rows, contexts - outputs, resamples - bootstrap draws of the genes, values - distinct values of a vector
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.resampling import draw_counts, resampled_spearman

if TYPE_CHECKING:
    from cisweave.seal.expression import ExpressionData

INTERVAL = (0.025, 0.975)
"""Quantiles of the resamples that bound an interval."""
SIX_DIGITS = "%.6g"
"""How scores are shown in tables; ``metrics.json`` has them in full."""
PERFORMANCE_COLUMNS = ["phase", "context", "genes", "mse", "spearman", "spearman_low", "spearman_high"]


def score_expression(
    predicted: NDArray[np.floating], measured: NDArray[np.floating], contexts: Sequence[str]
) -> dict[str, Any]:
    """Spearman correlation and mean squared error across genes, per context and as median over contexts.

    A correlation is None where it does not exist: for one gene, or for predictions that are all the same.
    """
    per_context = {
        context: {
            "spearman": spearman(predicted[:, number], measured[:, number]),
            "mse": squared_error(predicted[:, number], measured[:, number]),
        }
        for number, context in enumerate(contexts)
    }
    known = [scores["spearman"] for scores in per_context.values() if scores["spearman"] is not None]
    return {
        "genes": len(measured),
        "spearman_median": float(np.median(known)) if known else None,
        "mse_median": float(np.median([scores["mse"] for scores in per_context.values()])),
        "per_context": per_context,
    }


def spearman(predicted: NDArray[np.floating], measured: NDArray[np.floating]) -> float | None:
    """Spearman correlation of two vectors; None where one of them does not vary."""
    from scipy.stats import spearmanr

    if np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        return None
    return float(spearmanr(predicted, measured).statistic)


def squared_error(predicted: NDArray[np.floating], measured: NDArray[np.floating]) -> float:
    """Mean squared error of any number of values."""
    return float(((predicted.astype(np.float64) - measured) ** 2).mean())


def number_of(score: float | None) -> float:
    """A score as a number: NaN where there is none."""
    return float("nan") if score is None else float(score)


# --- intervals --------------------------------------------------------------------------------------------------------
def performance_table(
    predicted: NDArray[np.floating],
    measured: NDArray[np.floating],
    contexts: Sequence[str],
    phase: str,
    resamples: int = 0,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracy per context with 95 % intervals of Spearman's correlation over resampled genes.

    Parameters
    ----------
    predicted, measured
        ln expression (genes, contexts).
    phase
        Name of the model in the table's column ``phase``.
    resamples
        Bootstrap draws of the genes, the same for every context; 0: no intervals (NaN).

    Returns
    -------
    pandas.DataFrame
        :data:`PERFORMANCE_COLUMNS`, a row per context.
    """
    genes = len(measured)
    scores = score_expression(predicted, measured, contexts)["per_context"]
    counts = draw_counts(genes, resamples, seed, "bootstrap")
    rows = []
    for number, context in enumerate(contexts):
        low, high = spearman_interval(predicted[:, number], measured[:, number], counts)
        rows.append((phase, context, genes, scores[context]["mse"], scores[context]["spearman"], low, high))
    table = pd.DataFrame(rows, columns=PERFORMANCE_COLUMNS)
    return table.astype({"spearman": "float64"})


def spearman_interval(
    predicted: NDArray[np.floating], measured: NDArray[np.floating], counts: NDArray[np.int64]
) -> tuple[float, float]:
    """Bounds of Spearman's correlation over resamples; ``counts`` (resamples, genes) says how often each was drawn."""
    drawn = resampled_spearman(predicted, measured, counts)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, INTERVAL)
    return float(low), float(high)


# --- gene by gene -----------------------------------------------------------------------------------------------------
def long_table(data: ExpressionData, predicted: NDArray[np.float32]) -> pd.DataFrame:
    """One row per gene and context: gene_id, chrom, split, context, measured, predicted."""
    frames = [
        data.genes.assign(context=context, measured=data.targets[:, number], predicted=predicted[:, number])
        for number, context in enumerate(data.contexts)
    ]
    return pd.concat(frames, ignore_index=True)
