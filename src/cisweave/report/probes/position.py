"""Position probes: what the model answers to stands where the coordinates say.

Motifs are planted at known places of a FASTA written for the purpose, beside a second contig that is equal but
for the motifs. Windows are then cut out by the workflow's own extraction and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from cisweave.report.probes.dna import insert, other_strand
from cisweave.report.probes.strand import response, rounded
from cisweave.report.probes.subject import Factor, Floats, Probe, Subject, largest, logit
from cisweave.sequence import Genome, windows
from cisweave.sequence.onehot import Codes

MAX_CENTROID_OFFSET = 0.25
MAX_RESPONSE_OFFSET = 5.0
FACTORS = 4
PHASES = (-7, -5, -3, -1, 1, 3, 5, 7)
"""Places of the window relative to the motif; pooling makes a network answer differently in each."""

SUBSTITUTE = np.array([1, 0, 3, 2, 4], dtype=np.uint8)
"""A for C and G for T and back: the same exchange on either strand."""

FLANK = 8
STEP = 20
VARIANT_DISTANCE = 40
PLANTED, PLAIN = "planted", "plain"

Extractor = Callable[[Genome, str, int, int], Codes]
"""Codes of the window that starts at a 0-based place: genome, contig, start, window."""


@dataclass(frozen=True)
class Placement:
    """A consensus at a known place.

    Attributes
    ----------
    factor
        Whose consensus.
    start, end
        0-based half-open, on either contig.
    middle
        Middle of the stretch of background around it: the place between bases ``middle - 1`` and ``middle``.
    """

    factor: Factor
    start: int
    end: int
    middle: int

    @property
    def centre(self) -> float:
        """Middle of the motif, 0-based."""
        return (self.start + self.end - 1) / 2


def interval_window(genome: Genome, chrom: str, start: int, window: int) -> Codes:
    """The window as training, profiles and attributed loci cut it."""
    return genome.codes(chrom, start, start + window)


def variant_window(genome: Genome, chrom: str, start: int, window: int) -> Codes:
    """The window as variants cut it: a reference allele beside the motif, shifted so that it starts at ``start``."""
    import pysam

    pos = start + window // 2 - VARIANT_DISTANCE
    with pysam.FastaFile(str(genome.path)) as fasta:
        base = fasta.fetch(chrom, pos - 1, pos)
    return windows.allele_window(genome, chrom, pos, base, base, window, VARIANT_DISTANCE)


EXTRACTORS: dict[str, Extractor] = {"interval": interval_window, "variant": variant_window}


def position_probe(subject: Subject) -> Probe:
    """The centroid of |attribution(planted) - attribution(plain)| lies on the planted motif.

    Attribution is in-silico mutagenesis: how much the track's log-odds falls when a base is replaced. Each motif
    stands in a stretch of background and, on the other strand, in the reverse complement of that stretch. The two
    offsets are averaged over windows in all phases of the pooling: what the motif's shape and the background add
    cancels, and a shift of a single base shows as about 1.
    """
    offsets: dict[str, dict[str, float]] = {}
    with TemporaryDirectory() as folder:
        fasta, placements = write_planted(subject, Path(folder) / "planted.fa")
        with Genome(fasta) as genome:
            for path, extract in EXTRACTORS.items():
                offsets[path] = mean_by_factor(placements, lambda place: centroid(subject, genome, place, extract))  # noqa: B023
    medians = [float(np.median(list(values.values()))) for values in offsets.values()]
    meaning = "offset of the attribution centroid from the planted motif, bases, median over factors, worst extraction"
    detail: dict[str, object] = {path: rounded(values) for path, values in offsets.items()}
    return Probe("position", largest(abs(value) for value in medians), MAX_CENTROID_OFFSET, "at most", meaning, detail)


def registration_probe(subject: Subject) -> Probe:
    """A track's response, as the window slides past a motif, is centred on the window's middle.

    Catches windows that are shifted against their coordinates by more than about ten bases.
    """
    with TemporaryDirectory() as folder:
        fasta, placements = write_planted(subject, Path(folder) / "planted.fa")
        with Genome(fasta) as genome:
            profiles = np.stack([slide(subject, genome, placement) for placement in placements])
    steps = slide_offsets(subject.window)
    mean = np.clip(profiles.mean(axis=0), 0, None)
    value = float(abs((steps * mean).sum() / mean.sum())) if mean.sum() > 0 else np.nan
    width = STEP * int((mean >= mean.max() / 2).sum())
    meaning = "offset of the response's centroid from the middle of the window, bases"
    detail: dict[str, object] = {"width_at_half_maximum": width, "bin_size": subject.bin_size}
    reason = "" if mean.sum() > 0 else "no motif raises its track"
    return Probe("registration", value, MAX_RESPONSE_OFFSET, "at most", meaning, detail, reason)


def write_planted(subject: Subject, path: Path) -> tuple[Path, list[Placement]]:
    """Write the FASTA with the two contigs and return the planted places: the strongest factors, on both strands."""
    factors = strongest(subject)
    spacing = 2 * subject.window
    planted: list[str] = []
    plain: list[str] = []
    placements: list[Placement] = []
    for factor, background in zip(factors, subject.backgrounds(len(factors), spacing), strict=True):
        width = len(factor.consensus)
        start = (spacing - width) // 2
        filled = insert(background, factor.consensus, start)
        stretches = [(background, filled, start)]
        stretches.append((other_strand(background), other_strand(filled), spacing - start - width))
        for empty, full, place in stretches:
            offset = spacing * len(plain)
            plain.append(empty)
            planted.append(full)
            placements.append(Placement(factor, offset + place, offset + place + width, offset + spacing // 2))
    path.write_text(f">{PLANTED}\n{''.join(planted)}\n>{PLAIN}\n{''.join(plain)}\n")
    return path, placements


def strongest(subject: Subject) -> list[Factor]:
    """The factors whose motif raises its track most."""
    rises = {factor.tf: response(subject, factor, factor.consensus) for factor in subject.factors}
    return sorted(subject.factors, key=lambda factor: -rises[factor.tf])[:FACTORS]


def mean_by_factor(placements: list[Placement], measure: Callable[[Placement], float]) -> dict[str, float]:
    """A measure averaged over the two strands of each factor."""
    values: dict[str, list[float]] = {}
    for placement in placements:
        values.setdefault(placement.factor.tf, []).append(measure(placement))
    return {tf: float(np.mean(found)) for tf, found in values.items()}


def centroid(subject: Subject, genome: Genome, placement: Placement, extract: Extractor) -> float:
    """Centroid of the squared attribution difference minus the motif's middle, bases, averaged over phases."""
    places = np.arange(placement.start - FLANK, placement.end + FLANK)
    centroids = []
    for phase in PHASES:
        start = placement.middle + phase - subject.window // 2
        planted, plain = (
            mutagenesis(subject, extract(genome, chrom, start, subject.window), places - start, placement.factor.track)
            for chrom in (PLANTED, PLAIN)
        )
        weights = (planted - plain) ** 2
        centroids.append((weights * places).sum() / weights.sum())
    return float(np.mean(centroids) - placement.centre)


def mutagenesis(subject: Subject, codes: Codes, region: NDArray[np.int64], track: int) -> Floats:
    """How far the track's log-odds falls when each base of ``region`` (indices into the window) is replaced."""
    mutants = np.repeat(codes[None], len(region), axis=0)
    mutants[np.arange(len(region)), region] = SUBSTITUTE[codes[region]]
    scores = logit(subject.predict(np.concatenate([codes[None], mutants]))[:, track])
    return np.asarray(scores[0] - scores[1:])


def slide_offsets(window: int) -> NDArray[np.int64]:
    """Offsets of the motif's middle from the window's middle, symmetric around 0, bases."""
    reach = (window // 2 - 30) // STEP
    return STEP * np.arange(-reach, reach + 1)


def slide(subject: Subject, genome: Genome, placement: Placement) -> Floats:
    """Rise of the track's probability by the motif, at each offset of the motif from the window's middle."""
    starts = placement.middle - slide_offsets(subject.window) - subject.window // 2
    planted, plain = (
        subject.predict(np.stack([genome.codes(chrom, start, start + subject.window) for start in starts.tolist()]))
        for chrom in (PLANTED, PLAIN)
    )
    return np.asarray(planted[:, placement.factor.track] - plain[:, placement.factor.track])
