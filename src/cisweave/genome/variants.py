"""From a variant file to the variant table: split, checked, each allele either kept or rejected with a reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cisweave.config import VariantSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing
from cisweave.core.logs import get_logger
from cisweave.genome.contigs import resolve_contig
from cisweave.genome.reasons import Reason
from cisweave.genome.table import VARIANT_COLUMNS, frame_of, write_variant_table
from cisweave.genome.text import DIGITS
from cisweave.genome.vcf import VcfRecord, read_records
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import LEDGER_COLUMNS, write_ledger
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

STAGE = "variants"
BASES = re.compile(r"[ACGT]+", re.IGNORECASE)
LEDGER_TYPES = {column: "int64" if column in ("record", "allele") else "str" for column in LEDGER_COLUMNS}
CHUNK = 50_000


class Place(NamedTuple):
    """Where an allele stands, and whether REF is what the genome holds there (``None``: nobody looked)."""

    chrom: str
    pos: int
    match: bool | None


class Rejection(NamedTuple):
    """Why an allele is not kept."""

    reason: Reason
    detail: str


class AlleleChecker:
    """Decides allele by allele; it remembers the alleles it kept to find duplicates.

    Parameters
    ----------
    genome
        The assembly of the variants, or ``None`` to go without looking at contigs and REF.
    settings
        Policy and limits.
    path
        The variant file, for messages.
    """

    def __init__(self, genome: Genome | None, settings: VariantSettings, path: Path):
        self.genome = genome
        self.settings = settings
        self.path = path
        self.mismatches = 0
        self._seen: set[tuple[str, int, str, str]] = set()

    def check(self, record: VcfRecord, alt: str) -> Place | Rejection:
        """Judge one ALT of a record; the first reason that applies is given."""
        place = self.locate(record)
        if isinstance(place, Rejection):
            return place
        rejection = self.check_bases(record.ref, alt)
        if rejection:
            return rejection
        if self.genome is not None:
            compared = self.compare(self.genome, record, place)
            if isinstance(compared, Rejection):
                return compared
            place = compared
        key = (place.chrom, place.pos, record.ref.upper(), alt.upper())
        if key in self._seen:
            return Rejection(Reason.DUPLICATE, "the same allele came earlier in the file")
        self._seen.add(key)
        return place

    def locate(self, record: VcfRecord) -> Place | Rejection:
        """Contig and position of a record."""
        if record.problem:
            return Rejection(Reason.MALFORMED_RECORD, record.problem)
        pos = int(record.pos) if DIGITS.fullmatch(record.pos) else 0
        if pos < 1:
            return Rejection(Reason.BAD_POSITION, f"POS {shorten(record.pos)} is not a whole number from 1 upwards")
        if self.genome is None:
            return Place(record.chrom, pos, None)
        chrom = resolve_contig(record.chrom, self.genome.contigs)
        if chrom is None:
            return Rejection(Reason.UNKNOWN_CONTIG, f"contig {shorten(record.chrom)} is not in the FASTA")
        return Place(chrom, pos, None)

    def check_bases(self, ref: str, alt: str) -> Rejection | None:
        """Reject alleles that are not plain bases, or too long."""
        special = special_allele(alt)
        if special:
            return Rejection(special, f"ALT is {shorten(alt)}" if alt else "ALT is empty")
        for name, bases in (("REF", ref), ("ALT", alt)):
            if not BASES.fullmatch(bases):
                return Rejection(Reason.INVALID_ALLELE, f"{name} {shorten(bases)} is not made of A, C, G and T")
        if ref.upper() == alt.upper():
            return Rejection(Reason.REF_EQUALS_ALT, f"both are {shorten(ref)}")
        longest = max(len(ref), len(alt))
        if longest > self.settings.max_allele_length:
            limit = self.settings.max_allele_length
            return Rejection(Reason.ALLELE_TOO_LONG, f"{longest} bases, more than max_allele_length {limit}")
        return None

    def compare(self, genome: Genome, record: VcfRecord, place: Place) -> Place | Rejection:
        """Compare REF with the genome; where they differ, do as the policy says."""
        end = place.pos - 1 + len(record.ref)
        if end > genome.length(place.chrom):
            return Rejection(Reason.OUT_OF_CONTIG, f"{place.chrom} ends at {genome.length(place.chrom)}")
        found = genome.fetch(place.chrom, place.pos - 1, end)
        if found == record.ref.upper():
            return place._replace(match=True)
        detail = f"REF is {shorten(record.ref)}, the genome has {shorten(found)}"
        if self.settings.ref_policy == "error":
            raise CisweaveError(
                f"{record.chrom}:{record.pos}: {detail}; is this the assembly of the variants? "
                "With ref_policy: reject such alleles go to the ledger",
                path=self.path,
                line=record.line,
            )
        if self.settings.ref_policy == "reject":
            return Rejection(Reason.REF_MISMATCH, detail)
        self.mismatches += 1
        logger.debug("%s:%s: %s; kept, because ref_policy is warn", record.chrom, record.pos, detail)
        return place._replace(match=False)


def special_allele(alt: str) -> Reason | None:
    """The reason for an ALT that is missing or names something else than bases, if it does."""
    if alt in ("", "."):
        return Reason.MISSING_ALT
    if alt == "*":
        return Reason.SPANNING_DELETION
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return Reason.BREAKEND
    if alt.startswith("<"):
        return Reason.SYMBOLIC_ALLELE
    return None


def shorten(text: str, limit: int = 30) -> str:
    """Text in quotes, cut where it is long."""
    return f"'{text}'" if len(text) <= limit else f"'{text[:limit]}…' ({len(text)} characters)"


def variant_chunks(
    vcf: str | Path, fasta: str | Path | None = None, settings: VariantSettings | None = None, chunk: int = CHUNK
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Read a variant file as pairs (variants, rejected) of about ``chunk`` alleles each, in the order of the file.

    See :func:`read_variants` for the meaning; there is at least one pair, be it empty.
    """
    settings = settings or VariantSettings()
    path = existing(vcf)
    with Genome(fasta) if fasta is not None else nullcontext(None) as genome:
        checker = AlleleChecker(genome, settings, path)
        kept: list[tuple[object, ...]] = []
        rejected: list[tuple[object, ...]] = []
        for record in read_records(path):
            for number, alt in enumerate(record.alts, start=1):
                verdict = checker.check(record, alt)
                if isinstance(verdict, Rejection):
                    source = (record.chrom, record.pos, record.ref, alt)
                    detail = f"line {record.line}: {verdict.detail}"
                    rejected.append((STAGE, record.record, number, *source, str(verdict.reason), detail))
                else:
                    chrom, pos, match = verdict
                    source_alleles = (record.chrom, pos, record.ref, alt)
                    alleles = (chrom, pos, record.ref.upper(), alt.upper(), match)
                    kept.append((record.record, number, record.name, *source_alleles, *alleles))
            if len(kept) + len(rejected) >= chunk:
                yield frame_of(kept, VARIANT_COLUMNS), frame_of(rejected, LEDGER_TYPES)
                kept, rejected = [], []
        yield frame_of(kept, VARIANT_COLUMNS), frame_of(rejected, LEDGER_TYPES)
    if checker.mismatches:
        logger.warning(
            "%s: %d allele(s) kept though REF is not the genome's (ref_policy: warn)", path, checker.mismatches
        )


def read_variants(
    vcf: str | Path, fasta: str | Path | None = None, settings: VariantSettings | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a variant file as a variant table and the ledger rows of what it rejects.

    Parameters
    ----------
    vcf
        VCF or five-column text, as :func:`cisweave.genome.vcf.read_records` reads it (POS is 1-based).
    fasta
        The assembly of the variants. Without it contig names and REF go unchecked and ``reference_genome_match``
        is missing.
    settings
        REF policy and allele limits.

    Returns
    -------
    variants, rejected
        The variant table (:data:`cisweave.genome.table.VARIANT_COLUMNS`), and ledger rows
        (:data:`cisweave.tables.ledger.LEDGER_COLUMNS`). A record with several ALT alleles has a row for each; each
        allele of the file stands in exactly one of the two.

    Raises
    ------
    CisweaveError
        If the file cannot be read as text or, with ``ref_policy: error``, at the first REF that the genome denies.
    """
    kept, rejected = zip(*variant_chunks(vcf, fasta, settings), strict=True)
    return pd.concat(kept, ignore_index=True), pd.concat(rejected, ignore_index=True)


def normalise_variants(
    vcf: str | Path,
    out: str | Path,
    rejected: str | Path,
    fasta: str | Path | None = None,
    settings: VariantSettings | None = None,
) -> None:
    """Write the variant table of a VCF, its rejected alleles and a receipt (``cisweave genome variants``)."""
    settings = settings or VariantSettings()
    variants, rejects = read_variants(vcf, fasta, settings)
    write_variant_table(variants, out)
    write_ledger([rejects], rejected)
    counts = stage_counts(len(variants), rejects["reason"])
    inputs = [path for path in (vcf, fasta) if path is not None]
    write_receipt(out, settings=settings.model_dump(mode="json"), inputs=inputs, notes={"alleles": counts})
    logger.info("%s", summary_line(STAGE, counts))


def stage_counts(kept: int, reasons: Iterable[str]) -> dict[str, object]:
    """Alleles that went in, were kept and were rejected by reason."""
    by_reason = dict(sorted(Counter(reasons).items()))
    rejected = sum(by_reason.values())
    return {"in": kept + rejected, "kept": kept, "rejected": rejected, "reasons": by_reason}


def summary_line(stage: str, counts: Mapping[str, object]) -> str:
    """One line about a stage for the log."""
    reasons = counts["reasons"]
    assert isinstance(reasons, dict)
    listed = ", ".join(f"{reason} {number}" for reason, number in reasons.items())
    return f"{stage}: {counts['in']} alleles in, {counts['kept']} kept, {counts['rejected']} rejected" + (
        f" ({listed})" if listed else ""
    )
