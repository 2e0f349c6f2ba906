"""The plain path: every window of every allele on both strands, one after the other (Seal, Module 1).

Dimension legend
    variants - alleles to score, shifts - places of the window around the variant, tracks - chromatin outputs,
    length - bases of a window
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.models.predict import predict_probabilities
from cisweave.seal.engine.base import AllelePredictions
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes
from cisweave.sequence.windows import allele_window

if TYPE_CHECKING:
    import torch

    from cisweave.models.beluga import Beluga


ROWS = 16
"""Windows of every pass through the network. With fewer, a processor's matrix products are less accurate."""


class PlainEngine:
    """Predicts each window by itself, in the network's own type; what every faster path is held against.

    Nothing but the window decides on its numbers, to the last bit or the one before: every pass has as many windows,
    whatever else is predicted. A GPU computes in float32, never in TF32.
    """

    trunk = None

    def __init__(self, network: Beluga, device: torch.device):
        self.network, self.device = network, device

    def predict(self, variants: pd.DataFrame, genome: Genome, shifts: Sequence[int]) -> AllelePredictions:
        """See :meth:`cisweave.seal.engine.base.ChromatinEngine.predict`."""
        import torch

        window = self.network.window
        codes = np.stack(
            [
                haplotype_windows(genome, variants, allele, window, shift)
                for allele in ("ref", "alt")
                for shift in shifts
            ],
            axis=1,
        )
        found = torch.from_numpy(self.windows(codes.reshape(-1, window))).to(self.device)
        reference, alternative = found.view(len(variants), 2, len(shifts), self.network.tracks).unbind(1)
        return AllelePredictions(reference, alternative)

    def windows(self, codes: Codes) -> NDArray[np.floating]:
        """Strand-averaged probabilities (windows, tracks) of any windows (windows, length)."""
        missing = -len(codes) % ROWS
        filled = np.concatenate([codes, np.broadcast_to(codes[:1], (missing, codes.shape[1]))]) if missing else codes
        return predict_probabilities(self.network, filled, self.device, ROWS)[: len(codes)]


def haplotype_windows(genome: Genome, variants: pd.DataFrame, allele: str, window: int, shift: int) -> Codes:
    """Codes (variants, length) of the windows that hold the allele of column ``allele`` (ref or alt)."""
    windows = [
        allele_window(genome, chrom, pos, ref, bases, window, shift)
        for chrom, pos, ref, bases in zip(variants.chrom, variants.pos, variants.ref, variants[allele], strict=True)
    ]
    return np.stack(windows) if windows else np.empty((0, window), dtype=np.uint8)
