"""One transcription start site (TSS) per gene, from whatever file holds the genes; the kind of file is told by content.

======================  ==============================================================================================
File                    TSS of a gene (1-based)
======================  ==============================================================================================
Seal's TSS BED          column 3 (columns: contig, TSS - 1, TSS, strand, gene id)
BED6 to BED12           start + 1 on the plus strand (column 6), end on the minus strand; the gene id is column 4
GTF, GFF3               5' end of the ``gene`` line; without such lines the 5'-most of the gene's transcripts (or exons)
ExPecto's gene CSV      ``CAGE_representative_TSS``; ``TSS`` where that is empty
======================  ==============================================================================================
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from cisweave.config import GeneSettings
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import atomic_text
from cisweave.core.logs import get_logger
from cisweave.genome.bed import parse_interval
from cisweave.genome.gtf import EXON_KINDS, GENE_KINDS, TRANSCRIPT_KINDS, Feature, gene_id, read_features
from cisweave.genome.table import frame_of
from cisweave.genome.text import bed_lines, is_position, numbered_lines
from cisweave.genome.vcf import seekable
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

GENES_COLUMNS = {"chrom": "str", "tss": "int64", "strand": "str", "gene_id": "str", "name": "str", "type": "str"}
CANONICAL_TAGS = ("MANE_Select", "MANE Select", "Ensembl_canonical")
"""Tags of the transcript that stands for its gene, the best first."""
CSV_COLUMNS = ("id", "seqnames", "strand", "TSS")
VERSION = re.compile(r"(ENS[A-Z]*[0-9]{11})\.[0-9]+")
"""An Ensembl gene id and its version; ids of other kinds may hold a dot and digits of their own (``RP11-34P13.7``)."""
STRANDS = ("+", "-")
SEAL_COLUMNS = ("contig", "TSS - 1", "TSS", "strand", "gene id")
BED_COLUMNS = ("contig", "start", "end", "gene id", "score", "strand")
LONGEST_LINE = 100_000
"""Characters of a line of the CSV."""


class Gene(NamedTuple):
    """A gene and its TSS (1-based); ``name`` and ``type`` are empty where the file has none."""

    chrom: str
    tss: int
    strand: str
    gene_id: str
    name: str = ""
    type: str = ""
    line: int = 0


def read_genes(
    path: str | Path,
    *,
    types: Sequence[str] | None = None,
    tss: Literal["gene", "canonical"] = "gene",
    strip_version: bool = False,
) -> pd.DataFrame:
    """Read genes with one TSS each.

    Parameters
    ----------
    path
        Seal's TSS BED, BED6 to BED12, GTF, GFF3 or ExPecto's gene CSV; plain, gzip or bgzip, or a pipe; any order
        of rows.
    types
        Keep only genes of these types (``gene_type`` or ``gene_biotype`` of a GTF, ``type`` of the CSV); ``None``: all.
    tss
        For GTF and GFF3: the 5' end of the gene, or of its canonical transcript (tag ``MANE_Select``, else
        ``Ensembl_canonical``) where there is one.
    strip_version
        Cut the version off Ensembl gene ids (``ENSG00000000003.15``).

    Returns
    -------
    pandas.DataFrame
        ``chrom, tss`` (1-based)``, strand, gene_id, name, type`` in the order of the file.

    Raises
    ------
    CisweaveError
        At the first line that is not what the kind of file asks for or, in BED and CSV, names a gene a second time; if
        no gene is left; or if ``types`` are wanted from a file that has none.
    """
    with seekable(path) as source:
        kind = kind_of(source)
        genes = read_gtf_genes(source, tss == "canonical") if kind == "gtf" else READERS[kind](source)
    if strip_version:
        genes = [gene._replace(gene_id=without_version(gene.gene_id)) for gene in genes]
    check_unique(genes, path)
    genes = of_types(genes, types, path)
    return frame_of([gene[:-1] for gene in genes], GENES_COLUMNS)


def without_version(gene_id: str) -> str:
    """A gene id without its version (``ENSG00000000003.15`` is ``ENSG00000000003``); other ids are left as they are."""
    return VERSION.sub(r"\1", gene_id)


def write_tss(genes: str | Path, out: str | Path, settings: GeneSettings | None = None) -> None:
    """Write the genes of any file as a TSS BED, sorted as BEDOPS sorts, and a receipt (``cisweave genome genes``).

    Parameters
    ----------
    genes
        As :func:`read_genes` reads it.
    out
        BED: contig, TSS - 1, TSS (0-based half-open, one base), strand, gene id. Genes at one place keep their order.
    settings
        Which genes count, and where their TSS are.
    """
    settings = settings or GeneSettings()
    found = read_genes(genes, types=settings.types, tss=settings.tss, strip_version=settings.strip_version)
    order = np.lexsort((found["tss"], found["chrom"].map(str.encode)))
    with atomic_text(out) as handle:
        columns = (found[name].iloc[order].tolist() for name in ("chrom", "tss", "strand", "gene_id"))
        for chrom, tss, strand, gene_id in zip(*columns, strict=True):
            handle.write(f"{chrom}\t{tss - 1}\t{tss}\t{strand}\t{gene_id}\n")
    write_receipt(out, settings=settings.model_dump(mode="json"), inputs=[genes], notes={"genes": len(found)})
    logger.info("genes: %d with one TSS each", len(found))


def kind_of(path: str | Path) -> Literal["csv", "seal", "bed", "gtf"]:
    """The kind of a file, told by its first line that is neither blank nor a comment."""
    for line, text in numbered_lines(path):
        if not text.strip() or text.startswith(("#", "track ", "track\t", "browser ", "browser\t")):
            continue
        fields = [field.strip() for field in text.split("\t")]
        if len(fields) == 1 and "," in text:
            return "csv"
        if len(fields) >= 3 and is_position(fields[1]) and is_position(fields[2]):
            return "seal" if len(fields) < 6 or fields[3] in STRANDS else "bed"
        if len(fields) >= 7 and is_position(fields[3]) and is_position(fields[4]):
            return "gtf"
        raise CisweaveError(
            "this line is neither of a BED (contig, start, end, …), nor of a GTF or GFF3 (nine columns), nor of the "
            "gene CSV of ExPecto (id, symbol, seqnames, strand, TSS, …); give one of these",
            path=path,
            line=line,
        )
    raise CisweaveError("this file holds no gene", path=path)


def check_unique(genes: Iterable[Gene], path: str | Path) -> None:
    """Raise at the first gene id that comes a second time, or that no table could hold."""
    lines: dict[str, int] = {}
    for gene in genes:
        if not gene.gene_id.isprintable() or not gene.chrom.isprintable():
            raise CisweaveError("the gene id or the contig holds control characters", path=path, line=gene.line)
        if gene.gene_id in lines:
            raise CisweaveError(
                f"gene {gene.gene_id} is already on line {lines[gene.gene_id]}; keep one TSS per gene",
                path=path,
                line=gene.line,
            )
        lines[gene.gene_id] = gene.line


def of_types(genes: list[Gene], types: Sequence[str] | None, path: str | Path) -> list[Gene]:
    """The genes of the wanted types; an error if none is left."""
    kept = genes if types is None else [gene for gene in genes if gene.type in types]
    if kept:
        return kept
    found = sorted({gene.type for gene in genes} - {""})
    if not genes:
        raise CisweaveError("this file holds no gene", path=path)
    if not found:
        raise CisweaveError("this file does not say the types of its genes; leave genome.genes.types out", path=path)
    raise CisweaveError(f"no gene is of type {', '.join(types or [])}; the types are {', '.join(found)}", path=path)


# --- BED --------------------------------------------------------------------------------------------------------------
def read_seal_bed(path: str | Path) -> list[Gene]:
    """Genes of a BED with one base per TSS, the strand in column 4 and the gene id in column 5."""
    return [parse_seal(fields, path, line) for line, fields in bed_lines(path)]


def read_gene_bed(path: str | Path) -> list[Gene]:
    """Genes of a BED6 to BED12, one row per gene."""
    return [parse_bed6(fields, path, line) for line, fields in bed_lines(path)]


def parse_seal(fields: list[str], path: str | Path, line: int) -> Gene:
    """One row of Seal's TSS BED: contig, TSS - 1, TSS, strand, gene id."""
    chrom, start, end = parse_interval(fields, path, line, SEAL_COLUMNS)
    strand, gene = fields[3:5]
    if end != start + 1:
        raise CisweaveError(
            f"columns 2 and 3 must be TSS - 1 and TSS (one base), not {start} and {end}", path=path, line=line
        )
    if strand not in STRANDS:
        hint = "; in BED6 the strand is column 6: bring it to column 4 and the name to column 5"
        raise CisweaveError(f"column 4 must be the strand, + or -, not {shorten(strand)}{hint}", path=path, line=line)
    return named_gene(Gene(chrom, end, strand, gene, line=line), path)


def parse_bed6(fields: list[str], path: str | Path, line: int) -> Gene:
    """One row of a BED6: contig, start, end, gene id, score, strand."""
    chrom, start, end = parse_interval(fields, path, line, BED_COLUMNS)
    gene, _, strand = fields[3:6]
    if strand not in STRANDS:
        raise CisweaveError(
            f"column 6 must be the strand, + or -, not {shorten(strand)}: it says at which end the TSS is",
            path=path,
            line=line,
        )
    return named_gene(Gene(chrom, start + 1 if strand == "+" else end, strand, gene, line=line), path)


def named_gene(gene: Gene, path: str | Path) -> Gene:
    """The gene, if it has an id."""
    if not gene.gene_id:
        raise CisweaveError("the gene id is empty; each row needs one", path=path, line=gene.line)
    return gene


# --- GTF and GFF3 -----------------------------------------------------------------------------------------------------
def read_gtf_genes(path: str | Path, canonical: bool = False) -> list[Gene]:
    """Genes of a GTF or GFF3 in the order of their first lines: of ``gene`` lines, else transcripts, else exons.

    A gene that stands at several places (on both sex chromosomes, on patches) is kept at the first, with a warning.
    """
    genes: dict[str, Gene] = {}
    for kinds in (GENE_KINDS, TRANSCRIPT_KINDS, EXON_KINDS):
        genes = collect_genes(read_features(path, kinds), path)
        if genes:
            break
    if not canonical:
        return list(genes.values())
    chosen = canonical_tss(path)
    missing = genes.keys() - chosen.keys()
    if missing:
        logger.warning(
            "%s: %d of %d genes have no canonical transcript; their TSS is the 5' end of the gene",
            path,
            len(missing),
            len(genes),
        )
    return [gene._replace(tss=chosen.get(gene.gene_id, gene.tss)) for gene in genes.values()]


def collect_genes(features: Iterable[Feature], path: str | Path) -> dict[str, Gene]:
    """Genes by id; the pieces of a gene (transcripts, exons) are put together, the 5'-most gives the TSS."""
    genes: dict[str, Gene] = {}
    elsewhere: set[str] = set()
    for feature in features:
        gene = gene_of(feature, path)
        known = genes.setdefault(gene.gene_id, gene)
        if known is gene:
            continue
        if feature.kind in GENE_KINDS or (known.chrom, known.strand) != (gene.chrom, gene.strand):
            elsewhere.add(gene.gene_id)
        else:
            outer = min if gene.strand == "+" else max
            genes[gene.gene_id] = known._replace(tss=outer(known.tss, gene.tss))
    if elsewhere:
        logger.warning(
            "%s: %d gene(s) stand at several places, %s for one; kept at the first",
            path,
            len(elsewhere),
            min(elsewhere),
        )
    return genes


def canonical_tss(path: str | Path) -> dict[str, int]:
    """TSS of the canonical transcript of each gene that has one."""
    chosen: dict[str, tuple[int, int]] = {}
    for feature in read_features(path, TRANSCRIPT_KINDS):
        tags = feature.attributes.get("tag", "").split(",")
        rank = next((rank for rank, tag in enumerate(CANONICAL_TAGS) if tag in tags), None)
        if rank is None:
            continue
        gene = gene_of(feature, path)
        if gene.gene_id not in chosen or rank < chosen[gene.gene_id][0]:
            chosen[gene.gene_id] = (rank, gene.tss)
    return {name: tss for name, (_, tss) in chosen.items()}


def gene_of(feature: Feature, path: str | Path) -> Gene:
    """The gene that a feature is, or belongs to, with the 5' end of the feature."""
    attributes = feature.attributes
    is_gene = feature.kind in GENE_KINDS
    own_id = gene_id(feature)
    if not own_id:
        raise CisweaveError(
            f"this {feature.kind} names no gene: gene_id (GTF), ID or Parent (GFF3)", path=path, line=feature.line
        )
    if feature.strand not in STRANDS:
        raise CisweaveError(
            f"this {feature.kind} of {own_id} has no strand, so its TSS is unknown", path=path, line=feature.line
        )
    tss = feature.start0 + 1 if feature.strand == "+" else feature.end
    name = attributes.get("gene_name") or attributes.get("gene") or (attributes.get("Name") if is_gene else None)
    kind = attributes.get("gene_type") or attributes.get("gene_biotype")
    kind = kind or (attributes.get("biotype") if is_gene else None)
    return Gene(feature.chrom, tss, feature.strand, own_id, name or "", kind or "", feature.line)


# --- ExPecto's CSV ----------------------------------------------------------------------------------------------------
def read_gene_csv(path: str | Path) -> list[Gene]:
    """Genes of ExPecto's ``geneanno.csv`` (its columns: :data:`CSV_COLUMNS` and others)."""
    genes: list[Gene] = []
    columns: list[str] = []
    for line, text in numbered_lines(path):
        if not text.strip() or text.startswith("#"):
            continue
        fields = csv_fields(text, path, line)
        if not columns:
            columns = fields
            missing = [column for column in CSV_COLUMNS if column not in columns]
            if missing:
                raise CisweaveError(
                    f"column(s) {', '.join(missing)} missing; a gene CSV has id, seqnames, strand, TSS, and "
                    "symbol, CAGE_representative_TSS and type where known",
                    path=path,
                    line=line,
                )
        else:
            genes.append(parse_csv_gene(columns, fields, path, line))
    return genes


def csv_fields(text: str, path: str | Path, line: int) -> list[str]:
    """The fields of one line of comma-separated text."""
    if len(text) > LONGEST_LINE:
        raise CisweaveError(f"this line is no CSV ({len(text)} characters)", path=path, line=line)
    try:
        return [field.strip() for field in next(csv.reader([text]))]
    except csv.Error as error:
        raise CisweaveError(f"this line is no CSV ({error})", path=path, line=line) from error


def parse_csv_gene(columns: list[str], fields: list[str], path: str | Path, line: int) -> Gene:
    """One row of the CSV."""
    if len(fields) != len(columns):
        raise CisweaveError(f"{len(fields)} field(s) instead of {len(columns)}", path=path, line=line)
    row = dict(zip(columns, fields, strict=True))
    tss = row.get("CAGE_representative_TSS") or row["TSS"]
    if not row["id"] or not row["seqnames"] or any(map(str.isspace, row["seqnames"])):
        raise CisweaveError("id and seqnames must be there, seqnames without blanks", path=path, line=line)
    if not is_position(tss) or int(tss) < 1:
        raise CisweaveError(f"the TSS must be a position from 1 upwards, not {shorten(tss)}", path=path, line=line)
    if row["strand"] not in STRANDS:
        raise CisweaveError(f"the strand must be + or -, not {shorten(row['strand'])}", path=path, line=line)
    return Gene(row["seqnames"], int(tss), row["strand"], row["id"], row.get("symbol", ""), row.get("type", ""), line)


READERS: dict[str, Callable[[str | Path], list[Gene]]] = {
    "csv": read_gene_csv,
    "seal": read_seal_bed,
    "bed": read_gene_bed,
}
