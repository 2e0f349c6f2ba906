"""TensorFlow itself as the writer: what it saves gives the same predictions here.

Skipped where TensorFlow is not installed, as it is no part of this project; ``tf_keras`` writes SavedModels of Keras 2.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")
import keras as keras_3  # noqa: E402

from cisweave.models.folders import load_model, read_spec  # noqa: E402
from cisweave.sequence.onehot import one_hot  # noqa: E402
from cisweave.xpresso.importing.models import import_model  # noqa: E402
from tests.keras_numpy import segment_means, sinusoid  # noqa: E402

SIZE, HEADS = 16, 2


def block_class(K):
    class Block(K.layers.Layer):
        def __init__(self, size, heads, hidden, **other):
            super().__init__(**other)
            layers = K.layers
            self.attention = layers.MultiHeadAttention(num_heads=heads, key_dim=size)
            self.ffn = K.Sequential([layers.Dense(hidden, activation="relu"), layers.Dense(size)])
            self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]

        def call(self, x):
            x = self.norms[0](x + self.attention(x, x))
            return self.norms[1](x + self.ffn(x))

    return Block


def embedding_class(K):
    class TokenAndPosition(K.layers.Layer):
        def __init__(self, window, vocabulary, size, **other):
            super().__init__(**other)
            self.window = window
            self.tokens = K.layers.Embedding(vocabulary, size)
            self.places = K.layers.Embedding(window, size)

        def call(self, x):
            return self.tokens(x) + self.places(tf.range(self.window))

    return TokenAndPosition


def positions_class(K):
    class Positions(K.layers.Layer):
        def call(self, x):
            return x * np.float32(8) + sinusoid(6, 64).astype(np.float32)

    return Positions


def finish(K, inputs, x, extras, units):
    layers = K.layers
    if extras:
        inputs = [*inputs, *(K.Input((width,), name=name) for name, width in extras.items())]
        x = layers.Concatenate()([x, *inputs[-len(extras) :]])
    for number in units:
        x = layers.Dropout(0.1)(layers.Dense(number, activation="relu", bias_initializer="ones")(x))
    return K.Model(inputs, layers.Dense(1)(x))


def xpresso(K, extras):
    layers = K.layers
    promoter = x = K.Input((610, 4), name="promoter")
    for filters, width, pool in ((12, 6, 30), (8, 9, 10)):
        x = layers.MaxPooling1D(pool)(layers.Conv1D(filters, width, padding="same", activation="relu")(x))
    return finish(K, [promoter], layers.Flatten()(x), extras, [64, 2])


def divide(K, extras):
    layers = K.layers

    def conv(x):
        return layers.Conv1D(8, 3, padding="same", activation="relu")(x)

    promoter = K.Input((500, 4), name="promoter")
    parts = []
    for start in range(0, 500, 50):
        x = layers.Cropping1D((start, 450 - start))(promoter)
        parts.append(layers.MaxPooling1D(5)(conv(conv(layers.MaxPooling1D(5)(conv(x))))))
    x = layers.MaxPooling1D(5)(conv(layers.Concatenate(axis=1)(parts)))
    return finish(K, [promoter], layers.Flatten()(conv(conv(conv(x)))), extras, [64, 64])


def lstm(K, extras):
    segments = K.Input((6, 64), name="promoter")
    x = K.layers.LSTM(12)(K.layers.BatchNormalization()(segments))
    return finish(K, [segments], x, extras, [90])


def deeplncloc(K, extras):
    segments = K.Input((6, 64), name="promoter")
    x = positions_class(K)()(K.layers.BatchNormalization()(segments))
    x = block_class(K)(64, 4, 96)(x)
    return finish(K, [segments], K.layers.GlobalAveragePooling1D()(x), extras, [100])


def token(K, extras, skip_first=False):
    layers = K.layers
    tokens = K.Input((1200,), name="promoter", dtype="int32")
    embedded = embedding_class(K)(1200, 5, SIZE)(tokens)

    def by_convolutions():
        x = embedded
        for width, pool in ((6, 30), (9, 10)):
            x = layers.AveragePooling1D(pool)(layers.Conv1D(SIZE, width, padding="same", activation="relu")(x))
        return layers.BatchNormalization()(x)

    def by_pool():
        return layers.BatchNormalization()(layers.AveragePooling1D(300)(embedded))

    x = layers.Add()([by_pool(), by_convolutions()] if skip_first else [by_convolutions(), by_pool()])
    return finish(K, [tokens], layers.Flatten()(block_class(K)(SIZE, HEADS, 24)(x)), extras, [64, 64])


def tfnet(K, extras):
    inputs = x = K.Input((extras["tf"],), name="tf")
    return finish(K, [inputs], x, {}, [64, 2])


MODELS = {
    "cnn/Xpresso": (xpresso, {"halflife": 8}, 610),
    "cnn/Xpresso_TF": (xpresso, {"halflife": 8, "tf": 181}, 610),
    "cnn/Xpresso_nohalf": (xpresso, {}, 610),
    "divide/DivideEtImpera": (divide, {"halflife": 8}, 500),
    "lstm/classic": (lstm, {"halflife": 8}, 300),
    "deeplncloc/DeepLncLoc_TF": (deeplncloc, {"halflife": 8, "tf": 181}, 300),
    "token/best": (token, {"halflife": 8}, 1200),
    "token/TF": (token, {"halflife": 8, "tf": 181}, 1200),
    "tfnet/TF": (tfnet, {"tf": 181}, 0),
}


def build(K, name, **told):
    """A model whose batch normalisations have seen data."""
    make, extras, _ = MODELS[name]
    K.utils.set_random_seed(7)
    model = make(K, extras, **told)
    draw = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, K.layers.BatchNormalization):
            size = layer.get_weights()[0].shape
            layer.set_weights([draw.normal(1, 0.2, size), *draw.normal(0, 0.3, (2, *size)), draw.uniform(0.2, 2, size)])
    return model


def check(model, name: str, source: Path, tmp_path: Path, **told) -> None:
    _, widths, window = MODELS[name]
    draw = np.random.default_rng(4)
    codes = draw.integers(0, 4, (6, window))
    vectors = draw.normal(size=(64, 64)).astype(np.float32)
    extras = [draw.normal(size=(6, width)).astype(np.float32) for width in widths.values()]
    promoter = {"token": codes, "cnn": np.eye(4)[codes], "divide": np.eye(4)[codes], "tfnet": None}
    first = promoter.get(name.partition("/")[0], segment_means(codes, vectors) if window else None)
    inputs = extras if first is None else [first.astype("int32" if "token" in name else "float32"), *extras]
    right = np.asarray(model(inputs if len(inputs) > 1 else inputs[0]))[:, 0]
    assert right.std() > 1e-3
    if "lstm" in name or "deep" in name:
        np.save(tmp_path / "vectors.npy", vectors)
        told["vectors"] = tmp_path / "vectors.npy"
    import_model(source, tmp_path / "model", **({"slice": f"0:{window}"} if window else {}), **told)
    assert read_spec(tmp_path / "model").hyperparameters["type"] == name
    network = load_model(tmp_path / "model", architecture="promoter").module
    joined = torch.from_numpy(np.concatenate([np.zeros((6, 0), dtype=np.float32), *extras], axis=1))
    with torch.inference_mode():
        found = network(one_hot(codes.astype(np.uint8)) if window else None, joined)[:, 0].numpy()
    np.testing.assert_allclose(found, right, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_saved_models_of_keras_2(name: str, tmp_path: Path) -> None:
    model = build(tf_keras, name)
    model.save(str(tmp_path / "saved"), save_format="tf")
    check(model, name, tmp_path / "saved", tmp_path)


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("name", MODELS)
def test_hdf5(name: str, version: str, tmp_path: Path) -> None:
    model = build(tf_keras if version == "2" else keras_3, name)
    model.save(str(tmp_path / "model.h5"))
    check(model, name, tmp_path / "model.h5", tmp_path)


@pytest.mark.parametrize("described", [True, False])
def test_the_path_that_was_added_first(described: bool, tmp_path: Path) -> None:
    model = build(tf_keras, "token/best", skip_first=True)
    model.save(str(tmp_path / "saved"), save_format="tf")
    if described:
        check(model, "token/best", tmp_path / "saved", tmp_path)
        return
    for name in ("keras_metadata.pb", "saved_model.pb"):
        (tmp_path / "saved" / name).unlink()
    with pytest.raises(AssertionError):  # without a description the guess is the other one
        check(model, "token/best", tmp_path / "saved", tmp_path)


def test_a_saved_model_after_training(tmp_path: Path) -> None:
    model = build(tf_keras, "cnn/Xpresso")
    model.compile("adam", "mse")
    draw = np.random.default_rng(0)
    data = [draw.normal(size=(8, 610, 4)).astype("float32"), draw.normal(size=(8, 8)).astype("float32")]
    model.fit(data, draw.normal(size=8), verbose=0)
    model.save(str(tmp_path / "saved"), save_format="tf")
    check(model, "cnn/Xpresso", tmp_path / "saved", tmp_path)
