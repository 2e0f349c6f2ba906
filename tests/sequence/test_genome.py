"""Reading genomes: padding, case, compression, unknown contigs."""

import pysam
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.sequence import Genome, decode

FASTA = ">chr1 first\nACGTNacgtn\nAAAA\n>chr2\nGGGG\n"


@pytest.fixture(params=["plain", "bgzip"])
def fasta(request, tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(FASTA)
    if request.param == "bgzip":
        pysam.tabix_compress(str(path), str(path) + ".gz")
        path = tmp_path / "genome.fa.gz"
    return path


def test_contigs_and_upper_case(fasta):
    with Genome(fasta) as genome:
        assert genome.contigs == {"chr1": 14, "chr2": 4}
        assert genome.fetch("chr1", 0, 14) == "ACGTNACGTNAAAA"


@pytest.mark.parametrize(
    ("start", "end", "bases"),
    [(-3, 2, "NNNGG"), (2, 7, "GGNNN"), (-2, 6, "NNGGGGNN"), (-5, -2, "NNN"), (9, 12, "NNN"), (2, 2, "")],
)
def test_intervals_beyond_the_contig_are_padded(fasta, start, end, bases):
    with Genome(fasta) as genome:
        assert genome.fetch("chr2", start, end) == bases
        assert decode(genome.codes("chr2", start, end)) == bases


def test_unknown_contig_names_those_that_exist(fasta):
    with Genome(fasta) as genome, pytest.raises(CisweaveError, match="contig 1 is not in this FASTA; it has chr1"):
        genome.fetch("1", 0, 5)


def test_plain_gzip_is_refused_with_advice(tmp_path):
    import gzip

    path = tmp_path / "genome.fa.gz"
    with gzip.open(path, "wt") as handle:
        handle.write(FASTA)
    with pytest.raises(CisweaveError, match="packed with gzip, .* pack it with bgzip"):
        Genome(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["genome.fa.gz"]


def test_missing_file(tmp_path):
    with pytest.raises(CisweaveError, match="does not exist"):
        Genome(tmp_path / "none.fa")
