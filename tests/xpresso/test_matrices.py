"""Matrices of factors and microRNAs, in the forms in which they are published."""

from __future__ import annotations

import contextlib
import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.xpresso.matrices import TF_NAMES, read_factors, read_mirna
from tests.real.checks import data_folder

FOLDER, REASON = data_folder()
NAMES = {"G1": ["TP53"], "G2": ["OLD", "MYC"], "G3": ["ABSENT"], "G4": ["TP53"]}
SETS = "TP53\tNA\tREST\tCTCF\nMYC\tNA\tATF1\nLOST\tNA\tYY1\tCTCF\tATF1\t\n"
PREDICTED = (
    "miR Family\tGene ID\tGene Symbol\tTranscript ID\tSpecies ID\tUTR start\tPCT\n"
    "miR-7-5p\tENSG00000000002.3\tB\tT2\t9606\t5\t0.1\n"
    "let-7-5p/98-5p\tENSG00000000001.1\tA\tT1\t9606\t5\tNULL\n"
    "let-7-5p/98-5p\tENSG00000000001.1\tA\tT1\t9606\t9\t0.2\n"
    "miR-1-3p\tENSG00000000002.3\tB\tT2\t10090\t5\t0.3\n"
)
COUNTS = (
    "Transcript ID\tGene Symbol\tmiRNA family\tSpecies ID\tTotal num conserved sites\tAggregate PCT\n"
    "T1\tTP53\tGAGGUAG\t9606\t2\t0.9\nT1\tTP53\tAAAGUGC\t9606\t0\tNULL\nT2\tMYC\tAAAGUGC\t9606\t1\tNULL\n"
)


def write(folder: Path, text: str, name: str = "a.txt") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rows(matrix: pd.DataFrame) -> dict[str, list[int]]:
    assert (matrix.dtypes == np.uint8).all()
    return {gene: matrix.loc[gene].tolist() for gene in matrix.index}


def test_the_names_of_the_factors() -> None:
    assert len(TF_NAMES) == len(set(TF_NAMES)) == 181
    assert list(TF_NAMES) == sorted(TF_NAMES)
    assert (TF_NAMES[0], TF_NAMES[28], TF_NAMES[-1]) == ("ARID3A", "CTCF", "ZZZ3")


def test_attribute_sets(tmp_path: Path) -> None:
    matrix = read_factors(write(tmp_path, SETS), NAMES)
    assert list(matrix.columns) == ["ATF1", "CTCF", "REST", "YY1"]
    assert rows(matrix) == {"G1": [0, 1, 1, 0], "G2": [1, 0, 0, 0], "G4": [0, 1, 1, 0]}
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(SETS.encode()))
    pd.testing.assert_frame_equal(read_factors(tmp_path / "a.txt.gz", NAMES), matrix)


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        (SETS, None, "names genes by symbol"),
        (SETS, {"G1": ["X"]}, "none of its gene symbols"),
        ("TP53\tNA\t\t\n", NAMES, "names no factor"),
        ("TP53\tNA\tREST\nMYC\n", NAMES, "line 2: a row needs"),
    ],
)
def test_bad_attribute_sets(tmp_path: Path, text: str, names: dict | None, message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        read_factors(write(tmp_path, text), names)


def test_the_library_the_wrong_way_round(tmp_path: Path) -> None:
    genes = "\t".join(f"X{number}" for number in range(300))
    text = f"CTCF\tNA\t{genes}\t" + "\t".join(TF_NAMES) + f"\nREST\tNA\t{genes}\n"
    with pytest.raises(CisweaveError, match="give attribute_set_library_crisp"):
        read_factors(write(tmp_path, text), NAMES)


def workbook(path: Path, table: list[list[object]]) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    for row in [[None, "TF", 0], *table]:
        book.active.append(row)
    book.save(path)
    return path


def test_workbook(tmp_path: Path) -> None:
    ones = [1] + [0] * 179 + [1]
    path = workbook(
        tmp_path / "a.xlsx", [["A", json.dumps(ones), "ENSG00000000001.5"], ["B", json.dumps([0] * 181), "G2"]]
    )
    matrix = read_factors(path)
    assert list(matrix.columns) == list(TF_NAMES)
    assert rows(matrix) == {"ENSG00000000001": ones, "G2": [0] * 181}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["A", "[1, 0]", "G1"], "line 2: column 2 must be a list of 181 times 0 or 1"),
        (["A", json.dumps([2] + [0] * 180), "G1"], "must be a list"),
        (["A", "x", "G1"], "must be a list"),
        (["A", json.dumps([0] * 181), None], "a row needs a symbol"),
    ],
)
def test_bad_workbook(tmp_path: Path, row: list[object], message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        read_factors(workbook(tmp_path / "a.xlsx", [row]))


def test_a_zip_that_is_no_workbook(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(CisweaveError, match="not a workbook"):
        read_factors(tmp_path / "a.xlsx")


@pytest.mark.parametrize("damage", [*range(300, 3000, 300), "sheet", "styles"])
def test_a_damaged_workbook(tmp_path: Path, damage: int | str) -> None:
    path = workbook(tmp_path / "a.xlsx", [["A", json.dumps([0] * 181), "G1"]])
    if isinstance(damage, int):
        content = bytearray(path.read_bytes())
        content[damage : damage + 20] = b"\xff" * 20
        path.write_bytes(content)
        with contextlib.suppress(CisweaveError):  # not every byte matters
            read_factors(path)
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text[: len(text) // 2] if damage in name else text)
    with pytest.raises(CisweaveError, match="not a workbook"):
        read_factors(path)


def test_plain_tables(tmp_path: Path) -> None:
    path = write(tmp_path, "gene_id\tREST\tATF1\nENSG00000000001.2\t1\t0\nG2\t0\t1\n")
    matrix = read_factors(path)
    assert list(matrix.columns) == ["REST", "ATF1"]
    assert rows(matrix) == {"ENSG00000000001": [1, 0], "G2": [0, 1]}
    matrix.reset_index().to_parquet(tmp_path / "a.parquet")
    assert rows(read_factors(tmp_path / "a.parquet")) == rows(matrix)
    assert rows(read_mirna(write(tmp_path, "Gene ID,let-7-5p/98-5p\nG1,1\n", "a.csv"))) == {"G1": [1]}


def test_a_table_of_factors_is_not_taken_for_sets(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match=r"line 3: 4 fields instead of 3"):
        read_factors(write(tmp_path, "gene_id\tREST\tATF1\nG1\t1\t0\nG2\t1\t0\t1\nG3\t0\n"))
    assert list(read_factors(write(tmp_path, "gene_id\t\tATF1\nG1\t1\t0\n")).columns) == ["", "ATF1"]


@pytest.mark.parametrize(
    ("value", "message"), [("2", "'2' of gene G1 in REST"), ("", "of gene G1 in REST"), ("x", "'x'")]
)
def test_only_zero_and_one(tmp_path: Path, value: str, message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        read_factors(write(tmp_path, f"gene_id\tREST\tB\nG1\t{value}\t0\n"))


def test_predicted_targets(tmp_path: Path) -> None:
    matrix = read_mirna(write(tmp_path, PREDICTED))
    assert list(matrix.columns) == ["let-7-5p/98-5p", "miR-7-5p"]
    assert rows(matrix) == {"ENSG00000000002": [0, 1], "ENSG00000000001": [1, 0]}
    assert rows(read_mirna(tmp_path / "a.txt", species=10090)) == {"ENSG00000000002": [1]}
    with pytest.raises(CisweaveError, match="no row is of species 1; there are 10090, 9606"):
        read_mirna(tmp_path / "a.txt", species=1)


def test_summary_counts(tmp_path: Path) -> None:
    path = write(tmp_path, COUNTS)
    matrix = read_mirna(path, NAMES)
    assert list(matrix.columns) == ["AAAGUGC", "GAGGUAG"]
    assert rows(matrix) == {"G1": [0, 1], "G2": [1, 0], "G4": [0, 1]}
    with pytest.raises(CisweaveError, match="names genes by symbol"):
        read_mirna(path)


def test_a_plain_list(tmp_path: Path) -> None:
    matrix = read_mirna(write(tmp_path, "gene\tfamily\tcount\nG1\tb\t3\nG2\ta\t0\nG2\tb\t0\n"))
    assert rows(matrix) == {"G1": [0, 1], "G2": [0, 0]}
    for value in ("x", "-3", "inf", ""):
        with pytest.raises(CisweaveError, match=r"in count of row 2 is not a number of sites"):
            read_mirna(write(tmp_path, f"gene\tfamily\tcount\nG1\tb\t1\nG1\tb\t{value}\n"))
    with pytest.raises(CisweaveError, match="line 3: 4 fields instead of 3"):
        read_mirna(write(tmp_path, "gene\tfamily\tcount\nG1\tb\t1\nG1\tx\tb\t1\n"))


def test_targets_without_a_gene_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    matrix = read_mirna(write(tmp_path, "gene\tfamily\tcount\nG1\tb\t3\n\tb\t1\nG2\t\t1\n"))
    assert rows(matrix) == {"G1": [1]}
    assert "2 rows without gene or family are left out" in caplog.text


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_the_published_workbook() -> None:
    matrix = read_factors(FOLDER / "expression/zoo_encode_tf_17465x181.xlsx")
    ones = matrix.sum(axis=1, numeric_only=True)
    assert matrix.shape == (17_465, 181)
    assert (ones.min(), ones.max(), round(ones.mean(), 1)) == (1, 165, 78.9)
    measured = pd.read_csv(FOLDER / "expression/Xpresso_1to1_orthologs_expression.txt", sep="\t", header=None)
    assert len(set(measured[0]) & set(matrix.index)) == 14_806
