"""The variant table: one row per allele, the same columns from reading to scoring."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.tables.frames import read_table, require_columns
from cisweave.tables.ledger import KEY

VARIANT_COLUMNS: dict[str, str] = {
    "record": "int64",
    "allele": "int64",
    "line": "int64",
    "name": "str",
    "source_chrom": "str",
    "source_pos": "int64",
    "source_ref": "str",
    "source_alt": "str",
    "chrom": "str",
    "pos": "int64",
    "ref": "str",
    "alt": "str",
    "reference_genome_match": "boolean",
    "swapped": "bool",
    "lift_strand": "str",
}
"""Record (1-based number in the user's file), allele (1-based number within ALT), line (of a BCF: the record), name
(ID); ``source_*`` as the file has it; ``chrom, pos, ref, alt`` (1-based, upper case) in the assembly of the moment;
whether REF is what that genome holds (missing where no genome was given); whether REF and ALT were exchanged
against the file because the genome holds ALT (effects always go from the file's REF to its ALT: where ``swapped`` they
are negated); and ``+`` or ``-``, how the stretch of the file's assembly lies in this one."""
GENE_COLUMNS: dict[str, str] = {"gene_id": "str", "gene_strand": "str", "tss": "int64", "dist_to_tss": "int64"}
"""The closest gene; ``tss`` is 1-based, ``dist_to_tss`` = pos - tss, positive to the right whatever the strand."""
MAX_NUMBER = 2**31 - 1
"""Largest number of a record, allele or line: INFO of a VCF holds no larger one."""
MAX_POSITION = 10**15 - 1
FORMS: dict[tuple[str, ...], str | int] = {
    (*KEY, "line"): MAX_NUMBER,
    ("source_pos", "pos"): MAX_POSITION,
    ("name", "source_chrom"): r"[^\x00-\x1f\x7f]+",
    ("source_ref", "source_alt"): r"[ACGTacgt]+",
    ("chrom",): r"[^\x00-\x20\x7f]+",
    ("ref", "alt"): r"[ACGT]+",
    ("lift_strand",): r"[+-]",
}
"""What columns hold: text of a form, or whole numbers from 1 to the given one."""
EXACT = {"bool": "True or False", "int64": "whole numbers"}
TEXT = [column for column, kind in {**VARIANT_COLUMNS, **GENE_COLUMNS}.items() if kind == "str"]


def frame_of(rows: Sequence[tuple[Any, ...]], columns: Mapping[str, str]) -> pd.DataFrame:
    """A table of ``rows`` with exactly these columns and types, also where there is no row."""
    return pd.DataFrame(rows, columns=list(columns)).astype(dict(columns))


def read_variant_table(path: str | Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read a variant table (TSV or Parquet) and check it; ``columns`` are needed beside the usual ones."""
    frame = read_table(path, dtype=dict.fromkeys(TEXT, "str"))
    require_columns(frame, [*VARIANT_COLUMNS, *columns], path)
    for column, kind in {**VARIANT_COLUMNS, **GENE_COLUMNS}.items():
        if column in frame:
            filled = frame.fillna({column: ""}) if kind == "str" else frame
            try:
                if kind in EXACT:
                    refuse_inexact(frame[column], kind, path)
                frame = filled.astype({column: kind})
            except (TypeError, ValueError, OverflowError) as error:
                raise CisweaveError(f"column {column} does not hold {kind} throughout ({error})", path=path) from error
    check_variants(frame, path)
    check_values(frame, path)
    return frame


def refuse_inexact(values: pd.Series, kind: str, path: str | Path) -> None:
    """Raise at the first value that is not just true or false (``bool``), or not a whole number (``int64``)."""
    if kind == "bool":
        right = values.map(type).isin([bool, np.bool_])
    else:
        numbers = pd.to_numeric(values, errors="coerce")
        right = numbers.notna() & (numbers % 1 == 0) & ~values.map(type).isin([bool, np.bool_])
    wrong = (~right).to_numpy().nonzero()[0]
    if len(wrong):
        row = int(wrong[0])
        value = values.iloc[row]
        found = "empty" if pd.isna(value) else f"{value!r:.60}" if isinstance(value, str) else f"{value!s:.60}"
        raise CisweaveError(
            f"column {values.name} must hold {EXACT[kind]}, not {found}", path=path, line=table_line(path, row)
        )


def read_flags(frame: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """The table with column ``swapped`` as true and false; all false where it is absent."""
    if "swapped" not in frame:
        return frame.assign(swapped=False)
    refuse_inexact(frame["swapped"], "bool", path)
    return frame.astype({"swapped": "bool"})


def has_form(text: str, column: str) -> bool:
    """Whether ``text`` is what a column of text holds."""
    form = next(form for columns, form in FORMS.items() if column in columns)
    return isinstance(form, str) and re.fullmatch(form, text) is not None


def check_values(frame: pd.DataFrame, path: str | Path) -> None:
    """Raise at the first row of a file that holds what no step of cisweave writes."""
    for columns, form in FORMS.items():
        for column in columns:
            values = frame[column]
            right = values.between(1, form) if isinstance(form, int) else values.str.fullmatch(form)
            wrong = (~right.astype("bool")).to_numpy().nonzero()[0]
            if len(wrong):
                row = int(wrong[0])
                raise CisweaveError(
                    f"column {column} holds {str(values.iloc[row])[:60]!r}, which no variant table does",
                    path=path,
                    line=table_line(path, row),
                )


def check_variants(frame: pd.DataFrame, path: str | Path = "variant table") -> None:
    """Raise unless ``frame`` has the columns of a variant table, and each allele, or each allele and gene, one row."""
    require_columns(frame, VARIANT_COLUMNS, path)
    key = [*KEY, "gene_id"] if "gene_id" in frame else KEY
    twice = frame[frame.duplicated(key)]
    if len(twice):
        first = twice.iloc[0]
        raise CisweaveError(f"record {first['record']}, allele {first['allele']} stands in two rows", path=path)


def as_in_file(variants: pd.DataFrame) -> pd.DataFrame:
    """Variants with ``ref, alt`` as their effects go, from the file's REF to its ALT, in the letters of the assembly.

    Where the two were exchanged (``swapped``) they are turned back; REF is then not what the genome holds.
    """
    if "swapped" not in variants or not variants["swapped"].astype("bool").any():
        return variants
    swapped = variants["swapped"].astype("bool")
    turned = {
        "ref": variants["ref"].mask(swapped, variants["alt"]),
        "alt": variants["alt"].mask(swapped, variants["ref"]),
    }
    if "reference_genome_match" in variants:
        turned["reference_genome_match"] = variants["reference_genome_match"].mask(swapped, False)
    return variants.assign(**turned)


def table_line(path: str | Path, row: int) -> int:
    """Where a row (from 0) stands: the line of a text table, whose first is the header, or the record of a Parquet."""
    return row + (1 if Path(path).suffix == ".parquet" else 2)
