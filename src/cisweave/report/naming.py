"""Naming spans of loci by the workflow's own motif annotation."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from cisweave.config import AnnotationSettings
from cisweave.seqlets.annotate import annotate_seqlets
from cisweave.seqlets.call import SEQLET_COLUMNS
from cisweave.tables.frames import write_tsv

if TYPE_CHECKING:
    from cisweave.report.baselines import Namer

FULL_WEIGHT = "9"
"""Digit of a base that counts in full; a placed span has no attributions to weigh its bases by."""


def tomtom_namer(sequences: str | Path, motifs: str | Path, table: str | Path, settings: AnnotationSettings) -> Namer:
    """A function that names a seqlet table as ``cisweave seqlets annotate`` does, every base counting in full.

    Parameters
    ----------
    sequences
        Sequences of the loci (HDF5).
    motifs, table
        The prepared database.
    """

    def name(seqlets: pd.DataFrame) -> pd.Series[str]:
        if seqlets.empty:
            return pd.Series(dtype="str")
        weights = [FULL_WEIGHT * length for length in (seqlets.end - seqlets.start).tolist()]
        with TemporaryDirectory() as folder:
            path = Path(folder) / "seqlets.tsv"
            write_tsv(seqlets.assign(weights=weights)[list(SEQLET_COLUMNS)], path)
            out, tsv = path.with_name("annotated.parquet"), path.with_name("annotated.tsv")
            annotated = annotate_seqlets(path, sequences, motifs, table, out, tsv, settings)
        best = annotated[annotated["rank"] == 1].reset_index(drop=True)
        return best.matrix_id.where(best.assigned, "")

    return name
