"""Seal's arrays of chromatin around TSS (``chromatin_tss/<gene>.npy``, ``all_gene_chromatin_exp.npy``) and our store.

Dimension legend
    genes - TSS, bins - places around the TSS in gene orientation (upstream first), tracks - chromatin outputs,
    basis - weight functions of the spatial features
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import ProfileSettings
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import atomic_path, existing, sha256
from cisweave.core.logs import get_logger
from cisweave.genome.genes import read_genes
from cisweave.models.folders import WEIGHTS, read_spec
from cisweave.models.profile_shards import ShardHeader, store_order, write_shard
from cisweave.models.profiles import ProfileStore, read_profiles
from cisweave.seal.spatial import spatial_features
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

Grid = Literal["centred", "edge"]
Floats = NDArray[np.floating]

GRIDS: tuple[Grid, ...] = ("centred", "edge")
SAMPLE = 20
"""Genes on which the grid of the features is found out."""
EXACT = 1e-3
"""Relative deviation up to which features are those of the profile: more than the rounding of 16-bit numbers."""
UNRELATED = 0.5
"""Deviation, relative to the spread between genes, from which features are not of the same genes."""
LISTED = 5
"""Genes that an error names."""


# --- which grid -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class GridMatch:
    """How far stored features are from those of the profiles, as if these lay on either grid.

    Attributes
    ----------
    deviations
        By grid, |W·G - stored| / |stored| (Euclidean norms over all genes).
    """

    deviations: dict[Grid, float]

    @property
    def grid(self) -> Grid:
        """The nearer grid."""
        return min(GRIDS, key=self.deviations.__getitem__)

    @property
    def exact(self) -> bool:
        """Whether the features are those of these very profiles on that grid."""
        return self.deviations[self.grid] <= EXACT

    @property
    def setting(self) -> Literal["centred", "edge", "edge-weights"]:
        """What a store says; features on edges that the profiles do not give exactly have windows of their own."""
        if self.grid == "edge":
            return "edge-weights" if self.exact else "edge"
        return "centred"


def compare_grids(profiles: Floats, features: Floats, decay: Sequence[float], bin_size: int = 200) -> GridMatch:
    """Compare stored features with the weighted sums of profiles, with bin centres -19900 … and edges -20000 ….

    Parameters
    ----------
    profiles
        Probabilities (genes, bins, tracks).
    features
        Stored features (genes, basis * tracks), feature = basis * tracks + track.

    Raises
    ------
    CisweaveError
        If the features are not those of these genes on any grid.
    """
    stored = features.astype(np.float64)
    size = max(float(np.linalg.norm(stored)), np.finfo(np.float64).tiny)
    match = GridMatch(
        {
            grid: float(np.linalg.norm(spatial_features(profiles, decay, bin_size, grid=grid) - stored)) / size
            for grid in GRIDS
        }
    )
    spread = float(np.linalg.norm(stored - stored.mean(axis=0)))
    if len(stored) > 1 and match.deviations[match.grid] * size > UNRELATED * spread:
        raise CisweaveError(
            f"the features are not those of the profiles (they deviate by {match.deviations[match.grid]:.2g} of their "
            "size); are the genes of the feature matrix the right ones, in the right order?"
        )
    return match


# --- import -----------------------------------------------------------------------------------------------------------
def import_profiles(
    folder: str | Path,
    tss: str | Path,
    chromatin: str | Path,
    out: str | Path,
    features: str | Path | None = None,
    features_genes: str | Path | None = None,
    settings: ProfileSettings | None = None,
    missing: Literal["error", "skip"] = "error",
) -> dict[str, Any]:
    """Turn Seal's arrays into a store of TSS profiles.

    Parameters
    ----------
    folder
        Folder with ``<gene id>.npy`` per gene: probabilities (bins, tracks), upstream first.
    tss
        Genes of the store, any file of genes: ``geneanno.pc.sorted.bed``, ``geneanno.csv``, ….
    chromatin
        Folder of the chromatin model that made the arrays (from ``import-chromatin``); gives the names of the tracks.
    out
        The store, one shard (HDF5).
    features, features_genes
        ``all_gene_chromatin_exp.npy`` (genes, basis * tracks) and the file of genes that are its rows, in order
        (``geneanno.csv``). On which grid they lie is found out and noted. None: the features are computed from the
        profiles.
    settings
        Bins, decay constants and dtype; ``grid`` is that of the features where these are given.
    missing
        What becomes of genes without an array: stop, or leave them out (they are named in the receipt).

    Returns
    -------
    dict
        ``genes``; ``without_profile`` (gene ids); ``grid``; ``deviations`` by grid, None without ``features``.

    Raises
    ------
    CisweaveError
        If an array is absent, cut off, of another shape or no probabilities; if it would have to be unpickled.
    """
    settings = settings or ProfileSettings()
    tracks = read_spec(chromatin).outputs
    genes, absent = genes_with_arrays(read_genes(tss), Path(folder), missing)
    matrix = None if features is None else FeatureMatrix.open(features, features_genes, settings, len(tracks))
    match = None
    if matrix is not None:
        match = compare_sample(genes, Path(folder), matrix, settings, len(tracks))
        settings = settings.model_copy(update={"grid": match.setting})
    elif settings.grid == "edge":
        raise CisweaveError("features on edges have windows of their own; give the feature matrix, or another grid")
    weights = existing(Path(chromatin) / WEIGHTS)
    header = ShardHeader(genes, tracks, settings, model_sha256=sha256(weights))
    digest = hashlib.sha256()
    with write_shard(out, header) as writer:
        for gene, profile in read_arrays(genes, Path(folder), settings, len(tracks)):
            digest.update(profile.tobytes())
            stored = profile.astype(settings.dtype)
            row = matrix.row(gene) if matrix is not None else own_features(stored, settings)
            writer.append(stored, row)
    summary = {
        "genes": len(genes),
        "without_profile": absent,
        "grid": settings.grid,
        "deviations": None if match is None else dict(match.deviations),
    }
    given = [path for path in (features, features_genes) if path is not None]
    write_receipt(
        out,
        settings=settings.model_dump(mode="json"),
        inputs=[tss, weights, *given],
        dtype=settings.dtype,
        notes={**summary, "arrays_sha256": digest.hexdigest()},
    )
    return summary


def genes_with_arrays(
    genes: pd.DataFrame, folder: Path, missing: Literal["error", "skip"]
) -> tuple[pd.DataFrame, list[str]]:
    """Genes in the order of a store that have an array, and the ids of those that have none."""
    if not folder.is_dir():
        raise CisweaveError("this folder does not exist; it should hold one .npy per gene", path=folder)
    for gene in genes.gene_id:
        if Path(gene).name != gene or gene.startswith("."):
            raise CisweaveError(f"gene {shorten(gene)} cannot be the name of a file", path=folder)
    here = {path.name.removesuffix(".npy") for path in folder.iterdir() if path.name.endswith(".npy")}
    has = genes.gene_id.isin(here)
    absent = genes.gene_id[~has].tolist()
    if not has.any() or (absent and missing == "error"):
        raise CisweaveError(
            f"{len(absent)} of {len(genes)} genes have no array, for instance {', '.join(absent[:LISTED])}; give the "
            "file of genes that belongs to the arrays, or leave such genes out with --missing skip",
            path=folder,
        )
    if absent:
        logger.warning("%s: %d of %d genes have no array and are left out", folder, len(absent), len(genes))
    strangers = len(here) - int(has.sum())
    if strangers:
        logger.info("%s: %d arrays are of genes that are not wanted", folder, strangers)
    kept = genes[has].reset_index(drop=True)
    return kept.iloc[store_order(kept)].reset_index(drop=True), absent


def read_arrays(
    genes: pd.DataFrame, folder: Path, settings: ProfileSettings, tracks: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Gene id and probabilities (bins, tracks) of each gene, one in memory at a time."""
    for number, gene in enumerate(genes.gene_id.tolist(), start=1):
        path = folder / f"{gene}.npy"
        array = open_array(path, 2)
        if array.shape != (settings.bins, tracks):
            raise CisweaveError(
                f"the array is of shape {array.shape}; {(settings.bins, tracks)} is needed (bins, tracks)", path=path
            )
        profile = np.asarray(array, dtype=np.float32)
        if not (profile.min() >= 0 and profile.max() <= 1):
            raise CisweaveError("the array holds numbers that are no probabilities", path=path)
        yield gene, profile
        if number % 1000 == 0:
            logger.info("%d of %d genes", number, len(genes))


def open_array(path: str | Path, dimensions: int) -> NDArray[Any]:
    """A .npy file of real numbers, mapped into memory; nothing is ever unpickled."""
    try:
        array = np.load(existing(path), mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, TypeError) as error:
        raise CisweaveError(f"this is not an array of numbers (.npy), or it is cut off ({error})", path=path) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise CisweaveError("this is an archive of arrays (.npz); one array (.npy) is needed", path=path)
    if array.ndim != dimensions or array.dtype.kind != "f":
        raise CisweaveError(
            f"the array is {array.dtype} of shape {array.shape}; real numbers in {dimensions} dimensions are needed",
            path=path,
        )
    return array


def own_features(profile: Floats, settings: ProfileSettings) -> NDArray[np.float32]:
    """Spatial features (basis * tracks,) of one profile (bins, tracks), on the grid of the settings."""
    grid: Grid = "centred" if settings.grid == "centred" else "edge"
    features: NDArray[np.float32] = spatial_features(profile[None], settings.decay, settings.bin_size, grid=grid)[0]
    return features


@dataclass
class FeatureMatrix:
    """Seal's features of all genes, mapped into memory: rows are found by gene."""

    path: Path
    values: NDArray[Any]
    rows: dict[str, int]

    @classmethod
    def open(cls, path: str | Path, genes: str | Path | None, settings: ProfileSettings, tracks: int) -> FeatureMatrix:
        """Open a matrix (genes, basis * tracks) whose rows are the genes of a file, in its order."""
        if genes is None:
            raise CisweaveError("the genes that are the rows of the features are needed, too (geneanno.csv)", path=path)
        values = open_array(path, 2)
        ids = read_genes(genes).gene_id.tolist()
        shape = (len(ids), 2 * len(settings.decay) * tracks)
        if values.shape != shape:
            raise CisweaveError(
                f"the features are of shape {values.shape}; {shape} is needed: the genes of {genes}, and "
                f"{2 * len(settings.decay)} weights for each of {tracks} tracks",
                path=path,
            )
        return cls(Path(path), values, {gene: row for row, gene in enumerate(ids)})

    def row(self, gene: str) -> NDArray[np.float32]:
        """Features (basis * tracks,) of a gene."""
        if gene not in self.rows:
            raise CisweaveError(f"the genes of the features lack {gene}, which has a profile", path=self.path)
        return np.asarray(self.values[self.rows[gene]], dtype=np.float32)


def compare_sample(
    genes: pd.DataFrame, folder: Path, matrix: FeatureMatrix, settings: ProfileSettings, tracks: int
) -> GridMatch:
    """Find out the grid of the features on genes spread over the store, and say it."""
    chosen = genes.iloc[np.unique(np.linspace(0, len(genes) - 1, min(SAMPLE, len(genes))).astype(int))]
    ids, profiles = zip(*read_arrays(chosen, folder, settings, tracks), strict=True)
    stored = np.stack([matrix.row(gene) for gene in ids])
    match = compare_grids(np.stack(profiles), stored, settings.decay, settings.bin_size)
    said = ", ".join(f"{grid} {deviation:.2g}" for grid, deviation in match.deviations.items())
    logger.info("the features lie on the grid '%s' (relative deviation: %s)", match.grid, said)
    if not match.exact:
        logger.warning("%s: on neither grid are the features those of the profiles exactly (%s)", matrix.path, said)
    return match


# --- export -----------------------------------------------------------------------------------------------------------
def export_profiles(
    profiles: str | Path,
    folder: str | Path,
    features: str | Path | None = None,
    genes: str | Path | None = None,
) -> int:
    """Write a store as Seal's arrays: one ``<gene id>.npy`` (bins, tracks) per gene, and the matrix of features.

    Parameters
    ----------
    profiles
        The store.
    folder
        Folder to write the arrays to, float32.
    features
        The matrix (genes, basis * tracks), float32, to write; None: none.
    genes
        File of the genes that are the rows of the matrix, in order (Seal wants those of its ``geneanno.csv``), and of
        which arrays are written; None: those of the store.

    Returns
    -------
    int
        Number of genes written.
    """
    store = read_profiles(profiles)
    wanted = store.genes.gene_id if genes is None else read_genes(genes).gene_id
    rows = store.rows(wanted)
    absent = wanted[rows < 0].tolist()
    if absent:
        raise CisweaveError(
            f"{len(absent)} of {len(wanted)} genes are not in the store, for instance {', '.join(absent[:LISTED])}",
            path=profiles,
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for gene, row in zip(wanted.tolist(), rows.tolist(), strict=True):
        if Path(gene).name != gene or gene.startswith("."):
            raise CisweaveError(f"gene {shorten(gene)} cannot be the name of a file", path=profiles)
        write_array(store.profile(row), folder / f"{gene}.npy")
    if features is not None:
        write_matrix(store, rows, features)
        write_receipt(features, inputs=[profiles], dtype="float32", notes={"grid": store.settings.grid})
    return len(rows)


def write_array(values: Floats, out: Path) -> None:
    """Write one array as float32."""
    with atomic_path(out) as temporary, open(temporary, "wb") as handle:
        np.save(handle, np.ascontiguousarray(values, dtype=np.float32), allow_pickle=False)


def write_matrix(store: ProfileStore, rows: NDArray[np.int64], out: str | Path) -> None:
    """Write the features of these rows of a store, one in memory at a time."""
    with atomic_path(out) as temporary:
        shape = (len(rows), store.features.shape[1])
        matrix = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        for number, row in enumerate(rows.tolist()):
            matrix[number] = store.features[row]
        matrix.flush()
        del matrix
