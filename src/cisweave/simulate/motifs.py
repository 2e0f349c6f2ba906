"""The planted motifs: JASPAR matrices picked by id, their log-odds and the score from which a site is occupied."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.dna import Codes
from cisweave.simulate.layout import FACTORS

RELEASE = "JASPAR2024"
COLLECTION = "CORE"
TAX_GROUP = "vertebrates"
#: Share of a column's counts added to each base, so that no base is impossible.
PSEUDOCOUNT = 0.01
#: Score of a column that meets N, in bits: no site holds an N.
N_SCORE = -100.0
#: Bases looked up at once by the scan.
WORD = 6
#: Share of the PWM's own sequences that score below the threshold.
THRESHOLD_QUANTILE = 0.25
#: Two matrices are aliases from this mean column correlation ...
ALIAS_CORRELATION = 0.9
#: ... over at least this share of the planted motif's width.
ALIAS_OVERLAP = 0.8


@dataclass(frozen=True)
class Motif:
    """A planted motif.

    Attributes
    ----------
    tf, matrix_id
        Name of the factor and JASPAR id of its matrix.
    probabilities
        (4, width), rows A C G T, columns summing to 1.
    log_odds
        (4, width), bits against a uniform background.
    threshold
        Score in bits at which occupancy is one half.
    sign
        +1 activator, -1 repressor.
    """

    tf: str
    matrix_id: str
    probabilities: NDArray[np.float64]
    log_odds: NDArray[np.float64]
    threshold: float
    sign: int

    @property
    def width(self) -> int:
        """Width in bases."""
        return int(self.probabilities.shape[1])

    @cached_property
    def tables(self) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Look-up tables of the scan for the forward and the reverse strand."""
        return word_tables(self.log_odds), word_tables(self.log_odds[::-1, ::-1])

    def score(self, codes: Codes) -> NDArray[np.float64]:
        """Scores in bits of sequences (n, width) read on the forward strand."""
        return np.asarray(self.log_odds[codes, np.arange(self.width)].sum(axis=1))

    def sample(self, rng: np.random.Generator, number: int) -> Codes:
        """Sequences (number, width) drawn from the PWM."""
        drawn = rng.random((number, 1, self.width)) > self.probabilities.cumsum(axis=0)[None]
        codes: Codes = np.minimum(drawn.sum(axis=1), 3).astype(np.uint8)
        return codes

    def sample_strong(self, rng: np.random.Generator, number: int, margin: float) -> Codes:
        """Sequences drawn from the PWM that score at least ``margin`` bits above the threshold."""
        found: list[Codes] = []
        while sum(map(len, found)) < number:
            drawn = self.sample(rng, 4 * number)
            found.append(drawn[self.score(drawn) >= self.threshold + margin])
        strong: Codes = np.concatenate(found)[:number]
        return strong


def word_tables(log_odds: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    """Scores of all words for each stretch of :data:`WORD` columns; columns past the end score 0."""
    width = log_odds.shape[1]
    columns = np.zeros((5, -(-width // WORD) * WORD))
    columns[:4, :width] = log_odds
    columns[4, :width] = N_SCORE
    tables = []
    for first in range(0, columns.shape[1], WORD):
        table = np.zeros(1)
        for column in range(first, first + WORD):
            table = (table[:, None] + columns[None, :, column]).ravel()
        tables.append(table.astype(np.float32))
    return tables


@cache
def jaspar_counts() -> dict[str, NDArray[np.float64]]:
    """Counts (4, width; rows A C G T) of every vertebrate CORE matrix of the bundled JASPAR release, by matrix id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyjaspar import jaspardb

        found = jaspardb(release=RELEASE).fetch_motifs(collection=COLLECTION, tax_group=[TAX_GROUP])
    return {
        motif.matrix_id: np.array([motif.counts[base] for base in "ACGT"], dtype=np.float64)
        for motif in sorted(found, key=lambda motif: str(motif.matrix_id))
    }


def load_motif(tf: str) -> Motif:
    """The motif of a factor of :data:`cisweave.simulate.layout.FACTORS`."""
    matrix_id, sign = FACTORS[tf]
    counts = jaspar_counts()[matrix_id]
    smoothed = counts + PSEUDOCOUNT * counts.sum(axis=0)
    probabilities = smoothed / smoothed.sum(axis=0)
    log_odds = np.log2(probabilities / 0.25)
    motif = Motif(tf, matrix_id, probabilities, log_odds, 0.0, sign)
    # A constant of the matrix, not of the world: the seed is fixed.
    scores = motif.score(motif.sample(generator(0, "simulate", "threshold", matrix_id), 20_000))
    threshold = round(float(np.quantile(scores, THRESHOLD_QUANTILE)), 3)
    return Motif(tf, matrix_id, probabilities, log_odds, threshold, sign)


def column_correlation(planted: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Best mean Pearson correlation of columns over ungapped alignments on either strand.

    Only alignments that cover :data:`ALIAS_OVERLAP` of the planted matrix count; -1 if there is none.
    """
    width, need = planted.shape[1], int(np.ceil(ALIAS_OVERLAP * planted.shape[1]))
    best = -1.0
    for strand in (other, other[::-1, ::-1]):
        similarity = _centred(planted).T @ _centred(strand)
        for offset in range(-(width - need), other.shape[1] - need + 1):
            columns = np.diagonal(similarity, offset)
            if len(columns) >= need:
                best = max(best, float(columns.mean()))
    return best


def _centred(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = matrix - matrix.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    return np.asarray(centred / np.where(norms > 1e-9, norms, 1.0))


def aliases(motif: Motif) -> list[str]:
    """Matrix ids that the sequence cannot tell from the planted one, itself excluded.

    A matrix is an alias when its columns correlate with the planted ones at 0.9 or more on average (Pearson over the
    four bases, best ungapped alignment on either strand) over at least 80 % of the planted motif's width.
    """
    planted = jaspar_counts()[motif.matrix_id]
    planted = planted / planted.sum(axis=0)
    return [
        matrix_id
        for matrix_id, counts in jaspar_counts().items()
        if matrix_id != motif.matrix_id
        and column_correlation(planted, counts / counts.sum(axis=0)) >= ALIAS_CORRELATION
    ]
