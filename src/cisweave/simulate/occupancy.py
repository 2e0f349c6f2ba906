"""The one occupancy function: labels, expression and truth all come from it.

Every position of a sequence is scored by each PWM on both strands; the better strand counts, and occupancy is a steep
logistic function of the score in bits. Values below :data:`FLOOR` are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cisweave.simulate.dna import Codes, N
from cisweave.simulate.motifs import WORD, Motif

#: Steepness of the logistic function, per bit.
SLOPE = 2.0
#: Occupancies below this are 0.
FLOOR = 0.01


@dataclass(frozen=True)
class Sites:
    """Occupied positions of one contig, sorted by start and factor.

    Attributes
    ----------
    start
        0-based leftmost base.
    tf
        Index of the motif.
    strand
        +1 or -1: the strand with the better score (+1 on ties).
    score
        Bits.
    occupancy
        In (0, 1].
    width
        Width of the motif in bases.
    """

    start: NDArray[np.int64]
    tf: NDArray[np.int64]
    strand: NDArray[np.int8]
    score: NDArray[np.float32]
    occupancy: NDArray[np.float64]
    width: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def centre(self) -> NDArray[np.float64]:
        """0-based centre of the site; between two bases for even widths."""
        return np.asarray(self.start + (self.width - 1) / 2)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Sites:
        """The sites that an index picks."""
        return Sites(
            self.start[which],
            self.tf[which],
            self.strand[which],
            self.score[which],
            self.occupancy[which],
            self.width[which],
        )


def occupancy(score: NDArray[np.float32] | NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Occupancy in [0, 1] of sites that score ``score`` bits; one half at ``threshold``."""
    value = 1.0 / (1.0 + np.exp(-SLOPE * (np.asarray(score, dtype=np.float64) - threshold)))
    return np.where(value < FLOOR, 0.0, value)


def words(codes: Codes) -> NDArray[np.uint16]:
    """The word of :data:`WORD` bases that starts at each position, in base 5; N past the end."""
    padded = np.concatenate([codes, np.full(WORD - 1, N, dtype=np.uint8)]).astype(np.uint16)
    found = np.zeros(len(codes), dtype=np.uint16)
    for offset in range(WORD):
        found = found * np.uint16(5) + padded[offset : offset + len(codes)]
    return found


def score_words(indices: NDArray[np.uint16], tables: Sequence[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    """Score in bits of the site that starts at each position, on the strand of ``tables``."""
    length = len(indices) - width + 1
    if length <= 0:
        return np.zeros(0, dtype=np.float32)
    total = np.zeros(length, dtype=np.float32)
    for number, table in enumerate(tables):
        total += table[indices[number * WORD : number * WORD + length]]
    return total


def scan(codes: Codes, motifs: Sequence[Motif], slack: float | None = None) -> Sites:
    """Every occupied site of a sequence.

    Parameters
    ----------
    codes
        (length,) bases.
    motifs
        The planted motifs; their order gives ``tf``.
    slack
        Report all sites that score above threshold - ``slack`` bits instead of those with an occupancy.
    """
    indices = words(codes)
    found: list[tuple[NDArray[np.int64], int, NDArray[np.int8], NDArray[np.float32]]] = []
    for tf, motif in enumerate(motifs):
        forward = score_words(indices, motif.tables[0], motif.width)
        reverse = score_words(indices, motif.tables[1], motif.width)
        least = np.float32(motif.threshold - (slack if slack is not None else np.log(1 / FLOOR - 1) / SLOPE))
        start = np.flatnonzero((forward > least) | (reverse > least)).astype(np.int64)
        strand = np.where(forward[start] >= reverse[start], 1, -1).astype(np.int8)
        found.append((start, tf, strand, np.maximum(forward[start], reverse[start])))
    start = np.concatenate([sites[0] for sites in found])
    tf_index = np.concatenate([np.full(len(sites[0]), sites[1], dtype=np.int64) for sites in found])
    score = np.concatenate([sites[3] for sites in found])
    values = np.concatenate([occupancy(sites[3], motifs[sites[1]].threshold) for sites in found])
    widths = np.array([motif.width for motif in motifs], dtype=np.int64)
    sites = Sites(start, tf_index, np.concatenate([s[2] for s in found]), score, values, widths[tf_index])
    order = np.lexsort((tf_index, start))
    if slack is None:
        order = order[values[order] > 0]
    return sites.take(order)
