"""Building promoter data: promoters, half-life features, factors, microRNAs and expression, one row a gene.

Promoters come from one of three sources: an annotation with its genome (a window around the TSS of the transcript that
stands for the gene, or around a CAGE peak), a BED with a genome, or a FASTA of promoters. Half-life features are
computed from annotation and genome, or read. Every gene of the source or of the expression table is either in the data
or in the table of rejected genes.

Dimension legend
    genes - rows, length - bases of a promoter
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import PromoterDataSettings
from cisweave.core.errors import CisweaveError, check_balance, shorten
from cisweave.core.logs import get_logger
from cisweave.genome.bed import parse_interval
from cisweave.genome.contigs import ContigNames
from cisweave.genome.genes import STRANDS, without_version
from cisweave.genome.text import bed_lines
from cisweave.genome.transcripts import Transcript, find_problem
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, reverse_complement
from cisweave.tables.frames import write_tsv
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.cage import StartSite, read_cage
from cisweave.xpresso.dataset import BATCH, DESCRIPTION, HALF_LIFE, REJECT_COLUMNS, PromoterData, write_data
from cisweave.xpresso.features import (
    AnnotatedGene,
    choose_transcript,
    counted,
    half_life_features,
    read_annotation,
    start_site,
)
from cisweave.xpresso.matrices import Symbols, read_factors, read_mirna
from cisweave.xpresso.promoter_fasta import read_promoter_fasta
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.tables import read_expression, read_halflife, read_symbols

logger = get_logger(__name__)

HISTONE = re.compile(r"HIST|Hist|(?i:H1-[1-6]|H1F[1-6]|H2AC\d+|H2AW|H2BC\d+|H2BU\d|H3C\d+|H3-4|H4C\d+|H4-16)$")
"""How symbols of histone genes begin: those before 2019 (``HIST1H4A``), and the new ones of the same genes."""
CAGE_REACH = 100_000
"""Bases from a gene's exons beyond which a peak is taken for that of another gene of the name."""
BED_COLUMNS = ("contig", "start", "end", "gene id", "score", "strand")


class GeneReason(StrEnum):
    """Why a gene is not in the data; beside these, why its transcript cannot be spliced (:class:`Reason`)."""

    NO_EXPRESSION = "no_expression"
    NO_PROMOTER = "no_promoter"
    OTHER_TYPE = "other_type"
    CONTIG_NOT_WANTED = "contig_not_wanted"
    UNKNOWN_CONTIG = "unknown_contig"
    NO_EXON = "no_exon"
    SHARED_TRANSCRIPT = "shared_transcript"
    NO_CDS = "no_cds"
    HISTONE = "histone"
    WINDOW_OFF_CONTIG = "window_off_contig"


class Problem(NamedTuple):
    """Why a gene is left out, as a code and in words."""

    code: str
    message: str


@dataclass
class Promoters:
    """The promoters of a source.

    Attributes
    ----------
    table
        ``gene_id, chrom, start, end, strand`` in the order of the source.
    rejected
        Genes of the source without a promoter.
    read
        Codes (k, length) of rows of the table; ``None`` where there are no sequences.
    """

    table: pd.DataFrame
    rejected: dict[str, Problem] = field(default_factory=dict)
    read: Callable[[NDArray[np.int64]], Codes] | None = None


# --- all together -----------------------------------------------------------------------------------------------------
def build_data(
    out: str | Path,
    files: PromoterFiles,
    *,
    expression: Path | None = None,
    rejects: Path | None = None,
    settings: PromoterDataSettings | None = None,
    compute_halflife: bool = True,
) -> PromoterData:
    """Build promoter data (``cisweave xpresso build``), and write their receipt.

    Rows stand in the order of the expression table; without one, in that of the source of promoters.

    Parameters
    ----------
    out
        Folder of the data (:mod:`cisweave.xpresso.dataset`).
    files
        Where promoters and the other inputs of models come from. Half-life features of a table go before those of the
        annotation.
    expression
        Expression by gene; genes without a row are left out. ``None``: all genes of the source, expression unknown.
    rejects
        TSV of the genes left out: ``gene_id, code, message``.
    compute_halflife
        Whether an annotation gives half-life features where no table does.

    Raises
    ------
    CisweaveError
        If files do not go together or cannot be read, promoters differ in length from ``upstream + downstream``, or no
        gene is left.
    """
    settings = settings or PromoterDataSettings()
    files.check_for_building(expression)
    inputs = [*([expression] if expression is not None else []), *files.inputs]
    linear = settings.expression == "linear"
    measured = None if expression is None else read_expression(expression, settings.columns, linear, settings.compat)
    if measured is not None and not np.isfinite(measured).any():
        raise CisweaveError("this table gives no gene an expression; name columns that hold numbers", path=expression)
    with ExitStack() as stack:
        genome = None if files.fasta is None else stack.enter_context(Genome(files.fasta))
        annotation = {} if files.gtf is None else read_annotation(files.gtf)
        names = gene_names(annotation, files.symbols)
        found = find_promoters(files, annotation, genome, names, settings, measured, stack)
        problems = genes_left_out(found, annotation, names, settings, measured)
        rows = chosen_rows(found, problems, measured)
        write_rejects(problems, rejects)
        if not len(rows):
            raise CisweaveError(f"no gene is left: {counts_of(problems)}", path=inputs[0])
        table = found.table.iloc[rows].reset_index(drop=True)
        ids = table["gene_id"].tolist()
        table["symbol"] = [next(iter(names.get(gene, [])), "") for gene in ids]
        if measured is not None:
            table["expression"] = measured.reindex(pd.Index(ids)).to_numpy()
        told = annotation if compute_halflife else {}
        table[list(HALF_LIFE)] = halflife_of(ids, files.halflife, told, genome, settings).to_numpy()
        known = {gene: names[gene] for gene in ids if gene in names}
        data = write_data(
            out,
            table,
            None if found.read is None else blocks(found.read, rows),
            upstream=settings.upstream,
            downstream=settings.downstream,
            expression=settings.expression,
            pseudocount=settings.pseudocount,
            tf=None if files.tf is None else read_factors(files.tf, known),
            mirna=None if files.mirna is None else read_mirna(files.mirna, known),
            notes={"source": files.kind, "compat": settings.compat},
        )
    write_receipt(
        Path(out) / DESCRIPTION,
        settings=settings.model_dump(mode="json"),
        inputs=inputs,
        notes={"genes": len(data), "rejected": len(problems)},
    )
    log_counts(data, problems)
    warn_of_ids(data, {"has_halflife": files.halflife, "has_tf": files.tf, "has_mirna": files.mirna})
    return data


def gene_names(annotation: Mapping[str, AnnotatedGene], symbols: Path | None) -> dict[str, list[str]]:
    """Names by gene id: those of the table, then that of the annotation."""
    names = {} if symbols is None else read_symbols(symbols)
    for gene in annotation.values():
        known = names.setdefault(gene.gene_id, [])
        if gene.symbol and gene.symbol not in known:
            known.append(gene.symbol)
    return names


def find_promoters(
    files: PromoterFiles,
    annotation: Mapping[str, AnnotatedGene],
    genome: Genome | None,
    names: Symbols,
    settings: PromoterDataSettings,
    measured: pd.Series[Any] | None,
    stack: ExitStack,
) -> Promoters:
    """The promoters of whichever source was given."""
    length = settings.upstream + settings.downstream
    if files.promoters is not None:
        ids, codes = stack.enter_context(read_promoter_fasta(files.promoters, length))
        return Promoters(places([(gene, "", -1, -1, "") for gene in ids]), read=lambda rows: np.asarray(codes[rows]))
    if files.bed is not None:
        assert genome is not None
        return bed_promoters(files.bed, genome, settings)
    if files.gtf is not None:
        assert genome is not None
        moved = None if files.cage is None else read_cage(files.cage, names)
        return annotated_promoters(annotation, genome, settings, moved)
    assert measured is not None
    return Promoters(places([(str(gene), "", -1, -1, "") for gene in measured.index]))


def chosen_rows(
    found: Promoters, problems: Mapping[str, Problem], measured: pd.Series[Any] | None
) -> NDArray[np.int64]:
    """Rows of the promoters that become data, in the order of the data; the books are balanced."""
    ids = found.table["gene_id"].tolist()
    order = ids if measured is None else [str(gene) for gene in measured.index]
    row_of = {gene: row for row, gene in enumerate(ids)}
    rows = np.array([row_of[gene] for gene in order if gene not in problems], dtype=np.int64)
    check_balance(len({*ids, *found.rejected, *order}), len(rows), len(problems), "genes")
    return rows


def blocks(read: Callable[[NDArray[np.int64]], Codes], rows: NDArray[np.int64]) -> Iterator[Codes]:
    """Promoters of rows, a batch at a time."""
    for start in range(0, len(rows), BATCH):
        yield read(rows[start : start + BATCH])


def places(rows: Sequence[tuple[str, str, int, int, str]]) -> pd.DataFrame:
    """The table of :class:`Promoters`."""
    return pd.DataFrame(rows, columns=["gene_id", "chrom", "start", "end", "strand"])


def log_counts(data: PromoterData, problems: Mapping[str, Problem]) -> None:
    """Say what is in the data and what is not."""
    known = {
        "expression": data.has_expression,
        "half-life features": data.has_halflife,
        "factors": data.has_tf,
        "microRNAs": data.has_mirna,
    }
    listed = ", ".join(f"{int(has.sum())} with {what}" for what, has in known.items())
    logger.info("data: %d genes (%s); %d rejected%s", len(data), listed, len(problems), counts_of(problems, ": "))


def warn_of_ids(data: PromoterData, tables: Mapping[str, Path | None]) -> None:
    """Say so where a table has a row for none of the genes: its ids may be of another kind."""
    for name, path in tables.items():
        if path is not None and not getattr(data, name).any():
            logger.warning("%s has a row for no gene of the data; are its gene ids of the same kind?", path)


def counts_of(problems: Mapping[str, Problem], prefix: str = "") -> str:
    """How many genes each code has, the most frequent first."""
    counts = Counter(problem.code for problem in problems.values())
    listed = ", ".join(f"{number} {code}" for code, number in sorted(counts.items(), key=lambda item: (-item[1], item)))
    return prefix + listed if listed else ""


# --- which genes ------------------------------------------------------------------------------------------------------
def genes_left_out(
    found: Promoters,
    annotation: Mapping[str, AnnotatedGene],
    names: Symbols,
    settings: PromoterDataSettings,
    measured: pd.Series[Any] | None,
) -> dict[str, Problem]:
    """Why genes of the source and of the expression table are left out."""
    if settings.skip_histones and not any(names.values()):
        logger.info(
            "no gene has a name, so histone genes cannot be told and stay in; a table of symbols would name them"
        )
    problems = dict(found.rejected)
    ids = found.table["gene_id"].tolist()
    for gene in ids:
        problem = unwanted(gene, annotation.get(gene), names, settings)
        if problem is None and measured is not None and gene not in measured.index:
            problem = Problem(GeneReason.NO_EXPRESSION, "the expression table has no row for it")
        if problem is not None:
            problems[gene] = problem
    known = {*ids, *found.rejected}
    for gene in [] if measured is None else [str(gene) for gene in measured.index]:
        if gene not in known:
            problems[gene] = Problem(GeneReason.NO_PROMOTER, "the source of promoters does not have it")
    return problems


def unwanted(
    gene: str, annotated: AnnotatedGene | None, names: Symbols, settings: PromoterDataSettings
) -> Problem | None:
    """Why the settings leave a gene out, if they do."""
    wrong = wrong_type(annotated, settings)
    if wrong is not None:
        return wrong
    histone = next((name for name in names.get(gene, []) if HISTONE.match(name)), None)
    if settings.skip_histones and histone is not None:
        return Problem(GeneReason.HISTONE, f"{shorten(histone)} is a histone gene")
    return None


def wrong_type(annotated: AnnotatedGene | None, settings: PromoterDataSettings) -> Problem | None:
    """Whether a gene is of another type than those wanted; one whose type is not told is not."""
    if annotated is None or not annotated.biotype or settings.biotypes is None:
        return None
    if annotated.biotype in settings.biotypes:
        return None
    return Problem(GeneReason.OTHER_TYPE, f"its type is {shorten(annotated.biotype)}")


def write_rejects(problems: Mapping[str, Problem], rejects: Path | None) -> None:
    """Write the table of genes left out, if it is wanted."""
    if rejects is not None:
        rows = [(gene, str(problem.code), problem.message) for gene, problem in problems.items()]
        write_tsv(pd.DataFrame(rows, columns=REJECT_COLUMNS), rejects)


# --- promoters of an annotation ---------------------------------------------------------------------------------------
def annotated_promoters(
    annotation: Mapping[str, AnnotatedGene],
    genome: Genome,
    settings: PromoterDataSettings,
    moved: Mapping[str, Sequence[StartSite]] | None,
) -> Promoters:
    """Windows around the TSS of the genes of an annotation.

    Parameters
    ----------
    moved
        TSS that go before those of the annotation, by gene id; one on another contig or strand, or farther than
        :data:`CAGE_REACH` from the gene, is passed over. ``None``: there are none.
    """
    spelt, wanted = ContigNames(genome.contigs), WantedContigs(settings)
    rows: list[tuple[str, str, int, int, str]] = []
    rejected: dict[str, Problem] = {}
    used = 0
    for gene in annotation.values():
        transcript = choose_transcript(gene.transcripts, settings.compat)
        contig = None if transcript is None else spelt.resolve(transcript.chrom)
        problem = (
            wrong_type(gene, settings) or shared_problem(gene) or place_problem(transcript, contig, genome, wanted)
        )
        problem = problem or coding_problem(transcript, settings)
        if problem is None:
            assert transcript is not None
            assert contig is not None
            tss = moved_site((moved or {}).get(gene.gene_id, []), contig, transcript.strand, spelt, span_of(gene))
            used += tss is not None
            tss = start_site(transcript) if tss is None else tss
            start, end = window(tss, transcript.strand, settings)
            problem = window_problem(tss, start, end, contig, genome, settings)
            rows.append((gene.gene_id, contig, start, end, transcript.strand))
        if problem is not None:
            rejected[gene.gene_id] = problem
    if moved is not None:
        say_moved(used, len(moved.keys() & annotation.keys()))
    table = places([row for row in rows if row[0] not in rejected])
    return Promoters(table, rejected, genome_reader(genome, table))


class WantedContigs:
    """Tells whether genes on a contig are wanted, by whichever of its names."""

    def __init__(self, settings: PromoterDataSettings):
        self._names = None if settings.contigs is None else ContigNames(settings.contigs)

    def __contains__(self, contig: object) -> bool:
        return self._names is None or self._names.resolve(str(contig)) is not None


def place_problem(
    transcript: Transcript | None, contig: str | None, genome: Genome, wanted: WantedContigs
) -> Problem | None:
    """Why a gene has no place in the genome."""
    if transcript is None:
        return Problem(GeneReason.NO_EXON, "no exon of it is in the annotation")
    if transcript.chrom not in wanted:
        return Problem(GeneReason.CONTIG_NOT_WANTED, f"it lies on {shorten(transcript.chrom)}")
    code, message = find_problem(transcript, contig, genome.contigs[contig] if contig else 0)
    return Problem(str(code), f"transcript {transcript.transcript_id}: {message}") if code else None


def shared_problem(gene: AnnotatedGene) -> Problem | None:
    """Whether all transcripts of a gene bear the id of another gene's."""
    if gene.transcripts or not gene.shared:
        return None
    message = f"transcript {shorten(gene.shared)} is given to another gene, too"
    return Problem(GeneReason.SHARED_TRANSCRIPT, message)


def coding_problem(transcript: Transcript | None, settings: PromoterDataSettings) -> Problem | None:
    """As published, whether a gene has no coding sequence; else such a gene stays, without half-life features."""
    if settings.compat is None or transcript is None or counted(transcript.coding, settings.compat) > 0:
        return None
    return Problem(GeneReason.NO_CDS, f"transcript {transcript.transcript_id} has no coding sequence")


def span_of(gene: AnnotatedGene) -> tuple[int, int]:
    """First and last base (0-based half-open) of the exons of a gene."""
    exons = [interval for transcript in gene.transcripts for interval in transcript.exons]
    return min(start for start, _ in exons), max(end for _, end in exons)


def moved_site(
    sites: Sequence[StartSite], contig: str, strand: str, spelt: ContigNames, span: tuple[int, int]
) -> int | None:
    """The first TSS (0-based) among the moved ones that lies on the contig and strand, and at the gene."""
    low, high = span[0] - CAGE_REACH, span[1] + CAGE_REACH
    on_strand = (site.tss for site in sites if (spelt.resolve(site.chrom), site.strand) == (contig, strand))
    return next((tss for tss in on_strand if low <= tss < high), None)


def say_moved(used: int, named: int) -> None:
    """Say how many TSS were moved, and for how many of the genes that CAGE names none lies at the gene."""
    if not used:
        logger.warning("CAGE moves the TSS of no gene; are its names and its assembly those of the annotation?")
        return
    logger.info("CAGE: the TSS of %d genes; of %d more it has none on their strand, at the gene", used, named - used)


def window(tss: int, strand: str, settings: PromoterDataSettings) -> tuple[int, int]:
    """Promoter (0-based half-open) around a TSS (0-based), which becomes its base ``upstream`` on its strand.

    As published (``compat: xpresso``) windows were cut around the 1-based TSS taken for a 0-based one: on the plus
    strand they begin a base further on.
    """
    if strand == "-":
        return tss - settings.downstream + 1, tss + settings.upstream + 1
    shift = 1 if settings.compat == "xpresso" else 0
    return tss - settings.upstream + shift, tss + settings.downstream + shift


def window_problem(
    tss: int, start: int, end: int, contig: str, genome: Genome, settings: PromoterDataSettings
) -> Problem | None:
    """Whether the TSS lies beyond its contig or, as published, the window does; else bases beyond are N."""
    length = genome.contigs[contig]
    if not 0 <= tss < length:
        return Problem(GeneReason.WINDOW_OFF_CONTIG, f"its TSS {tss + 1} lies beyond {contig} ({length} bases)")
    if settings.compat == "xpresso" and (start <= 0 or end > length):
        return Problem(GeneReason.WINDOW_OFF_CONTIG, f"its promoter {contig}:{start + 1}-{end} leaves the contig")
    return None


# --- promoters of a BED -----------------------------------------------------------------------------------------------
def bed_promoters(path: Path, genome: Genome, settings: PromoterDataSettings) -> Promoters:
    """The windows of a BED, all of one length.

    Raises
    ------
    CisweaveError
        At the first row without strand or gene id, of another length, or of a gene that came before.
    """
    spelt, wanted = ContigNames(genome.contigs), WantedContigs(settings)
    length = settings.upstream + settings.downstream
    rows: list[tuple[str, str, int, int, str]] = []
    rejected: dict[str, Problem] = {}
    lines: dict[str, int] = {}
    for line, fields in bed_lines(path):
        gene, chrom, start, end, strand = bed_row(fields, path, line, length, settings)
        if gene in lines:
            raise CisweaveError(f"gene {gene} is already on line {lines[gene]}; keep one", path=path, line=line)
        lines[gene] = line
        contig = spelt.resolve(chrom)
        if chrom not in wanted:
            rejected[gene] = Problem(GeneReason.CONTIG_NOT_WANTED, f"it lies on {shorten(chrom)}")
        elif contig is None:
            rejected[gene] = Problem(GeneReason.UNKNOWN_CONTIG, f"contig {shorten(chrom)} is not in the FASTA")
        elif start >= genome.contigs[contig]:
            rejected[gene] = Problem(
                GeneReason.WINDOW_OFF_CONTIG, f"its promoter {contig}:{start + 1}-{end} lies beyond the contig"
            )
        else:
            rows.append((gene, contig, start, end, strand))
    if not lines:
        raise CisweaveError("this BED holds no promoter", path=path)
    table = places(rows)
    return Promoters(table, rejected, genome_reader(genome, table))


def bed_row(
    fields: Sequence[str], path: Path, line: int, length: int, settings: PromoterDataSettings
) -> tuple[str, str, int, int, str]:
    """Gene id, contig, start, end (0-based half-open) and strand of a row."""
    chrom, start, end = parse_interval(fields, path, line, BED_COLUMNS)
    gene, strand = without_version(fields[3]), fields[5]
    if not gene:
        raise CisweaveError("the gene id (column 4) is empty", path=path, line=line)
    if strand not in STRANDS:
        raise CisweaveError(f"column 6 must be the strand, + or -, not {shorten(strand)}", path=path, line=line)
    if end - start != length:
        raise CisweaveError(
            f"the promoter of {shorten(gene)} has {end - start} bases; upstream ({settings.upstream}) + downstream "
            f"({settings.downstream}) make {length}: set them to what the windows hold before the TSS and from it on",
            path=path,
            line=line,
        )
    return gene, chrom, start, end, strand


def genome_reader(genome: Genome, table: pd.DataFrame) -> Callable[[NDArray[np.int64]], Codes]:
    """Reads promoters from a genome, on their strands; N beyond the ends of contigs."""
    chroms = table["chrom"].to_numpy(dtype=object)
    starts, ends = (table[name].to_numpy(dtype=np.int64) for name in ("start", "end"))
    minus = (table["strand"] == "-").to_numpy()

    def read(rows: NDArray[np.int64]) -> Codes:
        codes = genome.bulk_codes(chroms[rows], starts[rows], int(ends[rows[0]] - starts[rows[0]]))
        codes[minus[rows]] = reverse_complement(codes[minus[rows]])
        return codes

    return read


# --- half-life features -----------------------------------------------------------------------------------------------
def halflife_of(
    ids: Sequence[str],
    halflife: Path | None,
    annotation: Mapping[str, AnnotatedGene],
    genome: Genome | None,
    settings: PromoterDataSettings,
) -> pd.DataFrame:
    """Raw half-life features (genes, 8) by gene id, read or computed; NaN where unknown."""
    if halflife is not None:
        return read_halflife(halflife).reindex(pd.Index(ids))[list(HALF_LIFE)]
    found = {}
    spelt = None if genome is None else ContigNames(genome.contigs)
    for gene in ids:
        transcript = choose_transcript(annotation[gene].transcripts, settings.compat) if gene in annotation else None
        if transcript is None or genome is None or spelt is None:
            continue
        contig = spelt.resolve(transcript.chrom)
        if contig is not None and not find_problem(transcript, contig, genome.contigs[contig])[0]:
            found[gene] = half_life_features(transcript, genome, contig, settings.compat)
    return pd.DataFrame.from_dict(found, orient="index", columns=list(HALF_LIFE), dtype=np.float64).reindex(
        pd.Index(ids)
    )
