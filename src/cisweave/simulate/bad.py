"""Records that no tool may score: each names the reason for which it must be rejected."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cisweave.simulate.dna import N, decode
from cisweave.simulate.genes import desert_middle
from cisweave.simulate.planner import REACH, Planner
from cisweave.simulate.truth import Change
from cisweave.simulate.variants import Record

#: Longer than any allele that is scored by default, in bases.
LONG = 150


def plan_bad(planner: Planner) -> list[Record]:
    """A few records of each kind on each contig, and one each of the kinds that need a certain place."""
    found: list[Record] = []
    for contig in planner.layout.contigs:
        found += _malformed(planner, contig)
        found += _unliftable(planner, contig)
        found.append(_duplicate(planner, contig))
        found.append(_mixed(planner, contig))
    found.append(Record("chrUn_1", 1_000, "A", ["G"], bad={1: "unknown_contig"}))
    found.append(_past_the_end(planner))
    found.append(_far(planner))
    return found


def _spot(planner: Planner, contig: str) -> tuple[int, str]:
    """A fresh place where the assemblies agree: 0-based sim38 position and its base."""
    while True:
        start = planner.position(contig)
        change = Change(contig, start, "A", "A")
        if not planner.inverted(change) and planner.clear(change):
            planner.used[contig][start] = True
            position = int(planner.assemblies[contig].target[start])
            return position, decode(planner.assemblies[contig].codes[position : position + 1])


def _other(base: str, step: int = 1) -> str:
    return "ACGT"[("ACGT".index(base) + step) % 4]


def _malformed(planner: Planner, contig: str) -> Iterator[Record]:
    """Alleles that are no plain substitution of known bases, or too long."""
    for alt, reason in (
        ("<DEL>", "symbolic_allele"),
        ("*", "spanning_deletion"),
        (".", "missing_alt"),
        ("{ref}R", "invalid_allele"),
        ("{ref}[" + contig + ":5000[", "breakend"),
        ("{ref}", "ref_equals_alt"),
        ("{ref}" + decode(planner.rng.integers(0, 4, size=LONG).astype(np.uint8)), "allele_too_long"),
    ):
        position, ref = _spot(planner, contig)
        yield Record(contig, position, ref, [alt.format(ref=ref)], bad={1: reason})
    position, base = _spot(planner, contig)
    yield Record(contig, position, _other(base), [_other(base, 2)], bad={1: "ref_mismatch"})


def _duplicate(planner: Planner, contig: str) -> Record:
    """A good record once more; the sort is stable, so it comes after the first."""
    first = next(record for record in planner.records if record.chrom == contig and len(record.alts) == 1)
    return Record(contig, first.position, first.ref, list(first.alts), bad={1: "duplicate"})


def _mixed(planner: Planner, contig: str) -> Record:
    """A good allele beside two bad ones."""
    allele = None
    while allele is None:
        allele = planner.neutral_variant(contig)
    record = planner.add([allele])
    planner.records.remove(record)
    record.alts = ["*", record.alts[0], "<DEL>"]
    record.alleles = {2: allele}
    record.bad = {1: "spanning_deletion", 3: "symbolic_allele"}
    return record


def _past_the_end(planner: Planner) -> Record:
    """A REF that reaches past the end of its contig; its bases are those of the contig as far as it goes."""
    contig = next(iter(planner.layout.contigs))
    length = len(planner.assemblies[contig].codes)
    return Record(contig, length + 100, "A", ["G"], bad={1: "out_of_contig"})


def _far(planner: Planner) -> Record:
    """A substitution in the middle of the desert."""
    contig = next(iter(planner.layout.contigs))
    middle = desert_middle(planner.layout)
    start = next(place for place in range(middle, middle + 1_000) if planner.clear(Change(contig, place, "A", "C")))
    position = int(planner.assemblies[contig].target[start])
    ref = decode(planner.oracle.codes[contig][start : start + 1])
    return Record(contig, position, ref, [_other(ref)], bad={1: "too_far_from_tss"})


def _unliftable(planner: Planner, contig: str) -> Iterator[Record]:
    """A base that sim19 lacks, a REF across an insertion, and one that differs between the assemblies."""
    assembly = planner.assemblies[contig]
    source, codes = assembly.source, assembly.codes
    inserted = source < 0
    place = _pick(planner, inserted[:-2] & inserted[1:-1] & inserted[2:] & (codes[1:-1] != N)) + 1
    ref = decode(codes[place : place + 1])
    yield Record(contig, place, ref, [_other(ref)], bad={1: "lift_unmapped"})
    known = codes != N
    edge = ~inserted[:-3] & inserted[1:-2] & inserted[2:-1] & ~inserted[3:] & known[:-3] & known[3:]
    if edge.any():
        place = _pick(planner, edge)
        ref = decode(codes[place : place + 4])
        yield Record(contig, place, ref, [ref[0]], bad={1: "lift_split"})
    same = planner.oracle.codes[contig][np.maximum(source, 0)]
    place = _pick(planner, _in_reach(planner, contig) & (same != codes))
    ref, old = decode(codes[place : place + 1]), decode(same[place : place + 1])
    alt = next(base for base in "ACGT" if base not in (ref, old))
    yield Record(contig, place, ref, [alt], bad={1: "lift_ref_mismatch"})


def _pick(planner: Planner, where: NDArray[np.bool_]) -> int:
    """One of the marked places, at random."""
    return int(planner.rng.choice(np.flatnonzero(where)))


def _in_reach(planner: Planner, contig: str) -> NDArray[np.bool_]:
    """(sim38 length,) bases that map to the forward strand of sim19 within reach of a TSS."""
    assembly = planner.assemblies[contig]
    near = np.zeros(len(assembly.target), dtype=np.bool_)
    for tss in planner.oracle.tss[contig]:
        near[max(0, tss - REACH) : tss + REACH] = True
    if assembly.inversion is not None:
        near[slice(*assembly.inversion)] = False
    return np.asarray(near[np.maximum(assembly.source, 0)] & (assembly.source >= 0))
