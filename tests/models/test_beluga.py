"""Beluga: the published shape, its place sizes and the shared trunk."""

import pytest
import torch

from cisweave.models.beluga import Beluga, tiled_logits, trunk_positions


def small(window=600, tracks=5):
    torch.manual_seed(0)
    return Beluga(tracks, [8, 8, 12, 12, 16, 16], hidden=20, window=window).eval()


def test_published_network_has_its_parameter_count():
    with torch.device("meta"):
        network = Beluga(2002)
    assert sum(parameter.numel() for parameter in network.parameters()) == 149_536_251


def test_published_places_after_each_block():
    assert trunk_positions(2000) == 106
    with torch.device("meta"):
        network = Beluga(2002)
        stem = network.stem(torch.empty(1, 4, 2000))
        middle = network.middle(stem)
    assert stem.shape == (1, 320, 496)
    assert middle.shape == (1, 480, 120)


@pytest.mark.parametrize(("window", "step"), [(600, 200), (600, 4), (1000, 100), (616, 8), (2000, 200)])
def test_shared_trunk_equals_window_by_window(window, step):
    network = small(window)
    x = torch.randn(2, 4, window + 12 * step)
    with torch.inference_mode():
        tiled = tiled_logits(network, x, step)
        plain = torch.stack([network(x[..., k * step : k * step + window]) for k in range(13)], dim=1)
    assert tiled.shape == (2, 13, 5)
    torch.testing.assert_close(tiled, plain, atol=1e-5, rtol=1e-5)


def test_shared_trunk_with_one_window():
    network = small()
    x = torch.randn(1, 4, 600)
    with torch.inference_mode():
        torch.testing.assert_close(tiled_logits(network, x, 200)[:, 0], network(x))


def test_steps_out_of_phase_are_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        tiled_logits(small(), torch.zeros(1, 4, 900), 150)


def test_folded_batch_norm_is_the_same_function_in_the_plain_shape():
    torch.manual_seed(0)
    network = Beluga(5, [8, 8, 12, 12, 16, 16], hidden=20, window=600, batch_norm=True)
    for _ in range(3):
        network(torch.randn(16, 4, 600))
    folded, x = network.folded(), torch.randn(4, 4, 600)
    network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), network(x), atol=1e-4, rtol=1e-4)
    assert folded.state_dict().keys() == small().state_dict().keys()


def test_untrained_network_can_start_at_the_prior():
    network = small()
    frequencies = torch.tensor([0.01, 0.1, 0.5, 0.02, 0.0])
    network.start_at_prior(frequencies)
    torch.testing.assert_close(torch.sigmoid(network.head[-1].bias), frequencies, atol=1e-5, rtol=1e-4)
