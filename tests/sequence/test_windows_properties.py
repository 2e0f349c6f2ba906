"""Windows of alleles against a slow oracle in plain Python, and back again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cisweave.core.errors import CisweaveError
from cisweave.sequence import allele_window, decode
from cisweave.sequence.windows import allele_padding

BASES = "".join(random.Random(5).choices("ACGT", k=400))


class TextGenome:
    """A genome of one contig held as text."""

    def __init__(self, bases: str):
        self.bases = bases

    def fetch(self, chrom: str, start: int, end: int) -> str:
        return "".join(self.bases[i] if 0 <= i < len(self.bases) else "N" for i in range(start, end))


def oracle(bases: str, pos: int, ref: str, allele: str, window: int, shift: int) -> tuple[str, int]:
    """The published rule step by step: fetch 50 bases more on each side, put the allele in, crop around the middle.

    Also gives how many bases of the window lie outside the contig.
    """
    half = window // 2
    places = list(range(pos + shift - half - 50, pos + shift - half - 50 + window + 100))  # 0-based
    letters: list[tuple[str, bool]] = [
        (bases[place], False) if 0 <= place < len(bases) else ("N", True) for place in places
    ]
    m = half + 49 - shift
    changed = letters[:m] + [(letter, False) for letter in allele] + letters[m + len(ref) :]
    n = len(changed)
    low = (n - window) // 2
    cropped = changed[low : low + window]
    return "".join(letter for letter, _ in cropped), sum(outside for _, outside in cropped)


@st.composite
def variants(draw: st.DrawFn) -> tuple[int, str, str]:
    """An allele of up to 60 bases anywhere on the contig, often close to an end."""
    pos = draw(st.one_of(st.integers(1, 30), st.integers(len(BASES) - 30, len(BASES)), st.integers(1, len(BASES))))
    ref = BASES[pos - 1 : pos - 1 + draw(st.integers(1, 60))]
    return pos, ref, draw(st.text("ACGT", min_size=1, max_size=60))


@settings(max_examples=400, deadline=None)
@given(variants(), st.sampled_from([100, 101, 140, 2000]), st.integers(-1100, 1100))
def test_windows_are_those_of_the_oracle(variant: tuple[int, str, str], window: int, shift: int) -> None:
    pos, ref, alt = variant
    genome = TextGenome(BASES)
    for allele in (ref, alt):
        try:
            codes = allele_window(genome, "c", pos, ref, allele, window, shift)  # type: ignore[arg-type]
        except CisweaveError:
            offset = 50 + window // 2 - 1 - shift
            assert offset < 50 or offset + max(len(ref), len(allele)) > window + 50
            continue
        expected, outside = oracle(BASES, pos, ref, allele, window, shift)
        assert decode(codes) == expected
        assert allele_padding(len(BASES), pos, ref, allele, window, shift) == outside


@settings(max_examples=300, deadline=None)
@given(variants(), st.sampled_from([200, 2000]), st.integers(-20, 20))
def test_an_allele_put_in_and_taken_out_again_changes_nothing(
    variant: tuple[int, str, str], window: int, shift: int
) -> None:
    pos, ref, alt = variant
    changed = BASES[: pos - 1] + alt + BASES[pos - 1 + len(ref) :]
    there = allele_window(TextGenome(BASES), "c", pos, ref, alt, window, shift)  # type: ignore[arg-type]
    back = allele_window(TextGenome(changed), "c", pos, alt, ref, window, shift)  # type: ignore[arg-type]
    grown = len(alt) - len(ref)  # the crop moves by half of it
    ref_window = allele_window(TextGenome(BASES), "c", pos, ref, ref, window, shift + -grown // 2)  # type: ignore[arg-type]
    alt_window = allele_window(TextGenome(changed), "c", pos, alt, alt, window, shift + grown // 2)  # type: ignore[arg-type]
    assert (back == ref_window).all()
    assert (there == alt_window).all()


@pytest.mark.parametrize("shift", range(-800, 801, 200))
def test_all_shifts_of_the_published_grid(shift: int) -> None:
    for pos, ref, alt in ((1, BASES[:1], "ACGTACGT"), (400, BASES[399:], "TT"), (200, BASES[199:240], BASES[199])):
        codes = allele_window(TextGenome(BASES), "c", pos, ref, alt, 2000, shift)  # type: ignore[arg-type]
        assert decode(codes) == oracle(BASES, pos, ref, alt, 2000, shift)[0]
