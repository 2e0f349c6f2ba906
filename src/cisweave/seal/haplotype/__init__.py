"""Haplotypes: all windows that a sequence changes predicted together, in place of nine windows one by one."""

from cisweave.seal.haplotype.alone import AloneScorer
from cisweave.seal.haplotype.cohort import haplotype_effects
from cisweave.seal.haplotype.edits import BinTiling, Edit, Gene, edit_of, haplotype_region
from cisweave.seal.haplotype.scorer import HaplotypeExpression, HaplotypeScorer
from cisweave.seal.haplotype.sequences import sequence_effects

__all__ = [
    "AloneScorer",
    "BinTiling",
    "Edit",
    "Gene",
    "HaplotypeExpression",
    "HaplotypeScorer",
    "edit_of",
    "haplotype_effects",
    "haplotype_region",
    "sequence_effects",
]
