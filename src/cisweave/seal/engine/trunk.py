"""The shared trunk and the recomputed cone: the two savings that every fast path of chromatin effects is made of.

Dimension legend
    rows - sequences (a strand of a haplotype each), channels - feature maps, positions - places along the sequence,
    windows - windows of a tiling, hidden - units of the first fully connected layer, tracks - chromatin outputs

**Shared trunk.** Windows at steps of a multiple of 4 bases agree in the first four convolutions wherever they overlap,
so these run once over the union of the windows; after the second pool they agree within a phase
(:class:`cisweave.seal.engine.geometry.Tiling`).

**Cone.** An allele of the same length as the one it replaces changes only some places of every layer. They are computed
anew from the changed bases and the reference's values around them, never by passing differences through a ReLU or a
maximum. Of the first fully connected layer only the rows of the changed places are multiplied.

Both are exact: they leave out products, and change only the order of summation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cisweave.models.beluga import POOL
from cisweave.seal.engine.geometry import Cone, Span, Tiling
from cisweave.seal.engine.layers import Layers


@dataclass
class Activations:
    """The layers over the unions of some rows that a cone may need, after their ReLU.

    Attributes
    ----------
    pool1, conv3
        (rows, channels, positions), over the union.
    pool2, conv5
        The same, one tensor for each phase of the tiling.
    conv6
        (rows, positions, channels), one tensor for each phase: as the fully connected layer reads it.
    """

    pool1: torch.Tensor
    conv3: torch.Tensor
    pool2: list[torch.Tensor]
    conv5: list[torch.Tensor]
    conv6: list[torch.Tensor]


@dataclass
class Halo:
    """What a cone needs of the reference, laid out as the activations.

    Attributes
    ----------
    pool1, conv3
        What the third and the fourth convolution read.
    pool2, conv5
        For each phase: what the fifth and the sixth convolution read.
    conv6
        For each phase: the reference's own values of the last convolution in the cone.
    """

    pool1: torch.Tensor
    conv3: torch.Tensor
    pool2: list[torch.Tensor]
    conv5: list[torch.Tensor]
    conv6: list[torch.Tensor]

    @staticmethod
    def cat(parts: Sequence[Halo]) -> Halo:
        """The rows of several halos of the same cone (or of cones of the same shape), one after the other."""
        return Halo(
            torch.cat([part.pool1 for part in parts]),
            torch.cat([part.conv3 for part in parts]),
            joined([part.pool2 for part in parts]),
            joined([part.conv5 for part in parts]),
            joined([part.conv6 for part in parts]),
        )


def joined(parts: Sequence[list[torch.Tensor]]) -> list[torch.Tensor]:
    """The rows of several parts, phase by phase."""
    return [torch.cat(phase) for phase in zip(*parts, strict=True)]


def halo_of(activations: Activations, cone: Cone, rows: torch.Tensor) -> Halo:
    """The reference's values that a cone reads, of the rows ``rows`` (repeated where several alleles share one).

    Copies, so that the activations can be dropped.
    """

    def read(layer: torch.Tensor, axis: int, span: Span) -> torch.Tensor:
        return layer.narrow(axis, span.start, len(span)).contiguous().index_select(0, rows)

    def by_phase(layers: list[torch.Tensor], axis: int, spans: list[Span]) -> list[torch.Tensor]:
        return [read(layer, axis, span) for layer, span in zip(layers, spans, strict=True)]

    return Halo(
        read(activations.pool1, 2, cone.conv3.read_by_convolution()),
        read(activations.conv3, 2, cone.wide_conv4.read_by_convolution()),
        by_phase(activations.pool2, 2, [phase.conv5.read_by_convolution() for phase in cone.phases]),
        by_phase(activations.conv5, 2, [phase.conv6.read_by_convolution() for phase in cone.phases]),
        by_phase(activations.conv6, 1, [phase.conv6 for phase in cone.phases]),
    )


class Trunk:
    """Beluga over unions of windows, and over cones of changed bases.

    Parameters
    ----------
    layers
        The network's weights and arithmetic.
    """

    def __init__(self, layers: Layers):
        self.layers = layers

    # --- whole unions -------------------------------------------------------------------------------------------------
    def activations(self, codes: torch.Tensor, tiling: Tiling) -> Activations:
        """All layers over unions given as codes (rows, length), each already in the strand that is to be read."""
        convolve, pool = self.layers.convolve, self.layers.pool
        pool1 = self.layers.stem(codes)
        conv3 = convolve(3, pool1)
        conv4 = convolve(4, conv3)
        pool2 = [pool(conv4.narrow(2, phase.first, POOL * phase.pooled)) for phase in tiling.phases]
        conv5 = [convolve(5, x) for x in pool2]
        conv6 = [position_major(convolve(6, x)) for x in conv5]
        return Activations(pool1, conv3, pool2, conv5, conv6)

    def hidden(self, conv6: list[torch.Tensor], tiling: Tiling) -> torch.Tensor:
        """First fully connected layer before its ReLU (rows, windows, hidden), from the last convolution by phase.

        One matrix product for each window of the tiling over all rows: give it many rows at once.
        """
        per_window = [
            self.layers.windows_to_hidden(conv6[phase][:, start : start + tiling.positions])
            for _, phase, start in tiling.places()
        ]
        return torch.stack(per_window, dim=1)

    def probabilities(self, hidden: torch.Tensor) -> torch.Tensor:
        """Probabilities (rows, windows, tracks) on the strand that was read."""
        return self.layers.probabilities(hidden)

    # --- cones --------------------------------------------------------------------------------------------------------
    def differences(self, codes: torch.Tensor, cone: Cone, halo: Halo) -> list[torch.Tensor]:
        """Alternative minus reference of the last convolution in the cone, by phase (rows, positions, channels)."""
        convolve, exact = self.layers.convolve, self.layers.exact_dtype
        reference = [x.to(exact) for x in halo.conv6]
        if not any(len(phase.conv6) for phase in cone.phases):
            return [torch.zeros_like(x) for x in reference]
        pool1 = self.layers.stem(codes[:, cone.bases.slice])
        conv3 = convolve(3, renewed(halo.pool1, cone.conv3.read_by_convolution(), pool1, cone.pool1))
        conv4 = convolve(4, renewed(halo.conv3, cone.wide_conv4.read_by_convolution(), conv3, cone.conv3))
        return [
            position_major(self._last_block(conv4, cone, halo, phase)).to(exact) - own
            if len(cone.phases[phase].conv6)
            else torch.zeros_like(own)
            for phase, own in enumerate(reference)
        ]

    def _last_block(self, conv4: torch.Tensor, cone: Cone, halo: Halo, phase: int) -> torch.Tensor:
        """The last convolution of one phase in the cone (rows, channels, positions)."""
        convolve, part = self.layers.convolve, cone.phases[phase]
        before_pool = cone.before_pool2(phase).moved(-cone.wide_conv4.start)
        pool2 = self.layers.pool(conv4[..., before_pool.slice])
        conv5 = convolve(5, renewed(halo.pool2[phase], part.conv5.read_by_convolution(), pool2, part.pool2))
        return convolve(6, renewed(halo.conv5[phase], part.conv6.read_by_convolution(), conv5, part.conv5))

    def changed_hidden(
        self, differences: list[torch.Tensor], cone: Cone, reference_hidden: torch.Tensor
    ) -> torch.Tensor:
        """First fully connected layer before its ReLU (rows, windows, hidden), from what :meth:`differences` gives.

        One matrix product for each window over all rows: give it many rows at once.
        """
        hidden = reference_hidden.clone()
        for window, phase, start in cone.tiling.places():
            in_cone, in_window = cone.in_window(phase, start)
            if len(in_cone):
                hidden[:, window] += self.layers.change_of_hidden(differences[phase][:, in_cone.slice], in_window.start)
        return hidden


def position_major(x: torch.Tensor) -> torch.Tensor:
    """(rows, positions, channels), the channels side by side, of (rows, channels, positions)."""
    return x.transpose(1, 2).contiguous()


def renewed(reference: torch.Tensor, read: Span, new: torch.Tensor, changed: Span) -> torch.Tensor:
    """The reference's values at ``read``, with those at ``changed`` replaced by new ones where the two overlap."""
    overlap = read & changed
    values = reference.clone()
    values[..., overlap.moved(-read.start).slice] = new[..., overlap.moved(-changed.start).slice]
    return values
