"""Keras HDF5 files (``model.save('….h5')``, ``save_weights('….h5')``), read with h5py alone.

Layout: a group per layer (under ``model_weights`` where the whole model was saved), the layers in the attribute
``layer_names``, the tensors of a layer in its ``weight_names``, the model as JSON in ``model_config``. Nothing in the
file is run; links to other files are refused.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError, shorten
from cisweave.xpresso.importing.foreign import MOST_BYTES, checked, read_config
from cisweave.xpresso.importing.records import KerasLayer, KerasModel, Weights, layers_of_config

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MODEL_WEIGHTS = "model_weights"
LARGEST_ATTRIBUTE = 64 << 20
"""Bytes of the names of layers, or of the description of the model."""


def read_keras_weights(path: str | Path) -> KerasModel:
    """The layers of a Keras HDF5 file in Keras's order, with their weights.

    Parameters
    ----------
    path
        The file; kernels keep Keras's axes (a 1-D convolution is (width, channels in, channels out)).

    Raises
    ------
    CisweaveError
        If the file is absent, cut off, of another kind or of Keras 3's own kind (``.weights.h5``), or points to data
        outside itself.
    """
    import h5py

    path = checked(path)
    if not is_hdf5(path):
        raise CisweaveError("this is not an HDF5 file; a Keras model saved as .h5 is needed", path=path)
    try:
        with h5py.File(path) as store:
            return read_store(store, path)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, RecursionError, MemoryError) as error:
        raise CisweaveError(
            f"this Keras file is truncated or damaged ({first_line(error)}); get it again", path=path
        ) from error


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5."""
    with open(path, "rb") as handle:
        return handle.read(len(HDF5_MAGIC)) == HDF5_MAGIC


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def read_store(store: Any, path: Path) -> KerasModel:
    """The model in an open file."""
    root = child(store, MODEL_WEIGHTS, path) if MODEL_WEIGHTS in store else store
    names = text_list(root, "layer_names")
    if names is None:
        raise CisweaveError(
            "this HDF5 file holds no layers as Keras writes them; save the model once more with "
            "model.save('model.h5') (a .weights.h5 of Keras 3 is of another kind)",
            path=path,
        )
    described = {layer.name: layer for layer in layers_of_config(model_config(store))}
    layers, total = [], 0
    for name in names:
        weights = read_layer(child(root, name, path), path)
        total += sum(values.nbytes for values in weights.values())
        if total > MOST_BYTES:
            raise CisweaveError("this file holds more weights than a promoter model can have", path=path)
        layers.append(replace(described.get(name, KerasLayer(name)), weights=weights))
    return KerasModel(tuple(layers), path, (path,))


def model_config(store: Any) -> object:
    """What the file says of the model; an empty mapping where it says nothing."""
    return read_config(read_attribute(store, "model_config")) if "model_config" in store.attrs else {}


def read_layer(group: Any, path: Path) -> Weights:
    """The tensors of a layer, by the last part of their name (``kernel``, ``bias``, …) where that tells them apart."""
    names = text_list(group, "weight_names") or []
    short = [short_name(full) for full in names]
    own = short if len(set(short)) == len(short) else names
    return {name: read_array(group, full, path) for name, full in zip(own, names, strict=True)}


def short_name(full: str) -> str:
    """``conv1d_1/kernel:0`` as ``kernel``."""
    return PurePosixPath(full).name.partition(":")[0]


def read_array(group: Any, name: str, path: Path) -> NDArray[Any]:
    """One tensor; its size is checked before it is read."""
    stored = child(group, name, path)
    if not hasattr(stored, "shape") or stored.dtype.kind != "f":
        raise CisweaveError(f"{shorten(name)} is no array of floating-point numbers", path=path)
    if stored.external or stored.is_virtual:
        raise CisweaveError(f"{shorten(name)} keeps its numbers in another file, which is not read", path=path)
    if stored.size * stored.dtype.itemsize > MOST_BYTES:
        raise CisweaveError(f"{shorten(name)} of shape {stored.shape} is too large for a promoter model", path=path)
    return np.asarray(stored[()])


def child(group: Any, name: str, path: Path) -> Any:
    """What stands under a name, never through a link to another file."""
    import h5py

    for part in name.split("/"):
        if isinstance(group.get(part, getlink=True), h5py.ExternalLink):
            raise CisweaveError(f"{shorten(name)} points to another file, which is not read", path=path)
        group = group[part]
    return group


def text_list(group: Any, attribute: str) -> list[str] | None:
    """An attribute with names, which Keras cuts into numbered parts where it is long; None where it is absent."""
    if attribute in group.attrs:
        values = list(read_attribute(group, attribute))
    elif f"{attribute}0" in group.attrs:
        values, part = [], 0
        while f"{attribute}{part}" in group.attrs:
            values.extend(read_attribute(group, f"{attribute}{part}"))
            part += 1
    else:
        return None
    return [each.decode("utf-8") if isinstance(each, bytes) else str(each) for each in values]


def read_attribute(group: Any, name: str) -> Any:
    """An attribute, unless a damaged header gives it an absurd size."""
    held = group.attrs.get_id(name)
    if prod(held.shape or (1,)) * held.dtype.itemsize > LARGEST_ATTRIBUTE:
        raise ValueError(f"attribute {name} of shape {held.shape}")
    return group.attrs[name]
