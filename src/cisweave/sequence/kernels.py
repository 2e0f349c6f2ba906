"""Compiled loops that cut many windows out of FASTA text at once; each releases the interpreter's lock.

Dimension legend
    loci - windows, length - bases of a window, 4 - channels A, C, G, T

The plain path, one window after the other, is :meth:`cisweave.sequence.genome.Genome.codes`; both give the same.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

UPPER = np.uint8(0xDF)
SLACK = 64
A, C, G, T = (np.uint8(ord(letter)) for letter in "ACGT")

Integers = NDArray[np.int64]


@numba.njit(nogil=True, cache=True)
def gather(
    buffer: Any, text: Any, start: Any, contig_length: Any, offset: Any, line_bases: Any, line_bytes: Any
) -> None:  # pragma: no cover - compiled
    """Upper-case letters of one window into ``buffer``; 0 outside the contig. ``start`` is 0-based.

    The buffer is longer than the window by ``SLACK``: whole blocks are copied, and what is too much is overwritten.
    """
    length = buffer.shape[0] - SLACK
    begin = min(max(-start, 0), length)
    end = max(min(contig_length - start, length), begin)
    for j in range(begin):
        buffer[j] = 0
    line = (start + begin) // line_bases
    column = (start + begin) - line * line_bases
    place = offset + line * line_bytes + column
    j = begin
    while j < end:
        width = min(line_bases - column, end - j)
        if place + width + SLACK <= text.shape[0]:
            for block in range(0, width, SLACK):
                target, source = np.uint64(j + block), np.uint64(place + block)
                for k in range(SLACK):
                    buffer[target + np.uint64(k)] = text[source + np.uint64(k)] & UPPER
        else:
            for k in range(width):
                buffer[np.uint64(j + k)] = text[np.uint64(place + k)] & UPPER
        j += width
        place += width + line_bytes - line_bases
        column = 0
    for j in range(end, length):
        buffer[j] = 0


@numba.njit(nogil=True, cache=True)
def fill_codes(
    out: Any, text: Any, starts: Any, contigs: Any, geometry: Any, first: int, last: int
) -> None:  # pragma: no cover - compiled
    """Codes of the windows ``first`` to ``last - 1``.

    Parameters
    ----------
    out
        uint8 (loci, length).
    text
        uint8: bytes of the FASTA.
    starts
        int64 (loci,): 0-based; a window may leave its contig.
    contigs
        int64 (loci,): row of ``geometry``.
    geometry
        int64 (contigs, 4): bases, byte of the first base, bases and bytes per line.
    """
    length = out.shape[1]
    buffer = np.empty(length + SLACK, np.uint8)
    for i in range(first, last):
        contig = geometry[contigs[i]]
        gather(buffer, text, starts[i], contig[0], contig[1], contig[2], contig[3])
        row = out[i]
        for j in range(length):
            letter = buffer[j]
            code = np.uint8(4)
            code = np.uint8(0) if letter == A else code
            code = np.uint8(1) if letter == C else code
            code = np.uint8(2) if letter == G else code
            code = np.uint8(3) if letter == T else code
            row[j] = code


@numba.njit(nogil=True, cache=True)
def fill_one_hot(
    out: Any, text: Any, starts: Any, contigs: Any, geometry: Any, first: int, last: int
) -> None:  # pragma: no cover - compiled
    """One-hot int8 (loci, 4, length) of the windows ``first`` to ``last - 1``; as :func:`fill_codes` otherwise."""
    length = out.shape[2]
    buffer = np.empty(length + SLACK, np.uint8)
    for i in range(first, last):
        contig = geometry[contigs[i]]
        gather(buffer, text, starts[i], contig[0], contig[1], contig[2], contig[3])
        row = out[i, 0]
        for j in range(length):
            row[j] = buffer[j] == A
        row = out[i, 1]
        for j in range(length):
            row[j] = buffer[j] == C
        row = out[i, 2]
        for j in range(length):
            row[j] = buffer[j] == G
        row = out[i, 3]
        for j in range(length):
            row[j] = buffer[j] == T
