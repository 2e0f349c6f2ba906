"""Training one model of the zoo on one split, with one seed: model folders, predictions, figures.

Dimension legend
    genes - those of the split, extras - half-life features, factors and microRNAs in a row
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.config import EmbeddingSettings, PromoterTrainingSettings, TrainingSettings, ZooModel
from cisweave.config.promoters import slice_bounds
from cisweave.core.devices import DeviceName, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, write_json
from cisweave.core.logs import get_logger
from cisweave.models.folders import SPEC, ModelSpec, save_model
from cisweave.models.promoter.build import build_network
from cisweave.models.promoter.keras import count_parameters
from cisweave.models.promoter.registry import EXTRAS, find_type
from cisweave.tables.frames import write_parquet
from cisweave.tables.receipts import hashes, write_receipt
from cisweave.training.loop import fit, shaping_settings
from cisweave.xpresso.collapse import Starts
from cisweave.xpresso.dataset import DESCRIPTION, SPLITS, PromoterData, open_data
from cisweave.xpresso.evaluate import EPOCHS, HISTORY_FILE, METRICS_FILE, PREDICTIONS
from cisweave.xpresso.learning import Examples, PromoterModule, predict_examples
from cisweave.xpresso.metrics import score
from cisweave.xpresso.models import INPUTS
from cisweave.xpresso.optimisers import make_rates
from cisweave.xpresso.scaling import Scaling, fit_scaling
from cisweave.xpresso.split import read_split, split_rows
from cisweave.xpresso.zoo import check_entry, resolve_training

if TYPE_CHECKING:
    from cisweave.models.promoter.network import PromoterNetwork
    from cisweave.models.promoter.registry import ModelType
    from cisweave.xpresso.embedding import Embedding

logger = get_logger(__name__)

RUN = "run"
RESULTS = (METRICS_FILE, PREDICTIONS, HISTORY_FILE, *(f"{epoch}/{SPEC}" for epoch in EPOCHS))
"""Files of a training that has come to its end; ``metrics.json`` is written last."""


# --- what is trained --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Task:
    """One training: a model, its data and a seed.

    Attributes
    ----------
    kind
        The type.
    settings
        How it is trained, without gaps.
    rows
        Rows of the data by split.
    hashes
        SHA-256 of the files that shape the result.
    """

    kind: ModelType
    entry: ZooModel
    settings: PromoterTrainingSettings
    training: TrainingSettings
    data: PromoterData
    rows: Mapping[str, NDArray[np.int64]]
    scaling: Scaling
    embedding: Embedding | None
    hashes: Mapping[str, str]
    seed: int
    fold: int
    device: torch.device

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Left and right of the part of the promoter that is read; both 0 for types that read none."""
        return slice_bounds(self.settings.slice or "") if "P" in self.kind.inputs else (0, 0)

    @cached_property
    def hyperparameters(self) -> dict[str, Any]:
        """What the network is built from."""
        left, right = self.bounds
        shape: dict[str, Any] = {"type": self.kind.name, "window": right - left}
        shape |= self.scaling.widths(self.kind.inputs)
        if self.embedding is not None:
            settings = self.embedding.settings
            shape |= {"k": settings.k, "segment": settings.segment, "size": int(self.embedding.vectors.shape[1])}
        return {**shape, **self.entry.network}

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two trainings the same."""
        return {
            "network": self.hyperparameters,
            "settings": self.settings.model_dump(mode="json"),
            "training": shaping_settings(self.training),
            "seed": self.seed,
            "fold": self.fold,
            "data": dict(self.hashes),
        }

    def read(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """What the model reads of the promoters of rows (:class:`cisweave.xpresso.learning.Reader`)."""
        if self.embedding is not None:
            return torch.from_numpy(self.embedding.read(rows))
        if "P" in self.kind.inputs:
            return torch.from_numpy(self.data.windows(rows, *self.bounds))
        return torch.zeros(len(rows), 0)

    def examples(self, split: str) -> Examples:
        """The genes of a split."""
        rows = self.rows[split]
        labels = self.scaling.labels(self.data.label[rows]).astype(np.float32)
        return Examples(rows, self.read, self.scaling.extras(self.data, rows, self.kind.inputs), labels)

    def network(self, seed: int) -> PromoterNetwork:
        """A fresh network; the vectors of k-mers are those of the embedding."""
        torch.manual_seed(seed)
        network = build_network(**self.hyperparameters)
        if self.embedding is not None:
            parts = (self.embedding.vectors, self.embedding.mean, self.embedding.sd)
            network.segments.set_vectors(*(torch.from_numpy(part) for part in parts))
        return network


def prepare(
    data: Path,
    split: Path,
    entry: ZooModel,
    training: TrainingSettings,
    seed: int,
    fold: int,
    device: torch.device,
    embedding: Path | None,
) -> Task:
    """Open and check what a training reads."""
    kind, embedded = find_type(entry.type), check_embedding(entry, embedding)
    if embedded is not None:
        entry = entry.model_copy(update={"embedding": embedded.settings})
    check_entry(entry)
    settings, opened = resolve_training(entry), open_data(data)
    rows = split_rows(read_split(split), opened, fold)
    check_labels(opened, rows, split)
    check_inputs(opened, rows["train"], kind)
    check_finder(settings, training)
    if embedded is not None:
        embedded.check_belongs(opened, rows["train"])
    # the description holds the checksums of all files of the data
    files = [data / DESCRIPTION, split, *([embedding] if embedding else [])]
    return Task(
        kind=kind,
        entry=entry,
        settings=settings,
        training=training,
        data=opened,
        rows=rows,
        scaling=own_scaling(fit_scaling(opened, rows["train"], settings.scaling), kind.inputs),
        embedding=embedded,
        hashes=hashes(files),
        seed=seed,
        fold=fold,
        device=device,
    )


def own_scaling(scaling: Scaling, inputs: str) -> Scaling:
    """The scaling without what a model of these inputs does not read."""
    kept = scaling if "T" in inputs else replace(scaling, tf_names=[], tf_mean=[])
    return kept if "M" in inputs else replace(kept, mirna_names=[], mirna_mean=[])


def check_inputs(data: PromoterData, rows: NDArray[np.int64], kind: ModelType) -> None:
    """A model is trained on genes of which some have what it reads beside promoters."""
    for letter, known in {"H": data.has_halflife, "T": data.has_tf, "M": data.has_mirna}.items():
        if letter in kind.inputs and not known[rows].any():
            raise CisweaveError(
                f"no training gene has {INPUTS[letter]}, which {kind.name} reads; build the data with them "
                f"(--{EXTRAS[letter]}), or take a type that does without",
                path=data.folder,
            )


def check_finder(settings: PromoterTrainingSettings, training: TrainingSettings) -> None:
    """Raise if a learning rate is to be found where none is used."""
    if training.find_learning_rate and settings.optimizer == "noam":
        raise CisweaveError(
            "training.find_learning_rate: noam has rates of its own; write false, or another optimizer for the model"
        )


def check_labels(data: PromoterData, rows: Mapping[str, NDArray[np.int64]], split: Path) -> None:
    """Every split has genes, and every gene an expression."""
    for name in SPLITS:
        if not len(rows[name]):
            raise CisweaveError(f"there is no {name} gene in this fold", path=split)
        unknown = rows[name][~np.isfinite(data.label[rows[name]])]
        if len(unknown):
            gene = data.gene_ids[int(unknown[0])]
            raise CisweaveError(f"gene {gene} is a {name} gene, but its expression is unknown", path=split)


def check_embedding(entry: ZooModel, path: Path | None) -> Embedding | None:
    """The embedded promoters, where the type reads them; those of other settings than the entry's are an error."""
    kind = find_type(entry.type)
    if not kind.embedding:
        if path is not None:
            raise CisweaveError(f"{kind.name} reads no embedded promoters; leave --embedding out")
        return None
    if path is None:
        raise CisweaveError(
            f"{kind.name} reads embedded promoters; make them with: cisweave xpresso embed, "
            "and give them as --embedding"
        )
    from cisweave.xpresso.embedding import open_embedding

    embedding = open_embedding(path)
    wanted = entry.embedding or embedding.settings.model_copy(
        update={"slice": entry.train.slice or embedding.settings.slice}
    )
    if embedding.settings != wanted:
        wrong = differences(embedding.settings, wanted)
        raise CisweaveError(
            f"these promoters are embedded with other settings than the model's ({wrong}); embed them anew", path=path
        )
    return embedding


def differences(found: EmbeddingSettings, wanted: EmbeddingSettings) -> str:
    """Which settings differ, in words."""
    pairs = ((name, getattr(found, name), value) for name, value in wanted)
    return ", ".join(f"{name} {is_} instead of {value}" for name, is_, value in pairs if is_ != value)


# --- training ---------------------------------------------------------------------------------------------------------
@dataclass
class Trained:
    """What a training gives: the networks of the best and the last epoch, and how it went."""

    best: PromoterNetwork
    last: PromoterNetwork
    history: pd.DataFrame
    restarts: int
    seed: int
    stopped_by_time: bool

    @property
    def networks(self) -> dict[str, PromoterNetwork]:
        """By epoch."""
        return {"best": self.best, "last": self.last}


def train_model(
    data: str | Path,
    split: str | Path,
    out: str | Path,
    entry: ZooModel,
    *,
    training: TrainingSettings | None = None,
    seed: int = 0,
    fold: int = 1,
    device: DeviceName = "auto",
    embedding: str | Path | None = None,
) -> dict[str, Any]:
    """Train a model of the zoo and write what became of it.

    Optimiser, learning rate, loss, batches, epochs and patience are the published ones of the type where ``entry``
    does not say otherwise. A model that collapses to one prediction for all genes is started again with another seed.
    A training that was interrupted goes on from its last epoch, exactly.

    Parameters
    ----------
    data
        Folder of promoter data (:mod:`cisweave.xpresso.dataset`).
    split
        TSV ``gene_id, fold, split``; the genes of ``fold`` are used.
    out
        Folder to write: model folders ``best`` and ``last`` (weights of the epoch with the least validation loss, and
        of the last epoch), ``predictions.parquet`` (``gene_id, split``; ``measured, best, last`` in log10 units, or as
        given where data are z-scores; the same on the scale of the model as ``measured_z, best_z, last_z``),
        ``metrics.json``, ``history.csv`` (a row an epoch, from 0), ``run`` with checkpoints and logs.
    entry
        Type, network and training.
    embedding
        Embedded promoters (:mod:`cisweave.xpresso.embedding`) of these data and this split, for types that read them.

    Returns
    -------
    dict
        The metrics also written to ``metrics.json``.

    Raises
    ------
    CisweaveError
        If data, split and model do not fit, training diverges, or every start collapses.
    """
    out, embedding = Path(out), None if embedding is None else Path(embedding)
    task = prepare(
        Path(data),
        Path(split),
        entry,
        training or TrainingSettings(),
        seed,
        fold,
        resolve_device(device),
        embedding,
    )
    counts = {name: len(task.rows[name]) for name in SPLITS}
    logger.info("%s: %s genes to train, validate and test", task.kind.name, " / ".join(map(str, counts.values())))
    trained = train(task, out)
    table = predictions(task, trained)
    metrics = describe(task, trained, table)
    for epoch, network in trained.networks.items():
        save_model(out / epoch, network.cpu(), model_spec(task), {**metrics, "epoch": epoch}, trained.history)
    with atomic_path(out / HISTORY_FILE) as temporary:
        trained.history.to_csv(temporary, index=False, lineterminator="\n")
    write_parquet(table, out / PREDICTIONS)
    for result in (*(out / epoch / SPEC for epoch in EPOCHS), out / PREDICTIONS):
        write_receipt(
            result,
            settings={"model": entry.model_dump(mode="json"), "training": task.training.model_dump(mode="json")},
            inputs=task.hashes,
            seed=seed,
            device=str(task.device),
            dtype="float32",
            notes={"fold": fold},
        )
    write_json(out / METRICS_FILE, metrics)
    return metrics


def train(task: Task, out: Path) -> Trained:
    """Train until a start does not collapse; results of an earlier training in the folder are gone by then."""
    starts = Starts(out / RUN, task.identity, task.seed, task.settings.restarts)
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)
    examples = {name: task.examples(name) for name in ("train", "valid")}
    while True:
        seed = starts.current_seed
        network = task.network(seed)
        module = PromoterModule(network, task.settings, make_rates(task.settings, network.width), seed)
        result = fit(
            module,
            examples["train"],
            examples["valid"],
            batch_size=cast("int", task.settings.batch_size),
            folder=starts.run_folder,
            settings=task.training,
            identity={**task.identity, "start": starts.collapsed},
            monitor="valid_loss",
            mode="min",
            max_epochs=cast("int", task.settings.max_epochs),
            patience=task.settings.patience,
            device=task.device,
        )
        if not module.watch.collapsed:
            last = last_network(task, seed, starts.run_folder)
            return Trained(network.float(), last, result.history, starts.collapsed, seed, result.stopped_by_time)
        logger.warning(
            "%s with seed %d collapsed to one prediction for all genes after %d epochs",
            task.kind.name,
            seed,
            result.epochs,
        )
        starts.give_up()


def last_network(task: Task, seed: int, run_folder: Path) -> PromoterNetwork:
    """The network of the last epoch; weights that are not finite are an error."""
    path = run_folder / "checkpoints" / "last.ckpt"
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    weights = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    if not all(torch.isfinite(value).all() for value in weights.values()):
        raise CisweaveError(
            "training diverged: weights are no longer finite; lower the learning rate, or set gradient_clip_val in "
            "training.trainer",
            path=run_folder,
        )
    network = task.network(seed)
    network.load_state_dict(weights)
    return network


# --- what is measured and kept ----------------------------------------------------------------------------------------
def predictions(task: Task, trained: Trained) -> pd.DataFrame:
    """Measured and predicted expression of all genes of the split, in its order."""
    tables = []
    for split in SPLITS:
        examples, rows = task.examples(split), task.rows[split]
        table = pd.DataFrame({"gene_id": [task.data.gene_ids[row] for row in rows.tolist()], "split": split})
        z = {"measured": task.scaling.labels(task.data.label[rows])}
        z |= {epoch: predict_examples(trained.networks[epoch], examples, task.device) for epoch in EPOCHS}
        for name, values in z.items():
            table[name] = task.scaling.unlabel(values)
        for name, values in z.items():
            table[f"{name}_z"] = values
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def describe(task: Task, trained: Trained, table: pd.DataFrame) -> dict[str, Any]:
    """How a model was trained and how well it predicts, for ``metrics.json``."""
    history = trained.history
    best = int(history.valid_loss.to_numpy().argmin())
    return {
        "type": task.kind.name,
        "inputs": task.kind.inputs,
        "slice": list(task.bounds),
        "parameters": count_parameters(trained.best),
        "seed": task.seed,
        "fold": task.fold,
        "trained_with_seed": trained.seed,
        "restarts": trained.restarts,
        "settings": task.settings.model_dump(mode="json"),
        "network": task.hyperparameters,
        "embedding": embedded_as(task),
        "stopped_by": "max_time" if trained.stopped_by_time else None,
        "genes": {name: len(task.rows[name]) for name in SPLITS},
        "epochs": len(history),
        "best_epoch": int(history.epoch.iloc[best]),
        "best_valid_loss": float(history.valid_loss.iloc[best]),
        "best_weights": "averaged" if task.training.weight_averaging is not None else "best epoch",
        **{epoch: {split: scores(table[table.split == split], epoch) for split in SPLITS} for epoch in EPOCHS},
    }


def scores(genes: pd.DataFrame, epoch: str) -> dict[str, float | None]:
    """Agreement of one epoch's predictions with the measurements of genes; what is not defined is ``None``."""
    found = score(genes[epoch].to_numpy(), genes["measured"].to_numpy())
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def model_spec(task: Task) -> ModelSpec:
    """The description of the model, with all that prediction needs."""
    return ModelSpec(
        architecture="promoter",
        hyperparameters=task.hyperparameters,
        outputs=["expression"],
        preprocessing={
            "promoter": {
                "upstream": task.data.upstream,
                "downstream": task.data.downstream,
                "slice": list(task.bounds),
                "compat": task.data.description.get("compat"),
            },
            "scaling": task.scaling.to_dict(),
            "embedding": embedded_as(task),
            "inputs": task.kind.inputs,
        },
        training_data=dict(task.hashes),
    )


def embedded_as(task: Task) -> dict[str, Any] | None:
    """Settings of the embedding that a model reads; ``None`` where it reads bases."""
    return None if task.embedding is None else task.embedding.settings.model_dump(mode="json")
