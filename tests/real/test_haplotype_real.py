"""Haplotypes of real variants against those of bcftools."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pysam
import pytest
from pysam import bcftools

from cisweave.config import HaplotypeSettings
from cisweave.seal.haplotype.edits import Gene, assemble
from cisweave.seal.haplotype.genotypes import MAX_PLOIDY, AlleleReader, read_cohort
from cisweave.sequence import Genome
from tests.real.checks import CHR20_VCF, HG19, data_folder

FOLDER, REASON = data_folder()
SAMPLES = ("A", "B", "C")
LAST = 1_500_000


def with_genotypes(source: Path, target: Path) -> None:
    """The variants up to ``LAST``, one per position, with phased genotypes drawn by their frequencies (3 % or more)."""
    generator = np.random.default_rng(1)
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=chr20>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *SAMPLES]),
    ]
    last = 0
    with gzip.open(source, "rt") as handle:
        for line in handle:
            fields = line.rstrip("\n").split("\t")
            if line.startswith("#") or "<" in fields[4] or int(fields[1]) == last:
                continue
            last = int(fields[1])
            if last > LAST:
                break
            found = re.search(r"(?:^|;)AF=([^;]+)", fields[7])
            alts = np.maximum(np.array(found[1].split(","), dtype=float), 0.03) if found else np.array([0.03])
            share = np.array([max(0.0, 1 - alts.sum()), *alts])
            drawn = generator.choice(len(share), size=(len(SAMPLES), 2), p=share / share.sum())
            lines.append("\t".join([*fields[:5], ".", ".", ".", "GT", *[f"{one}|{two}" for one, two in drawn]]))
    with pysam.BGZFile(str(target), "wb", None) as handle:
        handle.write("\n".join([*lines, ""]).encode())
    pysam.tabix_index(str(target), preset="vcf", force=True)


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_haplotypes_equal_those_of_bcftools(tmp_path: Path) -> None:
    vcf, fasta = tmp_path / "phased.vcf.gz", tmp_path / "chr20.fa"
    with_genotypes(FOLDER / CHR20_VCF, vcf)
    with Genome(FOLDER / HG19) as genome:
        reference = genome.fetch("chr20", 0, LAST + 1000)
        fasta.write_text(f">chr20\n{reference}\n")
        reader = AlleleReader(
            vcf, genome, read_cohort(vcf), HaplotypeSettings(), {"chr20": np.array([[0, len(reference)]])}
        )
        alleles = list(reader)
    counts = reader.books.counts()
    assert counts["used"] > 3000
    assert set(counts["reasons"]) <= {"overlapping_alleles"}
    for sample, name in enumerate(SAMPLES):
        for haplotype in (0, 1):
            number = sample * MAX_PLOIDY + haplotype
            edits = [allele.edit for allele in alleles if number in allele.carriers]
            assert sum(len(edit.bases) != edit.end - edit.start for edit in edits) > 20
            mine, _, _ = assemble(reference, 0, Gene("chr20", LAST, "+"), edits)
            text = bcftools.consensus("-f", str(fasta), "-s", name, "-H", str(haplotype + 1), str(vcf))
            assert mine == "".join(text.split("\n")[1:])
