"""Hyper-parameters: every combination of a grid is a job of its own, the best by validation goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, read_json
from cisweave.core.logs import get_logger
from cisweave.models.folders import HISTORY, METRICS, SPEC, WEIGHTS, read_spec
from cisweave.seal.performance import SIX_DIGITS, number_of
from cisweave.tables.frames import write_tsv
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    from cisweave.config import ExpressionSettings, GridSettings, PhaseName

logger = get_logger(__name__)

COPIED = (WEIGHTS, METRICS, HISTORY, "genes.tsv", "performance.tsv", SPEC)
"""Files of a model folder, its description last: a folder that has it is whole."""
HYPERPARAMETERS = ["hidden", "learning_rate", "l2", "gene_weight"]


@dataclass(frozen=True)
class GridPoint:
    """One combination: its name (also that of a folder) and the settings to train with."""

    name: str
    settings: ExpressionSettings


def grid_points(grid: GridSettings, model: ExpressionSettings, phase: PhaseName) -> list[GridPoint]:
    """Every combination of a phase, in the order of the lists; one point where nothing is to be tried.

    The widths of the shared layer are tried in the general phase; the specific one takes that of the pre-trained model.
    """
    axes, own = getattr(grid, phase), getattr(model, phase)
    hidden = distinct(grid.hidden) if phase == "pretrain" and grid.hidden else [model.hidden]
    lists = [distinct(getattr(axes, name)) or [getattr(own, name)] for name in HYPERPARAMETERS[1:]]
    points = []
    for units, rate, l2, weight in product(hidden, *lists):
        changed = own.model_copy(update={"learning_rate": rate, "l2": l2, "gene_weight": weight})
        settings = model.model_copy(update={"hidden": units, phase: changed})
        width = f"h{units}_" if phase == "pretrain" else ""
        points.append(GridPoint(f"{width}lr{rate:g}_l2-{l2:g}_w{weight:g}".replace("+", ""), settings))
    if len({point.name for point in points}) < len(points):
        raise CisweaveError("values of seal.grid differ by less than six digits show; take values further apart")
    return points


def distinct(values: Sequence[float]) -> list[Any]:
    """Values in their order, each once."""
    return list(dict.fromkeys(values))


def select_model(
    candidates: Sequence[str | Path],
    model: str | Path,
    out: str | Path,
    by: Literal["mse", "spearman"] = "mse",
) -> str:
    """Copy the best of several model folders and write a table of them all.

    Parameters
    ----------
    candidates
        Model folders of one phase, trained on the same data. Of equally good ones the first is taken.
    model
        Model folder to write: a copy of the best, without its checkpoints.
    out
        TSV, best first: name, hyper-parameters, epochs, scores on validation and test genes, whether chosen.
    by
        Least mean squared error, or highest median Spearman correlation, of the validation genes.

    Returns
    -------
    str
        The name of the best.
    """
    folders = named_folders(candidates)
    if Path(model).resolve() in {folder.resolve() for folder in folders.values()}:
        raise CisweaveError("the model to write is one of the candidates; give it another folder", path=model)
    check_comparable(folders)
    table = candidate_table(folders)
    column, ascending = ("valid_mse", True) if by == "mse" else ("valid_spearman", False)
    if not table[column].notna().any():
        raise CisweaveError(f"no candidate has a figure to choose by ({column})")
    table = table.sort_values(column, ascending=ascending, kind="stable", na_position="last", ignore_index=True)
    best = str(table.name[0])
    write_tsv(table.assign(chosen=table.index == 0), out, float_format=SIX_DIGITS)
    copy_model(folders[best], Path(model))
    write_receipt(
        Path(model) / SPEC, settings={"by": by}, inputs=weights_of(folders), notes={"chosen": best, "of": len(folders)}
    )
    write_receipt(out, settings={"by": by}, inputs=weights_of(folders))
    logger.info("%s is the best of %d by %s of the validation genes", best, len(folders), by)
    return best


def named_folders(candidates: Sequence[str | Path]) -> dict[str, Path]:
    """Folders by name, or by what tells their paths apart where names are the same."""
    paths = [Path(folder).absolute() for folder in candidates]
    if not paths:
        raise CisweaveError("there is no model to choose from; give the folders of some")
    repeated = [path for number, path in enumerate(paths) if path in paths[:number]]
    if repeated:
        raise CisweaveError("this candidate is given twice; give each folder once", path=repeated[0])
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        common = os.path.commonpath(paths)
        names = [path.relative_to(common).as_posix() for path in paths]
    return dict(zip(names, map(Path, candidates), strict=True))


def weights_of(folders: dict[str, Path]) -> list[Path]:
    """Weights of all candidates."""
    return [folder / WEIGHTS for folder in folders.values()]


def check_comparable(folders: dict[str, Path]) -> None:
    """Raise unless all candidates learned the same from the same data; they may stand on different shared layers."""
    first: tuple[str, Any] | None = None
    for name, folder in folders.items():
        spec = read_spec(folder)
        data = sorted(value for path, value in spec.training_data.items() if Path(path).name != WEIGHTS)
        key = (spec.architecture, spec.outputs, spec.preprocessing, data)
        if first is None:
            first = (name, key)
        elif key != first[1]:
            raise CisweaveError(
                f"this model and {first[0]} were trained for different contexts, splits or data; choose among models "
                "that differ in hyper-parameters alone",
                path=folder,
            )


def candidate_table(folders: dict[str, Path]) -> pd.DataFrame:
    """One row per candidate, from its ``metrics.json``."""
    rows = []
    for name, folder in folders.items():
        metrics = read_json(folder / METRICS)
        valid, test = metrics.get("valid", {}), metrics.get("test", {})
        rows.append(
            {
                "name": name,
                **{key: metrics.get(key) for key in HYPERPARAMETERS},
                "epochs": metrics.get("epochs"),
                "valid_mse": number_of(valid.get("mse")),
                "valid_spearman": number_of(valid.get("spearman_median")),
                "test_mse": number_of(test.get("mse_median")),
                "test_spearman": number_of(test.get("spearman_median")),
            }
        )
    return pd.DataFrame(rows)


def copy_model(source: Path, target: Path) -> None:
    """Copy a model folder without its checkpoints; files that are there are replaced, the description last."""
    (target / SPEC).unlink(missing_ok=True)
    for name in COPIED:
        if (source / name).is_file():
            with atomic_path(target / name) as temporary:
                shutil.copyfile(source / name, temporary)
        else:
            (target / name).unlink(missing_ok=True)
