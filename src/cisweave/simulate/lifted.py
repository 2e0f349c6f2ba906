"""Records where the two assemblies differ: sim19 holds ALT, or lacks bases inside REF, or has others there.

They have a generator of their own, so that the rest of the world is the same with and without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.assembly import Assembly
from cisweave.simulate.dna import COMPLEMENT, Codes, N, decode, revcomp
from cisweave.simulate.planner import CHANGE, CLEAR, LONGEST_INDEL, NO_CHANGE, REACH, Planner
from cisweave.simulate.truth import Change
from cisweave.simulate.variants import Allele, Record, left_aligned

#: One record whose ALT sim19 holds per this many records of the world; half of them substitutions.
RECORDS_PER_SWAP = 20
#: Every third swapped substitution has a second ALT, which sim19 does not hold.
MULTIPLE = 3


class Difference(NamedTuple):
    """A place where the assemblies differ, between two aligned bases of sim38.

    Attributes
    ----------
    left, right
        0-based sim38 positions of the aligned bases beside it.
    inside
        What sim19 has between them, on the sim38 strand.
    """

    left: int
    right: int
    inside: str


def plan_lifted(planner: Planner, seed: int) -> list[Record]:
    """Records that are swapped or split by the liftover, on every contig in turn."""
    rng = generator(seed, "simulate", "lifted")
    records: list[Record] = []
    contigs = list(planner.layout.contigs)
    per_contig = max(1, planner.layout.records // (2 * RECORDS_PER_SWAP * len(contigs)))
    for contig in contigs:
        records += _take(_swapped_substitutions(planner, contig, rng), per_contig)
        records += _take(_swapped_indels(planner, contig, rng), per_contig)
        for number in range(4):
            records += _take(_split(planner, contig, rng, number), 1)
    return records


def _take(found: Iterator[Record], number: int) -> list[Record]:
    return [record for record, _ in zip(found, range(number), strict=False)]


# --- differences ------------------------------------------------------------------------------------------------------
def substitutions(planner: Planner, contig: str) -> NDArray[np.int64]:
    """sim38 positions of single bases that differ in sim19."""
    assembly = planner.assemblies[contig]
    codes = planner.oracle.codes[contig]
    same = codes[np.maximum(assembly.source, 0)]
    turned = np.where(_inverted(assembly), COMPLEMENT[same], same)
    different = (assembly.source >= 0) & (turned != assembly.codes) & (assembly.codes != N) & (same != N)
    return np.flatnonzero(different)


def indels(planner: Planner, contig: str) -> list[Difference]:
    """Insertions and deletions of 1 to 8 bases between the assemblies."""
    assembly, codes = planner.assemblies[contig], planner.oracle.codes[contig]
    aligned = np.flatnonzero(assembly.source >= 0)
    source = assembly.source[aligned]
    extra = np.diff(aligned) - 1
    lacking = np.abs(np.diff(source)) - 1
    found = []
    for index in np.flatnonzero((extra > 0) != (lacking > 0)).tolist():
        first, last = int(source[index]), int(source[index + 1])
        if max(extra[index], lacking[index]) <= LONGEST_INDEL:
            inside = decode(codes[min(first, last) + 1 : max(first, last)])
            inside = inside if first < last else revcomp(inside)
            found.append(Difference(int(aligned[index]), int(aligned[index + 1]), inside))
    return found


def _inverted(assembly: Assembly) -> NDArray[np.bool_]:
    """(sim38 length,) bases that lie inside the inversion."""
    if assembly.inversion is None:
        return np.zeros(len(assembly.source), dtype=np.bool_)
    start, end = assembly.inversion
    return np.asarray((assembly.source >= start) & (assembly.source < end))


def _flanks_agree(planner: Planner, contig: str, left: int, right: int) -> bool:
    """Whether the bases up to ``left`` and from ``right`` on (sim38) are aligned one by one, equal and unused."""
    assembly, codes = planner.assemblies[contig], planner.oracle.codes[contig]
    if left < CLEAR or right + CLEAR > len(assembly.source):
        return False
    sides = [np.arange(left - CLEAR + 1, left + 1), np.arange(right, right + CLEAR)]
    for places in sides:
        source = assembly.source[places]
        step = np.diff(source)
        if (source < 0).any() or (step != step[0]).any() or abs(int(step[0])) != 1:
            return False
        there = codes[source]
        there = there if step[0] > 0 else COMPLEMENT[there]
        if (there == N).any() or (there != assembly.codes[places]).any():
            return False
    ends = assembly.source[[left - CLEAR + 1, right + CLEAR - 1]]
    first, last = int(ends.min()), int(ends.max())
    return last - first < 4 * CLEAR and not planner.used[contig][first : last + 1].any()


def _in_reach(planner: Planner, change: Change) -> bool:
    distance = planner.distance(change.contig, change.start)
    return 2 + len(change.ref) + len(change.alt) <= distance <= REACH


def _use(planner: Planner, contig: str, left: int, right: int) -> None:
    """No other variant comes near the sim19 bases of a sim38 stretch."""
    source = planner.assemblies[contig].source[left : right + 1]
    source = source[source >= 0]
    planner.used[contig][source.min() : source.max() + 1] = True


# --- swapped ----------------------------------------------------------------------------------------------------------
def _factor(planner: Planner, change: Change) -> str | None:
    """The one factor whose site a change breaks or makes, empty where it does nothing, else ``None``."""
    effect = np.abs(planner.oracle.occupancy_change(change))
    strongest = int(effect.argmax())
    if effect[strongest] < NO_CHANGE:
        return ""
    clear = effect[strongest] > CHANGE and (np.delete(effect, strongest) < NO_CHANGE).all()
    return planner.oracle.motifs[strongest].tf if clear else None


def _in_turns(
    planner: Planner, contig: str, places: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[int, bool]]:
    """sim38 places in random order with whether they lie in a strong sim19 site; these and the others take turns."""
    sites = planner.oracle.sites[contig]
    strong = sites.take(sites.occupancy > CHANGE)
    inside = np.zeros(planner.layout.contigs[contig], dtype=np.bool_)
    for start, width in zip(strong.start.tolist(), strong.width.tolist(), strict=True):
        inside[start : start + width] = True
    shuffled = rng.permutation(places)
    marked = inside[planner.assemblies[contig].source[shuffled]]
    turn = np.concatenate([np.arange(marked.sum()) * 2, np.arange((~marked).sum()) * 2 + 1])
    ordered = np.concatenate([shuffled[marked], shuffled[~marked]])[np.argsort(turn, kind="stable")]
    return [(int(place), bool(inside[planner.assemblies[contig].source[place]])) for place in ordered]


def _swapped_substitutions(planner: Planner, contig: str, rng: np.random.Generator) -> Iterator[Record]:
    """A REF that only sim38 holds; ALT is the base of sim19."""
    assembly, codes = planner.assemblies[contig], planner.oracle.codes[contig]
    flipped = _inverted(assembly)
    number = 0
    for place, in_site in _in_turns(planner, contig, substitutions(planner, contig), rng):
        if not _flanks_agree(planner, contig, place - 1, place + 1):
            continue
        start = int(assembly.source[place])
        ref, alt = decode(assembly.codes[place : place + 1]), decode(codes[start : start + 1])
        turned = revcomp(ref) if flipped[place] else ref
        change = Change(contig, start, alt, turned)
        tf = _factor(planner, change) if _in_reach(planner, change) else None
        if tf is None or bool(tf) != in_site:
            continue
        record = Record(contig, place, ref, [revcomp(alt) if flipped[place] else alt])
        record.alleles = {1: Allele(change, "swapped", tf, swapped=True)}
        if number % MULTIPLE == 0:
            record.alts.append(next(base for base in "ACGT" if base not in (ref, *record.alts)))
            record.bad = {2: "lift_ref_mismatch"}
        number += 1
        _use(planner, contig, place, place)
        yield record


def _swapped_indels(planner: Planner, contig: str, rng: np.random.Generator) -> Iterator[Record]:
    """An insertion or deletion between the assemblies as a record: REF is what sim38 holds, ALT what sim19 holds.

    Of bases that sim19 lacks only those are taken whose gap in the chain is left-aligned, as the record is: elsewhere
    the chain alone does not tell that sim19 holds ALT.
    """
    assembly, codes = planner.assemblies[contig], planner.oracle.codes[contig]
    found = indels(planner, contig)
    for index in rng.permutation(len(found)).tolist():
        left, right, inside = found[index]
        if not _flanks_agree(planner, contig, left, right):
            continue
        anchor, own = decode(assembly.codes[left : left + 1]), decode(assembly.codes[left + 1 : right])
        position, ref, alt = left_aligned(assembly.codes, left, anchor + own, anchor + inside)
        change = _on_sim19(codes, contig, (int(assembly.source[left]), int(assembly.source[right])), own)
        if left - position > (0 if own else LONGEST_INDEL) or not _in_reach(planner, change):
            continue
        tf = _factor(planner, change)
        if tf is not None:
            _use(planner, contig, left, right)
            allele = Allele(change, "swapped", tf, swapped=True)
            yield Record(contig, position, ref, [alt], alleles={1: allele})


def _on_sim19(codes: Codes, contig: str, ends: tuple[int, int], own: str) -> Change:
    """The change that puts sim38's bases (on the sim38 strand) between two bases of sim19, left-aligned."""
    low, high = min(ends), max(ends)
    ref = decode(codes[low:high])
    turned = own if ends[0] < ends[1] else revcomp(own)
    return Change(contig, *left_aligned(codes, low, ref, ref[0] + turned))


# --- split ------------------------------------------------------------------------------------------------------------
def _split(planner: Planner, contig: str, rng: np.random.Generator, number: int) -> Iterator[Record]:
    """A deletion (even kinds) or substitution across a gap: sim19 lacks bases of REF (kinds 0, 1) or has more."""
    codes = planner.assemblies[contig].codes
    found = [place for place in indels(planner, contig) if bool(place.inside) == (number > 1)]
    for index in rng.permutation(len(found)).tolist():
        left, right, _ = found[index]
        if not _flanks_agree(planner, contig, left, right):
            continue
        end = right + 1 if number % 2 == 0 else left + 2
        ref = decode(codes[left:end])
        alt = ref[0] if number % 2 == 0 else decode((codes[left:end] + 1) % 4)
        if number % 2 == 0 and left_aligned(codes, left, ref, alt) != (left, ref, alt):
            continue
        _use(planner, contig, left, right)
        yield Record(contig, left, ref, [alt], bad={1: "lift_split"})
