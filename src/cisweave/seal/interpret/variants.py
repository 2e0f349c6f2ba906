"""Which variants are explained: those that can be scored, or the strongest of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError, shorten
from cisweave.models.profiles import ProfileStore
from cisweave.seal.assigned import read_assigned
from cisweave.seal.predict import check_assembly, check_genes, rejection_reasons, unscored_alleles
from cisweave.sequence.genome import Genome


def choose_variants(
    path: str | Path,
    genome: Genome,
    store: ProfileStore,
    window: int,
    shifts: list[int],
    contexts: Sequence[str],
    top: int | None,
    stage: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The variants to explain in the order of the user's file, and ledger rows of those that cannot be scored.

    Parameters
    ----------
    path
        Variant table with genes (Parquet or TSV), or a table of effects, which has a column per context as well.
    top
        Only so many variants (pairs of allele and gene), by the largest absolute value over the columns of
        ``contexts``; None for all.
    stage
        Name of the step in the ledger.
    """
    table, others = read_assigned(path)
    check_genes(table, store, path)
    check_assembly(table, genome)
    reasons = rejection_reasons(table, genome, store, window, shifts)
    kept, rejected = table[reasons == ""], unscored_alleles(table, reasons, stage)
    if top is not None:
        kept = kept.iloc[strongest_rows(others[reasons == ""], contexts, top, path)]
    return kept.reset_index(drop=True), rejected


def strongest_rows(effects: pd.DataFrame, contexts: Sequence[str], top: int, path: str | Path) -> NDArray[np.int64]:
    """Numbers (top,) of the rows with the largest absolute effect in any of the contexts, in table order."""
    found = [context for context in contexts if context in effects]
    if not found and len(effects.columns):
        raise CisweaveError(
            f"top_variants needs effects in {shorten(', '.join(contexts))}, and the table has the columns "
            f"{shorten(', '.join(map(str, effects)))}; give what seal predict wrote with this very model",
            path=path,
        )
    if not found:
        raise CisweaveError(
            "top_variants needs the effects: give the table that seal predict wrote (--out), not the variants alone",
            path=path,
        )
    strength = np.nan_to_num(np.abs(effects[found].to_numpy(dtype=np.float64))).max(axis=1)
    rows: NDArray[np.int64] = np.sort(np.argsort(-strength, kind="stable")[:top])
    return rows


def chosen_outputs(wanted: Sequence[str], outputs: Sequence[str]) -> list[int]:
    """Numbers of the contexts that are wanted, all where none is named; a stranger is an error."""
    twice = [context for context, times in Counter(wanted).items() if times > 1]
    if twice:
        raise CisweaveError(f"context {twice[0]} is asked for twice")
    strangers = [context for context in wanted if context not in outputs]
    if strangers:
        raise CisweaveError(
            f"the model has no context {', '.join(strangers)}; it has {', '.join(outputs[:5])}"
            f"{' …' if len(outputs) > 5 else ''}"
        )
    return [outputs.index(context) for context in wanted] or list(range(len(outputs)))
