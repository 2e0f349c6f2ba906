"""Small networks of every layout with random weights, and files of them as Keras and TensorFlow write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from tests import keras_numpy as plain
from tests.keras_numpy import Arrays, Draw
from tests.xpresso.importing.bundle_writer import write_bundle

NAMES = {
    "conv": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "norm": ("gamma", "beta", "moving_mean", "moving_variance"),
}
"""Weights of Keras's own layers; those of others stand in lists."""


@dataclass
class Case:
    """A network: what kinds its layers are of, their weights, its inputs, and its output in plain NumPy."""

    type: str
    kinds: list[str]
    layers: list[Arrays]
    window: int
    widths: tuple[int, int, int]
    forward: Callable[[np.ndarray, np.ndarray, list[Arrays]], np.ndarray]
    segments: bool = False


def make(type: str, seed: int = 0) -> Case:  # noqa: A002
    """A small network of a type."""
    return MAKERS[type](Draw(seed))


def xpresso(name: str, halflife: int, tf: int = 0, mirna: int = 0) -> Callable[[Draw], Case]:
    def maker(draw: Draw) -> Case:
        layers = [draw.conv(6, 4, 7), draw.conv(9, 7, 5), *draw.dense(2 * 5 + halflife + tf + mirna, 64, 2, 1)]
        kinds = ["conv"] * 2 + ["dense"] * 3
        return Case(name, kinds, layers, 610, (halflife, tf, mirna), plain.xpresso)

    return maker


def divide(draw: Draw) -> Case:
    layers = [draw.conv(3, 4, 6) for _ in range(10)] + [draw.conv(3, 6, 6) for _ in range(24)]
    layers += draw.dense(4 * 6 + 8, 64, 64, 1)
    return Case("divide/DivideEtImpera", ["conv"] * 34 + ["dense"] * 3, layers, 500, (8, 0, 0), plain.divide)


def lstm(draw: Draw) -> Case:
    cell = [draw.array(64, 48), draw.array(12, 48), draw.array(48)]
    layers = [draw.norm(64), cell, *draw.dense(12 + 8 + 181, 90, 1)]
    kinds = ["norm", "listed", "dense", "dense"]
    return Case("lstm/tf", kinds, layers, 200, (8, 181, 0), plain.recurrent, segments=True)


def tfnet(draw: Draw) -> Case:
    return Case("tfnet/TF", ["dense"] * 3, draw.dense(181, 64, 2, 1), 0, (0, 181, 0), plain.factors)


def deeplncloc(draw: Draw) -> Case:
    layers = [draw.norm(64), draw.block(64, 4, 64, 96), *draw.dense(64 + 8, 100, 1)]
    kinds = ["norm", "listed", "dense", "dense"]
    return Case("deeplncloc/DeepLncLoc", kinds, layers, 200, (8, 0, 0), plain.segment_transformer, segments=True)


def token(
    name: str,
    forward: plain.Tokens,
    vocabulary: int = 4,
    filters: int = 8,
    heads: int = 1,
    widths: tuple[int, int, int] = (8, 0, 0),
) -> Callable[[Draw], Case]:
    def maker(draw: Draw) -> Case:
        table = [draw.array(vocabulary, 8)] + ([draw.array(610, 8)] if forward.learned else [])
        norms = [draw.norm(8) for _ in range(1 if forward.positions_alone else 2)]
        blocks = [draw.block(8, heads, 8, 20) for _ in range(forward.blocks)]
        features = 8 * (2 if forward.flat else 1)
        layers = [table, draw.conv(6, 8, filters), draw.conv(9, filters, 8), *norms, *blocks]
        kinds = ["listed", "conv", "conv", *["norm"] * len(norms), *["listed"] * len(blocks), *["dense"] * 3]
        return Case(name, kinds, [*layers, *draw.dense(features + sum(widths), 64, 64, 1)], 610, widths, forward)

    return maker


def original(draw: Draw) -> Case:
    layers = [[draw.array(5, 16)], draw.block(16, 2, 8, 24), *draw.dense(16 + 8, 64, 64, 1)]
    return Case("token/Original", ["listed", "listed", *["dense"] * 3], layers, 130, (8, 0, 0), plain.original)


MAKERS: dict[str, Callable[[Draw], Case]] = {
    "cnn/Xpresso": xpresso("cnn/Xpresso", 8),
    "cnn/Xpresso_nohalf": xpresso("cnn/Xpresso_nohalf", 0),
    "cnn/Xpresso_TF": xpresso("cnn/Xpresso_TF", 8, tf=181),
    "cnn/Xpresso_micro": xpresso("cnn/Xpresso_micro", 8, mirna=100),
    "cnn/Xpresso_ort": xpresso("cnn/Xpresso_ort", 8),
    "divide/DivideEtImpera": divide,
    "lstm/tf": lstm,
    "tfnet/TF": tfnet,
    "deeplncloc/DeepLncLoc": deeplncloc,
    "token/best": token("token/best", plain.Tokens(), heads=4),
    "token/TF": token("token/TF", plain.Tokens(), vocabulary=5, widths=(8, 181, 0)),
    "token/onlyPromo": token("token/onlyPromo", plain.Tokens(), widths=(0, 0, 0)),
    "token/globalP": token("token/globalP", plain.Tokens(learned=False, flat=False)),
    "token/posSkip": token("token/posSkip", plain.Tokens(positions_alone=True, blocks=3)),
    "token/best_max": token("token/best_max", plain.Tokens(how=np.max), filters=12),
    "token/Original": original,
}


# --- files ------------------------------------------------------------------------------------------------------------
def bundle_tensors(case: Case, scheme: str = "variables") -> dict[str, np.ndarray]:
    """Names and weights as a SavedModel has them: own layers by name, others in a list over the model."""
    tensors, place = {}, 0
    for number, (kind, arrays) in enumerate(zip(case.kinds, case.layers, strict=True)):
        for i, values in enumerate(arrays):
            if kind == "listed":
                tensors[f"{scheme}/{place}"] = values
            else:
                tensors[f"layer_with_weights-{number}/{NAMES[kind][i]}"] = values
            place += scheme == "variables" or kind != "norm" or i < 2
    return tensors


def save_folder(case: Case, folder: Path, scheme: str = "variables") -> Path:
    """A SavedModel folder without a description, with an optimiser's state and a metric."""
    other = {
        "optimizer/iter": np.array(3, dtype=np.int64),
        "layer_with_weights-0/kernel/.OPTIMIZER_SLOT/optimizer/momentum": np.ones(3, dtype=np.float32),
        "keras_api/metrics/0/total": np.array(1, dtype=np.float32),
    }
    write_bundle(folder / "variables/variables", bundle_tensors(case, scheme) | other)
    return folder


def save_h5(case: Case, path: Path, config: dict | None = None) -> Path:
    """A Keras HDF5 file."""
    with h5py.File(path, "w") as store:
        store.attrs["keras_version"] = b"2.4.0"
        if config is not None:
            store.attrs["model_config"] = json.dumps(config)
        root = store.create_group("model_weights")
        weights = {
            f"{kind}_{i}": (kind, arrays) for i, (kind, arrays) in enumerate(zip(case.kinds, case.layers, strict=True))
        }
        names = [each["name"] for each in config["config"]["layers"]] if config else ["input_1", *weights]
        for name in names:
            kind, arrays = weights.get(name, ("", []))
            own = NAMES.get(kind) or [f"part_{i}/kernel" for i in range(len(arrays))]
            group = root.create_group(name)
            full = [f"{name}/{each}:0" for each in own[: len(arrays)]]
            group.attrs["weight_names"] = np.array([each.encode() for each in full], dtype="S")
            for each, values in zip(full, arrays, strict=True):
                group[each] = values
        root.attrs["layer_names"] = [name.encode() for name in names]
    return path
