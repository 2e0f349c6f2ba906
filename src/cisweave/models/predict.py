"""Predicting with a chromatin model: batches, strands and sigmoid in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from cisweave.core.devices import float32_arithmetic
from cisweave.sequence.onehot import Codes, one_hot, reverse_complement

if TYPE_CHECKING:
    import torch


def predict_probabilities(
    module: torch.nn.Module,
    codes: Codes,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    strands: Literal["both", "forward"] = "both",
) -> NDArray[np.floating]:
    """Probabilities (windows, outputs), in the network's own type, of windows given as codes (windows, length).

    ``both`` strands gives the arithmetic mean of the two sigmoid outputs (Seal, Module 1). A GPU computes in float32
    too, never in TF32.
    """
    import torch

    dtype = next(module.parameters()).dtype
    batches = []
    with torch.inference_mode(), float32_arithmetic(tf32=False):
        for start in range(0, len(codes), batch_size):
            batch = codes[start : start + batch_size]
            probability = torch.sigmoid(module(one_hot(batch, device).to(dtype)))
            if strands == "both":
                flipped = torch.sigmoid(module(one_hot(reverse_complement(batch), device).to(dtype)))
                probability = (probability + flipped) / 2
            batches.append(probability.cpu().numpy())
    return np.concatenate(batches) if batches else np.empty((0, output_count(module)), dtype=np.float32)


def output_count(module: torch.nn.Module) -> int:
    """Number of outputs of a model that names them ``tracks``."""
    return int(getattr(module, "tracks", 0))
