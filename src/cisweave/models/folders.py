"""Model folders: weights.safetensors, model.yaml, metrics.json and history.csv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, atomic_text, existing, read_text, write_json

if TYPE_CHECKING:
    import pandas as pd
    import torch

WEIGHTS, SPEC, METRICS, HISTORY = "weights.safetensors", "model.yaml", "metrics.json", "history.csv"

ARCHITECTURES = {
    "beluga": "cisweave.models.beluga:Beluga",
    "expression": "cisweave.models.expression:ExpressionNetwork",
    "promoter": "cisweave.models.promoter.build:build_network",
}
"""Architectures a model folder may name, and where they are defined."""


OUTPUT_COUNTS = {"beluga": "tracks", "expression": "contexts"}
"""The hyper-parameter that counts the outputs, by architecture."""


@dataclass
class ModelSpec:
    """What ``model.yaml`` holds.

    Attributes
    ----------
    architecture
        A key of :data:`ARCHITECTURES`.
    hyperparameters
        Keyword arguments of the architecture.
    outputs
        Names of the outputs, in order.
    preprocessing
        What must be done to inputs and targets (pseudocounts, bin size, …).
    channel_order
        Channel order of the weights; always ACGT inside a model folder.
    training_data
        SHA-256 of each training file.
    """

    architecture: str
    hyperparameters: dict[str, Any]
    outputs: list[str]
    preprocessing: dict[str, Any] = field(default_factory=dict)
    channel_order: str = "ACGT"
    training_data: dict[str, str] = field(default_factory=dict)


@dataclass
class LoadedModel:
    """A model ready to predict (eval mode, on its device) and its specification."""

    module: torch.nn.Module
    spec: ModelSpec
    folder: Path
    device: torch.device


def save_model(
    folder: str | Path,
    module: torch.nn.Module,
    spec: ModelSpec,
    metrics: Mapping[str, Any],
    history: pd.DataFrame,
) -> None:
    """Write a model folder; ``model.yaml`` comes last, so a folder that has it is whole."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SPEC).unlink(missing_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(weights, str(temporary))
    with atomic_path(folder / HISTORY) as temporary:
        history.to_csv(temporary, index=False, lineterminator="\n")
    write_json(folder / METRICS, dict(metrics))
    with atomic_text(folder / SPEC) as handle:
        yaml.safe_dump(asdict(spec), handle, sort_keys=False)


def read_spec(folder: str | Path) -> ModelSpec:
    """Read ``model.yaml`` of a model folder."""
    path = Path(folder) / SPEC
    text = read_text(path)
    try:
        return ModelSpec(**yaml.safe_load(text))
    except (yaml.YAMLError, TypeError) as error:
        raise CisweaveError(f"this is not the description of a cisweave model ({error})", path=path) from error


def check_outputs(spec: ModelSpec, folder: Path) -> None:
    """Raise unless the outputs have a name each, as many as the network has."""
    if not isinstance(spec.outputs, list) or not all(isinstance(name, str) for name in spec.outputs):
        raise CisweaveError("outputs must be a list of names, one for each output", path=folder / SPEC)
    number = spec.hyperparameters.get(OUTPUT_COUNTS.get(spec.architecture, ""), len(spec.outputs))
    if len(set(spec.outputs)) != len(spec.outputs) or len(spec.outputs) != number:
        raise CisweaveError(f"outputs must be {number} different names, one for each output", path=folder / SPEC)


def load_model(folder: str | Path, device: torch.device | str = "cpu", architecture: str | None = None) -> LoadedModel:
    """Load a model folder in eval mode onto ``device``. Nothing is unpickled.

    ``architecture`` is the one that is needed; a folder that holds another is an error.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    spec = read_spec(folder)
    if spec.architecture not in ARCHITECTURES:
        raise CisweaveError(
            f"unknown architecture {spec.architecture}; known are {', '.join(ARCHITECTURES)}", path=folder / SPEC
        )
    if architecture not in (None, spec.architecture):
        raise CisweaveError(f"a model of kind {architecture} is needed here, this is {spec.architecture}", path=folder)
    check_outputs(spec, folder)
    module_name, class_name = ARCHITECTURES[spec.architecture].split(":")
    try:
        module: torch.nn.Module = getattr(import_module(module_name), class_name)(**spec.hyperparameters)
        module.load_state_dict(load_file(str(existing(folder / WEIGHTS))))
    except (SafetensorError, RuntimeError, TypeError) as error:
        raise CisweaveError(f"the weights do not fit model.yaml ({error})", path=folder / WEIGHTS) from error
    return LoadedModel(module.to(device).eval(), spec, folder, torch.device(device))
