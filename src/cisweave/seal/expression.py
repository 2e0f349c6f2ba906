"""Transfer learning of expression: pre-train on general contexts, fine-tune on specific ones (Seal, Module 3).

Dimension legend
    genes - rows, features - spatial features, contexts - tissues or cell states
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.config import ExpressionSettings, TrainingSettings
from cisweave.config.sections import PhaseSettings
from cisweave.core.devices import DeviceName, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.files import sha256, write_json
from cisweave.core.logs import get_logger
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.seal.profiles import ProfileStore, read_profiles
from cisweave.tables.frames import read_table, write_tsv
from cisweave.tables.receipts import write_receipt
from cisweave.training.data import ArrayDataset, Batch
from cisweave.training.loop import TrainedModule, fit

logger = get_logger(__name__)

Split = Literal["train", "valid", "test", "excluded"]
GENE_WEIGHT_QUANTILES = (0.10, 0.70)


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


def read_expression(path: str | Path, contexts: Sequence[str]) -> pd.DataFrame:
    """Read linear-scale expression of the given contexts, indexed by ``gene_id`` without its version."""
    table = read_table(path, ["gene_id", *contexts], dtype={"gene_id": "str"})
    table["gene_id"] = table.gene_id.str.replace(r"\.\d+$", "", regex=True)
    repeated = table.gene_id[table.gene_id.duplicated()]
    if len(repeated):
        raise CisweaveError(f"gene {repeated.iloc[0]} stands twice; keep one row a gene", path=path)
    repeated_contexts = [context for context in contexts if list(contexts).count(context) > 1]
    if repeated_contexts or "gene_id" in contexts:
        raise CisweaveError(
            f"{(repeated_contexts or ['gene_id'])[0]!r} cannot be a context here; give each column once"
        )
    values: pd.DataFrame = table.set_index("gene_id")[list(contexts)].apply(pd.to_numeric, errors="coerce")
    for context in contexts:
        finite = np.isfinite(values[context].to_numpy(dtype=np.float64))
        wrong = table.loc[table[context].notna().to_numpy() & ~finite]
        if len(wrong):
            gene, value = wrong.gene_id.iloc[0], wrong[context].iloc[0]
            raise CisweaveError(f"{value!r} of gene {gene} in {context} is not a number; leave it empty", path=path)
    if (values < 0).any(axis=None):
        raise CisweaveError("expression must not be negative: give linear-scale values, not logarithms", path=path)
    return values


def split_of(chroms: pd.Series, settings: ExpressionSettings) -> pd.Series:
    """Split of each gene by its contig."""
    split = pd.Series("train", index=chroms.index)
    split[chroms.isin(settings.valid_chromosomes)] = "valid"
    split[chroms.isin(settings.test_chromosomes)] = "test"
    split[chroms.isin(settings.excluded_chromosomes)] = "excluded"
    return split


def pseudocount(values: NDArray[np.floating]) -> float:
    """The power of ten just above the smallest positive value's decade (Seal, section 3.2): 0.0034 gives 0.01."""
    positive = values[values > 0]
    if not len(positive):
        raise CisweaveError("a context has no positive expression value; remove it from the contexts")
    return float(10.0 ** (np.floor(np.log10(positive.min())) + 1))


def prepare_expression(store: ProfileStore, expression: pd.DataFrame, settings: ExpressionSettings) -> ExpressionData:
    """Join features and expression by gene; genes with a missing value in any context are left out.

    Pseudocounts are taken from the genes of the training split, so that nothing of the test genes is seen.
    """
    joined = store.genes[["gene_id", "chrom"]].join(expression, on="gene_id")
    complete = joined[expression.columns].notna().all(axis=1).to_numpy()
    if not complete.any():
        raise CisweaveError("no gene of the TSS profiles has expression in all contexts; are the gene ids of one kind?")
    genes = joined.loc[complete, ["gene_id", "chrom"]].reset_index(drop=True)
    genes["split"] = split_of(genes.chrom, settings)
    values = joined.loc[complete, expression.columns].to_numpy(dtype=np.float64)
    training = (genes.split == "train").to_numpy()
    for split in ("train", "valid", "test"):
        if not (genes.split == split).any():
            lie_on = ", ".join(sorted(set(genes.chrom)))
            raise CisweaveError(
                f"no gene with expression lies on the contigs of the {split} split (genes lie on {lie_on}); "
                "change valid_chromosomes or test_chromosomes of seal.model"
            )
    pseudocounts = np.array([pseudocount(column) for column in values[training].T])
    targets = np.log(values + pseudocounts).astype(np.float32)
    logger.info("%d genes with expression, %d without", len(genes), int((~complete).sum()))
    left_out = joined.gene_id[~complete].tolist()
    return ExpressionData(genes, store.features[complete], targets, pseudocounts, list(expression.columns), left_out)


def gene_weights(
    targets: NDArray[np.floating], weight: float, seen: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Weights (genes,): ``weight`` for genes whose sd over contexts exceeds its 0.7 quantile, 1/weight below 0.1.

    Population sd, strict inequalities (Seal, section 3.3); with a single context all weights are 1.
    The quantiles are those of the genes ``seen`` in training.
    """
    spread = targets.std(axis=1)
    low, high = np.quantile(spread if seen is None else spread[seen], GENE_WEIGHT_QUANTILES)
    weights = np.ones(len(targets), dtype=np.float32)
    if targets.shape[1] > 1:
        weights[spread > high] = weight
        weights[spread < low] = 1 / weight
    return weights


def weighted_loss(predicted: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean squared error per context, averaged over contexts (Seal, section 3.4); all over one mini-batch."""
    per_context = (weights[:, None] * (predicted - targets) ** 2).sum(0) / weights.sum()
    return per_context.mean()


class ExpressionModule(TrainedModule):
    """One phase of transfer learning: Adam with classic L2 on the parameters that are not frozen."""

    def __init__(self, network: ExpressionNetwork, phase: PhaseSettings, seed: int):
        super().__init__(network, phase.learning_rate, seed)
        self.phase = phase

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Loss of one batch."""
        features, targets, weights = batch
        loss = weighted_loss(self.network(features), targets, weights)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss of the validation genes."""
        features, targets, weights = batch
        loss = weighted_loss(self.network(features), targets, weights)
        self.log("valid_loss", loss, on_epoch=True, batch_size=len(targets), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        learned = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return torch.optim.Adam(learned, lr=self.learning_rate, weight_decay=self.phase.l2)


def fit_phase(
    network: ExpressionNetwork,
    data: ExpressionData,
    phase: PhaseSettings,
    batch_size: int,
    folder: Path,
    training: TrainingSettings,
    identity: dict[str, Any],
    seed: int,
    device: torch.device,
) -> pd.DataFrame:
    """Train ``network`` on the training genes, stop by the validation genes, and return the history."""
    weights = gene_weights(data.targets, phase.gene_weight, data.part("train") | data.part("valid"))
    tensors = [torch.from_numpy(array) for array in (data.features, data.targets, weights)]
    train, valid = (
        ArrayDataset(*(tensor[torch.tensor(data.part(split))] for tensor in tensors)) for split in ("train", "valid")
    )
    result = fit(
        ExpressionModule(network, phase, seed),
        train,
        valid,
        batch_size=batch_size,
        folder=folder,
        settings=training,
        identity=identity,
        monitor="valid_loss",
        mode="min",
        max_epochs=phase.max_epochs,
        patience=phase.patience,
        device=device,
    )
    return result.history


def pretrain(
    profiles: str | Path,
    expression: str | Path,
    contexts: Sequence[str],
    model: str | Path,
    settings: ExpressionSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    device: DeviceName = "auto",
) -> dict[str, Any]:
    """Train the expression network on the general contexts and write a model folder.

    Parameters
    ----------
    profiles
        Store of TSS profiles.
    expression
        TSV with ``gene_id`` and linear-scale expression per context.
    contexts
        Columns of ``expression`` to learn.
    model
        Model folder to write.

    Returns
    -------
    dict
        The metrics of ``metrics.json``: Spearman and mean squared error on the test contigs.
    """
    settings = settings or ExpressionSettings()
    store = read_profiles(profiles)
    data = prepare_expression(store, read_expression(expression, contexts), settings)
    torch.manual_seed(seed)
    network = ExpressionNetwork(store.features.shape[1], settings.hidden, len(data.contexts))
    return train_and_save(
        network, data, settings.pretrain, model, settings, training, [profiles, expression], seed, device
    )


def finetune(
    profiles: str | Path,
    expression: str | Path,
    contexts: Sequence[str],
    pretrained: str | Path,
    model: str | Path,
    settings: ExpressionSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    device: DeviceName = "auto",
) -> dict[str, Any]:
    """Put a new head on the frozen shared layer of a pre-trained network and train it on the specific contexts.

    Parameters are those of :func:`pretrain`; ``pretrained`` is the folder it wrote.
    """
    settings = settings or ExpressionSettings()
    store = read_profiles(profiles)
    data = prepare_expression(store, read_expression(expression, contexts), settings)
    shared = cast("ExpressionNetwork", load_model(pretrained, architecture="expression").module).shared
    torch.manual_seed(seed)
    network = ExpressionNetwork(store.features.shape[1], settings.hidden, len(data.contexts))
    if shared.weight.shape != network.shared.weight.shape:
        raise CisweaveError(
            f"the pre-trained shared layer is {tuple(shared.weight.shape)}, needed is "
            f"{tuple(network.shared.weight.shape)}; pre-train again with the same hidden units and tracks",
            path=pretrained,
        )
    network.shared.load_state_dict(shared.state_dict())
    network.freeze_shared_layer()
    inputs = [profiles, expression, Path(pretrained) / "weights.safetensors"]
    return train_and_save(network, data, settings.finetune, model, settings, training, inputs, seed, device)


def train_and_save(
    network: ExpressionNetwork,
    data: ExpressionData,
    phase: PhaseSettings,
    model: str | Path,
    settings: ExpressionSettings,
    training: TrainingSettings | None,
    inputs: Sequence[str | Path],
    seed: int,
    device: DeviceName,
) -> dict[str, Any]:
    """Train one phase, measure it on the test contigs, write model folder and receipt."""
    training = training or TrainingSettings()
    torch_device = resolve_device(device)
    hashes = {str(path): sha256(path) for path in inputs}
    identity = {
        "settings": settings.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "contexts": data.contexts,
        "data": hashes,
        "seed": seed,
    }
    history = fit_phase(
        network, data, phase, settings.batch_size, Path(model) / "run", training, identity, seed, torch_device
    )
    metrics = {
        "epochs": len(history),
        "genes": data.genes.split.value_counts().sort_index().to_dict(),
        "genes_left_out": data.left_out,
        "test": score_expression(*split_predictions(network.cpu(), data, "test"), data.contexts),
    }
    spec = ModelSpec(
        architecture="expression",
        hyperparameters={
            "features": data.features.shape[1],
            "hidden": settings.hidden,
            "contexts": len(data.contexts),
        },
        outputs=data.contexts,
        preprocessing={
            "pseudocounts": dict(zip(data.contexts, data.pseudocounts.tolist(), strict=True)),
            **{
                name: getattr(settings, name)
                for name in ("valid_chromosomes", "test_chromosomes", "excluded_chromosomes")
            },
        },
        training_data=hashes,
    )
    save_model(model, network, spec, metrics, history)
    write_receipt(
        Path(model) / "model.yaml",
        settings=settings.model_dump(mode="json"),
        inputs=inputs,
        seed=seed,
        device=str(torch_device),
        dtype="float32",
    )
    return metrics


def split_predictions(
    network: torch.nn.Module, data: ExpressionData, split: Split
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Predicted and measured ln expression (genes, contexts) of a split."""
    part = data.part(split)
    network.eval()
    with torch.inference_mode():
        predicted = network(torch.from_numpy(data.features[part])).numpy()
    return predicted, data.targets[part]


def score_expression(
    predicted: NDArray[np.floating], measured: NDArray[np.floating], contexts: Sequence[str]
) -> dict[str, Any]:
    """Spearman correlation and mean squared error across genes, per context and as median over contexts.

    A correlation is None where it does not exist: for one gene, or for predictions that are all the same.
    """
    per_context = {
        context: {
            "spearman": spearman(predicted[:, number], measured[:, number]),
            "mse": round(float(((predicted[:, number] - measured[:, number]) ** 2).mean()), 6),
        }
        for number, context in enumerate(contexts)
    }
    known = [scores["spearman"] for scores in per_context.values() if scores["spearman"] is not None]
    return {
        "genes": len(measured),
        "spearman_median": float(np.median(known)) if known else None,
        "mse_median": float(np.median([scores["mse"] for scores in per_context.values()])),
        "per_context": per_context,
    }


def spearman(predicted: NDArray[np.floating], measured: NDArray[np.floating]) -> float | None:
    """Spearman correlation of two vectors to six decimals; None where one of them does not vary."""
    from scipy.stats import spearmanr

    if np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        return None
    return round(float(spearmanr(predicted, measured).statistic), 6)


def evaluate(
    profiles: str | Path, expression: str | Path, model: str | Path, out: str | Path, metrics: str | Path
) -> dict[str, Any]:
    """Compare predicted with measured expression of every gene and write a table and its scores on the test contigs.

    Parameters
    ----------
    out
        TSV: gene_id, chrom, split, context, measured and predicted (ln(expression + pseudocount)).
    metrics
        JSON: Spearman and mean squared error on the test contigs, per context and as median.
    """
    loaded = load_model(model, architecture="expression")
    settings = ExpressionSettings(
        **{
            name: loaded.spec.preprocessing[name]
            for name in ("valid_chromosomes", "test_chromosomes", "excluded_chromosomes")
        }
    )
    data = prepare_expression(read_profiles(profiles), read_expression(expression, loaded.spec.outputs), settings)
    with torch.inference_mode():
        predicted = loaded.module(torch.from_numpy(data.features)).numpy()
    write_tsv(long_table(data, predicted), out, float_format="%.6g")
    test = data.part("test")
    scores = score_expression(predicted[test], data.targets[test], data.contexts)
    write_json(metrics, scores)
    write_receipt(
        out, inputs=[profiles, expression, Path(model) / "weights.safetensors"], device="cpu", dtype="float32"
    )
    return scores


def long_table(data: ExpressionData, predicted: NDArray[np.float32]) -> pd.DataFrame:
    """One row per gene and context: gene_id, chrom, split, context, measured, predicted."""
    frames = [
        data.genes.assign(context=context, measured=data.targets[:, number], predicted=predicted[:, number])
        for number, context in enumerate(data.contexts)
    ]
    return pd.concat(frames, ignore_index=True)
