"""UCSC chain files: checked here line by line, then searched by the ``liftover`` package.

The package answers for single positions. Blocks are kept beside it for what it does not tell: what becomes of an
interval, and where a target holds several places of the source.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from liftover import ChainFile
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.genome.contigs import ContigNames
from cisweave.genome.text import is_position, numbered_lines

HEADER_FIELDS = 12
LONGEST = 2**40
"""No contig is longer, in bases."""
NAME = re.compile(r"[!-~]+")

Match = tuple[str, int, str]


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


class Block(NamedTuple):
    """Bases that lie side by side in both assemblies: 0-based starts as a chain counts them, and their number."""

    start: int
    query_start: int
    size: int


class ReadChain(NamedTuple):
    """A chain and its blocks in order."""

    header: ChainHeader
    blocks: list[Block]


class Hit(NamedTuple):
    """Where a position is in the target assembly (1-based)."""

    chrom: str
    pos: int
    strand: str


class Blocks(NamedTuple):
    """The blocks of one source contig, ascending by start, as columns.

    ``start, end``: 0-based half-open in the source; ``target``: 0-based leftmost base in the target, from the left
    whatever the strand; ``chain``: number of the chain, whose contig and strand :class:`Chain` knows.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    target: NDArray[np.int64]
    chain: NDArray[np.int64]


class Chain:
    """A chain file that answers for positions.

    Parameters
    ----------
    path
        UCSC chain, plain or gzip, from the assembly of the variants to the target.

    Attributes
    ----------
    headers
        The chains in the order of the file.
    source_sizes, target_sizes
        Lengths of the contigs of both assemblies as the chain states them.

    Raises
    ------
    CisweaveError
        With the line at which the file stops being a UCSC chain.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        chains = list(read_chains(path))
        self.headers = [chain.header for chain in chains]
        self.source_sizes = {header.chrom: header.size for header in self.headers}
        self.target_sizes = {header.query_chrom: header.query_size for header in self.headers}
        self.blocks = block_columns(chains)
        self._names = ContigNames(self.source_sizes)
        with tempfile.NamedTemporaryFile("w", suffix=".chain", encoding="utf-8") as plain:
            plain.writelines(plain_lines(chains))
            plain.flush()
            try:
                self._chains = ChainFile(plain.name, one_based=True)
            except (ValueError, RuntimeError, OverflowError) as error:
                raise CisweaveError(f"this chain cannot be read ({error})", path=path) from error

    def source_name(self, chrom: str) -> str | None:
        """How the chain spells a contig of the source assembly, or ``None`` where it lacks it."""
        return self._names.resolve(chrom)

    def hits(self, chrom: str, pos: int) -> list[Hit]:
        """Every place of the 1-based position ``pos``; contigs may go by their aliases."""
        return [Hit(*match) for match in self.matches(chrom, [pos])[0]]

    def matches(self, chrom: str, positions: Iterable[int]) -> list[list[Match]]:
        """Every place (contig, 1-based position, strand) of each 1-based position on one contig."""
        name = self.source_name(chrom)
        if name is None:
            return [[] for _ in positions]
        places = self._chains[name]
        return [places[pos] for pos in positions]

    @cached_property
    def crowded(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Target intervals (sorted starts and ends, 0-based half-open) that hold several places of the source."""
        intervals: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
        for blocks in self.blocks.values():
            both = np.stack([blocks.target, blocks.target + blocks.end - blocks.start])
            for number in np.unique(blocks.chain).tolist():
                intervals[self.headers[number].query_chrom].append(both[:, blocks.chain == number])
        return {chrom: overlaps(*np.concatenate(parts, axis=1)) for chrom, parts in intervals.items()}


def overlaps(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where at least two of the intervals lie: sorted, disjoint starts and ends."""
    places = np.concatenate([start, end])
    steps = np.repeat([1, -1], len(start))
    order = np.lexsort((steps, places))
    depth = np.cumsum(steps[order])
    before = depth - steps[order]
    places = places[order]
    return places[(before == 1) & (depth == 2)], places[(before == 2) & (depth == 1)]


def read_chains(path: str | Path) -> Iterator[ReadChain]:
    """Read a chain file, chain by chain; blocks that do not add up to their header are an error.

    Blocks of no bases are joined with the gap beside them.

    Raises
    ------
    CisweaveError
        With the line at which the file stops being a UCSC chain.
    """
    header: ChainHeader | None = None
    blocks: list[Block] = []
    start, query_start, open_chain, line = 0, 0, False, 0
    for line, words in chain_lines(path):
        if words[0] == "chain":
            if header is not None:
                check_end(header, (start, query_start), path, line)
                yield ReadChain(header, blocks)
            header = parse_header(words, path, line)
            blocks, start, query_start, open_chain = [], header.start, header.query_start, True
        elif not open_chain:
            raise CisweaveError("a block without its chain line; is this a UCSC chain file?", path=path, line=line)
        else:
            size, gap, query_gap = parse_block(words, path, line)
            if size:
                blocks.append(Block(start, query_start, size))
            start, query_start = start + size + gap, query_start + size + query_gap
            open_chain = len(words) > 1
    if header is None:
        raise CisweaveError("this file holds no chain", path=path)
    check_end(header, (start, query_start), path, line)
    yield ReadChain(header, blocks)


def parse_block(words: list[str], path: str | Path, line: int) -> tuple[int, int, int]:
    """Parse ``size dt dq``, or the ``size`` that closes a chain, as bases (size, gap, gap in the target)."""
    if len(words) not in (1, 3) or not all(map(is_position, words)):
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
    right = len(words) >= HEADER_FIELDS and all(is_position(words[index]) for index in (3, 5, 6, 8, 10, 11))
    if not right or not (NAME.fullmatch(words[2]) and NAME.fullmatch(words[7])):
        raise CisweaveError(
            "a chain line is 'chain score' and name, size, strand, start, end of both assemblies", path=path, line=line
        )
    _, _, chrom, size, strand, start, end, query_chrom, query_size, query_strand, query_start, query_end = words[:12]
    if strand != "+" or query_strand not in ("+", "-"):
        raise CisweaveError("the strands of a chain must be + and then + or -", path=path, line=line)
    target = (chrom, int(size), int(start), int(end))
    header = ChainHeader(*target, query_chrom, int(query_size), query_strand, int(query_start), int(query_end))
    inside = 0 <= header.start < header.end <= header.size <= LONGEST
    if not (inside and 0 <= header.query_start < header.query_end <= header.query_size <= LONGEST):
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


def plain_lines(chains: Iterable[ReadChain]) -> Iterator[str]:
    """The chains as the strictest reader wants them: with numbers, tabs, and no block of no bases."""
    for number, (header, blocks) in enumerate(chains, start=1):
        if not blocks:
            continue
        first, last = blocks[0], blocks[-1]
        yield (
            f"chain 1 {header.chrom} {header.size} + {first.start} {last.start + last.size} {header.query_chrom} "
            f"{header.query_size} {header.query_strand} {first.query_start} {last.query_start + last.size} {number}\n"
        )
        for block, after in pairwise(blocks):
            gap = after.start - block.start - block.size
            yield f"{block.size}\t{gap}\t{after.query_start - block.query_start - block.size}\n"
        yield f"{last.size}\n\n"


def block_columns(chains: Iterable[ReadChain]) -> dict[str, Blocks]:
    """The blocks of every source contig."""
    rows: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    for number, (header, blocks) in enumerate(chains):
        for start, query_start, size in blocks:
            forward = header.query_strand == "+"
            target = query_start if forward else header.query_size - query_start - size
            rows[header.chrom].append((start, start + size, target, number))
    return {chrom: Blocks(*np.array(sorted(found), dtype=np.int64).T) for chrom, found in rows.items()}
