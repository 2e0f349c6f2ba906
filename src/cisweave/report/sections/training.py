"""Training: the curves of every model, and how well each chromatin track is predicted."""

from __future__ import annotations

import pandas as pd

from cisweave.report import figures
from cisweave.report.blocks import Block, Column, Figure, Heading, Table
from cisweave.report.data import ReportData


def training_section(data: ReportData) -> list[Block]:
    """Loss per epoch; area under the ROC curve per track."""
    if not data.histories:
        return []
    caption = (
        "Loss per epoch on training and validation contigs (cross-entropy for chromatin, mean squared error of "
        "ln expression for expression). The weights of the best validation epoch are kept."
    )
    names = ", ".join(data.histories)
    blocks: list[Block] = [Figure(figures.training_curves(data.histories), caption, f"Training curves of {names}")]
    tracks = track_table(data)
    if tracks is not None:
        blocks += [Heading("Chromatin tracks"), tracks]
    return blocks


def track_table(data: ReportData) -> Table | None:
    """Area under the ROC curve per track on validation and test contigs."""
    metrics = data.chromatin_metrics
    if not metrics.get("test_auc"):
        return None
    frame = pd.DataFrame({"valid": metrics.get("valid_auc", {}), "test": metrics["test_auc"]})
    frame = frame.rename_axis("track").reset_index()
    columns = [
        Column("track", "track"),
        Column("valid", "AUC, validation contigs", ".3f", bar=1.0),
        Column("test", "AUC, test contigs", ".3f", bar=1.0),
    ]
    caption = "Area under the ROC curve per track: peak or no peak over the central bin, both strands averaged."
    return Table.of(frame, columns, caption, tall=len(frame) > 30)
