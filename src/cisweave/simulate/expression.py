"""Expression from transcription factor activity and distance-decayed occupancy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.genes import Gene
from cisweave.simulate.layout import CONTEXTS, all_contexts
from cisweave.simulate.motifs import Motif
from cisweave.simulate.occupancy import Sites

#: Decay length of a site's contribution, and its reach, in bases.
DECAY = 2_000.0
REACH = 20_000
#: Standard deviation of the noise over that of the signal; a part of it is common to all contexts of a gene.
NOISE = 0.3
SHARED_NOISE = 0.5
#: Relative spread of a factor's activity between general contexts, and between specific ones.
GENERAL_SPREAD = 0.2
SPECIFIC_SPREAD = 0.6


@dataclass(frozen=True)
class Weights:
    """What turns occupancy into expression.

    Attributes
    ----------
    activity
        (factors, contexts), natural-log expression per unit of decayed occupancy.
    baseline
        (contexts,), natural-log expression without any site.
    """

    activity: NDArray[np.float64]
    baseline: NDArray[np.float64]


def make_weights(motifs: Sequence[Motif], seed: int) -> Weights:
    """Activities of all factors in all contexts: a part shared by contexts and a part of their own."""
    rng = generator(seed, "simulate", "activity")
    sign = np.array([motif.sign for motif in motifs], dtype=np.float64)
    shared = sign * rng.permutation(np.linspace(0.5, 1.0, len(motifs)))
    spread = np.array(
        [GENERAL_SPREAD if name == "general" else SPECIFIC_SPREAD for name, group in CONTEXTS.items() for _ in group]
    )
    own = np.clip(rng.standard_normal((len(motifs), len(spread))), -1.5, 1.5) * spread
    activity = np.round(shared[:, None] * (1 + own), 4)
    return Weights(activity, np.round(rng.uniform(0.5, 1.5, size=len(spread)), 4))


def decay(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of a site by its distance to the TSS in bases; 0 beyond :data:`REACH`."""
    size = np.abs(distance)
    return np.where(size <= REACH, np.exp(-size / DECAY), 0.0)


def features(
    centre: NDArray[np.float64], tf: NDArray[np.int64], occupied: NDArray[np.float64], tss: float, factors: int
) -> NDArray[np.float64]:
    """(factors,) decayed occupancy of the sites of one contig at a 0-based TSS."""
    return np.asarray(np.bincount(tf, weights=occupied * decay(centre - tss), minlength=factors), dtype=np.float64)


def gene_features(genes: list[Gene], sites: dict[str, Sites], factors: int) -> NDArray[np.float64]:
    """(genes, factors) decayed occupancy."""
    rows = []
    for gene in genes:
        found = sites[gene.contig]
        first, last = np.searchsorted(found.start, [gene.tss - REACH - 100, gene.tss + REACH + 100])
        near = found.take(slice(int(first), int(last)))
        rows.append(features(near.centre, near.tf, near.occupancy, gene.tss, factors))
    return np.array(rows)


def log_expression(decayed: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """(genes, contexts) noise-free natural-log expression."""
    return np.asarray(weights.baseline + decayed @ weights.activity)


def measured(noise_free: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """(genes, contexts) expression on the linear scale, with noise."""
    rng = generator(seed, "simulate", "noise")
    common = rng.standard_normal((len(noise_free), 1)) * np.sqrt(SHARED_NOISE)
    own = rng.standard_normal(noise_free.shape) * np.sqrt(1 - SHARED_NOISE)
    return np.asarray(np.exp(noise_free + NOISE * noise_free.std(axis=0) * (common + own)))


def expression_table(genes: list[Gene], values: NDArray[np.float64]) -> pd.DataFrame:
    """gene_id and one column per context."""
    frame = pd.DataFrame(values, columns=all_contexts())
    frame.insert(0, "gene_id", [gene.gene_id for gene in genes])
    return frame
