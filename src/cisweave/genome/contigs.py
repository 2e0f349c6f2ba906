"""Contig names: one contig goes by many (``chr1``, ``1``, ``NC_000001.10``, ``CM000663.1``)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cisweave.core.errors import CisweaveError
from cisweave.genome.text import numbered_lines

MITOCHONDRIA = ("chrM", "MT", "chrMT", "M")
BUILT_IN = Path(__file__).with_name("contig_aliases.tsv")


class Accession(NamedTuple):
    """A RefSeq or GenBank accession: the contig of one assembly, and no other."""

    assembly: str
    length: int
    names: tuple[str, ...]


@cache
def accessions() -> Mapping[str, Accession]:
    """The accessions of the built-in table (GRCh37, GRCh38, GRCm38)."""
    found = {}
    for _, text in list(numbered_lines(BUILT_IN))[1:]:
        assembly, length, *names = text.split("\t")
        ucsc, ensembl, refseq, genbank = names
        for accession, other in ((refseq, genbank), (genbank, refseq)):
            found[f"{assembly}|{accession}"] = Accession(assembly, int(length), (ucsc, ensembl, other))
    return found


def read_aliases(path: str | Path) -> list[tuple[str, ...]]:
    """Read a user's table of names: tab-separated, each row the names of one contig; ``#`` begins a comment.

    Raises
    ------
    CisweaveError
        If a row has fewer than two names, or a name stands in two rows.
    """
    rows: list[tuple[str, ...]] = []
    lines: dict[str, int] = {}
    for line, text in numbered_lines(path):
        if not text.strip() or text.startswith("#"):
            continue
        names = tuple(dict.fromkeys(name.strip() for name in text.split("\t") if name.strip()))
        if len(names) < 2:
            raise CisweaveError("a row needs two names or more, separated by tabs", path=path, line=line)
        for name in names:
            if name in lines:
                raise CisweaveError(f"{name} is already on line {lines[name]}", path=path, line=line)
            lines[name] = line
        rows.append(names)
    return rows


class ContigNames:
    """Finds the spelling that a set of contigs uses.

    Parameters
    ----------
    contigs
        The known contigs, with their lengths where there are any: an accession of GRCh38 is then not taken for a contig
        that has the length of GRCh37's.
    aliases
        Further rows of names (:func:`read_aliases`); they go before the built-in ones.
    """

    def __init__(self, contigs: Collection[str], aliases: Iterable[tuple[str, ...]] = ()):
        self.contigs = contigs
        self._aliases = {name: row for row in aliases for name in row}
        self._found: dict[str, str | None] = {}

    def resolve(self, name: str) -> str | None:
        """The spelling of ``name`` that the contigs know, or ``None``.

        The name itself goes first, then the user's aliases, then the name with ``chr`` added or removed and the four
        names of the mitochondrion, then what an accession stands for.
        """
        if name not in self._found:
            known = (alias for alias in self._candidates(name) if alias in self.contigs)
            self._found[name] = next(known, None)
        return self._found[name]

    def _candidates(self, name: str) -> Iterable[str]:
        yield name
        yield from self._aliases.get(name, ())
        yield name[3:] if name.startswith("chr") else f"chr{name}"
        if name in MITOCHONDRIA:
            yield from MITOCHONDRIA
        for accession, entry in accessions().items():
            if name == accession.partition("|")[2]:
                yield from (alias for alias in entry.names if not self._is_other_assembly(alias, entry))
            elif name in entry.names and not self._is_other_assembly(accession.partition("|")[2], entry):
                yield accession.partition("|")[2]

    def _is_other_assembly(self, alias: str, entry: Accession) -> bool:
        """Whether the contig ``alias`` has just the length it has in another assembly than that of ``entry``."""
        length = self.contigs[alias] if isinstance(self.contigs, Mapping) and alias in self.contigs else None
        others = {other.length for other in accessions().values() if other.assembly != entry.assembly}
        return length != entry.length and length in others


def resolve_contig(name: str, contigs: Collection[str]) -> str | None:
    """The spelling of ``name`` that ``contigs`` knows, or ``None`` (:meth:`ContigNames.resolve`)."""
    return name if name in contigs else ContigNames(contigs).resolve(name)
