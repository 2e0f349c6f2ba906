"""From the chromatin of two alleles to the change of expression (Seal, Modules 2 and 3).

Dimension legend
    variants - alleles to score, shifts - places of the window around the variant, tracks - chromatin outputs,
    contexts - tissues or cell states
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.models.folders import LoadedModel
from cisweave.models.profiles import ProfileStore
from cisweave.seal.engine import AllelePredictions
from cisweave.seal.spatial import replace_bin


@dataclass
class Places:
    """Where the shifted windows of variants lie in the profiles of their genes.

    Attributes
    ----------
    genes
        int64 (variants,), rows of the profile store.
    distance
        int64 (variants, shifts), bases from the TSS to each window's middle, in gene orientation.
    bins
        int64 (variants, shifts), the bin of the profile that holds it.
    """

    genes: NDArray[np.int64]
    distance: NDArray[np.int64]
    bins: NDArray[np.int64]


def places_of(variants: pd.DataFrame, store: ProfileStore, shifts: Sequence[int]) -> Places:
    """Places of the windows of variants (columns ``gene_id``, ``gene_strand``, ``dist_to_tss``)."""
    strand = np.where(variants.gene_strand == "+", 1, -1)[:, None]
    distance = (variants.dist_to_tss.to_numpy(np.int64)[:, None] + np.asarray(shifts, np.int64)) * strand
    return Places(store.rows(variants.gene_id), distance, store.bins_of(distance))


class ExpressionHead:
    """Effects on expression, of predictions that take the place of one bin of a gene's profile."""

    def __init__(self, model: LoadedModel, store: ProfileStore):
        self.network = copy.deepcopy(model.module).double()
        self.device, self.store = model.device, store
        self.contexts = model.spec.outputs

    def effects(self, predictions: AllelePredictions, places: Places) -> NDArray[np.float64]:
        """Alternative minus reference, ln expression (variants, contexts), summed over the shifts."""
        profiles = self.store.profiles(places.genes)
        total = np.zeros((len(places.genes), len(self.contexts)))
        for shift in range(places.distance.shape[1]):
            bins = places.bins[:, shift]
            replaced = np.stack(
                [profiles[gene][place] for gene, place in zip(places.genes.tolist(), bins, strict=True)]
            )
            reference, alternative = (
                self._expression(places, shift, replaced, allele[:, shift].cpu().numpy())
                for allele in (predictions.reference, predictions.alternative)
            )
            total += alternative - reference
        return total

    def _expression(
        self, places: Places, shift: int, replaced: NDArray[np.float32], allele: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Predicted ln expression (variants, contexts) with one bin replaced by ``allele`` (variants, tracks).

        In float64: the score is a small difference of two such predictions, and thousands of features in float32
        would leave rounding of 1e-5 in it.
        """
        geometry = self.store.settings
        features = replace_bin(
            self.store.features[places.genes],
            replaced,
            allele,
            places.distance[:, shift],
            geometry.decay,
            geometry.bins,
            geometry.bin_size,
        )
        with torch.inference_mode():
            expression: NDArray[np.float64] = self.network(torch.from_numpy(features).to(self.device)).cpu().numpy()
        return expression
