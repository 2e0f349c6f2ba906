from __future__ import annotations

import gzip
import json
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks import genome_tss
from hypothesis import given, settings
from hypothesis import strategies as st

from cisweave.config import ClosestSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome import closest, nearest
from cisweave.genome.closest import assign_closest, closest_tss
from cisweave.genome.genes import read_genes
from cisweave.genome.nearest import TssIndex, find_closest, find_closest_bedops
from cisweave.genome.stream import read_chunks
from cisweave.genome.table import read_variant_table
from cisweave.tables.ledger import read_ledger
from cisweave.tables.receipts import receipt_path
from tests.checks_genome.tss_cases import made_up_cases, plain_search, plain_window, tss_cases

needs_bedops = pytest.mark.skipif(shutil.which("closest-features") is None, reason="BEDOPS is not installed")
ENGINES = ["builtin", pytest.param("bedops", marks=needs_bedops)]
GENES = ["gene_id", "gene_strand", "tss", "dist_to_tss"]
BED = "chr1\t99\t100\t+\tg1\nchr1\t199\t200\t-\tg2\nchr1\t199\t200\t+\tg3\nchr1\t299\t300\t-\tg4\nchr3\t4\t5\t+\tg5\n"


@pytest.fixture
def bed(tmp_path: Path) -> Path:
    path = tmp_path / "tss.bed"
    path.write_text(BED)
    return path


def read_frame(path: Path) -> pd.DataFrame:
    return pd.concat([kept for kept, _ in read_chunks(path, "test")], ignore_index=True)


def sites_and_tss(data: st.DataObject) -> tuple[list[str], list[int], pd.DataFrame]:
    contig = st.sampled_from(["chr1", "chr10", "chr2", "chrX", "Chr1"])
    place = st.tuples(contig, st.one_of(st.integers(1, 25), st.integers(10**14, 10**14 + 25)))
    sites = data.draw(st.lists(place, min_size=1, max_size=30))
    genes = data.draw(st.lists(place, min_size=1, max_size=20))
    tss = pd.DataFrame(genes, columns=["chrom", "tss"])
    chroms, positions = map(list, zip(*sites, strict=True))
    return chroms, positions, tss


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_search_follows_the_rules(data: st.DataObject) -> None:
    chroms, positions, tss = sites_and_tss(data)
    assert find_closest(chroms, np.array(positions), tss).tolist() == plain_search(chroms, positions, tss)


@needs_bedops
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bedops_and_its_twin_agree(data: st.DataObject) -> None:
    chroms, positions, tss = sites_and_tss(data)
    builtin = find_closest(chroms, np.array(positions), tss).tolist()
    assert find_closest_bedops(chroms, np.array(positions), tss).tolist() == builtin


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_window_has_every_gene_in_reach_and_the_closest_first(data: st.DataObject) -> None:
    chroms, positions, tss = sites_and_tss(data)
    reach = data.draw(st.sampled_from([0, 1, 4, 30, 10**9, 10**30]))
    index, places = TssIndex(tss), np.array(positions)
    sites, rows = index.within(chroms, places, reach)
    assert list(zip(sites.tolist(), rows.tolist(), strict=True)) == plain_window(chroms, positions, tss, reach)
    assert index.count_within(chroms, places, reach).tolist() == np.bincount(sites, minlength=len(places)).tolist()
    first, number = np.unique(sites, return_index=True)
    assert rows[number].tolist() == index.closest(chroms, places)[first].tolist()


def test_made_up_cases_follow_the_rules() -> None:
    for chroms, positions, tss in made_up_cases(100, seed=7):
        index, places = TssIndex(tss), np.array(positions, dtype=np.int64)
        assert index.closest(chroms, places).tolist() == plain_search(chroms, positions, tss)
        sites, rows = index.within(chroms, places, 20)
        assert list(zip(sites.tolist(), rows.tolist(), strict=True)) == plain_window(chroms, positions, tss, 20)


@needs_bedops
def test_both_engines_name_the_gene_that_bedops_names() -> None:
    cases, equal = tss_cases(tables=100)
    assert cases == equal
    assert cases > 2500


def test_cases_without_bedops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert tss_cases(tables=2)[1] is None


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = list(made_up_cases(20, seed=3))
    whole = [find_closest(chroms, np.array(positions, dtype=np.int64), tss) for chroms, positions, tss in cases]
    monkeypatch.setattr(nearest, "BLOCK", 7)
    for (chroms, positions, tss), expected in zip(cases, whole, strict=True):
        assert find_closest(chroms, np.array(positions, dtype=np.int64), tss).tolist() == expected.tolist()


def test_no_tss_and_no_sites() -> None:
    empty = pd.DataFrame({"chrom": pd.Series([], dtype="str"), "tss": pd.Series([], dtype="int64")})
    assert find_closest(["chr1"], np.array([5]), empty).tolist() == [-1]
    one = pd.DataFrame({"chrom": ["chr1"], "tss": [5]})
    nothing = np.array([], dtype=np.int64)
    assert find_closest([], nothing, one).tolist() == []
    for index in (TssIndex(empty), TssIndex(one)):
        assert [part.tolist() for part in index.within([], nothing, 5)] == [[], []]
        assert [part.tolist() for part in index.within(["chr2"], np.array([5]), 5)] == [[], []]


def test_contigs_under_other_names() -> None:
    tss = pd.DataFrame({"chrom": ["1", "MT"], "tss": [5, 6]})
    assert find_closest(["chr1", "chrM", "1", "2"], np.array([1, 1, 1, 1]), tss).tolist() == [0, 1, 0, -1]


def test_positions_that_fit_no_genome() -> None:
    tss = pd.DataFrame({"chrom": [f"c{number}" for number in range(2000)], "tss": [10**15 - 1] * 2000})
    with pytest.raises(CisweaveError, match="more than a genome can have"):
        TssIndex(tss)


@needs_bedops
def test_bedops_says_na_where_a_contig_has_no_tss(tmp_path: Path) -> None:
    (tmp_path / "t.bed").write_text("chr2\t7\t8\t0\n")
    lines = nearest.run_closest_features("chr1\t4\t5\nchr2\t4\t5\n", tmp_path / "t.bed")
    assert [nearest.parse_line(line) for line in lines] == [-1, 0]


RULES = [
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


@pytest.mark.parametrize("engine", ENGINES)
def test_each_rule(bed: Path, write_vcf: Callable[..., Path], engine: str) -> None:
    far = [("chr1", 401), ("chr2", 5)]
    rows = [(chrom, pos, ".", "A", "C") for chrom, pos, *_ in RULES]
    rows[3:3] = [(chrom, pos, ".", "A", "C") for chrom, pos in far]
    variants = read_frame(write_vcf(rows))
    assigned, rejected = assign_closest(variants, read_genes(bed), ClosestSettings(engine=engine, max_distance=100))
    assert assigned[["chrom", "pos", "gene_id", "dist_to_tss"]].values.tolist() == [list(case) for case in RULES]
    assert (assigned["pos"] - assigned["tss"] == assigned["dist_to_tss"]).all()
    assert dict(zip(assigned["gene_id"], assigned["gene_strand"], strict=True)) == {
        "g1": "+", "g2": "-", "g3": "+", "g4": "-", "g5": "+",
    }  # fmt: skip
    assert rejected[["record", "line", "code"]].values.tolist() == [[4, 6, "too_far_from_tss"], [5, 7, "no_tss"]]
    assert rejected["message"].tolist() == ["g4 is 101 bases away", "no TSS on this contig"]


def test_window_lists_all_genes_in_reach(bed: Path, write_vcf: Callable[..., Path]) -> None:
    sites = [("chr1", 200), ("chr2", 5), ("1", 150), ("chr1", 351), ("chr1", 900)]
    variants = read_frame(write_vcf([(chrom, pos, ".", "A", "C,G") for chrom, pos in sites]))
    chosen = ClosestSettings(mode="window", max_distance=100)
    assigned, rejected = assign_closest(variants, read_genes(bed), chosen)
    one = assigned[assigned["allele"] == 2]
    assert one[["record", "gene_id", "dist_to_tss"]].values.tolist() == [
        [1, "g3", 0], [1, "g2", 0], [1, "g1", 100], [1, "g4", -100],
        [3, "g1", 50], [3, "g2", -50], [3, "g3", -50],
        [4, "g4", 51],
    ]  # fmt: skip
    assert rejected[["record", "allele", "code", "message"]].values.tolist() == [
        [2, 1, "no_tss", "no TSS on this contig"],
        [2, 2, "no_tss", "no TSS on this contig"],
        [5, 1, "too_far_from_tss", "g4 is 600 bases away"],
        [5, 2, "too_far_from_tss", "g4 is 600 bases away"],
    ]
    with pytest.raises(CisweaveError, match="use closest_tss"):
        assign_closest(variants, read_genes(bed), ClosestSettings(mode="pairs"))


def test_auto_without_bedops_says_so(
    bed: Path, write_vcf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    variants = read_frame(write_vcf([("chr1", 140, ".", "A", "C")]))
    assigned, _ = assign_closest(variants, read_genes(bed))
    assert assigned["gene_id"].tolist() == ["g1"]
    assert "using the in-process search" in caplog.text
    with pytest.raises(CisweaveError, match=r"apt-get install bedops.*engine: builtin"):
        assign_closest(variants, read_genes(bed), ClosestSettings(engine="bedops"))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("cat >/dev/null; echo no memory >&2; exit 3", "closest-features failed: no memory"),
        ("exit 3", "closest-features failed: exit status 3"),
        ("cat >/dev/null", "gave 0 lines for 1 sites"),
    ],
)
def test_bedops_failure_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    program = tmp_path / "closest-features"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tss = pd.DataFrame({"chrom": ["chr1"], "tss": [5]})
    with pytest.raises(CisweaveError, match=message):
        find_closest_bedops(["chr1"], np.array([4]), tss)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["closest", "window"])
@pytest.mark.parametrize("rows", [[], [("chr2", 5, ".", "A", "C")]])
def test_command_with_nothing_left(
    tmp_path: Path, bed: Path, write_vcf: Callable[..., Path], rows: list[tuple[object, ...]], mode: str, engine: str
) -> None:
    chosen = ClosestSettings(mode=mode, engine=engine)
    for name in ("a.parquet", "a.tsv", "a.tsv.gz"):
        closest_tss(write_vcf(rows), bed, tmp_path / name, tmp_path / "r.tsv", chosen)
        assert read_variant_table(tmp_path / name, GENES).empty
    assert read_ledger(tmp_path / "r.tsv")["code"].tolist() == ["no_tss"] * len(rows)


@pytest.mark.parametrize("mode", ["closest", "window"])
def test_command_in_chunks_is_the_same_as_at_once(
    tmp_path: Path, bed: Path, write_vcf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, mode: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    rows = [("chr1", pos, f"v{pos}", "A", "C,<DEL>" if pos % 3 else "T") for pos in range(1, 450, 4)]
    vcf = write_vcf([*rows, ("chr2", 4, ".", "A", "C"), ("chr1", "x", ".", "A", "C")])
    chosen = ClosestSettings(mode=mode, max_distance=60)
    closest_tss(vcf, bed, tmp_path / "a.parquet", tmp_path / "r.tsv", chosen)
    monkeypatch.setattr(closest, "MOST_ROWS", 5)
    monkeypatch.setattr(closest, "read_chunks", lambda path, stage: read_chunks(path, stage, chunk=10))
    closest_tss(vcf, bed, tmp_path / "b.tsv", tmp_path / "r2.tsv", chosen)
    whole, parts = read_variant_table(tmp_path / "a.parquet"), read_variant_table(tmp_path / "b.tsv")
    pd.testing.assert_frame_equal(whole, parts)
    ledgers = [read_ledger(tmp_path / name).sort_values(["record", "allele"]) for name in ("r.tsv", "r2.tsv")]
    pd.testing.assert_frame_equal(*[ledger.reset_index(drop=True) for ledger in ledgers])
    alleles = sum(str(row[4]).count(",") + 1 for row in rows) + 2
    kept = len(whole[["record", "allele"]].drop_duplicates())
    assert kept + len(ledgers[0]) == alleles
    counts = json.loads(receipt_path(tmp_path / "a.parquet").read_text())["identity"]["alleles"]
    assert (counts["in"], counts["kept"]) == (alleles, kept)
    assert (
        f"closest_tss: {alleles} alleles in, {kept} kept, {len(ledgers[0])} rejected (bad_position 1, " in caplog.text
    )
    in_memory, _ = assign_closest(read_frame(vcf), read_genes(bed), chosen)
    pd.testing.assert_frame_equal(whole, in_memory)


@pytest.mark.parametrize(
    ("mode", "pairs", "out", "message"),
    [
        ("pairs", None, "a.tsv", "give it with --pairs"),
        ("window", "p.tsv", "a.tsv", "goes with mode pairs only"),
        ("closest", None, "a.vcf.gz", "no place in a VCF"),
    ],
)
def test_requests_that_make_no_sense(
    tmp_path: Path, bed: Path, write_vcf: Callable[..., Path], mode: str, pairs: str | None, out: str, message: str
) -> None:
    with pytest.raises(CisweaveError, match=message):
        closest_tss(write_vcf([]), bed, tmp_path / out, tmp_path / "r.tsv", ClosestSettings(mode=mode), pairs)
    assert not (tmp_path / out).exists()


@pytest.mark.parametrize("mode", ["closest", "window"])
def test_variants_that_have_genes_already_get_them_anew(
    tmp_path: Path, bed: Path, write_vcf: Callable[..., Path], mode: str
) -> None:
    vcf = write_vcf([("chr1", 200, ".", "A", "C")])
    closest_tss(vcf, bed, tmp_path / "a.parquet", tmp_path / "r.tsv", ClosestSettings(mode="window"))
    for source, out in ((vcf, "b.tsv"), (tmp_path / "a.parquet", "c.tsv")):
        closest_tss(source, bed, tmp_path / out, tmp_path / "r.tsv", ClosestSettings(mode=mode))
    assert (tmp_path / "b.tsv").read_text() == (tmp_path / "c.tsv").read_text()


def test_genes_and_pairs_through_pipes(tmp_path: Path, write_vcf: Callable[..., Path]) -> None:
    genes = "".join(f"chr1\t{number}\t{number + 1}\t+\tg{number}\n" for number in range(5000))
    texts = {"genes": genes, "pairs": "gene_id\tname\n" + "".join(f"g{number}\trs1\n" for number in range(5000))}
    writers = []
    for name, text in texts.items():
        os.mkfifo(tmp_path / name)
        writers.append(threading.Thread(target=(tmp_path / name).write_text, args=[text], daemon=True))
        writers[-1].start()
    vcf = write_vcf([("chr1", 200, "rs1", "A", "C")])
    chosen = ClosestSettings(mode="pairs")
    closest_tss(vcf, tmp_path / "genes", tmp_path / "a.tsv", tmp_path / "r.tsv", chosen, tmp_path / "pairs")
    assert len(read_variant_table(tmp_path / "a.tsv", GENES)) == 5000
    for writer in writers:
        writer.join(timeout=5)


def test_benchmark_compares_like_with_like() -> None:
    genes = genome_tss.tss_places(300)
    rows = [*genome_tss.file_results(2000, genes, 1), *genome_tss.frame_results(2000, genes, "shuffled", 1)]
    assert {row.same_gene for row in rows} == {1.0}
    assert set(genome_tss.tss_speed(2000, 300, 1)) == {
        "tss_speed_vs_bedops", "tss_speed_vs_pyranges", "tss_speed_vs_bioframe",
    }  # fmt: skip


def test_tss_bed_in_any_form(tmp_path: Path) -> None:
    expected = pd.DataFrame(
        {"chrom": ["chr1", "chr1"], "tss": [100, 50], "strand": ["+", "-"], "gene_id": ["g1", "NA"]}
    )
    text = "track name=x\n#c\nchr1\t99\t100\t+\tg1\textra\r\n\r\nchr1\t49\t50\t-\tNA"
    (tmp_path / "a.bed").write_text(text)
    (tmp_path / "a.bed.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("a.bed", "a.bed.gz"):
        pd.testing.assert_frame_equal(read_genes(tmp_path / name)[list(expected)], expected)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t99\t100\t+", r"4 tab-separated field\(s\) instead of at least 5"),
        ("chr1\t99\t101\t+\tg", "must be TSS - 1 and TSS"),
        ("chr1\t99\t99\t+\tg", "must be start and end"),
        ("chr1\tx\t101\t+\tg", "must be start and end"),
        ("chr1\t-1\t0\t+\tg", "must be start and end"),
        (f"chr1\t{10**20}\t{10**20 + 1}\t+\tg", "must be start and end"),
        (f"chr1\t{'9' * 5000}\t1{'0' * 5000}\t+\tg", "must be start and end"),
        ("chr1\t99\t100\tg\t0\t+", "column 4 must be the strand"),
        ("chr 1\t99\t100\t+\tg", "without blanks"),
        ("chr1\t99\t100\t+\t", "gene id is empty"),
        ("chr2\t5\t6\t+\tg1", "gene g1 is already on line 1"),
    ],
)
def test_broken_tss_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.bed").write_text(f"chr1\t9\t10\t+\tg1\n{line}\n")
    with pytest.raises(CisweaveError, match=rf"a.bed, line 2: .*{message}"):
        read_genes(tmp_path / "a.bed")


def test_empty_tss_bed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("")
    with pytest.raises(CisweaveError, match="holds no gene"):
        read_genes(tmp_path / "a.bed")
