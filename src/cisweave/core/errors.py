"""The one exception a user sees, and what its messages are made of."""

from __future__ import annotations

from pathlib import Path

LONGEST = 3000
"""Characters of the longest message."""


class CisweaveError(Exception):
    """A problem the user can mend: where it is, what is wrong and what to do, in one sentence or two.

    The command line prints the message without a traceback and exits with status 2.

    Parameters
    ----------
    message
        What is wrong and what to do about it.
    path
        The file the problem is in, if there is one.
    line
        1-based line or record number within ``path``.

    Attributes
    ----------
    problem
        ``message`` alone.
    """

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None):
        self.path = None if path is None else Path(path)
        self.line = line
        self.problem = message
        place = "" if path is None else f"{path}: " if line is None else f"{path}, line {line}: "
        super().__init__(printable(place + message.strip()))


def shorten(value: object, limit: int = 30) -> str:
    """A value for a message: in quotes, cut where it is long."""
    text = str(value)
    return f"'{text}'" if len(text) <= limit else f"'{text[:limit]}…' ({len(text)} characters)"


def check_balance(taken: int, kept: int, rejected: int, unit: str) -> None:
    """Raise unless all that went in is either kept or rejected."""
    if kept + rejected != taken:
        raise CisweaveError(
            f"the books do not balance: {taken} {unit} in, {kept} kept, {rejected} rejected; "
            "this is a fault of cisweave, please report it"
        )


def printable(text: str) -> str:
    """Text that a terminal can show: control characters become ``?``, what is very long is cut."""
    shown = "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]} …"
