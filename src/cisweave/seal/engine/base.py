"""What an engine gives, whichever one it is.

Dimension legend
    variants - alleles to score, shifts - places of the window around the variant, tracks - chromatin outputs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from cisweave.config import EngineSettings
    from cisweave.models.beluga import Beluga
    from cisweave.models.folders import LoadedModel
    from cisweave.seal.engine.trunk import Trunk
    from cisweave.sequence.genome import Genome


@dataclass
class AllelePredictions:
    """Strand-averaged probabilities of both alleles.

    Attributes
    ----------
    reference, alternative
        float32 (variants, shifts, tracks), on the engine's device.
    """

    reference: torch.Tensor
    alternative: torch.Tensor


class ChromatinEngine(Protocol):
    """Predicts the windows of both alleles of variants; the settings say how many variants are worked on at a time."""

    network: Beluga
    device: torch.device

    @property
    def trunk(self) -> Trunk | None:
        """The network as windows of one sequence share it; ``None`` where each is computed by itself."""
        ...

    def predict(self, variants: pd.DataFrame, genome: Genome, shifts: Sequence[int]) -> AllelePredictions:
        """Probabilities of both alleles in the windows shifted by ``shifts``, of a handful of variants.

        Parameters
        ----------
        variants
            Columns ``chrom``, ``pos`` (1-based), ``ref``, ``alt``: alleles that fit into all windows
            (:func:`cisweave.seal.predict.rejection_reasons`). The bases of REF are put into the window whatever the
            genome holds.
        shifts
            Bases by which each window is moved along the genome (ascending).
        """
        ...


def make_engine(chromatin: LoadedModel, settings: EngineSettings) -> ChromatinEngine:
    """The engine the settings ask for, around a chromatin model."""
    from cisweave.seal.engine.dense import MixedEngine
    from cisweave.seal.engine.fast import FastEngine
    from cisweave.seal.engine.plain import PlainEngine

    network = cast("Beluga", chromatin.module)
    if settings.path == "plain":
        return PlainEngine(network, chromatin.device)
    scattered = FastEngine(network, chromatin.device, settings)
    return MixedEngine(scattered, settings, scattered.trunk.layers)
