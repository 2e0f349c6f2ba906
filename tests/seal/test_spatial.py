"""Spatial features against the published tables of Seal."""

import numpy as np
import pytest

from cisweave.config import ProfileSettings
from cisweave.seal.spatial import (
    basis_weights,
    bin_centres,
    bin_of_distance,
    replace_bin,
    spatial_features,
    weighted_profiles,
)

DECAY = ProfileSettings().decay


def test_bin_centres():
    centres = bin_centres()
    assert (centres[0], centres[99], centres[100], centres[-1]) == (-19900, -100, 100, 19900)


def test_places_at_the_edges_of_the_bins():
    for grid in ("edge", "edge-weights"):
        edges = bin_centres(grid=grid)
        assert (edges[0], edges[99], edges[100], edges[-1]) == (-20000, -200, 0, 19800)
    assert bin_centres(4, 7).tolist() == [-11, -4, 3, 10]


def test_features_weighted_at_the_edges():
    profile = np.random.default_rng(0).random((200, 3))
    expected = plain_features(profile, bin_centres() - 100)
    np.testing.assert_allclose(spatial_features(profile[None], DECAY, grid="edge")[0], expected, rtol=1e-6)
    assert spatial_features(profile[None], DECAY).dtype == np.float32


def test_published_row_sums_and_maxima_of_the_basis():
    weights = basis_weights(bin_centres(), DECAY)
    sums = [63.2117925, 43.2325153, 19.8631719, 9.9953807, 4.9916764]
    maxima = [0.99501248, 0.99004983, 0.97530991, 0.95122942, 0.90483742]
    np.testing.assert_allclose(weights.sum(1), sums * 2, atol=1e-6)
    np.testing.assert_allclose(weights.max(1), maxima * 2, atol=1e-7)


def test_distance_zero_counts_on_both_sides():
    assert (basis_weights(np.array([0]), DECAY) == 1).all()


@pytest.mark.parametrize(
    ("distance", "index"),
    [
        (-20800, 0),
        (-19800, 0),
        (-200, 98),
        (-199, 99),
        (0, 99),
        (1, 100),
        (200, 100),
        (201, 101),
        (20000, 199),
        (20800, 199),
    ],
)
def test_published_bins_of_distances(distance, index):
    assert bin_of_distance(np.array([distance]))[0] == index


def plain_features(profile, centres):
    """Sum over bins of weight times profile, one loop per symbol of the formula."""
    features = np.zeros((2 * len(DECAY), profile.shape[1]))
    for number, constant in enumerate(DECAY):
        for place, centre in enumerate(centres):
            weight = np.exp(-constant * abs(centre) / 200)
            features[number] += weight * profile[place] * (centre <= 0)
            features[number + len(DECAY)] += weight * profile[place] * (centre >= 0)
    return features.ravel()


def test_features_against_the_plain_sum():
    profile = np.random.default_rng(0).random((200, 3))
    np.testing.assert_allclose(
        spatial_features(profile[None], DECAY)[0], plain_features(profile, bin_centres()), rtol=1e-6
    )


@pytest.mark.parametrize("distance", [-20800, -19950, -733, -200, -1, 0, 1, 150, 200, 12345, 20800])
def test_closed_form_equals_replacing_row_and_place(distance):
    random = np.random.default_rng(abs(distance))
    profile, row = random.random((200, 3)), random.random(3)
    centres = bin_centres().astype(float)
    index = bin_of_distance(np.array([distance]))[0]
    replaced = profile.copy()
    replaced[index], centres[index] = row, distance
    closed = replace_bin(
        weighted_profiles(profile[None], DECAY), profile[None, index], row[None], np.array([distance]), DECAY
    )
    np.testing.assert_allclose(closed[0], plain_features(replaced, centres), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("distance", [-20800, -733, -200, 0, 1, 12345, 20800])
def test_two_alleles_differ_by_the_weights_times_their_difference(distance):
    random = np.random.default_rng(abs(distance))
    profile, alleles = random.random((200, 3)), random.random((2, 3))
    index, place = bin_of_distance(np.array([distance])), np.array([distance])
    features = weighted_profiles(profile[None], DECAY)
    reference, alternative = (replace_bin(features, profile[index], row[None], place, DECAY) for row in alleles)
    expected = np.outer(basis_weights(place, DECAY), alleles[1] - alleles[0]).ravel()
    np.testing.assert_allclose((alternative - reference)[0], expected, atol=1e-12)
    assert np.count_nonzero(basis_weights(place, DECAY)) == (10 if distance == 0 else 5)
