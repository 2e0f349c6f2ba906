"""Verbs that read and write the files of the published Seal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cisweave.cli.common import Settings
from cisweave.cli.seal.app import Chromatin, ModelOut, Profiles, Tss, app
from cisweave.config import PhaseName, ProfileSettings, load_settings


@app.command("import-chromatin")
def import_chromatin(
    weights: Annotated[Path, typer.Option(help="deepsea.beluga.pth of Seal, ExPecto or Kipoi (or one of its shape).")],
    model: ModelOut,
    tracks: Annotated[
        Path | None,
        typer.Option(help="Names of the outputs: deepsea_beluga_2002_features.tsv, or a TSV with a column track."),
    ] = None,
    window: Annotated[int, typer.Option(help="Input length in bases, which the weights do not tell.")] = 2000,
) -> None:
    """Turn the published Beluga weights into a model folder; the channel order A,G,C,T becomes A,C,G,T."""
    from cisweave.seal.original.beluga import import_chromatin as run

    run(weights, model, tracks, window)


@app.command("import-expression")
def import_expression(
    model_summary: Annotated[
        Path, typer.Option(help="Model summary (…_seal_model_summary.txt), which names the contexts.")
    ],
    model: ModelOut,
    weights: Annotated[
        Path | None,
        typer.Option(help="…_seal_pt_model.pt or …_seal_ft_model.pt. Default: the one the summary names, beside it."),
    ] = None,
    phase: Annotated[
        PhaseName | None,
        typer.Option(help="The pre-trained network or the fine-tuned one. Default: as the file is named."),
    ] = None,
    losses: Annotated[Path | None, typer.Option(help="…_training_loss_summary.tsv of that network.")] = None,
    performance_in: Annotated[
        Path | None, typer.Option("--performance", help="…_testing_perf.tsv of that network.")
    ] = None,
) -> None:
    """Turn one of Seal's expression checkpoints into a model folder, with its contexts and published scores."""
    from cisweave.seal.original.expression import import_expression as run

    run(model_summary, model, weights, phase, losses, performance_in)


@app.command("import-profiles")
def import_profiles(
    folder: Annotated[Path, typer.Option(help="Folder chromatin_tss: <gene id>.npy, probabilities (bins, tracks).")],
    tss: Tss,
    chromatin: Chromatin,
    out: Annotated[Path, typer.Option(help="The store of TSS profiles (HDF5).")],
    features: Annotated[
        Path | None,
        typer.Option(help="all_gene_chromatin_exp.npy. Without it the features are computed from the profiles."),
    ] = None,
    features_genes: Annotated[
        Path | None, typer.Option(help="The genes that are the rows of the features, in order (geneanno.csv).")
    ] = None,
    missing: Annotated[
        Literal["error", "skip"], typer.Option(help="Genes without an array: stop, or leave them out.")
    ] = "error",
    settings: Settings = None,
) -> None:
    """Turn Seal's shipped chromatin arrays into a store; says on which grid the features lie."""
    from cisweave.seal.original.profiles import import_profiles as run

    run(
        folder,
        tss,
        chromatin,
        out,
        features=features,
        features_genes=features_genes,
        settings=load_settings(ProfileSettings, settings),
        missing=missing,
    )


@app.command("export-chromatin")
def export_chromatin(
    chromatin: Chromatin,
    out: Annotated[Path, typer.Option(help="Seal's weights (.pth): a state dict, channels A,G,C,T.")],
) -> None:
    """Write a chromatin model as Seal's weights."""
    from cisweave.seal.original.beluga import export_chromatin as run

    run(chromatin, out)


@app.command("export-expression")
def export_expression(
    pretrained: Annotated[Path, typer.Option(help="Folder of the pre-trained model.")],
    model: Annotated[Path, typer.Option(help="Folder of the model fine-tuned from it.")],
    prefix: Annotated[str, typer.Option(help="Seal's out_name; files are called <prefix>_seal_….")],
) -> None:
    """Write a pre-trained and a fine-tuned model as Seal's checkpoints, tables and model summary."""
    from cisweave.seal.original.expression import export_expression as run

    run(pretrained, model, prefix)


@app.command("export-profiles")
def export_profiles(
    profiles: Profiles,
    folder: Annotated[Path, typer.Option(help="Folder to write <gene id>.npy to, float32 (bins, tracks).")],
    features_out: Annotated[
        Path | None, typer.Option(help="The features of all genes (.npy, float32) to write.")
    ] = None,
    genes: Annotated[
        Path | None, typer.Option(help="Genes to write and their order in the features. Default: those of the store.")
    ] = None,
) -> None:
    """Write a store of TSS profiles as Seal's arrays."""
    from cisweave.seal.original.profiles import export_profiles as run

    run(profiles, folder, features_out, genes)
