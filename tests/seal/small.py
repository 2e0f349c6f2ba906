"""A random genome with two genes, random models and their TSS profiles: small enough to score in no time."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cisweave.config import EngineSettings, PredictSettings, ProfileSettings
from cisweave.models.beluga import Beluga
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, save_model
from cisweave.seal.outputs import Views
from cisweave.seal.predict import predict
from cisweave.seal.profiles import profile_tss

SHAPE = {"tracks": 3, "channels": [4, 4, 6, 6, 8, 8], "hidden": 12, "window": 400}
HEAD = {"features": 30, "hidden": 7, "contexts": 2}
GEOMETRY = ProfileSettings(bins=8)
SHIFTS = PredictSettings(max_shift=100, shift_step=100)
ENGINE = EngineSettings(batch_size=3)
GENES = pd.DataFrame({"chrom": "chr1", "tss": [2500, 3400], "strand": ["+", "-"], "gene_id": ["G1", "G2"]})
CASES = [
    (2500, 1, "T"),
    (2400, 1, "G"),
    (2733, 3, "A"),
    (3399, 1, "ACGTA"),
    (3412, 40, "C"),
    (4150, 1, "AT"),
    (1650, 1, "C"),
]
"""Place, bases of REF, ALT: substitutions, insertions, deletions; the first at a TSS, one past the tiled range."""


def build(folder: Path) -> str:
    """Write genome, TSS, models and profiles into a folder; the sequence of chr1."""
    contig = "".join(np.random.default_rng(5).choice(list("ACGT"), 6000))
    (folder / "genome.fa").write_text(f">chr1\n{contig}\n")
    with (folder / "tss.bed").open("w") as handle:
        for gene in GENES.itertuples():
            handle.write(f"chr1\t{gene.tss - 1}\t{gene.tss}\t{gene.strand}\t{gene.gene_id}\n")
    torch.manual_seed(0)
    history = pd.DataFrame({"epoch": [0]})
    save_model(folder / "chromatin", Beluga(**SHAPE), ModelSpec("beluga", SHAPE, ["a", "b", "c"]), {}, history)
    spec = ModelSpec("expression", HEAD, ["Liver", "Brain"])
    save_model(folder / "model", ExpressionNetwork(**HEAD), spec, {}, history)
    profile_tss(folder / "genome.fa", folder / "tss.bed", folder / "chromatin", folder / "profiles.h5", GEOMETRY)
    return contig


def variant_table(contig: str) -> pd.DataFrame:
    """The variants of CASES, each with its closest gene."""
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
                "gene_id": gene.gene_id,
                "gene_strand": gene.strand,
                "tss": gene.tss,
                "dist_to_tss": pos - gene.tss,
                "reference_genome_match": True,
            }
        )
    return pd.DataFrame(rows)


def files(folder: Path) -> dict[str, Path]:
    """What :func:`run` writes into a folder."""
    names = {"out": "effects.parquet", "chromatin_effects": "chromatin_effects.parquet", "rejects": "rejects.tsv"}
    return {option: folder / name for option, name in names.items()}


def views(folder: Path, **changes) -> Views:
    """All views, in a folder."""
    names = {
        "tsv": "effects.tsv",
        "annotated_vcf": "effects.vcf.gz",
        "best": "best.tsv",
        "contexts_table": "contexts.tsv",
    }
    return Views(**({name: folder / file for name, file in names.items()} | changes))


def run(world: Path, table: pd.DataFrame, out: Path, **changes) -> Path:
    """Score a table with the models of a world; the folder ``out`` then holds the results."""
    out.mkdir(exist_ok=True)
    table.to_parquet(world / "variants.parquet")
    options = {
        "variants": world / "variants.parquet",
        "fasta": world / "genome.fa",
        "profiles": world / "profiles.h5",
        "chromatin": world / "chromatin",
        "model": world / "model",
        **files(out),
        "views": views(out),
        "settings": SHIFTS,
        "engine": ENGINE,
        "device": "cpu",
    }
    predict(**(options | changes))
    return out
