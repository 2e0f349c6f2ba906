"""Attributions of a sequence model against given references: DeepLIFT/SHAP and integrated gradients.

Dimension legend
    items - sequences to explain, references - sequences each is compared with, pairs - item x reference,
    length - bases, 4 - channels A, C, G, T
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cisweave.core.kernels import prepare_numba
from cisweave.sequence.onehot import Codes, one_hot

SequenceMethod = Literal["deeplift", "integratedGradients"]

TINY = 1e-12
"""Output differences below this count as this where a delta is divided by them."""


@dataclass
class SequenceAttributions:
    """Attributions of items, and how well they add up.

    Attributes
    ----------
    hypothetical
        float32 (items, 4, length), what each base would contribute in its place, mean over the references.
    projected
        float32 (items, length), contribution of the base that is there.
    pred, pred_ref_mean
        float64 (items,), output for the sequence, and the mean over its references.
    delta_max, delta_mean, delta_rel
        float64 (items,), largest and mean |f(x) - f(r) - sum((x - r) m)| over the references r, and the mean over the
        mean |f(x) - f(r)|.
    """

    hypothetical: NDArray[np.float32]
    projected: NDArray[np.float32]
    pred: NDArray[np.float64]
    pred_ref_mean: NDArray[np.float64]
    delta_max: NDArray[np.float64]
    delta_mean: NDArray[np.float64]
    delta_rel: NDArray[np.float64]


def shuffled_references(codes: Codes, references: int, seed: int) -> torch.Tensor:
    """Dinucleotide shuffles of one sequence, float32 (references, 4, length); the k-th has seed ``seed + k``.

    ``codes`` (length,) hold no unknown base.
    """
    prepare_numba()
    from tangermeme.ersatz import dinucleotide_shuffle

    x = one_hot(codes[None])
    return torch.cat([dinucleotide_shuffle(x, n=1, random_state=seed + k)[:, 0] for k in range(references)]).float()


def attribute_sequences(
    module: torch.nn.Module,
    codes: Codes,
    references: torch.Tensor,
    target: int,
    method: SequenceMethod = "deeplift",
    batch_size: int = 8,
    steps: int = 50,
    device: torch.device | str = "cpu",
) -> SequenceAttributions:
    """Attribute one output of a model to the bases of sequences.

    Parameters
    ----------
    module
        Model from one-hot (batch, 4, length) to outputs (batch, outputs), in eval mode on ``device``. For DeepLIFT its
        non-linear operations must be modules that tangermeme knows; the deltas tell.
    codes
        uint8 (items, length) without unknown bases.
    references
        One-hot (references, 4, length), the same for all items.
    target
        Number of the output.
    batch_size
        Pairs at a time.
    steps
        Steps of integrated gradients (Gauss-Legendre).
    """
    x = one_hot(codes)
    selected = SelectedOutput(module, target)
    if method == "deeplift":
        multipliers = deeplift_multipliers(selected, x, references, batch_size, device)
    else:
        multipliers = path_gradients(selected, x, references, batch_size, steps, device)
    of_items, of_references = (outputs_of(selected, part, batch_size, device) for part in (x, references))
    removed = (references * multipliers).sum(dim=2)
    hypothetical = (multipliers - removed[:, :, None]).mean(dim=1)
    explained = (x[:, None].double() * multipliers).sum(dim=(2, 3)) - removed.double().sum(dim=2)
    difference = of_items[:, None] - of_references
    delta = (difference - explained).abs()
    projected = np.take_along_axis(hypothetical.numpy(), codes[:, None, :].astype(np.int64), axis=1)[:, 0]
    return SequenceAttributions(
        hypothetical=hypothetical.numpy(),
        projected=projected,
        pred=of_items.numpy(),
        pred_ref_mean=np.full(len(x), of_references.mean().item()),
        delta_max=delta.amax(dim=1).numpy(),
        delta_mean=delta.mean(dim=1).numpy(),
        delta_rel=(delta.mean(dim=1) / difference.abs().mean(dim=1).clamp_min(TINY)).numpy(),
    )


class SelectedOutput(torch.nn.Module):
    """One output of a model, as (batch, 1)."""

    def __init__(self, module: torch.nn.Module, target: int):
        super().__init__()
        self.module, self.target = module, target
        # What attributes a model puts it back into the mode in which it found it; a new module would be in training.
        self.train(module.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output (batch, 1) of one-hot sequences (batch, 4, length)."""
        output: torch.Tensor = self.module(x)[:, self.target : self.target + 1]
        return output


def outputs_of(selected: SelectedOutput, x: torch.Tensor, batch_size: int, device: torch.device | str) -> torch.Tensor:
    """The output, float64 (n,), of one-hot sequences (n, 4, length)."""
    with torch.inference_mode():
        return torch.cat([selected(part.to(device))[:, 0].double().cpu() for part in torch.split(x, batch_size)])


def deeplift_multipliers(
    selected: SelectedOutput,
    x: torch.Tensor,
    references: torch.Tensor,
    batch_size: int,
    device: torch.device | str,
) -> torch.Tensor:
    """Multipliers of DeepLIFT (Shrikumar et al. 2017) for every pair, float32 (items, references, 4, length).

    By tangermeme, which holds the rules for every operation of the chromatin model (max-pooling, sigmoid).
    """
    from tangermeme.deep_lift_shap import deep_lift_shap

    with warnings.catch_warnings():
        # Deltas are computed by the caller for every item, and reported once.
        warnings.filterwarnings("ignore", message="Convergence deltas", category=RuntimeWarning)
        multipliers: torch.Tensor = deep_lift_shap(
            selected,
            x,
            references=references.expand(len(x), *references.shape).contiguous(),
            batch_size=batch_size,
            raw_outputs=True,
            device=device,
        )
    return multipliers


def path_gradients(
    selected: SelectedOutput,
    x: torch.Tensor,
    references: torch.Tensor,
    batch_size: int,
    steps: int,
    device: torch.device | str,
) -> torch.Tensor:
    """Mean gradients on the straight path (Sundararajan et al. 2017), float32 (items, references, 4, length).

    By Captum.
    """
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(selected, multiply_by_inputs=False)
    by_item = []
    for item in x:
        parts = [
            method.attribute(
                item.expand(part.shape).to(device),
                baselines=part.to(device),
                target=0,
                n_steps=steps,
                internal_batch_size=max(batch_size, len(part)),
            )
            .detach()
            .cpu()
            .float()
            for part in torch.split(references, batch_size)
        ]
        by_item.append(torch.cat(parts))
    return torch.stack(by_item)
