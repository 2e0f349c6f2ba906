"""Prediction: strand average, batching."""

import numpy as np
import pytest
import torch

from cisweave.models.beluga import Beluga
from cisweave.models.predict import predict_probabilities
from cisweave.sequence import one_hot, reverse_complement


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Beluga(3, [4, 4, 4, 4, 4, 4], hidden=5, window=320).eval()


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).integers(0, 5, (7, 320)).astype(np.uint8)


def test_mean_of_the_two_strands(network, codes):
    with torch.inference_mode():
        forward = torch.sigmoid(network(one_hot(codes)))
        flipped = torch.sigmoid(network(one_hot(reverse_complement(codes))))
    np.testing.assert_allclose(predict_probabilities(network, codes), ((forward + flipped) / 2).numpy(), atol=1e-6)
    np.testing.assert_allclose(predict_probabilities(network, codes, strands="forward"), forward.numpy(), atol=1e-6)


def test_strand_average_is_symmetric(network, codes):
    flipped = predict_probabilities(network, reverse_complement(codes))
    np.testing.assert_allclose(predict_probabilities(network, codes), flipped, atol=1e-6)


def test_batches_do_not_change_the_result(network, codes):
    whole = predict_probabilities(network, codes, batch_size=64)
    np.testing.assert_allclose(predict_probabilities(network, codes, batch_size=2), whole, atol=1e-6)


def test_no_windows(network):
    assert predict_probabilities(network, np.empty((0, 320), dtype=np.uint8)).shape == (0, 3)
