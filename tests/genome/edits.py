"""Two assemblies that differ by known edits, put together by plain string work, with the chain between them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.genome.assemblies import reverse_complement


@dataclass(frozen=True)
class Edit:
    """Bases ``ref`` from the 0-based ``start`` on become ``alt``; one of both may be empty."""

    start: int
    ref: str
    alt: str

    @property
    def end(self) -> int:
        return self.start + len(self.ref)

    def apply(self, bases: str) -> str:
        assert bases[self.start : self.end] == self.ref
        return bases[: self.start] + self.alt + bases[self.end :]

    def trimmed(self) -> Edit:
        start, ref, alt = self.start, self.ref, self.alt
        while ref and alt and ref[0] == alt[0]:
            start, ref, alt = start + 1, ref[1:], alt[1:]
        while ref and alt and ref[-1] == alt[-1]:
            ref, alt = ref[:-1], alt[:-1]
        return Edit(start, ref, alt)

    def spellings(self, bases: str) -> list[Edit]:
        """Every edit of the same lengths that makes the same sequence."""
        edited, found = self.apply(bases), []
        for start in range(len(bases) - len(self.ref) + 1):
            ref, alt = bases[start : start + len(self.ref)], edited[start : start + len(self.alt)]
            if bases[:start] + alt + bases[start + len(ref) :] == edited and (ref or alt) and ref != alt:
                found.append(Edit(start, ref, alt))
        return found


def left_aligned(bases: str, edit: Edit) -> tuple[int, str, str]:
    """The VCF spelling (1-based): of all with the fewest bases the leftmost, by trying all."""
    best = min(edit.trimmed().spellings(bases), key=lambda one: one.start)
    if best.ref and best.alt:
        return best.start + 1, best.ref, best.alt
    anchor = bases[best.start - 1]
    return best.start, anchor + best.ref, anchor + best.alt


@dataclass(frozen=True)
class Pair:
    """A source contig chrS and a target contig chrT."""

    source: str
    target: str
    chain: str
    back: str
    inverted: bool


def make_pair(source: str, edit: Edit, inverted: bool) -> Pair:
    """The source with one edit, which stands in the chain just as it is spelt, and the whole turned if wished."""
    target = edit.apply(source)
    gap, query_gap = len(edit.ref), len(edit.alt)
    if gap == query_gap:
        blocks = [f"{len(source)}"]
    else:
        blocks = [f"{edit.start}\t{gap}\t{query_gap}", f"{len(source) - edit.end}"]
    strand = "-" if inverted else "+"
    sizes = f"{len(source)} + 0 {len(source)} chrT {len(target)} {strand} 0 {len(target)}"
    chain = f"chain 1 chrS {sizes} 1\n" + "\n".join(blocks) + "\n"
    turned = [block.split("\t") for block in blocks]
    if len(turned) == 2:
        sides = [turned[0][0], turned[1][0]][:: -1 if inverted else 1]
        lines = [f"{sides[0]}\t{query_gap}\t{gap}", sides[1]]
    else:
        lines = blocks
    sizes = f"{len(target)} + 0 {len(target)} chrS {len(source)} {strand} 0 {len(source)}"
    back = f"chain 1 chrT {sizes} 1\n" + "\n".join(lines) + "\n"
    return Pair(source, reverse_complement(target) if inverted else target, chain, back, inverted)


def random_edit(choose: random.Random, bases: str, start: int, longest: int = 5, letters: str = "ACGT") -> Edit:
    """A substitution, insertion, deletion or exchange at a place."""
    while True:
        ref = bases[start : start + choose.choice([0, 0, 1, 1, 1, choose.randint(1, longest)])]
        alt = "".join(choose.choices(letters, k=choose.choice([0, 1, len(ref), choose.randint(0, longest)])))
        if choose.random() < 0.3 and not ref:
            alt = bases[start : start + choose.randint(1, longest)]  # a repeat of what follows
        if ref != alt:
            return Edit(start, ref, alt).trimmed()


def outcomes(source: str, variant: Edit, edit: Edit) -> set[str]:
    """The sequences that the target may become by the variant: both changes, in each spelling that keeps them apart.

    Where the target differs by substitutions alone, the variant goes to where it was, if its REF stands there.
    """
    found = set()
    if len(edit.ref) == len(edit.alt):
        target = edit.apply(source)
        same = [one for one in variant.spellings(source) if target[one.start : one.end] == one.ref]
        return {one.apply(target) for one in same}
    for one in variant.spellings(source):
        for other in edit.spellings(source):
            if one.end <= other.start or other.end <= one.start:
                late, early = sorted((one, other), key=lambda change: (change.start, change.end), reverse=True)
                found.add(early.apply(late.apply(source)))
    return found
