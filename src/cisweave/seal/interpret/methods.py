"""Attribution methods that follow the path from the reference to the alternative allele, for all contexts at once.

The expression network has one hidden layer, so each of these methods comes down to one slope per hidden unit; the
attribution of a track is its change times what it reaches through these slopes. One product serves all contexts.

Dimension legend
    tracks - chromatin outputs, hidden - units of the shared layer, contexts - tissues or cell states
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cisweave.core.seeds import generator

if TYPE_CHECKING:
    from cisweave.config import InterpretSettings, TrackMethod
    from cisweave.seal.interpret.game import WindowGame

Slopes = Callable[["WindowGame"], torch.Tensor]

FLAT = 1e-12
"""A unit whose input changes by less has the slope at its end, not the quotient of two roundings."""
DRAWS = 50
"""Draws of gradientShap where the settings name no number."""


@dataclass
class TrackAttribution:
    """Attribution of one variant's score.

    Attributes
    ----------
    tracks
        float64 (contexts, tracks), ln expression; of tracks that do not play for themselves 0.
    others
        float64 (contexts,), what the tracks do together that do not play for themselves.
    """

    tracks: torch.Tensor
    others: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """Sum over all tracks (contexts,)."""
        return self.tracks.sum(dim=1) + self.others


def along_path(
    games: Sequence[WindowGame], head: torch.Tensor, slopes: Slopes, times_change: bool = True
) -> TrackAttribution:
    """Attribution summed over the windows of a variant.

    Parameters
    ----------
    games
        One per shift.
    head
        (contexts, hidden), weights of the last layer.
    slopes
        Gives the slope (hidden,) of each unit in a game.
    times_change
        Multiply by the change of each track; without it the result is a sum of gradients.
    """
    total = torch.zeros(len(head), len(games[0].change), dtype=head.dtype, device=head.device)
    for game in games:
        gradient = (head * slopes(game)) @ game.weights
        total += gradient * game.change if times_change else gradient
    return TrackAttribution(total, total.new_zeros(len(head)))


def path_slopes(method: TrackMethod, settings: InterpretSettings) -> Slopes:
    """The slopes of a method by its name."""
    if method == "saliency":
        return slope_at_end
    if method == "gradientShap":
        places = generator(settings.seed, "gradientShap").uniform(size=settings.samples or DRAWS)
        return mean_slope(places, np.full(len(places), 1 / len(places)))
    if method == "integratedGradients" and settings.steps is not None:
        nodes, weights = np.polynomial.legendre.leggauss(settings.steps)
        return mean_slope((nodes + 1) / 2, weights / 2)
    return rescale


def rescale(game: WindowGame) -> torch.Tensor:
    """Change of a unit's output over change of its input (hidden,).

    The Rescale rule of DeepLIFT (Shrikumar et al. 2017). It is at once the mean slope on the straight path between the
    alleles: for one hidden layer exact integrated gradients (Sundararajan et al. 2017) and DeepLIFT are the same.
    """
    push = game.push
    quotient = (torch.relu(game.start + push) - torch.relu(game.start)) / push
    return torch.where(push.abs() < FLAT, slope_at_end(game), quotient)


def slope_at_end(game: WindowGame) -> torch.Tensor:
    """Slope (hidden,) of each unit with the alternative allele: 1 or 0."""
    return (game.end > 0).double()


def mean_slope(places: np.ndarray, weights: np.ndarray) -> Slopes:
    """Weighted mean of the slopes at places between 0 (reference) and 1 (alternative)."""

    def slopes(game: WindowGame) -> torch.Tensor:
        device = game.start.device
        at, share = torch.from_numpy(places).to(device), torch.from_numpy(weights).to(device)
        return ((game.start + at[:, None] * game.push) > 0).double().T @ share

    return slopes
