"""Probes of stored intermediates: training labels and TSS profiles, made again from the input files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cisweave.config import read_tracks
from cisweave.core.seeds import generator
from cisweave.models.profiles import ProfileStore
from cisweave.report.probes.alleles import read_padded
from cisweave.report.probes.subject import NOTHING, Probe, Subject, largest
from cisweave.seal.chromatin import labelled_bins
from cisweave.sequence import Genome, decode

GENES, BINS = 5, 8
MAX_PROFILE_DIFFERENCE = 2e-3
WINDOWS = 400


def profile_probe(store: ProfileStore, subject: Subject) -> Probe:
    """Stored TSS profiles are the model's answer to windows at TSS + strand * bin centre.

    Windows are read from the FASTA independently; a sample of genes on both strands and of bins from end to end.
    """
    import pysam

    bins, bin_size, half = store.settings.bins, store.settings.bin_size, subject.window // 2
    rows = sample_genes(store.genes, subject.seed)
    columns = np.unique(np.linspace(0, bins - 1, BINS).astype(int))
    profiles = store.profiles(rows)
    worst = []
    with pysam.FastaFile(str(subject.fasta)) as fasta:
        for row in rows.tolist():
            gene = store.genes.iloc[row]
            sign = -1 if gene.strand == "-" else 1
            centres = [int(gene.tss) + sign * ((column - bins // 2) * bin_size + bin_size // 2) for column in columns]
            windows = [read_padded(fasta, str(gene.chrom), centre - half, centre + half) for centre in centres]
            worst.append(float(np.abs(subject.predict_channels(windows) - profiles[row][columns]).max()))
    meaning = "largest difference between a stored TSS profile and the one computed independently, probability"
    detail: dict[str, object] = {"genes": store.genes.gene_id.iloc[rows].tolist()}
    reason = "" if worst else NOTHING
    return Probe("profiles", largest(worst), MAX_PROFILE_DIFFERENCE, "at most", meaning, detail, reason)


def sample_genes(genes: pd.DataFrame, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Rows of a few genes, of both strands where there are both."""
    order = generator(seed, "genes", len(genes)).permutation(len(genes))
    strands = genes.strand.to_numpy()[order]
    minus, plus = order[strands == "-"], order[strands != "-"]
    chosen: list[int] = []
    for first, second in zip(plus.tolist(), minus.tolist(), strict=False):
        chosen += [first, second]
    chosen += [row for row in order.tolist() if row not in chosen]
    return np.array(chosen[:GENES])


def label_probe(fasta: str | Path, tracks: str | Path, chrom: str, bin_size: int, window: int, seed: int = 0) -> Probe:
    """Training labels belong to the middle of the very window they stand beside.

    Training examples are taken as the training sees them, found again in the FASTA by their bases, and labelled
    anew from the peak files: 1 where one peak covers at least half of the central bin.
    """
    import pysam

    table = read_tracks(tracks)
    with Genome(fasta) as genome:
        bins = labelled_bins(genome, table, [chrom], bin_size, window)
    with pysam.FastaFile(str(fasta)) as handle:
        contig = handle.fetch(chrom).upper()
    peaks = [plain_peaks(path, chrom) for path in table.values()]
    order = np.sort(generator(seed, "windows", len(bins)).permutation(len(bins))[:WINDOWS])
    equal = []
    for index, codes in zip(order.tolist(), bins.windows(order), strict=True):
        start = contig.find(decode(codes))
        if start >= 0:
            middle = start + window // 2
            equal.append([covers_half(track, middle, bin_size) for track in peaks] == bins.labels[index].tolist())
    meaning = "share of training windows whose labels are those of their central bin, computed independently"
    value = float(np.mean(equal)) if equal else np.nan
    reason = "" if equal else "no training window is found again in the FASTA"
    return Probe("labels", value, 1.0, "at least", meaning, {"windows": len(equal), "chrom": chrom}, reason)


def plain_peaks(path: str | Path, chrom: str) -> list[tuple[int, int]]:
    """Start and end (0-based half-open) of the peaks of one contig."""
    rows = (line.split("\t") for line in Path(path).read_text().splitlines() if line.startswith(f"{chrom}\t"))
    return [(int(row[1]), int(row[2])) for row in rows]


def covers_half(peaks: list[tuple[int, int]], middle: int, bin_size: int) -> int:
    """1 where one peak covers at least half of the bin around ``middle``."""
    low, high = middle - bin_size // 2, middle - bin_size // 2 + bin_size
    return int(any(2 * (min(high, end) - max(low, start)) >= bin_size for start, end in peaks))
