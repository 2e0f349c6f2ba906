"""bigWig files from values at single bases, of which the same give the same bytes; and rows of bigBed files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, existing, first_bytes

BIGBED_MAGIC = (bytes.fromhex("ebf28987"), bytes.fromhex("8789f2eb"))


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


def is_bigbed(path: str | Path) -> bool:
    """Whether a file is a bigBed, by its first bytes."""
    return first_bytes(existing(path), 4) in BIGBED_MAGIC


def bigbed_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Number (from 1) and fields of each row of a bigBed, as text like those of a BED; sorted by contig and start.

    Raises
    ------
    CisweaveError
        If it is no bigBed, or is damaged.
    """
    import pyBigWig

    number = 0
    try:
        handle = pyBigWig.open(str(path))
        try:
            for chrom, length in handle.chroms().items():
                for start, end, rest in handle.entries(chrom, 0, length) or ():
                    number += 1
                    yield number, [chrom, str(start), str(end), *(rest.split("\t") if rest else [])]
        finally:
            handle.close()
    except RuntimeError as error:
        raise CisweaveError("this is no bigBed, or it is damaged; fetch it again", path=path) from error
