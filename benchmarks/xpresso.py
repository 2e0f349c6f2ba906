"""Training of promoter models at their published size against a straightforward port of the Keras layers, in one run.

cnn/Xpresso and deeplncloc/DeepLncLoc read 10,500 bases of random promoters of 20,000. The room keeps promoters on disk
as one byte a base and reads the window of a batch; segments are read from disk too. The port does what the originals
did: one-hot promoters (or segments) as float32 in memory, channels last, turned for Conv1d, MaxPool1d and Linear, and
attention spelt out. Both take the same steps of the published optimiser on the same genes; runs are interleaved, the
ratio is the median of the pairs' ratios, and both must give the same predictions with the same weights. On a GPU, an
epoch of the human training genes (16,377) is timed as well, through the whole training with validation and logs. One
line of JSON is printed and added to xpresso.jsonl.

Run: python benchmarks/xpresso.py [--pairs 5] [--genes 512] [--epoch-genes 16377] [--device cpu] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from cisweave.config import EmbeddingSettings, PromoterTrainingSettings, ZooModel
from cisweave.models.promoter.build import build_network
from cisweave.models.promoter.registry import find_type
from cisweave.sequence.onehot import one_hot
from cisweave.xpresso.dataset import HALF_LIFE, PromoterData, open_data, write_data
from cisweave.xpresso.embedding import embed_data, open_embedding
from cisweave.xpresso.learning import Examples, predict
from cisweave.xpresso.optimisers import make_optimizer
from cisweave.xpresso.training import train_model
from cisweave.xpresso.zoo import resolve_training

TABLE = Path(__file__).with_suffix(".jsonl")
LENGTH = 20_000
SLICE = (3_000, 13_500)
EXTRAS = len(HALF_LIFE)
TYPES = ("cnn/Xpresso", "deeplncloc/DeepLncLoc")
HUMAN_GENES, HELD_OUT = 16_377, 1_000
SMALL_WINDOW = 1_000
"""Bases read in a quick run."""


# --- the port ---------------------------------------------------------------------------------------------------------
class PortedXpresso(nn.Module):
    """Xpresso as its Keras layers read, one after the other."""

    def __init__(self, window: int):
        super().__init__()
        self.first = nn.Conv1d(4, 128, 6, padding="same")
        self.second = nn.Conv1d(128, 32, 9, padding="same")
        self.dense = nn.Linear(window // 30 // 10 * 32 + EXTRAS, 64)
        self.narrow = nn.Linear(64, 2)
        self.out = nn.Linear(2, 1)
        self.dropout, self.last_dropout = nn.Dropout(0.00099), nn.Dropout(0.01546)

    def forward(self, promoter: torch.Tensor, halflife: torch.Tensor) -> torch.Tensor:
        """Expression (batch, 1) of one-hot promoters (batch, length, 4)."""
        x = F.max_pool1d(F.relu(self.first(promoter.permute(0, 2, 1))), 30)
        x = F.max_pool1d(F.relu(self.second(x)), 10)
        x = torch.cat([x.permute(0, 2, 1).flatten(1), halflife], dim=1)
        x = self.last_dropout(F.relu(self.narrow(self.dropout(F.relu(self.dense(x))))))
        expression: torch.Tensor = self.out(x)
        return expression


class PortedDeepLncLoc(nn.Module):
    """The DeepLncLoc transformer as its Keras layers read."""

    angles: torch.Tensor

    def __init__(self, segments: int, size: int = 64, heads: int = 4, hidden: int = 384):
        super().__init__()
        self.heads, self.size = heads, size
        self.norm = nn.BatchNorm1d(size, eps=1e-3, momentum=0.01)
        self.query, self.key, self.value = (nn.Linear(size, heads * size) for _ in range(3))
        self.output = nn.Linear(heads * size, size)
        self.expand, self.contract = nn.Linear(size, hidden), nn.Linear(hidden, size)
        self.first_norm, self.second_norm = nn.LayerNorm(size, eps=1e-6), nn.LayerNorm(size, eps=1e-6)
        self.dense, self.out = nn.Linear(size + EXTRAS, 100), nn.Linear(100, 1)
        self.dropout = nn.Dropout(0.1)
        angle = np.arange(segments)[:, None] / 10_000 ** (2 * (np.arange(size)[None] // 2) / size)
        angle[:, 0::2], angle[:, 1::2] = np.sin(angle[:, 0::2]), np.cos(angle[:, 1::2])
        self.register_buffer("angles", torch.from_numpy(angle).float())

    def forward(self, segments: torch.Tensor, halflife: torch.Tensor) -> torch.Tensor:
        """Expression (batch, 1) of embedded promoters (batch, segments, size)."""
        x = self.norm(segments.permute(0, 2, 1)).permute(0, 2, 1)
        x = self.dropout(x * math.sqrt(self.size) + self.angles)
        query, key, value = (
            part(x).reshape(len(x), -1, self.heads, self.size) for part in (self.query, self.key, self.value)
        )
        weights = torch.softmax(torch.einsum("bqhd,bkhd->bhqk", query / math.sqrt(self.size), key), dim=-1)
        taken = torch.einsum("bhqk,bkhd->bqhd", weights, value).flatten(2)
        x = self.first_norm(x + self.dropout(self.output(taken)))
        x = self.second_norm(x + self.dropout(self.contract(F.relu(self.expand(x)))))
        x = torch.cat([x.mean(dim=1), halflife], dim=1)
        expression: torch.Tensor = self.out(self.dropout(F.relu(self.dense(x))))
        return expression


# --- the data ---------------------------------------------------------------------------------------------------------
def write_promoters(folder: Path, genes: dict[str, int], length: int, seed: int) -> tuple[Path, Path]:
    """Data folder and split of random promoters; ``genes`` counts those of each split."""
    random = np.random.default_rng(seed)
    number = sum(genes.values())
    names = [f"G{gene:06d}" for gene in range(number)]
    table = pd.DataFrame({"gene_id": names, "expression": 10 ** random.normal(0.5, 0.5, size=number)})
    for name in HALF_LIFE:
        table[name] = random.random(number) if name.endswith("GC") else random.integers(100, 5_000, size=number)
    blocks = (
        random.integers(0, 4, size=(min(512, number - start), length), dtype=np.uint8)
        for start in range(0, number, 512)
    )
    write_data(folder / "data", table, blocks, upstream=length // 2, downstream=length - length // 2)
    split = pd.DataFrame({"gene_id": names, "fold": 1, "split": np.repeat(list(genes), list(genes.values()))})
    split.to_csv(folder / "split.tsv", sep="\t", index=False)
    return folder / "data", folder / "split.tsv"


def embedding_settings(bounds: tuple[int, int]) -> EmbeddingSettings:
    """Segments of 50 bases, as published."""
    return EmbeddingSettings(mode="random_projection", slice="{}:{}".format(*bounds))


@dataclass
class Side:
    """One way of training a model: steps on batches of genes.

    Attributes
    ----------
    step
        Takes rows, makes one step of the optimiser.
    predictions
        Predictions (genes,) of rows in eval mode.
    """

    network: nn.Module
    step: Callable[[NDArray[np.int64]], None]
    predictions: Callable[[NDArray[np.int64]], torch.Tensor]


def make_side(
    network: nn.Module,
    settings: PromoterTrainingSettings,
    forward: Callable[[NDArray[np.int64]], tuple[torch.Tensor, torch.Tensor]],
) -> Side:
    """Steps of the published optimiser on what ``forward`` gives of rows: predictions and labels."""
    assert settings.learning_rate is not None
    optimizer = make_optimizer(network.parameters(), settings, settings.learning_rate)

    def step(rows: NDArray[np.int64]) -> None:
        network.train()
        optimizer.zero_grad()
        predicted, labels = forward(rows)
        F.mse_loss(predicted, labels).backward()
        optimizer.step()

    def predictions(rows: NDArray[np.int64]) -> torch.Tensor:
        network.eval()
        with torch.inference_mode():
            return forward(rows)[0].cpu()

    return Side(network, step, predictions)


def make_sides(folder: Path, kind_name: str, bounds: tuple[int, int], device: str, seed: int) -> tuple[Side, Side]:
    """The port and the room's way with the same weights, on the data in a folder."""
    data, kind = open_data(folder / "data"), find_type(kind_name)
    settings = resolve_training(ZooModel(type=kind_name))
    random = np.random.default_rng(seed)
    extras = random.standard_normal((len(data), EXTRAS)).astype(np.float32)
    labels = random.standard_normal(len(data)).astype(np.float32)
    window = bounds[1] - bounds[0]
    torch.manual_seed(seed)
    network = build_network(kind_name, window, halflife=EXTRAS)
    if kind.embedding:
        path = folder / "embedded.h5"
        embed_data(folder / "data", folder / "split.tsv", path, embedding_settings(bounds))
        embedding = open_embedding(path)
        in_memory = embedding.read(np.arange(len(data)))
        port: nn.Module = PortedDeepLncLoc(window // embedding.settings.segment)
        read: Callable[[NDArray[np.int64]], torch.Tensor] = lambda rows: torch.from_numpy(embedding.read(rows))  # noqa: E731
    else:
        in_memory = keras_one_hot(data, bounds)
        port = PortedXpresso(window)
        read = lambda rows: torch.from_numpy(data.windows(rows, *bounds))  # noqa: E731
    for own, ported in zip(network.parameters(), port.parameters(), strict=True):
        ported.data.copy_(own.data)
    network, port = network.to(device), port.to(device)
    examples = Examples(np.arange(len(data)), read, extras, labels)

    def own_forward(rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        promoters, features, expression = (part.to(device) for part in examples.__getitems__(rows.tolist()))
        return predict(network, promoters, features), expression

    def port_forward(rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        promoters, features, expression = (
            torch.from_numpy(part[rows]).to(device) for part in (in_memory, extras, labels)
        )
        return port(promoters, features)[:, 0], expression

    return make_side(port, settings, port_forward), make_side(network, settings, own_forward)


def keras_one_hot(data: PromoterData, bounds: tuple[int, int]) -> NDArray[np.float32]:
    """All promoters as float32 (genes, length, 4)."""
    codes = data.windows(np.arange(len(data)), *bounds)
    return np.ascontiguousarray(one_hot(codes, torch.device("cpu")).permute(0, 2, 1).float().numpy())


# --- measuring --------------------------------------------------------------------------------------------------------
def batches(genes: int, size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Shuffled rows, batch by batch, without end."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(genes)
        yield from (np.sort(order[start : start + size]) for start in range(0, genes - size + 1, size))


def seconds(work: Callable[[], object], device: str) -> float:
    """Wall time of work."""
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def training_speed(
    folder: Path, kind: str, bounds: tuple[int, int], genes: int, batch: int, pairs: int, device: str
) -> dict[str, float]:
    """Genes per second of both ways, the ratio, and how far their predictions are apart with the same weights."""
    port, own = make_sides(folder, kind, bounds, device, seed=0)
    rows = np.arange(min(genes, batch))
    difference = float((port.predictions(rows) - own.predictions(rows)).abs().max())
    steps = max(1, genes // batch)
    order = {side: batches(genes, batch, seed=1) for side in ("port", "own")}

    def epoch(name: str, side: Side) -> None:
        for _ in range(steps):
            side.step(next(order[name]))

    sides = {"port": port, "own": own}
    for side in sides.values():
        side.step(rows)
    times = [
        {name: seconds(partial(epoch, name, side), device) / (steps * batch) for name, side in sides.items()}
        for _ in range(pairs)
    ]
    name = kind.split("/")[1].lower()
    return {
        f"{name}_speed": round(statistics.median(pair["port"] / pair["own"] for pair in times), 2),
        f"{name}_genes_per_s": round(1 / statistics.median(pair["own"] for pair in times), 1),
        f"{name}_port_genes_per_s": round(1 / statistics.median(pair["port"] for pair in times), 1),
        f"{name}_max_abs_diff": difference,
    }


def epoch_seconds(
    folder: Path, kind: str, bounds: tuple[int, int], device: str, genes: int, held_out: int, epochs: int = 4
) -> dict[str, float]:
    """Seconds of an epoch of the whole training: the difference of a training of so many epochs and of one.

    The first training only warms up.
    """
    data, split = write_promoters(folder, {"train": genes, "valid": held_out, "test": held_out}, LENGTH, seed=2)
    embedding = None
    if find_type(kind).embedding:
        embedding = folder / "embedded.h5"
        embed_data(data, split, embedding, embedding_settings(bounds))
    taken = []
    for run, number in enumerate((1, 1, epochs)):
        train = {"slice": "{}:{}".format(*bounds), "max_epochs": number, "patience": number, "restarts": 0}
        settings = embedding_settings(bounds) if embedding else None
        entry = ZooModel(type=kind, embedding=settings, train=PromoterTrainingSettings.model_validate(train))
        work = partial(
            train_model, data, split, folder / f"run{run}", entry, device=cast("Any", device), embedding=embedding
        )
        taken.append(seconds(work, device))
    return {f"{kind.split('/')[1].lower()}_epoch_s": round((taken[2] - taken[1]) / (epochs - 1), 2)}


def training_speeds(
    pairs: int = 5,
    genes: int = 512,
    batch: int = 128,
    small: bool = False,
    epoch_genes: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Everything above.

    Parameters
    ----------
    genes
        Genes of one run of each way.
    small
        Read 1,000 bases instead of 10,500.
    epoch_genes
        Training genes of the timed epochs; 0 leaves them out.

    Returns
    -------
    dict
        For ``xpresso`` and ``deeplncloc``: ``<name>_speed`` (ratio to the port), ``<name>_genes_per_s``,
        ``<name>_port_genes_per_s``, ``<name>_max_abs_diff`` and, where asked for, ``<name>_epoch_s``.
    """
    bounds = (SLICE[0], SLICE[0] + SMALL_WINDOW) if small else SLICE
    report: dict[str, Any] = {
        "benchmark": "xpresso",
        "window": bounds[1] - bounds[0],
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "threads": torch.get_num_threads(),
        "genes": genes,
        "batch": batch,
        "pairs": pairs,
    }
    with tempfile.TemporaryDirectory(prefix="xpresso-benchmark-") as folder:
        write_promoters(Path(folder), {"train": genes}, LENGTH, seed=0)
        for kind in TYPES:
            report |= training_speed(Path(folder), kind, bounds, genes, batch, pairs, device)
    if epoch_genes:
        report["epoch_genes"] = epoch_genes
        for kind in TYPES:
            with tempfile.TemporaryDirectory(prefix="xpresso-benchmark-") as folder:
                held_out = max(1, epoch_genes * HELD_OUT // HUMAN_GENES)
                report |= epoch_seconds(Path(folder), kind, bounds, device, epoch_genes, held_out)
    return report


def main() -> None:
    """Measure, print, and keep the line."""
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="1,000 bases instead of 10,500")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--genes", type=int, default=4_096 if on_gpu else 512, help="genes of one run of each way")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument(
        "--epoch-genes", type=int, default=HUMAN_GENES if on_gpu else 0, help="training genes of epochs; 0: none"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if on_gpu else "cpu")
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    report = training_speeds(
        options.pairs, options.genes, options.batch, options.small, options.epoch_genes, options.device
    )
    line = json.dumps(report)
    with options.out.open("a", encoding="utf-8") as handle:
        handle.write(line + "\n")
    print(line)


if __name__ == "__main__":
    main()
