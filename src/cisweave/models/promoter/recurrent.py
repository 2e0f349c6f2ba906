"""BioLSTM's trunk: one LSTM over the segments of a promoter.

Dimension legend
    batch - genes, segments - stretches of the promoter, size - channels of a segment
"""

from __future__ import annotations

import torch
from torch import nn

from cisweave.models.promoter.keras import batch_norm, lstm


class RecurrentTrunk(nn.Module):
    """Batch normalisation and an LSTM, of which the last state is kept.

    Parameters
    ----------
    size
        Channels of a segment (64).
    units
        Units of the LSTM (100).
    """

    def __init__(self, size: int, units: int):
        super().__init__()
        self.norm = batch_norm(size)
        self.lstm = lstm(size, units)
        self.features = units

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """The last state (batch, units) after segments (batch, segments, size)."""
        states, _ = self.lstm(self.norm(segments.transpose(1, 2)).transpose(1, 2))
        last: torch.Tensor = states[:, -1]
        return last
