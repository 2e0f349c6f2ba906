"""Unions of alleles against Seal's own windows, and which of them are cones."""

import numpy as np
import pytest

from cisweave.seal.engine.geometry import Span, Tiling
from cisweave.seal.engine.haplotypes import Haplotypes, bases_before, changed_span, unions
from cisweave.sequence import Genome
from cisweave.sequence.windows import allele_window
from tests.seal.engine.world import SHIFTS, take, variants, write_genome

TILING = Tiling(600, 100, 5)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    with Genome(write_genome(tmp_path_factory.mktemp("haplotypes"))) as opened:
        yield opened


def allele_pair(ref_length, alt_length, pos=1800):
    """One variant of these lengths, alleles that begin differently."""
    ref = take("chr1", pos, ref_length)
    return variants([("chr1", pos, ref, "ACGT"[(("ACGT".index(ref[0])) + 1) % 4] + "A" * (alt_length - 1))])


@pytest.mark.parametrize("change", [-100, -99, -3, -2, -1, 0, 1, 2, 3, 50, 90])
def test_windows_are_slices_of_one_union(change, genome):
    """The crop moves by half the net change, rounded down (the published table: -100 -> 0, -99 -> 0, -1 -> 49 …)."""
    table = allele_pair(max(1, 1 - change), max(1, 1 + change))
    (chrom, pos, ref, alt) = table.iloc[0]
    for made, allele in zip(unions(table, genome, TILING, SHIFTS), (ref, alt), strict=True):
        assert made[0].shape == (1000,)
        for number, shift in enumerate(SHIFTS):
            window = allele_window(genome, chrom, pos, ref, allele, 600, shift)
            np.testing.assert_array_equal(made[0][100 * number : 100 * number + 600], window)


@pytest.mark.parametrize(
    ("ref", "alt", "span"),
    [
        (1, 1, Span(499, 500)),
        (7, 7, Span(499, 506)),
        (1, 2, Span(499, 1000)),
        (4, 5, Span(499, 1000)),
        (2, 1, Span(0, 501)),
        (5, 4, Span(0, 504)),
        (1, 3, None),
        (3, 1, None),
    ],
)
def test_nothing_differs_outside_the_changed_span(ref, alt, span, genome):
    found = changed_span(ref, alt, bases_before(600, SHIFTS), TILING)
    assert found == span
    references, alternatives = unions(allele_pair(ref, alt), genome, TILING, SHIFTS)
    different = np.flatnonzero(references[0] != alternatives[0])
    if span is None:
        assert different[0] < 400
        assert different[-1] > 600
    else:
        assert span.start <= different[0] <= different[-1] < span.stop


def test_sequences_are_numbered_by_their_bases():
    one, two, three = (np.full(4, code, np.uint8) for code in range(3))
    haplotypes = Haplotypes.distinct([one, one.copy(), two], [two, three, three])
    assert (haplotypes.references, haplotypes.alternatives) == ([0, 0, 1], [1, 2, 2])
    assert len(haplotypes.codes) == 3


def test_wide_changes_and_references_are_no_cones():
    codes = [np.full(4, code, np.uint8) for code in range(4)]
    haplotypes = Haplotypes.distinct([codes[0], codes[0], codes[1], codes[0]], [codes[1], codes[2], codes[2], codes[3]])
    spans = [Span(499, 500), Span(499, 500), Span(499, 500), Span(0, 900)]
    assert [change.haplotype for change in haplotypes.changes(spans, TILING, {0, 1, 2, 3})] == [2]
    assert haplotypes.changes(spans, TILING, {0, 1, 3}) == []
