"""The one training loop of the house, on Lightning."""

from cisweave.training.data import ArrayDataset, BatchDataset, RowDataset, make_loader
from cisweave.training.loop import FitResult, TrainedModule, fit
from cisweave.training.schedule import warmup_cosine

__all__ = [
    "ArrayDataset",
    "BatchDataset",
    "FitResult",
    "RowDataset",
    "TrainedModule",
    "fit",
    "make_loader",
    "warmup_cosine",
]
