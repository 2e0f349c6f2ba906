"""Each variant's closest transcription start site: BEDOPS ``closest-features`` and the same search without it.

Rules (those of BEDOPS ``--closest``, on one-base intervals): the nearest TSS of the contig; at equal distance the
left one; of several genes at one TSS the last in the order of the file where the TSS is at or left of the variant, the
first where it is on the right.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import ClosestSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_text
from cisweave.core.logs import get_logger
from cisweave.genome.contigs import resolve_contig
from cisweave.genome.reasons import Reason
from cisweave.genome.table import GENE_COLUMNS, check_variants, read_variant_table, write_variant_table
from cisweave.genome.tss import read_tss
from cisweave.genome.variants import stage_counts, summary_line
from cisweave.tables.ledger import ledger_rows, write_ledger
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

STAGE = "closest"
PROGRAM = "closest-features"
NONE = -1
FAR = np.iinfo(np.int64).max

Rows = NDArray[np.int64]


def find_closest(chroms: Sequence[str], positions: Rows, tss: pd.DataFrame) -> Rows:
    """Row of the closest TSS for each position, by binary search.

    Parameters
    ----------
    chroms, positions
        Contig and 1-based position of each site (sites,).
    tss
        ``chrom, tss`` (1-based), in the order that decides between genes at one TSS.

    Returns
    -------
    numpy.ndarray
        Row number (0-based) of ``tss`` for each site (sites,), -1 where the contig has no TSS.
    """
    names = np.asarray(chroms, dtype=object)
    closest = np.full(len(names), NONE, dtype=np.int64)
    contigs, starts = tss["chrom"].to_numpy(dtype=object), tss["tss"].to_numpy(dtype=np.int64)
    for contig in set(contigs):
        rows = np.flatnonzero(contigs == contig)
        rows = rows[np.argsort(starts[rows], kind="stable")]
        places = starts[rows]
        sites = np.flatnonzero(names == contig)
        wanted = positions[sites]
        right = np.searchsorted(places, wanted, side="right")
        left = right - 1
        to_left = np.where(left >= 0, wanted - places[left], FAR)
        to_right = np.where(right < len(places), places[np.minimum(right, len(places) - 1)] - wanted, FAR)
        closest[sites] = rows[np.where(to_left <= to_right, left, right)]
    return closest


def find_closest_bedops(chroms: Sequence[str], positions: Rows, tss: pd.DataFrame) -> Rows:
    """The same as :func:`find_closest`, by BEDOPS ``closest-features --closest --dist``.

    Raises
    ------
    CisweaveError
        If the program is not on PATH or fails.
    """
    names = np.asarray(chroms, dtype=object)
    closest = np.full(len(names), NONE, dtype=np.int64)
    known = set(tss["chrom"])
    unique = {(str(name), int(pos)) for name, pos in zip(names, positions, strict=True) if name in known}
    sites = sorted(unique, key=bed_order)
    if not sites:
        return closest
    contigs, starts = tss["chrom"].tolist(), tss["tss"].tolist()
    order = sorted(range(len(starts)), key=lambda row: bed_order((contigs[row], starts[row])))
    with tempfile.TemporaryDirectory(prefix="cisweave-closest-") as folder:
        variants_bed, tss_bed = Path(folder, "variants.bed"), Path(folder, "tss.bed")
        with atomic_text(variants_bed) as handle:
            handle.writelines(f"{name}\t{pos - 1}\t{pos}\n" for name, pos in sites)
        with atomic_text(tss_bed) as handle:
            handle.writelines(f"{contigs[row]}\t{starts[row] - 1}\t{starts[row]}\t{row}\n" for row in order)
        lines = run_closest_features(variants_bed, tss_bed)
    found = {site: parse_line(line) for site, line in zip(sites, lines, strict=True)}
    for index, site in enumerate(zip(names, positions.tolist(), strict=True)):
        closest[index] = found.get(site, NONE)
    return closest


def bed_order(site: tuple[str, int]) -> tuple[bytes, int]:
    """The order of ``sort-bed``: contig names by their bytes, then position."""
    return site[0].encode(), site[1]


def run_closest_features(variants_bed: Path, tss_bed: Path) -> list[str]:
    """Run BEDOPS and return its lines, one for each line of ``variants_bed``."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise CisweaveError(
            f"closest.method is bedops, but {PROGRAM} is not on PATH; install BEDOPS (apt-get install bedops, or "
            "conda) or set method: internal"
        )
    command = [program, "--closest", "--dist", "--delim", "\t", str(variants_bed), str(tss_bed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        problem = done.stderr.strip() or f"exit status {done.returncode}"
        raise CisweaveError(f"{PROGRAM} failed: {problem}; method: internal does without it")
    return done.stdout.splitlines()


def parse_line(line: str) -> int:
    """Row of the TSS on one line of output (site, TSS with its row number, distance), -1 for ``NA``."""
    fields = line.split("\t")
    return NONE if fields[3] == "NA" else int(fields[6])


def choose_method(method: str) -> str:
    """``bedops`` or ``internal``; ``auto`` takes BEDOPS where it is found and says so where it is not."""
    if method != "auto":
        return method
    if shutil.which(PROGRAM):
        return "bedops"
    logger.warning("%s (BEDOPS) is not on PATH; using the in-process search, which gives the same result", PROGRAM)
    return "internal"


def assign_closest(
    variants: pd.DataFrame, tss: pd.DataFrame, settings: ClosestSettings | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each variant its closest gene.

    Parameters
    ----------
    variants
        Variant table (:mod:`cisweave.genome.table`); an indel stands at its ``pos``.
    tss
        As :func:`cisweave.genome.tss.read_tss` gives it.
    settings
        Method and farthest distance in bases.

    Returns
    -------
    assigned, rejected
        The variants with ``gene_id, gene_strand, tss`` (1-based) and ``dist_to_tss`` = pos - tss (negative where the
        variant lies left of the TSS, whatever the strand); and ledger rows. Rows keep their order.
    """
    settings = settings or ClosestSettings()
    check_variants(variants)
    known = set(tss["chrom"])
    spelling = {name: resolve_contig(name, known) or name for name in set(variants["chrom"])}
    chroms = [spelling[name] for name in variants["chrom"]]
    search = find_closest_bedops if choose_method(settings.method) == "bedops" else find_closest
    rows = search(chroms, variants["pos"].to_numpy(dtype=np.int64), tss)
    has_tss = rows != NONE
    genes = tss.iloc[rows[has_tss]].set_axis(variants.index[has_tss])
    near = variants[has_tss].assign(gene_id=genes["gene_id"], gene_strand=genes["strand"], tss=genes["tss"])
    near = near.assign(dist_to_tss=near["pos"] - near["tss"])
    too_far = near["dist_to_tss"].abs() > settings.max_distance
    far = near[too_far]
    details = far["gene_id"].astype("str") + " is " + far["dist_to_tss"].abs().astype("str") + " bases away"
    rejected = [
        ledger_rows(variants[~has_tss], STAGE, Reason.NO_TSS.value, "no TSS on this contig"),
        ledger_rows(far, STAGE, Reason.TOO_FAR_FROM_TSS.value, details),
    ]
    kinds = {column: kind for column, kind in GENE_COLUMNS.items() if column in near}
    return near[~too_far].astype(kinds).reset_index(drop=True), pd.concat(rejected).sort_index()


def closest_tss(
    variants: str | Path,
    tss: str | Path,
    out: str | Path,
    rejected: str | Path,
    settings: ClosestSettings | None = None,
) -> None:
    """Write the variant table with genes, the variants without one, and a receipt (``cisweave genome closest``)."""
    settings = settings or ClosestSettings()
    assigned, rejects = assign_closest(read_variant_table(variants), read_tss(tss), settings)
    write_variant_table(assigned, out)
    write_ledger([rejects], rejected)
    counts = stage_counts(len(assigned), rejects["reason"])
    write_receipt(out, settings=settings.model_dump(mode="json"), inputs=[variants, tss], notes={"alleles": counts})
    logger.info("%s", summary_line(STAGE, counts))
