"""The sequence before anything is planted: base composition, CpG islands, repeats and runs of N."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.dna import Codes, N
from cisweave.simulate.genes import TELOMERE, Gene, gap_slot, slot_interval
from cisweave.simulate.layout import Layout

GC = 0.5
ISLAND_GC = 0.62
#: Share of CpG that is lost outside islands.
CPG_LOSS = 0.7
#: Share of promoters, and of other stretches as many, that are CpG islands; expression does not look at it.
ISLAND_SHARE = 0.5
REPEATS_PER_MB = 150
REPEAT_FAMILIES = 4
REPEAT_LENGTH = 300
REPEAT_DIVERGENCE = 0.12
MASKED_PER_MB = 250


@dataclass
class Contig:
    """One contig while the world is built.

    Attributes
    ----------
    name
        Contig name.
    codes
        (length,) bases.
    masked
        (length,) soft-masked (lower case) bases.
    fixed
        (length,) bases that nothing may change any more.
    """

    name: str
    codes: Codes
    masked: NDArray[np.bool_]
    fixed: NDArray[np.bool_]


def make_contig(layout: Layout, name: str, genes: list[Gene], seed: int) -> Contig:
    """The background of a contig; runs of N are fixed, everything else can still change."""
    length = layout.contigs[name]
    rng = generator(seed, "simulate", "background", name)
    island = _islands(rng, length, genes)
    strong = rng.random(length) < np.where(island, ISLAND_GC, GC)
    second = rng.random(length) < 0.5
    codes = np.where(strong, np.where(second, 1, 2), np.where(second, 0, 3)).astype(np.uint8)
    _lose_cpg(rng, codes, island)
    masked = np.zeros(length, dtype=np.bool_)
    _insert_repeats(rng, seed, codes, masked)
    for start, size in zip(
        rng.integers(0, length - 400, size=MASKED_PER_MB * length // 1_000_000),
        rng.integers(50, 400, size=MASKED_PER_MB * length // 1_000_000),
        strict=True,
    ):
        masked[start : start + size] = True
    contig = Contig(name, codes, masked, np.zeros(length, dtype=np.bool_))
    _write_gaps(rng, layout, contig)
    return contig


def _islands(rng: np.random.Generator, length: int, genes: list[Gene]) -> NDArray[np.bool_]:
    """Which bases lie in a CpG island: half of the promoters, and as many stretches elsewhere."""
    island = np.zeros(length, dtype=np.bool_)
    for gene in genes:
        if rng.random() < ISLAND_SHARE:
            upstream, downstream = (int(size) for size in rng.integers(300, 700, size=2))
            left, right = (upstream, downstream) if gene.strand == "+" else (downstream, upstream)
            island[max(0, gene.tss - left) : gene.tss + right] = True
        if rng.random() < ISLAND_SHARE:
            start = int(rng.integers(0, length))
            island[start : start + int(rng.integers(500, 1200))] = True
    return island


def _lose_cpg(rng: np.random.Generator, codes: Codes, island: NDArray[np.bool_]) -> None:
    """Turn most CpG outside islands into TpG or CpA."""
    cpg = np.flatnonzero((codes[:-1] == 1) & (codes[1:] == 2) & ~island[:-1])
    cpg = cpg[rng.random(len(cpg)) < CPG_LOSS]
    first = rng.random(len(cpg)) < 0.5
    codes[cpg[first]] = 3
    codes[cpg[~first] + 1] = 0


def _insert_repeats(rng: np.random.Generator, seed: int, codes: Codes, masked: NDArray[np.bool_]) -> None:
    """Copy diverged members of a few repeat families into the contig, soft-masked."""
    families = generator(seed, "simulate", "repeats").integers(0, 4, size=(REPEAT_FAMILIES, REPEAT_LENGTH))
    number = REPEATS_PER_MB * len(codes) // 1_000_000
    for start in rng.integers(0, len(codes) - REPEAT_LENGTH, size=number):
        member = families[int(rng.integers(0, REPEAT_FAMILIES))].astype(np.uint8)
        changed = rng.random(REPEAT_LENGTH) < REPEAT_DIVERGENCE
        member[changed] = rng.integers(0, 4, size=int(changed.sum()))
        if rng.random() < 0.5:
            member = (3 - member)[::-1]
        codes[start : start + REPEAT_LENGTH] = member
        masked[start : start + REPEAT_LENGTH] = True


def _write_gaps(rng: np.random.Generator, layout: Layout, contig: Contig) -> None:
    """Runs of N: both contig ends and one assembly gap in a gene-free slot."""
    left, right = slot_interval(layout, gap_slot(layout, contig.name))
    size = int(rng.integers(500, (right - left) // 2))
    for start, end in (
        (0, TELOMERE),
        (len(contig.codes) - TELOMERE, len(contig.codes)),
        (left + 500, left + 500 + size),
    ):
        contig.codes[start:end] = N
        contig.masked[start:end] = False
        contig.fixed[start:end] = True
