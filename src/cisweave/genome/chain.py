"""UCSC chain files: checked here line by line, then searched by the ``liftover`` package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from liftover import ChainFile

from cisweave.core.errors import CisweaveError
from cisweave.genome.text import numbered_lines

HEADER_FIELDS = 12


class ChainHeader(NamedTuple):
    """One chain: intervals (0-based half-open) of the assembly lifted from and of the one lifted to.

    ``query_start`` and ``query_end`` count from the far end of the contig where ``query_strand`` is ``-``.
    """

    chrom: str
    size: int
    start: int
    end: int
    query_chrom: str
    query_size: int
    query_strand: str
    query_start: int
    query_end: int


class Hit(NamedTuple):
    """Where a position is in the target assembly (1-based)."""

    chrom: str
    pos: int
    strand: str


class Chain:
    """A chain file that answers for single positions.

    Parameters
    ----------
    path
        UCSC chain, plain or gzip, from the assembly of the variants to the target.

    Attributes
    ----------
    target_sizes
        Lengths of the target contigs as the chain states them.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.target_sizes = {chain.query_chrom: chain.query_size for chain in read_chains(path)}
        try:
            self._chains = ChainFile(str(path), one_based=True)
        except (ValueError, RuntimeError) as error:
            raise CisweaveError(f"this chain cannot be read ({error})", path=path) from error

    def hits(self, chrom: str, pos: int) -> list[Hit]:
        """Every place of the 1-based position ``pos``; contigs may be spelt with or without ``chr``."""
        return [Hit(*match) for match in self._chains.query(chrom, pos)]


def read_chains(path: str | Path) -> list[ChainHeader]:
    """Read the headers of a chain file; blocks that do not add up to their header are an error.

    Raises
    ------
    CisweaveError
        With the line at which the file stops being a UCSC chain.
    """
    headers: list[ChainHeader] = []
    end, open_chain, line = (0, 0), False, 0
    for line, words in chain_lines(path):
        if words[0] == "chain":
            if headers:
                check_end(headers[-1], end, path, line)
            headers.append(parse_header(words, path, line))
            end, open_chain = (headers[-1].start, headers[-1].query_start), True
        elif not open_chain:
            raise CisweaveError("a block without its chain line; is this a UCSC chain file?", path=path, line=line)
        else:
            size, gap, query_gap = parse_block(words, path, line)
            end = (end[0] + size + gap, end[1] + size + query_gap)
            open_chain = len(words) > 1
    if not headers:
        raise CisweaveError("this file holds no chain", path=path)
    check_end(headers[-1], end, path, line)
    return headers


def parse_block(words: list[str], path: str | Path, line: int) -> tuple[int, int, int]:
    """Parse ``size dt dq``, or the ``size`` that closes a chain, as bases (size, gap, gap in the target)."""
    if len(words) not in (1, 3) or not all(word.isascii() and word.isdigit() for word in words):
        raise CisweaveError("a block must be 'size' or 'size dt dq', whole numbers", path=path, line=line)
    size, *gaps = map(int, words)
    gap, query_gap = gaps or (0, 0)
    return size, gap, query_gap


def chain_lines(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """The words of each line that is neither blank nor a comment, with its number."""
    for line, text in numbered_lines(path):
        words = text.split()
        if words and not words[0].startswith("#"):
            yield line, words


def parse_header(words: list[str], path: str | Path, line: int) -> ChainHeader:
    """Parse ``chain score tName tSize tStrand tStart tEnd qName qSize qStrand qStart qEnd [id]``."""
    try:
        _, _, chrom, size, strand, start, end, *query = words[:HEADER_FIELDS]
        query_chrom, query_size, query_strand, query_start, query_end = query
        target = (chrom, int(size), int(start), int(end))
        header = ChainHeader(*target, query_chrom, int(query_size), query_strand, int(query_start), int(query_end))
    except ValueError as error:
        raise CisweaveError(
            "a chain line is 'chain score' and name, size, strand, start, end of both assemblies", path=path, line=line
        ) from error
    if strand != "+" or query_strand not in ("+", "-"):
        raise CisweaveError("the strands of a chain must be + and then + or -", path=path, line=line)
    inside = 0 <= header.start < header.end <= header.size
    if not (inside and 0 <= header.query_start < header.query_end <= header.query_size):
        raise CisweaveError("an interval of this chain lies outside its contig", path=path, line=line)
    return header


def check_end(header: ChainHeader, position: tuple[int, int], path: str | Path, line: int) -> None:
    """Raise unless the blocks of a chain end where its header says."""
    if position != (header.end, header.query_end):
        raise CisweaveError(
            f"the blocks of the chain before this line end at {position[0]} and {position[1]}, "
            f"its chain line says {header.end} and {header.query_end}; the file is damaged or truncated",
            path=path,
            line=line,
        )
