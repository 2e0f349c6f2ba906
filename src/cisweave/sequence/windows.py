"""Windows around a variant, with the arithmetic of Seal (window covers pos + shift - 999 … pos + shift + 1000)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, encode

MARGIN = 50
"""Bases fetched beyond the window on each side; half the largest net length change that can be centred."""


def allele_window(
    genome: Genome, chrom: str, pos: int, ref: str, allele: str, window: int = 2000, shift: int = 0
) -> Codes:
    """Codes (window,) of one haplotype around a variant.

    ``pos`` is 1-based and ``shift`` moves the window along the genome. The bases of REF at ``pos`` are replaced by
    ``allele`` (REF itself for the reference haplotype) whatever the genome holds there. The string is then cropped
    around its own centre, so an allele whose length differs from REF's moves both flanks by half the difference.
    Bases outside the contig are N. A single-base allele stands at index ``window // 2 - 1 - shift``.

    Raises
    ------
    CisweaveError
        If the allele would not lie whole inside the window, or the net change exceeds 100 bases.
    """
    offset = MARGIN + window // 2 - 1 - shift
    start = pos - 1 - offset
    fetched = genome.fetch(chrom, start, start + window + 2 * MARGIN)
    if len(allele) < len(ref) - 2 * MARGIN:
        raise CisweaveError(f"{chrom}:{pos} {ref}>{allele} loses more than {2 * MARGIN} bases; leave it out")
    if not (offset >= MARGIN and offset + max(len(ref), len(allele)) <= window + MARGIN):
        raise CisweaveError(f"{chrom}:{pos} {ref}>{allele} does not fit a {window}-bp window shifted by {shift}")
    haplotype = fetched[:offset] + allele + fetched[offset + len(ref) :]
    low = (len(haplotype) - window) // 2
    return encode(haplotype[low : low + window])


def allele_padding(contig_length: int, pos: int, ref: str, allele: str, window: int = 2000, shift: int = 0) -> int:
    """How many bases of :func:`allele_window` lie outside a contig of ``contig_length`` bases."""
    offset = MARGIN + window // 2 - 1 - shift
    start = pos - 1 - offset
    end = start + window + 2 * MARGIN
    length = window + 2 * MARGIN + len(allele) - len(ref)
    low = (length - window) // 2
    left = min(max(-start, 0), offset) - low
    right = min(max(end - contig_length, 0), length - offset - len(allele)) - (length - window - low)
    return min(max(left, 0), window) + min(max(right, 0), window)


def allele_start(ref: str, allele: str, window: int) -> int:
    """Index in the window at which the allele of a haplotype begins.

    A window of Seal covers pos - window/2 + 1 … pos + window/2 (1-based) and is cropped around its own centre after
    the allele was put in, so an allele that is longer or shorter than REF moves by half the difference (rounded down).
    """
    return window // 2 - 1 - (len(allele) - len(ref)) // 2


def haplotype_places(pos: int, ref: str, allele: str, length: int) -> NDArray[np.int64]:
    """Place on the genome (length,), 0-based, of each base of a haplotype's window; -1 for bases the genome lacks.

    The window is that of :func:`allele_window`: cropped around its own middle after the
    allele was put in, so an allele that is longer or shorter than REF moves by half the difference (rounded down).
    Bases of an allele keep their place as far as REF reaches; what an insertion adds beyond it has no place.
    """
    offset = np.arange(length) - allele_start(ref, allele, length)
    place = pos - 1 + offset
    place[(offset >= len(ref)) & (offset < len(allele))] = -1
    after = offset >= len(allele)
    place[after] += len(ref) - len(allele)
    return place
