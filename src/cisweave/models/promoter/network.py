"""A promoter network: what the trunk makes of the promoter, joined with the other inputs, and a dense head.

Dimension legend
    batch - genes, 4 - channels A, C, G, T, length - bases, features - outputs of the trunk,
    extras - half-life, factors and microRNAs of a gene, in this order
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import nn

from cisweave.models.promoter.blocks import Head
from cisweave.models.promoter.fronts import KmerSegments


class PromoterNetwork(nn.Module):
    """Expression of genes, in standard deviations, from promoter, half-life, factors and microRNAs.

    Parameters
    ----------
    front
        From one-hot promoters to what the trunk reads; ``None`` where no promoter is read.
    trunk
        From there to features (batch, features).
    head
        From features and extras to expression.
    window
        Bases read; 0 where no promoter is read.
    widths
        Number of ``halflife``, ``tf`` and ``mirna`` inputs.
    """

    def __init__(
        self, front: nn.Module | None, trunk: nn.Module | None, head: Head, window: int, widths: Mapping[str, int]
    ):
        super().__init__()
        self.front, self.trunk, self.head = front, trunk, head
        self.window, self.widths = window, dict(widths)

    @property
    def extras(self) -> int:
        """Number of inputs beside the promoter."""
        return sum(self.widths.values())

    @property
    def reads_promoter(self) -> bool:
        """Whether there is a promoter to give."""
        return self.front is not None

    @property
    def reads_segments(self) -> bool:
        """Whether the trunk reads segments, which training computes once and keeps."""
        return isinstance(self.front, KmerSegments)

    @property
    def segments(self) -> KmerSegments:
        """The front that makes segments, where :attr:`reads_segments`."""
        return cast("KmerSegments", self.front)

    @property
    def width(self) -> int | None:
        """Channels of a token or segment, on which the schedule of a transformer depends; else ``None``."""
        embedding = getattr(self.trunk, "embedding", self.front)
        return getattr(embedding, "size", None)

    def forward(self, promoter: torch.Tensor | None, extras: torch.Tensor | None = None) -> torch.Tensor:
        """Expression (batch, 1) of one-hot promoters (batch, 4, length) and extras (batch, extras)."""
        return self.forward_represented(self.represent(promoter), extras)

    def represent(self, promoter: torch.Tensor | None) -> torch.Tensor | None:
        """What the trunk reads of one-hot promoters (batch, 4, length): itself, or segments (batch, segments, size)."""
        if self.front is None:
            return None
        if promoter is None or promoter.shape[1:] != (4, self.window):
            given = None if promoter is None else tuple(promoter.shape)
            raise ValueError(f"promoters must be (batch, 4, {self.window}), not {given}")
        represented: torch.Tensor = self.front(promoter)
        return represented

    def forward_represented(self, represented: torch.Tensor | None, extras: torch.Tensor | None = None) -> torch.Tensor:
        """As :meth:`forward`, from what :meth:`represent` returned."""
        parts: list[torch.Tensor] = []
        if self.trunk is not None:
            parts.append(self.trunk(represented))
        if self.extras:
            if extras is None or extras.shape[1:] != (self.extras,):
                given = None if extras is None else tuple(extras.shape)
                raise ValueError(f"extras must be (batch, {self.extras}), not {given}")
            parts.append(extras)
        expression: torch.Tensor = self.head(torch.cat(parts, dim=1))
        return expression
