"""Verbs that measure and compare models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Settings
from cisweave.cli.xpresso.app import Data, Fold, Split, app
from cisweave.config import PromoterBaselineSettings, PromoterEvaluationSettings, load_settings

Bootstrap = Annotated[
    int | None, typer.Option(min=0, help="Resamples of the genes behind intervals and tests, in place of settings.")
]


@app.command()
def baselines(
    data: Data,
    split: Split,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write: predictions.parquet, metrics.json.")],
    fold: Fold = 1,
    settings: Settings = None,
) -> None:
    """Fit what every model must beat: the mean, half-life features, k-mers, factors, by ridge regression."""
    from cisweave.xpresso.baselines import fit_baselines

    fit_baselines(data, split, out_folder, load_settings(PromoterBaselineSettings, settings), fold=fold)


@app.command()
def evaluate(
    run: Annotated[
        list[Path], typer.Option(help="Folder of a training (or of baselines); once per seed and fold of one model.")
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder to write: evaluation.tsv, predictions.parquet, history.tsv.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the model; baselines have their own.")] = None,
    bootstrap: Bootstrap = None,
    settings: Settings = None,
) -> None:
    """Measure one model over its seeds and folds: r², R², Spearman and errors with intervals over genes and runs."""
    from cisweave.xpresso.evaluate import evaluate_model

    chosen = load_settings(PromoterEvaluationSettings, settings, bootstrap=bootstrap)
    evaluate_model(run, out_folder, chosen, name)


@app.command()
def compare(
    evaluation: Annotated[
        list[Path], typer.Option(help="Folder that evaluate wrote; once per model, and once for the baselines.")
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write: comparison.tsv, ranking.tsv, tests.tsv.")],
    published: Annotated[
        bool | None, typer.Option(help="Put the published figures of each type beside it, in place of settings.")
    ] = None,
    bootstrap: Bootstrap = None,
    settings: Settings = None,
) -> None:
    """Put models and baselines into one table, on the genes they share, and test their differences."""
    from cisweave.xpresso.compare import compare_models

    chosen = load_settings(PromoterEvaluationSettings, settings, bootstrap=bootstrap, published=published)
    compare_models(evaluation, out_folder, chosen, chosen.published)
