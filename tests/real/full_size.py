"""The whole prediction path on real variants with a full-size Beluga of random weights, against the plain one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cisweave.config import EngineSettings, PredictSettings, ProfileSettings
from cisweave.genome.closest import assign_closest
from cisweave.genome.genes import read_genes
from cisweave.genome.normalize import read_variants
from cisweave.models.beluga import Beluga
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.seal.predict import score_variants
from cisweave.seal.profiles import profile_tss, read_profiles
from cisweave.sequence import Genome
from tests.seal import plain

TRACKS, CONTEXTS, REACH, SAMPLE, GENES = 2002, 4, 21_000, 20, 3


def known_genes(genome: Genome, tss: pd.DataFrame) -> pd.DataFrame:
    """Genes of chr20 whose surroundings hold no N."""
    near = tss[(tss.chrom == "chr20") & (tss.tss < genome.contigs["chr20"] - REACH)]
    whole = ["N" not in genome.fetch("chr20", position - REACH, position + REACH) for position in near.tss]
    return near[whole]


def sample_variants(folder: Path, fasta: Path, genes: pd.DataFrame, tss: Path) -> pd.DataFrame:
    """Real variants whose closest gene is one of ``genes``, indels among them."""
    variants, _ = read_variants(folder / "variants/1000G_p3.hg19.chr20_1M-2M.vcf.gz", fasta)
    assigned, _ = assign_closest(variants, read_genes(tss))
    near = assigned[assigned.gene_id.isin(genes.gene_id) & (assigned.dist_to_tss.abs() <= 15_000)]
    indels = near[near.ref.str.len() != near["alt"].str.len()].head(4)
    return pd.concat([indels, near.drop(indels.index).sample(SAMPLE - len(indels), random_state=1)])


def random_models(folder: Path) -> None:
    """Model folders with the published shapes and random weights."""
    torch.manual_seed(0)
    history = pd.DataFrame({"epoch": [0]})
    names = [f"track{number}" for number in range(TRACKS)]
    save_model(
        folder / "chromatin",
        Beluga(TRACKS),
        ModelSpec("beluga", {"tracks": TRACKS, "window": 2000}, names),
        {},
        history,
    )
    head = {"features": 10 * TRACKS, "hidden": 50, "contexts": CONTEXTS}
    contexts = [f"context{number}" for number in range(CONTEXTS)]
    save_model(folder / "model", ExpressionNetwork(**head), ModelSpec("expression", head, contexts), {}, history)


def full_size_check(data: Path) -> dict[str, Any]:
    """Score a sample of real variants by the package and by the plain implementation.

    Returns
    -------
    dict
        Variants and indels scored, largest difference of a score and of a profile value, sd of the scores.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fasta = folder / "genome.fa.gz"
        shutil.copyfile(data / "genome/hg19_pieces.fa.gz", fasta)
        annotation = data / "annotation/ExPecto_geneanno.pc.sorted.bed"
        with Genome(fasta) as genome:
            genes = known_genes(genome, read_genes(annotation)).head(GENES)
            table = sample_variants(data, fasta, genes, annotation)
            bed = folder / "tss.bed"
            bed.write_text(
                "".join(f"{g.chrom}\t{g.tss - 1}\t{g.tss}\t{g.strand}\t{g.gene_id}\n" for g in genes.itertuples())
            )
            random_models(folder)
            profile_tss(fasta, bed, folder / "chromatin", folder / "profiles.h5", ProfileSettings(), "cpu")
            chromatin, model = load_model(folder / "chromatin"), load_model(folder / "model")
            store = read_profiles(folder / "profiles.h5")
            effects = score_variants(
                table, genome, store, chromatin, model, PredictSettings(), EngineSettings(batch_size=SAMPLE)
            )
            contig = genome.fetch("chr20", 0, genome.contigs["chr20"])
        expected = plain_scores(table, store, chromatin.module, model.module, contig)
        return {
            "full_size_variants": len(table),
            "full_size_indels": int((table.ref.str.len() != table["alt"].str.len()).sum()),
            "full_size_max_difference": float(np.abs(effects.expression - expected).max()),
            "full_size_score_sd": float(effects.expression.std()),
            "full_size_profile_max_difference": profile_difference(store, chromatin.module, contig),
        }


def plain_scores(table, store, network, head, contig) -> np.ndarray:
    """Scores (variants, contexts) of the plain implementation."""
    shifts = range(-800, 801, 200)
    scores = []
    for variant in table.to_dict("records"):
        rows = store.rows(pd.Series([variant["gene_id"]]))
        profile = store.profiles(rows)[int(rows[0])]
        scores.append(
            plain.variant_effect(network, head, contig, variant, profile, store.settings.decay, 200, 2000, shifts)
        )
    return np.stack(scores)


def profile_difference(store, network, contig) -> float:
    """Largest difference of a gene's stored profile from the plain one, over every tenth bin of the first gene."""
    gene = store.genes.iloc[0]
    stored = store.profiles(np.array([0]))[0]
    differences = []
    for bin_number in range(0, 200, 10):
        offset = -19900 + 200 * bin_number
        centre = gene.tss + offset if gene.strand == "+" else gene.tss - offset
        row = plain.probability(network, contig[centre - 1000 : centre + 1000])
        differences.append(np.abs(stored[bin_number] - row).max())
    return float(max(differences))
