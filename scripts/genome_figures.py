"""Draw what became of the alleles of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import run_program


def main(
    normalized: Annotated[Path, typer.Option(help="What genome normalize kept (VCF), its receipt beside it.")],
    assigned: Annotated[Path, typer.Option(help="Variants with their genes (Parquet), the receipt beside it.")],
    ledger: Annotated[list[Path], typer.Option(help="Reject ledger (TSV); once per context set.")],
    out: Annotated[Path, typer.Option(help="Folder for figures (PNG, SVG) and tables (TSV).")],
    lifted: Annotated[
        Path | None, typer.Option(help="What genome liftover kept (VCF), if variants were lifted.")
    ] = None,
) -> None:
    """Draw alleles through the steps, rejects by code, classes and lengths, distances to the TSS, contigs."""
    from cisweave.core.logs import configure_logging
    from cisweave.genome.figures import draw_genome_figures

    configure_logging()
    steps = {"normalize": normalized, "liftover": lifted, "closest_tss": assigned}
    draw_genome_figures({step: path for step, path in steps.items() if path is not None}, ledger, out)


if __name__ == "__main__":
    run_program(main)
