"""``cisweave seal``: chromatin, spatial features, expression and the effects of variants on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Fasta, Seed, Settings, Threads, Training
from cisweave.config import (
    ChromatinSettings,
    ExpressionSettings,
    PredictSettings,
    ProfileSettings,
    TrainingSettings,
    load_settings,
)
from cisweave.core.devices import set_threads

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Chromatin model, TSS profiles, transfer-learned expression, variant effects.",
)

Tss = Annotated[Path, typer.Option(help="TSS BED: contig, TSS - 1, TSS, strand, gene id (0-based half-open).")]
Profiles = Annotated[Path, typer.Option(help="Store of TSS profiles (HDF5, from profile-tss).")]
Chromatin = Annotated[Path, typer.Option(help="Folder of the chromatin model (from train-chromatin).")]
Expression = Annotated[
    Path, typer.Option(help="Expression TSV: gene_id, then one column per context with linear-scale values.")
]
Contexts = Annotated[str, typer.Option(help="Columns of the expression table to learn, separated by commas.")]
ModelOut = Annotated[
    Path, typer.Option(help="Model folder to write: weights.safetensors, model.yaml, metrics.json, history.csv.")
]


@app.command("train-chromatin")
def train_chromatin(
    fasta: Fasta,
    tracks: Annotated[Path, typer.Option(help="Track table: columns track, peaks (BED files, 0-based half-open).")],
    model: ModelOut,
    settings: Settings = None,
    training: Training = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a chromatin model on peaks: windows of a genome in, probability of each track out."""
    from cisweave.seal.chromatin import train_chromatin as run

    set_threads(threads)
    run(
        fasta,
        tracks,
        model,
        load_settings(ChromatinSettings, settings),
        load_settings(TrainingSettings, training),
        seed,
        device,
    )


@app.command("profile-tss")
def profile_tss(
    fasta: Fasta,
    tss: Tss,
    model: Chromatin,
    out: Annotated[Path, typer.Option(help="HDF5: profile (genes, bins, tracks) as probabilities, and features.")],
    settings: Settings = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Predict the chromatin profile around every TSS, upstream first, and its spatial features."""
    from cisweave.seal.profiles import profile_tss as run

    set_threads(threads)
    run(fasta, tss, model, out, load_settings(ProfileSettings, settings), device)


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


@app.command()
def predict(
    variants: Annotated[
        Path, typer.Option(help="Variants with genes (Parquet, from genome closest-tss; pos is 1-based).")
    ],
    fasta: Fasta,
    profiles: Profiles,
    chromatin: Chromatin,
    model: Annotated[Path, typer.Option(help="Folder of the expression model (from finetune).")],
    out: Annotated[Path, typer.Option(help="Parquet: the variants and per context alt - ref in ln expression.")],
    tsv: Annotated[Path, typer.Option(help="The same scores as TSV in Seal's format, five decimals, pos 1-based.")],
    chromatin_effects: Annotated[
        Path, typer.Option(help="Parquet: per track alt - ref probability in the window centred on the variant.")
    ],
    rejects: Annotated[Path, typer.Option(help="Ledger TSV of the variants that could not be scored.")],
    settings: Settings = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score variants: the change of expression of the closest gene in every context."""
    from cisweave.seal.predict import predict as run

    set_threads(threads)
    run(
        variants,
        fasta,
        profiles,
        chromatin,
        model,
        out,
        tsv,
        chromatin_effects,
        rejects,
        load_settings(PredictSettings, settings),
        device,
    )
