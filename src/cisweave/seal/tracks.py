"""Chromatin tracks as labels of genomic bins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing

Peaks = dict[str, NDArray[np.int64]]


def read_peaks(path: str | Path) -> Peaks:
    """Peaks of a BED or narrowPeak file (plain or gzip): per contig an array (peaks, 2), 0-based half-open."""
    try:
        table = pd.read_csv(
            existing(path), sep="\t", header=None, usecols=[0, 1, 2], names=["chrom", "start", "end"], comment="#"
        )
        intervals = table.astype({"chrom": "str", "start": "int64", "end": "int64"})
    except (ValueError, pd.errors.ParserError) as error:
        raise CisweaveError(f"this is not a BED file ({error})", path=path) from error
    wrong = intervals.index[intervals.end <= intervals.start]
    if len(wrong):
        raise CisweaveError("the end of a peak must be greater than its start", path=path, line=int(wrong[0]) + 1)
    return {str(chrom): rows[["start", "end"]].to_numpy() for chrom, rows in intervals.groupby("chrom")}


def label_bins(peaks: Peaks, chrom: str, starts: NDArray[np.int64], bin_size: int) -> NDArray[np.uint8]:
    """Label bins (bins,) given by their sorted 0-based starts: 1 where one peak covers at least half of the bin.

    The rule is DeepSEA's (Zhou and Troyanskaya 2015, online methods).
    """
    intervals = peaks.get(chrom, np.empty((0, 2), dtype=np.int64))
    long_enough = intervals[2 * (intervals[:, 1] - intervals[:, 0]) >= bin_size]
    first = np.searchsorted(2 * starts, 2 * long_enough[:, 0] - bin_size, side="left")
    last = np.searchsorted(2 * starts, 2 * long_enough[:, 1] - bin_size, side="right")
    depth = np.zeros(len(starts) + 1, dtype=np.int64)
    np.add.at(depth, first, 1)
    np.add.at(depth, np.maximum(first, last), -1)
    return (np.cumsum(depth[:-1]) > 0).astype(np.uint8)
