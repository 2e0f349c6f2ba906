"""What a section of the page is made of. The template knows how each kind looks."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

Status = Literal["good", "bad", "neutral"]


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Notice:
    """Lines that must not be overlooked."""

    lines: Sequence[str]
    status: Status = "bad"
    kind: ClassVar[str] = "notice"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Tile:
    """One figure in large type: what it is, its value, and what it means."""

    label: str
    value: str
    note: str = ""
    status: Status = "neutral"


@dataclass(frozen=True)
class Tiles:
    """A row of tiles."""

    tiles: Sequence[Tile]
    kind: ClassVar[str] = "tiles"


@dataclass(frozen=True)
class Figure:
    """A PNG with a caption; ``alt`` says in words what is to be seen."""

    png: bytes
    caption: str
    alt: str
    wide: bool = True
    kind: ClassVar[str] = "figure"

    @property
    def source(self) -> str:
        """The image as a data address."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class Gallery:
    """Several figures, one below the other."""

    figures: Sequence[Figure]
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True)
class Details:
    """Text that is folded away until it is asked for."""

    summary: str
    text: str
    kind: ClassVar[str] = "details"


@dataclass(frozen=True)
class Column:
    """How a column of a table is shown.

    Attributes
    ----------
    name
        Column of the data frame.
    label
        Heading; the unit belongs here.
    form
        ``text``, ``prose`` (text that may run over several lines), ``code``, ``status`` (good or bad, shown as a
        light) or a format such as ``.3f`` or ``+.2f``.
    bar
        Draw a bar from 0 to this value behind the number.
    """

    name: str
    label: str
    form: str = "text"
    bar: float | None = None

    @property
    def numeric(self) -> bool:
        """Whether the column holds numbers."""
        return self.form not in ("text", "prose", "code", "status")


@dataclass(frozen=True)
class Cell:
    """One field: what is shown, what it is sorted by, and how long its bar is (percent)."""

    text: str
    order: str
    width: float | None = None
    status: Status | None = None


@dataclass(frozen=True)
class Table:
    """A table that can be sorted, and searched where ``search`` is set."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str
    search: bool = False
    tall: bool = False
    kind: ClassVar[str] = "table"

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        columns: Sequence[Column],
        caption: str,
        *,
        search: bool = False,
        tall: bool = False,
    ) -> Table:
        """A table of the named columns of a data frame, rows in its order."""
        records = frame[[column.name for column in columns]].itertuples(index=False, name=None)
        rows = [[cell(value, column) for value, column in zip(row, columns, strict=True)] for row in records]
        return cls(columns, rows, caption, search, tall)


def cell(value: Any, column: Column) -> Cell:
    """Format one value; what is missing becomes a dash."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)) or value == "":
        return Cell("–", "")
    if column.form == "status":
        good = bool(value)
        return Cell("passed" if good else "failed", str(int(good)), status="good" if good else "bad")
    if not column.numeric:
        return Cell(str(value), str(value))
    number = float(value)
    width = None if column.bar is None else 100 * min(1.0, max(0.0, abs(number) / column.bar))
    return Cell(number_text(number, column.form), repr(number), width)


def number_text(number: float, form: str) -> str:
    """A number by its format, with a true minus sign."""
    return format(number, form).replace("-", "\N{MINUS SIGN}")


Block = Text | Notice | Heading | Tiles | Figure | Gallery | Details | Table


@dataclass(frozen=True)
class Content:
    """A section with its blocks, ready for the template."""

    key: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat
