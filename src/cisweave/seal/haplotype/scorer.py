"""From the sequence of haplotypes around a gene to its predicted expression, all changed windows together.

Dimension legend
    haplotypes - sequences to score, bins - windows tiled around the TSS, tracks - chromatin outputs,
    basis - weight functions of the spatial features, contexts - tissues or cell states, length - bases of a region
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from cisweave.config import EngineSettings
from cisweave.models.folders import LoadedModel
from cisweave.models.profiles import ProfileStore
from cisweave.seal.engine import make_engine
from cisweave.seal.haplotype.edits import BinTiling, Edit, Gene, HaplotypeRegion, haplotype_region
from cisweave.seal.haplotype.windows import Rows, WindowPredictor
from cisweave.seal.spatial import basis_weights, gene_features
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes

if TYPE_CHECKING:
    from cisweave.models.beluga import Beluga

Floats = NDArray[np.float64]


@dataclass
class HaplotypeExpression:
    """Predicted expression of haplotypes.

    Attributes
    ----------
    expression, reference
        (haplotypes, contexts), ln(expression + pseudocount) of the haplotype, and of the reference of its gene.
    touched
        (haplotypes,), how many windows differ from the reference.
    """

    expression: Floats
    reference: Floats
    touched: NDArray[np.int64]

    @property
    def difference(self) -> Floats:
        """(haplotypes, contexts): haplotype minus reference."""
        return self.expression - self.reference


class HaplotypeScorer:
    """Predicts expression from sequences around a TSS.

    The features of a gene are linear in the rows of its profile. A window that a haplotype changes gives the
    difference of two predictions made in the same way, that of the haplotype and that of the reference; it is weighted
    by the place of its bin and added to the features of the gene's profile in the store. Windows that are the same
    cancel and are not predicted. Where the store was made with the same model and genome, this is the profile with all
    changed rows replaced at once.
    """

    def __init__(
        self,
        genome: Genome,
        store: ProfileStore,
        chromatin: LoadedModel,
        expression: LoadedModel,
        engine: EngineSettings,
    ):
        network = cast("Beluga", chromatin.module)
        self.genome, self.store, self.engine = genome, store, make_engine(chromatin, engine)
        self.tiling = BinTiling.of(store, network.window)
        self.windows = WindowPredictor(network, chromatin.device, engine, self.tiling.step, self.engine.trunk)
        self.contexts = expression.spec.outputs
        self.weights = basis_weights(self.tiling.centres, store.settings.decay)
        self._head, self._device = copy.deepcopy(expression.module).double(), expression.device

    def gene(self, row: int) -> Gene:
        """Where the gene in a row of the store starts."""
        columns = self.store.genes
        return Gene(str(columns.chrom.iat[row]), int(columns.tss.to_numpy()[row]), str(columns.strand.iat[row]))

    def region(self, row: int, edits: Sequence[Edit] = ()) -> HaplotypeRegion:
        """The windows of a gene on the genome with ``edits`` put in."""
        return haplotype_region(self.genome, self.gene(row), self.tiling, edits)

    def expression(self, genes: Sequence[int], regions: Sequence[Codes]) -> HaplotypeExpression:
        """Predicted expression of a handful of haplotypes.

        Parameters
        ----------
        genes
            (haplotypes,), rows of the store.
        regions
            (length,) each: the windows of the gene on the haplotype, lowest coordinate first.
        """
        rows = sorted(set(genes))
        references = {row: self.region(row).codes for row in rows}
        touched = [self.tiling.touched(references[row], codes) for row, codes in zip(genes, regions, strict=True)]
        changed = {row: np.zeros(len(self.tiling.centres), dtype=np.bool_) for row in rows}
        for row, mask in zip(genes, touched, strict=True):
            changed[row] |= mask
        predicted = self.windows.rows([*references.values(), *regions], [*changed.values(), *touched])
        before = dict(zip(rows, predicted[: len(rows)], strict=True))
        features = dict(zip(rows, gene_features(self.store, np.array(rows, np.int64)), strict=True))
        haplotypes = [
            features[row] + self._change(row, mask, after - before[row][mask[changed[row]]])
            for row, mask, after in zip(genes, touched, predicted[len(rows) :], strict=True)
        ]
        reference = dict(zip(rows, self.predict(np.stack(list(features.values()))), strict=True)) if rows else {}
        against = np.array([reference[row] for row in genes]).reshape(len(genes), len(self.contexts))
        numbers = np.array([mask.sum() for mask in touched], dtype=np.int64)
        moved = np.flatnonzero(numbers)
        expression = against.copy()
        if len(moved):
            expression[moved] = self.predict(np.stack([haplotypes[number] for number in moved]))
        return HaplotypeExpression(expression, against, numbers)

    def of_profile(self, profile: Rows, strand: str) -> Floats:
        """Predicted expression (contexts,) from all windows (bins, tracks) of a region, lowest coordinate first."""
        oriented = profile if strand == "+" else profile[::-1]
        features = (self.weights @ oriented.astype(np.float64)).reshape(1, -1)
        expression: Floats = self.predict(features)[0]
        return expression

    def predict(self, features: Floats) -> Floats:
        """Predicted ln(expression + pseudocount) (haplotypes, contexts) of spatial features, in float64."""
        import torch

        with torch.inference_mode():
            expression: Floats = self._head(torch.from_numpy(features).to(self._device)).cpu().numpy()
        return expression

    def _change(self, row: int, mask: NDArray[np.bool_], difference: Rows) -> Floats:
        """Change of the features (basis * tracks,) when the touched windows change by ``difference``."""
        weights = self.weights if self.gene(row).sign > 0 else self.weights[:, ::-1]
        return (weights[:, mask] @ difference.astype(np.float64)).ravel()
