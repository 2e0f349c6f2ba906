"""What the rest of the house expects of a sequence model."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch


@runtime_checkable
class SequenceModel(Protocol):
    """A model from sequence to numbers.

    ``forward`` takes float (batch, 4, length) in channel order A, C, G, T and returns float (batch, outputs).
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (batch, outputs) of one-hot sequences (batch, 4, length)."""
        ...

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Same as :meth:`forward`, with PyTorch's hooks."""
        ...
