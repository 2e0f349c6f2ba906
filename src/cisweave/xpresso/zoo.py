"""The table of models: which are trained, on which slice and embedding, with which seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cisweave.config import EmbeddingSettings, ZooModel
from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.registry import find_type
from cisweave.tables.receipts import settings_hash

BASELINES = "baselines"
"""What no model may be called: the linear models that all are measured against."""


def check_zoo(zoo: Mapping[str, ZooModel]) -> list[str]:
    """One line for each mistake in a table of models, beyond what its keys allow."""
    problems = [f"{BASELINES}: a model cannot be called this; choose another name"] if BASELINES in zoo else []
    for name, entry in zoo.items():
        try:
            kind = find_type(entry.type)
        except CisweaveError as error:
            problems.append(f"{name}.type: {error}")
            continue
        if entry.embedding is not None and not kind.embedding:
            problems.append(f"{name}.embedding: {kind.name} reads bases, not segments; leave it out")
        if entry.embedding is not None and entry.train.slice not in (None, entry.embedding.slice):
            problems.append(f"{name}.train.slice: {entry.train.slice} is not embedding.slice; leave it out")
        if entry.seeds is not None and len(set(entry.seeds)) != len(entry.seeds):
            problems.append(f"{name}.seeds: a seed stands twice")
    return problems


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
