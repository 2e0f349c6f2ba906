"""Seal's checkpoints of expression networks (``…_pt_model.pt``, ``…_ft_model.pt``) to model folders, and back.

Dimension legend
    features - spatial features (10 x tracks), hidden - shared units, contexts - outputs
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, read_json
from cisweave.core.logs import get_logger
from cisweave.models.folders import HISTORY, METRICS, SPEC, WEIGHTS, LoadedModel, ModelSpec, load_model, save_model
from cisweave.seal.original.beluga import no_history
from cisweave.seal.original.records import (
    LOSSES,
    read_losses,
    read_performance,
    write_losses,
    write_performance,
    write_validation,
)
from cisweave.seal.original.summary import ModelSummary, read_model_summary, write_model_summary
from cisweave.seal.original.torch_files import read_torch, require_tensors, source_of, state_dict, write_torch
from cisweave.seal.performance import number_of
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    import torch

    from cisweave.config import PhaseName
    from cisweave.models.expression import ExpressionNetwork

logger = get_logger(__name__)

DIMENSIONS = {"layers.0.weight": 2, "layers.0.bias": 1, "layers.2.weight": 2, "layers.2.bias": 1}
"""Names of the weights, which are ours too, and their numbers of dimensions."""
FILE_OF_PHASE: dict[PhaseName, str] = {"pretrain": "pt", "finetune": "ft"}
"""How Seal's files call the phases."""
TEST_CHROMOSOMES = ["chr8", "chr9"]
EXCLUDED_CHROMOSOMES = ["chrX", "chrY"]
PSEUDOCOUNT_RULE = "10^(floor(log10(least positive value)) + 1) per context, over all genes"
EQUAL = 1e-6
"""Largest difference of two shared layers that are the same."""


@dataclass(frozen=True)
class Checkpoint:
    """The weights of an expression network and its widths."""

    weights: dict[str, torch.Tensor]
    features: int
    hidden: int
    contexts: int


# --- import -----------------------------------------------------------------------------------------------------------
def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of Seal; the state of the optimiser is left aside.

    Raises
    ------
    CisweaveError
        If the file holds other layers, layers that do not fit each other, or anything but tensors and plain values.
    """
    weights = state_dict(read_torch(path), path)
    require_tensors(weights, DIMENSIONS, "an expression network of Seal", path)
    hidden, features = weights["layers.0.weight"].shape
    contexts = weights["layers.2.weight"].shape[0]
    expected = {
        "layers.0.weight": (hidden, features),
        "layers.0.bias": (hidden,),
        "layers.2.weight": (contexts, hidden),
        "layers.2.bias": (contexts,),
    }
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise CisweaveError(
                f"{name} is of shape {tuple(weights[name].shape)}; the other layers need {shape}", path=path
            )
    return Checkpoint({name: weights[name].float() for name in DIMENSIONS}, features, hidden, contexts)


def import_expression(
    summary: str | Path,
    model: str | Path,
    weights: str | Path | None = None,
    phase: PhaseName | None = None,
    losses: str | Path | None = None,
    performance: str | Path | None = None,
) -> dict[str, Any]:
    """Turn one of Seal's checkpoints, with its model summary, into a model folder.

    Parameters
    ----------
    summary
        Model summary (``…_seal_model_summary.txt``): names of the contexts, hidden units, published scores.
    model
        Model folder to write.
    weights
        ``…_pt_model.pt`` (pretrain) or ``…_ft_model.pt`` (finetune); None: the file that the summary names, beside it.
    phase
        Which of the two networks; None: told by the name of ``weights``, else finetune.
    losses, performance
        The loss and performance tables of that phase, where they are there: history and scores per context.

    Returns
    -------
    dict
        The metrics of ``metrics.json``: the phase, and the published medians under ``test``.

    Raises
    ------
    CisweaveError
        If widths or contexts of the weights are not those of the summary.
    """
    told = read_model_summary(summary)
    phase = phase or phase_of(weights)
    weights = existing(weights if weights is not None else beside(summary, told, phase))
    checkpoint = read_checkpoint(weights)
    contexts = contexts_of(told, phase)
    require_widths(checkpoint, told.hidden, contexts, phase, weights)
    metrics = published_scores(told, phase, read_performance(performance) if performance else None, performance)
    history = no_history() if losses is None else read_losses(losses)
    spec = ModelSpec(
        architecture="expression",
        hyperparameters={
            "features": checkpoint.features,
            "hidden": checkpoint.hidden,
            "contexts": checkpoint.contexts,
        },
        outputs=contexts,
        preprocessing={
            "pseudocounts": None,
            "pseudocount_rule": PSEUDOCOUNT_RULE,
            "valid_chromosomes": [],
            "test_chromosomes": TEST_CHROMOSOMES,
            "excluded_chromosomes": EXCLUDED_CHROMOSOMES,
            "imported_from": source_of(weights),
        },
    )
    save_model(model, network_of(checkpoint), spec, {"epochs": len(history), **metrics}, history)
    tables = [path for path in (losses, performance) if path is not None]
    write_receipt(
        Path(model) / SPEC,
        settings={"phase": phase},
        inputs=[weights, summary, *tables],
        dtype="float32",
        notes={"md5": spec.preprocessing["imported_from"]["md5"]},
    )
    logger.info(
        "%s: %d contexts; the pseudocounts they were trained with are not in Seal's files", model, len(contexts)
    )
    return metrics


def phase_of(weights: str | Path | None) -> PhaseName:
    """The phase a file is named after; finetune where it does not tell."""
    return "pretrain" if weights is not None and re.search(r"_pt(_model)?\.pt$", Path(weights).name) else "finetune"


def contexts_of(told: ModelSummary, phase: PhaseName) -> list[str]:
    """The contexts that a phase learned."""
    return told.general_contexts if phase == "pretrain" else told.specific_contexts


def beside(summary: str | Path, told: ModelSummary, phase: PhaseName) -> Path:
    """Where the file that a summary names is looked for: in the folder of the summary, whatever folders it names."""
    named = told.pretrained if phase == "pretrain" else told.finetuned
    return Path(summary).parent / Path(named).name


def require_widths(
    checkpoint: Checkpoint, hidden: int, contexts: Sequence[str], phase: PhaseName, path: str | Path
) -> None:
    """Raise unless the weights are of the network that the summary speaks of."""
    if (checkpoint.hidden, checkpoint.contexts) != (hidden, len(contexts)):
        raise CisweaveError(
            f"{checkpoint.hidden} hidden units and {checkpoint.contexts} contexts, but the summary says {hidden} and "
            f"{len(contexts)} ({phase}); give the summary that belongs to these weights, or the other phase",
            path=path,
        )


def published_scores(
    told: ModelSummary, phase: PhaseName, scores: pd.DataFrame | None, path: str | Path | None
) -> dict[str, Any]:
    """The published scores on the test genes as our metrics have them; None where unknown."""
    general = phase == "pretrain"
    if scores is not None and scores.context.tolist() != contexts_of(told, phase):
        raise CisweaveError("the contexts of this table are not those of the summary", path=path)
    rows: Sequence[Mapping[Any, Any]] = [] if scores is None else scores.to_dict("records")
    return {
        "phase": phase,
        "test": {
            "genes": None,
            "spearman_median": known(told.pretrain_spearman if general else told.finetune_spearman),
            "mse_median": known(told.pretrain_mse if general else told.finetune_mse),
            "per_context": {
                row["context"]: {"spearman": known(row["spearman"]), "mse": known(row["mse"])} for row in rows
            },
        },
    }


def known(score: float) -> float | None:
    """A score, or None for NaN."""
    return float(score) if math.isfinite(score) else None


def network_of(checkpoint: Checkpoint) -> ExpressionNetwork:
    """Our network with the weights of a checkpoint."""
    from cisweave.models.expression import ExpressionNetwork

    network = ExpressionNetwork(checkpoint.features, checkpoint.hidden, checkpoint.contexts).eval()
    network.load_state_dict(checkpoint.weights)
    return network


# --- export -----------------------------------------------------------------------------------------------------------
def write_checkpoint(network: ExpressionNetwork, out: str | Path, optimiser: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint as Seal's: ``model_state_dict`` (float32, on the CPU) and ``optimizer_state_dict``.

    Parameters
    ----------
    optimiser
        State of the optimiser; None: that of Adam before its first step.
    """
    import torch

    if optimiser is None:
        optimiser = torch.optim.Adam(network.parameters()).state_dict()
    weights = {name: tensor.detach().cpu().float().contiguous() for name, tensor in network.state_dict().items()}
    write_torch({"model_state_dict": weights, "optimizer_state_dict": dict(optimiser)}, out)


@dataclass(frozen=True)
class PhaseRecord:
    """What Seal's model summary and its table of validation losses say of one network; NaN where unknown."""

    contexts: list[str]
    hidden: int
    valid_mse: float
    test_mse: float
    test_spearman: float


def export_expression(pretrained: str | Path, model: str | Path, prefix: str | Path) -> list[Path]:
    """Write a pre-trained and a fine-tuned model as Seal's files, so that Seal predicts and trains with them.

    Parameters
    ----------
    pretrained, model
        Model folders; the fine-tuned one must stand on the shared layer of the other.
    prefix
        Seal's ``out_name``: the files are ``<prefix>_seal_pt_model.pt``, ``<prefix>_seal_ft_model.pt``,
        ``<prefix>_seal_model_summary.txt``, and, of what the folders hold, the tables of losses, of scores per context
        and of validation losses.

    Returns
    -------
    list of Path
        The files written.
    """
    folders: dict[PhaseName, LoadedModel] = {
        "pretrain": load_model(pretrained, architecture="expression"),
        "finetune": load_model(model, architecture="expression"),
    }
    require_same_shared_layer(folders)
    records: dict[PhaseName, PhaseRecord] = {}
    written: list[Path] = []
    for phase, loaded in folders.items():
        records[phase], files = export_phase(loaded, prefix, phase)
        written += files
    weights = [loaded.folder / WEIGHTS for loaded in folders.values()]
    return [*written, *write_overview(records["pretrain"], records["finetune"], prefix, weights)]


def checkpoint_path(prefix: str | Path, phase: PhaseName) -> Path:
    """Seal's name of a checkpoint."""
    return Path(f"{prefix}_seal_{FILE_OF_PHASE[phase]}_model.pt")


def require_same_shared_layer(folders: Mapping[PhaseName, LoadedModel]) -> None:
    """Raise unless both networks have the same shared layer: Seal takes its width from the pre-trained one."""
    first, second = (cast("ExpressionNetwork", loaded.module).shared for loaded in folders.values())
    same = first.weight.shape == second.weight.shape and all(
        bool((one - other).abs().max() <= EQUAL)
        for one, other in ((first.weight, second.weight), (first.bias, second.bias))
    )
    if not same:
        raise CisweaveError(
            f"the shared layer is not that of {folders['pretrain'].folder}; give the model this one was fine-tuned "
            "from",
            path=folders["finetune"].folder,
        )


def export_phase(
    loaded: LoadedModel, prefix: str | Path, phase: PhaseName, optimiser: Mapping[str, Any] | None = None
) -> tuple[PhaseRecord, list[Path]]:
    """Write Seal's files of one network: its checkpoint and, where its folder holds them, losses and scores.

    Returns
    -------
    PhaseRecord, list of Path
        What the files of both phases say of it, and the files written.
    """
    metrics = read_json(loaded.folder / METRICS)
    checkpoint = checkpoint_path(prefix, phase)
    write_checkpoint(cast("ExpressionNetwork", loaded.module), checkpoint, optimiser)
    test = metrics.get("test", {})
    record = PhaseRecord(
        contexts=loaded.spec.outputs,
        hidden=int(loaded.spec.hyperparameters["hidden"]),
        valid_mse=number_of(metrics.get("valid", {}).get("mse")),
        test_mse=number_of(test.get("mse_median")),
        test_spearman=number_of(test.get("spearman_median")),
    )
    return record, [checkpoint, *write_tables(loaded, metrics, str(checkpoint).removesuffix("_model.pt"))]


def write_tables(loaded: LoadedModel, metrics: Mapping[str, Any], prefix: str) -> list[Path]:
    """Write the losses and the scores per context of a model, where its folder holds them."""
    written = []
    history = pd.read_csv(existing(loaded.folder / HISTORY))
    if len(history) and set(LOSSES.values()) <= set(history.columns):
        written.append(Path(f"{prefix}_training_loss_summary.tsv"))
        write_losses(history, written[-1])
    per_context = metrics.get("test", {}).get("per_context", {})
    if per_context:
        rows = [{"context": context, **per_context.get(context, {})} for context in loaded.spec.outputs]
        written.append(Path(f"{prefix}_testing_perf.tsv"))
        write_performance(pd.DataFrame(rows).astype({"mse": "float64", "spearman": "float64"}), written[-1])
    return written


def write_overview(
    pretrain: PhaseRecord, finetune: PhaseRecord, prefix: str | Path, inputs: Sequence[str | Path]
) -> list[Path]:
    """Write Seal's files of both phases: validation losses, where both are known, and the model summary, the last."""
    written = []
    if math.isfinite(pretrain.valid_mse) and math.isfinite(finetune.valid_mse):
        written.append(Path(f"{prefix}_seal_validation_perf.tsv"))
        write_validation(pretrain.valid_mse, finetune.valid_mse, written[-1])
    else:
        logger.info("%s: no table of validation losses, which are not known of both models", prefix)
    written.append(Path(f"{prefix}_seal_model_summary.txt"))
    told = ModelSummary(
        pretrained=str(checkpoint_path(prefix, "pretrain")),
        hidden=finetune.hidden,
        general_contexts=pretrain.contexts,
        pretrain_mse=pretrain.test_mse,
        pretrain_spearman=pretrain.test_spearman,
        finetuned=str(checkpoint_path(prefix, "finetune")),
        specific_contexts=finetune.contexts,
        finetune_mse=finetune.test_mse,
        finetune_spearman=finetune.test_spearman,
    )
    write_model_summary(told, written[-1])
    write_receipt(written[-1], inputs=inputs, dtype="float32", notes={"prefix": str(prefix)})
    return written
