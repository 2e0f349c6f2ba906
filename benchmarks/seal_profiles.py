"""Ratio of the shared trunk to window-by-window prediction of one TSS profile, measured side by side.

Prints one line of JSON: medians over interleaved pairs of runs, the ratio, and the plain path's GFLOP/s.
Run: python benchmarks/seal_profiles.py [--published] [--pairs 5] [--bins 200]; figures are kept in seal_profiles.jsonl
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from cisweave.config import NetworkSettings
from cisweave.models.beluga import KERNEL, POOL, Beluga, tiled_logits, trunk_positions
from cisweave.sequence import one_hot

DEMO = NetworkSettings(channels=[32, 32, 48, 48, 64, 64], hidden=128, window=600)
STEP = 200


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", action="store_true", help="the published network instead of the demo's")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--bins", type=int, default=200)
    options = parser.parse_args()
    settings, tracks = (NetworkSettings(), 2002) if options.published else (DEMO, 15)
    torch.manual_seed(0)
    network = Beluga.from_settings(tracks, settings).eval()
    codes = np.random.default_rng(0).integers(0, 4, settings.window + (options.bins - 1) * STEP).astype(np.uint8)
    x = one_hot(codes[None])

    def plain() -> torch.Tensor:
        windows = torch.cat([x[..., k * STEP : k * STEP + settings.window] for k in range(options.bins)])
        return torch.cat([network(batch) for batch in windows.split(64)])

    def shared() -> torch.Tensor:
        return tiled_logits(network, x, STEP)[0]

    with torch.inference_mode():
        shared(), plain()
        times: dict[str, list[float]] = {"plain": [], "shared": []}
        for _ in range(options.pairs):
            plain_s, expected = seconds(plain)
            shared_s, found = seconds(shared)
            times["plain"].append(plain_s)
            times["shared"].append(shared_s)
    medians = {name: statistics.median(values) for name, values in times.items()}
    report = {
        "benchmark": "seal_profiles",
        "network": "published" if options.published else "demo",
        "bins": options.bins,
        "pairs": options.pairs,
        "threads": torch.get_num_threads(),
        "plain_s": round(medians["plain"], 4),
        "shared_s": round(medians["shared"], 4),
        "ratio": round(statistics.median(p / s for p, s in zip(times["plain"], times["shared"], strict=True)), 2),
        "plain_gflop_per_s": round(options.bins * window_gflop(settings, tracks) / medians["plain"], 1),
        "max_difference": float((expected - found).abs().max()),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
