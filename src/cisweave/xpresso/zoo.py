"""The table of models: which are trained, on which slice and embedding, how, with which seeds.

Nothing here needs PyTorch: what is wrong with a table is told before any job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cisweave.config import EmbeddingSettings, PromoterTrainingSettings, ZooModel
from cisweave.config.messages import join_mistakes
from cisweave.config.promoters import slice_bounds
from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.registry import EXTRAS, ModelType, find_type, network_mistakes, network_settings
from cisweave.tables.receipts import settings_hash
from cisweave.xpresso.dataset import PROMOTERS, read_description

if TYPE_CHECKING:
    from cisweave.config.model import XpressoConfig

BASELINES = "baselines"
"""The linear models that all are measured against."""
BASELINE = r"mean|halflife|tf|mirna|kmer\d+"
"""Their names; no model may have one of them."""
TRANSFORMERS = ("deeplncloc", "token", "whole")
"""Families whose rate ``noam`` can set."""
PUBLISHED = ("optimizer", "learning_rate", "loss", "batch_size", "max_epochs", "patience")
"""Settings of which every type has a published choice; of a learning rate not with ``noam``."""
OWN_SETTINGS: dict[str, tuple[str, float]] = {"momentum": ("sgd", 0.9), "warmup": ("noam", 8000)}
"""Settings of one optimiser alone: which, and what holds where nothing was published or written."""
OF_SEGMENTS = ("segment", "k", "size")
"""Hyper-parameters that a network takes from the embedding it reads."""


# --- mistakes ---------------------------------------------------------------------------------------------------------
def check_zoo(zoo: Mapping[str, ZooModel], config: XpressoConfig | None = None) -> list[str]:
    """One line for each mistake in a table of models, beyond what its keys allow.

    Parameters
    ----------
    config
        Of the run that trains the models: they must also go with its data and its list of predicted models.
    """
    taken = [name for name in zoo if name == BASELINES or re.fullmatch(BASELINE, name)]
    problems = [f"{name}: a baseline is called this; choose another name for the model" for name in taken]
    expected = None if config is None else expected_data(config)
    for name, entry in zoo.items():
        found = entry_problems(entry)
        if not found and expected is not None:
            found = data_problems(entry, expected)
        if not found and config is not None and name in config.predicted and "P" not in find_type(entry.type).inputs:
            found = [f"type: {entry.type} reads no promoter, whose variants could be scored; see xpresso.predicted"]
        problems += [f"{name}.{line}" for line in found]
    return problems


def check_entry(entry: ZooModel) -> None:
    """Raise if an entry has a mistake beyond what its keys allow."""
    problems = entry_problems(entry)
    if problems:
        raise CisweaveError(join_mistakes("the model", problems))


def entry_problems(entry: ZooModel) -> list[str]:
    """One line, with its key, for each mistake in an entry."""
    try:
        kind = find_type(entry.type)
    except CisweaveError as error:
        return [f"type: {error}"]
    problems = [*embedding_problems(kind, entry), *shape_problems(kind, entry), *training_problems(kind, entry)]
    if entry.seeds is not None and len(set(entry.seeds)) != len(entry.seeds):
        problems.append("seeds: a seed stands twice")
    return problems


def embedding_problems(kind: ModelType, entry: ZooModel) -> list[str]:
    """Mistakes about segments, and about which part of the promoter is read."""
    place = entry.train.slice
    if "P" not in kind.inputs and place is not None:
        return [f"train.slice: {kind.name} reads no promoter; leave it out"]
    if not kind.embedding:
        bases = f"embedding: {kind.name} reads bases, not segments; leave it out"
        return [bases] if entry.embedding is not None else []
    if entry.embedding is not None and place not in (None, entry.embedding.slice):
        return [f"train.slice: {place} is not embedding.slice; leave it out"]
    try:
        embedding_of(entry)
    except ValidationError as error:
        return [f"train.slice: {problem['ctx']['error']}" for problem in error.errors()]
    return []


def shape_problems(kind: ModelType, entry: ZooModel) -> list[str]:
    """Mistakes in hyper-parameters of the network, and windows that it cannot read."""
    if kind.embedding:
        twice = [key for key in OF_SEGMENTS if key in entry.network]
        if twice:
            return [f"network.{key}: segments are those of the embedding; write embedding.{key}" for key in twice]
    problems = network_mistakes(kind, entry.network)
    if problems or kind.embedding or "P" not in kind.inputs:
        return problems
    left, right = slice_bounds(entry.train.slice or kind.slice)
    problem = network_settings(kind, entry.network).window_problem(right - left)
    return [] if problem is None else [f"train.slice: {problem}"]


def training_problems(kind: ModelType, entry: ZooModel) -> list[str]:
    """Mistakes in how a model is trained: settings that are absent, or would not be used."""
    settings = with_published(kind, entry)
    noam = settings.optimizer == "noam"
    problems = [
        f"train.{name}: {kind.name} has no published value for this way of training; write one"
        for name in PUBLISHED
        if getattr(settings, name) is None and not (noam and name == "learning_rate")
    ]
    problems += [
        f"train.{name}: only {optimizer} has one, and the optimizer is {settings.optimizer}; leave it out"
        for name, (optimizer, _) in OWN_SETTINGS.items()
        if getattr(entry.train, name) is not None and settings.optimizer != optimizer
    ]
    if (settings.reduce_epoch is None) != (settings.reduce_factor is None):
        problems.append("train.reduce_epoch: reduce_epoch and reduce_factor go together; write both")
    if noam and entry.train.learning_rate is not None:
        problems.append("train.learning_rate: noam has rates of its own; leave it out, or write another optimizer")
    if noam and kind.shape not in TRANSFORMERS:
        problems.append(f"train.optimizer: noam is made for transformers, and {kind.name} is none; write sgd or adam")
    return problems


# --- what a run offers ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ExpectedData:
    """What is known of a run's data before they are made.

    Attributes
    ----------
    length
        Bases of a promoter; 0: there are none.
    absent
        Inputs that there are none of: letter -> what to do.
    """

    length: int
    absent: Mapping[str, str]


def expected_data(config: XpressoConfig) -> ExpectedData:
    """What the data of a run will hold."""
    if config.dataset is not None:
        description = read_description(config.dataset)
        length = int(description["upstream"]) + int(description["downstream"])
        held = length if PROMOTERS in description["files"] else 0
        absent = {key: "build the data with them" for key in "TM" if not description[EXTRAS[key]]}
        return ExpectedData(held, absent)
    tables = {"T": config.tf, "M": config.mirna}
    if config.promoters is not None:
        tables["H"] = config.halflife
    absent = {key: f"write xpresso.{EXTRAS[key]}" for key, table in tables.items() if table is None}
    return ExpectedData(config.data.upstream + config.data.downstream, absent)


def data_problems(entry: ZooModel, expected: ExpectedData) -> list[str]:
    """Mistakes of an entry on the data of a run."""
    kind = find_type(entry.type)
    problems = [
        f"type: {kind.name} reads {EXTRAS[key]}, which the data lack; {expected.absent[key]}, or take a type without"
        for key in kind.inputs
        if key in expected.absent
    ]
    if "P" not in kind.inputs:
        return problems
    key = "embedding.slice" if entry.embedding is not None else "train.slice"
    place = resolve_training(entry).slice
    if not expected.length:
        problems.append(f"type: {kind.name} reads promoters, which the data lack; build them with sequences")
    elif slice_bounds(place or "")[1] > expected.length:
        problems.append(
            f"{key}: {place} is no part of the promoters, which have {expected.length} bases; write another part"
        )
    return problems


# --- how an entry is trained ------------------------------------------------------------------------------------------
def resolve_training(entry: ZooModel) -> PromoterTrainingSettings:
    """Settings of a model with what its type was published with where the entry says nothing.

    Raises
    ------
    CisweaveError
        If a setting is absent or would not be used.
    """
    kind = find_type(entry.type)
    problems = training_problems(kind, entry)
    if problems:
        raise CisweaveError(f"{kind.name}: {join_mistakes('train', problems)}")
    settings = with_published(kind, entry)
    own: dict[str, Any] = {
        name: (given if (given := getattr(settings, name)) is not None else default)
        if settings.optimizer == optimizer
        else None
        for name, (optimizer, default) in OWN_SETTINGS.items()
    }
    if settings.optimizer == "noam":
        own["learning_rate"] = None
    return settings.model_copy(update=own)


def with_published(kind: ModelType, entry: ZooModel) -> PromoterTrainingSettings:
    """Settings of an entry over the published ones of its type; what neither tells is ``None``."""
    told = {name: value for name, value in entry.train if value is not None}
    place = entry.embedding.slice if entry.embedding is not None else entry.train.slice or kind.slice
    return PromoterTrainingSettings.model_validate({**kind.training, **told, "slice": place or None})


# --- embeddings -------------------------------------------------------------------------------------------------------
def embedding_of(entry: ZooModel) -> EmbeddingSettings | None:
    """How the promoters of a model are embedded; none where its type reads bases."""
    kind = find_type(entry.type)
    if not kind.embedding:
        return None
    return entry.embedding or EmbeddingSettings(slice=entry.train.slice or kind.slice)


def embedding_name(settings: EmbeddingSettings) -> str:
    """A name for an embedding that differs between settings."""
    digest = settings_hash(json.loads(settings.model_dump_json()))
    return f"{settings.mode}-{digest[:8]}"


def embeddings(zoo: Mapping[str, ZooModel]) -> dict[str, EmbeddingSettings]:
    """Name -> settings of every embedding that the models of a table need, each once."""
    found = [embedding_of(entry) for entry in zoo.values()]
    return {embedding_name(settings): settings for settings in found if settings is not None}
