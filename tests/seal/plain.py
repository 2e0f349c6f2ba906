"""Seal's variant effects once more, as plainly as can be: strings, loops and copies, nothing shared with the package.

Used as the oracle of the package's scores.
"""

import math

import numpy as np
import torch

LETTERS = {"A": 0, "C": 1, "G": 2, "T": 3}
COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


def window_string(contig, pos, ref, allele, shift, window):
    """The haplotype's window: fetch 50 bases more on each side, put the allele in, crop about the middle."""
    half = window // 2
    start = pos + shift - half - 50
    fetched = "".join(contig[i] if 0 <= i < len(contig) else "N" for i in range(start, start + window + 100))
    offset = half + 49 - shift
    haplotype = fetched[:offset] + allele + fetched[offset + len(ref) :]
    low = math.floor((len(haplotype) - window) / 2)
    return haplotype[low : low + window]


def one_hot(sequence):
    array = np.zeros((1, 4, len(sequence)), dtype=np.float32)
    for place, base in enumerate(sequence):
        if base in LETTERS:
            array[0, LETTERS[base], place] = 1
    return torch.from_numpy(array)


def probability(network, sequence):
    """Mean of both strands, one window at a time."""
    flipped = "".join(COMPLEMENT[base] for base in reversed(sequence))
    with torch.no_grad():
        return ((torch.sigmoid(network(one_hot(sequence))) + torch.sigmoid(network(one_hot(flipped)))) / 2)[0].numpy()


def gene_profile(network, contig, tss, strand, bins, bin_size, window):
    """Rows upstream to downstream in gene orientation; the centre's 1-based place c covers c - half + 1 … c + half."""
    rows = []
    for j in range(bins):
        offset = -(bins // 2) * bin_size + bin_size // 2 + bin_size * j
        centre = tss + offset if strand == "+" else tss - offset
        start = centre - window // 2
        sequence = "".join(contig[i] if 0 <= i < len(contig) else "N" for i in range(start, start + window))
        rows.append(probability(network, sequence))
    return np.stack(rows)


def features(profile, centres, decay):
    upstream = [[math.exp(-c * abs(d) / 200) if d <= 0 else 0.0 for d in centres] for c in decay]
    downstream = [[math.exp(-c * abs(d) / 200) if d >= 0 else 0.0 for d in centres] for c in decay]
    return (np.array(upstream + downstream) @ profile.astype(np.float64)).ravel()


def variant_effect(network, head, contig, variant, profile, decay, bin_size, window, shifts):
    """Sum over shifts of head(alternative) - head(reference), with one row and one place of the profile replaced."""
    bins = len(profile)
    sign = 1 if variant["gene_strand"] == "+" else -1
    total = 0.0
    for shift in shifts:
        distance = (variant["dist_to_tss"] + shift) * sign
        index = min(max(math.ceil(distance / bin_size) + bins // 2 - 1, 0), bins - 1)
        outputs = []
        for allele in (variant["ref"], variant["alt"]):
            sequence = window_string(contig, variant["pos"], variant["ref"], allele, shift, window)
            copy = profile.copy()
            copy[index] = probability(network, sequence)
            centres = [-(bins // 2) * bin_size + bin_size // 2 + bin_size * j for j in range(bins)]
            centres[index] = distance
            with torch.no_grad():
                outputs.append(head.double()(torch.from_numpy(features(copy, centres, decay))[None])[0].numpy())
        total = total + outputs[1] - outputs[0]
    return total
