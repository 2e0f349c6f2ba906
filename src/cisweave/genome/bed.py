"""Reading BED rows: the interval that every BED begins with, checked in one way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cisweave.core.errors import CisweaveError, shorten
from cisweave.genome.alleles import Rejection
from cisweave.genome.reasons import Reason
from cisweave.genome.text import is_position

Interval = tuple[str, int, int]
COLUMNS = ("contig", "start", "end")


def parse_interval(
    fields: Sequence[str], path: str | Path, line: int, columns: Sequence[str] = COLUMNS
) -> tuple[str, int, int]:
    """Contig, start and end (0-based half-open) of one line of a BED.

    Parameters
    ----------
    fields
        The fields of the line (:func:`cisweave.genome.text.bed_lines`).
    path, line
        Where the line stands, for the message.
    columns
        What the line must hold at least, in words: there must be as many fields.

    Raises
    ------
    CisweaveError
        If fields are missing, the contig is empty or has blanks, or start and end are no interval of a base or more.
    """
    found = check_interval(fields, columns)
    if isinstance(found, Rejection):
        raise CisweaveError(found.detail, path=path, line=line)
    return found


def check_interval(
    fields: Sequence[str], columns: Sequence[str] = COLUMNS, points: bool = False
) -> Interval | Rejection:
    """As :func:`parse_interval`, what is wrong being returned; with ``points`` an interval may hold no base."""
    if len(fields) < len(columns):
        return Rejection(
            Reason.MALFORMED_RECORD,
            f"{len(fields)} tab-separated field(s) instead of at least {len(columns)}: {', '.join(columns)}",
        )
    contig, start, end = fields[:3]
    if not contig or any(map(str.isspace, contig)):
        return Rejection(Reason.MALFORMED_RECORD, "the contig (column 1) must be there, without blanks")
    if is_position(start) and is_position(end) and int(start) < int(end) + points:
        return contig, int(start), int(end)
    sign = "<=" if points else "<"
    return Rejection(
        Reason.BAD_POSITION,
        f"columns 2 and 3 must be start and end (0-based, start {sign} end), not {shorten(start)} and {shorten(end)}",
    )
