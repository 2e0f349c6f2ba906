"""The index of a FASTA (``.fai``): made where absent, read, and compared with the file it should describe."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from cisweave.core.errors import CisweaveError
from cisweave.core.files import first_bytes, is_bgzip, is_gzipped, refuse_web_page
from cisweave.core.logs import get_logger

logger = get_logger(__name__)

HEADERS_CHECKED = 2000
"""Most headers compared with the index when a FASTA is opened; spread evenly where there are more."""
BLANKS = b" \t\r\n"
LINE_ENDS = (b"\r", b"\n")


class Entry(NamedTuple):
    """One contig of the index: its bases begin at byte ``offset`` and stand in lines of ``line_bases`` bases."""

    name: str
    length: int
    offset: int
    line_bases: int
    line_bytes: int

    @property
    def end(self) -> int:
        """The byte after the last base."""
        if not self.length:
            return self.offset
        lines, rest = divmod(self.length - 1, self.line_bases)
        return self.offset + lines * self.line_bytes + rest + 1


# --- making and reading -----------------------------------------------------------------------------------------------
@contextmanager
def quiet_htslib() -> Iterator[None]:
    """Keep htslib from printing; what it has to say is in the error it raises."""
    import pysam

    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)


def ensure_index(path: Path) -> None:
    """Make the ``.fai`` (and ``.gzi``) of a FASTA where it is absent, under a name that is only taken when whole."""
    index = index_path(path)
    compressed_index = path.with_name(path.name + ".gzi")
    compressed = is_gzipped(path)
    complete = index.exists() and (compressed_index.exists() or not compressed)
    stale = complete and index.stat().st_mtime < path.stat().st_mtime
    if stale and not os.access(path.parent, os.W_OK):
        logger.warning("%s is older than its FASTA and its folder read-only; make it anew if the FASTA changed", index)
        return
    if not complete or stale:
        make_index(path, compressed)


def make_index(path: Path, compressed: bool) -> None:
    """Write the index files of a FASTA."""
    import pysam

    if compressed and not is_bgzip(path):
        raise CisweaveError(
            "this FASTA is packed with gzip, in which no place can be found; unpack it (gunzip) or pack it with bgzip",
            path=path,
        )
    partial = [path.with_name(f".partial-{os.getpid()}-{path.name}{suffix}") for suffix in (".fai", ".gzi")]
    try:
        with quiet_htslib():
            pysam.faidx(str(path), "--fai-idx", str(partial[0]), "--gzi-idx", str(partial[1]))
        if compressed:
            shutil.move(partial[1], path.with_name(path.name + ".gzi"))
        shutil.move(partial[0], index_path(path))
    except (pysam.utils.SamtoolsError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CisweaveError(
            f"no index could be made ({reason}); the FASTA must be plain or bgzipped text with lines of one length, "
            f"its folder writable, or make the index with: samtools faidx {path}",
            path=path,
        ) from error
    finally:
        for leftover in partial:
            leftover.unlink(missing_ok=True)


def index_path(path: Path) -> Path:
    """Where the index of a FASTA stands."""
    return path.with_name(path.name + ".fai")


def read_index(path: Path) -> list[Entry]:
    """The contigs of the index of a FASTA, in its order; a damaged index is an error."""
    index = index_path(path)
    entries = []
    try:
        lines = index.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CisweaveError(f"this index cannot be read ({error}); delete it and try again", path=index) from error
    for number, line in enumerate(lines, start=1):
        try:
            name, length, offset, line_bases, line_bytes = line.split("\t")
            entry = Entry(name, int(length), int(offset), int(line_bases), int(line_bytes))
        except ValueError as error:
            raise damaged(index, number) from error
        sane = min(entry[1:]) >= 0 and entry.line_bytes >= entry.line_bases and max(entry[1:]) < 2**60
        if not sane or (entry.length and not entry.line_bases):
            raise damaged(index, number)
        entries.append(entry)
    return entries


def damaged(index: Path, line: int) -> CisweaveError:
    """The error of an index that is no index."""
    return CisweaveError("this is not a line of a FASTA index; delete the index and try again", path=index, line=line)


# --- comparing with the file ------------------------------------------------------------------------------------------
class Text(Protocol):
    """The (uncompressed) bytes of a FASTA."""

    def stretch(self, start: int, end: int) -> bytes:
        """Bytes of a half-open interval, fewer where the file ends."""

    def close(self) -> None:
        """Let go of the file."""


class PlainText:
    """The bytes of an uncompressed FASTA, through a memory map."""

    def __init__(self, path: Path):
        with open(path, "rb") as handle:
            self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)

    def stretch(self, start: int, end: int) -> bytes:
        """Bytes of a half-open interval, fewer where the file ends."""
        return self._map[start:end]

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()


class BgzipText:
    """The uncompressed bytes of a bgzip FASTA, found through its ``.gzi``."""

    def __init__(self, path: Path):
        self._index = path.with_name(path.name + ".gzi")
        self._handle = open(path, "rb")  # noqa: SIM115 - closed by close()
        try:
            content = self._index.read_bytes()
            (count,) = struct.unpack_from("<Q", content)
            pairs = np.frombuffer(content, dtype="<u8", count=2 * count, offset=8).reshape(-1, 2).astype(np.int64)
        except (OSError, struct.error, ValueError, OverflowError) as error:
            self._handle.close()
            raise CisweaveError(
                f"this index cannot be read ({error}); delete it and try again", path=self._index
            ) from error
        start = np.zeros((1, 2), dtype=np.int64)
        self._compressed, self._uncompressed = np.concatenate([start, pairs]).T
        self._number, self._block = -1, b""

    def stretch(self, start: int, end: int) -> bytes:
        """Bytes of a half-open interval, fewer where the file ends."""
        parts = []
        number = int(np.searchsorted(self._uncompressed, start, side="right")) - 1
        while number < len(self._uncompressed) and start < end:
            begin = int(self._uncompressed[number])
            part = self.block(number)[start - begin : end - begin]
            parts.append(part)
            start += len(part)
            number += 1
            if number < len(self._uncompressed) and start < end and start != int(self._uncompressed[number]):
                raise CisweaveError(
                    "this index does not fit its FASTA; delete the index and try again", path=self._index
                )
        return b"".join(parts)

    def block(self, number: int) -> bytes:
        """One uncompressed block; the last one is kept."""
        if number != self._number:
            self._handle.seek(int(self._compressed[number]))
            raw = self._handle.read(1 << 16)
            try:
                self._block = zlib.decompressobj(wbits=31).decompress(raw)
            except zlib.error as error:
                raise CisweaveError(
                    f"this index does not fit its FASTA, or the FASTA is damaged ({error}); delete the index and try "
                    "again",
                    path=self._index,
                ) from error
            self._number = number
        return self._block

    def close(self) -> None:
        """Let go of the file."""
        self._handle.close()


def refuse_other_files(path: Path) -> None:
    """Raise unless a file begins as a FASTA does; a bgzip file must also have its end."""
    start = first_bytes(path, 4096)
    if not start:
        raise CisweaveError("this file is empty; a FASTA begins with > and the name of a contig", path=path)
    refuse_web_page(start, path)
    if not start.lstrip(BLANKS).startswith(b">"):
        raise CisweaveError("this is not a FASTA: it does not begin with > and the name of a contig", path=path)


def check_index(path: Path, entries: Sequence[Entry]) -> None:
    """Raise unless the index describes the FASTA: each contig follows its header, and nothing is left over.

    That finds an index of another file, a FASTA that was cut off or changed after it was indexed, two contigs of one
    name, and lines that do not have the length they should have.
    """
    if not any(entry.length for entry in entries):
        raise CisweaveError("this FASTA holds no bases", path=path)
    text: Text = BgzipText(path) if is_gzipped(path) else PlainText(path)
    try:
        ordered = sorted((entry for entry in entries if entry.length), key=lambda entry: entry.offset)
        check_names(path, entries)
        step = max(1, -(-len(ordered) // HEADERS_CHECKED))
        names = {entry.name for entry in entries}
        for number in range(0, len(ordered), step):
            check_entry(path, text, ordered, number, names)
        check_end(path, text, ordered[-1], names)
    finally:
        text.close()


def check_names(path: Path, entries: Sequence[Entry]) -> None:
    """Raise if a name is empty or stands twice."""
    seen: set[str] = set()
    for entry in entries:
        if not entry.name:
            raise CisweaveError("a contig has no name; write one after its >", path=path)
        if entry.name in seen:
            raise twice(path, entry.name)
        seen.add(entry.name)


def check_entry(path: Path, text: Text, ordered: Sequence[Entry], number: int, names: set[str]) -> None:
    """Raise unless the text between a contig and the one before it is its header, and its first line ends in time."""
    entry = ordered[number]
    before = ordered[number - 1].end if number else 0
    if entry.offset < before or entry.offset - before > 1 << 20:
        raise unfit(path)
    lines = text.stretch(before, entry.offset).splitlines(keepends=True)
    found = [header_name(line) for line in lines if line.startswith(b">")]
    refuse_repeats(path, found[:-1], names)
    blank = all(not line.strip(BLANKS) for line in lines if not line.startswith(b">"))
    begins = not number or (bool(lines) and lines[0][:1] in LINE_ENDS)
    if not (found and found[-1] == entry.name and blank and begins and lines[-1][-1:] in LINE_ENDS):
        raise unfit(path)
    line_end = text.stretch(entry.offset + entry.line_bases, entry.offset + entry.line_bytes)
    if entry.length > entry.line_bases and (line_end.strip(b"\r\n") or not line_end):
        raise unfit(path)
    if not text.stretch(entry.end - 1, entry.end).strip():
        raise unfit(path)


def check_end(path: Path, text: Text, last: Entry, names: set[str]) -> None:
    """Raise if the FASTA ends before its last contig does, or goes on after it."""
    rest = text.stretch(last.end, last.end + (1 << 16)).splitlines()
    refuse_repeats(path, [header_name(line) for line in rest if line.startswith(b">")], names)
    if any(line.strip(BLANKS) for line in rest if not line.startswith(b">")) or (rest and rest[0]):
        raise unfit(path)


def header_name(line: bytes) -> str:
    """The name in a header line."""
    words = line[1:].split(None, 1) if line[1:2].strip() else []
    return words[0].decode("utf-8", "replace") if words else ""


def refuse_repeats(path: Path, headers: Sequence[str], names: set[str]) -> None:
    """Raise if a header that the index leaves out is that of a contig it holds; contigs without bases may be absent."""
    for name in headers:
        if name in names:
            raise twice(path, name)


def twice(path: Path, name: str) -> CisweaveError:
    """The error of two contigs of one name."""
    return CisweaveError(f"contig {name} stands twice in this FASTA; give each contig its own name", path=path)


def unfit(path: Path) -> CisweaveError:
    """The error of an index that does not describe its FASTA."""
    return CisweaveError(
        f"{index_path(path).name} does not fit this FASTA (another file's index, a file that was cut off or changed "
        "since, or lines of different lengths); get the FASTA again or delete the index, then try again",
        path=path,
    )
