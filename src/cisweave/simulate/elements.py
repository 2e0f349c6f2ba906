"""Planting motif instances in promoters and distal elements, and depleting the rest of chance matches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.background import Contig
from cisweave.simulate.dna import Codes, N, is_gc, reverse_complement
from cisweave.simulate.genes import Gene
from cisweave.simulate.layout import Layout
from cisweave.simulate.motifs import Motif
from cisweave.simulate.occupancy import scan

#: Planted instances score at least this far above the threshold (occupancy 0.95), in bits.
STRONG_MARGIN = 1.5
#: Chance matches down to this far below the threshold are mutated away, and decoys lie below it, in bits.
WEAK_MARGIN = 2.5
PROMOTER = (-400, 50)
#: Decoys per gene: instances broken by one substitution, which a variant can make.
DECOYS_PER_GENE = 3
DECOY_REACH = 1_500
SINGLE_SHARE = 0.5
#: Share of the elements with several factors that hold the interacting pair.
PAIR_SHARE = 0.2
#: Length of a distal element in bases.
ELEMENT = 160
DEPLETION_ROUNDS = 6


class Pool:
    """An endless supply of strong instances and decoys of each motif, in random orientation."""

    def __init__(self, motifs: Sequence[Motif], rng: np.random.Generator):
        self.motifs = motifs
        self.rng = rng
        self.streams = [self._instances(motif) for motif in motifs]

    def _instances(self, motif: Motif) -> Iterator[Codes]:
        while True:
            yield from motif.sample_strong(self.rng, 500, STRONG_MARGIN)

    def instance(self, tf: int) -> Codes:
        """A strong instance, on a random strand."""
        return self._turn(next(self.streams[tf]))

    def decoy(self, tf: int) -> Codes:
        """A strong instance that one substitution has broken, on a random strand.

        Where the motif allows it, the substitution keeps the GC content.
        """
        motif = self.motifs[tf]
        while True:
            codes = next(self.streams[tf]).copy()
            columns = np.arange(motif.width)
            change = motif.log_odds - motif.log_odds[codes, columns]
            breaks = motif.score(codes[None])[0] + change < motif.threshold - WEAK_MARGIN
            same = breaks & (is_gc(np.arange(4, dtype=np.uint8))[:, None] == is_gc(codes)[None])
            options = np.argwhere(same if same.any() and self.rng.random() < 0.6 else breaks)
            if len(options):
                base, column = options[int(self.rng.integers(0, len(options)))]
                codes[column] = base
                return self._turn(codes)

    def _turn(self, codes: Codes) -> Codes:
        return codes if self.rng.random() < 0.5 else reverse_complement(codes)


def plant(layout: Layout, contig: Contig, genes: list[Gene], motifs: Sequence[Motif], seed: int) -> None:
    """Plant promoters, decoys and distal elements of one contig; planted bases become fixed."""
    rng = generator(seed, "simulate", "elements", contig.name)
    pool = Pool(motifs, rng)
    factors = _factor_stream(rng, len(motifs))
    left = layout.sites_per_mb * len(motifs) * len(contig.codes) // 1_000_000
    decoys = _factor_stream(rng, len(motifs))
    for gene in genes:
        for _ in range(int(rng.integers(1, 4))):
            left -= _plant_near(rng, contig, gene, pool.instance(next(factors)), PROMOTER)
        for _ in range(DECOYS_PER_GENE):
            side = -1 if rng.random() < 0.5 else 1
            reach = 60 + int(rng.exponential(DECOY_REACH))
            _plant_near(rng, contig, gene, pool.decoy(next(decoys)), (side * reach - 40, side * reach + 40))
    pair = [layout.factors.index(factor) for factor in layout.pair]
    while left > 0:
        left -= _plant_element(rng, contig, pool, factors, pair)


def _factor_stream(rng: np.random.Generator, number: int) -> Iterator[int]:
    """Factors in random order, each as often as the others."""
    while True:
        yield from (int(factor) for factor in rng.permutation(number))


def _plant_near(
    rng: np.random.Generator, contig: Contig, gene: Gene, codes: Codes, offsets: tuple[int, int], tries: int = 20
) -> int:
    """Plant a sequence within ``offsets`` of a TSS (gene orientation); return 1 if there was room."""
    for _ in range(tries):
        offset = int(rng.integers(offsets[0], offsets[1] - len(codes)))
        start = gene.tss + offset if gene.strand == "+" else gene.tss - offset - len(codes) + 1
        if _write(contig, start, codes):
            return 1
    return 0


def _plant_element(
    rng: np.random.Generator, contig: Contig, pool: Pool, factors: Iterator[int], pair: Sequence[int]
) -> int:
    """Plant a distal element, half of the time with one factor only; return the number of instances."""
    start = int(rng.integers(0, len(contig.codes) - ELEMENT))
    number = 1 if rng.random() < SINGLE_SHARE else int(rng.integers(2, 4))
    if contig.fixed[start : start + ELEMENT].any():
        return 0
    together = list(pair) if number > 1 and rng.random() < PAIR_SHARE else []
    planted = 0
    for part in np.array_split(np.arange(start, start + ELEMENT), number):
        codes = pool.instance(together.pop() if together else next(factors))
        planted += _write(contig, int(part[0]) + int(rng.integers(0, len(part) - len(codes))), codes)
    return planted


def _write(contig: Contig, start: int, codes: Codes) -> int:
    """Write a sequence where no base near it is fixed; return 1 if it was written."""
    end = start + len(codes)
    if start < 4 or end + 4 > len(contig.codes) or contig.fixed[start - 4 : end + 4].any():
        return 0
    contig.codes[start:end] = codes
    contig.fixed[start:end] = True
    return 1


def deplete(contig: Contig, motifs: Sequence[Motif], seed: int) -> None:
    """Mutate chance matches, down to near misses, wherever their bases are not fixed."""
    for turn in range(DEPLETION_ROUNDS):
        rng = generator(seed, "simulate", "depletion", contig.name, turn)
        sites = scan(contig.codes, motifs, slack=WEAK_MARGIN)
        changed = 0
        for start, tf, strand in zip(sites.start, sites.tf, sites.strand, strict=True):
            changed += _break_site(rng, contig, int(start), motifs[tf].log_odds, int(strand))
        if not changed:
            return


def _break_site(
    rng: np.random.Generator, contig: Contig, start: int, log_odds: NDArray[np.float64], strand: int
) -> int:
    """Change the free base that matters most to a site; return 1 if there was one."""
    matrix = log_odds if strand > 0 else log_odds[::-1, ::-1]
    codes = contig.codes[start : start + matrix.shape[1]]
    free = ~contig.fixed[start : start + matrix.shape[1]]
    if not free.any() or (codes == N).any():
        return 0
    gain = matrix[codes, np.arange(matrix.shape[1])] - matrix.min(axis=0)
    column = int(np.argmax(np.where(free, gain, -1.0)))
    if gain[column] < 1.0:
        return 0
    worst = np.flatnonzero(matrix[:, column] < matrix[:, column].min() + 1.0)
    codes[column] = worst[int(rng.integers(0, len(worst)))]
    return 1
