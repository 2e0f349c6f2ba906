"""Verbs for every change of a promoter, and for what a run will take before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Fasta, Settings, Threads, with_options
from cisweave.cli.seal.app import Chromatin, Engine, ExpressionModel, MaxShift, Profiles, Windows, app
from cisweave.cli.seal.predict import Best, Tsv
from cisweave.config import ClosestSettings, EngineSettings, PredictSettings, SaturateSettings, load_settings
from cisweave.core.devices import set_threads
from cisweave.core.errors import CisweaveError


@app.command()
def saturate(
    fasta: Fasta,
    profiles: Profiles,
    chromatin: Chromatin,
    model: ExpressionModel,
    out: Annotated[Path, typer.Option(help="Parquet: every change and per context alt - ref in ln expression.")],
    rejects: Annotated[Path, typer.Option(help="Ledger TSV of the bases that the genome does not know.")],
    gene: Annotated[
        list[str] | None, typer.Option(help="Id of a gene of the store: its promoter. May be given several times.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="contig:first-last (1-based, both included), with --gene or the gene of the closest TSS."),
    ] = None,
    tss: Annotated[Path | None, typer.Option(help="File of genes (BED, GTF, CSV): all their promoters.")] = None,
    upstream: Annotated[int | None, typer.Option(min=0, help="Bases before the TSS. Default: 1000")] = None,
    downstream: Annotated[
        int | None, typer.Option(min=1, help="Bases from the TSS on, itself included. Default: 1000")
    ] = None,
    deletions: Annotated[bool | None, typer.Option(help="Also delete every single base. Default: no")] = None,
    bigwig: Annotated[
        Path | None, typer.Option(help="Also a bigWig: the largest |effect| of any change in any context, per base.")
    ] = None,
    tsv: Tsv = None,
    best: Best = None,
    settings: Settings = None,
    windows: Windows = None,
    max_shift: MaxShift = None,
    engine: Engine = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score every substitution of a promoter: saturation mutagenesis of one gene or many.

    In: genes or a region, the genome, its TSS profiles, the two models. Out: a table with one row per change, as seal
    predict writes it. Settings: config section seal.saturate (upstream, downstream, deletions).
    """
    from cisweave.seal.outputs import Views
    from cisweave.seal.saturate import saturate as run

    set_threads(threads)
    chosen = with_options(
        load_settings(SaturateSettings, settings), upstream=upstream, downstream=downstream, deletions=deletions
    )
    run(
        fasta,
        profiles,
        chromatin,
        model,
        out=out,
        rejects=rejects,
        genes=gene or [],
        region=region,
        tss=tss,
        bigwig=bigwig,
        views=Views(tsv=tsv, best=best),
        settings=chosen,
        windows=with_options(load_settings(PredictSettings, windows), max_shift=max_shift),
        engine=load_settings(EngineSettings, engine),
        device=device,
    )


@app.command()
def plan(
    variants: Annotated[
        Path | None, typer.Option(help="Variants with genes (Parquet or TSV, from genome closest-tss).")
    ] = None,
    vcf: Annotated[Path | None, typer.Option(help="Or: VCF or BCF (POS is 1-based).")] = None,
    tss: Annotated[
        Path | None, typer.Option(help="File of genes: only alleles near a TSS are counted. Needless with --variants.")
    ] = None,
    chromatin: Annotated[
        Path | None, typer.Option(help="Folder of the chromatin model, for its shape. Default: the published shape")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of the expression model, for its shape. Default: a published shape")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also as JSON.")] = None,
    closest: Annotated[
        str | None,
        typer.Option(help="Which genes are near, with --tss (config section 'genome.closest'): JSON, or a file."),
    ] = None,
    probe: Annotated[bool, typer.Option(help="Time this machine for two seconds.")] = True,
    settings: Settings = None,
    engine: Engine = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Say what scoring variants will take: passes, operations, memory, time per device. Nothing is scored.

    Settings: config section seal.predict (shifts of the windows).
    """
    from cisweave.seal.plan import PROBE_SECONDS, describe, make_plan

    given = [path for path in (variants, vcf) if path is not None]
    if len(given) != 1:
        raise CisweaveError("give either --variants or --vcf")
    set_threads(threads)
    found = make_plan(
        given[0],
        tss=tss,
        chromatin=chromatin,
        model=model,
        out=out,
        settings=load_settings(PredictSettings, settings),
        engine=load_settings(EngineSettings, engine),
        device=device,
        probe_seconds=PROBE_SECONDS if probe else 0.0,
        closest=load_settings(ClosestSettings, closest),
    )
    typer.echo(describe(found))
