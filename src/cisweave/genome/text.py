"""Reading text line by line: plain, gzip or bgzip, any line ends; a damaged file is one clear message."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, is_gzipped

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
HTML = re.compile(r"\s*<(!doctype|html|\?xml)", re.IGNORECASE)


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their 1-based numbers, without their ends.

    Bytes that are not UTF-8 become U+FFFD and a byte-order mark is skipped. Line ends are those of Unix, Windows or
    old Macs; the last line needs none.

    Raises
    ------
    CisweaveError
        If the file is absent, a folder, a web page, or compressed and truncated or damaged.
    """
    path = existing(path)
    if path.is_dir():
        raise CisweaveError("this is a folder; give a file", path=path)
    line = 0
    try:
        with open_text(path) as handle:
            for line, text in enumerate(handle, start=1):
                if line == 1:
                    refuse_web_page(text, path)
                yield line, text.rstrip("\n")
    except (OSError, EOFError, zlib.error) as error:
        raise CisweaveError(
            f"reading stops after this line ({error}); the file is truncated or damaged, get it again",
            path=path,
            line=line,
        ) from error


def open_text(path: Path) -> IO[str]:
    """Open plain, gzip or bgzip text; a bgzip file without its end marker is an error."""
    if not is_gzipped(path):
        return open(path, encoding="utf-8-sig", errors="replace")
    check_bgzip_end(path)
    return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace")


def check_bgzip_end(path: Path) -> None:
    """Raise if a bgzip file lacks the empty block at its end, which shows that it was written to the end."""
    with open(path, "rb") as handle:
        start = handle.read(18)
        handle.seek(0, 2)
        handle.seek(max(0, handle.tell() - len(BGZF_END)))
        end = handle.read()
    is_bgzip = len(start) >= 14 and bool(start[3] & 4) and start[12:14] == b"BC"
    if is_bgzip and end != BGZF_END:
        raise CisweaveError(
            "the end marker of bgzip is absent, so this file is probably truncated; get or make it again", path=path
        )


def refuse_web_page(text: str, path: Path) -> None:
    """Raise if the first line is that of a web page: an error page that a download took for the file."""
    if HTML.match(text):
        raise CisweaveError("this is a web page, probably an error page saved by a download; get it again", path=path)
