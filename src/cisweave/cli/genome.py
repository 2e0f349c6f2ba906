"""``cisweave genome``: resources, variants, liftover, closest TSS, sequence extraction and the reject ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Fasta, Settings, with_options
from cisweave.config.sections import ClosestEngine, ClosestMode, RefPolicy
from cisweave.core.errors import CisweaveError

app = typer.Typer(no_args_is_help=True, help="Resources, variants, liftover, closest TSS, sequences, reject ledger.")

Rejects = Annotated[
    Path,
    typer.Option(
        help="Output TSV: one row per rejected allele: line, contig, position, ref, alt, code and message.",
    ),
]
Variants = Annotated[
    Path,
    typer.Option(
        help="Variants: VCF with or without header, BCF, or the bare columns CHROM POS ID REF ALT (POS 1-based); "
        "plain, gzip or bgzip; - for standard input."
    ),
]
Genes = Annotated[
    Path,
    typer.Option(
        help="Genes: TSS BED (contig, TSS - 1, TSS, strand, gene id), BED6 to BED12, GTF or GFF3, or ExPecto's "
        "annotation (CSV)."
    ),
]
VcfOut = Annotated[Path, typer.Option(help="Output: .vcf, .vcf.gz (with its .csi index) or .bcf, sorted, sites only.")]


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of the catalogue; none with --list.", show_default=False)
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the files are placed.")] = Path("resources"),
    catalogue: Annotated[
        Path | None, typer.Option(help="The catalogue (TSV); default: the one of the checkout or the package.")
    ] = None,
    list_names: Annotated[bool, typer.Option("--list", help="Show the catalogue and fetch nothing.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Use what is there, verified; never the network.")] = False,
    settings: Settings = None,
) -> None:
    """Download public files: resumed where broken off, verified, placed whole or not at all.

    In: names of the catalogue. Out: the files, and resources.lock, which holds the checksum of each from its first
    download on. Settings: config section genome.fetch (accepted licences, files you have already, retries).
    """
    from cisweave.config import FetchSettings, load_settings
    from cisweave.genome.resources.fetch import fetch_resources, show_catalogue

    chosen = with_options(load_settings(FetchSettings, settings), offline=offline or None)
    if list_names or not names:
        typer.echo(show_catalogue(catalogue or chosen.catalogue, folder))
        return
    for path in fetch_resources(names, folder, chosen, catalogue):
        typer.echo(path)


@app.command()
def normalize(
    vcf: Variants,
    out: VcfOut,
    rejects: Rejects,
    fasta: Annotated[
        Path | None,
        typer.Option(help="FASTA of the variants' assembly. Without it contigs and REF go unchecked."),
    ] = None,
    ref_policy: Annotated[
        RefPolicy | None,
        typer.Option(help="A REF that is not the genome's: exclude the allele (default), stop, warn, set or swap REF."),
    ] = None,
    settings: Settings = None,
) -> None:
    """Read variants, split, check and left-align each allele, keep or reject it with a reason.

    In: variants (positions 1-based) and the genome they are on. Out: a VCF with one record per allele, written with the
    fewest bases as far left as it goes, the contigs spelt as in the FASTA; INFO leads back to the line of the file.
    Settings: config section genome.variants (ref_policy, left_align, max_allele_length in bases, aliases, compat).
    """
    from cisweave.config import VariantSettings, load_settings
    from cisweave.genome.normalize import normalize_variants

    chosen = with_options(load_settings(VariantSettings, settings), ref_policy=ref_policy)
    normalize_variants(vcf, out, rejects, fasta, chosen)


@app.command()
def liftover(
    chain: Annotated[Path, typer.Option(help="UCSC chain, plain or gzip, from the variants' assembly to the target.")],
    out: Annotated[Path, typer.Option(help="Output: .vcf, .vcf.gz (with its .csi index) or .bcf; of a BED a BED.")],
    rejects: Rejects,
    vcf: Annotated[Path | None, typer.Option(help="Variants, best as 'genome normalize' writes them.")] = None,
    bed: Annotated[Path | None, typer.Option(help="Instead: intervals (BED3 to BED12, 0-based half-open).")] = None,
    fasta: Annotated[
        Path | None, typer.Option(help="FASTA of the target assembly; every lifted REF is compared with it.")
    ] = None,
    source_fasta: Annotated[
        Path | None,
        typer.Option(help="FASTA of the assembly lifted from: more indels in repeats can be judged with it."),
    ] = None,
    round_trip: Annotated[
        Path | None, typer.Option(help="Chain from the target back: report how many return to where they were.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Lift variants or intervals to another assembly, positions and alleles.

    In: a VCF (positions 1-based) or a BED, and a chain. Out: the same in the target. On inverted blocks alleles are
    reverse-complemented; indels are left-aligned; where the target holds ALT, REF and ALT are exchanged (and effects
    negated later). What has no single place there, or another REF, is rejected with a reason. Settings: config section
    genome.liftover.
    """
    from cisweave.config import LiftoverSettings, load_settings
    from cisweave.genome.lift_bed import liftover_bed
    from cisweave.genome.liftover import liftover_variants

    chosen = with_options(load_settings(LiftoverSettings, settings), source_fasta=source_fasta)
    if (vcf is None) == (bed is None):
        raise CisweaveError("give either --vcf or --bed")
    if bed is not None and fasta is not None:
        raise CisweaveError("--fasta goes with --vcf only: a BED has no bases to compare")
    if bed is not None:
        liftover_bed(bed, chain, out, rejects, chosen, round_trip)
    elif vcf is not None:
        liftover_variants(vcf, chain, fasta, out, rejects, chosen, round_trip)


@app.command()
def genes(
    genes: Genes,
    out: Annotated[
        Path, typer.Option(help="Output TSS BED: contig, TSS - 1, TSS (0-based half-open), strand, gene id.")
    ],
    settings: Settings = None,
) -> None:
    """Make a TSS BED from any file of genes: one transcription start site per gene.

    In: BED, GTF, GFF3 or ExPecto's annotation. Out: a BED, sorted as BEDOPS sorts. Settings: config section
    genome.genes (types of genes, TSS of the gene or of its canonical transcript).
    """
    from cisweave.config import GeneSettings, load_settings
    from cisweave.genome.genes import write_tss

    write_tss(genes, out, load_settings(GeneSettings, settings))


@app.command()
def closest_tss(
    vcf: Variants,
    genes: Genes,
    out: Annotated[
        Path,
        typer.Option(
            help="Output variant table (.tsv, .tsv.gz or .parquet) with gene_id, gene_strand, tss (1-based) and "
            "dist_to_tss (bases)."
        ),
    ],
    rejects: Rejects,
    mode: Annotated[
        ClosestMode | None,
        typer.Option(help="The closest gene, all within max_distance, or those of --pairs. Default: closest."),
    ] = None,
    max_distance: Annotated[
        int | None, typer.Option(min=0, help="Farthest TSS that counts, in bases. Default: 20000; with pairs none.")
    ] = None,
    engine: Annotated[
        ClosestEngine | None,
        typer.Option(help="BEDOPS, the identical search in the process, or (auto, default) BEDOPS where found."),
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Gene-variant pairs (TSV) of mode pairs: gene_id, and name or chrom, pos.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Give each variant its gene: the closest TSS, all in a window, or the pairs of a table.

    In: variants and genes of the same assembly. Out: a row per allele and gene, dist_to_tss = pos - tss in bases,
    positive to the right whatever the strand; at equal distance the left gene. Settings: config section
    genome.closest.
    """
    from cisweave.config import ClosestSettings, load_settings
    from cisweave.genome.closest import closest_tss as assign_genes

    chosen = with_options(load_settings(ClosestSettings, settings), mode=mode, engine=engine)
    limit = "pair_max_distance" if chosen.mode == "pairs" else "max_distance"
    assign_genes(vcf, genes, out, rejects, with_options(chosen, **{limit: max_distance}), pairs)


@app.command()
def ledger(
    variants: Annotated[Path, typer.Option(help="What 'genome normalize' kept, before any other step.")],
    rejects: Annotated[list[Path], typer.Option(help="Rejected alleles of a step (TSV); once for each step.")],
    scored: Annotated[
        list[Path],
        typer.Option(help="Table of scored alleles (columns record, allele); several must hold the same alleles."),
    ],
    out: Annotated[Path, typer.Option(help="Output TSV: every rejected allele of every step.")],
    summary: Annotated[
        Path, typer.Option(help="Output JSON: records, alleles, scored, rejected, alleles by reason and by step.")
    ],
    vcf: Annotated[
        Path | None, typer.Option(help="The variant file of 'genome normalize', counted afresh for the balance.")
    ] = None,
) -> None:
    """Merge what was rejected and check the books: alleles read = alleles scored + alleles rejected."""
    from cisweave.genome.ledger import balance_ledger

    balance_ledger(variants, rejects, scored, out, summary, vcf)


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
        typer.Option(help="Instead: genes (BED, GTF, GFF3, CSV); one window around each TSS, locus_id = gene id."),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(
            help="Instead: variants (VCF, BCF or variant table); two windows per allele, locus_id = record:allele:ref "
            "or :alt."
        ),
    ] = None,
    peaks: Annotated[
        Path | None, typer.Option(help="Instead: peaks (BED or narrowPeak, 0-based half-open); one window per peak.")
    ] = None,
    transcripts: Annotated[
        Path | None, typer.Option(help="Instead: GTF or GFF3; the spliced sequence of each transcript, 5' to 3'.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Output TSV: loci that could not be cut, with code and message.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(min=2, help="Bases per window around TSS, peaks or variants. Default: 2000.")
    ] = None,
    shard: Annotated[int, typer.Option(min=1, help="Which part to write, from 1.")] = 1,
    shards: Annotated[int, typer.Option(min=1, help="In how many parts the loci are cut.")] = 1,
    settings: Settings = None,
) -> None:
    """Extract the sequences of loci, the genome's own or one haplotype of a variant, or of transcripts.

    In: a FASTA and loci, genes, variants, peaks or transcripts. Out: codes, windows all of one length. Windows that
    leave their contig are padded with 4 (N). A window of W bases around position p (1-based) begins W // 2 bases before
    it, at 0-based p - W // 2. A haplotype with an indel is cropped around its own middle, so that its length is that of
    the window. Settings: config section genome.extract (window, strand, N and edges).
    """
    from cisweave.config import ExtractSettings, load_settings
    from cisweave.genome.extract import extract_sequences

    if window is not None and (loci is not None or transcripts is not None):
        raise CisweaveError(
            "--window goes with --tss, --variants and --peaks only: loci and transcripts have their own length"
        )
    chosen = with_options(load_settings(ExtractSettings, settings), window=window)
    extract_sequences(
        fasta, out, loci, tss, variants, peaks, transcripts, rejects, settings=chosen, shard=shard, shards=shards
    )


@app.command()
def index(
    shards: Annotated[list[Path], typer.Argument(help="HDF5 files of 'genome extract', one for each shard.")],
    out: Annotated[Path, typer.Option(help="Output JSON: the shards with their rows and checksums.")],
) -> None:
    """Index the shards of scattered extraction, so that they are read as one store.

    In: the shards, all of one shape. Out: a JSON that names them, written last.
    """
    from cisweave.sequence.store import index_shards

    index_shards(shards, out)
