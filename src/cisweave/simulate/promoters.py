"""The promoter library: many promoters of known expression for models of promoter, half-life, factors and microRNAs.

log10(expression + 0.1) of a gene = baseline + motifs + CpG + half-life + factors + microRNAs + noise. The first two
parts are read off the finished sequence: every occupied site (:func:`cisweave.simulate.occupancy.scan`) adds its
occupancy times the weight of its factor times :func:`site_effect` of its distance to the TSS, and every CpG of
:data:`CPG_ZONE` adds the same. Both depend on the side of the TSS: a promoter read backwards tells little, and so does
a count of its k-mers.

Letters: n genes, L bases of a promoter. Offsets are bases from the TSS on the gene's strand, the TSS itself being 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.seeds import generator
from cisweave.simulate.dna import Codes, N, decode, reverse_complement
from cisweave.simulate.motifs import Motif
from cisweave.simulate.occupancy import Sites, scan
from cisweave.simulate.xpresso import HALF_LIFE, HALF_LIFE_WEIGHTS, SEEDS, transformed

#: Bases before the TSS, and from it on.
UPSTREAM, DOWNSTREAM = 1_000, 1_000
LENGTH = UPSTREAM + DOWNSTREAM
#: Factors that are planted: the first ones of the layout.
PLANTED = 3
#: Mean number of planted clusters per promoter, and how far they lie from the TSS (scale of a Laplace law, bases).
CLUSTERS = 2.5
SPREAD = 200.0
#: Most instances of a factor in a cluster, and bases between neighbours.
CLUSTER_SIZE = 4
CLUSTER_GAP = 6
#: Planted instances score at least this far above the threshold, in bits.
MARGIN = 1.0
#: Decay length of a site's contribution, in bases, and what it is multiplied with from the TSS on.
DECAY = 400.0
DOWNSTREAM_EFFECT = -0.3
#: Offsets in which a CpG (its C) counts, half-open.
CPG_ZONE = (0, 400)
#: CpG islands of a promoter: their mean number, how far from the TSS their centres lie, and their sizes, in bases.
ISLANDS = 1.5
ISLAND_REACH = 1000
ISLAND_SIZES = (200, 600)
GC, ISLAND_GC = 0.45, 0.62
CPG_LOSS = 0.7
#: Factors whose binding tells of enhancers and transcription that the promoter's sequence does not show.
BOUND = ("EP300", "POLR2A", "TAF1", "TBP", "MYC", "MAX", "YY1", "SUZ12", "EZH2", "HDAC2", "JUND", "RAD21")
#: Chance that the factor table misses or invents an occupied factor.
TABLE_ERROR = 0.05
#: Share of the genes that a table lacks, and of the promoters with a run of N.
MISSING = 0.01
#: Standard deviation of each part of log10 expression over the genes, before the parts are added.
PART_SD = {"motifs": 0.50, "cpg": 0.36, "halflife": 0.28, "tf": 0.34, "mirna": 0.16, "noise": 0.22}
BASELINE = 0.9
#: Added to expression before its logarithm.
PSEUDOCOUNT = 0.1


@dataclass(frozen=True)
class Library:
    """The library of a world.

    Attributes
    ----------
    codes
        (n, L) bases, gene strand, TSS at index :data:`UPSTREAM`.
    instances
        Occupied places: gene_id, start, end (0-based half-open, in the promoter), strand (relative to the gene), tf,
        score (bits), occupancy.
    halflife, tf, mirna
        Tables by gene_id; the last two lack a few genes.
    expression
        gene_id and expression, linear scale, with noise.
    weights
        table, feature and weight: log10 expression per unit of each feature.
    parts
        gene_id, the parts (each with mean 0 over the genes), and ``log10_expression``: noise-free
        log10(expression + 0.1).
    """

    codes: Codes
    instances: pd.DataFrame
    halflife: pd.DataFrame
    tf: pd.DataFrame
    mirna: pd.DataFrame
    expression: pd.DataFrame
    weights: pd.DataFrame
    parts: pd.DataFrame

    @property
    def gene_ids(self) -> list[str]:
        """Genes in the order of ``codes``."""
        return list(self.expression["gene_id"])


def make_library(number: int, motifs: Sequence[Motif], seed: int) -> Library:
    """A library of ``number`` promoters; the sequence comes first and everything of the promoter is read off it."""
    motifs = motifs[:PLANTED]
    names = [f"LIBG{gene:08d}" for gene in range(1, number + 1)]
    codes = make_promoters(number, motifs, seed)
    gene, sites = scan_promoters(codes, motifs)
    halflife = half_life(names, seed)
    tf = factor_matrix(names, gene, sites, motifs, seed)
    mirna = mirna_matrix(names, seed)
    features = {
        "motifs": site_features(gene, sites, number, len(motifs)),
        "cpg": cpg_feature(codes),
        "halflife": transformed(halflife),
        "tf": tf[list(BOUND)].to_numpy(dtype=np.float64),
        "mirna": mirna[list(SEEDS)].to_numpy(dtype=np.float64),
    }
    weights = make_weights(features, motifs, seed)
    parts = pd.DataFrame({"gene_id": names})
    for part, values in features.items():
        known = weights.loc[weights["table"] == part, "weight"].to_numpy(dtype=np.float64)
        parts[part] = (values - values.mean(axis=0)) @ known
    parts["log10_expression"] = BASELINE + parts[list(features)].sum(axis=1)
    return Library(
        codes,
        instance_table(names, gene, sites, motifs),
        halflife,
        without_some(tf, seed, "tf"),
        without_some(mirna, seed, "mirna"),
        pd.DataFrame({"gene_id": names, "expression": measured(parts["log10_expression"].to_numpy(), seed)}),
        weights,
        parts,
    )


def fasta_lines(library: Library) -> Iterator[str]:
    """FASTA of the promoters, gene strand, 60 bases a line."""
    for name, codes in zip(library.gene_ids, library.codes, strict=True):
        text = decode(codes)
        yield f">{name}\n"
        yield from (f"{text[start : start + 60]}\n" for start in range(0, len(text), 60))


# --- sequence ---------------------------------------------------------------------------------------------------------
def make_promoters(number: int, motifs: Sequence[Motif], seed: int) -> Codes:
    """(n, L) promoters: background with CpG islands, planted instances, and here and there a run of N."""
    rng = generator(seed, "simulate", "library", "background")
    island = _islands(rng, number)
    strong = rng.random((number, LENGTH)) < np.where(island, ISLAND_GC, GC)
    second = rng.random((number, LENGTH)) < 0.5
    codes = np.where(strong, np.where(second, 1, 2), np.where(second, 0, 3)).astype(np.uint8)
    _lose_cpg(rng, codes, island)
    rng = generator(seed, "simulate", "library", "planting")
    for promoter in codes:
        _plant(rng, promoter, motifs)
    for row in np.flatnonzero(rng.random(number) < MISSING):
        start = int(rng.integers(0, LENGTH))
        codes[row, start : start + int(rng.integers(5, 60))] = N
    return codes


def _islands(rng: np.random.Generator, number: int) -> NDArray[np.bool_]:
    """(n, L) bases in a CpG island."""
    row = np.repeat(np.arange(number), rng.poisson(ISLANDS, size=number))
    centre = UPSTREAM + rng.uniform(-ISLAND_REACH, ISLAND_REACH, size=len(row))
    size = rng.uniform(*ISLAND_SIZES, size=len(row))
    island = np.zeros((number, LENGTH), dtype=np.bool_)
    for promoter, middle, width in zip(row, centre, size, strict=True):
        island[promoter, max(0, int(middle - width / 2)) : int(middle + width / 2)] = True
    return island


def _lose_cpg(rng: np.random.Generator, codes: Codes, island: NDArray[np.bool_]) -> None:
    """Turn most CpG outside islands into TpG or CpA."""
    lost = (codes[:, :-1] == 1) & (codes[:, 1:] == 2) & ~island[:, :-1]
    row, column = np.nonzero(lost & (rng.random(lost.shape) < CPG_LOSS))
    first = rng.random(len(row)) < 0.5
    codes[row[first], column[first]] = 3
    codes[row[~first], column[~first] + 1] = 0


def _plant(rng: np.random.Generator, promoter: Codes, motifs: Sequence[Motif]) -> None:
    """Write clusters of instances of one factor, each on either strand; a later one may overwrite an earlier one."""
    for _ in range(int(rng.poisson(CLUSTERS))):
        motif = motifs[int(rng.integers(0, len(motifs)))]
        instances = motif.sample_strong(rng, int(rng.integers(1, CLUSTER_SIZE + 1)), MARGIN)
        start = int(UPSTREAM + rng.laplace(0, SPREAD) - motif.width / 2)
        for instance in instances:
            if 0 <= start <= LENGTH - motif.width:
                turned = rng.random() < 0.5
                promoter[start : start + motif.width] = reverse_complement(instance) if turned else instance
            start += motif.width + CLUSTER_GAP


def scan_promoters(codes: Codes, motifs: Sequence[Motif]) -> tuple[NDArray[np.int64], Sites]:
    """Row of the promoter and place of every occupied site, sorted by row, start and factor.

    Promoters are scanned as one sequence, apart from each other by more N than any motif is wide.
    """
    gap = max(motif.width for motif in motifs)
    joined = np.full((len(codes), LENGTH + gap), N, dtype=np.uint8)
    joined[:, :LENGTH] = codes
    sites = scan(joined.ravel(), motifs)
    row, start = np.divmod(sites.start, LENGTH + gap)
    return row, Sites(start, sites.tf, sites.strand, sites.score, sites.occupancy, sites.width)


# --- what the sequence gives ------------------------------------------------------------------------------------------
def site_effect(offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Effect of a site on its gene by the offset of its centre: it decays, and turns round from the TSS on."""
    return np.asarray(np.exp(-np.abs(offset) / DECAY) * np.where(offset < 0, 1.0, DOWNSTREAM_EFFECT))


def site_features(gene: NDArray[np.int64], sites: Sites, number: int, factors: int) -> NDArray[np.float64]:
    """(n, factors) occupancy times effect, summed over the sites of each promoter."""
    found = np.zeros((number, factors))
    np.add.at(found, (gene, sites.tf), sites.occupancy * site_effect(sites.centre - UPSTREAM))
    return found


def cpg_feature(codes: Codes) -> NDArray[np.float64]:
    """(n, 1) number of CpG whose C lies in :data:`CPG_ZONE`."""
    left, right = UPSTREAM + CPG_ZONE[0], UPSTREAM + CPG_ZONE[1]
    cpg = (codes[:, left:right] == 1) & (codes[:, left + 1 : right + 1] == 2)
    return np.asarray(cpg.sum(axis=1, keepdims=True), dtype=np.float64)


def instance_table(
    names: Sequence[str], gene: NDArray[np.int64], sites: Sites, motifs: Sequence[Motif]
) -> pd.DataFrame:
    """Every site with an occupancy above one half."""
    kept = sites.occupancy > 0.5
    gene, sites = gene[kept], sites.take(kept)
    return pd.DataFrame(
        {
            "gene_id": [names[row] for row in gene],
            "start": sites.start,
            "end": sites.start + sites.width,
            "strand": np.where(sites.strand > 0, "+", "-"),
            "tf": [motifs[tf].tf for tf in sites.tf],
            "matrix_id": [motifs[tf].matrix_id for tf in sites.tf],
            "score": np.round(sites.score.astype(np.float64), 3),
            "occupancy": np.round(sites.occupancy, 4),
        }
    )


# --- tables -----------------------------------------------------------------------------------------------------------
def half_life(names: Sequence[str], seed: int) -> pd.DataFrame:
    """Half-life features with the spread of human genes: lengths in bases, GC fractions, coding exons per kb of CDS."""
    rng = generator(seed, "simulate", "library", "halflife")
    number = len(names)
    lengths = {"UTR5LEN": (150, 0.8), "CDSLEN": (1_200, 0.7), "INTRONLEN": (20_000, 1.3), "UTR3LEN": (900, 0.9)}
    frame = pd.DataFrame({"gene_id": names})
    for name, (median, spread) in lengths.items():
        frame[name] = np.rint(median * np.exp(spread * rng.standard_normal(number))).astype(np.int64)
    frame["CDSLEN"] = 3 * np.maximum(frame["CDSLEN"] // 3, 30)
    for name, mean in (("UTR5GC", 0.62), ("CDSGC", 0.52), ("UTR3GC", 0.44)):
        frame[name] = np.round(np.clip(rng.normal(mean, 0.08, size=number), 0.2, 0.9), 3)
    exons = 1 + rng.poisson(frame["CDSLEN"].to_numpy() / 150)
    frame["ORFEXONDENSITY"] = np.round(1000 * exons / frame["CDSLEN"], 2)
    return frame[["gene_id", *HALF_LIFE]]


def factor_matrix(
    names: Sequence[str], gene: NDArray[np.int64], sites: Sites, motifs: Sequence[Motif], seed: int
) -> pd.DataFrame:
    """1 where a planted factor occupies the promoter (with errors), and for factors that bind by no sequence."""
    rng = generator(seed, "simulate", "library", "tf")
    occupied = np.zeros((len(names), len(motifs)), dtype=np.bool_)
    strong = sites.occupancy > 0.5
    occupied[gene[strong], sites.tf[strong]] = True
    occupied ^= rng.random(occupied.shape) < TABLE_ERROR
    bound = rng.random((len(names), len(BOUND))) < rng.uniform(0.2, 0.6, size=len(BOUND))
    columns = [motif.tf for motif in motifs] + list(BOUND)
    frame = pd.DataFrame(np.concatenate([occupied, bound], axis=1).astype(np.int64), columns=columns)
    frame = frame[sorted(columns)]
    frame.insert(0, "gene_id", list(names))
    return frame


def mirna_matrix(names: Sequence[str], seed: int) -> pd.DataFrame:
    """1 where a microRNA family targets the gene."""
    rng = generator(seed, "simulate", "library", "mirna")
    share = rng.uniform(0.05, 0.3, size=len(SEEDS))
    frame = pd.DataFrame((rng.random((len(names), len(SEEDS))) < share).astype(np.int64), columns=list(SEEDS))
    frame.insert(0, "gene_id", list(names))
    return frame


def without_some(table: pd.DataFrame, seed: int, name: str) -> pd.DataFrame:
    """The table without a few genes, as real ones are."""
    kept = generator(seed, "simulate", "library", "missing", name).random(len(table)) >= MISSING
    return table[kept].reset_index(drop=True)


# --- expression -------------------------------------------------------------------------------------------------------
def make_weights(features: dict[str, NDArray[np.float64]], motifs: Sequence[Motif], seed: int) -> pd.DataFrame:
    """Weight of every feature (log10 expression per unit), such that every part has its :data:`PART_SD`."""
    rng = generator(seed, "simulate", "library", "weights")
    tf_sign = np.where(rng.random(len(BOUND)) < 0.7, 1.0, -1.0)
    silent = rng.random(len(SEEDS)) < 0.3
    relative = {
        "motifs": np.array([motif.sign for motif in motifs]) * rng.uniform(0.7, 1.3, size=len(motifs)),
        "cpg": np.ones(1),
        "halflife": np.array(HALF_LIFE_WEIGHTS),
        "tf": tf_sign * rng.uniform(0.3, 1.0, size=len(BOUND)),
        "mirna": np.where(silent, 0.0, -rng.uniform(0.3, 1.0, size=len(SEEDS))),
    }
    labels = {
        "motifs": [motif.tf for motif in motifs],
        "cpg": ["CpG"],
        "halflife": HALF_LIFE,
        "tf": list(BOUND),
        "mirna": list(SEEDS),
    }
    rows = []
    for part, values in features.items():
        scaled = np.round(relative[part] * PART_SD[part] / (values @ relative[part]).std(), 6)
        rows += [(part, name, weight) for name, weight in zip(labels[part], scaled, strict=True)]
    return pd.DataFrame(rows, columns=["table", "feature", "weight"])


def measured(noise_free: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """(n,) expression on the linear scale with noise; genes below the pseudocount have 0."""
    noise = generator(seed, "simulate", "library", "noise").standard_normal(len(noise_free))
    return np.asarray(np.maximum(10 ** (noise_free + PART_SD["noise"] * noise) - PSEUDOCOUNT, 0.0))
