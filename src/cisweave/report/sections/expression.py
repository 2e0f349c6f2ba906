"""Predicted against measured expression on contigs never trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cisweave.report import figures
from cisweave.report.blocks import Block, Column, Figure, Table, Text
from cisweave.report.data import ReportData
from cisweave.report.scores import spearman

MOST_PANELS = 16


def expression_section(data: ReportData) -> list[Block]:
    """Scatter plots and a table per context."""
    if not len(data.evaluation):
        return []
    table = context_table(data.evaluation)
    chromosomes = ", ".join(sorted(data.evaluation.chrom.unique()))
    genes = data.evaluation.gene_id.nunique()
    intro = (
        f"{genes} genes on {chromosomes}, which no model was trained on. Spearman's ρ is taken across genes in each "
        "context; expression is ln(value + pseudocount)."
    )
    return [Text(intro), scatter(data.evaluation, table), by_context(table)]


def context_table(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Genes, Spearman and mean squared error per context set and context."""
    rows = [
        {
            "set": context_set,
            "context": context,
            "genes": len(genes),
            "spearman": spearman(genes.predicted, genes.measured),
            "mse": float(((genes.predicted - genes.measured) ** 2).mean()),
        }
        for (context_set, context), genes in evaluation.groupby(["set", "context"], sort=False)
    ]
    return pd.DataFrame(rows)


def scatter(evaluation: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """A panel per context; of many contexts, evenly spaced ones from the best to the worst predicted."""
    chosen = table
    if len(table) > MOST_PANELS:
        ranked = table.sort_values("spearman", ascending=False, kind="stable")
        chosen = ranked.iloc[np.linspace(0, len(ranked) - 1, MOST_PANELS).round().astype(int)]
    parts = dict(iter(evaluation.groupby(["set", "context"], sort=False)))
    panels = {}
    for context_set, context, rho in zip(chosen["set"], chosen.context, chosen.spearman, strict=True):
        genes = parts[context_set, context]
        panels[str(context)] = (genes.measured, genes.predicted, float(rho))
    shown = "every context" if len(chosen) == len(table) else f"{len(chosen)} of {len(table)} contexts"
    caption = f"Predicted against measured expression in {shown}; one dot is a test gene, the dotted line is equality."
    return Figure(figures.expression_scatter(panels), caption, "Scatter plots of predicted against measured expression")


def by_context(table: pd.DataFrame) -> Table:
    """The table of contexts."""
    columns = [
        Column("set", "context set"),
        Column("context", "context"),
        Column("genes", "test genes", ".0f"),
        Column("spearman", "Spearman ρ", ".3f", bar=1.0),
        Column("mse", "mean squared error (ln units²)", ".3f"),
    ]
    caption = "Accuracy per context on test contigs."
    return Table.of(table, columns, caption, search=len(table) > 30, tall=len(table) > 30)
