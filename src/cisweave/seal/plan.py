"""What scoring a file of variants will take: passes, operations, memory and time, before anything is computed.

Operations are counted from the layers (:mod:`cisweave.seal.engine.work`); times are these over a rate, which is
measured on this machine for about two seconds, and for other devices assumed from their makers' peak rates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cisweave.config import ClosestSettings, EngineSettings, PredictSettings
from cisweave.core.devices import DeviceName, float32_arithmetic, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.files import write_json
from cisweave.genome.closest import assign_closest
from cisweave.genome.genes import read_genes
from cisweave.genome.stream import read_chunks
from cisweave.models.folders import read_spec
from cisweave.seal.engine.work import (
    STRANDS,
    NetworkShape,
    cone_work,
    union_work,
    window_work,
)
from cisweave.seal.predict import window_shifts

if TYPE_CHECKING:
    import torch

PROBE_SECONDS = 1.0
"""For each of the two products that are timed."""
SHARE_OF_PEAK = 0.4
"""Share of a device's peak rate that is assumed."""
HIDDEN, CONTEXTS = 1000, 122
"""Of an expression model that is not given, as published."""
FEATURES_PER_SIDE = 5
OPERATIONS = 2
"""Floating-point operations per multiply-accumulate."""
PEAKS: dict[str, dict[str, float]] = {
    "NVIDIA H200 or H100 (SXM)": {"float32": 67, "tf32": 494, "float16": 989},
    "NVIDIA A100": {"float32": 19.5, "tf32": 156, "float16": 312},
    "NVIDIA L40S": {"float32": 91.6, "tf32": 183, "float16": 362},
    "NVIDIA GeForce RTX 4090": {"float32": 82.6, "tf32": 82.6, "float16": 165},
    "NVIDIA V100": {"float32": 15.7, "float16": 125},
}
"""Nominal peak rates of dense products in TFLOP/s, as the makers' data sheets give them."""


@dataclass
class Counts:
    """What is to be scored.

    Attributes
    ----------
    alleles
        Alleles in the file, far from genes or not.
    rejected
        Of these: no alleles that can be scored, or (where genes are known) none near a gene.
    pairs
        Pairs of an allele and a gene.
    distinct
        Different alleles that are scored.
    references
        Different reference windows' unions: alleles of one place share theirs.
    same_length, indels
        Different alleles that keep the length, and those that change it.
    """

    alleles: int = 0
    rejected: int = 0
    pairs: int = 0
    distinct: int = 0
    references: int = 0
    same_length: int = 0
    indels: int = 0


@dataclass
class Plan:
    """Everything that is known before a run.

    Attributes
    ----------
    windows
        Windows that the plain path sends through the network (both alleles, both strands).
    unions, cones
        Passes of the fast engine: whole unions, and recomputed cones (both strands).
    plain_gflop, fast_gflop, head_gflop
        Thousand million operations of the plain path, the fast engine, the expression head.
    memory_mib
        Expected memory by what needs it; it does not grow with the variants.
    seconds
        Per device: rate in GFLOP/s, whether it was measured, and time of the path that was chosen.
    """

    counts: Counts
    shape: NetworkShape
    shifts: list[int]
    path: str
    windows: int = 0
    unions: int = 0
    cones: int = 0
    plain_gflop: float = 0.0
    fast_gflop: float = 0.0
    head_gflop: float = 0.0
    memory_mib: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def gflop(self) -> float:
        """Operations of the path that was chosen."""
        return (self.fast_gflop if self.path == "fast" else self.plain_gflop) + self.head_gflop


# --- counting ---------------------------------------------------------------------------------------------------------
def count_variants(
    variants: str | Path, tss: str | Path | None = None, closest: ClosestSettings | None = None
) -> Counts:
    """Count the alleles of a file (VCF, BCF, variant table); with genes, those near one.

    Memory holds a few bytes for each different allele.
    """
    counts = Counts()
    genes = None if tss is None else read_genes(tss)
    seen: list[np.ndarray] = []
    for chunk, rejected in read_chunks(variants, "seal_plan"):
        counts.alleles += len(chunk.drop_duplicates(["record", "allele"])) + len(rejected)
        counts.rejected += len(rejected)
        scored = chunk
        if genes is not None:
            plain = chunk.drop(columns=["gene_id", "gene_strand", "tss", "dist_to_tss"], errors="ignore")
            scored, far = assign_closest(plain.drop_duplicates(["record", "allele"]), genes, closest)
            counts.rejected += len(far)
        counts.pairs += len(scored)
        seen.append(allele_keys(scored))
    keys = np.unique(np.concatenate(seen), axis=0)
    counts.distinct = len(keys)
    counts.references = len(np.unique(keys[:, 0]))
    counts.indels = int(keys[:, 2].sum())
    counts.same_length = counts.distinct - counts.indels
    return counts


def allele_keys(variants: pd.DataFrame) -> np.ndarray:
    """Numbers (n, 3): of the place and REF, of the allele with them, and whether it changes the length."""
    if variants.empty:
        return np.empty((0, 3), dtype=np.uint64)
    places = variants[["chrom", "pos", "ref"]]
    return np.stack(
        [
            pd.util.hash_pandas_object(places, index=False).to_numpy(np.uint64),
            pd.util.hash_pandas_object(variants[["chrom", "pos", "ref", "alt"]], index=False).to_numpy(np.uint64),
            (variants["ref"].str.len() != variants["alt"].str.len()).to_numpy(np.uint64),
        ],
        axis=1,
    )


def head_work(tracks: int, hidden: int, contexts: int, shifts: int) -> int:
    """The expression head of one pair of allele and gene: the change in float32, the reference in float64 (twice)."""
    return shifts * 3 * FEATURES_PER_SIDE * tracks * hidden + hidden * contexts


# --- memory and time --------------------------------------------------------------------------------------------------
def memory_needed(shape: NetworkShape, shifts: int, batch: int, hidden: int) -> dict[str, float]:
    """Expected memory in MiB by what needs it."""
    mib = 4 / 2**20
    rows = batch * shifts
    return {
        "weights": shape.parameters * mib,
        "weights in the order of positions": shape.first * mib,
        "expression model (float32 and float64)": 3 * 2 * FEATURES_PER_SIDE * shape.tracks * hidden * mib,
        "a batch of windows": rows * (4 * shape.tracks + 4 * shape.hidden) * mib,
        "python and its libraries": 600.0,
    }


def measured_rate(shape: NetworkShape, device: torch.device, seconds: float = PROBE_SECONDS) -> float:
    """GFLOP/s of this device on the two kinds of products of the network, weighted as in one union."""
    import torch

    from cisweave.seal.engine.layers import multiply

    wide = max(shape.channels[1:])
    picture = torch.randn(16, wide, 1, 128, device=device).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(wide, wide, 1, 8, device=device).contiguous(memory_format=torch.channels_last)
    rows, weight = torch.randn(64, 20 * wide, device=device), torch.randn(20 * wide, shape.hidden, device=device)
    with torch.inference_mode(), float32_arithmetic(tf32=True):
        convolution = rate_of(
            lambda: torch.conv2d(picture, kernel), 16 * 121 * wide * wide * 8 * OPERATIONS / 1e9, device, seconds
        )
        product = rate_of(
            lambda: multiply(rows, weight), 64 * 20 * wide * shape.hidden * OPERATIONS / 1e9, device, seconds
        )
    share = 9 * (shape.first + shape.last) / union_work(shape, range(-800, 801, 200))
    return 1 / (share / product + (1 - share) / convolution)


def rate_of(work: Callable[[], torch.Tensor], gflop: float, device: torch.device, seconds: float) -> float:
    """GFLOP/s of a piece of work that is repeated for some time."""
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work()
    wait()
    times, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or not times:
        work()
        wait()
        times += 1
    return gflop * times / (time.perf_counter() - start)


def expected_times(gflop: float, here: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Rate and seconds per device: measured here, assumed elsewhere."""
    found: dict[str, dict[str, Any]] = {
        name: {"measured": True, "gflop_per_s": round(rate, 1), "seconds": round(gflop / rate, 1)}
        for name, rate in here.items()
    }
    for name, peaks in PEAKS.items():
        for precision, peak in peaks.items():
            rate = peak * 1000 * SHARE_OF_PEAK
            found[f"{name}, {precision}"] = {
                "measured": False,
                "gflop_per_s": round(rate, 1),
                "seconds": round(gflop / rate, 1),
            }
    return found


# --- the command ------------------------------------------------------------------------------------------------------
def make_plan(
    variants: str | Path,
    tss: str | Path | None = None,
    chromatin: str | Path | None = None,
    model: str | Path | None = None,
    out: str | Path | None = None,
    settings: PredictSettings | None = None,
    engine: EngineSettings | None = None,
    device: DeviceName = "auto",
    probe_seconds: float = PROBE_SECONDS,
    closest: ClosestSettings | None = None,
) -> Plan:
    """Say what scoring will take; nothing is scored and no weights are read.

    Parameters
    ----------
    variants
        VCF, BCF or variant table (positions 1-based).
    tss
        Genes; with them only alleles near one are counted. (A table that has genes needs none.)
    chromatin, model
        Model folders, for their shapes; the published ones where not given.
    out
        JSON with the same figures.
    probe_seconds
        How long each of two products is timed here; 0 leaves this machine out.
    closest
        Which genes are near (with ``tss``).

    Raises
    ------
    CisweaveError
        For ``mode: haplotype``, whose work depends on the haplotypes.
    """
    settings, engine = settings or PredictSettings(), engine or EngineSettings()
    if settings.mode == "haplotype":
        raise CisweaveError(
            "what mode: haplotype takes is known only once its bins are compared; plan mode: seal, and expect as much "
            "for a substitution and several times as much for an insertion or deletion"
        )
    shape = (
        NetworkShape.published()
        if chromatin is None
        else NetworkShape.from_hyperparameters(read_spec(chromatin).hyperparameters)
    )
    head = {} if model is None else read_spec(model).hyperparameters
    hidden, contexts = int(head.get("hidden", HIDDEN)), int(head.get("contexts", CONTEXTS))
    shifts = window_shifts(settings, shape.window)
    counts = count_variants(variants, tss, closest)
    plan = Plan(counts, shape, shifts, engine.path)
    plan.windows = counts.distinct * len(shifts) * 2 * STRANDS
    plan.unions = (counts.references + counts.indels) * STRANDS
    plan.cones = counts.same_length * STRANDS
    fast = plan.unions * union_work(shape, shifts) + plan.cones * cone_work(shape, shifts)
    plan.plain_gflop = OPERATIONS * plan.windows * window_work(shape) / 1e9
    plan.fast_gflop = OPERATIONS * fast / 1e9
    plan.head_gflop = OPERATIONS * counts.pairs * head_work(shape.tracks, hidden, contexts, len(shifts)) / 1e9
    plan.memory_mib = memory_needed(shape, len(shifts), engine.batch_size, hidden)
    here = {}
    if probe_seconds > 0:
        chosen = resolve_device(device)
        here[f"this machine ({chosen})"] = measured_rate(shape, chosen, probe_seconds)
    plan.seconds = expected_times(plan.gflop, here)
    if out is not None:
        write_json(out, {**asdict(plan), "gflop": plan.gflop})
    return plan


def describe(plan: Plan) -> str:
    """The plan as text for people."""
    counts = plan.counts
    lines = [
        f"alleles          {counts.alleles:,} in the file, {counts.rejected:,} of them not scored; "
        f"{counts.distinct:,} different ones with {counts.pairs:,} pairs of allele and gene",
        f"                 {counts.same_length:,} keep the length, {counts.indels:,} change it; "
        f"{counts.references:,} different references",
        f"windows          {len(plan.shifts)} of {plan.shape.window:,} bases per allele, shifted "
        f"{plan.shifts[0]:+,} to {plan.shifts[-1]:+,}",
        f"plain path       {plan.windows:,} windows, {amount(plan.plain_gflop)}",
        f"fast engine      {plan.unions:,} unions and {plan.cones:,} cones, {amount(plan.fast_gflop)} at most "
        f"({plan.plain_gflop / plan.fast_gflop:.1f} times fewer)"
        if plan.fast_gflop
        else "fast engine      nothing to do",
        f"expression head  {amount(plan.head_gflop)}",
        f"memory           {sum(plan.memory_mib.values()):,.0f} MiB, whatever the number of variants:",
        *(f"                 {size:8,.0f} MiB {what}" for what, size in plan.memory_mib.items()),
        f"time             of the {plan.path} path, {amount(plan.gflop)}:",
    ]
    for device, entry in plan.seconds.items():
        source = "measured" if entry["measured"] else f"{SHARE_OF_PEAK:.0%} of the maker's peak rate"
        lines.append(
            f"                 {duration(entry['seconds']):>12}  {device}, "
            f"{entry['gflop_per_s']:,.0f} GFLOP/s ({source})"
        )
    return "\n".join(lines)


def amount(gflop: float) -> str:
    """Operations in a unit that suits them."""
    return f"{gflop / 1000:,.1f} TFLOP" if gflop >= 1000 else f"{gflop:,.1f} GFLOP"


def duration(seconds: float) -> str:
    """A time in units that suit it."""
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
