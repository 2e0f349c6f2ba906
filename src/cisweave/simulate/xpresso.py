"""Tables for promoter-and-stability models: half-life features, factor occupancy, microRNA sites, and expression.

log10 expression = scaled promoter signal + half-life features, factor occupancy and microRNA sites times known weights
+ noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.dna import Codes, decode, is_gc, revcomp
from cisweave.simulate.genes import Gene
from cisweave.simulate.motifs import Motif
from cisweave.simulate.occupancy import Sites

HALF_LIFE = ["UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY"]
#: Weights of the transformed, z-scored half-life features in log10 expression.
HALF_LIFE_WEIGHTS = [-0.05, -0.1, -0.05, -0.15, 0.0, 0.1, -0.05, 0.2]
#: Seeds (bases 2 to 7, as DNA) of microRNA families; a gene is a target if its 3' UTR holds the reverse complement.
SEEDS = {
    "let-7-5p": "GAGGTA",
    "miR-1-3p": "GGAATG",
    "miR-7-5p": "GGAAGA",
    "miR-9-5p": "CTTTGG",
    "miR-17-5p": "AAAGTG",
    "miR-21-5p": "AGCTTA",
    "miR-29-3p": "AGCACC",
    "miR-30-5p": "GTAAAC",
    "miR-34-5p": "GGCAGT",
    "miR-122-5p": "GGAGTG",
    "miR-124-3p": "AAGGCA",
    "miR-125-5p": "CCCTGA",
    "miR-128-3p": "CACAGT",
    "miR-132-3p": "AACAGT",
    "miR-138-5p": "GCTGGT",
    "miR-146-5p": "GAGAAC",
    "miR-155-5p": "TAATGC",
    "miR-181-5p": "ACATTC",
    "miR-200bc-3p": "AATACT",
    "miR-219-5p": "GATTGT",
}
#: Distance to the TSS within which an occupied site counts in the factor matrix, in bases.
TF_REACH = 1_000
SIGNAL_SD = 0.4
NOISE_SD = 0.15


def half_life(genes: list[Gene], codes: dict[str, Codes]) -> pd.DataFrame:
    """Lengths in bases (the stop codon counts nowhere), GC fractions, coding exons per kb of CDS."""
    rows = []
    for gene in genes:
        transcript = gene.transcript(codes[gene.contig])
        start, end = gene.cds
        parts = (transcript[:start], transcript[start : end - 3], transcript[end:])
        span = gene.end - gene.start
        offsets = np.cumsum([0] + [right - left for left, right in gene.exons[:: gene.orientation]])
        coding = int(((offsets[:-1] < end - 3) & (offsets[1:] > start)).sum())
        lengths = [len(parts[0]), len(parts[1]), span - gene.length, len(parts[2])]
        shares = [round(float(is_gc(part).mean()), 3) for part in parts]
        rows.append([gene.gene_id, *lengths, *shares, round(1000 * coding / len(parts[1]), 2)])
    return pd.DataFrame(rows, columns=["gene_id", *HALF_LIFE])


def transformed(features: pd.DataFrame) -> NDArray[np.float64]:
    """(genes, 8) features as the weights see them: log10(x + 0.1) but for GC, then z-scored over all genes."""
    values = features[HALF_LIFE].to_numpy(dtype=np.float64)
    logged = [column for column, name in enumerate(HALF_LIFE) if not name.endswith("GC")]
    values[:, logged] = np.log10(values[:, logged] + 0.1)
    return np.asarray((values - values.mean(axis=0)) / values.std(axis=0))


def factor_matrix(genes: list[Gene], sites: dict[str, Sites], motifs: Sequence[Motif]) -> pd.DataFrame:
    """1 where a factor occupies a site within :data:`TF_REACH` of the TSS."""
    values = np.zeros((len(genes), len(motifs)), dtype=np.int64)
    for row, gene in enumerate(genes):
        found = sites[gene.contig]
        near = (np.abs(found.centre - gene.tss) <= TF_REACH) & (found.occupancy > 0.5)
        values[row, found.tf[near]] = 1
    return _matrix(genes, [motif.tf for motif in motifs], values)


def mirna_matrix(genes: list[Gene], codes: dict[str, Codes]) -> pd.DataFrame:
    """1 where the 3' UTR holds a match to the seed of a family."""
    targets = [revcomp(seed) for seed in SEEDS.values()]
    rows = []
    for gene in genes:
        utr3 = decode(gene.transcript(codes[gene.contig])[gene.cds[1] :])
        rows.append([int(target in utr3) for target in targets])
    return _matrix(genes, list(SEEDS), np.array(rows, dtype=np.int64))


def _matrix(genes: list[Gene], columns: list[str], values: NDArray[np.int64]) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=columns)
    frame.insert(0, "gene_id", [gene.gene_id for gene in genes])
    return frame


def weights(motifs: Sequence[Motif], seed: int) -> pd.DataFrame:
    """Weight of every feature of the three tables: columns table, feature, weight (log10 expression)."""
    rng = generator(seed, "simulate", "xpresso", "weights")
    signs = np.array([motif.sign for motif in motifs])
    factor = np.round(signs * rng.uniform(0.05, 0.25, size=len(motifs)), 4)
    silent = rng.random(len(SEEDS)) < 0.3
    mirna = np.round(np.where(silent, 0.0, -rng.uniform(0.05, 0.35, size=len(SEEDS))), 4)
    groups = (
        ("halflife", HALF_LIFE, HALF_LIFE_WEIGHTS),
        ("tf", [motif.tf for motif in motifs], factor),
        ("mirna", list(SEEDS), mirna),
    )
    rows = [(table, name, value) for table, names, values in groups for name, value in zip(names, values, strict=True)]
    return pd.DataFrame(rows, columns=["table", "feature", "weight"])


def log10_expression(
    signal: NDArray[np.float64], halflife: pd.DataFrame, tf: pd.DataFrame, mirna: pd.DataFrame, known: pd.DataFrame
) -> NDArray[np.float64]:
    """(genes,) noise-free log10 expression; ``signal`` is the natural-log expression that the sequence gives."""
    total = 0.5 + SIGNAL_SD * (signal - signal.mean()) / signal.std()
    for table, values in (
        ("halflife", transformed(halflife)),
        ("tf", tf.iloc[:, 1:].to_numpy(dtype=np.float64)),
        ("mirna", mirna.iloc[:, 1:].to_numpy(dtype=np.float64)),
    ):
        total = total + values @ known.loc[known["table"] == table, "weight"].to_numpy(dtype=np.float64)
    return np.asarray(total)


def measured(noise_free: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """(genes,) expression on the linear scale, with noise."""
    noise = generator(seed, "simulate", "xpresso", "noise").standard_normal(len(noise_free))
    return np.asarray(10 ** (noise_free + NOISE_SD * noise))
