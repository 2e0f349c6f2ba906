"""Expression as a function of the bases of a stretch of genome: chromatin model, spatial weights, expression model.

Dimension legend
    batch - sequences, length - bases of the stretch, windows - chromatin windows in it, tracks - chromatin outputs,
    basis - weight functions, terms - predictions that are summed (one per shift of a variant, one of a gene),
    hidden - units of the shared layer, contexts - tissues or cell states
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear

from cisweave.core.errors import CisweaveError
from cisweave.models.beluga import POOL, tiled_logits
from cisweave.seal.head import ExpressionHead, places_of
from cisweave.seal.spatial import basis_weights
from cisweave.sequence.windows import allele_window

if TYPE_CHECKING:
    from cisweave.models.beluga import Beluga
    from cisweave.sequence.genome import Genome
    from cisweave.sequence.onehot import Codes


class ExpressionOfSequence(torch.nn.Module):
    """Predicted ln expression from one-hot bases, through all three modules of Seal.

    The windows of the stretch start at multiples of ``step``. Each is predicted on both strands; its mean probability
    acts on the hidden units with the weights of its place; everything outside the stretch is fixed. Every non-linear
    operation is a module of its own, so that attribution methods can follow it; what comes after the chromatin model is
    float64.

    Parameters
    ----------
    network
        Chromatin model.
    head
        What turns chromatin into expression.
    background
        float64 (terms, hidden), what everything outside the stretch brings to the hidden units.
    weights
        float64 (terms, windows, basis), weights of each window.
    step
        Bases between the starts of windows.
    """

    def __init__(
        self,
        network: Beluga,
        head: ExpressionHead,
        background: torch.Tensor,
        weights: NDArray[np.float64],
        step: int,
    ):
        super().__init__()
        self.network, self.step = network, step
        self.sigmoid = torch.nn.Sigmoid()
        self.shared, self.rest = head.network.shared, head.network.layers[1:]
        self.background: torch.Tensor
        self.weights: torch.Tensor
        self.register_buffer("background", background, persistent=False)
        self.register_buffer("weights", torch.from_numpy(weights).to(background), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predicted ln expression, summed over the terms, float64 (batch, contexts).

        ``x`` is one-hot (batch, 4, length), the forward strand, channel order A, C, G, T.
        """
        strands = torch.stack([x, x.flip(1, 2)], dim=1).flatten(0, 1)
        probability = self.sigmoid(self.window_logits(strands).double())
        mean = (probability[::2] + probability[1::2].flip(1)) / 2
        features = torch.einsum("twk,bwf->btkf", self.weights, mean).flatten(2)
        expression: torch.Tensor = self.rest(self.background + linear(features, self.shared.weight))
        return expression.sum(dim=1)

    def window_logits(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, windows, tracks) of the windows in order of their start."""
        if self.step % POOL == 0:
            return tiled_logits(self.network, x, self.step)
        windows = x.unfold(2, self.network.window, self.step).permute(0, 2, 1, 3)
        logits: torch.Tensor = self.network(windows.flatten(0, 1))
        return logits.reshape(*windows.shape[:2], -1)


@dataclass
class Stretch:
    """A function of a stretch of genome, and where the stretch lies.

    Attributes
    ----------
    function
        Predicted ln expression of the stretch's bases.
    chrom, start, end
        The stretch, 0-based half-open; of a variant, as far as the reference haplotype goes.
    codes
        uint8 (haplotypes, length): reference and alternative of a variant, or the genome's own bases.
    """

    function: ExpressionOfSequence
    chrom: str
    start: int
    end: int
    codes: Codes


def variant_stretch(
    variant: pd.DataFrame, genome: Genome, network: Beluga, head: ExpressionHead, shifts: Sequence[int]
) -> Stretch:
    """What Seal computes of one allele of a variant, as a function of the union of its shifted windows.

    Its value for the alternative haplotype minus that for the reference is the variant's score (Seal, sections "Module
    2" and "Module 3"). ``variant`` is one row of the variant table.
    """
    step = shifts[1] - shifts[0] if len(shifts) > 1 else POOL
    length = network.window + shifts[-1] - shifts[0]
    chrom, pos, ref, alt = variant[["chrom", "pos", "ref", "alt"]].iloc[0]
    codes = np.stack([allele_window(genome, chrom, int(pos), ref, allele, length) for allele in (ref, alt)])
    store = head.store
    places = places_of(variant, store, shifts)
    with torch.no_grad():
        background = head.background(np.repeat(places.genes, len(shifts)), places.bins[0])
    weights = np.zeros((len(shifts), len(shifts), 2 * len(store.settings.decay)))
    own = np.arange(len(shifts))
    weights[own, own] = basis_weights(places.distance[0], store.settings.decay).T
    start = int(pos) - length // 2
    function = ExpressionOfSequence(network, head, background, weights, step).eval()
    return Stretch(function, chrom, start, start + length, codes)


def gene_stretch(row: int, genome: Genome, network: Beluga, head: ExpressionHead, reach: int | None = None) -> Stretch:
    """A gene's predicted expression as a function of the bases around its TSS.

    Parameters
    ----------
    row
        Row of the store.
    reach
        Only bins whose centre lies so near to the TSS, in bases, are functions of the sequence; the others keep the
        chromatin of the store. None: all.
    """
    store = head.store
    gene = store.genes.iloc[row]
    centres = store.centres
    bins = np.flatnonzero(np.abs(centres) <= reach) if reach is not None else np.arange(len(centres))
    if not len(bins):
        raise CisweaveError(f"no bin has its centre within {reach} bp of the TSS; the nearest is "
                            f"{np.abs(centres).min()} bp away: write a larger reach")  # fmt: skip
    sign = 1 if gene.strand == "+" else -1
    bins = bins[np.argsort(sign * centres[bins])]
    with torch.no_grad():
        profile = torch.from_numpy(store.at(np.full(len(bins), row), bins)).to(head.device, torch.float64)
        background = head.gene_hidden(row) - head.project(profile, centres[bins]).sum(dim=0)
    weights = basis_weights(centres[bins], store.settings.decay).T[None]
    start = int(gene.tss) + int((sign * centres[bins]).min()) - network.window // 2
    end = start + network.window + (len(bins) - 1) * store.settings.bin_size
    function = ExpressionOfSequence(network, head, background[None], weights, store.settings.bin_size).eval()
    return Stretch(function, gene.chrom, start, end, genome.codes(gene.chrom, start, end)[None])
