from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cisweave.config import ClosestSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome.closest import closest_tss
from cisweave.genome.pairs import read_pairs
from cisweave.tables.frames import read_table
from cisweave.tables.ledger import read_ledger
from cisweave.tables.receipts import receipt_path

BED = "chr1\t99\t100\t+\tg1\nchr1\t999999\t1000000\t-\tg2\nchr2\t199\t200\t+\tg3\n"
VARIANTS = [
    ("chr1", 150, "rs1", "A", "C,G"),
    ("chr1", 160, "rs2;rs22", "A", "C"),
    ("chr1", 170, ".", "A", "C"),
    ("chr2", 180, "rs4", "AT", "A"),
    ("chr3", 190, "rs5", "A", "C"),
]
Run = Callable[..., tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]]


@pytest.fixture
def run(tmp_path: Path, write_vcf: Callable[..., Path]) -> Run:
    def pairs_of(text: str, **options: object) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
        (tmp_path / "genes.bed").write_text(BED)
        (tmp_path / "pairs.tsv").write_text(text)
        out, rejects = tmp_path / "out.tsv", tmp_path / "rejects.tsv"
        chosen = ClosestSettings(mode="pairs", **options)
        closest_tss(write_vcf(VARIANTS), tmp_path / "genes.bed", out, rejects, chosen, tmp_path / "pairs.tsv")
        notes = json.loads(receipt_path(out).read_text())["identity"]["pairs"]
        return read_table(out, ["gene_id"]), read_ledger(rejects), notes

    return pairs_of


def test_pairs_by_name(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    text = "gene_id\tname\tnote\ng2\trs1\tx\ng1\trs1\ng1\trs22\nnix\trs4\ng1\trs99\ng1\trs5\n"
    assigned, rejected, notes = run(text)
    assert assigned[["record", "allele", "gene_id", "dist_to_tss"]].values.tolist() == [
        [1, 1, "g2", 150 - 1_000_000],
        [1, 1, "g1", 50],
        [1, 2, "g2", 150 - 1_000_000],
        [1, 2, "g1", 50],
        [2, 1, "g1", 60],
    ]
    assert rejected[["record", "code"]].values.tolist() == [[3, "no_pair"], [4, "unknown_gene"], [5, "other_contig"]]
    assert notes == {"pairs": 6, "pairs_without_gene": 1, "pairs_without_variant": 1}
    assert "1 of 6 pair(s) name a gene that is not there, the first on line 5 (nix)" in caplog.text
    assert "1 of 6 pair(s) name a variant that is not there, the first on line 6 (rs99)" in caplog.text


def test_pairs_by_place(run: Run) -> None:
    rows = ["#chrom,pos,ref,alt,gene_id", "1,150,a,G,g1", "1,160,,.,g1", "1,160,A,T,g2", "2,180,AT,A,g3", "2,180,,,g1"]
    text = "\n".join(rows).replace(",", "\t")
    assigned, rejected, notes = run(text)
    assert assigned[["record", "allele", "gene_id"]].values.tolist() == [[1, 2, "g1"], [2, 1, "g1"], [4, 1, "g3"]]
    assert rejected[["record", "allele", "code"]].values.tolist() == [
        [1, 1, "no_pair"],
        [3, 1, "no_pair"],
        [5, 1, "no_pair"],
    ]
    assert notes == {"pairs": 5, "pairs_without_gene": 0, "pairs_without_variant": 1}


def test_pairs_farther_than_the_limit(run: Run) -> None:
    assigned, rejected, _ = run("gene_id\tname\ng2\trs1\ng1\trs22\ng2\trs22\n", pair_max_distance=100)
    assert assigned[["record", "gene_id"]].values.tolist() == [[2, "g1"]]
    assert rejected[["record", "code"]].values.tolist()[:2] == [[1, "too_far_from_tss"]] * 2
    assert rejected["message"][0] == "the genes of all its pairs are more than 100 bases away"


def test_places_of_the_user_or_of_now(tmp_path: Path) -> None:
    info = "CW_RECORD=7;CW_ALLELE=1;CW_LINE=9;CW_SOURCE=1|50|A|C;CW_STRAND=+"
    (tmp_path / "lifted.vcf").write_text(f"##fileformat=VCFv4.3\nchr1\t150\t.\tA\tC\t.\t.\t{info}\n")
    (tmp_path / "genes.bed").write_text(BED)
    for places, pos in (("source", 50), ("current", 150)):
        (tmp_path / "pairs.tsv").write_text(f"gene_id\tchrom\tpos\ng1\tchr1\t{pos}\n")
        closest_tss(
            tmp_path / "lifted.vcf",
            tmp_path / "genes.bed",
            tmp_path / "out.parquet",
            tmp_path / "r.tsv",
            ClosestSettings(mode="pairs", pair_places=places),
            tmp_path / "pairs.tsv",
        )
        found = read_table(tmp_path / "out.parquet", ["gene_id"])
        assert found[["record", "gene_id", "dist_to_tss"]].values.tolist() == [[7, "g1", 50]]


def test_table_of_pairs_in_any_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "## made by hand\r\n#gene_id\tname\r\ng1\trs1\r\n\r\ng1\trs1\r\ng2\tNA"
    (tmp_path / "p.tsv").write_bytes(text.encode())
    (tmp_path / "p.tsv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("p.tsv", "p.tsv.gz"):
        pairs = read_pairs(tmp_path / name)
        assert pairs[["line", "gene_id", "name"]].values.tolist() == [[3, "g1", "rs1"], [6, "g2", "NA"]]
    assert "1 pair(s) stand there twice" in caplog.text


@pytest.mark.parametrize("header", ["gene_id\tname\n", "gene_id\tchrom\tpos\n"])
def test_table_without_pairs(run: Run, header: str) -> None:
    assigned, rejected, notes = run(header)
    assert assigned.empty
    assert rejected["code"].tolist() == ["no_pair"] * 6
    assert notes["pairs"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this table of pairs is empty"),
        ("g1\trs1\n", "line 1: the header must name the columns gene_id"),
        ("gene_id\tchrom\ng1\tchr1\n", "line 1: the header must name"),
        ("gene_id\tname\ng1\t.\n", "line 2: name"),
        ("gene_id\tname\n\trs1\n", "line 2: gene_id is empty"),
        ("gene_id\tname\ng1\trs1\tx\n", r"line 2: 3 field\(s\) under 2"),
        ("gene_id\tchrom\tpos\ng1\tchr1\t0\n", "line 2: chrom and pos"),
        ("gene_id\tchrom\tpos\ng1\tchr1\n", "line 2: chrom and pos"),
        (f"gene_id\tchrom\tpos\ng1\tchr1\t{10**16}\n", "line 2: chrom and pos"),
    ],
)
def test_broken_pairs_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.tsv").write_text(text)
    with pytest.raises(CisweaveError, match=message):
        read_pairs(tmp_path / "p.tsv")
