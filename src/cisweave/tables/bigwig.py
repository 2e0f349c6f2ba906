"""bigWig files from values at single bases; the same values give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path


@dataclass
class BaseValues:
    """Values at bases of one contig.

    Attributes
    ----------
    chrom
        The contig.
    places
        int64 (n,), 0-based; negative ones are left out.
    values
        float32 (n,).
    rank
        (n,): where several values fall on one base the one with the lowest rank counts, of equals the first.
    """

    chrom: str
    places: NDArray[np.int64]
    values: NDArray[np.float32]
    rank: NDArray[np.int64]


def write_bigwig(path: str | Path, contigs: Mapping[str, int], pieces: Iterable[BaseValues]) -> None:
    """Write values at bases as bigWig, one value a base.

    Parameters
    ----------
    contigs
        Length in bases of every contig, in the order of the file.
    pieces
        The values, in any order.
    """
    import pyBigWig

    by_contig: dict[str, list[BaseValues]] = {}
    for piece in pieces:
        if piece.chrom not in contigs:
            raise CisweaveError(f"there is no contig {piece.chrom}; it has no place in the bigWig", path=path)
        by_contig.setdefault(piece.chrom, []).append(piece)
    with atomic_path(path) as temporary:
        handle = pyBigWig.open(str(temporary), "w")
        handle.addHeader(list(contigs.items()))
        for chrom, length in contigs.items():
            places, values = one_value_each(by_contig.get(chrom, []), length)
            for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) != 1) + 1):
                if len(run):
                    handle.addEntries(
                        chrom, int(places[run[0]]), values=values[run].astype(np.float64).tolist(), span=1, step=1
                    )
        handle.close()


def one_value_each(pieces: list[BaseValues], length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places in order, each once, and their values; what lies outside the contig is left out."""
    if not pieces:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    frame = pd.DataFrame(
        {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("places", "values", "rank")}
    )
    frame = frame[(frame.places >= 0) & (frame.places < length)]
    frame = frame.sort_values(["places", "rank"], kind="stable").drop_duplicates("places")
    return frame.places.to_numpy(np.int64), frame["values"].to_numpy(np.float32)
