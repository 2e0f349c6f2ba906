"""Verbs that predict with promoter models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Settings, Threads
from cisweave.cli.xpresso.app import (
    Bed,
    Cage,
    Data,
    Factors,
    Genome,
    Gtf,
    Halflife,
    MicroRnas,
    Model,
    Promoters,
    RejectsOut,
    Symbols,
    app,
)
from cisweave.config import PromoterPredictSettings, load_settings
from cisweave.core.devices import set_threads


@app.command()
def predict(
    model: Model,
    out: Annotated[Path, typer.Option(help="TSV or Parquet: gene_id, place, prediction (z-score and log10).")],
    promoters: Promoters = None,
    bed: Bed = None,
    gtf: Gtf = None,
    data: Annotated[Path | None, typer.Option(help="Folder of data (from build).")] = None,
    fasta: Genome = None,
    cage: Cage = None,
    halflife: Halflife = None,
    tf: Factors = None,
    mirna: MicroRnas = None,
    symbols: Symbols = None,
    rejects: RejectsOut = None,
    settings: Settings = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Predict expression from a FASTA of promoters, a BED or a GTF with its genome, or a folder of data."""
    from cisweave.xpresso.predict import predict_promoters
    from cisweave.xpresso.promoter_files import PromoterFiles

    set_threads(threads)
    files = PromoterFiles(
        promoters=promoters,
        bed=bed,
        gtf=gtf,
        data=data,
        fasta=fasta,
        cage=cage,
        halflife=halflife,
        tf=tf,
        mirna=mirna,
        symbols=symbols,
    )
    chosen = load_settings(PromoterPredictSettings, settings)
    predict_promoters(model, out, files, rejects=rejects, settings=chosen, device=device)


@app.command()
def predict_variants(
    model: Model,
    vcf: Annotated[Path, typer.Option(help="Variants on the assembly of --fasta (VCF, BCF; plain or bgzip).")],
    out: Annotated[
        Path, typer.Option(help="TSV or Parquet: allele, gene, prediction with REF and ALT, effect (ALT - REF, log10).")
    ],
    rejects: Annotated[Path, typer.Option(help="Ledger TSV of the alleles that are scored with no gene.")],
    fasta: Annotated[Path, typer.Option(help="Genome FASTA, plain or bgzip.")],
    bed: Bed = None,
    gtf: Gtf = None,
    data: Annotated[Path | None, typer.Option(help="Folder of data (from build), whose promoters have places.")] = None,
    cage: Cage = None,
    halflife: Halflife = None,
    tf: Factors = None,
    mirna: MicroRnas = None,
    symbols: Symbols = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Gene-variant pairs (TSV): alleles are scored with these genes only.")
    ] = None,
    settings: Settings = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score variants in promoters: expression of every gene from its promoter with REF and with ALT."""
    from cisweave.xpresso.promoter_files import PromoterFiles
    from cisweave.xpresso.variants import predict_variants as run

    set_threads(threads)
    files = PromoterFiles(
        bed=bed,
        gtf=gtf,
        data=data,
        fasta=fasta,
        cage=cage,
        halflife=halflife,
        tf=tf,
        mirna=mirna,
        symbols=symbols,
    )
    chosen = load_settings(PromoterPredictSettings, settings)
    run(model, vcf, out, files, rejects=rejects, pairs=pairs, settings=chosen, device=device)


@app.command()
def loci(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="TSV: locus table for cisweave seqlets attribute.")],
    sequences_out: Annotated[Path, typer.Option(help="HDF5: the windows of the loci.")],
    genes: Annotated[
        Path | None, typer.Option(help="TSV with column gene_id: the genes to explain. Default: see --top.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Genes of highest prediction to explain.")] = 100,
    settings: Settings = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Choose promoters to explain: their locus table and sequences, as the seqlets room reads them."""
    from cisweave.xpresso.loci import promoter_loci, read_genes

    set_threads(threads)
    named = None if genes is None else read_genes(genes)
    chosen = load_settings(PromoterPredictSettings, settings)
    promoter_loci(model, data, out, sequences_out, genes=named, top=top, settings=chosen, device=device)
