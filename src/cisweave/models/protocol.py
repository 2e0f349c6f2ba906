"""What the rest of the house expects of a sequence model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

if TYPE_CHECKING:
    from cisweave.models.folders import LoadedModel


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


def sequence_model(loaded: LoadedModel, extras: torch.Tensor | None = None) -> torch.nn.Module:
    """The model of a folder as a function of sequence alone, in its mode and on its device.

    A promoter model, which has more inputs than the sequence, gets ``extras`` (extras,), scaled as in training, for
    them; by default those of an average training gene. Other models are themselves.

    Raises
    ------
    CisweaveError
        If the model reads no sequence.
    """
    from cisweave.models.promoter.network import PromoterNetwork
    from cisweave.models.promoter.sequence_view import SequenceView, mean_extras

    if isinstance(loaded.module, PromoterNetwork):
        bound = mean_extras(loaded.module, loaded.spec.preprocessing) if extras is None else extras
        return SequenceView(loaded.module, bound)
    return loaded.module
