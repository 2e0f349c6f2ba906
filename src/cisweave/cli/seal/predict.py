"""Verbs that score variants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Fasta, Settings, Threads
from cisweave.cli.seal.app import Chromatin, Engine, ExpressionModel, Profiles, app
from cisweave.config import EngineSettings, PredictSettings, load_settings
from cisweave.core.devices import set_threads


@app.command()
def predict(
    variants: Annotated[
        Path, typer.Option(help="Variants with genes (Parquet, from genome closest-tss; pos is 1-based).")
    ],
    fasta: Fasta,
    profiles: Profiles,
    chromatin: Chromatin,
    model: ExpressionModel,
    out: Annotated[Path, typer.Option(help="Parquet: the variants and per context alt - ref in ln expression.")],
    tsv: Annotated[Path, typer.Option(help="The same scores as TSV in Seal's format, five decimals, pos 1-based.")],
    chromatin_effects: Annotated[
        Path, typer.Option(help="Parquet: per track alt - ref probability in the window centred on the variant.")
    ],
    rejects: Annotated[Path, typer.Option(help="Ledger TSV of the variants that could not be scored.")],
    settings: Settings = None,
    engine: Engine = None,
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
        load_settings(EngineSettings, engine),
        device,
    )
