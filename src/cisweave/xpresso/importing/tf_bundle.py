"""TensorFlow bundles (``variables.index`` and ``variables.data-00000-of-00001``), read without TensorFlow.

The index is a sorted-string table as LevelDB writes it: blocks of prefix-compressed keys, each followed by a byte for
its compression and a checksum; the last 48 bytes tell where the block of blocks is. Its values are protocol buffers
that say in which shard, where and in which type the numbers of a tensor stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError, shorten
from cisweave.xpresso.importing.checksum import masked_crc32c
from cisweave.xpresso.importing.foreign import MOST_BYTES, checked
from cisweave.xpresso.importing.wire import block_entries, fields, messages, numbers, read_varint, signed

Array = NDArray[Any]

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
TRAILER = 5
"""Bytes behind each block: its compression, its checksum."""
LARGEST_INDEX = 64 << 20
TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    5: np.dtype("<i2"),
    6: np.dtype("i1"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    17: np.dtype("<u2"),
    19: np.dtype("<f2"),
    22: np.dtype("<u4"),
    23: np.dtype("<u8"),
}
"""TensorFlow's number of a type, and NumPy's type."""
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
"""What TensorFlow puts behind the name of a variable."""
VARIABLES = "variables"
INDEX = ".index"


@dataclass(frozen=True)
class Entry:
    """Where a tensor stands: type and shape, shard, offset and size in bytes, checksum (None: not told)."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int | None
    sliced: bool


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read.

    Attributes
    ----------
    tensors
        Name (as in the index) -> array, of the variables of the model.
    files
        Index and data files.
    folder
        The SavedModel the bundle is part of; None where it stands alone.
    """

    tensors: dict[str, Array]
    files: tuple[Path, ...]
    folder: Path | None = field(default=None)


def read_bundle(path: str | Path, data: str | Path | None = None) -> dict[str, Array]:
    """Name -> array of the model's variables in a bundle; see :func:`open_bundle`."""
    return open_bundle(path, data).tensors


def open_bundle(path: str | Path, data: str | Path | None = None) -> Bundle:
    """Read a bundle; every checksum in it is checked.

    Parameters
    ----------
    path
        A SavedModel folder, its ``variables`` folder, an ``.index`` file, or the common beginning of the names of
        index and data (``variables/variables``).
    data
        The data file, where it has lost its name; without it, the one other file of exactly the right size is taken.

    Returns
    -------
    Bundle
        Variables without the graph, the optimiser's state and metrics, which are left out.

    Raises
    ------
    CisweaveError
        If a file is absent, cut off, damaged (by its checksum) or of another kind.
    """
    prefix, folder = find_prefix(Path(path))
    index = checked(with_ending(prefix, INDEX))
    entries, shards = read_index(index)
    files = data_files(prefix, entries, shards, data)
    tensors = {
        name: read_tensor(files[entry.shard], short_name(name), entry)
        for name, entry in entries.items()
        if is_variable(name, entry)
    }
    if not tensors:
        raise CisweaveError("this index lists no variable of a model", path=index)
    return Bundle({short_name(name): values for name, values in tensors.items()}, (index, *files), folder)


def short_name(name: str) -> str:
    """The name of a variable without TensorFlow's suffix."""
    return name.removesuffix(SUFFIX)


def is_variable(name: str, entry: Entry) -> bool:
    """Whether an entry is a number array of the model, not the graph, the optimiser or a metric."""
    return (
        entry.dtype != 7  # text
        and not name.startswith(("optimizer/", "save_counter", "_CHECKPOINTABLE_OBJECT_GRAPH", "keras_api/"))
        and "/.OPTIMIZER_SLOT/" not in name
        and "keras_api/metrics/" not in name
    )


# --- which files ------------------------------------------------------------------------------------------------------
def find_prefix(path: Path) -> tuple[Path, Path | None]:
    """Common beginning of the names of index and data, and the SavedModel folder around them."""
    if path.is_dir():
        inside = path / VARIABLES if (path / VARIABLES).is_dir() else path
        found = sorted(inside.glob(f"*{INDEX}"))
        if (inside / f"{VARIABLES}{INDEX}") in found:
            found = [inside / f"{VARIABLES}{INDEX}"]
        if len(found) != 1:
            what = "no index" if not found else f"{len(found)} indices ({', '.join(each.name for each in found[:5])})"
            raise CisweaveError(
                f"this folder has {what}; a SavedModel has variables/variables.index and its data, name one", path=path
            )
        prefix = found[0].with_suffix("")
    else:
        prefix = path.with_suffix("") if path.suffix == INDEX else path
    inside = prefix.parent
    saved = inside.name == VARIABLES and prefix.name == VARIABLES
    return prefix, inside.parent if saved else None


def with_ending(prefix: Path, ending: str) -> Path:
    """The file whose name is the prefix with this ending."""
    return prefix.with_name(prefix.name + ending)


def data_files(prefix: Path, entries: dict[str, Entry], shards: int, data: str | Path | None) -> list[Path]:
    """The file of each shard, long enough for what the index says."""
    if data is not None and shards > 1:
        raise CisweaveError(f"the index tells of {shards} data files, so one named file is not enough", path=data)
    files = []
    for shard in range(shards):
        size = max((entry.offset + entry.size for entry in entries.values() if entry.shard == shard), default=0)
        path = Path(data) if data is not None else find_data(prefix, shard, shards, size)
        path = checked(path) if size else path
        if size and path.stat().st_size < size:
            raise CisweaveError(
                f"this file has {path.stat().st_size:,} bytes, the index needs {size:,}; it is cut off, or of another "
                "model: get it again",
                path=path,
            )
        files.append(path)
    return files


def find_data(prefix: Path, shard: int, shards: int, size: int) -> Path:
    """The data file of a shard, or the one file in its place that has exactly its size."""
    proper = with_ending(prefix, f".data-{shard:05d}-of-{shards:05d}")
    if proper.exists():
        return proper
    found = [
        each
        for each in sorted(prefix.parent.iterdir())
        if each.is_file() and each.suffix != INDEX and not each.name.startswith(".") and each.stat().st_size == size
    ]
    if len(found) == 1:
        return found[0]
    why = f"{', '.join(each.name for each in found)} could be it" if found else "no other file has its size"
    raise CisweaveError(
        f"the data file is absent, and {why}; get it, or say which file it is (--bundle-data)",
        path=proper,
    )


# --- the index --------------------------------------------------------------------------------------------------------
def read_index(path: Path) -> tuple[dict[str, Entry], int]:
    """Every entry of an index by name, and the number of data files."""
    if path.stat().st_size > LARGEST_INDEX:
        raise CisweaveError("this index is too large for the weights of a model", path=path)
    table = path.read_bytes()
    if len(table) < FOOTER or table[-len(MAGIC) :] != MAGIC:
        raise CisweaveError("this is not the index of a TensorFlow bundle, or it is cut off; get it again", path=path)
    try:
        pairs = dict(table_entries(table))
        shards = read_header(pairs.pop(b"", b""))
        entries = {key.decode("utf-8"): read_entry(value) for key, value in pairs.items()}
        for name, entry in entries.items():
            check_entry(name, entry, shards)
    except ValueError as error:
        raise CisweaveError(
            f"this index of a TensorFlow bundle is damaged ({error}); get it again", path=path
        ) from error
    return entries, shards


def table_entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted-string table, in order."""
    footer = table[-FOOTER:]
    further, place = read_handle(footer, 0)
    where, _ = read_handle(footer, place)
    read_block(table, further)
    for _, handle in block_entries(read_block(table, where)):
        yield from block_entries(read_block(table, read_handle(handle, 0)[0]))


def read_handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the place after them."""
    offset, place = read_varint(data, place)
    size, place = read_varint(data, place)
    return (offset, size), place


def read_block(table: bytes, where: tuple[int, int]) -> bytes:
    """A block whose checksum is right."""
    offset, size = where
    end = offset + size
    if end + TRAILER > len(table) - FOOTER:
        raise ValueError("a block reaches beyond the file")
    if masked_crc32c(table[offset : end + 1]) != int.from_bytes(table[end + 1 : end + TRAILER], "little"):
        raise ValueError("the checksum of a block is wrong")
    if table[end]:
        raise ValueError("a block is compressed, which TensorFlow does not do")
    return table[offset:end]


def read_header(value: bytes) -> int:
    """Number of data files."""
    header = numbers(value)
    shards = header.get(1, 0)
    if header.get(2, 0) != 0:
        raise ValueError("its numbers are big-endian")
    if not 1 <= shards <= 99_999:
        raise ValueError(f"its header tells of {shards} data files")
    return shards


def read_entry(value: bytes) -> Entry:
    """An entry from its message."""
    found = numbers(value)
    shape = tuple(
        signed(numbers(dimension).get(1, 0)) for each in messages(value, 2) for dimension in messages(each, 2)
    )
    sliced = any(number == 7 for number, _ in fields(value))
    return Entry(
        found.get(1, 0), shape, found.get(3, 0), signed(found.get(4, 0)), signed(found.get(5, 0)), found.get(6), sliced
    )


def check_entry(name: str, entry: Entry, shards: int) -> None:
    """Raise :class:`ValueError` unless an entry can be what it says."""
    if entry.shard not in range(shards) or entry.offset < 0 or not 0 <= entry.size <= MOST_BYTES:
        raise ValueError(f"{shorten(short_name(name))} stands at an impossible place")
    if not is_variable(name, entry):
        return
    if entry.sliced:
        raise ValueError(f"{shorten(short_name(name))} is cut into slices, which is not supported")
    if entry.dtype not in TYPES:
        raise ValueError(f"{shorten(short_name(name))} has TensorFlow's type {entry.dtype}, which is not supported")
    if min(entry.shape, default=0) < 0 or prod(entry.shape) * TYPES[entry.dtype].itemsize != entry.size:
        raise ValueError(f"{shorten(short_name(name))} of shape {entry.shape} does not have {entry.size} bytes")


def read_tensor(path: Path, name: str, entry: Entry) -> Array:
    """A tensor whose checksum is right."""
    with open(path, "rb") as handle:
        handle.seek(entry.offset)
        data = handle.read(entry.size)
    if entry.crc is not None and masked_crc32c(data) != entry.crc:
        raise CisweaveError(
            f"the checksum of {shorten(name)} is wrong; the file is damaged or of another model, get it again",
            path=path,
        )
    return np.frombuffer(data, dtype=TYPES[entry.dtype]).reshape(entry.shape)
