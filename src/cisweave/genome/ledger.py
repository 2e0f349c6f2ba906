"""Merging what each stage rejected, and proving that no allele was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import write_json
from cisweave.core.logs import get_logger
from cisweave.genome.normalize import STAGE as FIRST_STAGE
from cisweave.genome.reasons import EXPLANATIONS
from cisweave.genome.stream import read_chunks, stage_counts, summary_line
from cisweave.genome.table import table_line
from cisweave.genome.vcf import read_records
from cisweave.tables.frames import read_parts
from cisweave.tables.ledger import (
    KEY,
    LEDGER_COLUMNS,
    check_balance,
    key_numbers,
    read_ledger,
    split_number,
    write_ledger,
)
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

MAX_KEY = 2**31
"""No record and no allele has this number or a higher one."""


def count_alleles(vcf: str | Path) -> tuple[int, int]:
    """Records and alleles of a variant file, counted afresh."""
    records = alleles = 0
    for record in read_records(vcf):
        records += 1
        alleles += len(record.alts)
    return records, alleles


def merge_rejected(rejected: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One ledger from those of the stages, in record order.

    Rows that are the same throughout (a stage run for several context sets) become one.

    Raises
    ------
    CisweaveError
        If an allele was rejected twice for different reasons: after the first it should not have come further.
    """
    merged = pd.concat([pd.DataFrame(columns=LEDGER_COLUMNS), *rejected], ignore_index=True)[LEDGER_COLUMNS]
    merged = merged.astype(dict.fromkeys(KEY, "int64")).drop_duplicates(["stage", *KEY, "code"])
    twice = merged[merged.duplicated(KEY, keep=False)].sort_values(KEY)
    if len(twice):
        first, second = twice.iloc[0], twice.iloc[1]
        raise CisweaveError(
            f"record {first['record']}, allele {first['allele']} was rejected twice: "
            f"{first['stage']} ({first['code']}) and {second['stage']} ({second['code']})"
        )
    return merged.sort_values(KEY, kind="stable", ignore_index=True)


def balance(
    variants: pd.DataFrame, ledger: pd.DataFrame, scored: pd.DataFrame, expected: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Check that every allele read was scored or rejected, and count.

    Parameters
    ----------
    variants
        What the first step kept, before anything else was rejected.
    ledger
        The rejected alleles of all stages.
    scored
        The scored alleles (columns ``record, allele``).
    expected
        Records and alleles of the variant file, where it was counted afresh (:func:`count_alleles`).

    Returns
    -------
    dict
        ``records, alleles, scored, rejected, reasons`` (code -> alleles) and ``stages`` (stage -> rejected alleles).

    Raises
    ------
    CisweaveError
        If an allele is missing, was scored and rejected, or came from nowhere.
    """
    first = ledger[ledger["stage"] == FIRST_STAGE]
    read = np.sort(np.concatenate([key_numbers(variants), key_numbers(first)]))
    records, alleles = check_numbering(read), len(read)
    if expected is not None and expected != (records, alleles):
        raise CisweaveError(
            f"the variant file holds {expected[0]} records and {expected[1]} alleles, "
            f"but {records} records and {alleles} alleles are accounted for"
        )
    for table in (scored, ledger):
        refuse_strangers(key_numbers(table), read)
    check_balance(alleles, scored, ledger)
    return {
        "records": records,
        "alleles": alleles,
        "scored": len(np.unique(key_numbers(scored))),
        "rejected": len(ledger),
        "reasons": dict(sorted(Counter(ledger["code"]).items())),
        "stages": dict(sorted(Counter(ledger["stage"]).items())),
    }


def refuse_strangers(numbers: NDArray[np.int64], read: NDArray[np.int64]) -> None:
    """Raise if one of the alleles is not among those read (sorted)."""
    places = np.searchsorted(read, numbers)
    unknown = numbers[np.append(read, -1)[places] != numbers]
    if len(unknown):
        record, allele = (int(part[0]) for part in split_number(unknown))
        raise CisweaveError(f"record {record}, allele {allele} is scored or rejected but was never read")


def check_numbering(read: NDArray[np.int64]) -> int:
    """Raise unless records count 1, 2, 3 … and their alleles 1, 2, … without gap or repeat; how many records.

    ``read`` (alleles,): :func:`cisweave.tables.ledger.key_numbers`, sorted.
    """
    record, allele = split_number(read)
    number = np.cumsum(np.diff(record, prepend=0) != 0)
    starts = np.flatnonzero(np.diff(record, prepend=0) != 0)
    expected = np.arange(1, len(read) + 1) - (starts[number - 1] if len(starts) else 0)
    wrong = np.flatnonzero((record != number) | (allele != expected))
    if len(wrong):
        row = int(wrong[0])
        raise CisweaveError(
            f"around record {record[row]}, allele {allele[row]} an allele is missing or there twice "
            f"among what the stage '{FIRST_STAGE}' kept and rejected"
        )
    return int(number[-1]) if len(number) else 0


def refuse_repeats(rejected: Sequence[str | Path]) -> None:
    """Raise if a file of rejected alleles is given twice: another was probably meant."""
    given = Counter(Path(path).resolve() for path in rejected)
    for path, times in given.items():
        if times > 1:
            raise CisweaveError(f"--rejects names this file {times} times; give each stage's file once", path=path)


def whole_keys(table: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """The table with ``record`` and ``allele`` as whole numbers from 1 upwards; anything else is an error."""
    for column in KEY:
        numbers = pd.to_numeric(table[column], errors="coerce").astype("float64")
        wrong = np.flatnonzero(~((numbers >= 1) & (numbers < MAX_KEY) & (numbers % 1 == 0)).to_numpy())
        if len(wrong):
            row = int(wrong[0])
            value = table[column].iloc[row]
            found = "is empty" if pd.isna(value) else f"is {value!s:.30}"
            raise CisweaveError(
                f"{column} {found}; it must be a whole number from 1 upwards",
                path=path,
                line=table_line(path, int(table.index[row])),
            )
    return table.astype(dict.fromkeys(KEY, "int64"))


def scored_alleles(path: str | Path) -> pd.DataFrame:
    """The keys of the alleles in a table of scores, each once; an allele may have several genes, each once."""
    numbers: list[NDArray[np.int64]] = []
    genes: list[NDArray[np.int32]] = []
    known: dict[str, int] = {}
    for part in read_parts(path, KEY, optional=["gene_id"]):
        numbers.append(key_numbers(whole_keys(part, path)))
        names = part["gene_id"].astype("str") if "gene_id" in part else pd.Series("", index=part.index)
        places = {name: known.setdefault(name, len(known)) for name in names.unique().tolist()}
        genes.append(names.map(places).to_numpy(dtype=np.int32))
    number = np.concatenate(numbers)
    numbers.clear()
    alleles = np.unique(number)
    if len(alleles) < len(number):
        order = np.lexsort((np.concatenate(genes), number))
        if ((np.diff(number[order]) == 0) & (np.diff(np.concatenate(genes)[order]) == 0)).any():
            raise CisweaveError("an allele is scored twice", path=path)
    return pd.DataFrame(dict(zip(KEY, split_number(alleles), strict=True)))


def kept_alleles(path: str | Path) -> pd.DataFrame:
    """The keys of the alleles that the first step kept."""
    keys = []
    for kept, unreadable in read_chunks(path, FIRST_STAGE):
        if len(unreadable):
            raise CisweaveError("this is not a VCF or variant table that 'genome normalize' wrote", path=path)
        keys.append(kept[KEY])
    return pd.concat(keys, ignore_index=True)


def balance_ledger(
    variants: str | Path,
    rejected: Sequence[str | Path],
    scored: Sequence[str | Path],
    out: str | Path,
    summary: str | Path,
    vcf: str | Path | None = None,
) -> None:
    """Write the whole ledger and its summary, once the books balance (``cisweave genome ledger``).

    ``scored`` may name several tables (one a context set), which must hold the same alleles; ``rejected`` names each
    file once.
    """
    refuse_repeats(rejected)
    tables = [scored_alleles(path) for path in scored]
    for path, table in zip(scored[1:], tables[1:], strict=True):
        if len(table.merge(tables[0], on=KEY)) != len(table) or len(table) != len(tables[0]):
            raise CisweaveError(f"this table does not hold the same alleles as {scored[0]}", path=path)
    ledger = merge_rejected([whole_keys(read_ledger(path), path) for path in rejected])
    expected = count_alleles(vcf) if vcf is not None else None
    kept = kept_alleles(variants)
    counts = balance(kept, ledger, tables[0], expected)
    counts["explanations"] = {str(code): text for code, text in EXPLANATIONS.items() if code in counts["reasons"]}
    write_ledger([ledger], out)
    write_json(summary, counts)
    inputs = [variants, *rejected, *scored, *([vcf] if vcf is not None else [])]
    write_receipt(out, inputs=inputs, notes={"alleles": stage_counts(counts["scored"], ledger["code"])})
    logger.info("%s", summary_line("ledger", stage_counts(counts["scored"], ledger["code"])))
