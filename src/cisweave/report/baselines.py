"""What a model that knows nothing of motifs would reach: GC content and distance to the TSS, in their best orientation.

Each baseline stands beside the score it belongs to and must reach less than half of it. For sign agreement the
comparison is between skills, ``2 * agreement - 1``: one half is what guessing reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cisweave.genome.table import as_in_file
from cisweave.report.scores import SeqletNames, mark_recall, median_spearman, spearman

if TYPE_CHECKING:
    from cisweave.sequence.genome import Genome

GC_FLANK = 500
"""Bases on each side of a TSS whose GC content is the baseline of expression."""

GC_LOCAL = 50
"""Bases on each side of a variant or seqlet whose GC content is its baseline."""

LIMIT = 0.5
"""Share of a score that its baselines must stay below."""

Namer = Callable[[pd.DataFrame], "pd.Series[str]"]
"""Names a seqlet table by the workflow's own motif annotation: matrix ids, "" for unassigned."""


def gc_content(sequence: str) -> float:
    """Share of G and C among the known bases."""
    known = sum(sequence.count(letter) for letter in "ACGT")
    return (sequence.count("G") + sequence.count("C")) / known if known else 0.0


def compare(value: float, baselines: dict[str, float], transform: Callable[[float], float] = float) -> dict[str, Any]:
    """The baselines of one score, the limit they must stay below, and whether they do."""
    limit = LIMIT * transform(value)
    passed = all(transform(baseline) < limit for baseline in baselines.values())
    return {**baselines, "limit": limit, "passed": bool(passed)}


def skill(agreement: float) -> float:
    """How far a sign agreement is from guessing: 0 at one half, 1 at perfect agreement."""
    return 2 * agreement - 1


# --- expression -------------------------------------------------------------------------------------------------------
def expression_baselines(joined: pd.DataFrame, tss: pd.DataFrame, genome: Genome) -> dict[str, float]:
    """Median over contexts of |Spearman| of noise-free expression with GC content and with TSS spacing.

    Parameters
    ----------
    joined
        What :func:`cisweave.report.scores.join_expression` gives.
    tss
        One row per gene: ``gene_id, chrom, tss`` (1-based).
    genome
        The modelled assembly.
    """
    gc = {
        gene_id: gc_content(genome.fetch(chrom, position - 1 - GC_FLANK, position + GC_FLANK))
        for gene_id, chrom, position in zip(tss.gene_id, tss.chrom, tss.tss.tolist(), strict=True)
    }
    spacing = nearest_other_tss(tss)
    return {
        "gc_content": expression_correlation(joined, gc),
        "tss_distance": expression_correlation(joined, spacing),
    }


def expression_correlation(joined: pd.DataFrame, baseline: dict[str, float]) -> float:
    """|Median over contexts of the Spearman| of noise-free expression with a number per gene."""
    values = [
        spearman(table.gene_id.map(baseline), table.noise_free) for _, table in joined.groupby(["set", "context"])
    ]
    return float(abs(np.median(values)))


def nearest_other_tss(tss: pd.DataFrame) -> dict[str, float]:
    """Distance in bases from each gene's TSS to the closest TSS of another gene (the contig's span if it is alone)."""
    distances: dict[str, float] = {}
    for _, table in tss.groupby("chrom"):
        ordered = table.sort_values("tss")
        gaps = np.diff(ordered.tss.to_numpy(dtype=float))
        left, right = np.append(np.inf, gaps), np.append(gaps, np.inf)
        nearest = np.where(np.isinf(np.minimum(left, right)), ordered.tss.max(), np.minimum(left, right))
        distances.update(zip(ordered.gene_id, nearest, strict=True))
    return distances


# --- variant effects --------------------------------------------------------------------------------------------------
def effect_features(pairs: pd.DataFrame, genome: Genome) -> pd.DataFrame:
    """Numbers per pair that need no model: GC change, local GC content, distance to the TSS with and without sign."""
    local = {
        (chrom, pos): gc_content(genome.fetch(str(chrom), pos - 1 - GC_LOCAL, pos + GC_LOCAL))
        for chrom, pos in set(zip(pairs.chrom, pairs.pos, strict=True))
    }
    strand = np.where(pairs.gene_strand == "-", -1, 1)
    changes = as_in_file(pairs)
    return pd.DataFrame(
        {
            "gc_change": count_gc(changes.alt) - count_gc(changes.ref),
            "gc_local": [local[place] for place in zip(pairs.chrom, pairs.pos, strict=True)],
            "closeness": -pairs.dist_to_tss.abs(),
            "downstream": pairs.dist_to_tss * strand,
        },
        index=pairs.index,
    )


def count_gc(alleles: pd.Series[str]) -> NDArray[np.int64]:
    """Number of G and C in each allele."""
    return np.array([allele.count("G") + allele.count("C") for allele in alleles])


EFFECT_BASELINES = {"gc_content": ["gc_change", "gc_local"], "tss_distance": ["closeness", "downstream"]}


def effect_spearman_baselines(pairs: pd.DataFrame, features: pd.DataFrame) -> dict[str, float]:
    """Best |Spearman| (median over contexts) of true effects with each group of features."""
    table = pairs.join(features)
    return {
        name: max(abs(median_spearman(table, column)) for column in columns)
        for name, columns in EFFECT_BASELINES.items()
    }


def effect_sign_baselines(pairs: pd.DataFrame, features: pd.DataFrame) -> dict[str, float]:
    """Best sign agreement of true effects with each group of features, in either direction."""
    return {
        name: max(best_agreement(pairs.true, features[column]) for column in columns)
        for name, columns in EFFECT_BASELINES.items()
    }


def best_agreement(true: ArrayLike, feature: ArrayLike) -> float:
    """Sign agreement with a feature split at its median (at 0 if it changes sign), in the better direction.

    A tie is worth one half: it says nothing.
    """
    values = np.asarray(feature, dtype=float)
    centre = 0.0 if values.min() < 0 < values.max() else float(np.median(values))
    agreement = float(np.mean((np.sign(values - centre) * np.sign(np.asarray(true)) + 1) / 2))
    return max(agreement, 1 - agreement)


# --- motif recall -----------------------------------------------------------------------------------------------------
def recall_baselines(
    instances: pd.DataFrame,
    seqlets: pd.DataFrame,
    loci: pd.DataFrame,
    motifs: pd.DataFrame,
    genome: Genome,
    name: Namer,
) -> dict[str, float]:
    """Recall of as many seqlets, as long, placed by highest GC content and nearest to the window's centre.

    Parameters
    ----------
    instances
        Planted instances inside the cores of ``loci``.
    seqlets
        The called seqlets of ``loci`` (window-relative ``start, end``).
    loci
        Attributed loci with the sequence of the genome.
    name
        The workflow's own annotation, bases weighed by the attributions at the place as for called seqlets.
    """
    recalls = {}
    for baseline, score in (("gc_content", gc_score), ("tss_distance", centre_score)):
        placed = place_seqlets(seqlets, loci, genome, score)
        named = SeqletNames.of(placed.chrom, placed.g_start, placed.g_end, name(placed))
        recalls[baseline] = float(mark_recall(instances, named, motifs).named.mean()) if len(instances) else 0.0
    return recalls


def gc_score(sequence: str, length: int) -> NDArray[np.float64]:
    """GC content of every span of ``length`` bases."""
    strong = np.array([letter in "GC" for letter in sequence], dtype=float)
    return np.convolve(strong, np.ones(length) / length, mode="valid")


def centre_score(sequence: str, length: int) -> NDArray[np.float64]:
    """Closeness of every span of ``length`` bases to the sequence's centre."""
    starts = np.arange(len(sequence) - length + 1)
    return np.asarray(-np.abs(starts + length / 2 - len(sequence) / 2), dtype=float)


def place_seqlets(
    seqlets: pd.DataFrame, loci: pd.DataFrame, genome: Genome, score: Callable[[str, int], NDArray[np.float64]]
) -> pd.DataFrame:
    """Move the seqlets of each locus to the best-scoring spans of its core that do not overlap, best first.

    A seqlet that finds no room is dropped. Coordinates change in ``start, end, core_start, core_end, g_start,
    g_end``; all else stays, item, sign and the length of its flanks too.
    """
    columns = ["chrom", "start", "core_start", "core_end"]
    windows = {row[0]: row[1:] for row in loci[["locus_id", *columns]].itertuples(index=False, name=None)}
    moved: list[pd.DataFrame] = []
    for locus, table in seqlets[seqlets.locus_id.isin(list(windows))].groupby("locus_id"):
        chrom, start, core_start, core_end = windows[locus]
        sequence = genome.fetch(chrom, start + core_start, start + core_end)
        lengths = (table.end - table.start).tolist()
        starts = greedy_places(sequence, lengths, score)
        moved.append(relocate(table, starts, start, core_start))
    return pd.concat(moved, ignore_index=True) if moved else seqlets.iloc[:0]


def greedy_places(
    sequence: str, lengths: Sequence[int], score: Callable[[str, int], NDArray[np.float64]]
) -> list[int | None]:
    """Start of each span, one after the other at the best place that is still free; None when there is none."""
    free = np.ones(len(sequence), dtype=bool)
    starts: list[int | None] = []
    for length in lengths:
        if length > len(sequence):
            starts.append(None)
            continue
        room = np.convolve(free, np.ones(length), mode="valid") == length
        scores = np.where(room, score(sequence, length), -np.inf)
        best = int(np.argmax(scores))
        if not room[best]:
            starts.append(None)
            continue
        free[best : best + length] = False
        starts.append(best)
    return starts


def relocate(table: pd.DataFrame, starts: Iterable[int | None], window_start: int, core_start: int) -> pd.DataFrame:
    """The seqlets of one locus at new starts (relative to the core); those without a place are left out."""
    places = pd.Series(list(starts), index=table.index, dtype="Int64")
    kept = table[places.notna()]
    length = kept.end - kept.start
    start = places[places.notna()].astype("int64") + core_start
    return kept.assign(
        start=start,
        end=start + length,
        core_start=start + kept.core_start - kept.start,
        core_end=start + kept.core_end - kept.start,
        g_start=start + window_start,
        g_end=start + length + window_start,
    )
