"""Prove the seal room: the trained built-in world, published DeepLIFT rows, the fast engine against the plain path.

The last line printed is one line of JSON, kept as results/checks/seal.json. Figures of real data are null where the
environment variable CISWEAVE_REAL_DATA names no folder. Exit status 1 means that something is not as it must be; speed
is only reported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
from benchmarks.seal import engine_speed
from scripts.checks import Found, run_checks
from tests.real.checks import data_folder
from tests.workflow.snake import Folder

from cisweave.core.files import read_json
from cisweave.seal.interpret.output import read_upstream
from cisweave.seqlets.stores import read_attributions

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results/checks/seal.json"
TRUTH = ROOT / "results/demo/truth.json"
ATTRIBUTED = ROOT / "results/demo/seal/tissue/attribute"
INSTANCES = ROOT / "results/demo/simulate/truth/instances.tsv"
EXPLAINED = ROOT / "results/demo/seal/tissue/interpret/deeplift/tracks.parquet"
PUBLISHED_ROWS = "parity/Seal_deeplift_outcome_0.npy"
PUBLISHED_SCORES = "parity/Seal_test_var_tissue_state_effect_pred.tsv"
FIGURES = (
    "world_spearman",
    "deeplift_parity_max_abs_diff",
    "engine_max_abs_diff",
    "engine_max_rel_diff",
    "plain_variants_per_s",
    "plain_gflops",
    "engine_speed_snv",
    "engine_speed_indel",
    "engine_speed_saturation",
    "peak_mb_1x",
    "peak_mb_10x",
)
"""The figures in the order in which they are printed; others follow."""
MOST_PARITY = 1.5e-5
"""Largest difference of a row's sum from the published score, which has five decimals."""
MOST_DELTA = 1e-6
MOST_PROBABILITY = 1e-6
MOST_SCORE = 1e-6
"""Of a score from that of the network in float64, on the same probabilities."""
MOST_RELATIVE = 1e-4
"""The same, of the scores' standard deviation."""
MOST_END_TO_END = 2e-4
"""Of a score from that of plain windows, of the standard deviation: windows in float32 are off by themselves."""
STRONGEST = 10
"""Bases of each haplotype that are looked up among the planted motifs."""
LEAST_IN_MOTIFS = 0.6
LEAST_OCCUPANCY = 0.5
LEAST_SPREAD = 0.01
"""Standard deviation of the scores below which the comparison means nothing."""
MOST_GROWTH = 1.25
"""Of the peak memory, from some variants to ten times as many."""


class Scale(NamedTuple):
    """How much of everything."""

    small: bool = False
    pairs: int = 5
    plain: int = 4
    fast: int = 64
    promoter: int = 1000
    memory: int = 32


QUICK = Scale(small=True, pairs=1, plain=2, fast=8, promoter=20, memory=8)


def world(_: Scale) -> Found:
    """Train on the built-in world (nothing to do where it has run); held-out expression and effects, their floors."""
    status = subprocess.run([ROOT / "scripts/demo.sh"], stdout=sys.stderr, check=False).returncode
    problems = [] if status == 0 else [f"the demo ended with status {status}"]
    truth = read_json(TRUTH) if TRUTH.is_file() else {}
    summary, floors = truth.get("summary", {}), truth.get("floors", {})
    needed = ("expression_spearman", "effect_sign_agreement", "effect_spearman")
    problems += [f"the truth check has no floor for {name}" for name in needed if name not in floors]
    if not truth.get("floors_passed"):
        problems.append("not every floor of the truth check was reached")
    figures = {"world_spearman": summary.get("expression_spearman")}
    figures |= {f"world_{name}": summary.get(name) for name in needed[1:]}
    return figures, problems


def added_context(_: Scale) -> Found:
    """One more row in the table of contexts: the sets that are fine-tuned again."""
    row = "cell\tmicroglia\n"
    with tempfile.TemporaryDirectory(prefix="cisweave-contexts-") as temporary:
        folder = Folder.make(Path(temporary) / "run")
        folder.edit("config/demo_contexts.tsv", row, "")
        folder.finish()
        with (folder.path / "config/demo_contexts.tsv").open("a") as handle:
            handle.write(row)
        jobs = folder.dry_run().jobs
    trained = [job for job in jobs if job["rule"] in ("seal_train_chromatin", "seal_pretrain", "seal_finetune")]
    found = sorted(f"{job['rule']} {job['wildcards'].get('context_set', '')}".strip() for job in trained)
    problems = [] if found == ["seal_finetune cell"] else [f"one more cell state trains again: {', '.join(found)}"]
    return {"added_context_trains": found}, problems


def deeplift(_: Scale) -> Found:
    """DeepLIFT's completeness: the published array against the published scores, ours against ours."""
    figures: dict[str, Any] = {}
    problems = []
    if EXPLAINED.is_file():
        table = pd.read_parquet(EXPLAINED, columns=["score", "attribution_sum"])
        figures["deeplift_rows"] = len(table)
        figures["deeplift_max_delta"] = float((table["attribution_sum"] - table["score"]).abs().max())
        if not (len(table) and figures["deeplift_max_delta"] <= MOST_DELTA):
            problems.append(f"DeepLIFT: sums are off the scores by {figures['deeplift_max_delta']}")
    else:
        problems.append(f"{EXPLAINED.relative_to(ROOT)} is missing")
    folder, reason = data_folder()
    if folder is None:
        return {**figures, "deeplift_parity_max_abs_diff": None, "real_data": reason}, problems
    sums = read_upstream(folder / PUBLISHED_ROWS).sum(axis=1, dtype=np.float64)
    scores = pd.read_csv(folder / PUBLISHED_SCORES, sep="\t")["early_fetal.A1C"].to_numpy()
    parity = float(np.abs(sums - scores).max())
    if parity > MOST_PARITY:
        problems.append(f"DeepLIFT: published rows are off the published scores by {parity}")
    return {**figures, "deeplift_parity_max_abs_diff": parity, "real_data": "used"}, problems


def bases(_: Scale) -> Found:
    """The strongest bases of attributed reference haplotypes: the share that lies in planted motifs."""
    if not (ATTRIBUTED / "attributions.h5").is_file():
        return {"bases_in_motifs": None}, [f"{ATTRIBUTED.relative_to(ROOT)} is missing"]
    found = read_attributions(ATTRIBUTED / "attributions.h5")
    loci = pd.read_csv(ATTRIBUTED / "loci.tsv", sep="\t").set_index("locus_id")
    motifs = pd.read_csv(INSTANCES, sep="\t").query("occupancy >= @LEAST_OCCUPANCY")
    inside: list[bool] = []
    covered: list[bool] = []
    for locus_id, projected in zip(found.locus_id, found.projected, strict=True):
        locus = loci.loc[locus_id]
        if locus["allele"] != "ref":
            continue
        near = motifs[(motifs.chrom == locus.chrom) & (motifs.end > locus.start) & (motifs.start < locus.end)]
        held = np.zeros(len(projected), dtype=bool)
        for start, end in zip(near.start - locus.start, near.end - locus.start, strict=True):
            held[max(start, 0) : end] = True
        inside += held[np.argsort(-np.abs(projected))[:STRONGEST]].tolist()
        covered += held.tolist()
    share = float(np.mean(inside)) if inside else 0.0
    problems = [] if share >= LEAST_IN_MOTIFS else [f"only {share:.2f} of the strongest bases lie in planted motifs"]
    return {"bases_in_motifs": round(share, 3), "bases_covered": round(float(np.mean(covered or [0])), 3)}, problems


def engine(scale: Scale) -> Found:
    """The fast engine at the published size against the plain path: agreement, speed, memory."""
    report = engine_speed(scale.small, scale.pairs, scale.plain, scale.fast, scale.promoter, scale.memory)
    problems = []
    limits = {"probability_max_abs_diff": MOST_PROBABILITY, "head_max_abs_diff": MOST_SCORE}
    for name, most in (limits | {"head_max_rel_diff": MOST_RELATIVE, "engine_max_rel_diff": MOST_END_TO_END}).items():
        if not report[name] <= most:
            problems.append(f"engine: {name} is {report[name]}, above {most}")
    if not report["score_sd"] >= LEAST_SPREAD:
        problems.append(f"engine: the scores' spread {report['score_sd']} is too small to compare them")
    if not report["peak_mb_10x"] <= MOST_GROWTH * report["peak_mb_1x"]:
        problems.append(f"memory grows from {report['peak_mb_1x']} to {report['peak_mb_10x']} MB with the variants")
    return report, problems


PARTS: dict[str, tuple[str, Callable[[Scale], Found]]] = {
    "engine": ("the fast engine against the plain path, at the published size (minutes)", engine),
    "world": ("the built-in world, trained and scored", world),
    "contexts": ("a row more in the table of contexts", added_context),
    "deeplift": ("DeepLIFT against the scores", deeplift),
    "bases": ("bases that are attributed, against the planted motifs", bases),
}
"""The parts in the order in which they run: what is timed comes first."""


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(run_checks("seal", __doc__ or "", PARTS, FIGURES, OUT, (Scale(), QUICK)))
