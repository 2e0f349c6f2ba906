"""Strand probes: both strands count alike, and a motif that is only reversed is no motif."""

from __future__ import annotations

import numpy as np

from cisweave.report.probes.dna import insert, match_score, other_strand
from cisweave.report.probes.subject import Factor, Probe, Subject, largest
from cisweave.sequence.onehot import encode

TOLERANCE = 1e-4
DECOY_RATIO = 0.5
BACKGROUNDS = 8


def strand_probe(subject: Subject) -> Probe:
    """A motif gives the same score on either strand.

    Each consensus is written into backgrounds; the probability of its track must be that of the reverse-complemented
    window, in which the motif stands on the other strand at the mirrored place. A wrong or missing reverse
    complement in prediction breaks this by far more than rounding.
    """
    worst: dict[str, float] = {}
    for factor in subject.factors:
        windows = motif_windows(subject, factor.consensus)
        forward = subject.predict(np.stack([encode(window) for window in windows]))
        reverse = subject.predict(np.stack([encode(other_strand(window)) for window in windows]))
        worst[factor.tf] = float(np.abs(forward - reverse).max())
    meaning = "largest difference of probability between a window with a motif and its reverse complement"
    return Probe("strand", largest(worst.values()), TOLERANCE, "at most", meaning, {"per_tf": rounded(worst, 8)})


def decoy_probe(subject: Subject) -> Probe:
    """A motif read backwards without complement, or complemented without being reversed, must not act as the motif.

    Catches a wrong reverse complement in the augmentation of training, which prediction does not show. Factors whose
    reversed motif resembles the motif itself are left out.
    """
    ratios: dict[str, float] = {}
    for factor in subject.factors:
        decoys = [decoy for decoy in decoys_of(factor.consensus) if is_foreign(factor, decoy)]
        real = response(subject, factor, factor.consensus)
        if decoys and real > 0:
            ratios[factor.tf] = largest(response(subject, factor, decoy) for decoy in decoys) / real
    value = float(np.median(list(ratios.values()))) if ratios else np.nan
    meaning = "response to the reversed or complemented motif over the response to the motif, median over factors"
    reason = "" if ratios else "no factor's motif raises its track, or every reversed motif resembles the motif"
    return Probe("strand_decoy", value, DECOY_RATIO, "at most", meaning, {"per_tf": rounded(ratios)}, reason)


def decoys_of(motif: str) -> list[str]:
    """The motif reversed, and complemented."""
    return [motif[::-1], other_strand(motif[::-1])]


def is_foreign(factor: Factor, decoy: str) -> bool:
    """Whether a decoy scores less than half of the consensus' log-odds."""
    return match_score(factor.matrix, decoy) < 0.5 * match_score(factor.matrix, factor.consensus)


def response(subject: Subject, factor: Factor, motif: str) -> float:
    """Mean rise of the factor's probability when ``motif`` is written into the middle of backgrounds."""
    empty = np.stack([encode(window) for window in subject.backgrounds(BACKGROUNDS)])
    filled = np.stack([encode(window) for window in motif_windows(subject, motif)])
    rise = subject.predict(filled)[:, factor.track] - subject.predict(empty)[:, factor.track]
    return float(rise.mean())


def motif_windows(subject: Subject, motif: str) -> list[str]:
    """Backgrounds with ``motif`` in the middle."""
    start = (subject.window - len(motif)) // 2
    return [insert(background, motif, start) for background in subject.backgrounds(BACKGROUNDS)]


def rounded(values: dict[str, float], digits: int = 4) -> dict[str, float]:
    """Values for the record."""
    return {name: round(value, digits) for name, value in values.items()}
