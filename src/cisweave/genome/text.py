"""Reading text line by line: plain, gzip or bgzip, any line ends; a damaged file is one clear message."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, first_bytes, is_gzipped, refuse_web_page

START = 64
"""Bytes that tell what a file is."""
DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)
"""A position as text; more digits than this are no place in a genome and do not fit into 64 bits."""
BINARY = {
    rb"BCF[\x02\x04]": "BCF; give a text file",
    rb"BAM\x01": "BAM (alignments); give a text file",
    rb"\x89PNG|\xff\xd8\xff": "an image; give a text file",
    rb"PK(\x03\x04|\x05\x06)": "a zip archive; unpack it first",
    rb"BZh[1-9](1AY&SY|\x17rE8P)": "bzip2; unpack it with: bunzip2",
    rb"\xfd7zXZ": "xz; unpack it with: unxz",
    rb"\x28\xb5\x2f\xfd": "zstd; unpack it with: unzstd",
    rb"\x1f\x8b": "gzip within gzip; unpack it once with: gunzip",
    rb"PAR1\x15": "Parquet; give a text file",
    rb"\x89HDF": "HDF5; give a text file",
    rb"%PDF-": "a PDF; give a text file",
    rb"\xff\xfe|\xfe\xff": "UTF-16 text; save it as UTF-8",
}
"""How files that are not (UTF-8) text begin, what they are and what to do."""


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their 1-based numbers, without their ends.

    Bytes that are not UTF-8 become U+FFFD and a byte-order mark is skipped. Line ends are those of Unix, Windows or
    old Macs; the last line needs none.

    Raises
    ------
    CisweaveError
        If the file is absent, a folder, a web page, binary or UTF-16, or compressed and truncated or damaged.
    """
    path = existing(path)
    if not path.is_file():
        raise CisweaveError("this is no ordinary file (a pipe or a device); save it as a file and name that", path=path)
    line = 0
    try:
        with open_text(path) as handle:
            for line, text in enumerate(handle, start=1):
                if "\0" in text:
                    raise CisweaveError("NUL bytes; this is no text file, or a damaged one", path=path, line=line)
                yield line, text.rstrip("\n")
    except (OSError, EOFError, zlib.error) as error:
        raise CisweaveError(
            f"reading stops after this line ({error}); the file is truncated or damaged, get it again",
            path=path,
            line=line,
        ) from error


def open_text(path: Path) -> IO[str]:
    """Open plain, gzip or bgzip text; a bgzip file without its end, a web page and a binary file are errors."""
    start = first_bytes(path, START)
    refuse_web_page(start, path)
    refuse_binary(start, path)
    if is_gzipped(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace")
    return open(path, encoding="utf-8-sig", errors="replace")


def refuse_binary(start: bytes, path: Path) -> None:
    """Raise if the first bytes (unpacked) are those of a known kind of file that is not text."""
    for magic, kind in BINARY.items():
        if re.match(magic, start):
            raise CisweaveError(f"this is {kind}", path=path)


def is_position(text: str) -> bool:
    """Whether text is a whole number that fits a genome."""
    return DIGITS.fullmatch(text) is not None


def bed_lines(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """The tab-separated fields of each line of a BED file with its number; blank, #, track and browser lines left out.

    Raises
    ------
    CisweaveError
        As :func:`numbered_lines` does.
    """
    for line, text in numbered_lines(path):
        if text.strip() and not text.startswith(("#", "track ", "track\t", "browser ", "browser\t")):
            yield line, [field.strip() for field in text.split("\t")]
