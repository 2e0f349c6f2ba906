"""Reading gene annotations line by line: GTF (Ensembl, GENCODE, UCSC) and GFF3, plain, gzip or bgzip.

Both formats have nine tab-separated columns and 1-based, closed coordinates; they differ in the ninth, which holds
``key "value";`` in GTF and ``key=value;`` in GFF3. The form is told line by line, so no option is needed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from cisweave.core.errors import CisweaveError, shorten
from cisweave.genome.text import is_position, numbered_lines

COLUMNS = 9
GENE_KINDS = frozenset({"gene", "ncRNA_gene", "pseudogene"})
TRANSCRIPT_KINDS = frozenset(
    {
        *("transcript", "mRNA", "primary_transcript", "pseudogenic_transcript", "unconfirmed_transcript"),
        *("ncRNA", "lnc_RNA", "lincRNA", "antisense_RNA", "miRNA", "rRNA", "scRNA", "snRNA", "snoRNA", "tRNA"),
        *("guide_RNA", "RNase_MRP_RNA", "RNase_P_RNA", "SRP_RNA", "telomerase_RNA", "vault_RNA", "Y_RNA"),
        *("C_gene_segment", "D_gene_segment", "J_gene_segment", "V_gene_segment"),
    }
)
"""Column 3 of a transcript in GENCODE, Ensembl and RefSeq."""
EXON_KINDS = frozenset({"exon", "CDS"})
ID_PREFIX = re.compile(r"(gene|transcript|rna)[:-]")
"""What Ensembl (``gene:``) and RefSeq (``gene-``) put before the ids of GFF3."""
STRANDS = {"+": "+", "-": "-", ".": ".", "?": "."}
GFF3_START = re.compile(r"\s*;*\s*[^\s\"=;]+\s*=")
GTF_PAIR = re.compile(r'([^\s";=]++)\s++(?:"((?:[^"\\]|\\.)*+)"|([^\s";]++))|([^\s;])')
"""A key with a quoted or a bare value; the last group catches what is neither."""


class Feature(NamedTuple):
    """One line of a GTF or GFF3.

    Attributes
    ----------
    line
        1-based line number.
    chrom, source, kind
        Columns 1 to 3 as written: contig, who annotated it, kind (``gene``, ``exon``, ``CDS``, ``mRNA``, …).
    start0, end
        0-based half-open, so that ``end - start0`` is the length.
    strand
        ``+``, ``-`` or ``.`` (none; GFF3's ``?`` becomes it).
    attributes
        Column 9. The values of a key that comes several times (``tag`` in GTF) are joined with a comma, as GFF3 writes
        them. Quotes and GFF3's %-escapes are resolved.
    phase
        Column 8: bases before the first whole codon of a CDS, ``0``, ``1``, ``2`` or ``.``.
    """

    line: int
    chrom: str
    source: str
    kind: str
    start0: int
    end: int
    strand: str
    attributes: dict[str, str]
    phase: str = "."


def read_features(path: str | Path, kinds: Collection[str] | None = None) -> Iterator[Feature]:
    """Read the features of the given kinds one by one, in the order of the file.

    Parameters
    ----------
    path
        GTF or GFF3, plain, gzip or bgzip; any line ends. Lines that are blank or begin with ``#`` are left out, and
        the sequences that may follow GFF3's ``##FASTA``.
    kinds
        Kinds of column 3 to give, spelt as there; ``None``: all.

    Raises
    ------
    CisweaveError
        At the first line, of whatever kind, without nine columns or with a coordinate or a strand that is none; at the
        first feature of ``kinds`` whose attributes cannot be read; and where the file is truncated, damaged or no text.
    """
    wanted = None if kinds is None else frozenset(kinds)
    for line, text in numbered_lines(path):
        if not text or text[0] == "#" or text.isspace():
            if text.startswith("##FASTA"):
                return
            continue
        if text[0] == ">":
            return
        fields = text.split("\t")
        problem = feature_problem(fields)
        if problem:
            raise CisweaveError(problem, path=path, line=line)
        if wanted is None or fields[2] in wanted:
            yield parse_feature(fields, path, line)


def feature_problem(fields: list[str]) -> str:
    """What is wrong with the columns 1 to 8 of a line, or nothing."""
    if len(fields) != COLUMNS:
        return f"{len(fields)} tab-separated column(s) instead of the {COLUMNS} of GTF and GFF3"
    chrom, _, kind, start, end, _, strand = fields[:7]
    if not (chrom and kind) or chrom != chrom.strip():
        return "the contig (column 1) or the kind of feature (column 3) is empty or has blanks around it"
    if not (is_position(start) and is_position(end)) or not 1 <= int(start) <= int(end):
        return f"columns 4 and 5 must be start and end (1-based, start <= end), not {shorten(start)} and {shorten(end)}"
    if strand not in STRANDS:
        return f"column 7 must be the strand (+, -, . or ?), not {shorten(strand)}"
    return ""


def parse_feature(fields: list[str], path: str | Path, line: int) -> Feature:
    """A feature from its (checked) fields."""
    chrom, source, kind, start, end, _, strand, phase, text = fields
    return Feature(
        line=line,
        chrom=sys.intern(chrom),
        source=sys.intern(source),
        kind=sys.intern(kind),
        start0=int(start) - 1,
        end=int(end),
        strand=STRANDS[strand],
        attributes=parse_attributes(text, path, line),
        phase=phase,
    )


def gene_id(feature: Feature) -> str:
    """Id of the gene that a feature is or belongs to, without GFF3's prefix; empty where it names none."""
    attributes = feature.attributes
    own = attributes.get("ID", "") if feature.kind in GENE_KINDS else attributes.get("Parent", "").partition(",")[0]
    return (attributes.get("gene_id") or bare_id(own)).strip()


def transcript_ids(feature: Feature) -> list[str]:
    """Ids of the transcripts that a feature is or belongs to, without GFF3's prefixes; an empty one if it names none.

    An exon of GFF3 may belong to several.
    """
    attributes = feature.attributes
    if attributes.get("transcript_id"):
        return [attributes["transcript_id"]]
    names = attributes.get("ID" if feature.kind in TRANSCRIPT_KINDS else "Parent", "")
    return [bare_id(name) for name in names.split(",")]


def bare_id(name: str) -> str:
    """An id of GFF3 without the prefix that says of what kind it is."""
    prefix = ID_PREFIX.match(name)
    return name[prefix.end() :] if prefix else name


def parse_attributes(text: str, path: str | Path = "attributes", line: int | None = None) -> dict[str, str]:
    """Column 9 of a GTF or GFF3 line as a mapping; empty or ``.`` is an empty one.

    Raises
    ------
    CisweaveError
        If a key has no value, or a quote is not closed.
    """
    text = text.strip()
    if text in ("", "."):
        return {}
    if GFF3_START.match(text):
        return parse_gff3(text, path, line)
    return parse_quoted(text) or parse_gtf(text, path, line)


def parse_quoted(text: str) -> dict[str, str] | None:
    """The usual ``key "value";`` form, fast: cut at the quotes; ``None`` where the text needs :func:`parse_gtf`."""
    parts = text.split('"')
    if len(parts) % 2 == 0 or "\\" in text or parts.pop().strip(" ;"):
        return None
    found: dict[str, str] = {}
    for between, value in zip(parts[::2], parts[1::2], strict=True):
        *bare, key = between.strip(" ;").split(";")
        for pair in bare:
            name, _, number = pair.strip().partition(" ")
            if not (name and number) or " " in number:
                return None
            add_attribute(found, name, number)
        name = key.lstrip()
        if not name or " " in name or "\t" in name:
            return None
        add_attribute(found, name, value)
    return found


def parse_gtf(text: str, path: str | Path, line: int | None) -> dict[str, str]:
    """The ``key "value";`` form, with or without quotes, spaces and semicolons."""
    found: dict[str, str] = {}
    for pair in GTF_PAIR.finditer(text):
        key, quoted, bare, junk = pair.groups()
        if junk:
            raise attribute_error(text, path, line)
        add_attribute(found, key, quoted or bare or "")
    return found


def add_attribute(found: dict[str, str], key: str, value: str) -> None:
    """Add a value; to those of the same key after a comma."""
    found[key] = f"{found[key]},{value}" if key in found else value


def parse_gff3(text: str, path: str | Path, line: int | None) -> dict[str, str]:
    """The ``key=value;`` form."""
    found: dict[str, str] = {}
    for pair in text.split(";"):
        if not pair or pair.isspace():
            continue
        key, equals, value = pair.strip().partition("=")
        if not (equals and key):
            raise attribute_error(text, path, line)
        add_attribute(found, key, unquote(value) if "%" in value else value)
    return found


def attribute_error(text: str, path: str | Path, line: int | None) -> CisweaveError:
    """The message about a ninth column that cannot be read."""
    return CisweaveError(
        f'column 9 must hold attributes, key "value"; (GTF) or key=value; (GFF3), not {shorten(text, 60)}',
        path=path,
        line=line,
    )
