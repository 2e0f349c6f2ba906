"""The catalogue of public files: what there is, where it stands, how it is checked, under which licence."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cisweave.core.errors import CisweaveError
from cisweave.genome.text import numbered_lines

COLUMNS = (
    "name",
    "version",
    "url",
    "mirror",
    "checksum",
    "bytes",
    "licence",
    "accept",
    "citation",
    "used_by",
    "unpack",
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ACCEPT = re.compile(r"[a-z0-9][a-z0-9-]*")
DIGITS = {"sha256": 64, "md5": 32}
#: How a download is unpacked, and the endings its name may have; without the ending it is the name of what comes out.
ENDINGS = {
    "none": ("",),
    "gz": (".gz",),
    "tar": (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar"),
    "zip": (".zip",),
}
RESERVED = {"catalogue.tsv", "readme.md", "resources.lock"}


@dataclass(frozen=True)
class Checksum:
    """A published checksum: ``algorithm`` is sha256 or md5, ``digest`` is in lower-case hexadecimal."""

    algorithm: str
    digest: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


@dataclass(frozen=True)
class Resource:
    """One row of the catalogue.

    ``addresses`` are tried in order; ``bytes`` and ``checksum`` are those of the download, before it is unpacked;
    ``accept`` is the key to be written into ``accept_licences`` before the file is fetched, or None.
    """

    name: str
    version: str
    addresses: tuple[str, ...]
    checksum: Checksum | None
    bytes: int | None
    licence: str
    accept: str | None
    citation: str
    used_by: str
    unpack: str

    @property
    def product(self) -> str:
        """Name, within the folder of resources, of the file or folder that is there in the end."""
        ending = next(ending for ending in ENDINGS[self.unpack] if self.name.endswith(ending))
        return self.name.removesuffix(ending)


def builtin_catalogue() -> Path:
    """The catalogue that comes with the package; in a checkout it is ``resources/catalogue.tsv``."""
    return Path(__file__).with_name("catalogue.tsv")


def read_catalogue(path: str | Path | None = None) -> dict[str, Resource]:
    """Read and check a catalogue.

    Parameters
    ----------
    path
        Tab-separated table with the columns :data:`COLUMNS`; lines beginning with ``#`` are notes. None: the built-in
        one.

    Returns
    -------
    dict[str, Resource]
        By name, in the order of the file.

    Raises
    ------
    CisweaveError
        Naming the line, for a missing column, a name twice, an address that is not https, a checksum that is none, a
        missing licence, or two rows that would unpack to the same place.
    """
    path = Path(path) if path is not None else builtin_catalogue()
    lines = [(number, line) for number, line in numbered_lines(path) if line.strip() and not line.startswith("#")]
    if not lines or tuple(lines[0][1].split("\t")) != COLUMNS:
        raise CisweaveError(f"the header of a catalogue is, separated by tabs: {' '.join(COLUMNS)}", path=path, line=1)
    resources: dict[str, Resource] = {}
    places: dict[str, str] = {}
    for number, line in lines[1:]:
        try:
            resource = parse_row(line.split("\t"))
            take_places(resource, places)
        except ValueError as error:
            raise CisweaveError(str(error), path=path, line=number) from error
        resources[resource.name] = resource
    return resources


def take_places(resource: Resource, places: dict[str, str]) -> None:
    """Note the names a resource takes up in its folder; ValueError if another has one of them."""
    for place in {resource.name.lower(), resource.product.lower()}:
        if place in places:
            raise ValueError(f"{place} is already the place of {places[place]}; choose another name")
        places[place] = resource.name


def parse_row(cells: list[str]) -> Resource:
    """One row of the catalogue as a :class:`Resource`; ValueError says what is wrong with it."""
    if len(cells) != len(COLUMNS):
        raise ValueError(
            f"{len(cells)} columns instead of {len(COLUMNS)}; leave unknown cells empty, between their tabs"
        )
    row = {column: cell.strip() for column, cell in zip(COLUMNS, cells, strict=True)}
    checksum = parse_checksum(row["checksum"])
    if not row["licence"]:
        raise ValueError("licence is empty; write the licence, or where it is told")
    if row["accept"] and not ACCEPT.fullmatch(row["accept"]):
        raise ValueError(f"accept is {row['accept']!r}; write a key of small letters, digits and '-', or nothing")
    if row["bytes"] and not (row["bytes"].isascii() and row["bytes"].isdecimal() and int(row["bytes"]) > 0):
        raise ValueError(f"bytes is {row['bytes']!r}; write the size of the download in bytes, or nothing")
    addresses = (row["url"], *row["mirror"].split())
    for address in addresses:
        check_address(address, checksum)
    check_name(row["name"], row["unpack"])
    return Resource(
        name=row["name"],
        version=row["version"],
        addresses=addresses,
        checksum=checksum,
        bytes=int(row["bytes"]) if row["bytes"] else None,
        licence=row["licence"],
        accept=row["accept"] or None,
        citation=row["citation"],
        used_by=row["used_by"],
        unpack=row["unpack"],
    )


def parse_checksum(text: str) -> Checksum | None:
    """``sha256:…`` or ``md5:…`` as a :class:`Checksum`, the empty text as None; ValueError for anything else."""
    if not text:
        return None
    algorithm, _, digest = text.partition(":")
    if algorithm not in DIGITS or not re.fullmatch(rf"[0-9a-f]{{{DIGITS[algorithm]}}}", digest):
        raise ValueError(f"checksum is {text!r}; write sha256: and 64, or md5: and 32 hexadecimal digits, or nothing")
    return Checksum(algorithm, digest)


def check_name(name: str, unpack: str) -> None:
    """Raise ValueError unless ``name`` is a plain file name that fits the way it is unpacked."""
    if unpack not in ENDINGS:
        raise ValueError(f"unpack is {unpack!r}; write one of {', '.join(ENDINGS)}")
    if not NAME.fullmatch(name) or name.lower() in RESERVED or name.endswith(".partial"):
        raise ValueError(f"name {name!r} cannot be used; write a file name of letters, digits, '.', '_' and '-'")
    if not name.endswith(ENDINGS[unpack]) or name in ENDINGS[unpack]:
        raise ValueError(f"{name} cannot be unpacked as {unpack}; its name must end in {' or '.join(ENDINGS[unpack])}")


def check_address(address: str, checksum: Checksum | None) -> None:
    """Raise ValueError unless an address is safe to download from.

    https always is; http only with a checksum, or on this machine, since anybody on the way could change the bytes.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{address!r} is no address ({error})") from error
    if not host or parts.username is not None or any(character.isspace() for character in address):
        raise ValueError(f"{address!r} is no address; write https://host/path, without a user name")
    if parts.scheme == "https" or (parts.scheme == "http" and (checksum is not None or is_loopback(host))):
        return
    if parts.scheme == "http":
        raise ValueError(f"{address} is not encrypted and there is no checksum; use https or give the checksum")
    raise ValueError(f"{address} is not https; name files that you have already in genome.fetch.local_paths")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def choose_resources(names: Iterable[str], catalogue: Mapping[str, Resource], what: str = "") -> list[Resource]:
    """The resources called ``names``, each once; an unknown name is an error with the nearest ones."""
    chosen = {}
    for name in names:
        if name not in catalogue:
            near = difflib.get_close_matches(name.lower(), list(catalogue), n=3, cutoff=0.4)
            near += [other for other in catalogue if name.lower() in other.lower() and other not in near][
                : 3 - len(near)
            ]
            hint = f"did you mean {' or '.join(near)}?" if near else "cisweave genome fetch --list shows them all"
            raise CisweaveError(f"{what}there is no resource {name!r} in the catalogue; {hint}")
        chosen[name] = catalogue[name]
    return list(chosen.values())


def check_licence(resource: Resource, accepted: Collection[str]) -> None:
    """Raise unless a licence that has to be accepted is among ``accepted``, the keys in the configuration."""
    if resource.accept is None or resource.accept in accepted:
        return
    raise CisweaveError(
        f"genome.fetch.accept_licences: {json.dumps(list(accepted))} lacks {resource.accept}; {resource.name} may be "
        f"used only under its licence: {resource.licence}. If you accept it, write {resource.accept} there"
    )


def list_resources(catalogue: str | Path | None = None, folder: str | Path | None = None) -> list[dict[str, str]]:
    """The catalogue as rows for ``--list``.

    Each has name, version, size (readable), checksum (published, locked by ``folder``'s resources.lock, or unknown),
    licence, accept (the key for accept_licences), used_by, and here (whether ``folder`` holds it).
    """
    from cisweave.genome.resources.lock import read_lock

    locked = read_lock(Path(folder)) if folder is not None else {}
    rows = []
    for resource in read_catalogue(catalogue).values():
        size = resource.bytes or (locked[resource.name].bytes if resource.name in locked else None)
        rows.append(
            {
                "name": resource.name,
                "version": resource.version,
                "size": "" if size is None else readable_bytes(size),
                "checksum": str(resource.checksum or ("locked" if resource.name in locked else "unknown")),
                "licence": resource.licence,
                "accept": resource.accept or "",
                "used_by": resource.used_by,
                "here": "yes" if folder is not None and (Path(folder) / resource.product).exists() else "",
            }
        )
    return rows


def show_catalogue(catalogue: str | Path | None = None, folder: str | Path | None = None) -> str:
    """The catalogue as text for people: :func:`list_resources`, with checksums by their kind, in columns."""
    rows = list_resources(catalogue, folder)
    for row in rows:
        row["checksum"] = row["checksum"].partition(":")[0]
    shown = ["name", "size", "checksum", "accept", "used_by", "here", "version"]
    table = [shown, *([row[column] or "-" for column in shown] for row in rows)]
    widths = [max(len(line[index]) for line in table) for index in range(len(shown))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
    return "\n".join(line.rstrip() for line in padded)


def resource_at(path: str | Path, folder: str | Path, catalogue: Mapping[str, Resource]) -> Resource | None:
    """The resource whose product is, or holds, ``path``, links in the folder included; None if there is none."""
    for place, base in (
        (Path(path).absolute(), Path(folder).absolute()),
        (Path(path).resolve(), Path(folder).resolve()),
    ):
        parts = place.relative_to(base).parts if place.is_relative_to(base) else ()
        if parts and ".." not in parts:
            return next((resource for resource in catalogue.values() if resource.product == parts[0]), None)
    return None


def readable_bytes(count: float) -> str:
    """A number of bytes for people, in decimal units: ``983.7 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
