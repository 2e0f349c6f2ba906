"""Alleles: which can be scored, and the one way to write each (Tan et al. 2015, Algorithm 1)."""

from __future__ import annotations

import re
from typing import NamedTuple

from cisweave.core.errors import shorten
from cisweave.genome.reasons import Reason
from cisweave.sequence.genome import Genome

BASES = re.compile(r"[ACGT]+", re.IGNORECASE)
BLOCK = 64
"""Bases read at a time on the way left."""


class Rejection(NamedTuple):
    """Why an allele is not kept."""

    reason: Reason
    detail: str


def check_alleles(ref: str, alt: str, max_length: int | None = None) -> Rejection | None:
    """Reject what is no substitution, insertion or deletion of known bases, or is too long.

    ``max_length`` bounds what is left of the longer allele once the bases that both share at their ends are gone.
    """
    if not BASES.fullmatch(alt):
        return special_allele(alt)
    if not BASES.fullmatch(ref):
        return Rejection(Reason.INVALID_ALLELE, f"REF {shorten(ref)} is not made of A, C, G and T")
    ref, alt = ref.upper(), alt.upper()
    if ref == alt:
        return Rejection(Reason.REF_EQUALS_ALT, f"both are {shorten(ref)}")
    if max_length is not None and max(len(ref), len(alt)) > max_length:
        _, short_ref, short_alt = trim(1, ref, alt)
        longest = max(len(short_ref), len(short_alt))
        if longest > max_length:
            return Rejection(Reason.ALLELE_TOO_LONG, f"{longest} bases, more than max_allele_length {max_length}")
    return None


def special_allele(alt: str) -> Rejection:
    """Why an ALT that is not made of bases cannot be scored."""
    if alt in ("", "."):
        reason = Reason.MISSING_ALT
    elif alt == "*":
        reason = Reason.SPANNING_DELETION
    elif "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        reason = Reason.BREAKEND
    elif alt.startswith("<"):
        reason = Reason.SYMBOLIC_ALLELE
    else:
        return Rejection(Reason.INVALID_ALLELE, f"ALT {shorten(alt)} is not made of A, C, G and T")
    return Rejection(reason, f"ALT is {shorten(alt)}" if alt else "ALT is empty")


def trim(pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Write an allele with the fewest bases: what both share goes, first on the right, then on the left."""
    right = shared_length(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - right], alt[: len(alt) - right]
    left = shared_length(ref, alt)
    return pos + left, ref[left:], alt[left:]


def core(pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """What an allele changes: without the bases that both share, at first on the left; one of both may be empty."""
    left = shared_length(ref, alt, left_over=0)
    ref, alt = ref[left:], alt[left:]
    right = shared_length(ref[::-1], alt[::-1], left_over=0)
    return pos + left, ref[: len(ref) - right], alt[: len(alt) - right]


def shared_length(one: str, other: str, left_over: int = 1) -> int:
    """How many bases two alleles share from the left, where ``left_over`` bases of each must stay."""
    most = min(len(one), len(other)) - left_over
    return next((index for index in range(most) if one[index] != other[index]), max(most, 0))


def left_align(genome: Genome, chrom: str, pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Move an indel as far left as it goes and write it with the fewest bases (Tan et al. 2015, Algorithm 1).

    ``pos`` is 1-based, REF what the genome holds there. At the first base of a contig, where no base stands before, a
    shared base stays on the right. N and other letters for unknown bases are never passed.
    """
    if len(ref) == len(alt):
        return trim(pos, ref, alt)
    before = ""
    while ref[-1] == alt[-1]:
        if min(len(ref), len(alt)) == 1:
            before = before or genome.fetch(chrom, max(0, pos - 1 - BLOCK), pos - 1)
            if not before or before[-1] not in "ACGT":
                break
            pos, ref, alt, before = pos - 1, before[-1] + ref, before[-1] + alt, before[:-1]
        ref, alt = ref[:-1], alt[:-1]
    left = shared_length(ref, alt)
    return pos + left, ref[left:], alt[left:]
