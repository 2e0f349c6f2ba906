"""Reading variants: VCF with or without its header, plain, gzip or bgzip, BCF, and the five-column form.

Every line that is not blank and does not begin with ``#`` is a record and is handed on, malformed or not: the reject
ledger accounts for each.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, first_bytes
from cisweave.genome.text import numbered_lines

FIELDS = ("CHROM", "POS", "ID", "REF", "ALT")
INFO = 7
"""0-based column of INFO."""
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
STANDARD_INPUT = "-"
BCF = (b"BCF\x02", b"BCF\x04")


class VcfRecord(NamedTuple):
    """The fields of one record that matter, as written (without blanks around them).

    Attributes
    ----------
    record
        1-based number among the records of the file.
    line
        1-based line number; of a BCF the number of the record.
    chrom, pos, name, ref
        CHROM, POS, ID and REF; ``pos`` is text, which need not be a number.
    alts
        ALT split at its commas; at least one element, which may be empty.
    problem
        Why the line is no record, or empty.
    info
        INFO, or empty where there is none.
    """

    record: int
    line: int
    chrom: str
    pos: str
    name: str
    ref: str
    alts: tuple[str, ...]
    problem: str = ""
    info: str = ""


def read_records(path: str | Path) -> Iterator[VcfRecord]:
    """Read the records of a variant file one by one.

    Parameters
    ----------
    path
        Tab-separated text: VCF 4.x with or without header and further columns, or the bare columns CHROM, POS, ID,
        REF, ALT; plain, gzip or bgzip; any line ends. Or a BCF. An index beside it is neither needed nor looked at.

    Raises
    ------
    CisweaveError
        Where the file as a whole is not to be trusted: absent, a folder, truncated, damaged, binary or a web page. A
        record that is wrong raises nothing: it carries its ``problem``.
    """
    path = existing(path)
    lines = bcf_lines(path) if first_bytes(path).startswith(BCF) else numbered_lines(path)
    record = 0
    refuse_other_text(path)
    for line, text in lines:
        if text.startswith("#") or not text.strip():
            continue
        record += 1
        yield parse_record(record, line, text)


def refuse_other_text(path: Path) -> None:
    """Raise if a file is text of another kind: a FASTA, or lines none of which has tab-separated columns."""
    start = first_bytes(path, 20_000)
    if start.startswith(b">"):
        raise CisweaveError("this is a FASTA; give variants (VCF, BCF or five columns)", path=path)
    lines = [line for line in start.splitlines()[:-1] if line.strip() and not line.startswith(b"#")]
    if len(lines) > 20 and not any(b"\t" in line for line in lines):
        raise CisweaveError(
            "no line has tabs between its columns; give a VCF, or the columns CHROM, POS, ID, REF, ALT with tabs",
            path=path,
        )


def parse_record(record: int, line: int, text: str) -> VcfRecord:
    """Split one line into a record; what is wrong with it stands in ``problem``."""
    problem = ""
    if CONTROL_CHARACTERS.search(text):
        problem = "the line holds control characters"
        text = CONTROL_CHARACTERS.sub("?", text)
    fields = [field.strip() for field in text.split("\t", INFO + 1)[: INFO + 1]]
    if len(fields) < len(FIELDS):
        problem = problem or f"{len(fields)} tab-separated field(s) instead of at least {len(FIELDS)}"
        fields += [""] * (len(FIELDS) - len(fields))
    chrom, pos, name, ref, alt = fields[: len(FIELDS)]
    info = fields[INFO] if len(fields) > INFO else ""
    if not (chrom and pos and ref):
        empty = [FIELDS[index] for index in (0, 1, 3) if not fields[index]]
        problem = problem or f"{' and '.join(empty)} empty"
    alts = tuple(map(str.strip, alt.split(","))) if "," in alt else (alt,)
    return VcfRecord(record, line, chrom, pos, name or ".", ref, alts, problem, info)


def bcf_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The records of a BCF as lines of VCF, numbered from 1."""
    import pysam

    verbosity = pysam.set_verbosity(0)
    number = 0
    try:
        with pysam.VariantFile(str(path)) as records:
            for number, record in enumerate(records, start=1):
                yield number, str(record).rstrip("\n")
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise CisweaveError(
            f"reading stops after record {number} ({error}); the BCF is truncated or damaged, get it again", path=path
        ) from error
    finally:
        pysam.set_verbosity(verbosity)


@contextmanager
def seekable(path: str | Path) -> Iterator[Path]:
    """Give a file that can be read more than once: ``path`` itself, or a copy of what a pipe or ``-`` holds.

    Raises
    ------
    CisweaveError
        If ``-`` is a terminal, or ``path`` is absent, a folder, or a device.
    """
    if str(path) != STANDARD_INPUT:
        kind = existing(path).stat().st_mode
        if stat.S_ISREG(kind):
            yield Path(path)
            return
        if not stat.S_ISFIFO(kind) and not Path(path).samefile(os.devnull):
            raise CisweaveError("this is neither a file nor a pipe", path=path)
    elif sys.stdin is None:
        raise CisweaveError("standard input is closed; send variants into it, or name a file")
    elif sys.stdin.isatty():
        raise CisweaveError("standard input is a terminal; send variants into it, or name a file")
    with tempfile.TemporaryDirectory(prefix="cisweave-") as folder:
        copy = Path(folder, "standard-input")
        source = os.dup(sys.stdin.fileno()) if str(path) == STANDARD_INPUT else os.open(path, os.O_RDONLY)
        with os.fdopen(source, "rb") as stream, open(copy, "wb") as target:
            shutil.copyfileobj(stream, target)
        try:
            yield copy
        except CisweaveError as error:
            if error.path != copy:
                raise
            raise CisweaveError(error.problem, path="standard input", line=error.line) from error
