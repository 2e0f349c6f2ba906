"""The shared trunk and the cones in float64, against window by window."""

import pytest
import torch

from cisweave.models.beluga import Beluga
from cisweave.seal.engine.geometry import Cone, Span, Tiling
from cisweave.seal.engine.layers import Layers, multiply
from cisweave.seal.engine.trunk import Trunk, halo_of
from cisweave.sequence.onehot import one_hot
from tests.seal.engine.world import network

CPU = torch.device("cpu")
TILINGS = [(600, 200, 9), (600, 200, 2), (600, 100, 5), (616, 16, 4), (601, 4, 7), (603, 200, 1)]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def random_codes(tiling, rows=3):
    """Codes with a few N."""
    torch.manual_seed(3)
    codes = torch.randint(0, 4, (rows, tiling.length), dtype=torch.uint8)
    codes[:, ::37] = 4
    return codes


def window_by_window(model, codes, tiling):
    starts = range(0, tiling.length - tiling.window + 1, tiling.step)
    windows = [codes[:, start : start + tiling.window] for start in starts]
    dtype = next(model.parameters()).dtype
    return torch.stack([torch.sigmoid(model(one_hot(window).to(dtype))) for window in windows], dim=1)


def changed(codes, first, last):
    """The codes with other bases in a stretch."""
    edited = codes.clone()
    edited[:, first:last] = (edited[:, first:last] + 1) % 4
    return edited


@pytest.mark.parametrize(("window", "step", "windows"), TILINGS)
def test_union_equals_window_by_window(window, step, windows):
    model, tiling = network(window), Tiling(window, step, windows)
    trunk, codes = Trunk(Layers(model, CPU)), random_codes(tiling)
    hidden = trunk.hidden(trunk.activations(codes, tiling).conv6, tiling)
    torch.testing.assert_close(trunk.probabilities(hidden), window_by_window(model, codes, tiling), atol=1e-13, rtol=0)


@pytest.mark.parametrize(("window", "step", "windows"), TILINGS)
def test_cones_equal_window_by_window(window, step, windows):
    model, tiling = network(window), Tiling(window, step, windows)
    trunk, codes = Trunk(Layers(model, CPU)), random_codes(tiling)
    activations = trunk.activations(codes, tiling)
    hidden, rows = trunk.hidden(activations.conv6, tiling), torch.arange(len(codes))
    length, middle = tiling.length, tiling.length // 2
    for first, last in [(0, 1), (length - 1, length), (middle, middle + 1), (middle + 1, middle + 30), (0, middle)]:
        edited, cone = changed(codes, first, last), Cone(tiling, Span(first, last))
        differences = trunk.differences(edited, cone, halo_of(activations, cone, rows))
        found = trunk.changed_hidden(differences, cone, hidden)
        expected = window_by_window(model, edited, tiling)
        torch.testing.assert_close(trunk.probabilities(found), expected, atol=1e-13, rtol=0)


def test_float32_convolutions_repeat_pytorch_bit_for_bit():
    """The layout that oneDNN is given must not change the order of its sums."""
    model, tiling = network(double=False), Tiling(600, 200, 1)
    codes = random_codes(tiling)
    found = Trunk(Layers(model, CPU)).activations(codes, tiling).conv6[0].transpose(1, 2)
    assert torch.equal(found, model.top(model.middle(model.stem(one_hot(codes)))))


def test_bfloat16_is_close_and_float32_closer():
    model, tiling = network(double=False), Tiling(600, 200, 3)
    codes = random_codes(tiling)
    expected, errors = window_by_window(model.double(), codes, tiling), {}
    for precision in ("float32", "bfloat16"):
        trunk = Trunk(Layers(model.float(), CPU, precision))
        hidden = trunk.hidden(trunk.activations(codes, tiling).conv6, tiling)
        assert hidden.dtype == torch.float32
        errors[precision] = (trunk.probabilities(hidden) - expected).abs().max().item()
    assert errors["float32"] < 1e-6 < errors["bfloat16"] < 0.05


def test_products_through_onednn_are_products():
    x, weight = torch.randn(5, 4, 30)[:, 1:3].flatten(1), torch.randn(60, 7)
    torch.testing.assert_close(multiply(x, weight), (x.double() @ weight.double()).float())
    torch.testing.assert_close(multiply(x, weight[:60]), multiply(x.double(), weight.double()).float())


def test_batch_normalisation_must_be_folded_first():
    model = Beluga(3, [4, 4, 6, 6, 8, 8], hidden=12, window=600, batch_norm=True).eval()
    with pytest.raises(ValueError, match="fold the batch normalisation"):
        Layers(model, CPU)
    Layers(model.folded(), CPU)
