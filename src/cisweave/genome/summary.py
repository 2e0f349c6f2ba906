"""What became of the alleles, in tables: through the steps, by reject code, by class, length, distance and contig."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.genome.reasons import EXPLANATIONS, Reason
from cisweave.tables.frames import read_table
from cisweave.tables.ledger import KEY, read_ledger
from cisweave.tables.receipts import receipt_path

CLASSES = ["SNV", "MNV", "insertion", "deletion", "complex"]
"""One base for another; several for as many; bases put in; bases taken out; anything else."""
LENGTHS = [1, 2, 3, 4, 5, 10, 20, 50, 100]
"""Last length (bases) of each bin of inserted or deleted bases; longer ones share a bin."""
MOST_BINS = 40
"""Bins of the distance to the TSS, about."""
MEANINGS = {
    "assigned_alleles": "alleles with a gene",
    "genes": "genes of these alleles",
    "ref_checked": "alleles whose REF was compared with the genome, kept or rejected for it",
    "ref_match_share": "share of those whose REF in the file is what the genome holds",
    "swapped": "alleles whose REF and ALT were exchanged, because the genome holds ALT",
    "reverse_complemented": "alleles that were reverse-complemented when they were lifted",
    "median_distance": "median distance to the TSS (bp), without direction",
}
"""Rows of the summary."""

REF_CODES = (Reason.REF_MISMATCH, Reason.LIFT_REF_MISMATCH, Reason.LIFT_SWAPPED)
COLUMNS = [*KEY, "chrom", "ref", "alt", "reference_genome_match", "swapped", "lift_strand"]
COLUMNS += ["gene_id", "gene_strand", "dist_to_tss"]


@dataclass(frozen=True)
class GenomeTables:
    """The tables behind the figures of the room.

    Attributes
    ----------
    flow
        ``context_sets, step, in, kept, rejected`` (alleles). Context sets in which a step kept and rejected the same
        alleles share a row; their names are separated by commas.
    rejects
        ``context_sets, step, code, alleles, meaning``.
    classes
        ``class, alleles, swapped, reverse_complemented`` of the alleles with a gene.
    lengths
        ``class, from, to, alleles``: inserted or deleted bases, both ends counted; ``to`` is empty in the last bin.
    distance
        ``start, end, alleles``: distance to the TSS (bp, gene orientation, negative upstream), half-open; an allele
        counts once per gene.
    contigs
        ``contig, alleles``, one column per class, ``swapped, reverse_complemented``; contigs in the order of the
        assembly.
    summary
        ``quantity, value, meaning`` (:data:`MEANINGS`).
    """

    flow: pd.DataFrame
    rejects: pd.DataFrame
    classes: pd.DataFrame
    lengths: pd.DataFrame
    distance: pd.DataFrame
    contigs: pd.DataFrame
    summary: pd.DataFrame


def summarize(steps: Mapping[str, str | Path], ledgers: Sequence[str | Path]) -> GenomeTables:
    """Count the alleles of a run.

    Parameters
    ----------
    steps
        Step -> what it wrote, in order; each has its receipt beside it. The last one is the table of assigned variants
        (Parquet or TSV).
    ledgers
        Reject ledger (TSV) of each context set, the set being the name of the folder it stands in.

    Raises
    ------
    CisweaveError
        If a receipt is missing, or the files are not of one run (a step does not take what the one before kept).
    """
    counts = {step: step_counts(path) for step, path in steps.items()}
    check_chain(counts, steps)
    flow, rejects = follow(counts, {Path(path).parent.name: read_ledger(path) for path in ledgers})
    pairs = read_table(list(steps.values())[-1], COLUMNS)
    alleles = pairs.drop_duplicates(KEY).reset_index(drop=True)
    alleles = alleles.assign(**{"class": classify(alleles), "reverse_complemented": alleles.lift_strand == "-"})
    return GenomeTables(
        flow=flow,
        rejects=rejects,
        classes=class_table(alleles),
        lengths=length_table(alleles),
        distance=distance_table(pairs),
        contigs=contig_table(alleles),
        summary=summary_table(alleles, pairs, rejects),
    )


# --- through the steps ------------------------------------------------------------------------------------------------
def step_counts(path: str | Path) -> dict[str, Any]:
    """Alleles that went into a step, were kept and rejected, from the receipt of what it wrote."""
    receipt = receipt_path(path)
    identity = read_json(receipt).get("identity", {})
    counts: dict[str, Any] = identity.get("alleles", {})
    if not {"in", "kept", "rejected", "reasons"} <= counts.keys():
        raise CisweaveError("this receipt does not count alleles; run the step that wrote the file again", path=receipt)
    return counts


def check_chain(counts: Mapping[str, Mapping[str, Any]], paths: Mapping[str, str | Path]) -> None:
    """Raise unless each step took what the one before kept."""
    steps = list(counts)
    for before, after in pairwise(steps):
        if counts[before]["kept"] != counts[after]["in"]:
            raise CisweaveError(
                f"{before} kept {counts[before]['kept']} alleles but {after} took {counts[after]['in']}; "
                "give files of one run",
                path=paths[after],
            )


def follow(
    counts: Mapping[str, Mapping[str, Any]], ledgers: Mapping[str, pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``flow`` and ``rejects``: the room's steps, then those that follow it, by the ledger of each set."""
    every = ",".join(ledgers)
    flow = [(every, step, found["in"], found["kept"], found["rejected"]) for step, found in counts.items()]
    rejects = [
        (every, step, code, number) for step, found in counts.items() for code, number in found["reasons"].items()
    ]
    assigned = list(counts.values())[-1]["kept"]
    for sets, later in group_later(counts, ledgers):
        left = assigned
        for step, rows in later.groupby("stage", sort=True):
            flow.append((sets, str(step), left, left - len(rows), len(rows)))
            left -= len(rows)
            rejects += [(sets, str(step), str(code), int(n)) for code, n in rows["code"].value_counts().items()]
        if later.empty:
            flow.append((sets, LATER_STEP, left, left, 0))
    flow_table = pd.DataFrame(flow, columns=["context_sets", "step", "in", "kept", "rejected"])
    table = pd.DataFrame(rejects, columns=["context_sets", "step", "code", "alleles"])
    order = {step: number for number, step in enumerate(flow_table["step"].drop_duplicates())}
    table = table.assign(order=table["step"].map(order))
    table = table.sort_values(["order", "context_sets", "alleles", "code"], ascending=[True, True, False, True])
    table = table.drop(columns="order").reset_index(drop=True)
    meanings = {str(code): text for code, text in EXPLANATIONS.items()}
    return flow_table, table.assign(meaning=[meanings.get(code, "") for code in table["code"]])


LATER_STEP = "seal_predict"
"""The step that follows the room."""


def group_later(
    counts: Mapping[str, Mapping[str, Any]], ledgers: Mapping[str, pd.DataFrame]
) -> list[tuple[str, pd.DataFrame]]:
    """Names of context sets whose ledgers are equal, and the rows of the steps after the room."""
    groups: list[tuple[list[str], pd.DataFrame]] = []
    for name, ledger in ledgers.items():
        for step, found in counts.items():
            listed = int((ledger["stage"] == step).sum())
            if listed != found["rejected"]:
                raise CisweaveError(
                    f"{step} rejected {found['rejected']} alleles but the ledger of {name} lists {listed}; "
                    "give files of one run"
                )
        later = ledger[~ledger["stage"].isin(list(counts))].reset_index(drop=True)
        same = next((names for names, rows in groups if rows.equals(later)), None)
        if same is None:
            groups.append(([name], later))
        else:
            same.append(name)
    return [(",".join(names), rows) for names, rows in groups]


# --- of what kind -----------------------------------------------------------------------------------------------------
def classify(alleles: pd.DataFrame) -> pd.Series:
    """The class (:data:`CLASSES`) of each allele, by ``ref`` and ``alt`` written with the fewest bases."""
    return pd.Series([allele_class(*pair) for pair in zip(alleles["ref"], alleles["alt"], strict=True)], dtype="str")


def allele_class(ref: str, alt: str) -> str:
    """The class of one allele."""
    if len(ref) == len(alt):
        return "SNV" if len(ref) == 1 else "MNV"
    short, long, name = (ref, alt, "insertion") if len(ref) < len(alt) else (alt, ref, "deletion")
    return name if long.startswith(short) or long.endswith(short) else "complex"


def class_table(alleles: pd.DataFrame) -> pd.DataFrame:
    """Alleles per class."""
    groups = alleles.groupby("class")
    table = pd.DataFrame(
        {
            "alleles": groups.size(),
            "swapped": groups["swapped"].sum(),
            "reverse_complemented": groups["reverse_complemented"].sum(),
        }
    )
    return table.reindex(CLASSES).fillna(0).astype("int64").rename_axis("class").reset_index()


def length_table(alleles: pd.DataFrame) -> pd.DataFrame:
    """How many bases are inserted or deleted."""
    lower = [1, *(last + 1 for last in LENGTHS)]
    change = (alleles["alt"].str.len() - alleles["ref"].str.len()).abs().to_numpy(dtype=np.int64)
    bins = np.searchsorted(np.array(LENGTHS), change)
    rows = []
    for name in ("insertion", "deletion"):
        found = np.bincount(bins[(alleles["class"] == name).to_numpy()], minlength=len(lower))
        rows += [(name, *row) for row in zip(lower, [*LENGTHS, None], found.tolist(), strict=True)]
    return pd.DataFrame(rows, columns=["class", "from", "to", "alleles"]).astype({"to": "Int64"})


def distance_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Alleles per bin of the distance to the TSS; bins are symmetric about the TSS."""
    direction = np.where(pairs["gene_strand"].to_numpy(dtype=str) == "-", -1, 1)
    distance = pairs["dist_to_tss"].to_numpy(dtype=np.int64) * direction
    reach = int(np.abs(distance).max(initial=1))
    width = round_width(2 * reach / MOST_BINS)
    half = reach // width + 1
    found = np.bincount(distance // width + half, minlength=2 * half)
    starts = np.arange(-half, half) * width
    return pd.DataFrame({"start": starts, "end": starts + width, "alleles": found})


def round_width(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, … that is not below ``least``."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= least:
                return factor * power
        power *= 10


def contig_table(alleles: pd.DataFrame) -> pd.DataFrame:
    """Alleles per contig and class."""
    groups = alleles.groupby("chrom", sort=False)
    table = pd.DataFrame({"alleles": groups.size()})
    counted = pd.crosstab(alleles["chrom"], alleles["class"])
    for name in CLASSES:
        table[name] = counted.get(name, 0)
    table["swapped"] = groups["swapped"].sum()
    table["reverse_complemented"] = groups["reverse_complemented"].sum()
    return table.astype("int64").rename_axis("contig").reset_index()


def summary_table(alleles: pd.DataFrame, pairs: pd.DataFrame, rejects: pd.DataFrame) -> pd.DataFrame:
    """The figures a reader looks for first.

    REF is counted as the file has it: swapped alleles, and those rejected for their REF, disagree with the genome.
    """
    compared = alleles[alleles["reference_genome_match"].notna()]
    agree = compared["reference_genome_match"].astype("bool") & ~compared["swapped"].astype("bool")
    refused = rejects[rejects["code"].isin([str(code) for code in REF_CODES])].drop_duplicates(["step", "code"])
    checked = len(compared) + int(refused["alleles"].sum())
    values: dict[str, float | int | None] = {
        "assigned_alleles": len(alleles),
        "genes": pairs["gene_id"].nunique(),
        "ref_checked": checked,
        "ref_match_share": float(agree.sum() / checked) if checked else None,
        "swapped": int(alleles["swapped"].sum()),
        "reverse_complemented": int(alleles["reverse_complemented"].sum()),
        "median_distance": float(pairs["dist_to_tss"].abs().median()) if len(pairs) else None,
    }
    text = [
        "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value) for value in values.values()
    ]
    return pd.DataFrame({"quantity": list(values), "value": text, "meaning": [MEANINGS[name] for name in values]})
