"""Chromatin tracks: peaks where a factor's site is occupied, signal from summed occupancy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cisweave.core.files import atomic_path
from cisweave.core.seeds import generator
from cisweave.simulate.motifs import Motif
from cisweave.simulate.occupancy import Sites

#: Occupancy above which a site is a peak.
PEAK_OCCUPANCY = 0.5
#: A peak reaches this far to both sides of its centre base. The width is odd, so that a peak covers at least half of a
#: 200-bp bin exactly when its centre base lies in the bin.
HALF_PEAK = 99
#: Step of the signal tracks in bases, and standard deviation of their smoothing in steps.
STEP = 50
SMOOTHING = 2.0
SIGNAL_NOISE = 0.02


def track_factors(
    motifs: Sequence[Motif], accessibility: Sequence[str], repressive: Sequence[str], seed: int
) -> NDArray[np.int64]:
    """(tracks, factors) 0 or 1: which factors make a track.

    One track a factor; then the accessibility tracks, each opened by half of the activators so that every activator
    opens at least one; then the repressive marks, laid by all repressors.
    """
    order = generator(seed, "simulate", "accessibility").permutation(np.flatnonzero([m.sign > 0 for m in motifs]))
    half = len(order) if len(accessibility) == 1 else -(-len(order) // 2)
    members = np.zeros((len(accessibility) + len(repressive), len(motifs)), dtype=np.int64)
    for number in range(len(accessibility)):
        first = number * len(order) // len(accessibility)
        members[number, np.take(order, np.arange(first, first + half), mode="wrap")] = 1
    members[len(accessibility) :, [motif.sign < 0 for motif in motifs]] = 1
    return np.concatenate([np.eye(len(motifs), dtype=np.int64), members])


def peak_lines(track: str, members: NDArray[np.int64], sites: dict[str, Sites], sizes: dict[str, int]) -> Iterator[str]:
    """Rows of a narrowPeak file (0-based half-open): overlapping peaks merged, signalValue is the best occupancy."""
    number = 0
    for contig, found in sites.items():
        peaks = found.take((found.occupancy > PEAK_OCCUPANCY) & (members[found.tf] > 0))
        centre = peaks.start + peaks.width // 2
        order = np.argsort(centre, kind="stable")
        centre, height = centre[order], peaks.occupancy[order]
        breaks = np.flatnonzero(np.diff(centre) > 2 * HALF_PEAK) + 1
        for places, heights in zip(np.split(centre, breaks), np.split(height, breaks), strict=True):
            if not len(places):
                continue
            number += 1
            start, end = max(0, int(places[0]) - HALF_PEAK), min(sizes[contig], int(places[-1]) + HALF_PEAK + 1)
            best = int(np.argmax(heights))
            score = min(1000, int(1000 * heights[best]))
            yield (
                f"{contig}\t{start}\t{end}\t{track}_{number}\t{score}\t.\t{heights[best]:.4f}\t-1\t-1\t"
                f"{int(places[best]) - start}\n"
            )


def write_signal(
    path: Path, track: str, members: NDArray[np.int64], sites: dict[str, Sites], sizes: dict[str, int], seed: int
) -> None:
    """Write the bigWig of a track: summed occupancy per step, smoothed, with a little noise, never negative."""
    import pyBigWig
    from scipy.ndimage import gaussian_filter1d

    with atomic_path(path) as temporary:
        handle = pyBigWig.open(str(temporary), "w")
        handle.addHeader(list(sizes.items()))
        for contig, found in sites.items():
            chosen = found.take(members[found.tf] > 0)
            steps = sizes[contig] // STEP
            place = np.minimum((chosen.centre // STEP).astype(np.int64), steps - 1)
            summed = np.bincount(place, weights=chosen.occupancy, minlength=steps)
            noise = generator(seed, "simulate", "signal", track, contig).standard_normal(steps) * SIGNAL_NOISE
            values = np.round(np.clip(10 * gaussian_filter1d(summed, SMOOTHING) + noise, 0, None), 3)
            handle.addEntries(contig, 0, values=values.tolist(), span=STEP, step=STEP)
        handle.close()
