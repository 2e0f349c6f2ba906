"""Where windows, strands and changed bases lie in the layers of Beluga: whole numbers only.

All convolutions are 8 wide, unpadded and of stride 1, and both max-pools take the maximum of 4 places at stride 4. So
output place ``i`` of a convolution reads places ``i … i + 7`` of the layer before, and place ``i`` of a pool reads
``4 i … 4 i + 3``; a tail that does not fill a pool is dropped. Coordinates are 0-based and half-open.

Terms
    window    - the bases that the network reads at once (2000 as published)
    tiling    - windows at equal steps along one sequence, the union, which is sent through the trunk once
    phase     - windows whose starts differ by a multiple of 16 bases see the same second pool; a step of 200 has two
    cone      - the places of every layer that a changed stretch of bases can reach
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from cisweave.models.beluga import BLOCK_STRIDE, KERNEL, POOL, trunk_positions

REACH = KERNEL - 1
"""Places that an unpadded convolution takes off; how far left of a changed place its outputs change."""


@dataclass(frozen=True)
class Span:
    """Places ``start … stop - 1`` of a layer."""

    start: int
    stop: int

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    @property
    def slice(self) -> slice:
        """For indexing."""
        return slice(self.start, max(self.start, self.stop))

    def within(self, length: int) -> Span:
        """The part inside a layer of ``length`` places."""
        return self & Span(0, length)

    def moved(self, by: int) -> Span:
        """The same places counted from another origin."""
        return Span(self.start + by, self.stop + by)

    def __and__(self, other: Span) -> Span:
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.stop, other.stop)))

    def convolved(self, length: int) -> Span:
        """Outputs of a convolution that read any of these places; ``length`` outputs there are."""
        return Span(self.start - REACH, self.stop).within(length) if len(self) else Span(0, 0)

    def read_by_convolution(self) -> Span:
        """Inputs that a convolution reads for these outputs."""
        return Span(self.start, self.stop + REACH) if len(self) else Span(0, 0)

    def pooled(self, length: int) -> Span:
        """Outputs of a pool that read any of these places; ``length`` outputs there are."""
        return Span(self.start // POOL, (self.stop - 1) // POOL + 1).within(length) if len(self) else Span(0, 0)

    def read_by_pool(self) -> Span:
        """Inputs that a pool reads for these outputs."""
        return Span(self.start * POOL, self.stop * POOL)


@dataclass(frozen=True)
class Phase:
    """Windows that share the second pool.

    Attributes
    ----------
    windows
        Which windows of the tiling, ascending.
    first
        Place of the fourth convolution at which the second pool begins.
    starts
        Place of the last convolution, in this phase, at which each window begins.
    pooled
        Places after the second pool.
    """

    windows: tuple[int, ...]
    first: int
    starts: tuple[int, ...]
    pooled: int

    @property
    def trunk(self) -> int:
        """Places after the last convolution."""
        return self.pooled - 2 * REACH


@dataclass(frozen=True)
class Tiling:
    """``windows`` windows of ``window`` bases, ``step`` bases apart, and the lengths of all layers over their union.

    The reverse complement of the union is tiled alike; window ``k`` there is window ``windows - 1 - k`` reversed.

    Raises
    ------
    ValueError
        If the step is no multiple of the first pool, so that the windows cannot share the first layers.
    """

    window: int
    step: int
    windows: int

    def __post_init__(self) -> None:
        if not self.shares(self.step):
            raise ValueError(f"step must be a positive multiple of {POOL}, not {self.step}")

    @staticmethod
    def shares(step: int) -> bool:
        """Whether windows at this step can share the trunk."""
        return step > 0 and step % POOL == 0

    @property
    def length(self) -> int:
        """Bases of the union."""
        return self.window + (self.windows - 1) * self.step

    @property
    def positions(self) -> int:
        """Places of one window after the last convolution (106 as published)."""
        return trunk_positions(self.window)

    @property
    def conv1(self) -> int:
        """Places after the first convolution."""
        return self.length - REACH

    @property
    def conv2(self) -> int:
        """Places after the second convolution."""
        return self.conv1 - REACH

    @property
    def pool1(self) -> int:
        """Places after the first pool, the tail dropped."""
        return self.conv2 // POOL

    @property
    def conv3(self) -> int:
        """Places after the third convolution."""
        return self.pool1 - REACH

    @property
    def conv4(self) -> int:
        """Places after the fourth convolution."""
        return self.conv3 - REACH

    @property
    def period(self) -> int:
        """A window and the one so many further on are of the same phase."""
        return BLOCK_STRIDE // math.gcd(self.step, BLOCK_STRIDE)

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the second pool, by their first window."""
        return tuple(self._phase(first) for first in range(min(self.period, self.windows)))

    def _phase(self, first: int) -> Phase:
        """The phase of window ``first``; its second pool runs from that window's start to the last one's end."""
        members = tuple(range(first, self.windows, self.period))
        starts = tuple((member - first) * self.step // BLOCK_STRIDE for member in members)
        return Phase(members, first * self.step // POOL, starts, starts[-1] + self.positions + 2 * REACH)

    def places(self) -> Iterator[tuple[int, int, int]]:
        """Window, index of its phase and its start in the phase's last convolution, in the order of the windows."""
        for window in range(self.windows):
            phase = window % self.period
            yield window, phase, self.phases[phase].starts[window // self.period]


@dataclass(frozen=True)
class PhaseCone:
    """Places of one phase's layers that a changed stretch can reach (``pool2``, ``conv5``, ``conv6``)."""

    pool2: Span
    conv5: Span
    conv6: Span


@dataclass(frozen=True)
class Cone:
    """Places of every layer over a tiling's union that a change of the bases ``changed`` can reach.

    At the ends of the union the cones are clipped; where a pool drops the tail that holds the change they are empty.
    The places before a pool are those of whole pools, so that nothing but the changed sequence is needed to fill them.
    """

    tiling: Tiling
    changed: Span

    @cached_property
    def pool1(self) -> Span:
        """4 or 5 places for one base."""
        return self.changed.convolved(self.tiling.conv1).convolved(self.tiling.conv2).pooled(self.tiling.pool1)

    @property
    def bases(self) -> Span:
        """Bases that are read for the first pool."""
        return self.pool1.read_by_pool().read_by_convolution().read_by_convolution()

    @cached_property
    def conv3(self) -> Span:
        """11 or 12 places for one base."""
        return self.pool1.convolved(self.tiling.conv3)

    @cached_property
    def conv4(self) -> Span:
        """18 or 19 places for one base."""
        return self.conv3.convolved(self.tiling.conv4)

    @cached_property
    def phases(self) -> tuple[PhaseCone, ...]:
        """The cones after the second pool, one for each phase."""
        return tuple(self._phase(phase) for phase in self.tiling.phases)

    def _phase(self, phase: Phase) -> PhaseCone:
        """Cones of one phase, in its own coordinates."""
        pool2 = self.conv4.moved(-phase.first).pooled(phase.pooled)
        conv5 = pool2.convolved(phase.pooled - REACH)
        return PhaseCone(pool2, conv5, conv5.convolved(phase.trunk))

    def before_pool2(self, phase: int) -> Span:
        """Places of the fourth convolution that the second pool of a phase reads, counted over the union."""
        return self.phases[phase].pool2.read_by_pool().moved(self.tiling.phases[phase].first)

    @cached_property
    def wide_conv4(self) -> Span:
        """The same for all phases together: a few places more than change."""
        spans = [span for span in map(self.before_pool2, range(len(self.phases))) if len(span)]
        return Span(min(span.start for span in spans), max(span.stop for span in spans)) if spans else Span(0, 0)

    def in_window(self, phase: int, start: int) -> tuple[Span, Span]:
        """Changed places of a window's last convolution: counted from the cone's own start, and from the window's.

        Parameters
        ----------
        phase, start
            As in :meth:`Tiling.places`.
        """
        cone = self.phases[phase].conv6
        inside = cone & Span(start, start + self.tiling.positions)
        return inside.moved(-cone.start), inside.moved(-start)

    @property
    def share(self) -> float:
        """Bases that are read, relative to the whole union (0 to 1): about what the cone costs of a whole pass."""
        return len(self.bases) / self.tiling.length
