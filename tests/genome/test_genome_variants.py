from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisweave.config import VariantSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.genome import stream
from cisweave.genome.normalize import normalize_variants, read_variants
from cisweave.genome.reasons import EXPLANATIONS, Reason
from cisweave.genome.table import VARIANT_COLUMNS, read_variant_table
from cisweave.tables.frames import write_parquet, write_tsv
from cisweave.tables.ledger import LEDGER_COLUMNS, read_ledger
from cisweave.tables.receipts import receipt_path

#                  1234567890123456789012345678901234567890
GENOME = {"chr1": "ACGTACGTACGTTTGCAacgtNNNNACGTACGATCGATCGA", "chrM": "ACGTACGT"}


@pytest.fixture
def fasta(write_fasta: Callable[..., Path]) -> Path:
    return write_fasta(GENOME)


def test_every_explanation_is_there() -> None:
    assert set(EXPLANATIONS) == set(Reason)
    assert Reason.REF_MISMATCH.explanation == "REF is not what the genome holds there."


def test_kept_alleles_are_split_and_upper_case(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    vcf = write_vcf([("chr1", 18, "rs1", "a", "c,gT"), ("1", 2, "NA", "CGT", "C"), ("MT", 1, ".", "A", "G")])
    variants, rejected = read_variants(vcf, fasta)
    assert variants.dtypes.astype(str).to_dict() == VARIANT_COLUMNS
    assert variants.to_dict("list") == {
        "record": [1, 1, 2, 3],
        "allele": [1, 2, 1, 1],
        "line": [3, 3, 4, 5],
        "name": ["rs1", "rs1", "NA", "."],
        "source_chrom": ["chr1", "chr1", "1", "MT"],
        "source_pos": [18, 18, 2, 1],
        "source_ref": ["a", "a", "CGT", "A"],
        "source_alt": ["c", "gT", "C", "G"],
        "chrom": ["chr1", "chr1", "chr1", "chrM"],
        "pos": [18, 18, 2, 1],
        "ref": ["A", "A", "CGT", "A"],
        "alt": ["C", "GT", "C", "G"],
        "reference_genome_match": [True] * 4,
        "swapped": [False] * 4,
        "lift_strand": ["+"] * 4,
    }
    assert list(rejected.columns) == LEDGER_COLUMNS
    assert rejected.empty


def test_the_page_lists_every_reason() -> None:
    page = (Path(__file__).parents[2] / "docs/genome.md").read_text()
    missing = [reason for reason in Reason if f"| `{reason}` | {reason.explanation} |" not in page]
    assert missing == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("chr1", 3, ".", "G"), Reason.MALFORMED_RECORD),
        (("chr1", "", ".", "G", "A"), Reason.MALFORMED_RECORD),
        (("chr1", 0, ".", "A", "G"), Reason.BAD_POSITION),
        (("chr1", -3, ".", "A", "G"), Reason.BAD_POSITION),
        (("chr1", "3.0", ".", "G", "A"), Reason.BAD_POSITION),
        (("chr1", "9" * 30, ".", "G", "A"), Reason.BAD_POSITION),
        (("chr1", "٣", ".", "G", "A"), Reason.BAD_POSITION),
        (("chr9", 3, ".", "G", "A"), Reason.UNKNOWN_CONTIG),
        (("chr1", 3, ".", "G", "."), Reason.MISSING_ALT),
        (("chr1", 3, ".", "G", ""), Reason.MISSING_ALT),
        (("chr1", 3, ".", "G", "*"), Reason.SPANNING_DELETION),
        (("chr1", 3, ".", "G", "<DEL>"), Reason.SYMBOLIC_ALLELE),
        (("chr1", 3, ".", "G", "<CN0>"), Reason.SYMBOLIC_ALLELE),
        (("chr1", 3, ".", "G", "G]chr2:5]"), Reason.BREAKEND),
        (("chr1", 3, ".", "G", "[chr2:5[G"), Reason.BREAKEND),
        (("chr1", 3, ".", "G", "GA."), Reason.BREAKEND),
        (("chr1", 3, ".", "G", "NA"), Reason.INVALID_ALLELE),
        (("chr1", 3, ".", "NA", "A"), Reason.INVALID_ALLELE),
        (("chr1", 3, ".", "G", "R"), Reason.INVALID_ALLELE),
        (("chr1", 3, ".", "G", "-"), Reason.INVALID_ALLELE),
        (("chr1", 22, ".", "N", "A"), Reason.INVALID_ALLELE),
        (("chr1", 3, ".", "G", "g"), Reason.REF_EQUALS_ALT),
        (("chr1", 3, ".", "G", "A" * 6), Reason.ALLELE_TOO_LONG),
        (("chr1", 1, ".", "ACGTAC", "A"), Reason.ALLELE_TOO_LONG),
        (("chr1", 42, ".", "G", "A"), Reason.OUT_OF_CONTIG),
        (("chr1", 41, ".", "AA", "A"), Reason.OUT_OF_CONTIG),
        (("chr1", 3, ".", "C", "A"), Reason.REF_MISMATCH),
        (("chr1", 21, ".", "TA", "T"), Reason.REF_MISMATCH),
    ],
)
def test_each_bad_record_has_its_reason(
    fasta: Path, write_vcf: Callable[..., Path], row: tuple[object, ...], reason: Reason
) -> None:
    good = ("chr1", 1, ".", "A", "G")
    vcf = write_vcf([good, row, ("chr1", 41, ".", "A", "G")])
    variants, rejected = read_variants(vcf, fasta, VariantSettings(max_allele_length=5))
    assert rejected["code"].tolist() == [reason]
    assert rejected[["stage", "line", "record", "allele"]].values.tolist() == [["normalize", 4, 2, 1]]
    contig, position, _, ref, alt = (*map(str, row), "", "")[:5]
    assert rejected[["contig", "position", "ref", "alt"]].values.tolist() == [[contig, position, ref, alt]]
    assert variants["record"].tolist() == [1, 3]


def test_the_first_code_of_the_page_is_given(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    """Each allele is wrong in two ways; the page lists the codes in the order in which they are looked for."""
    page = (Path(__file__).parents[2] / "docs/genome.md").read_text()
    rows = {
        ("chr9", "x", ".", "A", "*"): "bad_position",
        ("chr9", 3, ".", "A", "*"): "spanning_deletion",
        ("chr9", 3, ".", "R", "A"): "invalid_allele",
        ("chr9", 3, ".", "G", "A" * 9): "unknown_contig",
        ("chr1", 41, ".", "AAAAAAA", "C"): "allele_too_long",
        ("chr1", 41, ".", "AC", "A"): "out_of_contig",
    }
    _, rejected = read_variants(write_vcf(list(rows)), fasta, VariantSettings(max_allele_length=5))
    assert rejected["code"].tolist() == list(rows.values())
    places = [page.index(f"| `{code}` |") for code in rejected["code"]]
    assert places == sorted(places)


def test_one_bad_allele_leaves_its_record_alive(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    variants, rejected = read_variants(write_vcf([("chr1", 3, ".", "G", "A,<DEL>,*,A,T,")]), fasta)
    assert variants[["allele", "alt"]].values.tolist() == [[1, "A"], [5, "T"]]
    assert dict(zip(rejected["allele"], rejected["code"], strict=True)) == {
        2: "symbolic_allele",
        3: "spanning_deletion",
        4: "duplicate",
        6: "missing_alt",
    }


def test_duplicates_are_found_across_records_and_spellings(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    rows = [("chr1", 3, "a", "G", "A"), ("1", 3, "b", "g", "a"), ("chr1", 3, "c", "G", "T"), ("chr1", 3, "d", "G", "A")]
    variants, rejected = read_variants(write_vcf(rows), fasta)
    assert variants["name"].tolist() == ["a", "c"]
    assert rejected["code"].tolist() == ["duplicate", "duplicate"]


def test_ref_policies(fasta: Path, write_vcf: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    vcf = write_vcf([("chr1", 3, ".", "G", "A"), ("chr1", 4, ".", "G", "A")])
    with pytest.raises(CisweaveError, match=r"variants.vcf, line 4: chr1:4: REF is 'G', the genome has 'T'"):
        read_variants(vcf, fasta, VariantSettings(ref_policy="error"))
    variants, rejected = read_variants(vcf, fasta, VariantSettings(ref_policy="warn"))
    assert variants["reference_genome_match"].tolist() == [True, False]
    assert rejected.empty
    assert "1 allele(s) kept though REF is not the genome's" in caplog.text


def test_without_a_genome_nothing_is_said_about_ref(write_vcf: Callable[..., Path]) -> None:
    variants, rejected = read_variants(
        write_vcf([("chr9", 3, ".", "G", "A"), ("chr9", 4, ".", "G", "<X>")], header=False)
    )
    assert variants["chrom"].tolist() == ["chr9"]
    assert variants["reference_genome_match"].isna().all()
    assert rejected["code"].tolist() == ["symbolic_allele"]


def test_bgzipped_genome_gives_the_same(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    vcf = write_vcf([("chr1", 18, ".", "A", "C"), ("chr1", 18, ".", "C", "A")])
    pysam.tabix_compress(str(fasta), str(fasta) + ".gz")
    for plain, packed in zip(read_variants(vcf, fasta), read_variants(vcf, f"{fasta}.gz"), strict=True):
        pd.testing.assert_frame_equal(plain, packed)


@pytest.mark.parametrize("suffix", ["parquet", "tsv"])
@pytest.mark.parametrize(
    "rows", [[], [("chr1", 3, ".", "C", "A")], [("chr1", 3, "NA", "G", "A"), ("chr1", 1, ".", "A", "*")]]
)
def test_command_writes_table_ledger_and_receipt(
    tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path], rows: list[tuple[object, ...]], suffix: str
) -> None:
    vcf, out, ledger = write_vcf(rows), tmp_path / f"v.{suffix}", tmp_path / "rejected.tsv"
    normalize_variants(vcf, out, ledger, fasta)
    variants, rejected = read_variants(vcf, fasta)
    pd.testing.assert_frame_equal(read_variant_table(out), variants)
    assert read_ledger(ledger)["code"].tolist() == rejected["code"].tolist()
    assert ledger.read_text().startswith("\t".join(LEDGER_COLUMNS) + "\n")
    identity = read_json(receipt_path(out))["identity"]
    assert identity["alleles"]["in"] == len(rows) == identity["alleles"]["kept"] + identity["alleles"]["rejected"]
    assert set(identity["inputs"]) == {str(vcf), str(fasta)}
    before = out.read_bytes()
    normalize_variants(vcf, out, ledger, fasta)
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("swapped", ["False", "no"], "column swapped must hold True or False, not 'False'"),
        ("swapped", [0, 2], "column swapped must hold True or False, not 0"),
        ("pos", [3.0, 100.5], "column pos must hold whole numbers, not 100.5"),
        ("pos", [3.0, float("nan")], "column pos must hold whole numbers, not empty"),
    ],
)
def test_values_are_not_bent_to_fit(
    tmp_path: Path, write_vcf: Callable[..., Path], column: str, values: list[object], message: str
) -> None:
    variants, _ = read_variants(write_vcf([("chr9", 3, ".", "G", "A"), ("chr9", 4, ".", "G", "A")]))
    variants.assign(**{column: values}).to_parquet(tmp_path / "v.parquet")
    with pytest.raises(CisweaveError, match=message):
        read_variant_table(tmp_path / "v.parquet")


def test_missing_match_survives_both_formats(tmp_path: Path, write_vcf: Callable[..., Path]) -> None:
    variants, _ = read_variants(write_vcf([("chr9", 3, ".", "G", "A")]))
    for name in ("v.tsv", "v.parquet"):
        (write_parquet if name.endswith(".parquet") else write_tsv)(variants, tmp_path / name)
        pd.testing.assert_frame_equal(read_variant_table(tmp_path / name), variants)


def test_broken_tables_are_refused(tmp_path: Path, write_vcf: Callable[..., Path]) -> None:
    variants, _ = read_variants(write_vcf([("chr9", 3, ".", "G", "A")]))
    write_tsv(pd.concat([variants, variants]), tmp_path / "twice.tsv")
    with pytest.raises(CisweaveError, match="record 1, allele 1 stands in two rows"):
        read_variant_table(tmp_path / "twice.tsv")
    write_tsv(variants.drop(columns="alt"), tmp_path / "no_alt.tsv")
    with pytest.raises(CisweaveError, match=r"column\(s\) alt missing"):
        read_variant_table(tmp_path / "no_alt.tsv")
    write_tsv(variants.assign(pos="here"), tmp_path / "text.tsv")
    with pytest.raises(CisweaveError, match="line 2: column pos must hold whole numbers, not 'here'"):
        read_variant_table(tmp_path / "text.tsv")


def test_chunks_make_the_same_tables(
    fasta: Path, write_vcf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("chr1", pos, ".", base.upper(), "A,C") for pos, base in enumerate(GENOME["chr1"], start=1)]
    vcf = write_vcf(rows * 2)
    whole = read_variants(vcf, fasta)
    monkeypatch.setattr(stream.read_chunks, "__defaults__", (7,))
    assert len(list(stream.read_chunks(vcf, "normalize"))) > 10
    for parts, table in zip(read_variants(vcf, fasta), whole, strict=True):
        pd.testing.assert_frame_equal(parts.reset_index(drop=True), table)


FIELD = st.sampled_from(
    ["chr1", "1", "chrX", "3", "0", "x", "A", "G", "T", "N", ".", "*", "<DEL>", "A,C", ",", "", " ", '"']
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(FIELD, min_size=1, max_size=6), max_size=8))
def test_every_allele_is_kept_or_rejected_once(
    tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path], rows: list[list[str]]
) -> None:
    vcf = write_vcf(rows)
    normalize_variants(vcf, tmp_path / "v.tsv", tmp_path / "r.tsv", fasta)
    kept, rejected = read_variant_table(tmp_path / "v.tsv"), read_ledger(tmp_path / "r.tsv")
    seen = [
        *zip(kept["record"], kept["allele"], strict=True),
        *zip(rejected["record"], rejected["allele"], strict=True),
    ]
    lines = [fields for fields in rows if "".join(fields).strip()]
    expected = [
        (record, allele)
        for record, fields in enumerate(lines, start=1)
        for allele in range(1, (fields[4] if len(fields) > 4 else "").count(",") + 2)
    ]
    assert sorted(seen) == expected
    assert set(rejected["code"]) <= set(Reason)
