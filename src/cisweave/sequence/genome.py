"""Reading a genome: any interval, padded with N where it leaves the contig; many windows at once.

Dimension legend
    loci - windows, length - bases of a window, 4 - channels A, C, G, T
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, is_gzipped
from cisweave.sequence.faidx import check_index, ensure_index, quiet_htslib, read_index, refuse_other_files
from cisweave.sequence.onehot import LETTERS, Codes, encode

BLOCK = 1 << 14
"""Bases kept from a place where short intervals close to each other are read."""
BEHIND = 1 << 10
"""Bases of the block that lie before the interval that loaded it."""
NEAR = 1 << 13
"""An interval that begins at most so many bases before or after the one read last counts as near-by."""
PLAIN_BASES = 1 << 21
"""Fewer bases than this are read window by window, without the compiled loops."""
ROWS_PER_TASK = 2048
RUN = 1 << 24
"""Most bases of a compressed FASTA that are held at once."""
GAP = 1 << 17
"""Bases between two windows of a compressed FASTA that are rather read than skipped."""


class Genome:
    """An indexed FASTA (plain or bgzip).

    Parameters
    ----------
    path
        The FASTA. Its ``.fai`` (and ``.gzi``) index is made beside it if absent; a folder that cannot be written
        is an error that says how to make the index.

    Attributes
    ----------
    contigs
        Length in bases of every contig, in file order.

    Raises
    ------
    CisweaveError
        If the file is no FASTA, is cut off or damaged, has two contigs of one name, or its index is not its own.
    """

    def __init__(self, path: str | Path):
        import pysam

        self.path = existing(path)
        refuse_other_files(self.path)
        ensure_index(self.path)
        self._entries = read_index(self.path)
        check_index(self.path, self._entries)
        try:
            with quiet_htslib():
                self._fasta = pysam.FastaFile(str(self.path))
        except (OSError, ValueError) as error:
            raise CisweaveError(
                f"this FASTA cannot be opened ({error}); delete its .fai and try again", path=path
            ) from error
        self.contigs: dict[str, int] = {entry.name: entry.length for entry in self._entries}
        self._text: NDArray[np.uint8] | None = None
        self._chrom, self._low, self._high, self._block = "", 0, -1, ""
        self._last: tuple[str, int] = ("", 0)

    def __enter__(self) -> Genome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._fasta.close()
        self._text = None
        self._chrom, self._low, self._high, self._block = "", 0, -1, ""

    # --- one interval -------------------------------------------------------------------------------------------------
    def fetch(self, chrom: str, start: int, end: int) -> str:
        """Upper-case bases of the 0-based half-open interval; N outside the contig.

        Short intervals close to each other, as those of a sorted file, are cut out of a block that is read once.
        """
        if self._low <= start <= end <= self._high and chrom == self._chrom:
            return self._block[start - self._low : end - self._low]
        length = self.length(chrom)
        inside_start, inside_end = min(max(start, 0), length), min(max(end, 0), length)
        if inside_start >= inside_end:
            bases = ""
        elif self._is_near(chrom, inside_start, inside_end):
            self._load(chrom, inside_start, length)
            bases = self._block[inside_start - self._low : inside_end - self._low]
        else:
            bases = self._read(chrom, inside_start, inside_end)
        if len(bases) == end - start:
            return bases
        return "N" * (min(end, 0) - min(start, 0)) + bases + "N" * (max(end, length) - max(start, length))

    def codes(self, chrom: str, start: int, end: int) -> Codes:
        """Codes (end - start,) of the 0-based half-open interval; 4 outside the contig."""
        return encode(self.fetch(chrom, start, end))

    def length(self, chrom: str) -> int:
        """Length of a contig in bases; an unknown contig is an error that names those that exist."""
        if chrom not in self.contigs:
            known = ", ".join(list(self.contigs)[:5])
            raise CisweaveError(f"contig {chrom} is not in this FASTA; it has {known} …", path=self.path)
        return self.contigs[chrom]

    def _is_near(self, chrom: str, start: int, end: int) -> bool:
        """Whether an interval inside the contig lies close to the one read last; remembers where it begins."""
        last_chrom, last = self._last
        self._last = (chrom, start)
        return chrom == last_chrom and abs(start - last) <= NEAR and end - start <= NEAR

    def _load(self, chrom: str, start: int, length: int) -> None:
        """Read the block around a place inside a contig."""
        low, high = max(0, start - BEHIND), min(length, start + BLOCK)
        self._block = self._read(chrom, low, high)
        self._chrom, self._low, self._high = chrom, low, high

    def _read(self, chrom: str, start: int, end: int) -> str:
        """Upper-case bases of an interval inside a contig, from the file."""
        try:
            bases: str = self._fasta.fetch(chrom, start, end).upper()
        except (OSError, ValueError, KeyError) as error:
            raise self._damaged(chrom, start, end) from error
        if len(bases) != end - start:
            raise self._damaged(chrom, start, end)
        return bases

    def _damaged(self, chrom: str, start: int, end: int) -> CisweaveError:
        """The error of bases that the index promises and the file does not give."""
        return CisweaveError(
            f"{chrom}:{start + 1}-{end} cannot be read; the file is damaged or was changed, get it again",
            path=self.path,
        )

    # --- many windows -------------------------------------------------------------------------------------------------
    def bulk_codes(
        self, chroms: Sequence[str] | NDArray[Any], starts: NDArray[Any], length: int, threads: int | None = None
    ) -> Codes:
        """Codes (loci, length) of windows of one length: what :meth:`codes` gives for each, faster.

        Parameters
        ----------
        chroms
            Contig of each window, spelt as in the FASTA.
        starts
            0-based start of each window; a window may leave its contig.
        length
            Bases per window.
        threads
            Threads of the compiled loop; ``None``: at most four. The result does not depend on it.
        """
        return self._bulk(chroms, starts, length, threads, hot=False)

    def bulk_one_hot(
        self, chroms: Sequence[str] | NDArray[Any], starts: NDArray[Any], length: int, threads: int | None = None
    ) -> NDArray[np.int8]:
        """One-hot int8 (loci, 4, length) of windows, as :meth:`bulk_codes`; unknown bases are columns of zeros."""
        return self._bulk(chroms, starts, length, threads, hot=True)

    def _bulk(
        self, chroms: Sequence[str] | NDArray[Any], starts: NDArray[Any], length: int, threads: int | None, hot: bool
    ) -> NDArray[Any]:
        """Windows as codes or one-hot."""
        import pandas as pd

        starts = np.ascontiguousarray(starts, dtype=np.int64)
        contigs, names = pd.factorize(np.asarray(chroms, dtype=object), use_na_sentinel=False)
        lengths = [self.length(str(name)) for name in names]
        if len(contigs) != len(starts):
            raise CisweaveError(f"{len(contigs)} contigs for {len(starts)} starts")
        out = np.empty(
            (len(starts), len(LETTERS), length) if hot else (len(starts), length), np.int8 if hot else np.uint8
        )
        if out.size < PLAIN_BASES:
            for row, (contig, start) in enumerate(zip(contigs.tolist(), starts.tolist(), strict=True)):
                codes = self.codes(str(names[contig]), start, start + length)
                out[row] = codes == np.arange(len(LETTERS), dtype=np.uint8)[:, None] if hot else codes
            return out
        fill = kernel(hot)
        if is_gzipped(self.path):
            for rows, text, begin in self._runs(contigs, names, starts, lengths, length):
                geometry = np.array([[lengths[contigs[rows[0]]], -begin, 1 << 62, 1 << 62]], dtype=np.int64)
                part = np.empty((len(rows), *out.shape[1:]), out.dtype)
                in_threads(fill, part, text, starts[rows], np.zeros(len(rows), np.int64), geometry, threads)
                out[rows] = part
            return out
        known = {entry.name: entry for entry in self._entries}
        entries = [known[str(name)] for name in names]
        geometry = np.array(
            [(entry.length, entry.offset, max(entry.line_bases, 1), max(entry.line_bytes, 1)) for entry in entries],
            dtype=np.int64,
        ).reshape(-1, 4)
        in_threads(fill, out, self._bytes(), starts, contigs.astype(np.int64), geometry, threads)
        return out

    def _bytes(self) -> NDArray[np.uint8]:
        """The file of a plain FASTA as an array that the operating system reads where it is asked for."""
        if self._text is None:
            self._text = np.memmap(self.path, np.uint8, "r")
            last = max(self._entries, key=lambda entry: entry.end)
            if last.end > len(self._text):
                raise self._damaged(last.name, 0, last.length)
        return self._text

    def _runs(
        self,
        contigs: NDArray[Any],
        names: NDArray[Any],
        starts: NDArray[np.int64],
        lengths: Sequence[int],
        length: int,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], int]]:
        """Rows of windows that lie close to each other, the bases they cover, and where these begin."""
        order = np.lexsort((starts, contigs))
        begin = 0
        for place in range(1, len(order) + 1):
            first, before = order[begin], order[place - 1]
            if place < len(order):
                here = order[place]
                together = contigs[here] == contigs[first] and starts[here] - starts[before] <= GAP + length
                if together and starts[here] + length - starts[first] <= RUN:
                    continue
            limit = lengths[contigs[first]]
            low, high = min(max(int(starts[first]), 0), limit), min(max(int(starts[before]) + length, 0), limit)
            bases = self._read(str(names[contigs[first]]), low, high) if low < high else ""
            yield order[begin:place], np.frombuffer(bases.encode("latin-1") or b"N", np.uint8), low
            begin = place


def kernel(hot: bool) -> Callable[..., None]:
    """The compiled loop for one-hot or codes."""
    from cisweave.sequence import kernels

    fill: Callable[..., None] = kernels.fill_one_hot if hot else kernels.fill_codes
    return fill


def in_threads(
    fill: Callable[..., None],
    out: NDArray[Any],
    text: NDArray[np.uint8],
    starts: NDArray[np.int64],
    contigs: NDArray[np.int64],
    geometry: NDArray[np.int64],
    threads: int | None,
) -> None:
    """Run a compiled loop over all windows, a stretch of rows per task."""
    text = text.view(np.ndarray)
    threads = threads or min(4, available_cpus())
    if threads == 1 or len(out) <= ROWS_PER_TASK:
        fill(out, text, starts, contigs, geometry, 0, len(out))
        return
    with ThreadPoolExecutor(threads) as pool:
        tasks = [
            pool.submit(fill, out, text, starts, contigs, geometry, first, min(first + ROWS_PER_TASK, len(out)))
            for first in range(0, len(out), ROWS_PER_TASK)
        ]
        for task in tasks:
            task.result()


def available_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
