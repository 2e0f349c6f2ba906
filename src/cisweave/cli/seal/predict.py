"""Verbs that score variants, and put together what several jobs scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cisweave.cli.common import Device, Fasta, Settings, Threads, with_options
from cisweave.cli.seal.app import Chromatin, Engine, ExpressionModel, MaxShift, Profiles, RejectsOut, app
from cisweave.config import EngineSettings, PredictSettings, load_settings
from cisweave.core.devices import set_threads
from cisweave.core.parts import Part

EffectsOut = Annotated[Path, typer.Option(help="Parquet: the variants and per context alt - ref in ln expression.")]
ChromatinOut = Annotated[
    Path, typer.Option(help="Parquet: per track alt - ref probability in the window centred on the variant.")
]
Tsv = Annotated[Path | None, typer.Option(help="Also the scores as TSV in Seal's format, five decimals, pos 1-based.")]
AnnotatedVcf = Annotated[
    Path | None,
    typer.Option(
        help="Also the user's variants as .vcf.gz (with index), .vcf or .bcf: INFO has genes, strongest contexts, "
        "effects, and the place in the modelled assembly where it is another. QUAL, FILTER and INFO of the user's file "
        "are not in it (bcftools annotate brings them back)."
    ),
]
Best = Annotated[
    Path | None,
    typer.Option(
        help="Also a TSV with one row per allele and gene: its strongest context, those that rise and fall most, rank."
    ),
]
ContextsTable = Annotated[
    Path | None,
    typer.Option(help="Also a TSV with one row per context: name, stage, quantiles of its absolute effects."),
]
ContextAnnotation = Annotated[
    Path | None, typer.Option(help="Names and stages of the contexts (TSV or Seal's workbook, xlsx).")
]

Listed = Annotated[int, typer.Option(min=1, help="Contexts of the strongest effects that the VCF lists per gene.")]


@app.command()
def predict(
    variants: Annotated[
        Path, typer.Option(help="Variants with genes (Parquet or TSV, from genome closest-tss; pos is 1-based).")
    ],
    fasta: Fasta,
    profiles: Profiles,
    chromatin: Chromatin,
    model: ExpressionModel,
    out: EffectsOut,
    chromatin_effects: ChromatinOut,
    rejects: RejectsOut,
    tsv: Tsv = None,
    annotated_vcf: AnnotatedVcf = None,
    best: Best = None,
    contexts_table: ContextsTable = None,
    context_annotation: ContextAnnotation = None,
    listed_contexts: Listed = 5,
    part: Annotated[
        str | None, typer.Option(help="Score only this part of the variants, such as 3/8; then 'seal gather'.")
    ] = None,
    mode: Annotated[
        Literal["seal", "haplotype"] | None,
        typer.Option(help="Windows shifted over the variant as published, or all touched bins together. Default: seal"),
    ] = None,
    compat: Annotated[
        Literal["seal"] | None, typer.Option(help="seal: to the letter as the published Seal writes its TSV.")
    ] = None,
    max_shift: MaxShift = None,
    settings: Settings = None,
    engine: Engine = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score variants: the change of expression of their genes in every context.

    In: variants with genes, the genome they are on, its TSS profiles, the two models. Out: scores in the order of the
    user's file, alternative minus reference in ln expression, and what could not be scored. Settings: config section
    seal.predict (mode, shifts, compat).
    """
    from cisweave.seal.outputs import Views

    stretch = None if part is None else Part.parse(part)
    chosen = with_options(load_settings(PredictSettings, settings), mode=mode, compat=compat, max_shift=max_shift)
    views = Views(
        tsv=tsv,
        annotated_vcf=annotated_vcf,
        best=best,
        contexts_table=contexts_table,
        annotation=context_annotation,
        listed=listed_contexts,
    )
    views.check()

    from cisweave.seal.predict import predict as run

    set_threads(threads)
    run(
        variants,
        fasta,
        profiles,
        chromatin,
        model,
        out=out,
        chromatin_effects=chromatin_effects,
        rejects=rejects,
        views=views,
        part=stretch,
        settings=chosen,
        engine=load_settings(EngineSettings, engine),
        device=device,
    )


@app.command()
def gather(
    parts: Annotated[
        list[Path],
        typer.Argument(
            help="effects.parquet of each part of 'seal predict --part', in any order; beside each stand its "
            "chromatin_effects.parquet, rejects.tsv and receipt."
        ),
    ],
    out: EffectsOut,
    chromatin_effects: ChromatinOut,
    rejects: RejectsOut,
    tsv: Tsv = None,
    annotated_vcf: AnnotatedVcf = None,
    best: Best = None,
    contexts_table: ContextsTable = None,
    context_annotation: ContextAnnotation = None,
    listed_contexts: Listed = 5,
) -> None:
    """Put the parts of scattered scoring together, once all are there and of one run.

    In: what 'seal predict --part 1/N' to 'N/N' wrote. Out: the same as of one job that scores all variants.
    """
    from cisweave.seal.gather import gather_effects
    from cisweave.seal.outputs import Views

    views = Views(
        tsv=tsv,
        annotated_vcf=annotated_vcf,
        best=best,
        contexts_table=contexts_table,
        annotation=context_annotation,
        listed=listed_contexts,
    )
    gather_effects(parts, out, chromatin_effects, rejects, views)
