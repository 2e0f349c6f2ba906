"""The reject ledger: every row that is not scored, with the reason.

One row of the ledger stands for one allele (a record with several ALT alleles has one row for each). The books must
balance: alleles read = alleles scored + alleles rejected.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.tables.frames import read_table, write_tsv

LEDGER_COLUMNS = [
    "stage",
    "record",
    "allele",
    "source_chrom",
    "source_pos",
    "source_ref",
    "source_alt",
    "reason",
    "detail",
]
KEY = ["record", "allele"]


def ledger_rows(
    variants: pd.DataFrame, stage: str, reason: str | pd.Series, detail: str | pd.Series = ""
) -> pd.DataFrame:
    """Ledger rows for ``variants`` (a variant table) rejected at ``stage`` for ``reason``."""
    return variants.assign(stage=stage, reason=reason, detail=detail).reindex(columns=LEDGER_COLUMNS)


def write_ledger(rows: Iterable[pd.DataFrame], path: str | Path) -> pd.DataFrame:
    """Write ledger rows in record order (a header alone when nothing was rejected) and return them."""
    frames = [frame for frame in rows if len(frame)]
    ledger = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=LEDGER_COLUMNS)
    ledger = ledger[LEDGER_COLUMNS].sort_values(KEY, kind="stable", ignore_index=True)
    write_tsv(ledger, path)
    return ledger


def read_ledger(path: str | Path) -> pd.DataFrame:
    """Read one ledger file."""
    text = {column: "str" for column in LEDGER_COLUMNS if column not in KEY}
    return read_table(path, LEDGER_COLUMNS, dtype=text).fillna({"detail": "", "source_alt": ""})


def check_balance(read: int, scored: pd.DataFrame, ledger: pd.DataFrame) -> None:
    """Raise unless alleles read = alleles scored + alleles rejected, with no allele in both."""
    both = pd.merge(scored[KEY].drop_duplicates(), ledger[KEY].drop_duplicates(), on=KEY)
    if len(both):
        raise CisweaveError(f"{len(both)} alleles are both scored and rejected, the first is record {both.record[0]}")
    accounted = len(scored[KEY].drop_duplicates()) + len(ledger[KEY].drop_duplicates())
    if accounted != read:
        raise CisweaveError(f"{read} alleles were read but {accounted} are accounted for (scored or rejected)")
