"""How many multiplications each way of computing windows takes; counted from the layers, nothing is computed.

Dimension legend
    window - bases that the network reads, union - bases that the shifted windows of a variant cover together

One multiply-accumulate counts once (two floating-point operations). The counts leave out what is small beside the
matrix products: pooling, ReLU, sigmoid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from cisweave.config import NetworkSettings
from cisweave.models.beluga import BLOCK_STRIDE, KERNEL, POOL, trunk_positions

if TYPE_CHECKING:
    from cisweave.models.beluga import Beluga

STRANDS = 2
CONVOLUTIONS_PER_BLOCK = 2


@dataclass(frozen=True)
class NetworkShape:
    """What the cost of a chromatin model depends on."""

    tracks: int
    channels: tuple[int, ...]
    hidden: int
    window: int

    @classmethod
    def published(cls, tracks: int = 2002) -> NetworkShape:
        """The published Beluga."""
        return cls.from_hyperparameters({"tracks": tracks})

    @classmethod
    def from_hyperparameters(cls, given: Mapping[str, Any]) -> NetworkShape:
        """From the keyword arguments of :class:`cisweave.models.beluga.Beluga`, as ``model.yaml`` keeps them."""
        default = NetworkSettings()
        return cls(
            int(given["tracks"]),
            tuple(given.get("channels", default.channels)),
            int(given.get("hidden", default.hidden)),
            int(given.get("window", default.window)),
        )

    @classmethod
    def of(cls, network: Beluga) -> NetworkShape:
        """Of a network."""
        modules = list(network.modules())
        channels = tuple(module.out_channels for module in modules if isinstance(module, nn.Conv1d))
        hidden = next(module.out_features for module in modules if isinstance(module, nn.Linear))
        return cls(network.tracks, channels, hidden, network.window)

    @property
    def positions(self) -> int:
        """Positions of a window after the trunk."""
        return trunk_positions(self.window)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return sum(self.kernels) + sum(self.channels) + self.first + self.hidden + self.last + self.tracks

    @property
    def kernels(self) -> tuple[int, ...]:
        """Weights of each convolution, which are the multiplications of one of its places."""
        inputs = (4, *self.channels[:-1])
        return tuple(before * after * KERNEL for before, after in zip(inputs, self.channels, strict=True))

    @property
    def first(self) -> int:
        """Weights of the first fully connected layer."""
        return self.channels[-1] * self.positions * self.hidden

    @property
    def last(self) -> int:
        """Weights of the output layer."""
        return self.hidden * self.tracks


def trunk_work(shape: NetworkShape, length: int, phases: int = 1) -> int:
    """Convolutions over ``length`` bases on one strand; the last block once for each phase of the second pool."""
    work, places = 0, length
    for number, kernel in enumerate(shape.kernels):
        places -= KERNEL - 1
        work += places * kernel * (phases if number >= 2 * CONVOLUTIONS_PER_BLOCK else 1)
        if number % CONVOLUTIONS_PER_BLOCK == 1:
            places //= POOL
    return work


def window_work(shape: NetworkShape) -> int:
    """One window on one strand (3,901.6 million as published)."""
    return trunk_work(shape, shape.window) + shape.first + shape.last


def union_of(shape: NetworkShape, shifts: Sequence[int]) -> int:
    """Bases that the windows of a variant cover together (3,600 as published)."""
    return shape.window + max(shifts) - min(shifts)


def phases_of(shifts: Sequence[int]) -> int:
    """Classes of windows that the second pool sees alike (2 for steps of 200)."""
    return len({shift % BLOCK_STRIDE for shift in shifts})


def union_work(shape: NetworkShape, shifts: Sequence[int]) -> int:
    """All windows of one allele on one strand, the trunk shared."""
    trunk = trunk_work(shape, union_of(shape, shifts), phases_of(shifts))
    return trunk + len(shifts) * (shape.first + shape.last)


def cone_places(bases: int = 1) -> tuple[int, ...]:
    """Places of each convolution that see a stretch of changed bases, on average over where the pools start."""
    places: list[float] = []
    reach, step, every = 1, 1, 1
    for number in range(6):
        reach += (KERNEL - 1) * step
        places.append((reach + bases - 1) / every)
        if number in (1, 3):
            reach += (POOL - 1) * step
            step *= POOL
            every *= POOL
    return tuple(math.ceil(count) for count in places)


def cone_work(shape: NetworkShape, shifts: Sequence[int], bases: int = 1) -> int:
    """All windows of one allele of the reference's length on one strand, the reference's values being there."""
    places = [min(count, shape.window) for count in cone_places(bases)]
    phases = phases_of(shifts)
    per_layer = [count * kernel for count, kernel in zip(places, shape.kernels, strict=True)]
    trunk = sum(per_layer[:4]) + phases * sum(per_layer[4:])
    first = min(places[5], shape.positions) * shape.channels[5] * shape.hidden
    return trunk + len(shifts) * (first + shape.last)


def dense_work_per_base(shape: NetworkShape) -> int:
    """The trunk of all windows of a stretch, per base and strand (9.64 million as published)."""
    return sum(shape.kernels)


def union_bases(shape: NetworkShape, shifts: Sequence[int]) -> float:
    """Bases of a stretch whose trunk at every base costs what the trunk of one union costs (840 as published)."""
    return trunk_work(shape, union_of(shape, shifts), phases_of(shifts)) / dense_work_per_base(shape)
