"""What the contexts of a model are: names, stages, cell types and regions, from Seal's workbook or a table.

Seal's workbook has a sheet per model; each begins with free text, then a header, then one row per context (Seal,
section 3.6; states of Braun 2023, Herring 2022 and PsychENCODE 2018).
"""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import pandas as pd

from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import existing, first_bytes
from cisweave.tables.frames import read_table

COLUMNS = ("context", "name", "stage", "cell_type", "region", "cells", "broad_stage", "stage_share", "sheet")
"""Columns of the table that is made of a workbook."""
ID_COLUMNS = ("cell_state_id", "brain_region_state_id")
"""By these, in the first column, the header of a sheet is told from the text before it."""
MEANING = {
    "cell_state_id": "context",
    "brain_region_state_id": "context",
    "cell_state_name": "name",
    "brain_region_name": "name",
    "stage": "stage",
    "mean_stage": "stage",
    "mode_stage_(6_stages)": "stage",
    "mode_stage_(4_stages)": "broad_stage",
    "mode_proportion": "stage_share",
    "cell_type": "cell_type",
    "n_cells": "cells",
    "subdivision": "region",
    "brain_region_abbreviation": "region",
    "cluster_id": "cluster",
}
"""Our column for each column of Seal's workbook, in lower case."""
ZIP_MAGIC = b"PK\x03\x04"
MOST_ROWS = 1_000_000
"""Rows of a sheet; more are no list of contexts."""
LARGEST = 100 << 20
"""Bytes of the workbook when unpacked."""

Row = Sequence[Any]


def read_context_annotation(path: str | Path, sheet: str | None = None) -> pd.DataFrame:
    """Read what is known of each context.

    Parameters
    ----------
    path
        Seal's workbook (xlsx), or a TSV with the columns ``context`` and, where known, ``name``, ``stage`` and others.
    sheet
        Sheet of the workbook; None: all sheets that list contexts, one after the other.

    Returns
    -------
    pandas.DataFrame
        One row per context in the order of the file, no context twice. From a workbook the columns are
        :data:`COLUMNS`: ``cells`` (number of cells) and ``stage_share`` (share of them in ``stage``) are numbers, NaN
        where unknown; the others are text, empty where unknown. Where the workbook has no names, cell type and cluster
        make one. From a TSV: ``context``, ``name`` (the context where there is none), ``stage``, then its other
        columns as text.

    Raises
    ------
    CisweaveError
        If the file is neither, has no such sheet or no contexts, or lists one twice.
    """
    path = existing(path)
    if first_bytes(path, len(ZIP_MAGIC)) == ZIP_MAGIC:
        frame = read_workbook(path, sheet)
    elif sheet is not None:
        raise CisweaveError(f"this is no workbook (xlsx), so there is no sheet {shorten(sheet)}", path=path)
    else:
        frame = read_annotation_table(path)
    if frame.empty:
        raise CisweaveError("this file lists no context", path=path)
    twice = frame.context[frame.context.duplicated()]
    if len(twice):
        raise CisweaveError(f"context {shorten(twice.iloc[0])} is listed twice; keep one row", path=path)
    return frame


def describe_contexts(contexts: Sequence[str], annotation: pd.DataFrame | None) -> pd.DataFrame:
    """One row per context of a model, in its order, with what the annotation says; a context it lacks is its own name.

    Parameters
    ----------
    annotation
        From :func:`read_context_annotation`; None: nothing is known.
    """
    frame = pd.DataFrame({"context": list(contexts)})
    if annotation is None:
        return frame.assign(name=frame.context, stage="")
    joined = frame.merge(annotation, on="context", how="left")
    joined["name"] = joined["name"].fillna(joined.context)
    text = [column for column in joined.columns if not pd.api.types.is_numeric_dtype(joined[column])]
    joined[text] = joined[text].fillna("")
    return joined


# --- a table ----------------------------------------------------------------------------------------------------------
def read_annotation_table(path: Path) -> pd.DataFrame:
    """A TSV with a row per context."""
    frame = read_table(path, ["context"], dtype=defaultdict(lambda: "str"))
    frame = frame.where(frame.notna(), "").astype("str")
    if (frame.context == "").any():
        row = int((frame.context == "").to_numpy().argmax())
        raise CisweaveError("the context is empty; each row needs one", path=path, line=row + 2)
    for column in ("name", "stage"):
        if column not in frame:
            frame[column] = ""
    frame["name"] = frame["name"].where(frame["name"] != "", frame.context)
    first = ["context", "name", "stage"]
    return frame[first + [column for column in frame.columns if column not in first]]


# --- the workbook -----------------------------------------------------------------------------------------------------
def read_workbook(path: Path, sheet: str | None) -> pd.DataFrame:
    """All sheets of a workbook that list contexts, or the one that is wanted."""
    frames = [sheet_frame(title, rows, path) for title, rows in workbook_sheets(path, sheet)]
    found = [frame for frame in frames if frame is not None]
    if not found:
        raise CisweaveError(
            f"no sheet has a header that begins with {' or '.join(ID_COLUMNS)}; this is not Seal's annotation",
            path=path,
        )
    return pd.concat(found, ignore_index=True)


def workbook_sheets(path: Path, sheet: str | None) -> Iterator[tuple[str, list[Row]]]:
    """Title and rows of the sheets, cells as values; nothing in the file is run or fetched."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        check_size(path)
        with closing(load_workbook(path, read_only=True, data_only=True, keep_links=False)) as book:
            if sheet is not None and sheet not in book.sheetnames:
                raise CisweaveError(
                    f"there is no sheet {shorten(sheet)}; the sheets are {', '.join(book.sheetnames)}", path=path
                )
            for each in book.worksheets:
                if sheet in (None, each.title):
                    yield each.title, list(each.iter_rows(max_row=MOST_ROWS, values_only=True))
    except (zipfile.BadZipFile, InvalidFileException, ParseError, KeyError, ValueError, TypeError, OSError) as error:
        raise CisweaveError(f"this is not a workbook (xlsx), or it is damaged ({error})", path=path) from error


def check_size(path: Path) -> None:
    """Raise if the workbook would unpack to more than a list of contexts can be."""
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST:
            raise CisweaveError("this workbook is too large for a list of contexts", path=path)


def sheet_frame(title: str, rows: Sequence[Row], path: Path) -> pd.DataFrame | None:
    """The contexts of one sheet with our columns; None if the sheet lists none."""
    header = next((number for number, row in enumerate(rows) if row and word(row[0]).lower() in ID_COLUMNS), None)
    if header is None:
        return None
    names = [MEANING.get(word(cell).lower(), "") for cell in rows[header]]
    records = []
    for number, row in enumerate(rows[header + 1 :], start=header + 2):
        if not any(word(cell) for cell in row):
            continue
        if not word(row[0]):
            raise CisweaveError(f"sheet {title}: the id of a state is empty", path=path, line=number)
        records.append({name: cell for name, cell in zip(names, row, strict=False) if name})
    return tidy(pd.DataFrame(records, columns=[name for name in names if name], dtype=object), title)


def tidy(frame: pd.DataFrame, title: str) -> pd.DataFrame:
    """The columns :data:`COLUMNS` of the rows of a sheet."""
    numbers = ("cells", "stage_share")
    text = {name: frame[name].map(word) for name in frame.columns if name not in numbers}
    if "name" not in text:
        parts = [text[name] for name in ("cell_type", "cluster") if name in text] or [text["context"]]
        text["name"] = reduce(lambda before, after: before + " " + after, parts)
    made = {
        name: pd.to_numeric(frame[name], errors="coerce").astype("float64") if name in frame else float("nan")
        for name in numbers
    }
    columns = {name: text.get(name, "") for name in COLUMNS if name not in (*numbers, "sheet")} | made
    return pd.DataFrame(columns, index=frame.index).assign(sheet=title)[list(COLUMNS)]


def word(cell: object) -> str:
    """The text of a cell, empty for an empty one."""
    return "" if cell is None else str(cell).strip()
