"""Which network takes the weights: its type, the slice it reads, how many half-life features, factors and microRNAs.

Dimension legend
    features - outputs of the trunk, extras - half-life, factors and microRNAs
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cisweave.config.promoters import check_slice, slice_bounds
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.logs import get_logger
from cisweave.models.promoter.families import make_parts
from cisweave.models.promoter.registry import ModelType, find_type, network_settings
from cisweave.models.promoter.settings import FAMILY_SETTINGS
from cisweave.xpresso.dataset import HALF_LIFE
from cisweave.xpresso.importing.records import KerasModel, Weight
from cisweave.xpresso.importing.settings import described_network, described_window
from cisweave.xpresso.importing.structure import Structure

logger = get_logger(__name__)

OLD_HALF_LIFE = 6
"""Half-life features of the weights that Xpresso's authors shipped in 2018."""
FACTORS = 181
PLAIN_TYPES = {
    "cnn": "cnn/Xpresso",
    "divide": "divide/DivideEtImpera",
    "lstm": "lstm/classic",
    "deeplncloc": "deeplncloc/DeepLncLoc",
    "token": "token/best",
    "whole": "token/Original",
    "tfnet": "tfnet/TF",
}
"""The type of each family that a model without further signs is of."""
ALONE = {
    "cnn": "cnn/Xpresso_nohalf",
    "divide": "divide/DivideEtImpera_onlyPromo",
    "lstm": "lstm/only_promoter",
    "deeplncloc": "deeplncloc/DeepLncLoc_onlyPromo",
    "token": "token/onlyPromo",
}
"""The type of each family that reads the promoter alone."""
WITH_FACTORS = {
    "cnn": "cnn/Xpresso_TF",
    "divide": "divide/DivideEtImpera_TF",
    "lstm": "lstm/tf",
    "deeplncloc": "deeplncloc/DeepLncLoc_TF",
    "token": "token/TF",
}
"""The type of each family that reads promoter, half-life and factors."""


@dataclass(frozen=True)
class Plan:
    """The network that takes the weights.

    Attributes
    ----------
    kind
        Its type.
    bounds
        The slice of a promoter that it reads; both 0 where it reads none.
    widths
        Number of half-life features, factors and microRNAs.
    features
        Outputs of the trunk.
    network
        Hyper-parameters.
    """

    kind: ModelType
    bounds: tuple[int, int]
    widths: dict[str, int]
    features: int
    network: dict[str, Any]

    @property
    def window(self) -> int:
        """Bases read."""
        return self.bounds[1] - self.bounds[0]

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Keyword arguments of the network."""
        return {"type": self.kind.name, "window": self.window, **self.widths, **self.network}


def make_plan(
    model: KerasModel,
    structure: Structure,
    name: str | None,
    slice_text: str | None,
    halflife_names: Sequence[str] | None,
    promoter: int,
) -> Plan:
    """Type, window and inputs that the weights are of."""
    network = structure.network | described_network(model, structure)
    kind = find_type(name) if name else find_type(plain_type(structure, network))
    if kind.shape != structure.family:
        raise CisweaveError(
            f"these weights are of the family of {PLAIN_TYPES[structure.family]}, not of {kind.name}", path=model.path
        )
    window = described_window(model, structure)
    bounds = window_bounds(kind, window, slice_text, promoter, model.path)
    if kind.embedding and window is not None:
        network["segment"] = (bounds[1] - bounds[0]) // window
    features = trunk_features(kind, network, bounds[1] - bounds[0])
    extras = structure.inputs - features
    if extras < 0:
        raise CisweaveError(
            f"the first dense layer has {structure.inputs} inputs, but a window of {bounds[1] - bounds[0]:,} bases "
            f"leaves {features}; give the slice that the model was trained on",
            path=model.path,
        )
    if name is None:
        kind = find_type(type_by_extras(structure, kind.name, extras, model.path))
        features = trunk_features(kind, network, bounds[1] - bounds[0])
    widths = split_extras(kind, extras, halflife_names, model.path)
    return Plan(kind, bounds, widths, features, with_dropout(kind, network))


def plain_type(structure: Structure, network: Mapping[str, Any]) -> str:
    """The type that the trunk is of, if nothing but half-life is read beside the promoter."""
    if structure.family == "token":
        if network["positions"] == "sinusoid":
            return "token/globalP"
        if network["skip"] == "positions":
            return "token/posSkip"
        if network.get("pooling", "max" if network["filters"] != network["size"] else "average") == "max":
            return "token/best_max"
    return PLAIN_TYPES[structure.family]


def type_by_extras(structure: Structure, plain: str, extras: int, path: Path) -> str:
    """The type that goes with so many inputs beside the promoter."""
    family = structure.family
    if family == "tfnet" or (extras in (OLD_HALF_LIFE, len(HALF_LIFE))):
        return plain
    for types, number in ((ALONE, 0), (WITH_FACTORS, len(HALF_LIFE) + FACTORS)):
        if extras == number and plain == PLAIN_TYPES[family] and family in types:
            return types[family]
    raise CisweaveError(
        f"the model has {extras} inputs beside the promoter, by which its type cannot be told; give the type, and the "
        "slice if the window is not the published one",
        path=path,
    )


def window_bounds(
    kind: ModelType, window: int | None, slice_text: str | None, promoter: int, path: Path
) -> tuple[int, int]:
    """The slice that a model reads, checked against the window that its file tells (segments, where it reads such)."""
    if "P" not in kind.inputs:
        return 0, 0
    text = slice_text or kind.slice
    try:
        left, right = slice_bounds(check_slice(text))
    except ValueError as error:
        raise CisweaveError(f"slice: {error}", path=path) from error
    if window is not None and not kind.embedding and right - left != window:
        raise CisweaveError(
            f"the model reads {window:,} bases, the slice {text} has {right - left:,}; give the slice that it was "
            "trained on",
            path=path,
        )
    if right > promoter:
        raise CisweaveError(f"slice {text} does not lie in a promoter of {promoter:,} bases", path=path)
    return left, right


def trunk_features(kind: ModelType, network: Mapping[str, Any], window: int) -> int:
    """Outputs of the trunk of such a network."""
    settings = network_settings(kind, with_dropout(kind, network))
    return make_parts(kind, settings, window)[2]


def with_dropout(kind: ModelType, network: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters with a dropout for every hidden layer: as told, as published, or none."""
    if "dropout" in network:
        return dict(network)
    usual = kind.network.get("dropout", FAMILY_SETTINGS[kind.shape]().dropout)
    number = len(network["dense"])
    return {**network, "dropout": list(usual) if len(usual) == number else [0.0] * number}


def split_extras(kind: ModelType, extras: int, halflife_names: Sequence[str] | None, path: Path) -> dict[str, int]:
    """Number of half-life features, factors and microRNAs of a type with so many inputs beside the promoter."""
    names = "PHTM"
    others = [letter for letter in names[2:] if letter in kind.inputs]
    halflife = 0
    if "H" in kind.inputs:
        halflife = len(halflife_names or HALF_LIFE) if others else extras
    rest = extras - halflife
    widths = {"halflife": halflife, "tf": rest if "T" in others else 0, "mirna": rest if "M" in others else 0}
    if sum(widths.values()) != extras or (("H" in kind.inputs) and halflife < 1) or (others and rest < 1):
        raise CisweaveError(
            f"the model has {extras} inputs beside the promoter, {kind.name} reads "
            f"{'half-life' if 'H' in kind.inputs else 'none'}{' and a matrix' if others else ''}; give its type, or "
            "the slice that it was trained on",
            path=path,
        )
    return widths


# --- half-life features that have no names ----------------------------------------------------------------------------
def hold_halflife(
    plan: Plan, weights: list[Weight], structure: Structure, names: Sequence[str] | None, path: Path
) -> tuple[Plan, list[Weight], int]:
    """Plan and weights without half-life features of which nobody can say which they are, and their number.

    Such features can only be given as their mean, 0, so their rows of the first dense kernel change nothing.
    """
    number = plan.widths["halflife"]
    if names is not None:
        check_names(names, number, path)
    if names is not None or number in (0, len(HALF_LIFE)):
        return plan, weights, 0
    if structure.family not in ALONE or plan.kind.name not in (PLAIN_TYPES[structure.family], "cnn/Xpresso_ort"):
        raise CisweaveError(
            f"the model has {number} half-life features, which its file does not name; give their names", path=path
        )
    kind = find_type(ALONE[structure.family])
    logger.warning(
        "%s: the file does not name the %d half-life features; they are held at their mean, so this becomes %s (give "
        "their names with --halflife to keep them)",
        path,
        number,
        kind.name,
    )
    network = dict(plan.kind.network) | plan.network
    weights = list(weights)
    first = weights[structure.head]
    weights[structure.head] = first._replace(values=first.values[: plan.features])
    return replace(plan, kind=kind, widths={**plan.widths, "halflife": 0}, network=network), weights, number


def check_names(names: Sequence[str], number: int, path: Path) -> None:
    """Raise unless these are the names of so many different half-life features."""
    unknown = [name for name in names if name not in HALF_LIFE]
    if unknown:
        raise CisweaveError(
            f"{shorten(unknown[0])} is no half-life feature; they are {', '.join(HALF_LIFE)}", path=path
        )
    if len(set(names)) != len(names) or len(names) != number:
        raise CisweaveError(
            f"{len(set(names))} different names for the {number} half-life features of the model", path=path
        )
