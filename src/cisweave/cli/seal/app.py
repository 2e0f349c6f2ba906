"""The command group and the options its verbs share, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Chromatin model, TSS profiles, transfer-learned expression, variant effects.",
)

Tss = Annotated[Path, typer.Option(help="Genes: TSS BED (contig, TSS - 1, TSS, strand, gene id), GTF, GFF3 or CSV.")]
Profiles = Annotated[Path, typer.Option(help="Store of TSS profiles: HDF5 (profile-tss) or JSON (index-profiles).")]
Chromatin = Annotated[
    Path, typer.Option(help="Folder of the chromatin model (from train-chromatin or import-chromatin).")
]
Expression = Annotated[
    Path, typer.Option(help="Expression TSV: gene_id, then one column per context with linear-scale values.")
]
Contexts = Annotated[str, typer.Option(help="Columns of the expression table to learn, separated by commas.")]
ModelOut = Annotated[
    Path, typer.Option(help="Model folder to write: weights.safetensors, model.yaml, metrics.json, history.csv.")
]
ExpressionModel = Annotated[
    Path, typer.Option(help="Folder of the expression model (from train, finetune or import-expression).")
]
Engine = Annotated[
    str | None,
    typer.Option(help="How windows are computed (config section 'seal.engine'): JSON text or a YAML/JSON file."),
]
Windows = Annotated[
    str | None,
    typer.Option("--predict", help="Shifts of the windows (config section 'seal.predict'): JSON, or a YAML/JSON file."),
]
MaxShift = Annotated[
    int | None, typer.Option(min=0, help="Largest shift of the windows in bases (800 as published), over the settings.")
]
RejectsOut = Annotated[Path, typer.Option(help="Ledger TSV of the variants that could not be scored.")]
