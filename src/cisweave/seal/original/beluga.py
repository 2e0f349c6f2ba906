"""The published Beluga weights (``deepsea.beluga.pth``) to a model folder, and back.

Seal's file has 2-D convolutions (…, 1, 8) over the channels A, G, C, T and ends in a sigmoid; ours has 1-D
convolutions over A, C, G, T and gives logits. Nowhere but here does the other order of channels exist.

Dimension legend
    channels - feature maps, positions - places left after the trunk, tracks - chromatin outputs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.models.beluga import KERNEL, Beluga, trunk_positions
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.seal.original.torch_files import read_torch, require_tensors, source_of, state_dict, write_torch
from cisweave.tables.frames import read_table
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    import torch
    from torch import nn

logger = get_logger(__name__)

CONVOLUTIONS = ("model.0.0", "model.0.2", "model.0.6", "model.0.8", "model.0.12", "model.0.14")
DENSE = ("model.1.2.1", "model.1.4.1")
"""Names of the layers in Seal's file (Seal, section 1.1)."""
SWAP = [0, 2, 1, 3]
"""A, G, C, T read as A, C, G, T, and the reverse."""
PUBLISHED_MD5 = "62360f2db4ac96554d28d058b50ab654"
PUBLISHED_SPLIT = {"valid_chromosomes": ["chr7"], "test_chromosomes": ["chr8", "chr9"]}
"""Held out when the published network was trained; of chr7 it was 30,508,751-35,296,850."""
BIN_SIZE = 200
"""Bases in the middle of a window that the labels of DeepSEA's tracks speak of."""
WINDOW = 2000
PUBLISHED_SHAPE = {"tracks": 2002, "channels": [320, 320, 480, 480, 640, 640], "hidden": 2003, "window": WINDOW}
TRACK_COLUMNS = ["Cell type", "Assay", "Treatment"]
"""Columns of ExPecto's table of outputs that name a track."""


def import_chromatin(
    weights: str | Path, model: str | Path, tracks: str | Path | None = None, window: int = WINDOW
) -> dict[str, Any]:
    """Turn a Beluga file of Seal, ExPecto or Kipoi into a model folder.

    Parameters
    ----------
    weights
        ``deepsea.beluga.pth`` or another network of that shape: a state dict, bare, wrapped, or of ``DataParallel``.
        Width and number of tracks are read off the weights.
    model
        Model folder to write. Its weights are for channels A, C, G, T and give logits; probabilities are their
        sigmoid, averaged over both strands.
    tracks
        Names of the outputs: ExPecto's ``deepsea_beluga_2002_features.tsv``, or a TSV with a column ``track``; None:
        ``track_1``, ``track_2``, ….
    window
        Input length in bases, which the weights do not tell.

    Returns
    -------
    dict
        The metrics of ``metrics.json``: the number of parameters, and whether these are the published bytes.

    Raises
    ------
    CisweaveError
        If the file holds other layers, or anything but tensors; if names or window do not fit the weights.
    """
    published = state_dict(read_torch(weights), weights)
    network = network_of(published, weights, window)
    names = read_tracks(tracks) if tracks else [f"track_{number}" for number in range(1, network.tracks + 1)]
    if len(names) != network.tracks:
        raise CisweaveError(f"{len(names)} names for the {network.tracks} outputs of the weights", path=tracks)
    source = source_of(weights)
    is_published = source["md5"] == PUBLISHED_MD5
    if not is_published:
        logger.warning("%s: not the published Beluga (md5 %s); what it held out is unknown", weights, source["md5"])
    spec = ModelSpec(
        architecture="beluga",
        hyperparameters=hyperparameters(network),
        outputs=names,
        preprocessing={
            "bin_size": BIN_SIZE,
            **(PUBLISHED_SPLIT if is_published else {contigs: [] for contigs in PUBLISHED_SPLIT}),
            "outputs": "logits; probabilities are their sigmoid, averaged over both strands",
            "imported_from": source,
        },
    )
    metrics = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "published_bytes": is_published,
    }
    save_model(model, network, spec, metrics, no_history())
    write_receipt(
        Path(model) / "model.yaml",
        settings={"window": window},
        inputs=[weights, *([tracks] if tracks else [])],
        dtype="float32",
        notes={"md5": source["md5"]},
    )
    return metrics


def export_chromatin(model: str | Path, out: str | Path) -> None:
    """Write a chromatin model as Seal's ``.pth``: a bare state dict, 2-D convolutions, channels A, G, C, T, float32.

    Seal itself loads networks of the published shape only; others are written all the same, with a warning.
    """
    network = cast("Beluga", load_model(model, architecture="beluga").module)
    if hyperparameters(network) != PUBLISHED_SHAPE:
        logger.warning("%s: not of the published shape, so Seal's own code cannot load it", model)
    write_torch(published_weights(network), out)
    write_receipt(out, inputs=[Path(model) / "weights.safetensors"], dtype="float32")


# --- weights ----------------------------------------------------------------------------------------------------------
def network_of(published: Mapping[str, torch.Tensor], path: str | Path, window: int) -> Beluga:
    """Our network, in eval mode, with the weights of Seal's."""
    import torch

    require_tensors(published, expected_dimensions(), "Beluga", path)
    channels, hidden, tracks = read_widths(published, path)
    if trunk_positions(window) * channels[-1] != published[f"{DENSE[0]}.weight"].shape[1]:
        raise CisweaveError(
            f"windows of {window} bases leave {trunk_positions(window)} positions, but the weights are for "
            f"{published[f'{DENSE[0]}.weight'].shape[1] / channels[-1]:g}; give the window the network was trained on",
            path=path,
        )
    network = Beluga(tracks=tracks, channels=channels, hidden=hidden, window=window).eval()
    with torch.no_grad():
        for name, layer in zip((*CONVOLUTIONS, *DENSE), layers(network), strict=True):
            weight = published[f"{name}.weight"].float()
            weight = weight.squeeze(2) if name in CONVOLUTIONS else weight
            layer.weight.copy_(weight[:, SWAP] if name == CONVOLUTIONS[0] else weight)
            bias_of(layer).copy_(published[f"{name}.bias"].float())
    return network


def published_weights(network: Beluga) -> dict[str, torch.Tensor]:
    """The weights of our network under Seal's names, in its shapes and its order of channels."""
    weights = {}
    for name, layer in zip((*CONVOLUTIONS, *DENSE), layers(network.folded()), strict=True):
        weight = layer.weight.detach().cpu().float()
        weight = weight[:, SWAP] if name == CONVOLUTIONS[0] else weight
        weights[f"{name}.weight"] = (weight.unsqueeze(2) if name in CONVOLUTIONS else weight).contiguous()
        weights[f"{name}.bias"] = bias_of(layer).detach().cpu().float().contiguous()
    return weights


def layers(network: Beluga) -> Iterator[nn.Conv1d | nn.Linear]:
    """The layers with weights, from the sequence to the tracks."""
    from torch import nn

    return (layer for layer in network.modules() if isinstance(layer, nn.Conv1d | nn.Linear))


def bias_of(layer: nn.Conv1d | nn.Linear) -> torch.Tensor:
    """The bias of a layer, which each layer of Beluga has."""
    if layer.bias is None:
        raise ValueError("a layer of Beluga lacks its bias")
    return layer.bias


def expected_dimensions() -> dict[str, int]:
    """Number of dimensions of each tensor of Seal's file."""
    found = {f"{name}.weight": 4 for name in CONVOLUTIONS} | {f"{name}.weight": 2 for name in DENSE}
    return found | {f"{name}.bias": 1 for name in (*CONVOLUTIONS, *DENSE)}


def read_widths(published: Mapping[str, torch.Tensor], path: str | Path) -> tuple[list[int], int, int]:
    """Channels of the six convolutions, hidden units and tracks; an error if the layers do not fit each other."""
    shapes = {name: tuple(tensor.shape) for name, tensor in published.items()}
    before, channels = 4, []
    for name in CONVOLUTIONS:
        after = shapes[f"{name}.weight"][0]
        require_shape(shapes, name, (after, before, 1, KERNEL), path)
        channels.append(after)
        before = after
    hidden, inputs = shapes[f"{DENSE[0]}.weight"]
    tracks = shapes[f"{DENSE[1]}.weight"][0]
    require_shape(shapes, DENSE[0], (hidden, inputs), path)
    require_shape(shapes, DENSE[1], (tracks, hidden), path)
    return channels, hidden, tracks


def require_shape(shapes: Mapping[str, tuple[int, ...]], name: str, weight: tuple[int, ...], path: str | Path) -> None:
    """Raise unless a layer has a weight of this shape and a bias for each of its outputs."""
    found = shapes[f"{name}.weight"], shapes[f"{name}.bias"]
    if found != (weight, weight[:1]):
        raise CisweaveError(
            f"{name} has weight {found[0]} and bias {found[1]}; Beluga needs {weight} and {weight[:1]} there", path=path
        )


def hyperparameters(network: Beluga) -> dict[str, Any]:
    """Keyword arguments that make a network of this shape."""
    convolutions = [layer for layer in layers(network) if layer.weight.ndim == 3]
    dense = [layer for layer in layers(network) if layer.weight.ndim == 2]
    return {
        "tracks": network.tracks,
        "channels": [layer.weight.shape[0] for layer in convolutions],
        "hidden": dense[0].weight.shape[0],
        "window": network.window,
    }


# --- names ------------------------------------------------------------------------------------------------------------
def read_tracks(path: str | Path) -> list[str]:
    """Names of the outputs, in order, no name twice.

    From ExPecto's table they are ``cell type_assay_treatment`` with ``None`` for no treatment, as Kipoi has them;
    replicates of a track get ``.2``, ``.3``, ….
    """
    frame = read_table(path)
    if "track" in frame:
        names = frame.track.astype("str").tolist()
        if frame.track.isna().any() or len(set(names)) < len(names):
            raise CisweaveError("each row needs a track of its own", path=path)
        return names
    missing = [column for column in TRACK_COLUMNS if column not in frame]
    if missing:
        raise CisweaveError(
            f"neither a column track nor ExPecto's columns ({', '.join(TRACK_COLUMNS)}) are there", path=path
        )
    parts = (frame[column].fillna("None").astype("str").str.strip() for column in TRACK_COLUMNS)
    return number_replicates(["_".join(row) for row in zip(*parts, strict=True)])


def number_replicates(names: list[str]) -> list[str]:
    """The names, with .2, .3, … behind those that came before."""
    seen: dict[str, int] = {}
    numbered = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        numbered.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return numbered


def no_history() -> Any:
    """The history of a model that was trained elsewhere."""
    import pandas as pd

    return pd.DataFrame(columns=["epoch", "train_loss", "valid_loss"])
