"""Genes of the built-in world: where their exons lie and what the annotation files say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.dna import Codes, decode, encode, reverse_complement
from cisweave.simulate.layout import Layout

#: Contig ends that are N, in bases.
TELOMERE = 2_000
#: Bases of a slot kept free on each side of a gene.
MARGIN = 600
#: The first exon holds at least this many bases of 5' UTR, so that promoters never touch the CDS.
LEAST_UTR5 = 60
#: The Kozak context before ATG, and how often a base agrees with it; position -3 is A or G.
KOZAK = "GCCACC"
KOZAK_SHARE = 0.8
#: Share of genes with a second, non-coding transcript that starts inside the CDS.
ISOFORM_SHARE = 0.3
CODONS = np.array(
    [
        [first, second, third]
        for first in range(4)
        for second in range(4)
        for third in range(4)
        if (first, second, third) not in {(3, 0, 0), (3, 0, 2), (3, 2, 0)}
    ],
    dtype=np.uint8,
)
STOPS = ("TAA", "TAG", "TGA")


@dataclass(frozen=True)
class Gene:
    """One gene with one transcript.

    Attributes
    ----------
    number
        1-based; it makes the ids.
    contig, strand
        Contig name and ``+`` or ``-``.
    exons
        0-based half-open intervals, ascending on the contig.
    cds
        Offsets in the transcript: start of ATG and end of the stop codon (0-based half-open).
    isoform
        Offset in the transcript at which a second, non-coding transcript starts; None if there is none.
    """

    number: int
    contig: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    cds: tuple[int, int]
    isoform: int | None = None

    @property
    def gene_id(self) -> str:
        """Gene id."""
        return f"SIMG{self.number:08d}"

    @property
    def transcript_id(self) -> str:
        """Id of the coding transcript."""
        return f"SIMT{self.number:08d}"

    @property
    def isoform_id(self) -> str:
        """Id of the non-coding transcript."""
        return f"SIMT9{self.number:07d}"

    @property
    def name(self) -> str:
        """Gene symbol."""
        return f"GENE{self.number}"

    @property
    def start(self) -> int:
        """0-based leftmost base."""
        return self.exons[0][0]

    @property
    def end(self) -> int:
        """End of the gene, half-open."""
        return self.exons[-1][1]

    @property
    def tss(self) -> int:
        """0-based transcription start site."""
        return self.start if self.strand == "+" else self.end - 1

    @property
    def orientation(self) -> int:
        """+1 or -1."""
        return 1 if self.strand == "+" else -1

    @property
    def positions(self) -> NDArray[np.int64]:
        """0-based contig position of each transcript base, 5' to 3'."""
        ascending = np.concatenate([np.arange(start, end) for start, end in self.exons])
        return ascending if self.strand == "+" else ascending[::-1]

    @property
    def length(self) -> int:
        """Length of the coding transcript in bases."""
        return sum(end - start for start, end in self.exons)

    @property
    def introns(self) -> list[tuple[int, int]]:
        """0-based half-open introns, ascending on the contig."""
        return [(left[1], right[0]) for left, right in zip(self.exons, self.exons[1:], strict=False)]

    def transcript(self, codes: Codes) -> Codes:
        """The spliced transcript (5' to 3') from the codes of its contig."""
        spliced = np.concatenate([codes[start:end] for start, end in self.exons])
        return spliced if self.strand == "+" else reverse_complement(spliced)


def make_genes(layout: Layout, seed: int) -> list[Gene]:
    """Place one gene in each slot of each contig, but for a gap slot per contig and the desert of the first."""
    genes: list[Gene] = []
    for order, (contig, length) in enumerate(layout.contigs.items()):
        rng = generator(seed, "simulate", "genes", contig)
        empty = set(desert_slots(layout)) if order == 0 else set()
        empty.add(gap_slot(layout, contig))
        for slot in range(slots(layout, length)):
            gene = _make_gene(rng, len(genes) + 1, contig, *slot_interval(layout, slot))
            if slot not in empty:
                genes.append(gene)
    return genes


def slots(layout: Layout, length: int) -> int:
    """Gene slots on a contig of ``length`` bases."""
    return (length - 2 * TELOMERE) // layout.gene_spacing


def slot_interval(layout: Layout, slot: int) -> tuple[int, int]:
    """0-based half-open interval of a slot."""
    start = TELOMERE + slot * layout.gene_spacing
    return start, start + layout.gene_spacing


def gap_slot(layout: Layout, contig: str) -> int:
    """The slot of a contig that holds an assembly gap (a run of N)."""
    return slots(layout, layout.contigs[contig]) * 2 // 3


def desert_slots(layout: Layout) -> range:
    """The gene-free slots of the first contig."""
    return range(5, 5 + layout.desert)


def desert_middle(layout: Layout) -> int:
    """0-based middle of the desert of the first contig."""
    first = slot_interval(layout, desert_slots(layout)[0])[0]
    return first + layout.desert * layout.gene_spacing // 2


def _make_gene(rng: np.random.Generator, number: int, contig: str, left: int, right: int) -> Gene:
    """A gene inside the slot ``left`` to ``right``, with random structure and strand."""
    utr5, codons, utr3 = (int(rng.integers(*bounds)) for bounds in ((LEAST_UTR5 + 10, 250), (100, 380), (200, 1000)))
    length = utr5 + 3 * codons + utr3
    cuts = _exon_cuts(rng, length, int(rng.integers(0, 6)))
    introns = rng.integers(100, 600, size=len(cuts))
    sizes = np.diff([0, *cuts, length])
    body = length + int(introns.sum())
    start = left + MARGIN + int(rng.integers(0, max(1, right - left - body - 2 * MARGIN)))
    strand = "+" if rng.random() < 0.5 else "-"
    if strand == "-":
        sizes, introns = sizes[::-1], introns[::-1]
    starts = start + np.concatenate([[0], np.cumsum(sizes[:-1] + introns)]).astype(int)
    exons = tuple((int(first), int(first + size)) for first, size in zip(starts, sizes, strict=True))
    isoform = utr5 + int(rng.integers(30, 2 * codons)) if rng.random() < ISOFORM_SHARE else None
    return Gene(number, contig, strand, exons, (utr5, utr5 + 3 * codons), isoform)


def _exon_cuts(rng: np.random.Generator, length: int, number: int) -> list[int]:
    """Transcript offsets of at most ``number`` exon ends, at least 60 bases apart, after the first 80 bases."""
    cuts: list[int] = []
    for cut in sorted(int(value) for value in rng.integers(80, length - 60, size=number)):
        if not cuts or cut - cuts[-1] >= 60:
            cuts.append(cut)
    return cuts


def write_coding(codes: Codes, fixed: NDArray[np.bool_], gene: Gene, rng: np.random.Generator) -> None:
    """Write Kozak context, open reading frame and splice sites of a gene into its contig and mark them as fixed."""
    start, end = gene.cds
    frame = CODONS[rng.integers(0, len(CODONS), size=(end - start) // 3)]
    frame[0] = encode("ATG")
    frame[1, 0] = encode("G")[0]
    frame[-1] = encode(STOPS[int(rng.integers(0, 3))])
    while tuple(frame[1]) not in {tuple(codon) for codon in CODONS}:
        frame[1, 1:] = rng.integers(0, 4, size=2)
    kozak = np.where(rng.random(len(KOZAK)) < KOZAK_SHARE, encode(KOZAK), rng.integers(0, 4, size=len(KOZAK)))
    kozak[3] = encode("A" if rng.random() < KOZAK_SHARE else "G")[0]
    bases = np.concatenate([kozak.astype(np.uint8), frame.ravel()])
    _write(codes, fixed, gene.positions[start - len(KOZAK) : end], bases, gene.strand)
    for left, right in gene.introns:
        donor, acceptor = np.array([left, left + 1]), np.array([right - 2, right - 1])
        if gene.strand == "-":
            donor, acceptor = acceptor[::-1], donor[::-1]
        _write(codes, fixed, donor, encode("GT"), gene.strand)
        _write(codes, fixed, acceptor, encode("AG"), gene.strand)


def _write(codes: Codes, fixed: NDArray[np.bool_], positions: NDArray[np.int64], bases: Codes, strand: str) -> None:
    codes[positions] = bases if strand == "+" else reverse_complement(bases)[::-1]
    fixed[positions] = True


def transcript_lines(genes: list[Gene], codes: dict[str, Codes]) -> Iterator[str]:
    """FASTA of all transcripts, 5' to 3', one line each."""
    for gene in genes:
        spliced = decode(gene.transcript(codes[gene.contig]))
        yield f">{gene.transcript_id}\n{spliced}\n"
        if gene.isoform is not None:
            yield f">{gene.isoform_id}\n{spliced[gene.isoform :]}\n"


def start_lines(genes: list[Gene]) -> Iterator[str]:
    """Translation start of each transcript: 0-based offsets of ATG and of the stop codon, -1 where there is none."""
    yield "transcript_id\tgene_id\tchrom\tstrand\tlength\ttis\tstop\n"
    for gene in genes:
        place = f"{gene.gene_id}\t{gene.contig}\t{gene.strand}"
        yield f"{gene.transcript_id}\t{place}\t{gene.length}\t{gene.cds[0]}\t{gene.cds[1] - 3}\n"
        if gene.isoform is not None:
            yield f"{gene.isoform_id}\t{place}\t{gene.length - gene.isoform}\t-1\t-1\n"


def tss_lines(genes: list[Gene]) -> Iterator[str]:
    """Rows of the TSS BED: contig, TSS - 1, TSS, strand, gene id, in sort-bed order."""
    for gene in sorted(genes, key=lambda gene: (gene.contig, gene.tss, gene.strand, gene.gene_id)):
        yield f"{gene.contig}\t{gene.tss}\t{gene.tss + 1}\t{gene.strand}\t{gene.gene_id}\n"


def gtf_lines(genes: list[Gene]) -> Iterator[str]:
    """Rows of the GTF (1-based, inclusive; the CDS leaves the stop codon out)."""
    yield "#!genome-build sim19\n"
    for gene in genes:
        shared = f'gene_id "{gene.gene_id}"; gene_name "{gene.name}"; gene_biotype "protein_coding";'
        yield _gtf_row(gene, "gene", (gene.start, gene.end), ".", shared)
        yield from _transcript_lines(gene, 0, f'{shared} transcript_id "{gene.transcript_id}";', "protein_coding")
        if gene.isoform is not None:
            identity = f'{shared} transcript_id "{gene.isoform_id}";'
            yield from _transcript_lines(gene, gene.isoform, identity, "processed_transcript")


def _transcript_lines(gene: Gene, first: int, shared: str, biotype: str) -> Iterator[str]:
    """Rows of one transcript that starts at offset ``first``; only a coding one has a CDS and UTRs."""
    shared += f' transcript_biotype "{biotype}";'
    exons = _pieces(gene, first, gene.length)
    yield _gtf_row(gene, "transcript", (min(exons)[0], max(exons)[1]), ".", shared)
    for number, exon in enumerate(exons, start=1):
        yield _gtf_row(gene, "exon", exon, ".", f'{shared} exon_number "{number}";')
    if biotype != "protein_coding":
        return
    start, end = gene.cds
    for feature, left, right, coding in (
        ("five_prime_utr", 0, start, False),
        ("start_codon", start, start + 3, True),
        ("CDS", start, end - 3, True),
        ("stop_codon", end - 3, end, True),
        ("three_prime_utr", end, gene.length, False),
    ):
        done = 0
        for piece in _pieces(gene, left, right):
            yield _gtf_row(gene, feature, piece, str(-done % 3) if coding else ".", shared)
            done += piece[1] - piece[0]


def _pieces(gene: Gene, first: int, last: int) -> list[tuple[int, int]]:
    """Contig intervals of the transcript stretch ``first`` to ``last``, 5' to 3'."""
    positions = np.sort(gene.positions[first:last])
    breaks = np.flatnonzero(np.diff(positions) > 1) + 1
    parts = [(int(part[0]), int(part[-1]) + 1) for part in np.split(positions, breaks) if len(part)]
    return parts[:: gene.orientation]


def _gtf_row(gene: Gene, feature: str, interval: tuple[int, int], frame: str, attributes: str) -> str:
    start, end = interval
    return (
        "\t".join((gene.contig, "cisweave", feature, str(start + 1), str(end), ".", gene.strand, frame, attributes))
        + "\n"
    )
