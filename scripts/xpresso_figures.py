"""Draw how well the models of the zoo predict expression, side by side and one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import run_program


def main(
    comparison: Annotated[Path, typer.Option(help="Folder with comparison, ranking and tests (from xpresso compare).")],
    out: Annotated[Path, typer.Option(help="Folder for figures (PNG, SVG) and tables (TSV).")],
    evaluation: Annotated[
        list[Path], typer.Option(help="Folder of a model's evaluation (from xpresso evaluate); once per model.")
    ],
) -> None:
    """Draw models side by side, their differences, losses, and predicted against measured expression."""
    from cisweave.core.logs import configure_logging
    from cisweave.xpresso.figures import draw_xpresso_figures

    configure_logging()
    draw_xpresso_figures(comparison, evaluation, out)


if __name__ == "__main__":
    run_program(main)
