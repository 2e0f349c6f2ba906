"""Motifs: which ones the seqlets spell, and logos of the clearest loci."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cisweave.core.files import existing
from cisweave.report import figures
from cisweave.report.blocks import Block, Column, Figure, Gallery, Heading, Table, Text, number_text
from cisweave.report.data import ReportData

MOST_MOTIFS = 20


def logos_section(data: ReportData) -> list[Block]:
    """Attribution logos, reference over alternative."""
    logos = [
        Figure(
            existing(path).read_bytes(),
            logo_caption(entry),
            f"Attribution logo: {entry['title']}",
            wide=entry["kind"] != "variant",
        )
        for path, entry in data.logos
    ]
    if not logos:
        return []
    intro = (
        "Height is the DeepLIFT/SHAP attribution of the base that is there (log-odds of the named chromatin track); "
        "seqlets are underlined with the motif they match, the variant is shaded."
    )
    return [Text(intro), Gallery(logos)]


def logo_caption(entry: dict[str, Any]) -> str:
    """What the figure shows."""
    if entry["kind"] != "variant":
        return f"{entry['title'][:1].upper()}{entry['title'][1:]}."
    event = {"breaks": "breaks", "makes": "makes"}.get(entry["event"])
    what = f"The variant {event} {entry['motif']}" if event else "No motif changes"
    change = number_text(float(entry["effect"]), "+.2f")
    return f"{what}; {entry['gene_id']} changes by {change} (ln expression) in {entry['context']}."


def motifs_section(data: ReportData) -> list[Block]:
    """Named seqlets per motif, and the quality of the attributions."""
    blocks: list[Block] = []
    for database, seqlets in data.seqlets.items():
        blocks.append(Heading(f"Database {database}"))
        named = seqlets[seqlets.assigned]
        share = f"{len(named):,} of {len(seqlets):,} seqlets have a name"
        blocks.append(Text(f"{share}; the others match no motif of the database well enough."))
        if len(named):
            blocks += [motif_figure(named), motif_table(named)]
    if data.qc is not None:
        blocks += [Heading("Quality of the attributions"), Text(quality(data.qc))]
    return blocks


def motif_figure(named: pd.DataFrame) -> Figure:
    """The motifs with most seqlets."""
    counts = named.label.value_counts().sort_index().sort_values(ascending=False, kind="stable").head(MOST_MOTIFS)
    png = figures.ranked_bars([str(label) for label in counts.index], counts, "seqlets")
    caption = f"The {len(counts)} motifs with most seqlets, over all attributed loci, haplotypes and tracks."
    return Figure(png, caption, "Bars: number of seqlets per motif", wide=False)


def motif_table(named: pd.DataFrame) -> Table:
    """Counts per motif and track."""
    grouped = named.groupby(["label", "matrix_id", "track"], sort=True)
    frame = grouped.agg(
        seqlets=("seqlet_id", "size"), loci=("locus_id", "nunique"), attribution=("attribution", "mean")
    ).reset_index()
    frame = frame.sort_values(["seqlets", "label", "track"], ascending=[False, True, True], kind="stable")
    columns = [
        Column("label", "motif"),
        Column("matrix_id", "matrix", "code"),
        Column("track", "track"),
        Column("seqlets", "seqlets", ",.0f", bar=float(frame.seqlets.max())),
        Column("loci", "loci", ",.0f"),
        Column("attribution", "mean attribution (log-odds)", "+.2f"),
    ]
    caption = "Named seqlets per motif, matrix and attributed track."
    return Table.of(frame, columns, caption, search=len(frame) > 30, tall=len(frame) > 20)


def quality(qc: pd.DataFrame) -> str:
    """The convergence of DeepLIFT, in a sentence."""
    good = int((qc.status == "ok").sum())
    return (
        f"{good:,} of {len(qc):,} attributed windows pass the convergence check; the median convergence delta is "
        f"{qc.delta_rel.median():.1e} of the output difference."
    )
