"""The genome room on real variants."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from cisweave.genome.liftover import lift_variants
from cisweave.genome.normalize import read_variants
from cisweave.sequence import Genome
from tests.real.checks import CHECKS, VARIABLE, chr20_check, chr20_is_right, data_folder, seal_check, seal_is_right

FOLDER, REASON = data_folder()
SCRIPT = Path(__file__).parents[2] / "scripts/check_real.py"


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_seal_rows_are_the_published_ones() -> None:
    figures = seal_check(FOLDER)
    assert (figures["seal_rows"], figures["seal_rows_equal"]) == (206, 206)
    assert seal_is_right(figures)


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_every_chr20_allele_is_scored_or_rejected() -> None:
    figures = chr20_check(FOLDER)
    assert figures["chr20_records"] == 28_998
    assert figures["chr20_in"] == figures["chr20_scored"] + figures["chr20_rejected"] == 29_144
    assert figures["chr20_reasons"] == {"symbolic_allele": 24, "too_far_from_tss": 13_997}
    assert chr20_is_right(figures)


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_alleles_of_chr1_return_from_hg38(tmp_path: Path) -> None:
    """Made-up alleles of the first megabase of chr1, which both builds' pieces hold, go to hg38 and back."""
    hg19, hg38 = FOLDER / "genome/hg19_pieces.fa.gz", FOLDER / "genome/hg38_pieces.fa.gz"
    vcf = tmp_path / "alleles.vcf"
    choose = random.Random(1)
    with Genome(hg19) as genome, vcf.open("w") as handle:
        for pos in range(10_500, 990_000, 300):
            ref = genome.fetch("chr1", pos - 1, pos - 1 + choose.choice([1, 1, 2, 5, 20]))
            alt = choose.choice([ref[0] + "".join(choose.choices("ACGT", k=choose.randint(1, 8))), ref[0]])
            handle.write(f"chr1\t{pos}\t.\t{ref}\t{alt}\n")
    variants, _ = read_variants(vcf, hg19)
    lifted, rejected = lift_variants(variants, FOLDER / "chain/hg19ToHg38.over.chain.gz", hg38)
    assert len(lifted) + len(rejected) == len(variants)
    assert len(lifted) > 0.9 * len(variants)
    assert set(lifted["lift_strand"]) == {"+", "-"}
    returned, _ = lift_variants(lifted, FOLDER / "chain/hg38ToHg19.over.chain.gz", hg19)
    both = variants.merge(returned, on=["record", "allele"], suffixes=("", "_returned"))
    assert len(both) > 0.7 * len(variants)
    for column in ("chrom", "pos", "ref", "alt"):
        assert (both[column] == both[f"{column}_returned"]).all()


@pytest.mark.parametrize("value", [None, "/no/such/folder"])
def test_without_data_the_figures_are_null(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value:
        monkeypatch.setenv(VARIABLE, value)
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    reason = figures.pop("real_data")
    assert reason == (f"{VARIABLE} is {value}, which is not a folder" if value else f"{VARIABLE} is not set")
    assert set(figures) == {figure for check in CHECKS.values() for figure in check.figures}
    assert set(figures.values()) == {None}
