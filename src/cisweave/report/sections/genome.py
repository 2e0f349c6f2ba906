"""The genome room: what became of the alleles that were read, and where those lie that have a gene."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cisweave.core.files import existing
from cisweave.genome.figures import MOST_CONTIGS
from cisweave.genome.summary import CLASSES
from cisweave.report.blocks import Block, Column, Figure, Heading, Notice, Table, Text, Tile, Tiles
from cisweave.report.data import ReportData


def genome_section(data: ReportData) -> list[Block]:
    """Alleles through the steps, rejects by code, classes, distance to the TSS, contigs."""
    if not data.genome:
        return ledger_blocks(data)
    return [
        Tiles(tiles(data)),
        *[Text(balance(names, summary)) for names, summary in equal_ledgers(data.ledgers)],
        picture(data, "flow"),
        Heading("Rejected alleles"),
        *reject_blocks(data),
        Heading("Alleles with a gene"),
        *kept_blocks(data),
    ]


# --- the ledger -------------------------------------------------------------------------------------------------------
def equal_ledgers(ledgers: dict[str, dict[str, Any]]) -> list[tuple[list[str], dict[str, Any]]]:
    """Context sets whose ledgers say the same, with what they say."""
    groups: list[tuple[list[str], dict[str, Any]]] = []
    for name, summary in ledgers.items():
        same = next((names for names, other in groups if other == summary), None)
        if same is None:
            groups.append(([name], summary))
        else:
            same.append(name)
    return groups


def balance(names: list[str], summary: dict[str, Any]) -> str:
    """The books of some context sets in one sentence."""
    return (
        f"{named(names)}: {summary['alleles']:,} alleles of {summary['records']:,} records were read, "
        f"{summary['scored']:,} scored, {summary['rejected']:,} rejected. The books balance."
    )


def named(names: list[str]) -> str:
    """Context sets in words."""
    if len(names) == 1:
        return f"Context set {names[0]}"
    return f"Context sets {', '.join(names[:-1])} and {names[-1]} alike"


def ledger_blocks(data: ReportData) -> list[Block]:
    """What the ledgers alone can say."""
    blocks: list[Block] = []
    for names, summary in equal_ledgers(data.ledgers):
        blocks.append(Text(balance(names, summary)))
        if summary["reasons"]:
            meanings = summary.get("explanations", {})
            rows = [(code, number, meanings.get(code, "")) for code, number in summary["reasons"].items()]
            frame = pd.DataFrame(rows, columns=["code", "alleles", "meaning"])
            frame = frame.sort_values(["alleles", "code"], ascending=[False, True], kind="stable")
            blocks.append(Table.of(frame, REJECT_COLUMNS[1:], "Rejected alleles by code."))
    return blocks


REJECT_COLUMNS = [
    Column("step", "step", "code"),
    Column("code", "code", "code"),
    Column("alleles", "alleles", ",.0f"),
    Column("meaning", "meaning", "prose"),
]


def reject_blocks(data: ReportData) -> list[Block]:
    """Rejected alleles by step and code."""
    rejects = data.genome["rejects"]
    if rejects.empty:
        return [Notice(["No allele was rejected."], "good")]
    caption = "Rejected alleles by step and code; each has its line in the ledger."
    columns = list(REJECT_COLUMNS)
    if (rejects["context_sets"] != data.genome["flow"]["context_sets"].iloc[0]).any():
        caption += " Where context sets differ, they are named."
        rejects = rejects.assign(context_sets=rejects["context_sets"].str.replace(",", ", "))
        columns.insert(1, Column("context_sets", "context sets"))
    return [picture(data, "rejects"), Table.of(rejects, columns, caption)]


# --- the alleles ------------------------------------------------------------------------------------------------------
def tiles(data: ReportData) -> list[Tile]:
    """The figures a reader looks for first."""
    flow, quantity = data.genome["flow"], data.genome["summary"].set_index("quantity")["value"].to_dict()
    read, assigned = int(flow["in"].iloc[0]), int(quantity["assigned_alleles"])
    share, checked = quantity["ref_match_share"], int(quantity["ref_checked"])
    match = "–" if pd.isna(share) else percent(share)
    distance = quantity["median_distance"]
    return [
        Tile("Alleles with a gene", f"{assigned:,}", f"of {read:,} read; {int(quantity['genes']):,} genes"),
        Tile("REF is the genome's", match, f"of {checked:,} alleles compared, as the file has them"),
        Tile("Swapped", f"{int(quantity['swapped']):,}", "the genome holds ALT; effects are negated"),
        Tile("Reverse-complemented", f"{int(quantity['reverse_complemented']):,}", "lifted to the other strand"),
        Tile("Distance to TSS", "–" if pd.isna(distance) else f"{distance:,.0f} bp", "median, either direction"),
    ]


def percent(share: float) -> str:
    """A share in percent; 100 % only where nothing is missing."""
    text = f"{100 * share:.2f}"
    return f"{'99.99' if text == '100.00' and share < 1 else text.rstrip('0').rstrip('.')} %"


def kept_blocks(data: ReportData) -> list[Block]:
    """Classes and lengths, distance to the TSS, contigs."""
    if data.genome["contigs"].empty:
        return [Notice(["No allele has a gene within reach."])]
    return [
        picture(data, "alleles"),
        picture(data, "distance"),
        picture(data, "contigs"),
        contig_table(data.genome["contigs"]),
    ]


def contig_table(contigs: pd.DataFrame) -> Table:
    """Alleles per contig by class; classes that no allele has are left out."""
    shown = [name for name in CLASSES if contigs[name].any()]
    columns = [
        Column("contig", "contig", "code"),
        Column("alleles", "alleles", ",.0f", bar=float(contigs["alleles"].max())),
        *(Column(name, name, ",.0f") for name in shown),
        Column("swapped", "swapped", ",.0f"),
        Column("reverse_complemented", "reverse-complemented", ",.0f"),
    ]
    caption = "Alleles with a gene by contig of the modelled assembly."
    return Table.of(contigs, columns, caption, tall=len(contigs) > MOST_CONTIGS)


CAPTIONS = {
    "flow": (
        "Alleles through the steps: what is kept goes on to the right, what is rejected leaves downwards. Heights are "
        "proportional to numbers of alleles.",
        "Flow of alleles through the steps of the genome room to their scores",
        True,
    ),
    "rejects": ("Rejected alleles by step and code.", "Bars of rejected alleles by step and code", False),
    "alleles": (
        "Classes of the alleles with a gene, written with the fewest bases, and how many bases insertions and "
        "deletions change. SNV: one base for another; MNV: several for as many; complex: anything else.",
        "Bars of alleles by class, and of insertions and deletions by length",
        True,
    ),
    "distance": (
        "Distance of each allele from the transcription start site (TSS) of its gene, in gene orientation: negative is "
        "upstream, the TSS itself counts as downstream. An allele with several genes counts once for each.",
        "Histogram of the distance to the transcription start site",
        True,
    ),
    "contigs": (
        "Alleles with a gene by contig of the modelled assembly.",
        "Bars of alleles by contig and class",
        False,
    ),
}
"""Caption, description in words and whether wide, per figure."""


def picture(data: ReportData, name: str) -> Figure:
    """A figure of the room as its program drew it."""
    assert data.files.genome is not None
    caption, alt, wide = CAPTIONS[name]
    if name == "flow":
        caption += f" {flow_sets(data.genome['flow'])}"
    return Figure(existing(data.files.genome / f"{name}.png").read_bytes(), caption, alt, wide)


def flow_sets(flow: pd.DataFrame) -> str:
    """Which context sets a flow stands for."""
    sets = flow["context_sets"].drop_duplicates()
    if len(sets) == 1:
        return f"{named(sets.iloc[0].split(','))}."
    return "Context sets in which other alleles were scored have a panel of their own."
