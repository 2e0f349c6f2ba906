"""A genome with genes on both strands, and a promoter model that is linear in its bases.

The model is a true network of the zoo whose convolution copies the bases, so that its prediction is the sum of one
weight per base and position: what it must say of any promoter follows from plain NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cisweave.models.folders import ModelSpec, save_model
from cisweave.models.promoter.build import build_network
from cisweave.xpresso.dataset import HALF_LIFE, PromoterData, write_data
from cisweave.xpresso.scaling import Scaling

UP, DOWN = 60, 40
LEFT, RIGHT = 20, 90
WINDOW, ANCHOR = RIGHT - LEFT, UP - LEFT
LABEL_MEAN, LABEL_SD = 0.5, 2.0
LENGTHS = {"chr1": 1500, "chr2": 600}
GENES = pd.DataFrame(
    {
        "gene_id": ["plus", "minus", "edge", "other"],
        "chrom": ["chr1", "chr1", "chr1", "chr2"],
        "tss": [500, 540, 1490, 300],
        "strand": ["+", "-", "+", "-"],
    }
)
"""``tss`` is 0-based. Windows of plus and minus overlap; that of edge leaves its contig by 19 bases."""
COMPLEMENT = dict(zip("ACGTN", "TGCAN", strict=True))
RAW = np.array([[100.0, 900.0, 2000.0, 50.0, 0.25, 0.5, 0.75, 4.44], [200, 300, 0, 10, 0.5, 0.5, 0.5, 10]])


@dataclass
class World:
    """Files, and the truth to compare with."""

    folder: Path
    genome: dict[str, str]
    weights: np.ndarray
    extras: np.ndarray
    scaling: Scaling

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def fasta(self) -> Path:
        return self.folder / "genome.fa"

    def bases(self, chrom: str, start: int, end: int) -> str:
        sequence = self.genome[chrom]
        return "".join(sequence[place] if 0 <= place < len(sequence) else "N" for place in range(start, end))

    def promoter(self, gene: str, left: int = 0, right: int = UP + DOWN) -> str:
        """Bases of a promoter in gene orientation, the TSS being base ``UP``."""
        _, chrom, tss, strand = GENES[GENES.gene_id == gene].iloc[0]
        if strand == "+":
            return self.bases(chrom, tss - UP + left, tss - UP + right)
        forward = self.bases(chrom, tss + UP - right + 1, tss + UP - left + 1)
        return "".join(COMPLEMENT[base] for base in reversed(forward))

    def score(self, window: str, extras: np.ndarray | None = None) -> float:
        """The prediction for a window in gene orientation."""
        assert len(window) == WINDOW
        total = sum(self.weights[place, "ACGT".index(base)] for place, base in enumerate(window) if base != "N")
        return float(total + (0.0 if extras is None else extras @ self.extras))


def codes_of(text: str) -> np.ndarray:
    return np.array(["ACGTN".index(base) for base in text], dtype=np.uint8)


def linear_network(kind: str, weights: np.ndarray, extras: np.ndarray, **widths: int) -> Any:
    """A network of the Xpresso family that adds up ``weights`` (window, 4) and ``extras``."""
    window = len(weights)
    network = build_network(kind, window, **widths, **PLAIN)
    state = network.state_dict()
    convolution = next(name for name, value in state.items() if value.shape == (4, 4, 1))
    head = next(name for name, value in state.items() if value.shape == (1, 4 * window + len(extras)))
    for value in state.values():
        value.zero_()
    state[convolution][..., 0] = torch.eye(4)
    state[convolution.replace("weight", "bias")][:] = 1.0  # so that the ReLU after it never cuts
    state[head][0] = torch.from_numpy(np.concatenate([weights.ravel(), extras])).float()
    state[head.replace("weight", "bias")][0] = -float(weights.sum())
    network.load_state_dict(state)
    return network.eval()


PLAIN: dict[str, Any] = {"filters": [4], "widths": [1], "pools": [1], "dense": [], "dropout": []}


def save_linear_model(
    folder: Path,
    weights: np.ndarray,
    extras: np.ndarray,
    scaling: Scaling,
    kind: str = "cnn/Xpresso",
    inputs: str = "PH",
    slice_: tuple[int, int] = (LEFT, RIGHT),
    **widths: int,
) -> None:
    spec = ModelSpec(
        architecture="promoter",
        hyperparameters={"type": kind, "window": len(weights), **widths, **PLAIN},
        outputs=["expression"],
        preprocessing={
            "promoter": {"upstream": UP, "downstream": DOWN, "slice": list(slice_)},
            "scaling": scaling.to_dict(),
            "embedding": None,
            "inputs": inputs,
        },
    )
    network = linear_network(kind, weights, extras, **widths)
    save_model(folder, network, spec, {}, pd.DataFrame({"epoch": [0]}))


def build_world(folder: Path) -> World:
    rng = np.random.default_rng(3)
    genome = {name: "".join(rng.choice(list("ACGT"), length)) for name, length in LENGTHS.items()}
    with open(folder / "genome.fa", "w") as handle:
        for name, sequence in genome.items():
            handle.write(f">{name}\n" + "\n".join(sequence[at : at + 60] for at in range(0, len(sequence), 60)) + "\n")
    scaling = Scaling(
        label_mean=LABEL_MEAN,
        label_sd=LABEL_SD,
        halflife_mean=[2.0, 3.0, 3.0, 2.0, 0.5, 0.5, 0.5, 0.8],
        halflife_sd=[0.5, 0.4, 0.6, 0.5, 0.1, 0.2, 0.1, 0.3],
    )
    world = World(folder, genome, rng.normal(size=(WINDOW, 4)), rng.normal(size=len(HALF_LIFE)), scaling)
    save_linear_model(world.model, world.weights, world.extras, scaling, halflife=8)
    save_linear_model(
        folder / "promoter_only", world.weights, np.zeros(0), scaling, kind="cnn/Xpresso_nohalf", inputs="P"
    )
    return world


def write_bed(world: World, path: Path, left: int, right: int) -> Path:
    """Windows ``left:right`` of the promoters as a BED."""
    rows = []
    for gene, chrom, tss, strand in GENES.itertuples(index=False):
        start = tss - UP + left if strand == "+" else tss + UP - right + 1
        rows.append(f"{chrom}\t{start}\t{start + right - left}\t{gene}\t0\t{strand}\n")
    path.write_text("".join(rows))
    return path


def make_data(world: World, folder: Path, genes: pd.DataFrame = GENES, **changes: Any) -> PromoterData:
    """Promoter data of the genes, two of them with half-life features."""
    reverse = genes.strand == "-"
    start = np.where(reverse, genes.tss + 1 - DOWN, genes.tss - UP)
    table = genes.assign(start=start, end=start + UP + DOWN)
    table[list(HALF_LIFE)] = np.nan
    table.loc[[0, 1], list(HALF_LIFE)] = RAW
    codes = np.stack([codes_of(world.promoter(gene)) for gene in genes.gene_id])
    return write_data(folder, table, [codes], upstream=UP, downstream=DOWN, **changes)


def scaled_halflife(scaling: Scaling, raw: np.ndarray) -> np.ndarray:
    """Half-life features as the model sees them, written out."""
    logged = [np.log10(value + 0.1) if not name.endswith("GC") else value
              for name, value in zip(HALF_LIFE, raw, strict=True)]  # fmt: skip
    return (np.array(logged) - scaling.halflife_mean) / scaling.halflife_sd
