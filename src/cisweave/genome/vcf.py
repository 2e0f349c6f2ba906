"""Reading variants from text: VCF with or without its header, plain, gzip or bgzip, and the five-column form.

Every line that is not blank and does not begin with ``#`` is a record and is handed on, malformed or not: the reject
ledger accounts for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cisweave.genome.text import numbered_lines

FIELDS = ("CHROM", "POS", "ID", "REF", "ALT")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class VcfRecord(NamedTuple):
    """The first five fields of one record, as written (without blanks around them).

    Attributes
    ----------
    record
        1-based number among the records of the file.
    line
        1-based line number.
    chrom, pos, name, ref
        CHROM, POS, ID and REF; ``pos`` is text, which need not be a number.
    alts
        ALT split at its commas; at least one element, which may be empty.
    problem
        Why the line is no record, or empty.
    """

    record: int
    line: int
    chrom: str
    pos: str
    name: str
    ref: str
    alts: tuple[str, ...]
    problem: str = ""


def read_records(path: str | Path) -> Iterator[VcfRecord]:
    """Read the records of a variant file one by one.

    Parameters
    ----------
    path
        Tab-separated text: VCF 4.x with or without header and further columns, or the bare columns CHROM, POS, ID,
        REF, ALT; plain, gzip or bgzip; any line ends.

    Raises
    ------
    CisweaveError
        Where the file as a whole is not to be trusted: absent, a folder, truncated, damaged, binary (BCF too) or a
        web page. A record that is wrong raises nothing: it carries its ``problem``.
    """
    record = 0
    for line, text in numbered_lines(path):
        if text.startswith("#") or not text.strip():
            continue
        record += 1
        yield parse_record(record, line, text)


def parse_record(record: int, line: int, text: str) -> VcfRecord:
    """Split one line into a record; what is wrong with it stands in ``problem``."""
    problem = ""
    if CONTROL_CHARACTERS.search(text):
        problem = "the line holds control characters"
        text = CONTROL_CHARACTERS.sub("?", text)
    fields = [field.strip() for field in text.split("\t", len(FIELDS))[: len(FIELDS)]]
    if len(fields) < len(FIELDS):
        problem = problem or f"{len(fields)} tab-separated field(s) instead of at least {len(FIELDS)}"
        fields += [""] * (len(FIELDS) - len(fields))
    chrom, pos, name, ref, alt = fields
    empty = [FIELDS[index] for index in (0, 1, 3) if not fields[index]]
    if empty:
        problem = problem or f"{' and '.join(empty)} empty"
    return VcfRecord(record, line, chrom, pos, name or ".", ref, tuple(map(str.strip, alt.split(","))), problem)
