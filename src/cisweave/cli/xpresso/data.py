"""Verbs that make what models are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cisweave.cli.common import Settings
from cisweave.cli.xpresso.app import (
    Bed,
    Cage,
    Data,
    DataOut,
    Factors,
    Fold,
    Genome,
    Gtf,
    Halflife,
    MicroRnas,
    Promoters,
    RejectsOut,
    Split,
    Symbols,
    app,
)
from cisweave.config import EmbeddingSettings, PromoterDataSettings, PromoterSplitSettings, load_settings


@app.command()
def build(
    out_folder: DataOut,
    expression: Annotated[
        Path | None, typer.Option(help="Expression: gene_id, then values per sample. Default: data without expression.")
    ] = None,
    gtf: Gtf = None,
    fasta: Genome = None,
    promoters: Promoters = None,
    bed: Bed = None,
    cage: Cage = None,
    halflife: Halflife = None,
    tf: Factors = None,
    mirna: MicroRnas = None,
    symbols: Symbols = None,
    rejects: RejectsOut = None,
    compat: Annotated[
        Literal["xpresso"] | None, typer.Option(help="xpresso: windows as published (TSS one base off on one strand).")
    ] = None,
    settings: Settings = None,
) -> None:
    """Bring promoters, half-life features, factors, microRNAs and expression together, one row a gene."""
    from cisweave.xpresso.build import build_data
    from cisweave.xpresso.promoter_files import PromoterFiles

    files = PromoterFiles(
        promoters=promoters,
        bed=bed,
        gtf=gtf,
        fasta=fasta,
        cage=cage,
        halflife=halflife,
        tf=tf,
        mirna=mirna,
        symbols=symbols,
    )
    build_data(
        out_folder,
        files,
        expression=expression,
        rejects=rejects,
        settings=load_settings(PromoterDataSettings, settings, compat=compat),
    )


@app.command()
def split(
    data: Data,
    out: Annotated[Path, typer.Option(help="TSV: gene_id, fold (from 1), split (train, valid, test).")],
    method: Annotated[
        Literal["random", "xpresso", "xpresso_tf", "xpresso_mirna", "chromosomes", "kfold", "table"] | None,
        typer.Option(help="How genes are split, in place of settings."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="The split of method table: TSV or Parquet gene_id, split, and fold.")
    ] = None,
    rejects: RejectsOut = None,
    settings: Settings = None,
) -> None:
    """Say once for all models which genes train, validate and test."""
    from cisweave.xpresso.split import split_genes

    split_genes(data, out, load_settings(PromoterSplitSettings, settings, method=method, table=table), rejects)


@app.command()
def embed(
    data: Data,
    split: Split,
    out: Annotated[Path, typer.Option(help="HDF5: segments (genes, segments, size) and the vectors of the k-mers.")],
    fold: Fold = 1,
    mode: Annotated[
        Literal["random_projection", "word2vec", "kmer_freq"] | None,
        typer.Option(help="What a k-mer's vector is, in place of settings."),
    ] = None,
    settings: Settings = None,
) -> None:
    """Embed promoters as segments of k-mers, for the models that read them so."""
    from cisweave.xpresso.embedding import embed_data

    embed_data(data, split, out, load_settings(EmbeddingSettings, settings, mode=mode), fold=fold)


@app.command()
def import_data(
    source: Annotated[
        list[Path],
        typer.Argument(
            help="Original files: train, valid and test HDF5 (or their folder), or Xpresso's table of genes."
        ),
    ],
    out_folder: DataOut,
    genes: Annotated[
        Path | None, typer.Option(help="Gene ids in the order of the rows, for files that hold none.")
    ] = None,
    symbols: Symbols = None,
    segments: Annotated[
        Path | None, typer.Option(help="HDF5 to write: the segments of files with embedded promoters.")
    ] = None,
    upstream: Annotated[int, typer.Option(min=1, help="Bases of a promoter before its TSS.")] = 10_000,
) -> None:
    """Read the files of Xpresso and of the zoo of Turin as data, with the split they came in."""
    from cisweave.xpresso.original import import_original

    import_original(source, out_folder, genes=genes, symbols=symbols, embedding=segments, upstream=upstream)


@app.command()
def export_data(
    data: Data,
    split: Split,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the files to write.")],
    kind: Annotated[
        Literal["xpresso", "tf", "mirna", "translated", "embedded"],
        typer.Option(help="Which of the original layouts."),
    ] = "xpresso",
    fold: Fold = 1,
    embedding: Annotated[
        Path | None, typer.Option(help="Embedded promoters (HDF5, from embed), of kind embedded.")
    ] = None,
) -> None:
    """Write data as the files of Xpresso and of the zoo of Turin."""
    from cisweave.xpresso.original import export_original

    export_original(data, split, out_folder, kind, fold=fold, embedding=embedding)
