"""Lifting BED intervals through a UCSC chain: each column with a place or a strand goes along, or the line is rejected.

An interval is lifted if one chain holds at least ``min_match`` of its bases and what becomes of it is not much longer
either; gaps inside are allowed up to that. Where the exact end matters (thick parts, blocks, summits) it must have a
place of its own.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from cisweave.config import LiftoverSettings
from cisweave.core.errors import check_balance, shorten
from cisweave.core.files import atomic_path
from cisweave.core.logs import get_logger
from cisweave.genome.alleles import Rejection
from cisweave.genome.bed import check_interval
from cisweave.genome.chain import Blocks, Chain
from cisweave.genome.contigs import ContigNames
from cisweave.genome.lift_check import RoundTrip
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import CHUNK, LEDGER_TYPES, Closing, Sink, TextSink, stage_counts, summary_line
from cisweave.genome.table import frame_of
from cisweave.genome.text import bed_lines, is_position
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

STAGE = "liftover"
FLIPPED = {"+": "-", "-": "+"}
PEAK_FIELDS = 10
BLOCK_FIELDS = 12


class Interval(NamedTuple):
    """What one chain makes of a source interval (0-based half-open).

    Attributes
    ----------
    chrom, start, end, strand
        From the first to the last mapped base, in the target.
    mapped
        Source bases with a place.
    chain
        Number of the chain.
    whole
        Whether first and last base of the source interval have a place.
    """

    chrom: str
    start: int
    end: int
    strand: str
    mapped: int
    chain: int
    whole: bool


class BedLine(NamedTuple):
    """One line, checked.

    ``fields`` as written; ``start, end`` 0-based half-open; ``standard``: how many columns are those of BED;
    ``blocks``: intervals (BED12); ``thick``: the thick part (BED8 and more); ``summit``: of narrowPeak, 0-based.
    """

    fields: list[str]
    start: int
    end: int
    standard: int
    blocks: list[tuple[int, int]]
    thick: tuple[int, int] | None
    summit: int | None


# --- reading ----------------------------------------------------------------------------------------------------------
def parse_bed(fields: list[str], standard: int | None = None) -> BedLine | Rejection:
    """Check the fields of a line.

    Without ``standard`` the columns are what they look like: 12 columns are BED12; 10 whose last is a summit within the
    interval or -1 are narrowPeak; columns 7 and 8 are a thick part if they are whole numbers within the interval; the
    sixth is a strand if it is ``+`` or ``-``; all others are carried along.
    """
    interval = check_interval(fields, points=True)
    if isinstance(interval, Rejection):
        return interval
    _, start, end = interval
    guessed = standard is None
    wanted = guess_fields(fields, start, end) if standard is None else standard
    if wanted > len(fields):
        return Rejection(Reason.MALFORMED_RECORD, f"{len(fields)} fields, bed_fields is {wanted}")
    thick = within(fields[6], fields[7], start, end) if wanted >= 8 else None
    if wanted >= 8 and thick is None:
        return Rejection(Reason.MALFORMED_RECORD, "thickStart and thickEnd are no part of the interval")
    blocks = parse_blocks(fields, start, end) if wanted >= BLOCK_FIELDS else []
    if wanted >= BLOCK_FIELDS and not blocks:
        return Rejection(Reason.MALFORMED_RECORD, "blockCount, blockSizes and blockStarts do not make up the interval")
    summit = None
    if guessed and is_narrow_peak(fields, start, end) and fields[9] != "-1":
        summit = start + int(fields[9])
    return BedLine(fields, start, end, wanted, blocks, thick, summit)


def guess_fields(fields: list[str], start: int, end: int) -> int:
    """How many columns look like those of BED."""
    if len(fields) == BLOCK_FIELDS or (len(fields) > BLOCK_FIELDS and parse_blocks(fields, start, end)):
        return BLOCK_FIELDS
    if is_narrow_peak(fields, start, end):
        return 6
    if len(fields) >= 8 and within(fields[6], fields[7], start, end) is not None:
        return min(len(fields), 9)
    return min(len(fields), 6)


def is_narrow_peak(fields: list[str], start: int, end: int) -> bool:
    """Whether a line is of ENCODE's narrowPeak: BED6, three scores and a summit."""
    if len(fields) != PEAK_FIELDS:
        return False
    summit = fields[PEAK_FIELDS - 1]
    return summit == "-1" or (is_position(summit) and int(summit) < end - start)


def within(first: str, last: str, start: int, end: int) -> tuple[int, int] | None:
    """Two fields as an interval inside another, if they are one."""
    if not (is_position(first) and is_position(last)):
        return None
    found = int(first), int(last)
    return found if start <= found[0] <= found[1] <= end else None


def parse_blocks(fields: list[str], start: int, end: int) -> list[tuple[int, int]]:
    """The blocks of a BED12 line as 0-based half-open intervals; none where they do not make up the line's interval."""
    count, sizes, starts = fields[9], *(field.rstrip(",").split(",") for field in fields[10:12])
    if not all(is_position(number) for number in (count, *sizes, *starts)):
        return []
    if not int(count) == len(sizes) == len(starts):
        return []
    blocks = [(start + int(at), start + int(at) + int(size)) for size, at in zip(sizes, starts, strict=True)]
    edges = [edge for block in blocks for edge in block]
    right = edges == sorted(edges) and edges[0] == start and edges[-1] == end and all(a < b for a, b in blocks)
    return blocks if right else []


# --- lifting ----------------------------------------------------------------------------------------------------------
class BedLifter:
    """Lifts BED lines.

    Parameters
    ----------
    chain
        From the assembly of the intervals to the target.
    settings
        ``min_match`` and ``bed_fields``.
    """

    def __init__(self, chain: Chain, settings: LiftoverSettings):
        self.chain, self.settings = chain, settings
        self._reach = {chrom: np.maximum.accumulate(blocks.end) for chrom, blocks in chain.blocks.items()}

    def lift(self, fields: list[str]) -> list[str] | Rejection:
        """Lift one line, given and returned as its fields."""
        line = parse_bed(fields, self.settings.bed_fields)
        if isinstance(line, Rejection):
            return line
        name = self.chain.source_name(fields[0])
        if name is None or name not in self.chain.blocks:
            return Rejection(Reason.LIFT_UNMAPPED, f"the chain has no contig {shorten(fields[0])}")
        found = self._lift_blocks(name, line) if line.blocks else self._lift_interval(name, line.start, line.end)
        if isinstance(found, Rejection):
            return found
        place, blocks = found
        return self._write(name, line, place, blocks)

    def candidates(self, name: str, start: int, end: int, only: int | None = None) -> list[Interval]:
        """What each chain (or one alone) makes of an interval; empty where no base has a place."""
        blocks = self.chain.blocks[name]
        first = int(np.searchsorted(self._reach[name], start, side="right"))
        last = int(np.searchsorted(blocks.start, end, side="left"))
        some = Blocks(*(column[first:last] for column in blocks))
        chosen = some.end > start
        if only is not None:
            chosen &= some.chain == only
        numbers = dict.fromkeys(some.chain[chosen].tolist())
        return [
            self._through(number, [column[chosen & (some.chain == number)] for column in some], start, end)
            for number in numbers
        ]

    def _through(self, number: int, columns: list[Any], start: int, end: int) -> Interval:
        """An interval through the blocks of one chain that it touches."""
        header = self.chain.headers[number]
        blocks = Blocks(*columns)
        low, high = np.maximum(blocks.start, start), np.minimum(blocks.end, end)
        if header.query_strand == "+":
            begin = int(blocks.target[0] + low[0] - blocks.start[0])
            stop = int(blocks.target[-1] + high[-1] - blocks.start[-1])
        else:
            begin = int(blocks.target[-1] + blocks.end[-1] - high[-1])
            stop = int(blocks.target[0] + blocks.end[0] - low[0])
        whole = bool(low[0] == start and high[-1] == end)
        mapped = int((high - low).sum())
        return Interval(header.query_chrom, begin, stop, header.query_strand, mapped, number, whole)

    def _lift_interval(self, name: str, start: int, end: int) -> tuple[Interval, list[Interval]] | Rejection:
        """The one place of an interval."""
        if start == end:
            return self._lift_point(name, start)
        found = self.candidates(name, start, end)
        least = self.settings.min_match * (end - start)
        enough = [place for place in found if place.mapped >= least]
        mapped = sum(place.mapped for place in found)
        if not found:
            return Rejection(Reason.LIFT_UNMAPPED, "it lies in no block of the chain")
        if len(enough) > 1:
            return Rejection(Reason.LIFT_MULTIPLE, f"{len(enough)} chains hold it")
        if not enough:
            reason = Reason.LIFT_SPLIT if mapped >= least else Reason.LIFT_PARTIAL
            return Rejection(reason, f"{mapped} of {end - start} bases have a place, in {len(found)} chain(s)")
        place = enough[0]
        if self._is_stretched(place):
            return Rejection(
                Reason.LIFT_SPLIT, f"its {end - start} bases lie {place.end - place.start} apart in the target"
            )
        return place, []

    def _is_stretched(self, place: Interval) -> bool:
        """Whether what became of an interval holds too many bases that it had not."""
        return place.mapped < self.settings.min_match * (place.end - place.start)

    def _lift_point(self, name: str, start: int) -> tuple[Interval, list[Interval]] | Rejection:
        """The one place between two bases."""
        found = [place for place in self.candidates(name, start - 1, start + 1) if start and place.mapped == 2]
        if len(found) != 1 or found[0].end - found[0].start != 2:
            return Rejection(Reason.LIFT_PARTIAL, "the bases on both sides of it are not side by side in the target")
        middle = found[0].start + 1
        return found[0]._replace(start=middle, end=middle), []

    def _lift_blocks(self, name: str, line: BedLine) -> tuple[Interval, list[Interval]] | Rejection:
        """The one place of a line of blocks; each must have its ends and enough of its bases in the same chain."""
        found = self.candidates(name, line.start, line.end)
        if not found:
            return Rejection(Reason.LIFT_UNMAPPED, "it lies in no block of the chain")
        good = []
        for place in found:
            parts = [self._block(name, start, end, place.chain) for start, end in line.blocks]
            if all(part is not None for part in parts):
                good.append((place, sorted(part for part in parts if part is not None)))
        if len(good) > 1:
            return Rejection(Reason.LIFT_MULTIPLE, f"{len(good)} chains hold all blocks")
        return (
            good[0] if good else Rejection(Reason.LIFT_PARTIAL, "not every block has its ends and bases in one chain")
        )

    def _block(self, name: str, start: int, end: int, number: int) -> Interval | None:
        """One block or thick part through one chain, if its ends and enough of its bases have a place."""
        for place in self.candidates(name, start, end, number):
            if (
                place.whole
                and place.mapped >= self.settings.min_match * (end - start)
                and not self._is_stretched(place)
            ):
                return place
        return None

    def _write(self, name: str, line: BedLine, place: Interval, blocks: list[Interval]) -> list[str] | Rejection:
        """The fields of a lifted line."""
        fields = [place.chrom, str(place.start), str(place.end), *line.fields[3:]]
        column = strand_column(line.fields)
        known = self.settings.bed_fields is None or self.settings.bed_fields >= 6
        if column is not None and known and place.strand == "-":
            fields[column] = FLIPPED[fields[column]]
        if line.thick is not None:
            thick = self._thick(name, line.thick, place)
            if thick is None:
                return Rejection(Reason.LIFT_PARTIAL, "the ends of its thick part have no place in the target")
            fields[6:8] = map(str, thick)
        if line.summit is not None:
            summit = self.candidates(name, line.summit, line.summit + 1, place.chain)
            if not summit:
                return Rejection(Reason.LIFT_PARTIAL, "its summit has no place in the target")
            fields[9] = str(summit[0].start - place.start)
        if blocks:
            fields[10] = ",".join(str(block.end - block.start) for block in blocks)
            fields[11] = ",".join(str(block.start - place.start) for block in blocks)
        return fields

    def _thick(self, name: str, thick: tuple[int, int], place: Interval) -> tuple[int, int] | None:
        """The thick part in the target; an empty one stands at the start."""
        if thick[0] == thick[1]:
            return place.start, place.start
        found = [part for part in self.candidates(name, *thick, place.chain) if part.whole]
        return (found[0].start, found[0].end) if found else None


# --- files ------------------------------------------------------------------------------------------------------------
def liftover_bed(
    bed: str | Path,
    chain: str | Path,
    out: str | Path,
    rejects: str | Path,
    settings: LiftoverSettings | None = None,
    round_trip: str | Path | None = None,
) -> None:
    """Write a BED lifted, the lines that could not be, and a receipt (``cisweave genome liftover --bed``).

    Parameters
    ----------
    bed
        BED3 to BED12, with further columns, or narrowPeak (0-based half-open), plain, gzip or bgzip. Track, browser and
        comment lines are left out, because what they say need not hold in the target.
    chain
        UCSC chain from the assembly of the intervals to the target.
    out
        The lines in their order, with the chain's names of contigs; bgzipped where the name ends in ``.gz``.
    rejects
        The ledger (TSV).
    settings
        ``min_match`` and ``bed_fields``.
    round_trip
        Chain that leads back: the log and the receipt then tell how many lines return exactly as they were.

    Raises
    ------
    CisweaveError
        If BED or chain cannot be read.
    """
    settings = settings or LiftoverSettings()
    lifter = BedLifter(Chain(chain), settings)
    back = BedTrip(BedLifter(Chain(round_trip), settings)) if round_trip is not None else None
    reasons = Counter[str]()
    record = kept = 0
    with (
        atomic_path(out) as temporary,
        atomic_path(rejects) as ledger_path,
        Closing(TextSink(ledger_path, Path(rejects))) as ledger,
        open_bed(temporary, Path(out)) as handle,
    ):
        rejected: list[tuple[Any, ...]] = []
        write_rejected(rejected, ledger, reasons)
        for record, (line, fields) in enumerate(bed_lines(bed), start=1):
            found = lifter.lift(fields)
            if isinstance(found, Rejection):
                contig, position = [*fields, ""][:2]
                rejected.append((STAGE, line, record, 1, contig, position, "", "", str(found.reason), found.detail))
                if len(rejected) >= CHUNK:
                    write_rejected(rejected, ledger, reasons)
                    rejected = []
            else:
                kept += 1
                handle.write(("\t".join(found) + "\n").encode())
                if back is not None:
                    back.compare(fields, found)
        write_rejected(rejected, ledger, reasons)
        check_balance(record, kept, reasons.total(), "intervals")
    counts = stage_counts(kept, reasons)
    trip = {"round_trip": back.trip.report(STAGE, "intervals")} if back is not None else {}
    inputs = [path for path in (bed, chain, round_trip) if path is not None]
    notes = {"intervals": counts, **trip}
    write_receipt(out, settings=settings.model_dump(mode="json"), inputs=inputs, notes=notes)
    logger.info("%s", summary_line(STAGE, counts, "intervals"))


def write_rejected(rows: list[tuple[Any, ...]], ledger: Sink, reasons: Counter[str]) -> None:
    """Write rows of the ledger and count them by code."""
    frame = frame_of(rows, LEDGER_TYPES)
    ledger.write(frame)
    reasons.update(frame["code"].tolist())


class BedTrip:
    """Lifts lines back and counts those that return as they were."""

    def __init__(self, lifter: BedLifter):
        self.lifter = lifter
        self.trip = RoundTrip(lifter.chain, None, None)
        self._names = ContigNames(lifter.chain.target_sizes)

    def compare(self, before: list[str], lifted: list[str]) -> None:
        """Count one line and what it became."""
        back = self.lifter.lift(lifted)
        home = self._names.resolve(before[0])
        self.trip.alleles += 1
        self.trip.returned += not isinstance(back, Rejection) and place_of(back) == (home, *place_of(before)[1:])


def strand_column(fields: list[str]) -> int | None:
    """Where a line has its strand: the sixth column, or the fourth as in a TSS BED; ``None`` where neither is one."""
    return next((column for column in (5, 3) if len(fields) > column and fields[column] in FLIPPED), None)


def place_of(fields: list[str]) -> tuple[str, ...]:
    """Contig, start, end and strand of a line, as text."""
    column = strand_column(fields)
    strand = fields[column] if column is not None else ""
    return (fields[0], str(int(fields[1])), str(int(fields[2])), strand)


def open_bed(path: Path, target: Path) -> IO[bytes] | Any:
    """A file for lines, bgzipped where the target's name ends in ``.gz``."""
    if target.suffix == ".gz":
        import pysam

        return pysam.BGZFile(str(path), "wb", None)
    return open(path, "wb")
