"""DNA the probes' own way: letters, channels and strands defined here once more, apart from the code under test.

Dimension legend
    n - sequences, length - bases, 4 - channels A, C, G, T
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

ORDER = "ACGT"
OTHER_STRAND = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}

Matrix = NDArray[np.float64]


def other_strand(sequence: str) -> str:
    """The reverse complement of a DNA string."""
    return "".join(OTHER_STRAND[letter] for letter in reversed(sequence))


def channels(sequences: Sequence[str]) -> NDArray[np.float32]:
    """One-hot float32 (n, 4, length) of equally long DNA strings, channels A, C, G, T."""
    letters = np.array([list(sequence) for sequence in sequences])
    return np.stack([letters == letter for letter in ORDER], axis=1).astype(np.float32)


def insert(background: str, motif: str, start: int) -> str:
    """``background`` with ``motif`` written over it from index ``start``."""
    return background[:start] + motif + background[start + len(motif) :]


@cache
def jaspar_matrix(matrix_id: str) -> Matrix:
    """Base probabilities (4, width), rows A, C, G, T, of a JASPAR matrix (pyjaspar's bundled 2024 release)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyjaspar import jaspardb

        counts = jaspardb(release="JASPAR2024").fetch_motif_by_id(matrix_id).counts
    matrix: Matrix = np.array([counts[letter] for letter in ORDER], dtype=np.float64)
    return np.asarray(matrix / matrix.sum(axis=0))


def consensus(matrix: Matrix) -> str:
    """The likeliest base at each position."""
    return "".join(ORDER[row] for row in matrix.argmax(axis=0))


def information(matrix: Matrix) -> NDArray[np.float64]:
    """Information content (width,) in bits per position, against equal base frequencies."""
    logarithm = np.log2(np.where(matrix > 0, matrix, 1.0))
    return np.asarray(2 + (matrix * logarithm).sum(axis=0))


def match_score(matrix: Matrix, sequence: str) -> float:
    """Best log-odds of a sequence under a matrix over all ungapped full-width alignments on either strand, in bits."""
    odds = np.log2((matrix + 0.01) / 1.04 / 0.25)
    width = matrix.shape[1]
    best = -np.inf
    for strand in (sequence, other_strand(sequence)):
        rows = [ORDER.index(letter) for letter in strand]
        for start in range(len(strand) - width + 1):
            best = max(best, float(odds[rows[start : start + width], np.arange(width)].sum()))
    return best
