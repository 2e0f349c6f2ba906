"""The models of the zoo side by side: the same genes, the same figures, and what their differences are worth.

==================  =================================================================================================
``comparison.tsv``  a row per model and epoch: what it is, its figures with intervals over genes and over runs, and
                    what was published of its type
``ranking.tsv``     a row per model and epoch: its rank by r² on the genes that all models share, with the interval of
                    the rank over genes
``tests.tsv``       a row per pair of models and epoch: difference of r² on the genes they share
``published.tsv``   a row per published r² of a type or baseline; the first of each also stands in ``comparison.tsv``
==================  =================================================================================================

Two tests ask different questions. ``p_genes`` asks whether other genes would give the same winner: both models are
measured on the same resamples of the genes, and the difference is set against its spread. ``p_runs`` asks whether other
seeds (or folds) would: Student's t of the differences run by run. Each is adjusted by Holm's method for all pairs of
its epoch.

Dimension legend
    genes - test genes, resamples - bootstrap draws of the genes, runs - seeds and folds
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import PromoterEvaluationSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.models.promoter.published import BASELINE_RESULTS, RESULTS, PublishedResult
from cisweave.tables.frames import read_table, write_tsv
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.evaluate import (
    BASELINE,
    COLLECTED_COLUMNS,
    DESCRIPTION_COLUMNS,
    EPOCHS,
    EVALUATION,
    EVALUATION_COLUMNS,
    PREDICTIONS,
    Epoch,
)
from cisweave.xpresso.metrics import METRICS, GeneResamples, bootstrap_p, correlation, holm, interval, paired_p

logger = get_logger(__name__)

TABLES = ["comparison", "ranking", "tests", "published"]
BOUNDS = ("low", "high", "run_low", "run_high")
PUBLISHED_COLUMNS = ["published_r2", "published_low", "published_high", "published_data", "published_source"]
COMPARISON_COLUMNS = [
    *DESCRIPTION_COLUMNS,
    *("epoch", "folds", "seeds", "genes"),
    *(name for metric in METRICS for name in (metric, *(f"{metric}_{bound}" for bound in BOUNDS))),
    *("r2_ensemble", "r2_chosen", "r2_valid"),
    *PUBLISHED_COLUMNS,
]
RANKING_COLUMNS = ["epoch", "rank", "model", "genes", "r2", "rank_low", "rank_high", "first", "r2_valid"]
TEST_COLUMNS = [
    *("epoch", "first", "second", "genes", "difference", "low", "high", "p_genes", "p_genes_holm"),
    *("runs", "p_runs", "p_runs_holm"),
]
NAMES = {"model": "str"}
"""Columns that are text whatever stands in them: a model may be called 123 or True."""
TEXTS = {**dict.fromkeys(TABLES, NAMES), "tests": {"first": "str", "second": "str"}}
"""The same of each table."""
RESULT_COLUMNS = ["model", "type", "r2", "low", "high", "data", "source"]

Genes = Mapping[int, tuple[str, ...]]
"""Test genes by fold, sorted."""
Key = tuple[str, Epoch, tuple[tuple[int, tuple[str, ...]], ...]]
"""A model, its epoch, and genes."""


@dataclass
class Comparison:
    """Tables of :func:`compare_models`."""

    comparison: pd.DataFrame
    ranking: pd.DataFrame
    tests: pd.DataFrame
    published: pd.DataFrame


def compare_models(
    evaluations: Sequence[str | Path],
    out: str | Path,
    settings: PromoterEvaluationSettings,
    published: bool = False,
) -> Comparison:
    """Compare models and baselines and write :data:`TABLES` into ``out``.

    Parameters
    ----------
    evaluations
        Evaluation folders of all models and of the baselines (:func:`cisweave.xpresso.evaluate.evaluate_model`).
    out
        Folder to write.
    settings
        Resamples and coverage of intervals.
    published
        Put beside each model and baseline what was published of its type; only for data like those, the human median
        expression.

    Raises
    ------
    CisweaveError
        If a model comes twice, measurements of a gene differ between models, or models share no test genes.
    """
    folders = [Path(folder) for folder in evaluations]
    contenders = read_contenders(folders)
    scores = pd.concat([read_scores(folder) for folder in folders], ignore_index=True)
    arena = Arena(contenders, settings)
    table = comparison_table(scores, published)
    ranking = ranking_table(arena, table)
    found = Comparison(table, ranking, test_table(arena), published_table(scores, published))
    out = Path(out)
    for name in TABLES:
        write_tsv(getattr(found, name), out / f"{name}.tsv", float_format="%.6g")
    inputs = [folder / name for folder in folders for name in (EVALUATION, PREDICTIONS)]
    told = {**settings.model_dump(mode="json"), "published": published}
    write_receipt(out / "comparison.tsv", settings=told, inputs=inputs, seed=settings.seed)
    logger.info("%d models and baselines compared on %d test genes", len(contenders), arena.count(arena.shared))
    return found


# --- reading ----------------------------------------------------------------------------------------------------------
@dataclass
class Contender:
    """Test predictions of all runs of one model.

    Attributes
    ----------
    name
        Of the model.
    baseline
        Whether it is a baseline.
    measured
        Per fold the measured values, indexed by gene, sorted.
    predicted
        Per epoch and fold the predictions: a row per gene, a column per seed.
    """

    name: str
    baseline: bool
    measured: dict[int, pd.Series]
    predicted: Mapping[Epoch, dict[int, pd.DataFrame]]

    @cached_property
    def genes(self) -> Genes:
        """Test genes by fold."""
        return {fold: tuple(values.index) for fold, values in self.measured.items()}

    def of(self, epoch: Epoch, fold: int, names: tuple[str, ...]) -> tuple[NDArray[np.float64], pd.DataFrame]:
        """Measured values (genes,) and predictions (genes, seeds) of some genes of a fold."""
        measured, predicted = self.measured[fold], self.predicted[epoch][fold]
        if names != self.genes[fold]:
            measured, predicted = measured.loc[list(names)], predicted.loc[list(names)]
        return measured.to_numpy(dtype=np.float64), predicted


def read_contenders(folders: Sequence[Path]) -> list[Contender]:
    """All models of the evaluation folders, in their order."""
    found: dict[str, Contender] = {}
    places: dict[str, Path] = {}
    for folder in folders:
        types = read_scores(folder).groupby("model")["type"].first()
        table = read_table(folder / PREDICTIONS, COLLECTED_COLUMNS)
        check_scores(types, table, folder)
        for key, rows in table[table["split"] == "test"].groupby("model", sort=False):
            name = str(key)
            if name in found:
                raise CisweaveError(f"model {name} stands also in {places[name]}; give each model a name", path=folder)
            places[name] = folder
            found[name] = make_contender(name, str(types[name]).startswith(BASELINE), rows)
    if not found:
        raise CisweaveError("there is no model to compare; name at least one evaluation folder")
    check_measurements(found.values(), places)
    return list(found.values())


def read_scores(folder: Path) -> pd.DataFrame:
    """``evaluation.tsv`` of a folder, with the means of each of its models."""
    path = folder / EVALUATION
    scores = read_table(path, EVALUATION_COLUMNS, dtype=NAMES)
    means = scores[(scores["split"] == "test") & (scores["scope"] == "mean")]
    found = set(zip(means["model"], means["epoch"], means["metric"], strict=True))
    for model in scores["model"].unique():
        if not {(model, epoch, metric) for epoch in EPOCHS for metric in METRICS} <= found:
            raise CisweaveError(f"{model} lacks rows of scope mean; evaluate the model anew", path=path)
    return scores


def check_scores(types: pd.Series, table: pd.DataFrame, folder: Path) -> None:
    """Raise unless figures and predictions of a folder are of the same models."""
    apart = sorted(set(types.index) ^ set(table.loc[table["split"] == "test", "model"].astype(str)))
    if apart:
        raise CisweaveError(
            f"{apart[0]} does not stand both in {EVALUATION} and {PREDICTIONS}; evaluate the model anew", path=folder
        )


def make_contender(name: str, baseline: bool, rows: pd.DataFrame) -> Contender:
    """A model from its rows of ``predictions.parquet``."""
    folds = {fold: rows[rows["fold"] == fold] for fold in sorted(rows["fold"].unique().tolist())}
    measured = {fold: part.groupby("gene_id")["measured"].first() for fold, part in folds.items()}
    predicted = {
        epoch: {fold: part.pivot(index="gene_id", columns="seed", values=epoch) for fold, part in folds.items()}
        for epoch in EPOCHS
    }
    return Contender(name, baseline, measured, predicted)


def check_measurements(contenders: Iterable[Contender], places: Mapping[str, Path]) -> None:
    """Raise unless a gene has the same measured expression wherever it stands."""
    known = pd.Series(dtype=np.float64)
    for contender in contenders:
        for values in contender.measured.values():
            both = known.index.intersection(values.index)
            apart = (known[both] - values[both]).abs() > 1e-6
            if apart.any():
                raise CisweaveError(
                    f"the measured expression of gene {both[apart][0]} is not that of other models; compare models of "
                    "the same data",
                    path=places[contender.name],
                )
            known = pd.concat([known, values.drop(both)])


# --- resamples --------------------------------------------------------------------------------------------------------
class Arena:
    """r² of every model on resamples of the genes that it shares with others.

    Parameters
    ----------
    contenders
        Models and baselines.
    settings
        Resamples and their seed.
    """

    def __init__(self, contenders: Sequence[Contender], settings: PromoterEvaluationSettings):
        self.contenders = list(contenders)
        self.settings = settings
        self.shared = shared_genes([contender.genes for contender in contenders])
        self._resamples: dict[tuple[int, tuple[str, ...]], GeneResamples] = {}
        self._drawn: dict[Key, NDArray[np.float64]] = {}
        self._runs: dict[Key, dict[int, pd.Series]] = {}
        if not self.count(self.shared):
            raise CisweaveError("the models share no test genes; evaluate them on the same split")
        if any(contender.genes != self.shared for contender in contenders):
            logger.warning(
                "models differ in their test genes: ranks are on the %d that all share, tests on those of each pair",
                self.count(self.shared),
            )

    @staticmethod
    def count(genes: Genes) -> int:
        """Number of genes, over all folds."""
        return sum(len(names) for names in genes.values())

    def r2(self, contender: Contender, epoch: Epoch, genes: Genes) -> float:
        """Mean over folds and seeds of r² on these genes."""
        return float(np.mean([values.mean() for values in self.run_r2(contender, epoch, genes).values()]))

    def run_r2(self, contender: Contender, epoch: Epoch, genes: Genes) -> dict[int, pd.Series]:
        """r² on these genes per fold, indexed by seed."""
        key = (contender.name, epoch, tuple(genes.items()))
        if key not in self._runs:
            found = {}
            for fold, names in genes.items():
                measured, table = contender.of(epoch, fold, names)
                scores = [correlation(table[seed].to_numpy(), measured, "pearson") ** 2 for seed in table]
                found[fold] = pd.Series(scores, index=table.columns)
            self._runs[key] = found
        return self._runs[key]

    def drawn(self, contender: Contender, epoch: Epoch, genes: Genes) -> NDArray[np.float64]:
        """The same as :meth:`r2` on every resample (resamples,); the same genes give the same resamples."""
        key = (contender.name, epoch, tuple(genes.items()))
        if key not in self._drawn:
            folds = []
            for fold, names in genes.items():
                measured, table = contender.of(epoch, fold, names)
                resamples = self.resamples(measured, fold, names)
                folds.append(np.mean([resamples.r2(table[seed].to_numpy()) for seed in table], axis=0))
            self._drawn[key] = np.mean(folds, axis=0)
        return self._drawn[key]

    def resamples(self, measured: NDArray[np.float64], fold: int, names: tuple[str, ...]) -> GeneResamples:
        """Resamples of some genes of a fold, made once."""
        if (fold, names) not in self._resamples:
            made = GeneResamples(measured, self.settings.bootstrap, self.settings.seed, fold)
            self._resamples[fold, names] = made
        return self._resamples[fold, names]


def shared_genes(all_genes: Sequence[Genes]) -> Genes:
    """Genes by fold that all have; folds without any are left out."""
    first, *others = all_genes
    shared = {}
    for fold, names in first.items():
        differing = [genes.get(fold, ()) for genes in others if genes.get(fold) != names]
        kept = tuple(sorted(set(names).intersection(*differing))) if differing else names
        if kept:
            shared[fold] = kept
    return shared


# --- tables -----------------------------------------------------------------------------------------------------------
def comparison_table(scores: pd.DataFrame, published: bool) -> pd.DataFrame:
    """``comparison.tsv``, models in the order of their evaluations."""
    rows = [
        comparison_row(epoch, part[part["epoch"] == epoch], published)
        for _, part in scores.groupby("model", sort=False)
        for epoch in EPOCHS
    ]
    return pd.DataFrame(rows)[COMPARISON_COLUMNS].astype({"parameters": "Int64"})


def comparison_row(epoch: str, scores: pd.DataFrame, published: bool) -> dict[str, Any]:
    """One model and epoch."""
    test = scores[scores["split"] == "test"]
    runs = test[test["scope"] == "run"]
    means = test[test["scope"] == "mean"].set_index("metric")
    description = {name: scores[name].iloc[0] for name in DESCRIPTION_COLUMNS}
    row = {**description, "epoch": epoch, "folds": runs["fold"].nunique(), "seeds": runs["seed"].nunique()}
    row["genes"] = int(means["genes"].iloc[0])
    for metric in METRICS:
        row[metric] = means.loc[metric, "value"]
        row |= {f"{metric}_{bound}": means.loc[metric, bound] for bound in BOUNDS}
    for scope in ("ensemble", "chosen"):
        row[f"r2_{scope}"] = one_value(test, scope)
    row["r2_valid"] = one_value(scores[scores["split"] == "valid"], "mean")
    return row | published_columns(published_of(row["model"], row["type"]) if published else ())


def one_value(scores: pd.DataFrame, scope: str) -> float:
    """The r² of a scope; NaN where it is not there."""
    found = scores[(scores["scope"] == scope) & (scores["metric"] == "r2")]["value"]
    return float(found.iloc[0]) if len(found) else float("nan")


def published_of(model: str, kind: str) -> tuple[PublishedResult, ...]:
    """What was published of a type of the zoo, or of a baseline of this name."""
    return BASELINE_RESULTS.get(model, ()) if kind.startswith(BASELINE) else RESULTS.get(kind, ())


def published_columns(results: Sequence[PublishedResult]) -> dict[str, Any]:
    """The first of the results in the columns of ``comparison.tsv``."""
    if not results:
        return dict.fromkeys(PUBLISHED_COLUMNS)
    first = results[0]
    return dict(zip(PUBLISHED_COLUMNS, (first.r2, first.low, first.high, first.data, first.source), strict=True))


def published_table(scores: pd.DataFrame, published: bool) -> pd.DataFrame:
    """``published.tsv``: every published result of the models and baselines; without rows where none are asked for."""
    known = scores[["model", "type"]].drop_duplicates("model") if published else scores[:0]
    rows = [
        {"model": row["model"], "type": row["type"], **asdict(result)}
        for row in known.to_dict("records")
        for result in published_of(row["model"], row["type"])
    ]
    return pd.DataFrame(rows, columns=RESULT_COLUMNS)


def ranking_table(arena: Arena, comparison: pd.DataFrame) -> pd.DataFrame:
    """``ranking.tsv``: models and baselines by r² on the genes that all share, best first."""
    names = [contender.name for contender in arena.contenders]
    valid = comparison.set_index(["epoch", "model"])["r2_valid"]
    frames = []
    for epoch in EPOCHS:
        values = np.array([arena.r2(contender, epoch, arena.shared) for contender in arena.contenders])
        drawn = np.stack([arena.drawn(contender, epoch, arena.shared) for contender in arena.contenders])
        ranks = ranks_of(drawn)
        bounds = [interval(row, arena.settings.confidence, drawn_alone=True) for row in ranks]
        frame = pd.DataFrame(
            {
                "epoch": epoch,
                "rank": ranks_of(values[:, None])[:, 0],
                "model": names,
                "genes": arena.count(arena.shared),
                "r2": values,
                "rank_low": [low for low, _ in bounds],
                "rank_high": [high for _, high in bounds],
                "first": (ranks == 1).mean(axis=1) if ranks.shape[1] else np.nan,
                "r2_valid": [valid[epoch, name] for name in names],
            }
        )
        frames.append(frame.sort_values("rank", kind="stable"))
    return pd.concat(frames, ignore_index=True)[RANKING_COLUMNS]


def ranks_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks (models, resamples) from 1 for the largest; equal values share the better rank, NaN comes last."""
    from scipy.stats import rankdata

    ranks: NDArray[np.float64] = rankdata(-np.nan_to_num(values, nan=-np.inf), method="min", axis=0).astype(np.float64)
    return ranks


def test_table(arena: Arena) -> pd.DataFrame:
    """``tests.tsv``: every pair of models, and every model against every baseline."""
    frames = []
    for epoch in EPOCHS:
        frame = pd.DataFrame(list(test_rows(arena, epoch)), columns=TEST_COLUMNS)
        for column in ("p_genes", "p_runs"):
            frame[f"{column}_holm"] = holm(frame[column].to_numpy(dtype=np.float64))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def test_rows(arena: Arena, epoch: Epoch) -> Iterator[dict[str, Any]]:
    """A row per pair; ``difference`` is the first model's r² less the second's."""
    for first, second in combinations(arena.contenders, 2):
        if first.baseline and second.baseline:
            continue
        genes = shared_genes([first.genes, second.genes])
        drawn = arena.drawn(first, epoch, genes) - arena.drawn(second, epoch, genes) if genes else np.zeros(0)
        difference = arena.r2(first, epoch, genes) - arena.r2(second, epoch, genes) if genes else float("nan")
        low, high = interval(drawn, arena.settings.confidence)
        left, right = (arena.run_r2(contender, epoch, genes) for contender in (first, second))
        runs = run_differences(left, right, exact=first.baseline or second.baseline)
        yield {
            "epoch": epoch,
            "first": first.name,
            "second": second.name,
            "genes": arena.count(genes),
            "difference": difference,
            "low": low,
            "high": high,
            "p_genes": bootstrap_p(difference, drawn),
            "runs": len(runs),
            "p_runs": paired_p(runs),
        }


def run_differences(
    first: Mapping[int, pd.Series], second: Mapping[int, pd.Series], exact: bool = False
) -> NDArray[np.float64]:
    """Differences (runs,) of two models: seed by seed where there is one fold, else fold by fold over mean seeds.

    Seeds that only one has are left out. Where one is ``exact``, a baseline, it has no seeds and stands against every
    one of the other.
    """
    if len(first) > 1:
        return np.array([first[fold].mean() - second[fold].mean() for fold in first])
    differences: list[float] = []
    for fold in first:
        left, right = first[fold], second[fold]
        if exact:
            longer = left if len(left) > 1 else right
            left, right = (
                side if len(side) > 1 else pd.Series(side.iloc[0], index=longer.index) for side in (left, right)
            )
        both = left.index.intersection(right.index)
        differences += (left[both] - right[both]).tolist()
    return np.array(differences)
