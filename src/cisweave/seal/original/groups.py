"""Seal's groups of contexts: which contexts share the weights of genes (Seal, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cisweave.core.errors import CisweaveError, shorten
from cisweave.genome.text import DIGITS, numbered_lines

ABSENT = "NA"
"""What Seal's command line takes for "no file of groups"."""


def read_context_groups(path: str | Path, n_contexts: int, names: Sequence[str] = ()) -> dict[str, list[int]]:
    """Read groups of contexts.

    Parameters
    ----------
    path
        Tab-separated text without a header: name of the group, then its contexts, separated by commas, as 1-based
        numbers of the columns of the expression table (``gene_id`` not counted) or as their names.
    n_contexts
        Number of contexts.
    names
        Names of the contexts, in order; without them a file may use numbers only.

    Returns
    -------
    dict[str, list[int]]
        By group, in the order of the file, the **0-based** indices of its contexts. Contexts of no group are in none
        (their genes have weight 1).

    Raises
    ------
    CisweaveError
        With the line, for a group without a name or contexts or that comes twice, and for a context that there is not
        or that is listed twice.
    """
    known = {name: number for number, name in enumerate(names)}
    groups: dict[str, list[int]] = {}
    taken: dict[int, str] = {}
    for line, text in numbered_lines(path):
        if not text.strip():
            continue
        try:
            group, members = parse_group(text, n_contexts, known)
            take(group, members, groups, taken)
        except ValueError as error:
            raise CisweaveError(str(error), path=path, line=line) from error
    if not groups:
        raise CisweaveError("this file holds no group; a line is a name, a tab, 1-based numbers of contexts", path=path)
    return groups


def parse_group(text: str, n_contexts: int, known: Mapping[str, int]) -> tuple[str, list[int]]:
    """Name and 0-based contexts of one line; ValueError says what is wrong with it."""
    fields = [field.strip() for field in text.split("\t")]
    if len(fields) != 2 or not all(fields):
        raise ValueError("a line is the name of a group, a tab, and its contexts separated by commas")
    return fields[0], [context_index(each.strip(), n_contexts, known) for each in fields[1].split(",")]


def context_index(text: str, n_contexts: int, known: Mapping[str, int]) -> int:
    """0-based index of a context given by name or 1-based number; a name that is a number goes first."""
    if text in known:
        return known[text]
    if not DIGITS.fullmatch(text):
        raise ValueError(
            f"{shorten(text)} is no context; write its 1-based number, or its name in the expression table"
        )
    if not 1 <= int(text) <= n_contexts:
        raise ValueError(f"there is no context {text}; numbers go from 1 to {n_contexts}")
    return int(text) - 1


def take(group: str, members: Sequence[int], groups: dict[str, list[int]], taken: dict[int, str]) -> None:
    """Add a group; ValueError if it, or one of its contexts, is there already."""
    if group in groups:
        raise ValueError(f"group {shorten(group)} is listed twice; put its contexts on one line")
    for member in members:
        if member in taken:
            raise ValueError(f"context {member + 1} is in group {shorten(taken[member])} already; keep it in one")
        taken[member] = group
    groups[group] = list(members)
