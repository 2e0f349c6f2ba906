"""Spatial features: the chromatin profile of a TSS under ten exponential weights (Seal, Module 2).

Dimension legend
    bins - places around the TSS in gene orientation (upstream first), tracks - chromatin outputs,
    basis - weight functions: one per decay constant upstream, then the same downstream
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cisweave.models.profiles import ProfileStore, bin_centres, bin_of_distance

__all__ = [
    "basis_weights",
    "bin_centres",
    "bin_of_distance",
    "gene_features",
    "replace_bin",
    "spatial_features",
    "weighted_profiles",
]

DECAY_UNIT = 200
"""Bases over which a decay constant of 1 falls to 1/e."""

Floats = NDArray[np.float64]
Grid = Literal["centred", "edge", "edge-weights"]


def basis_weights(distance: NDArray[np.int64] | Floats, decay: Sequence[float]) -> Floats:
    """Weights (basis, n) at signed distances (n,) in gene orientation.

    ``exp(-c |d| / 200)`` for each decay constant c, upstream (d <= 0) first and downstream (d >= 0) after;
    d = 0 counts on both sides.
    """
    falling = np.exp(-np.asarray(decay, dtype=np.float64)[:, None] * np.abs(distance) / DECAY_UNIT)
    return np.concatenate([falling * (distance <= 0), falling * (distance >= 0)])


def weighted_profiles(
    profiles: NDArray[np.floating], decay: Sequence[float], bin_size: int = 200, grid: Grid = "centred"
) -> Floats:
    """Features (genes, basis * tracks) of profiles (genes, bins, tracks) in float64: index = basis * tracks + track.

    ``grid`` says where the weights take the bins to lie: at their centres, or at their lower edges (Seal's matrix of
    training features may be of either kind).
    """
    weights = basis_weights(bin_centres(profiles.shape[1], bin_size, grid), decay)
    features: Floats = (weights @ profiles.astype(np.float64)).reshape(len(profiles), -1)
    return features


def spatial_features(
    profiles: NDArray[np.floating], decay: Sequence[float], bin_size: int = 200, grid: Grid = "centred"
) -> NDArray[np.float32]:
    """:func:`weighted_profiles`, as they are stored: multiplied in float64, kept in float32."""
    return weighted_profiles(profiles, decay, bin_size, grid).astype(np.float32)


def gene_features(store: ProfileStore, rows: NDArray[np.int64]) -> Floats:
    """Features (genes, basis * tracks) of rows of a store as predictions take them: of the profiles, in float64.

    The bins lie at their centres whatever the grid of the stored features (Seal, section 2.3).
    """
    settings = store.settings
    features = np.empty((len(rows), 2 * len(settings.decay) * len(store.tracks)))
    for number, row in enumerate(rows.tolist()):
        features[number] = weighted_profiles(store.profile(row)[None], settings.decay, settings.bin_size)[0]
    return features


def replace_bin(
    gene_features: NDArray[np.floating],
    bin_profile: NDArray[np.floating],
    allele_profile: NDArray[np.floating],
    distance: NDArray[np.int64],
    decay: Sequence[float],
    bins: int = 200,
    bin_size: int = 200,
) -> Floats:
    """Features of genes in which one bin was replaced by a variant-centred prediction, in closed form.

    The bin that holds the variant gives up its row of the profile and its place: the new row stands at the exact
    distance.
    Equal to copying the profile, replacing row and place, and taking the weighted sum again (Seal, section "Module 2").

    Parameters
    ----------
    gene_features
        (variants, basis * tracks), features of each variant's gene.
    bin_profile
        (variants, tracks), the replaced row of each gene's profile.
    allele_profile
        (variants, tracks), the prediction that takes its place.
    distance
        (variants,), place of the new row relative to the TSS, in gene orientation.

    Returns
    -------
    numpy.ndarray
        float64 (variants, basis * tracks), so that the small difference of two alleles survives.
    """
    regular = bin_centres(bins, bin_size)[bin_of_distance(distance, bins, bin_size)]
    removed = basis_weights(regular, decay).T[:, :, None] * bin_profile.astype(np.float64)[:, None, :]
    added = basis_weights(distance, decay).T[:, :, None] * allele_profile.astype(np.float64)[:, None, :]
    change = (added - removed).reshape(len(distance), -1)
    return gene_features.astype(np.float64) + change
