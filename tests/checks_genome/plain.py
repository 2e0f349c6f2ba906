"""Reading files the plain way, without cisweave, to compare with what cisweave makes of them."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path
from typing import NamedTuple

LINE_END = re.compile(r"\r\n|\r|\n")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
Key = tuple[int, int]


class PlainAllele(NamedTuple):
    """One allele as the file has it; ``spelt`` is contig, position, REF, ALT, ``None`` where the line is no record."""

    line: int
    spelt: tuple[str, str, str, str] | None


def content_of(path: Path) -> bytes:
    """The bytes of a file, unpacked."""
    content = path.read_bytes()
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Lines that are neither blank nor comments, numbered from 1."""
    lines = enumerate(LINE_END.split(content_of(path).decode("utf-8-sig", errors="replace")), start=1)
    return [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]


def alleles_of(path: Path) -> dict[Key, PlainAllele]:
    """Every allele of a text file of variants by record and number, both from 1."""
    if content_of(path).startswith((b"BCF\x02", b"BCF\x04")):
        return alleles_of_bcf(path)
    found = {}
    for record, (number, line) in enumerate(lines_of(path), start=1):
        fields = [field.strip() for field in line.split("\t")]
        whole = len(fields) >= 5 and not CONTROL.search(line)
        alts = fields[4].split(",") if len(fields) > 4 else [""]
        for allele, alt in enumerate(alts, start=1):
            spelt = (fields[0], fields[1], fields[3], alt.strip()) if whole else None
            found[record, allele] = PlainAllele(number, spelt)
    return found


def alleles_of_bcf(path: Path) -> dict[Key, PlainAllele]:
    """Every allele of a BCF; its lines are its records."""
    import pysam

    found = {}
    with pysam.VariantFile(str(path)) as records:
        for number, record in enumerate(records, start=1):
            for allele in range(1, max(1, len(record.alts or ())) + 1):
                found[number, allele] = PlainAllele(number, None)
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a tab-separated table with a header."""
    csv.field_size_limit(1 << 30)
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def keys_of(rows: list[dict[str, str]]) -> list[Key]:
    """Record and allele of the rows of a table."""
    return [(int(row["record"]), int(row["allele"])) for row in rows]


def fasta_of(path: Path) -> dict[str, str]:
    """The contigs of a FASTA, upper case, blanks left out."""
    contigs: dict[str, list[str]] = {}
    name = ""
    for line in content_of(path).decode("utf-8", errors="replace").split("\n"):
        if line.startswith(">"):
            name = (line[1:].split() or [""])[0]
            contigs[name] = []
        elif name in contigs:
            contigs[name].append("".join(line.split()))
    return {name: "".join(parts).upper() for name, parts in contigs.items()}
