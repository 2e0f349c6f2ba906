"""The shared trunk and the cones in float64, against window by window."""

import pytest
import torch

from cisweave.models.beluga import Beluga
from cisweave.seal.engine.geometry import Cone, Span, Tiling
from cisweave.seal.engine.layers import Layers, choose_precision, float32_arithmetic, multiply
from cisweave.seal.engine.trunk import Halo, Trunk, halo_of
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
        found = trunk.alternative_hidden(edited, cone, halo_of(activations, cone, rows), hidden)
        expected = window_by_window(model, edited, tiling)
        torch.testing.assert_close(trunk.probabilities(found), expected, atol=1e-13, rtol=0)


def test_windows_of_a_long_union_are_unions_of_their_own():
    model, long, nine = network(), Tiling(600, 200, 7), Tiling(600, 200, 3)
    trunk, codes = Trunk(Layers(model, CPU)), random_codes(long)
    activations = trunk.activations(codes, long)
    hidden = trunk.hidden(activations.conv6, long)
    cone, halos, references, edited = Cone(nine, Span(499, 500)), [], [], []
    for first in range(5):
        part = activations.of_windows(first, 3)
        own = codes[:, 200 * first : 200 * first + nine.length]
        alone = trunk.activations(own, nine)
        for mine, theirs in zip(part.conv6, alone.conv6, strict=True):
            torch.testing.assert_close(mine, theirs)
        halos.append(halo_of(part, cone, torch.tensor([2, 0])))
        references.append(hidden[[2, 0], first : first + 3])
        edited.append(changed(own, 499, 500)[[2, 0]])
    found = trunk.alternative_hidden(torch.cat(edited), cone, Halo.cat(halos), torch.cat(references))
    expected = window_by_window(model, torch.cat(edited), nine)
    torch.testing.assert_close(trunk.probabilities(found), expected, atol=1e-13, rtol=0)
    with pytest.raises(ValueError, match="windows 5 to 7 of 7"):
        activations.of_windows(5, 3)


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


def test_auto_precision_is_that_of_the_device():
    assert choose_precision("auto", CPU) == "float32"
    assert choose_precision("auto", torch.device("cuda")) == "tf32"
    assert choose_precision("float16", CPU) == "float16"
    with pytest.raises(Exception, match=r"tf32 needs a GPU.*precision: auto"):
        choose_precision("tf32", CPU)


@pytest.mark.parametrize("tf32", [True, False])
def test_global_arithmetic_is_put_back(tf32):
    def settings():
        return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision

    def fail():
        with float32_arithmetic(tf32):
            assert settings() == (("tf32", "tf32") if tf32 else ("ieee", "ieee"))
            raise KeyError

    before = settings()
    with pytest.raises(KeyError):
        fail()
    assert settings() == before


def test_products_through_onednn_are_products():
    x, weight = torch.randn(5, 4, 30)[:, 1:3].flatten(1), torch.randn(60, 7)
    torch.testing.assert_close(multiply(x, weight), (x.double() @ weight.double()).float())
    torch.testing.assert_close(multiply(x, weight[:60]), multiply(x.double(), weight.double()).float())


def test_batch_normalisation_must_be_folded_first():
    model = Beluga(3, [4, 4, 6, 6, 8, 8], hidden=12, window=600, batch_norm=True).eval()
    with pytest.raises(ValueError, match="fold the batch normalisation"):
        Layers(model, CPU)
    Layers(model.folded(), CPU)
