"""Seal's small tables beside its checkpoints: losses of each epoch, scores per context, final losses (section 3.6)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, atomic_text
from cisweave.genome.text import numbered_lines
from cisweave.tables.frames import read_table

LOSSES = {"epoch": "epoch", "training_loss": "train_loss", "validation_loss": "valid_loss"}
"""Seal's columns of losses and ours."""
PERFORMANCE = {"mse_loss": "mse", "spearman_r": "spearman"}
"""Seal's columns of scores and ours."""
VALIDATION = ("pretrain_model_loss", "finetune_model_loss")
FIVE_DECIMALS = "%.5f"


def read_losses(path: str | Path) -> pd.DataFrame:
    """Losses of each epoch (``…_training_loss_summary.tsv``): columns epoch, train_loss, valid_loss."""
    frame = read_table(path, LOSSES)[list(LOSSES)].rename(columns=LOSSES)
    return frame.astype({"epoch": "int64"}) if whole_epochs(frame) else not_numbers(path)


def whole_epochs(frame: pd.DataFrame) -> bool:
    """Whether all are numbers and the epochs whole ones."""
    numbers = all(pd.api.types.is_numeric_dtype(frame[column]) for column in frame)
    return numbers and bool((frame.epoch == frame.epoch.round()).all())


def not_numbers(path: str | Path) -> pd.DataFrame:
    """Say that a table holds something else."""
    raise CisweaveError("the columns must hold numbers, and epoch whole ones", path=path)


def write_losses(history: pd.DataFrame, out: str | Path) -> None:
    """Write losses of each epoch in Seal's format, five decimals, from columns epoch, train_loss, valid_loss."""
    frame = history.rename(columns={ours: theirs for theirs, ours in LOSSES.items()})[list(LOSSES)]
    write_plain(frame, out, index=False, float_format=FIVE_DECIMALS)


def read_performance(path: str | Path) -> pd.DataFrame:
    """Scores per context on the test genes (``…_testing_perf.tsv``): columns context, mse, spearman."""
    frame = read_table(path, PERFORMANCE)
    first = str(frame.columns[0])
    if first in PERFORMANCE:
        raise CisweaveError("the first column must name the contexts", path=path)
    columns = {first: "context", **PERFORMANCE}
    frame = frame[list(columns)].rename(columns=columns).astype({"context": "str"})
    if not all(pd.api.types.is_numeric_dtype(frame[column]) for column in PERFORMANCE.values()):
        not_numbers(path)
    return frame


def write_performance(frame: pd.DataFrame, out: str | Path) -> None:
    """Write scores per context in Seal's format: a blank header over the contexts, numbers in full.

    ``frame`` has the columns context, mse, spearman.
    """
    scores = frame.rename(columns={ours: theirs for theirs, ours in PERFORMANCE.items()})
    write_plain(scores.set_index("context")[list(PERFORMANCE)].rename_axis(None), out, index=True)


def read_validation(path: str | Path) -> tuple[float, float]:
    """Unweighted validation losses of the pre-trained and the fine-tuned network (``…_validation_perf.tsv``)."""
    values: dict[str, float] = {}
    for line, text in numbered_lines(path):
        name, _, value = text.strip().partition("\t")
        try:
            values[name] = float(value) if name in VALIDATION else float("nan")
        except ValueError as error:
            raise CisweaveError("a line is a name, a tab and a loss", path=path, line=line) from error
    missing = [name for name in VALIDATION if name not in values]
    if missing:
        raise CisweaveError(f"{' and '.join(missing)} missing; this is no table of validation losses", path=path)
    return values[VALIDATION[0]], values[VALIDATION[1]]


def write_validation(pretrain_loss: float, finetune_loss: float, out: str | Path) -> None:
    """Write the two validation losses in Seal's format: no header, five decimals."""
    with atomic_text(out) as handle:
        for name, loss in zip(VALIDATION, (pretrain_loss, finetune_loss), strict=True):
            handle.write(f"{name}\t{FIVE_DECIMALS % loss}\n")


def write_plain(frame: pd.DataFrame, out: str | Path, index: bool, float_format: str | None = None) -> None:
    """Write a tab-separated table, with or without its index."""
    with atomic_path(out) as temporary:
        frame.to_csv(temporary, sep="\t", index=index, float_format=float_format, lineterminator="\n")
