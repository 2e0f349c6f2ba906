"""Lifting alleles from one assembly to another through a UCSC chain.

The chain knows positions; what happens to the alleles is decided here. A substitution goes where its bases go. An
insertion or deletion is looked at together with the whole repeat it may be written in and one base on each side: where
these two bases go, the target holds REF, ALT or neither. On inverted blocks alleles are reverse-complemented. What
comes out is left-aligned on the target, with the fewest bases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import LiftoverSettings
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.logs import get_logger
from cisweave.genome.alleles import BASES, Rejection, core, left_align
from cisweave.genome.chain import Chain, Match
from cisweave.genome.contigs import ContigNames
from cisweave.genome.lift_check import Repeats, RoundTrip
from cisweave.genome.normalize import is_sorted
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import Chunk, apply_step, is_variant_table, read_chunks, write_stage
from cisweave.genome.table import VARIANT_COLUMNS, check_variants
from cisweave.genome.vcf import seekable
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import ledger_rows

logger = get_logger(__name__)

STAGE = "liftover"
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
LONGEST_REPEAT = 10_000
"""Indels in longer repeats are rejected."""
GAP = 2_000
"""Substitutions of a chunk that lie closer than this are compared with one stretch of the target."""


class LiftedAllele(NamedTuple):
    """An allele in the target assembly.

    Attributes
    ----------
    chrom, pos, ref, alt
        In the target; ``pos`` is 1-based.
    strand
        How the source lies within the target.
    swapped
        Whether REF and ALT were exchanged, because the target holds ALT.
    source, target
        First and last base (1-based) that decided the place, in the source, and where these very bases are in the
        target: a substitution's own bases, and the bases on both sides of an indel's repeat.
    """

    chrom: str
    pos: int
    ref: str
    alt: str
    strand: str
    swapped: bool = False
    source: tuple[int, int] = (0, 0)
    target: tuple[int, int] = (0, 0)


Verdict = LiftedAllele | Rejection


class Span(NamedTuple):
    """Where two bases of the source are in the target: contig of the FASTA, 1-based positions, strand."""

    chrom: str
    first: int
    last: int
    strand: str

    @property
    def left(self) -> int:
        """The leftmost of the two positions."""
        return min(self.first, self.last)

    @property
    def length(self) -> int:
        """Bases from the one to the other, both counted."""
        return abs(self.last - self.first) + 1


class Source(NamedTuple):
    """The source assembly's bases around one allele, as far as they are known.

    With its FASTA all are. Without it, REF is known from the variant, and a base that the chain aligns is taken from
    the target.
    """

    lifter: Lifter
    chrom: str
    start: int
    ref: str

    def base(self, pos: int) -> str | None:
        """The base at a 1-based position; ``None`` where nothing tells."""
        if self.start <= pos < self.start + len(self.ref):
            return self.ref[pos - self.start]
        if self.lifter.source is not None:
            return self.lifter.source_base(self.chrom, pos)
        span = self.lifter.place(self.chrom, (pos, pos))
        if isinstance(span, Rejection):
            return None
        base = self.lifter.genome.fetch(span.chrom, span.first - 1, span.first)
        return base if span.strand == "+" else reverse_complement(base)


class Lifter:
    """Lifts alleles.

    Parameters
    ----------
    chain
        From the assembly of the variants to that of ``genome``.
    genome
        The target assembly.
    settings
        What happens to swapped alleles.
    source
        The assembly of the variants, where there is a FASTA of it: more indels in repeats can then be judged.
    """

    def __init__(self, chain: Chain, genome: Genome, settings: LiftoverSettings, source: Genome | None = None):
        self.chain, self.genome, self.settings, self.source = chain, genome, settings, source
        self._names = ContigNames(genome.contigs)
        self._source_names = ContigNames(source.contigs) if source is not None else None

    def source_base(self, chrom: str, pos: int) -> str:
        """The base of the source FASTA at a 1-based position; N where it has none."""
        assert self.source is not None
        assert self._source_names is not None
        name = self._source_names.resolve(chrom)
        return self.source.fetch(name, pos - 1, pos) if name is not None else "N"

    # --- many alleles -------------------------------------------------------------------------------------------------
    def lift(
        self, chroms: Sequence[str], positions: Sequence[int], refs: Sequence[str], alts: Sequence[str]
    ) -> list[Verdict]:
        """Lift alleles (1-based positions, upper-case bases); the verdicts are in their order."""
        verdicts: list[Verdict | None] = [None] * len(chroms)
        single: dict[str, list[int]] = {}
        for index, (chrom, pos, ref, alt) in enumerate(zip(chroms, positions, refs, alts, strict=True)):
            if len(ref) == len(alt) == 1:
                single.setdefault(chrom, []).append(index)
            else:
                verdicts[index] = self.lift_longer(chrom, pos, ref, alt)
        for chrom, indices in single.items():
            pairs = [(refs[index], alts[index]) for index in indices]
            found = self._lift_single(chrom, [positions[index] for index in indices], pairs)
            for index, verdict in zip(indices, found, strict=True):
                verdicts[index] = verdict
        return [verdict for verdict in verdicts if verdict is not None]

    def _lift_single(self, chrom: str, positions: list[int], alleles: list[tuple[str, str]]) -> list[Verdict]:
        """Lift substitutions of one base on one contig."""
        matches = self.chain.matches(chrom, positions)
        found = self._bases_at(matches)
        verdicts: list[Verdict] = []
        for pos, places, base, (ref, alt) in zip(positions, matches, found, alleles, strict=True):
            if len(places) != 1:
                verdicts.append(no_single_place(chrom, pos, places))
                continue
            name, target, strand = places[0]
            contig = self._names.resolve(name)
            if contig is None:
                verdicts.append(lacking_contig(name))
                continue
            span = Span(contig, target, target, strand)
            verdicts.append(self._judge(span, (pos, pos), ref, alt, base))
        return verdicts

    def _bases_at(self, matches: list[list[Match]]) -> list[str]:
        """The target's base at each place, the empty string where there is not one place in a known contig."""
        found = [""] * len(matches)
        by_contig: dict[str, list[tuple[int, int]]] = {}
        for index, places in enumerate(matches):
            if len(places) == 1:
                contig = self._names.resolve(places[0][0])
                if contig is not None:
                    by_contig.setdefault(contig, []).append((places[0][1], index))
        for contig, places_here in by_contig.items():
            places_here.sort()
            positions = np.array([pos for pos, _ in places_here], dtype=np.int64)
            for (_, index), base in zip(places_here, self._sorted_bases(contig, positions), strict=True):
                found[index] = base
        return found

    def _sorted_bases(self, contig: str, positions: NDArray[np.int64]) -> Iterator[str]:
        """The bases at ascending 1-based positions, read in stretches."""
        for part in np.split(positions, np.flatnonzero(np.diff(positions) > GAP) + 1):
            for some in np.array_split(part, 1 + int(part[-1] - part[0]) // (1 << 20)) if len(part) else []:
                if len(some):
                    stretch = self.genome.fetch(contig, int(some[0]) - 1, int(some[-1]))
                    yield from map(stretch.__getitem__, (some - some[0]).tolist())

    # --- one allele ---------------------------------------------------------------------------------------------------
    def lift_longer(self, chrom: str, pos: int, ref: str, alt: str) -> Verdict:
        """Lift an insertion, a deletion or a substitution of several bases."""
        source = Source(self, chrom, pos, ref)
        start, core_ref, core_alt = core(pos, ref, alt)
        if len(core_ref) == len(core_alt):
            return self._lift_substitution(chrom, start, core_ref, core_alt)
        return self._lift_indel(source, start, core_ref, core_alt)

    def _lift_substitution(self, chrom: str, start: int, ref: str, alt: str) -> Verdict:
        """Lift a substitution; all its bases must stay side by side."""
        ends = (start, start + len(ref) - 1)
        span = self.place(chrom, ends, inside=True)
        if isinstance(span, Rejection):
            return span
        if span.length != len(ref):
            return Rejection(Reason.LIFT_SPLIT, "its bases are not side by side in the target")
        found = self.genome.fetch(span.chrom, span.left - 1, span.left - 1 + len(ref))
        return self._judge(span, ends, ref, alt, found)

    def _judge(self, span: Span, ends: tuple[int, int], ref: str, alt: str, found: str) -> Verdict:
        """Keep, exchange or reject a substitution of ``span``, where the target has ``found``."""
        pos = span.left
        if span.strand == "-":
            ref, alt = reverse_complement(ref), reverse_complement(alt)
        if found == ref:
            return LiftedAllele(span.chrom, pos, ref, alt, span.strand, False, ends, span[1:3])
        if found != alt:
            return mismatch(span.chrom, pos, ref, found)
        if self.settings.swapped == "reject":
            return swap_unwanted(span.chrom, pos)
        return LiftedAllele(span.chrom, pos, alt, ref, span.strand, True, ends, span[1:3])

    def _lift_indel(self, source: Source, start: int, ref: str, alt: str) -> Verdict:
        """Lift an allele whose length changes: from the 1-based ``start`` on, trimmed (one of both may be empty)."""
        chrom, behind = source.chrom, start + len(ref)
        before, after = shift_room(source, start, ref, alt)
        if before is None or after is None:
            return Rejection(Reason.LIFT_REPEAT, repeat_detail(source))
        ends = (start - len(before) - 1, behind + len(after))
        span = self.place(chrom, ends)
        if isinstance(span, Rejection):
            return self._no_span(source, span)
        step = 1 if span.strand == "+" else -1
        if (span.last - span.first) * step < 1:
            return Rejection(Reason.LIFT_SPLIT, "the bases on both sides of it change their order in the target")
        whole_ref, whole_alt = before + ref + after, before + alt + after
        inner = span.length - 2
        if inner not in (len(whole_ref), len(whole_alt)):
            return Rejection(
                Reason.LIFT_SPLIT,
                f"the target has {inner} base(s) for {len(whole_ref)} of REF and {len(whole_alt)} of ALT",
            )
        found = self.genome.fetch(span.chrom, span.left, span.left + inner)
        turned = found if span.strand == "+" else reverse_complement(found)
        if turned == whole_ref:
            return self._write_indel(span, ends, found, whole_alt, swapped=False)
        if turned == whole_alt:
            if self.settings.swapped == "reject":
                return swap_unwanted(span.chrom, span.left)
            return self._write_indel(span, ends, found, whole_ref, swapped=True)
        return self._lift_in_place(source, start, ref, alt, ends)

    def _no_span(self, source: Source, why: Rejection) -> Rejection:
        """Why the bases on both sides of an indel do not go to one place, seen from REF."""
        if why.reason == Reason.LIFT_UNMAPPED:
            mapped = (self.chain.hits(source.chrom, source.start + index) for index in range(len(source.ref)))
            if any(mapped):
                return Rejection(Reason.LIFT_SPLIT, "REF or a base beside it lies in no block of the chain")
        return why

    def _lift_in_place(self, source: Source, start: int, ref: str, alt: str, ends: tuple[int, int]) -> Verdict:
        """Lift an indel whose repeat differs in the target, if it differs by substitutions beside the allele alone."""
        chrom = source.chrom
        whole = self.place(chrom, ends, inside=True)
        if isinstance(whole, Rejection) or whole.length != ends[1] - ends[0] + 1:
            return Rejection(Reason.LIFT_SPLIT, "the target holds neither REF nor ALT, and other gaps beside it")
        near = self.place(chrom, (start - 1, start + len(ref)))
        if isinstance(near, Rejection):
            return near
        found = self.genome.fetch(near.chrom, near.left, near.left + len(ref))
        if (found if near.strand == "+" else reverse_complement(found)) != ref:
            turned = ref if near.strand == "+" else reverse_complement(ref)
            return mismatch(near.chrom, near.left + 1, turned, found)
        return self._write_indel(near, ends, found, alt, swapped=False, target=whole[1:3])

    def _write_indel(
        self,
        span: Span,
        ends: tuple[int, int],
        ref: str,
        alt: str,
        *,
        swapped: bool,
        target: tuple[int, int] | None = None,
    ) -> Verdict:
        """Write an allele between two bases of the target: ``ref`` as it has it, ``alt`` on the source's strand."""
        if span.strand == "-":
            alt = reverse_complement(alt)
        anchor = self.genome.fetch(span.chrom, span.left - 1, span.left)
        pos, ref, alt = left_align(self.genome, span.chrom, span.left, anchor + ref, anchor + alt)
        if not BASES.fullmatch(ref):
            return Rejection(
                Reason.LIFT_REF_MISMATCH, f"the target has an unknown base (N, …) at or beside {span.chrom}:{span.left}"
            )
        return LiftedAllele(span.chrom, pos, ref, alt, span.strand, swapped, ends, target or span[1:3])

    # --- places -------------------------------------------------------------------------------------------------------
    def place(self, chrom: str, ends: tuple[int, int], inside: bool = False) -> Span | Rejection:
        """Where two bases (1-based) go; with ``inside`` those between them must go along with them, one by one."""
        positions = range(ends[0], ends[1] + 1) if inside else ends
        matches = self.chain.matches(chrom, positions)
        if not any(matches):
            return Rejection(Reason.LIFT_UNMAPPED, f"{chrom}:{ends[0]} lies in no block of the chain")
        if any(len(places) > 1 for places in matches):
            return no_single_place(chrom, ends[0], next(places for places in matches if len(places) > 1))
        if not all(matches):
            return Rejection(
                Reason.LIFT_SPLIT if inside else Reason.LIFT_UNMAPPED, "some of its bases lie in no block of the chain"
            )
        name, first, strand = matches[0][0]
        step = 1 if strand == "+" else -1
        expected = [(name, first + step * index, strand) for index in range(len(matches))]
        if inside and [places[0] for places in matches] != expected:
            return Rejection(Reason.LIFT_SPLIT, "its bases lie in several blocks that are not adjacent in the target")
        last_name, last, last_strand = matches[-1][0]
        if (last_name, last_strand) != (name, strand):
            return Rejection(Reason.LIFT_SPLIT, "the bases on both sides of it go to different places in the target")
        contig = self._names.resolve(name)
        return lacking_contig(name) if contig is None else Span(contig, first, last, strand)


# --- alleles ----------------------------------------------------------------------------------------------------------
def shift_room(source: Source, start: int, ref: str, alt: str) -> tuple[str | None, str | None]:
    """The bases before and behind an insertion or deletion past which it can be moved, the haplotype staying the same.

    ``None`` where the repeat runs on into bases that nobody knows, or too far. Other alleles cannot be moved.
    """
    if ref and alt:
        return "", ""
    unit, behind = ref or alt, start + len(ref)
    found: list[str | None] = []
    for step, first, pattern in ((-1, start - 1, unit[::-1]), (1, behind, unit)):
        bases: list[str] = []
        while (base := source.base(first + step * len(bases))) == pattern[len(bases) % len(pattern)]:
            bases.append(base)
            if len(bases) > LONGEST_REPEAT:
                base = None
                break
        unknown = base is None and bool(bases)
        found.append(None if unknown else "".join(bases[::step]))
    return found[0], found[1]


def repeat_detail(source: Source) -> str:
    """What to do about an indel in a repeat that the chain does not align throughout."""
    if source.lifter.source is not None:
        return f"its repeat is longer than {LONGEST_REPEAT} bases"
    return "its repeat runs on where the chain aligns nothing; with source_fasta it could be judged"


def no_single_place(chrom: str, pos: int, places: list[Match]) -> Rejection:
    """Why a position is not lifted."""
    if not places:
        return Rejection(Reason.LIFT_UNMAPPED, f"{chrom}:{pos} lies in no block of the chain")
    listed = ", ".join(f"{name}:{target}" for name, target, _ in places[:3])
    return Rejection(Reason.LIFT_MULTIPLE, f"several chains hold the same base; it goes to {listed}")


def lacking_contig(name: str) -> Rejection:
    """The rejection of what goes to a contig that the FASTA lacks."""
    return Rejection(Reason.LIFT_UNKNOWN_CONTIG, f"the chain leads to {name}, which the target FASTA lacks")


def mismatch(chrom: str, pos: int, ref: str, found: str) -> Rejection:
    """The rejection of a REF that the target does not hold."""
    return Rejection(
        Reason.LIFT_REF_MISMATCH, f"REF is {shorten(ref)} at {chrom}:{pos}, the target has {shorten(found)}"
    )


def swap_unwanted(chrom: str, pos: int) -> Rejection:
    """The rejection of an allele whose ALT is what the target holds."""
    return Rejection(Reason.LIFT_SWAPPED, f"the target holds ALT at {chrom}:{pos}")


def reverse_complement(bases: str) -> str:
    """The other strand of upper-case bases."""
    return bases.translate(COMPLEMENT)[::-1]


# --- tables -----------------------------------------------------------------------------------------------------------
def lift_chunk(frame: pd.DataFrame, lifter: Lifter) -> tuple[pd.DataFrame, pd.DataFrame, list[LiftedAllele]]:
    """Lift a variant table.

    Parameters
    ----------
    frame
        Variant table (:mod:`cisweave.genome.table`); ``chrom, pos, ref, alt`` are of the chain's source assembly.
    lifter
        Chain, target and settings.

    Returns
    -------
    kept, rejected, lifted
        The variant table with ``chrom, pos, ref, alt`` in the target, ``reference_genome_match`` true, ``swapped``
        changed where REF and ALT were exchanged and ``lift_strand`` where the strand changed; ledger rows; and the
        verdicts behind the rows of ``kept``. Rows keep their order and index.
    """
    columns = [frame[name].tolist() for name in ("chrom", "pos", "ref", "alt")]
    verdicts = lifter.lift(*columns)
    good = np.array([isinstance(verdict, LiftedAllele) for verdict in verdicts], dtype=bool)
    lifted = [verdict for verdict in verdicts if isinstance(verdict, LiftedAllele)]
    bad = [verdict for verdict in verdicts if isinstance(verdict, Rejection)]
    rejected, passed = frame[~good], frame[good]
    texts = [pd.Series(list(map(str, part)), index=rejected.index, dtype="str") for part in zip(*bad, strict=True)]
    texts = texts or [pd.Series([], index=rejected.index, dtype="str")] * 2
    changes = [allele.swapped for allele in lifted]
    turned = [allele.strand == "-" for allele in lifted]
    kept = passed.assign(
        chrom=pd.Series([allele.chrom for allele in lifted], index=passed.index, dtype="str"),
        pos=[allele.pos for allele in lifted],
        ref=pd.Series([allele.ref for allele in lifted], index=passed.index, dtype="str"),
        alt=pd.Series([allele.alt for allele in lifted], index=passed.index, dtype="str"),
        reference_genome_match=True,
        swapped=passed["swapped"].to_numpy(dtype=bool) ^ np.array(changes, dtype=bool),
        lift_strand=np.where((passed["lift_strand"] == "-").to_numpy() ^ np.array(turned, dtype=bool), "-", "+"),
    )
    return kept.astype(VARIANT_COLUMNS), ledger_rows(rejected, STAGE, *texts), lifted


class LiftStep:
    """Lifts chunk after chunk: what is lifted to where another allele already is, is rejected too.

    Parameters
    ----------
    lifter
        Chain, target and settings.
    back
        Where what is kept is to be lifted back, or ``None``.
    in_order
        Whether the alleles come sorted (:class:`Repeats`).
    """

    def __init__(self, lifter: Lifter, back: RoundTrip | None = None, in_order: bool = False):
        self.lifter, self.back = lifter, back
        self.alleles = self.mismatches = 0
        self._repeats = Repeats(lifter.chain, lifter.genome, in_order)

    def __call__(self, frame: pd.DataFrame) -> Chunk:
        """Keep or reject each allele of a variant table."""
        frame = frame.reset_index(drop=True)
        kept, rejected, lifted = lift_chunk(frame, self.lifter)
        self.alleles += len(frame)
        self.mismatches += sum(allele.swapped for allele in lifted)
        self.mismatches += int(rejected["code"].isin([Reason.LIFT_REF_MISMATCH, Reason.LIFT_SWAPPED]).sum())
        again = self._repeats.repeated(frame, kept, lifted)
        if again.any():
            message = pd.Series("another allele was lifted to the same place and bases", index=kept.index[again])
            rejected = pd.concat(
                [rejected, ledger_rows(frame.loc[kept.index[again]], STAGE, str(Reason.LIFT_DUPLICATE), message)]
            )
            kept, lifted = kept[~again], [allele for allele, seen in zip(lifted, again, strict=True) if not seen]
        if self.back is not None:
            self.back.add(frame.loc[kept.index], kept, lifted)
        return kept.reset_index(drop=True), rejected.sort_index().reset_index(drop=True)

    def finish(self) -> dict[str, Any]:
        """Warn and report once all alleles are through; what the receipt is to tell of them."""
        self.warn()
        return {"round_trip": self.back.report(STAGE)} if self.back is not None else {}

    def warn(self) -> None:
        """Say so when most alleles find another REF: chain or FASTA are then probably the wrong ones."""
        if 2 * self.mismatches > self.alleles:
            logger.warning(
                "%d of %d alleles find another REF where they are lifted to: is %s the other way round (it must lead "
                "from the assembly of the variants to the target), or %s not the target assembly?",
                self.mismatches,
                self.alleles,
                self.lifter.chain.path,
                self.lifter.genome.path,
            )


def warn_about_sizes(sizes: dict[str, int], chain: Chain, genome: Genome) -> None:
    """Say so when chain and FASTA disagree about the length of contigs: one of them is another assembly."""
    names = ContigNames(genome.contigs)
    found = {name: names.resolve(name) for name in sizes}
    wrong = [
        f"{contig} ({sizes[name]} and {genome.length(contig)})"
        for name, contig in found.items()
        if contig is not None and genome.length(contig) != sizes[name]
    ]
    if wrong:
        listed = ", ".join(wrong[:3]) + (" …" if len(wrong) > 3 else "")
        logger.warning(
            "%s and %s differ in the length of %d contig(s): %s; are they of the same assembly?",
            chain.path,
            genome.path,
            len(wrong),
            listed,
        )


# --- files ------------------------------------------------------------------------------------------------------------
def open_step(
    stack: ExitStack,
    chain: str | Path,
    fasta: str | Path,
    settings: LiftoverSettings,
    round_trip: str | Path | None = None,
    vcf: Path | None = None,
) -> LiftStep:
    """Open chain and genomes for one run; ``stack`` closes them. ``vcf``: the file of the alleles, where it is one."""
    forward = Chain(chain)
    genome = stack.enter_context(Genome(fasta))
    source = stack.enter_context(Genome(settings.source_fasta)) if settings.source_fasta is not None else None
    warn_about_sizes(forward.target_sizes, forward, genome)
    if source is not None:
        warn_about_sizes(forward.source_sizes, forward, source)
    back = None
    if round_trip is not None:
        returning = Chain(round_trip)
        lifter = Lifter(returning, source, LiftoverSettings(), genome) if source is not None else None
        back = RoundTrip(returning, source, lifter.lift if lifter is not None else None)
    in_order = vcf is not None and not is_variant_table(vcf) and is_sorted(vcf, ContigNames(forward.source_sizes))
    return LiftStep(Lifter(forward, genome, settings, source), back, in_order)


def lift_variants(
    variants: pd.DataFrame, chain: str | Path, fasta: str | Path, settings: LiftoverSettings | None = None
) -> Chunk:
    """Lift a variant table that is in memory.

    Parameters
    ----------
    variants
        Variant table (:mod:`cisweave.genome.table`).
    chain
        UCSC chain from the assembly of ``variants`` to that of ``fasta``.
    fasta
        The target assembly.
    settings
        What happens to swapped alleles, and the FASTA of the source.

    Returns
    -------
    lifted, rejected
        As :func:`lift_chunk` gives them.

    Raises
    ------
    CisweaveError
        If the table lacks columns, or chain or FASTA cannot be read.
    """
    check_variants(variants)
    with ExitStack() as stack:
        step = open_step(stack, chain, fasta, settings or LiftoverSettings())
        lifted, rejected = step(variants)
        step.warn()
        return lifted, rejected


def liftover_variants(
    vcf: str | Path,
    chain: str | Path,
    fasta: str | Path | None,
    out: str | Path,
    rejects: str | Path,
    settings: LiftoverSettings | None = None,
    round_trip: str | Path | None = None,
) -> None:
    """Write a variant file lifted, its rejected alleles and a receipt (``cisweave genome liftover --vcf``).

    Parameters
    ----------
    vcf
        Any variants that :func:`cisweave.genome.stream.read_chunks` reads.
    chain
        UCSC chain from the assembly of the variants to the target.
    fasta
        The target assembly.
    out, rejects
        As :func:`cisweave.genome.stream.write_stage` writes them.
    settings
        What happens to swapped alleles, and the FASTA of the source.
    round_trip
        Chain that leads back: the log and the receipt then tell how many alleles return (:class:`RoundTrip`).

    Raises
    ------
    CisweaveError
        If a file cannot be read, or there is no FASTA.
    """
    if fasta is None:
        raise CisweaveError(
            "alleles cannot be lifted without the FASTA of the target assembly, because each lifted REF is compared "
            "with it: give it with --fasta, or lift a BED"
        )
    settings = settings or LiftoverSettings()
    with ExitStack() as stack:
        path = stack.enter_context(seekable(vcf))
        step = open_step(stack, chain, fasta, settings, round_trip, path)
        write_stage(
            apply_step(read_chunks(path, STAGE), step),
            out,
            rejects,
            stage=STAGE,
            contigs=step.lifter.genome.contigs,
            inputs=[file for file in (vcf, chain, fasta, settings.source_fasta, round_trip) if file is not None],
            settings=settings.model_dump(mode="json"),
            notes=step.finish,
        )
