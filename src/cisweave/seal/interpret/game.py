"""A shifted window as a game of chromatin tracks: what each track's change adds to the hidden units (Seal, Module 3).

In a window only the row of the variant's own bin differs between the alleles, so the 20,020 features change by
``w(d) x (A - R)`` and every track acts through one direction in the space of hidden units. Everything the attribution
methods need is the state of the hidden units with the reference allele, and one push per track.

Dimension legend
    tracks - chromatin outputs (the players), basis - weight functions, hidden - units of the shared layer,
    contexts - tissues or cell states, shifts - places of the window around the variant
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from cisweave.seal.spatial import basis_weights

if TYPE_CHECKING:
    from cisweave.seal.engine import AllelePredictions
    from cisweave.seal.head import ExpressionHead, Places


@dataclass
class WindowGame:
    """One variant in one shifted window; all float64.

    Attributes
    ----------
    start
        (hidden,), what reaches each hidden unit with the reference allele, before the ReLU.
    weights
        (hidden, tracks), how strongly each track acts on each unit at this distance from the TSS.
    change
        (tracks,), probability with the alternative minus with the reference allele.
    """

    start: torch.Tensor
    weights: torch.Tensor
    change: torch.Tensor

    @property
    def push(self) -> torch.Tensor:
        """What the change of all tracks together adds to the hidden units (hidden,)."""
        return self.weights @ self.change

    @property
    def end(self) -> torch.Tensor:
        """What reaches each hidden unit with the alternative allele (hidden,)."""
        return self.start + self.push


class Games:
    """Makes the games of variants from the predictions of their alleles.

    Parameters
    ----------
    head
        What turns chromatin into expression.
    outputs
        Numbers of the contexts that are asked for.
    """

    def __init__(self, head: ExpressionHead, outputs: list[int]):
        self.expression, self.device = head, head.device
        self.decay = head.store.settings.decay
        basis = 2 * len(self.decay)
        first = head.network.shared.weight.detach()
        self.by_basis = first.reshape(len(first), basis, -1).transpose(0, 1).contiguous()
        self.head = cast("torch.nn.Linear", head.network.layers[-1]).weight.detach()[outputs]
        """(contexts, hidden)"""

    def of_batch(self, predictions: AllelePredictions, places: Places) -> Iterator[list[WindowGame]]:
        """The games of each variant in turn, one per shift."""
        reference = predictions.reference.to(self.device).double()
        change = predictions.alternative.to(self.device).double() - reference
        with torch.no_grad():
            starts = [self.start(places, shift, reference[:, shift]) for shift in range(places.distance.shape[1])]
        for variant, distances in enumerate(places.distance):
            yield [
                WindowGame(starts[shift][variant], self.weights_at(int(distance)), change[variant, shift])
                for shift, distance in enumerate(distances)
            ]

    def start(self, places: Places, shift: int, reference: torch.Tensor) -> torch.Tensor:
        """What reaches the hidden units (variants, hidden) with the reference window in the place of its bin."""
        background = self.expression.background(places.genes, places.bins[:, shift])
        return background + self.expression.project(reference, places.distance[:, shift])

    def weights_at(self, distance: int) -> torch.Tensor:
        """Weights (hidden, tracks) of the tracks of a window whose middle lies ``distance`` bases from the TSS."""
        weights = basis_weights(np.array([distance]), self.decay)[:, 0]
        total = torch.zeros_like(self.by_basis[0])
        for number in np.flatnonzero(weights):
            total.add_(self.by_basis[number], alpha=float(weights[number]))
        return total
