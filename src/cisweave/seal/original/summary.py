"""Seal's model summary: eleven lines of text that name two checkpoints, their contexts and how well they do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import atomic_text
from cisweave.genome.text import numbered_lines

MEDIAN = "(median of all contexts)"
KEYS = {
    "pretrained": "Optimal pretrain model",
    "hidden": "Number of latent features",
    "n_general": "Number of general contexts",
    "general_contexts": "Name of general contexts",
    "pretrain_mse": f"Optimal testing MSE of pretrain model {MEDIAN}",
    "pretrain_spearman": f"Optimal testing Spearman r of pretrain model {MEDIAN}",
    "finetuned": "Optimal finetune model",
    "n_specific": "Number of specific contexts",
    "specific_contexts": "Name of specific contexts",
    "finetune_mse": f"Optimal testing MSE of finetune model {MEDIAN}",
    "finetune_spearman": f"Optimal testing Spearman r of finetune model: {MEDIAN}",
}
"""The keys in their order. The last has a colon of its own in the middle, as Seal writes it."""
NUMBERS = ("hidden", "n_general", "n_specific")
SCORES = ("pretrain_mse", "pretrain_spearman", "finetune_mse", "finetune_spearman")


@dataclass(frozen=True)
class ModelSummary:
    """What a model summary tells (Seal, section 3.6).

    Attributes
    ----------
    pretrained, finetuned
        The two checkpoints, as written: paths relative to the folder in which Seal was run.
    hidden
        Units of the shared layer.
    general_contexts, specific_contexts
        Names, in the order of the outputs.
    pretrain_mse, pretrain_spearman, finetune_mse, finetune_spearman
        Medians over contexts on the test genes; NaN where unknown.
    """

    pretrained: str
    hidden: int
    general_contexts: list[str]
    pretrain_mse: float
    pretrain_spearman: float
    finetuned: str
    specific_contexts: list[str]
    finetune_mse: float
    finetune_spearman: float


def read_model_summary(path: str | Path) -> ModelSummary:
    """Read a model summary; blanks at the ends of lines and the second colon of the last key are put up with.

    Raises
    ------
    CisweaveError
        If a key is missing or comes twice, a number is none, or the names are not as many as the summary says.
    """
    values = read_values(path)
    counts = {name: parse_number(*values[name], path) for name in NUMBERS}
    scores = {name: parse_score(*values[name], path) for name in SCORES}
    return ModelSummary(
        pretrained=values["pretrained"][1],
        hidden=counts["hidden"],
        general_contexts=parse_names(*values["general_contexts"], counts["n_general"], path),
        finetuned=values["finetuned"][1],
        specific_contexts=parse_names(*values["specific_contexts"], counts["n_specific"], path),
        **scores,
    )


def write_model_summary(summary: ModelSummary, out: str | Path) -> None:
    """Write a model summary line for line as Seal does, so that Seal reads it."""
    values = {
        **{name: getattr(summary, name) for name in KEYS if not name.startswith("n_")},
        "n_general": len(summary.general_contexts),
        "n_specific": len(summary.specific_contexts),
        "general_contexts": ",".join(summary.general_contexts),
        "specific_contexts": ",".join(summary.specific_contexts),
    }
    with atomic_text(out) as handle:
        for name, key in KEYS.items():
            handle.write(f"{key}: {values[name]}\n")


def read_values(path: str | Path) -> Mapping[str, tuple[int, str]]:
    """Line number and text of each key."""
    values: dict[str, tuple[int, str]] = {}
    for line, text in numbered_lines(path):
        if not text.strip():
            continue
        for name, key in KEYS.items():
            value = value_of(key, text)
            if value is None:
                continue
            if name in values:
                raise CisweaveError(f"{key} is already on line {values[name][0]}", path=path, line=line)
            values[name] = (line, value)
    missing = [key for name, key in KEYS.items() if name not in values]
    if missing:
        raise CisweaveError(f"this is not a model summary of Seal: it lacks {'; '.join(missing)}", path=path)
    return values


def value_of(key: str, text: str) -> str | None:
    """What stands behind a key; None if the line has another key. A key may have a colon before its bracket."""
    name, bracket, _ = key.partition(MEDIAN)
    name = name.rstrip(" :")
    forms = (f"{name} {MEDIAN}:", f"{name}: {MEDIAN}:") if bracket else (f"{name}:",)
    return next((text.strip()[len(form) :].strip() for form in forms if text.strip().startswith(form)), None)


def parse_number(line: int, text: str, path: str | Path) -> int:
    """A whole number from 1 upwards."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 1_000_000):
        raise CisweaveError(f"a number from 1 upwards is needed, not {shorten(text)}", path=path, line=line)
    return int(text)


def parse_score(line: int, text: str, path: str | Path) -> float:
    """A real number or NaN."""
    try:
        score = float(text)
    except ValueError as error:
        raise CisweaveError(f"a number is needed, not {shorten(text)}", path=path, line=line) from error
    if math.isinf(score):
        raise CisweaveError("the score is infinite", path=path, line=line)
    return score


def parse_names(line: int, text: str, number: int, path: str | Path) -> list[str]:
    """Names separated by commas, as many as the summary says, no name twice."""
    names = [name.strip() for name in text.split(",")]
    if len(names) != number or not all(names):
        raise CisweaveError(f"{len(names)} names of contexts, but the summary says {number}", path=path, line=line)
    if len(set(names)) < number:
        raise CisweaveError("a context is named twice", path=path, line=line)
    return names
