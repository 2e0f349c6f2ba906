"""The engine for variants that stand close together, and which variants those are.

Dimension legend
    variants - alleles to score, shifts - windows of a variant, tracks - chromatin outputs

The reference trunk of a whole stretch of the genome is worked out once (:mod:`cisweave.seal.engine.stretch`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.core.devices import choose_precision
from cisweave.seal.engine.base import AllelePredictions, ChromatinEngine
from cisweave.seal.engine.fast import SAMPLE
from cisweave.seal.engine.layers import Layers
from cisweave.seal.engine.stretch import DenseStretch, PlaceLayers
from cisweave.seal.engine.work import NetworkShape, union_bases, union_of
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, encode

if TYPE_CHECKING:
    from cisweave.config import EngineSettings
    from cisweave.models.beluga import Beluga

LONGEST_STRETCH = 4096
"""Bases between the first and the last variant of a stretch; about 120 MB of activations in the published network."""


class DenseEngine:
    """The engine for variants that share much of their surroundings: saturated promoters, dense VCFs.

    It may be given any variants that fit into their windows, but is slow where they stand alone
    (:func:`dense_clusters` says which do not). The stretch last worked on is kept, so that the batches of a promoter
    share it (:meth:`prepare`).

    Parameters
    ----------
    layers
        The network's weights, where another engine has them in this form already.
    """

    trunk = None

    def __init__(self, network: Beluga, device: torch.device, settings: EngineSettings, layers: Layers | None = None):
        self.network, self.device, self.settings = network, device, settings
        self.dense = layers or Layers(network, device, choose_precision(settings.precision, device))
        self.layers = PlaceLayers(network, self.dense)
        self._stretch: DenseStretch | None = None

    def prepare(
        self, genome: Genome, chrom: str, first: int, last: int, shifts: Sequence[int], longest: int = 2
    ) -> DenseStretch:
        """The stretch whose variants lie between ``first`` and ``last`` (1-based, at most :data:`LONGEST_STRETCH`)."""
        if self._stretch is None or not self._stretch.covers(genome, chrom, first, last, shifts, longest):
            self._stretch = None
            with torch.inference_mode(), self.dense.arithmetic():
                self._stretch = DenseStretch(self.layers, genome, chrom, first, last, shifts, longest)
        return self._stretch

    def predict(self, variants: pd.DataFrame, genome: Genome, shifts: Sequence[int]) -> AllelePredictions:
        """See :meth:`cisweave.seal.engine.base.ChromatinEngine.predict`."""
        shape = (len(variants), len(shifts), self.dense.tracks)
        reference, alternative = (
            torch.empty(shape, dtype=self.dense.exact_dtype, device=self.device) for _ in range(2)
        )
        with torch.inference_mode(), self.dense.arithmetic():
            for rows in stretches(variants):
                some = variants.iloc[rows]
                stretch = self._stretch_of(some, genome, shifts)
                for column, predictions in (("ref", reference), ("alt", alternative)):
                    for members, group in allele_groups(some, column, stretch):
                        predictions[torch.from_numpy(rows[members]).to(self.device)] = stretch.probabilities(*group)
        return AllelePredictions(reference, alternative)

    def _stretch_of(self, variants: pd.DataFrame, genome: Genome, shifts: Sequence[int]) -> DenseStretch:
        """The stretch that holds variants of one contig."""
        longest = int(max(variants["ref"].str.len().max(), variants["alt"].str.len().max()))
        first, last = int(variants["pos"].min()), int(variants["pos"].max())
        return self.prepare(genome, str(variants["chrom"].iloc[0]), first, last, shifts, longest)


class MixedEngine:
    """Sends variants that stand close together to :class:`DenseEngine`, and the others to an engine for single ones.

    Parameters
    ----------
    scattered
        The engine for single variants.
    layers
        The network's weights as that engine has them.
    """

    def __init__(self, scattered: ChromatinEngine, settings: EngineSettings, layers: Layers):
        self.network, self.device, self.scattered = scattered.network, scattered.device, scattered
        self.trunk = scattered.trunk
        self.dense = DenseEngine(scattered.network, scattered.device, settings, layers)
        self._measured = settings.precision != "bfloat16"

    def predict(self, variants: pd.DataFrame, genome: Genome, shifts: Sequence[int]) -> AllelePredictions:
        """See :meth:`cisweave.seal.engine.base.ChromatinEngine.predict`."""
        if not self._measured and len(variants):
            # the engine for single variants says how far off this arithmetic is on the first it meets
            self.scattered.predict(variants.iloc[:SAMPLE], genome, shifts)
            self._measured = True
        clusters = dense_clusters(variants, self.network, shifts)
        if not clusters:
            return self.scattered.predict(variants, genome, shifts)
        together = np.concatenate(clusters)
        alone = np.setdiff1d(np.arange(len(variants)), together)
        order = torch.from_numpy(np.argsort(np.concatenate([together, alone]))).to(self.device)
        parts = [self.dense.predict(variants.iloc[together], genome, shifts)]
        if len(alone):
            parts.append(self.scattered.predict(variants.iloc[alone], genome, shifts))
        return AllelePredictions(
            torch.cat([part.reference for part in parts])[order],
            torch.cat([part.alternative for part in parts])[order],
        )


Group = tuple[NDArray[np.int64], int, Codes]
"""Places (1-based), replaced bases and codes (variants, bases) of alleles of one length."""


def allele_groups(
    variants: pd.DataFrame, column: str, stretch: DenseStretch
) -> Iterator[tuple[NDArray[np.int64], Group]]:
    """Rows and groups of the alleles of a column, by length; those that are the genome's stand apart."""
    positions = variants["pos"].to_numpy(np.int64)
    codes = [encode(text) for text in variants[column]]
    groups: dict[tuple[int, int, bool], list[int]] = {}
    for row, replaced in enumerate(variants["ref"].str.len().tolist()):
        own = len(codes[row]) == replaced and bool(stretch.holds(positions[[row]], codes[row][None])[0])
        groups.setdefault((replaced, len(codes[row]), own), []).append(row)
    for (replaced, _, _), members in groups.items():
        rows = np.array(members, dtype=np.int64)
        yield rows, (positions[rows], replaced, np.stack([codes[row] for row in members]))


def stretches(variants: pd.DataFrame, gap: int = LONGEST_STRETCH // 2) -> list[NDArray[np.int64]]:
    """Rows of variants that stand within one stretch: no gap longer than ``gap`` between neighbours."""
    order = np.lexsort((variants["pos"], variants["chrom"]))
    chrom, pos = variants["chrom"].to_numpy()[order], variants["pos"].to_numpy(np.int64)[order]
    found: list[NDArray[np.int64]] = []
    begin = 0
    for place in range(1, len(order) + 1):
        ends = place == len(order) or chrom[place] != chrom[begin] or pos[place] - pos[place - 1] > gap
        if ends or pos[place] - pos[begin] > LONGEST_STRETCH:
            found.append(order[begin:place])
            begin = place
    return found


def dense_clusters(variants: pd.DataFrame, network: Beluga, shifts: Sequence[int]) -> list[NDArray[np.int64]]:
    """Rows, cluster by cluster, of variants (``chrom``, ``pos``) that :class:`DenseEngine` is the cheaper engine for.

    The trunk of a union of windows costs as much as so many bases of a stretch
    (:func:`cisweave.seal.engine.work.union_bases`: 840 in the published geometry), and a stretch of variants ``span``
    bases apart has ``span + union`` of them: 5 variants within 500 bases are enough.
    """
    shape = NetworkShape.of(network)
    union, worth = union_of(shape, shifts), union_bases(shape, shifts)
    found = []
    for rows in stretches(variants, max(1, int(worth))):
        places = np.unique(variants["pos"].to_numpy(np.int64)[rows])
        if len(places) * worth > places[-1] - places[0] + union:
            found.append(rows)
    return found
