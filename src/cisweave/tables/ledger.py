"""The reject ledger: every row that is not scored, with the reason.

One row of the ledger stands for one allele (a record with several ALT alleles has one row for each). The books must
balance: alleles read = alleles scored + alleles rejected.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.tables.frames import read_table, write_tsv

LEDGER_COLUMNS = ["stage", "line", "record", "allele", "contig", "position", "ref", "alt", "code", "message"]
"""Step; line of the user's file (of a BCF: its record); 1-based numbers of the record and of the allele within ALT; the
allele as the user's file spells it (position 1-based in a VCF, 0-based start in a BED); why, as a code and in words."""
KEY = ["record", "allele"]
NUMBERS = ["line", *KEY]
ALLELE_BITS = 31
SOURCE = {"source_chrom": "contig", "source_pos": "position", "source_ref": "ref", "source_alt": "alt"}
"""Where a variant table keeps what the user's file has, and the ledger's names for it."""


def ledger_rows(
    variants: pd.DataFrame, stage: str, code: str | pd.Series, message: str | pd.Series = ""
) -> pd.DataFrame:
    """Ledger rows for ``variants`` (a variant table) rejected at ``stage`` for ``code``."""
    rows = variants.drop(columns=["ref", "alt"], errors="ignore").rename(columns=SOURCE)
    rows = rows.assign(stage=stage, code=code, message=message).reindex(columns=LEDGER_COLUMNS)
    return rows.astype({"position": "str"})


def write_ledger(rows: Iterable[pd.DataFrame], path: str | Path) -> pd.DataFrame:
    """Write ledger rows in record order (a header alone when nothing was rejected) and return them."""
    frames = [frame for frame in rows if len(frame)]
    ledger = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=LEDGER_COLUMNS)
    ledger = ledger[LEDGER_COLUMNS].sort_values(KEY, kind="stable", ignore_index=True)
    write_tsv(ledger, path)
    return ledger


def read_ledger(path: str | Path) -> pd.DataFrame:
    """Read one ledger file."""
    text = {column: "str" for column in LEDGER_COLUMNS if column not in NUMBERS}
    return read_table(path, LEDGER_COLUMNS, dtype=text).fillna(dict.fromkeys(("ref", "alt", "message"), ""))


def key_numbers(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Record and allele of each row as one number, which sorts as they do; both must be below 2**31."""
    record, allele = (frame[column].to_numpy(dtype=np.int64) for column in KEY)
    numbers: NDArray[np.int64] = (record << ALLELE_BITS) | allele
    return numbers


def split_number(number: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Records and alleles of what :func:`key_numbers` gives."""
    return number >> ALLELE_BITS, number & ((1 << ALLELE_BITS) - 1)


def is_among(numbers: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(alleles,) which of the keys are among those ``known``, which are sorted."""
    found: NDArray[np.bool_] = np.append(known, -1)[np.searchsorted(known, numbers)] == numbers
    return found


def check_accounts(read: NDArray[np.int64], scored: NDArray[np.int64], rejected: NDArray[np.int64]) -> None:
    """Raise unless alleles read = alleles scored + alleles rejected, with no allele in both.

    All three are keys (:func:`key_numbers`), each once.
    """
    both = np.intersect1d(scored, rejected, assume_unique=True)
    if len(both):
        first = split_number(both)[0][0]
        raise CisweaveError(f"{len(both)} alleles are both scored and rejected, the first is record {first}")
    missing = np.setdiff1d(read, np.concatenate([scored, rejected]), assume_unique=True)
    if len(missing):
        record, allele = (int(part[0]) for part in split_number(missing))
        raise CisweaveError(
            f"{len(read)} alleles were read but {len(read) - len(missing)} are accounted for (scored or rejected); the "
            f"first that is not is record {record}, allele {allele}: is the ledger of a step missing?"
        )
