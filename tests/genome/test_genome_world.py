"""The built-in world's variants through the genome room, against the world's truth."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cisweave.genome.closest import closest_tss
from cisweave.genome.ledger import balance_ledger
from cisweave.genome.liftover import liftover_variants
from cisweave.genome.normalize import concatenate, normalize_variants
from cisweave.genome.stream import read_chunks
from cisweave.genome.table import read_variant_table
from cisweave.sequence import Genome
from cisweave.tables.frames import read_table
from cisweave.tables.ledger import read_ledger


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genome") / "world"
    subprocess.run(
        [sys.executable, "-m", "cisweave", "simulate", "--out", folder, "--size", "tiny", "--seed", "4"], check=True
    )
    return folder


@pytest.fixture(scope="module")
def results(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    vcf, genome = world / "variants/variants.vcf", world / "genome"
    normalize_variants(vcf, out / "v.vcf.gz", out / "r1.tsv", genome / "sim38.fa")
    chain = genome / "sim38ToSim19.over.chain"
    liftover_variants(out / "v.vcf.gz", chain, genome / "sim19.fa", out / "l.vcf.gz", out / "r2.tsv")
    closest_tss(out / "l.vcf.gz", world / "annotation/tss.bed", out / "a.parquet", out / "r3.tsv")
    rejected = [out / f"r{number}.tsv" for number in (1, 2, 3)]
    balance_ledger(out / "v.vcf.gz", rejected, [out / "a.parquet"], out / "ledger.tsv", out / "ledger.json", vcf)
    return out


def test_bad_records_have_the_expected_reasons(world: Path, results: Path) -> None:
    expected = read_table(world / "truth/bad_records.tsv")
    found = read_ledger(results / "ledger.tsv").merge(expected, on=["record", "allele"])
    assert len(found) == len(expected) > 20
    assert (found["code"] == found["reason"]).all()
    assert len(read_ledger(results / "ledger.tsv")) == len(expected)


def test_lifted_alleles_make_the_true_haplotypes(world: Path, results: Path) -> None:
    """Two spellings of one indel are the same haplotype."""
    truth = read_table(world / "truth/effects.tsv").drop_duplicates(["record", "allele"])
    lifted = concatenate(read_chunks(results / "l.vcf.gz", "test"))[0]
    both = lifted.merge(truth, on=["record", "allele"], suffixes=("", "_true"))
    assert len(both) == len(truth) > 100
    assert set(both["lift_strand"]) == {"+", "-"}
    with Genome(world / "genome/sim19.fa") as genome:
        for row in both.itertuples():
            start = row.pos - 300
            bases = genome.fetch(row.chrom, start, start + 800)
            haplotypes = []
            for pos, ref, alt in ((row.pos, row.ref, row.alt), (row.pos_true, row.ref_true, row.alt_true)):
                at = pos - 1 - start
                assert bases[at : at + len(ref)] == ref
                haplotypes.append(bases[:at] + alt + bases[at + len(ref) :])
            assert row.chrom == row.chrom_true
            assert haplotypes[0] == haplotypes[1]


def test_each_allele_is_kept_or_rejected(world: Path, results: Path) -> None:
    truth = read_table(world / "truth/effects.tsv").drop_duplicates(["record", "allele"])
    assigned = read_variant_table(results / "a.parquet", ["gene_id"])
    assert set(zip(assigned["record"], assigned["allele"], strict=True)) == set(
        zip(truth["record"], truth["allele"], strict=True)
    )
