"""Data for training: datasets that give whole batches, in an order that depends only on seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from cisweave.core.seeds import derive_seed

Batch = tuple[torch.Tensor, ...]


class BatchDataset(Protocol):
    """A dataset that gives several examples at once."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def __getitems__(self, indices: list[int]) -> Batch:
        """A batch of examples."""
        ...


class ArrayDataset(Dataset[Batch]):
    """Rows of tensors held in memory."""

    def __init__(self, *tensors: torch.Tensor):
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> Batch:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Rows ``indices`` of every tensor."""
        return tuple(tensor[indices] for tensor in self.tensors)


class RowDataset(Dataset[Batch]):
    """Some rows of tensors held in memory; the tensors are shared between datasets, not copied."""

    def __init__(self, rows: Sequence[int] | NDArray[np.int64], *tensors: torch.Tensor):
        self.rows, self.tensors = torch.as_tensor(rows, dtype=torch.int64), tensors

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return tuple(tensor[self.rows[index]] for tensor in self.tensors)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Rows ``indices`` of the dataset, of every tensor."""
        rows = self.rows[indices]
        return tuple(tensor[rows] for tensor in self.tensors)


class EpochShuffle(Sampler[int]):
    """A permutation that is a function of seed and epoch alone, so a resumed run sees the same order."""

    def __init__(self, size: int, seed: int):
        self.size, self.seed, self.epoch = size, seed, 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        order = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", self.epoch))
        yield from torch.randperm(self.size, generator=order).tolist()

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch."""
        self.epoch = epoch


def keep_batch(batch: Any) -> Any:
    """Collate function for datasets whose ``__getitems__`` already gives a batch."""
    return batch


def make_loader(
    dataset: BatchDataset, batch_size: int, shuffle_seed: int | None = None, keep_lone: bool = False
) -> DataLoader[Any]:
    """A loader of whole batches; shuffled by :class:`EpochShuffle` where ``shuffle_seed`` is given.

    A single example left over at the end of a shuffled epoch is passed over (batch normalisation needs two) unless
    ``keep_lone``; it is another one each epoch.
    """
    sampler: Sampler[int] | Sequence[int]
    sampler = range(len(dataset)) if shuffle_seed is None else EpochShuffle(len(dataset), shuffle_seed)
    lone_tail = not keep_lone and shuffle_seed is not None and len(dataset) > 1 and len(dataset) % batch_size == 1
    return DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=keep_batch,
        drop_last=lone_tail,
    )
