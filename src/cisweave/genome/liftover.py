"""Lifting alleles from one assembly to another through a UCSC chain.

The chain knows positions; what happens to the alleles is decided here. Every base of REF must keep its neighbours. On
an inverted block both alleles are reverse-complemented, and an indel, whose anchor base is then on its wrong side, is
left-aligned on the target. REF is compared with the target afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cisweave.core.logs import get_logger
from cisweave.genome.chain import Chain, Hit
from cisweave.genome.contigs import resolve_contig
from cisweave.genome.reasons import Reason
from cisweave.genome.table import (
    LIFT_COLUMNS,
    VARIANT_COLUMNS,
    check_variants,
    read_variant_table,
    write_variant_table,
)
from cisweave.genome.variants import Rejection, shorten, stage_counts, summary_line
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import ledger_rows, write_ledger
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

STAGE = "liftover"
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


class LiftedAllele(NamedTuple):
    """An allele in the target assembly; ``pos`` is 1-based, ``strand`` that of the source within the target."""

    chrom: str
    pos: int
    ref: str
    alt: str
    strand: str


def lift_allele(chain: Chain, genome: Genome, chrom: str, pos: int, ref: str, alt: str) -> LiftedAllele | Rejection:
    """Lift one allele.

    Parameters
    ----------
    chain
        From the assembly of ``chrom, pos`` to that of ``genome``.
    genome
        The target assembly.
    chrom, pos, ref, alt
        The allele: 1-based position, upper-case bases.

    Returns
    -------
    LiftedAllele or Rejection
        The allele in the target, or why it has no place there.
    """
    hit = lift_interval(chain, chrom, pos, len(ref))
    if isinstance(hit, Rejection):
        return hit
    target = resolve_contig(hit.chrom, genome.contigs)
    if target is None:
        return Rejection(Reason.LIFT_UNKNOWN_CONTIG, f"the chain leads to {hit.chrom}, which the target FASTA lacks")
    if hit.strand == "-":
        ref, alt = reverse_complement(ref), reverse_complement(alt)
    found = genome.fetch(target, hit.pos - 1, hit.pos - 1 + len(ref))
    if found != ref:
        swapped = genome.fetch(target, hit.pos - 1, hit.pos - 1 + len(alt)) == alt
        detail = f"REF is {shorten(ref)} at {target}:{hit.pos}, the target has {shorten(found)}"
        return Rejection(Reason.LIFT_REF_MISMATCH, detail + (", which is ALT" if swapped else ""))
    lifted_pos = hit.pos
    if hit.strand == "-" and len(ref) != len(alt):
        lifted_pos, ref, alt = left_align(genome, target, hit.pos, ref, alt)
    return LiftedAllele(target, lifted_pos, ref, alt, hit.strand)


def lift_interval(chain: Chain, chrom: str, pos: int, length: int) -> Hit | Rejection:
    """Lift ``length`` bases from the 1-based ``pos`` on; the hit stands at their leftmost base in the target."""
    hits = [chain.hits(chrom, base) for base in range(pos, pos + length)]
    if not any(hits):
        return Rejection(Reason.LIFT_UNMAPPED, f"{chrom}:{pos} lies in no block of the chain")
    if any(len(places) > 1 for places in hits):
        return Rejection(Reason.LIFT_MULTIPLE, "several chains hold the same base")
    if not all(hits):
        return Rejection(Reason.LIFT_SPLIT, "some of its bases lie in no block of the chain")
    places = [place[0] for place in hits]
    first = places[0]
    step = 1 if first.strand == "+" else -1
    expected = [Hit(first.chrom, first.pos + step * index, first.strand) for index in range(length)]
    if places != expected:
        return Rejection(Reason.LIFT_SPLIT, "its bases lie in several blocks that are not adjacent in the target")
    return first._replace(pos=min(first.pos, places[-1].pos))


def left_align(genome: Genome, chrom: str, pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Move an indel as far left as it goes and write it with the fewest bases (Tan et al. 2015, Algorithm 1).

    ``pos`` is 1-based. At the first base of a contig, where no base stands before, a shared base stays on the right.
    """
    while ref[-1] == alt[-1]:
        if min(len(ref), len(alt)) == 1:
            if pos == 1:
                break
            pos -= 1
            base = genome.fetch(chrom, pos - 1, pos)
            ref, alt = base + ref, base + alt
        ref, alt = ref[:-1], alt[:-1]
    while min(len(ref), len(alt)) > 1 and ref[0] == alt[0]:
        pos, ref, alt = pos + 1, ref[1:], alt[1:]
    return pos, ref, alt


def reverse_complement(bases: str) -> str:
    """The other strand of upper-case bases."""
    return bases.translate(COMPLEMENT)[::-1]


def lift_variants(variants: pd.DataFrame, chain: str | Path, fasta: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lift a variant table to another assembly.

    Parameters
    ----------
    variants
        Variant table (:mod:`cisweave.genome.table`).
    chain
        UCSC chain from the assembly of ``variants`` to that of ``fasta``.
    fasta
        The target assembly.

    Returns
    -------
    lifted, rejected
        The variant table with ``chrom, pos, ref, alt`` in the target, ``lift_strand`` added and
        ``reference_genome_match`` true throughout; and ledger rows. Rows keep their order.
    """
    check_variants(variants)
    chains = Chain(chain)
    with Genome(fasta) as genome:
        warn_about_sizes(chains, genome)
        verdicts = [
            lift_allele(chains, genome, chrom, int(pos), ref, alt)
            for chrom, pos, ref, alt in zip(*(variants[name] for name in ("chrom", "pos", "ref", "alt")), strict=True)
        ]
    good = pd.Series([isinstance(verdict, LiftedAllele) for verdict in verdicts], index=variants.index, dtype=bool)
    places = pd.DataFrame(
        [verdict for verdict in verdicts if isinstance(verdict, LiftedAllele)],
        columns=["chrom", "pos", "ref", "alt", "lift_strand"],
        index=variants.index[good],
    )
    lifted = variants[good].assign(**{str(name): places[name] for name in places}, reference_genome_match=True)
    lifted = lifted.astype({**VARIANT_COLUMNS, **LIFT_COLUMNS}).reset_index(drop=True)
    rejections = [verdict for verdict in verdicts if isinstance(verdict, Rejection)]
    warn_about_mismatches(rejections, len(variants), chain, fasta)
    bad = variants[~good]
    reasons = pd.Series([str(rejection.reason) for rejection in rejections], index=bad.index, dtype="str")
    details = pd.Series([rejection.detail for rejection in rejections], index=bad.index, dtype="str")
    return lifted, ledger_rows(bad, STAGE, reasons, details)


def warn_about_sizes(chain: Chain, genome: Genome) -> None:
    """Say so when chain and FASTA disagree about the length of contigs: one of them is another assembly."""
    found = {name: resolve_contig(name, genome.contigs) for name in chain.target_sizes}
    wrong = [
        f"{contig} ({chain.target_sizes[name]} and {genome.length(contig)})"
        for name, contig in found.items()
        if contig is not None and genome.length(contig) != chain.target_sizes[name]
    ]
    if wrong:
        listed = ", ".join(wrong[:3]) + (" …" if len(wrong) > 3 else "")
        logger.warning(
            "%s and the target FASTA differ in the length of %d contig(s): %s; are they of the same assembly?",
            chain.path,
            len(wrong),
            listed,
        )


def warn_about_mismatches(rejections: list[Rejection], alleles: int, chain: str | Path, fasta: str | Path) -> None:
    """Say so when most alleles find another REF in the target: then chain or FASTA are probably the wrong ones."""
    wrong = sum(rejection.reason == Reason.LIFT_REF_MISMATCH for rejection in rejections)
    if 2 * wrong > alleles:
        logger.warning(
            "%d of %d alleles find another REF where they are lifted to: is %s the other way round (it must lead from "
            "the assembly of the variants to the target), or %s not the target assembly?",
            wrong,
            alleles,
            chain,
            fasta,
        )


def liftover_variants(
    variants: str | Path, chain: str | Path, fasta: str | Path, out: str | Path, rejected: str | Path
) -> None:
    """Write the lifted variant table, what could not be lifted, and a receipt (``cisweave genome liftover``)."""
    lifted, rejects = lift_variants(read_variant_table(variants), chain, fasta)
    write_variant_table(lifted, out)
    write_ledger([rejects], rejected)
    counts = stage_counts(len(lifted), rejects["reason"])
    write_receipt(out, inputs=[variants, chain, fasta], notes={"alleles": counts})
    logger.info("%s", summary_line(STAGE, counts))
