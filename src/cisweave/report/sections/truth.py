"""The truth check of the built-in world; runs on real data have none."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cisweave.report import figures
from cisweave.report.blocks import Block, Column, Figure, Heading, Notice, Table, Text, Tile, Tiles
from cisweave.report.data import ReportData

SHOWN = {
    "expression_spearman": ("Expression", "Spearman of predicted against noise-free expression, median over contexts"),
    "effect_sign_agreement": ("Effect signs", "share of motif variants whose effect has the true sign"),
    "effect_spearman": ("Effect sizes", "Spearman of predicted against true effects, median over contexts"),
    "motif_recall": ("Motifs", "share of planted motif instances found by a seqlet and named right"),
}


def truth_section(data: ReportData) -> list[Block]:
    """Scores with floors and baselines, probes, and tables per factor."""
    truth = data.truth
    if truth is None:
        return []
    counts = truth["counts"]
    intro = (
        "The built-in world knows what it planted. On contigs never trained on, the results are compared with that "
        f"truth: {counts['test_genes']} genes, {counts['motif_variants']} motif variants with a true effect of at "
        f"least {truth['min_effect']} (ln expression) in some context, {counts['instances']} planted motif instances "
        f"in {counts['loci']} attributed loci."
    )
    blocks: list[Block] = [Text(intro), Tiles([score_tile(truth, name) for name in SHOWN])]
    if truth["failures"]:
        blocks.append(Notice(truth["failures"]))
    blocks += [Heading("Scores, baselines and floors"), score_table(truth)]
    blocks += [Heading("Probes"), probe_table(truth["probes"])]
    blocks += [Heading("Per transcription factor"), *factor_blocks(truth)]
    return blocks


def score_tile(truth: dict[str, Any], name: str) -> Tile:
    """One score as a light: good when above its floor and its baselines far enough below."""
    label, note = SHOWN[name]
    checks = [truth["baselines"][name]["passed"]]
    floor = truth["floors"].get(name)
    if floor is not None:
        checks.append(floor["passed"])
        note += f"; floor {floor['floor']:.3f}"
    return Tile(label, f"{truth['figures'][name]:.3f}", note, "good" if all(checks) else "bad")


def score_table(truth: dict[str, Any]) -> Table:
    """Every figure with what it is held against."""
    rows = []
    for name, value in truth["figures"].items():
        baseline, floor = truth["baselines"].get(name, {}), truth["floors"].get(name, {})
        rows.append(
            {
                "figure": name,
                "value": value,
                "floor": floor.get("floor"),
                "gc": baseline.get("gc_content"),
                "tss": baseline.get("tss_distance"),
                "passed": all(checks) if (checks := outcomes(floor, baseline)) else None,
            }
        )
    columns = [
        Column("figure", "figure", "code"),
        Column("value", "value", ".3f", bar=1.0),
        Column("floor", "floor", ".3f"),
        Column("gc", "GC content alone", ".3f"),
        Column("tss", "TSS distance alone", ".3f"),
        Column("passed", "outcome", "status"),
    ]
    caption = (
        "A score passes when it reaches its floor and each baseline, in its best orientation, stays below half of it "
        "(for sign agreement: half of the distance from one half)."
    )
    return Table.of(pd.DataFrame(rows), columns, caption)


def outcomes(*checks: dict[str, Any]) -> list[bool]:
    """Outcomes of those checks that were made."""
    return [bool(check["passed"]) for check in checks if "passed" in check]


def probe_table(probes: dict[str, dict[str, Any]]) -> Table:
    """Every probe with its bound."""
    rows = [
        {
            "probe": name,
            "meaning": probe["meaning"],
            "value": "not a number" if probe["value"] is None else f"{probe['value']:.4g}",
            "bound": f"{probe['sense']} {probe['bound']:.4g}",
            "passed": probe["passed"],
        }
        for name, probe in probes.items()
    ]
    columns = [
        Column("probe", "probe", "code"),
        Column("meaning", "what is measured", "prose"),
        Column("value", "value", "code"),
        Column("bound", "must be"),
        Column("passed", "outcome", "status"),
    ]
    return Table.of(pd.DataFrame(rows), columns, "Sharp probes, one for each defect that scores alone do not see.")


def factor_blocks(truth: dict[str, Any]) -> list[Block]:
    """Recall and effects per transcription factor."""
    recall = pd.DataFrame(truth["recall_per_tf"])
    factors = pd.DataFrame(truth["per_tf"]).merge(recall, on="tf", how="outer").sort_values("tf", ignore_index=True)
    columns = [
        Column("tf", "factor"),
        Column("variants", "variants", ".0f"),
        Column("sign_agreement", "sign agreement", ".2f", bar=1.0),
        Column("spearman", "Spearman of effects", ".2f"),
        Column("instances", "planted instances", ".0f"),
        Column("found", "covered by a seqlet", ".2f", bar=1.0),
        Column("named", "named right", ".2f", bar=1.0),
    ]
    caption = "Variants and planted motif instances per transcription factor, test contigs."
    figure = Figure(
        figures.recall_bars(recall),
        "Planted motif instances inside attributed core bins that a seqlet covers, and that Tomtom names right.",
        "Bars: recall per transcription factor",
        wide=False,
    )
    return [Table.of(factors, columns, caption), figure]
