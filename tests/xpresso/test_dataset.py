"""The folder of promoter data: what is written comes back, in units, slices and rows; what is broken is told."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.xpresso.dataset import GENE_COLUMNS, HALF_LIFE, PromoterData, open_data, write_data

UP, DOWN = 30, 20
IDS = ["b", "a", "2", "d"]
RANDOM = np.random.default_rng(0)
CODES = RANDOM.integers(0, 4, (4, UP + DOWN), dtype=np.uint8)
CODES[1, 5] = CODES[1, 45] = CODES[3, 49] = 4
RAW = [100.0, 900.0, 0.0, 50.0, 0.25, 0.5, 0.75, 4.44]


def genes() -> pd.DataFrame:
    table = pd.DataFrame({"gene_id": IDS, "strand": ["+", "-", "+", "-"], "expression": [9.9, 0.0, np.nan, 99.9]})
    table[list(HALF_LIFE)] = np.array([RAW, RAW, RAW, RAW])
    table.loc[2, "CDSGC"] = np.nan
    return table


def tf() -> pd.DataFrame:
    return pd.DataFrame({"CTCF": [1, 0, 1], "REST": [0, 1, 1]}, index=["a", "elsewhere", "d"])


def write(folder: Path, **changes: object) -> PromoterData:
    what: dict = {"upstream": UP, "downstream": DOWN, "tf": tf(), **changes}
    return write_data(folder, genes(), [CODES[:3], CODES[3:]], **what)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "data")
    data = open_data(tmp_path / "data")
    assert list(data.genes.columns) == list(GENE_COLUMNS)
    assert data.gene_ids == IDS
    assert (data.upstream, data.downstream, data.length, len(data)) == (UP, DOWN, UP + DOWN, 4)
    assert (data.windows([0, 1, 2, 3]) == CODES).all()
    assert (data.windows([2, 0], 28, 33) == CODES[[2, 0], 28:33]).all()
    assert data.rows(["d", "b"]).tolist() == [3, 0]
    assert data.genes["unknown_bases"].tolist() == [0, 2, 0, 1]
    assert data.tf_names == ["CTCF", "REST"]
    assert data.tf.tolist() == [[0, 0], [1, 0], [0, 0], [1, 1]]
    assert data.tf.dtype == np.uint8
    assert data.has_tf.tolist() == [False, True, False, True]
    assert data.mirna is None
    assert data.mirna_names == []
    assert not data.has_mirna.any()


def test_units(tmp_path: Path) -> None:
    data = write(tmp_path)
    assert data.expression_unit == "log10"
    np.testing.assert_allclose(data.label, [1.0, -1.0, np.nan, 2.0])
    assert data.has_expression.tolist() == [True, True, False, True]
    expected = [math.log10(value + 0.1) for value in RAW[:4]] + RAW[4:7] + [math.log10(4.54)]
    np.testing.assert_allclose(data.halflife[0], expected)
    assert data.has_halflife.tolist() == [True, True, False, True]
    given = write(tmp_path, expression="standardised", halflife="standardised")
    assert given.expression_unit == "standardised"
    np.testing.assert_array_equal(given.label, genes()["expression"])
    np.testing.assert_array_equal(given.halflife[3], RAW)
    np.testing.assert_array_equal(write(tmp_path, expression="log10").label, genes()["expression"])
    np.testing.assert_allclose(write(tmp_path, pseudocount=0.01).label[0], math.log10(9.91))


def test_unknown_bases_in_a_slice(tmp_path: Path) -> None:
    data = write(tmp_path)
    assert data.unknown().tolist() == [False, True, False, True]
    assert data.unknown(0, 49).tolist() == [False, True, False, False]
    assert data.unknown(6, 45).tolist() == [False, False, False, False]
    assert data.unknown(5, 6).tolist() == [False, True, False, False]


def test_data_without_promoters(tmp_path: Path) -> None:
    write(tmp_path)
    data = write_data(tmp_path, genes(), None, upstream=5, downstream=5)
    assert not data.has_promoters
    assert data.length == 0
    assert not (tmp_path / "promoters.h5").exists()
    assert not (tmp_path / "tf.parquet").exists()
    with pytest.raises(CisweaveError, match="these data hold no promoters"):
        data.windows([0], 0, 1)


def test_a_worker_gets_the_data(tmp_path: Path) -> None:
    data = write(tmp_path)
    data.windows([0])
    assert (pickle.loads(pickle.dumps(data)).windows([1]) == CODES[1]).all()


def test_same_content_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name)
    for file in sorted((tmp_path / "one").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda data: data.rows(["b", "x", "y"]), "gene 'x' and 1 more is not in these data"),
        (lambda data: data.windows([0], 10, 51), "the slice 10:51 is no part of the promoters, which have 50 bases"),
        (lambda data: data.windows([0], 10, 10), "the slice 10:10 is no part"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, ask, message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        ask(write(tmp_path))


@pytest.mark.parametrize("ids", [["a", "a"], ["a", ""], ["a", "b\tc"]])
def test_ids_are_checked(tmp_path: Path, ids: list[str]) -> None:
    with pytest.raises(CisweaveError, match="gene"):
        write_data(tmp_path, pd.DataFrame({"gene_id": ids}), None)
    assert not (tmp_path / "dataset.json").exists()


@pytest.mark.parametrize("blocks", [[CODES[:3]], [CODES, CODES[:1]], [CODES[:, :40]]])
def test_promoters_must_fit_the_genes(tmp_path: Path, blocks: list[np.ndarray]) -> None:
    with pytest.raises(CisweaveError, match="promoters"):
        write_data(tmp_path, genes(), blocks, upstream=UP, downstream=DOWN)
    assert not (tmp_path / "dataset.json").exists()


def test_a_broken_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="not a folder of promoter data"):
        open_data(tmp_path / "absent")
    with pytest.raises(CisweaveError, match="does not exist"):
        open_data(tmp_path)
    write(tmp_path / "data")
    path = tmp_path / "data/dataset.json"
    whole = json.loads(path.read_text())
    for change in ({"format": "x"}, {"expression": "TPM"}, {"upstream": "x"}, {"files": []}, {"pseudocount": 0}):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(CisweaveError, match="does not describe promoter data"):
            open_data(tmp_path / "data")
    path.write_text(json.dumps({**whole, "upstream": UP + 1}))
    with pytest.raises(CisweaveError, match="does not belong to"):
        open_data(tmp_path / "data")
    path.write_text(json.dumps(whole))
    with open(tmp_path / "data/promoters.h5", "ab") as handle:
        handle.write(b"x")
    with pytest.raises(CisweaveError, match="not the one that dataset.json names"):
        open_data(tmp_path / "data")


def test_damaged_sequences_are_told(tmp_path: Path) -> None:
    import h5py

    genes = pd.DataFrame({"gene_id": ["a", "b"]})
    data = write_data(tmp_path / "data", genes, [np.zeros((2, 6), np.uint8)], upstream=3, downstream=3)
    data.close()
    with h5py.File(tmp_path / "data/promoters.h5", "r+") as store:
        store["codes"][1, 2] = 9
    opened = open_data(tmp_path / "data")
    assert not opened.windows([0]).any()
    with pytest.raises(CisweaveError, match="damaged"):
        opened.windows([1])


def test_what_fails_leaves_the_data_of_before(tmp_path: Path) -> None:
    write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CisweaveError, match="3 promoters for 4 genes"):
        write_data(tmp_path, genes(), [CODES[:3]], upstream=UP, downstream=DOWN)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_foreign_files_are_not_written_over(tmp_path: Path) -> None:
    tf().to_parquet(tmp_path / "tf.parquet")
    with pytest.raises(CisweaveError, match=r"cisweave has not made this tf\.parquet"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tf.parquet"]
    (tmp_path / "dataset.json").write_text('{"mine": 1}')
    with pytest.raises(CisweaveError, match=r"cisweave has not made this dataset\.json"):
        write(tmp_path)


def test_what_a_workflow_left_of_its_own_data_is_replaced(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "dataset.json.receipt.json").write_text("{}")
    (tmp_path / "dataset.json").unlink()  # as Snakemake removes the outputs that it knows
    assert len(write(tmp_path)) == 4
