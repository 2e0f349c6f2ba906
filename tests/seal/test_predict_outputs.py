"""What is made of the scores: the annotated VCF, the strongest contexts, Seal's table, the table of contexts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pysam import VariantFile, bcftools

from cisweave.core.errors import CisweaveError
from cisweave.genome.normalize import read_variants
from cisweave.seal import strongest as module
from cisweave.seal.annotate import vcf_records
from cisweave.seal.outputs import BEST_COLUMNS, Views, fixed_cells, write_views
from cisweave.seal.strongest import allele_blocks, strongest_contexts
from cisweave.tables.frames import read_table
from tests.seal.small import views

CONTEXTS = ["Liver", "Brain", "a b;c=d,e:f|%"]
EFFECTS = [
    [0.5, -0.25, 0.125],
    [-0.1, 0.2, 0.3],
    [0.01, 0.02, 0.03],
    [-0.5, -0.75, -0.625],
    [0.0, 0.0, 0.0],
]


def effects(folder, contexts=CONTEXTS, values=EFFECTS):
    """Four alleles, one of them with two genes; one lifted to the other strand, one swapped."""
    table = pd.DataFrame(
        {
            "record": [1, 1, 2, 3, 3],
            "allele": [1, 1, 1, 1, 2],
            "line": [3, 3, 4, 5, 5],
            "name": ["rs1", "rs1", ".", "x;y", "x;y"],
            "source_chrom": ["2", "2", "1", "1", "1"],
            "source_pos": [900, 900, 70, 50, 50],
            "source_ref": ["a", "a", "C", "AT", "AT"],
            "source_alt": ["G", "G", "CA", "A", "AG"],
            "chrom": ["chr2", "chr2", "chr1", "1", "chr1"],
            "pos": [1900, 1900, 70, 50, 51],
            "ref": ["T", "T", "CA", "AT", "T"],
            "alt": ["C", "C", "C", "A", "G"],
            "reference_genome_match": [True, True, True, True, False],
            "swapped": [False, False, True, False, False],
            "lift_strand": ["-", "-", "+", "+", "+"],
            "gene_id": ["G1", "G2", "G 3", "G4", "G4"],
            "gene_strand": ["+", "-", "+", "+", "+"],
            "tss": [1000, 2000, 100, 40, 40],
            "dist_to_tss": [900, -100, -30, 10, 11],
        }
    )
    frame = pd.DataFrame(np.array(values, dtype=np.float32).reshape(-1, len(contexts)), columns=contexts)
    pd.concat([table.iloc[: len(frame)], frame], axis=1).to_parquet(folder / "effects.parquet")
    return folder / "effects.parquet"


# --- the VCF ----------------------------------------------------------------------------------------------------------
def test_the_vcf_is_the_users_with_effects(tmp_path):
    write_views(effects(tmp_path), replace(views(tmp_path), listed=2))
    with VariantFile(tmp_path / "effects.vcf.gz") as vcf:
        header = str(vcf.header)
        records = list(vcf)
        near = [record.pos for record in vcf.fetch("1", 49, 50)]
    assert near == [50, 50]
    assert [(r.chrom, r.pos, r.id, r.alleles) for r in records] == [
        ("2", 900, "rs1", ("A", "G")),
        ("1", 50, "x;y", ("AT", "A")),
        ("1", 50, "x;y", ("AT", "AG")),
        ("1", 70, None, ("C", "CA")),
    ]
    two = records[0].info
    assert (two["SEAL_RECORD"], two["SEAL_ALLELE"], two["SEAL_PLACE"]) == (1, 1, "chr2:1900:T:C")
    assert (two["SEAL_GENE"], two["SEAL_DIST"]) == (("G1", "G2"), (900, -100))
    assert two["SEAL_CONTEXT"] == ("Liver", "a%20b%3Bc%3Dd%2Ce%3Af%7C%25")
    np.testing.assert_allclose(two["SEAL_EFFECT"], [0.5, 0.3])
    np.testing.assert_allclose(two["SEAL_QUANTILE"], [1.0, 0.8])
    assert two["SEAL_TOP"] == ("Liver:0.5|Brain:-0.25", "a%20b%3Bc%3Dd%2Ce%3Af%7C%25:0.3|Brain:0.2")
    assert "SEAL_SWAPPED" not in two
    effects_of_all = [value for record in records for value in record.info["SEAL_EFFECT"]]
    np.testing.assert_allclose(effects_of_all, [0.5, 0.3, -0.75, 0.0, 0.03])
    assert "SEAL_PLACE" not in records[1].info
    assert records[2].info["SEAL_PLACE"] == "chr1:51:T:G"
    swapped = records[3].info
    assert swapped["SEAL_SWAPPED"]
    assert swapped["SEAL_PLACE"] == "chr1:70:C:CA"
    assert swapped["SEAL_GENE"] == ("G%203",)
    for number, kind in (("1", "Integer"), (".", "Integer"), (".", "Float"), (".", "String"), ("0", "Flag")):
        assert f"Number={number},Type={kind}" in header
    assert "CHROM, POS, REF and ALT are those of the user's file" in header


def test_records_of_a_block_are_those_of_the_whole(tmp_path):
    path = effects(tmp_path)
    frame = pd.read_parquet(path)
    strongest, _ = strongest_contexts(path, CONTEXTS)
    whole = vcf_records(frame, CONTEXTS, strongest, 0, 2)
    part = vcf_records(frame.iloc[2:].reset_index(drop=True), CONTEXTS, strongest, 2, 2)
    assert part["info"].tolist() == whole["info"].tolist()[1:]
    assert len(whole) == 4


def test_bcftools_finds_nothing_wrong(tmp_path, capfd):
    write_views(effects(tmp_path), views(tmp_path))
    text = bcftools.view("--no-version", str(tmp_path / "effects.vcf.gz"))
    assert len([line for line in text.splitlines() if not line.startswith("#")]) == 4
    assert capfd.readouterr().err == ""
    found = bcftools.query("-i", "SEAL_EFFECT<-0.5", "-f", "%POS %ALT\n", str(tmp_path / "effects.vcf.gz"))
    assert found == "50 A\n"
    write_views(tmp_path / "effects.parquet", Views(annotated_vcf=tmp_path / "effects.bcf"))
    assert bcftools.view("-H", "--no-version", str(tmp_path / "effects.bcf")).count("\n") == 4


def test_the_vcf_is_read_back_as_what_it_was(tmp_path):
    write_views(effects(tmp_path), Views(annotated_vcf=tmp_path / "effects.vcf"))
    variants, rejected = read_variants(tmp_path / "effects.vcf")
    assert variants[["source_chrom", "source_pos", "source_alt"]].to_numpy().tolist() == [
        ["2", 900, "G"],
        ["1", 50, "A"],
        ["1", 50, "AG"],
        ["1", 70, "CA"],
    ]
    assert len(rejected) == 0


def test_a_vcf_of_another_name_is_refused(tmp_path):
    with pytest.raises(CisweaveError, match=r"effects\.txt: the name must end in \.vcf\.gz"):
        write_views(effects(tmp_path), Views(annotated_vcf=tmp_path / "effects.txt"))


# --- the strongest contexts -------------------------------------------------------------------------------------------
def test_the_strongest_contexts(tmp_path):
    write_views(effects(tmp_path), views(tmp_path))
    best = read_table(tmp_path / "best.tsv", BEST_COLUMNS).set_index(["record", "allele", "gene_id"])
    third = CONTEXTS[2]
    assert best["context"].tolist() == ["Liver", third, third, "Brain", "Liver"]
    np.testing.assert_allclose(best["effect"], [0.5, 0.3, 0.03, -0.75, 0.0])
    np.testing.assert_allclose(best["quantile"], [1.0, 0.8, 0.4, 1.0, 0.2], atol=1e-6)
    assert best["rank"].tolist() == [2, 3, 4, 1, 5]
    assert best["up_context"].fillna("").tolist() == ["Liver", third, third, "", ""]
    assert best["down_context"].fillna("").tolist() == ["Brain", "Liver", "", "Brain", ""]
    np.testing.assert_allclose(best["down_effect"], [-0.25, -0.1, np.nan, -0.75, np.nan])
    swapped = best.loc[(2, 1, "G 3")]
    assert (swapped["ref"], swapped["alt"], swapped["source_ref"], swapped["source_alt"]) == ("C", "CA", "C", "CA")


def test_quantiles_and_ranks_are_those_of_all_rows(tmp_path, monkeypatch):
    random = np.random.default_rng(4)
    values = random.normal(size=(500, 7)).astype(np.float32)
    values[7] = values[3]
    names = list("abcdefg")
    table = pd.DataFrame({"record": np.arange(1, 501), "allele": 1, "gene_id": "G"})
    pd.concat([table, pd.DataFrame(values, columns=names)], axis=1).to_parquet(tmp_path / "e.parquet")
    found, figures = strongest_contexts(tmp_path / "e.parquet", names)
    size = np.abs(values)
    largest = size.max(axis=1)
    np.testing.assert_array_equal(found.context, size.argmax(axis=1))
    np.testing.assert_array_equal(np.abs(found.effect), largest)
    expected = [(size[:, c] <= size[row, c]).mean() for row, c in enumerate(size.argmax(axis=1))]
    np.testing.assert_allclose(found.quantile, expected, rtol=1e-6)
    np.testing.assert_array_equal(found.rank, [(largest > value).sum() + 1 for value in largest])
    assert figures["context"].tolist() == names
    np.testing.assert_allclose(figures["median_abs"], np.median(size, axis=0), rtol=1e-6)
    np.testing.assert_allclose(figures["max_abs"], size.max(axis=0), rtol=1e-6)
    monkeypatch.setattr(module, "COLUMN_BYTES", 4 * 500 * 2)
    again, same = strongest_contexts(tmp_path / "e.parquet", names)
    np.testing.assert_array_equal(again.quantile, found.quantile)
    pd.testing.assert_frame_equal(same, figures)


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_an_allele_is_never_cut(tmp_path, rows):
    path = effects(tmp_path)
    blocks = list(allele_blocks(path, rows))
    pd.testing.assert_frame_equal(pd.concat(blocks, ignore_index=True), pd.read_parquet(path))
    keys = [set(zip(block["record"], block["allele"], strict=True)) for block in blocks]
    assert sum(map(len, keys)) == len(set().union(*keys)) == 4


def test_names_and_stages_of_contexts(tmp_path, caplog):
    (tmp_path / "names.tsv").write_text("context\tname\tstage\torgan\nBrain\tWhole brain\tadult\thead\nX\tx\ty\tz\n")
    write_views(effects(tmp_path), views(tmp_path, annotation=tmp_path / "names.tsv"))
    contexts = read_table(tmp_path / "contexts.tsv").fillna("")
    assert contexts["context"].tolist() == CONTEXTS
    assert contexts["name"].tolist() == ["Liver", "Whole brain", CONTEXTS[2]]
    assert contexts["stage"].tolist() == ["", "adult", ""]
    assert contexts["organ"].tolist() == ["", "head", ""]
    np.testing.assert_allclose(contexts["max_abs"], [0.5, 0.75, 0.625])
    best = read_table(tmp_path / "best.tsv").fillna("")
    assert best.loc[3, ["context", "context_name", "stage"]].tolist() == ["Brain", "Whole brain", "adult"]
    assert "no name and no stage" not in caplog.text
    (tmp_path / "names.tsv").write_text("context\tname\tstage\nX\tx\ty\n")
    write_views(tmp_path / "effects.parquet", views(tmp_path, annotation=tmp_path / "names.tsv"))
    assert "has no name and no stage for any context of the model" in caplog.text


# --- Seal's table -----------------------------------------------------------------------------------------------------
def test_seals_table(tmp_path):
    write_views(effects(tmp_path), Views(tsv=tmp_path / "effects.tsv"))
    header, *lines = (tmp_path / "effects.tsv").read_text().splitlines()
    assert header.split("\t")[8:] == CONTEXTS
    assert lines[0] == "chr2\t1900\tT\tC\t+\tG1\t900\tTrue\t0.50000\t-0.25000\t0.12500"
    assert lines[2] == "chr1\t70\tC\tCA\t+\tG 3\t-30\tFalse\t0.01000\t0.02000\t0.03000"
    assert lines[4].split("\t")[7] == "False"


def test_five_decimals_are_those_of_printf():
    """Ties of the decimal expansion (multiples of 1/64), values of any size, both zeros, a hair below a step."""
    random = np.random.default_rng(6)
    ties = np.arange(-400, 400) / 64
    exotic = [0.0, -0.0, -1e-7, 1e-7, 5e-6, -5e-6, 0.999995, 9.999995, -123456.789, 1e-30, 99999.999]
    wide = random.normal(size=2000) * 10.0 ** random.integers(-7, 5, 2000)
    near = np.nextafter(np.arange(1, 500, dtype=np.float32) * np.float32(1e-5), np.float32(0))
    values = np.concatenate([ties, exotic, wide, near]).astype(np.float32)
    values = values[: len(values) // 5 * 5].reshape(-1, 5)
    expected = [("".join(f"\t{value:.5f}" for value in row) + "\n").encode() for row in values.tolist()]
    assert fixed_cells(values) == expected
    assert fixed_cells(values[:0]) == []
    with pytest.raises(CisweaveError, match="a score is not finite"):
        fixed_cells(np.array([[np.nan]], dtype=np.float32))


def test_only_what_is_asked_for_is_written(tmp_path):
    write_views(effects(tmp_path), Views())
    assert [path.name for path in tmp_path.iterdir()] == ["effects.parquet"]


def test_nothing_scored(tmp_path):
    write_views(effects(tmp_path, values=[]), views(tmp_path))
    with VariantFile(tmp_path / "effects.vcf.gz") as vcf:
        assert list(vcf) == []
    assert len((tmp_path / "effects.tsv").read_text().splitlines()) == 1
    assert read_table(tmp_path / "contexts.tsv")["rows"].tolist() == [0, 0, 0]


def test_a_table_without_contexts_is_refused(tmp_path):
    pd.read_parquet(effects(tmp_path)).drop(columns=CONTEXTS).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(CisweaveError, match="the table of effects has no context column"):
        write_views(tmp_path / "none.parquet", Views(tsv=tmp_path / "effects.tsv"))
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(CisweaveError, match="this is not a Parquet table"):
        write_views(tmp_path / "text.parquet", Views(tsv=tmp_path / "effects.tsv"))
