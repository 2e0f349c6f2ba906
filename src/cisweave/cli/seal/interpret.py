"""Verbs that explain scores: by chromatin tracks, and by single bases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cisweave.cli.common import Device, Fasta, Settings, Threads, with_options
from cisweave.cli.seal.app import Chromatin, Engine, ExpressionModel, MaxShift, Profiles, RejectsOut, Windows, app
from cisweave.config import BaseAttributionSettings, EngineSettings, InterpretSettings, PredictSettings, load_settings
from cisweave.core.devices import set_threads
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_text

VARIANTS = "Variants with genes (Parquet or TSV, from genome closest-tss), or effects (from predict, --out)."
ContextList = Annotated[
    str | None, typer.Option(help="Contexts to explain, separated by commas; overrides the settings.")
]
TrackMethod = Annotated[
    Literal["saliency", "integratedGradients", "deeplift", "kernelShap", "kernalShap", "gradientShap", "lime"],
    typer.Option(help="Name of the method; kernalShap, as Seal spells it, is kernelShap."),
]
BaseMethod = Annotated[
    Literal["deeplift", "integratedGradients"] | None, typer.Option(help="Name of the method; overrides the settings.")
]
Draws = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of what is drawn; overrides the settings.")]


@app.command()
def interpret(
    variants: Annotated[Path, typer.Option(help=VARIANTS)],
    fasta: Fasta,
    profiles: Profiles,
    chromatin: Chromatin,
    model: ExpressionModel,
    out: Annotated[
        Path,
        typer.Option(help="Parquet: a row per variant and context with score, sum, delta and one column per track."),
    ],
    strongest: Annotated[Path, typer.Option(help="TSV: the strongest tracks of each variant and context.")],
    rejects: RejectsOut,
    method: TrackMethod = "deeplift",
    contexts: ContextList = None,
    outcome_id: Annotated[int, typer.Option(min=0, help="Context, from 0, of the array in Seal's format.")] = 0,
    compat_prefix: Annotated[
        Path | None,
        typer.Option(help="Also write Seal's array, PREFIX_<method>_attribution_score_outcome_<id>.npy."),
    ] = None,
    settings: Settings = None,
    windows: Windows = None,
    max_shift: MaxShift = None,
    engine: Engine = None,
    seed: Draws = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Attribute scores to chromatin tracks: saliency, integratedGradients, deeplift, kernelShap, gradientShap, lime."""
    from cisweave.seal.interpret.tracks import interpret_variants

    set_threads(threads)
    section = with_options(load_settings(InterpretSettings, settings), contexts=split(contexts), seed=seed)
    interpret_variants(
        variants,
        fasta,
        profiles,
        chromatin,
        model,
        out=out,
        strongest=strongest,
        rejects=rejects,
        method="kernelShap" if method == "kernalShap" else method,
        outcome_id=outcome_id,
        compat_prefix=compat_prefix,
        settings=section,
        windows=with_options(load_settings(PredictSettings, windows), max_shift=max_shift),
        engine=load_settings(EngineSettings, engine),
        device=device,
    )


@app.command()
def attribute(
    fasta: Fasta,
    profiles: Profiles,
    chromatin: Chromatin,
    model: ExpressionModel,
    out: Annotated[Path, typer.Option(help="Attributions (HDF5) in ln expression, for seqlets call --attributions.")],
    loci_out: Annotated[
        Path, typer.Option("--loci", help="Locus table (TSV) that goes with it, for seqlets call --loci.")
    ],
    qc: Annotated[Path, typer.Option(help="TSV: predictions, sums and convergence deltas of each item.")],
    rejects: RejectsOut,
    variants: Annotated[Path | None, typer.Option(help=VARIANTS)] = None,
    gene: Annotated[
        list[str] | None, typer.Option(help="Id of a gene, in place of variants: the bases around its TSS. Repeatable.")
    ] = None,
    gene_list: Annotated[Path | None, typer.Option(help="The same from a text file, one gene id a line.")] = None,
    bigwig_folder: Annotated[
        Path | None, typer.Option(help="Folder for bigWig files per context (of variants: ref and alt).")
    ] = None,
    method: BaseMethod = None,
    contexts: ContextList = None,
    settings: Settings = None,
    windows: Windows = None,
    max_shift: MaxShift = None,
    seed: Draws = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Attribute predicted expression to bases: of both haplotypes of variants, or around the TSS of genes."""
    from cisweave.seal.interpret.bases import attribute_bases

    set_threads(threads)
    section = with_options(
        load_settings(BaseAttributionSettings, settings), method=method, contexts=split(contexts), seed=seed
    )
    attribute_bases(
        fasta,
        profiles,
        chromatin,
        model,
        out=out,
        loci=loci_out,
        qc=qc,
        rejects=rejects,
        variants=variants,
        genes=gene_ids(gene, gene_list),
        bigwig_folder=bigwig_folder,
        settings=section,
        windows=with_options(load_settings(PredictSettings, windows), max_shift=max_shift),
        device=device,
    )


def split(names: str | None) -> list[str] | None:
    """Names of a list with commas."""
    return None if names is None else names.split(",")


def gene_ids(gene: list[str] | None, gene_list: Path | None) -> list[str] | None:
    """Gene ids of both options; None where neither was given."""
    if not gene and gene_list is None:
        return None
    listed = [line.strip() for line in read_text(gene_list).splitlines()] if gene_list is not None else []
    found = [*(gene or []), *filter(None, listed)]
    if not found:
        raise CisweaveError("this file names no gene; write one id a line", path=gene_list)
    return found
