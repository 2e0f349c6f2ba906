"""Tables that give something per gene: expression, half-life features, names. Text (tabs or commas) or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import existing
from cisweave.core.logs import get_logger
from cisweave.genome.genes import without_version
from cisweave.genome.text import numbered_lines
from cisweave.tables.frames import damages, packed, read_table, unreadable
from cisweave.xpresso.dataset import HALF_LIFE, LOGGED

logger = get_logger(__name__)

GENE = "gene_id"
GENE_NAMES = ("geneid", "ensid", "ensemblid", "ensemblgeneid", "genestableid", "ensg", "gene")
"""Headers (lower case, without blanks, dashes and underscores) of the column of gene ids, the best first."""
ROW_NAMES = "(row names)"
TRAILING = "(empty)"
REFERENCE_SAMPLE = "E000"
"""The universal reference, a mixture, among the 57 samples of Roadmap's expression table."""


# --- any table --------------------------------------------------------------------------------------------------------
def read_gene_table(path: str | Path, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Read a table with a row per gene, indexed by gene id (``gene_id``, Ensembl's without version), unique.

    Parameters
    ----------
    path
        TSV or CSV with a header (plain, gzip or bgzip), or Parquet. The gene ids stand in ``gene_id``, ``Gene ID``,
        ``ENSID`` or the like, in a first column without header, or in the index of a Parquet table. Tabs at the ends of
        lines do no harm.
    columns
        Only these columns, spelt as in the header in either case; they must be there. ``None``: all.

    Raises
    ------
    CisweaveError
        If it is no such table, a row has more or fewer fields than the header, a column is missing, or a gene id is
        empty or stands twice.
    """
    table = read_columns(path, columns)
    ids = table.pop(GENE)
    empty = np.flatnonzero(ids.isna().to_numpy() | (ids.astype("str").str.strip() == "").to_numpy())
    if len(empty):
        raise CisweaveError(f"row {int(empty[0]) + 1} has no gene id", path=path)
    table.index = pd.Index([without_version(str(name).strip()) for name in ids], name=GENE, dtype="str")
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise CisweaveError(f"gene {shorten(repeated[0])} stands twice; keep one row a gene", path=path)
    return table


def read_columns(path: str | Path, columns: Collection[str] | None) -> pd.DataFrame:
    """The table with its gene ids, as text, in ``gene_id``, and the wanted columns in the order asked for."""
    path = existing(path)
    if path.suffix == ".parquet":
        table = with_index(read_table(path))
        header = [str(name) for name in table.columns]
        chosen = wanted_columns(header, columns, path)
        return table.set_axis(header, axis=1)[list(chosen)].rename(columns=chosen)
    separator, header = sniff(path)
    chosen = wanted_columns(header, columns, path)
    check_fields(path, separator, header)
    gene = next(name for name, new in chosen.items() if new == GENE)
    try:
        table = pd.read_csv(
            path,
            sep=separator,
            names=header,
            header=None,
            skiprows=1,
            index_col=False,
            usecols=list(chosen),
            dtype={gene: "str"},
            compression=packed(path),
            na_values=["", "NA", "NaN", "nan", "NULL"],
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    except damages() as error:
        raise unreadable(path, error) from error
    return table[list(chosen)].rename(columns=chosen)


def with_index(table: pd.DataFrame) -> pd.DataFrame:
    """A Parquet table with an index of gene ids, or of text without a name, as a column."""
    name = ROW_NAMES if table.index.name is None else str(table.index.name)
    text = not pd.api.types.is_numeric_dtype(table.index)
    if isinstance(table.index, pd.MultiIndex) or name in table.columns:
        return table
    taken = text if name == ROW_NAMES else plain_name(name) in GENE_NAMES
    return table.rename_axis(index=name).reset_index() if taken else table


def fields_of(text: str, separator: str) -> list[str]:
    """The fields of a line, without quotes."""
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator))
    except csv.Error:  # a field longer than the reader takes
        return text.split(separator)


def check_fields(path: Path, separator: str, header: Sequence[str]) -> None:
    """Raise at the first line that has more or fewer fields than the header; empty ones at its end do not count."""
    fewest = len(header) - (header[-1] == TRAILING)
    for line, text in numbered_lines(path):
        if line == 1 or not text:
            continue
        if '"' not in text and text.count(separator) + 1 == len(header):
            continue
        fields = fields_of(text, separator)
        if len(fields) < fewest or any(fields[len(header) :]):
            raise CisweaveError(
                f"{len(fields)} fields instead of {fewest}, one for each column of the header", path=path, line=line
            )


def sniff(path: Path) -> tuple[str, list[str]]:
    """Separator and header of a text table; row names without header and empty last fields get a header of their own.

    Raises
    ------
    CisweaveError
        If it has no header, one field only, or a header that names a column twice.
    """
    rows: list[list[str]] = []
    separator = "\t"
    for _, text in numbered_lines(path):
        separator = separator if rows else ("\t" if "\t" in text else ",")
        rows.append([field.strip() for field in fields_of(text, separator)] if text else [])
        if len(rows) == 2:
            break
    if not rows or len(rows[0]) < 2:
        raise CisweaveError("this is no table with a header: gene ids, then a column or more", path=path, line=1)
    header = rows[0]
    if len(rows) == 2 and len(rows[1]) == len(header) + 1:
        if rows[1][-1] == "":
            header = [*header, TRAILING]
        elif not any(plain_name(name) in GENE_NAMES for name in header):
            header = [ROW_NAMES, *header]
    if header[0] == "":
        header[0] = ROW_NAMES
    if header[-1] == "":
        header[-1] = TRAILING
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise CisweaveError(f"the header names {shorten(repeated)} twice", path=path, line=1)
    return separator, header


def wanted_columns(header: Sequence[str], columns: Collection[str] | None, path: Path) -> dict[str, str]:
    """Columns to read, the gene ids first, and their names afterwards."""
    gene = gene_column(header, path)
    if columns is None:
        return {gene: GENE, **{name: name for name in header if name not in (gene, ROW_NAMES, TRAILING)}}
    spelt = {name.lower(): name for name in reversed(header)} | {name: name for name in header}
    missing = [name for name in columns if name not in spelt and name.lower() not in spelt]
    if missing:
        raise CisweaveError(
            f"column(s) {', '.join(missing)} missing; the table has {', '.join(header)}", path=path, line=1
        )
    return {gene: GENE, **{spelt.get(name, spelt.get(name.lower(), name)): name for name in columns}}


def gene_column(header: Sequence[str], path: Path) -> str:
    """The column of gene ids."""
    plain = {plain_name(name): name for name in reversed(header)}
    found = next((plain[name] for name in GENE_NAMES if name in plain), None)
    if found is None and header[0] == ROW_NAMES:
        return ROW_NAMES
    if found is None:
        listed = ", ".join(header[:6])
        raise CisweaveError(f"no column gene_id; the table has {listed}", path=path, line=1)
    return found


def plain_name(name: str) -> str:
    """A header in lower case, without blanks, dashes and underscores."""
    return name.lower().replace(" ", "").replace("_", "").replace("-", "")


def numbers(table: pd.DataFrame, path: str | Path, advice: str = "leave it empty where unknown") -> pd.DataFrame:
    """The table as float64; a field that is no number is an error that names gene and column, an empty one NaN."""
    times = next((name for name in table.columns if table[name].dtype.kind in "mM"), None)
    if times is not None:
        raise CisweaveError(f"column {times} holds times, no numbers", path=path)
    values: pd.DataFrame = table.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    wrong = (table.notna() & ~np.isfinite(values)).to_numpy()
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        raise CisweaveError(
            f"{shorten(table.iat[row, column])} of gene {table.index[row]} in {table.columns[column]} is not a number; "
            f"{advice}",
            path=path,
        )
    return values


# --- the tables of a data set -----------------------------------------------------------------------------------------
def read_expression(
    path: str | Path,
    columns: Sequence[str] | None = None,
    linear: bool = True,
    compat: Literal["xpresso"] | None = None,
) -> pd.Series[Any]:
    """Expression (genes,) by gene id in the order of the table; several columns give their median, NaN where unknown.

    Parameters
    ----------
    columns
        Which ones; ``None``: all that hold any number, and then have to hold nothing else.
    linear
        Whether values are on the linear scale, where none is negative.
    compat
        ``xpresso``: as published, Roadmap's universal reference (:data:`REFERENCE_SAMPLE`) is left out of all columns.
    """
    table = read_gene_table(path, columns)
    if columns is None:
        table = table[[name for name in table.columns if holds_numbers(table[name])]] if len(table) else table
        if not len(table.columns):
            raise CisweaveError("no column of this table holds numbers", path=path)
        table = without_reference(table, compat, path)
    values = numbers(table, path, "leave it empty where unknown, or name the columns of expression (columns)")
    if linear:
        check_linear(values, path)
    if len(values.columns) > 1:
        logger.info(
            "%s: expression is the median of %d columns (%s)", path, len(values.columns), listed(values.columns)
        )
    return values.median(axis=1)


def holds_numbers(column: pd.Series[Any]) -> bool:
    """Whether a column is one of numbers, be it with faults, and none of text, times or truth values."""
    if column.dtype.kind in "biufcmM":
        return column.dtype.kind in "iuf"
    return bool(pd.to_numeric(column, errors="coerce").notna().any())


def listed(names: Iterable[str], most: int = 8) -> str:
    """The first names of a list, and how many more there are."""
    first = list(names)
    more = f" and {len(first) - most} more" if len(first) > most else ""
    return ", ".join(first[:most]) + more


def check_linear(values: pd.DataFrame, path: str | Path) -> None:
    """Raise at the first negative value of expression on the linear scale (genes, samples)."""
    negative = (values < 0).any(axis=1)
    if negative.any():
        raise CisweaveError(
            f"the expression of gene {values.index[negative][0]} is negative; set expression: log10 or standardised if "
            "it is",
            path=path,
        )


def without_reference(table: pd.DataFrame, compat: str | None, path: str | Path) -> pd.DataFrame:
    """Samples, as published without the universal reference; else a warning says that it is among them."""
    if REFERENCE_SAMPLE not in table.columns or len(table.columns) == 1:
        return table
    if compat:
        logger.info("%s: column %s is the universal reference and left out", path, REFERENCE_SAMPLE)
        return table.drop(columns=REFERENCE_SAMPLE)
    logger.warning(
        "%s: column %s is Roadmap's universal reference, no cell type, and counts in the median; name the columns "
        "that are to count (columns)",
        path, REFERENCE_SAMPLE,
    )  # fmt: skip
    return table


def read_halflife(path: str | Path) -> pd.DataFrame:
    """Raw half-life features (genes, 8) by gene id: bases, fractions, coding exons per kb; NaN where unknown.

    Raises
    ------
    CisweaveError
        If one of the eight columns is missing, a length or density is negative or a GC share not between 0 and 1.
    """
    values = numbers(read_gene_table(path, HALF_LIFE), path)
    check_features(values, path)
    return values


def check_features(values: pd.DataFrame, path: str | Path) -> None:
    """Raise at the first half-life feature (genes, 8) that is not in raw units, or cannot be."""
    beyond = ((values < 0) | ((values > 1) & ~LOGGED)).to_numpy()
    if beyond.any():
        row, column = np.argwhere(beyond)[0].tolist()
        value, gene = values.to_numpy()[row, column], values.index[row]
        raise CisweaveError(
            f"{value:g} cannot be {HALF_LIFE[column]} of gene {gene}: give lengths in bases and GC as fractions, not "
            "transformed",
            path=path,
        )


def read_symbols(path: str | Path) -> dict[str, list[str]]:
    """Names of genes by gene id, the first of each being the one to show.

    Parameters
    ----------
    path
        Two tab-separated columns, gene id and symbol, with or without header; a gene may have several rows.
    """
    found: dict[str, list[str]] = {}
    for line, text in numbered_lines(path):
        if not text.strip() or text.startswith("#"):
            continue
        fields = [field.strip() for field in fields_of(text, "\t")]
        if len(fields) < 2 or not fields[0]:
            raise CisweaveError("a row needs a gene id, a tab and a symbol", path=path, line=line)
        if line == 1 and plain_name(fields[0]) in GENE_NAMES:
            continue
        names = found.setdefault(without_version(fields[0]), [])
        if fields[1] and fields[1] not in names:
            names.append(fields[1])
    return found
