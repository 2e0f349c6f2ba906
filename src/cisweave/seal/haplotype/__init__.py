"""Haplotypes: all windows that a sequence changes predicted together, in place of nine windows one by one."""

from cisweave.seal.haplotype.alone import AloneScorer, score_haplotype_mode
from cisweave.seal.haplotype.cohort import haplotype_effects
from cisweave.seal.haplotype.edits import Edit, Gene, Tiling, edit_of, haplotype_region
from cisweave.seal.haplotype.scorer import HaplotypeExpression, HaplotypeScorer
from cisweave.seal.haplotype.sequences import sequence_effects

__all__ = [
    "AloneScorer",
    "Edit",
    "Gene",
    "HaplotypeExpression",
    "HaplotypeScorer",
    "Tiling",
    "edit_of",
    "haplotype_effects",
    "haplotype_region",
    "score_haplotype_mode",
    "sequence_effects",
]
