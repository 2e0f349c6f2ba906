"""The zoo's names, counts and refusals."""

import pytest
import torch

from cisweave.config import PromoterTrainingSettings
from cisweave.config.promoters import slice_bounds
from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.build import build_network
from cisweave.models.promoter.keras import count_parameters
from cisweave.models.promoter.registry import TYPES, find_type
from tests.models.promoter.networks import published

PARAMETERS = {
    "cnn/Xpresso": 112_485,
    "cnn/Xpresso_nohalf": 111_973,
    "cnn/Xpresso_TF": 124_069,
    "cnn/Xpresso_micro": 244_581,
    "cnn/Xpresso_ort": 112_485,
    "divide/DivideEtImpera": 1_892_289,
    "divide/DivideEtImpera_TF": 1_903_873,
    "divide/DivideEtImpera_onlyPromo": 1_891_777,
    "lstm/classic": 76_157,
    "lstm/tf": 92_447,
    "lstm/only_promoter": 75_437,
    "tfnet/TF": 11_781,
    "deeplncloc/DeepLncLoc": 123_881,
    "deeplncloc/DeepLncLoc_TF": 141_981,
    "deeplncloc/DeepLncLoc_onlyPromo": 123_081,
    "token/best": 436_833,
    "token/TF": 448_449,
    "token/onlyPromo": 448_897,
    "token/best_max": 483_009,
    "token/Original": 211_905,
}

BY_HAND = {
    # tokens, two convolutions, two norms, one block of one head, head on 32 means and 8 half-life features
    "token/globalP": 4 * 32 + (6 * 32 + 1) * 32 + (9 * 32 + 1) * 32 + 2 * 128 + 8_544 + 41 * 64 + 65 * 64 + 65,
    # tokens, positions, two convolutions, one norm, three blocks, head on 1,120 features and 8 half-life features
    "token/posSkip": 4 * 32 + 10_500 * 32 + 193 * 32 + 289 * 32 + 128 + 3 * 8_544 + 1_129 * 64 + 65 * 64 + 65,
}


def on_meta(name, window=10_500, **network):
    with torch.device("meta"):
        return published(name, window, **network)


@pytest.mark.parametrize(("name", "count"), [*PARAMETERS.items(), *BY_HAND.items()])
def test_parameters_at_published_size(name, count):
    assert count_parameters(on_meta(name)) == count
    assert TYPES[name].parameters == PARAMETERS.get(name)


def test_every_type_is_counted():
    assert set(TYPES) == set(PARAMETERS) | set(BY_HAND)


def test_xpresso_of_10_000_bases():
    assert count_parameters(on_meta("cnn/Xpresso", 10_000)) == 108_389


def test_xpresso_of_2018_takes_six_half_life_features():
    network = build_network("cnn/Xpresso", 10_500, halflife=6)
    assert network.head.dense_layers[0].in_features == 1_126


def test_best_manual_network_of_xpresso():
    """Window of 3,000 bases, two convolutions of 64 filters, pools of 10 and 20, one hidden layer of 100."""
    shape = {"filters": [64, 64], "widths": [5, 5], "pools": [10, 20], "dense": [100], "dropout": [0.5]}
    network = build_network("cnn/Xpresso", 3000, halflife=8, **shape)
    by_hand = (5 * 4 + 1) * 64 + (5 * 64 + 1) * 64 + (64 * 15 + 8 + 1) * 100 + 101
    assert count_parameters(network) == by_hand
    assert network(torch.zeros(2, 4, 3000), torch.zeros(2, 8)).shape == (2, 1)


def test_one_head_and_four_heads_of_a_block():
    assert sum(p.numel() for p in on_meta("token/best").trunk.blocks[0].parameters()) == 8_544
    assert sum(p.numel() for p in on_meta("token/onlyPromo").trunk.blocks[0].parameters()) == 21_120


def test_parts_of_divide_et_impera():
    trunk = on_meta("divide/DivideEtImpera").trunk
    assert [sum(p.numel() for p in branch.parameters()) for branch in trunk.branches] == [100_224] * 10
    assert sum(p.numel() for p in trunk.joined.parameters()) == 4 * 49_280


def test_parts_of_deeplncloc_and_lstm():
    block = on_meta("deeplncloc/DeepLncLoc").trunk.blocks[0]
    attention = (block.query, block.key, block.value, block.output)
    assert sum(p.numel() for layer in attention for p in layer.parameters()) == 66_368
    assert sum(p.numel() for p in block.parameters()) == 116_224
    trunk = on_meta("lstm/classic").trunk
    assert count_parameters(trunk.lstm) == 66_000
    assert count_parameters(trunk.norm) == 256


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cnn/Xpresso", "cnn/Xpresso"),
        ("Xpresso", "cnn/Xpresso"),
        ("CNN/xpresso-ort", "cnn/Xpresso_ort"),
        ("tritacarne", "divide/DivideEtImpera"),
        ("only promoter", "lstm/only_promoter"),
        ("classic", "lstm/classic"),
        ("TFNet", "tfnet/TF"),
        ("new_embedding", "deeplncloc/DeepLncLoc"),
        ("DeepLncLoc_Promoter", "deeplncloc/DeepLncLoc_onlyPromo"),
        ("onlyPromo", "token/onlyPromo"),
        ("Original", "token/Original"),
    ],
)
def test_names_of_the_originals(name, found):
    assert find_type(name).name == found


@pytest.mark.parametrize("name", ["TF", "tf"])
def test_a_name_of_several_types(name):
    with pytest.raises(CisweaveError, match=r"several types .* lstm/tf, tfnet/TF, token/TF"):
        find_type(name)


def test_an_unknown_name():
    with pytest.raises(CisweaveError, match="did you mean cnn/Xpresso?"):
        find_type("cnn/Xpreso")


def test_all_short_names_lead_back():
    for kind in TYPES.values():
        for alias in kind.aliases:
            if alias.casefold() != "tf":
                assert find_type(alias) is kind


def test_training_of_every_type_is_valid():
    for kind in TYPES.values():
        settings = PromoterTrainingSettings(**kind.training)
        assert None not in (settings.optimizer, settings.loss, settings.batch_size, settings.max_epochs)
        assert (settings.learning_rate is None) == (settings.optimizer == "noam")


def test_slices_are_as_long_as_published():
    lengths = {kind.name: slice_bounds(kind.slice) for kind in TYPES.values() if kind.slice}
    assert {right - left for left, right in lengths.values()} == {10_500}
    assert set(TYPES) - set(lengths) == {"tfnet/TF"}


def test_published_figures_lie_in_their_intervals():
    results = [result for kind in TYPES.values() for result in kind.published]
    assert all(result.low < result.r2 < result.high for result in results if result.low is not None)
    assert find_type("deeplncloc/DeepLncLoc").published[0].r2 == 0.61


def test_types_that_read_segments():
    assert {kind.family for kind in TYPES.values() if kind.embedding} == {"lstm", "deeplncloc"}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cnn/Xpresso", {"window": 299, "halflife": 8}, "cnn/Xpresso: a window of 299 bases .* at least 300"),
        ("token/best", {"window": 299, "halflife": 8}, "token/best: a window of 299 bases .* at least 300"),
        ("divide/DivideEtImpera", {"window": 10_600, "halflife": 8}, "divide/.*: .* a multiple of 250 bases"),
        ("lstm/classic", {"window": 49, "halflife": 8}, "lstm/classic: a window of 49 bases holds no segment of 50"),
        ("cnn/Xpresso", {"window": 600}, "reads halflife; give the number"),
        ("cnn/Xpresso", {"window": 600, "halflife": 8, "tf": 3}, "does not read tf; leave it out"),
        ("tfnet/TF", {"window": 600, "tf": 3}, "reads no promoter; its window is 0"),
        ("token/onlyPromo", {"window": 0}, "reads a promoter; give its window"),
        ("cnn/Xpresso", {"window": 600, "halflife": 8, "fliters": [3]}, "network.fliters.* did you mean filters?"),
        ("cnn/Xpresso", {"window": 600, "halflife": 8, "filters": [3]}, "as many values each, one per convolution"),
        ("tfnet/TF", {"window": 0, "tf": 3, "dense": [4]}, "dense and dropout need as many values"),
        ("lstm/classic", {"window": 99, "halflife": 8, "segment": 2}, "a segment of 2 holds no word of 3"),
        ("token/Original", {"window": 99, "halflife": 8, "size": 9}, "size 9 cannot be shared out among 2 heads"),
    ],
)
def test_what_does_not_go_together(name, arguments, message):
    with pytest.raises(CisweaveError, match=message):
        build_network(name, **arguments)


def test_network_refuses_other_shapes():
    network = build_network("cnn/Xpresso", 600, halflife=8)
    with pytest.raises(ValueError, match=r"promoters must be \(batch, 4, 600\), not \(2, 4, 700\)"):
        network(torch.zeros(2, 4, 700), torch.zeros(2, 8))
    with pytest.raises(ValueError, match=r"extras must be \(batch, 8\), not None"):
        network(torch.zeros(2, 4, 600))


def test_leaky_head_and_dilated_convolutions():
    network = build_network("cnn/Xpresso", 600, halflife=8, activation="leaky_relu", dilations=[2, 3])
    assert [layer.dilation for layer in network.trunk.convolutions] == [(2,), (3,)]
    assert any(isinstance(layer, torch.nn.LeakyReLU) for layer in network.head.layers)
    assert network(torch.zeros(2, 4, 600), torch.zeros(2, 8)).shape == (2, 1)
