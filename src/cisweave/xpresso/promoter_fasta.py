"""A FASTA of promoters: a record per gene, on the gene's strand, all of one length."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cisweave.core.errors import CisweaveError, shorten
from cisweave.genome.genes import without_version
from cisweave.genome.text import numbered_lines
from cisweave.sequence.onehot import Codes, encode

NO_BASE = re.compile(r"[^ACGTUNRYSWKMBDHVacgtunryswkmbdhv]")
BEDTOOLS = re.compile(r"(::.*)?(\([+-]\))?$")
"""What ``bedtools getfasta -name -s`` adds to a name: its place and its strand."""


@contextmanager
def read_promoter_fasta(path: str | Path, length: int) -> Iterator[tuple[list[str], Codes]]:
    """Gene ids and promoters uint8 (genes, length) of a FASTA, held in a temporary file while the block lasts.

    A gene id is the first word of a header, without version and without what bedtools adds. Letters other than A, C, G
    and T become unknown bases.

    Raises
    ------
    CisweaveError
        At the first record that has no id, comes twice, is of another length or holds what is no base.
    """
    ids: list[str] = []
    lines: dict[str, int] = {}
    with tempfile.TemporaryFile() as held:
        for line, name, bases in records(path):
            if name in lines:
                raise CisweaveError(f"gene {name} is already on line {lines[name]}; keep one", path=path, line=line)
            if len(bases) != length:
                raise CisweaveError(
                    f"{shorten(name)} has {len(bases)} bases; upstream + downstream make {length}: pad it with N, or "
                    "set them to what the promoters hold before the TSS and from it on",
                    path=path,
                    line=line,
                )
            lines[name] = line
            ids.append(name)
            held.write(encode(bases).tobytes())
        if not ids:
            raise CisweaveError("this is no FASTA: no line begins with '>'", path=path)
        held.flush()
        yield ids, np.memmap(held, np.uint8, "r", shape=(len(ids), length))


def records(path: str | Path) -> Iterator[tuple[int, str, str]]:
    """Line of the header, gene id and bases of each record."""
    name, begun, parts = "", 0, list[str]()
    for line, text in numbered_lines(path):
        if text.startswith(">"):
            if begun:
                yield begun, name, "".join(parts)
            name, begun, parts = gene_of_header(text, path, line), line, []
            continue
        bases = text.strip()
        if bases and not begun:
            raise CisweaveError("this is no FASTA: it does not begin with '>'", path=path, line=line)
        wrong = NO_BASE.search(bases)
        if wrong:
            raise CisweaveError(f"{shorten(wrong.group())} is no base", path=path, line=line)
        parts.append(bases)
    if begun:
        yield begun, name, "".join(parts)


def gene_of_header(text: str, path: str | Path, line: int) -> str:
    """The gene id of a header."""
    words = text[1:].split()
    name = without_version(BEDTOOLS.sub("", words[0], count=1)) if words else ""
    if not name:
        raise CisweaveError("this record has no name; name it by its gene", path=path, line=line)
    return name
