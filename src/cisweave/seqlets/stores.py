"""The HDF5 files of this room: sequences in, attributions out, TSS profiles in.

Dimension legend
    loci - rows of the locus table, items - one locus attributed for one track, length - bases of a window,
    bins - places around a TSS in gene orientation, tracks - chromatin outputs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config.sections import ProfileSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, existing
from cisweave.sequence.onehot import Codes

PROFILE_BLOCK = 256
"""Genes read from a profile store at a time."""


@contextmanager
def open_store(path: str | Path, what: str) -> Iterator[Any]:
    """Open an HDF5 file to read; a file of another kind or without what is asked of it is a clear error."""
    import h5py

    try:
        with h5py.File(existing(path)) as store:
            yield store
    except (OSError, KeyError) as error:
        raise CisweaveError(f"this is not a store of {what} ({error})", path=path) from error


# --- sequences --------------------------------------------------------------------------------------------------------
def read_sequences(path: str | Path, loci: pd.DataFrame) -> Codes:
    """Codes uint8 (loci, length) of the sequences extracted for a locus table; rows must be the table's, in order."""
    with open_store(path, "extracted sequences") as store:
        codes: Codes = store["codes"][:]
        locus_id = store["locus_id"][:]
    if not np.array_equal(locus_id.astype(np.int64), loci.locus_id.to_numpy()):
        raise CisweaveError("the sequences are not those of this locus table; extract them again", path=path)
    if len(loci) and codes.shape[1] != int(loci.end[0] - loci.start[0]):
        raise CisweaveError(
            f"sequences of {codes.shape[1]} bp for windows of {loci.end[0] - loci.start[0]} bp; extract them again",
            path=path,
        )
    return codes


# --- attributions -----------------------------------------------------------------------------------------------------
@dataclass
class Attributions:
    """Attributions of items: an item is one locus attributed for one track.

    Attributes
    ----------
    item_id
        int64 (items,), stable across filters.
    locus_id
        int64 (items,), row of the locus table.
    track
        Track name of each item.
    codes
        uint8 (items, length), the sequence: A 0, C 1, G 2, T 3.
    projected
        float32 (items, length), contribution of the base that is there, in logits of the track.
    hypothetical
        float32 (items, 4, length), what each base A, C, G, T would contribute in its place.
    """

    item_id: NDArray[np.int64]
    locus_id: NDArray[np.int64]
    track: list[str]
    codes: Codes
    projected: NDArray[np.float32]
    hypothetical: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.item_id)

    def subset(self, keep: NDArray[np.bool_]) -> Attributions:
        """The items where ``keep`` is true."""
        return Attributions(
            self.item_id[keep],
            self.locus_id[keep],
            [track for track, kept in zip(self.track, keep, strict=True) if kept],
            self.codes[keep],
            self.projected[keep],
            self.hypothetical[keep],
        )


def write_attributions(path: str | Path, attributions: Attributions) -> None:
    """Write attributions; the same content gives the same bytes."""
    import h5py

    with atomic_path(path) as temporary, h5py.File(temporary, "w") as store:
        for name in ("item_id", "locus_id", "codes", "projected", "hypothetical"):
            values = getattr(attributions, name)
            chunks = (1, *values.shape[1:]) if values.ndim > 1 and values.size else None
            store.create_dataset(name, data=values, chunks=chunks, track_times=False)
        write_text(store, "track", attributions.track)


def write_text(store: Any, name: str, values: Sequence[str]) -> None:
    """Write text as UTF-8, also where there is none."""
    import h5py

    store.create_dataset(name, data=list(values), dtype=h5py.string_dtype(), track_times=False)


def read_attributions(path: str | Path) -> Attributions:
    """Read attributions whole."""
    with open_store(path, "attributions") as store:
        return Attributions(
            store["item_id"][:],
            store["locus_id"][:],
            store["track"].asstr()[:].tolist(),
            store["codes"][:],
            store["projected"][:],
            store["hypothetical"][:],
        )


# --- TSS profiles -----------------------------------------------------------------------------------------------------
@dataclass
class Profiles:
    """A store of chromatin profiles around TSS, read a few bins at a time.

    Attributes
    ----------
    genes
        Columns ``gene_id``, ``chrom``, ``tss`` (1-based), ``strand``; rows as in the store.
    tracks
        Track names.
    settings
        Number and size of the bins.
    """

    path: Path
    genes: pd.DataFrame
    tracks: list[str]
    settings: ProfileSettings

    @property
    def centres(self) -> NDArray[np.int64]:
        """Centre (bins,) of each bin relative to the TSS, in gene orientation: -19900, -19700, …, +19900."""
        bins, size = self.settings.bins, self.settings.bin_size
        return (np.arange(bins) - bins // 2) * size + size // 2

    def blocks(self, first: int, last: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Blocks of genes: first row, and probabilities (genes, bins, tracks) of the bins first … last - 1."""
        with open_store(self.path, "TSS profiles") as store:
            for row in range(0, len(self.genes), PROFILE_BLOCK):
                yield row, store["profile"][row : row + PROFILE_BLOCK, first:last].astype(np.float32)

    def at(self, rows: NDArray[np.int64], bins: NDArray[np.int64]) -> NDArray[np.float32]:
        """Probabilities (n, tracks) of one bin of one gene each; zeros where the row is -1."""
        found = np.zeros((len(rows), len(self.tracks)), dtype=np.float32)
        with open_store(self.path, "TSS profiles") as store:
            for number, (row, place) in enumerate(zip(rows.tolist(), bins.tolist(), strict=True)):
                if row >= 0:
                    found[number] = store["profile"][row, place]
        return found


def read_profiles(path: str | Path) -> Profiles:
    """Open a store of TSS profiles; the profiles themselves stay on disk."""
    with open_store(path, "TSS profiles") as store:
        genes = pd.DataFrame({name: store[name].asstr()[:] for name in ("gene_id", "chrom", "strand")})
        genes["tss"] = store["tss"][:]
        settings = ProfileSettings.model_validate_json(store.attrs["settings"])
        return Profiles(Path(path), genes, store["tracks"].asstr()[:].tolist(), settings)
