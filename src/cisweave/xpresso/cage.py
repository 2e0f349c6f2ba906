"""TSS that CAGE has measured: FANTOM5's peaks, or any file with a TSS per gene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import existing
from cisweave.core.logs import get_logger
from cisweave.genome.bed import parse_interval
from cisweave.genome.genes import STRANDS, read_genes
from cisweave.genome.text import bed_lines, is_position
from cisweave.tables.bigwig import bigbed_rows, is_bigbed

logger = get_logger(__name__)

PEAK_COLUMNS = ("contig", "start", "end", "name", "score", "strand", "thickStart", "thickEnd")
FIRST = "p1@"
"""How the name of a gene's strongest peak begins."""


class StartSite(NamedTuple):
    """A TSS, 0-based."""

    chrom: str
    strand: str
    tss: int


def read_cage(path: str | Path, names: Mapping[str, Sequence[str]]) -> dict[str, list[StartSite]]:
    """TSS by gene id, in the order of the file.

    Parameters
    ----------
    path
        FANTOM5's peaks as BED or bigBed (nine columns, names such as ``p1@GATA4,p2@…``): a gene's first peak counts,
        and of it the representative position (column 8). Or any file of :func:`cisweave.genome.genes.read_genes`.
    names
        Names by gene id; peaks are named by symbol. A gene id may stand in place of one.
    """
    path = existing(path)
    packed = is_bigbed(path)
    if not packed and not holds_peaks(path):
        genes = read_genes(path, strip_version=True)
        columns = (genes[name].tolist() for name in ("gene_id", "chrom", "strand", "tss"))
        return {gene: [StartSite(chrom, strand, tss - 1)] for gene, chrom, strand, tss in zip(*columns, strict=True)}
    genes_of: dict[str, list[str]] = {}
    for gene, known in names.items():
        for name in (gene, *known):
            genes_of.setdefault(name, []).append(gene)
    ambiguous = 0
    found: dict[str, list[StartSite]] = {}
    for line, fields in bigbed_rows(path) if packed else bed_lines(path):
        labels = fields[3].split(",") if len(fields) > 3 else []
        symbols = [label.strip().removeprefix(FIRST) for label in labels if label.strip().startswith(FIRST)]
        if symbols:
            site = peak_site(fields, path, line)
            ambiguous += sum(len(genes_of.get(symbol, [])) > 1 for symbol in symbols)
            for gene in (gene for symbol in symbols for gene in genes_of.get(symbol, [])):
                found.setdefault(gene, []).append(site)
    if ambiguous:
        logger.warning("%s: %d peaks bear a name of several genes; each of them takes the TSS if it is near", path,
                       ambiguous)  # fmt: skip
    return found


def holds_peaks(path: Path) -> bool:
    """Whether a file is a BED with names of FANTOM5's form among its first rows."""
    for number, (_, fields) in enumerate(bed_lines(path)):
        if len(fields) > 3 and "@" in fields[3]:
            return True
        if number == 100:
            break
    return False


def peak_site(fields: Sequence[str], path: Path, line: int) -> StartSite:
    """The representative position of a peak: the base that thickStart and thickEnd mark."""
    chrom, start, end = parse_interval(fields, path, line, PEAK_COLUMNS)
    strand, last = fields[5], fields[7]
    if strand not in STRANDS:
        raise CisweaveError(f"column 6 must be the strand, + or -, not {shorten(strand)}", path=path, line=line)
    if not is_position(last) or not start < int(last) <= end:
        raise CisweaveError(
            f"column 8 (thickEnd) must be the end of the representative base within the peak, not {shorten(last)}",
            path=path,
            line=line,
        )
    return StartSite(chrom, strand, int(last) - 1)
