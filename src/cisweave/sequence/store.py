"""Sequences on disk: HDF5 shards, one per job, and an index that makes one store of them.

A shard holds ``codes`` and ``locus_id``. Windows of one length are ``codes`` uint8 (loci, length). Sequences of
different lengths stand one after the other in ``codes`` uint8 (bases,), and ``offsets`` int64 (loci + 1,) says where
each begins. Nothing is compressed: rows are read where they lie in the file, without HDF5, which makes a random row
about a hundred times faster than from compressed chunks of 64 (files are 1.7 times larger). Compressed shards are
read, too.

Dimension legend
    loci - sequences, length - bases of a window, bases - bases of all sequences, 4 - channels A, C, G, T
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, existing, read_json, sha256, write_json
from cisweave.core.logs import get_logger
from cisweave.sequence.onehot import LETTERS, Codes, one_hot, one_hot_array
from cisweave.tables.hdf5 import open_store
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    import torch

logger = get_logger(__name__)

WHAT = "extracted sequences"
INDEX_FORMAT = "cisweave sequence shards 1"
CHUNK_BYTES = 1 << 17
RAGGED_CHUNK = 1 << 16


# --- writing ----------------------------------------------------------------------------------------------------------
class StoreWriter:
    """Writes one shard, part by part; made by :func:`create_store`."""

    def __init__(self, store: Any, ragged: bool):
        self._store = store
        self._ragged = ragged
        self._codes: Any = None
        self._ids: list[Any] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._columns: dict[str, list[Any]] = {}
        store.attrs["alphabet"] = LETTERS + "N"

    def append(self, codes: Codes | Sequence[Codes], ids: Sequence[Any], **columns: Sequence[Any]) -> None:
        """Add windows (loci, length), or sequences of any length, with their ids and further values per locus."""
        part = np.concatenate([np.zeros(0, np.uint8), *codes]) if self._ragged else np.asarray(codes)
        if self._codes is None:
            if not len(part):
                return
            self._codes = self._create(part)
        else:
            self._codes.resize(self._codes.shape[0] + len(part), axis=0)
            self._codes[len(self._codes) - len(part) :] = part
        self._ids.extend(ids)
        if self._ragged:
            self._lengths.append(np.array([len(row) for row in codes], dtype=np.int64))
        for name, values in columns.items():
            self._columns.setdefault(name, []).extend(values)

    def _create(self, part: Codes) -> Any:
        """The dataset, beginning with a first part."""
        rows = RAGGED_CHUNK if self._ragged else max(1, CHUNK_BYTES // part.shape[1])
        return self._store.create_dataset(
            "codes",
            data=part,
            maxshape=(None, *part.shape[1:]),
            chunks=(min(rows, len(part)), *part.shape[1:]),
            track_times=False,
        )

    def finish(self, length: int, whole_ids: bool) -> None:
        """Write what is known at the end only."""
        if self._codes is None:
            self._store.create_dataset("codes", (0,) if self._ragged else (0, length), "uint8", track_times=False)
        self._store.create_dataset("locus_id", data=id_array(self._ids, whole_ids), track_times=False)
        if self._ragged:
            offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *self._lengths]))
            self._store.create_dataset("offsets", data=offsets, track_times=False)
        for name, values in self._columns.items():
            self._store.create_dataset(name, data=column_array(values), track_times=False)


@contextmanager
def create_store(
    path: str | Path, *, ragged: bool = False, length: int = 0, whole_ids: bool = False
) -> Iterator[StoreWriter]:
    """Open a shard to write; it appears whole when the block ends well. The same sequences give the same bytes.

    Parameters
    ----------
    ragged
        Whether sequences have different lengths.
    length
        Bases per window, kept where there is no window at all.
    whole_ids
        Whether ids are whole numbers; else they are text.
    """
    import h5py

    with atomic_path(path) as temporary, h5py.File(temporary, "w") as store:
        writer = StoreWriter(store, ragged)
        yield writer
        writer.finish(length, whole_ids)


def id_array(ids: Sequence[Any], whole: bool) -> NDArray[Any]:
    """Ids (loci,) as int64, or as UTF-8 bytes; without any row int64 in either case."""
    if whole or not len(ids):
        return np.asarray(ids, dtype=np.int64)
    return np.asarray([str(value).encode() for value in ids])


def column_array(values: Sequence[Any]) -> NDArray[Any]:
    """Values of one kind as an array that HDF5 takes: text as UTF-8 bytes."""
    if values and isinstance(values[0], str):
        return np.asarray([value.encode() for value in values])
    return np.asarray(values)


# --- one shard --------------------------------------------------------------------------------------------------------
class Shard:
    """One shard, opened when it is first asked for."""

    def __init__(self, path: Path):
        self.path = path
        self.offsets: NDArray[np.int64] | None = None
        try:
            with open_store(path, WHAT) as store:
                self._describe(store)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise CisweaveError(f"this is not a store of {WHAT}, or it is damaged ({error})", path=path) from error
        self._map: NDArray[np.uint8] | None = None
        self._handle: Any = None
        self._owner = -1

    def _describe(self, store: Any) -> None:
        """Read everything but the sequences."""
        codes = store["codes"]
        self.ragged = "offsets" in store
        self.offsets = store["offsets"][:] if self.ragged else None
        self.length: int | None = None if self.ragged or codes.ndim != 2 else int(codes.shape[1])
        self.rows = len(self.offsets) - 1 if self.offsets is not None else int(codes.shape[0])
        self.ids: list[Any] = decoded(store["locus_id"][:])
        self.columns = [name for name in store if name not in ("codes", "locus_id", "offsets")]
        self._check(codes)
        self._places = None if self.ragged else row_places(codes)
        if self._places is not None and len(self._places):
            assert self.length is not None
            if int(self._places.max()) + self.length > self.path.stat().st_size:
                raise ValueError("rows lie beyond the end of the file")

    def _check(self, codes: Any) -> None:
        """Raise unless the parts of the shard belong together."""
        whole = codes.dtype == np.uint8 and codes.ndim == (1 if self.ragged else 2) and len(self.ids) == self.rows
        if self.offsets is not None:
            offsets = self.offsets
            whole = whole and len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(codes)
            whole = whole and bool((np.diff(offsets) >= 0).all())
        if not whole:
            raise CisweaveError(f"this is not a store of {WHAT}: its parts do not fit each other", path=self.path)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None, "_handle": None, "_owner": -1}

    def read(self, rows: Sequence[int] | NDArray[np.int64], start: int = 0, end: int | None = None) -> Codes:
        """Codes (rows, end - start) of windows of one length, or of a part of each."""
        assert self.length is not None
        end = self.length if end is None else end
        out = np.empty((len(rows), end - start), np.uint8)
        if self._places is not None:
            bytes_ = self._bytes()
            for number, place in enumerate(self._places[np.asarray(rows, np.int64)].tolist()):
                out[number] = bytes_[place + start : place + end]
            return out
        codes = self._open()["codes"]
        for number, row in enumerate(rows):
            out[number] = codes[int(row), start:end]
        return out

    def sequence(self, row: int) -> Codes:
        """Codes (length,) of one sequence."""
        codes: Codes
        if self.offsets is None:
            codes = self.read([row])[0]
        else:
            codes = self._open()["codes"][int(self.offsets[row]) : int(self.offsets[row + 1])]
        return codes

    def column(self, name: str) -> NDArray[Any]:
        """A further dataset, whole."""
        values: NDArray[Any] = self._open()[name][:]
        return np.array(decoded(values), dtype=object) if values.dtype.kind in "SO" else values

    def _bytes(self) -> NDArray[np.uint8]:
        """The file, read by the operating system where it is asked for."""
        if self._map is None:
            self._map = np.asarray(np.memmap(self.path, np.uint8, "r"))
        return self._map

    def _open(self) -> Any:
        """The HDF5 file, opened anew in each process."""
        import h5py

        if self._handle is None or self._owner != os.getpid():
            try:
                self._handle, self._owner = h5py.File(existing(self.path)), os.getpid()
            except OSError as error:
                raise CisweaveError(f"this is not a store of {WHAT} ({error})", path=self.path) from error
        return self._handle

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None and self._owner == os.getpid():
            self._handle.close()
        self._handle = self._map = None


def decoded(values: NDArray[Any]) -> list[Any]:
    """Whole numbers as they are, bytes as text."""
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values.tolist()]


def row_places(codes: Any) -> NDArray[np.int64] | None:
    """The byte at which each row of an uncompressed dataset begins in its file; ``None`` for a compressed one."""
    rows, length = codes.shape
    start = codes.id.get_offset()
    if start is not None:
        contiguous: NDArray[np.int64] = np.arange(rows, dtype=np.int64) * length + int(start)
        return contiguous
    if codes.chunks is None or codes.chunks[1] != length or codes.id.get_create_plist().get_nfilters():
        return None
    places = np.zeros(rows, dtype=np.int64)
    per_chunk = codes.chunks[0]
    found = 0

    def note(chunk: Any) -> None:
        nonlocal found
        first = chunk.chunk_offset[0]
        count = min(per_chunk, rows - first)
        places[first : first + count] = chunk.byte_offset + np.arange(count, dtype=np.int64) * length
        found += count

    if rows:
        codes.id.chunk_iter(note)
    return places if found == rows else None


# --- the index --------------------------------------------------------------------------------------------------------
def index_shards(shards: Sequence[str | Path], out: str | Path) -> Path:
    """Write the index of the shards of scattered jobs, last and atomically, so that it stands for whole shards only.

    Parameters
    ----------
    shards
        HDF5 files in the order of their rows. They are read and checked.
    out
        JSON: ``format``, ``rows``, ``length`` (``null`` where sequences differ in length) and ``shards``, a list of
        ``file`` (relative to the index), ``rows``, ``bytes`` and ``sha256``.

    Raises
    ------
    CisweaveError
        If a shard is absent, cut off, of another length than the others, or an id stands in two rows.
    """
    out = Path(out)
    opened = [Shard(existing(path)) for path in shards]
    check_shards(opened)
    rows = []
    for shard in opened:
        file = os.path.relpath(shard.path.resolve(), out.resolve().parent)
        size = shard.path.stat().st_size
        rows.append({"file": file, "rows": shard.rows, "bytes": size, "sha256": sha256(shard.path)})
    content = {
        "format": INDEX_FORMAT,
        "rows": sum(shard.rows for shard in opened),
        "length": common_length(opened),
        "shards": rows,
    }
    write_json(out, content)
    write_receipt(out, inputs=shards, notes={"sequences": content["rows"]})
    logger.info("index: %d shards, %d sequences", len(opened), content["rows"])
    return out


def check_shards(shards: Sequence[Shard]) -> dict[Any, int]:
    """The row of each id in shards that make one store; what does not fit is an error that names the shard."""
    if not shards:
        raise CisweaveError("there is no shard; name at least one")
    filled = [shard for shard in shards if shard.rows] or list(shards[:1])
    first = filled[0]
    found: dict[Any, int] = {}
    row = 0
    for shard in filled:
        if (shard.ragged, shard.length) != (first.ragged, first.length):
            raise CisweaveError(
                f"this shard has sequences of {kind(shard)}, {first.path} of {kind(first)}; extract them anew",
                path=shard.path,
            )
        found.update(zip(shard.ids, range(row, row + shard.rows), strict=True))
        row += shard.rows
        if len(found) != row:
            raise CisweaveError("a locus_id stands in two rows, here or in another shard", path=shard.path)
    return found


def kind(shard: Shard) -> str:
    """How long the sequences of a shard are, in words."""
    return "different lengths" if shard.ragged else f"{shard.length} bases"


def common_length(shards: Sequence[Shard]) -> int | None:
    """Bases per window of shards that fit each other."""
    return next((shard.length for shard in shards if shard.rows), shards[0].length)


def read_shard_index(path: Path, verify: bool) -> list[Path]:
    """The shards of an index: all there, of the right size, and with ``verify`` of the right bytes."""
    content = read_json(path)
    try:
        known = content["format"] == INDEX_FORMAT
        rows = [(path.parent / row["file"], int(row["bytes"]), str(row["sha256"])) for row in content["shards"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CisweaveError(f"this is not an index of shards ({error}); make it anew", path=path) from error
    if not known:
        raise CisweaveError(f"this is not an index of shards ({content['format']}); make it anew", path=path)
    for shard, size, digest in rows:
        if existing(shard).stat().st_size != size or (verify and sha256(shard) != digest):
            raise CisweaveError(f"this shard is not the one that {path} names; extract it or index anew", path=shard)
    return [shard for shard, _, _ in rows]


# --- the store --------------------------------------------------------------------------------------------------------
class SequenceStore:
    """Sequences of one or several shards, by row or by locus id.

    Any row is read by itself and without HDF5 (where windows have one length); the store can be pickled and forked, as
    the workers of a data loader do it.

    Parameters
    ----------
    source
        A shard (HDF5), an index (:func:`index_shards`), or a list of shards.
    verify
        Compare the checksums of an index, too; that reads all bytes.

    Attributes
    ----------
    ids
        Locus ids in the order of rows: whole numbers or text.
    length
        Bases per window, ``None`` where sequences differ in length.

    Raises
    ------
    CisweaveError
        If a shard is absent, cut off or not the one indexed, or shards do not fit each other.
    """

    def __init__(self, source: str | Path | Sequence[str | Path], verify: bool = False):
        if isinstance(source, str | Path):
            source = Path(source)
            paths = read_shard_index(existing(source), verify) if source.suffix == ".json" else [existing(source)]
        else:
            paths = [existing(path) for path in source]
        self._shards = [Shard(path) for path in paths]
        self._rows = check_shards(self._shards)
        self._starts = np.cumsum([0, *(shard.rows for shard in self._shards)])
        self.ids: list[Any] = [value for shard in self._shards for value in shard.ids]
        self.length = common_length(self._shards)

    def __len__(self) -> int:
        return len(self.ids)

    def __enter__(self) -> SequenceStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the shards; they open again when asked."""
        for shard in self._shards:
            shard.close()

    def row_of(self, locus_id: Any) -> int:
        """Row of a locus; an unknown one is an error."""
        try:
            return self._rows[locus_id]
        except (KeyError, TypeError):
            raise CisweaveError(f"locus {locus_id} is not in this store", path=self._shards[0].path) from None

    def __getitem__(self, row: int) -> Codes:
        """Codes (length,) of one sequence."""
        row = self._checked(row)
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._shards[number].sequence(row - int(self._starts[number]))

    def __iter__(self) -> Iterator[Codes]:
        return (self[row] for row in range(len(self)))

    def locus(self, locus_id: Any) -> Codes:
        """Codes (length,) of a locus."""
        return self[self.row_of(locus_id)]

    def read(self, rows: Sequence[int] | NDArray[Any] | None = None, start: int = 0, end: int | None = None) -> Codes:
        """Codes uint8 (rows, length) of windows of one length, in the order asked for.

        Parameters
        ----------
        rows
            Which rows; ``None``: all.
        start, end
            Part of each window (0-based half-open) that is read, and no more; ``None``: to its end.
        """
        if self.length is None:
            raise CisweaveError("these sequences differ in length; read them one by one", path=self._shards[0].path)
        end = self.length if end is None else end
        if not 0 <= start <= end <= self.length:
            raise CisweaveError(f"{start}:{end} is no part of {self.length} bases", path=self._shards[0].path)
        asked = np.arange(len(self)) if rows is None else np.array([self._checked(int(row)) for row in rows], dtype=int)
        out = np.empty((len(asked), end - start), np.uint8)
        shards = np.searchsorted(self._starts, asked, side="right") - 1
        for number in np.unique(shards).tolist():
            chosen = shards == number
            out[chosen] = self._shards[number].read(asked[chosen] - self._starts[number], start, end)
        return out

    def one_hot(self, rows: Sequence[int] | NDArray[Any] | None = None, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """One-hot (rows, 4, length) of windows of one length; unknown bases are columns of zeros."""
        return one_hot_array(self.read(rows), dtype)

    def tensor(
        self, rows: Sequence[int] | NDArray[Any] | None = None, device: torch.device | str = "cpu"
    ) -> torch.Tensor:
        """One-hot float32 tensor (rows, 4, length) of windows of one length."""
        return one_hot(self.read(rows), device)

    def column(self, name: str) -> NDArray[Any]:
        """Another value per sequence, such as ``cds_start`` of transcripts (loci,)."""
        filled = [shard for shard in self._shards if shard.rows]
        for shard in filled:
            if name not in shard.columns:
                listed = ", ".join(shard.columns) or "none"
                raise CisweaveError(f"there is no {name} in this shard; further columns: {listed}", path=shard.path)
        return np.concatenate([shard.column(name) for shard in filled]) if filled else np.zeros(0)

    def _checked(self, row: int) -> int:
        """A row from 0; one beyond the end ends an iteration."""
        if row < 0:
            row += len(self)
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return row


# --- for torch --------------------------------------------------------------------------------------------------------
class SequenceDataset:
    """One-hot windows of a store as a map-style dataset of torch: ``DataLoader(SequenceDataset(store), …)``.

    An item is a float32 tensor (4, length); with ``hot=False`` it is uint8 codes (length,), to be made one-hot on the
    device (:func:`cisweave.sequence.onehot.one_hot`): a sixteenth of the bytes to move.

    Parameters
    ----------
    store
        Windows of one length.
    rows
        Which rows, in which order; ``None``: all.
    """

    def __init__(self, store: SequenceStore, rows: Sequence[int] | None = None, hot: bool = True):
        self.store = store
        self.rows = np.arange(len(store)) if rows is None else np.asarray(rows, dtype=np.int64)
        self.hot = hot

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> torch.Tensor:
        return self.__getitems__([item])[0]

    def __getitems__(self, items: Sequence[int]) -> list[torch.Tensor]:
        """A batch at once, as torch's data loader asks for it."""
        import torch

        codes = self.store.read(self.rows[np.asarray(items, dtype=np.int64)])
        return list(one_hot(codes) if self.hot else torch.from_numpy(codes))
