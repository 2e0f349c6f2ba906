from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cisweave.config import ClosestSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome import closest
from cisweave.genome.closest import assign_closest, closest_tss, find_closest, find_closest_bedops
from cisweave.genome.table import read_variant_table
from cisweave.genome.tss import read_tss
from cisweave.genome.variants import normalise_variants, read_variants
from cisweave.tables.ledger import read_ledger

needs_bedops = pytest.mark.skipif(shutil.which("closest-features") is None, reason="BEDOPS is not installed")
METHODS = ["internal", pytest.param("bedops", marks=needs_bedops)]
BED = "chr1\t99\t100\t+\tg1\nchr1\t199\t200\t-\tg2\nchr1\t199\t200\t+\tg3\nchr1\t299\t300\t-\tg4\nchr3\t4\t5\t+\tg5\n"


@pytest.fixture
def bed(tmp_path: Path) -> Path:
    path = tmp_path / "tss.bed"
    path.write_text(BED)
    return path


def oracle(chroms: list[str], positions: list[int], tss: pd.DataFrame) -> list[int]:
    """The rules spelt out, every site against every TSS."""
    found = []
    for chrom, pos in zip(chroms, positions, strict=True):
        best = -1
        for row, (contig, place) in enumerate(zip(tss["chrom"], tss["tss"], strict=True)):
            if contig != chrom:
                continue
            if best < 0:
                best = row
                continue
            old, new = int(tss["tss"][best]), int(place)
            nearer = abs(new - pos) < abs(old - pos)
            tie_left = abs(new - pos) == abs(old - pos) and new < old
            same_left = new == old and new <= pos
            if nearer or tie_left or same_left:
                best = row
        found.append(best)
    return found


def sites_and_tss(data: st.DataObject) -> tuple[list[str], list[int], pd.DataFrame]:
    contig = st.sampled_from(["chr1", "chr10", "chr2", "chrX", "Chr1"])
    place = st.tuples(contig, st.integers(1, 25))
    sites = data.draw(st.lists(place, min_size=1, max_size=30))
    genes = data.draw(st.lists(place, min_size=1, max_size=20))
    tss = pd.DataFrame(genes, columns=["chrom", "tss"])
    chroms, positions = map(list, zip(*sites, strict=True))
    return chroms, positions, tss


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_search_follows_the_rules(data: st.DataObject) -> None:
    chroms, positions, tss = sites_and_tss(data)
    assert find_closest(chroms, np.array(positions), tss).tolist() == oracle(chroms, positions, tss)


@needs_bedops
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bedops_and_its_twin_agree(data: st.DataObject) -> None:
    chroms, positions, tss = sites_and_tss(data)
    internal = find_closest(chroms, np.array(positions), tss).tolist()
    assert find_closest_bedops(chroms, np.array(positions), tss).tolist() == internal


@needs_bedops
def test_bedops_says_na_where_a_contig_has_no_tss(tmp_path: Path) -> None:
    (tmp_path / "v.bed").write_text("chr1\t4\t5\nchr2\t4\t5\n")
    (tmp_path / "t.bed").write_text("chr2\t7\t8\t0\n")
    lines = closest.run_closest_features(tmp_path / "v.bed", tmp_path / "t.bed")
    assert [closest.parse_line(line) for line in lines] == [-1, 0]


@pytest.mark.parametrize("method", METHODS)
def test_each_rule(bed: Path, write_vcf: Callable[..., Path], method: str) -> None:
    cases = [
        ("chr1", 100, "g1", 0),
        ("chr1", 140, "g1", 40),
        ("chr1", 150, "g1", 50),  # a tie: the left gene
        ("chr1", 151, "g2", -49),  # two genes, on the right: the first in the file
        ("chr1", 200, "g3", 0),  # at their place: the last
        ("chr1", 249, "g3", 49),  # on the left: the last
        ("chr1", 250, "g3", 50),
        ("chr1", 251, "g4", -49),
        ("1", 400, "g4", 100),
        ("chr3", 1, "g5", -4),
    ]
    far = [("chr1", 401), ("chr2", 5)]
    rows = [(chrom, pos, ".", "A", "C") for chrom, pos, *_ in cases]
    rows[3:3] = [(chrom, pos, ".", "A", "C") for chrom, pos in far]
    variants, _ = read_variants(write_vcf(rows))
    assigned, rejected = assign_closest(variants, read_tss(bed), ClosestSettings(method=method, max_distance=100))
    assert assigned[["chrom", "pos", "gene_id", "dist_to_tss"]].values.tolist() == [list(case) for case in cases]
    assert (assigned["pos"] - assigned["tss"] == assigned["dist_to_tss"]).all()
    assert dict(zip(assigned["gene_id"], assigned["gene_strand"], strict=True)) == {
        "g1": "+", "g2": "-", "g3": "+", "g4": "-", "g5": "+",
    }  # fmt: skip
    assert rejected[["record", "reason"]].values.tolist() == [[4, "too_far_from_tss"], [5, "no_tss"]]
    assert rejected["detail"].tolist() == ["g4 is 101 bases away", "no TSS on this contig"]


def test_auto_without_bedops_says_so(
    bed: Path, write_vcf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    variants, _ = read_variants(write_vcf([("chr1", 140, ".", "A", "C")]))
    assigned, _ = assign_closest(variants, read_tss(bed))
    assert assigned["gene_id"].tolist() == ["g1"]
    assert "using the in-process search" in caplog.text
    with pytest.raises(CisweaveError, match=r"apt-get install bedops.*method: internal"):
        assign_closest(variants, read_tss(bed), ClosestSettings(method="bedops"))


def test_bedops_failure_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "closest-features"
    program.write_text("#!/bin/sh\necho no memory >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    tss = pd.DataFrame({"chrom": ["chr1"], "tss": [5]})
    with pytest.raises(CisweaveError, match="closest-features failed: no memory"):
        find_closest_bedops(["chr1"], np.array([4]), tss)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [[], [("chr2", 5, ".", "A", "C")]])
def test_command_with_nothing_left(
    tmp_path: Path, bed: Path, write_vcf: Callable[..., Path], rows: list[tuple[object, ...]], method: str
) -> None:
    normalise_variants(write_vcf(rows), tmp_path / "v.tsv", tmp_path / "r0.tsv")
    closest_tss(tmp_path / "v.tsv", bed, tmp_path / "a.parquet", tmp_path / "r.tsv", ClosestSettings(method=method))
    assert read_variant_table(tmp_path / "a.parquet", ["gene_id", "gene_strand", "tss", "dist_to_tss"]).empty
    assert read_ledger(tmp_path / "r.tsv")["reason"].tolist() == ["no_tss"] * len(rows)


def test_tss_bed_in_any_form(tmp_path: Path) -> None:
    expected = pd.DataFrame(
        {"chrom": ["chr1", "chr1"], "tss": [100, 50], "strand": ["+", "-"], "gene_id": ["g1", "NA"]}
    )
    text = "track name=x\n#c\nchr1\t99\t100\t+\tg1\textra\r\n\r\nchr1\t49\t50\t-\tNA"
    (tmp_path / "a.bed").write_text(text)
    (tmp_path / "a.bed.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("a.bed", "a.bed.gz"):
        pd.testing.assert_frame_equal(read_tss(tmp_path / name), expected)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t99\t100\t+", r"4 tab-separated field\(s\) instead of 5"),
        ("chr1\t99\t101\t+\tg", "must be TSS - 1 and TSS"),
        ("chr1\tx\t101\t+\tg", "must be TSS - 1 and TSS"),
        ("chr1\t-1\t0\t+\tg", "must be TSS - 1 and TSS"),
        (f"chr1\t{10**20}\t{10**20 + 1}\t+\tg", "must be TSS - 1 and TSS"),
        (f"chr1\t{'9' * 5000}\t1{'0' * 5000}\t+\tg", "must be TSS - 1 and TSS"),
        ("chr1\t99\t100\tg\t0\t+", "column 4 must be the strand"),
        ("chr 1\t99\t100\t+\tg", "without blanks"),
        ("chr1\t99\t100\t+\t", "gene id must be there"),
        ("chr2\t5\t6\t+\tg1", "gene g1 is already on line 1"),
    ],
)
def test_broken_tss_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.bed").write_text(f"chr1\t9\t10\t+\tg1\n{line}\n")
    with pytest.raises(CisweaveError, match=rf"a.bed, line 2: .*{message}"):
        read_tss(tmp_path / "a.bed")


def test_empty_tss_bed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("")
    with pytest.raises(CisweaveError, match="holds no TSS"):
        read_tss(tmp_path / "a.bed")
