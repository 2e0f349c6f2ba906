"""Channel probe: single-base substitutions spell the motif's consensus."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cisweave.report.probes.dna import ORDER, information, insert
from cisweave.report.probes.strand import rounded
from cisweave.report.probes.subject import Factor, Floats, Probe, Subject, logit
from cisweave.sequence.onehot import encode

MIN_SHARE = 0.75
MIN_BITS = 1.0
BACKGROUNDS = 4

Predictor = Callable[[Sequence[str]], Floats]


def channel_probe(subject: Subject) -> Probe:
    """The best base at each informative position of an inserted consensus is the consensus base.

    Done twice: on the bare network with the probes' own one-hot (channels A, C, G, T at the public boundary), and
    through the workflow's encoding and prediction. A permuted channel order fails the first even where training and
    prediction share the mistake; an encoding that differs from the one trained with fails the second.
    """
    predictors: dict[str, Predictor] = {
        "network": subject.predict_channels,
        "workflow": lambda sequences: subject.predict(np.stack([encode(sequence) for sequence in sequences])),
    }
    shares = {
        path: {factor.tf: spelled_share(subject, factor, predictor) for factor in subject.factors}
        for path, predictor in predictors.items()
    }
    value = min(float(np.median(list(share.values()))) for share in shares.values())
    meaning = "share of the consensus' bits that single-base substitutions spell, median over factors"
    detail: dict[str, object] = {path: rounded(share) for path, share in shares.items()}
    return Probe("channels", value, MIN_SHARE, "at least", meaning, detail)


def spelled_share(subject: Subject, factor: Factor, predict: Predictor) -> float:
    """Share of bits at positions of at least one bit where the track prefers the consensus base."""
    motif = factor.consensus
    start = (subject.window - len(motif)) // 2
    mutants = [motif[:index] + base + motif[index + 1 :] for index in range(len(motif)) for base in ORDER]
    sequences = [
        insert(background, mutant, start) for background in subject.backgrounds(BACKGROUNDS) for mutant in mutants
    ]
    scores = logit(predict(sequences)[:, factor.track]).reshape(BACKGROUNDS, len(motif), 4).mean(axis=0)
    spelled = "".join(ORDER[best] for best in scores.argmax(axis=1))
    bits = np.where(information(factor.matrix) >= MIN_BITS, information(factor.matrix), 0.0)
    right = np.array([found == wanted for found, wanted in zip(spelled, motif, strict=True)])
    return float(bits[right].sum() / bits.sum())
