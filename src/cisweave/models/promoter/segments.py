"""The DeepLncLoc transformer's trunk: one attention block over the segments of a promoter (Pipoli et al. 2022).

Dimension legend
    batch - genes, segments - stretches of the promoter, size - channels of a segment
"""

from __future__ import annotations

import math

import torch
from torch import nn

from cisweave.models.promoter.blocks import AttentionBlock, sinusoid
from cisweave.models.promoter.keras import batch_norm


class SegmentTransformer(nn.Module):
    """Batch normalisation, a fixed code of positions, attention blocks, and the mean over the segments.

    Parameters
    ----------
    segments, size
        Number and channels of the segments (210 and 64).
    heads, hidden, blocks
        Of the attention blocks (4, 384 and 1); heads have the size of a segment's channels.
    dropout
        In the blocks and after the code of positions (0.1).
    """

    positions: torch.Tensor

    def __init__(self, segments: int, size: int, heads: int, hidden: int, blocks: int, dropout: float):
        super().__init__()
        self.norm = batch_norm(size)
        self.scale = math.sqrt(size)
        self.register_buffer("positions", sinusoid(segments, size), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(AttentionBlock(size, heads, size, hidden, dropout) for _ in range(blocks)))
        self.features = size

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Mean over the segments (batch, size) of segments (batch, segments, size)."""
        normalised = self.norm(segments.transpose(1, 2)).transpose(1, 2)
        mean: torch.Tensor = self.blocks(self.dropout(normalised * self.scale + self.positions)).mean(dim=1)
        return mean
