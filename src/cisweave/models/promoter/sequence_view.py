"""A promoter network as a model of sequence alone, for attribution and motif discovery.

Dimension legend
    batch - sequences, 4 - channels A, C, G, T, length - bases
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.network import PromoterNetwork


class SequenceView(nn.Module):
    """A promoter network with its other inputs held fast.

    Parameters
    ----------
    network
        A network that reads a promoter.
    extras
        float (extras,), the half-life, factor and microRNA inputs that every sequence gets, scaled as in training;
        default zeros.
    """

    extras: torch.Tensor

    def __init__(self, network: PromoterNetwork, extras: torch.Tensor | None = None):
        super().__init__()
        if not network.reads_promoter:
            raise CisweaveError("this model reads no promoter, so there are no bases to attribute its predictions to")
        bound = torch.zeros(network.extras) if extras is None else torch.as_tensor(extras, dtype=torch.float32)
        if bound.shape != (network.extras,):
            raise ValueError(f"extras must be ({network.extras},), not {tuple(bound.shape)}")
        self.network = network
        self.register_buffer("extras", bound.to(next(network.parameters()).device), persistent=False)
        # What attributes a model puts it back into the mode in which it found it; a new module would be in training.
        self.train(network.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Expression (batch, 1), in standard deviations, of one-hot sequences (batch, 4, window)."""
        expression: torch.Tensor = self.network(x, self.extras.expand(len(x), -1))
        return expression


def mean_extras(network: PromoterNetwork, preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """The further inputs (extras,) of an average training gene.

    Half-life features are z-scores, so 0; factors and microRNAs are the shares of training genes that have them, where
    ``preprocessing`` of the model folder holds these (``scaling: tf_mean, mirna_mean``), else 0.
    """
    scaling = preprocessing.get("scaling") or {}
    parts = [torch.zeros(network.widths["halflife"])]
    for name in ("tf", "mirna"):
        share = torch.as_tensor(scaling.get(f"{name}_mean") or [], dtype=torch.float32)
        parts.append(share if len(share) == network.widths[name] else torch.zeros(network.widths[name]))
    return torch.cat(parts)
