"""Fit a model: checkpoints, early stopping, logs and exact resume, the same for every room."""

from __future__ import annotations

import logging
import math
import pickle
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    EarlyStopping,
    LearningRateFinder,
    ModelCheckpoint,
    StochasticWeightAveraging,
    Timer,
)
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from cisweave.config import TrainingSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json, write_json
from cisweave.core.logs import get_logger
from cisweave.core.seeds import derive_seed
from cisweave.tables.receipts import settings_hash
from cisweave.training.data import BatchDataset, make_loader

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

logger = get_logger(__name__)

IDENTITY = "identity.json"


class TrainedModule(lightning.LightningModule):
    """A Lightning module whose randomness (dropout, augmentation) depends on seed and step alone.

    With the order of examples a function of seed and epoch (:class:`cisweave.training.data.EpochShuffle`), a run
    that is resumed from a checkpoint goes on exactly as if it had not been interrupted.

    Parameters
    ----------
    network
        The model that is trained.
    learning_rate
        Learning rate; Lightning's finder may set another, so optimisers take it from the attribute.
    seed
        Seed of everything random in training.
    """

    def __init__(self, network: torch.nn.Module, learning_rate: float, seed: int):
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.seed = seed

    @property
    def trains_again(self) -> bool:
        """Whether all processes go on to another training after this one, instead of the first alone."""
        return False

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed PyTorch for this step."""
        torch.manual_seed(derive_seed(self.seed, "step", self.global_step, batch_idx))


class Batches(lightning.LightningDataModule):
    """Training and validation examples; Lightning's finder may set another batch size."""

    def __init__(self, train: BatchDataset, valid: BatchDataset, batch_size: int, seed: int, keep_lone: bool = False):
        super().__init__()
        self.train, self.valid = train, valid
        self.batch_size, self.seed, self.keep_lone = batch_size, seed, keep_lone

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches."""
        return make_loader(self.train, self.batch_size, shuffle_seed=self.seed, keep_lone=self.keep_lone)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches in order; larger ones, for no gradients are kept."""
        return make_loader(self.valid, 4 * self.batch_size)


class History(Callback):
    """Keeps the logged figures of every epoch; travels inside checkpoints so that a resumed run has them all."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add a row: epoch (0-based) and every logged figure."""
        figures = {name: float(value) for name, value in trainer.logged_metrics.items() if not name.endswith("_step")}
        self.rows.append({"epoch": trainer.current_epoch, **figures})

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the checkpoint left."""
        self.rows = list(state_dict["rows"])

    def frame(self) -> pd.DataFrame:
        """One row an epoch."""
        return pd.DataFrame(self.rows)


class RateFinder(LearningRateFinder):
    """Lightning's finder of the learning rate; what it finds also goes to schedules that set the rate at every step."""

    def lr_find(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Try rates, and take the one that is found; where there is none, the rate stays as it is."""
        super().lr_find(trainer, pl_module)
        rate = self.optimal_lr.suggestion() if self.optimal_lr is not None else None
        if rate is None:
            logger.warning("the finder of the learning rate found none; training goes on with the one in the settings")
            return
        for schedule in (config.scheduler for config in trainer.lr_scheduler_configs):
            if not isinstance(schedule, torch.optim.lr_scheduler.LambdaLR):
                continue
            schedule.base_lrs = [rate] * len(schedule.base_lrs)
            for group, factor in zip(schedule.optimizer.param_groups, schedule.lr_lambdas, strict=True):
                group["initial_lr"], group["lr"] = rate, rate * factor(0)


class WallTime(Timer):
    """Ends a training after the epoch in which its time is over; a run that goes on has all of its time again."""

    def __init__(self, duration: str):
        super().__init__(duration, interval="epoch")

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the time of this process counts."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to take up."""


@dataclass
class FitResult:
    """What :func:`fit` gives back; the module holds the best epoch's weights."""

    history: pd.DataFrame
    best_score: float
    epochs: int
    stopped_by_time: bool = False


def shaping_settings(settings: TrainingSettings) -> dict[str, Any]:
    """The shared options without those that only tell what is logged and how long a process may train."""
    return settings.model_dump(
        mode="json",
        exclude={"csv_log": True, "tensorboard": True, "progress": True, "trainer": {"max_time", "profiler"}},
    )


def fit(
    module: TrainedModule,
    train: BatchDataset,
    valid: BatchDataset,
    *,
    batch_size: int,
    folder: str | Path,
    settings: TrainingSettings,
    identity: Mapping[str, Any],
    monitor: str,
    mode: Literal["min", "max"],
    max_epochs: int,
    patience: int | None,
    device: torch.device,
    keep_lone: bool = False,
) -> FitResult:
    """Train ``module`` and leave it with the weights of its best epoch.

    Parameters
    ----------
    train, valid
        Examples; the order of the training examples depends on the module's seed and the epoch alone.
    folder
        Run folder for checkpoints (``best.ckpt``, ``last.ckpt``) and logs. If it holds a checkpoint of an unfinished
        run with the same ``identity``, training goes on from there, exactly; otherwise it starts afresh.
    settings
        Options shared by all training runs, with the ``trainer`` section passed to Lightning's Trainer.
    identity
        What makes two runs the same: settings, seed, data hashes.
    monitor, mode
        Logged validation figure that decides on the best epoch and on stopping, and whether less or more is better.
    patience
        Epochs without improvement before stopping; ``None`` never stops early.
    keep_lone
        Train also on a batch of one example, where one is left over at the end of an epoch.
    """
    folder = Path(folder)
    resume_from = open_run_folder(folder, identity)
    history = History()
    best = ModelCheckpoint(folder / "checkpoints", "best", monitor=monitor, mode=mode, enable_version_counter=False)
    last = ModelCheckpoint(folder / "checkpoints", "last", save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks: list[Callback] = [history, best, last, *optional_callbacks(settings, resumes=resume_from is not None)]
    if patience is not None:
        callbacks.append(EarlyStopping(monitor, mode=mode, patience=patience, strict=False))
    batches = Batches(train, valid, batch_size, module.seed, keep_lone)
    try:
        with only_news():
            trainer = open_trainer(folder, settings, callbacks, max_epochs, device)
            trainer.fit(module, datamodule=batches, ckpt_path=resume_from, weights_only=True if resume_from else None)
    except MisconfigurationException as error:
        raise CisweaveError(f"Lightning refuses the section training: {error}") from error
    if not module.trains_again:
        leave_other_ranks(trainer)
    best_score = math.nan if best.best_model_score is None else float(best.best_model_score)
    require_result(settings, history.frame(), monitor, best_score)
    take_best_weights(module, best, settings)
    cut = stopped_by_time(trainer)
    if cut:
        logger.warning("max_time ended the training after %d epochs; the same command goes on", len(history.rows))
    else:
        write_json(folder / "finished.json", {"epochs": len(history.rows)})
    return FitResult(history.frame(), best_score, len(history.rows), cut)


@contextmanager
def only_news() -> Iterator[None]:
    """Keep out of the log what Lightning says of itself at every start: tips, and warnings nobody can act on."""
    tips = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    tips.addFilter(is_news)
    with warnings.catch_warnings():
        for known in (".*isinstance.treespec, LeafSpec.*", ".*smaller than the logging interval.*"):
            warnings.filterwarnings("ignore", message=known)
        try:
            yield
        finally:
            tips.removeFilter(is_news)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a record is more than an advertisement."""
    return "Tip:" not in record.getMessage()


def open_run_folder(folder: Path, identity: Mapping[str, Any]) -> str | None:
    """Return the checkpoint to resume from, or clear the folder for a new run."""
    record = {"settings_sha256": settings_hash(identity)}
    last = folder / "checkpoints" / "last.ckpt"
    if getattr(rank_zero_only, "rank", 0) > 0:
        return str(last) if last.exists() else None
    if folder.exists() and any(folder.iterdir()) and not (folder / IDENTITY).exists():
        raise CisweaveError("this folder holds files of another kind; give the model another folder", path=folder)
    same = (folder / IDENTITY).exists() and read_json(folder / IDENTITY) == record
    if same and readable(last) and not (folder / "finished.json").exists():
        logger.info("resuming from %s", last)
        return str(last)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / IDENTITY, record)
    return None


def readable(checkpoint: Path) -> bool:
    """Whether a checkpoint is there and whole; a broken one is said and passed over."""
    if not checkpoint.exists():
        return False
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        logger.warning("%s cannot be read (%s); training starts afresh", checkpoint, error)
        return False
    return True


def optional_callbacks(settings: TrainingSettings, resumes: bool) -> list[Callback]:
    """Weight averaging, the finders and the limit of time, where the settings ask for them.

    A run that goes on has its learning rate in the checkpoint; it is not looked for again.
    """
    callbacks: list[Callback] = [] if settings.trainer.max_time is None else [WallTime(settings.trainer.max_time)]
    if settings.weight_averaging is not None:
        callbacks.append(StochasticWeightAveraging(swa_lrs=settings.weight_averaging))
    if settings.find_learning_rate and not resumes:
        callbacks.append(RateFinder(attr_name="learning_rate"))
    if settings.find_batch_size:
        callbacks.append(BatchSizeFinder())
    return callbacks


def open_trainer(
    folder: Path, settings: TrainingSettings, callbacks: list[Callback], max_epochs: int, device: torch.device
) -> lightning.Trainer:
    """:func:`make_trainer`; what Lightning refuses is told in one sentence."""
    try:
        return make_trainer(folder, settings, callbacks, max_epochs, device)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CisweaveError(f"Lightning refuses the section training.trainer: {error}") from error


def make_trainer(
    folder: Path, settings: TrainingSettings, callbacks: list[Callback], max_epochs: int, device: torch.device
) -> lightning.Trainer:
    """A Lightning Trainer from the validated settings."""
    loggers: list[Logger] = []
    if settings.csv_log:
        loggers.append(CSVLogger(folder, name="", version="csv"))
    if settings.tensorboard:
        loggers.append(TensorBoardLogger(folder, name="", version="tensorboard"))
    return lightning.Trainer(
        accelerator=settings.trainer.accelerator or ("gpu" if device.type == "cuda" else "cpu"),
        default_root_dir=folder,
        max_epochs=max_epochs,
        callbacks=callbacks,
        logger=loggers or False,
        enable_progress_bar=settings.progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=50,
        **settings.trainer.model_dump(exclude={"accelerator", "max_time"}),
    )


def leave_other_ranks(trainer: lightning.Trainer) -> None:
    """In distributed training, end all processes but the first, which goes on to measure and save."""
    trainer.strategy.barrier()
    if not trainer.is_global_zero:
        raise SystemExit(0)


def stopped_by_time(trainer: lightning.Trainer) -> bool:
    """Whether ``max_time`` ended the training; the same command then goes on from there."""
    timers = [callback for callback in getattr(trainer, "callbacks", []) if isinstance(callback, Timer)]
    return any((timer.time_remaining() or 0) <= 0 for timer in timers)


def require_result(settings: TrainingSettings, history: pd.DataFrame, monitor: str, best_score: float) -> None:
    """Raise unless an epoch was trained and measured: nothing else is worth saving."""
    if settings.trainer.fast_dev_run:
        raise CisweaveError("training.trainer.fast_dev_run went through without a mistake; nothing is saved")
    if len(history) and monitor in history and not np.isfinite(history[monitor]).any():
        raise CisweaveError(f"training diverged: {monitor} was never finite; lower the learning rate")
    if not math.isfinite(best_score):
        raise CisweaveError(
            f"training stopped before {monitor} was measured once; raise max_time or max_steps in training.trainer"
        )


def take_best_weights(module: TrainedModule, checkpoint: ModelCheckpoint, settings: TrainingSettings) -> None:
    """Load the best epoch's weights, except where averaged weights were asked for."""
    if settings.weight_averaging is None and checkpoint.best_model_path:
        saved = torch.load(checkpoint.best_model_path, map_location="cpu", weights_only=True)
        module.load_state_dict(saved["state_dict"])
