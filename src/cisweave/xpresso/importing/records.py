"""What is known of a model that Keras saved: its layers in Keras's order, their settings and weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[Any]]

MEMBERS = ("embeddings", "kernel", "recurrent_kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
"""Weights of Keras's own layers in the order in which Keras lists them."""
NOT_TRAINED = ("moving_mean", "moving_variance")


class Weight(NamedTuple):
    """One tensor, and the layer it belongs to as the file calls it."""

    layer: str
    name: str
    values: NDArray[Any]


@dataclass(frozen=True)
class KerasLayer:
    """A layer.

    Attributes
    ----------
    name
        As the file calls it.
    kind
        Keras's class (``Conv1D``, ``Dense``, …); empty where the file does not tell.
    config
        Its settings; empty where the file does not tell.
    inputs
        Names of the layers it reads, in order.
    weights
        Name -> array, in Keras's order.
    """

    name: str
    kind: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    weights: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class KerasModel:
    """A model.

    Attributes
    ----------
    layers
        All layers in Keras's order; those without weights only where the file tells of them.
    path
        The file or folder it was read from.
    files
        Every file that was read.
    """

    layers: tuple[KerasLayer, ...]
    path: Path
    files: tuple[Path, ...]

    @property
    def described(self) -> bool:
        """Whether the file tells how the layers are connected."""
        return any(layer.inputs for layer in self.layers)

    def of_kind(self, *kinds: str) -> list[KerasLayer]:
        """The layers of these classes, in order."""
        return [layer for layer in self.layers if layer.kind in kinds]

    def weights(self) -> Iterator[Weight]:
        """Every tensor, layer by layer."""
        for layer in self.layers:
            for name, values in layer.weights.items():
                yield Weight(layer.name, name, values)


def layers_of_config(config: object) -> list[KerasLayer]:
    """The layers of a functional or sequential model, from what Keras wrote of it; none where it is something else."""
    listed = dictionary(dictionary(config).get("config")).get("layers")
    if not isinstance(listed, list):
        return []
    return [layer_of_config(each) for each in listed if isinstance(each, Mapping)]


def layer_of_config(each: Mapping[str, Any]) -> KerasLayer:
    """One layer, from what Keras wrote of it."""
    settings = dictionary(plain(each.get("config")))
    name = each.get("name") or settings.get("name") or ""
    return KerasLayer(str(name), str(each.get("class_name", "")), settings, input_names(each.get("inbound_nodes")))


def dictionary(value: object) -> Mapping[str, Any]:
    """The value, or an empty mapping where it is none."""
    return value if isinstance(value, Mapping) else {}


def plain(value: object) -> object:
    """Settings without Keras's wrapping of tuples and shapes."""
    if isinstance(value, Mapping):
        if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value:
            return plain(value["items"])
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def input_names(nodes: object) -> tuple[str, ...]:
    """Names of the layers that a layer's first call reads, from the node lists of Keras 2 or the calls of Keras 3."""
    first = nodes[0] if isinstance(nodes, list) and nodes else None
    if isinstance(first, Mapping):
        return tuple(tensor_names(first.get("args")))
    if not isinstance(first, list):
        return ()
    return tuple(str(each[0]) for each in first if isinstance(each, list) and each)


def tensor_names(value: object) -> Iterator[str]:
    """Names of the layers whose tensors stand anywhere in the arguments of a call (Keras 3)."""
    if isinstance(value, Mapping):
        history = dictionary(value.get("config")).get("keras_history")
        if isinstance(history, list) and history:
            yield str(history[0])
    elif isinstance(value, list):
        for each in value:
            yield from tensor_names(each)


def in_order(weights: Mapping[str, NDArray[Any]]) -> Weights:
    """Weights of one of Keras's own layers, in Keras's order."""
    return {name: weights[name] for name in sorted(weights, key=member_rank)}


def member_rank(name: str) -> tuple[int, str]:
    """Where a weight stands among those of its layer."""
    return (MEMBERS.index(name) if name in MEMBERS else len(MEMBERS), name)


def finite(values: NDArray[Any]) -> bool:
    """Whether all numbers are finite as 32-bit numbers."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(values.astype(np.float32)).all())
