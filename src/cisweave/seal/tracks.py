"""Chromatin tracks as labels of genomic bins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.genome.text import DIGITS, bed_lines

Peaks = dict[str, NDArray[np.int64]]


def read_peaks(path: str | Path) -> Peaks:
    """Peaks of a BED or narrowPeak file (plain or gzip): per contig an array (peaks, 2), 0-based half-open.

    Raises
    ------
    CisweaveError
        At the first line that is no peak, and if there is none at all; if the file is absent, a folder or no text.
    """
    peaks: dict[str, list[tuple[int, int]]] = {}
    for line, fields in bed_lines(path):
        chrom, start, end = parse_peak(fields, path, line)
        peaks.setdefault(chrom, []).append((start, end))
    if not peaks:
        raise CisweaveError("this is not a BED file, or it holds no peak", path=path)
    return {chrom: np.array(peaks[chrom], dtype=np.int64) for chrom in sorted(peaks)}


def parse_peak(fields: list[str], path: str | Path, line: int) -> tuple[str, int, int]:
    """Contig, start and end of one line."""
    chrom, start, end = fields[:3] if len(fields) >= 3 else ("", "", "")
    if not (chrom and DIGITS.fullmatch(start) and DIGITS.fullmatch(end)):
        raise CisweaveError(
            "this is not a BED file: a line is contig, start and end (whole numbers, 0-based half-open), with tabs",
            path=path,
            line=line,
        )
    if int(end) <= int(start):
        raise CisweaveError("the end of a peak must be greater than its start", path=path, line=line)
    return chrom, int(start), int(end)


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
