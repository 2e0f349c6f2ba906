"""``cisweave simulate``: build the built-in world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.simulate.layout import Size


def simulate(
    out: Annotated[Path, typer.Option(help="Folder to write; manifest.json in it is written last.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 1,
    size: Annotated[
        Size, typer.Option(help="tiny (1.1 Mb, 4 factors), demo (5 Mb, 12 factors) or large (72 Mb).")
    ] = "demo",
) -> None:
    """Build a small world with known truth: genomes, genes, chromatin, expression, variants.

    Out, in real formats: genome/ (FASTA of sim19 and sim38 with UCSC chain files both ways), annotation/ (GTF, 1-based;
    TSS BED, 0-based half-open), chromatin/ (narrowPeak, 0-based half-open; bigWig), expression/ (linear scale, one
    table per context set), xpresso/, accessibility/ and transcripts/ (tables on sim19), variants/variants.vcf (sim38,
    1-based). truth/ holds what a method should find (effects in natural-log expression, alt - ref).
    """
    from cisweave.simulate import build_world

    build_world(out, size, seed)
