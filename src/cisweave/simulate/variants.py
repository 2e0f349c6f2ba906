"""Records of the VCF of the built-in world, and the tables that say what is true of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cisweave.simulate.assembly import Assembly
from cisweave.simulate.dna import Codes, decode
from cisweave.simulate.genes import Gene
from cisweave.simulate.layout import Layout, all_contexts
from cisweave.simulate.truth import Change, Oracle


@dataclass(frozen=True)
class Allele:
    """One good allele: the change on sim19, what it does (break, make, neutral, indel), and to which factor's site.

    Where ``swapped``, sim19 holds the ALT of the VCF: the change goes from ALT to REF, and its effect is negated.
    """

    change: Change
    kind: str
    tf: str
    swapped: bool = False


@dataclass
class Record:
    """One VCF record.

    Attributes
    ----------
    chrom, position
        sim38 contig and 0-based position.
    ref, alts
        Alleles on the sim38 forward strand.
    alleles
        Good alleles by 1-based ALT index.
    bad
        Expected reject reason by 1-based ALT index.
    """

    chrom: str
    position: int
    ref: str
    alts: list[str]
    alleles: dict[int, Allele] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)


def left_aligned(codes: Codes, start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """An insertion or deletion moved left as far as it goes, with one anchor base before it, as VCF wants it."""
    while ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
        if not ref or not alt:
            start -= 1
            base = decode(codes[start : start + 1])
            ref, alt = base + ref, base + alt
    while min(len(ref), len(alt)) > 1 and ref[0] == alt[0]:
        start, ref, alt = start + 1, ref[1:], alt[1:]
    return start, ref, alt


def sort_records(layout: Layout, records: list[Record]) -> list[Record]:
    """Records in VCF order: by contig as in the header, then position; unknown contigs last."""
    rank = {contig: index for index, contig in enumerate(layout.contigs)}
    return sorted(records, key=lambda record: (rank.get(record.chrom, len(rank)), record.position))


def vcf_lines(layout: Layout, assemblies: dict[str, Assembly], records: list[Record]) -> Iterator[str]:
    """The VCF (sim38, 1-based)."""
    yield "##fileformat=VCFv4.2\n##source=cisweave simulate\n##reference=sim38.fa\n"
    for contig in layout.contigs:
        yield f"##contig=<ID={contig},length={len(assemblies[contig].codes)}>\n"
    yield '##ALT=<ID=DEL,Description="Deletion">\n'
    yield '##FILTER=<ID=PASS,Description="All filters passed">\n'
    yield '##INFO=<ID=SIM,Number=0,Type=Flag,Description="Simulated record">\n'
    yield "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    for number, record in enumerate(records, start=1):
        alts = ",".join(record.alts)
        yield f"{record.chrom}\t{record.position + 1}\tsim{number:06d}\t{record.ref}\t{alts}\t.\tPASS\tSIM\n"


def effect_table(oracle: Oracle, records: list[Record]) -> pd.DataFrame:
    """One row per good allele and gene within 20 kb; sim19 coordinates, 1-based; natural-log differences alt - ref.

    ``ref`` is what sim19 holds. Where ``swapped`` is 1 that is the ALT of the VCF; differences are those of the VCF.
    """
    rows = [
        (number, index, *_place(allele.change, gene), allele.kind, allele.tf, int(allele.swapped), *effect)
        for number, record in enumerate(records, start=1)
        for index, allele in record.alleles.items()
        for gene in oracle.genes_near(allele.change.contig, allele.change.start)
        for effect in (np.round(oracle.effect(allele.change, gene) * (-1 if allele.swapped else 1), 6) + 0.0,)
    ]
    columns = ["record", "allele", "chrom", "pos", "ref", "alt", "gene_id", "dist_to_tss", "kind", "tf", "swapped"]
    return pd.DataFrame(rows, columns=columns + all_contexts())


def _place(change: Change, gene: Gene) -> tuple[str, int, str, str, str, int]:
    """Where a change lies (1-based) and how far from the TSS of a gene (genomic sign)."""
    return change.contig, change.start + 1, change.ref, change.alt, gene.gene_id, change.start - gene.tss


def bad_table(records: list[Record]) -> pd.DataFrame:
    """Alleles that must be rejected and why."""
    rows = [
        (number, index, reason)
        for number, record in enumerate(records, start=1)
        for index, reason in sorted(record.bad.items())
    ]
    return pd.DataFrame(rows, columns=["record", "allele", "reason"])
