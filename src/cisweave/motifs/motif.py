"""A sequence motif."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pwm = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Motif:
    """A motif as position probabilities.

    Attributes
    ----------
    matrix_id
        Identifier of the matrix, one token (for example ``MA0139.2``).
    name
        Name for people, often the transcription factor (for example ``CTCF`` or ``MAX::MYC``).
    pwm
        Probabilities (4, width), float64, rows A, C, G, T, columns summing to 1.
    nsites
        Number of sites the matrix was made from, where known.
    family, tf_class
        Structural family and class of the factor, where known.
    url
        Where the motif is described, where known.
    """

    matrix_id: str
    name: str
    pwm: Pwm
    nsites: float | None = None
    family: str = ""
    tf_class: str = ""
    url: str = ""

    @property
    def width(self) -> int:
        """Width in bases."""
        return int(self.pwm.shape[1])

    @property
    def information_content(self) -> float:
        """Information content in bits: the sum over positions of 2 + sum p log2 p (uniform background)."""
        occupied = np.where(self.pwm > 0, self.pwm, 1.0)
        return float(2 * self.width + (occupied * np.log2(occupied)).sum())

    @property
    def consensus(self) -> str:
        """The most probable base at each position."""
        return "".join("ACGT"[base] for base in self.pwm.argmax(axis=0))

    def reverse_complement(self) -> Motif:
        """The same motif on the other strand."""
        return Motif(
            self.matrix_id,
            self.name,
            np.ascontiguousarray(self.pwm[::-1, ::-1]),
            self.nsites,
            self.family,
            self.tf_class,
            self.url,
        )
