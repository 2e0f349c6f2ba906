"""One phase of transfer learning: loss, training, evaluation, model folder (Seal, sections 3.4 to 3.6).

Dimension legend
    genes - rows, features - spatial features, hidden - units of the shared layer, contexts - outputs
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from cisweave.core.files import sha256
from cisweave.core.logs import get_logger
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import SPEC, ModelSpec, save_model
from cisweave.seal.performance import SIX_DIGITS, performance_table, score_expression, squared_error
from cisweave.seal.targets import gene_weights
from cisweave.tables.frames import write_tsv
from cisweave.tables.receipts import write_receipt
from cisweave.training.data import Batch, RowDataset
from cisweave.training.loop import TrainedModule, fit

if TYPE_CHECKING:
    from cisweave.config import ExpressionSettings, PhaseName, PhaseSettings, TrainingSettings
    from cisweave.seal.expression import ExpressionData, Split

logger = get_logger(__name__)

GENES, PERFORMANCE = "genes.tsv", "performance.tsv"
"""What a model folder of this room holds besides: the split of every gene, the accuracy per context."""
SPLIT_SETTINGS = (
    *("valid_chromosomes", "test_chromosomes", "excluded_chromosomes"),
    *("validation", "valid_share", "valid_seed", "gene_types", "excluded_types", "compat"),
)
"""Settings that a model's description keeps, so that its genes can be told apart again."""
BLOCK = 4096
"""Genes whose hidden units are computed at a time."""


@dataclass(frozen=True)
class PhaseTask:
    """What one phase is trained with, besides its data and its network.

    Attributes
    ----------
    name
        Which phase, and so which section of ``settings``.
    folder
        Model folder to write.
    inputs
        Files whose hashes go into the model's description and receipt.
    groups
        0-based contexts by group, for the weights of genes; None: all contexts are one group.
    """

    name: PhaseName
    folder: Path
    settings: ExpressionSettings
    training: TrainingSettings
    inputs: Sequence[str | Path]
    groups: Mapping[str, Sequence[int]] | None
    seed: int
    device: torch.device

    @property
    def phase(self) -> PhaseSettings:
        """Rates, weights and epochs of this phase."""
        return self.settings.pretrain if self.name == "pretrain" else self.settings.finetune

    @property
    def run_folder(self) -> Path:
        """Checkpoints and logs."""
        return self.folder / "run"


@dataclass
class TrainedPhase:
    """What a phase gives.

    Attributes
    ----------
    network
        The network that was measured and goes on.
        That of the model folder, the best epoch's, is most often the same.
    metrics
        Those of ``metrics.json``.
    """

    task: PhaseTask
    network: ExpressionNetwork
    metrics: dict[str, Any]


# --- loss -------------------------------------------------------------------------------------------------------------
def weighted_loss(predicted: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean squared error per context, weighted by gene, averaged over contexts (Seal, section 3.4).

    All three are (genes, contexts), the genes those of one mini-batch.
    """
    return ((weights * (predicted - targets) ** 2).sum(0) / weights.sum(0)).mean()


class ExpressionModule(TrainedModule):
    """Adam with classic L2 on the parameters that are not frozen; the validation loss is over all genes at once."""

    def __init__(self, network: nn.Module, phase: PhaseSettings, seed: int):
        super().__init__(network, phase.learning_rate, seed)
        self.phase = phase
        self.sums = torch.zeros(0)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Loss of one batch."""
        features, targets, weights = batch
        loss = weighted_loss(self.network(features), targets, weights)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets), sync_dist=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Nothing is summed yet."""
        self.sums = torch.zeros(0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Sum errors and weights per context over the batches."""
        features, targets, weights = batch
        errors = (self.network(features).double() - targets) ** 2
        sums = torch.stack([part.sum(0) for part in (weights * errors, weights, errors, torch.ones_like(errors))])
        self.sums = self.sums + sums if len(self.sums) else sums

    def on_validation_epoch_end(self) -> None:
        """Log the weighted loss of all validation genes, and their plain mean squared error."""
        sums = cast("torch.Tensor", self.trainer.strategy.reduce(self.sums, reduce_op="sum"))
        self.log("valid_loss", (sums[0] / sums[1]).mean().float(), sync_dist=True)
        self.log("valid_mse", (sums[2] / sums[3]).mean().float(), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        learned = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return torch.optim.Adam(learned, lr=self.learning_rate, weight_decay=self.phase.l2)


# --- training ---------------------------------------------------------------------------------------------------------
def run_phase(network: ExpressionNetwork, data: ExpressionData, task: PhaseTask) -> TrainedPhase:
    """Train a phase, measure it on the test contigs, write its model folder and receipt.

    The folder holds the best epoch. The network that is measured and goes on is the same, except under ``compat: seal``
    if no early stop ended the training: then it has the weights of the last epoch, as in the published program.
    """
    hashes = {str(path): sha256(path) for path in task.inputs if Path(path).is_file()}
    history = fit_phase(network, data, task, hashes)
    network.cpu()
    last = task.settings.compat == "seal" and ran_to_the_end(history, task.phase)
    measured = with_last_weights(network, task) if last else network
    test = split_predictions(measured, data, "test")
    metrics = {
        **describe_phase(network.shared.out_features, data, task, history),
        "measured_epoch": "last" if last else "best" if task.training.weight_averaging is None else "averaged",
        "valid": validation_scores(*split_predictions(measured, data, "valid"), data.contexts),
        "test": score_expression(*test, data.contexts),
    }
    performance = performance_table(*test, data.contexts, task.name, task.settings.bootstrap, task.seed)
    write_tsv(data.genes, task.folder / GENES)
    write_tsv(performance, task.folder / PERFORMANCE, float_format=SIX_DIGITS)
    save_model(task.folder, network, model_spec(data, task, network.shared.out_features, hashes), metrics, history)
    write_receipt(
        task.folder / SPEC,
        settings=task.settings.model_dump(mode="json"),
        inputs=task.inputs,
        seed=task.seed,
        device=str(task.device),
        dtype="float32",
    )
    return TrainedPhase(task, measured, metrics)


def fit_phase(
    network: ExpressionNetwork, data: ExpressionData, task: PhaseTask, hashes: Mapping[str, str]
) -> pd.DataFrame:
    """Train ``network`` on the training genes, stop by the validation genes, and return the history.

    A frozen shared layer gives every gene the same hidden units in every epoch, so they are computed once and the head
    alone is trained on them.
    """
    groups = None if task.groups is None else list(task.groups.values())
    known = data.part("train") | data.part("valid")
    weights = torch.from_numpy(gene_weights(data.targets, task.phase.gene_weight, known, groups))
    learned = learned_part(network)
    inputs = torch.from_numpy(data.features) if learned is network else hidden_units(network, data, task.device)
    train, valid = (
        RowDataset(np.flatnonzero(data.part(split)), inputs, torch.from_numpy(data.targets), weights)
        for split in cast("tuple[Split, ...]", ("train", "valid"))
    )
    result = fit(
        ExpressionModule(learned, task.phase, task.seed),
        train,
        valid,
        batch_size=task.settings.batch_size,
        folder=task.run_folder,
        settings=task.training,
        identity=identity_of(network, data, task, hashes),
        monitor="valid_loss",
        mode="min",
        max_epochs=task.phase.max_epochs,
        patience=task.phase.patience,
        device=task.device,
        keep_lone=True,
    )
    return result.history


def identity_of(
    network: ExpressionNetwork, data: ExpressionData, task: PhaseTask, hashes: Mapping[str, str]
) -> dict[str, Any]:
    """What makes two runs of a phase the same."""
    frozen = not network.shared.weight.requires_grad
    return {
        "phase": task.name,
        "settings": task.settings.model_dump(mode="json"),
        "training": task.training.model_dump(mode="json"),
        "contexts": data.contexts,
        "groups": task.groups,
        "data": dict(hashes),
        "seed": task.seed,
        "shared": tensor_hash(network.shared.weight) if frozen else None,
    }


def tensor_hash(tensor: torch.Tensor) -> str:
    """SHA-256 of the numbers of a tensor."""
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def learned_part(network: ExpressionNetwork) -> nn.Module:
    """The network, or its head where the shared layer is frozen."""
    return network if network.shared.weight.requires_grad else network.head


def hidden_units(network: ExpressionNetwork, data: ExpressionData, device: torch.device) -> torch.Tensor:
    """Hidden units (genes, hidden) of all genes, after the ReLU."""
    shared = copy.deepcopy(network.shared).to(device)
    with torch.no_grad():
        blocks = [
            torch.relu(shared(torch.from_numpy(data.features[start : start + BLOCK]).to(device))).cpu()
            for start in range(0, len(data.features), BLOCK)
        ]
    return torch.cat(blocks)


def ran_to_the_end(history: pd.DataFrame, phase: PhaseSettings) -> bool:
    """Whether the epochs ran out before patience did."""
    since_best = len(history) - 1 - int(history.valid_loss.to_numpy().argmin())
    return len(history) >= phase.max_epochs and since_best < phase.patience


def with_last_weights(network: ExpressionNetwork, task: PhaseTask) -> ExpressionNetwork:
    """A copy of the network with the weights of the last epoch."""
    logger.info("%s was not stopped early; its last epoch is measured and goes on (compat: seal)", task.name)
    other = copy.deepcopy(network)
    state = read_epoch(task, "last")["state_dict"]
    learned_part(other).load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    return other


def read_epoch(task: PhaseTask, name: Literal["best", "last"]) -> dict[str, Any]:
    """The checkpoint of the best or the last epoch, from the phase's run folder."""
    path = task.run_folder / "checkpoints" / f"{name}.ckpt"
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint


# --- what is measured and kept ----------------------------------------------------------------------------------------
def describe_phase(hidden: int, data: ExpressionData, task: PhaseTask, history: pd.DataFrame) -> dict[str, Any]:
    """How a phase was trained, for ``metrics.json``."""
    best = int(history.valid_loss.to_numpy().argmin())
    return {
        "phase": task.name,
        "hidden": hidden,
        **{name: getattr(task.phase, name) for name in ("learning_rate", "l2", "gene_weight")},
        "batch_size": task.settings.batch_size,
        "seed": task.seed,
        "epochs": len(history),
        "best_epoch": int(history.epoch.iloc[best]),
        "best_valid_loss": float(history.valid_loss.iloc[best]),
        "genes": data.genes.split.value_counts().sort_index().to_dict(),
        "genes_left_out": data.left_out,
    }


def validation_scores(
    predicted: NDArray[np.float32], measured: NDArray[np.float32], contexts: Sequence[str]
) -> dict[str, Any]:
    """Plain mean squared error over all validation genes and contexts, and the median Spearman correlation."""
    return {
        "genes": len(measured),
        "mse": squared_error(predicted, measured),
        "spearman_median": score_expression(predicted, measured, contexts)["spearman_median"],
    }


def model_spec(data: ExpressionData, task: PhaseTask, hidden: int, hashes: Mapping[str, str]) -> ModelSpec:
    """The description of the model."""
    return ModelSpec(
        architecture="expression",
        hyperparameters={"features": data.features.shape[1], "hidden": hidden, "contexts": len(data.contexts)},
        outputs=data.contexts,
        preprocessing={
            "pseudocounts": dict(zip(data.contexts, data.pseudocounts.tolist(), strict=True)),
            **{name: getattr(task.settings, name) for name in SPLIT_SETTINGS},
        },
        training_data=dict(hashes),
    )


def split_predictions(
    network: nn.Module, data: ExpressionData, split: Split
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Predicted and measured ln expression (genes, contexts) of a split."""
    part = data.part(split)
    network.eval()
    with torch.inference_mode():
        predicted = network(torch.from_numpy(data.features[part])).numpy()
    return predicted, data.targets[part]
