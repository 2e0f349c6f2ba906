"""Reading a phased VCF: alleles that lie on a genome, and on which haplotypes of which samples each stands.

A haplotype is numbered ``sample * MAX_PLOIDY + place in GT``. Both count from 0 here; tables count haplotypes from 1.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import HaplotypeSettings, VariantSettings
from cisweave.core.errors import CisweaveError, check_balance, shorten
from cisweave.core.files import existing, first_bytes
from cisweave.genome.alleles import Rejection
from cisweave.genome.normalize import Normalizer, Placed
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import parse_allele
from cisweave.genome.text import is_position, numbered_lines
from cisweave.genome.vcf import BCF, VcfRecord, bcf_lines, parse_record
from cisweave.seal.haplotype.edits import Edit, edit_of
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import LEDGER_COLUMNS

STAGE = "seal_haplotype"
MAX_PLOIDY = 8
FORMAT = 8
"""0-based column of FORMAT; samples follow."""
SEPARATOR = re.compile(r"[|/]")
ALLELE = re.compile(r"\.|[0-9]{1,9}", re.ASCII)
NOT_MISSED = (Reason.DUPLICATE, Reason.SPANNING_DELETION)
"""Rejections that leave nothing out: the same bases stand in another record."""

Haplotypes = NDArray[np.int64]
Genotype = tuple[int | None, ...]


@dataclass
class Carried:
    """An allele in its place.

    Attributes
    ----------
    chrom
        Contig of the genome.
    edit
        What it changes.
    label
        ``contig:position:ref>alt`` on the genome (1-based).
    carriers
        Haplotypes on which it stands.
    left_out
        Haplotypes on which it should stand, but cannot be put.
    key
        Ledger columns line, record, allele, contig, position, ref, alt.
    """

    chrom: str
    edit: Edit
    label: str
    carriers: Haplotypes
    left_out: Haplotypes
    key: tuple[Any, ...]


@dataclass
class Rejected:
    """Why an allele is left out, and of how many haplotypes (0: of all)."""

    key: tuple[Any, ...]
    reason: Reason
    detail: str
    haplotypes: int = 0


@dataclass
class Books:
    """What became of the alleles of a file.

    Attributes
    ----------
    read, outside, carried_by_none, used
        Alleles in the file; those near no gene; those that no chosen sample has; those put on haplotypes.
    rejected
        Those left out of some haplotype or all, by record and allele.
    """

    read: int = 0
    outside: int = 0
    carried_by_none: int = 0
    used: int = 0
    rejected: dict[tuple[int, int], Rejected] = field(default_factory=dict)

    def reject(self, key: tuple[Any, ...], reason: Reason, detail: str, haplotypes: int = 0) -> None:
        """Note that an allele is left out; what is noted first stays, haplotypes add up."""
        noted = self.rejected.setdefault(key[1:3], Rejected(key, reason, detail))
        noted.haplotypes += haplotypes

    def counts(self) -> dict[str, Any]:
        """Alleles by what became of them; an error if they do not add up."""
        found = {"in": self.read, "outside": self.outside, "carried_by_none": self.carried_by_none, "used": self.used}
        check_balance(self.read, self.outside + self.carried_by_none + self.used, len(self.rejected), "alleles")
        reasons = Counter(str(noted.reason) for noted in self.rejected.values())
        return {**found, "rejected": len(self.rejected), "reasons": dict(sorted(reasons.items()))}

    def ledger(self) -> pd.DataFrame:
        """The rejected alleles as ledger rows, in the order of the file."""
        rows = []
        for _, noted in sorted(self.rejected.items()):
            left = f" (left out of {noted.haplotypes} haplotypes in all)" if noted.haplotypes else ""
            rows.append((STAGE, *noted.key, str(noted.reason), noted.detail + left))
        return pd.DataFrame(rows, columns=LEDGER_COLUMNS)


class Cohort(NamedTuple):
    """The samples of a file that were chosen, the columns they stand in (from 0, after FORMAT), and how many it has."""

    names: list[str]
    columns: list[int]
    total: int


# --- samples ----------------------------------------------------------------------------------------------------------
def read_cohort(path: Path, chosen: Sequence[str] | None = None) -> Cohort:
    """The samples of a VCF or BCF; ``chosen`` ones in the order of the file.

    Raises
    ------
    CisweaveError
        If the file has no header line with samples, a name twice, or lacks a chosen one.
    """
    names = bcf_samples(path) if is_bcf(path) else vcf_samples(path)
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise CisweaveError(f"sample {shorten(twice[0])} stands in two columns; rename one", path=path)
    unknown = [name for name in chosen or () if name not in names]
    if unknown:
        raise CisweaveError(
            f"sample {shorten(unknown[0])} is not in the file; it has {', '.join(names[:5])} …", path=path
        )
    wanted = set(names if chosen is None else chosen)
    columns = [number for number, name in enumerate(names) if name in wanted]
    return Cohort([names[number] for number in columns], columns, len(names))


def is_bcf(path: Path) -> bool:
    """Whether a file is a BCF."""
    return first_bytes(existing(path)).startswith(BCF)


def vcf_samples(path: Path) -> list[str]:
    """The sample names in the header of a VCF."""
    for line, text in numbered_lines(path):
        if text.startswith("#CHROM"):
            names = text.split("\t")[FORMAT + 1 :]
            if not names:
                raise CisweaveError("the VCF has no samples; give phased genotypes", path=path, line=line)
            return names
        if text.strip() and not text.startswith("#"):
            break
    raise CisweaveError("the line #CHROM … with the names of the samples is absent", path=path)


def bcf_samples(path: Path) -> list[str]:
    """The sample names in the header of a BCF."""
    import pysam

    try:
        with pysam.VariantFile(str(path)) as records:
            names = list(records.header.samples)
    except (OSError, ValueError) as error:
        raise CisweaveError(f"this BCF cannot be opened ({error})", path=path) from error
    if not names:
        raise CisweaveError("the BCF has no samples; give phased genotypes", path=path)
    return names


# --- genotypes --------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=4096)
def parse_genotype(text: str) -> tuple[Genotype, bool] | None:
    """Alleles of a GT (``None``: missing) and whether their order tells haplotypes apart; ``None``: it is no GT."""
    alleles = SEPARATOR.split(text.lstrip("|/"))
    if not all(ALLELE.fullmatch(allele) for allele in alleles) or len(alleles) > MAX_PLOIDY:
        return None
    genotype = tuple(None if allele == "." else int(allele) for allele in alleles)
    return genotype, "/" not in text or len(set(genotype)) == 1


def as_haplotype_1(genotype: Genotype) -> Genotype:
    """An unphased genotype with its ALT alleles first, the order of GT kept."""
    return tuple(sorted(genotype, key=lambda allele: not allele))


class GenotypeReader:
    """Reads the genotypes of one record after the other."""

    def __init__(self, path: Path, cohort: Cohort, policy: str):
        self.path, self.cohort, self.policy = path, cohort, policy

    def __call__(self, record: VcfRecord, text: str) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """Haplotypes that carry each allele (0: REF), and those that would but whose phase is unknown."""
        fields = text.split("\t")
        layout = fields[FORMAT].split(":") if len(fields) > FORMAT else []
        if "GT" not in layout or len(fields) != FORMAT + 1 + self.cohort.total:
            raise CisweaveError(
                f"the record does not have one genotype (GT) for each of the {self.cohort.total} samples of the header",
                path=self.path,
                line=record.line,
            )
        place = layout.index("GT")
        carriers: dict[int, list[int]] = {}
        unknown: dict[int, list[int]] = {}
        for sample, column in enumerate(self.cohort.columns):
            genotype, phased = self._genotype(fields[FORMAT + 1 + column], place, record, sample)
            if not phased and self.policy == "haplotype_1":
                genotype, phased = as_haplotype_1(genotype), True
            for haplotype, allele in enumerate(genotype):
                number = sample * MAX_PLOIDY + haplotype
                if allele is not None and phased:
                    carriers.setdefault(allele, []).append(number)
                elif not phased:
                    for each in set(genotype) - {None}:
                        unknown.setdefault(int(each or 0), []).append(number)
        return carriers, unknown

    def _genotype(self, text: str, place: int, record: VcfRecord, sample: int) -> tuple[Genotype, bool]:
        """The genotype of one sample, checked."""
        values = text.split(":", place + 1)
        found = parse_genotype(values[place].strip()) if len(values) > place else None
        name = self.cohort.names[sample]
        if found is None or max((allele or 0 for allele in found[0]), default=0) > len(record.alts):
            raise CisweaveError(
                f"sample {name}: {shorten(text)} is no genotype of at most {MAX_PLOIDY} of the record's alleles",
                path=self.path,
                line=record.line,
            )
        if not found[1] and self.policy == "error":
            raise CisweaveError(
                f"sample {name}: the genotype {shorten(text)} is heterozygous and not phased; phase the file, or set "
                "unphased: reject or haplotype_1",
                path=self.path,
                line=record.line,
            )
        return found


# --- alleles ----------------------------------------------------------------------------------------------------------
class AlleleReader:
    """Reads the alleles of a phased VCF near genes, in the order of the places that they change.

    Parameters
    ----------
    near
        Per contig of the genome, ascending 0-based half-open intervals that do not overlap; what lies outside is
        counted and left alone.
    """

    def __init__(
        self,
        path: Path,
        genome: Genome,
        cohort: Cohort,
        settings: HaplotypeSettings,
        near: Mapping[str, NDArray[np.int64]],
    ):
        self.path, self.near, self.cohort = path, near, cohort
        self.genotypes = GenotypeReader(path, cohort, settings.unphased)
        self.normalizer = Normalizer(genome, VariantSettings(**placing(settings)), path)
        self.normalizer.seen.forgets = True
        self.books = Books()

    def __iter__(self) -> Iterator[Carried]:
        """Alleles in ascending order of their edits, contig after contig; none overlaps another on one haplotype.

        Of two that overlap the one that begins first stays, of two that begin together the one that comes first.
        """
        waiting: list[tuple[int, bool, int, Carried]] = []
        serial = count()
        overlaps = Overlaps(len(self.cohort.names))
        chrom, last, done = "", 0, set[str]()
        for record, text in self._records():
            contig = self.normalizer.contig(record.chrom)
            name, pos = str(contig), int(record.pos)
            if isinstance(contig, str) and (name != chrom or pos < last):
                if name in done or name == chrom:
                    raise CisweaveError(
                        "the VCF is not sorted by contig and position; sort it with 'bcftools sort'",
                        path=self.path,
                        line=record.line,
                    )
                yield from self._settled(waiting, overlaps, None)
                overlaps.clear()
                done.add(chrom)
                chrom = name
            last = pos if isinstance(contig, str) else last
            yield from self._settled(waiting, overlaps, pos - 1)
            for carried in self._alleles(record, text, contig):
                edit = carried.edit
                heapq.heappush(waiting, (edit.start, edit.start < edit.end, next(serial), carried))
        yield from self._settled(waiting, overlaps, None)

    def _records(self) -> Iterator[tuple[VcfRecord, str]]:
        """Records whose place can be read, with their lines; the alleles of the others are rejected."""
        lines = bcf_lines(self.path) if is_bcf(self.path) else numbered_lines(self.path)
        number = 0
        for line, text in lines:
            if text.startswith("#") or not text.strip():
                continue
            number += 1
            record = parse_record(number, line, text)
            if is_position(record.pos) and not record.problem and int(record.pos) > 0:
                yield record, text
                continue
            for allele, alt in enumerate(record.alts, start=1):
                row, reason, detail = parse_allele(record, allele, alt, None)
                self.books.read += 1
                self.books.reject(ledger_key(row), reason or Reason.MALFORMED_RECORD, detail)

    def _settled(self, waiting: list[Any], overlaps: Overlaps, before: int | None) -> Iterator[Carried]:
        """Alleles that no later record can stand before; those of them that overlap are left out."""
        while waiting and (before is None or waiting[0][0] < before):
            carried: Carried = heapq.heappop(waiting)[3]
            self._leave_out(carried, overlaps.check(carried))
            self.books.used += carried.key[1:3] not in self.books.rejected
            yield carried

    def _leave_out(self, carried: Carried, other: dict[int, str]) -> None:
        """Take an allele off the haplotypes on which it overlaps another one."""
        if not other:
            return
        first, label = next(iter(other.items()))
        self.books.reject(
            carried.key,
            Reason.OVERLAPPING_ALLELES,
            f"on haplotype {self.name_of(first)} it overlaps {label}",
            len(other),
        )
        left = np.fromiter(other, np.int64)
        carried.carriers = np.setdiff1d(carried.carriers, left)
        carried.left_out = np.union1d(carried.left_out, left)

    def name_of(self, haplotype: int) -> str:
        """``sample|1`` and so on."""
        return f"{self.cohort.names[haplotype // MAX_PLOIDY]}|{haplotype % MAX_PLOIDY + 1}"

    def _alleles(self, record: VcfRecord, text: str, contig: str | Rejection) -> Iterator[Carried]:
        """The alleles of one record that change a haplotype near a gene."""
        self.books.read += len(record.alts)
        if isinstance(contig, str) and not self._is_near(contig, int(record.pos) - 1, len(record.ref)):
            self.books.outside += len(record.alts)
            return
        carriers, unknown = self.genotypes(record, text) if isinstance(contig, str) else ({}, {})
        for number, alt in enumerate(record.alts, start=1):
            row, reason, detail = parse_allele(record, number, alt, None)
            key, placed = ledger_key(row), self._place(row, reason, detail, record.line)
            swapped = isinstance(placed, Placed) and placed.swapped
            here = np.array(carriers.get(0 if swapped else number, ()), dtype=np.int64)
            lost = np.array(unknown.get(0 if swapped else number, ()), dtype=np.int64)
            if isinstance(placed, Rejection):
                self.books.reject(key, placed.reason, placed.detail)
                if placed.reason not in NOT_MISSED and isinstance(contig, str):
                    edit = Edit(int(record.pos) - 1, int(record.pos) - 1 + len(record.ref), "")
                    yield Carried(contig, edit, "", here[:0], np.union1d(here, lost), key)
                continue
            if len(lost):
                detail = f"the first is sample {self.cohort.names[lost[0] // MAX_PLOIDY]}"
                self.books.reject(key, Reason.UNPHASED, detail, len(lost))
            elif not len(here):
                self.books.carried_by_none += 1
                continue
            chrom, pos, ref, other = placed[:4]
            yield Carried(chrom, edit_of(pos, ref, other), f"{chrom}:{pos}:{ref}>{other}", here, lost, key)

    def _place(self, row: tuple[Any, ...], reason: Reason | None, detail: str, line: int) -> Placed | Rejection:
        """An allele on the genome, or why it has no place there."""
        if reason is not None:
            return Rejection(reason, detail)
        chrom, pos, ref, alt = row[8:12]
        placed = self.normalizer.place(chrom, pos, ref, alt, line)
        return placed if isinstance(placed, Rejection) else self.normalizer.first_of(placed, pos, line)

    def _is_near(self, contig: str, start: int, length: int) -> bool:
        """Whether a place is near a gene."""
        intervals = self.near.get(contig)
        if intervals is None:
            return False
        next_one = int(np.searchsorted(intervals[:, 1], start))
        return next_one < len(intervals) and bool(intervals[next_one, 0] <= start + length)


class Overlaps:
    """Remembers how far each haplotype is changed already."""

    def __init__(self, samples: int):
        self.end = np.full(samples * MAX_PLOIDY, -1, dtype=np.int64)
        self.insertion = np.full(samples * MAX_PLOIDY, -1, dtype=np.int64)
        self.last: dict[int, str] = {}

    def clear(self) -> None:
        """Begin another contig."""
        self.end[:] = self.insertion[:] = -1
        self.last.clear()

    def check(self, carried: Carried) -> dict[int, str]:
        """Haplotypes on which an allele overlaps the one before, with that one's label; the others take it."""
        if not len(carried.carriers):
            return {}
        edit, carriers = carried.edit, carried.carriers
        is_insertion = edit.start == edit.end
        clash = self.end[carriers] > edit.start
        if is_insertion:
            clash |= self.insertion[carriers] == edit.start
        free = carriers[~clash]
        self.end[free] = np.maximum(self.end[free], edit.end)
        if is_insertion:
            self.insertion[free] = edit.start
        found = {int(haplotype): self.last[int(haplotype)] for haplotype in carriers[clash]}
        self.last |= dict.fromkeys(free.tolist(), carried.label)
        return found


def placing(settings: HaplotypeSettings) -> dict[str, Any]:
    """How alleles are placed: as the file spells them, since moving one may lead it past another on its haplotype."""
    return {
        "ref_policy": settings.ref_policy,
        "left_align": False,
        "max_allele_length": settings.max_allele_length,
    }


def ledger_key(row: Sequence[Any]) -> tuple[Any, ...]:
    """Line, record, allele, contig, position, ref and alt of a row of the variant table."""
    return row[2], row[0], row[1], *row[4:8]


def merged(intervals: Collection[tuple[int, int]]) -> NDArray[np.int64]:
    """Ascending intervals (n, 2) that do not overlap, of any."""
    found: list[list[int]] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([start, end])
    return np.array(found, dtype=np.int64).reshape(-1, 2)
