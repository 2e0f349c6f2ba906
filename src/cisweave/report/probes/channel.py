"""Channel probe: single-base substitutions spell the motif's consensus."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cisweave.report.probes.dna import ORDER, information, insert
from cisweave.report.probes.strand import rounded
from cisweave.report.probes.subject import Factor, Floats, Probe, Subject, largest, logit
from cisweave.sequence.onehot import encode

MIN_SHARE = 0.75
MIN_BITS = 1.0
BACKGROUNDS = 4

Predictor = Callable[[Sequence[str]], Floats]


def channel_probe(subject: Subject) -> Probe:
    """The best base at each informative position of an inserted consensus is the consensus base.

    Done twice: on the bare network with the probes' own one-hot (channels A, C, G, T at the public boundary), and
    through the workflow's encoding and prediction. A permuted channel order fails the first even where training and
    prediction share the mistake; an encoding that differs from the one trained with fails the second. Bits are
    pooled over factors for each of the four bases, and the worst base counts: two exchanged channels leave the other
    two right.
    """
    predictors: dict[str, Predictor] = {
        "network": subject.predict_channels,
        "workflow": lambda sequences: subject.predict(np.stack([encode(sequence) for sequence in sequences])),
    }
    shares: dict[str, dict[str, float]] = {}
    factors: dict[str, dict[str, float]] = {}
    for path, predictor in predictors.items():
        bits = {factor.tf: spelled_bits(subject, factor, predictor) for factor in subject.factors}
        pooled = np.sum(list(bits.values()), axis=0)
        shares[path] = {
            base: float(pooled[0, row] / pooled[1, row]) for row, base in enumerate(ORDER) if pooled[1, row]
        }
        factors[path] = {tf: float(found[0].sum() / found[1].sum()) for tf, found in bits.items()}
    value = -largest(-share for bases in shares.values() for share in bases.values())
    meaning = "share of the consensus' bits that single-base substitutions spell, worst of the four bases"
    detail: dict[str, object] = {path: rounded(share) for path, share in shares.items()}
    detail["per_tf"] = {path: rounded(share) for path, share in factors.items()}
    return Probe("channels", value, MIN_SHARE, "at least", meaning, detail)


def spelled_bits(subject: Subject, factor: Factor, predict: Predictor) -> Floats:
    """Bits (2, 4) per consensus base A, C, G, T at positions of at least one bit: spelled right, and in all."""
    motif = factor.consensus
    start = (subject.window - len(motif)) // 2
    mutants = [motif[:index] + base + motif[index + 1 :] for index in range(len(motif)) for base in ORDER]
    sequences = [
        insert(background, mutant, start) for background in subject.backgrounds(BACKGROUNDS) for mutant in mutants
    ]
    scores = logit(predict(sequences)[:, factor.track]).reshape(BACKGROUNDS, len(motif), 4).mean(axis=0)
    found = np.zeros((2, 4))
    for bits, best, wanted in zip(information(factor.matrix), scores.argmax(axis=1), motif, strict=True):
        if bits >= MIN_BITS:
            row = ORDER.index(wanted)
            found[:, row] += bits * (best == row), bits
    return found
