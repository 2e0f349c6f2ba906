"""From a variant file to alleles that lie on a genome, each written in one way, or rejected with a reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from cisweave.config import VariantSettings
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.logs import get_logger
from cisweave.genome.alleles import Rejection, check_alleles, left_align
from cisweave.genome.contigs import ContigNames, read_aliases
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import CONTIG_NAME, Chunk, apply_step, is_variant_table, read_chunks, write_stage
from cisweave.genome.table import VARIANT_COLUMNS, frame_of
from cisweave.genome.text import DIGITS
from cisweave.genome.vcf import read_records, seekable
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import LEDGER_COLUMNS, ledger_rows

logger = get_logger(__name__)

STAGE = "normalize"
REACH = 100_000
"""Alleles this many bases behind the last record of a sorted file are forgotten: no indel moves so far left."""


class Placed(NamedTuple):
    """An allele in its place: contig of the genome, 1-based position, upper-case bases.

    ``match``: whether REF is what the genome holds (``None``: nobody looked); ``swapped``: whether REF and ALT were
    exchanged.
    """

    chrom: str
    pos: int
    ref: str
    alt: str
    match: bool | None
    swapped: bool


class Seen:
    """Remembers alleles, to find those that come again.

    Where it ``forgets`` (alleles come sorted) it keeps only those less than :data:`REACH` bases behind the record it is
    at, so that its size does not grow with the file.
    """

    def __init__(self) -> None:
        self.forgets = False
        self._lines: dict[tuple[str, int, str, str], int] = {}
        self._order: deque[tuple[int, tuple[str, int, str, str]]] = deque()
        self._chrom = ""

    def add(self, key: tuple[str, int, str, str], source_pos: int, line: int) -> int | None:
        """Remember an allele (contig, position, REF, ALT); the line it stood on before, if it did."""
        if self.forgets:
            self._forget(key[0], source_pos)
        if key in self._lines:
            return self._lines[key]
        self._lines[key] = line
        if self.forgets:
            self._order.append((max(source_pos, key[1]), key))
        return None

    def _forget(self, chrom: str, source_pos: int) -> None:
        if chrom != self._chrom:
            self._lines.clear()
            self._order.clear()
            self._chrom = chrom
        while self._order and self._order[0][0] < source_pos - REACH:
            self._lines.pop(self._order.popleft()[1], None)


class Normalizer:
    """Places alleles on a genome one by one.

    Parameters
    ----------
    genome
        The assembly of the variants, or ``None`` to go without looking at contigs and REF.
    settings
        Policies and limits.
    path
        The variant file, for messages.
    """

    def __init__(self, genome: Genome | None, settings: VariantSettings, path: Path):
        self.genome, self.settings, self.path = genome, settings, path
        self.seen = Seen()
        if settings.compat == "seal" and settings.ref_policy not in ("exclude", "warn"):
            raise CisweaveError(
                "compat: seal keeps alleles whose REF differs, as ref_policy warn; ref_policy "
                f"{settings.ref_policy} cannot go with it"
            )
        self.policy = "warn" if settings.compat == "seal" else settings.ref_policy
        self.aligns = settings.left_align and settings.compat != "seal"
        aliases = read_aliases(settings.aliases) if settings.aliases is not None else ()
        self.names = ContigNames(genome.contigs, aliases) if genome is not None else None
        self.mismatches = 0

    def __call__(self, frame: pd.DataFrame) -> Chunk:
        """Keep or reject each allele of a variant table."""
        kept: list[tuple[Any, ...]] = []
        codes: list[str] = []
        details: list[str] = []
        bad: list[int] = []
        rows = frame[list(VARIANT_COLUMNS)].itertuples(index=False, name=None)
        for index, row in enumerate(rows):
            line, chrom, pos, ref, alt = row[2], *row[8:12]
            placed = self.place(chrom, pos, ref, alt, line)
            if isinstance(placed, Placed):
                placed = self.first_of(placed, pos, line)
            if isinstance(placed, Rejection):
                bad.append(index)
                codes.append(str(placed.reason))
                details.append(placed.detail)
            else:
                kept.append((*row[:8], *placed[:5], placed.swapped != row[13], row[14]))
        rejected = frame.iloc[bad]
        texts = (pd.Series(values, index=rejected.index, dtype="str") for values in (codes, details))
        return frame_of(kept, VARIANT_COLUMNS), ledger_rows(rejected, STAGE, *texts)

    def first_of(self, placed: Placed, source_pos: int, line: int) -> Placed | Rejection:
        """The allele, unless it came before."""
        before = self.seen.add(placed[:4], source_pos, line)
        if before is None:
            return placed
        chrom, pos, ref, alt = placed[:4]
        same = f"{chrom}:{pos} {shorten(ref)} > {shorten(alt)}"
        return Rejection(Reason.DUPLICATE, f"line {before} has the same allele, {same}")

    def place(self, chrom: str, pos: int, ref: str, alt: str, line: int) -> Placed | Rejection:
        """Place one allele; the first reason that speaks against it is given."""
        contig = self.contig(chrom)
        if isinstance(contig, Rejection):
            return contig
        rejection = check_alleles(ref, alt, self.settings.max_allele_length)
        if rejection:
            return rejection
        if self.genome is None:
            return Placed(contig, pos, ref, alt, None, False)
        end = pos - 1 + len(ref)
        if end > self.genome.contigs[contig]:
            return Rejection(Reason.OUT_OF_CONTIG, f"{contig} ends at {self.genome.contigs[contig]}")
        found = self.genome.fetch(contig, pos - 1, end)
        placed: Placed | Rejection = Placed(contig, pos, ref, alt, True, False)
        if found != ref:
            placed = self.reconcile(contig, pos, ref, alt, found, line)
        if self.aligns and isinstance(placed, Placed) and placed.match and (len(ref) > 1 or len(alt) > 1):
            pos, ref, alt = left_align(self.genome, contig, placed.pos, placed.ref, placed.alt)
            placed = placed._replace(pos=pos, ref=ref, alt=alt)
        return placed

    def contig(self, chrom: str) -> str | Rejection:
        """The genome's spelling of a contig."""
        contig = self.names.resolve(chrom) if self.names is not None else chrom
        if contig is None:
            return Rejection(Reason.UNKNOWN_CONTIG, f"contig {shorten(chrom)} is not in the FASTA")
        if not CONTIG_NAME.fullmatch(contig):
            return Rejection(Reason.UNKNOWN_CONTIG, f"contig {shorten(contig)} has a name that no VCF can hold")
        return contig

    def reconcile(self, chrom: str, pos: int, ref: str, alt: str, found: str, line: int) -> Placed | Rejection:
        """Do as the policy says with a REF that is not the genome's (``found``)."""
        detail = f"REF is {shorten(ref)}, the genome has {shorten(found)}"
        exchanged = len(ref) == len(alt) and found == alt
        if self.policy == "error":
            raise CisweaveError(
                f"{chrom}:{pos}: {detail}; is this the assembly of the variants? "
                "With ref_policy: exclude such alleles go to the ledger",
                path=self.path,
                line=line,
            )
        if self.policy == "warn":
            self.mismatches += 1
            return Placed(chrom, pos, ref, alt, False, False)
        if exchanged and self.policy in ("swap", "set"):
            return Placed(chrom, pos, alt, ref, True, self.policy == "swap")
        if self.policy == "set" and set(found) <= set("ACGT"):
            return Placed(chrom, pos, found, alt, True, False)
        return Rejection(Reason.REF_MISMATCH, detail + (", which is ALT" if exchanged else ""))


def is_sorted(path: Path, names: ContigNames | None = None) -> bool:
    """Whether each contig of a variant file stands in one piece, its positions never falling."""
    finished: set[str | None] = set()
    last_chrom: str | None = None
    last_pos = 0
    for record in read_records(path):
        chrom = names.resolve(record.chrom) if names is not None else record.chrom
        pos = int(record.pos) if DIGITS.fullmatch(record.pos) else last_pos
        if chrom != last_chrom:
            finished.add(last_chrom)
            if chrom in finished:
                return False
            last_chrom, last_pos = chrom, 0
        if pos < last_pos:
            return False
        last_pos = pos
    return True


def normalized_chunks(vcf: str | Path, genome: Genome | None, settings: VariantSettings) -> Iterator[Chunk]:
    """Read a variant file and normalise it, chunk by chunk in the order of the file (:func:`read_variants`)."""
    with seekable(vcf) as path:
        step = Normalizer(genome, settings, Path(vcf))
        if not is_variant_table(path) and is_sorted(path, step.names):
            step.seen.forgets = True
        yield from apply_step(read_chunks(path, STAGE), step)
    if step.mismatches:
        logger.warning("%s: %d allele(s) kept though REF is not the genome's (warn)", vcf, step.mismatches)


def read_variants(
    vcf: str | Path, fasta: str | Path | None = None, settings: VariantSettings | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a variant file as a variant table and the ledger rows of what it rejects.

    Parameters
    ----------
    vcf
        As :func:`cisweave.genome.vcf.read_records` reads it (POS is 1-based).
    fasta
        The assembly of the variants. Without it contig names and REF go unchecked, indels are not left-aligned and
        ``reference_genome_match`` is missing.
    settings
        Policies and limits.

    Returns
    -------
    variants, rejected
        The variant table (:data:`cisweave.genome.table.VARIANT_COLUMNS`), and ledger rows
        (:data:`cisweave.tables.ledger.LEDGER_COLUMNS`), in the order of the file. A record with several ALT alleles
        has a row for each; each allele of the file stands in exactly one of the two.

    Raises
    ------
    CisweaveError
        If the file cannot be read or, with ``ref_policy: error``, at the first REF that the genome denies.
    """
    with open_genome(fasta) as genome:
        return concatenate(normalized_chunks(vcf, genome, settings or VariantSettings()))


def open_genome(fasta: str | Path | None) -> Any:
    """A context that gives the genome, or ``None`` where there is none."""
    return Genome(fasta) if fasta is not None else nullcontext(None)


def concatenate(chunks: Iterable[Chunk]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All that chunks keep and all that they reject."""
    kept, rejected = zip(*chunks, strict=True)
    return pd.concat(kept, ignore_index=True), pd.concat(rejected, ignore_index=True)[LEDGER_COLUMNS]


def normalize_variants(
    vcf: str | Path,
    out: str | Path,
    rejects: str | Path,
    fasta: str | Path | None = None,
    settings: VariantSettings | None = None,
) -> None:
    """Write a variant file normalised, its rejected alleles and a receipt (``cisweave genome normalize``).

    ``out`` is a sites-only VCF or BCF, sorted by contig and position (:func:`cisweave.genome.stream.write_stage`).
    """
    settings = settings or VariantSettings()
    with open_genome(fasta) as genome:
        write_stage(
            normalized_chunks(vcf, genome, settings),
            out,
            rejects,
            stage=STAGE,
            contigs=genome.contigs if genome is not None else None,
            inputs=[path for path in (vcf, fasta) if path is not None],
            settings=settings.model_dump(mode="json"),
        )
