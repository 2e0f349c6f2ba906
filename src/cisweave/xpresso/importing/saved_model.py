"""A model of Keras in a TensorFlow SavedModel: its variables put back into the order of its layers.

A bundle names the weights of Keras's own layers ``layer_with_weights-N/kernel``. Those of other layers (attention
blocks, recurrent cells, embeddings inside layers) stand in a list over the whole model, ``trainable_variables/i`` or
``variables/i``, whose numbers also count the weights of the named layers; only the second counts the means and
variances of batch normalisation. How the layers are connected stands as JSON in ``keras_metadata.pb``, or, before
TensorFlow 2.5, in ``saved_model.pb``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.logs import get_logger
from cisweave.xpresso.importing.foreign import read_config
from cisweave.xpresso.importing.records import (
    NOT_TRAINED,
    KerasLayer,
    KerasModel,
    Weights,
    in_order,
    layer_of_config,
    layers_of_config,
)
from cisweave.xpresso.importing.tf_bundle import Array, open_bundle
from cisweave.xpresso.importing.wire import fields, messages

logger = get_logger(__name__)

NAMED = re.compile(r"layer_with_weights-(\d+)/([^/]+)")
LISTED = re.compile(r"(trainable_variables|variables)/(\d+)")
LAYER_PATH = re.compile(r"root\.layer_with_weights-(\d+)")
METADATA = "keras_metadata.pb"
GRAPH = "saved_model.pb"
LARGEST = 256 << 20
"""Bytes of a description that is read."""


def read_saved_model(path: str | Path, data: str | Path | None = None) -> KerasModel:
    """The layers of a SavedModel or bundle in Keras's order, with their weights.

    Parameters
    ----------
    path, data
        As for :func:`~cisweave.xpresso.importing.tf_bundle.open_bundle`.

    Raises
    ------
    CisweaveError
        If the bundle cannot be read, or its variables are not those of a Keras model of layers.
    """
    bundle = open_bundle(path, data)
    layers = group_layers(bundle.tensors, Path(path))
    described, by_number = read_description(bundle.folder) if bundle.folder else ([], {})
    return KerasModel(tuple(describe(layers, described, by_number)), Path(path), bundle.files)


# --- variables --------------------------------------------------------------------------------------------------------
def group_layers(tensors: Mapping[str, Array], path: Path) -> dict[int, Weights]:
    """Weights by the number of their layer; layers of a list that stand next to each other share the first's number."""
    named: dict[int, Weights] = {}
    listed: dict[int, Array] = {}
    lists = set()
    for name, values in tensors.items():
        if match := NAMED.fullmatch(name):
            named.setdefault(int(match[1]), {})[match[2]] = values
        elif match := LISTED.fullmatch(name):
            listed[int(match[2])] = values
            lists.add(match[1])
        else:
            raise CisweaveError(
                f"variable {shorten(name)} is not where Keras keeps the weights of a SavedModel; save the model with "
                "model.save('folder', save_format='tf') or as .h5",
                path=path,
            )
    if len(lists) > 1:
        raise CisweaveError("the variables stand in two lists, so their order is not known", path=path)
    return merge({number: in_order(weights) for number, weights in named.items()}, listed, "variables" in lists, path)


def merge(named: dict[int, Weights], listed: dict[int, Array], counts_all: bool, path: Path) -> dict[int, Weights]:
    """Named and listed weights in one order.

    A layer that owns no named weights has the next of the list; the list's numbers go on over the named ones.
    """
    layers: dict[int, Weights] = {}
    place = 0
    for number in range(max(named, default=-1) + 1):
        weights = named.get(number)
        if weights is None:
            weights = {}
            while place in listed:
                weights[f"variable {place}"] = listed.pop(place)
                place += 1
        else:
            place += sum(counts_all or name not in NOT_TRAINED for name in weights)
        layers[number] = weights
    trailing = {f"variable {place}": listed[place] for place in sorted(listed)}
    if trailing and min(listed) != place:
        raise CisweaveError(
            f"variable {min(listed)} of the list of variables follows no layer; the index is incomplete or damaged",
            path=path,
        )
    return layers | ({len(layers): trailing} if trailing else {})


# --- description ------------------------------------------------------------------------------------------------------
def read_description(folder: Path) -> tuple[list[KerasLayer], dict[int, str]]:
    """The layers as the model's description has them, and their names by their number among layers with weights.

    Both are empty where there is no description or it cannot be read: the weights are enough for most models.
    """
    for name, reader in ((METADATA, metadata_nodes), (GRAPH, graph_nodes)):
        path = folder / name
        if not path.is_file() or path.stat().st_size > LARGEST:
            continue
        try:
            nodes = list(reader(path.read_bytes()))
            layers, numbers = layers_of_nodes(nodes)
        except (ValueError, RecursionError) as error:
            logger.warning("%s: this description of the model cannot be read (%s); going on without", path, error)
            continue
        if layers:
            return layers, numbers
    return [], {}


def metadata_nodes(data: bytes) -> Iterator[tuple[str, object]]:
    """Place in the model and description of each of its objects, from ``keras_metadata.pb``."""
    for node in messages(data, 1):
        found = {number: value for number, value in fields(node) if isinstance(value, bytes)}
        yield found.get(3, b"").decode("utf-8"), read_config(found.get(5) or b"null")


def graph_nodes(data: bytes) -> Iterator[tuple[str, object]]:
    """Place in the model and description of the model and its layers, from ``saved_model.pb``."""
    nodes = [node for meta in messages(data, 2) for graph in messages(meta, 7) for node in messages(graph, 1)]
    if not nodes:
        return
    yield "root", node_metadata(nodes[0])
    for child in messages(nodes[0], 1):
        found = dict(fields(child))
        number, name = found.get(1, 0), found.get(2, b"")
        if isinstance(number, int) and isinstance(name, bytes) and number < len(nodes):
            yield f"root.{name.decode('utf-8')}", node_metadata(nodes[number])


def node_metadata(node: bytes) -> object:
    """What Keras wrote of an object."""
    for user_object in messages(node, 4):
        for text in messages(user_object, 3):
            return read_config(text)
    return None


def layers_of_nodes(nodes: list[tuple[str, object]]) -> tuple[list[KerasLayer], dict[int, str]]:
    """Layers in order, and their names by number.

    The description of the whole model has them in order; where Keras could not write it, each layer has its own.
    """
    own = {
        place: layer_of_config(value)
        for place, value in nodes
        if isinstance(value, Mapping) and re.fullmatch(r"root\.layer(_with_weights)?-\d+", place)
    }
    numbers = {int(match[1]): layer.name for place, layer in own.items() if (match := LAYER_PATH.fullmatch(place))}
    whole = next((layers_of_config(value) for place, value in nodes if place == "root"), [])
    return whole or list({layer.name: layer for layer in own.values()}.values()), numbers


def describe(
    layers: Mapping[int, Weights], described: list[KerasLayer], names: Mapping[int, str]
) -> Iterator[KerasLayer]:
    """The layers of the description with their weights; without one, only those with weights."""
    by_name = {layer.name: layer for layer in described}
    by_label = {names.get(number, f"layer_with_weights-{number}"): weights for number, weights in layers.items()}
    if not described or any(label not in by_name for label in by_label):
        for label, weights in by_label.items():
            yield KerasLayer(label, weights=weights)
        return
    for layer in described:
        yield KerasLayer(layer.name, layer.kind, layer.config, layer.inputs, by_label.get(layer.name, {}))
