"""Merging what each stage rejected, and proving that no allele was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.core.files import write_json
from cisweave.core.logs import get_logger
from cisweave.genome.reasons import EXPLANATIONS
from cisweave.genome.table import read_variant_table, table_line
from cisweave.genome.variants import STAGE as FIRST_STAGE
from cisweave.genome.variants import stage_counts, summary_line
from cisweave.genome.vcf import read_records
from cisweave.tables.frames import read_table
from cisweave.tables.ledger import KEY, LEDGER_COLUMNS, check_balance, read_ledger, write_ledger
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

MAX_KEY = 2**53
"""Numbers from here on are no longer exact as floating point."""


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
    merged = merged.astype(dict.fromkeys(KEY, "int64")).drop_duplicates(["stage", *KEY, "reason"])
    twice = merged[merged.duplicated(KEY, keep=False)].sort_values(KEY)
    if len(twice):
        first, second = twice.iloc[0], twice.iloc[1]
        raise CisweaveError(
            f"record {first['record']}, allele {first['allele']} was rejected twice: "
            f"{first['stage']} ({first['reason']}) and {second['stage']} ({second['reason']})"
        )
    return merged.sort_values(KEY, kind="stable", ignore_index=True)


def balance(
    variants: pd.DataFrame, ledger: pd.DataFrame, scored: pd.DataFrame, expected: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Check that every allele read was scored or rejected, and count.

    Parameters
    ----------
    variants
        The variant table of the first stage, before anything else was rejected.
    ledger
        The rejected alleles of all stages.
    scored
        The scored alleles (columns ``record, allele``).
    expected
        Records and alleles of the variant file, where it was counted afresh (:func:`count_alleles`).

    Returns
    -------
    dict
        ``records, alleles, scored, rejected, reasons`` (reason -> alleles) and ``stages`` (stage -> rejected alleles).

    Raises
    ------
    CisweaveError
        If an allele is missing, was scored and rejected, or came from nowhere.
    """
    first = ledger[ledger["stage"] == FIRST_STAGE]
    read = pd.concat([variants[KEY], first[KEY]], ignore_index=True)
    check_numbering(read)
    records, alleles = int(read["record"].nunique()), len(read)
    if expected is not None and expected != (records, alleles):
        raise CisweaveError(
            f"the variant file holds {expected[0]} records and {expected[1]} alleles, "
            f"but {records} records and {alleles} alleles are accounted for"
        )
    strangers = pd.concat([scored[KEY], ledger[KEY]]).merge(read, on=KEY, how="left", indicator=True)
    unknown = strangers[strangers["_merge"] == "left_only"]
    if len(unknown):
        row = unknown.iloc[0]
        raise CisweaveError(f"record {row['record']}, allele {row['allele']} is scored or rejected but was never read")
    check_balance(alleles, scored, ledger)
    return {
        "records": records,
        "alleles": alleles,
        "scored": len(scored[KEY].drop_duplicates()),
        "rejected": len(ledger),
        "reasons": dict(sorted(Counter(ledger["reason"]).items())),
        "stages": dict(sorted(Counter(ledger["stage"]).items())),
    }


def check_numbering(read: pd.DataFrame) -> None:
    """Raise unless records count 1, 2, 3 … and the alleles of each record 1, 2, … without a gap or a repeat."""
    ordered = read.sort_values(KEY, kind="stable", ignore_index=True)
    new = ordered["record"].ne(ordered["record"].shift())
    allele = ordered.groupby(new.cumsum()).cumcount() + 1
    wrong = ordered[(ordered["record"] != new.cumsum()) | (ordered["allele"] != allele)]
    if len(wrong):
        row = wrong.iloc[0]
        raise CisweaveError(
            f"around record {row['record']}, allele {row['allele']} an allele is missing or there twice "
            f"among what the stage '{FIRST_STAGE}' kept and rejected"
        )


def refuse_repeats(rejected: Sequence[str | Path]) -> None:
    """Raise if a file of rejected alleles is given twice: another was probably meant."""
    given = Counter(Path(path).resolve() for path in rejected)
    for path, times in given.items():
        if times > 1:
            raise CisweaveError(f"--rejected names this file {times} times; give each stage's file once", path=path)


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
                f"{column} {found}; it must be a whole number from 1 upwards", path=path, line=table_line(path, row)
            )
    return table.astype(dict.fromkeys(KEY, "int64"))


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
    tables = [whole_keys(read_table(path, KEY)[KEY], path) for path in scored]
    for path, table in zip(scored, tables, strict=True):
        if table.duplicated().any():
            raise CisweaveError("an allele is scored twice", path=path)
        if len(table.merge(tables[0], on=KEY)) != len(table) or len(table) != len(tables[0]):
            raise CisweaveError(f"this table does not hold the same alleles as {scored[0]}", path=path)
    ledger = merge_rejected([whole_keys(read_ledger(path), path) for path in rejected])
    expected = count_alleles(vcf) if vcf is not None else None
    counts = balance(read_variant_table(variants), ledger, tables[0], expected)
    counts["explanations"] = {str(code): text for code, text in EXPLANATIONS.items() if code in counts["reasons"]}
    write_ledger([ledger], out)
    write_json(summary, counts)
    inputs = [variants, *rejected, *scored, *([vcf] if vcf is not None else [])]
    write_receipt(out, inputs=inputs, notes={"alleles": stage_counts(counts["scored"], ledger["reason"])})
    logger.info("%s", summary_line("ledger", stage_counts(counts["scored"], ledger["reason"])))
