"""Draw how well expression is predicted, and how large the effects of variants are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import run_program


def main(
    out: Annotated[Path, typer.Option(help="Folder for figures (PNG, SVG) and tables (TSV).")],
    performance: Annotated[
        list[Path] | None, typer.Option(help="Accuracy per context (TSV, from evaluate); once per context set.")
    ] = None,
    effects: Annotated[
        list[Path] | None, typer.Option(help="Effects (Parquet: alt - ref, ln expression); once per context set.")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option(help="Folder of an expression model that was trained; once per model.")
    ] = None,
    general: Annotated[str, typer.Option(help="The context set that pre-trains.")] = "general",
) -> None:
    """Draw performance per context, pre-training against fine-tuning, effects by distance and context, losses."""
    from cisweave.core.logs import configure_logging
    from cisweave.seal.figures import draw_seal_figures

    configure_logging()
    named = {folder.parent.name if folder.name in ("model", "best") else folder.name: folder for folder in model or []}
    draw_seal_figures(performance or [], effects or [], named, general, out)


if __name__ == "__main__":
    run_program(main)
