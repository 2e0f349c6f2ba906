"""``cisweave report``: the HTML report, the truth check of the built-in world, the mutation tests of its probes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Fasta, Seed, Settings, Threads

app = typer.Typer(no_args_is_help=True, help="The HTML report and the truth check of the built-in world.")

Many = list[Path] | None


@app.command()
def truth(
    world: Annotated[Path, typer.Option(help="Folder of the built-in world (what `cisweave simulate` wrote).")],
    evaluation: Annotated[
        list[Path], typer.Option(help="Evaluation (TSV: ln expression per gene and context); once per context set.")
    ],
    effects: Annotated[
        list[Path], typer.Option(help="Variant effects (Parquet: alt - ref, ln expression); once per context set.")
    ],
    chromatin_effects: Annotated[
        list[Path], typer.Option(help="Chromatin effects (Parquet: alt - ref probability), in the order of --effects.")
    ],
    loci: Annotated[Path, typer.Option(help="Locus table (TSV; windows 0-based half-open, pos 1-based).")],
    sequences: Annotated[Path, typer.Option(help="Sequences of the loci (HDF5).")],
    attributions: Annotated[Path, typer.Option(help="Attributions (HDF5).")],
    annotated: Annotated[Path, typer.Option(help="Annotated seqlets (Parquet).")],
    motifs: Annotated[Path, typer.Option(help="The motif database the seqlets were named with (MEME).")],
    motif_table: Annotated[Path, typer.Option(help="Its table (TSV).")],
    chromatin: Annotated[Path, typer.Option(help="Folder of the chromatin model.")],
    pretrained: Annotated[Path, typer.Option(help="Folder of the pre-trained expression model.")],
    profiles: Annotated[Path, typer.Option(help="Chromatin profiles around every TSS (HDF5).")],
    fasta: Fasta,
    out: Annotated[Path, typer.Option(help="Figures, baselines, floors and probes (JSON) to write, pass or fail.")],
    settings: Settings = None,
    annotation: Annotated[
        str | None,
        typer.Option(
            help="Settings of the motif annotation (config section 'seqlets.annotation'): JSON text or a file."
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    stop: Annotated[
        bool, typer.Option(help="Exit 1 if anything does not pass (--no-stop leaves that to check).")
    ] = True,
) -> None:
    """Compare the results with what the built-in world planted, on contigs never trained on; exit 1 on failure."""
    from cisweave.config import AnnotationSettings, TruthSettings, load_settings
    from cisweave.core.devices import set_threads
    from cisweave.report.truth import TruthFiles, check_truth

    set_threads(threads)
    files = TruthFiles(
        world=world,
        evaluations=evaluation,
        effects=effects,
        chromatin_effects=chromatin_effects,
        loci=loci,
        sequences=sequences,
        attributions=attributions,
        annotated=annotated,
        motifs=motifs,
        motif_table=motif_table,
        chromatin=chromatin,
        pretrained=pretrained,
        profiles=profiles,
        fasta=fasta,
    )
    checked = load_settings(TruthSettings, settings)
    result = check_truth(files, out, checked, load_settings(AnnotationSettings, annotation), seed, device)
    if stop:
        stop_at(result["failures"], f"the truth check failed, see {out}")


@app.command()
def check(
    truth_json: Annotated[Path, typer.Option("--truth", help="The truth check (JSON, from truth).")],
    out: Annotated[Path, typer.Option(help="Small JSON to write when everything passed.")],
) -> None:
    """Pass a truth check on only if all its floors, baselines and probes passed; exit 1 and say which did not."""
    from cisweave.core.errors import CisweaveError
    from cisweave.core.files import read_json, write_json

    result = read_json(truth_json)
    parts = {"failures": list, "floors": dict, "probes": dict}
    if not isinstance(result, dict) or not all(isinstance(result.get(name), kind) for name, kind in parts.items()):
        raise CisweaveError("this is not a truth check; write it with: cisweave report truth", path=truth_json)
    stop_at(result["failures"], f"the truth check failed, see {truth_json}")
    write_json(out, {"passed": True, "truth": str(truth_json)})


@app.command()
def html(
    out: Annotated[Path, typer.Option(help="The page (HTML) to write: one file, opens without a network.")],
    run: Annotated[str, typer.Option(help="Name of the run, for the title.")] = "run",
    config: Annotated[str | None, typer.Option(help="The whole configuration: JSON text or a YAML/JSON file.")] = None,
    chromatin: Annotated[Path | None, typer.Option(help="Folder of the chromatin model.")] = None,
    pretrained: Annotated[Path | None, typer.Option(help="Folder of the pre-trained expression model.")] = None,
    model: Annotated[Many, typer.Option(help="Folder of a fine-tuned expression model; once per context set.")] = None,
    evaluation: Annotated[Many, typer.Option(help="Evaluation (TSV, ln expression); once per context set.")] = None,
    effects: Annotated[
        Many, typer.Option(help="Variant effects (Parquet: alt - ref, ln expression); once per context set.")
    ] = None,
    ledger: Annotated[Many, typer.Option(help="Summary of a reject ledger (JSON); once per context set.")] = None,
    genome_figures: Annotated[
        Path | None, typer.Option(help="Folder of the genome room's figures and tables (rule genome_figures).")
    ] = None,
    seal_figures: Annotated[
        Path | None, typer.Option(help="Folder of the seal room's figures and tables (rule seal_figures).")
    ] = None,
    xpresso_figures: Annotated[
        Path | None, typer.Option(help="Folder of the xpresso room's figures and tables (rule xpresso_figures).")
    ] = None,
    qc: Annotated[Path | None, typer.Option(help="Quality of the attributions (TSV).")] = None,
    annotated: Annotated[Many, typer.Option(help="Annotated seqlets (Parquet); once per motif database.")] = None,
    motif_effects: Annotated[Many, typer.Option(help="Motif effects (TSV); once per motif database.")] = None,
    logos: Annotated[
        Many, typer.Option(help="Index of logos (JSON), PNG files in the folder of that name; once per motif database.")
    ] = None,
    truth_json: Annotated[
        Path | None, typer.Option("--truth", help="The truth check (JSON); real runs have none.")
    ] = None,
) -> None:
    """Bring the results together on one page. What is left out of the command is left out of the page.

    The context set or motif database of a file is the name of the folder it stands in.
    """
    from cisweave.report.html import ReportFiles, write_report

    files = ReportFiles(
        run=run,
        config=config,
        chromatin=chromatin,
        pretrained=pretrained,
        models=model or [],
        evaluations=evaluation or [],
        effects=effects or [],
        ledgers=ledger or [],
        genome=genome_figures,
        seal=seal_figures,
        xpresso=xpresso_figures,
        qc=qc,
        annotated=annotated or [],
        motif_effects=motif_effects or [],
        logos=logos or [],
        truth=truth_json,
    )
    write_report(files, out)


@app.command()
def mutations(
    out: Annotated[Path, typer.Option(help="Outcome of every mutation (JSON) to write.")],
    cache: Annotated[
        Path, typer.Option(help="Folder that keeps the tiny built-in world and the model trained on it.")
    ] = Path(".cache/tests"),
    threads: Threads = None,
) -> None:
    """Plant defects in a tiny trained world and see that each is caught by its probe; exit 1 if one is not.

    Builds the tiny world and trains a small model on it the first time (about a minute on two cores).
    """
    from cisweave.core.devices import set_threads
    from cisweave.report.mutations import run_mutations, tiny_world
    from cisweave.simulate import build_world

    set_threads(threads or 1)
    result = run_mutations(tiny_world(cache, build_world), out)
    stop_at(result["missed"], f"not every defect was caught, see {out}")


def stop_at(failures: list[str], message: str) -> None:
    """Exit with status 1 and one message if there are failures."""
    if failures:
        typer.echo(f"cisweave: {message}: {'; '.join(failures)}", err=True)
        raise typer.Exit(1)
