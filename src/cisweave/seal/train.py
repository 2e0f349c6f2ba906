"""Both phases of transfer learning in one command, and what Seal writes of them (Seal, sections 3.6 and 5)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.config import ExpressionSettings, TrainingSettings
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, existing, read_json
from cisweave.core.logs import get_logger
from cisweave.models.folders import METRICS, SPEC, WEIGHTS, load_model
from cisweave.seal.expression import load_data, load_shared, make_task, present, run_finetune, run_pretrain
from cisweave.seal.original.expression import checkpoint_path, import_expression, write_checkpoint, write_tables
from cisweave.seal.original.records import read_validation, write_losses, write_performance, write_validation
from cisweave.seal.original.summary import ModelSummary, read_model_summary, write_model_summary
from cisweave.seal.phases import TrainedPhase, read_checkpoint
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

TABLES = ("training_loss_summary.tsv", "testing_perf.tsv")
"""Tables that Seal writes of each phase."""


@dataclass(frozen=True)
class TrainFiles:
    """Files of :func:`train`.

    Attributes
    ----------
    profiles
        Store of TSS profiles.
    expression
        Expression of the specific contexts (TSV: ``gene_id``, then linear-scale values per context).
    model
        Model folder of the fine-tuned network, to write.
    general_expression
        Expression of the general contexts; not needed with ``pretrained``.
    pretrained
        A pre-trained model in place of the general phase: a model folder, or the prefix of Seal's files
        (``<prefix>_seal_pt_model.pt``, ``<prefix>_seal_model_summary.txt``).
    pretrained_model
        Model folder of the pre-trained network, to write; not needed where ``pretrained`` is a folder.
    annotation
        Gene annotation with the types of genes.
    general_groups, groups
        Groups of general and specific contexts for the weights of genes.
    compat_prefix
        Write Seal's files, too: ``<prefix>_seal_…``.
    """

    profiles: Path
    expression: Path
    model: Path
    general_expression: Path | None = None
    pretrained: Path | None = None
    pretrained_model: Path | None = None
    annotation: Path | None = None
    general_groups: Path | None = None
    groups: Path | None = None
    compat_prefix: Path | None = None


def train(
    files: TrainFiles,
    contexts: Sequence[str] | None = None,
    general_contexts: Sequence[str] | None = None,
    settings: ExpressionSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    device: DeviceName = "auto",
    hidden: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Pre-train on the general contexts (or take a pre-trained model), then fine-tune on the specific ones.

    Parameters
    ----------
    contexts, general_contexts
        Columns to learn of the two expression tables; None: all.
    hidden
        Units that a pre-trained model must have; None: any.

    Returns
    -------
    dict
        Metrics of the model folders, by phase; without ``pretrain`` where that model was there already.
    """
    settings, training = settings or ExpressionSettings(), training or TrainingSettings()
    check_files(files)
    metrics: dict[str, dict[str, Any]] = {}
    general: TrainedPhase | None = None
    if files.pretrained is None:
        general = first_phase(files, general_contexts, settings, training, seed, device)
        metrics["pretrain"] = general.metrics
        folder, shared = general.task.folder, general.network.shared
    else:
        folder = pretrained_folder(files)
        shared = load_shared(folder)
        if hidden not in (None, shared.out_features):
            raise CisweaveError(
                f"the pre-trained model has {shared.out_features} hidden units, not {hidden}; leave --hidden out",
                path=files.pretrained,
            )
    data = load_data(files.profiles, files.expression, contexts, settings, files.annotation)
    inputs = present(files.profiles, files.expression, folder / WEIGHTS, files.annotation, files.groups)
    grouped = (files.groups, files.expression, data)
    task = make_task("finetune", files.model, settings, training, inputs, seed, device, grouped)
    specific = run_finetune(shared, data, task)
    metrics["finetune"] = specific.metrics
    if files.compat_prefix is not None:
        write_seal_files(files, folder, general, specific)
    return metrics


def check_files(files: TrainFiles) -> None:
    """Raise unless the files make one way to train."""
    if files.pretrained is None and files.general_expression is None:
        raise CisweaveError("give the expression of the general contexts, or a pre-trained model (--pretrained)")
    if files.pretrained_model is None and (files.pretrained is None or not files.pretrained.is_dir()):
        raise CisweaveError("say where to write the pre-trained model (--pretrained-model)")
    if files.pretrained_model is not None and files.pretrained_model.resolve() == files.model.resolve():
        raise CisweaveError("the pre-trained and the fine-tuned model need a folder each", path=files.model)


def first_phase(
    files: TrainFiles,
    contexts: Sequence[str] | None,
    settings: ExpressionSettings,
    training: TrainingSettings,
    seed: int,
    device: DeviceName,
) -> TrainedPhase:
    """Pre-train from scratch."""
    assert files.general_expression is not None
    assert files.pretrained_model is not None
    data = load_data(files.profiles, files.general_expression, contexts, settings, files.annotation)
    inputs = present(files.profiles, files.general_expression, files.annotation, files.general_groups)
    grouped = (files.general_groups, files.general_expression, data)
    task = make_task("pretrain", files.pretrained_model, settings, training, inputs, seed, device, grouped)
    return run_pretrain(data, task)


def pretrained_folder(files: TrainFiles) -> Path:
    """The folder of the pre-trained model; Seal's files are imported into one."""
    assert files.pretrained is not None
    if files.pretrained.is_dir():
        return files.pretrained
    assert files.pretrained_model is not None
    weights = existing(checkpoint_path(files.pretrained, "general"))
    tables = [Path(f"{files.pretrained}_seal_pt_{table}") for table in TABLES]
    losses, performance = (path if path.is_file() else None for path in tables)
    summary = f"{files.pretrained}_seal_model_summary.txt"
    import_expression(summary, files.pretrained_model, weights, "general", losses, performance)
    return files.pretrained_model


# --- Seal's files -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PhaseRecord:
    """What Seal's validation table and model summary say of a phase; NaN where unknown."""

    contexts: list[str]
    hidden: int
    valid_mse: float
    test_mse: float
    test_spearman: float


def write_seal_files(files: TrainFiles, folder: Path, general: TrainedPhase | None, specific: TrainedPhase) -> None:
    """Write the files that Seal leaves of a training: checkpoints, losses, scores per context, model summary."""
    assert files.compat_prefix is not None
    prefix = files.compat_prefix
    if general is not None:
        first = write_phase(general, prefix, "general")
    elif files.pretrained is not None and not files.pretrained.is_dir():
        first = copy_phase(files.pretrained, prefix)
    else:
        first = write_folder(folder, prefix)
    second = write_phase(specific, prefix, "specific")
    write_validation(first.valid_mse, second.valid_mse, f"{prefix}_seal_validation_perf.tsv")
    summary = Path(f"{prefix}_seal_model_summary.txt")
    write_model_summary(
        ModelSummary(
            pretrained=str(checkpoint_path(prefix, "general")),
            hidden=second.hidden,
            general_contexts=first.contexts,
            pretrain_mse=first.test_mse,
            pretrain_spearman=first.test_spearman,
            finetuned=str(checkpoint_path(prefix, "specific")),
            specific_contexts=second.contexts,
            finetune_mse=second.test_mse,
            finetune_spearman=second.test_spearman,
        ),
        summary,
    )
    write_receipt(summary, inputs=[folder / SPEC, files.model / SPEC], dtype="float32")
    logger.info("Seal's files of this training are %s_seal_*", prefix)


def write_phase(trained: TrainedPhase, prefix: Path, phase: Literal["general", "specific"]) -> PhaseRecord:
    """Write checkpoint, losses and scores per context of a phase that was trained here."""
    checkpoint = checkpoint_path(prefix, phase)
    optimiser = read_checkpoint(trained.task, "best")["optimizer_states"][0]
    write_checkpoint(trained.best, checkpoint, optimiser)
    stem = str(checkpoint).removesuffix("model.pt")
    write_losses(trained.history, stem + TABLES[0])
    scores = full_scores(trained.predicted, trained.measured, trained.contexts)
    write_performance(scores, stem + TABLES[1])
    return PhaseRecord(
        contexts=trained.contexts,
        hidden=trained.network.shared.out_features,
        valid_mse=trained.metrics["valid"]["mse"],
        test_mse=float(scores.mse.median()),
        test_spearman=float(scores.spearman.median()),
    )


def full_scores(predicted: NDArray[np.float32], measured: NDArray[np.float32], contexts: Sequence[str]) -> pd.DataFrame:
    """Columns context, mse (float32, as Seal computes it) and spearman, not rounded; NaN where there is none."""
    from scipy.stats import spearmanr

    rows = []
    for number, context in enumerate(contexts):
        first, second = predicted[:, number], measured[:, number]
        mse = torch.nn.functional.mse_loss(torch.from_numpy(first), torch.from_numpy(second)).item()
        varies = np.ptp(first) > 0 and np.ptp(second) > 0
        rows.append((context, mse, float(spearmanr(first, second).statistic) if varies else float("nan")))
    return pd.DataFrame(rows, columns=["context", "mse", "spearman"])


def copy_phase(pretrained: Path, prefix: Path) -> PhaseRecord:
    """Copy Seal's files of a pre-trained model to the new prefix, as Seal does."""
    for name in ("model.pt", *TABLES):
        source, target = (Path(f"{each}_seal_pt_{name}") for each in (pretrained, prefix))
        if source.resolve() == target.resolve():
            continue
        if source.is_file():
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
        else:
            logger.warning("%s is not there, so there is no %s", source, target)
    told = read_model_summary(f"{pretrained}_seal_model_summary.txt")
    losses = Path(f"{pretrained}_seal_validation_perf.tsv")
    valid_mse = read_validation(losses)[0] if losses.is_file() else float("nan")
    return PhaseRecord(told.general_contexts, told.hidden, valid_mse, told.pretrain_mse, told.pretrain_spearman)


def write_folder(folder: Path, prefix: Path) -> PhaseRecord:
    """Write checkpoint and, where the folder holds them, losses and scores of a pre-trained model folder."""
    loaded = load_model(folder, architecture="expression")
    metrics = read_json(folder / METRICS)
    checkpoint = checkpoint_path(prefix, "general")
    write_checkpoint(loaded.module, checkpoint)  # type: ignore[arg-type]
    write_tables(loaded, metrics, str(checkpoint).removesuffix("_model.pt"))
    test = metrics.get("test", {})
    return PhaseRecord(
        contexts=loaded.spec.outputs,
        hidden=int(loaded.spec.hyperparameters["hidden"]),
        valid_mse=number_of(metrics.get("valid", {}).get("mse")),
        test_mse=number_of(test.get("mse_median")),
        test_spearman=number_of(test.get("spearman_median")),
    )


def number_of(value: float | None) -> float:
    """A number, NaN where there is none."""
    return float("nan") if value is None else float(value)
