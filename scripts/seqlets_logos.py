"""Draw attribution logos of the best variants and promoters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import run_program


def main(
    attributions: Annotated[Path, typer.Option(help="Attributions (HDF5).")],
    annotated: Annotated[Path, typer.Option(help="Annotated seqlets (Parquet).")],
    loci: Annotated[Path, typer.Option(help="Locus table (TSV).")],
    motif_effects: Annotated[Path, typer.Option(help="What the variants do to motifs (TSV).")],
    out: Annotated[Path, typer.Option(help="Folder for the PNG files.")],
    index: Annotated[Path, typer.Option(help="Index of the figures (JSON) to write.")],
    variants: Annotated[int, typer.Option(min=0, help="Most variants.")] = 8,
    promoters: Annotated[int, typer.Option(min=0, help="Most promoters.")] = 4,
) -> None:
    """Draw attribution logos of the best variants (reference over alternative) and promoters."""
    from cisweave.core.logs import configure_logging
    from cisweave.seqlets.logos import draw_logos

    configure_logging()
    draw_logos(attributions, annotated, loci, motif_effects, out, index, variants, promoters)


if __name__ == "__main__":
    run_program(main)
