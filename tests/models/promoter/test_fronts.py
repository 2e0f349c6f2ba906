"""Segments of k-mer vectors against counting by hand."""

import numpy as np
import pytest
import torch

from cisweave.models.promoter.fronts import KmerSegments
from tests.keras_numpy import segment_means
from tests.models.promoter.networks import genes, one_hot


def front(segment, k, size, seed=0):
    torch.manual_seed(seed)
    made = KmerSegments(segment, k, size)
    made.set_vectors(torch.randn(4**k, size), torch.randn(size), torch.rand(size) + 0.5)
    return made


@pytest.mark.parametrize(
    ("segment", "k", "size", "window"), [(50, 3, 64, 330), (10, 1, 4, 55), (7, 6, 5, 70), (4, 4, 3, 12)]
)
@pytest.mark.parametrize("gradients", [False, True])
def test_segments_are_means_of_words(segment, k, size, window, gradients):
    made = front(segment, k, size)
    codes, _ = genes(3, window, 1)
    codes[1, : 2 * segment] = 4
    parts = (made.get_buffer(name).double().numpy() for name in ("vectors", "mean", "spread"))
    expected = segment_means(codes.numpy(), *parts, segment, k)
    found = made(one_hot(codes).requires_grad_(gradients)).detach()
    assert found.shape == (3, window // segment, size)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert not found[1, :2].any()


def test_a_word_counts_in_base_4_from_its_first_base():
    made = KmerSegments(4, 3, 64)
    codes = torch.tensor([[1, 3, 2, 0]])  # CTG, TGA
    assert made(one_hot(codes))[0, 0].nonzero()[:, 0].tolist() == [1 * 16 + 3 * 4 + 2, 3 * 16 + 2 * 4 + 0]


def test_unknown_bases_give_no_words():
    made = KmerSegments(6, 3, 64)
    codes = torch.tensor([[0, 0, 0, 4, 1, 2]])
    shares = made(one_hot(codes))[0, 0]
    assert shares[0] == 1
    assert shares.sum() == 1


def test_soft_bases_are_matched_not_counted():
    """Half A, half C at one place: neither word is there as a whole, and nothing is rounded to a base."""
    made = KmerSegments(3, 3, 64)
    x = one_hot(torch.tensor([[0, 0, 0]]))
    x[0, :, 1] = torch.tensor([0.5, 0.5, 0, 0])
    shares = made(x)[0, 0]
    assert shares[0] == pytest.approx(0.5)
    assert shares[4] == pytest.approx(0.5)


def test_vectors_are_saved_and_helpers_are_not():
    assert set(front(50, 3, 8).state_dict()) == {"vectors", "mean", "spread"}
