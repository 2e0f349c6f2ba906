"""An accessibility matrix: 300-bp peaks by cell types, from factor x lineage weights and one interaction of factors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.dna import Codes, N, decode
from cisweave.simulate.layout import Layout
from cisweave.simulate.motifs import Motif
from cisweave.simulate.occupancy import Sites

LINEAGES = ["B", "T", "NK", "myeloid", "stem", "stroma"]
CELL_TYPES_PER_LINEAGE = 2
PEAK = 300
#: Share of peaks around an occupied site; the others lie anywhere.
ELEMENT_SHARE = 0.8
#: Share of factor x lineage weights that are not zero.
DENSITY = 0.4
INTERACTION = 2.0
NOISE = 0.3
CELL_TYPE_SPREAD = 0.1


@dataclass(frozen=True)
class Peaks:
    """Peaks of :data:`PEAK` bases, sorted by contig and start; ``start`` is 0-based."""

    contig: list[str]
    start: NDArray[np.int64]

    @property
    def names(self) -> list[str]:
        """Peak ids."""
        return [f"peak_{number}" for number in range(1, len(self.contig) + 1)]


def choose_peaks(layout: Layout, codes: dict[str, Codes], sites: dict[str, Sites], seed: int) -> Peaks:
    """Peaks on all contigs, in proportion to their length, without N and without repeats of a place."""
    total = sum(layout.contigs.values())
    contigs: list[str] = []
    starts: list[NDArray[np.int64]] = []
    for name, length in layout.contigs.items():
        rng = generator(seed, "simulate", "accessibility", "peaks", name)
        number = layout.peaks * length // total
        strong = sites[name].centre[sites[name].occupancy > 0.5].astype(np.int64)
        near = rng.choice(strong, size=3 * number) - rng.integers(60, PEAK - 60, size=3 * number)
        anywhere = rng.integers(0, length - PEAK, size=3 * number)
        found = np.where(rng.random(3 * number) < ELEMENT_SHARE, near, anywhere)
        found = found[(found >= 0) & (found + PEAK <= length)]
        unknown = np.concatenate([[0], np.cumsum(codes[name] == N)])
        found = found[unknown[found + PEAK] == unknown[found]]
        kept = np.sort(np.unique(found // (PEAK // 2), return_index=True)[1])[:number]
        starts.append(np.sort(found[kept]))
        contigs += [name] * len(kept)
    return Peaks(contigs, np.concatenate(starts))


def occupancy_matrix(peaks: Peaks, sites: dict[str, Sites], factors: int) -> NDArray[np.float64]:
    """(peaks, factors) best occupancy of the sites wholly inside each peak."""
    values = np.zeros((len(peaks.contig), factors))
    for row, (contig, start) in enumerate(zip(peaks.contig, peaks.start.tolist(), strict=True)):
        found = sites[contig]
        first, last = np.searchsorted(found.start, [start, start + PEAK])
        near = found.take(slice(int(first), int(last)))
        inside = near.take(near.start + near.width <= start + PEAK)
        np.maximum.at(values[row], inside.tf, inside.occupancy)
    return values


def lineage_weights(layout: Layout, motifs: Sequence[Motif], seed: int) -> pd.DataFrame:
    """Weight of each factor in each lineage; the last row is the interaction, which acts in one lineage only."""
    rng = generator(seed, "simulate", "accessibility", "weights")
    shape = (len(motifs), len(LINEAGES))
    values = rng.uniform(0.6, 1.6, size=shape) * (rng.random(shape) < DENSITY)
    values = np.round(values * np.where(rng.random(shape) < 0.8, 1, -1), 4) + 0.0
    for row in range(len(motifs)):
        if not values[row].any():
            values[row, row % len(LINEAGES)] = 1.0
    frame = pd.DataFrame(values, columns=LINEAGES)
    frame.insert(0, "tf", [motif.tf for motif in motifs])
    lineage = int(rng.integers(0, len(LINEAGES)))
    interaction = {"tf": ":".join(layout.pair)} | {
        name: INTERACTION if number == lineage else 0.0 for number, name in enumerate(LINEAGES)
    }
    return pd.concat([frame, pd.DataFrame([interaction])], ignore_index=True)


def cell_types() -> pd.DataFrame:
    """Cell types (columns of the matrix) and their lineages."""
    rows = [(f"{lineage}.{number}", lineage) for lineage in LINEAGES for number in range(1, CELL_TYPES_PER_LINEAGE + 1)]
    return pd.DataFrame(rows, columns=["cell_type", "lineage"])


def matrix(layout: Layout, peaks: Peaks, occupied: NDArray[np.float64], known: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Accessibility (arbitrary log-like units) of each peak in each cell type; the first column is the peak id."""
    rng = generator(seed, "simulate", "accessibility", "noise")
    pair = [layout.factors.index(factor) for factor in layout.pair]
    inputs = np.column_stack([occupied, occupied[:, pair].prod(axis=1)])
    lineage = inputs @ known[LINEAGES].to_numpy(dtype=np.float64)
    table = cell_types()
    columns = [LINEAGES.index(name) for name in table["lineage"]]
    scale = 1 + CELL_TYPE_SPREAD * rng.standard_normal(len(columns))
    values = 1.0 + lineage[:, columns] * scale
    values = values + NOISE * lineage.std() * rng.standard_normal(values.shape)
    frame = pd.DataFrame(values, columns=table["cell_type"].tolist())
    frame.insert(0, "peak", peaks.names)
    return frame


def bed_lines(peaks: Peaks) -> Iterator[str]:
    """Rows of the peak BED (sim19, 0-based half-open)."""
    for name, contig, start in zip(peaks.names, peaks.contig, peaks.start.tolist(), strict=True):
        yield f"{contig}\t{start}\t{start + PEAK}\t{name}\n"


def fasta_lines(peaks: Peaks, codes: dict[str, Codes]) -> Iterator[str]:
    """FASTA of the peaks, forward strand, upper case, one line each."""
    for name, contig, start in zip(peaks.names, peaks.contig, peaks.start.tolist(), strict=True):
        yield f">{name}\n{decode(codes[contig][start : start + PEAK])}\n"
