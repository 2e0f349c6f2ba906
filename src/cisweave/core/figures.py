"""The one style of all figures, and bytes (PNG, SVG) that depend on nothing but the data."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cisweave.core.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
INK, SOFT, GRID = "#1c2430", "#6b7685", "#e4e8ee"
BLUE, ORANGE, TEAL, RED, VIOLET = "#2f6fb2", "#d9822b", "#2a9d8f", "#c8453c", "#7b5ea7"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "cisweave",
}


@dataclass(frozen=True)
class Picture:
    """One figure as PNG (for pages) and as SVG (for papers)."""

    png: bytes
    svg: bytes

    def write(self, path: str | Path) -> None:
        """Write ``<path>.png`` and ``<path>.svg``."""
        for kind in ("png", "svg"):
            with atomic_path(f"{path}.{kind}") as temporary:
                temporary.write_bytes(getattr(self, kind))


@contextmanager
def panels(rows: int, columns: int, width: float, height: float, **options: Any) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with ``rows`` x ``columns`` axes, in inches, in the common style; save it inside the block."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, **options)
        yield figure, list(axes.ravel())


def png(figure: Figure) -> bytes:
    """The figure as PNG, without the writer's name or any date."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as SVG, without the writer's name or any date; text is drawn as outlines."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def picture(figure: Figure) -> Picture:
    """The figure in both formats."""
    return Picture(png(figure), svg(figure))
