"""``cisweave xpresso``: from promoters and the features of genes to expression."""

from cisweave.cli.xpresso import data, measure, models, predict
from cisweave.cli.xpresso.app import app

__all__ = ["app", "data", "measure", "models", "predict"]
