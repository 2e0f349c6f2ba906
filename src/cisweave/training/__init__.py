"""The one training loop of the house, on Lightning."""

from cisweave.training.data import ArrayDataset, BatchDataset, make_loader
from cisweave.training.loop import FitResult, TrainedModule, fit
from cisweave.training.schedule import warmup_cosine

__all__ = ["ArrayDataset", "BatchDataset", "FitResult", "TrainedModule", "fit", "make_loader", "warmup_cosine"]
