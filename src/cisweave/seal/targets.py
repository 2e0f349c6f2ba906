"""What the expression model learns: tables of expression, pseudocounts, weights of genes (Seal, sections 3.2 and 3.3).

Dimension legend
    genes - rows, contexts - tissues or cell states, groups - contexts that share weights
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.genome.genes import without_version
from cisweave.seal.original.groups import ABSENT, read_context_groups
from cisweave.tables.frames import read_table

GENE = "gene_id"
GENE_WEIGHT_QUANTILES = (0.10, 0.70)


# --- expression tables ------------------------------------------------------------------------------------------------
def read_expression(path: str | Path, contexts: Sequence[str] | None = None) -> pd.DataFrame:
    """Read linear-scale expression of the given contexts (None: all columns) by gene, Ensembl ids without versions.

    Parameters
    ----------
    path
        TSV (plain or gzip) or Parquet: column ``gene_id``, then a column per context.
    contexts
        Columns to read, in the order wanted.

    Returns
    -------
    pandas.DataFrame
        (genes, contexts), indexed by gene id; NaN where a field is empty.

    Raises
    ------
    CisweaveError
        For columns that are missing or asked for twice, a gene that stands twice, text and negative values.
    """
    table = read_table(path, [GENE, *(contexts or [])], dtype={GENE: "str"})
    contexts = contexts_of(table, path) if contexts is None else list(contexts)
    check_contexts(contexts)
    table[GENE] = table[GENE].map(without_version, na_action="ignore")
    repeated = table.gene_id[table.gene_id.duplicated()]
    if len(repeated):
        raise CisweaveError(f"gene {repeated.iloc[0]} stands twice; keep one row a gene", path=path)
    values: pd.DataFrame = table.set_index(GENE)[contexts].apply(pd.to_numeric, errors="coerce")
    for context in contexts:
        finite = np.isfinite(values[context].to_numpy(dtype=np.float64))
        wrong = table.loc[table[context].notna().to_numpy() & ~finite]
        if len(wrong):
            gene, value = wrong.gene_id.iloc[0], wrong[context].iloc[0]
            raise CisweaveError(f"{value!r} of gene {gene} in {context} is not a number; leave it empty", path=path)
    if (values < 0).any(axis=None):
        raise CisweaveError("expression must not be negative: give linear-scale values, not logarithms", path=path)
    return values


def contexts_of(table: pd.DataFrame, path: str | Path) -> list[str]:
    """All columns of an expression table but that of the genes."""
    contexts = [str(name) for name in table.columns if name != GENE]
    if not contexts:
        raise CisweaveError("this table has no context: a column per context must follow gene_id", path=path)
    return contexts


def check_contexts(contexts: Sequence[str]) -> None:
    """Raise for a context that is asked for twice, or that is the column of the genes."""
    repeated = [context for context in contexts if list(contexts).count(context) > 1]
    if repeated or GENE in contexts:
        raise CisweaveError(f"{(repeated or [GENE])[0]!r} cannot be a context here; give each column once")


# --- pseudocounts -----------------------------------------------------------------------------------------------------
def pseudocount(values: NDArray[np.floating]) -> float:
    """The power of ten just above the smallest positive value's decade (Seal, section 3.2): 0.0034 gives 0.01."""
    positive = values[values > 0]
    if not len(positive):
        raise CisweaveError("a context has no positive expression value; remove it from the contexts")
    return float(10.0 ** (np.floor(np.log10(positive.min())) + 1))


# --- weights of genes -------------------------------------------------------------------------------------------------
def gene_weights(
    targets: NDArray[np.floating],
    weight: float,
    seen: NDArray[np.bool_] | None = None,
    groups: Iterable[Sequence[int]] | None = None,
) -> NDArray[np.float32]:
    """Weights of genes that vary much, or little, between the contexts of a group (Seal, section 3.3).

    In each group: ``weight`` for genes whose population sd over its contexts exceeds the 0.7 quantile of all genes,
    1 / weight below the 0.1 quantile (both strict, linear interpolation), 1 else. Contexts alone in their group, and
    those in none, have weight 1.

    Parameters
    ----------
    targets
        ln expression (genes, contexts).
    weight
        1 gives every gene the weight 1.
    seen
        Mask (genes,) of the genes that the quantiles are taken from; None: all.
    groups
        0-based contexts of each group; None: all contexts are one group.

    Returns
    -------
    numpy.ndarray
        float32 (genes, contexts).
    """
    weights = np.ones(targets.shape, dtype=np.float32)
    for members in [range(targets.shape[1])] if groups is None else groups:
        if len(members) > 1:
            weights[:, list(members)] = group_weights(targets[:, list(members)], weight, seen)[:, None]
    return weights


def group_weights(targets: NDArray[np.floating], weight: float, seen: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Weights (genes,) of one group of contexts from its ln expression (genes, contexts)."""
    spread = targets.astype(np.float64).std(axis=1)
    low, high = np.quantile(spread if seen is None else spread[seen], GENE_WEIGHT_QUANTILES)
    weights = np.ones(len(targets), dtype=np.float32)
    weights[spread > high] = weight
    weights[spread < low] = 1 / weight
    return weights


def read_groups(
    groups: str | Path | None, expression: str | Path, contexts: Sequence[str]
) -> dict[str, list[int]] | None:
    """Groups of the learned contexts: name -> 0-based places in ``contexts``; None without a file (or for ``NA``).

    The numbers in the file count the columns of the expression table (``gene_id`` not counted), whichever of them are
    learned and in whatever order; contexts that are not learned are passed over.
    """
    if groups is None or str(groups) == ABSENT:
        return None
    columns = contexts_of(read_table(expression, [GENE], dtype={GENE: "str"}).iloc[:0], expression)
    places = {name: number for number, name in enumerate(contexts)}
    named = {
        group: [columns[member] for member in members]
        for group, members in read_context_groups(groups, len(columns), columns).items()
    }
    return {group: [places[name] for name in names if name in places] for group, names in named.items()}
