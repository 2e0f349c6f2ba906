"""Choosing variants with known effects on sim19 and writing them down in sim38 coordinates."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cisweave.core.seeds import generator
from cisweave.simulate.assembly import Assembly
from cisweave.simulate.dna import COMPLEMENT, N, decode, encode, is_gc, revcomp
from cisweave.simulate.elements import STRONG_MARGIN, WEAK_MARGIN
from cisweave.simulate.layout import FACTORS, Layout
from cisweave.simulate.occupancy import Sites, scan
from cisweave.simulate.truth import Change, Oracle
from cisweave.simulate.variants import Allele, Record, left_aligned

#: Good variants lie at most this far from a TSS, in bases; most motif variants near enough for an effect.
REACH = 15_000
NEAR = 4_000
NEAR_SHARE = 0.85
NEAR_EFFECT = 0.15
#: Share of the variants on test contigs.
TEST_SHARE = 0.7
#: Bases around a variant in which the assemblies agree and no other variant lies.
CLEAR = 12
#: What the records are; the rest is bad.
SHARES = {"break": 0.28, "make": 0.32, "neutral": 0.14, "indel": 0.14, "multi": 0.04}
#: Records inside the inversion.
INVERTED = {"break": 5, "make": 4, "neutral": 3, "indel": 3}
#: Changes of summed occupancy that count as breaking or making a site, and as nothing.
CHANGE = 0.9
NO_CHANGE = 0.02
#: A broken decoy lies at most this far below its threshold, in bits.
NEAR_MISS = 10.0
#: Effects of one sign may outnumber the others by this share of all records, on test contigs and elsewhere.
SIGN_LEAD = 0.025
LONGEST_INDEL = 8


class Spot(NamedTuple):
    """A place where a motif stands, or nearly does: 0-based start, index of the motif, strand."""

    start: int
    tf: int
    strand: int


class Planner:
    """Chooses variants; each method returns what it found, or None when the world has no room for it."""

    def __init__(self, layout: Layout, oracle: Oracle, assemblies: dict[str, Assembly], seed: int):
        self.layout, self.oracle, self.assemblies = layout, oracle, assemblies
        self.rng = generator(seed, "simulate", "variants")
        self.used = {contig: np.zeros(length, dtype=np.bool_) for contig, length in layout.contigs.items()}
        self.gc_balance = {True: 0.0, False: 0.0}
        self.sign_balance = {True: 0, False: 0}
        self.activity = np.abs(oracle.weights.activity).max(axis=1)
        self.records: list[Record] = []
        self.pools: dict[str, dict[str, list[Spot]]] = {
            "break": {contig: self._strong(sites) for contig, sites in oracle.sites.items()},
            "make": {contig: self._near_misses(contig) for contig in oracle.codes},
        }

    # --- places -------------------------------------------------------------------------------------------------------
    def _strong(self, sites: Sites) -> list[Spot]:
        """Strong sites in random order."""
        return self._shuffled(sites.take(sites.occupancy > 0.9))

    def _near_misses(self, contig: str) -> list[Spot]:
        """Unoccupied places that one substitution makes a strong site, in random order."""
        sites = scan(self.oracle.codes[contig], self.oracle.motifs, slack=NEAR_MISS)
        spots = self._shuffled(sites.take(sites.occupancy < NO_CHANGE))
        return [spot for spot in spots if self.substitutions(contig, spot, make=True)]

    def _shuffled(self, sites: Sites) -> list[Spot]:
        shuffled = sites.take(self.rng.permutation(len(sites)))
        columns = (shuffled.start.tolist(), shuffled.tf.tolist(), shuffled.strand.tolist())
        return [Spot(*row) for row in zip(*columns, strict=True)]

    def contig(self) -> str:
        """A test contig seven times in ten, any other otherwise, by length."""
        test = self.rng.random() < TEST_SHARE
        names = [name for name in self.layout.contigs if (name in self.layout.test) == test]
        sizes = np.array([self.layout.contigs[name] for name in names], dtype=np.float64)
        return names[int(self.rng.choice(len(names), p=sizes / sizes.sum()))]

    def position(self, contig: str, inverted: bool = False) -> int:
        """A random 0-based sim19 position, inside the inversion or within reach of a TSS."""
        inversion = self.assemblies[contig].inversion
        if inverted and inversion is not None:
            return int(self.rng.integers(*inversion))
        tss = self.oracle.tss[contig]
        offset = int(self.rng.exponential(3_000)) * (1 if self.rng.random() < 0.5 else -1)
        place = tss[int(self.rng.integers(0, len(tss)))] + int(np.clip(offset, -REACH, REACH))
        return int(np.clip(place, 100, self.layout.contigs[contig] - 100))

    def distance(self, contig: str, position: int) -> int:
        """Bases from a 0-based position to the closest TSS."""
        return int(np.abs(self.oracle.tss[contig] - position).min())

    def inverted(self, change: Change) -> bool:
        """Whether the change lies in the inversion."""
        inversion = self.assemblies[change.contig].inversion
        return inversion is not None and inversion[0] <= change.start < inversion[1]

    def clear(self, change: Change) -> bool:
        """Whether the assemblies agree around the change and it is away from other variants, of N and of each TSS."""
        start, end = change.start - CLEAR, change.start + len(change.ref) + CLEAR
        assembly = self.assemblies[change.contig]
        if start < 0 or end > len(assembly.target) or self.used[change.contig][start:end].any():
            return False
        if self.distance(change.contig, change.start) < 2 + len(change.ref):
            return False
        target = assembly.target[start:end]
        flip = self.inverted(change)
        if (target < 0).any() or (np.diff(target) != (-1 if flip else 1)).any():
            return False
        codes, other = self.oracle.codes[change.contig][start:end], assembly.codes[target]
        return bool((codes != N).all() and (other == (COMPLEMENT[codes] if flip else codes)).all())

    # --- alleles ------------------------------------------------------------------------------------------------------
    def substitutions(self, contig: str, spot: Spot, make: bool) -> list[Change]:
        """Substitutions inside a spot that break its site, or that make one."""
        motif = self.oracle.motifs[spot.tf]
        matrix = motif.log_odds if spot.strand > 0 else motif.log_odds[::-1, ::-1]
        codes = self.oracle.codes[contig][spot.start : spot.start + motif.width]
        now = matrix[codes, np.arange(motif.width)]
        score = now.sum() + matrix - now
        right = score > motif.threshold + STRONG_MARGIN if make else score < motif.threshold - WEAK_MARGIN
        return [
            Change(contig, spot.start + int(column), decode(codes[column : column + 1]), "ACGT"[base])
            for base, column in np.argwhere(right)
        ]

    def does(self, change: Change, kind: str, tf: int | None) -> bool:
        """Whether a change breaks or makes a site of one factor and leaves the others alone, or does nothing."""
        effect = self.oracle.occupancy_change(change)
        if tf is None:
            return bool((np.abs(effect) < NO_CHANGE).all())
        wanted = effect[tf] if kind == "make" else -effect[tf]
        return bool(wanted > CHANGE and (np.abs(np.delete(effect, tf)) < NO_CHANGE).all())

    def motif_variant(self, kind: str, contig: str, inverted: bool = False) -> Allele | None:
        """A substitution that breaks or makes a site; mostly where it matters to some gene."""
        near = self.rng.random() < NEAR_SHARE
        pool = self.pools[kind][contig]
        lead = self.sign_balance[contig in self.layout.test]
        for index, spot in enumerate(pool):
            sign = self.oracle.motifs[spot.tf].sign * (1 if kind == "make" else -1)
            if sign * lead >= SIGN_LEAD * self.layout.records:
                continue
            distance = self.distance(contig, spot.start)
            if distance > REACH or (near and self.activity[spot.tf] * np.exp(-distance / 2000) < NEAR_EFFECT):
                continue
            options = [
                change
                for change in self.substitutions(contig, spot, make=kind == "make")
                if self.inverted(change) == inverted and self.clear(change) and self.does(change, kind, spot.tf)
            ]
            if options:
                del pool[index]
                return Allele(self._balanced(sign, options), kind, self.oracle.motifs[spot.tf].tf)
        return None

    def _balanced(self, sign: int, options: list[Change]) -> Change:
        """The option that keeps effects free of a trend with GC content; ties at random."""
        gains = [float(is_gc(encode(change.alt))[0]) - float(is_gc(encode(change.ref))[0]) for change in options]
        order = self.rng.permutation(len(options)).tolist()
        test = options[0].contig in self.layout.test
        best: int = min(order, key=lambda index: abs(self.gc_balance[test] + sign * gains[index]))
        self.gc_balance[test] += sign * gains[best]
        return options[best]

    def neutral_variant(self, contig: str, inverted: bool = False) -> Allele | None:
        """A substitution without effect, anywhere within reach of a TSS."""
        for _ in range(2_000):
            start = self.position(contig, inverted)
            ref = int(self.oracle.codes[contig][start])
            if ref == N:
                continue
            change = Change(contig, start, "ACGT"[ref], "ACGT"[(ref + int(self.rng.integers(1, 4))) % 4])
            if self.inverted(change) == inverted and self.clear(change) and self.does(change, "neutral", None):
                return Allele(change, "neutral", "")
        return None

    def indel(self, contig: str, inverted: bool = False) -> Allele | None:
        """An insertion or deletion; half of them break a site, the others do nothing."""
        pool = [spot for spot in self.pools["break"][contig] if self.distance(contig, spot.start) <= NEAR]
        for spot in pool[:500] if self.rng.random() < 0.5 else []:
            motif = self.oracle.motifs[spot.tf]
            start = spot.start + int(self.rng.integers(motif.width // 3, 2 * motif.width // 3))
            change = self._indel_at(contig, start, inverted)
            if change is not None and self.does(change, "break", spot.tf):
                self.pools["break"][contig].remove(spot)
                return Allele(change, "indel", motif.tf)
        for _ in range(2_000):
            change = self._indel_at(contig, self.position(contig, inverted), inverted)
            if change is not None and self.does(change, "neutral", None):
                return Allele(change, "indel", "")
        return None

    def _indel_at(self, contig: str, start: int, inverted: bool) -> Change | None:
        """An insertion or deletion of 1 to 8 bases, left-aligned on sim19."""
        size = int(self.rng.integers(1, LONGEST_INDEL + 1))
        codes = self.oracle.codes[contig]
        long = decode(codes[start : start + size + 1])
        if self.rng.random() < 0.5:
            ref, alt = long, long[0]
        else:
            ref, alt = long[0], long[0] + decode(self.rng.integers(0, 4, size=size).astype(np.uint8))
        if "N" in ref:
            return None
        change = Change(contig, *left_aligned(codes, start, ref, alt))
        return change if self.inverted(change) == inverted and self.clear(change) else None

    def multiple(self, contig: str) -> list[Allele] | None:
        """Two or more alternatives at one base: the first breaks a site, the others break it too or do nothing."""
        first = self.motif_variant("break", contig)
        if first is None:
            return None
        change = first.change
        tf = [motif.tf for motif in self.oracle.motifs].index(first.tf)
        found = [first]
        for alt in "ACGT":
            other = Change(contig, change.start, change.ref, alt)
            if alt in (change.ref, change.alt):
                continue
            if self.does(other, "break", tf):
                found.append(Allele(other, "break", first.tf))
            elif self.does(other, "neutral", None):
                found.append(Allele(other, "neutral", ""))
        inserted = Change(contig, change.start, change.ref, change.ref + change.alt)
        if self.does(inserted, "break", tf):
            found.append(Allele(inserted, "indel", first.tf))
        return found

    # --- records ------------------------------------------------------------------------------------------------------
    def add(self, alleles: list[Allele]) -> Record:
        """Append a good record; its alleles share position and REF."""
        change = alleles[0].change
        target = self.assemblies[change.contig].target
        flip = self.inverted(change)
        position = int(target[change.start + len(change.ref) - 1 if flip else change.start])
        turn: Callable[[str], str] = revcomp if flip else str
        ref, alts = turn(change.ref), [turn(allele.change.alt) for allele in alleles]
        if flip and len(ref) != len(alts[0]):
            # The anchor base now stands behind the indel.
            position, ref, alts[0] = left_aligned(self.assemblies[change.contig].codes, position, ref, alts[0])
        record = Record(change.contig, position, ref, alts)
        record.alleles = dict(enumerate(alleles, start=1))
        self.used[change.contig][change.start : change.start + len(change.ref)] = True
        for allele in alleles:
            sign = FACTORS[allele.tf][1] if allele.tf else 0
            self.sign_balance[change.contig in self.layout.test] += sign if allele.kind == "make" else -sign
        self.records.append(record)
        return record

    def single(self, kind: str, contig: str, inverted: bool = False) -> list[Allele] | None:
        """The allele of a record of one kind."""
        if kind == "multi":
            return self.multiple(contig)
        if kind in self.pools:
            allele = self.motif_variant(kind, contig, inverted)
        else:
            allele = (self.neutral_variant if kind == "neutral" else self.indel)(contig, inverted)
        return None if allele is None else [allele]


def plan_good(planner: Planner) -> None:
    """Plan all good records: some inside the inversion, the others on all contigs."""
    wanted = [(kind, planner.layout.test[0], True) for kind, number in INVERTED.items() for _ in range(number)]
    wanted += [
        (kind, planner.contig(), False)
        for kind, share in SHARES.items()
        for _ in range(round(share * planner.layout.records))
    ]
    for kind, contig, inverted in wanted:
        alleles = planner.single(kind, contig, inverted)
        if alleles:
            planner.add(alleles)
