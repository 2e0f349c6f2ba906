"""Tables with a row per gene, in the forms in which people have them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.xpresso.dataset import HALF_LIFE
from cisweave.xpresso.tables import read_expression, read_gene_table, read_halflife, read_symbols

FEATURES = "\t".join(HALF_LIFE)
RAW = "100\t900\t0\t50\t0.25\t0.5\t0.75\t4.44"


def write(folder: Path, text: str, name: str = "a.tsv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "gene_id\tE003\tE004\nENSG00000000001.7\t1\t3\nG2\t0\t8\n",
        "gene_id,E003,E004\nENSG00000000001,1,3\nG2,0,8\n",
        "ENSID\tE003\tE004\r\nENSG00000000001\t1\t3\r\nG2\t0\t8\r\n",
        "Gene ID\tE003\tE004\t\nENSG00000000001\t1\t3\t\nG2\t0\t8\t\n",  # tabs at all ends
        "gene_id\tE003\tE004\nENSG00000000001\t1\t3\t\nG2\t0\t8\t\n",  # tabs at the ends of rows, as Roadmap has
        "gene_id\tE003\tE004\nENSG00000000001\t1\t3\nG2\t0\t8\t\t\n",  # of some rows
        "E003\tE004\nENSG00000000001\t1\t3\nG2\t0\t8\n",  # names of rows, as R writes them
        "\tE003\tE004\nENSG00000000001\t1\t3\nG2\t0\t8\n",  # and pandas
        "\tgene_id\tE003\tE004\n7\tENSG00000000001\t1\t3\n8\tG2\t0\t8\n",  # numbers of rows, too
        '"gene_id"\t"E003"\t"E004"\n"ENSG00000000001"\t1\t3\n"G2"\t0\t8\n',
        "symbol\tgene_id\tE003\tE004\nA\tENSG00000000001\t1\t3\nB\tG2\t0\t8\n",
    ],
)
def test_forms_of_tables(tmp_path: Path, text: str) -> None:
    found = read_expression(write(tmp_path, text))
    assert found.to_dict() == {"ENSG00000000001": 2.0, "G2": 4.0}
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    pd.testing.assert_series_equal(read_expression(path), found)


def test_columns_and_their_median(tmp_path: Path) -> None:
    path = write(tmp_path, "gene_id\ta\tb\tc\nG1\t1\t2\t6\nG2\t\tNA\t\nG3\t\t4\t8\n")
    assert read_expression(path).tolist()[::2] == [2.0, 6.0]
    assert np.isnan(read_expression(path)["G2"])
    assert read_expression(path, ["c"]).tolist()[::2] == [6.0, 8.0]
    assert read_expression(path, ["C", "a"])["G1"] == 3.5
    pd.read_csv(path, sep="\t").to_parquet(tmp_path / "a.parquet")
    assert read_expression(tmp_path / "a.parquet").tolist()[::2] == [2.0, 6.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene_id\ta\nG1\t1\nG1\t2\n", "gene 'G1' stands twice"),
        ("gene_id\ta\nENSG00000000001.1\t1\nENSG00000000001.2\t2\n", "stands twice"),
        ("gene_id\ta\nG1\t1\n\t2\n", "row 2 has no gene id"),
        ("id\ta\nG1\t1\n", "no column gene_id; the table has id, a"),
        ("gene_id\ta\ta\nG1\t1\t2\n", "the header names 'a' twice"),
        ("gene_id\nG1\n", "no table with a header"),
        ("", "no table with a header"),
        ("gene_id\tb\nG1\t1\n", r"column\(s\) a missing; the table has gene_id, b"),
        ("gene_id\ta\nG1\tx\n", "'x' of gene G1 in a is not a number"),
        ("gene_id\ta\nG1\tinf\n", "of gene G1 in a is not a number"),
        ("gene_id\ta\nG1\t-1\n", "the expression of gene G1 is negative"),
        ("<!DOCTYPE html>\n", "web page"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        read_expression(write(tmp_path, text), ["a"])


def test_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="no column of this table holds numbers"):
        read_expression(write(tmp_path, "gene_id\tsymbol\nG1\tA\n"))


def test_logarithms_may_be_negative(tmp_path: Path) -> None:
    assert read_expression(write(tmp_path, "gene_id\ta\nG1\t-1\n"), linear=False).tolist() == [-1.0]


def test_half_life_features(tmp_path: Path) -> None:
    path = write(tmp_path, f"gene_id\tEXPRESSION\t{FEATURES}\nG1\t3\t{RAW}\nG2\t3\t{RAW.replace('900', '')}\n")
    found = read_halflife(path)
    assert list(found.columns) == list(HALF_LIFE)
    assert found.loc["G1"].tolist() == [100, 900, 0, 50, 0.25, 0.5, 0.75, 4.44]
    assert np.isnan(found.loc["G2", "CDSLEN"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("900", "-1", "-1 cannot be CDSLEN of gene G1"),
        ("0.75", "75", "75 cannot be UTR3GC of gene G1"),
        ("\tCDSGC", "\tx", r"column\(s\) CDSGC missing"),
    ],
)
def test_features_must_be_raw(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        read_halflife(write(tmp_path, f"gene_id\t{FEATURES}\nG1\t{RAW}\n".replace(old, new)))


def test_names_of_genes(tmp_path: Path) -> None:
    path = write(tmp_path, "ENSG00000000001.2\tA\nG2\tB\nENSG00000000001\tC\nG2\tB\nG3\t\n")
    assert read_symbols(path) == {"ENSG00000000001": ["A", "C"], "G2": ["B"], "G3": []}
    assert read_symbols(write(tmp_path, "gene_id\tsymbol\nG2\tB\n")) == {"G2": ["B"]}
    with pytest.raises(CisweaveError, match="line 2: a row needs a gene id, a tab and a symbol"):
        read_symbols(write(tmp_path, "G2\tB\nG3\n"))


def test_only_the_wanted_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "gene_id\ta\tb\nG1\t1\t2\n")
    assert list(read_gene_table(path, ["b"]).columns) == ["b"]
    assert list(read_gene_table(path).columns) == ["a", "b"]


@pytest.mark.parametrize("value", ["BAD", "N/A", "null", ".", "1,5", "1_000"])
def test_a_bad_value_does_not_drop_its_column(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, f"gene_id\tsample\ta\tb\nG1\tliver\t{value}\t2\nG2\tliver\t3\t4\n")
    with pytest.raises(CisweaveError, match=f"'{value}' of gene G1 in a is not a number"):
        read_expression(path)


def test_the_columns_that_count_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        read_expression(write(tmp_path, "gene_id\tsample\tlength\tb\nG1\tliver\t900\t2\n"))
    assert "the median of 2 columns (length, b)" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene_id\ta\tb\nG1\t1\t2\nG2\t5\t15\t99\n", "line 3: 4 fields instead of 3"),
        ("gene_id\ta\tb\nG1\t1\t2\t3\nG2\t5\t15\n", "line 2: 4 fields instead of 3"),
        ("gene_id\ta\tb\nG1\t1\t2\n\nG2\t5\n", "line 4: 2 fields instead of 3"),
        ("gene_id,a,b\nG1,1,2\nG2,5,1,5\n", "line 3: 4 fields"),
        ('gene_id\ta\tb\nG1\t1\t2\n"G2\t5\t1\n', "line 3: 1 fields instead of 3"),
        ("a\tb\nG1\t1\t2\nG2\t1\n", "line 3: 2 fields instead of 3"),
    ],
)
def test_rows_with_a_field_too_many_or_too_few(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        read_expression(write(tmp_path, text))


def test_gene_ids_in_the_index_of_parquet(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index(["G1", "G2"], name="gene_id"))
    for number, index in enumerate((table.index, table.index.rename(None))):
        table.set_index(index).to_parquet(tmp_path / f"{number}.parquet")
        assert read_expression(tmp_path / f"{number}.parquet").to_dict() == {"G1": 1.0, "G2": 2.0}
    table.reset_index().set_index(pd.Index([5, 7])).to_parquet(tmp_path / "a.parquet")
    assert read_expression(tmp_path / "a.parquet").to_dict() == {"G1": 1.0, "G2": 2.0}


def test_times_are_no_expression(tmp_path: Path) -> None:
    table = pd.DataFrame({"gene_id": ["G1"], "day": pd.to_datetime(["2020-01-01"]), "a": [1.0]})
    table.to_parquet(tmp_path / "a.parquet")
    assert read_expression(tmp_path / "a.parquet").to_dict() == {"G1": 1.0}
    with pytest.raises(CisweaveError, match="column day holds times"):
        read_expression(tmp_path / "a.parquet", ["day"])


def test_names_of_genes_in_quotes(tmp_path: Path) -> None:
    assert read_symbols(write(tmp_path, '"gene_id"\t"symbol"\n"G2"\t"B"\n')) == {"G2": ["B"]}
