"""Splits of genes: the published ones gene by gene, groups and contigs kept together, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

from cisweave.config.promoters import PromoterSplitSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.tables.frames import read_table, write_tsv
from cisweave.xpresso.dataset import PromoterData, write_data
from cisweave.xpresso.split import (
    cross_validation,
    random_fold,
    read_split,
    reconstruct_xpresso_split,
    sampled_order,
    split_genes,
    split_rows,
    take_units,
    units_of,
    xpresso_mirna_order,
    xpresso_order,
    xpresso_tf_order,
)
from tests.real.checks import data_folder

FOLDER, REASON = data_folder()
LENGTH = 20
NAMES = [f"G{number:03d}" for number in range(60)]
UNEXPRESSED, WITHOUT_TF, WITH_N, WITHOUT_HALFLIFE = NAMES[7], NAMES[1], NAMES[2], NAMES[3]


def make_data(folder: Path) -> PromoterData:
    """Sixty genes on three contigs, not sorted; of four of them something is unknown."""
    ids = np.random.default_rng(3).permutation(NAMES).tolist()
    genes = pd.DataFrame({"gene_id": ids, "chrom": [f"chr{int(name[1:]) % 3 + 1}" for name in ids], "strand": "+"})
    genes["expression"] = [np.nan if name == UNEXPRESSED else float(name[1:]) for name in ids]
    for column in ("UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY"):
        genes[column] = [np.nan if name == WITHOUT_HALFLIFE else 0.5 for name in ids]
    codes = np.zeros((60, LENGTH), dtype=np.uint8)
    codes[ids.index(WITH_N), 4] = 4
    tf = pd.DataFrame({"CTCF": 1}, index=[name for name in NAMES if name != WITHOUT_TF])
    return write_data(folder, genes, [codes], upstream=10, downstream=10, tf=tf)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PromoterData:
    return make_data(tmp_path_factory.mktemp("split") / "data")


def split(data: PromoterData, folder: Path, **settings: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table and the rejects, as they are read back."""
    options = PromoterSplitSettings(**{"valid": 8, "test": 6, **settings})
    returned = split_genes(data.folder, folder / "split.tsv", options, folder / "rejects.tsv")
    table = read_split(folder / "split.tsv")
    pd.testing.assert_frame_equal(returned, table, check_dtype=False)
    return table, read_table(folder / "rejects.tsv")


def genes_of(table: pd.DataFrame, split: str, fold: int = 1) -> list[str]:
    return table.gene_id[(table.split == split) & (table.fold == fold)].tolist()


# --- published orders -------------------------------------------------------------------------------------------------
def test_published_tf_order_begins_as_published() -> None:
    ids = [f"{number:05d}" for number in range(17_465)]
    order = xpresso_tf_order(reversed(ids))
    assert [int(name) for name in order[:5]] == [9913, 3214, 8076, 9409, 16195]
    assert sorted(order) == ids


def test_xpresso_order_is_a_permutation_by_the_old_generator() -> None:
    order = xpresso_order(NAMES)
    assert order == [NAMES[place] for place in np.random.RandomState(1).permutation(60)]
    assert sampled_order(NAMES, 1) == order != sampled_order(NAMES, 2)


def test_mirna_order_is_that_of_ids() -> None:
    assert xpresso_mirna_order(["b", "c", "a"]) == ["a", "b", "c"]


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_published_split_gene_by_gene() -> None:
    dictionary = FOLDER / "expression/zoo_gene_dictionary_human.tsv"
    table = reconstruct_xpresso_split(FOLDER / "annotation/Xpresso_hg38_promoters_cage_corrected.bed", dictionary)
    published = [line.split("\t")[0] for line in dictionary.read_text().splitlines()]
    assert len(published) == 18_377
    assert table.gene_id.tolist() == published
    assert table.split.tolist() == ["train"] * 16_377 + ["valid"] * 1_000 + ["test"] * 1_000


def test_xpresso_method_cuts_the_order_of_the_data(data: PromoterData, tmp_path: Path) -> None:
    table, _ = split(data, tmp_path, method="xpresso")
    order = xpresso_order([name for name in data.gene_ids if name != UNEXPRESSED])
    assert genes_of(table, "train") == order[:45]
    assert genes_of(table, "valid") == order[45:53]
    assert genes_of(table, "test") == order[53:]


def test_xpresso_tf_method_splits_genes_with_factors_only(data: PromoterData, tmp_path: Path) -> None:
    table, rejects = split(data, tmp_path, method="xpresso_tf")
    order = xpresso_tf_order([name for name in NAMES if name not in (UNEXPRESSED, WITHOUT_TF)])
    assert genes_of(table, "test") == order[:6]
    assert genes_of(table, "valid") == order[6:14]
    assert genes_of(table, "train") == order[14:]
    assert dict(zip(rejects.gene_id, rejects.code, strict=True)) == {UNEXPRESSED: "no_expression", WITHOUT_TF: "no_tf"}


def test_published_genes_stay_in_place_when_some_are_left_out(data: PromoterData, tmp_path: Path) -> None:
    whole, _ = split(data, tmp_path, method="xpresso")
    known, rejects = split(data, tmp_path, method="xpresso", require=["known_bases"])
    kept = whole[whole.gene_id != WITH_N].reset_index(drop=True)
    assert known.equals(kept)
    assert dict(zip(rejects.gene_id, rejects.code, strict=True))[WITH_N] == "unknown_bases"


def test_mirna_method_needs_mirna(data: PromoterData, tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="no gene can be split"):
        split(data, tmp_path, method="xpresso_mirna")


# --- random -----------------------------------------------------------------------------------------------------------
def test_every_gene_is_split_or_rejected(data: PromoterData, tmp_path: Path) -> None:
    table, rejects = split(data, tmp_path, require=["halflife", "tf", "known_bases"])
    assert sorted([*table.gene_id, *rejects.gene_id]) == NAMES
    assert dict(zip(rejects.gene_id, rejects.code, strict=True)) == {
        UNEXPRESSED: "no_expression",
        WITHOUT_TF: "no_tf",
        WITH_N: "unknown_bases",
        WITHOUT_HALFLIFE: "no_halflife",
    }
    assert rejects.message.str.len().min() > 10
    assert table.split.value_counts().to_dict() == {"train": 42, "valid": 8, "test": 6}


def test_shares_of_genes(data: PromoterData, tmp_path: Path) -> None:
    table, _ = split(data, tmp_path, valid=0.1, test=0.2)
    assert table.split.value_counts().to_dict() == {"train": 41, "test": 12, "valid": 6}


def test_random_does_not_depend_on_the_order_of_genes(data: PromoterData, tmp_path: Path) -> None:
    table, _ = split(data, tmp_path, seed=5)
    again = random_fold(sorted(name for name in NAMES if name != UNEXPRESSED), 5, 8, 6, {})
    assert [genes_of(table, name) for name in ("train", "valid", "test")] == list(again.values())
    other, _ = split(data, tmp_path, seed=6)
    assert not other.equals(table)


def test_genes_common_to_two_data_sets_are_placed_alike() -> None:
    whole = random_fold(NAMES, 1, 10, 10, {})
    part = random_fold(NAMES[:50], 1, 10, 10, {})
    places = {name: split for split, genes in whole.items() for name in genes}
    moved = [name for split, genes in part.items() for name in genes if places[name] != split]
    assert 0 < len(moved) < 10


def test_groups_stay_together_and_numbers_hold(data: PromoterData, tmp_path: Path) -> None:
    groups = {name: f"family{int(name[1:]) // 4}" for name in NAMES[:48]}
    write_tsv(pd.DataFrame(list(groups.items()), columns=["gene_id", "group"]), tmp_path / "groups.tsv")
    table, _ = split(data, tmp_path, groups=tmp_path / "groups.tsv")
    assert table.split.value_counts().to_dict() == {"train": 45, "valid": 8, "test": 6}
    found = table[table.gene_id.isin(groups)]
    assert (found.groupby(found.gene_id.map(groups)).split.nunique() == 1).all()
    receipt = read_json(tmp_path / "split.tsv.receipt.json")["identity"]
    assert str(tmp_path / "groups.tsv") in receipt["inputs"]


def test_a_group_may_have_the_name_of_a_gene() -> None:
    assert units_of(["a", "b", "c"], {"b": "a", "c": "a"}) == [["a"], ["b", "c"]]


def test_a_unit_that_does_not_fit_waits() -> None:
    taken, left = take_units([["a"], ["b", "c", "d"], ["e"], ["f"]], 3)
    assert taken == [["a"], ["e"], ["f"]]
    assert left == [["b", "c", "d"]]


def test_same_bytes(data: PromoterData, tmp_path: Path) -> None:
    split(data, tmp_path)
    first = (tmp_path / "split.tsv").read_bytes()
    split(data, tmp_path)
    assert (tmp_path / "split.tsv").read_bytes() == first
    assert first.startswith(b"gene_id\tfold\tsplit\nG")


# --- contigs, folds, tables -------------------------------------------------------------------------------------------
def test_chromosomes_by_either_name(data: PromoterData, tmp_path: Path) -> None:
    table, _ = split(data, tmp_path, method="chromosomes", valid_chromosomes=["2"], test_chromosomes=["chr3"])
    contig = table.gene_id.str[1:].astype(int) % 3 + 1
    assert (table.split == contig.map({1: "train", 2: "valid", 3: "test"})).all()
    train = genes_of(table, "train")
    assert train == [name for name in data.gene_ids if name in set(train)]


@pytest.mark.parametrize(
    ("valid", "test", "message"),
    [
        (["chr9"], ["chr1"], "no gene lies on contig chr9 of valid_chromosomes; the data have chr1, chr2, chr3"),
        (["chr1"], ["1"], "contig 1 cannot validate and test"),
        (["chr1", "chr2"], ["chr3"], "no gene is left for train in fold 1"),
    ],
)
def test_wrong_chromosomes(data: PromoterData, tmp_path: Path, valid: list[str], test: list[str], message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        split(data, tmp_path, method="chromosomes", valid_chromosomes=valid, test_chromosomes=test)
    assert not (tmp_path / "split.tsv").exists()


def test_folds_are_those_of_an_unshuffled_cut(data: PromoterData, tmp_path: Path) -> None:
    table, _ = split(data, tmp_path, method="kfold", folds=7, seed=1)
    order = np.array(xpresso_order([name for name in data.gene_ids if name != UNEXPRESSED]))
    for fold, (rest, tested) in enumerate(KFold(7).split(order), start=1):
        assert genes_of(table, "test", fold) == order[tested].tolist()
        assert genes_of(table, "valid", fold) == order[rest][:8].tolist()
        assert genes_of(table, "train", fold) == order[rest][8:].tolist()
    assert table.fold.max() == 7
    assert sorted(table.gene_id[table.split == "test"]) == sorted(order)


def test_folds_keep_groups_together() -> None:
    groups = {name: f"family{int(name[1:]) % 9}" for name in NAMES[:40]}
    folds = cross_validation(sampled_order(NAMES, 4), 5, 6, groups)
    tested = [{groups.get(name, name) for name in fold["test"]} for fold in folds]
    assert sum(len(one) for one in tested) == len(set.union(*tested)) == 29
    for fold in folds:
        sets = [{groups.get(name, name) for name in fold[split]} for split in ("train", "valid", "test")]
        assert not (sets[0] & sets[1])
        assert not (sets[0] & sets[2])
        assert not (sets[1] & sets[2])
        assert sorted(fold["train"] + fold["valid"] + fold["test"]) == NAMES


def test_a_table_is_kept_as_it_is(data: PromoterData, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [(f"G{number:03d}", "test" if number < 10 else "valid" if number < 20 else "train") for number in range(50)]
    own = pd.DataFrame([("elsewhere", "train"), *reversed(rows)], columns=["gene_id", "split"])
    write_tsv(own, tmp_path / "own.tsv")
    table, rejects = split(data, tmp_path, method="table", table=tmp_path / "own.tsv", require=["tf"])
    assert genes_of(table, "test") == [
        f"G{number:03d}" for number in range(9, -1, -1) if f"G{number:03d}" not in (UNEXPRESSED, WITHOUT_TF)
    ]
    assert rejects.code.value_counts().to_dict() == {"not_in_table": 10, "no_expression": 1, "no_tf": 1}
    assert "1 genes are not in the data, the first is 'elsewhere'" in caplog.text


def test_a_table_is_not_written_over(data: PromoterData, tmp_path: Path) -> None:
    write_tsv(pd.DataFrame({"gene_id": NAMES[:3], "split": ["train", "valid", "test"]}), tmp_path / "own.tsv")
    before = (tmp_path / "own.tsv").read_bytes()
    settings = PromoterSplitSettings(method="table", table=tmp_path / "own.tsv")
    for out, rejects in (("own.tsv", "r.tsv"), ("out.tsv", "own.tsv")):
        with pytest.raises(CisweaveError, match="a table that the split reads"):
            split_genes(data.folder, tmp_path / out, settings, tmp_path / rejects)
    assert (tmp_path / "own.tsv").read_bytes() == before


def test_a_table_with_folds(data: PromoterData, tmp_path: Path) -> None:
    first = pd.DataFrame({"gene_id": NAMES[10:13], "split": ["train", "valid", "test"], "fold": 1})
    second = first.assign(split=["test", "train", "valid"], fold=2)
    write_tsv(pd.concat([second, first]), tmp_path / "own.tsv")
    table, rejects = split(data, tmp_path, method="table", table=tmp_path / "own.tsv")
    assert table.fold.tolist() == [1, 1, 1, 2, 2, 2]
    assert genes_of(table, "test", 2) == NAMES[10:11]
    assert len(rejects) == 57


def test_a_split_that_came_with_the_data(tmp_path: Path) -> None:
    genes = pd.DataFrame({"gene_id": ["b", "c", "a"], "expression": 1.0, "split": ["train", "valid", "test"]})
    data = write_data(tmp_path / "data", genes, None)
    table, _ = split(data, tmp_path, method="table", table=data.folder / "genes.parquet")
    assert table.gene_id.tolist() == ["b", "c", "a"]
    assert table.split.tolist() == ["train", "valid", "test"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene_id\tsplit\nG001\ttrain\nG002\tother\n", r"own.tsv, line 3: split must be train, valid or test .*'G002'"),
        ("gene_id\tsplit\nG001\ttrain\nG001\ttest\n", r"line 3: this gene stands twice in a fold"),
        ("gene_id\tsplit\n\ttrain\n", r"line 2: gene_id is empty"),
        ("gene_id\tsplit\tfold\nG001\ttrain\t0\n", r"line 2: fold must be a whole number"),
        ("gene_id\tsplit\tfold\nG001\ttrain\t2\n", "folds must be numbered 1, 2, 3"),
        ("gene_id\tsplit\n", "folds must be numbered 1, 2, 3"),
        ("gene_id\tsplit\nG001\ttrain\nG002\tvalid\n", "no gene is left for test in fold 1"),
        ("gene\tsplit\n", "gene_id missing"),
    ],
)
def test_wrong_tables(data: PromoterData, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "own.tsv").write_text(text)
    with pytest.raises(CisweaveError, match=message):
        split(data, tmp_path, method="table", table=tmp_path / "own.tsv")


def test_too_few_genes_are_told(data: PromoterData, tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match=r"1000 genes to validate and 6 to test leave none of 59 .*give shares"):
        split(data, tmp_path, valid=1000)
    with pytest.raises(CisweaveError, match="59 genes cannot make 100 folds"):
        split(data, tmp_path, method="kfold", folds=100)
    with pytest.raises(CisweaveError, match="leave none to train in fold 1"):
        split(data, tmp_path, method="kfold", folds=2, valid=50)


def test_wrong_groups(data: PromoterData, tmp_path: Path) -> None:
    (tmp_path / "groups.tsv").write_text("gene_id\tgroup\nG001\ta\nG001\tb\n")
    with pytest.raises(CisweaveError, match=r"groups.tsv, line 3: this gene stands in two rows"):
        split(data, tmp_path, groups=tmp_path / "groups.tsv")


# --- reading ----------------------------------------------------------------------------------------------------------
def test_rows_of_a_fold(data: PromoterData, tmp_path: Path) -> None:
    table, _ = split(data, tmp_path, method="kfold", folds=3)
    rows = split_rows(table, data, fold=2)
    for name, places in rows.items():
        assert places.dtype == np.int64
        assert [data.gene_ids[row] for row in places] == genes_of(table, name, 2)
    with pytest.raises(CisweaveError, match="no fold 4, but 1, 2, 3"):
        split_rows(table, data, fold=4)
    with pytest.raises(CisweaveError, match="is not in these data"):
        split_rows(table.assign(gene_id="stranger"), data)
