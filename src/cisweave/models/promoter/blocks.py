"""Parts that several families of promoter networks share.

Dimension legend
    batch - genes, length - positions along the promoter, size - channels of a position, features - inputs of the head
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from cisweave.models.promoter.keras import dense, glorot_uniform_, layer_norm
from cisweave.models.promoter.settings import Activation


def activation_module(activation: Activation) -> nn.Module:
    """The module of an activation; each use needs its own, because DeepLIFT keeps what went through it."""
    return nn.ReLU() if activation == "relu" else nn.LeakyReLU(0.01)


class Head(nn.Module):
    """Fully connected layers, each with activation and dropout, and one linear output.

    Parameters
    ----------
    features
        Inputs: those of the trunk, then half-life, factors and microRNAs.
    widths, dropout
        Units of each hidden layer, and the dropout after it.
    activation
        ``leaky_relu`` keeps a narrow layer from dying.
    """

    def __init__(self, features: int, widths: Sequence[int], dropout: Sequence[float], activation: Activation = "relu"):
        super().__init__()
        layers: list[nn.Module] = []
        for width, share in zip(widths, dropout, strict=True):
            layers += [dense(features, width), activation_module(activation), nn.Dropout(share)]
            features = width
        self.layers = nn.Sequential(*layers, dense(features, 1))

    @property
    def dense_layers(self) -> list[nn.Linear]:
        """The fully connected layers, the output last."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Expression (batch, 1), in standard deviations, of features (batch, features)."""
        expression: torch.Tensor = self.layers(features)
        return expression


class AttentionBlock(nn.Module):
    """Self-attention, then two fully connected layers, each added to its input and normalised (Vaswani et al. 2017).

    Heads have a size of their own, ``key_size``, whatever the size of a position.

    Parameters
    ----------
    size
        Channels of a position.
    heads, key_size
        Number and size of the heads.
    hidden
        Units of the first fully connected layer.
    dropout
        Dropout after the attention and after the second fully connected layer.
    """

    def __init__(self, size: int, heads: int, key_size: int, hidden: int, dropout: float):
        super().__init__()
        self.heads, self.key_size = heads, key_size
        inner = heads * key_size
        self.query, self.key, self.value = (nn.Linear(size, inner) for _ in range(3))
        self.output = nn.Linear(inner, size)
        # Keras counts all axes of a kernel but the last two as its receptive field: (size, heads, key_size) for the
        # projections, (heads, key_size, size) for the output.
        for projection in (self.query, self.key, self.value):
            glorot_uniform_(projection.weight, size * heads, size * key_size)
        glorot_uniform_(self.output.weight, heads * key_size, heads * size)
        for projection in (self.query, self.key, self.value, self.output):
            nn.init.zeros_(projection.bias)
        self.expand, self.contract = dense(size, hidden), dense(hidden, size)
        self.activation = nn.ReLU()
        self.attention_norm, self.dense_norm = layer_norm(size), layer_norm(size)
        self.attention_dropout, self.dense_dropout = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Positions (batch, length, size) that have seen each other."""
        x = self.attention_norm(x + self.attention_dropout(self.attend(x)))
        hidden = self.contract(self.activation(self.expand(x)))
        normalised: torch.Tensor = self.dense_norm(x + self.dense_dropout(hidden))
        return normalised

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        """What every position takes from all positions (batch, length, size)."""
        query, key, value = (self.by_head(part(x)) for part in (self.query, self.key, self.value))
        taken = F.scaled_dot_product_attention(query, key, value)
        output: torch.Tensor = self.output(taken.transpose(1, 2).flatten(2))
        return output

    def by_head(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, heads, length, key_size) of (batch, length, heads * key_size)."""
        return x.view(*x.shape[:2], self.heads, self.key_size).transpose(1, 2)


def sinusoid(length: int, size: int) -> torch.Tensor:
    """Fixed code of positions, float32 (length, size): sine in even channels, cosine in odd ones, interleaved.

    The angle of channel i at position p (from 0) is ``p / 10000 ** (2 * (i // 2) / size)``.
    """
    channel = torch.arange(size, dtype=torch.float64)
    rate = 10_000.0 ** (-2 * (channel // 2) / size)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()


def flatten_time_major(x: torch.Tensor) -> torch.Tensor:
    """(batch, length * channels) of (batch, channels, length), the channels of the first position first."""
    return x.transpose(1, 2).flatten(1)
