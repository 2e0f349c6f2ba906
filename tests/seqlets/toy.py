"""A world in which everything is known: planted motifs, and a model that is nothing but their PWMs.

The model scans both strands with log-odds filters, cuts at a threshold (ReLU) and sums: its logit for a track rises
only where that track's motif stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.config import ProfileSettings
from cisweave.core.files import sha256
from cisweave.models.folders import WEIGHTS, ModelSpec, save_model
from cisweave.models.predict import predict_probabilities
from cisweave.motifs import Motif, jaspar_motifs
from cisweave.sequence.onehot import decode

MATRICES = {"CTCF": "MA0139.2", "NRF1": "MA0506.3", "SRF": "MA0083.3"}
WINDOW, BIN = 400, 200
BINS = 4
SPACING = 1200
GENES = 40


class PwmModel(torch.nn.Module):
    """Logits (batch, tracks) from fixed filters, one track per motif."""

    def __init__(self, tracks: int, width: int, window: int):
        super().__init__()
        self.tracks, self.window = tracks, window
        self.filters = torch.nn.Conv1d(4, 2 * tracks, width)
        self.relu = torch.nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One-hot (batch, 4, length), A, C, G, T."""
        hits = self.relu(self.filters(x)).sum(dim=-1)
        return hits[:, : self.tracks] + hits[:, self.tracks :] - 4.0


def toy_motifs() -> dict[str, Motif]:
    by_id = {motif.matrix_id: motif for motif in jaspar_motifs(tax_group=["vertebrates"])}
    return {tf: by_id[matrix_id] for tf, matrix_id in MATRICES.items()}


def log_odds(motif: Motif) -> NDArray[np.float64]:
    return np.log2((motif.pwm + 0.01) / 1.04 / 0.25)


def build_model(motifs: dict[str, Motif], window: int = WINDOW) -> PwmModel:
    width = max(motif.width for motif in motifs.values())
    model = PwmModel(len(motifs), width, window)
    with torch.no_grad():
        model.filters.weight.zero_()
        for track, motif in enumerate(motifs.values()):
            scores = log_odds(motif)
            for row, filter_ in ((track, scores), (track + len(motifs), scores[::-1, ::-1].copy())):
                model.filters.weight[row, :, : motif.width] = torch.from_numpy(filter_).float()
                model.filters.bias[row] = -0.6 * float(scores.max(axis=0).sum())
    return model.eval()


def save_toy_model(folder: Path, model: PwmModel, tracks: list[str]) -> None:
    spec = ModelSpec(
        architecture="toy",
        hyperparameters={"tracks": model.tracks, "width": model.filters.kernel_size[0], "window": model.window},
        outputs=tracks,
        preprocessing={"bin_size": BIN},
    )
    save_model(folder, model, spec, {}, pd.DataFrame({"epoch": [0]}))


@dataclass
class Plant:
    """A planted motif, 0-based half-open on the genome."""

    tf: str
    start: int
    end: int
    strand: str


@dataclass
class World:
    """Files and truth."""

    folder: Path
    codes: NDArray[np.uint8]
    plants: list[Plant]
    variants: pd.DataFrame
    truth: dict[int, tuple[str, str]]
    motifs: dict[str, Motif]
    model: PwmModel
    files: dict[str, Path] = field(default_factory=dict)


def consensus(motif: Motif, strand: str) -> NDArray[np.uint8]:
    codes = motif.pwm.argmax(axis=0).astype(np.uint8)
    return codes if strand == "+" else (3 - codes[::-1]).astype(np.uint8)


def build_world(folder: Path) -> World:
    """One contig, a gene every 1,200 bp with two motifs near its TSS; every second gene carries a variant."""
    rng = np.random.default_rng(7)
    motifs = toy_motifs()
    codes = rng.integers(0, 4, GENES * SPACING + SPACING).astype(np.uint8)
    plants: list[Plant] = []
    names = list(motifs)
    genes = []
    for gene in range(GENES):
        tss = (gene + 1) * SPACING
        genes.append(("chr1", tss + 1, "+" if gene % 2 else "-", f"G{gene:02d}"))
        for number, offset in enumerate((-130, 60)):
            tf, strand = names[(gene + number) % 3], "+-"[(gene // 3 + number) % 2]
            bases = consensus(motifs[tf], strand)
            start = tss + offset
            codes[start : start + len(bases)] = bases
            plants.append(Plant(tf, start, start + len(bases), strand))
    world = World(folder, codes, plants, *make_variants(codes, plants, motifs), motifs, build_model(motifs))
    write_world(world, pd.DataFrame(genes, columns=["chrom", "tss", "strand", "gene_id"]))
    return world


def make_variants(
    codes: NDArray[np.uint8], plants: list[Plant], motifs: dict[str, Motif]
) -> tuple[pd.DataFrame, dict[int, tuple[str, str]]]:
    """Variants in the second plant of every second gene: broken, made (in a broken genome), cut; one neutral."""
    rows, truth = [], {}
    for record, gene in enumerate(range(0, GENES, 2), start=1):
        plant = plants[2 * gene + 1]
        pwm = motifs[plant.tf].pwm if plant.strand == "+" else motifs[plant.tf].pwm[::-1, ::-1]
        place = int(pwm.max(axis=0).argmax())
        best, worst = int(pwm[:, place].argmax()), int(pwm[:, place].argmin())
        at = plant.start + place
        kind = ("breaks", "makes", "deletion", "insertion")[record % 4]
        if kind == "breaks":
            ref, alt = decode(codes[at : at + 1]), "ACGT"[worst]
        elif kind == "makes":
            codes[at] = worst
            ref, alt = "ACGT"[worst], "ACGT"[best]
        elif kind == "deletion":
            at = plant.start + 2
            ref, alt = decode(codes[at : at + 7]), decode(codes[at : at + 1])
        else:
            at = (plant.start + plant.end) // 2
            ref = decode(codes[at : at + 1])
            alt = ref + "GATTACAGA"
        if record == GENES // 2:
            at, kind = plant.end + 30, "none"
            ref, alt = decode(codes[at : at + 1]), "ACGT"[(int(codes[at]) + 1) % 4]
        event = {"deletion": "breaks", "insertion": "breaks"}.get(kind, kind)
        truth[record] = (event, plant.tf)
        tss = (gene + 1) * SPACING + 1
        rows.append((record, 1, "chr1", at + 1, ref, alt, f"G{gene:02d}", "-", tss, at + 1 - tss))
    columns = ["record", "allele", "chrom", "pos", "ref", "alt", "gene_id", "gene_strand", "tss", "dist_to_tss"]
    return pd.DataFrame(rows, columns=columns), truth


def write_world(world: World, genes: pd.DataFrame) -> None:
    """FASTA, model folder, profile store, effect tables."""
    folder = world.folder
    files = {name: folder / name for name in ("genome.fa", "model", "profiles.h5")}
    bases = decode(world.codes)
    lines = "\n".join(bases[start : start + 60] for start in range(0, len(bases), 60))
    files["genome.fa"].write_text(f">chr1\n{lines}\n")
    save_toy_model(files["model"], world.model, list(world.motifs))
    write_profiles(files["profiles.h5"], genes, toy_profiles(world, genes), list(world.motifs), files["model"])
    sign = np.array(
        [{"breaks": -1.0, "makes": 1.0, "none": 0.01}[world.truth[record][0]] for record in world.variants.record]
    )
    table = world.variants.assign(name=".", reference_genome_match=True)
    files["tissue"], files["cell"] = folder / "tissue.parquet", folder / "cell.parquet"
    table.assign(liver=0.5 * sign, brain=sign * 0.2).to_parquet(files["tissue"], index=False)
    table.assign(neuron=-0.7 * sign).to_parquet(files["cell"], index=False)
    files["chromatin_effects"] = folder / "chromatin_effects.parquet"
    changes = world.variants[["record", "allele"]].assign(
        **{
            tf: [
                s * 0.8 if world.truth[record][1] == tf else 0.0
                for record, s in zip(world.variants.record, sign, strict=True)
            ]
            for tf in world.motifs
        }
    )
    changes.to_parquet(files["chromatin_effects"], index=False)
    world.files = files


def toy_profiles(world: World, genes: pd.DataFrame) -> NDArray[np.float32]:
    """Probabilities (genes, bins, tracks), gene orientation."""
    centres = (np.arange(BINS) - BINS // 2) * BIN + BIN // 2
    windows = [
        world.codes[start : start + WINDOW]
        for gene in genes.itertuples()
        for start in gene.tss + (1 if gene.strand == "+" else -1) * centres - WINDOW // 2
    ]
    return predict_probabilities(world.model, np.stack(windows), strands="forward").reshape(len(genes), BINS, -1)


def write_profiles(
    path: Path, genes: pd.DataFrame, profile: NDArray[np.float32], tracks: list[str], model: Path
) -> None:
    with h5py.File(path, "w") as store:
        store.create_dataset("profile", data=profile)
        for column in ("gene_id", "chrom", "strand"):
            store.create_dataset(column, data=genes[column].astype(object).to_list())
        store.create_dataset("tss", data=genes.tss.to_numpy())
        store.create_dataset("tracks", data=tracks)
        store.attrs["settings"] = ProfileSettings(bins=profile.shape[1], bin_size=BIN).model_dump_json()
        store.attrs["model_sha256"] = sha256(model / WEIGHTS)
