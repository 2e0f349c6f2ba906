"""The run at a glance, and what exactly was run."""

from __future__ import annotations

import pandas as pd
import yaml

from cisweave.report.blocks import Block, Column, Details, Heading, Table, Text, Tile, Tiles
from cisweave.report.data import ReportData
from cisweave.report.sections.expression import context_table

HASH = 12
"""Characters of a checksum that are shown."""


def overview_section(data: ReportData) -> list[Block]:
    """The figures a reader looks for first."""
    tiles = [*model_tiles(data), *variant_tiles(data), *seqlet_tiles(data), *truth_tiles(data)]
    return [Tiles(tiles)] if tiles else []


def model_tiles(data: ReportData) -> list[Tile]:
    """How well the models do on contigs they never saw."""
    tiles = []
    aucs = {track: auc for track, auc in data.chromatin_metrics.get("test_auc", {}).items() if auc is not None}
    if aucs:
        lowest = min(aucs, key=lambda track: aucs[track])
        note = f"median AUC of {len(aucs)} chromatin tracks, test contigs; lowest: {lowest} {aucs[lowest]:.2f}"
        tiles.append(Tile("Chromatin", f"{pd.Series(aucs).median():.3f}", note))
    if len(data.evaluation):
        table = context_table(data.evaluation)
        genes = data.evaluation.gene_id.nunique()
        note = f"median Spearman over {len(table)} contexts, {genes} test genes, predicted against measured"
        tiles.append(Tile("Expression", f"{table.spearman.median():.3f}", note))
    return tiles


def variant_tiles(data: ReportData) -> list[Tile]:
    """How many variants were scored and how strong they are."""
    if not data.files.effects:
        return []
    rejected = sum(summary["rejected"] for summary in list(data.ledgers.values())[:1])
    note = f"alleles scored in {len(data.files.effects)} context sets" + (f", {rejected} rejected" if rejected else "")
    return [Tile("Variants", f"{len(data.variants):,}", note)]


def seqlet_tiles(data: ReportData) -> list[Tile]:
    """How many seqlets have a name."""
    tiles = []
    for database, table in data.seqlets.items():
        names = table.label[table.assigned].nunique()
        note = f"seqlets, {int(table.assigned.sum()):,} named by {names} motifs of {database}"
        tiles.append(Tile("Seqlets", f"{len(table):,}", note))
    return tiles


def truth_tiles(data: ReportData) -> list[Tile]:
    """Whether the truth check passed."""
    if data.truth is None:
        return []
    passed = data.truth["passed"]
    note = f"{data.truth['summary']['probes_passed']} of {data.truth['summary']['probes']} probes"
    return [Tile("Truth check", "passed" if passed else "failed", note, "good" if passed else "bad")]


def run_section(data: ReportData) -> list[Block]:
    """Configuration, versions and receipts."""
    blocks: list[Block] = []
    if data.config:
        text = yaml.safe_dump(data.config, sort_keys=False, allow_unicode=True)
        blocks += [Details("The whole configuration (YAML)", text)]
    if data.receipts:
        blocks += [Heading("Versions"), versions_table(data), Heading("Receipts"), receipts_table(data)]
        blocks += [inputs_details(data)]
    if blocks:
        text = "Two runs with the same configuration, versions, input checksums and seed give the same result."
        blocks.insert(0, Text(text))
    return blocks


def versions_table(data: ReportData) -> Table:
    """Versions of the packages that shape results, over all receipts."""
    versions: dict[str, list[str]] = {}
    for identity in data.receipts.values():
        for package, version in identity.get("versions", {}).items():
            if version not in versions.setdefault(package, []):
                versions[package].append(version)
    frame = pd.DataFrame({"package": list(versions), "version": [", ".join(found) for found in versions.values()]})
    return Table.of(frame, [Column("package", "package"), Column("version", "version", "code")], "Package versions.")


def receipts_table(data: ReportData) -> Table:
    """How each result came about, in a line."""
    frame = pd.DataFrame(
        [
            {
                "result": name,
                "seed": identity.get("seed"),
                "device": identity.get("device"),
                "dtype": identity.get("dtype"),
                "settings": str(identity.get("settings_sha256", ""))[:HASH],
                "inputs": len(identity.get("inputs", {})),
            }
            for name, identity in data.receipts.items()
        ]
    )
    columns = [
        Column("result", "result"),
        Column("seed", "seed", ".0f"),
        Column("device", "device", "code"),
        Column("dtype", "dtype", "code"),
        Column("settings", "settings, SHA-256", "code"),
        Column("inputs", "input files", ".0f"),
    ]
    return Table.of(frame, columns, "One line per result; the receipts beside the files hold the rest.")


def inputs_details(data: ReportData) -> Details:
    """Checksums of all input files, each file once."""
    sums = {path: digest for identity in data.receipts.values() for path, digest in identity.get("inputs", {}).items()}
    lines = [f"{digest}  {path}" for path, digest in sorted(sums.items())]
    return Details(f"SHA-256 of {len(lines)} input files", "\n".join(lines))
