"""Options that several verbs share, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.core.devices import DeviceName

Settings = Annotated[
    str | None,
    typer.Option(help="Settings of this verb: JSON text or a YAML/JSON file. Without it every key has its default."),
]
Training = Annotated[
    str | None,
    typer.Option(help="What all training runs share (config section 'training'): JSON text or a YAML/JSON file."),
]
Seed = Annotated[int, typer.Option(help="Seed; the same seed gives the same result on the same device.")]
Device = Annotated[
    DeviceName, typer.Option(help="auto, cpu or cuda; cuda where PyTorch sees no GPU is an error, never a fall-back.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of PyTorch. Default: as the environment says.")]
Fasta = Annotated[Path, typer.Option(help="Genome FASTA, plain or bgzip; .fai is made when absent.")]
