"""``cisweave genome``: variants, liftover, closest TSS, sequence extraction and the reject ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Fasta, Settings

app = typer.Typer(no_args_is_help=True, help="Variants, liftover, closest TSS, sequence extraction, reject ledger.")

Rejected = Annotated[
    Path,
    typer.Option(help="Output TSV: one row per rejected allele with record number, alleles, reason and detail."),
]
VariantTable = Annotated[
    Path, typer.Option(help="Variant table (Parquet or TSV) of the step before; pos is 1-based, one row per allele.")
]


@app.command()
def variants(
    vcf: Annotated[
        Path,
        typer.Option(
            help="Variants: VCF with or without header, or the bare columns CHROM POS ID REF ALT (POS 1-based); "
            "plain, gzip or bgzip."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Output variant table (.parquet, else TSV), one row per kept ALT allele.")],
    rejected: Rejected,
    fasta: Annotated[
        Path | None,
        typer.Option(help="FASTA of the VCF's assembly, to check contigs and REF. Without it they go unchecked."),
    ] = None,
    settings: Settings = None,
) -> None:
    """Read variants: split ALT alleles, check each against the genome, keep or reject it with a reason.

    In: a VCF (positions 1-based). Out: the variant table (record and allele number, alleles as written and in upper
    case, reference_genome_match) and the rejected alleles. Settings: config section genome.variants (ref_policy,
    max_allele_length in bases).
    """
    from cisweave.config import VariantSettings, load_settings
    from cisweave.genome.variants import normalise_variants

    normalise_variants(vcf, out, rejected, fasta, load_settings(VariantSettings, settings))


@app.command()
def liftover(
    variants: VariantTable,
    chain: Annotated[Path, typer.Option(help="UCSC chain, plain or gzip, from the variants' assembly to the target.")],
    fasta: Annotated[Path, typer.Option(help="FASTA of the target assembly; every lifted REF is compared with it.")],
    out: Annotated[Path, typer.Option(help="Output variant table in the target assembly, with column lift_strand.")],
    rejected: Rejected,
) -> None:
    """Lift variants to another assembly, positions and alleles.

    In: a variant table and a chain (positions 1-based). Out: the same table with chrom, pos, ref and alt in the
    target; on inverted blocks alleles are reverse-complemented and indels left-aligned. What has no single place
    there, or another REF, is rejected with a reason.
    """
    from cisweave.genome.liftover import liftover_variants

    liftover_variants(variants, chain, fasta, out, rejected)


@app.command()
def closest(
    variants: VariantTable,
    tss: Annotated[
        Path, typer.Option(help="TSS BED: contig, TSS - 1, TSS (0-based half-open), strand, gene id; no header.")
    ],
    out: Annotated[
        Path, typer.Option(help="Output variant table with gene_id, gene_strand, tss (1-based), dist_to_tss (bases).")
    ],
    rejected: Rejected,
    settings: Settings = None,
) -> None:
    """Give each variant the gene with the closest transcription start site, within max_distance bases.

    In: a variant table and a TSS BED of the same assembly. Out: the table with dist_to_tss = pos - tss in bases,
    positive to the right whatever the strand; at equal distance the left gene. Settings: config section
    genome.closest (method auto, bedops or internal, which give the same rows; max_distance in bases).
    """
    from cisweave.config import ClosestSettings, load_settings
    from cisweave.genome.closest import closest_tss

    closest_tss(variants, tss, out, rejected, load_settings(ClosestSettings, settings))


@app.command()
def ledger(
    variants: Annotated[Path, typer.Option(help="Variant table of 'genome variants', before any other step.")],
    rejected: Annotated[list[Path], typer.Option(help="Rejected alleles of a step (TSV); once for each step.")],
    scored: Annotated[
        list[Path],
        typer.Option(help="Table of scored alleles (columns record, allele); several must hold the same alleles."),
    ],
    out: Annotated[Path, typer.Option(help="Output TSV: every rejected allele of every step.")],
    summary: Annotated[
        Path, typer.Option(help="Output JSON: records, alleles, scored, rejected, alleles by reason and by step.")
    ],
    vcf: Annotated[
        Path | None, typer.Option(help="The variant file of 'genome variants', counted afresh for the balance.")
    ] = None,
) -> None:
    """Merge what was rejected and check the books: alleles read = alleles scored + alleles rejected."""
    from cisweave.genome.ledger import balance_ledger

    balance_ledger(variants, rejected, scored, out, summary, vcf)


@app.command()
def extract(
    fasta: Fasta,
    out: Annotated[
        Path, typer.Option(help="Output HDF5: codes uint8 (loci, bases) with A 0, C 1, G 2, T 3, other 4; locus_id.")
    ],
    loci: Annotated[
        Path | None,
        typer.Option(
            help="Table (TSV or Parquet): locus_id, chrom, start, end (0-based half-open, one length); with allele = "
            "ref or alt also pos (1-based), ref, alt."
        ),
    ] = None,
    tss: Annotated[
        Path | None,
        typer.Option(help="Instead: a TSS BED; one window around each TSS, forward strand, locus_id = gene id."),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(help="Instead: a variant table; two windows per allele, locus_id = record:allele:ref or :alt."),
    ] = None,
    window: Annotated[int, typer.Option(min=2, help="Bases per window around TSS or variants.")] = 2000,
) -> None:
    """Extract the sequences of loci, the genome's own or one haplotype of a variant.

    In: a FASTA and loci, TSS or variants. Out: codes, all of one length. Windows that leave their contig are padded
    with 4 (N). A window of W bases around position p (1-based) begins W // 2 bases before it, at 0-based p - W // 2. A
    haplotype with an indel is cropped around its own middle, so that its length is that of the window.
    """
    from cisweave.genome.extract import extract_sequences

    extract_sequences(fasta, out, loci, tss, variants, window)
