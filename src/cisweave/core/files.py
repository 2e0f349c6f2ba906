"""Files that are either whole or absent: atomic writes, checksums, text that may be compressed."""

from __future__ import annotations

import glob
import gzip
import hashlib
import json
import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cisweave.core.errors import CisweaveError

GZIP_MAGIC = b"\x1f\x8b"
BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a complete bgzip file."""
WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|body|script|title|\?xml)\b", re.IGNORECASE)
"""How a web page begins, or the answer in XML that a store gives instead of a file."""

STALE_S = 600
"""Seconds after which a partial file that no process of this machine writes counts as left by a killed one."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its place when the block ends well.

    A symbolic link stays one: what it points to is written. The temporary name keeps the suffixes of ``path`` (writers
    look at them) and is unique to the process. Whatever ends the block early, ``path`` is left as it was and the
    temporary file is removed; what a killed process left of the same path is removed by the next that writes it.
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file():
        raise CisweaveError("this is a folder, a device or a pipe; write the name of a file", path=path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_partial(path)
    temporary = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep_partial(path: Path) -> None:
    """Remove what killed processes left of a file: of no process here, and untouched for long (elsewhere one may live).

    Folders are shared between machines, whose processes cannot be seen from here.
    """
    for left in path.parent.glob(f".partial-*-{glob.escape(path.name)}"):
        number = left.name.removeprefix(".partial-").removesuffix(f"-{path.name}")
        if number.isdecimal() and not is_running(int(number)) and time.time() - modified(left) > STALE_S:
            left.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Whether this machine has such a process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def modified(path: Path) -> float:
    """When a file was last written to, in seconds; now, if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


@contextmanager
def atomic_text(path: str | Path) -> Iterator[IO[str]]:
    """Open ``path`` for writing text (UTF-8, Unix line ends) so that it appears only when complete."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        yield handle


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON, keys in the order given, atomically."""
    with atomic_text(path) as handle:
        json.dump(value, handle, indent=2, allow_nan=False)
        handle.write("\n")


def read_json(path: str | Path) -> Any:
    """Read JSON; a missing or broken file is a :class:`CisweaveError`."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise CisweaveError(f"this is not valid JSON ({error.msg})", path=path, line=error.lineno) from error


def existing(path: str | Path) -> Path:
    """Return ``path`` as a :class:`~pathlib.Path` if it is a file that exists, else raise."""
    path = Path(path)
    if path.is_dir():
        raise CisweaveError("this is a folder; write the path of a file", path=path)
    if not path.exists():
        raise CisweaveError("this file does not exist; check the path", path=path)
    return path


def read_text(path: str | Path) -> str:
    """Text (UTF-8) of a file; a missing file, a folder or a binary file is a :class:`CisweaveError`."""
    try:
        return existing(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CisweaveError("this is not a text file (UTF-8)", path=path) from error


def is_gzipped(path: str | Path) -> bool:
    """Tell by the first two bytes whether a file is gzip or bgzip."""
    with open(path, "rb") as handle:
        return handle.read(2) == GZIP_MAGIC


def first_bytes(path: str | Path, number: int = 16) -> bytes:
    """How a file begins, unpacked where it is gzip or bgzip; one that is cut off is a :class:`CisweaveError`."""
    check_bgzip_end(path)
    try:
        with gzip.open(path) if is_gzipped(path) else open(path, "rb") as stream:
            return stream.read(number)
    except (OSError, EOFError, zlib.error) as error:
        raise CisweaveError(
            f"this file cannot be read ({error}); it is truncated or damaged, get it again", path=path
        ) from error


def refuse_web_page(start: bytes, path: str | Path) -> None:
    """Raise if the first bytes are those of a web page: an error page that a download took for the file."""
    if WEB_PAGE.match(start):
        raise CisweaveError("this is a web page, probably an error page saved by a download; get it again", path=path)


def is_bgzip(path: str | Path) -> bool:
    """Tell by the header of the first block whether a file is bgzip, and not gzip alone."""
    with open(path, "rb") as handle:
        start = handle.read(18)
    return len(start) >= 14 and start.startswith(GZIP_MAGIC) and bool(start[3] & 4) and start[12:14] == b"BC"


def check_bgzip_end(path: str | Path) -> None:
    """Raise if a bgzip file lacks the empty block at its end, which shows that it was written to the end."""
    with open(path, "rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - len(BGZIP_END)))
        end = handle.read()
    if is_bgzip(path) and end != BGZIP_END:
        raise CisweaveError(
            "the end marker of bgzip is absent, so this file is probably truncated; get or make it again", path=path
        )


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
