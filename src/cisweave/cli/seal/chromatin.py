"""Verbs that make chromatin: training the model, profiles around TSS and their index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Fasta, Seed, Settings, Threads, Training
from cisweave.cli.seal.app import Chromatin, ModelOut, Tss, app
from cisweave.config import ChromatinSettings, ProfileSettings, TrainingSettings, load_settings
from cisweave.core.devices import set_threads


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
    chromatin: Chromatin,
    out: Annotated[Path, typer.Option(help="HDF5: profile (genes, bins, tracks) as probabilities, and features.")],
    part: Annotated[
        str | None, typer.Option(help="Which stretch of the genes, such as 3/8 (the third of eight). Default: all.")
    ] = None,
    settings: Settings = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Predict the chromatin profile around every TSS, upstream first, and its spatial features.

    Genes are taken in genome order, and the parts are stretches of them. A job that was killed goes on after its last
    whole gene when it is started again. Settings: config section seal.profile (bins, grid, float16 or float32).
    """
    from cisweave.core.parts import Part

    chosen = None if part is None else Part.parse(part)

    from cisweave.seal.profiles import profile_tss as run

    set_threads(threads)
    run(fasta, tss, chromatin, out, load_settings(ProfileSettings, settings), device, chosen)


@app.command("index-profiles")
def index_profiles(
    shards: Annotated[list[Path], typer.Argument(help="HDF5 files of 'seal profile-tss', one for each part.")],
    out: Annotated[Path, typer.Option(help="Output JSON: the shards with their genes and checksums.")],
) -> None:
    """Index the shards of scattered profiles, so that they are read as one store.

    In: the shards, made with one model, genome and settings. Out: a JSON that names them, written last; every verb that
    takes --profiles reads it.
    """
    from cisweave.models.profile_shards import index_profiles as run

    run(shards, out)
