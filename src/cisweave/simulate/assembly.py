"""The second assembly: sim38 from sim19 by substitutions, insertions, deletions and one inversion, with chain files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.background import Contig
from cisweave.simulate.dna import COMPLEMENT, Codes, N
from cisweave.simulate.genes import TELOMERE
from cisweave.simulate.layout import Layout

SUBSTITUTIONS_PER_KB = 1.0
INDELS_PER_MB = 250
#: Large insertions and deletions (hundreds of bases) per megabase; at least one each.
LARGE_PER_MB = 3
INVERSION = 24_000


@dataclass(frozen=True)
class Assembly:
    """One contig of sim38 and how it maps to sim19.

    Attributes
    ----------
    name
        Contig name, the same in both assemblies.
    codes, masked
        (length,) bases and soft-masking of sim38.
    source
        (length,) 0-based sim19 position of each sim38 base, -1 for inserted bases.
    target
        (sim19 length,) 0-based sim38 position of each sim19 base, -1 for deleted bases.
    inversion
        0-based half-open sim19 interval that is inverted in sim38, or None.
    """

    name: str
    codes: Codes
    masked: NDArray[np.bool_]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    inversion: tuple[int, int] | None


@dataclass(frozen=True)
class Block:
    """An ungapped aligned block; ``query`` is counted on the query's strand."""

    target: int
    query: int
    size: int


def make_assembly(layout: Layout, contig: Contig, seed: int) -> Assembly:
    """Derive one contig of sim38; the first test contig holds the inversion."""
    rng = generator(seed, "simulate", "assembly", contig.name)
    length = len(contig.codes)
    inversion = _inversion(length) if contig.name == layout.test[0] else None
    codes = _substitute(rng, contig.codes)
    pieces: list[tuple[Codes, NDArray[np.int64], NDArray[np.bool_]]] = []
    done = 0
    for start, deleted, inserted in _events(rng, length, inversion):
        pieces.append((codes[done:start], np.arange(done, start), contig.masked[done:start]))
        size = len(inserted)
        pieces.append((inserted, np.full(size, -1), np.zeros(size, dtype=np.bool_)))
        done = start + deleted
    pieces.append((codes[done:], np.arange(done, length), contig.masked[done:]))
    new_codes, source, masked = (np.concatenate([piece[part] for piece in pieces]) for part in range(3))
    if inversion is not None:
        first, last = np.searchsorted(np.where(source < 0, np.maximum.accumulate(source), source), inversion)
        new_codes[first:last] = COMPLEMENT[new_codes[first:last]][::-1]
        source[first:last] = source[first:last][::-1]
        masked[first:last] = masked[first:last][::-1]
    target = np.full(length, -1, dtype=np.int64)
    target[source[source >= 0]] = np.flatnonzero(source >= 0)
    return Assembly(contig.name, new_codes, masked, source, target, inversion)


def _inversion(length: int) -> tuple[int, int]:
    start = length // 3
    return start, start + INVERSION


def _substitute(rng: np.random.Generator, codes: Codes) -> Codes:
    """A copy with random substitutions outside runs of N."""
    copy = codes.copy()
    places = np.flatnonzero((rng.random(len(codes)) < SUBSTITUTIONS_PER_KB / 1000) & (codes != N))
    copy[places] = (copy[places] + rng.integers(1, 4, size=len(places))) % 4
    return copy


def _events(
    rng: np.random.Generator, length: int, inversion: tuple[int, int] | None
) -> Iterator[tuple[int, int, Codes]]:
    """Insertions and deletions in order: sim19 start, bases deleted, bases inserted; well apart from each other."""
    small, large = INDELS_PER_MB * length // 1_000_000, max(2, LARGE_PER_MB * length // 1_000_000)
    starts = np.sort(rng.choice(np.arange(2 * TELOMERE, length - 3 * TELOMERE, 50), size=small + large, replace=False))
    big = set(rng.choice(small + large, size=large, replace=False).tolist())
    done, turn = 0, 0
    for index, start in enumerate(int(value) for value in starts):
        size = int(rng.integers(200, 1500)) if index in big else min(30, int(rng.geometric(0.25)))
        turn += index in big
        delete = turn % 2 == 0 if index in big else bool(rng.random() < 0.5)
        bases = rng.integers(0, 4, size=0 if delete else size).astype(np.uint8)
        if start < done + 40 or (inversion and min(abs(start - edge) for edge in inversion) < 2_000):
            continue
        done = start + (size if delete else 0)
        yield start, size if delete else 0, bases


def blocks(assembly: Assembly, inverted: bool) -> list[tuple[int, int, int]]:
    """Aligned blocks (sim38 start, sim19 start, size), ascending in sim38, inside or outside the inversion."""
    places = np.flatnonzero(assembly.source >= 0)
    source = assembly.source[places]
    start, end = assembly.inversion or (0, 0)
    inside = (source >= start) & (source < end)
    places, source = places[inside == inverted], source[inside == inverted]
    step = -1 if inverted else 1
    runs = np.flatnonzero((np.diff(places) != 1) | (np.diff(source) != step)) + 1
    found = []
    for place, run in zip(np.split(places, runs), np.split(source, runs), strict=True):
        if len(place):
            found.append((int(place[0]), int(run.min()), len(place)))
    return found


def chain_lines(assemblies: list[Assembly], from_sim38: bool) -> Iterator[str]:
    """A UCSC chain file. The assembly that coordinates are lifted from is the target (first) of each chain."""
    number = 0
    for assembly in assemblies:
        sizes = (len(assembly.codes), len(assembly.target))
        target_size, query_size = sizes if from_sim38 else sizes[::-1]
        for inverted in (False, True):
            pairs = blocks(assembly, inverted)
            if not from_sim38:
                pairs = [(start19, start38, size) for start38, start19, size in pairs]
            found = [
                Block(target, query_size - query - size if inverted else query, size) for target, query, size in pairs
            ]
            if found:
                number += 1
                strand = "-" if inverted else "+"
                found.sort(key=lambda block: block.target)
                yield from _chain(assembly.name, target_size, query_size, strand, found, number)


def _chain(name: str, target_size: int, query_size: int, strand: str, found: list[Block], number: int) -> Iterator[str]:
    first, last = found[0], found[-1]
    score = 100 * sum(block.size for block in found)
    yield (
        f"chain {score} {name} {target_size} + {first.target} {last.target + last.size} "
        f"{name} {query_size} {strand} {first.query} {last.query + last.size} {number}\n"
    )
    for block, following in pairwise(found):
        target_gap = following.target - block.target - block.size
        query_gap = following.query - block.query - block.size
        yield f"{block.size}\t{target_gap}\t{query_gap}\n"
    yield f"{last.size}\n\n"
