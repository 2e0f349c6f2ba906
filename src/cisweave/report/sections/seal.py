"""The seal room: how well expression is predicted in every context, and how large the effects of variants are."""

from __future__ import annotations

import pandas as pd

from cisweave.core.files import existing
from cisweave.report.blocks import Block, Column, Figure, Heading, Table, Text, Tile, Tiles
from cisweave.report.data import ReportData


def seal_section(data: ReportData) -> list[Block]:
    """Performance per context, pre-training against fine-tuning, effects by distance and context, losses."""
    if not data.seal:
        return []
    blocks: list[Block] = [Tiles(tiles(data))]
    if len(data.seal["performance"]):
        blocks += [
            Heading("Performance"),
            picture(data, "performance"),
            picture(data, "phases"),
            phase_table(data.seal["performance"]),
        ]
    if len(data.seal["curves"]):
        blocks.append(picture(data, "curves"))
    if data.seal["distance"]["alleles"].sum():
        blocks += [Heading("Effects"), Text(READING), picture(data, "distance"), picture(data, "contexts")]
    return blocks


READING = (
    "An effect is the change of ln expression of the gene from REF to ALT, as the model predicts it. It ranks alleles, "
    "genes and contexts; it is not a calibrated fold change."
)


def tiles(data: ReportData) -> list[Tile]:
    """The figures a reader looks for first."""
    found = []
    for name, rows in data.seal["performance"].groupby("set", sort=False):
        note = (
            f"median of {len(rows)} contexts, {int(rows['genes'].max()):,} test genes, {PHASES[rows['phase'].iloc[0]]}"
        )
        found.append(Tile(f"Spearman ρ, {name}", f"{rows['spearman'].median():.3f}", note))
    for name, rows in data.seal["contexts"].groupby("set", sort=False):
        known = rows.dropna(subset=["upper"]).sort_values("upper", ascending=False, kind="stable")
        for context, size in zip(known["context"][:1], known["upper"][:1], strict=True):
            note = f"95 % quantile of |effect| in {context}, the context that varies most"
            found.append(Tile(f"Large effect, {name}", f"{size:.3g}", note))
    return found


PHASES = {"pretrain": "pre-trained", "finetune": "fine-tuned"}


def phase_table(performance: pd.DataFrame) -> Table:
    """Median performance of each set."""
    rows = [
        {
            "set": name,
            "phase": PHASES[contexts["phase"].iloc[0]],
            "contexts": len(contexts),
            "genes": contexts["genes"].max(),
            "spearman": contexts["spearman"].median(),
            "worst": contexts["spearman"].min(),
            "best": contexts["spearman"].max(),
            "mse": contexts["mse"].median(),
        }
        for name, contexts in performance.groupby("set", sort=False)
    ]
    columns = [
        Column("set", "context set"),
        Column("phase", "phase"),
        Column("contexts", "contexts", ".0f"),
        Column("genes", "test genes", ",.0f"),
        Column("spearman", "Spearman ρ, median", ".3f", bar=1.0),
        Column("worst", "lowest", ".3f"),
        Column("best", "highest", ".3f"),
        Column("mse", "squared error (ln²)", ".3f"),
    ]
    return Table.of(pd.DataFrame(rows), columns, CAPTION)


CAPTION = (
    "Accuracy of pre-training and of each fine-tuned set on test contigs. Squared error: mean over genes, median over "
    "contexts."
)
CAPTIONS = {
    "performance": (
        "Spearman correlation across test genes in every context, best first, with its 95 % interval over resampled "
        "genes. The dotted line is the median.",
        "Spearman correlation per context with its interval",
    ),
    "phases": (
        "Pre-training on general contexts against fine-tuning on specific ones: one dot is a context, the bar the "
        "median.",
        "Correlation and squared error of pre-trained and fine-tuned contexts",
    ),
    "curves": (
        "Loss per epoch: training genes (dashes), validation genes (line); the dot is the epoch that is kept.",
        "Training curves of the expression models",
    ),
    "distance": (
        "Strongest |effect| of an allele over the contexts of a set, by its distance from the TSS of its gene: median "
        "(line) and 95 % quantile (dashes).",
        "Size of effects by distance to the transcription start site",
    ),
    "contexts": (
        "|effect| of all alleles per context, from the median (dot) to the 95 % quantile; in brackets for how many "
        "alleles the context is the strongest.",
        "Size of effects per context",
    ),
}
"""Caption and description in words, per figure."""


def picture(data: ReportData, name: str) -> Figure:
    """A figure of the room as its program drew it."""
    assert data.files.seal is not None
    caption, alt = CAPTIONS[name]
    return Figure(existing(data.files.seal / f"{name}.png").read_bytes(), caption, alt)
