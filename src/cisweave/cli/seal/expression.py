"""Verbs that make and measure the expression model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cisweave.cli.common import Device, Seed, Settings, Threads, Training, with_options
from cisweave.cli.seal.app import Contexts, Expression, ModelOut, Profiles, app
from cisweave.config import ExpressionSettings, GridSettings, PhaseSettings, TrainingSettings, load_settings
from cisweave.core.devices import set_threads

Genes = Annotated[
    Path | None,
    typer.Option(help="Gene annotation with the types of genes (ExPecto's CSV, GTF), by which some are left out."),
]
Groups = Annotated[
    Path | None,
    typer.Option(
        help="Groups of contexts for the weights of genes, TSV without header: name, then contexts separated by commas "
        "(names, or 1-based columns of the expression table, gene_id not counted). Default, or NA: one group of all."
    ),
]
Hidden = Annotated[int | None, typer.Option(min=1, help="Units of the shared layer, in place of settings.")]
Rate = Annotated[float | None, typer.Option(min=1e-12, help="Learning rate of Adam, in place of settings.")]
Penalty = Annotated[float | None, typer.Option(min=0.0, help="L2 penalty, in place of settings.")]
Weight = Annotated[
    float | None, typer.Option(min=1e-6, help="Weight of genes that vary much, in place of settings; 1 is off.")
]
Compat = Annotated[
    Literal["seal"] | None,
    typer.Option(help="seal: as the published Seal trains (validation genes at random, seed 0, …); needs --genes."),
]
Resamples = Annotated[
    Path | None, typer.Option(help="TSV: Spearman and mean squared error per context, with 95 % intervals.")
]


def override(phase: PhaseSettings, rate: float | None, l2: float | None, weight: float | None) -> PhaseSettings:
    """The settings of a phase with those options that were given."""
    return with_options(phase, learning_rate=rate, l2=l2, gene_weight=weight)


@app.command()
def pretrain(
    profiles: Profiles,
    expression: Expression,
    contexts: Contexts,
    model: ModelOut,
    genes: Genes = None,
    groups: Groups = None,
    hidden: Hidden = None,
    learning_rate: Rate = None,
    l2: Penalty = None,
    gene_weight: Weight = None,
    compat: Compat = None,
    settings: Settings = None,
    training: Training = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train the expression model on the general contexts; predictions are ln(expression + pseudocount)."""
    from cisweave.seal.expression import pretrain as run

    set_threads(threads)
    chosen = load_settings(ExpressionSettings, settings)
    phase = override(chosen.pretrain, learning_rate, l2, gene_weight)
    chosen = with_options(chosen, hidden=hidden, compat=compat, pretrain=phase)
    run(
        profiles,
        expression,
        contexts.split(","),
        model,
        settings=chosen,
        training=load_settings(TrainingSettings, training),
        seed=seed,
        device=device,
        annotation=genes,
        groups=groups,
    )


@app.command()
def finetune(
    profiles: Profiles,
    expression: Expression,
    contexts: Contexts,
    pretrained: Annotated[Path, typer.Option(help="Folder of the pre-trained model (from pretrain or an import).")],
    model: ModelOut,
    genes: Genes = None,
    groups: Groups = None,
    learning_rate: Rate = None,
    l2: Penalty = None,
    gene_weight: Weight = None,
    compat: Compat = None,
    settings: Settings = None,
    training: Training = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Fine-tune a pre-trained expression model on specific contexts: a new head on the frozen shared layer."""
    from cisweave.seal.expression import finetune as run

    set_threads(threads)
    chosen = load_settings(ExpressionSettings, settings)
    phase = override(chosen.finetune, learning_rate, l2, gene_weight)
    chosen = with_options(chosen, compat=compat, finetune=phase)
    run(
        profiles,
        expression,
        contexts.split(","),
        pretrained,
        model,
        settings=chosen,
        training=load_settings(TrainingSettings, training),
        seed=seed,
        device=device,
        annotation=genes,
        groups=groups,
    )


@app.command()
def train(
    profiles: Profiles,
    expression: Annotated[
        Path, typer.Option(help="Expression of the specific contexts: TSV, gene_id, then linear-scale values.")
    ],
    model: Annotated[Path, typer.Option(help="Folder of the fine-tuned model, to write.")],
    general_expression: Annotated[
        Path | None, typer.Option(help="Expression of the general contexts; not needed with --pretrained.")
    ] = None,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            help="Skip the general phase: a model folder, or the prefix of Seal's files "
            "(<prefix>_seal_pt_model.pt and <prefix>_seal_model_summary.txt)."
        ),
    ] = None,
    pretrained_model: Annotated[
        Path | None, typer.Option(help="Folder of the pre-trained model, to write (not with --pretrained FOLDER).")
    ] = None,
    contexts: Annotated[
        str | None, typer.Option(help="Specific contexts to learn, separated by commas. Default: all columns.")
    ] = None,
    general_contexts: Annotated[
        str | None, typer.Option(help="General contexts to learn, separated by commas. Default: all columns.")
    ] = None,
    genes: Genes = None,
    general_groups: Groups = None,
    groups: Groups = None,
    hidden: Hidden = None,
    lr_pretrain: Rate = None,
    l2_pretrain: Penalty = None,
    lr_finetune: Rate = None,
    l2_finetune: Penalty = None,
    gene_weight: Weight = None,
    compat: Compat = None,
    compat_prefix: Annotated[
        Path | None,
        typer.Option(help="Write Seal's files, too: <prefix>_seal_pt_model.pt, …_model_summary.txt and so on."),
    ] = None,
    settings: Settings = None,
    training: Training = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Pre-train on general contexts (or take a pre-trained model) and fine-tune on specific ones, in one go."""
    from cisweave.seal.train import TrainFiles
    from cisweave.seal.train import train as run

    set_threads(threads)
    chosen = load_settings(ExpressionSettings, settings)
    first = override(chosen.pretrain, lr_pretrain, l2_pretrain, gene_weight)
    second = override(chosen.finetune, lr_finetune, l2_finetune, gene_weight)
    chosen = with_options(chosen, hidden=hidden, compat=compat, pretrain=first, finetune=second)
    files = TrainFiles(
        profiles=profiles,
        expression=expression,
        model=model,
        general_expression=general_expression,
        pretrained=pretrained,
        pretrained_model=pretrained_model,
        annotation=genes,
        general_groups=general_groups,
        groups=groups,
        compat_prefix=compat_prefix,
    )
    specific, general = (None if text is None else text.split(",") for text in (contexts, general_contexts))
    run(
        files,
        specific,
        general,
        settings=chosen,
        training=load_settings(TrainingSettings, training),
        seed=seed,
        device=device,
        hidden=hidden,
    )


@app.command()
def select(
    candidate: Annotated[list[Path], typer.Option(help="Model folder to choose from; give the option once for each.")],
    model: Annotated[Path, typer.Option(help="Model folder to write: a copy of the best.")],
    out: Annotated[Path, typer.Option(help="TSV, best first: hyper-parameters and scores of every candidate.")],
    by: Annotated[
        Literal["mse", "spearman"] | None,
        typer.Option(help="Least mean squared error, or best median Spearman, of the validation genes."),
    ] = None,
    settings: Settings = None,
) -> None:
    """Choose the best of several trained models by their validation genes."""
    from cisweave.seal.grid import select_model

    select_model(candidate, model, out, with_options(load_settings(GridSettings, settings), by=by).by)


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
    performance: Resamples = None,
    genes: Genes = None,
    settings: Annotated[
        str | None,
        typer.Option(
            help="Settings of the expression model (JSON text or a YAML/JSON file), of which bootstrap counts: the "
            "resamples behind the intervals. Splits are those of the model."
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Compare predicted with measured expression, gene by gene and context by context."""
    from cisweave.seal.expression import evaluate as run

    resamples = load_settings(ExpressionSettings, settings).bootstrap
    run(
        profiles,
        expression,
        model,
        out,
        metrics,
        performance=performance,
        annotation=genes,
        seed=seed,
        resamples=resamples,
    )
