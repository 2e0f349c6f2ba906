"""The fast exact engine for scattered variants: shared trunk, recomputed cones, every sequence once.

Dimension legend
    variants - alleles to score, shifts - places of the window around the variant, rows - sequences (a strand of a
    haplotype each), hidden - units of the first fully connected layer, tracks - chromatin outputs

All windows of one allele lie in one union, which goes through the trunk once on each strand. An alternative of the same
length as the reference is computed as a cone of the reference's union; one of another length is a union of its own.
Equal to the plain path up to the order of summation (:mod:`cisweave.seal.engine.plain` is the judge).
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from cisweave.core.devices import choose_precision
from cisweave.core.logs import get_logger
from cisweave.models.beluga import POOL
from cisweave.seal.engine.base import AllelePredictions
from cisweave.seal.engine.geometry import Cone, Span, Tiling
from cisweave.seal.engine.haplotypes import Change, Haplotypes, bases_before, changed_span, unions
from cisweave.seal.engine.layers import Layers
from cisweave.seal.engine.plain import PlainEngine
from cisweave.seal.engine.trunk import Activations, Halo, Trunk, halo_of, joined
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, reverse_complement_tensor

if TYPE_CHECKING:
    from cisweave.config import EngineSettings
    from cisweave.models.beluga import Beluga

logger = get_logger(__name__)

ACTIVATION_BYTES = {"cpu": 60 << 20, "cuda": 2 << 30}
"""Activations of the trunk that are held at once: what a processor's cache, or a GPU's occupancy, likes."""
NARROW = 0.05
"""Share of the union up to which cones are put off, to be computed for the whole batch at once."""
REMEMBERED = 256
"""Sequences whose probabilities are kept from batch to batch: alleles that come with several genes or records."""
SAMPLE = 8
"""Variants on which the error of bfloat16 is measured."""


class FastEngine:
    """Predicts variants one batch at a time, each distinct sequence once; see the module's text."""

    def __init__(self, network: Beluga, device: torch.device, settings: EngineSettings):
        self.network, self.device, self.settings = without_normalisation(network), device, settings
        precision = choose_precision(settings.precision, device)
        self.trunk = Trunk(Layers(self.network, device, precision))
        self.plain = PlainEngine(network, device)
        self._recent = RecentSequences(REMEMBERED)
        self._told_plain = False
        self._measured = precision != "bfloat16"

    def predict(self, variants: pd.DataFrame, genome: Genome, shifts: Sequence[int]) -> AllelePredictions:
        """See :meth:`cisweave.seal.engine.base.ChromatinEngine.predict`."""
        tiling = shared_tiling(self.network.window, shifts)
        if tiling is None:
            self._tell_plain(shifts)
            return self.plain.predict(variants, genome, shifts)
        if not self._measured and len(variants):
            self._measure_error(variants.iloc[:SAMPLE], genome, shifts)
        step = self.settings.batch_size
        batches = [
            self._batch(variants.iloc[start : start + step], genome, tiling, shifts)
            for start in range(0, max(1, len(variants)), step)
        ]
        return AllelePredictions(
            torch.cat([batch.reference for batch in batches]), torch.cat([batch.alternative for batch in batches])
        )

    def _batch(
        self, variants: pd.DataFrame, genome: Genome, tiling: Tiling, shifts: Sequence[int]
    ) -> AllelePredictions:
        """Both alleles of one batch of variants."""
        haplotypes = Haplotypes.distinct(*unions(variants, genome, tiling, shifts))
        known = self._recent.known(tiling, haplotypes.codes)
        unknown = set(range(len(haplotypes.codes))) - set(known)
        before = bases_before(tiling.window, shifts)
        spans = [
            changed_span(ref, alt, before, tiling)
            for ref, alt in zip(variants.ref.str.len(), variants["alt"].str.len(), strict=True)
        ]
        changes = haplotypes.changes(spans, tiling, unknown)
        found = self._probabilities(haplotypes.codes, tiling, unknown, changes)
        found.update(known)
        self._recent.remember(tiling, haplotypes.codes, found)
        shape = (0, tiling.windows, self.network.tracks)
        reference, alternative = (
            torch.stack([found[number] for number in numbers])
            if numbers
            else torch.empty(shape, dtype=self.trunk.layers.exact_dtype, device=self.device)
            for numbers in (haplotypes.references, haplotypes.alternatives)
        )
        return AllelePredictions(reference, alternative)

    def _probabilities(
        self, codes: list[Codes], tiling: Tiling, wanted: set[int], changes: list[Change]
    ) -> dict[int, torch.Tensor]:
        """Strand-averaged probabilities (shifts, tracks) of wanted sequences, by their number."""
        whole = sorted(wanted - {change.haplotype for change in changes} | {change.reference for change in changes})
        if not whole:
            return {}
        sequences = torch.from_numpy(np.stack(codes)).to(self.device)
        with torch.inference_mode(), self.trunk.layers.arithmetic():
            job = StrandedPass(self.trunk, tiling, sequences, whole, changes)
            return job.run()

    # --- what is told -------------------------------------------------------------------------------------------------
    def _tell_plain(self, shifts: Sequence[int]) -> None:
        """Say once that the windows cannot share the trunk."""
        if not self._told_plain:
            logger.warning(
                "windows shifted by %s cannot share the trunk (steps must be equal and a multiple of %d bases); "
                "each is computed by itself, in float32",
                ", ".join(map(str, shifts)),
                POOL,
            )
        self._told_plain = True

    def _measure_error(self, variants: pd.DataFrame, genome: Genome, shifts: Sequence[int]) -> None:
        """Log how far bfloat16 is from float32 on the first variants."""
        self._measured = True
        exact = FastEngine(self.network, self.device, self.settings.model_copy(update={"precision": "float32"}))
        expected, found = (
            (both.alternative - both.reference).double()
            for both in (engine.predict(variants, genome, shifts) for engine in (exact, self))
        )
        error, deviation = (found - expected).square().mean().sqrt(), expected.std()
        logger.warning(
            "bfloat16 on the first %d variants: effects on chromatin are off by %.2g (root mean square), "
            "%.2g of their standard deviation; at most by %.2g",
            len(variants),
            error,
            error / deviation,
            (found - expected).abs().max(),
        )


def without_normalisation(network: Beluga) -> Beluga:
    """The network itself, or a copy whose batch normalisation is folded into the weights."""
    normalised = any(isinstance(layer, torch.nn.BatchNorm1d) for layer in network.modules())
    return network.folded() if normalised else network


def shared_tiling(window: int, shifts: Sequence[int]) -> Tiling | None:
    """The tiling of windows at these shifts, or ``None`` where they cannot share the trunk."""
    steps = set(np.diff(list(shifts)).tolist()) or {POOL}
    if not len(shifts) or len(steps) > 1 or not Tiling.shares(min(steps)):
        return None
    return Tiling(window, min(steps), len(shifts))


class StrandedPass:
    """One batch of distinct sequences through the trunk, on both strands.

    Parameters
    ----------
    sequences
        Codes (sequences, length) on the device, forward strand.
    whole
        Sequences that go through the whole trunk.
    changes
        Sequences that are cones of some of these.
    """

    def __init__(self, trunk: Trunk, tiling: Tiling, sequences: torch.Tensor, whole: list[int], changes: list[Change]):
        self.trunk, self.tiling, self.whole = trunk, tiling, whole
        self.strands = (sequences, reverse_complement_tensor(sequences))
        self.groups: dict[Span, list[Change]] = defaultdict(list)
        for change in changes:
            self.groups[change.changed].append(change)
        for changes_of_one in self.groups.values():
            changes_of_one.sort(key=lambda change: self.whole.index(change.reference))
        self.halos: dict[tuple[Span, int], list[Halo]] = defaultdict(list)
        self.differences: dict[tuple[Span, int], list[list[torch.Tensor]]] = defaultdict(list)

    def run(self) -> dict[int, torch.Tensor]:
        """Probabilities (windows, tracks) by number of the sequence."""
        hidden = self._whole_hidden()
        found = dict(zip(self.whole, self._average(hidden).unbind(), strict=True))
        for changed, changes in self.groups.items():
            alternatives = torch.stack([self._cone_hidden(changed, strand, hidden[strand]) for strand in (0, 1)])
            numbers = [change.haplotype for change in changes]
            found.update(zip(numbers, self._average(alternatives).unbind(), strict=True))
        return found

    def _average(self, hidden: torch.Tensor) -> torch.Tensor:
        """Probabilities (sequences, windows, tracks), mean of both strands (2, sequences, windows, hidden)."""
        probabilities = self.trunk.probabilities(hidden)
        return (probabilities[0] + probabilities[1].flip(1)) / 2

    def _whole_hidden(self) -> torch.Tensor:
        """The first fully connected layer (2, whole sequences, windows, hidden); begins the cones by the way."""
        layers, count = self.trunk.layers, len(self.whole)
        last = [
            layers.empty(2 * count, phase.trunk, layers.channels[-1]).view(2, count, phase.trunk, -1)
            for phase in self.tiling.phases
        ]
        at_once = max(1, ACTIVATION_BYTES[layers.device.type] // (2 * layers.activation_bytes(self.tiling)))
        for start in range(0, count, at_once):
            members = self.whole[start : start + at_once]
            rows = torch.cat([strand[members] for strand in self.strands])
            activations = self.trunk.activations(rows, self.tiling)
            for buffer, conv6 in zip(last, activations.conv6, strict=True):
                buffer[:, start : start + len(members)] = conv6.reshape(2, len(members), *conv6.shape[1:])
            self._enter_cones(activations, members)
        hidden = self.trunk.hidden([buffer.flatten(0, 1) for buffer in last], self.tiling)
        return hidden.view(2, count, *hidden.shape[1:])

    def _enter_cones(self, activations: Activations, members: list[int]) -> None:
        """Begin the cones of these members on each strand, while their activations are there.

        Of narrow cones only what they need is kept, to compute many at once; wide ones are computed now.
        """
        layers, place = self.trunk.layers, {number: row for row, number in enumerate(members)}
        for changed, changes in self.groups.items():
            entered = [change for change in changes if change.reference in place]
            if not entered:
                continue
            rows = torch.tensor([place[change.reference] for change in entered], device=layers.device)
            for strand in (0, 1):
                cone = self._cone(changed, strand)
                halo = halo_of(activations, cone, rows + strand * len(members))
                if cone.share <= NARROW:
                    self.halos[changed, strand].append(halo)
                else:
                    differences = self.trunk.differences(self._sequences(entered, strand), cone, halo)
                    self.differences[changed, strand].append(differences)

    def _cone_hidden(self, changed: Span, strand: int, hidden: torch.Tensor) -> torch.Tensor:
        """The first fully connected layer (changes, windows, hidden) of one group on one strand, of its references'."""
        changes, cone = self.groups[changed], self._cone(changed, strand)
        place = {number: row for row, number in enumerate(self.whole)}
        if (changed, strand) in self.halos:
            halo = Halo.cat(self.halos.pop((changed, strand)))
            differences = self.trunk.differences(self._sequences(changes, strand), cone, halo)
        else:
            differences = joined(self.differences.pop((changed, strand)))
        return self.trunk.changed_hidden(differences, cone, hidden[[place[change.reference] for change in changes]])

    def _cone(self, changed: Span, strand: int) -> Cone:
        """The cone of a group on one strand."""
        return Cone(self.tiling, on_strand(changed, strand, self.tiling))

    def _sequences(self, changes: list[Change], strand: int) -> torch.Tensor:
        """Codes (changes, length) of changed sequences."""
        return self.strands[strand][[change.haplotype for change in changes]]


def on_strand(span: Span, strand: int, tiling: Tiling) -> Span:
    """The same bases counted on the forward (0) or the reverse strand (1)."""
    return Span(tiling.length - span.stop, tiling.length - span.start) if strand else span


class RecentSequences:
    """Probabilities of the sequences met last, by their bytes and the tiling; at most ``limit`` of them."""

    def __init__(self, limit: int):
        self.limit = limit
        self._kept: OrderedDict[tuple[Tiling, bytes], torch.Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def known(self, tiling: Tiling, codes: list[Codes]) -> dict[int, torch.Tensor]:
        """Those of the sequences that are kept, by their number."""
        keys = ((number, (tiling, sequence.tobytes())) for number, sequence in enumerate(codes))
        return {number: self._kept[key] for number, key in keys if key in self._kept}

    def remember(self, tiling: Tiling, codes: list[Codes], found: dict[int, torch.Tensor]) -> None:
        """Keep the last of these sequences, and drop those not met for longest."""
        for number in sorted(found)[-self.limit :]:
            key = (tiling, codes[number].tobytes())
            if key not in self._kept:
                self._kept[key] = found[number].clone()
            self._kept.move_to_end(key)
        while len(self._kept) > self.limit:
            self._kept.popitem(last=False)
