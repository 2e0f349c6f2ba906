"""Each variant of a table alone on its haplotype: the true difference of both alleles (``mode: haplotype``).

Dimension legend
    variants - alleles to score, tracks - chromatin outputs, contexts - tissues or cell states
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cisweave.config import EngineSettings
from cisweave.models.folders import LoadedModel
from cisweave.models.profiles import ProfileStore
from cisweave.seal.haplotype.edits import Edit, edit_of
from cisweave.seal.haplotype.scorer import HaplotypeScorer
from cisweave.seal.predict import VariantEffects, negate_swapped
from cisweave.sequence.genome import Genome

if TYPE_CHECKING:
    import pandas as pd


class AloneScorer:
    """Scores variants one by one, each with all windows of its gene that it changes.

    Where the nine shifted windows of Seal are nine separate differences, summed, here the gene's profile is that of the
    haplotype: all windows that hold a changed base are predicted again, both alleles in the same way, and expression is
    predicted once for each allele. Windows lie at the places of the profile, in the haplotype's own coordinates: an
    insertion or deletion moves all windows beyond it.
    """

    def __init__(
        self,
        genome: Genome,
        store: ProfileStore,
        chromatin: LoadedModel,
        expression: LoadedModel,
        engine: EngineSettings | None = None,
    ):
        self.settings = engine or EngineSettings()
        self.scorer = HaplotypeScorer(genome, store, chromatin, expression, self.settings)
        self.outputs = len(expression.spec.outputs), len(chromatin.spec.outputs)

    def score(self, variants: pd.DataFrame) -> VariantEffects:
        """Score the variants of a table.

        Parameters
        ----------
        variants
            Columns ``chrom``, ``pos`` (1-based), ``ref``, ``alt``, ``gene_id``, and ``swapped`` where REF and ALT may
            have been exchanged: the effects of such alleles are negated. The bases of REF stand on the reference
            haplotype whatever the genome holds. An allele must fit into the window that is centred on it.

        Returns
        -------
        VariantEffects
            ``expression``: ln expression of ALT's haplotype minus that of REF's; ``chromatin``: as in mode seal.
        """
        contexts, tracks = self.outputs
        effects = VariantEffects(
            np.zeros((len(variants), contexts), dtype=np.float32), np.zeros((len(variants), tracks), dtype=np.float32)
        )
        genes = self.scorer.store.rows(variants.gene_id)
        order = np.argsort(genes, kind="stable")
        for start in range(0, len(order), self.settings.batch_size):
            batch = order[start : start + self.settings.batch_size]
            some = variants.iloc[batch]
            effects.expression[batch] = allele_differences(self.scorer, genes[batch].tolist(), some)
            predictions = self.scorer.engine.predict(some, self.scorer.genome, [0])
            effects.chromatin[batch] = (predictions.alternative[:, 0] - predictions.reference[:, 0]).cpu().numpy()
        negate_swapped(variants, slice(None), effects)
        return effects


def allele_differences(scorer: HaplotypeScorer, genes: list[int], variants: pd.DataFrame) -> NDArray[np.float64]:
    """Expression of ALT's haplotype minus that of REF's (variants, contexts) of a handful of variants."""
    places = list(zip(variants.chrom, variants.pos, variants.ref, variants["alt"], strict=True))
    regions = [
        scorer.region(row, edits_of(scorer.genome, chrom, int(pos), ref, allele)).codes
        for alleles in ("ref", "alt")
        for row, (chrom, pos, ref, alt) in zip(genes, places, strict=True)
        for allele in [ref if alleles == "ref" else alt]
    ]
    both = scorer.expression([*genes, *genes], regions).expression
    difference: NDArray[np.float64] = both[len(genes) :] - both[: len(genes)]
    return difference


def edits_of(genome: Genome, chrom: str, pos: int, ref: str, allele: str) -> list[Edit]:
    """What turns the genome into the haplotype that has ``allele`` in the place of REF; nothing where it has it."""
    found, allele = genome.fetch(chrom, pos - 1, pos - 1 + len(ref)), allele.upper()
    return [] if found == allele else [edit_of(pos, found, allele)]
