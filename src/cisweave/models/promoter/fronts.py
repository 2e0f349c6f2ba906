"""What a trunk reads, made from one-hot promoters.

Dimension legend
    batch - genes, 4 - channels A, C, G, T, length - bases, segments - stretches of ``segment`` bases side by side,
    words - the 4^k k-mers, size - length of a word's vector
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cisweave.models.promoter.words import LETTERS, digits_of, numbered_words

KNOWN = 0.5
"""A column of a one-hot sequence is a known base where it sums to more than this."""


class OneHot(nn.Module):
    """The one-hot promoter itself."""

    def forward(self, promoter: torch.Tensor) -> torch.Tensor:
        """The promoter (batch, 4, length), unchanged."""
        return promoter


class KmerSegments(nn.Module):
    """Segments of the promoter, each the mean vector of the k-mers inside it, standardised channel by channel.

    The index of a k-mer counts in base 4 with its first base as the highest digit (A 0, C 1, G 2, T 3). Words with an
    unknown base are not counted; a segment without any known word is 0 in every channel, as an average segment is.
    Bases after the last whole segment are not read.

    Parameters
    ----------
    segment
        Bases per segment; words do not cross its borders.
    k
        Bases per word.
    size
        Length of a vector.

    Attributes
    ----------
    vectors
        float32 (4^k, size), vector of every word; until :meth:`set_vectors` is called, the shares of the first ``size``
        words.
    mean, spread
        float32 (size,), what is subtracted from the mean vectors, and what they are then divided by.
    """

    vectors: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor
    words: torch.Tensor
    rows: torch.Tensor

    def __init__(self, segment: int, k: int, size: int):
        super().__init__()
        self.segment, self.k, self.size = segment, k, size
        self.register_buffer("vectors", torch.eye(4**k, size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.register_buffer("words", word_kernel(k), persistent=False)
        self.register_buffer("rows", word_rows(k), persistent=False)
        self.indicator = nn.ReLU()

    def set_vectors(
        self, vectors: torch.Tensor, mean: torch.Tensor | None = None, spread: torch.Tensor | None = None
    ) -> None:
        """Take the vectors (4^k, size) of words, and mean and spread (size,) of the channels (default: 0 and 1)."""
        self.vectors.copy_(vectors)
        self.mean.copy_(torch.zeros(self.size) if mean is None else mean)
        self.spread.copy_(torch.ones(self.size) if spread is None else spread)

    def forward(self, promoter: torch.Tensor) -> torch.Tensor:
        """Standardised mean vectors (batch, segments, size) of one-hot promoters (batch, 4, length)."""
        batch, number = len(promoter), promoter.shape[2] // self.segment
        inside = promoter[..., : number * self.segment].reshape(batch, 4, number, self.segment)
        pieces = inside.transpose(1, 2).flatten(0, 1)
        found = self.counted(pieces)
        found = self.matched(pieces) if found is None else found
        total = self.known_words(pieces)
        standardised = ((found / total.clamp_min(1)) @ self.vectors - self.mean) / self.spread
        return torch.where(total > 0, standardised, torch.zeros_like(standardised)).view(batch, number, -1)

    def matched(self, pieces: torch.Tensor) -> torch.Tensor:
        """How often each word stands in pieces (pieces, 4, segment): float (pieces, words), with gradients.

        A convolution with a word counts its matching bases; less k - 1, only a whole match is above 0. So the count is
        exact, differentiable, and made of operations that have DeepLIFT rules.
        """
        matches: torch.Tensor = self.indicator(F.conv1d(pieces, self.words) - (self.k - 1))
        return matches.sum(dim=2)

    def counted(self, pieces: torch.Tensor) -> torch.Tensor | None:
        """As :meth:`matched`, sooner and in less memory, or ``None`` where words must be matched."""
        numbers = numbered_words(pieces, self.k, self.segment - self.k + 1)
        if numbers is None:
            return None
        counts = pieces.new_zeros(len(pieces), len(self.vectors) + 1)
        index = self.rows[numbers.long()]
        return counts.scatter_add_(1, index, torch.ones_like(index, dtype=counts.dtype))[:, :-1]

    def known_words(self, pieces: torch.Tensor) -> torch.Tensor:
        """Number (pieces, 1) of words without unknown bases in (pieces, 4, segment); a constant for all gradients."""
        unknown = (pieces.detach().sum(dim=1) < KNOWN).to(pieces.dtype)
        touched = F.max_pool1d(unknown[:, None], self.k, stride=1)
        return (1 - touched).sum(dim=2)


def word_kernel(k: int) -> torch.Tensor:
    """All k-mers as one-hot filters, float32 (4^k, 4, k)."""
    return F.one_hot(digits_of(k, 4), 4).transpose(1, 2).float()


def word_rows(k: int) -> torch.Tensor:
    """Row of the vectors, int64 (5^k,), of every word of five letters; the last, 4^k, if a base is unknown."""
    digits = digits_of(k, LETTERS)
    rows = (digits * 4 ** torch.arange(k - 1, -1, -1)).sum(dim=1)
    return torch.where((digits == LETTERS - 1).any(dim=1), 4**k, rows)
