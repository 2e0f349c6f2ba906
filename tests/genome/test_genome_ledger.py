from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.genome.ledger import RejectedAlleles, balance, balance_ledger
from cisweave.genome.normalize import normalize_variants, read_variants
from cisweave.genome.table import read_variant_table
from cisweave.tables.frames import write_tsv
from cisweave.tables.ledger import key_numbers, ledger_rows, read_ledger, write_ledger

ROWS = [
    ("chr1", 1, "a", "A", "C,<DEL>"),
    ("chr1", 2, "b", "A", "C"),
    ("chr1", 3, "c", "A"),
    ("chr1", 4, "d", "A", "G,T"),
]


def tables(vcf: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Variants and the ledger so far; the first stage keeps (1, 1), (2, 1), (4, 1), (4, 2)."""
    return read_variants(vcf)


def check(
    variants: pd.DataFrame, ledger: pd.DataFrame, scored: pd.DataFrame, expected: tuple[int, int] | None = None
) -> dict[str, object]:
    """The balance of tables."""
    return balance(key_numbers(variants), merged(ledger), np.unique(key_numbers(scored)), expected)


def merged(*ledgers: pd.DataFrame) -> RejectedAlleles:
    rejected = RejectedAlleles()
    for ledger in ledgers:
        rejected.add(ledger)
    return rejected


def test_books_that_balance(tmp_path: Path, write_vcf: Callable[..., Path]) -> None:
    vcf = write_vcf(ROWS)
    normalize_variants(vcf, tmp_path / "v.parquet", tmp_path / "r1.tsv")
    variants = read_variant_table(tmp_path / "v.parquet")
    write_ledger([ledger_rows(variants.iloc[[1]], "closest", "no_tss", "none")], tmp_path / "r2.tsv")
    write_ledger([ledger_rows(variants.iloc[[3]], "seal_predict", "no_profile")], tmp_path / "r3.tsv")
    shutil.copy(tmp_path / "r3.tsv", tmp_path / "r4.tsv")
    scored = tmp_path / "effects.tsv"
    write_tsv(variants.iloc[[0, 2]], scored)
    ledgers = [tmp_path / f"r{number}.tsv" for number in (1, 2, 3, 4)]
    balance_ledger(
        tmp_path / "v.parquet", ledgers, [scored, scored], tmp_path / "ledger.tsv", tmp_path / "ledger.json", vcf
    )
    summary = read_json(tmp_path / "ledger.json")
    assert {key: summary[key] for key in ("records", "alleles", "scored", "rejected", "reasons", "stages")} == {
        "records": 4,
        "alleles": 6,
        "scored": 2,
        "rejected": 4,
        "reasons": {"malformed_record": 1, "no_profile": 1, "no_tss": 1, "symbolic_allele": 1},
        "stages": {"closest": 1, "normalize": 2, "seal_predict": 1},
    }
    assert set(summary["explanations"]) == {"malformed_record", "no_tss", "symbolic_allele"}
    ledger = read_ledger(tmp_path / "ledger.tsv")
    assert ledger[["record", "allele"]].values.tolist() == [[1, 2], [3, 1], [2, 1], [4, 2]]
    assert (tmp_path / "ledger.tsv.receipt.json").exists()


def test_all_rejected_and_nothing_at_all(tmp_path: Path, write_vcf: Callable[..., Path]) -> None:
    for rows, alleles in (([], 0), ([("chr1", 1, ".", "A", "*")], 1)):
        vcf = write_vcf(rows)
        normalize_variants(vcf, tmp_path / "v.tsv", tmp_path / "r.tsv")
        balance_ledger(
            tmp_path / "v.tsv", [tmp_path / "r.tsv"], [tmp_path / "v.tsv"], tmp_path / "l.tsv", tmp_path / "l.json", vcf
        )
        summary = read_json(tmp_path / "l.json")
        assert (summary["alleles"], summary["scored"], summary["rejected"]) == (alleles, 0, alleles)


def test_a_lost_allele_is_found(write_vcf: Callable[..., Path]) -> None:
    variants, ledger = tables(write_vcf(ROWS))
    assert check(variants, ledger, variants)["alleles"] == 6
    with pytest.raises(CisweaveError, match="6 alleles were read but 5 are accounted for .* record 1, allele 1"):
        check(variants, ledger, variants.iloc[1:])
    with pytest.raises(CisweaveError, match=r"around record 2, allele 1|around record 3"):
        check(variants.drop(index=1), ledger, variants.drop(index=1))
    with pytest.raises(CisweaveError, match=r"around record 4, allele 2"):
        check(variants.drop(index=2), ledger, variants.drop(index=2))


def test_an_allele_lost_at_the_end_is_found_by_counting_afresh(write_vcf: Callable[..., Path]) -> None:
    variants, ledger = tables(write_vcf(ROWS))
    short = variants.iloc[:-1]
    assert check(short, ledger, short)["alleles"] == 5
    with pytest.raises(CisweaveError, match="holds 4 records and 6 alleles, but 4 records and 5 alleles"):
        check(short, ledger, short, expected=(4, 6))


def test_scored_and_rejected_at_once_is_an_error(write_vcf: Callable[..., Path]) -> None:
    variants, ledger = tables(write_vcf(ROWS))
    both = pd.concat([ledger, ledger_rows(variants.iloc[[0]], "closest", "no_tss")])
    with pytest.raises(CisweaveError, match="both scored and rejected"):
        check(variants, both, variants)


def test_strangers_are_an_error(write_vcf: Callable[..., Path]) -> None:
    variants, ledger = tables(write_vcf(ROWS))
    stranger = variants.iloc[[0]].assign(record=9)
    with pytest.raises(CisweaveError, match="record 9, allele 1 is scored or rejected but was never read"):
        check(variants, ledger, pd.concat([variants, stranger]))


def test_rejected_twice_for_different_reasons_is_an_error(write_vcf: Callable[..., Path]) -> None:
    variants, ledger = tables(write_vcf(ROWS))
    first = ledger_rows(variants.iloc[[0]], "closest", "no_tss")
    again = ledger_rows(variants.iloc[[0]], "seal_predict", "no_profile")
    twice = RejectedAlleles()
    assert [len(twice.add(rows)) for rows in (ledger, first, first, pd.concat([first, first]))] == [2, 1, 0, 0]
    assert twice.count(0) == {"closest": 1, "normalize": 2}
    for ledgers in ([ledger, first, again], [ledger, pd.concat([first, again])]):
        with pytest.raises(CisweaveError, match=r"rejected twice: closest \(no_tss\) and seal_predict \(no_profile\)"):
            merged(*ledgers)


def test_context_sets_must_score_the_same_alleles(tmp_path: Path, write_vcf: Callable[..., Path]) -> None:
    normalize_variants(write_vcf(ROWS), tmp_path / "v.tsv", tmp_path / "r.tsv")
    variants = read_variant_table(tmp_path / "v.tsv")
    write_tsv(variants.iloc[1:], tmp_path / "fewer.tsv")
    write_tsv(pd.concat([variants, variants.iloc[:1]]), tmp_path / "twice.tsv")
    for name, message in (("fewer.tsv", "does not hold the same alleles"), ("twice.tsv", "scored twice")):
        with pytest.raises(CisweaveError, match=message):
            balance_ledger(
                tmp_path / "v.tsv",
                [tmp_path / "r.tsv"],
                [tmp_path / "v.tsv", tmp_path / name],
                tmp_path / "l.tsv",
                tmp_path / "l.json",
            )
    assert not (tmp_path / "l.tsv").exists()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("record", "x", r"line 3: record is x; it must be a whole number"),
        ("allele", "", r"line 3: allele is empty"),
        ("record", "1.5", r"line 3: record is 1\.5"),
        ("allele", "0", r"line 3: allele is 0"),
        ("record", "9" * 30, r"line 3: record is 9{20}"),
    ],
)
@pytest.mark.parametrize("broken", ["r.tsv", "v.tsv"])
def test_keys_that_are_no_numbers_are_named(
    tmp_path: Path, write_vcf: Callable[..., Path], column: str, value: str, message: str, broken: str
) -> None:
    normalize_variants(write_vcf(ROWS), tmp_path / "all.tsv", tmp_path / "r.tsv")
    shutil.copy(tmp_path / "all.tsv", tmp_path / "v.tsv")
    table = pd.read_csv(tmp_path / broken, sep="\t", dtype="str", keep_default_na=False)
    table.loc[1, column] = value
    table.to_csv(tmp_path / broken, sep="\t", index=False)
    with pytest.raises(CisweaveError, match=rf"{broken}, {message}"):
        balance_ledger(
            tmp_path / "all.tsv", [tmp_path / "r.tsv"], [tmp_path / "v.tsv"], tmp_path / "l.tsv", tmp_path / "l.json"
        )


def test_a_rejected_file_given_twice_is_an_error(tmp_path: Path, write_vcf: Callable[..., Path]) -> None:
    normalize_variants(write_vcf(ROWS), tmp_path / "v.tsv", tmp_path / "r.tsv")
    (tmp_path / "folder").mkdir()
    twice = [tmp_path / "r.tsv", tmp_path / "folder" / ".." / "r.tsv"]
    with pytest.raises(CisweaveError, match=r"r\.tsv: --rejects names this file 2 times"):
        balance_ledger(tmp_path / "v.tsv", twice, [tmp_path / "v.tsv"], tmp_path / "l.tsv", tmp_path / "l.json")
