"""The files of Xpresso and of the zoo: files made by plain h5py are read, what is written reads back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from cisweave.config import EmbeddingSettings
from cisweave.core.errors import CisweaveError
from cisweave.tables.frames import write_tsv
from cisweave.xpresso.dataset import HALF_LIFE, PromoterData, write_data
from cisweave.xpresso.embedding import embed_data, open_embedding
from cisweave.xpresso.matrices import TF_NAMES
from cisweave.xpresso.original import export_original, import_original

LENGTH = 200
SIZES = {"train": 7, "valid": 2, "test": 3}
TOTAL = sum(SIZES.values())
RANDOM = np.random.default_rng(3)
CODES = RANDOM.integers(0, 4, (TOTAL, LENGTH), dtype=np.uint8)
CODES[2, 7] = CODES[9, 150] = 4
LABEL = RANDOM.normal(size=TOTAL)
HALFLIFE = RANDOM.normal(size=(TOTAL, 8))
TF = RANDOM.integers(0, 2, (TOTAL, 181))
MIRNA = RANDOM.integers(0, 2, (TOTAL, 5), dtype=np.int32)
GENES = [f"ENSG{number:011d}" for number in range(TOTAL)]
SEGMENTS = RANDOM.normal(size=(TOTAL, 210, 64)).astype(np.float32)
PLACES = {"train": slice(0, 7), "valid": slice(7, 9), "test": slice(9, 12)}


def one_hot(codes: np.ndarray) -> np.ndarray:
    return np.eye(5, dtype=bool)[codes][..., :4]


def write(path: Path, **arrays: Any) -> None:
    with h5py.File(path, "w") as store:
        for name, values in arrays.items():
            store.create_dataset(
                name, data=values, **({"compression": "gzip"} if np.ndim(values) and np.size(values) else {})
            )


def xpresso(folder: Path) -> Path:
    for split, at in PLACES.items():
        names = np.array([gene.encode() for gene in GENES[at]])
        write(folder / f"{split}.h5", promoter=one_hot(CODES[at]), data=HALFLIFE[at], label=LABEL[at], geneName=names)
    return folder


def factors(folder: Path) -> Path:
    for split, name in {"train": "train_tf", "valid": "validation_tf", "test": "test_tf"}.items():
        at = PLACES[split]
        names = [gene.encode() for gene in GENES[at]]
        write(
            folder / f"{name}.h5",
            promoter=one_hot(CODES[at]),
            halflife=HALFLIFE[at],
            label=LABEL[at],
            gene=names,
            tf=TF[at],
        )
    return folder


def mirna(folder: Path) -> Path:
    for split, name in {"train": "microRNA_train", "valid": "microRNA_val", "test": "microRNA_test"}.items():
        at = PLACES[split]
        names = np.array(GENES[at]).astype("S5")  # the fault of the original's writer
        write(
            folder / f"{name}.h5",
            promoter=one_hot(CODES[at]),
            halflife=HALFLIFE[at],
            label=LABEL[at],
            gene=names,
            micro=MIRNA[at],
            tf=np.zeros(0),
        )
    return folder


def gene_list(folder: Path, genes: list[str] = GENES) -> Path:
    path = folder / "genes.txt"
    path.write_text("".join(f"{gene}\tN{number}\n" for number, gene in enumerate(genes)))
    return path


def check(data: PromoterData, halflife: bool = True) -> None:
    assert data.gene_ids == GENES
    assert (data.windows(np.arange(TOTAL)) == CODES).all()
    assert data.genes["split"].tolist() == [split for split, size in SIZES.items() for _ in range(size)]
    assert data.genes["unknown_bases"].sum() == 2
    if halflife:
        np.testing.assert_array_equal(data.halflife, HALFLIFE)
        np.testing.assert_array_equal(data.label, LABEL)


def read(folder: Path, *paths: Path, **more: Any) -> PromoterData:
    return import_original(list(paths), folder / "data", upstream=120, **more)


def test_xpresso(tmp_path: Path) -> None:
    data = read(tmp_path, xpresso(tmp_path), symbols=gene_list(tmp_path))
    check(data)
    assert (data.upstream, data.downstream) == (120, 80)
    assert (data.expression_unit, data.halflife_unit) == ("standardised", "standardised")
    assert data.genes["symbol"].tolist() == [f"N{number}" for number in range(TOTAL)]
    assert data.tf is None


def test_named_files_in_any_order(tmp_path: Path) -> None:
    folder = xpresso(tmp_path)
    check(read(tmp_path, *(folder / f"{split}.h5" for split in ("test", "train", "valid"))))
    assert len(read(tmp_path, folder / "valid.h5")) == 2


def test_factors(tmp_path: Path) -> None:
    data = read(tmp_path, factors(tmp_path))
    check(data)
    assert data.tf_names == list(TF_NAMES)
    assert (data.tf == TF).all()
    assert data.has_tf.all()


def test_mirna_needs_its_genes(tmp_path: Path) -> None:
    folder = mirna(tmp_path)
    with pytest.raises(CisweaveError, match="does not tell its genes; give their ids in the order of rows"):
        read(tmp_path, folder)
    data = read(tmp_path, folder, genes=gene_list(tmp_path))
    check(data)
    assert data.mirna_names == [f"mirna_{number}" for number in range(1, 6)]
    assert (data.mirna == MIRNA).all()
    with pytest.raises(CisweaveError, match="this list has 11 genes, the files 12"):
        read(tmp_path, folder, genes=gene_list(tmp_path, GENES[1:]))


def test_translated(tmp_path: Path) -> None:
    path = tmp_path / "translated_transformers.h5"
    write(path, **{split: CODES[at].astype(np.int64) for split, at in PLACES.items()})
    data = read(tmp_path, path, genes=gene_list(tmp_path))
    check(data, halflife=False)
    assert not data.has_expression.any()
    assert not data.has_halflife.any()


def test_embedded(tmp_path: Path) -> None:
    for split, name in {"train": "etrain", "valid": "evalidation", "test": "etest"}.items():
        at = PLACES[split]
        write(tmp_path / f"{name}_tf.h5", promoter=SEGMENTS[at], halflife=HALFLIFE[at], label=LABEL[at], tf=TF[at])
    with pytest.raises(CisweaveError, match="say where their segments go"):
        read(tmp_path, tmp_path, genes=gene_list(tmp_path))
    data = read(tmp_path, tmp_path, genes=gene_list(tmp_path), embedding=tmp_path / "out/e.h5")
    assert not data.has_promoters
    assert (data.tf == TF).all()
    np.testing.assert_array_equal(data.label, LABEL)
    embedding = open_embedding(tmp_path / "out/e.h5")
    assert (embedding.read(np.arange(TOTAL)) == SEGMENTS).all()
    embedding.check_belongs(data, np.arange(7))


def test_xpressos_table(tmp_path: Path) -> None:
    header = "\t".join(["ENSID", "EXPRESSION", *HALF_LIFE, "PROMOTER"])
    values = "1.5\t10\t300\t0\t20\t0.1\t0.2\t0.3\t3.33"
    letters = ["".join("ACGTN"[code] for code in row) for row in CODES[:3]]
    text = "".join(f"{gene}\t{values}\t{bases}\n" for gene, bases in zip(GENES, letters, strict=False))
    path = tmp_path / "table.txt.gz"
    path.write_bytes(gzip.compress(f"{header}\n{text}".encode()))
    data = read(tmp_path, path)
    assert data.gene_ids == GENES[:3]
    assert (data.windows([0, 1, 2]) == CODES[:3]).all()
    np.testing.assert_allclose(data.label, np.log10(1.6))
    np.testing.assert_allclose(data.halflife[0, [0, 4, 7]], [np.log10(10.1), 0.1, np.log10(3.43)])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.5\t", "-3\t", f"the expression of gene {GENES[0]} is negative"),
        ("\t10\t", "\t-7\t", f"-7 cannot be UTR5LEN of gene {GENES[0]}"),
        ("\t0.2\t", "\t65\t", f"65 cannot be CDSGC of gene {GENES[0]}"),
        ("ACGT\n", "AC-T\n", f"promoter of gene {GENES[0]} holds '-', which is no base"),
        ("ACGT\n", "ACGTA\n", f"promoter of gene {GENES[1]} has 4 bases, the first one 5"),
        ("ACGT\n", "\n", f"promoter of gene {GENES[0]} holds no base"),
    ],
)
def test_values_of_the_table_are_checked(tmp_path: Path, old: str, new: str, message: str) -> None:
    header = "\t".join(["ENSID", "EXPRESSION", *HALF_LIFE, "PROMOTER"])
    rows = [f"{gene}\t1.5\t10\t300\t0\t20\t0.1\t0.2\t0.3\t3.33\tACGT\n" for gene in GENES[:2]]
    path = tmp_path / "table.txt"
    path.write_text(f"{header}\n{rows[0].replace(old, new)}{rows[1]}")
    with pytest.raises(CisweaveError, match=message):
        import_original([path], tmp_path / "data", upstream=2)
    path.write_text(f"{header}\n")
    with pytest.raises(CisweaveError, match="holds no gene"):
        import_original([path], tmp_path / "data", upstream=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"promoter": one_hot(CODES[:7])[:, :, [0, 0, 1, 2]]}, "promoters are not one-hot"),
        ({"promoter": one_hot(CODES[:7]).astype(np.float32) * 0.5}, "promoters are not one-hot"),
        ({"promoter": one_hot(CODES[:7])[:, :100]}, r"its promoters are \(200, 4\), those of .* \(100, 4\)"),
        ({"data": HALFLIFE[:7, :6]}, "half-life features must be eight"),
        ({"label": LABEL[:6]}, "its parts do not fit each other"),
        ({"geneName": [b"ENSG1"] * 6 + [b"ENSG2"]}, "stands twice"),
        ({"geneName": [gene.encode() for gene in GENES[:5]]}, r"do not fit each other.*gene \(5,\)"),
        ({"geneName": [[gene.encode()] for gene in GENES[:7]]}, r"geneName must be an array of names with 1 dim"),
        ({"geneName": [b"\xff%d" % number for number in range(7)]}, "gene ids are no text"),
        ({"geneName": np.arange(7)}, "geneName must be an array of names"),
        ({"label": 3.0}, r"label must be an array of numbers with 1 dim"),
        ({"label": [b"x"] * 7}, r"label must be an array of numbers"),
        ({"label": np.full(7, np.inf)}, "label holds infinite values"),
        ({"data": [[b"x"] * 8] * 7}, r"data must be an array of numbers with 2 dim"),
        ({"promoter": CODES[:7]}, r"promoter must be an array of numbers with 3 dim"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    names = [gene.encode() for gene in GENES[:7]]
    whole = {"promoter": one_hot(CODES[:7]), "data": HALFLIFE[:7], "label": LABEL[:7], "geneName": names}
    write(xpresso(tmp_path) / "train.h5", **{**whole, **change})
    with pytest.raises(CisweaveError, match=message):
        read(tmp_path, tmp_path)
    assert not (tmp_path / "data/dataset.json").exists()


def test_keys_that_are_no_arrays(tmp_path: Path) -> None:
    for key in ("label", "promoter"):
        with h5py.File(xpresso(tmp_path) / "train.h5", "a") as store:
            del store[key]
            store.create_group(key)
        with pytest.raises(CisweaveError, match=f"{key} must be an array of numbers"):
            read(tmp_path, tmp_path)
        with h5py.File(tmp_path / "train.h5", "a") as store:
            del store[key]
            store[key] = h5py.SoftLink(f"/{key}")
        with pytest.raises(CisweaveError, match=f"{key} cannot be read|no store|not a store"):
            read(tmp_path, tmp_path)


def test_files_without_genes(tmp_path: Path) -> None:
    write(tmp_path / "train.h5", promoter=one_hot(CODES[:0]), data=HALFLIFE[:0], label=LABEL[:0])
    with pytest.raises(CisweaveError, match="these files hold no gene"):
        read(tmp_path, tmp_path)


def test_the_split_is_a_word_of_the_name(tmp_path: Path) -> None:
    (xpresso(tmp_path) / "train.h5").rename(tmp_path / "constrained.h5")
    with pytest.raises(CisweaveError, match="must hold train, val or test, as a word"):
        read(tmp_path, tmp_path / "constrained.h5")


def test_segments_must_be_numbers(tmp_path: Path) -> None:
    broken = np.where(np.arange(64) == 5, np.nan, SEGMENTS[:7]).astype(np.float32)
    write(tmp_path / "etrain.h5", promoter=broken, halflife=HALFLIFE[:7], label=LABEL[:7])
    with pytest.raises(CisweaveError, match="segments hold what is no finite number"):
        read(tmp_path, tmp_path, genes=gene_list(tmp_path, GENES[:7]), embedding=tmp_path / "out/e.h5")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="there is no HDF5 file"):
        read(tmp_path, tmp_path)
    (tmp_path / "train.h5").write_bytes((xpresso(tmp_path) / "train.h5").read_bytes()[:3000])
    with pytest.raises(CisweaveError, match="not a store of original promoter data"):
        read(tmp_path, tmp_path / "train.h5")
    write(tmp_path / "other.h5", x=[1])
    with pytest.raises(CisweaveError, match="it holds x, but no promoter"):
        read(tmp_path, tmp_path / "other.h5")
    (tmp_path / "valid.h5").rename(tmp_path / "mine.h5")
    with pytest.raises(CisweaveError, match="must hold train, val or test"):
        read(tmp_path, tmp_path / "mine.h5")
    (tmp_path / "copy_test.h5").write_bytes((tmp_path / "test.h5").read_bytes())
    with pytest.raises(CisweaveError, match="two files are of the split test"):
        read(tmp_path, tmp_path / "test.h5", tmp_path / "copy_test.h5")


# --- writing ----------------------------------------------------------------------------------------------------------
def raw_data(folder: Path) -> PromoterData:
    """Data in raw units, with all matrices; one gene lacks half-life features, one has no expression."""
    table = pd.DataFrame({"gene_id": GENES, "expression": RANDOM.gamma(1, 10, TOTAL)})
    table[list(HALF_LIFE)] = RANDOM.uniform(0.1, 0.9, (TOTAL, 8))
    table.loc[4, list(HALF_LIFE)] = np.nan
    table.loc[11, "expression"] = np.nan
    return write_data(
        folder / "raw",
        table,
        [CODES],
        upstream=120,
        downstream=80,
        tf=pd.DataFrame(TF, index=GENES, columns=TF_NAMES),
        mirna=pd.DataFrame(MIRNA, index=GENES, columns=list("abcde")),
    )


def split_file(folder: Path) -> Path:
    order = [3, 1, 4, 0, 2, 5, 8, 7, 6, 10, 9]
    splits = ["train"] * 6 + ["valid"] * 2 + ["test"] * 3
    write_tsv(pd.DataFrame({"gene_id": [GENES[n] for n in order], "fold": 1, "split": splits}), folder / "split.tsv")
    return folder / "split.tsv"


@pytest.mark.parametrize("kind", ["xpresso", "tf", "mirna"])
def test_what_is_written(tmp_path: Path, kind: Any) -> None:
    data = raw_data(tmp_path)
    paths = export_original(data.folder, split_file(tmp_path), tmp_path / "out", kind)
    label, features, genes, promoters = [], [], [], []
    for path in paths:
        with h5py.File(path) as store:
            promoters.append(store["promoter"][:])
            assert store["promoter"].dtype == bool
            assert (store["promoter"].compression, store["promoter"].compression_opts) == ("gzip", 1)
            label.append(store["label"][:])
            features.append(store["data" if kind == "xpresso" else "halflife"][:])
            genes += [name.decode() for name in store["geneName" if kind == "xpresso" else "gene"][:]]
            rows = data.rows([name.decode() for name in store["geneName" if kind == "xpresso" else "gene"][:]])
            if kind == "tf":
                assert (store["tf"][:] == TF[rows]).all()
            if kind == "mirna":
                assert (store["micro"][:] == MIRNA[rows]).all()
                assert store["micro"].dtype == np.int32
                assert store["tf"].shape == (0,)
    order = [3, 1, 4, 0, 2, 5, 8, 7, 6, 10, 9]
    assert genes == [GENES[n] for n in order]
    assert (np.concatenate(promoters) == one_hot(CODES[order])).all()
    logged = np.log10(data.genes["expression"].to_numpy()[order] + 0.1)
    np.testing.assert_allclose(np.concatenate(label), (logged - logged.mean()) / logged.std())
    values = data.halflife[order]
    expected = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    np.testing.assert_allclose(np.concatenate(features), np.nan_to_num(expected), atol=1e-12)
    again = import_original([tmp_path / "out"], tmp_path / "again", upstream=120)
    assert again.gene_ids == genes
    assert (again.windows(np.arange(11)) == CODES[order]).all()
    if kind != "xpresso":
        assert ((again.tf == TF[order]) if kind == "tf" else (again.mirna == MIRNA[order])).all()


def test_unknown_rows_are_told_and_receipts_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = pd.DataFrame({"gene_id": GENES, "expression": LABEL})
    known = pd.DataFrame(TF[1:], index=GENES[1:], columns=TF_NAMES)
    data = write_data(tmp_path / "d", table, [CODES], upstream=120, downstream=80, expression="log10", tf=known)
    paths = export_original(data.folder, split_file(tmp_path), tmp_path / "out", "tf")
    assert "1 of 11 genes have no factors; the files cannot say so and hold 0" in caplog.text
    assert "11 of 11 genes have no half-life features" in caplog.text
    for path in paths:
        note = json.loads(path.with_name(f"{path.name}.receipt.json").read_text())
        assert note["identity"]["settings"] == {"kind": "tf", "fold": 1}


def test_z_scores_come_back_as_they_are(tmp_path: Path) -> None:
    data = read(tmp_path, xpresso(tmp_path))
    table = data.genes[["gene_id", "split"]].assign(fold=1)
    write_tsv(table, tmp_path / "split.tsv")
    export_original(data.folder, tmp_path / "split.tsv", tmp_path / "out")
    for split in PLACES:
        with h5py.File(tmp_path / f"{split}.h5") as one, h5py.File(tmp_path / f"out/{split}.h5") as other:
            for key in one:
                assert (one[key][:] == other[key][:]).all(), key


def test_translated_is_written(tmp_path: Path) -> None:
    data = raw_data(tmp_path)
    (path,) = export_original(data.folder, split_file(tmp_path), tmp_path / "out", "translated")
    with h5py.File(path) as store:
        assert (store["train"][:] == CODES[[3, 1, 4, 0, 2, 5]]).all()
        assert (store["test"][:] == CODES[[6, 10, 9]]).all()


def test_embedded_is_written(tmp_path: Path) -> None:
    data, split = raw_data(tmp_path), split_file(tmp_path)
    settings = EmbeddingSettings(slice="20:180", segment=40, mode="kmer_freq", k=2)
    embed_data(data.folder, split, tmp_path / "e.h5", settings)
    paths = export_original(data.folder, split, tmp_path / "out", "embedded", embedding=tmp_path / "e.h5")
    assert [path.name for path in paths] == ["etrain_tf.h5", "evalidation_tf.h5", "etest_tf.h5"]
    with h5py.File(paths[0]) as store:
        first = store["promoter"][0]
        assert (store["tf"][:] == TF[[3, 1, 4, 0, 2, 5]]).all()
    # shares of 2-mers in the segments of gene 3, counted by hand
    for number in range(4):
        codes = CODES[3, 20 + 40 * number : 60 + 40 * number]
        counts = np.bincount(codes[:-1] * 4 + codes[1:], minlength=16)
        np.testing.assert_allclose(first[number], counts / 39, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("pictures", {}, "there is no kind 'pictures'"),
        ("embedded", {}, "kind embedded and embedded promoters go together"),
        ("tf", {}, "these data have no factors, which kind tf holds"),
        ("mirna", {}, "these data have no microRNAs"),
    ],
)
def test_what_cannot_be_written_is_told(tmp_path: Path, kind: Any, more: dict[str, Any], message: str) -> None:
    data = read(tmp_path, xpresso(tmp_path))
    with pytest.raises(CisweaveError, match=message):
        export_original(data.folder, split_file(tmp_path), tmp_path / "out", kind, **more)


def test_same_data_same_bytes(tmp_path: Path) -> None:
    data, split = raw_data(tmp_path), split_file(tmp_path)
    one, two = (export_original(data.folder, split, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    note = json.loads((data.folder / "dataset.json").read_text())
    assert note["pseudocount"] == 0.1
