"""Verbs that train and import models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cisweave.cli.common import Device, Seed, Threads, Training
from cisweave.cli.xpresso.app import Data, Fold, Split, app
from cisweave.config import TrainingSettings, ZooModel, load_settings
from cisweave.core.devices import set_threads


@app.command()
def models(
    out: Annotated[
        Path | None,
        typer.Option(help="TSV to write, with training and aliases, too. Default: a short table is printed."),
    ] = None,
) -> None:
    """List the types of the zoo: inputs, parameters, published scores."""
    from cisweave.tables.frames import write_tsv
    from cisweave.xpresso.models import models_table

    table = models_table()
    if out is None:
        short = table[["type", "inputs", "reads", "slice", "parameters", "published_r2"]]
        typer.echo(short.astype(object).where(short.notna(), "").to_string(index=False))
    else:
        write_tsv(table, out)


@app.command()
def train(
    data: Data,
    split: Split,
    out_folder: Annotated[
        Path,
        typer.Option(
            "--out", help="Folder to write: best/ and last/ (model folders), predictions.parquet, metrics.json."
        ),
    ],
    model_type: Annotated[
        str | None, typer.Option("--type", help="Type of the zoo (cnn/Xpresso, lstm/tf, …), in place of settings.")
    ] = None,
    embedding: Annotated[
        Path | None, typer.Option(help="Embedded promoters (HDF5, from embed), for types that read segments.")
    ] = None,
    fold: Fold = 1,
    settings: Annotated[
        str | None,
        typer.Option(help="The model's entry (type, network, train, …): JSON text or a YAML/JSON file."),
    ] = None,
    training: Training = None,
    seed: Seed = 1,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train one model of the zoo; keep its best and its last epoch, and its predictions for all genes."""
    from cisweave.xpresso.training import train_model

    set_threads(threads)
    train_model(
        data,
        split,
        out_folder,
        load_settings(ZooModel, settings, type=model_type),
        training=load_settings(TrainingSettings, training),
        seed=seed,
        fold=fold,
        device=device,
        embedding=embedding,
    )


@app.command()
def import_model(
    source: Annotated[
        Path, typer.Argument(help="Keras weights (.h5), a SavedModel folder, or a bundle's .index file.")
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="Model folder to write.")],
    model_type: Annotated[
        str | None, typer.Option("--type", help="Type of the zoo. Default: told by the weights, where they can.")
    ] = None,
    bundle_data: Annotated[Path | None, typer.Option(help="Data file of a bundle that has lost its name.")] = None,
    window: Annotated[
        str | None, typer.Option("--slice", help="Part of the promoter that is read, left:right. Default: the type's.")
    ] = None,
    upstream: Annotated[int, typer.Option(min=1, help="Bases of a promoter before its TSS.")] = 10_000,
    downstream: Annotated[int, typer.Option(min=1, help="Bases of a promoter from its TSS on.")] = 10_000,
    compat: Annotated[
        Literal["xpresso", "none"],
        typer.Option(
            help="xpresso: windows as published (TSS one base off on one strand); none: the TSS in its place."
        ),
    ] = "xpresso",
    halflife: Annotated[
        str | None,
        typer.Option(
            help="Names of the half-life features in the model's order, by commas; weights of 2018 name none."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data it was trained on: gives means, spreads and names.")
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(help="Vectors of k-mers (.npy, 4^k x size), for types that read segments.")
    ] = None,
) -> None:
    """Turn Keras or TensorFlow weights into a model folder, without Keras or TensorFlow."""
    from cisweave.xpresso.importing.models import import_model as run

    run(
        source,
        out_folder,
        type=model_type,
        data=bundle_data,
        slice=window,
        upstream=upstream,
        downstream=downstream,
        compat=None if compat == "none" else compat,
        halflife_names=None if halflife is None else halflife.split(","),
        genes=data,
        vectors=vectors,
    )
