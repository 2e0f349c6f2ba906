"""Beluga, the chromatin network of ExPecto and Seal, with its width and depth as parameters.

Dimension legend
    batch - windows, length - bases of a window, positions - places left after convolution and pooling,
    channels - feature maps, tracks - chromatin outputs
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from cisweave.config import NetworkSettings

KERNEL = 8
POOL = 4
BLOCK_STRIDE = POOL * POOL


class Beluga(nn.Module):
    """Six unpadded convolutions of width 8 with two max-pools of 4, then two fully connected layers.

    The published network (DeepSEA "Beluga", Zhou et al. 2018) has ``channels`` 320, 320, 480, 480, 640, 640,
    ``hidden`` 2003, ``tracks`` 2002 and ``window`` 2000: 149,536,251 parameters. Outputs are logits; the published
    probabilities are their sigmoid.

    Parameters
    ----------
    tracks
        Number of chromatin outputs.
    channels
        Channels of the six convolutions.
    hidden
        Units of the first fully connected layer.
    window
        Input length in bases.
    dropout_conv, dropout_dense
        Dropout after the first two blocks, and before the fully connected layers.
    batch_norm
        Normalise before every ReLU, for training only: a narrow network leaves the plateau at the start of training
        many times sooner. :meth:`folded` gives the plain network of the same function.
    """

    def __init__(
        self,
        tracks: int,
        channels: Sequence[int] = (320, 320, 480, 480, 640, 640),
        hidden: int = 2003,
        window: int = 2000,
        dropout_conv: float = 0.2,
        dropout_dense: float = 0.5,
        batch_norm: bool = False,
    ):
        super().__init__()
        c1, c2, c3, c4, c5, c6 = channels
        self.tracks, self.window = tracks, window
        self.positions = trunk_positions(window)

        def convolution(before: int, after: int) -> list[nn.Module]:
            norm = [nn.BatchNorm1d(after)] if batch_norm else []
            return [nn.Conv1d(before, after, KERNEL), *norm, nn.ReLU()]

        def pool() -> list[nn.Module]:
            return [nn.Dropout(dropout_conv), nn.MaxPool1d(POOL)]

        self.stem = nn.Sequential(*convolution(4, c1), *convolution(c1, c2), *pool())
        self.middle = nn.Sequential(*convolution(c2, c3), *convolution(c3, c4), *pool())
        self.top = nn.Sequential(*convolution(c4, c5), *convolution(c5, c6))
        self.head = nn.Sequential(
            nn.Dropout(dropout_dense),
            nn.Flatten(),
            nn.Linear(c6 * self.positions, hidden),
            *([nn.BatchNorm1d(hidden)] if batch_norm else []),
            nn.ReLU(),
            nn.Linear(hidden, tracks),
        )
        self.apply(he_initialise)

    @classmethod
    def from_settings(cls, tracks: int, settings: NetworkSettings, batch_norm: bool = False) -> Beluga:
        """A network of the configured shape."""
        return cls(tracks=tracks, batch_norm=batch_norm, **settings.model_dump())

    def folded(self) -> Beluga:
        """A copy in eval mode whose normalisation is folded into the weights before it; the function is the same."""
        plain = copy.deepcopy(self).eval()
        for name in ("stem", "middle", "top", "head"):
            setattr(plain, name, fold_batch_norm(getattr(plain, name)))
        return plain

    def start_at_prior(self, frequencies: torch.Tensor) -> None:
        """Set the output biases so that an untrained network predicts each track's frequency (tracks,)."""
        output = cast("nn.Linear", self.head[-1])
        with torch.no_grad():
            output.bias.copy_(torch.logit(frequencies.clamp(1e-6, 1 - 1e-6)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, tracks) of one-hot windows (batch, 4, length), channel order A, C, G, T."""
        logits: torch.Tensor = self.head(self.top(self.middle(self.stem(x))))
        return logits


def trunk_positions(window: int) -> int:
    """Positions left of a window of ``window`` bases after the convolutional trunk (106 for 2000 bases)."""
    after_stem = (window - 2 * (KERNEL - 1)) // POOL
    after_middle = (after_stem - 2 * (KERNEL - 1)) // POOL
    return after_middle - 2 * (KERNEL - 1)


def fold_batch_norm(layers: nn.Sequential) -> nn.Sequential:
    """The layers in eval mode without batch normalisation, each folded into the convolution or linear layer before."""
    folded: list[nn.Module] = []
    for layer in layers:
        if not isinstance(layer, nn.BatchNorm1d):
            folded.append(layer)
        elif isinstance(folded[-1], nn.Linear):
            folded[-1] = fuse_linear_bn_eval(folded[-1], layer)
        else:
            folded[-1] = fuse_conv_bn_eval(cast("nn.Conv1d", folded[-1]), layer)
    return nn.Sequential(*folded)


def he_initialise(module: nn.Module) -> None:
    """He initialisation: with PyTorch's default the plateau at the start of training is not left."""
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def tiled_logits(model: Beluga, x: torch.Tensor, step: int) -> torch.Tensor:
    """Logits of all windows that start at multiples of ``step`` in longer sequences, sharing the trunk.

    Neighbouring windows of a transcription start site overlap almost wholly, so the convolutions run once over
    the union: the stem once, the second block once, and the last block once per phase (two windows are in phase when
    their starts differ by a multiple of 16 bases). Equal to :meth:`Beluga.forward` on each window up to rounding.

    Parameters
    ----------
    x
        One-hot (batch, 4, length) with length = window + (windows - 1) * step.
    step
        Bases between window starts; a multiple of 4, so that the first pool stays in phase.

    Returns
    -------
    torch.Tensor
        Float (batch, windows, tracks).
    """
    if step % POOL:
        raise ValueError(f"step must be a multiple of {POOL}, not {step}")
    windows = (x.shape[-1] - model.window) // step + 1
    phases = BLOCK_STRIDE // math.gcd(step, BLOCK_STRIDE)
    stem = model.stem(x)
    before_pool = model.middle[:-1](stem)
    length_before_pool = (model.positions + 2 * (KERNEL - 1)) * POOL
    logits = x.new_empty(x.shape[0], windows, model.tracks)
    for phase in range(min(phases, windows)):
        members = range(phase, windows, phases)
        first = members[0] * step // POOL
        last = members[-1] * step // POOL + length_before_pool
        trunk = model.top(model.middle[-1](before_pool[..., first:last]))
        starts = [(member - phase) * step // BLOCK_STRIDE for member in members]
        slices = torch.stack([trunk[..., start : start + model.positions] for start in starts], dim=1)
        logits[:, phase::phases] = model.head(slices.flatten(0, 1)).unflatten(0, (x.shape[0], len(members)))
    return logits
