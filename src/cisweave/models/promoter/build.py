"""Making a network of a type of the zoo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.cnn import ConvolutionalTrunk
from cisweave.models.promoter.families import build_head, make_parts, start_orthogonal
from cisweave.models.promoter.network import PromoterNetwork
from cisweave.models.promoter.registry import EXTRAS, ModelType, find_type, network_settings
from cisweave.models.promoter.settings import ConvolutionalSettings


def build_network(
    type: str,  # noqa: A002 - the key of model.yaml
    window: int,
    halflife: int = 0,
    tf: int = 0,
    mirna: int = 0,
    **network: Any,
) -> PromoterNetwork:
    """A network of a type with fresh weights (drawn from PyTorch's global generator).

    Parameters
    ----------
    type
        Name of the type.
    window
        Bases read; 0 for a type that reads no promoter.
    halflife, tf, mirna
        Number of half-life features, factors and microRNAs; above 0 exactly where the type reads them.
    network
        Hyper-parameters of the family (:mod:`cisweave.models.promoter.settings`).

    Raises
    ------
    CisweaveError
        If inputs, window or hyper-parameters do not go with the type.
    """
    kind = find_type(type)
    widths = {"halflife": halflife, "tf": tf, "mirna": mirna}
    check_inputs(kind, window, widths)
    settings = network_settings(kind, network)
    front, trunk, features = make_parts(kind, settings, window)
    head = build_head(settings, features + sum(widths.values()))
    if isinstance(settings, ConvolutionalSettings) and settings.initialiser == "orthogonal":
        assert isinstance(trunk, ConvolutionalTrunk)
        start_orthogonal(trunk, head)
    return PromoterNetwork(front, trunk, head, window, widths)


def check_inputs(kind: ModelType, window: int, widths: Mapping[str, int]) -> None:
    """Raise unless a network is given what its type reads, and nothing else."""
    for letter, name in EXTRAS.items():
        if letter in kind.inputs and widths[name] < 1:
            raise CisweaveError(f"{kind.name} reads {name}; give the number of its columns, above 0")
        if letter not in kind.inputs and widths[name]:
            raise CisweaveError(f"{kind.name} does not read {name}; leave it out, or take a type that does")
    if "P" in kind.inputs and window < 1:
        raise CisweaveError(f"{kind.name} reads a promoter; give its window in bases")
    if "P" not in kind.inputs and window:
        raise CisweaveError(f"{kind.name} reads no promoter; its window is 0")
