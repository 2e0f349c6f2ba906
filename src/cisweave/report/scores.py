"""The three scores of the truth check: expression, variant effects, motif recall. Test contigs only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cisweave.core.errors import CisweaveError
from cisweave.report.world import accepted_matrices

PAIR_KEY = ["record", "allele", "gene_id"]
PLACE = ["dist_to_tss", "gene_strand"]
TRUE_COLUMNS = ["record", "allele", "chrom", "pos", "ref", "alt", "gene_id", "kind", "tf", "swapped"]
MIN_PAIRS = 5
"""Fewest variants a context (or transcription factor) must have for a Spearman correlation of its own."""

MIN_OVERLAP = 0.5
"""Share of a planted instance that a seqlet must cover."""


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's rank correlation; 0 where one side is constant, because it then tells nothing."""
    ranks = pd.DataFrame({"first": np.asarray(first, dtype=float), "second": np.asarray(second, dtype=float)}).rank()
    if len(ranks) < 2 or (ranks.nunique() < 2).any():
        return 0.0
    return float(np.corrcoef(ranks["first"], ranks["second"])[0, 1])


# --- expression -------------------------------------------------------------------------------------------------------
def join_expression(evaluations: Iterable[pd.DataFrame], truth: pd.DataFrame, chromosomes: list[str]) -> pd.DataFrame:
    """Predicted, measured and noise-free expression of the genes on ``chromosomes``.

    Parameters
    ----------
    evaluations
        Evaluation tables, one per context set: ``gene_id, chrom, context, measured, predicted``.
    truth
        Noise-free ln expression: ``gene_id``, then one column per context.

    Returns
    -------
    pandas.DataFrame
        Columns ``set`` (number of the evaluation table), ``context, gene_id, predicted, measured, noise_free``.
    """
    long = truth.melt("gene_id", var_name="context", value_name="noise_free")
    tables = [table.assign(set=number) for number, table in enumerate(evaluations)]
    joined = pd.concat(tables, ignore_index=True)
    joined = joined[joined.chrom.isin(chromosomes)].merge(long, on=["gene_id", "context"], validate="many_to_one")
    if joined.empty:
        raise CisweaveError(f"no evaluated gene lies on the test contigs {', '.join(chromosomes)}")
    return joined[["set", "context", "gene_id", "predicted", "measured", "noise_free"]]


def expression_by_context(joined: pd.DataFrame) -> pd.DataFrame:
    """Spearman per context against noise-free and against measured expression, over genes."""
    rows = [
        {
            "context": context,
            "genes": len(table),
            "spearman": spearman(table.predicted, table.noise_free),
            "spearman_measured": spearman(table.predicted, table.measured),
        }
        for (_, context), table in joined.groupby(["set", "context"], sort=False)
    ]
    return pd.DataFrame(rows)


# --- variant effects --------------------------------------------------------------------------------------------------
def join_effects(
    predictions: Iterable[pd.DataFrame],
    truth: pd.DataFrame,
    contexts: Sequence[str],
    chromosomes: list[str],
    min_effect: float,
) -> pd.DataFrame:
    """Predicted and true effects of motif variants, one row per variant, assigned gene and context.

    A motif variant changes a planted or chance motif instance (``tf`` is set in the truth). Only pairs of variant and
    context whose true effect is at least ``min_effect`` count.

    Parameters
    ----------
    predictions
        Effect tables, one per context set: the variant table's columns, then one column per context.
    truth
        True effects per variant and gene within reach, one column per context.
    contexts
        Names of all contexts.
    min_effect
        Least |true effect|, ln expression.
    """
    if "swapped" not in truth:
        truth = truth.assign(swapped=False)
    motif_variants = truth[truth.tf.notna() & (truth.tf != "") & truth.chrom.isin(chromosomes)]
    tables = [pair_effects(table, motif_variants, contexts) for table in predictions]
    pairs = pd.concat(tables, ignore_index=True)
    pairs = pairs[pairs.true.abs() >= min_effect].reset_index(drop=True)
    if pairs.empty:
        raise CisweaveError(
            f"no scored motif variant on {', '.join(chromosomes)} has a true effect of {min_effect} or more; "
            "lower truth.min_effect"
        )
    return pairs


def pair_effects(prediction: pd.DataFrame, truth: pd.DataFrame, contexts: Sequence[str]) -> pd.DataFrame:
    """Long table of one context set: predicted and true effect of each variant on its assigned gene."""
    shared = [name for name in contexts if name in prediction.columns and name in truth.columns]
    true = truth[TRUE_COLUMNS + shared].melt(TRUE_COLUMNS, var_name="context", value_name="true")
    fixed = [*PAIR_KEY, *PLACE]
    predicted = prediction[fixed + shared].melt(fixed, var_name="context", value_name="predicted")
    return true.merge(predicted, on=[*PAIR_KEY, "context"], validate="one_to_one")


def sign_agreement(true: ArrayLike, predicted: ArrayLike) -> float:
    """Share of pairs whose signs are equal; a prediction of exactly 0 agrees with nothing."""
    return float(np.mean(np.sign(np.asarray(true)) == np.sign(np.asarray(predicted))))


def median_spearman(pairs: pd.DataFrame, column: str = "predicted") -> float:
    """Spearman over variants in each context, median over the contexts with enough variants."""
    values = [spearman(table.true, table[column]) for _, table in pairs.groupby("context") if len(table) >= MIN_PAIRS]
    return float(np.median(values)) if values else 0.0


def effects_by(pairs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Sign agreement and Spearman per value of ``column`` (``tf``, ``kind`` or ``context``), over all pairs."""
    rows = [
        {
            column: name,
            "variants": len(table[["record", "allele"]].drop_duplicates()),
            "pairs": len(table),
            "sign_agreement": sign_agreement(table.true, table.predicted),
            "spearman": spearman(table.true, table.predicted) if len(table) >= MIN_PAIRS else None,
        }
        for name, table in pairs.groupby(column)
    ]
    return pd.DataFrame(rows)


# --- motif recall -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class SeqletNames:
    """Seqlets in genome coordinates (0-based half-open) with the matrix of their best assigned motif ("" for none)."""

    table: pd.DataFrame

    @classmethod
    def of(cls, chrom: ArrayLike, start: ArrayLike, end: ArrayLike, matrix_id: ArrayLike) -> SeqletNames:
        """From four columns."""
        return cls(pd.DataFrame({"chrom": chrom, "start": start, "end": end, "matrix_id": matrix_id}))


def reference_loci(loci: pd.DataFrame, chromosomes: list[str]) -> pd.DataFrame:
    """Attributed loci on ``chromosomes`` whose sequence is the genome's: promoters and reference alleles.

    Adds ``core_g_start`` and ``core_g_end``, the core bin in genome coordinates (0-based half-open).
    """
    allele = loci.allele.fillna("")
    chosen = loci[loci.chrom.isin(chromosomes) & allele.isin(["", "ref"])]
    return chosen.assign(core_g_start=chosen.start + chosen.core_start, core_g_end=chosen.start + chosen.core_end)


def instances_in_cores(instances: pd.DataFrame, loci: pd.DataFrame) -> pd.DataFrame:
    """Planted instances that lie whole inside the core bin of at least one of ``loci`` (each instance once)."""
    inside = np.zeros(len(instances), dtype=bool)
    for chrom, cores in loci.groupby("chrom"):
        here = (instances.chrom == chrom).to_numpy()
        start, end = instances.start.to_numpy()[here], instances.end.to_numpy()[here]
        within = (start[:, None] >= cores.core_g_start.to_numpy()) & (end[:, None] <= cores.core_g_end.to_numpy())
        inside[here] = within.any(axis=1)
    return instances[inside].reset_index(drop=True)


def mark_recall(instances: pd.DataFrame, seqlets: SeqletNames, motifs: pd.DataFrame) -> pd.DataFrame:
    """Add ``found``, ``named`` and ``named_exactly`` to ``instances``.

    An instance is found when one seqlet covers at least half of it, named when the motif assigned to such a seqlet is
    the planted matrix or one of its aliases, and named exactly when it is the planted matrix itself.
    """
    accepted = accepted_matrices(motifs)
    marks = np.zeros((len(instances), 3), dtype=bool)
    columns = (instances[name].tolist() for name in ("chrom", "start", "end", "tf", "matrix_id"))
    for number, (chrom, start, end, tf, matrix_id) in enumerate(zip(*columns, strict=True)):
        names = covering_names(seqlets, chrom, start, end)
        marks[number] = bool(names), bool(names & accepted.get(tf, {matrix_id})), matrix_id in names
    return instances.assign(found=marks[:, 0], named=marks[:, 1], named_exactly=marks[:, 2])


def covering_names(seqlets: SeqletNames, chrom: str, start: int, end: int) -> set[str]:
    """Matrices of the seqlets that cover at least half of an interval; "" stands for an unassigned seqlet."""
    table = seqlets.table
    overlap: NDArray[np.int64] = np.minimum(table.end, end) - np.maximum(table.start, start)
    return set(table.matrix_id[(table.chrom == chrom) & (overlap >= MIN_OVERLAP * (end - start))])


def recall_by_tf(marked: pd.DataFrame) -> pd.DataFrame:
    """Instances, share found, named and named exactly per transcription factor."""
    grouped = marked.groupby("tf")[["found", "named", "named_exactly"]]
    return grouped.mean().assign(instances=marked.groupby("tf").size()).reset_index()
