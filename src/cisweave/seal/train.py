"""Both phases of transfer learning in one command, and what Seal writes of them (Seal, sections 3.6 and 5)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cisweave.config import ExpressionSettings, TrainingSettings
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, existing
from cisweave.core.logs import get_logger
from cisweave.models.folders import WEIGHTS, load_model, read_spec
from cisweave.seal.expression import PhaseSources, load_shared, prepare_phase, run_finetune, run_pretrain
from cisweave.seal.original.expression import (
    PhaseRecord,
    checkpoint_path,
    export_phase,
    import_expression,
    read_checkpoint,
    write_overview,
)
from cisweave.seal.original.records import read_validation
from cisweave.seal.original.summary import read_model_summary
from cisweave.seal.phases import TrainedPhase, read_epoch

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

    What both phases learn from is read before anything is trained or written.

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
    options = (settings, training, seed, device)
    learn = None
    if files.pretrained is None:
        learn = prepare_phase("pretrain", general_sources(files, general_contexts), *options)
    folder = folder_of_first(files)
    sources = PhaseSources(
        files.profiles, files.expression, files.model, contexts, files.annotation, files.groups, folder
    )
    data, task = prepare_phase("finetune", sources, *options)
    metrics: dict[str, dict[str, Any]] = {}
    first: TrainedPhase | None = None
    if learn is not None:
        first = run_pretrain(*learn)
        metrics["pretrain"] = first.metrics
        shared = first.network.shared
    else:
        check_pretrained(files, hidden, data.features.shape[1])
        import_pretrained(files)
        shared = load_shared(folder)
    second = run_finetune(shared, data, task)
    metrics["finetune"] = second.metrics
    if files.compat_prefix is not None:
        write_seal_files(files, folder, first, second)
    return metrics


def check_files(files: TrainFiles) -> None:
    """Raise unless the files make one way to train."""
    if files.pretrained is None and files.general_expression is None:
        raise CisweaveError("give the expression of the general contexts, or a pre-trained model (--pretrained)")
    if files.pretrained_model is None and (files.pretrained is None or not files.pretrained.is_dir()):
        raise CisweaveError("say where to write the pre-trained model (--pretrained-model)")
    if files.pretrained_model is not None and files.pretrained_model.resolve() == files.model.resolve():
        raise CisweaveError("the pre-trained and the fine-tuned model need a folder each", path=files.model)


def general_sources(files: TrainFiles, contexts: Sequence[str] | None) -> PhaseSources:
    """What the general phase learns from."""
    assert files.general_expression is not None
    assert files.pretrained_model is not None
    return PhaseSources(
        files.profiles,
        files.general_expression,
        files.pretrained_model,
        contexts,
        files.annotation,
        files.general_groups,
    )


def folder_of_first(files: TrainFiles) -> Path:
    """The folder of the pre-trained model: there already, to be trained, or to be made of Seal's files."""
    if files.pretrained is not None and files.pretrained.is_dir():
        return files.pretrained
    assert files.pretrained_model is not None
    return files.pretrained_model


def check_pretrained(files: TrainFiles, hidden: int | None, features: int) -> None:
    """Raise unless the pre-trained model takes these features and, if that is said, has so many hidden units."""
    assert files.pretrained is not None
    if files.pretrained.is_dir():
        sizes = read_spec(files.pretrained).hyperparameters
        widths = (sizes.get("features"), sizes.get("hidden"))
    else:
        checkpoint = read_checkpoint(existing(checkpoint_path(files.pretrained, "pretrain")))
        widths = (checkpoint.features, checkpoint.hidden)
    if hidden not in (None, widths[1]):
        raise CisweaveError(
            f"the pre-trained model has {widths[1]} hidden units, not {hidden}; leave --hidden out",
            path=files.pretrained,
        )
    if widths[0] != features:
        raise CisweaveError(
            f"the pre-trained model takes {widths[0]} features, the TSS profiles have {features}; take one of the "
            "same tracks",
            path=files.pretrained,
        )


def import_pretrained(files: TrainFiles) -> None:
    """Make a model folder of Seal's files, where the pre-trained model comes as such."""
    assert files.pretrained is not None
    if files.pretrained.is_dir():
        return
    assert files.pretrained_model is not None
    weights = existing(checkpoint_path(files.pretrained, "pretrain"))
    tables = [Path(f"{files.pretrained}_seal_pt_{table}") for table in TABLES]
    losses, performance = (path if path.is_file() else None for path in tables)
    summary = f"{files.pretrained}_seal_model_summary.txt"
    import_expression(summary, files.pretrained_model, weights, "pretrain", losses, performance)


# --- Seal's files -----------------------------------------------------------------------------------------------------
def write_seal_files(files: TrainFiles, folder: Path, first: TrainedPhase | None, second: TrainedPhase) -> None:
    """Write the files that Seal leaves of a training: checkpoints, losses, scores per context, model summary.

    ``folder`` is that of the pre-trained model, ``first`` its training, if that was done here.
    """
    assert files.compat_prefix is not None
    prefix = files.compat_prefix
    if files.pretrained is not None and not files.pretrained.is_dir():
        general = copy_phase(files.pretrained, prefix)
    else:
        loaded = load_model(folder, architecture="expression")
        general, _ = export_phase(loaded, prefix, "pretrain", None if first is None else optimiser_of(first))
    loaded = load_model(files.model, architecture="expression")
    specific, _ = export_phase(loaded, prefix, "finetune", optimiser_of(second))
    write_overview(general, specific, prefix, [folder / WEIGHTS, files.model / WEIGHTS])
    logger.info("Seal's files of this training are %s_seal_*", prefix)


def optimiser_of(trained: TrainedPhase) -> dict[str, Any]:
    """State of the optimiser at the best epoch."""
    state: dict[str, Any] = read_epoch(trained.task, "best")["optimizer_states"][0]
    return state


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
