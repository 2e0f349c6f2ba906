"""What Keras does otherwise than PyTorch, so that networks defined there train and predict the same here.

Dimension legend
    batch - genes, channels - feature maps, length - positions along the promoter
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

BATCH_NORM_EPS = 1e-3
BATCH_NORM_MOMENTUM = 0.01
"""PyTorch's word for what Keras calls momentum 0.99."""
LAYER_NORM_EPS = 1e-6
EMBEDDING_RANGE = 0.05
"""Keras draws embeddings uniformly within plus and minus this."""
TRUNCATED_SPREAD = 0.87962566103423978
"""Standard deviation of a standard normal cut at plus and minus 2; Keras widens the normal by it before cutting."""


class SameConv(nn.Conv1d):
    """A convolution whose output is as long as its input, of (batch, channels, length); Glorot-normal, bias 0.

    Zeros stand on both sides; where their number is odd, the one too many stands on the right.
    """

    def __init__(self, before: int, after: int, width: int, dilation: int = 1):
        super().__init__(before, after, width, dilation=dilation)
        reach = (width - 1) * dilation
        self.around = (reach // 2, reach - reach // 2)
        glorot_normal_(self.weight, width * before, width * after)
        nn.init.zeros_(cast("torch.Tensor", self.bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps (batch, after, length) of (batch, before, length)."""
        return super().forward(F.pad(x, self.around))


def dense(before: int, after: int) -> nn.Linear:
    """A fully connected layer: Glorot-uniform, bias 0."""
    layer = nn.Linear(before, after)
    glorot_uniform_(layer.weight, before, after)
    nn.init.zeros_(layer.bias)
    return layer


def batch_norm(channels: int) -> nn.BatchNorm1d:
    """Batch normalisation with Keras's constants."""
    return nn.BatchNorm1d(channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)


def layer_norm(size: int) -> nn.LayerNorm:
    """Layer normalisation with the constant of the published transformers."""
    return nn.LayerNorm(size, eps=LAYER_NORM_EPS)


def lstm(size: int, units: int) -> nn.LSTM:
    """One LSTM layer over (batch, length, size): orthogonal recurrence, forget gate open at the start.

    PyTorch adds two biases where Keras has one; the second is fixed to 0.
    """
    layer = nn.LSTM(size, units, batch_first=True)
    kernel, recurrence, bias, second_bias = layer.parameters()
    glorot_uniform_(kernel, size, 4 * units)
    nn.init.orthogonal_(recurrence)
    for zero in (bias, second_bias):
        nn.init.zeros_(zero)
    with torch.no_grad():
        bias[units : 2 * units] = 1.0
    second_bias.requires_grad_(False)
    return layer


def glorot_normal_(weight: torch.Tensor, fan_in: int, fan_out: int) -> None:
    """Draw from a normal of variance 2 / (fan_in + fan_out), cut at two of its (widened) standard deviations."""
    spread = math.sqrt(2 / (fan_in + fan_out)) / TRUNCATED_SPREAD
    nn.init.trunc_normal_(weight, std=spread, a=-2 * spread, b=2 * spread)


def glorot_uniform_(weight: torch.Tensor, fan_in: int, fan_out: int) -> None:
    """Draw uniformly with variance 2 / (fan_in + fan_out)."""
    limit = math.sqrt(6 / (fan_in + fan_out))
    nn.init.uniform_(weight, -limit, limit)


def count_parameters(network: nn.Module) -> int:
    """What Keras reports as total parameters: all weights, and mean and variance of every batch normalisation."""
    weights = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]
    return weights + sum(2 * norm.num_features for norm in norms)
