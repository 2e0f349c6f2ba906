"""Token transformers: every base a vector, convolutions and pools over them, attention over what is left.

Dimension legend
    batch - genes, 4 - channels A, C, G, T, length - bases, size - channels of a token,
    positions - places after pooling, vocabulary - 4 tokens, or 5 with one for unknown bases
"""

from __future__ import annotations

import math
from math import prod
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from cisweave.models.promoter.blocks import AttentionBlock, sinusoid
from cisweave.models.promoter.keras import EMBEDDING_RANGE, SameConv, batch_norm
from cisweave.models.promoter.settings import TokenSettings, WholeTransformerSettings
from cisweave.models.promoter.words import pooled_averages

Positions = Literal["learned", "sinusoid"]


class TokenEmbedding(nn.Module):
    """Vectors of bases and of positions, as functions of the one-hot promoter.

    With a vocabulary of 5 an unknown base has a vector of its own, with one of 4 it has the zero vector; in both cases
    the vector of its position is added.

    Parameters
    ----------
    window, vocabulary, size
        Bases read, tokens, channels of a vector.
    positions
        ``learned``: one vector for each position, and nothing scaled. ``sinusoid``: the fixed code of positions, and
        base vectors times the root of ``size``.
    """

    positions: torch.Tensor

    def __init__(self, window: int, vocabulary: int, size: int, positions: Positions):
        super().__init__()
        self.size = size
        self.tokens = nn.Parameter(torch.empty(vocabulary, size).uniform_(-EMBEDDING_RANGE, EMBEDDING_RANGE))
        if positions == "learned":
            self.scale = 1.0
            self.positions = nn.Parameter(torch.empty(window, size).uniform_(-EMBEDDING_RANGE, EMBEDDING_RANGE))
        else:
            self.scale = math.sqrt(size)
            self.register_buffer("positions", sinusoid(window, size), persistent=False)

    def parts(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What a one-hot base is multiplied with (4, size), and what is added at every position (length, size)."""
        known = self.tokens[:4] * self.scale
        if len(self.tokens) == 4:
            return known, self.positions
        unknown = self.tokens[4] * self.scale
        return known - unknown, self.positions + unknown

    def forward(self, promoter: torch.Tensor) -> torch.Tensor:
        """Vectors (batch, length, size) of one-hot promoters (batch, 4, length)."""
        bases, added = self.parts()
        return promoter.transpose(1, 2) @ bases + added


class TokenTrunk(nn.Module):
    """Two paths over the tokens, added and given to attention blocks.

    One path has two convolutions with pooling, the other one wide average pool; each ends in batch normalisation.

    Parameters
    ----------
    window
        Bases read.
    settings
        Hyper-parameters; heads have ``size`` channels.
    """

    def __init__(self, window: int, settings: TokenSettings):
        super().__init__()
        size, filters, widths, pools = settings.size, settings.filters, settings.widths, settings.pools
        places = window // prod(pools)
        self.readout, self.skip = settings.readout, settings.skip
        self.pooling, self.first_pool = settings.pooling, pools[0]
        self.embedding = TokenEmbedding(window, settings.vocabulary, size, settings.positions)
        self.token_dropout = nn.Dropout(settings.token_dropout)
        pool = nn.AvgPool1d if settings.pooling == "average" else nn.MaxPool1d
        self.first, self.second = SameConv(size, filters, widths[0]), SameConv(filters, size, widths[1])
        self.after_first = nn.Sequential(nn.ReLU(), pool(pools[0]))
        self.after_second = nn.Sequential(nn.ReLU(), pool(pools[1]))
        self.norm = batch_norm(size)
        self.skip_pool = nn.AvgPool1d(prod(pools))
        self.skip_norm = batch_norm(size) if settings.skip == "tokens" else nn.Identity()
        blocks = (
            AttentionBlock(size, settings.heads, size, settings.hidden, settings.block_dropout)
            for _ in range(settings.blocks)
        )
        self.blocks = nn.Sequential(*blocks)
        self.features = size * places if settings.readout == "flatten" else size

    def forward(self, promoter: torch.Tensor) -> torch.Tensor:
        """Features (batch, features) of one-hot promoters (batch, 4, length)."""
        dropping = self.training and self.token_dropout.p > 0
        first, skip = self.from_vectors(promoter) if dropping else self.from_one_hot(promoter)
        path = self.norm(self.after_second(self.second(first)))
        mixed: torch.Tensor = self.blocks((path + self.skip_norm(skip)).transpose(1, 2))
        return mixed.flatten(1) if self.readout == "flatten" else mixed.mean(dim=1)

    def from_vectors(self, promoter: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """First convolution, pooled (batch, filters, …), and second path (batch, size, positions), from tokens."""
        vectors = self.token_dropout(self.embedding(promoter)).transpose(1, 2)
        pooled = vectors if self.skip == "tokens" else self.embedding.parts()[1].T[None]
        return self.after_first(self.first(vectors)), self.skip_pool(pooled)

    def from_one_hot(self, promoter: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`from_vectors` without dropout, with an eighth of the work or less.

        Tokens are linear in the one-hot promoter, so is the convolution over them: filters over 4 channels instead of
        ``size``, and a part that depends on the position alone and is the same for all genes.
        """
        bases, added = self.embedding.parts()
        filters = torch.einsum("fsw,cs->fcw", self.first.weight, bases)
        of_positions = self.skip_pool(added.T[None])
        first = self.first_pooled(promoter, filters, self.first(added.T[None])[0])
        if self.skip == "positions":
            return first, of_positions
        return first, bases.T @ self.skip_pool(promoter) + of_positions

    def first_pooled(self, promoter: torch.Tensor, filters: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
        """First convolution after its pool, from filters (filters, 4, width) and what is added (filters, length)."""
        if self.pooling == "average":
            averages = pooled_averages(promoter, self.first, filters, added, self.first_pool)
            if averages is not None:
                return averages
        pooled: torch.Tensor = self.after_first(F.conv1d(F.pad(promoter, self.first.around), filters) + added)
        return pooled


class WholeTransformer(nn.Module):
    """The "Original" transformer: attention over every base of the promoter, then the mean.

    Parameters
    ----------
    window
        Bases read (10,500).
    settings
        Hyper-parameters; ``size`` is shared out among the heads.
    """

    def __init__(self, window: int, settings: WholeTransformerSettings):
        super().__init__()
        size, heads = settings.size, settings.heads
        self.embedding = TokenEmbedding(window, settings.vocabulary, size, "sinusoid")
        self.dropout = nn.Dropout(settings.block_dropout)
        blocks = (
            AttentionBlock(size, heads, size // heads, settings.hidden, settings.block_dropout)
            for _ in range(settings.blocks)
        )
        self.blocks = nn.Sequential(*blocks)
        self.features = size

    def forward(self, promoter: torch.Tensor) -> torch.Tensor:
        """Features (batch, size) of one-hot promoters (batch, 4, length)."""
        mean: torch.Tensor = self.blocks(self.dropout(self.embedding(promoter))).mean(dim=1)
        return mean
