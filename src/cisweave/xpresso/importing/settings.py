"""What a model's own description adds to the shapes of its weights: window, pools, dropout, and what is not supported.

Where the description is absent the published values stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isclose
from typing import Any

from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.logs import get_logger
from cisweave.xpresso.importing.records import KerasLayer, KerasModel
from cisweave.xpresso.importing.structure import Structure

logger = get_logger(__name__)

POOLS = ("MaxPooling1D", "AveragePooling1D")
NORM = "BatchNormalization"
NORM_EPS = 1e-3
CELL = {"activation": "tanh", "recurrent_activation": "sigmoid", "return_sequences": False, "go_backwards": False}
"""Settings of an LSTM whose last state is kept."""


def described_window(model: KerasModel, structure: Structure) -> int | None:
    """Bases or segments that a model reads, from its vectors of positions or its input; None where it is not told."""
    if structure.window is not None:
        return structure.window
    shapes = [input_shape(layer) for layer in model.of_kind("InputLayer")]
    if structure.family in ("token", "whole"):
        lengths = [shape[0] for shape in shapes if len(shape) == 1 and shape[0] is not None and shape[0] > 1000]
    else:
        lengths = [shape[0] for shape in shapes if len(shape) == 2]
    known = [length for length in lengths if isinstance(length, int)]
    return known[0] if len(known) == 1 else None


def input_shape(layer: KerasLayer) -> list[Any]:
    """Shape of an input without the batch."""
    shape = layer.config.get("batch_input_shape") or layer.config.get("batch_shape")
    return list(shape[1:]) if isinstance(shape, list) else []


def described_network(model: KerasModel, structure: Structure) -> dict[str, Any]:
    """Hyper-parameters that the description tells beyond the shapes.

    Raises
    ------
    CisweaveError
        If a layer does what the networks here do not, such as another activation or padding.
    """
    check_layers(model)
    found: dict[str, Any] = {}
    if structure.family == "cnn":
        found |= convolution_settings(model, structure)
    elif structure.family == "token":
        found |= token_pools(model)
    return found | head_dropout(model, structure)


def head_dropout(model: KerasModel, structure: Structure) -> dict[str, Any]:
    """Units and dropout of the hidden layers; without a description that fits, none but the published dropout."""
    rates = [layer.config.get("rate", layer.config.get("p")) for layer in model.of_kind("Dropout")]
    last = rates[-len(structure.dense) :] if structure.dense else []
    if len(last) == len(structure.dense) and all(isinstance(rate, int | float) and 0 <= rate < 1 for rate in last):
        return {"dense": structure.dense, "dropout": [float(rate) for rate in last]}
    return {"dense": structure.dense}


def convolution_settings(model: KerasModel, structure: Structure) -> dict[str, Any]:
    """Pools and dilations of Xpresso's convolutions."""
    found: dict[str, Any] = {}
    pools = [pool_size(layer, model) for layer in model.of_kind(*POOLS)]
    number = len(structure.network["filters"])
    if model.of_kind("AveragePooling1D"):
        raise CisweaveError("this model pools convolutions by their average, Xpresso by their maximum", path=model.path)
    if len(pools) == number:
        found["pools"] = pools
    elif model.described:
        raise CisweaveError(f"this model has {number} convolutions and {len(pools)} pools", path=model.path)
    dilations = [one(layer.config.get("dilation_rate", 1)) for layer in model.of_kind("Conv1D")]
    if len(dilations) == number and set(dilations) != {1}:
        found["dilations"] = dilations
    return found


def token_pools(model: KerasModel) -> dict[str, Any]:
    """Pools of a token transformer: of both convolutions, and of the path without, which is their product."""
    layers = model.of_kind(*POOLS)
    if not layers:
        return {}
    sizes = [pool_size(layer, model) for layer in layers]
    if len(sizes) == 3:
        first, *others = sizes
        for second, skip in (others, others[::-1]):
            if skip == first * second:
                return {"pools": [first, second], "pooling": "max" if model.of_kind("MaxPooling1D") else "average"}
    raise CisweaveError(
        f"this model pools by {', '.join(map(str, sizes))}; the token transformers pool two convolutions, and a path "
        "without by the product of both",
        path=model.path,
    )


def pool_size(layer: KerasLayer, model: KerasModel) -> int:
    """Positions of a pool, which are also its stride."""
    size = one(layer.config.get("pool_size", 0))
    if one(layer.config.get("strides", size)) != size or layer.config.get("padding", "valid") != "valid":
        raise CisweaveError(f"layer {layer.name}: pools that overlap or are padded are not supported", path=model.path)
    return size


def one(value: object) -> int:
    """A number that Keras may have wrapped in a list."""
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, int) else 0


# --- what a layer does ------------------------------------------------------------------------------------------------
def check_layers(model: KerasModel) -> None:
    """Raise if a described layer does what the networks here do not."""
    consumers = {name: layer for layer in model.layers for name in layer.inputs}
    hidden = [layer for layer in model.of_kind("Conv1D", "Dense") if layer.weights]
    for layer in hidden:
        wanted = "linear" if layer is hidden[-1] else "relu"
        found = activation(layer, consumers.get(layer.name))
        if found != wanted:
            raise CisweaveError(f"layer {layer.name} has activation {shorten(found)}, not {wanted}", path=model.path)
        if layer.kind == "Conv1D" and (
            layer.config.get("padding", "same") != "same" or one(layer.config.get("strides", 1)) != 1
        ):
            raise CisweaveError(
                f"layer {layer.name}: a convolution needs padding same and stride 1, as in all promoter models; is "
                "this another kind of model?",
                path=model.path,
            )
    for layer in model.of_kind("LSTM"):
        cell = {name: layer.config.get(name, value) for name, value in CELL.items()}
        if cell != CELL:
            raise CisweaveError(f"layer {layer.name} is an LSTM with {cell}; needed is {CELL}", path=model.path)
    for layer in model.of_kind(NORM):
        epsilon = layer.config.get("epsilon", NORM_EPS)
        if not isinstance(epsilon, float) or not isclose(epsilon, NORM_EPS):
            raise CisweaveError(f"layer {layer.name} has epsilon {epsilon}, not {NORM_EPS}", path=model.path)


def activation(layer: KerasLayer, consumer: KerasLayer | None) -> str:
    """What a layer's output goes through, in the layer itself or in one of its own behind it."""
    found = layer.config.get("activation", "linear")
    found = found.get("config", "") if isinstance(found, Mapping) else found
    if found == "linear" and consumer is not None and consumer.kind in ("Activation", "ReLU"):
        return str(consumer.config.get("activation", "relu"))
    return str(found)


# --- two normalisations of one shape ----------------------------------------------------------------------------------
def order_norms(model: KerasModel, structure: Structure) -> KerasModel:
    """The model with the normalisation of the convolutions before that of the path without them.

    Both have the same shape and Keras gives them in the order in which they are added, so only the description of the
    model tells them apart.
    """
    if structure.family != "token" or structure.network["skip"] != "tokens":
        return model
    if not model.described:
        logger.warning(
            "%s: without a description of the layers the first of the two batch normalisations is taken to be that of "
            "the convolutions",
            model.path,
        )
        return model
    by_name = {layer.name: layer for layer in model.layers}
    norms = [layer for layer in model.layers if layer.kind == NORM and layer.weights]
    if len(norms) != 2 or [behind_convolution(norm, by_name) for norm in norms] != [False, True]:
        return model
    swap = {norms[0].name: norms[1], norms[1].name: norms[0]}
    return replace(model, layers=tuple(swap.get(layer.name, layer) for layer in model.layers))


def behind_convolution(layer: KerasLayer, by_name: Mapping[str, KerasLayer]) -> bool:
    """Whether the layer reads a convolution, through layers without weights."""
    for _ in by_name:
        before = by_name.get(layer.inputs[0]) if layer.inputs else None
        if before is None or before.weights:
            return before is not None and before.kind == "Conv1D"
        layer = before
    return False
