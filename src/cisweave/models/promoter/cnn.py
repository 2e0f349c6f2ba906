"""Xpresso's trunk: convolutions and max-pools over the one-hot promoter (Agarwal and Shendure 2020).

Dimension legend
    batch - genes, 4 - channels A, C, G, T, length - bases, channels - feature maps, positions - places after pooling
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

import torch
from torch import nn

from cisweave.models.promoter.blocks import flatten_time_major
from cisweave.models.promoter.keras import SameConv
from cisweave.models.promoter.words import pooled_maxima


class PooledConvolution(nn.Module):
    """A convolution, a max-pool and a ReLU.

    The maximum is taken before the ReLU: the same numbers, and less work by the width of a pool. A convolution over
    one-hot DNA is looked up where it can be.

    Parameters
    ----------
    before, after
        Channels of input and output; 4 before where the input is DNA.
    width, dilation, pool
        Of the filters, and positions per maximum; positions after the last whole pool are left out.
    """

    def __init__(self, before: int, after: int, width: int, pool: int, dilation: int = 1):
        super().__init__()
        self.convolution = SameConv(before, after, width, dilation)
        self.maximum = nn.MaxPool1d(pool)
        self.activation = nn.ReLU()
        self.pool, self.reads_bases = pool, before == 4

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps (batch, after, length // pool) of (batch, before, length)."""
        maxima = pooled_maxima(x, self.convolution, self.pool) if self.reads_bases else None
        if maxima is None:
            maxima = self.maximum(self.convolution(x))
        activated: torch.Tensor = self.activation(maxima)
        return activated


class ConvolutionalTrunk(nn.Module):
    """Convolution, max-pool and ReLU, as often as there are ``filters``.

    The published shape reads 10,500 bases with filters 128 and 32 of widths 6 and 9 and pools of 30 and 10: 350, then
    35 positions, 1,120 features.

    Parameters
    ----------
    window
        Bases read.
    filters, widths, dilations, pools
        Of each convolution.
    """

    def __init__(
        self, window: int, filters: Sequence[int], widths: Sequence[int], dilations: Sequence[int], pools: Sequence[int]
    ):
        super().__init__()
        shapes = zip((4, *filters), filters, widths, pools, dilations, strict=False)
        self.layers = nn.Sequential(*(PooledConvolution(*shape) for shape in shapes))
        self.features = filters[-1] * (window // prod(pools))

    @property
    def convolutions(self) -> list[SameConv]:
        """The convolutions in order."""
        return [cast("PooledConvolution", layer).convolution for layer in self.layers]

    def forward(self, promoter: torch.Tensor) -> torch.Tensor:
        """Features (batch, features) of one-hot promoters (batch, 4, length), position by position."""
        return flatten_time_major(self.layers(promoter))
