"""Transfer learning of expression: pre-train on general contexts, fine-tune on specific ones (Seal, Module 3).

Dimension legend
    genes - rows, features - spatial features, contexts - tissues or cell states
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from cisweave.config import ExpressionSettings, PhaseName, TrainingSettings
from cisweave.core.devices import DeviceName, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json, write_json
from cisweave.core.logs import get_logger
from cisweave.genome.genes import read_genes, without_version
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import METRICS, WEIGHTS, ModelSpec, load_model
from cisweave.seal.performance import SIX_DIGITS, long_table, performance_table, score_expression
from cisweave.seal.phases import (
    GENES,
    SPLIT_SETTINGS,
    PhaseTask,
    TrainedPhase,
    run_phase,
    split_predictions,
    weighted_loss,
)
from cisweave.seal.profiles import ProfileStore, read_profiles
from cisweave.seal.targets import gene_weights, pseudocount, read_expression, read_groups
from cisweave.tables.frames import read_table, write_tsv
from cisweave.tables.receipts import write_receipt

__all__ = [
    "ExpressionData",
    "evaluate",
    "finetune",
    "gene_weights",
    "long_table",
    "prepare_expression",
    "pretrain",
    "pseudocount",
    "read_expression",
    "score_expression",
    "split_genes",
    "split_of",
    "split_predictions",
    "weighted_loss",
]

logger = get_logger(__name__)

Split = Literal["train", "valid", "test", "excluded"]
SEAL_SEED = 0
"""The seed of the published program, before each phase."""


@dataclass
class ExpressionData:
    """Genes with features and targets.

    Attributes
    ----------
    genes
        Columns ``gene_id``, ``chrom``, ``split``.
    features
        float32 (genes, features).
    targets
        float32 (genes, contexts), ln(expression + pseudocount).
    pseudocounts
        (contexts,), in the table's units.
    contexts
        Names.
    left_out
        Genes with a TSS profile that lack expression in some context.
    """

    genes: pd.DataFrame
    features: NDArray[np.float32]
    targets: NDArray[np.float32]
    pseudocounts: NDArray[np.float64]
    contexts: list[str]
    left_out: list[str]

    def part(self, split: Split) -> NDArray[np.bool_]:
        """Mask (genes,) of a split."""
        return (self.genes.split == split).to_numpy()


# --- which gene is for what -------------------------------------------------------------------------------------------
def split_of(chroms: pd.Series, settings: ExpressionSettings) -> pd.Series:
    """Split of each gene by its contig."""
    split = pd.Series("train", index=chroms.index)
    if not draws_at_random(settings):
        split[chroms.isin(settings.valid_chromosomes)] = "valid"
    split[chroms.isin(settings.test_chromosomes)] = "test"
    split[chroms.isin(settings.excluded_chromosomes)] = "excluded"
    return split


def draws_at_random(settings: ExpressionSettings) -> bool:
    """Whether validation genes are drawn, and not those of some contigs."""
    return settings.compat == "seal" or settings.validation == "random"


def split_genes(genes: pd.DataFrame, settings: ExpressionSettings) -> pd.Series:
    """Split of each gene: by contig, by type, and by the draw of validation genes if there is one.

    Parameters
    ----------
    genes
        Column ``chrom``, and ``type`` where types are known; the draw depends on the order of the rows.
    """
    split = split_of(genes.chrom, settings)
    if "type" in genes:
        unwanted = genes.type.isin(settings.excluded_types)
        if settings.gene_types is not None:
            unwanted |= ~genes.type.isin(settings.gene_types)
        split[unwanted] = "excluded"
    elif settings.gene_types is not None:
        raise CisweaveError("gene_types of seal.model needs an annotation that names the types of genes (--genes)")
    learned = np.flatnonzero(split == "train")
    if draws_at_random(settings) and len(learned) > 1:
        from sklearn.model_selection import train_test_split

        _, drawn = train_test_split(learned, test_size=settings.valid_share, random_state=settings.valid_seed)
        split.iloc[drawn] = "valid"
    return split


# --- data -------------------------------------------------------------------------------------------------------------
def prepare_expression(
    store: ProfileStore,
    expression: pd.DataFrame,
    settings: ExpressionSettings,
    annotation: str | Path | None = None,
    pseudocounts: Mapping[str, float] | None = None,
    needed: Sequence[Split] = ("train", "valid", "test"),
) -> ExpressionData:
    """Join features and expression by gene; genes with a missing value in any context are left out.

    Pseudocounts are taken from the genes of the training split, so that nothing of the test genes is seen; with
    ``compat: seal`` from all genes.

    Parameters
    ----------
    expression
        (genes, contexts), linear scale, by gene id (:func:`~cisweave.seal.targets.read_expression`).
    annotation
        Gene annotation (CSV, GTF) that tells the types of genes; with ``compat: seal`` also which genes there are, and
        their order.
    pseudocounts
        Those of a trained model, by context; None: from ``expression``.
    needed
        Splits that must not be empty.
    """
    joined, rows = join_expression(store, expression, settings, annotation)
    complete = joined[expression.columns].notna().all(axis=1).to_numpy()
    if not complete.any():
        raise CisweaveError("no gene of the TSS profiles has expression in all contexts; are the gene ids of one kind?")
    known = [name for name in ("gene_id", "chrom", "type") if name in joined]
    genes = joined.loc[complete, known].reset_index(drop=True)
    genes["split"] = split_genes(genes, settings)
    check_splits(genes, needed)
    values = joined[expression.columns].to_numpy(dtype=np.float64)
    measured = values[complete]
    counted = values if settings.compat == "seal" else measured[(genes.split == "train").to_numpy()]
    if pseudocounts is None:
        added = np.array([pseudocount(column) for column in counted.T])
    else:
        added = np.array([pseudocounts[context] for context in expression.columns], dtype=np.float64)
    logger.info("%d genes with expression, %d without", len(genes), int((~complete).sum()))
    return ExpressionData(
        genes=genes[["gene_id", "chrom", "split"]],
        features=store.features[rows[complete]],
        targets=np.log(measured + added).astype(np.float32),
        pseudocounts=added,
        contexts=list(expression.columns),
        left_out=joined.gene_id[~complete].tolist(),
    )


def join_expression(
    store: ProfileStore, expression: pd.DataFrame, settings: ExpressionSettings, annotation: str | Path | None
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The genes of the store with their types and expression, and their rows in the store.

    Genes are matched without the versions of their Ensembl ids. With ``compat: seal`` they are those of the
    annotation, in its order (the draw of validation genes depends on it).
    """
    genes = store.genes[["gene_id", "chrom"]].assign(key=store.genes.gene_id.map(without_version))
    if annotation is not None:
        genes = with_types(genes, annotation, in_its_order=settings.compat == "seal")
    elif settings.excluded_types:
        logger.info("without an annotation of genes (--genes) none is left out for its type")
    joined = genes.join(expression, on="key")
    return joined.drop(columns="key"), joined.index.to_numpy(dtype=np.int64)


def with_types(genes: pd.DataFrame, annotation: str | Path, in_its_order: bool) -> pd.DataFrame:
    """Add the type of each gene ("" where the annotation lacks it), or take the annotation's genes in its order."""
    types = read_genes(annotation, strip_version=True).set_index("gene_id").type
    say = logger.warning if in_its_order else logger.info
    if (types != "").any():
        genes = genes.assign(type=genes.key.map(types).fillna(""))
    else:
        say("%s does not tell the types of genes, so none is left out for its type", annotation)
    absent = ~genes.key.isin(types.index)
    if absent.any():
        logger.info("%d genes of the TSS profiles are not in %s", int(absent.sum()), annotation)
    lacking = int((~types.index.isin(genes.key)).sum())
    if lacking:
        say("%d of %d genes of %s have no TSS profile; they are in no split", lacking, len(types), annotation)
    if not in_its_order:
        return genes
    places = pd.Series(np.arange(len(types)), index=types.index)
    return genes[~absent].sort_values("key", key=lambda key: key.map(places), kind="stable")


def check_splits(genes: pd.DataFrame, needed: Sequence[Split]) -> None:
    """Raise unless each split that is needed has genes."""
    for split in needed:
        if not (genes.split == split).any():
            lie_on = ", ".join(sorted(set(genes.chrom)))
            raise CisweaveError(
                f"no gene with expression lies on the contigs of the {split} split (genes lie on {lie_on}); "
                "change valid_chromosomes or test_chromosomes of seal.model"
            )


# --- the two phases ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PhaseSources:
    """What one phase learns from, and the folder of the model to write.

    Attributes
    ----------
    profiles, expression, annotation, groups
        Files, as :func:`pretrain` takes them.
    contexts
        Columns of ``expression`` to learn; None: all.
    pretrained
        Model folder that fine-tuning stands on.
    """

    profiles: str | Path
    expression: str | Path
    model: str | Path
    contexts: Sequence[str] | None = None
    annotation: str | Path | None = None
    groups: str | Path | None = None
    pretrained: str | Path | None = None

    def files(self) -> list[str | Path]:
        """All files that are read; the weights may yet have to be trained."""
        weights = [] if self.pretrained is None else [Path(self.pretrained) / WEIGHTS]
        tables = present(self.profiles, self.expression)
        return [*tables, *weights, *present(self.annotation, self.groups)]


def pretrain(
    profiles: str | Path,
    expression: str | Path,
    contexts: Sequence[str] | None,
    model: str | Path,
    settings: ExpressionSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    device: DeviceName = "auto",
    annotation: str | Path | None = None,
    groups: str | Path | None = None,
) -> dict[str, Any]:
    """Train the expression network on the general contexts and write a model folder.

    Parameters
    ----------
    profiles
        Store of TSS profiles.
    expression
        TSV with ``gene_id`` and linear-scale expression per context.
    contexts
        Columns of ``expression`` to learn; None: all.
    model
        Model folder to write; besides the usual files ``genes.tsv`` (the split of every gene) and ``performance.tsv``
        (accuracy per context on the test contigs).
    annotation
        Gene annotation (CSV, GTF) with the types of genes, by which some are left out.
    groups
        Groups of contexts for the weights of genes (TSV: name, 1-based columns of ``expression``); None: one group.

    Returns
    -------
    dict
        The metrics of ``metrics.json``: Spearman and mean squared error on the test contigs, and more.
    """
    sources = PhaseSources(profiles, expression, model, contexts, annotation, groups)
    settings, training = settings or ExpressionSettings(), training or TrainingSettings()
    return run_pretrain(*prepare_phase("pretrain", sources, settings, training, seed, device)).metrics


def finetune(
    profiles: str | Path,
    expression: str | Path,
    contexts: Sequence[str] | None,
    pretrained: str | Path,
    model: str | Path,
    settings: ExpressionSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    device: DeviceName = "auto",
    annotation: str | Path | None = None,
    groups: str | Path | None = None,
) -> dict[str, Any]:
    """Put a new head on the frozen shared layer of a pre-trained network and train it on the specific contexts.

    Parameters are those of :func:`pretrain`; ``pretrained`` is the folder it wrote, which also says how many units the
    shared layer has.
    """
    sources = PhaseSources(profiles, expression, model, contexts, annotation, groups, pretrained)
    settings, training = settings or ExpressionSettings(), training or TrainingSettings()
    shared = load_shared(pretrained)
    return run_finetune(shared, *prepare_phase("finetune", sources, settings, training, seed, device)).metrics


def prepare_phase(
    name: PhaseName,
    sources: PhaseSources,
    settings: ExpressionSettings,
    training: TrainingSettings,
    seed: int,
    device: DeviceName,
) -> tuple[ExpressionData, PhaseTask]:
    """Read what a phase learns from, and say how it is trained."""
    if settings.compat == "seal" and sources.annotation is None:
        raise CisweaveError(
            "compat: seal needs the gene annotation (--genes, ExPecto's geneanno.csv): its types and its order decide "
            "which genes train, validate or are left out"
        )
    if settings.compat == "seal" and seed != SEAL_SEED:
        logger.info("compat: seal takes the seed %d, not %d", SEAL_SEED, seed)
        seed = SEAL_SEED
    expression = read_expression(sources.expression, sources.contexts)
    data = prepare_expression(read_profiles(sources.profiles), expression, settings, sources.annotation)
    groups = read_groups(sources.groups, sources.expression, data.contexts)
    task = PhaseTask(
        name, Path(sources.model), settings, training, sources.files(), groups, seed, resolve_device(device)
    )
    return data, task


def load_shared(pretrained: str | Path) -> nn.Linear:
    """The shared layer of a pre-trained model."""
    network = cast("ExpressionNetwork", load_model(pretrained, architecture="expression").module)
    if read_json(Path(pretrained) / METRICS).get("phase") == "finetune":
        logger.warning("%s was fine-tuned itself; its shared layer is that of the model it stands on", pretrained)
    return network.shared


def present(*paths: str | Path | None) -> list[str | Path]:
    """Those paths that were given and are files."""
    return [path for path in paths if path is not None and Path(path).is_file()]


def run_pretrain(data: ExpressionData, task: PhaseTask) -> TrainedPhase:
    """Train a new network."""
    torch.manual_seed(task.seed)
    network = ExpressionNetwork(data.features.shape[1], task.settings.hidden, len(data.contexts))
    return run_phase(network, data, task)


def run_finetune(shared: nn.Linear, data: ExpressionData, task: PhaseTask) -> TrainedPhase:
    """Train a new head on a shared layer, which stays as it is."""
    if shared.in_features != data.features.shape[1]:
        raise CisweaveError(
            f"the pre-trained model takes {shared.in_features} features, the TSS profiles have "
            f"{data.features.shape[1]}; pre-train with the same tracks"
        )
    if shared.out_features != task.settings.hidden:
        logger.info("the shared layer has %d units, as the pre-trained model says", shared.out_features)
    torch.manual_seed(task.seed)
    network = ExpressionNetwork(shared.in_features, shared.out_features, len(data.contexts))
    network.shared.load_state_dict(shared.state_dict())
    network.freeze_shared_layer()
    return run_phase(network, data, task)


# --- evaluation -------------------------------------------------------------------------------------------------------
def evaluate(
    profiles: str | Path,
    expression: str | Path,
    model: str | Path,
    out: str | Path,
    metrics: str | Path,
    performance: str | Path | None = None,
    annotation: str | Path | None = None,
    seed: int = 0,
    resamples: int | None = None,
) -> dict[str, Any]:
    """Compare predicted with measured expression of every gene and write a table and its scores on the test contigs.

    Splits and pseudocounts are those the model was trained with, where its folder tells them.

    Parameters
    ----------
    out
        TSV: gene_id, chrom, split, context, measured and predicted (ln(expression + pseudocount)).
    metrics
        JSON: Spearman and mean squared error on the test contigs, per context and as median.
    performance
        TSV: the same per context, with 95 % intervals over resampled genes.
    annotation
        Gene annotation with the types of genes; needed only where the model was trained without ``genes.tsv``.
    resamples
        Bootstrap draws of the test genes for ``performance``; 0: no intervals, None: as many as in training by default.
    """
    loaded = load_model(model, architecture="expression")
    settings = training_split(loaded.spec)
    counts = known_pseudocounts(loaded.spec)
    table = read_expression(expression, loaded.spec.outputs)
    data = prepare_expression(read_profiles(profiles), table, settings, annotation, counts, ("test",))
    data.genes = data.genes.assign(split=remembered_split(data.genes, Path(model) / GENES, settings, annotation))
    with torch.inference_mode():
        predicted = loaded.module(torch.from_numpy(data.features)).numpy()
    write_tsv(long_table(data, predicted), out, float_format="%.6g")
    test = data.part("test")
    scores = score_expression(predicted[test], data.targets[test], data.contexts)
    write_json(metrics, scores)
    if performance is not None:
        drawn = settings.bootstrap if resamples is None else resamples
        frame = performance_table(predicted[test], data.targets[test], data.contexts, "evaluate", drawn, seed)
        write_tsv(frame, performance, float_format=SIX_DIGITS)
    inputs = present(profiles, expression, Path(model) / WEIGHTS, annotation)
    write_receipt(out, inputs=inputs, device="cpu", dtype="float32")
    return scores


def training_split(spec: ModelSpec) -> ExpressionSettings:
    """The settings of the split a model was trained with; defaults for what its description does not say.

    A model that was imported from Seal's files was trained as Seal trains.
    """
    found = {name: spec.preprocessing[name] for name in SPLIT_SETTINGS if name in spec.preprocessing}
    if "imported_from" in spec.preprocessing:
        found["compat"] = "seal"
    return ExpressionSettings(**found)


def known_pseudocounts(spec: ModelSpec) -> dict[str, float] | None:
    """Pseudocounts of a model by context; None where its description does not tell all of them."""
    counts = spec.preprocessing.get("pseudocounts") or {}
    if isinstance(counts, Mapping) and all(isinstance(counts.get(context), int | float) for context in spec.outputs):
        return {context: float(counts[context]) for context in spec.outputs}
    logger.warning("this model does not tell its pseudocounts; they are taken from the expression table")
    return None


def remembered_split(
    genes: pd.DataFrame, path: Path, settings: ExpressionSettings, annotation: str | Path | None
) -> pd.Series:
    """The split of each gene as it was in training; of genes unknown then, and without that table, by the rules."""
    if path.is_file():
        known = read_table(path, ["gene_id", "split"], dtype={"gene_id": "str"}).set_index("gene_id").split
        found = genes.gene_id.map(known)
        if found.isna().any():
            logger.info("%d genes were unknown in training; their split is that of their contigs", found.isna().sum())
        return found.fillna(genes.split)
    logger.warning("the model does not tell the split of its genes (%s), so it is made anew by its rules", path.name)
    if annotation is None and settings.excluded_types:
        named = ", ".join(settings.excluded_types)
        logger.warning("without an annotation of genes (--genes), genes of the type %s are not left out", named)
    return genes.split
