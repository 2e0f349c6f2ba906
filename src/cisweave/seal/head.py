"""From the chromatin of two alleles to the change of expression (Seal, Modules 2 and 3).

Dimension legend
    variants - alleles to score, shifts - places of the window around the variant, tracks - chromatin outputs,
    basis - weight functions of the spatial features, hidden - units of the shared layer,
    contexts - tissues or cell states
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import LoadedModel
from cisweave.models.profiles import ProfileStore
from cisweave.seal.engine import AllelePredictions
from cisweave.seal.spatial import basis_weights, replace_bin

if TYPE_CHECKING:
    from cisweave.sequence.genome import Genome

Key = TypeVar("Key", bound=Hashable)

WINDOWS = 2048
"""Windows whose hidden units are held at a time."""
ROWS = 256
"""Rows of one matrix product."""
BACKGROUND_BYTES = 1 << 27
"""Memory for hidden units of genes that lack one bin."""
GENES = 1024
"""Genes whose hidden units are kept."""


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
    genomic
        bool (variants,), whether REF is what the genome holds there: the reference windows of such variants are those
        of the genome, the same for all with the same middle. ``None``: nothing is known, and nothing shared.
    """

    genes: NDArray[np.int64]
    distance: NDArray[np.int64]
    bins: NDArray[np.int64]
    genomic: NDArray[np.bool_] | None = None

    def part(self, rows: slice) -> Places:
        """Places of some of the variants."""
        genomic = None if self.genomic is None else self.genomic[rows]
        return Places(self.genes[rows], self.distance[rows], self.bins[rows], genomic)


def places_of(
    variants: pd.DataFrame, store: ProfileStore, shifts: Sequence[int], genome: Genome | None = None
) -> Places:
    """Places of the windows of variants (columns ``gene_id``, ``gene_strand``, ``dist_to_tss``).

    With the genome, whose letters are compared with ``chrom``, ``pos`` (1-based) and ``ref``, :attr:`Places.genomic`
    is known.
    """
    strand = np.where(variants.gene_strand == "+", 1, -1)[:, None]
    distance = (variants.dist_to_tss.to_numpy(np.int64)[:, None] + np.asarray(shifts, np.int64)) * strand
    genomic = None if genome is None else holds_reference(variants, genome)
    return Places(store.rows(variants.gene_id), distance, store.bins_of(distance), genomic)


def holds_reference(variants: pd.DataFrame, genome: Genome) -> NDArray[np.bool_]:
    """(variants,) whether the genome holds ``ref`` at ``chrom``, ``pos`` (1-based), upper or lower case."""
    columns = (variants[name].tolist() for name in ("chrom", "pos", "ref"))
    return np.array(
        [
            genome.fetch(chrom, pos - 1, pos - 1 + len(ref)) == ref.upper()
            for chrom, pos, ref in zip(*columns, strict=True)
        ],
        dtype=np.bool_,
    )


class PlainHead:
    """Effects on expression by the whole network, one shift after the other: what the fast head is held against."""

    def __init__(self, model: LoadedModel, store: ProfileStore):
        self.network = copy.deepcopy(model.module).double()
        self.device, self.store = model.device, store
        self.contexts = model.spec.outputs

    def effects(self, predictions: AllelePredictions, places: Places) -> NDArray[np.float64]:
        """Alternative minus reference, ln expression (variants, contexts), summed over the shifts."""
        profiles = self.store.profiles(places.genes)
        total = np.zeros((len(places.genes), len(self.contexts)))
        for shift in range(places.distance.shape[1]):
            reference, alternative = (
                self._expression(places, shift, profiles, allele[:, shift].cpu().numpy())
                for allele in (predictions.reference, predictions.alternative)
            )
            total += alternative - reference
        return total

    def _expression(
        self,
        places: Places,
        shift: int,
        profiles: dict[int, NDArray[np.float32]],
        allele: NDArray[np.floating],
    ) -> NDArray[np.float64]:
        """Predicted ln expression (variants, contexts) with one bin replaced by ``allele`` (variants, tracks)."""
        geometry, bins = self.store.settings, places.bins[:, shift]
        weights = basis_weights(self.store.centres, geometry.decay)
        genes = places.genes.tolist()
        features = replace_bin(
            np.stack([(weights @ profiles[gene].astype(np.float64)).ravel() for gene in genes]),
            np.stack([profiles[gene][place] for gene, place in zip(genes, bins, strict=True)]),
            allele.astype(np.float64),
            places.distance[:, shift],
            geometry.decay,
            geometry.bins,
            geometry.bin_size,
        )
        with torch.inference_mode():
            expression: NDArray[np.float64] = self.network(torch.from_numpy(features).to(self.device)).cpu().numpy()
        return expression


class ExpressionHead:
    """Effects on expression, of predictions that take the place of one bin of a gene's profile.

    The features of a gene are linear in its profile, and so is what reaches the hidden units. With one bin replaced by
    a prediction p at distance d they are ``W1 E_gene + b1 - sum_k w_k(bin) W1_k G_bin + sum_k w_k(d) W1_k p`` (Seal,
    section "Module 2", in closed form). The first three terms, which know nothing of the variant, are kept per gene
    and bin; half of the basis is zero at any distance but 0. The hidden units of the reference are worked out in
    float64, and once for all windows that are the same piece of the genome. The change between the alleles has the
    precision of the predictions: it is a small number of its own, never the difference of two large ones.

    The features are those of the stored profile at its own bins, as in the published predictions, whatever the
    features were that the model learnt from.

    Parameters
    ----------
    model
        An expression model (:class:`cisweave.models.expression.ExpressionNetwork`).
    store
        The profiles it is used with.
    """

    def __init__(self, model: LoadedModel, store: ProfileStore):
        module = cast("ExpressionNetwork", model.module)
        self.network = copy.deepcopy(module).double().requires_grad_(False)
        self.device, self.store = model.device, store
        self.contexts = model.spec.outputs
        self.tracks = len(store.tracks)
        self.sides = len(store.settings.decay)
        exact = self.network.shared
        self.hidden = exact.out_features
        single = module.shared.weight.detach()
        self._weights = {torch.float64: exact.weight.detach(), torch.float32: single.to(torch.float32)}
        self._genes = Kept(GENES)
        self._backgrounds = Kept(max(1, BACKGROUND_BYTES // (8 * self.hidden)))

    def effects(self, predictions: AllelePredictions, places: Places) -> NDArray[np.float64]:
        """Alternative minus reference, ln expression (variants, contexts), summed over the shifts."""
        variants, shifts = places.distance.shape
        step = max(1, WINDOWS // max(shifts, 1))
        total = np.zeros((variants, len(self.contexts)))
        last = cast("torch.nn.Linear", self.network.layers[-1])
        with torch.no_grad():
            for start in range(0, variants, step):
                rows = slice(start, start + step)
                change = self.hidden_change(
                    predictions.reference[rows], predictions.alternative[rows], places.part(rows)
                )
                total[rows] = (change @ last.weight.T).cpu().numpy()
        return total

    def hidden_change(self, reference: torch.Tensor, alternative: torch.Tensor, places: Places) -> torch.Tensor:
        """What the alternative changes in the hidden units, float64 (variants, hidden), summed over the shifts.

        ``reference`` and ``alternative`` are probabilities (variants, shifts, tracks).
        """
        variants, shifts = places.distance.shape
        genes = np.repeat(places.genes, shifts)
        distance, bins = places.distance.ravel(), places.bins.ravel()
        difference = (alternative - reference).reshape(-1, self.tracks)
        first, which = self._distinct(places)
        chosen = reference.reshape(-1, self.tracks)[torch.from_numpy(first).to(self.device)]
        hidden = self.background(genes[first], bins[first]) + self.project(chosen.double(), distance[first])
        hidden = hidden[torch.from_numpy(which).to(self.device)]
        moved = hidden + self.project(difference, distance).double()
        return (moved.relu_() - hidden.relu_()).reshape(variants, shifts, -1).sum(dim=1)

    def background(self, genes: NDArray[np.int64], bins: NDArray[np.int64]) -> torch.Tensor:
        """Hidden units before the ReLU of genes that lack one bin each, float64 (n, hidden)."""
        pairs = list(zip(genes.tolist(), bins.tolist(), strict=True))
        missing = self._backgrounds.missing(pairs)
        if missing:
            rows, places = (np.array(part, dtype=np.int64) for part in zip(*missing, strict=True))
            profile = torch.from_numpy(self.store.at(rows, places)).to(self.device, torch.float64)
            removed = self.project(profile, self.store.centres[places])
            for pair, change in zip(missing, removed, strict=True):
                self._backgrounds.add(pair, self.gene_hidden(pair[0]) - change)
        return self._backgrounds.stack(pairs)

    def gene_hidden(self, gene: int) -> torch.Tensor:
        """Hidden units before the ReLU of a whole gene, a row of the store, float64 (hidden,)."""
        if self._genes.missing([gene]):
            profile = self.store.profile(gene).astype(np.float64)
            features = basis_weights(self.store.centres, self.store.settings.decay) @ profile
            self._genes.add(gene, self.network.shared(torch.from_numpy(features.ravel()).to(self.device)))
        return self._genes.stack([gene])[0]

    def project(self, values: torch.Tensor, distance: NDArray[np.int64]) -> torch.Tensor:
        """What chromatin at a distance adds to the hidden units: ``sum_k w_k(d) W1_k values`` (n, hidden).

        ``values`` (n, tracks) are float32 or float64, and the products are worked out in that precision.
        """
        weights = self._weights[values.dtype]
        width = self.sides * self.tracks
        basis = torch.from_numpy(basis_weights(distance, self.store.settings.decay).T).to(values.device, values.dtype)
        added = torch.zeros(len(values), self.hidden, dtype=values.dtype, device=values.device)
        for side, here in enumerate((distance <= 0, distance >= 0)):
            part = weights[:, side * width : (side + 1) * width].T
            for rows in torch.split(torch.from_numpy(np.flatnonzero(here)).to(values.device), ROWS):
                scale = basis[rows, side * self.sides : (side + 1) * self.sides]
                spread = (scale[:, :, None] * values[rows][:, None, :]).reshape(len(rows), width)
                added[rows] += spread @ part
        return added

    @staticmethod
    def _distinct(places: Places) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Windows (variants * shifts in a row) whose reference differs from all before, and which of them each uses."""
        variants, shifts = places.distance.shape
        every = np.arange(variants * shifts)
        if places.genomic is None:
            return every, every
        own = np.where(np.repeat(places.genomic, shifts), -1, every)
        keys = np.stack([np.repeat(places.genes, shifts), places.distance.ravel(), own], axis=1)
        _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        return first, which.reshape(-1)


class Kept:
    """Vectors kept by key, at most ``most``: those not used for longest go first."""

    def __init__(self, most: int):
        self.most = most
        self._vectors: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """Keys, each once, whose vector is not there."""
        return [key for key in dict.fromkeys(keys) if key not in self._vectors]

    def add(self, key: Hashable, vector: torch.Tensor) -> None:
        """Keep a vector; the tensor it is a part of is let go."""
        self._vectors[key] = vector.clone()

    def stack(self, keys: Sequence[Hashable]) -> torch.Tensor:
        """Vectors (n, width) of keys that are there; then the oldest go, down to ``most``."""
        for key in keys:
            self._vectors.move_to_end(key)
        vectors = torch.stack([self._vectors[key] for key in keys])
        while len(self._vectors) > self.most:
            self._vectors.popitem(last=False)
        return vectors
