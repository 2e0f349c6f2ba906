"""Verbs that score whole haplotypes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Fasta, Settings, Threads
from cisweave.cli.seal.app import Chromatin, Engine, ExpressionModel, Profiles, app
from cisweave.config import EngineSettings, HaplotypeSettings, load_settings
from cisweave.core.devices import set_threads
from cisweave.core.errors import CisweaveError


@app.command()
def haplotype(
    fasta: Fasta,
    profiles: Profiles,
    chromatin: Chromatin,
    model: ExpressionModel,
    out: Annotated[
        Path,
        typer.Option(help="Parquet or TSV (by its name): per context haplotype - reference in ln expression."),
    ],
    vcf: Annotated[
        Path | None, typer.Option(help="Phased VCF or BCF on the assembly of the FASTA, sorted; pos is 1-based.")
    ] = None,
    sequences: Annotated[
        Path | None,
        typer.Option(help="FASTA of own sequences: '>name tss=20901 strand=+ gene_id=ID' (tss is 1-based)."),
    ] = None,
    rejects: Annotated[Path | None, typer.Option(help="Ledger TSV of alleles that were left out (with --vcf).")] = None,
    gene: Annotated[list[str] | None, typer.Option(help="Only this gene; may be repeated (with --vcf).")] = None,
    sample: Annotated[list[str] | None, typer.Option(help="Only this sample; may be repeated (with --vcf).")] = None,
    settings: Settings = None,
    engine: Engine = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score haplotypes: all variants of a phased haplotype together, or a sequence of one's own."""
    if (vcf is None) == (sequences is None):
        raise CisweaveError("give either --vcf (phased genotypes) or --sequences (FASTA)")
    if sequences is not None and (rejects is not None or gene or sample):
        raise CisweaveError("--rejects, --gene and --sample go with --vcf")
    if vcf is not None and rejects is None:
        raise CisweaveError("--rejects is missing: where the alleles that are left out are listed")
    chosen, how = load_settings(HaplotypeSettings, settings), load_settings(EngineSettings, engine)

    from cisweave.seal.haplotype import haplotype_effects, sequence_effects

    set_threads(threads)
    if sequences is not None:
        sequence_effects(
            sequences, fasta, profiles, chromatin, model, out=out, settings=chosen, engine=how, device=device
        )
    elif vcf is not None and rejects is not None:
        haplotype_effects(
            vcf,
            fasta,
            profiles,
            chromatin,
            model,
            out=out,
            rejects=rejects,
            genes=gene or None,
            samples=sample or None,
            settings=chosen,
            engine=how,
            device=device,
        )
