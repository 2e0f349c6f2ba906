"""Naming spans of loci by the workflow's own motif annotation, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cisweave.config import AnnotationSettings
from cisweave.seqlets.annotate import annotation_table, match_seqlets, read_database, seqlet_one_hot
from cisweave.seqlets.stores import open_store

if TYPE_CHECKING:
    from cisweave.report.baselines import Namer


def tomtom_namer(sequences: str | Path, motifs: str | Path, table: str | Path, settings: AnnotationSettings) -> Namer:
    """A function that names a seqlet table as ``cisweave seqlets annotate`` does.

    Parameters
    ----------
    sequences
        Sequences of the loci (HDF5).
    motifs, table
        The prepared database.
    """
    database, names = read_database(motifs, table)
    with open_store(sequences, "extracted sequences") as store:
        codes = store["codes"][:]

    def name(seqlets: pd.DataFrame) -> pd.Series[str]:
        if seqlets.empty:
            return pd.Series(dtype="str")
        seqlets = seqlets.reset_index(drop=True)
        matches = match_seqlets(seqlet_one_hot(seqlets, codes), database, settings.nearest)
        annotated = annotation_table(seqlets, matches, names, settings)
        best = annotated[annotated["rank"] == 1]
        return best.matrix_id.where(best.assigned, "").reset_index(drop=True)

    return name
