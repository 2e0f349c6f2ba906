"""Shapes of layers at the published sizes, and what Keras draws weights from."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from cisweave.models.promoter.blocks import AttentionBlock, sinusoid
from cisweave.models.promoter.keras import SameConv, dense, glorot_normal_, lstm
from tests.models.promoter.networks import published


def output_shapes(name, kinds, window=10_500):
    """Shapes that come out of the modules of some kinds, in the order in which they are called."""
    shapes = []
    with torch.device("meta"):
        network = published(name, window).eval()
        for module in network.modules():
            if isinstance(module, kinds):
                module.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
        network(torch.zeros(2, 4, window) if window else None, torch.zeros(2, network.extras))
    return shapes


def test_xpresso():
    assert output_shapes("cnn/Xpresso", (SameConv, nn.MaxPool1d, nn.Linear)) == [
        (128, 10_500), (128, 350), (32, 350), (32, 35), (64,), (2,), (1,),
    ]  # fmt: skip


def test_xpresso_of_10_000_bases():
    assert output_shapes("cnn/Xpresso", nn.MaxPool1d, 10_000) == [(128, 333), (32, 33)]


def test_divide_et_impera():
    shapes = output_shapes("divide/DivideEtImpera", (SameConv, nn.MaxPool1d, nn.Linear))
    branch = [(128, 1050), (128, 210), (128, 210), (128, 210), (128, 42)]
    assert shapes == [*branch * 10, (128, 420), (128, 84), *[(128, 84)] * 3, (64,), (64,), (1,)]


def test_tfnet():
    assert output_shapes("tfnet/TF", nn.Linear, 0) == [(64,), (2,), (1,)]


def test_deeplncloc():
    shapes = output_shapes("deeplncloc/DeepLncLoc", (nn.BatchNorm1d, nn.Linear, nn.LayerNorm))
    positions = [(210, 256)] * 3 + [(210, 64), (210, 64), (210, 384), (210, 64), (210, 64)]
    assert shapes == [(64, 210), *positions, (100,), (1,)]


def test_token_transformer():
    shapes = output_shapes("token/best", (nn.AvgPool1d, nn.BatchNorm1d, AttentionBlock, nn.Linear))
    inside = [(35, 32)] * 4 + [(35, 64), (35, 32), (35, 32)]
    # second path: vectors of positions; first path, first pool; second path: bases; first path, second pool
    assert shapes[:4] == [(32, 35), (32, 350), (4, 35), (32, 35)]
    assert shapes[4:] == [(32, 35), (32, 35), *inside, (64,), (64,), (1,)]


def test_lstm():
    network = published("lstm/classic")
    states = []
    network.trunk.lstm.register_forward_hook(lambda module, inputs, output: states.append(output[0].shape))
    with torch.inference_mode():
        assert network.represent(torch.zeros(2, 4, 10_500)).shape == (2, 210, 64)
        network(torch.zeros(2, 4, 10_500), torch.zeros(2, 8))
    assert states == [(2, 210, 100)]
    assert network.head.dense_layers[0].in_features == 108


def test_original():
    assert output_shapes("token/Original", (AttentionBlock, nn.Linear), 600)[-4:] == [(600, 128), (64,), (64,), (1,)]


# --- Keras's facts ----------------------------------------------------------------------------------------------------
def test_even_filter_reaches_one_further_to_the_right():
    convolution = SameConv(1, 1, 6)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([1.0, 2, 3, 4, 5, 6])[None, None])
    x = torch.zeros(1, 1, 9)
    x[0, 0, 4] = 1
    assert convolution(x)[0, 0].tolist() == [0, 6, 5, 4, 3, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("width", "dilation", "around"), [(6, 1, (2, 3)), (9, 1, (4, 4)), (3, 1, (1, 1)), (4, 3, (4, 5))]
)
def test_padding(width, dilation, around):
    convolution = SameConv(2, 3, width, dilation)
    assert convolution.around == around
    assert convolution(torch.zeros(1, 2, 40)).shape == (1, 3, 40)


def test_glorot_normal_is_cut_and_has_its_variance():
    torch.manual_seed(0)
    weight = torch.empty(400, 400)
    glorot_normal_(weight, 24, 768)
    spread = math.sqrt(2 / (24 + 768))
    assert weight.std().item() == pytest.approx(spread, rel=0.01)
    assert weight.abs().max().item() <= 2 * spread / 0.8796 + 1e-6
    assert weight.abs().max().item() > 2.2 * spread


def test_convolution_counts_its_width_in_both_fans():
    torch.manual_seed(0)
    convolution = SameConv(64, 128, 9)
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64 + 9 * 128)), rel=0.02)
    assert not convolution.bias.any()


def test_dense_is_glorot_uniform():
    torch.manual_seed(0)
    layer = dense(300, 200)
    limit = math.sqrt(6 / 500)
    assert 0.99 * limit < layer.weight.abs().max().item() <= limit
    assert not layer.bias.any()


def test_attention_projections_have_the_fans_of_their_kernels():
    """Keras sees kernels (64, 4, 64) and (4, 64, 64), the first axis as receptive field."""
    torch.manual_seed(0)
    block = AttentionBlock(64, 4, 64, 384, 0.1)
    for layer, fans in ((block.query, 64 * 4 + 64 * 64), (block.output, 4 * 64 + 4 * 64)):
        limit = math.sqrt(6 / fans)
        assert 0.99 * limit < layer.weight.abs().max().item() <= limit


def test_lstm_starts_with_an_open_forget_gate_and_one_bias():
    layer = lstm(5, 7)
    bias = torch.zeros(28)
    bias[7:14] = 1
    assert torch.equal(layer.bias_ih_l0, bias)
    assert not layer.bias_hh_l0.any()
    assert not layer.bias_hh_l0.requires_grad
    torch.testing.assert_close(layer.weight_hh_l0.T @ layer.weight_hh_l0, torch.eye(7), atol=1e-5, rtol=0)


def test_orthogonal_start_leaves_the_output_alone():
    torch.manual_seed(0)
    network = published("cnn/Xpresso_ort")
    for layer in (*network.trunk.convolutions, *network.head.dense_layers[:-1]):
        matrix = layer.weight.flatten(1)
        product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        torch.testing.assert_close(product, torch.eye(len(product)), atol=1e-4, rtol=0)
    limit = math.sqrt(6 / 3)
    assert network.head.dense_layers[-1].weight.abs().max().item() <= limit


def test_embeddings_start_within_a_twentieth():
    torch.manual_seed(0)
    embedding = published("token/best").trunk.embedding
    for weight in (embedding.tokens, embedding.positions):
        assert 0.04 < weight.abs().max().item() <= 0.05


def test_sinusoid_by_hand():
    code = sinusoid(3, 4).numpy()
    expected = [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)]
    np.testing.assert_allclose(code[2], expected, rtol=1e-6)
    np.testing.assert_array_equal(code[0], [0, 1, 0, 1])
