"""Bases as small integers (A 0, C 1, G 2, T 3, N 4), apart from the code that the world is meant to test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)
COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)
N = 4
_CODES = np.full(256, N, dtype=np.uint8)
for _code, _letter in enumerate(b"ACGT"):
    _CODES[_letter] = _CODES[_letter + 32] = _code


def encode(text: str) -> Codes:
    """Codes of a DNA string; lower case is accepted, anything else is N."""
    return _CODES[np.frombuffer(text.encode("ascii"), dtype=np.uint8)]


def decode(codes: Codes) -> str:
    """DNA string (upper case) of codes."""
    return LETTERS[codes].tobytes().decode("ascii")


def reverse_complement(codes: Codes) -> Codes:
    """Codes of the other strand, read 5' to 3'."""
    return COMPLEMENT[codes][::-1]


def revcomp(text: str) -> str:
    """The other strand of a DNA string, read 5' to 3'."""
    return decode(reverse_complement(encode(text)))


def is_gc(codes: Codes) -> NDArray[np.bool_]:
    """Which bases are C or G."""
    return np.asarray((codes == 1) | (codes == 2))
