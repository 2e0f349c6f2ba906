"""Naming spans of loci by the workflow's own motif annotation."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cisweave.config import AnnotationSettings
from cisweave.seqlets.annotate import annotate_seqlets
from cisweave.seqlets.call import SEQLET_COLUMNS, base_weights
from cisweave.seqlets.stores import read_attributions
from cisweave.tables.frames import write_tsv

if TYPE_CHECKING:
    from cisweave.report.baselines import Namer


def tomtom_namer(
    sequences: str | Path, attributions: str | Path, motifs: str | Path, table: str | Path, settings: AnnotationSettings
) -> Namer:
    """A function that names placed seqlets as the workflow names called ones.

    Bases are weighed by the attributions of the same item at the place given, as in calling, so that a baseline
    differs from the workflow in nothing but where its seqlets lie. Counting every base in full instead would name
    about half as many motifs right wherever they lie, and make any baseline look bad.

    Parameters
    ----------
    sequences
        Sequences of the loci (HDF5).
    attributions
        Attributions of the items (HDF5), the same that the seqlets were called in.
    motifs, table
        The prepared database.
    """
    store = read_attributions(attributions)
    row_of = pd.Series(np.arange(len(store)), index=store.item_id)

    def name(seqlets: pd.DataFrame) -> pd.Series[str]:
        if seqlets.empty:
            return pd.Series(dtype="str")
        weights = base_weights(seqlets, store.projected[row_of.loc[seqlets.item_id].to_numpy()])
        with TemporaryDirectory() as folder:
            path = Path(folder) / "seqlets.tsv"
            write_tsv(seqlets.assign(weights=weights)[list(SEQLET_COLUMNS)], path)
            out, tsv = path.with_name("annotated.parquet"), path.with_name("annotated.tsv")
            annotated = annotate_seqlets(path, sequences, motifs, table, out, tsv, settings)
        best = annotated[annotated["rank"] == 1].reset_index(drop=True)
        return best.matrix_id.where(best.assigned, "")

    return name
