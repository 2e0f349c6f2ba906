"""Keras HDF5 files that are whole, and those that are not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.xpresso.importing.keras_h5 import read_keras_weights
from tests.xpresso.importing.networks import make, save_h5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save_h5(make("cnn/Xpresso"), tmp_path / "model.h5")


def test_layers_and_weights_are_in_order(file: Path) -> None:
    found = read_keras_weights(file)
    assert [layer.name for layer in found.layers] == ["input_1", "conv_0", "conv_1", "dense_2", "dense_3", "dense_4"]
    assert [(w.layer, w.name) for w in found.weights()][:3] == [
        ("conv_0", "kernel"), ("conv_0", "bias"), ("conv_1", "kernel"),
    ]  # fmt: skip
    for weight, values in zip(
        found.weights(), [v for arrays in make("cnn/Xpresso").layers for v in arrays], strict=True
    ):
        np.testing.assert_array_equal(weight.values, values)


def test_weights_alone_and_long_lists_are_read(file: Path, tmp_path: Path) -> None:
    with h5py.File(file) as store, h5py.File(tmp_path / "weights.h5", "w") as other:
        for name, group in store["model_weights"].items():
            store.copy(group, other, name)
        names = list(store["model_weights"].attrs["layer_names"])
        other.attrs["layer_names0"], other.attrs["layer_names1"] = names[:4], names[4:]
    whole, alone = (read_keras_weights(path) for path in (file, tmp_path / "weights.h5"))
    assert [layer.name for layer in alone.layers] == [layer.name for layer in whole.layers]
    assert not alone.described


def test_names_that_are_not_unique_are_kept_whole(tmp_path: Path) -> None:
    found = read_keras_weights(save_h5(make("deeplncloc/DeepLncLoc"), tmp_path / "model.h5"))
    block = found.layers[2]
    assert len(block.weights) == 16
    assert list(block.weights)[:2] == ["listed_1/part_0/kernel:0", "listed_1/part_1/kernel:0"]


def change(path: Path, what: str) -> None:
    with h5py.File(path, "a") as store:
        root = store["model_weights"]
        if what == "no layers":
            del root.attrs["layer_names"]
        elif what == "missing tensor":
            del root["conv_0/conv_0/bias:0"]
        elif what == "missing group":
            del root["conv_1"]
        elif what == "text":
            del root["conv_0/conv_0/bias:0"]
            root["conv_0/conv_0/bias:0"] = b"1,2,3"
        elif what == "link":
            del root["conv_0/conv_0/bias:0"]
            root["conv_0/conv_0/bias:0"] = h5py.ExternalLink("/etc/other.h5", "/x")
        elif what == "outside":
            del root["conv_0/conv_0/bias:0"]
            root["conv_0/conv_0"].create_dataset("bias:0", (7,), "f4", external=[("/etc/hostname", 0, 28)])
        elif what == "huge":
            del root["conv_0/conv_0/bias:0"]
            root["conv_0/conv_0"].create_dataset("bias:0", (1 << 33,), "f4", chunks=(1 << 16,), compression=1)
        elif what == "config":
            store.attrs["model_config"] = "{not json"
        elif what == "deep":
            store.attrs.create("model_config", "[" * 60_000)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no layers", "no layers as Keras writes them"),
        ("missing tensor", "truncated or damaged"),
        ("missing group", "truncated or damaged"),
        ("text", "no array of floating-point numbers"),
        ("link", "points to another file"),
        ("outside", "numbers in another file"),
        ("huge", "too large"),
        ("config", "truncated or damaged"),
        ("deep", "nested too deeply"),
    ],
)
def test_strange_contents_are_refused(what: str, message: str, file: Path) -> None:
    change(file, what)
    with pytest.raises(CisweaveError, match=message):
        read_keras_weights(file)


def test_other_files_are_refused(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    other = tmp_path / "other.h5"
    for content, message in (
        (whole[: len(whole) // 2], "truncated or damaged"),
        (b"", "empty"),
        (b"<html><body>Not found</body></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x80\x04\x95pickle", "not an HDF5 file"),
    ):
        other.write_bytes(content)
        with pytest.raises(CisweaveError, match=message):
            read_keras_weights(other)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(CisweaveError, match="archive"):
        read_keras_weights(tmp_path / "model.keras")
    with pytest.raises(CisweaveError, match="does not exist"):
        read_keras_weights(tmp_path / "absent.h5")
