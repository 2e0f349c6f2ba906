"""Reading the store of chromatin profiles around TSS, and the geometry of its bins.

Dimension legend
    genes - TSS in the order of the BED, bins - places around the TSS in gene orientation (upstream first),
    tracks - chromatin outputs, basis - weight functions of the spatial features
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from cisweave.config import ProfileSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, sha256
from cisweave.models.folders import WEIGHTS, read_spec
from cisweave.tables.hdf5 import open_store

WHAT = "TSS profiles"
BLOCK = 256
"""Genes read at a time."""


# --- bins -------------------------------------------------------------------------------------------------------------
def bin_centres(bins: int = 200, bin_size: int = 200) -> NDArray[np.int64]:
    """Centres (bins,) of the bins relative to the TSS in gene orientation: -19900, -19700, …, +19900."""
    return (np.arange(bins) - bins // 2) * bin_size + bin_size // 2


def bin_of_distance(distance: NDArray[np.int64], bins: int = 200, bin_size: int = 200) -> NDArray[np.int64]:
    """Index of the bin that holds a distance; bin j holds (bin_size (j - bins/2), bin_size (j - bins/2 + 1)].

    Distances (bases, gene orientation) beyond the tiled range fall into the first or last bin.
    """
    return np.clip(-(-distance // bin_size) + bins // 2 - 1, 0, bins - 1)


# --- the store --------------------------------------------------------------------------------------------------------
@dataclass
class ProfileStore:
    """Chromatin profiles and spatial features of all genes of an annotation; both stay on disk until asked for.

    Attributes
    ----------
    genes
        Columns ``gene_id``, ``chrom``, ``tss`` (1-based), ``strand``; one row a gene.
    tracks
        Track names.
    settings
        How the profiles were made.
    model_sha256
        SHA-256 of the weights of the chromatin model that made them; empty in a store that does not tell.
    """

    path: Path
    genes: pd.DataFrame
    tracks: list[str]
    settings: ProfileSettings
    model_sha256: str

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Spatial features, float32 (genes, basis * tracks), read at first use."""
        with open_store(self.path, WHAT) as store:
            features: NDArray[np.float32] = store["features"][:]
        return features

    @property
    def centres(self) -> NDArray[np.int64]:
        """Centre (bins,) of each bin relative to the TSS, in gene orientation."""
        return bin_centres(self.settings.bins, self.settings.bin_size)

    def rows(self, gene_ids: pd.Series) -> NDArray[np.int64]:
        """Row of each gene; -1 for a gene that is not in the store."""
        rows: NDArray[np.int64] = pd.Index(self.genes.gene_id).get_indexer(pd.Index(gene_ids)).astype(np.int64)
        return rows

    def bins_of(self, distance: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bin that holds each distance to the TSS (bases, gene orientation)."""
        return bin_of_distance(distance, self.settings.bins, self.settings.bin_size)

    def profiles(self, rows: NDArray[np.int64]) -> dict[int, NDArray[np.float32]]:
        """Profiles (bins, tracks) of the given rows, each read once."""
        with open_store(self.path, WHAT) as store:
            return {int(row): store["profile"][int(row)].astype(np.float32) for row in np.unique(rows)}

    def blocks(self, first: int, last: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Blocks of genes: first row, and probabilities (genes, bins, tracks) of the bins first … last - 1."""
        with open_store(self.path, WHAT) as store:
            for row in range(0, len(self.genes), BLOCK):
                yield row, store["profile"][row : row + BLOCK, first:last].astype(np.float32)

    def at(self, rows: NDArray[np.int64], bins: NDArray[np.int64]) -> NDArray[np.float32]:
        """Probabilities (n, tracks) of one bin of one gene each; zeros where the row is -1."""
        found = np.zeros((len(rows), len(self.tracks)), dtype=np.float32)
        with open_store(self.path, WHAT) as store:
            for number, (row, place) in enumerate(zip(rows.tolist(), bins.tolist(), strict=True)):
                if row >= 0:
                    found[number] = store["profile"][row, place]
        return found

    def check_model(self, folder: str | Path) -> None:
        """Raise unless the chromatin model in ``folder`` is the one that made the profiles: its weights and tracks."""
        same = self.model_sha256 == sha256(existing(Path(folder) / WEIGHTS))
        if not same or self.tracks != read_spec(folder).outputs:
            raise CisweaveError(
                "the TSS profiles were made with another chromatin model; build them again", path=self.path
            )


def read_profiles(path: str | Path) -> ProfileStore:
    """Open a store of TSS profiles; the profiles themselves stay on disk."""
    with open_store(path, WHAT) as store:
        genes = pd.DataFrame({name: store[name].asstr()[:] for name in ("gene_id", "chrom", "strand")})
        genes["tss"] = store["tss"][:]
        try:
            settings = ProfileSettings.model_validate_json(store.attrs["settings"])
        except ValidationError as error:
            raise CisweaveError("another version made these TSS profiles; build them again", path=path) from error
        made_with = str(store.attrs.get("model_sha256", ""))
        return ProfileStore(Path(path), genes, store["tracks"].asstr()[:].tolist(), settings, made_with)
