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

from cisweave.models.predict import predict_probabilities
from cisweave.seal.engine.base import AllelePredictions
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes
from cisweave.sequence.windows import allele_window

if TYPE_CHECKING:
    import torch

    from cisweave.config import EngineSettings
    from cisweave.models.beluga import Beluga


class PlainEngine:
    """Predicts each window by itself; what every faster path is held against."""

    def __init__(self, network: Beluga, device: torch.device, settings: EngineSettings):
        self.network, self.device, self.settings = network, device, settings

    def predict(self, variants: pd.DataFrame, genome: Genome, shifts: Sequence[int]) -> AllelePredictions:
        """See :meth:`cisweave.seal.engine.base.ChromatinEngine.predict`."""
        reference, alternative = (self._allele(variants, allele, genome, shifts) for allele in ("ref", "alt"))
        return AllelePredictions(reference, alternative)

    def _allele(self, variants: pd.DataFrame, allele: str, genome: Genome, shifts: Sequence[int]) -> torch.Tensor:
        """Probabilities (variants, shifts, tracks) of the windows that hold the allele of one column."""
        import torch

        window = self.network.window
        codes = np.stack([haplotype_windows(genome, variants, allele, window, shift) for shift in shifts], axis=1)
        probabilities = predict_probabilities(
            self.network, codes.reshape(-1, window), self.device, self.settings.batch_size
        )
        return torch.from_numpy(probabilities.reshape(len(variants), len(shifts), -1)).to(self.device)


def haplotype_windows(genome: Genome, variants: pd.DataFrame, allele: str, window: int, shift: int) -> Codes:
    """Codes (variants, length) of the windows that hold the allele of column ``allele`` (ref or alt)."""
    windows = [
        allele_window(genome, chrom, pos, ref, bases, window, shift)
        for chrom, pos, ref, bases in zip(variants.chrom, variants.pos, variants.ref, variants[allele], strict=True)
    ]
    return np.stack(windows) if windows else np.empty((0, window), dtype=np.uint8)
