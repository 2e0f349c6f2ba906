"""The command group and the options its verbs share, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Promoters, half-life, factors and microRNAs to expression: the zoo of models.",
)

Data = Annotated[Path, typer.Option(help="Folder of the data (from build or import-data).")]
DataOut = Annotated[Path, typer.Option("--out", help="Folder of the data, to write.")]
Split = Annotated[Path, typer.Option(help="Which genes train, validate and test (TSV, from split).")]
Fold = Annotated[int, typer.Option(min=1, help="Fold of the split, from 1.")]
Model = Annotated[Path, typer.Option(help="Folder of a promoter model (best/ or last/ of train, or import-model).")]
RejectsOut = Annotated[
    Path | None, typer.Option(help="TSV of what is left out and why: gene_id, code, message. Default: only the log.")
]
Halflife = Annotated[
    Path | None, typer.Option(help="Half-life features (TSV: gene_id, UTR5LEN, CDSLEN, …, raw values).")
]
Factors = Annotated[
    Path | None,
    typer.Option("--tf", help="Factors per gene: TSV or Parquet, Harmonizome's attribute sets, or the zoo's workbook."),
]
MicroRnas = Annotated[
    Path | None, typer.Option("--mirna", help="microRNAs per gene: TSV, CSV, Parquet, or TargetScan's counts.")
]
Symbols = Annotated[Path | None, typer.Option(help="TSV gene_id, symbol, where a table names genes by symbol.")]
Gtf = Annotated[Path | None, typer.Option(help="Gene annotation (GTF or GFF3); goes with --fasta.")]
Genome = Annotated[Path | None, typer.Option("--fasta", help="Genome FASTA, plain or bgzip.")]
Bed = Annotated[
    Path | None,
    typer.Option(help="Promoters as BED6 (0-based, column 4 the gene); those on - are reverse-complemented."),
]
Promoters = Annotated[
    Path | None, typer.Option(help="FASTA of promoters, 5' to 3' on the gene's strand, named by gene.")
]
Cage = Annotated[Path | None, typer.Option(help="CAGE peaks (BED, named p1@gene), which place the TSS before the GTF.")]
