"""Verbs that explain scores: by chromatin tracks, and by single bases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Fasta, S, Settings, Threads
from cisweave.cli.seal.app import Chromatin, Engine, ExpressionModel, Profiles, app
from cisweave.config import BaseAttributionSettings, EngineSettings, InterpretSettings, PredictSettings, load_settings
from cisweave.core.devices import set_threads
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_text

VARIANTS = "Variants with genes (Parquet or TSV, from genome closest-tss), or effects (from predict, --out)."
Windows = Annotated[
    str | None,
    typer.Option("--predict", help="Shifts of the windows (config section 'seal.predict'): JSON, or a YAML/JSON file."),
]
Rejects = Annotated[Path, typer.Option(help="Ledger TSV of the variants that could not be scored.")]
ContextList = Annotated[
    str | None, typer.Option(help="Contexts to explain, separated by commas; overrides the settings.")
]
Method = Annotated[str | None, typer.Option(help="Name of the method; overrides the settings.")]
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
    tsv: Annotated[Path, typer.Option(help="TSV: the strongest tracks of each variant and context.")],
    rejects: Rejects,
    method: Method = None,
    contexts: ContextList = None,
    outcome_id: Annotated[
        int | None, typer.Option(min=0, help="Context, from 0, of the file in Seal's format; overrides the settings.")
    ] = None,
    compat_prefix: Annotated[
        Path | None,
        typer.Option(help="Also write Seal's array, PREFIX_<method>_attribution_score_outcome_<id>.npy."),
    ] = None,
    settings: Settings = None,
    windows: Windows = None,
    engine: Engine = None,
    seed: Draws = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Attribute scores to chromatin tracks: saliency, integratedGradients, deeplift, kernelShap, gradientShap, lime."""
    from cisweave.seal.interpret.tracks import interpret_variants as run

    set_threads(threads)
    section = overridden(
        InterpretSettings, settings, method=method, contexts=split(contexts), outcome_id=outcome_id, seed=seed
    )
    run(
        variants,
        fasta,
        profiles,
        chromatin,
        model,
        out,
        tsv,
        rejects,
        section,
        load_settings(PredictSettings, windows),
        load_settings(EngineSettings, engine),
        compat_prefix,
        device,
    )


@app.command()
def attribute(
    fasta: Fasta,
    profiles: Profiles,
    chromatin: Chromatin,
    model: ExpressionModel,
    out: Annotated[Path, typer.Option(help="Attributions (HDF5) in ln expression, for seqlets call --attributions.")],
    tsv: Annotated[Path, typer.Option(help="Locus table (TSV) that goes with it, for seqlets call --loci.")],
    qc: Annotated[Path, typer.Option(help="TSV: predictions, sums and convergence deltas of each item.")],
    rejects: Rejects,
    variants: Annotated[Path | None, typer.Option(help=VARIANTS)] = None,
    gene: Annotated[
        list[str] | None, typer.Option(help="Id of a gene, in place of variants: the bases around its TSS. Repeatable.")
    ] = None,
    genes: Annotated[Path | None, typer.Option(help="The same from a text file, one gene id a line.")] = None,
    bigwig: Annotated[
        Path | None, typer.Option(help="Folder for bigWig files per context (of variants: ref and alt).")
    ] = None,
    method: Annotated[str | None, typer.Option(help="deeplift or integratedGradients; overrides the settings.")] = None,
    contexts: ContextList = None,
    settings: Settings = None,
    windows: Windows = None,
    seed: Draws = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Attribute predicted expression to bases: of both haplotypes of variants, or around the TSS of genes."""
    from cisweave.seal.interpret.bases import attribute_bases as run

    set_threads(threads)
    section = overridden(BaseAttributionSettings, settings, method=method, contexts=split(contexts), seed=seed)
    run(
        fasta,
        profiles,
        chromatin,
        model,
        out,
        tsv,
        qc,
        rejects,
        variants,
        gene_ids(gene, genes),
        bigwig,
        section,
        load_settings(PredictSettings, windows),
        device,
    )


def overridden(kind: type[S], settings: str | None, **options: object) -> S:
    """Settings with the options of the command line that were given in place of their keys, checked together."""
    given = {key: value for key, value in options.items() if value is not None}
    return load_settings(kind, json.dumps({**load_settings(kind, settings).model_dump(mode="json"), **given}))


def split(names: str | None) -> list[str] | None:
    """Names of a list with commas."""
    return None if names is None else names.split(",")


def gene_ids(gene: list[str] | None, genes: Path | None) -> list[str] | None:
    """Gene ids of both options; None where neither was given."""
    if not gene and genes is None:
        return None
    listed = [line.strip() for line in read_text(genes).splitlines()] if genes is not None else []
    found = [*(gene or []), *filter(None, listed)]
    if not found:
        raise CisweaveError("this file names no gene; write one id a line", path=genes)
    return found
