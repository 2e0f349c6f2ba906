"""Models that end up predicting one value for all genes: seen, told, and started again with another seed.

The narrow layers of the Xpresso family (two rectified units) can die: then every gene gets the same prediction, no
gradient comes back, and training on is in vain.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json, write_json
from cisweave.core.logs import get_logger
from cisweave.core.seeds import derive_seed
from cisweave.tables.receipts import settings_hash

logger = get_logger(__name__)

CONSTANT = 1e-4
"""Predictions spread less than this share of the labels' standard deviation are one prediction."""
PATIENCE = 3
"""Epochs in a row after which nothing more is hoped for."""
STARTS = "starts.json"


class CollapseWatch(Callback):
    """Ends a training whose predictions of the validation genes are all the same, some epochs in a row.

    Reads the logged figures ``valid_loss`` and ``valid_spread`` (:class:`cisweave.xpresso.learning.PromoterModule`);
    its counts travel in checkpoints.
    """

    def __init__(self) -> None:
        self.epochs = 0
        self.best_loss = math.inf
        self.best_constant = False

    @property
    def collapsed(self) -> bool:
        """Whether the last or the best epoch's predictions were one value."""
        return self.epochs > 0 or self.best_constant

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Count, and stop where it has gone on for long enough."""
        figures = trainer.callback_metrics
        if "valid_spread" not in figures:
            return
        constant, loss = float(figures["valid_spread"]) < CONSTANT, float(figures["valid_loss"])
        self.epochs = self.epochs + 1 if constant else 0
        if loss < self.best_loss:
            self.best_loss, self.best_constant = loss, constant
        if self.epochs >= PATIENCE:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"epochs": self.epochs, "best_loss": self.best_loss, "best_constant": self.best_constant}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the checkpoint left."""
        self.epochs = int(state_dict["epochs"])
        self.best_loss, self.best_constant = float(state_dict["best_loss"]), bool(state_dict["best_constant"])


class Starts:
    """The starts of one training: which collapsed, and the seed of the one under way.

    Parameters
    ----------
    folder
        Holds ``starts.json`` and a run folder for each start. What stands there of another training is removed.
    identity
        What makes two trainings the same.
    seed
        Seed of the first start.
    most
        New starts after the first.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], seed: int, most: int):
        self.folder, self.seed, self.most = folder, seed, most
        self._record: dict[str, Any] = {"settings_sha256": settings_hash(identity), "collapsed": 0}
        self._open()

    @property
    def collapsed(self) -> int:
        """How many starts have collapsed."""
        number: int = self._record["collapsed"]
        return number

    @property
    def current_seed(self) -> int:
        """Seed of the start under way."""
        return self.seed if not self.collapsed else derive_seed(self.seed, "restart", self.collapsed)

    @property
    def run_folder(self) -> Path:
        """Run folder of the start under way."""
        return self.folder / f"start{self.collapsed}"

    def give_up(self) -> None:
        """Note that the start under way has collapsed; one more than allowed is an error."""
        if self.collapsed >= self.most:
            raise CisweaveError(
                f"the model collapsed to one prediction for all genes in each of {self.collapsed + 1} starts; lower "
                "the learning rate, widen its narrowest layer, or raise restarts",
                path=self.folder.parent,
            )
        self._record["collapsed"] = self.collapsed + 1
        self._write()

    def _open(self) -> None:
        """Take up the record of the same training, or begin one."""
        path = self.folder / STARTS
        if self.folder.exists() and any(self.folder.iterdir()) and not path.exists():
            raise CisweaveError(
                "this folder holds files of another kind; give the model another folder", path=self.folder
            )
        if path.exists():
            known = read_json(path)
            if is_record(known) and known["settings_sha256"] == self._record["settings_sha256"]:
                self._record = known
                return
            logger.info("%s is of another training; its checkpoints are removed", self.folder)
        self._clear()

    @rank_zero_only
    def _clear(self) -> None:
        """An empty folder with a new record."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._write()

    @rank_zero_only
    def _write(self) -> None:
        write_json(self.folder / STARTS, self._record)


def is_record(content: Any) -> bool:
    """Whether the content of ``starts.json`` is whole."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("settings_sha256"), str)
        and isinstance(content.get("collapsed"), int)
    )
