"""How well one model of the zoo predicts: every seed and fold, with intervals over genes and over seeds.

A run folder is what ``cisweave xpresso train`` writes (one seed, one fold) or ``cisweave xpresso baselines`` (several
models in one table). An evaluation folder holds, for all runs of a model:

=======================  ============================================================================================
``evaluation.tsv``       :data:`EVALUATION_COLUMNS`, a row per part of the genes, epoch, scope and metric
``predictions.parquet``  :data:`COLLECTED_COLUMNS`, the validation and test genes of all runs; ``chosen`` are the runs
                         that the validation genes choose by their best epochs, one per fold
``history.tsv``          losses per epoch of all runs: model, fold, seed, epoch, train_loss, valid_loss
=======================  ============================================================================================

The scopes of ``evaluation.tsv``:

============  =======================================================================================================
``run``       one seed and fold
``mean``      mean of the runs' figures; ``low`` to ``high`` over genes (every run on the same resamples of its fold's
              genes), ``run_low`` to ``run_high`` over runs: seeds where there is one fold, else folds
``ensemble``  figure of the mean prediction of all seeds, mean over folds
``chosen``    figure of the seed with the least squared error on the validation genes of its fold, mean over folds (how
              Xpresso's figures were chosen)
============  =======================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import PromoterEvaluationSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, read_json
from cisweave.core.logs import get_logger
from cisweave.tables.frames import read_table, write_parquet, write_tsv
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.metrics import METRICS, GeneResamples, interval, score, t_interval

logger = get_logger(__name__)

Epoch = Literal["best", "last"]
EPOCHS: tuple[Epoch, ...] = ("best", "last")
"""Weights of the epoch with the least validation loss, and of the last epoch."""
SPLITS = ("test", "valid")
"""Parts of the genes that are measured; intervals over genes are those of the test genes."""
PREDICTIONS, METRICS_FILE, HISTORY_FILE = "predictions.parquet", "metrics.json", "history.csv"
EVALUATION, HISTORY = "evaluation.tsv", "history.tsv"
PREDICTION_COLUMNS = ("gene_id", "split", "measured", *EPOCHS)
COLLECTED_COLUMNS = ["model", "fold", "seed", "chosen", *PREDICTION_COLUMNS]
DESCRIPTION_COLUMNS = ["model", "type", "inputs", "parameters", "restarts"]
EVALUATION_COLUMNS = [
    *DESCRIPTION_COLUMNS,
    *("split", "epoch", "scope", "fold", "seed", "runs", "genes"),
    *("metric", "value", "low", "high", "run_low", "run_high"),
]
LOSSES = ["train_loss", "valid_loss"]
HISTORY_COLUMNS = ["model", "fold", "seed", "epoch", *LOSSES]
MADE = ("parameters", "slice", "network", "settings", "embedding")
"""Keys of ``metrics.json`` in which the runs of one model are alike."""
BASELINE = "baseline/"
"""How the types of baselines begin."""


@dataclass
class Run:
    """One training of a model, or a baseline.

    Attributes
    ----------
    folder
        Where it was read.
    model, type, inputs
        Name it is shown under, type in the zoo, codes of its inputs (``PHTM``).
    parameters
        Number of weights; ``None`` unknown.
    restarts
        Starts that collapsed before this one.
    fold, seed
        What the run differs by from the others; a baseline has no seed (0).
    made
        What it must share with the others beyond type and inputs: :data:`MADE`, as far as they are told.
    table
        :data:`PREDICTION_COLUMNS`, sorted by gene.
    """

    folder: Path
    model: str
    type: str
    inputs: str
    parameters: int | None
    restarts: int
    fold: int
    seed: int
    made: Mapping[str, Any]
    table: pd.DataFrame

    def part(self, split: str) -> pd.DataFrame:
        """Rows of a part of the genes."""
        return self.table[self.table["split"] == split]


@dataclass
class Evaluation:
    """What :func:`evaluate_model` finds."""

    scores: pd.DataFrame
    predictions: pd.DataFrame
    history: pd.DataFrame


def evaluate_model(
    runs: Sequence[str | Path], out: str | Path, settings: PromoterEvaluationSettings, name: str | None = None
) -> Evaluation:
    """Measure all runs of a model and write the evaluation folder ``out``.

    Parameters
    ----------
    runs
        Run folders (or their ``predictions.parquet``): the seeds and folds of one model, or a folder of baselines.
    out
        Folder to write.
    settings
        Resamples, coverage of intervals, seed of the resamples.
    name
        Name of the model; not needed for baselines, which have names of their own.

    Raises
    ------
    CisweaveError
        If a run lacks something, a seed and fold come twice, or runs differ in their genes or measurements.
    """
    if name is not None and not (name.strip() and name.isprintable()):
        raise CisweaveError(f"a model cannot be called {name!r}; give it a name that can be read")
    found = [run for path in runs for run in read_runs(Path(path), name)]
    check_runs(found)
    models = {run.model: [other for other in found if other.model == run.model] for run in found}
    scores = pd.concat([score_model(group, settings) for group in models.values()], ignore_index=True)
    evaluation = Evaluation(scores, collect_predictions(found), collect_history(found))
    out = Path(out)
    write_parquet(evaluation.predictions, out / PREDICTIONS)
    write_tsv(evaluation.history, out / HISTORY)
    write_tsv(scores, out / EVALUATION, float_format="%.6g")
    inputs = [run.folder / PREDICTIONS for run in found]
    write_receipt(out / EVALUATION, settings=settings.model_dump(mode="json"), inputs=inputs, seed=settings.seed)
    for model in models:
        logger.info("%s: %s", model, told(scores[scores["model"] == model]))
    return evaluation


def told(scores: pd.DataFrame) -> str:
    """The figure a reader looks for first."""
    rows = scores.query("split == 'test' and epoch == 'best' and scope == 'mean' and metric == 'r2'")
    row = rows.iloc[0]
    return f"test r2 {row['value']:.3f} ({row['runs']} run(s), {row['genes']} genes)"


# --- reading ----------------------------------------------------------------------------------------------------------
def read_runs(path: Path, name: str | None = None) -> list[Run]:
    """The runs of a run folder: one, or one per baseline."""
    folder = path.parent if path.name == PREDICTIONS else path
    if not folder.is_dir():
        raise CisweaveError("this is not a folder of a run; name one that xpresso train wrote", path=path)
    known = read_json(folder / METRICS_FILE)
    table = read_table(folder / PREDICTIONS, PREDICTION_COLUMNS)
    if not isinstance(known, dict):
        raise CisweaveError("this does not describe a run; train the model anew", path=folder / METRICS_FILE)
    if "models" in known:
        parts = {str(model): rows for model, rows in table.groupby("model", sort=False)}
        return [
            make_run(folder, model, {**known, **told_of}, parts.get(model, table[:0]))
            for model, told_of in known["models"].items()
        ]
    return [make_run(folder, name or str(known.get("type", folder.name)), known, table)]


def make_run(folder: Path, model: str, known: Mapping[str, Any], table: pd.DataFrame) -> Run:
    """A run from what its ``metrics.json`` tells, with its predictions checked."""
    try:
        parameters = known.get("parameters")
        run = Run(
            folder=folder,
            model=model,
            type=str(known["type"]),
            inputs=str(known["inputs"]),
            parameters=None if parameters is None else int(parameters),
            restarts=int(known.get("restarts", 0)),
            fold=int(known["fold"]),
            seed=int(known.get("seed") or 0),
            made={key: known.get(key) for key in MADE},
            table=table[list(PREDICTION_COLUMNS)].sort_values("gene_id", kind="stable", ignore_index=True),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CisweaveError(f"this does not describe a run ({error})", path=folder / METRICS_FILE) from error
    check_predictions(run)
    return run


def check_predictions(run: Run) -> None:
    """Raise for genes that stand twice, test genes that are missing, and values that are no numbers."""
    path = run.folder / PREDICTIONS
    measured = run.table[run.table["split"].isin(SPLITS)]
    if measured["gene_id"].duplicated().any():
        gene = measured["gene_id"][measured["gene_id"].duplicated()].iloc[0]
        raise CisweaveError(f"gene {gene} of {run.model} stands twice; train the model anew", path=path)
    if not (measured["split"] == "test").any():
        raise CisweaveError(f"there are no test genes of {run.model}; give the split some", path=path)
    for column in ("measured", *EPOCHS):
        values = pd.to_numeric(measured[column], errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            gene = measured["gene_id"].iloc[int(np.flatnonzero(~np.isfinite(values))[0])]
            raise CisweaveError(
                f"{column} of gene {gene} of {run.model} is no number; the training diverged, lower the learning rate",
                path=path,
            )


def check_runs(runs: Sequence[Run]) -> None:
    """Raise unless the runs of each model are different seeds and folds of one training on one split."""
    if not runs:
        raise CisweaveError("there is no run to evaluate; name at least one run folder")
    first: dict[tuple[str, int], Run] = {}
    seen: dict[tuple[str, int, int], Path] = {}
    kinds: dict[str, Run] = {}
    for run in runs:
        place = seen.setdefault((run.model, run.fold, run.seed), run.folder)
        if place is not run.folder:
            raise CisweaveError(
                f"seed {run.seed}, fold {run.fold} stands also in {place}; name it once", path=run.folder
            )
        kind = kinds.setdefault(run.model, run)
        if (kind.type, kind.inputs) != (run.type, run.inputs):
            raise CisweaveError(f"this is a {run.type}, but {kind.folder} is a {kind.type}", path=run.folder)
        apart = [key for key in MADE if kind.made[key] != run.made[key]]
        if apart:
            raise CisweaveError(
                f"its {apart[0]} are not those of {kind.folder}; only seeds and folds of one model belong together",
                path=run.folder / METRICS_FILE,
            )
        other = first.setdefault((run.model, run.fold), run)
        for split in SPLITS:
            check_same_genes(other.part(split), run.part(split), run.folder)


def check_same_genes(first: pd.DataFrame, second: pd.DataFrame, folder: Path) -> None:
    """Raise unless two runs of a fold have the same genes with the same measurements."""
    same = first["gene_id"].tolist() == second["gene_id"].tolist()
    if not same or not np.allclose(first["measured"], second["measured"], rtol=0, atol=1e-6):
        raise CisweaveError(
            "its genes or measurements are not those of the other runs; train all on the same data and split",
            path=folder,
        )


# --- measuring --------------------------------------------------------------------------------------------------------
def score_model(runs: Sequence[Run], settings: PromoterEvaluationSettings) -> pd.DataFrame:
    """Rows of ``evaluation.tsv`` for all runs of one model."""
    first = runs[0]
    description = {
        "model": first.model,
        "type": first.type,
        "inputs": first.inputs,
        "parameters": first.parameters,
        "restarts": sum(run.restarts for run in runs),
    }
    folds = {run.fold: [other for other in runs if other.fold == run.fold] for run in runs}
    frames = [score_split(folds, split, settings) for split in SPLITS]
    table = pd.concat([frame for frame in frames if len(frame)], ignore_index=True).assign(**description)
    return table[EVALUATION_COLUMNS].astype({"parameters": "Int64", "fold": "Int64", "seed": "Int64"})


def score_split(folds: Mapping[int, Sequence[Run]], split: str, settings: PromoterEvaluationSettings) -> pd.DataFrame:
    """Rows of one part of the genes: every run, then what the runs give together."""
    resamples = settings.bootstrap if split == "test" else 0
    parts = [FoldScores(runs, split, resamples, settings.seed) for runs in folds.values()]
    if not sum(part.genes for part in parts):
        return pd.DataFrame()
    rows: list[dict[str, Any]] = []
    for epoch in EPOCHS:
        for part in parts:
            rows += part.run_rows(epoch, settings.confidence)
        rows += together(parts, epoch, settings.confidence)
    table = pd.DataFrame(rows)
    return table.assign(split=split)


@dataclass(frozen=True)
class Scored:
    """Figures of one prediction: on the genes themselves and on every resample of them."""

    value: dict[str, float]
    drawn: dict[str, NDArray[np.float64]]


class FoldScores:
    """Figures of all seeds of one fold on one part of its genes."""

    def __init__(self, runs: Sequence[Run], split: str, resamples: int, seed: int):
        self.runs = runs
        self.measured = runs[0].part(split)["measured"].to_numpy(dtype=np.float64)
        self.predicted = {
            epoch: np.stack([run.part(split)[epoch].to_numpy(dtype=np.float64) for run in runs]) for epoch in EPOCHS
        }
        self.genes = len(self.measured)
        self.resamples = GeneResamples(self.measured, resamples, seed, runs[0].fold)
        self.scored = {epoch: [self.score(values) for values in self.predicted[epoch]] for epoch in EPOCHS}
        self.ensemble = {epoch: self.score(self.predicted[epoch].mean(axis=0)) for epoch in EPOCHS}
        self.chosen = {epoch: self.scored[epoch][least_valid_error(runs, epoch)] for epoch in EPOCHS}

    def score(self, predicted: NDArray[np.float64]) -> Scored:
        """Figures of predictions (genes,)."""
        return Scored(score(predicted, self.measured), self.resamples.scores(predicted))

    def run_rows(self, epoch: Epoch, confidence: float) -> Iterator[dict[str, Any]]:
        """A row per seed and metric."""
        for run, scored in zip(self.runs, self.scored[epoch], strict=True):
            place = {"epoch": epoch, "scope": "run", "fold": run.fold, "seed": run.seed, "runs": 1}
            for metric in METRICS:
                low, high = interval(scored.drawn[metric], confidence)
                figures = {"value": scored.value[metric], "low": low, "high": high}
                yield {**place, "genes": self.genes, "metric": metric, **figures, **NO_RUNS}


NO_RUNS = {"run_low": np.nan, "run_high": np.nan}


def least_valid_error(runs: Sequence[Run], epoch: Epoch) -> int:
    """Number of the run with the least squared error on the validation genes; the first where there are none."""
    parts = [run.part("valid") for run in runs]
    errors = [float(((part[epoch] - part["measured"]) ** 2).mean()) for part in parts]
    return int(np.nanargmin(errors)) if np.isfinite(errors).any() else 0


def together(parts: Sequence[FoldScores], epoch: Epoch, confidence: float) -> Iterator[dict[str, Any]]:
    """Rows of the scopes ``mean``, ``ensemble`` and ``chosen``."""
    scopes: dict[str, Callable[[FoldScores], Sequence[Scored]]] = {
        "mean": lambda part: part.scored[epoch],
        "ensemble": lambda part: [part.ensemble[epoch]],
        "chosen": lambda part: [part.chosen[epoch]],
    }
    for scope, pick in scopes.items():
        picked = [pick(part) for part in parts]
        place = {"epoch": epoch, "scope": scope, "fold": pd.NA, "seed": pd.NA}
        place |= {"runs": sum(len(part.runs) for part in parts), "genes": sum(part.genes for part in parts)}
        for metric in METRICS:
            values = [np.array([scored.value[metric] for scored in fold]) for fold in picked]
            drawn = mean_of([mean_of([scored.drawn[metric] for scored in fold]) for fold in picked])
            low, high = interval(drawn, confidence)
            figures = {"value": float(np.mean([fold.mean() for fold in values])), "low": low, "high": high}
            run_low, run_high = t_interval(over_runs(values), confidence)
            yield {**place, "metric": metric, **figures, "run_low": run_low, "run_high": run_high}


def mean_of(vectors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean (resamples,) of several vectors (resamples,)."""
    mean: NDArray[np.float64] = np.stack(vectors).mean(axis=0)
    return mean


def over_runs(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """What an interval over runs is taken of: the seeds of the only fold, or the means of the folds."""
    return values[0] if len(values) == 1 else np.array([fold.mean() for fold in values])


# --- collecting -------------------------------------------------------------------------------------------------------
def collect_predictions(runs: Sequence[Run]) -> pd.DataFrame:
    """Predictions of validation and test genes of all runs, and which runs are the chosen ones of their folds."""
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.model, run.fold), []).append(run)
    chosen = {place: group[least_valid_error(group, "best")].seed for place, group in groups.items()}
    frames = [
        run.table[run.table["split"].isin(SPLITS)].assign(
            model=run.model, fold=run.fold, seed=run.seed, chosen=run.seed == chosen[run.model, run.fold]
        )
        for run in runs
    ]
    return pd.concat(frames, ignore_index=True)[COLLECTED_COLUMNS]


def collect_history(runs: Sequence[Run]) -> pd.DataFrame:
    """Losses per epoch of all runs that have some."""
    frames = []
    for run in runs:
        path = run.folder / HISTORY_FILE
        if not path.exists():
            continue
        history = pd.read_csv(existing(path))
        if "epoch" in history:
            frames.append(
                history.reindex(columns=["epoch", *LOSSES]).assign(model=run.model, fold=run.fold, seed=run.seed)
            )
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True)[HISTORY_COLUMNS] if filled else pd.DataFrame(columns=HISTORY_COLUMNS)
