"""KernelSHAP and LIME with one player per chromatin track, for all contexts at once.

A coalition is a set of players that have changed from the reference to the alternative allele, in all windows of a
variant together. Values are additive over windows and contexts share the coalitions, so the regression is factored
once per run. Hidden units that keep their sign whatever the tracks do are linear; both regressions reproduce linear
functions exactly, so only the units that can flip are sampled.

Dimension legend
    coalitions - rows of the regression, players - tracks that count for themselves and perhaps one for all others,
    tracks - chromatin outputs, hidden - units of the shared layer, contexts - tissues or cell states
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.seeds import generator
from cisweave.seal.interpret.methods import TrackAttribution, along_path, rescale

if TYPE_CHECKING:
    from cisweave.config import InterpretSettings, TrackMethod
    from cisweave.seal.interpret.game import WindowGame

SPARE = 2048
"""Coalitions beyond two per player where the settings name no number."""
MOST_ENUMERATED = 16
"""Players up to which all coalitions can be listed."""
KERNEL_WIDTH = 1.0
"""Width of LIME's exponential kernel over the cosine distance of a coalition to the full one."""

Floats = NDArray[np.float64]


@dataclass
class Coalitions:
    """Coalitions and the linear map from their values to the players.

    Attributes
    ----------
    members
        float64 (coalitions, players), 1 where a player has changed.
    solver
        float64 (unknowns, coalitions).
    balanced
        Whether the players' values must add up to the value of the full coalition (KernelSHAP).
    """

    members: torch.Tensor
    solver: torch.Tensor
    balanced: bool

    def solve(self, values: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """Values of the players (players, contexts).

        Parameters
        ----------
        values
            (coalitions, contexts), value of each coalition minus that of none.
        total
            (contexts,), value of the full coalition minus that of none.
        """
        if not self.balanced:
            return (self.solver @ values)[1:]
        free = self.solver @ (values - self.members[:, -1:] * total)
        return torch.cat([free, (total - free.sum(dim=0))[None]])


def shapley_coalitions(players: int, samples: int, seed: int) -> Coalitions:
    """Coalitions of KernelSHAP (Lundberg and Lee 2017).

    All of them with their weights where there are no more than ``samples`` (the result is then the exact Shapley
    value); otherwise drawn by their weights in pairs with their complements (Covert and Lee 2021).
    """
    if players <= MOST_ENUMERATED and 2**players - 2 <= samples:
        members, weights = all_coalitions(players)
    else:
        members = drawn_coalitions(players, samples, generator(seed, "kernelShap", players))
        weights = np.ones(len(members))
    design = members[:, :-1] - members[:, -1:]
    return Coalitions(torch.from_numpy(members), torch.from_numpy(least_squares(design, weights)), balanced=True)


def all_coalitions(players: int) -> tuple[Floats, Floats]:
    """Every coalition but the empty and the full one, and its Shapley weight."""
    from scipy.special import comb

    numbers = np.arange(1, 2**players - 1)
    members = ((numbers[:, None] >> np.arange(players)) & 1).astype(np.float64)
    size = members.sum(axis=1)
    return members, (players - 1) / (comb(players, size) * size * (players - size))


def drawn_coalitions(players: int, samples: int, draw: np.random.Generator) -> Floats:
    """Coalitions drawn by their Shapley weight, each beside its complement."""
    sizes = np.arange(1, players)
    chance = 1 / (sizes * (players - sizes))
    chosen = draw.choice(sizes, size=(samples + 1) // 2, p=chance / chance.sum())
    rank = draw.random((len(chosen), players)).argsort(axis=1).argsort(axis=1)
    members = (rank < chosen[:, None]).astype(np.float64)
    return np.stack([members, 1 - members], axis=1).reshape(-1, players)[:samples]


def lime_coalitions(players: int, samples: int, seed: int) -> Coalitions:
    """Coalitions of LIME (Ribeiro et al. 2016): each player in or out with even odds, near coalitions weigh more."""
    members = generator(seed, "lime", players).integers(0, 2, (samples, players)).astype(np.float64)
    near = np.sqrt(members.mean(axis=1))
    weights = np.exp(-((1 - near) ** 2) / (2 * KERNEL_WIDTH**2))
    design = np.concatenate([np.ones((samples, 1)), members], axis=1)
    return Coalitions(torch.from_numpy(members), torch.from_numpy(least_squares(design, weights)), balanced=False)


def least_squares(design: Floats, weights: Floats) -> Floats:
    """The matrix (unknowns, rows) that solves a weighted linear regression; too few rows are an error."""
    weighted = design * weights[:, None]
    normal = weighted.T @ design
    if np.linalg.matrix_rank(normal, hermitian=True) < len(normal):
        raise CisweaveError(
            f"{len(design)} coalitions do not tell {design.shape[1]} tracks apart; write more samples (twice the "
            "players are a start), or let fewer tracks play for themselves (players)"
        )
    return cast("Floats", np.linalg.solve(normal, weighted.T))


class Surrogate:
    """KernelSHAP or LIME of many variants, with the same coalitions for all."""

    def __init__(self, method: TrackMethod, settings: InterpretSettings, tracks: int, device: torch.device):
        self.settings, self.tracks = settings, tracks
        self.grouped = settings.players is not None and settings.players < tracks
        players = (settings.players or 0) + 1 if self.grouped else tracks
        samples = settings.samples or 2 * players + SPARE
        build = shapley_coalitions if method == "kernelShap" else lime_coalitions
        coalitions = build(players, samples, settings.seed)
        self.coalitions = Coalitions(coalitions.members.to(device), coalitions.solver.to(device), coalitions.balanced)

    def attribute(self, games: Sequence[WindowGame], head: torch.Tensor) -> TrackAttribution:
        """Attribution of one variant.

        Parameters
        ----------
        games
            One per shift.
        head
            (contexts, hidden), weights of the last layer.
        """
        player_of_track = self.players_of(games, head)
        players = self.coalitions.members.shape[1]
        linear = head.new_zeros(players, len(head))
        values = head.new_zeros(len(self.coalitions.members), len(head))
        total = head.new_zeros(len(head))
        for game in games:
            pushes = game.weights.new_zeros(players, len(game.start))
            pushes.index_add_(0, player_of_track, (game.weights * game.change).T)
            flips, on = unit_kinds(game.start, pushes)
            linear += pushes[:, on] @ head[:, on].T
            if flips.any():
                start, pushes, weights = game.start[flips], pushes[:, flips], head[:, flips].T
                values += (torch.relu(start + self.coalitions.members @ pushes) - torch.relu(start)) @ weights
                total += (torch.relu(start + pushes.sum(dim=0)) - torch.relu(start)) @ weights
        value = linear + self.coalitions.solve(values, total)
        return self.by_track(value, player_of_track)

    def players_of(self, games: Sequence[WindowGame], head: torch.Tensor) -> torch.Tensor:
        """The player (tracks,) that each track belongs to; the last one is that of all others."""
        if not self.grouped:
            return torch.arange(self.tracks, device=head.device)
        assert self.settings.players is not None
        strength = along_path(games, head, rescale).tracks.abs().amax(dim=0)
        strongest = strength.argsort(descending=True, stable=True)[: self.settings.players]
        player_of_track = torch.full((self.tracks,), self.settings.players, device=head.device)
        player_of_track[strongest] = torch.arange(self.settings.players, device=head.device)
        return player_of_track

    def by_track(self, value: torch.Tensor, player_of_track: torch.Tensor) -> TrackAttribution:
        """Values of players (players, contexts) as those of tracks and of the others."""
        if not self.grouped:
            return TrackAttribution(value.T, value.new_zeros(value.shape[1]))
        together = len(value) - 1
        tracks = value[player_of_track].T * (player_of_track != together)
        return TrackAttribution(tracks, value[together])


def unit_kinds(start: torch.Tensor, pushes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which hidden units (hidden,) change their sign in some coalition, and which are above zero in all."""
    lowest = start + pushes.clamp_max(0).sum(dim=0)
    highest = start + pushes.clamp_min(0).sum(dim=0)
    on = lowest >= 0
    return ~on & (highest > 0), on
