"""Unpacking archives that nobody vouches for: nothing outside the folder or without bounds, no links, no devices."""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import lzma
import os
import posixpath
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from cisweave.core.errors import CisweaveError
from cisweave.genome.resources.catalogue import readable_bytes

CHUNK = 1 << 20
#: Unpacked bytes up to which the ratio to packed bytes is not looked at.
GRACE = 64 << 20
#: Most bytes of a tar archive between two members (names, other headers, padding).
HEADERS = 16 << 20
#: Bytes of free space that are left alone.
MARGIN = 16 << 20
DAMAGE = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    ArithmeticError,
    LookupError,
    RuntimeError,
    ValueError,
)


class DamagedArchiveError(CisweaveError):
    """An archive that is broken or not to be trusted, so that there is no use in keeping it."""


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


@dataclass(frozen=True)
class Limits:
    """What an archive may become: bytes, files, and bytes per packed byte."""

    bytes: int
    files: int
    ratio: float


@dataclass(frozen=True)
class Unpacked:
    """One file that came out: its path below the target (the target's own name if that is a file), size, SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass
class _Budget:
    """Counts what comes out, and stops it."""

    archive: Path
    folder: Path
    limits: Limits
    packed: int
    total: int = 0
    files: int = 0
    checked: int = 0
    hint: str = field(default="if you trust it, raise the limit in genome.fetch", init=False)

    def add_file(self) -> None:
        """One more file."""
        self.files += 1
        if self.files > self.limits.files:
            raise CisweaveError(
                f"the archive holds more than {self.limits.files} files; {self.hint}", path=self.archive
            )

    def add(self, count: int) -> None:
        """So many more bytes."""
        self.total += count
        if self.total > self.limits.bytes:
            size = readable_bytes(self.limits.bytes)
            raise CisweaveError(f"the archive unpacks to more than {size}; {self.hint}", path=self.archive)
        if self.total > GRACE + self.limits.ratio * self.packed:
            raise CisweaveError(
                f"the archive unpacks to more than {self.limits.ratio:g} times its size; {self.hint}", path=self.archive
            )
        if self.total >= self.checked:
            self.need(0)

    def need(self, count: int) -> None:
        """Raise unless the disk has room for so many more bytes."""
        free = shutil.disk_usage(self.folder).free
        if free < count + MARGIN:
            raise CisweaveError(
                f"no space left to unpack {self.archive.name}: {readable_bytes(free)} are free; make room, or fetch "
                "into another folder",
                path=self.folder,
            )
        self.checked = self.total + GRACE


def unpack(archive: Path, kind: str, target: Path, limits: Limits) -> list[Unpacked]:
    """Unpack an archive.

    Parameters
    ----------
    archive
        A gzip file, a tar archive (plain, gzip, bzip2 or xz) or a zip archive.
    kind
        gz, tar or zip.
    target
        Path that does not exist yet: a file for gz, else a folder. After an error it may be there in part: delete it.
    limits
        What it may become at most.

    Returns
    -------
    list[Unpacked]
        Every file, in the order of the archive. Links to files of the archive become files.

    Raises
    ------
    DamagedArchiveError
        For an archive that is cut off or damaged, or that holds paths outside of it, links to the outside, devices,
        or encrypted files.
    CisweaveError
        For an archive beyond ``limits`` and for a full disk.
    """
    budget = _Budget(archive, target.parent, limits, archive.stat().st_size)
    with damage(archive):
        if kind == "gz":
            with gzip.open(archive, "rb") as stream:
                budget.add_file()
                return [write(stream, target, target.name, budget)]
        target.mkdir()
        found = unpack_zip(archive, target, budget) if kind == "zip" else unpack_tar(archive, target, budget)
    if not found:
        raise DamagedArchiveError("the archive holds no file", path=archive)
    return found


def check_gzip(path: Path) -> None:
    """Raise unless a gzip file can be read to its end; it is read once, and nothing is written."""
    with damage(path), gzip.open(path, "rb") as stream:
        while stream.read(CHUNK):
            pass


@contextmanager
def damage(archive: Path) -> Iterator[None]:
    """Turn what the readers of archives raise into DamagedArchiveError; errors of the disk stay what they are."""
    try:
        yield
    except DAMAGE as error:
        raise DamagedArchiveError(
            f"the archive is cut off or damaged ({error or 'it ends early'})", path=archive
        ) from error
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            raise DamagedArchiveError("the archive holds two files of one name", path=archive) from error
        if error.errno in (None, errno.EINVAL, errno.ENAMETOOLONG):
            raise DamagedArchiveError(f"the archive is cut off or damaged ({error})", path=archive) from error
        raise


def write(stream: Readable, path: Path, name: str, budget: _Budget) -> Unpacked:
    """Write a stream to a new file."""
    digest, size = hashlib.sha256(), 0
    with open(path, "xb") as handle:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            budget.add(len(chunk))
            digest.update(chunk)
            handle.write(chunk)
    return Unpacked(name, size, digest.hexdigest())


def safe_name(name: str, archive: Path) -> str | None:
    """The normal form of a member's name; None for the archive's own folder."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    bad = name.startswith("/") or "\\" in name or ".." in parts or re.match(r"[A-Za-z]:", name)
    if bad or any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise DamagedArchiveError(f"the archive holds {name[:200]!r}, a path out of its folder", path=archive)
    if len(name) > 2000 or any(len(os.fsencode(part)) > 255 for part in parts):
        raise DamagedArchiveError(f"the archive holds a name that is too long: {name[:60]!r}…", path=archive)
    return "/".join(parts) or None


# --- zip --------------------------------------------------------------------------------------------------------------
def unpack_zip(archive: Path, target: Path, budget: _Budget) -> list[Unpacked]:
    """Unpack a zip archive into the folder ``target``."""
    found = []
    with zipfile.ZipFile(archive) as packed:
        budget.need(min(sum(info.file_size for info in packed.infolist()), budget.limits.bytes))
        for info in packed.infolist():
            name = safe_name(info.orig_filename, archive)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DamagedArchiveError(f"the archive holds {name!r}, a link or a device", path=archive)
            if info.flag_bits & 1:
                raise DamagedArchiveError(f"{name!r} in the archive is encrypted", path=archive)
            if name is None:
                continue
            path = target / name
            if info.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            budget.add_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(info) as stream:
                found.append(write(stream, path, name, budget))
    return found


# --- tar --------------------------------------------------------------------------------------------------------------
class _Tape:
    """The decompressed bytes of a tar archive, with a bound on what stands between two members."""

    def __init__(self, raw: Readable, archive: Path):
        self.raw, self.archive = raw, archive
        self.between, self.inside = 0, False
        self.last = b""

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self.raw.read(size)
        if not self.inside:
            self.between += len(data)
            if self.between > HEADERS:
                raise DamagedArchiveError("the archive holds headers without end", path=self.archive)
        if data:
            self.last = (self.last + data)[-512:]
        return data


def open_compressed(archive: Path) -> BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    """Open a file that may be compressed, by its first bytes."""
    with open(archive, "rb") as handle:
        head = handle.read(6)
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(archive, "rb")
    if head.startswith(b"BZh"):
        return bz2.open(archive, "rb")
    if head.startswith(b"\xfd7zXZ"):
        return lzma.open(archive, "rb")
    return open(archive, "rb")


def unpack_tar(archive: Path, target: Path, budget: _Budget) -> list[Unpacked]:
    """Unpack a tar archive, compressed or not, into the folder ``target``."""
    found: dict[str, Unpacked] = {}
    links: list[tuple[str, str]] = []
    with open_compressed(archive) as raw:
        tape = _Tape(raw, archive)
        with tarfile.open(fileobj=tape, mode="r|") as packed:  # type: ignore[call-overload]
            while (member := packed.next()) is not None:
                tape.inside, packed.members = True, []
                unpack_member(packed, member, target, budget, found, links)
                tape.inside, tape.between = False, 0
        tape.between = 0
        while tape.read(CHUNK):  # to the end, where the checksums of compressed files stand
            pass
        if tape.last.strip(b"\0"):
            raise DamagedArchiveError("the archive is cut off: its end mark is missing", path=archive)
    make_links(links, target, found, archive)
    return list(found.values())


def unpack_member(
    packed: tarfile.TarFile,
    member: tarfile.TarInfo,
    target: Path,
    budget: _Budget,
    found: dict[str, Unpacked],
    links: list[tuple[str, str]],
) -> None:
    """Write one member of a tar archive, or put it down as a link."""
    name = safe_name(member.name, budget.archive)
    if member.issym() or member.islnk():
        budget.add_file()
        if name is None:
            raise DamagedArchiveError("the archive's own folder is a link", path=budget.archive)
        links.append((name, link_target(member, name, budget.archive)))
        return
    if member.isdir():
        (target / (name or ".")).mkdir(parents=True, exist_ok=True)
        return
    if not member.isreg() or member.issparse():
        raise DamagedArchiveError(f"the archive holds {name!r}, a device or the like", path=budget.archive)
    stream = packed.extractfile(member)
    if name is None or stream is None:
        raise DamagedArchiveError("the archive holds a file without a name", path=budget.archive)
    budget.add_file()
    budget.need(min(member.size, budget.limits.bytes))
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    found[name] = write(stream, path, name, budget)
    if found[name].bytes != member.size:
        raise DamagedArchiveError(f"the archive is cut off within {name!r}", path=budget.archive)


def link_target(member: tarfile.TarInfo, name: str, archive: Path) -> str:
    """The member that a link stands for; one that is not in the archive is an error."""
    base = posixpath.dirname(name) if member.issym() else ""
    place = posixpath.normpath(posixpath.join(base, member.linkname))
    if member.linkname.startswith("/") or place == ".." or place.startswith("../"):
        raise DamagedArchiveError(
            f"the archive holds {name!r}, a link out of its folder ({member.linkname[:200]!r})", path=archive
        )
    return place


def make_links(links: list[tuple[str, str]], target: Path, found: dict[str, Unpacked], archive: Path) -> None:
    """Give links to files of the archive those files' content; no link is ever made that could be written through."""
    while links:
        ready = [(name, place) for name, place in links if place in found]
        if not ready:
            raise DamagedArchiveError(f"{links[0][0]!r} in the archive is a link to no file of it", path=archive)
        for name, place in ready:
            path = target / name
            with damage(archive):
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(target / place, path)
            found[name] = Unpacked(name, found[place].bytes, found[place].sha256)
        links = [link for link in links if link not in ready]
