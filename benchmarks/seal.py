"""The fast engine against the plain nine-window path, in one run: speed, memory, agreement, arithmetic.

A Beluga of the published size with random weights (or a narrow one, ``--small``) scores variants of the 1000 Genomes
near genes on a piece of hg19; without the real data (``CISWEAVE_REAL_DATA``), random variants on a random genome. The
expression model is random, scaled so that the scores' standard deviation is 0.03. Runs of the plain path and of the
engine are interleaved, each takes the variants in batches, and rates are per variant; the ratio is the median of the
pairs' ratios. One line of JSON is printed and added to seal.jsonl.

Run: python benchmarks/seal.py [--small] [--pairs 5] [--promoter 2000] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cisweave.config import EngineSettings, PredictSettings, ProfileSettings, SaturateSettings
from cisweave.genome.closest import assign_closest
from cisweave.genome.genes import read_genes
from cisweave.genome.normalize import read_variants
from cisweave.models.beluga import Beluga
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import LoadedModel, ModelSpec, load_model, save_model
from cisweave.models.profile_shards import ShardHeader, write_shard
from cisweave.models.profiles import ProfileStore, read_profiles
from cisweave.seal.engine import make_engine
from cisweave.seal.engine.work import NetworkShape, window_work
from cisweave.seal.head import ExpressionHead, PlainHead, places_of
from cisweave.seal.predict import Scorer, predict, window_shifts
from cisweave.seal.saturate import Saturator, all_alleles, promoter_of_gene
from cisweave.seal.spatial import spatial_features
from cisweave.sequence import Genome

TABLE = Path(__file__).with_suffix(".jsonl")
DATA = "CISWEAVE_REAL_DATA"
FASTA, VCF = "genome/hg19_pieces.fa.gz", "variants/1000G_p3.hg19.chr20_1M-2M.vcf.gz"
TSS = "annotation/ExPecto_geneanno.pc.sorted.bed"
WINDOWS = PredictSettings()
REACH = 21_000
"""Bases around a TSS that must be known."""
SCORE_SD = 0.03
PUBLISHED: dict[str, Any] = {"tracks": 2002, "window": 2000}
SMALL: dict[str, Any] = {"tracks": 6, "channels": [8, 8, 12, 12, 16, 16], "hidden": 24, "window": 2000}


# --- the world --------------------------------------------------------------------------------------------------------
@dataclass
class World:
    """Files and models of one benchmark.

    Attributes
    ----------
    snvs, indels
        Variant tables with genes, in random order.
    """

    folder: Path
    fasta: Path
    source: str
    store: ProfileStore
    chromatin: LoadedModel
    expression: LoadedModel
    snvs: pd.DataFrame
    indels: pd.DataFrame

    def genome(self) -> Genome:
        """The genome, opened."""
        return Genome(self.fasta)

    def scorer(self, genome: Genome, path: str, **options: Any) -> Scorer:
        """What scores variants by one of the two paths."""
        engine = EngineSettings(path=path, **options)  # type: ignore[arg-type]
        return Scorer(genome, self.store, self.chromatin, self.expression, WINDOWS, engine)


def build_world(folder: Path, small: bool = False, device: str = "cpu", seed: int = 0) -> World:
    """Everything a benchmark needs, in a folder."""
    data = os.environ.get(DATA)
    source, fasta, table = real_variants(folder, Path(data)) if data else random_variants(folder, seed)
    table = table.sample(frac=1, random_state=seed).reset_index(drop=True)
    shape = SMALL if small else PUBLISHED
    write_models(folder, shape, 50 if small else 1000, seed)
    write_profiles(folder, table, shape["tracks"], seed)
    chromatin = load_model(folder / "chromatin", device, "beluga")
    same = table["ref"].str.len() == table["alt"].str.len()
    world = World(
        folder,
        fasta,
        source,
        read_profiles(folder / "profiles.h5"),
        chromatin,
        load_model(folder / "model", device, "expression"),
        table[same & (table["ref"].str.len() == 1)].reset_index(drop=True),
        table[~same].reset_index(drop=True),
    )
    scale_scores(world)
    return world


def real_variants(folder: Path, data: Path) -> tuple[str, Path, pd.DataFrame]:
    """Variants of the 1000 Genomes near genes of chr20 whose surroundings are known."""
    fasta = folder / "genome.fa.gz"
    shutil.copyfile(data / FASTA, fasta)
    genes = read_genes(data / TSS)
    with Genome(fasta) as genome:
        near = genes[(genes["chrom"] == "chr20") & (genes["tss"] < genome.length("chr20") - REACH)]
        known = ["N" not in genome.fetch("chr20", tss - REACH, tss + REACH) for tss in near["tss"]]
        variants, _ = read_variants(data / VCF, fasta)
    table, _ = assign_closest(variants, near[known])
    return "1000 Genomes on hg19 chr20", fasta, table


def random_variants(folder: Path, seed: int, length: int = 120_000) -> tuple[str, Path, pd.DataFrame]:
    """Random substitutions, insertions and deletions near the genes of a random genome."""
    random = np.random.default_rng(seed)
    contig = "".join(random.choice(list("ACGT"), length))
    fasta = folder / "genome.fa"
    fasta.write_text(f">chr1\n{contig}\n")
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for position in np.sort(random.choice(np.arange(2_000, length - 2_000), 2_000, replace=False)).tolist():
        base = contig[position - 1]
        other = "ACGT"[("ACGT".index(base) + int(random.integers(1, 4))) % 4]
        kind = int(random.integers(0, 4))
        ref, alt = (base, other) if kind < 2 else (base, base + other * 3)
        if kind == 3:
            ref, alt = contig[position - 1 : position + 4], base
        lines.append(f"chr1\t{position}\t.\t{ref}\t{alt}\t.\t.\t.")
    (folder / "variants.vcf").write_text("\n".join(lines) + "\n")
    variants, _ = read_variants(folder / "variants.vcf", fasta)
    genes = pd.DataFrame(
        {"chrom": "chr1", "tss": [40_000, 80_000], "strand": ["+", "-"], "gene_id": ["G1", "G2"]}
    ).assign(name="", type="")
    table, _ = assign_closest(variants, genes)
    return "random variants on a random genome", fasta, table


def write_models(folder: Path, shape: dict[str, Any], hidden: int, seed: int) -> None:
    """Model folders with random weights."""
    torch.manual_seed(seed)
    history = pd.DataFrame({"epoch": [0]})
    tracks = [f"track{number}" for number in range(shape["tracks"])]
    save_model(folder / "chromatin", Beluga(**shape), ModelSpec("beluga", shape, tracks), {}, history)
    contexts = [f"context{number}" for number in range(122)]
    head = {"features": 10 * len(tracks), "hidden": hidden, "contexts": len(contexts)}
    save_model(folder / "model", ExpressionNetwork(**head), ModelSpec("expression", head, contexts), {}, history)


def write_profiles(folder: Path, table: pd.DataFrame, tracks: int, seed: int) -> None:
    """A store with random profiles of the variants' genes: speed does not depend on what it holds."""
    from cisweave.core.files import sha256
    from cisweave.models.folders import WEIGHTS

    settings = ProfileSettings()
    genes = table.drop_duplicates("gene_id").rename(columns={"gene_strand": "strand"})
    genes = genes[["gene_id", "chrom", "tss", "strand"]].reset_index(drop=True)
    header = ShardHeader(
        genes, [f"track{number}" for number in range(tracks)], settings, sha256(folder / "chromatin" / WEIGHTS)
    )
    random = np.random.default_rng(seed)
    with write_shard(folder / "profiles.h5", header) as writer:
        for _ in range(len(genes)):
            profile = random.random((settings.bins, tracks), dtype=np.float32) ** 4
            writer.append(profile, spatial_features(profile[None], settings.decay, settings.bin_size)[0])


def scale_scores(world: World, variants: int = 8) -> None:
    """Scale the last layer so that the scores' standard deviation is :data:`SCORE_SD`."""
    table = pd.concat([world.snvs.head(variants), world.indels.head(variants)])
    with world.genome() as genome:
        spread = float(world.scorer(genome, "fast").score(table).expression.std())
    with torch.no_grad():
        world.expression.module.layers[-1].weight.mul_(SCORE_SD / spread)  # type: ignore[index,union-attr,operator]
    save_model(world.folder / "model", world.expression.module, world.expression.spec, {}, pd.DataFrame({"epoch": [0]}))


# --- measuring --------------------------------------------------------------------------------------------------------
def seconds_each(work: Callable[[], object], number: int) -> float:
    """Wall time per variant of work on so many."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / number


def interleaved(
    plain: Callable[[], object], plain_number: int, fast: Callable[[], object], fast_number: int, pairs: int
) -> dict[str, float]:
    """Median seconds per variant of both, and the median of the pairs' ratios."""
    times = [(seconds_each(plain, plain_number), seconds_each(fast, fast_number)) for _ in range(pairs)]
    return {
        "plain": statistics.median(first for first, _ in times),
        "fast": statistics.median(second for _, second in times),
        "ratio": statistics.median(first / second for first, second in times),
    }


def speeds(world: World, pairs: int, plain_number: int, fast_number: int) -> dict[str, float]:
    """Variants per second of both paths and their ratio, for substitutions and for indels; GFLOP/s of the plain one."""
    found: dict[str, float] = {}
    with world.genome() as genome:
        plain, fast = world.scorer(genome, "plain"), world.scorer(genome, "fast")
        for name, table in (("snv", world.snvs), ("indel", world.indels)):
            few, many = table.head(plain_number), table.head(fast_number)
            for warm in (plain.score, fast.score):
                warm(few.head(2))
            # other variants each time: nothing may be remembered from the run before
            turn = iter(range(10_000))

            def other(number: int, table: pd.DataFrame = table, turn: Any = turn) -> pd.DataFrame:
                return table.iloc[(np.arange(number) + number * next(turn)) % len(table)]

            times = interleaved(
                lambda: plain.score(other(plain_number)),
                len(few),
                lambda: fast.score(other(fast_number)),
                len(many),
                pairs,
            )
            found[f"engine_speed_{name}"] = round(times["ratio"], 2)
            found[f"engine_{name}s_per_s"] = round(1 / times["fast"], 3)
            if name == "snv":
                window = 2 * window_work(NetworkShape.of(world.chromatin.module)) / 1e9  # type: ignore[arg-type]
                windows = 4 * len(window_shifts(WINDOWS, 2000))
                found["plain_variants_per_s"] = round(1 / times["plain"], 3)
                found["plain_gflops"] = round(windows * window / times["plain"], 1)
    return found


def neighbours_speed(world: World, pairs: int, plain_number: int, number: int) -> dict[str, float]:
    """The ratio for substitutions one after the other in the file, which share the trunk of their stretch."""
    table = world.snvs.sort_values(["chrom", "pos"]).reset_index(drop=True)
    turn = iter(range(10_000))

    def other() -> pd.DataFrame:
        first = number * next(turn) % max(1, len(table) - number)
        return table.iloc[first : first + number]

    with world.genome() as genome:
        plain, fast = world.scorer(genome, "plain"), world.scorer(genome, "fast")
        few = table.head(plain_number)
        times = interleaved(lambda: plain.score(few), len(few), lambda: fast.score(other()), number, pairs)
    return {"engine_speed_neighbours": round(times["ratio"], 2), "engine_neighbours_per_s": round(1 / times["fast"], 3)}


def saturation_speed(world: World, pairs: int, plain_number: int, promoter: int) -> dict[str, float]:
    """Seconds per allele of all substitutions of a promoter by both paths, and their ratio."""
    gene = str(world.snvs["gene_id"].iloc[0])
    settings = SaturateSettings(upstream=promoter // 2, downstream=promoter - promoter // 2)
    with world.genome() as genome:
        stretch = promoter_of_gene(world.store, gene, settings)
        alleles, _ = all_alleles(genome, stretch, deletions=False)
        few = alleles.sample(plain_number, random_state=0)
        arguments = genome, world.store, world.chromatin, world.expression, WINDOWS
        plain = Saturator(*arguments, EngineSettings(path="plain"))

        def saturated() -> None:
            Saturator(*arguments, EngineSettings()).score(alleles)

        times = interleaved(lambda: plain.score(few), len(few), saturated, len(alleles), pairs)
    return {
        "saturation_alleles": len(alleles),
        "engine_speed_saturation": round(times["ratio"], 1),
        "saturation_ms_per_allele": round(1000 * times["fast"], 3),
        "saturation_plain_ms_per_allele": round(1000 * times["plain"], 1),
    }


def differences(world: World, variants: int) -> dict[str, float]:
    """How far the engine is from the plain path on the same variants, from windows to scores.

    ``engine_*`` are scores of the fast engine and its head against plain windows and the whole network in float64;
    ``head_*`` are scores of the fast head against that network on the same probabilities.
    """
    table = pd.concat([world.snvs.head(variants), world.indels.head(variants)])
    settings = EngineSettings(batch_size=max(16, variants))
    with world.genome() as genome:
        shifts = window_shifts(WINDOWS, 2000)
        plain, fast = (
            make_engine(world.chromatin, settings.model_copy(update={"path": path})).predict(table, genome, shifts)
            for path in ("plain", "fast")
        )
        places = places_of(table, world.store, shifts, genome)
    scores = ExpressionHead(world.expression, world.store).effects(fast, places)
    exact = PlainHead(world.expression, world.store).effects(fast, places)
    from_plain = PlainHead(world.expression, world.store).effects(plain, places)
    spread = float(exact.std())
    off, head_off = (float(np.abs(scores - right).max()) for right in (from_plain, exact))
    probability = max(
        float((getattr(plain, allele) - getattr(fast, allele)).abs().max()) for allele in ("reference", "alternative")
    )
    effect = (fast.alternative - fast.reference) - (plain.alternative - plain.reference)
    return {
        "probability_max_abs_diff": probability,
        "probability_effect_max_abs_diff": float(effect.abs().max()),
        "engine_max_abs_diff": off,
        "engine_max_rel_diff": off / spread,
        "head_max_abs_diff": head_off,
        "head_max_rel_diff": head_off / spread,
        "score_sd": spread,
    }


def precision_table(world: World, variants: int) -> dict[str, dict[str, float]]:
    """Per arithmetic of the trunk, how effects on chromatin and scores differ from float32."""
    on_gpu = world.chromatin.device.type == "cuda"
    names = ["tf32", "float16", "bfloat16"] if on_gpu else ["float16", "bfloat16"]
    table = world.snvs.head(variants)
    found = {}
    with world.genome() as genome:
        expected = world.scorer(genome, "fast", precision="float32").score(table)
        for name in names:
            scores = world.scorer(genome, "fast", precision=name).score(table)
            pair = {"chromatin": (expected.chromatin, scores.chromatin)}
            pair["score"] = (expected.expression, scores.expression)
            figures: dict[str, float] = {}
            for what, (right, given) in pair.items():
                figures[f"{what}_r"] = round(float(np.corrcoef(right.ravel(), given.ravel())[0, 1]), 6)
                figures[f"{what}_rmse_over_sd"] = round(float(np.sqrt(((right - given) ** 2).mean()) / right.std()), 5)
            figures["chromatin_zeros"] = round(float(((scores.chromatin == 0) & (expected.chromatin != 0)).mean()), 4)
            found[name] = figures
    return found


# --- memory -----------------------------------------------------------------------------------------------------------
def memory_run(folder: Path, number: int) -> float:
    """Peak memory (MiB) of this process after scoring ``number`` variants from files to files."""
    table = pd.read_parquet(folder / "variants.parquet")
    copies = -(-number // len(table))
    rows = pd.concat([table] * copies, ignore_index=True).head(number)
    rows = rows.assign(record=np.arange(1, len(rows) + 1), line=np.arange(1, len(rows) + 1), allele=1)
    path = folder / f"variants-{number}.parquet"
    rows.to_parquet(path, index=False)
    fasta = next(name for name in ("genome.fa.gz", "genome.fa") if (folder / name).exists())
    predict(
        variants=path,
        fasta=folder / fasta,
        profiles=folder / "profiles.h5",
        chromatin=folder / "chromatin",
        model=folder / "model",
        out=folder / f"{number}-effects.parquet",
        chromatin_effects=folder / f"{number}-chromatin.parquet",
        rejects=folder / f"{number}-rejects.tsv",
    )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_memory(world: World, number: int) -> dict[str, float]:
    """Peak memory (MiB) of scoring ``number`` variants and ten times as many, each in a process of its own."""
    world.snvs.to_parquet(world.folder / "variants.parquet", index=False)
    found = {}
    for name, rows in (("peak_mb_1x", number), ("peak_mb_10x", 10 * number)):
        command = [sys.executable, __file__, "--memory-run", str(rows), "--folder", str(world.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        found[name] = round(float(done.stdout.split()[-1]), 1)
    return found


# --- GPU --------------------------------------------------------------------------------------------------------------
def gpu_speeds(world: World, number: int, pairs: int) -> dict[str, Any]:
    """Variants per second on a GPU in each arithmetic, against the rate of a large matrix product, and what binds."""
    found: dict[str, Any] = {"device": torch.cuda.get_device_name()}
    table = world.snvs.head(number)  # all different: nothing is scored twice
    for precision in ("float32", "tf32", "float16"):
        peak = matrix_rate(precision)
        with world.genome() as genome:
            scorer = world.scorer(genome, "fast", precision=precision, batch_size=256)
            scorer.score(table.head(64))
            each = statistics.median(seconds_each(lambda: scorer.score(table), len(table)) for _ in range(pairs))  # noqa: B023
            busy = busy_share(lambda: scorer.score(table))  # noqa: B023
        found[precision] = {
            "variants_per_s": round(1 / each, 1),
            "matrix_tflops": round(peak / 1000, 1),
            "share_of_matrix_peak": round(engine_gflop(world) / each / peak, 3),
            "device_busy": round(busy, 3),
            "binds": "the GPU" if busy > 0.8 else "the processor that feeds it",
        }
    return found


def engine_gflop(world: World) -> float:
    """Operations of one scattered substitution in the fast engine."""
    from cisweave.seal.engine.work import STRANDS, cone_work, union_work

    shape, shifts = NetworkShape.of(world.chromatin.module), window_shifts(WINDOWS, 2000)  # type: ignore[arg-type]
    return 2 * STRANDS * (union_work(shape, shifts) + cone_work(shape, shifts)) / 1e9


def matrix_rate(precision: str, size: int = 8192, times: int = 20) -> float:
    """GFLOP/s of a large matrix product on the GPU."""
    from cisweave.core.devices import float32_arithmetic

    dtype = torch.float16 if precision == "float16" else torch.float32
    left, right = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(2))
    with float32_arithmetic(precision == "tf32"):
        left @ right
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(times):
            left @ right
        torch.cuda.synchronize()
    return 2 * size**3 * times / (time.perf_counter() - start) / 1e9


def busy_share(work: Callable[[], object]) -> float:
    """Share of the wall time in which the GPU computes."""
    from torch.profiler import ProfilerActivity, profile

    start = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        work()
        torch.cuda.synchronize()
    wall = time.perf_counter() - start
    return sum(event.self_device_time_total for event in record.key_averages()) / 1e6 / wall


# --- all of it --------------------------------------------------------------------------------------------------------
def engine_speed(
    small: bool = False,
    pairs: int = 5,
    plain_number: int = 4,
    fast_number: int = 64,
    promoter: int = 2000,
    memory_variants: int = 0,
    precisions: bool = True,
    device: str = "cpu",
) -> dict[str, Any]:
    """Everything above in one world.

    Parameters
    ----------
    plain_number, fast_number
        Variants of one run of the plain path and of the engine.
    promoter
        Bases of the saturated promoter.
    memory_variants
        Variants of the smaller of the two memory runs; 0 leaves them out.

    Returns
    -------
    dict
        ``engine_speed_snv``, ``engine_speed_indel``, ``engine_speed_saturation`` (ratios to the plain path),
        ``plain_variants_per_s``, ``plain_gflops``, ``engine_max_abs_diff``, ``engine_max_rel_diff``, ``peak_mb_1x``,
        ``peak_mb_10x`` and more.
    """
    with tempfile.TemporaryDirectory(prefix="seal-benchmark-") as folder:
        world = build_world(Path(folder), small, device)
        report: dict[str, Any] = {
            "benchmark": "seal",
            "variants": world.source,
            "network": "narrow" if small else "published",
            "device": device,
            "threads": torch.get_num_threads(),
            "pairs": pairs,
            **differences(world, 8),
            **speeds(world, pairs, plain_number, fast_number),
            **neighbours_speed(world, pairs, plain_number, fast_number),
            **saturation_speed(world, pairs, plain_number, promoter),
        }
        if memory_variants:
            report |= peak_memory(world, memory_variants)
        if precisions:
            report["precision"] = precision_table(world, 8)
        if device == "cuda":
            report["gpu"] = gpu_speeds(world, 2048, pairs)
    return report


def main() -> None:
    """Measure, print, and keep the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a narrow network instead of the published one")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--plain", type=int, default=4, help="variants of one run of the plain path")
    parser.add_argument("--fast", type=int, default=64, help="variants of one run of the engine")
    parser.add_argument("--promoter", type=int, default=2000, help="bases of the saturated promoter")
    parser.add_argument("--memory", type=int, default=32, help="variants of the smaller memory run; 0: none")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--memory-run", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_run:
        print(memory_run(options.folder, options.memory_run))
        return
    report = engine_speed(
        options.small,
        options.pairs,
        options.plain,
        options.fast,
        options.promoter,
        options.memory,
        device=options.device,
    )
    line = json.dumps(report)
    with options.out.open("a", encoding="utf-8") as handle:
        handle.write(line + "\n")
    print(line)


if __name__ == "__main__":
    main()
