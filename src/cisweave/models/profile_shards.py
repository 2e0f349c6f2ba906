"""Shards of the store of chromatin profiles around TSS: an HDF5 file per job, and an index that makes them one store.

A shard holds ``profile`` (genes, bins, tracks), ``features`` (genes, basis * tracks) float32, a row per gene of
``gene_id``, ``chrom``, ``tss`` (1-based) and ``strand``, and ``tracks``; its attributes are ``settings``,
``model_sha256``, ``genome_sha256`` and ``part``. Nothing is compressed, and numbers lie in one piece: rows are read and
written at their place in the file, without HDF5. So a killed job can go on, as what HDF5 itself writes is complete
before the first gene.

Dimension legend
    genes - TSS in genome order, bins - places around the TSS in gene orientation (upstream first),
    tracks - chromatin outputs, basis - weight functions of the spatial features, units - rows of numbers that are read
    whole: a bin of a gene, or the features of a gene
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray
from pydantic import ValidationError

from cisweave.config import ProfileSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, read_json, sha256, write_json
from cisweave.core.logs import get_logger
from cisweave.core.parts import Part
from cisweave.tables.hdf5 import open_store
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

WHAT = "TSS profiles"
INDEX_FORMAT = "cisweave TSS profile shards 1"
TEXTS = ("gene_id", "chrom", "strand")
DIFFERENCES = {
    "tracks": "other tracks",
    "settings": "other settings",
    "model_sha256": "another chromatin model",
    "genome_sha256": "another FASTA",
}
"""What must be equal in all shards of a store, and how an error says that it is not."""
LINE = 9
"""Bytes of a line of the journal that stands for a gene: eight digits and the line end."""


# --- what a shard says of itself --------------------------------------------------------------------------------------
@dataclass
class ShardHeader:
    """Everything in a shard but the numbers.

    Attributes
    ----------
    genes
        Columns ``gene_id``, ``chrom``, ``tss`` (1-based), ``strand``; one row a gene.
    tracks
        Track names.
    settings
        How the profiles were made.
    model_sha256, genome_sha256
        SHA-256 of the weights of the chromatin model and of the FASTA; empty where they are not known.
    part
        Which part of an annotation the genes are; ``None`` where they are not part of any.
    """

    genes: pd.DataFrame
    tracks: list[str]
    settings: ProfileSettings = field(default_factory=ProfileSettings)
    model_sha256: str = ""
    genome_sha256: str = ""
    part: Part | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each dataset of numbers."""
        genes, tracks = len(self.genes), len(self.tracks)
        return {
            "profile": (genes, self.settings.bins, tracks),
            "features": (genes, 2 * len(self.settings.decay) * tracks),
        }

    @property
    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Type of each dataset of numbers."""
        return {"profile": np.dtype(self.settings.dtype), "features": np.dtype(np.float32)}


def store_order(genes: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of ``genes`` in the order of a store: contigs by the bytes of their names, then TSS; ties as they stand."""
    order: NDArray[np.int64] = np.lexsort((genes["tss"], genes["chrom"].map(str.encode))).astype(np.int64)
    return order


def read_header(store: Any, path: Path) -> ShardHeader:
    """The header of an open shard."""
    genes = pd.DataFrame({name: store[name].asstr()[:] for name in TEXTS}, dtype="str")
    genes["tss"] = store["tss"][:].astype(np.int64)
    try:
        settings = ProfileSettings.model_validate_json(store.attrs["settings"])
    except ValidationError as error:
        raise CisweaveError("another version made these TSS profiles; build them again", path=path) from error
    part = str(store.attrs.get("part", ""))
    return ShardHeader(
        genes[["gene_id", "chrom", "tss", "strand"]],
        store["tracks"].asstr()[:].tolist(),
        settings,
        str(store.attrs.get("model_sha256", "")),
        str(store.attrs.get("genome_sha256", "")),
        Part.parse(part) if part else None,
    )


# --- reading ----------------------------------------------------------------------------------------------------------
class Rows:
    """Units of one dataset, read where they lie in the file; through HDF5 where they do not lie in one piece.

    Attributes
    ----------
    width
        Numbers in a unit.
    per_gene
        Units of one gene: its bins, or 1.
    start
        Byte at which the numbers begin; ``None`` where they do not lie in one piece, or there are none.
    """

    def __init__(self, path: Path, dataset: Any):
        self.path, self.name = path, str(dataset.name)
        self.dtype, self.shape = np.dtype(dataset.dtype), tuple(dataset.shape)
        self.width, self.per_gene = int(self.shape[-1]), int(np.prod(self.shape[1:-1], dtype=np.int64))
        start = dataset.id.get_offset()
        self.start: int | None = None if start is None else int(start)
        self._file = -1
        if self.start is not None and path.stat().st_size < self.start + dataset.size * self.dtype.itemsize:
            raise CisweaveError(f"this store of {WHAT} is cut off; make or fetch it again", path=path)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": -1}

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; it opens again when asked."""
        if getattr(self, "_file", -1) >= 0:
            os.close(self._file)
            self._file = -1

    def fill(self, first: int, target: NDArray[np.float32]) -> None:
        """Fill ``target`` (units, width) with the units from ``first`` on."""
        if self.start is None:
            self._read_hdf5(first, target)
        elif self.dtype == target.dtype:
            self._read_bytes(self.start + first * self.width * self.dtype.itemsize, target)
        else:
            stored = np.empty(target.shape, self.dtype)
            self._read_bytes(self.start + first * self.width * self.dtype.itemsize, stored)
            target[:] = stored

    def _read_bytes(self, offset: int, target: NDArray[Any]) -> None:
        """Fill ``target`` from a place in the file."""
        if self._file < 0:
            self._file = os.open(existing(self.path), os.O_RDONLY)
        rest = bytes_of(target)
        while rest:
            done = os.preadv(self._file, [rest], offset)
            if not done:
                raise CisweaveError(f"this store of {WHAT} is cut off; make or fetch it again", path=self.path)
            rest, offset = rest[done:], offset + done

    def _read_hdf5(self, first: int, target: NDArray[Any]) -> None:
        """Fill ``target`` with units that HDF5 keeps in chunks, gene by gene."""
        done = 0
        with open_store(self.path, WHAT) as store:
            while done < len(target):
                gene, place = divmod(first + done, self.per_gene)
                count = min(self.per_gene - place, len(target) - done)
                where = (gene,) if len(self.shape) == 2 else (gene, slice(place, place + count))
                target[done : done + count] = store[self.name][where]
                done += count


class ProfileShard:
    """One shard, opened to read: its header, ``profile`` and ``features`` (``None`` where it has none)."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            with open_store(path, WHAT) as store:
                self.header = read_header(store, self.path)
                self.profile = Rows(self.path, store["profile"])
                self.features = Rows(self.path, store["features"]) if "features" in store else None
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise CisweaveError(f"this is not a store of {WHAT}, or it is damaged ({error})", path=path) from error
        if not all(
            rows is None or (rows.shape == self.header.shapes[name] and rows.dtype.kind == "f")
            for name, rows in (("profile", self.profile), ("features", self.features))
        ):
            raise CisweaveError(f"this is not a store of {WHAT}: its parts do not fit each other", path=path)

    def __len__(self) -> int:
        return len(self.header.genes)

    def close(self) -> None:
        """Let go of the file."""
        for rows in (self.profile, self.features):
            if rows is not None:
                rows.close()


# --- writing ----------------------------------------------------------------------------------------------------------
class ShardWriter:
    """Writes one shard gene by gene; made by :func:`write_shard`.

    Attributes
    ----------
    whole
        Genes that are written; of work that was cut short, those that need not be made again.
    """

    def __init__(self, work: Path, journal: IO[bytes], header: ShardHeader, offsets: Mapping[str, int], whole: int):
        self.whole = whole
        self._header, self._offsets, self._journal = header, offsets, journal
        self._file = os.open(work, os.O_RDWR)

    def append(self, profile: NDArray[Any], features: NDArray[Any]) -> None:
        """Write the next gene: probabilities (bins, tracks) and spatial features (basis * tracks,)."""
        if self.whole == len(self._header.genes):
            raise CisweaveError("there are more profiles than genes")
        check = 0
        for name, values in (("profile", profile), ("features", features)):
            row = self._checked(name, values)
            write_at(self._file, row, self._offsets[name] + self.whole * row.nbytes)
            check = zlib.crc32(bytes_of(row), check)
        self._journal.write(b"%08x\n" % check)
        self._journal.flush()
        self.whole += 1

    def _checked(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """A row of a dataset as it is stored."""
        shape = self._header.shapes[name][1:]
        gene = self._header.genes.gene_id.iloc[self.whole]
        if values.shape != shape:
            raise CisweaveError(f"the {name} of gene {gene} has the shape {values.shape}, not {shape}")
        row = np.ascontiguousarray(values, dtype=self._header.dtypes[name])
        if not np.isfinite(row).all():
            raise CisweaveError(f"the {name} of gene {gene} holds values that are not finite; check the model")
        return row

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


@contextmanager
def write_shard(
    path: str | Path, header: ShardHeader, identity: Mapping[str, Any] | None = None
) -> Iterator[ShardWriter]:
    """Open a shard to write; it takes its name when all genes are written and the block ends well.

    What is written stands beside it until then (``.resume-<name>``, with a journal of the genes that are whole). Where
    the block ends early, or the process is killed, the next call goes on after the last whole gene, if it is the same
    work; the bytes are those of undisturbed work.

    Parameters
    ----------
    identity
        What tells this work from other work besides the header, as JSON can say it: checksums of inputs above all.
        ``None``: work that was cut short is thrown away.

    Raises
    ------
    CisweaveError
        If the block ended without all genes, or another process is writing the same shard.
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file():
        raise CisweaveError("this is a folder, a device or a pipe; write the name of a file", path=path)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".resume-{path.name}")
    journal_path = work.with_name(f"{work.name}.journal")
    with open(journal_path, "a+b") as journal:
        lock(journal, path)
        try:
            writer = resume(work, journal, header, identity or {})
            try:
                yield writer
            finally:
                writer.close()
            if writer.whole != len(header.genes):
                raise CisweaveError(f"{writer.whole} of {len(header.genes)} genes were written", path=path)
            os.replace(work, path)
            journal_path.unlink()
        finally:
            if identity is None:
                work.unlink(missing_ok=True)
                journal_path.unlink(missing_ok=True)


def lock(journal: IO[bytes], path: Path) -> None:
    """Keep other processes from the same shard until the journal is closed, or the process ends."""
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CisweaveError("another process is writing this file; wait for it, or end it", path=path) from error
    except OSError as error:
        logger.warning("%s: this file system cannot lock files (%s); start one job per file only", path, error)


def resume(work: Path, journal: IO[bytes], header: ShardHeader, identity: Mapping[str, Any]) -> ShardWriter:
    """A writer that goes on after the whole genes of ``work``, or begins anew where it is other work."""
    key = identity_line(header, identity)
    journal.seek(0)
    old_key, *lines = journal.read().splitlines(keepends=True) or [b""]
    offsets = find_offsets(work, header) if old_key == key else None
    if offsets is None:
        if old_key:
            logger.info("%s: what an earlier job left is of other inputs or settings; beginning anew", work)
        journal.truncate(0)
        offsets = create_shard(work, header)
        journal.write(key)
        journal.flush()
        return ShardWriter(work, journal, header, offsets, 0)
    whole = whole_genes(work, header, offsets, lines)
    journal.truncate(len(key) + LINE * whole)
    logger.info("%s: going on after %d of %d genes", work, whole, len(header.genes))
    return ShardWriter(work, journal, header, offsets, whole)


def identity_line(header: ShardHeader, identity: Mapping[str, Any]) -> bytes:
    """The first line of a journal: a checksum of all that the bytes of a shard depend on."""
    genes = header.genes[["gene_id", "chrom", "tss", "strand"]].astype(str).to_numpy().tolist()
    said = [INDEX_FORMAT, genes, header.tracks, header.settings.model_dump(mode="json")]
    said += [header.model_sha256, header.genome_sha256, str(header.part), dict(identity)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest().encode() + b"\n"


def whole_genes(work: Path, header: ShardHeader, offsets: Mapping[str, int], lines: Sequence[bytes]) -> int:
    """How many genes, from the first, lie in ``work`` as the lines of the journal say."""
    sizes = {
        name: int(np.prod(shape[1:], dtype=np.int64)) * header.dtypes[name].itemsize
        for name, shape in header.shapes.items()
    }
    whole = 0
    with open(work, "rb") as handle:
        for line in lines[: len(header.genes)]:
            check = 0
            for name, size in sizes.items():
                handle.seek(offsets[name] + whole * size)
                check = zlib.crc32(handle.read(size), check)
            if line != b"%08x\n" % check:
                break
            whole += 1
    return whole


def bytes_of(values: NDArray[Any]) -> memoryview:
    """The memory of an array that lies in one piece."""
    return values.reshape(-1).view(np.uint8).data


def write_at(file: int, row: NDArray[Any], offset: int) -> None:
    """Write an array at a place in an open file."""
    rest = bytes_of(row)
    while rest:
        done = os.pwrite(file, rest, offset)
        rest, offset = rest[done:], offset + done


# --- the file ---------------------------------------------------------------------------------------------------------
def create_shard(path: Path, header: ShardHeader) -> dict[str, int]:
    """Write a shard whose numbers are zero; gives where the numbers of each dataset begin in the file."""
    import h5py

    text = h5py.string_dtype()
    with h5py.File(path, "w") as store:
        for name in TEXTS:
            values = np.array(header.genes[name].astype(str).tolist(), dtype=object)
            store.create_dataset(name, (len(values),), text, data=values if len(values) else None, track_times=False)
        store.create_dataset("tss", data=header.genes.tss.to_numpy(np.int64), track_times=False)
        store.create_dataset("tracks", data=np.array(header.tracks, dtype=object), dtype=text, track_times=False)
        store.attrs["settings"] = header.settings.model_dump_json()
        store.attrs["model_sha256"] = header.model_sha256
        store.attrs["genome_sha256"] = header.genome_sha256
        store.attrs["part"] = str(header.part or "")
        for name, shape in header.shapes.items():
            reserve(store, name, shape, header.dtypes[name])
    found = find_offsets(path, header)
    if found is None:
        raise CisweaveError("the file system did not keep the file as it was written", path=path)
    return found


def reserve(store: Any, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """Set aside the place of a dataset, in one piece, without writing to it."""
    import h5py

    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plan.set_obj_track_times(False)
    space, kind = h5py.h5s.create_simple(shape), h5py.h5t.py_create(np.dtype(dtype), logical=True)
    h5py.h5d.create(store.id, name.encode(), kind, space, plan)


def find_offsets(path: Path, header: ShardHeader) -> dict[str, int] | None:
    """Where the numbers of each dataset begin in a shard that is being written; ``None`` where it is no such file."""
    with suppress(CisweaveError):
        shard = ProfileShard(path)
        found = {"profile": shard.profile, "features": shard.features}
        shard.close()
        if all(rows is not None and rows.shape == header.shapes[name] for name, rows in found.items()):
            return {name: rows.start or 0 for name, rows in found.items() if rows is not None}
    return None


# --- the index --------------------------------------------------------------------------------------------------------
def index_profiles(shards: Sequence[str | Path], out: str | Path) -> Path:
    """Write the index of the shards of scattered jobs, last and atomically, so that it stands for whole shards only.

    Parameters
    ----------
    shards
        HDF5 files; parts may be named in any order, other shards stand in the order given. They are read and checked.
    out
        JSON: ``format``, ``genes`` and ``tracks`` (how many), ``model_sha256``, ``genome_sha256``, ``settings`` and
        ``shards``, a list of ``file`` (relative to the index), ``part``, ``genes``, ``bytes`` and ``sha256``.

    Raises
    ------
    CisweaveError
        If a shard is absent, cut off, or made with another model, genome or other settings than the first; if a gene
        stands in two rows; if a part is missing.
    """
    out = Path(out)
    opened = [ProfileShard(existing(path)) for path in shards]
    check_shards(opened)
    check_parts(opened)
    opened.sort(key=lambda shard: shard.header.part.number if shard.header.part else 0)
    rows = [describe(shard, out) for shard in opened]
    first = opened[0].header
    settings = first.settings.model_dump(mode="json")
    content = {
        "format": INDEX_FORMAT,
        "genes": sum(len(shard) for shard in opened),
        "tracks": len(first.tracks),
        "model_sha256": first.model_sha256,
        "genome_sha256": first.genome_sha256,
        "settings": settings,
        "shards": rows,
    }
    write_json(out, content)
    write_receipt(out, settings=settings, inputs=shards, notes={"genes": content["genes"]})
    logger.info("index: %d shards, %d genes", len(opened), content["genes"])
    return out


def describe(shard: ProfileShard, index: Path) -> dict[str, Any]:
    """What an index says of a shard."""
    return {
        "file": os.path.relpath(shard.path.resolve(), index.resolve().parent),
        "part": str(shard.header.part or ""),
        "genes": len(shard),
        "bytes": shard.path.stat().st_size,
        "sha256": sha256(shard.path),
    }


def check_shards(shards: Sequence[ProfileShard]) -> None:
    """Raise unless shards make one store: made in one way, each gene once; what does not fit is named."""
    if not shards:
        raise CisweaveError("there is no shard; name at least one")
    first = shards[0]
    for shard in shards[1:]:
        for name, difference in DIFFERENCES.items():
            if getattr(shard.header, name) != getattr(first.header, name):
                message = f"this shard was made with {difference} than {first.path}; build it again"
                raise CisweaveError(message, path=shard.path)
    seen: dict[str, Path] = {}
    for shard in shards:
        for gene in shard.header.genes.gene_id:
            if gene in seen:
                raise CisweaveError(f"gene {gene} stands here and in {seen[gene]}; keep it once", path=shard.path)
            seen[gene] = shard.path


def check_parts(shards: Sequence[ProfileShard]) -> None:
    """Raise if shards that are parts of one annotation lack a part."""
    parts = {shard.header.part for shard in shards}
    totals = {part.of if part else None for part in parts}
    if totals == {None}:
        return
    total = totals.pop()
    if totals or total is None:
        raise CisweaveError("these shards are not the parts of one store; build all with the same number of parts")
    missing = [number for number in range(1, total + 1) if Part(number, total) not in parts]
    if missing:
        raise CisweaveError(f"part {missing[0]}/{total} is not here; name the shards of all parts", path=shards[0].path)


def read_index(path: Path, verify: bool = False) -> list[Path]:
    """The shards of an index: all there, of the right size, and with ``verify`` of the right bytes."""
    content = read_json(path)
    try:
        known = content["format"] == INDEX_FORMAT
        rows = [(path.parent / row["file"], int(row["bytes"]), str(row["sha256"])) for row in content["shards"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CisweaveError(f"this is not an index of {WHAT} ({error}); make it anew", path=path) from error
    if not known:
        raise CisweaveError(f"this is not an index of {WHAT} ({content['format']}); make it anew", path=path)
    for shard, size, digest in rows:
        if existing(shard).stat().st_size != size or (verify and sha256(shard) != digest):
            raise CisweaveError(f"this shard is not the one that {path} names; build it or index anew", path=shard)
    return [shard for shard, _, _ in rows]


def check_index(path: Path, shards: Sequence[ProfileShard]) -> None:
    """Raise unless an index says of its shards what they are: whole, of one model, with so many genes."""
    content = read_json(path)
    check_parts(shards)
    said = (content.get("genes"), content.get("model_sha256"))
    if said != (sum(len(shard) for shard in shards), shards[0].header.model_sha256):
        raise CisweaveError("the index does not fit its shards; make it anew with seal index-profiles", path=path)
