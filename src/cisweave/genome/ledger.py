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
from cisweave.core.files import atomic_path, write_json
from cisweave.core.logs import get_logger
from cisweave.genome.normalize import STAGE as FIRST_STAGE
from cisweave.genome.reasons import EXPLANATIONS
from cisweave.genome.stream import Closing, TextSink, read_chunks, summary_line
from cisweave.genome.table import table_line
from cisweave.genome.vcf import read_records
from cisweave.tables.frames import read_parts
from cisweave.tables.ledger import (
    KEY,
    LEDGER_COLUMNS,
    check_accounts,
    is_among,
    key_numbers,
    split_number,
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


class RejectedAlleles:
    """Merges ledgers row by row, remembering of each allele only its key, step and code.

    Attributes
    ----------
    numbers
        Keys of the alleles rejected so far (:func:`cisweave.tables.ledger.key_numbers`), sorted.
    causes
        Why each was: its place in ``names``, which holds pairs of step and code.
    """

    def __init__(self) -> None:
        self.numbers = np.empty(0, dtype=np.int64)
        self.causes = np.empty(0, dtype=np.int16)
        self.names: dict[tuple[str, str], int] = {}

    def add(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Take rows of a ledger and return those that are new.

        A row that is the same throughout (a step run for several context sets) is not new.

        Raises
        ------
        CisweaveError
            If an allele was rejected before for another reason: after the first it should not have come further.
        """
        pairs = list(zip(rows["stage"].tolist(), rows["code"].tolist(), strict=True))
        causes = np.array([self.names.setdefault(pair, len(self.names)) for pair in pairs], dtype=np.int16)
        numbers, first = np.unique(key_numbers(rows), return_index=True)
        self.refuse_second(key_numbers(rows), causes, numbers, causes[first])
        known = is_among(numbers, self.numbers)
        self.refuse_second(numbers[known], causes[first][known], self.numbers, self.causes)
        new = np.sort(first[~known])
        added, order = key_numbers(rows.iloc[new]), np.argsort(key_numbers(rows.iloc[new]))
        places = np.searchsorted(self.numbers, added[order])
        self.numbers = np.insert(self.numbers, places, added[order])
        self.causes = np.insert(self.causes, places, causes[new][order])
        return rows.iloc[new]

    def refuse_second(
        self,
        numbers: NDArray[np.int64],
        causes: NDArray[np.int16],
        known: NDArray[np.int64],
        known_causes: NDArray[np.int16],
    ) -> None:
        """Raise if one of the alleles, all of which are ``known`` (sorted), is known for another cause."""
        before = known_causes[np.searchsorted(known, numbers)]
        wrong = np.flatnonzero(before != causes)
        if len(wrong):
            names = list(self.names)
            record, allele = (int(part) for part in split_number(numbers[wrong[0]]))
            one, other = (names[cause[wrong[0]]] for cause in (before, causes))
            raise CisweaveError(
                f"record {record}, allele {allele} was rejected twice: {one[0]} ({one[1]}) and {other[0]} ({other[1]})"
            )

    def count(self, part: int) -> dict[str, int]:
        """Alleles per step (``part`` 0) or per code (1)."""
        numbers = np.bincount(self.causes, minlength=len(self.names)).tolist()
        counted = Counter[str]()
        for name, number in zip(self.names, numbers, strict=True):
            counted[name[part]] += number
        return dict(sorted(counted.items()))

    def of_step(self, stage: str) -> NDArray[np.int64]:
        """Keys of the alleles that one step rejected."""
        causes = [number for name, number in self.names.items() if name[0] == stage]
        return self.numbers[np.isin(self.causes, causes)]


def balance(
    variants: NDArray[np.int64],
    rejected: RejectedAlleles,
    scored: NDArray[np.int64],
    expected: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Check that every allele read was scored or rejected, and count.

    Parameters
    ----------
    variants, scored
        Keys (:func:`cisweave.tables.ledger.key_numbers`) of what the first step kept, before anything else was
        rejected, and of what was scored, each once.
    rejected
        The rejected alleles of all steps.
    expected
        Records and alleles of the variant file, where it was counted afresh (:func:`count_alleles`).

    Returns
    -------
    dict
        ``records, alleles, scored, rejected, reasons`` (code -> alleles) and ``stages`` (step -> rejected alleles).

    Raises
    ------
    CisweaveError
        If an allele is missing, was scored and rejected, or came from nowhere.
    """
    read = np.sort(np.concatenate([variants, rejected.of_step(FIRST_STAGE)]))
    records, alleles = check_numbering(read), len(read)
    if expected is not None and expected != (records, alleles):
        raise CisweaveError(
            f"the variant file holds {expected[0]} records and {expected[1]} alleles, "
            f"but {records} records and {alleles} alleles are accounted for"
        )
    for numbers in (scored, rejected.numbers):
        refuse_strangers(numbers, read)
    check_accounts(read, scored, rejected.numbers)
    return {
        "records": records,
        "alleles": alleles,
        "scored": len(scored),
        "rejected": len(rejected.numbers),
        "reasons": rejected.count(1),
        "stages": rejected.count(0),
    }


def refuse_strangers(numbers: NDArray[np.int64], read: NDArray[np.int64]) -> None:
    """Raise if one of the alleles is not among those read (sorted)."""
    unknown = numbers[~is_among(numbers, read)]
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


def scored_alleles(path: str | Path) -> NDArray[np.int64]:
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
    return alleles


def kept_alleles(path: str | Path) -> NDArray[np.int64]:
    """The keys of the alleles that the first step kept."""
    keys = []
    for kept, unreadable in read_chunks(path, FIRST_STAGE):
        if len(unreadable):
            raise CisweaveError("this is not a VCF or variant table that 'genome normalize' wrote", path=path)
        keys.append(key_numbers(kept))
    return np.concatenate(keys)


def merge_ledgers(rejected: Sequence[str | Path], out: str | Path) -> RejectedAlleles:
    """Write the rows of several ledgers one after the other, each allele once; what was rejected."""
    merged = RejectedAlleles()
    with atomic_path(out) as temporary, Closing(TextSink(temporary, Path(out))) as sink:
        sink.write(pd.DataFrame(columns=LEDGER_COLUMNS))
        for path in rejected:
            for part in read_parts(path, LEDGER_COLUMNS, dtype="str"):
                sink.write(merged.add(whole_keys(part, path))[LEDGER_COLUMNS])
    return merged


def balance_ledger(
    variants: str | Path,
    rejected: Sequence[str | Path],
    scored: Sequence[str | Path],
    out: str | Path,
    summary: str | Path,
    vcf: str | Path | None = None,
) -> None:
    """Write the whole ledger and its summary, once the books balance (``cisweave genome ledger``).

    The rows of each step follow those of the step before. Memory holds the keys of the alleles and no more.
    ``scored`` may name several tables (one a context set), which must hold the same alleles; ``rejected`` names each
    file once.
    """
    refuse_repeats(rejected)
    alleles = scored_alleles(scored[0])
    for path in scored[1:]:
        if not np.array_equal(alleles, scored_alleles(path)):
            raise CisweaveError(f"this table does not hold the same alleles as {scored[0]}", path=path)
    expected = count_alleles(vcf) if vcf is not None else None
    with atomic_path(out) as temporary:
        merged = merge_ledgers(rejected, temporary)
        counts = balance(kept_alleles(variants), merged, alleles, expected)
    counts["explanations"] = {str(code): text for code, text in EXPLANATIONS.items() if code in counts["reasons"]}
    write_json(summary, counts)
    inputs = [variants, *rejected, *scored, *([vcf] if vcf is not None else [])]
    totals = {
        "in": counts["alleles"],
        "kept": counts["scored"],
        **{key: counts[key] for key in ("rejected", "reasons")},
    }
    write_receipt(out, inputs=inputs, notes={"alleles": totals})
    logger.info("%s", summary_line("ledger", totals))
