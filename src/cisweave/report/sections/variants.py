"""The strongest variants."""

from __future__ import annotations

import pandas as pd

from cisweave.genome.table import as_in_file
from cisweave.report import figures
from cisweave.report.blocks import Block, Column, Figure, Table
from cisweave.report.data import ReportData

MOST_VARIANTS = 100
LONGEST_ALLELE = 12
UNASSIGNED = "unassigned"
EVENTS = {"breaks": "breaks", "makes": "makes", "none": ""}


def variants_section(data: ReportData) -> list[Block]:
    """Top variants with gene, context, effect and motif."""
    variants = data.variants
    if variants.empty:
        return []
    strand = variants.gene_strand.map({"-": -1}).fillna(1)
    figure = figures.effects_by_distance(variants.dist_to_tss * strand, variants.effect.astype(float))
    caption = (
        f"Effect of {len(variants):,} alleles in the context where it is strongest (alternative minus reference, "
        "ln expression; red raises, blue lowers expression) by distance to the closest TSS, negative upstream."
    )
    return [
        Figure(figure, caption, "Variant effect by distance to the transcription start site"),
        top_table(variants.head(MOST_VARIANTS), data.motif_effects),
    ]


def top_table(variants: pd.DataFrame, motif_effects: pd.DataFrame) -> Table:
    """The table of top variants."""
    events = motif_effects[["record", "allele", "event", "motif"]].drop_duplicates(["record", "allele"])
    table = as_in_file(variants).merge(
        events.astype({"record": "int64", "allele": "int64"}), on=["record", "allele"], how="left"
    )
    motif = table.motif.where(~table.motif.isin([UNASSIGNED, ""]) & table.motif.notna(), "a motif without a name")
    event = table.event.map(EVENTS).fillna("")
    shown = table.assign(
        rank=range(1, len(table) + 1),
        place=[f"{chrom}:{pos:,}" for chrom, pos in zip(table.chrom, table.pos, strict=True)],
        alleles=[f"{shorten(ref)} → {shorten(alt)}" for ref, alt in zip(table.ref, table["alt"], strict=True)],
        event=(event + " " + motif).where(event != "", ""),
        distance=table.dist_to_tss * table.gene_strand.map({"-": -1}).fillna(1),
    )
    strongest = float(shown.effect.abs().max()) or 1.0
    columns = [
        Column("rank", "#", ".0f"),
        Column("place", "variant", "code"),
        Column("alleles", "REF → ALT", "code"),
        Column("gene_id", "gene"),
        Column("distance", "to TSS (bp)", "+,.0f"),
        Column("context", "context"),
        Column("effect", "effect (ln)", "+.3f", bar=strongest),
        Column("event", "motif"),
    ]
    caption = (
        f"The {len(shown)} strongest alleles by absolute effect (alternative minus reference, ln expression) in the "
        "context where it is strongest. Positions are 1-based; distance to the TSS is in gene orientation, negative "
        "upstream. The motif is what the variant breaks or makes, where the allele was attributed."
    )
    return Table.of(shown, columns, caption, search=True, tall=True)


def shorten(bases: str) -> str:
    """An allele that fits into a column."""
    if len(bases) <= LONGEST_ALLELE:
        return bases
    return f"{bases[: LONGEST_ALLELE - 4]}… ({len(bases)} bp)"
