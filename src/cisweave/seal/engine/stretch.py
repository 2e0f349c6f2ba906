"""Both alleles of variants that stand close together: the reference trunk once for a whole stretch of the genome.

Two pools of 4 make the trunk of a window depend on where the window starts, modulo 16. Here every layer is worked out
at every base instead: the pools slide by one base, and the convolutions after them reach over 4 and 16 bases. One pass
so holds the trunk of every window of the stretch, at the price of 16 unions. An alternative allele changes only what
sees it, a cone that grows from layer to layer and is the same for all variants of one length; what lies left of it is
the reference's, and what lies right of it is the reference's as well, moved by the change of length. So substitutions,
insertions and deletions are treated alike.

Dimension legend
    variants - alleles of one length in place of references of one length, bases - places of a stretch,
    windows - places where a window starts, shifts - windows of a variant, places - where a layer is worked out,
    channels - feature maps, positions - places left of a window after the trunk, hidden - units of the first fully
    connected layer, tracks - chromatin outputs

Places of a cone count from the first base of the allele; a value at place y has seen the bases y ... y + reach - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cisweave.models.beluga import BLOCK_STRIDE, KERNEL, POOL, Beluga
from cisweave.seal.engine.layers import Layers
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, one_hot, reverse_complement
from cisweave.sequence.windows import MARGIN

ROWS = 256
"""Windows that go through the fully connected layers at a time."""


# --- geometry ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Stage:
    """A layer of the trunk: what it reads, and how far it has seen.

    Attributes
    ----------
    layer
        Number of the convolution (1 to 6); ``None`` for a pool.
    step
        Bases between the values it reads.
    taps
        Values it reads.
    reach
        Bases that one of its values depends on.
    every
        Bases between its values within one window.
    """

    layer: int | None
    step: int
    taps: int
    reach: int
    every: int


def trunk_stages() -> list[Stage]:
    """The layers of the trunk: two convolutions and a pool, twice, and two convolutions (reach: 310 bases)."""
    stages: list[Stage] = []
    step, reach, convolution = 1, 1, 0
    for pools in (False, False, True, False, False, True, False, False):
        taps = POOL if pools else KERNEL
        reach += (taps - 1) * step
        convolution += not pools
        stages.append(Stage(None if pools else convolution, step, taps, reach, step * POOL if pools else step))
        step = stages[-1].every
    return stages


STAGES = trunk_stages()
REACH = STAGES[-1].reach
"""Bases that one position after the trunk depends on."""


def allele_offset(window: int, shift: int, replaced: int, bases: int) -> int:
    """Where an allele of ``bases`` starts within its window, when it takes the place of ``replaced`` bases.

    As in :func:`cisweave.sequence.windows.allele_window`: the haplotype is cropped around its own middle.
    """
    return window // 2 - 1 - shift + MARGIN - (2 * MARGIN + bases - replaced) // 2


# --- the trunk --------------------------------------------------------------------------------------------------------
class PlaceLayers:
    """The layers of a chromatin model on values (n, places, channels), the channels side by side in memory.

    So the values of one place are one row to be looked up, and those of a window are the input of the fully connected
    layers, which are :class:`cisweave.seal.engine.layers.Layers`.

    Attributes
    ----------
    dense
        The fully connected layers.
    """

    def __init__(self, network: Beluga, dense: Layers):
        self.dense, self.window, self.dtype = dense, network.window, dense.dtype
        convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv1d)]
        self._kernels = [self._kernel(layer.weight.detach()) for layer in convolutions]
        self._biases = [
            cast("torch.Tensor", layer.bias).detach().to(dense.device, dense.dtype) for layer in convolutions
        ]

    def _kernel(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight; on a GPU for images of height 1 whose channels lie side by side."""
        weight = weight.to(self.dense.device, self.dtype)
        on_gpu = self.dense.device.type == "cuda"
        return weight[:, :, None].contiguous(memory_format=torch.channels_last) if on_gpu else weight

    def bases(self, codes: torch.Tensor) -> torch.Tensor:
        """One-hot values (n, places, 4) of codes (n, places)."""
        return one_hot(codes, codes.device).to(self.dtype).transpose(1, 2).contiguous()

    def convolve(self, stage: Stage, values: torch.Tensor, spread: int = 1) -> torch.Tensor:
        """A convolution and its ReLU; ``spread`` places lie from tap to tap."""
        number = cast("int", stage.layer) - 1
        kernel, bias, by_channel = self._kernels[number], self._biases[number], values.transpose(1, 2)
        if self.dense.device.type == "cuda":
            found = torch.conv2d(by_channel[:, :, None], kernel, bias, dilation=(1, spread))[:, :, 0]
        else:
            # channels side by side would be a little faster here, but several times less accurate
            found = torch.conv1d(by_channel.contiguous(), kernel, bias, dilation=spread)
        return found.relu_().transpose(1, 2)

    def grow(self, stage: Stage, values: torch.Tensor) -> torch.Tensor:
        """A layer on values that one window reads."""
        if stage.layer is None:
            whole = values[:, : values.shape[1] // POOL * POOL]
            return whole.reshape(len(whole), -1, POOL, whole.shape[2]).amax(dim=2)
        return self.convolve(stage, values)

    def everywhere(self, codes: torch.Tensor) -> list[torch.Tensor]:
        """Values (bases, channels) of every layer at every base of a stretch, given as codes (bases,)."""
        values = self.bases(codes[None])
        found = []
        for stage in STAGES:
            values = slide(stage, values) if stage.layer is None else self.convolve(stage, values, stage.step)
            found.append(values[0].contiguous())
        return found


def slide(stage: Stage, values: torch.Tensor) -> torch.Tensor:
    """A pool that starts at every base, on values (n, bases, channels)."""
    bases = values.shape[1] - (stage.taps - 1) * stage.step
    found = values[:, :bases]
    for tap in range(1, stage.taps):
        found = torch.maximum(found, values[:, tap * stage.step : tap * stage.step + bases])
    return found


# --- the reference of a stretch ---------------------------------------------------------------------------------------
class Strand:
    """One strand of a stretch: the trunk at every base, and the hidden units of the windows asked for so far."""

    def __init__(self, places: PlaceLayers, codes: Codes):
        self.layers, self.dense = places, places.dense
        self.codes = torch.from_numpy(codes).to(self.dense.device)
        self.values = places.everywhere(self.codes)
        windows = len(codes) - places.window + 1
        self.hidden = torch.empty(windows, self.dense.hidden, dtype=self.dense.exact_dtype, device=self.dense.device)
        self._known = torch.zeros(windows, dtype=torch.bool, device=self.dense.device)

    def windows(self, starts: torch.Tensor) -> torch.Tensor:
        """Hidden units (..., hidden), before their ReLU, of the windows that start at ``starts``."""
        missing = torch.unique(starts[~self._known[starts]])
        places = torch.arange(self.dense.positions, device=starts.device) * BLOCK_STRIDE
        for some in parts(missing):
            self.hidden[some] = self.dense.windows_to_hidden(self.values[-1][some[:, None] + places])
        self._known[missing] = True
        return self.hidden[starts]

    def alleles(
        self, places: torch.Tensor, alleles: torch.Tensor, replaced: int, offsets: Sequence[int]
    ) -> torch.Tensor:
        """Hidden units (variants, shifts, hidden) of windows that hold alleles in place of the reference.

        Parameters
        ----------
        places
            (variants,) first base of what is replaced, within the strand.
        alleles
            Codes (variants, bases) of the alleles.
        replaced
            Bases that each takes the place of.
        offsets
            Where the allele starts within each of its windows.
        """
        variants, bases = alleles.shape
        site = Site(self, places, bases, replaced)
        found = self.hidden.new_empty(variants, len(offsets), self.dense.hidden)
        stem = site.climb(site.start(alleles), 0, 2, 0)
        for quarter in sorted({offset % POOL for offset in offsets}):
            middle = site.climb(stem, 2, 5, quarter)
            for phase in sorted({offset % BLOCK_STRIDE for offset in offsets if offset % POOL == quarter}):
                cone = site.climb(middle, 5, len(STAGES), phase)
                for number, offset in enumerate(offsets):
                    if offset % BLOCK_STRIDE == phase:
                        found[:, number] = site.finish(cone, offset)
        return found


@dataclass
class DenseCone:
    """Values (variants, places, channels) of a layer that see the allele; ``first`` is the place of the first."""

    values: torch.Tensor
    first: int


@dataclass
class Site:
    """Where alleles of one length stand in a strand, and how their cones grow.

    Attributes
    ----------
    places
        (variants,) first base of what is replaced.
    bases, replaced
        Length of the alleles and of what they take the place of.
    """

    strand: Strand
    places: torch.Tensor
    bases: int
    replaced: int

    @property
    def moved(self) -> int:
        """Bases by which what lies right of the allele stands further right in the reference."""
        return self.replaced - self.bases

    def reference(self, layer: torch.Tensor, first: int, last: int, step: int) -> torch.Tensor:
        """Values (variants, places, channels) of the reference from place ``first`` to ``last``, both included."""
        steps = first + step * torch.arange(max(0, (last - first) // step + 1), device=self.places.device)
        return layer[self.places[:, None] + steps]

    def start(self, alleles: torch.Tensor) -> DenseCone:
        """The alleles between the bases that the first layer reads with them."""
        around, codes = KERNEL - 1, self.strand.codes
        left = self.reference(codes, -around, -1, 1)
        right = self.reference(codes, self.bases + self.moved, self.bases + self.moved + around - 1, 1)
        return DenseCone(self.strand.layers.bases(torch.cat([left, alleles, right], dim=1)), -around)

    def climb(self, cone: DenseCone, first: int, last: int, offset: int) -> DenseCone:
        """The cone after layers ``first`` ... ``last - 1``, of windows that hold the allele at ``offset``."""
        for number in range(first, last):
            cone = self.grow(cone, number, offset)
        return cone

    def grow(self, cone: DenseCone, number: int, offset: int) -> DenseCone:
        """The cone after one layer: the values around it are taken from the reference, the layer is applied."""
        stage = STAGES[number]
        lowest = 1 - stage.reach
        first = lowest + (-offset - lowest) % stage.every
        last = self.bases - 1 - (self.bases - 1 + offset) % stage.every
        values = self.surrounded(cone, number, first, last + (stage.taps - 1) * stage.step) if number else cone.values
        return DenseCone(self.strand.layers.grow(stage, values), first)

    def surrounded(self, cone: DenseCone, number: int, first: int, last: int) -> torch.Tensor:
        """What a layer reads from place ``first`` to ``last``: the cone below it, between values of the reference."""
        step, below = STAGES[number].step, self.strand.values[number - 1]
        after = cone.first + cone.values.shape[1] * step
        skipped = max(0, (first - cone.first) // step)
        parts = [
            self.reference(below, first, cone.first - step, step),
            cone.values[:, skipped:],
            self.reference(below, after + self.moved, last + self.moved, step),
        ]
        return torch.cat([part for part in parts if part.shape[1]], dim=1)

    def finish(self, cone: DenseCone, offset: int) -> torch.Tensor:
        """Hidden units (variants, hidden) of the windows that hold the allele at ``offset``.

        They are those of a window of the reference and what differs from it: the cone and, where the length changes,
        all that lies on one side of it, the shorter one.
        """
        positions = self.strand.dense.positions
        first = (cone.first + offset) // BLOCK_STRIDE
        low = min(max(0, first), positions)
        high = min(positions, first + cone.values.shape[1])
        values = cone.values[:, low - first : high - first]
        if not self.moved:
            return self.changed(values, low, offset, 0)
        if positions - high <= low:
            right = self.at_positions(high, positions, offset, self.moved)
            return self.changed(torch.cat([values, right], dim=1), low, offset, 0)
        left = self.at_positions(0, low, offset, 0)
        return self.changed(torch.cat([left, values], dim=1), 0, offset, self.moved)

    def at_positions(self, low: int, high: int, offset: int, moved: int) -> torch.Tensor:
        """Values of the reference after the trunk (variants, high - low, channels), of a window moved right."""
        first = low * BLOCK_STRIDE - offset + moved
        last = first + (high - low - 1) * BLOCK_STRIDE
        return self.reference(self.strand.values[-1], first, last, BLOCK_STRIDE)

    def changed(self, values: torch.Tensor, low: int, offset: int, moved: int) -> torch.Tensor:
        """Hidden units of a window of the reference, moved right, whose positions from ``low`` on hold ``values``."""
        hidden = self.strand.windows(self.places - offset + moved)
        if not values.shape[1]:
            return hidden
        before = self.at_positions(low, low + values.shape[1], offset, moved)
        change = values.to(hidden.dtype) - before.to(hidden.dtype)
        return hidden + self.strand.dense.change_of_hidden(change, low)


class DenseStretch:
    """Both strands of a stretch of a contig, and the probabilities of the reference windows asked for so far.

    Parameters
    ----------
    first, last
        Lowest and highest place (1-based) of the variants to come.
    longest
        Most bases that an allele has or takes the place of.
    """

    def __init__(
        self,
        layers: PlaceLayers,
        genome: Genome,
        chrom: str,
        first: int,
        last: int,
        shifts: Sequence[int],
        longest: int,
    ):
        self.dense, self.window, self.shifts = layers.dense, layers.window, list(shifts)
        self.path, self.chrom, self.first, self.last, self.longest = genome.path, chrom, first, last, longest
        around = self.window // 2 + max(map(abs, shifts)) + REACH + 2 * longest
        self.origin = first - 1 - around
        self.codes = genome.codes(chrom, self.origin, last + around)
        self.strands = Strand(layers, self.codes), Strand(layers, reverse_complement(self.codes))
        windows = len(self.codes) - self.window + 1
        self._known = torch.zeros(windows, dtype=torch.bool, device=self.dense.device)
        self._tracks = self.strands[0].hidden.new_empty(windows, self.dense.tracks)

    def covers(self, genome: Genome, chrom: str, first: int, last: int, shifts: Sequence[int], longest: int) -> bool:
        """Whether the windows of such variants lie in this stretch."""
        inside = self.first <= first and last <= self.last and longest <= self.longest
        return inside and (genome.path, chrom, list(shifts)) == (self.path, self.chrom, self.shifts)

    def reference(self, starts: torch.Tensor) -> torch.Tensor:
        """Strand-averaged probabilities (..., tracks) of windows of the genome."""
        missing = torch.unique(starts[~self._known[starts]])
        forward, reverse = self.strands
        for some in parts(missing):
            both = forward.windows(some), reverse.windows(len(self.codes) - self.window - some)
            self._tracks[some] = self.mean_of_strands(*both)
        self._known[missing] = True
        return self._tracks[starts]

    def probabilities(self, positions: NDArray[np.int64], replaced: int, alleles: Codes) -> torch.Tensor:
        """Strand-averaged probabilities (variants, shifts, tracks) of alleles (variants, bases), all of one length.

        ``positions`` are 1-based, ``replaced`` bases of the genome give way to each allele.
        """
        device, bases = self.dense.device, alleles.shape[1]
        places = torch.from_numpy(positions - 1 - self.origin).to(device)
        offsets = [allele_offset(self.window, shift, replaced, bases) for shift in self.shifts]
        if bases == replaced and self.holds(positions, alleles).all():
            return self.reference(places[:, None] - torch.tensor(offsets, device=device))
        flipped = torch.from_numpy(reverse_complement(alleles)).to(device)
        from_right = [self.window - bases - offset for offset in offsets]
        forward = self.strands[0].alleles(places, torch.from_numpy(alleles).to(device), replaced, offsets)
        reverse = self.strands[1].alleles(len(self.codes) - replaced - places, flipped, replaced, from_right)
        return self.mean_of_strands(forward, reverse)

    def holds(self, positions: NDArray[np.int64], alleles: Codes) -> NDArray[np.bool_]:
        """(variants,) whether the genome holds the alleles (variants, bases) at ``positions`` (1-based)."""
        places = (positions - 1 - self.origin)[:, None] + np.arange(alleles.shape[1])
        same: NDArray[np.bool_] = (self.codes[places] == alleles).all(axis=1)
        return same

    def mean_of_strands(self, forward: torch.Tensor, reverse: torch.Tensor) -> torch.Tensor:
        """Probabilities (..., tracks), the mean of both strands, of hidden units (..., hidden) before their ReLU."""
        return (self.dense.probabilities(forward) + self.dense.probabilities(reverse)).div_(2)


def parts(starts: torch.Tensor) -> list[torch.Tensor]:
    """Windows in groups that go through the fully connected layers together."""
    return list(torch.split(starts, ROWS)) if len(starts) else []
