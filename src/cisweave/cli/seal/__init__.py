"""``cisweave seal``: chromatin, spatial features, expression and the effects of variants on them."""

from cisweave.cli.seal import chromatin, expression, files, haplotype, interpret, predict, saturate
from cisweave.cli.seal.app import app

__all__ = ["app", "chromatin", "expression", "files", "haplotype", "interpret", "predict", "saturate"]
