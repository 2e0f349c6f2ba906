"""Variants with genes, block by block in the order of the user's file, in memory that does not grow with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.core.parts import Part
from cisweave.genome.ledger import whole_keys
from cisweave.genome.table import GENE_COLUMNS, VARIANT_COLUMNS, read_flags
from cisweave.tables.frames import damages, read_parts, read_table, require_columns, unreadable
from cisweave.tables.ledger import KEY, SOURCE, key_numbers

logger = get_logger(__name__)

SEAL_COLUMNS = ["chrom", "pos", "ref", "alt", "gene_strand", "gene_id", "dist_to_tss", "reference_genome_match"]
COLUMNS = {**VARIANT_COLUMNS, **GENE_COLUMNS}
NEEDED = [*KEY, "line", *SOURCE, *SEAL_COLUMNS]
GROUPS = 4
"""Row groups of a Parquet table that are held at a time."""


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
        frame = read_flags(frame[[column for column in COLUMNS if column in frame]], self.path)
        return self._typed(frame)

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The block with the types of a variant table; what no variant table holds is an error."""
        for column in frame:
            kind = COLUMNS[str(column)]
            try:
                filled = frame.fillna({column: ""}) if kind == "str" else frame
                frame = filled.astype({column: kind})
            except (TypeError, ValueError, OverflowError) as error:
                raise CisweaveError(
                    f"column {column} does not hold {kind} throughout ({error})", path=self.path
                ) from error
        twice = frame.duplicated([*KEY, "gene_id"])
        if twice.any():
            first = frame[twice].iloc[0]
            raise CisweaveError(
                f"record {first['record']}, allele {first['allele']} stands there twice with gene {first['gene_id']}",
                path=self.path,
            )
        wrong = ~frame["gene_strand"].isin(["+", "-"])
        if wrong.any():
            first = frame[wrong].iloc[0]
            raise CisweaveError(
                f"record {first['record']} has gene_strand '{first['gene_strand']}'; it must be + or -", path=self.path
            )
        return frame


class TableRows:
    """Rows of a table by number; of Parquet only the row groups they stand in are read."""

    def __init__(self, path: Path):
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
