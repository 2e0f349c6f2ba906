"""Which variants are explained: those that can be scored, or the strongest of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.genome.table import GENE_COLUMNS, VARIANT_COLUMNS, read_variant_table
from cisweave.models.profiles import ProfileStore
from cisweave.seal.predict import rejection_reasons
from cisweave.tables.ledger import KEY, ledger_rows


def choose_variants(
    path: str | Path,
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
        Variant table with genes (Parquet), or a table of effects, which has a column per context as well.
    top
        Only so many variants (pairs of allele and gene), by the largest absolute value over the columns of
        ``contexts``; None for all.
    stage
        Name of the step in the ledger.
    """
    table = read_variant_table(path, GENE_COLUMNS).sort_values(KEY, kind="stable", ignore_index=True)
    reasons = rejection_reasons(table, store, window, shifts)
    kept, left_out = table[reasons == ""], table[reasons != ""].drop_duplicates(KEY)
    elsewhere = pd.MultiIndex.from_frame(left_out[KEY]).isin(pd.MultiIndex.from_frame(kept[KEY]))
    left_out = left_out[~elsewhere]
    rejected = ledger_rows(left_out, stage, reasons[left_out.index])
    if top is not None:
        kept = kept.iloc[strongest_rows(kept, contexts, top, path)]
    return kept[[*VARIANT_COLUMNS, *GENE_COLUMNS]].reset_index(drop=True), rejected


def strongest_rows(table: pd.DataFrame, contexts: Sequence[str], top: int, path: str | Path) -> NDArray[np.int64]:
    """Numbers (top,) of the rows with the largest absolute effect in any of the contexts, in table order."""
    found = [context for context in contexts if context in table]
    if not found:
        raise CisweaveError(
            "top_variants needs the effects: give the table that seal predict wrote (--out), not the variants alone",
            path=path,
        )
    strength = np.nan_to_num(np.abs(table[found].to_numpy(dtype=np.float64))).max(axis=1)
    rows: NDArray[np.int64] = np.sort(np.argsort(-strength, kind="stable")[:top])
    return rows


def chosen_outputs(wanted: Sequence[str], outputs: Sequence[str]) -> list[int]:
    """Numbers of the contexts that are wanted, all where none is named; a stranger is an error."""
    strangers = [context for context in wanted if context not in outputs]
    if strangers:
        raise CisweaveError(
            f"the model has no context {', '.join(strangers)}; it has {', '.join(outputs[:5])}"
            f"{' …' if len(outputs) > 5 else ''}"
        )
    return [outputs.index(context) for context in wanted] or list(range(len(outputs)))
