"""Checks on real data, for the tests and for ``scripts/check_real.py``.

Each check takes the folder with the data and returns figures as a dictionary; a new one is added to :data:`CHECKS`.
The folder is never in the project: the environment variable ``CISWEAVE_REAL_DATA`` names it.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np
import pandas as pd

from cisweave.config import ClosestSettings, ExtractSettings, VariantSettings
from cisweave.core.files import read_json
from cisweave.genome.closest import assign_closest, closest_tss
from cisweave.genome.extract import extract_sequences
from cisweave.genome.genes import read_genes
from cisweave.genome.ledger import balance_ledger
from cisweave.genome.nearest import PROGRAM
from cisweave.genome.normalize import normalize_variants, read_variants
from cisweave.genome.table import read_variant_table
from cisweave.sequence.onehot import decode
from cisweave.tables.frames import read_table, write_parquet

VARIABLE = "CISWEAVE_REAL_DATA"
TSS = "annotation/ExPecto_geneanno.pc.sorted.bed"
SEAL_VCF = "variants/Seal_test_var.vcf"
SEAL_TABLE = "parity/Seal_test_var_tissue_state_effect_pred.tsv"
CHR20_VCF = "variants/1000G_p3.hg19.chr20_1M-2M.vcf.gz"
HG19 = "genome/hg19_pieces.fa.gz"
WINDOW = 2000


def data_folder() -> tuple[Path | None, str]:
    """The folder with the real data, or ``None`` and the reason."""
    name = os.environ.get(VARIABLE)
    if not name:
        return None, f"{VARIABLE} is not set"
    folder = Path(name)
    if not folder.is_dir():
        return None, f"{VARIABLE} is {name}, which is not a folder"
    return folder, ""


def closest_engines() -> list[Literal["bedops", "builtin"]]:
    """The searches that can run here."""
    return ["bedops", "builtin"] if shutil.which(PROGRAM) else ["builtin"]


def seal_check(folder: Path) -> dict[str, Any]:
    """Gene, strand and distance of Seal's test variants against its published table.

    There is no FASTA of the whole of chr1, so REF goes unchecked.

    Returns
    -------
    dict
        ``seal_rows``: rows given; ``seal_rows_equal``: rows equal to the published ones in order and in all of the
        first seven columns, by the worst of the searches in ``seal_engines``.
    """
    published = read_table(folder / SEAL_TABLE).iloc[:, :7]
    variants, _ = read_variants(folder / SEAL_VCF)
    rows, equal = [], []
    for engine in closest_engines():
        assigned, _ = assign_closest(variants, read_genes(folder / TSS), ClosestSettings(engine=engine))
        rows.append(len(assigned))
        same_length = len(assigned) == len(published)
        same = (
            assigned[list(published)].astype(str).to_numpy() == published.astype(str).to_numpy() if same_length else 0
        )
        equal.append(int(np.sum(np.all(same, axis=-1))))
    return {"seal_rows": max(rows), "seal_rows_equal": min(equal), "seal_engines": closest_engines()}


def chr20_check(folder: Path) -> dict[str, Any]:
    """The records of a 1000 Genomes VCF through reading, closest TSS and extraction, by the commands' functions.

    Returns
    -------
    dict
        ``chr20_records`` and ``chr20_in`` (alleles), counted by plain reading; ``chr20_scored``: alleles near a TSS
        whose two sequences were extracted and hold REF and ALT; ``chr20_rejected`` and ``chr20_reasons``; and
        ``chr20_engines_equal``: whether BEDOPS (where present) and the built-in search assign the same.
    """
    records, alleles = count_plainly(folder / CHR20_VCF)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        variants, rejected = work / "normalized.vcf.gz", work / "rejected.tsv"
        normalize_variants(folder / CHR20_VCF, variants, rejected, folder / HG19, VariantSettings())
        tables = []
        for engine in closest_engines():
            settings = ClosestSettings(engine=engine)
            closest_tss(variants, folder / TSS, work / "assigned.parquet", work / "far.tsv", settings)
            tables.append((read_variant_table(work / "assigned.parquet"), (work / "far.tsv").read_bytes()))
        (assigned, far), (other, other_far) = tables[0], tables[-1]
        scored = work / "scored.parquet"
        write_parquet(with_right_sequences(assigned, folder / HG19, work), scored)
        balance_ledger(
            variants,
            [rejected, work / "far.tsv"],
            [scored],
            work / "ledger.tsv",
            work / "ledger.json",
            folder / CHR20_VCF,
        )
        summary = read_json(work / "ledger.json")
    return {
        "chr20_records": records,
        "chr20_in": alleles,
        "chr20_scored": summary["scored"],
        "chr20_rejected": summary["rejected"],
        "chr20_reasons": summary["reasons"],
        "chr20_engines_equal": assigned.equals(other) and far == other_far,
    }


def count_plainly(vcf: Path) -> tuple[int, int]:
    """Records and ALT alleles of a gzipped VCF, without cisweave's reader."""
    with gzip.open(vcf, "rt") as handle:
        alts = [line.split("\t", 5)[4] for line in handle if not line.startswith("#")]
    return len(alts), sum(alt.count(",") + 1 for alt in alts)


def with_right_sequences(assigned: pd.DataFrame, fasta: Path, work: Path) -> pd.DataFrame:
    """The rows of ``assigned`` whose extracted windows hold REF and ALT where Seal's crop puts them."""
    extract_sequences(
        fasta, work / "loci.h5", variants=work / "assigned.parquet", settings=ExtractSettings(window=WINDOW)
    )
    with h5py.File(work / "loci.h5") as store:
        codes = store["codes"][:]
    windows = np.stack([codes[0::2], codes[1::2]], axis=1)
    right = [
        holds(ref_codes, row.ref, 0) and holds(alt_codes, row.alt, len(row.alt) - len(row.ref))
        for row, (ref_codes, alt_codes) in zip(assigned.itertuples(), windows, strict=True)
    ]
    return assigned[right]


def holds(codes: np.ndarray, bases: str, change: int) -> bool:
    """Whether a window holds ``bases`` at its variant's place, which moves by half of the net change of length."""
    place = WINDOW // 2 - 1 - (change // 2)
    return decode(codes[place : place + len(bases)]) == bases


def full_size(folder: Path) -> dict[str, Any]:
    """The prediction path with the full-size Beluga (:mod:`tests.real.full_size`)."""
    from tests.real.full_size import full_size_check

    return full_size_check(folder)


class Check(NamedTuple):
    """A check, the names of its figures and whether they are right."""

    run: Callable[[Path], dict[str, Any]]
    figures: tuple[str, ...]
    is_right: Callable[[dict[str, Any]], bool]


def seal_is_right(figures: dict[str, Any]) -> bool:
    """All 206 published rows."""
    return figures["seal_rows"] == figures["seal_rows_equal"] == 206


def chr20_is_right(figures: dict[str, Any]) -> bool:
    """28,998 records, each allele scored or rejected."""
    balanced = figures["chr20_in"] == figures["chr20_scored"] + figures["chr20_rejected"]
    return bool(balanced and figures["chr20_records"] == 28_998 and figures["chr20_engines_equal"])


def full_size_is_right(figures: dict[str, Any]) -> bool:
    """Scores and profiles equal to those of the plain implementation; scores also measured by their own spread."""
    close = figures["full_size_max_difference"] <= min(1e-6, 1e-4 * figures["full_size_score_sd"])
    return bool(close and figures["full_size_profile_max_difference"] <= 1e-5 and figures["full_size_variants"] == 20)


CHECKS = {
    "seal": Check(seal_check, ("seal_rows", "seal_rows_equal", "seal_engines"), seal_is_right),
    "chr20": Check(
        chr20_check,
        ("chr20_records", "chr20_in", "chr20_scored", "chr20_rejected", "chr20_reasons", "chr20_engines_equal"),
        chr20_is_right,
    ),
    "full_size": Check(
        full_size,
        (
            "full_size_variants",
            "full_size_indels",
            "full_size_max_difference",
            "full_size_score_sd",
            "full_size_profile_max_difference",
        ),
        full_size_is_right,
    ),
}


def run_checks(names: list[str]) -> tuple[dict[str, Any], bool]:
    """Run the named checks; without data every figure is ``None`` and ``real_data`` gives the reason."""
    folder, reason = data_folder()
    if folder is None:
        return {**{figure: None for name in names for figure in CHECKS[name].figures}, "real_data": reason}, True
    figures: dict[str, Any] = {}
    right = True
    for name in names:
        found = CHECKS[name].run(folder)
        right = CHECKS[name].is_right(found) and right
        figures |= found
    return {**figures, "real_data": "used"}, right
