"""Assemblies made by plain string work, to compare liftover and extraction with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def reverse_complement(bases: str) -> str:
    return bases.translate(COMPLEMENT)[::-1]


def random_bases(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def apply_allele(bases: str, pos: int, ref: str, alt: str) -> str:
    """The sequence with an allele (1-based) put in; REF must be there."""
    assert bases[pos - 1 : pos - 1 + len(ref)] == ref
    return bases[: pos - 1] + alt + bases[pos - 1 + len(ref) :]


@dataclass
class Segment:
    """A stretch of the source assembly and what became of it in the target."""

    kind: str  # same, inverted, lost (only in the source), gained (only in the target)
    length: int


@dataclass
class Assemblies:
    """A source contig, the target contig made from it, and the chain between them."""

    source: str
    target: str
    chain: str
    blocks: list[tuple[int, int, int, str]]  # source start, end, target start (0-based), strand


def make_assemblies(segments: Sequence[Segment], seed: int = 0, bases: str | None = None) -> Assemblies:
    """Build source, target and UCSC chain text (one chain a block) from segments, by plain string work."""
    source = bases or random_bases(sum(part.length for part in segments if part.kind != "gained"), seed)
    pieces: list[str] = []
    blocks = []
    at = made = 0
    for number, part in enumerate(segments):
        if part.kind == "gained":
            pieces.append(random_bases(part.length, seed + 1000 + number))
        else:
            stretch = source[at : at + part.length]
            if part.kind in ("same", "inverted"):
                strand = "+" if part.kind == "same" else "-"
                pieces.append(stretch if strand == "+" else reverse_complement(stretch))
                blocks.append((at, at + part.length, made, strand))
            at += part.length
        if part.kind != "lost":
            made += part.length
    target = "".join(pieces)
    lines = []
    for number, (start, end, to, strand) in enumerate(blocks, start=1):
        length = end - start
        begin = to if strand == "+" else len(target) - to - length
        lines.append(
            f"chain 1 chrS {len(source)} + {start} {end} "
            f"chrT {len(target)} {strand} {begin} {begin + length} {number}\n{length}\n"
        )
    return Assemblies(source, target, "\n".join(lines), blocks)


# Source 0-40 -> target 7-47; 40-46 is lost; 46-76 -> 47-77; 76-121 -> 77-122 inverted; 11 gained; 121-146 -> 133-158.
SEGMENTS = [
    Segment("gained", 7),
    Segment("same", 40),
    Segment("lost", 6),
    Segment("same", 30),
    Segment("inverted", 45),
    Segment("gained", 11),
    Segment("same", 25),
]
