"""The locus table and the places of a locus on the genome.

A row of the locus table is one window of one haplotype. ``start`` and ``end`` are the window on the genome, 0-based
half-open; ``core_start`` and ``core_end`` the bin in its middle that the model was trained to label, relative to the
window. The two haplotypes of a variant are two rows with one ``region_id``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.sequence.windows import allele_start, haplotype_places
from cisweave.tables.attributions import LOCUS_COLUMNS
from cisweave.tables.frames import read_table

KINDS = ("variant", "promoter", "background")


def read_loci(path: str | Path) -> pd.DataFrame:
    """Read and check a locus table; empty text fields are empty strings."""
    text = {column: "str" for column, kind in LOCUS_COLUMNS.items() if kind == "str"}
    loci = read_table(path, LOCUS_COLUMNS, dtype=text)
    loci = typed(loci.fillna(dict.fromkeys(text, "")), LOCUS_COLUMNS, path)
    if loci.locus_id.tolist() != list(range(len(loci))):
        raise CisweaveError("locus_id must be the row number, from 0; sequences and attributions rely on it", path=path)
    if len(loci) and (loci.end - loci.start).nunique() > 1:
        raise CisweaveError("all windows must have one length, the model's", path=path)
    unknown = sorted(set(loci.kind) - set(KINDS))
    if unknown:
        raise CisweaveError(f"kind {unknown[0]!r} is none of {', '.join(KINDS)}", path=path)
    return loci


def typed(frame: pd.DataFrame, columns: Mapping[str, str], path: str | Path = "table") -> pd.DataFrame:
    """Exactly these columns of a table, with these types; a value of another kind is an error that names the column."""
    result = pd.DataFrame(index=frame.index)
    for column, kind in columns.items():
        values = frame[column] if column in frame else pd.Series(index=frame.index, dtype=kind)
        try:
            result[column] = values.astype(kind)  # type: ignore[call-overload]
        except (TypeError, ValueError) as error:
            raise CisweaveError(f"column {column} does not hold {kind} throughout ({error})", path=path) from error
    return result


def empty_loci() -> pd.DataFrame:
    """A locus table without rows, columns typed."""
    return typed(pd.DataFrame(), LOCUS_COLUMNS)


def locus_positions(locus: pd.Series) -> NDArray[np.int64]:
    """Genome position (window,), 0-based, of each base of a locus; -1 where the genome holds no such base."""
    window = int(locus.end - locus.start)
    if not locus.allele:
        return np.arange(int(locus.start), int(locus.end))
    return haplotype_places(int(locus.pos), locus.ref, locus.ref if locus.allele == "ref" else locus["alt"], window)


def allele_span(locus: pd.Series) -> tuple[int, int]:
    """Window-relative half-open span of the bases in which the two alleles of a variant locus differ.

    For an insertion or deletion one more base on the right is taken in, so that the joint of a deletion counts.
    """
    window = int(locus.end - locus.start)
    allele = locus.ref if locus.allele == "ref" else locus["alt"]
    start = allele_start(locus.ref, allele, window)
    return start, start + len(allele) + (len(locus.ref) != len(locus["alt"]))
