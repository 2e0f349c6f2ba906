"""``cisweave seqlets``: attribution, seqlets, motif annotation, the motif each variant breaks or makes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cisweave.cli.common import Device, Settings, Threads

app = typer.Typer(
    no_args_is_help=True, help="Attribution, seqlets, motif annotation, the motif each variant breaks or makes."
)

Loci = Annotated[
    Path, typer.Option(help="Locus table (TSV): one row per window and haplotype, start and end 0-based half-open.")
]
Sequences = Annotated[
    Path, typer.Option(help="Sequences of the loci (HDF5: codes uint8 (loci, length), A0 C1 G2 T3 N4; locus_id).")
]
Chromatin = Annotated[Path, typer.Option(help="Folder of the chromatin model.")]
Effects = Annotated[
    list[Path] | None,
    typer.Option(
        help="Variant effects (Parquet: alt - ref, ln expression, a column per context); once per context set."
    ),
]
ChromatinEffects = Annotated[
    list[Path] | None,
    typer.Option(help="Chromatin effects (Parquet: alt - ref probability, a column per track); once per context set."),
]
AnnotatedSeqlets = Annotated[Path, typer.Option("--annotated", help="Annotated seqlets (Parquet).")]


@app.command()
def select(
    profiles: Annotated[Path, typer.Option(help="Chromatin profiles around every TSS (HDF5).")],
    model: Chromatin,
    out: Annotated[Path, typer.Option(help="Locus table (TSV) to write; windows 0-based half-open, pos 1-based.")],
    effects: Effects = None,
    chromatin_effects: ChromatinEffects = None,
    settings: Settings = None,
) -> None:
    """Choose the strongest variants and promoter windows, and the tracks to attribute at each."""
    from cisweave.config import LociSettings, load_settings
    from cisweave.seqlets.loci import select_loci

    select_loci(effects or [], chromatin_effects or [], profiles, model, out, load_settings(LociSettings, settings))


@app.command()
def attribute(
    loci: Loci,
    sequences: Sequences,
    model: Annotated[Path, typer.Option(help="Folder of the model: of chromatin, or of promoters.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Attributions (HDF5) to write: projected (items, length), hypothetical (items, 4, length; A C G T), "
            "in units of the output (logits of chromatin, z-scores of expression); an item is one locus x track."
        ),
    ],
    qc: Annotated[Path, typer.Option(help="Quality per item (TSV) to write: predictions and convergence deltas.")],
    settings: Settings = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1, help="Seed of the references, in place of settings.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Attribute the tracks of every locus by DeepLIFT/SHAP."""
    from cisweave.config import AttributionSettings, load_settings
    from cisweave.core.devices import set_threads
    from cisweave.seqlets.attribute import attribute_loci

    set_threads(threads)
    section = load_settings(AttributionSettings, settings)
    if seed is not None:
        section = section.model_copy(update={"seed": seed})
    attribute_loci(loci, sequences, model, out, qc, section, device)


@app.command()
def call(
    attributions: Annotated[
        Path, typer.Option(help="Attributions of all items (HDF5); chunks must be gathered first.")
    ],
    loci: Loci,
    out: Annotated[
        Path,
        typer.Option(
            help="Seqlet table (TSV) to write; start, end relative to the window, g_start, g_end on the genome."
        ),
    ],
    settings: Settings = None,
) -> None:
    """Call seqlets: spans of high or low attribution."""
    from cisweave.config import CallingSettings, load_settings
    from cisweave.seqlets.call import call_seqlets

    call_seqlets(attributions, loci, out, load_settings(CallingSettings, settings))


@app.command()
def prepare_motifs(
    database: Annotated[str, typer.Option(help="Name of the database.")],
    entry: Annotated[str, typer.Option(help="Its entry in motifs.yaml: JSON text or a YAML/JSON file.")],
    out: Annotated[Path, typer.Option(help="MEME file to write; one unique word after each MOTIF.")],
    table_out: Annotated[
        Path, typer.Option("--table", help="Table (TSV) to write: idx, matrix_id, name, width (bp), ic_bits, family.")
    ],
) -> None:
    """Prepare a motif database: JASPAR as bundled with pyjaspar, or a MEME file."""
    from cisweave.config import MotifDatabase, load_settings
    from cisweave.motifs import prepare_database

    prepare_database(load_settings(MotifDatabase, entry), out, table_out, database)


@app.command()
def annotate(
    seqlets: Annotated[Path, typer.Option(help="Seqlet table (TSV).")],
    sequences: Sequences,
    motifs: Annotated[Path, typer.Option(help="Prepared motif database (MEME).")],
    table: Annotated[Path, typer.Option(help="Its table (TSV).")],
    out: Annotated[Path, typer.Option(help="Annotated seqlets (Parquet) to write: a row per seqlet and match.")],
    tsv: Annotated[Path, typer.Option(help="The same as TSV.")],
    settings: Settings = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of Tomtom. Default: all.")] = None,
) -> None:
    """Name seqlets by their nearest motif (Tomtom)."""
    from cisweave.config import AnnotationSettings, load_settings
    from cisweave.seqlets.annotate import annotate_seqlets

    section = load_settings(AnnotationSettings, settings)
    annotate_seqlets(seqlets, sequences, motifs, table, out, tsv, section, threads)


@app.command()
def motif_effects(
    annotated: AnnotatedSeqlets,
    loci: Loci,
    out: Annotated[
        Path, typer.Option(help="Table (TSV) to write: per variant its strongest context and the motif broken or made.")
    ],
    effects: Effects = None,
) -> None:
    """Find the motif each variant breaks or makes."""
    from cisweave.seqlets.effects import motif_effects as find_motif_effects

    find_motif_effects(annotated, loci, effects or [], out)
