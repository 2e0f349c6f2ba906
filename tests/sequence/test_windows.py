"""Windows around variants, against the published arithmetic of Seal."""

import numpy as np
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.sequence import Genome, allele_window, decode

LENGTH = 6000


@pytest.fixture
def genome(tmp_path):
    bases = "".join(np.random.default_rng(0).choice(list("ACGT"), LENGTH))
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{bases}\n")
    with Genome(path) as opened:
        yield opened


def other(base):
    return {"A": "C", "C": "G", "G": "T", "T": "A"}[base]


@pytest.mark.parametrize(("shift", "index"), [(0, 999), (-800, 1799), (800, 199)])
def test_a_substitution_stands_at_999_minus_shift(genome, shift, index):
    pos = 3000
    ref = genome.fetch("chr1", pos - 1, pos)
    reference = allele_window(genome, "chr1", pos, ref, ref, 2000, shift)
    alternative = allele_window(genome, "chr1", pos, ref, other(ref), 2000, shift)
    assert np.flatnonzero(reference != alternative).tolist() == [index]
    assert decode(reference) == genome.fetch("chr1", pos + shift - 1000, pos + shift + 1000)


@pytest.mark.parametrize(
    ("net", "low"),
    [(-100, 0), (-99, 0), (-3, 48), (-2, 49), (-1, 49), (0, 50), (1, 50), (2, 51), (3, 51), (50, 75)],
)
def test_indels_move_the_crop_by_half_their_length(genome, net, low):
    pos = 3000
    ref = genome.fetch("chr1", pos - 1, pos - 1 + max(1, 1 - net))
    alt = ref[0] + "A" * max(0, net)
    haplotype = genome.fetch("chr1", pos - 1050, pos - 1) + alt + genome.fetch("chr1", pos - 1 + len(ref), pos + 1050)
    assert decode(allele_window(genome, "chr1", pos, ref, alt)) == haplotype[low : low + 2000]


def test_reference_allele_replaces_the_genome_even_where_they_disagree(genome):
    base = genome.fetch("chr1", 2999, 3000)
    window = decode(allele_window(genome, "chr1", 3000, other(base), other(base)))
    assert window[999] == other(base)


def test_contig_ends_are_padded_with_n(genome):
    base = genome.fetch("chr1", 0, 1)
    window = decode(allele_window(genome, "chr1", 1, base, base))
    assert window[:999] == "N" * 999
    assert window[999:] == genome.fetch("chr1", 0, 1001)


def test_an_allele_that_cannot_be_centred_is_an_error(genome):
    ref = genome.fetch("chr1", 2999, 3101)
    assert len(ref) == 102
    with pytest.raises(CisweaveError, match="loses more than 100 bases"):
        allele_window(genome, "chr1", 3000, ref, ref[0])


def test_an_allele_outside_the_window_is_an_error(genome):
    with pytest.raises(CisweaveError, match="does not fit"):
        allele_window(genome, "chr1", 3000, "A", "C", window=600, shift=400)
