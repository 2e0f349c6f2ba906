"""TSS profiles: the shared trunk against window-by-window prediction, and reading bins of genes from the store.

Prints two lines of JSON: medians over interleaved pairs of runs, ratios, and the plain path's GFLOP/s. The first is of
one TSS profile (one strand); the second of nine bins for each of many variants, read from a store of published shape
bin by bin through HDF5 and by ``ProfileStore.at``.
Run: python benchmarks/seal_profiles.py [--published] [--pairs 5] [--bins 200] [--genes 40] [--variants 500]
Figures are kept in seal_profiles.jsonl.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch

from cisweave.config import NetworkSettings, ProfileSettings
from cisweave.models.beluga import KERNEL, POOL, Beluga, tiled_logits, trunk_positions
from cisweave.models.profile_shards import ShardHeader, write_shard
from cisweave.models.profiles import read_profiles
from cisweave.seal.spatial import spatial_features
from cisweave.sequence import one_hot

DEMO = NetworkSettings(channels=[32, 32, 48, 48, 64, 64], hidden=128, window=600)
STEP, TRACKS, SHIFTS = 200, 2002, 9


def window_gflop(settings: NetworkSettings, tracks: int) -> float:
    """Floating-point operations of one window, in thousand millions (two per multiplication and addition)."""
    length, before, total = settings.window, 4, 0
    for number, channels in enumerate(settings.channels):
        length -= KERNEL - 1
        total += length * before * channels * KERNEL
        before = channels
        if number in (1, 3):
            length //= POOL
    total += before * trunk_positions(settings.window) * settings.hidden + settings.hidden * tracks
    return 2 * total / 1e9


def seconds(function: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Wall time of one call and what it gave."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def interleaved(plain: Callable[[], Any], fast: Callable[[], Any], pairs: int) -> dict[str, Any]:
    """Medians of both times, and of their ratio, over pairs of runs; and what both gave."""
    fast(), plain()
    times: list[tuple[float, float]] = []
    for _ in range(pairs):
        plain_s, expected = seconds(plain)
        fast_s, found = seconds(fast)
        times.append((plain_s, fast_s))
    return {
        "plain_s": statistics.median(plain_s for plain_s, _ in times),
        "fast_s": statistics.median(fast_s for _, fast_s in times),
        "ratio": round(statistics.median(plain_s / fast_s for plain_s, fast_s in times), 2),
        "max_difference": float(abs(expected - found).max()),
    }


def sharing(published: bool, bins: int, pairs: int) -> dict[str, Any]:
    """One TSS profile, window by window and with the shared trunk."""
    settings, tracks = (NetworkSettings(), TRACKS) if published else (DEMO, 15)
    torch.manual_seed(0)
    network = Beluga.from_settings(tracks, settings).eval()
    codes = np.random.default_rng(0).integers(0, 4, settings.window + (bins - 1) * STEP).astype(np.uint8)
    x = one_hot(codes[None])

    def plain() -> torch.Tensor:
        windows = torch.cat([x[..., k * STEP : k * STEP + settings.window] for k in range(bins)])
        return torch.cat([network(batch) for batch in windows.split(64)])

    with torch.inference_mode():
        found = interleaved(plain, lambda: tiled_logits(network, x, STEP)[0], pairs)
    return {
        "benchmark": "seal_profiles",
        "network": "published" if published else "demo",
        "bins": bins,
        "pairs": pairs,
        "threads": torch.get_num_threads(),
        "plain_s": round(found["plain_s"], 4),
        "shared_s": round(found["fast_s"], 4),
        "ratio": found["ratio"],
        "plain_gflop_per_s": round(bins * window_gflop(settings, tracks) / found["plain_s"], 1),
        "max_difference": found["max_difference"],
    }


def write_store(path: Path, genes: int) -> None:
    """A store of random profiles of published shape."""
    settings, random = ProfileSettings(), np.random.default_rng(0)
    table = pd.DataFrame({"gene_id": [f"G{n}" for n in range(genes)], "chrom": "chr1", "tss": 1, "strand": "+"})
    with write_shard(path, ShardHeader(table, [str(n) for n in range(TRACKS)], settings)) as writer:
        for _ in range(genes):
            profile = random.random((settings.bins, TRACKS), dtype=np.float32)
            writer.append(profile, spatial_features(profile[None], settings.decay)[0])


def reading(genes: int, variants: int, pairs: int) -> dict[str, Any]:
    """Nine neighbouring bins for each of many variants, bin by bin through HDF5 and by the reader."""
    random = np.random.default_rng(1)
    rows = random.integers(0, genes, (variants, 1))
    bins = random.integers(0, ProfileSettings().bins - SHIFTS, (variants, 1)) + np.arange(SHIFTS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profiles.h5"
        write_store(path, genes)
        store = read_profiles(path)

        def plain() -> np.ndarray[Any, Any]:
            with h5py.File(path) as file:
                profile = file["profile"]
                return np.stack(
                    [[profile[row, place] for place in places] for (row,), places in zip(rows, bins, strict=True)]
                )

        found = interleaved(plain, lambda: store.at(rows, bins), pairs)
    return {
        "benchmark": "seal_profiles_reading",
        "genes": genes,
        "variants": variants,
        "pairs": pairs,
        "hdf5_variants_per_s": round(variants / found["plain_s"]),
        "store_variants_per_s": round(variants / found["fast_s"]),
        "ratio": found["ratio"],
        "max_difference": found["max_difference"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", action="store_true", help="the published network instead of the demo's")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--bins", type=int, default=200)
    parser.add_argument("--genes", type=int, default=40)
    parser.add_argument("--variants", type=int, default=500)
    options = parser.parse_args()
    print(json.dumps(sharing(options.published, options.bins, options.pairs)))
    print(json.dumps(reading(options.genes, options.variants, options.pairs)))


if __name__ == "__main__":
    main()
