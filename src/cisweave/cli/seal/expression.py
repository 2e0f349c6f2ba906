"""Verbs that make and measure the expression model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Seed, Settings, Threads, Training
from cisweave.cli.seal.app import Contexts, Expression, ModelOut, Profiles, app
from cisweave.config import ExpressionSettings, TrainingSettings, load_settings
from cisweave.core.devices import set_threads


@app.command()
def pretrain(
    profiles: Profiles,
    expression: Expression,
    contexts: Contexts,
    model: ModelOut,
    settings: Settings = None,
    training: Training = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train the expression model on the general contexts; predictions are ln(expression + pseudocount)."""
    from cisweave.seal.expression import pretrain as run

    set_threads(threads)
    run(
        profiles,
        expression,
        contexts.split(","),
        model,
        load_settings(ExpressionSettings, settings),
        load_settings(TrainingSettings, training),
        seed,
        device,
    )


@app.command()
def finetune(
    profiles: Profiles,
    expression: Expression,
    contexts: Contexts,
    pretrained: Annotated[Path, typer.Option(help="Folder of the pre-trained model (from pretrain).")],
    model: ModelOut,
    settings: Settings = None,
    training: Training = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Fine-tune a pre-trained expression model on specific contexts: a new head on the frozen shared layer."""
    from cisweave.seal.expression import finetune as run

    set_threads(threads)
    run(
        profiles,
        expression,
        contexts.split(","),
        pretrained,
        model,
        load_settings(ExpressionSettings, settings),
        load_settings(TrainingSettings, training),
        seed,
        device,
    )


@app.command()
def evaluate(
    profiles: Profiles,
    expression: Expression,
    model: Annotated[Path, typer.Option(help="Folder of the expression model (from pretrain or finetune).")],
    out: Annotated[
        Path,
        typer.Option(help="TSV: gene_id, chrom, split, context, measured, predicted (ln(expression + pseudocount))."),
    ],
    metrics: Annotated[Path, typer.Option(help="JSON: Spearman and mean squared error on the test contigs.")],
) -> None:
    """Compare predicted with measured expression, gene by gene and context by context."""
    from cisweave.seal.expression import evaluate as run

    run(profiles, expression, model, out, metrics)
