"""Seal's expression network: one shared hidden layer, one linear head.

Dimension legend
    genes - rows, features - spatial features (10 x tracks), hidden - shared units, contexts - outputs
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn


class ExpressionNetwork(nn.Module):
    """``Linear(features, hidden) -> ReLU -> Linear(hidden, contexts)`` (Seal, Module 3).

    Parameters
    ----------
    features
        Number of spatial features.
    hidden
        Units of the shared layer (1000 or 700 in the published models).
    contexts
        Number of tissues or cell states.
    """

    def __init__(self, features: int, hidden: int, contexts: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, contexts))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Predicted ln(expression + pseudocount) (genes, contexts) of features (genes, features)."""
        expression: torch.Tensor = self.layers(features)
        return expression

    @property
    def shared(self) -> nn.Linear:
        """The layer all contexts share."""
        return cast("nn.Linear", self.layers[0])

    @property
    def head(self) -> nn.Linear:
        """The layer that gives the contexts."""
        return cast("nn.Linear", self.layers[2])

    def freeze_shared_layer(self) -> None:
        """Keep the shared layer fixed, so that only the head learns (fine-tuning)."""
        self.shared.requires_grad_(False)
