"""Verbs that make chromatin: training the model, profiles around TSS."""

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
