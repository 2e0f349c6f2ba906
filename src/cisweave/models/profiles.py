"""Reading the store of chromatin profiles around TSS, and the geometry of its bins.

Dimension legend
    genes - TSS in genome order, bins - places around the TSS in gene orientation (upstream first),
    tracks - chromatin outputs, basis - weight functions of the spatial features
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, first_bytes, sha256
from cisweave.models.folders import WEIGHTS, read_spec
from cisweave.models.profile_shards import ProfileShard, Rows, check_index, check_shards, read_index

Floats = NDArray[np.float32]

BLOCK = 256
"""Most genes read at a time."""
BLOCK_BYTES = 1 << 26
CACHE_BYTES = 1 << 28
"""Bytes of profiles that are kept once read."""


# --- bins -------------------------------------------------------------------------------------------------------------
def bin_centres(
    bins: int = 200, bin_size: int = 200, grid: Literal["centred", "edge", "edge-weights"] = "centred"
) -> NDArray[np.int64]:
    """Places (bins,) of the bins relative to the TSS in gene orientation.

    The centres -19900, -19700, …, +19900; of the other grids the lower edges -20000, -19800, …, +19800.
    """
    return (np.arange(bins) - bins // 2) * bin_size + (bin_size // 2 if grid == "centred" else 0)


def bin_of_distance(distance: NDArray[np.int64], bins: int = 200, bin_size: int = 200) -> NDArray[np.int64]:
    """Index of the bin that holds a distance; bin j holds (bin_size (j - bins/2), bin_size (j - bins/2 + 1)].

    Distances (bases, gene orientation) beyond the tiled range fall into the first or last bin.
    """
    return np.clip(-(-distance // bin_size) + bins // 2 - 1, 0, bins - 1)


# --- the store --------------------------------------------------------------------------------------------------------
class ProfileStore:
    """Chromatin profiles and spatial features of all genes of an annotation; both stay on disk until asked for.

    It can be pickled and forked; every process opens the files for itself.

    Attributes
    ----------
    path
        The file it was opened by: a shard, or the index of several.
    genes
        Columns ``gene_id``, ``chrom``, ``tss`` (1-based), ``strand``; one row a gene, shard after shard.
    tracks
        Track names.
    settings
        How the profiles were made.
    model_sha256, genome_sha256
        SHA-256 of the weights of the chromatin model that made them, and of the FASTA; empty in a store that does not
        tell.
    """

    def __init__(self, path: Path, shards: list[ProfileShard]):
        check_shards(shards)
        self.path, self._shards = path, shards
        header = shards[0].header
        self.genes = pd.concat([shard.header.genes for shard in shards], ignore_index=True)
        self.tracks, self.settings = header.tracks, header.settings
        self.model_sha256, self.genome_sha256 = header.model_sha256, header.genome_sha256
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])
        self._row_of = pd.Index(self.genes.gene_id)
        self._kept: OrderedDict[int, Floats] = OrderedDict()

    def __len__(self) -> int:
        return len(self.genes)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}

    def close(self) -> None:
        """Close the shards and forget what was read; they open again when asked."""
        self._kept.clear()
        for shard in self._shards:
            shard.close()

    @property
    def paths(self) -> list[Path]:
        """The files of the store."""
        return [shard.path for shard in self._shards]

    # --- geometry -----------------------------------------------------------------------------------------------------
    @property
    def centres(self) -> NDArray[np.int64]:
        """Centre (bins,) of each bin relative to the TSS, in gene orientation."""
        return bin_centres(self.settings.bins, self.settings.bin_size)

    def rows(self, gene_ids: pd.Series) -> NDArray[np.int64]:
        """Row of each gene; -1 for a gene that is not in the store."""
        rows: NDArray[np.int64] = self._row_of.get_indexer(pd.Index(gene_ids)).astype(np.int64)
        return rows

    def bins_of(self, distance: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bin that holds each distance to the TSS (bases, gene orientation)."""
        return bin_of_distance(distance, self.settings.bins, self.settings.bin_size)

    # --- features -----------------------------------------------------------------------------------------------------
    @cached_property
    def features(self) -> StoredFeatures:
        """Spatial features, float32 (genes, basis * tracks), read as they are asked for."""
        for shard in self._shards:
            if shard.features is None:
                raise CisweaveError("these TSS profiles hold no features; build them again", path=shard.path)
        return StoredFeatures(self, 2 * len(self.settings.decay) * len(self.tracks))

    # --- profiles -----------------------------------------------------------------------------------------------------
    def profile(self, row: int) -> Floats:
        """Profile (bins, tracks) of one gene, not to be written into; those asked for last are kept in memory."""
        found = self._kept.get(row)
        if found is None:
            bins = self.settings.bins
            found = self._read(profile_rows, bins, row * bins + np.arange(bins))
            found.flags.writeable = False
            self._kept[row] = found
            while len(self._kept) > 1 and len(self._kept) * found.nbytes > CACHE_BYTES:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(row)
        return found

    def profiles(self, rows: NDArray[np.int64]) -> dict[int, Floats]:
        """Profiles (bins, tracks) of the given rows, each read once."""
        return {row: self.profile(row) for row in np.unique(rows).tolist()}

    def at(self, rows: NDArray[np.int64], bins: NDArray[np.int64]) -> Floats:
        """Probabilities (..., tracks) of bins of genes; rows and bins are broadcast; zeros where the row is -1.

        Nothing but these bins is read, neighbours at once: rows (n, 1) and bins (n, 9) are n reads.
        """
        genes, places = np.broadcast_arrays(np.asarray(rows, np.int64), np.asarray(bins, np.int64))
        if places.size and not 0 <= places.min() <= places.max() < self.settings.bins:
            raise IndexError(f"a bin beyond the {self.settings.bins} of a profile")
        units = np.where(genes >= 0, genes * self.settings.bins + places, -1)
        found = self._read(profile_rows, self.settings.bins, units.reshape(-1))
        return found.reshape(*genes.shape, len(self.tracks))

    def blocks(self, first: int, last: int) -> Iterator[tuple[int, Floats]]:
        """Blocks of genes: first row, and probabilities (genes, bins, tracks) of the bins first … last - 1."""
        step = int(np.clip(BLOCK_BYTES // max(1, (last - first) * len(self.tracks) * 4), 1, BLOCK))
        for row in range(0, len(self), step):
            rows = np.arange(row, min(row + step, len(self)))
            yield row, self.at(rows[:, None], np.arange(first, last))

    def _read(self, part: Callable[[ProfileShard], Rows], per_gene: int, units: NDArray[np.int64]) -> Floats:
        """Units of a dataset (units, width), ``per_gene`` of which make a gene; zeros for the unit -1."""
        limits = self._starts * per_gene
        if len(units) and (units.max() >= limits[-1] or units.min() < -1):
            raise IndexError(f"a row beyond the {len(self)} genes of the store")
        shards = np.searchsorted(limits, units, side="right") - 1
        cuts = np.flatnonzero((np.diff(units) != 1) | (np.diff(shards) != 0)) + 1
        found = np.empty((len(units), part(self._shards[0]).width), np.float32)
        for low, high in pairwise([0, *cuts.tolist(), len(units)]):
            if low < high and units[low] < 0:
                found[low:high] = 0
            elif low < high:
                shard = int(shards[low])
                part(self._shards[shard]).fill(int(units[low] - limits[shard]), found[low:high])
        return found

    # --- the model ----------------------------------------------------------------------------------------------------
    def check_model(self, folder: str | Path) -> None:
        """Raise unless the chromatin model in ``folder`` is the one that made the profiles: its weights and tracks."""
        same = self.model_sha256 == sha256(existing(Path(folder) / WEIGHTS))
        if not same or self.tracks != read_spec(folder).outputs:
            raise CisweaveError(
                "the TSS profiles were made with another chromatin model; build them again", path=self.path
            )


class StoredFeatures:
    """The features of a store as an array (genes, basis * tracks) of which only the rows asked for are read."""

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, store: ProfileStore, width: int):
        self._store, self._width = store, width

    @property
    def shape(self) -> tuple[int, int]:
        """Genes, and basis functions times tracks."""
        return len(self._store), self._width

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, rows: Any) -> Floats:
        """Rows by number, slice, array of numbers or array of flags, as numpy has it."""
        chosen = np.arange(len(self))[rows]
        found = self._store._read(feature_rows, 1, np.asarray(chosen, np.int64).reshape(-1))
        return found.reshape(*np.shape(chosen), self._width)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows."""
        return self[:].astype(dtype or self.dtype, copy=False)


def profile_rows(shard: ProfileShard) -> Rows:
    """The profiles of a shard, bin by bin."""
    return shard.profile


def feature_rows(shard: ProfileShard) -> Rows:
    """The features of a shard, gene by gene."""
    assert shard.features is not None
    return shard.features


def read_profiles(path: str | Path, verify: bool = False) -> ProfileStore:
    """Open a store of TSS profiles; the profiles themselves stay on disk.

    Parameters
    ----------
    path
        One shard (HDF5), or the index of several (JSON, of ``cisweave seal index-profiles``).
    verify
        Check the SHA-256 of the shards of an index. Their sizes are always checked.
    """
    path = existing(path)
    is_index = path.suffix == ".json" or first_bytes(path, 1) == b"{"
    shards = [ProfileShard(each) for each in (read_index(path, verify) if is_index else [path])]
    if is_index:
        check_index(path, shards)
    return ProfileStore(path, shards)
