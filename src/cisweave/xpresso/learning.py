"""What a promoter model learns from, and one step of learning.

Dimension legend
    genes - examples, batch - genes of one step, length - bases of a window, segments - parts of it,
    size - numbers that describe a segment, extras - half-life features, factors and microRNAs in a row
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch.nn.functional import l1_loss, mse_loss

from cisweave.core.devices import float32_arithmetic
from cisweave.sequence.onehot import one_hot
from cisweave.training.data import Batch
from cisweave.training.loop import TrainedModule
from cisweave.xpresso.collapse import CollapseWatch
from cisweave.xpresso.optimisers import Rates, keep_velocity, make_optimizer

if TYPE_CHECKING:
    from cisweave.config import PromoterTrainingSettings
    from cisweave.models.promoter.network import PromoterNetwork

PASS_BASES = 1 << 19
"""Bases that go through a network at a time where no gradients are kept."""


# --- examples ---------------------------------------------------------------------------------------------------------
class Reader(Protocol):
    """Gives what a model reads of the promoters of some rows."""

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Codes uint8 (k, length), segments float32 (k, segments, size), or nothing (k, 0)."""
        ...


class Examples:
    """Genes as a model learns them; promoters are read from disk batch by batch.

    Parameters
    ----------
    rows
        Rows (genes,) of the data.
    read
        Reads the promoters of rows.
    extras
        float32 (genes, extras), scaled.
    labels
        float32 (genes,), scaled.
    """

    def __init__(self, rows: NDArray[np.int64], read: Reader, extras: NDArray[np.float32], labels: NDArray[np.float32]):
        self.rows, self.read = rows, read
        self.extras, self.labels = torch.from_numpy(extras), torch.from_numpy(labels)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """Promoters (:class:`Reader`), extras (batch, extras) and labels (batch,)."""
        return self.read(self.rows[indices]), self.extras[indices], self.labels[indices]


def predict(network: PromoterNetwork, promoters: torch.Tensor, extras: torch.Tensor) -> torch.Tensor:
    """Predictions (batch,) from what :class:`Examples` gives, already on the network's device."""
    if promoters.dtype == torch.uint8:
        found = network(one_hot(promoters, promoters.device).to(extras.dtype), extras)
    elif promoters.ndim == 3:
        found = network.forward_represented(promoters, extras)
    else:
        found = network(None, extras)
    return cast("torch.Tensor", found).squeeze(-1)


def passes(genes: int, window: int) -> Iterator[slice]:
    """Parts of so many genes that go through a network at a time, of about equal size."""
    number = max(1, -(-genes * window // PASS_BASES))
    step = -(-genes // number)
    return (slice(start, min(start + step, genes)) for start in range(0, genes, step))


def predict_examples(network: PromoterNetwork, examples: Examples, device: torch.device) -> NDArray[np.float64]:
    """Predictions (genes,) of a network in eval mode, in units of the scaled labels."""
    network.to(device).eval()
    step = max(1, PASS_BASES // max(1, network.window))
    found = []
    with torch.inference_mode(), float32_arithmetic(tf32=False):
        for start in range(0, len(examples), step):
            indices = list(range(start, min(start + step, len(examples))))
            promoters, extras, _ = examples.__getitems__(indices)
            found.append(predict(network, promoters.to(device), extras.to(device)).cpu())
    return torch.cat(found).double().numpy() if found else np.zeros(0)


# --- a step -----------------------------------------------------------------------------------------------------------
class PromoterModule(TrainedModule):
    """Trains a promoter network, as the zoo was trained.

    Logs ``train_loss``, ``valid_loss`` (mean over the validation genes), ``valid_r2`` (Pearson's r, squared) and
    ``valid_spread``, the standard deviation of the predictions in units of the labels'.

    Parameters
    ----------
    network
        The model.
    settings
        Resolved settings: optimiser, rate, loss, batch size are given.
    rates
        The course of the learning rate.
    seed
        Seed of dropout and order.
    """

    def __init__(self, network: PromoterNetwork, settings: PromoterTrainingSettings, rates: Rates, seed: int):
        super().__init__(network, settings.learning_rate or 1.0, seed)
        self.settings, self.rates = settings, rates
        self.watch = CollapseWatch()
        self.sums = torch.zeros(7, dtype=torch.float64)

    @property
    def trains_again(self) -> bool:
        """A model that has collapsed is started again."""
        return self.watch.collapsed

    def configure_callbacks(self) -> list[Callback]:
        """The watch for collapse."""
        return [self.watch]

    def loss(self, predicted: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean squared or absolute error of a batch, in float32 at least, whatever the network computes in."""
        measure = l1_loss if self.settings.loss == "mae" else mse_loss
        kind = torch.promote_types(predicted.dtype, torch.float32)
        return measure(predicted.to(kind), labels.to(kind))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Loss of one batch."""
        promoters, extras, labels = batch
        loss = self.loss(predict(cast("PromoterNetwork", self.network), promoters, extras), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)
        return loss

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed this step; where the learning rate has just dropped, SGD keeps its pace as in Keras."""
        super().on_train_batch_start(batch, batch_idx)
        drop = self.rates.drop_epoch
        if drop and batch_idx == 0 and self.current_epoch == drop and self.rates.drop_factor is not None:
            keep_velocity(
                cast("torch.optim.Optimizer", self.optimizers(use_pl_optimizer=False)), self.rates.drop_factor
            )

    def on_validation_epoch_start(self) -> None:
        """Nothing is summed yet."""
        self.sums = torch.zeros(7, dtype=torch.float64)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Sum over genes what loss, correlation and spread need, in float64."""
        promoters, extras, labels = batch
        network = cast("PromoterNetwork", self.network)
        parts = [predict(network, promoters[part], extras[part]) for part in passes(len(labels), network.window)]
        p, y = torch.cat(parts).cpu().double(), labels.cpu().double()
        loss = (p - y).abs() if self.settings.loss == "mae" else (p - y) ** 2
        self.sums = self.sums + torch.stack(
            [torch.tensor(float(len(y))).double(), loss.sum(), p.sum(), y.sum(), (p * p).sum(), (y * y).sum(), p @ y]
        )

    def on_validation_epoch_end(self) -> None:
        """Log the figures of all validation genes."""
        sums = self.sums
        if self.trainer.world_size > 1:
            reduced = cast("torch.Tensor", self.trainer.strategy.reduce(sums.to(self.device), reduce_op="sum"))
            sums = reduced.cpu()
        genes, loss, p, y, pp, yy, py = sums.tolist()
        spread = np.sqrt(max(pp / genes - (p / genes) ** 2, 0.0)) if np.isfinite(pp) else np.nan
        width = np.sqrt(max(yy / genes - (y / genes) ** 2, 0.0))
        common = py / genes - p * y / genes**2
        r2 = (common / (spread * width)) ** 2 if spread > 0 and width > 0 else spread * 0.0
        self.log("valid_loss", loss / genes, sync_dist=True)
        self.log("valid_r2", float(r2), sync_dist=True)
        self.log("valid_spread", float(spread / width) if width > 0 else np.nan, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """The published optimiser, its rate a function of step and epoch."""
        optimizer = make_optimizer(self.network.parameters(), self.settings, self.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.rates.factor(step, step // self.steps_per_epoch() if step else 0)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def steps_per_epoch(self) -> int:
        """Steps of the optimiser in an epoch."""
        batches = int(self.trainer.num_training_batches)
        return max(1, -(-batches // self.trainer.accumulate_grad_batches))
