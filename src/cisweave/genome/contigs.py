"""Contig names: the same contig spelt with and without the prefix ``chr``."""

from __future__ import annotations

from collections.abc import Collection

MITOCHONDRIA = ("chrM", "MT", "chrMT", "M")


def resolve_contig(name: str, contigs: Collection[str]) -> str | None:
    """The spelling of ``name`` that ``contigs`` knows, or ``None``.

    The name itself goes first, then the name with ``chr`` added or removed; the mitochondrion's four names are one.
    """
    if name in contigs:
        return name
    bare = name[3:] if name.startswith("chr") else f"chr{name}"
    aliases: tuple[str, ...] = (bare, *(MITOCHONDRIA if name in MITOCHONDRIA else ()))
    return next((alias for alias in aliases if alias in contigs), None)
