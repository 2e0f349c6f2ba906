"""A random genome, two genes on opposite strands, random models, their TSS profiles, and variants near the genes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config import EngineSettings, PredictSettings, ProfileSettings
from cisweave.models.beluga import Beluga
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import LoadedModel, ModelSpec, load_model, save_model
from cisweave.seal.profiles import ProfileStore, profile_tss, read_profiles

SHAPE = {"tracks": 5, "channels": [4, 4, 6, 6, 8, 8], "hidden": 12, "window": 400}
HEAD = {"features": 50, "hidden": 40, "contexts": 3}
TRACKS = ["a", "b", "c", "chrom", "e"]
CONTEXTS = ["Liver", "Brain", "Heart"]
GEOMETRY = ProfileSettings(bins=8)
WINDOWS = PredictSettings(max_shift=100, shift_step=100)
SHIFTS = [-100, 0, 100]
ENGINE = EngineSettings(batch_size=3)
GENES = pd.DataFrame({"chrom": "chr1", "tss": [2500, 3400], "strand": ["+", "-"], "gene_id": ["G1", "G2"]})
CASES = [(2500, 1, "T"), (2400, 1, "G"), (2733, 3, "A"), (3399, 1, "ACGTA"), (3412, 40, "C"), (4150, 1, "AT")]


@dataclass
class World:
    folder: Path
    contig: str
    variants: pd.DataFrame

    @property
    def store(self) -> ProfileStore:
        return read_profiles(self.folder / "profiles.h5")

    @property
    def chromatin(self) -> LoadedModel:
        return load_model(self.folder / "chromatin")

    @property
    def model(self) -> LoadedModel:
        return load_model(self.folder / "model")

    @property
    def files(self) -> dict[str, Path]:
        return {
            "variants": self.folder / "variants.parquet",
            "fasta": self.folder / "genome.fa",
            "profiles": self.folder / "profiles.h5",
            "chromatin": self.folder / "chromatin",
            "model": self.folder / "model",
        }


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("interpret")
    contig = "".join(np.random.default_rng(5).choice(list("ACGT"), 6000))
    (folder / "genome.fa").write_text(f">chr1\n{contig}\n>chr2\n{'ACGT' * 50}\n")
    with (folder / "tss.bed").open("w") as handle:
        for gene in GENES.itertuples():
            handle.write(f"chr1\t{gene.tss - 1}\t{gene.tss}\t{gene.strand}\t{gene.gene_id}\n")
    torch.manual_seed(0)
    history = pd.DataFrame({"epoch": [0]})
    spec = ModelSpec("beluga", SHAPE, TRACKS, {"bin_size": 200})
    save_model(folder / "chromatin", Beluga(**SHAPE), spec, {}, history)
    save_model(folder / "model", ExpressionNetwork(**HEAD), ModelSpec("expression", HEAD, CONTEXTS), {}, history)
    profile_tss(folder / "genome.fa", folder / "tss.bed", folder / "chromatin", folder / "profiles.h5", GEOMETRY)
    variants = variant_table(contig)
    variants.to_parquet(folder / "variants.parquet")
    return World(folder, contig, variants)


def variant_table(contig: str) -> pd.DataFrame:
    """Substitutions, insertions and deletions near both genes; the second was swapped against the user's file."""
    rows = []
    for number, (pos, length, alt) in enumerate(CASES):
        gene = GENES.iloc[(GENES.tss - pos).abs().argmin()]
        ref = contig[pos - 1 : pos - 1 + length]
        rows.append(
            {
                "record": number + 1,
                "allele": 1,
                "line": number + 1,
                "name": ".",
                "source_chrom": "chr1",
                "source_pos": pos,
                "source_ref": ref,
                "source_alt": alt,
                "chrom": "chr1",
                "pos": pos,
                "ref": ref,
                "alt": alt,
                "reference_genome_match": True,
                "swapped": number == 1,
                "lift_strand": "+",
                "gene_id": gene.gene_id,
                "gene_strand": gene.strand,
                "tss": gene.tss,
                "dist_to_tss": pos - gene.tss,
            }
        )
    return pd.DataFrame(rows)
