"""What Keras wrote of a model beside its weights: connections, pools, activations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cisweave.core.errors import CisweaveError
from cisweave.models.folders import load_model, read_spec
from cisweave.sequence.onehot import one_hot
from cisweave.xpresso.importing.keras_h5 import read_keras_weights
from cisweave.xpresso.importing.models import import_model
from cisweave.xpresso.importing.saved_model import read_saved_model
from tests import keras_numpy as plain
from tests.keras_numpy import Draw
from tests.xpresso.importing.bundle_writer import field, write_bundle, write_metadata
from tests.xpresso.importing.networks import Case, bundle_tensors, make, save_folder, save_h5


def layer(kind: str, name: str, *inputs: str, **config) -> dict:
    nodes = [[[each, 0, 0, {}] for each in inputs]] if inputs else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def model(layers: list[dict]) -> dict:
    return {"class_name": "Functional", "config": {"name": "model", "layers": layers}}


def conv(name: str, before: str, **other) -> dict:
    return layer("Conv1D", name, before, **({"activation": "relu", "padding": "same", "strides": [1]} | other))


def xpresso_layers(pools: tuple[int, int] = (20, 6), window: int = 480) -> list[dict]:
    """As :func:`save_h5` names them."""
    return [
        layer("InputLayer", "input_1", batch_input_shape=[None, window, 4]),
        conv("conv_0", "input_1", dilation_rate=[1]),
        layer("MaxPooling1D", "pool_0", "conv_0", pool_size=[pools[0]], strides=[pools[0]], padding="valid"),
        conv("conv_1", "pool_0", dilation_rate=[1]),
        layer("MaxPooling1D", "pool_1", "conv_1", pool_size=[pools[1]], strides=[pools[1]], padding="valid"),
        layer("Flatten", "flatten", "pool_1"),
        layer("InputLayer", "halflife", batch_input_shape=[None, 8]),
        layer("Concatenate", "join", "flatten", "halflife"),
        layer("Dense", "dense_2", "join", activation="linear"),
        layer("Activation", "act", "dense_2", activation="relu"),
        layer("Dropout", "drop_0", "act", rate=0.25),
        layer("Dense", "dense_3", "drop_0", activation="relu"),
        layer("Dropout", "drop_1", "dense_3", p=0.5),
        layer("Dense", "dense_4", "drop_1", activation="linear"),
    ]


@pytest.fixture
def case() -> Case:
    """480 bases pooled by 20 and 6 leave 4 positions of 5 channels."""
    draw = Draw()
    layers = [draw.conv(6, 4, 7), draw.conv(9, 7, 5), *draw.dense(4 * 5 + 8, 64, 2, 1)]

    def forward(codes: np.ndarray, extras: np.ndarray, weights: list) -> np.ndarray:
        left = iter(weights)
        x = plain.pool(plain.conv(np.eye(4)[codes], next(left)), 20)
        return plain.head(plain.pool(plain.conv(x, next(left)), 6).reshape(len(x), -1), extras, left)

    return Case("cnn/Xpresso", ["conv"] * 2 + ["dense"] * 3, layers, 480, (8, 0, 0), forward)


def check_predictions(case: Case, folder: Path) -> None:
    draw = np.random.default_rng(5)
    codes, extras = draw.integers(0, 4, (4, case.window)), draw.normal(size=(4, 8)).astype(np.float32)
    with torch.inference_mode():
        network = load_model(folder, architecture="promoter").module
        found = network(one_hot(codes.astype(np.uint8)), torch.from_numpy(extras))[:, 0].numpy()
    np.testing.assert_allclose(found, case.forward(codes, extras, case.layers), atol=2e-5)


def test_pools_and_dropout_are_those_of_the_description(case: Case, tmp_path: Path) -> None:
    save_h5(case, tmp_path / "model.h5", model(xpresso_layers()))
    import_model(tmp_path / "model.h5", tmp_path / "model", slice="100:580")
    found = read_spec(tmp_path / "model").hyperparameters
    assert found["type"] == "cnn/Xpresso"
    assert (found["pools"], found["dropout"]) == ([20, 6], [0.25, 0.5])
    check_predictions(case, tmp_path / "model")


@pytest.mark.parametrize("file", ["keras_metadata.pb", "layers alone", "saved_model.pb"])
def test_a_saved_model_is_described_too(file: str, case: Case, tmp_path: Path) -> None:
    save_folder(case, tmp_path / "saved")
    layers = xpresso_layers()
    names = {number: f"{kind}_{number}" for number, kind in enumerate(case.kinds)}
    if file != "saved_model.pb":
        write_metadata(tmp_path / "saved", layers, names, whole=file == "keras_metadata.pb")
    else:
        by_name = {each["name"]: each for each in layers}
        described = [model(layers), *(by_name[name] for name in names.values())]
        children = b"".join(
            field(1, field(1, number + 1) + field(2, f"layer_with_weights-{number}".encode())) for number in names
        )
        nodes = [field(4, field(1, b"_tf_keras_layer") + field(3, json.dumps(each).encode())) for each in described]
        graph = field(1, children + nodes[0]) + b"".join(field(1, node) for node in nodes[1:])
        (tmp_path / "saved/saved_model.pb").write_bytes(field(1, 1) + field(2, field(1, b"meta") + field(7, graph)))
    found = read_saved_model(tmp_path / "saved")
    assert found.described
    assert [each.name for each in found.layers if each.weights] == list(names.values())
    assert {each.name: each.inputs for each in found.layers}["join"] == ("flatten", "halflife")
    import_model(tmp_path / "saved", tmp_path / "model", slice="100:580")
    check_predictions(case, tmp_path / "model")


def test_calls_of_keras_3_are_read(case: Case, tmp_path: Path) -> None:
    layers = xpresso_layers()
    for each in layers:
        before = [name for name, *_ in each["inbound_nodes"][0]] if each["inbound_nodes"] else []
        tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in before]
        each["inbound_nodes"] = (
            [{"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}] if before else []
        )
    save_h5(case, tmp_path / "model.h5", model(layers))
    by_name = {each.name: each.inputs for each in read_keras_weights(tmp_path / "model.h5").layers}
    assert by_name["join"] == ("flatten", "halflife")
    assert by_name["pool_1"] == ("conv_1",)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (1, {"activation": "elu"}, "layer conv_0 has activation 'elu', not relu"),
        (1, {"padding": "valid"}, "layer conv_0: a convolution needs padding same"),
        (2, {"strides": [5]}, "layer pool_0: pools that overlap"),
        (13, {"activation": "sigmoid"}, "layer dense_4 has activation 'sigmoid', not linear"),
        (0, {"batch_input_shape": [None, 700, 4]}, "reads 700 bases, the slice 0:480 has 480"),
        (4, {"pool_size": [60], "strides": [60]}, "pooled away"),
    ],
)
def test_layers_that_differ_are_named(place: int, change: dict, message: str, case: Case, tmp_path: Path) -> None:
    layers = xpresso_layers()
    layers[place]["config"] |= change
    save_h5(case, tmp_path / "model.h5", model(layers))
    with pytest.raises(CisweaveError, match=message):
        import_model(tmp_path / "model.h5", tmp_path / "model", slice="0:480")


def test_average_pools_are_not_xpressos(case: Case, tmp_path: Path) -> None:
    layers = xpresso_layers()
    layers[2]["class_name"] = "AveragePooling1D"
    save_h5(case, tmp_path / "model.h5", model(layers))
    with pytest.raises(CisweaveError, match="pools convolutions by their average"):
        import_model(tmp_path / "model.h5", tmp_path / "model", slice="0:480")


# --- two normalisations of one shape ----------------------------------------------------------------------------------
def token_layers(conv_norm: str, skip_norm: str) -> list[dict]:
    pools = {"strides": None, "padding": "valid"}
    by_name = {
        "norm_3": layer("BatchNormalization", "norm_3", "", epsilon=0.001),
        "norm_4": layer("BatchNormalization", "norm_4", "", epsilon=0.001),
    }
    for name, before in ((conv_norm, "pool_1"), (skip_norm, "pool_2")):
        by_name[name]["inbound_nodes"] = [[[before, 0, 0, {}]]]
    return [
        layer("InputLayer", "promoter", batch_input_shape=[None, 610]),
        layer("TokenAndPosition", "listed_0", "promoter"),
        conv("conv_1", "listed_0"),
        layer("AveragePooling1D", "pool_0", "conv_1", **pools | {"pool_size": [30], "strides": [30]}),
        conv("conv_2", "pool_0"),
        layer("AveragePooling1D", "pool_1", "conv_2", **pools | {"pool_size": [10], "strides": [10]}),
        layer("AveragePooling1D", "pool_2", "listed_0", **pools | {"pool_size": [300], "strides": [300]}),
        by_name["norm_3"],
        by_name["norm_4"],
        layer("Add", "add", "norm_3", "norm_4"),
        layer("Block", "listed_5", "add"),
        layer("Flatten", "flatten", "listed_5"),
        layer("InputLayer", "halflife", batch_input_shape=[None, 8]),
        layer("Concatenate", "join", "flatten", "halflife"),
        layer("Dense", "dense_6", "join", activation="relu"),
        layer("Dense", "dense_7", "dense_6", activation="relu"),
        layer("Dense", "dense_8", "dense_7", activation="linear"),
    ]


@pytest.mark.parametrize("swapped", [False, True])
def test_normalisations_go_where_the_description_says(swapped: bool, tmp_path: Path) -> None:
    case = make("token/best")
    weights = bundle_tensors(case)
    names = {number: f"{kind}_{number}" for number, kind in enumerate(case.kinds)}
    if swapped:
        moved = {"layer_with_weights-3": "layer_with_weights-4", "layer_with_weights-4": "layer_with_weights-3"}
        weights = {
            "/".join([moved.get(name.split("/")[0], name.split("/")[0]), name.split("/")[1]]): values
            for name, values in weights.items()
        }
    write_bundle(tmp_path / "saved/variables/variables", weights)
    write_metadata(
        tmp_path / "saved", token_layers(*(("norm_4", "norm_3") if swapped else ("norm_3", "norm_4"))), names
    )
    import_model(tmp_path / "saved", tmp_path / "model", slice="0:610")
    check_predictions(case, tmp_path / "model")


def test_without_a_description_a_guess_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import_model(save_folder(make("token/best"), tmp_path / "saved"), tmp_path / "model", slice="0:610")
    assert "first of the two batch normalisations is taken" in caplog.text


# --- segments ---------------------------------------------------------------------------------------------------------
def lstm_layers(**cell) -> list[dict]:
    return [
        layer("InputLayer", "segments", batch_input_shape=[None, 10, 64]),
        layer("BatchNormalization", "norm_0", "segments", epsilon=0.001),
        layer("LSTM", "listed_1", "norm_0", **({"activation": "tanh", "recurrent_activation": "sigmoid"} | cell)),
        layer("InputLayer", "halflife", batch_input_shape=[None, 8]),
        layer("InputLayer", "tf", batch_input_shape=[None, 181]),
        layer("Concatenate", "join", "listed_1", "halflife", "tf"),
        layer("Dense", "dense_2", "join", activation="relu"),
        layer("Dense", "dense_3", "dense_2", activation="linear"),
    ]


def test_the_number_of_segments_tells_their_length(tmp_path: Path) -> None:
    save_h5(make("lstm/tf"), tmp_path / "model.h5", model(lstm_layers()))
    import_model(tmp_path / "model.h5", tmp_path / "model", slice="0:1000")
    found = read_spec(tmp_path / "model")
    assert found.hyperparameters["segment"] == 100
    assert found.preprocessing["embedding"]["segment"] == 100


def test_another_cell_is_named(tmp_path: Path) -> None:
    save_h5(make("lstm/tf"), tmp_path / "model.h5", model(lstm_layers(recurrent_activation="hard_sigmoid")))
    with pytest.raises(CisweaveError, match="layer listed_1 is an LSTM with .*hard_sigmoid"):
        import_model(tmp_path / "model.h5", tmp_path / "model", slice="0:1000")
