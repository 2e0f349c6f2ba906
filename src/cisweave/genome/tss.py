"""Transcription start sites (TSS) from a BED file, one row per gene, as Seal's annotation has them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.genome.table import frame_of
from cisweave.genome.text import DIGITS, bed_lines

TSS_COLUMNS = {"chrom": "str", "tss": "int64", "strand": "str", "gene_id": "str"}
BED_FIELDS = 5


def read_tss(path: str | Path) -> pd.DataFrame:
    """Read and check a TSS BED.

    Parameters
    ----------
    path
        BED, plain or gzip, without header: contig, TSS - 1, TSS (0-based half-open, one base), strand, gene id;
        further columns are ignored. Any order of rows.

    Returns
    -------
    pandas.DataFrame
        ``chrom, tss`` (1-based)``, strand, gene_id`` in the order of the file.

    Raises
    ------
    CisweaveError
        At the first line that breaks these rules, or names a gene a second time; and if there is no gene at all.
    """
    rows: list[tuple[str, int, str, str]] = []
    lines: dict[str, int] = {}
    for number, fields in bed_lines(path):
        row = parse_row(fields, path, number)
        if row[3] in lines:
            raise CisweaveError(
                f"gene {row[3]} is already on line {lines[row[3]]}; keep one TSS per gene", path=path, line=number
            )
        lines[row[3]] = number
        rows.append(row)
    if not rows:
        raise CisweaveError("this BED holds no TSS", path=path)
    return frame_of(rows, TSS_COLUMNS)


def parse_row(fields: list[str], path: str | Path, line: int) -> tuple[str, int, str, str]:
    """Check the fields of one line of the BED."""
    if len(fields) < BED_FIELDS:
        raise CisweaveError(
            f"{len(fields)} tab-separated field(s) instead of {BED_FIELDS}: contig, TSS - 1, TSS, strand, gene id",
            path=path,
            line=line,
        )
    chrom, start, end, strand, gene = fields[:BED_FIELDS]
    if not chrom or not gene or any(map(str.isspace, chrom)):
        raise CisweaveError("contig and gene id must be there, the contig without blanks", path=path, line=line)
    if not (DIGITS.fullmatch(start) and DIGITS.fullmatch(end) and int(end) == int(start) + 1):
        raise CisweaveError(
            f"columns 2 and 3 must be TSS - 1 and TSS (one base), not {start[:30]!r} and {end[:30]!r}",
            path=path,
            line=line,
        )
    if strand not in ("+", "-"):
        hint = "; in BED6 the strand is column 6: bring it to column 4 and the name to column 5"
        raise CisweaveError(f"column 4 must be the strand, + or -, not {strand!r}{hint}", path=path, line=line)
    return chrom, int(end), strand, gene
