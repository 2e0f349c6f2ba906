"""The HDF5 files of this room: sequences in, attributions out.

Dimension legend
    loci - rows of the locus table, items - one locus attributed for one track, length - bases of a window
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path
from cisweave.sequence.onehot import Codes
from cisweave.tables.hdf5 import open_store


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
