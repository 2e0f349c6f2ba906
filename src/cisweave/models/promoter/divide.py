"""DivideEtImpera: ten intervals of the promoter, each with convolutions of its own, then convolutions over all.

Dimension legend
    batch - genes, 4 - channels A, C, G, T, length - bases, intervals - stretches of length // intervals bases
"""

from __future__ import annotations

import torch
from torch import nn

from cisweave.models.promoter.blocks import flatten_time_major
from cisweave.models.promoter.cnn import PooledConvolution
from cisweave.models.promoter.keras import SameConv
from cisweave.models.promoter.settings import INTERVAL_POOL as POOL


class IntervalTrunk(nn.Module):
    """Convolutions within intervals, which share no weights, and over their joined outputs.

    Parameters
    ----------
    window
        Bases read; a multiple of ``intervals`` x 25, since every interval is pooled by 5 twice.
    intervals
        Number of intervals (10).
    filters, width
        Of every convolution (128 and 3).
    """

    def __init__(self, window: int, intervals: int, filters: int, width: int):
        super().__init__()
        self.interval = window // intervals
        self.branches = nn.ModuleList(interval_branch(filters, width) for _ in range(intervals))
        self.joined = nn.Sequential(PooledConvolution(filters, filters, width, POOL), *convolutions(filters, width, 3))
        self.features = filters * (window // POOL**3)

    def forward(self, promoter: torch.Tensor) -> torch.Tensor:
        """Features (batch, features) of one-hot promoters (batch, 4, length)."""
        parts = torch.split(promoter, self.interval, dim=2)
        apart = [branch(part) for branch, part in zip(self.branches, parts, strict=True)]
        return flatten_time_major(self.joined(torch.cat(apart, dim=2)))


def interval_branch(filters: int, width: int) -> nn.Sequential:
    """The convolutions of one interval: (batch, filters, interval / 25) of (batch, 4, interval)."""
    return nn.Sequential(
        PooledConvolution(4, filters, width, POOL),
        *convolutions(filters, width, 1),
        PooledConvolution(filters, filters, width, POOL),
    )


def convolutions(filters: int, width: int, number: int) -> list[nn.Module]:
    """``number`` convolutions with ReLU, without pooling."""
    layers: list[nn.Module] = []
    for _ in range(number):
        layers += [SameConv(filters, filters, width), nn.ReLU()]
    return layers
