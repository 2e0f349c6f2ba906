"""Variants with genes, block by block in the order of the user's file, in memory that does not grow with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, first_bytes
from cisweave.core.logs import get_logger
from cisweave.core.parts import Part
from cisweave.genome.ledger import whole_keys
from cisweave.genome.table import FORMS, GENE_COLUMNS, VARIANT_COLUMNS, read_flags
from cisweave.genome.vcf import BCF
from cisweave.tables.frames import damages, read_parts, read_table, require_columns, unreadable
from cisweave.tables.ledger import KEY, SOURCE, key_numbers

logger = get_logger(__name__)

SEAL_COLUMNS = ["chrom", "pos", "ref", "alt", "gene_strand", "gene_id", "dist_to_tss", "reference_genome_match"]
COLUMNS = {**VARIANT_COLUMNS, **GENE_COLUMNS}
NEEDED = [*KEY, "line", *SOURCE, *SEAL_COLUMNS]
GROUPS = 4
"""Row groups of a Parquet table that are held at a time."""
VCF_STARTS = (b"##fileformat=VCF", *BCF)


class AssignedVariants:
    """A variant table with genes (``genome closest-tss``), read in the order of record and allele.

    Memory holds the keys of the rows, and a few blocks. (A table that is text is held whole.)

    Parameters
    ----------
    path
        Parquet or TSV, one row per allele and gene, in any order.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._rows = TableRows(self.path)
        require_columns(self._rows.head(), NEEDED, self.path)
        keys = np.concatenate([key_numbers(whole_keys(part, path)) for part in read_parts(path, KEY)])
        self._order = np.argsort(keys, kind="stable")
        self._starts = np.flatnonzero(np.diff(keys[self._order], prepend=-1))
        known = set(COLUMNS)
        left_out = [str(column) for column in self._rows.head().columns if column not in known]
        if left_out:
            logger.warning("columns %s are no part of a variant table and are left out", ", ".join(left_out))

    def __len__(self) -> int:
        return len(self._order)

    def blocks(self, rows: int, part: Part | None = None) -> Iterator[pd.DataFrame]:
        """Blocks of about ``rows`` rows, all rows of an allele in one; of one part of the table, or of all of it.

        At least one block, be it empty.
        """
        first, last = self._bounds(part)
        if first == last:
            yield self._take(first, last)
        while first < last:
            end = min(last, self._whole(first + rows))
            yield self._take(first, end)
            first = end

    def rows_of(self, part: Part | None) -> int:
        """How many rows a part has."""
        first, last = self._bounds(part)
        return last - first

    def _bounds(self, part: Part | None) -> tuple[int, int]:
        """First and last row (exclusive) of a part, moved on to where an allele begins."""
        rows = slice(0, len(self)) if part is None else part.rows(len(self))
        return self._whole(rows.start), self._whole(rows.stop)

    def _whole(self, row: int) -> int:
        """The first row at or after ``row`` with which an allele begins, or the end."""
        place = int(np.searchsorted(self._starts, row))
        return int(self._starts[place]) if place < len(self._starts) else len(self)

    def _take(self, first: int, last: int) -> pd.DataFrame:
        """Rows of the order of the file, checked."""
        frame = self._rows.take(self._order[first:last])
        return typed_variants(frame, self.path)


def read_assigned(path: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A whole variant table with genes, in the order of record and allele, and its other columns (as of effects)."""
    rows = TableRows(Path(path))
    require_columns(rows.head(), NEEDED, path)
    frame = rows.all().sort_values(KEY, kind="stable", ignore_index=True)
    return typed_variants(frame, path), frame[[column for column in frame if column not in COLUMNS]]


def typed_variants(frame: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """The columns of a variant table, with their types; what no variant table holds is an error.

    ``swapped`` is false throughout where the column is absent.
    """
    frame = read_flags(frame[[column for column in COLUMNS if column in frame]], path)
    for column in map(str, frame):
        kind = COLUMNS[column]
        try:
            if kind == "int64":
                refuse_fractions(frame, column, path)
            filled = frame.fillna({column: ""}) if kind == "str" else frame
            frame = filled.astype({column: kind})
        except (TypeError, ValueError, OverflowError) as error:
            raise CisweaveError(f"column {column} does not hold {kind} throughout ({error})", path=path) from error
    twice = frame.duplicated([*KEY, "gene_id"])
    if twice.any():
        first = frame[twice].iloc[0]
        raise CisweaveError(
            f"record {first['record']}, allele {first['allele']} stands there twice with gene {first['gene_id']}",
            path=path,
        )
    check_forms(frame, path)
    return frame


def refuse_fractions(frame: pd.DataFrame, column: str, path: str | Path) -> None:
    """Raise at the first value of a column that is no whole number."""
    numbers = pd.to_numeric(frame[column], errors="coerce")
    refuse(frame, column, ~(numbers % 1 == 0), "whole numbers", path)


def check_forms(frame: pd.DataFrame, path: str | Path) -> None:
    """Raise at the first row that holds what no variant table does: a place below 1, letters that are no bases."""
    for columns, form in FORMS.items():
        for column in (name for name in columns if name in frame):
            if isinstance(form, int):
                refuse(frame, column, ~frame[column].between(1, form), f"numbers from 1 to {form}", path)
            else:
                right = frame[column].str.fullmatch(form) | ((column == "name") & (frame[column] == ""))
                refuse(frame, column, ~right, f"text like {form}", path)
    refuse(frame, "gene_strand", ~frame["gene_strand"].isin(["+", "-"]), "+ or -", path)


def refuse(frame: pd.DataFrame, column: str, wrong: pd.Series, wanted: str, path: str | Path) -> None:
    """Raise if a row is wrong, naming the first and what the column should hold."""
    if wrong.any():
        first = frame[wrong.to_numpy(dtype=bool)].iloc[0]
        raise CisweaveError(
            f"record {first['record']} has {column} {str(first[column])[:60]!r}; the column must hold {wanted}: make "
            "the table with genome normalize and genome closest-tss",
            path=path,
        )


def refuse_vcf(path: str | Path) -> None:
    """Raise at a VCF or BCF in the place of a table."""
    if first_bytes(existing(path), max(map(len, VCF_STARTS))).startswith(VCF_STARTS):
        raise CisweaveError("this is a VCF; run genome normalize and genome closest-tss on it first", path=path)


class TableRows:
    """Rows of a table by number; of Parquet only the row groups they stand in are read."""

    def __init__(self, path: Path):
        refuse_vcf(path)
        self.path = path
        self._frames: OrderedDict[int, pd.DataFrame] = OrderedDict()
        if path.suffix == ".parquet":
            self._first = self._parquet_groups()
        else:
            text = {column: "str" for column, kind in COLUMNS.items() if kind == "str"}
            frame = read_table(path, dtype=text)
            self._first = np.array([0, len(frame)])
            self._frames[0] = frame

    def head(self) -> pd.DataFrame:
        """No row, all columns."""
        return self.take(np.empty(0, dtype=np.int64))

    def all(self) -> pd.DataFrame:
        """All rows."""
        return self.take(np.arange(self._first[-1]))

    def take(self, rows: NDArray[np.int64]) -> pd.DataFrame:
        """Rows by number, in the order asked for."""
        groups = np.searchsorted(self._first, rows, side="right") - 1
        parts = [self._group(0).iloc[:0]] if not len(rows) else []
        numbers: list[NDArray[np.int64]] = []
        for group in np.unique(groups).tolist():
            here = np.flatnonzero(groups == group)
            parts.append(self._group(group).iloc[rows[here] - self._first[group]])
            numbers.append(here)
        taken = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0].reset_index(drop=True)
        order = np.argsort(np.concatenate(numbers)) if numbers else np.empty(0, dtype=np.int64)
        return taken.iloc[order].reset_index(drop=True)

    def _parquet_groups(self) -> NDArray[np.int64]:
        """Number of the first row of each row group, and of the row after the last."""
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.path) as table:
                counts = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        except damages() as error:
            raise unreadable(self.path, error) from error
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)

    def _group(self, group: int) -> pd.DataFrame:
        """One row group; the last few stay in memory."""
        if group not in self._frames:
            from pyarrow import parquet

            try:
                with parquet.ParquetFile(self.path) as table:
                    read = table.read_row_group(group) if table.num_row_groups else table.read()
                    self._frames[group] = read.to_pandas()
            except damages() as error:
                raise unreadable(self.path, error) from error
            while len(self._frames) > GROUPS:
                self._frames.popitem(last=False)
        self._frames.move_to_end(group)
        return self._frames[group]
