"""True variant effects: the generator run again on both haplotypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.simulate.dna import Codes, encode
from cisweave.simulate.expression import REACH, Weights, features
from cisweave.simulate.genes import Gene
from cisweave.simulate.layout import all_contexts
from cisweave.simulate.motifs import Motif
from cisweave.simulate.occupancy import Sites, scan

#: Flanks scanned around a variant; more than the widest motif.
FLANK = 40


@dataclass(frozen=True)
class Change:
    """A substitution of bases on sim19.

    Attributes
    ----------
    contig
        Contig name.
    start
        0-based first replaced base.
    ref, alt
        Bases before and after, forward strand.
    """

    contig: str
    start: int
    ref: str
    alt: str


class Oracle:
    """Knows the world: sequence, sites, genes and weights, and hence the effect of any change."""

    def __init__(
        self,
        codes: dict[str, Codes],
        sites: dict[str, Sites],
        genes: list[Gene],
        motifs: Sequence[Motif],
        weights: Weights,
    ):
        self.codes, self.sites, self.motifs, self.weights = codes, sites, motifs, weights
        self.genes: dict[str, list[Gene]] = {contig: [] for contig in codes}
        for gene in genes:
            self.genes[gene.contig].append(gene)
        self.tss = {contig: np.array([gene.tss for gene in found]) for contig, found in self.genes.items()}

    def genes_near(self, contig: str, position: int, reach: int = REACH) -> list[Gene]:
        """Genes whose TSS lies within ``reach`` bases of a 0-based position."""
        near = np.flatnonzero(np.abs(self.tss[contig] - position) <= reach)
        return [self.genes[contig][index] for index in near]

    def haplotype_sites(self, change: Change) -> tuple[Sites, Sites]:
        """Sites that overlap the change before and after it, each in the coordinates of its own haplotype."""
        codes = self.codes[change.contig]
        left = max(0, change.start - FLANK)
        end = change.start + len(change.ref)
        right = codes[end : end + FLANK]
        found = []
        for allele in (change.ref, change.alt):
            local = scan(np.concatenate([codes[left : change.start], encode(allele), right]), self.motifs)
            start = local.start + left
            touching = (start + local.width > change.start) & (start < change.start + len(allele))
            kept = local.take(touching)
            found.append(Sites(kept.start + left, kept.tf, kept.strand, kept.score, kept.occupancy, kept.width))
        return found[0], found[1]

    def effect(self, change: Change, gene: Gene) -> NDArray[np.float64]:
        """(contexts,) true difference alt - ref of natural-log expression."""
        end, growth = change.start + len(change.ref), len(change.alt) - len(change.ref)
        sites = self.sites[change.contig]
        first, last = np.searchsorted(sites.start, [gene.tss - REACH - 200, gene.tss + REACH + 200])
        near = sites.take(slice(int(first), int(last)))
        touched = (near.start + near.width > change.start) & (near.start < end)
        apart = near.take(~touched)
        before, after = self.haplotype_sites(change)
        shift = np.where(apart.start >= end, growth, 0)
        tss_alt = gene.tss + (growth if gene.tss >= end else 0)
        reference = _features(apart, 0, before, gene.tss, len(self.motifs))
        alternative = _features(apart, shift, after, tss_alt, len(self.motifs))
        return np.asarray((alternative - reference) @ self.weights.activity)

    def occupancy_change(self, change: Change) -> NDArray[np.float64]:
        """(factors,) change alt - ref of summed occupancy at the variant."""
        before, after = self.haplotype_sites(change)
        number = len(self.motifs)
        gained = np.bincount(after.tf, weights=after.occupancy, minlength=number)
        return np.asarray(gained - np.bincount(before.tf, weights=before.occupancy, minlength=number))


def _features(
    apart: Sites, shift: NDArray[np.int64] | int, local: Sites, tss: int, factors: int
) -> NDArray[np.float64]:
    centre = np.concatenate([apart.centre + shift, local.centre])
    tf = np.concatenate([apart.tf, local.tf])
    occupied = np.concatenate([apart.occupancy, local.occupancy])
    return features(centre, tf, occupied, tss, factors)


def motif_table(motifs: Sequence[Motif], aliases: Sequence[Sequence[str]]) -> pd.DataFrame:
    """The planted motifs and the matrices that cannot be told from them."""
    return pd.DataFrame(
        {
            "tf": [motif.tf for motif in motifs],
            "matrix_id": [motif.matrix_id for motif in motifs],
            "aliases": [",".join(names) for names in aliases],
            "width": [motif.width for motif in motifs],
            "threshold": [motif.threshold for motif in motifs],
            "sign": [motif.sign for motif in motifs],
        }
    )


def instance_table(sites: dict[str, Sites], motifs: Sequence[Motif], least: float = 0.5) -> pd.DataFrame:
    """Every site of the final sequence with an occupancy above ``least`` (0-based half-open)."""
    frames = []
    for contig, found in sites.items():
        kept = found.take(found.occupancy > least)
        frame = pd.DataFrame({"chrom": contig, "start": kept.start, "end": kept.start + kept.width})
        frame["strand"] = np.where(kept.strand > 0, "+", "-")
        frame["tf"] = [motifs[tf].tf for tf in kept.tf]
        frame["matrix_id"] = [motifs[tf].matrix_id for tf in kept.tf]
        frame["score"] = np.round(kept.score.astype(np.float64), 3)
        frame["occupancy"] = np.round(kept.occupancy, 4)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def weight_table(
    motifs: Sequence[Motif], weights: Weights, tracks: Sequence[str], members: NDArray[np.int64]
) -> pd.DataFrame:
    """Activity per context and membership per track of each factor; a last row holds the baselines."""
    frame = pd.DataFrame(weights.activity, columns=all_contexts())
    frame.insert(0, "tf", [motif.tf for motif in motifs])
    for track, row in zip(tracks, members, strict=True):
        frame[f"track:{track}"] = row
    baseline = {"tf": "baseline"} | dict(zip(all_contexts(), weights.baseline, strict=True))
    baseline |= {f"track:{track}": 0 for track in tracks}
    return pd.concat([frame, pd.DataFrame([baseline])], ignore_index=True)
