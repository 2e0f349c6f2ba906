"""Attribution probe: what the workflow attributed at motif-breaking variants stands on the planted motif."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cisweave.report.probes.subject import Probe

if TYPE_CHECKING:
    from cisweave.seqlets.stores import Attributions

MAX_OFFSET = 1.0
MIN_VARIANTS = 5
MARGIN = 10


@dataclass(frozen=True)
class Broken:
    """A planted motif that an attributed substitution breaks: ``start, end`` on the genome, 0-based half-open."""

    tf: str
    strand: str
    start: int
    end: int
    window_start: int
    reference: int
    alternative: int


def attribution_probe(
    attributions: Attributions,
    loci: pd.DataFrame,
    effects: pd.DataFrame,
    instances: pd.DataFrame,
    tracks: dict[str, str],
) -> Probe:
    """The centroid of |attribution(alt) - attribution(ref)| lies on the motif the variant breaks.

    Taken from the workflow's own loci, sequences and attributions, over the planted instance and ten bases on
    each side, in the track of the broken factor. The mean over variants cancels what single windows add, and the mean
    of the two strands what the motifs' own asymmetry adds. Fewer than five such variants
    prove nothing, and the probe fails.

    Parameters
    ----------
    attributions, loci
        What the seqlets room wrote.
    effects, instances
        The truth: which variant breaks which factor, and where the factor sits.
    tracks
        Track of each factor.
    """
    found = broken_motifs(attributions, loci, effects, instances, tracks)
    meaning = (
        "offset of the centroid of |alt - ref| attribution from the broken motif's middle, bases, mean over variants"
    )
    if len(found) < MIN_VARIANTS:
        reason = (
            f"{len(found)} motif-breaking substitutions were attributed in their own track, {MIN_VARIANTS} are needed"
        )
        return Probe("attribution", np.nan, MAX_OFFSET, "at most", meaning, {"variants": len(found)}, reason)
    offsets = np.array([centroid_offset(attributions, broken) for broken in found])
    forward = np.array([broken.strand == "+" for broken in found])
    strands = [offsets[strand].mean() for strand in (forward, ~forward) if strand.any()]
    value = float(abs(np.mean(strands)))
    reason = "" if np.isfinite(value) else "both haplotypes of a variant have the same attributions"
    detail: dict[str, object] = {
        "variants": len(found),
        "standard_deviation": round(float(offsets.std()), 3),
        "factors": sorted({broken.tf for broken in found}),
    }
    return Probe("attribution", value, MAX_OFFSET, "at most", meaning, detail, reason)


def broken_motifs(
    attributions: Attributions,
    loci: pd.DataFrame,
    effects: pd.DataFrame,
    instances: pd.DataFrame,
    tracks: dict[str, str],
) -> list[Broken]:
    """Attributed substitutions that break exactly one planted instance of their factor."""
    items = {
        place: item for item, place in enumerate(zip(attributions.locus_id.tolist(), attributions.track, strict=True))
    }
    breaks = effects[(effects.kind == "break") & (effects.ref.str.len() == effects["alt"].str.len())]
    breaks = breaks.drop_duplicates(["record", "allele"]).rename(columns={"allele": "variant_allele"})
    places = locus_pairs(loci).merge(breaks[["record", "variant_allele", "tf"]], on=["record", "variant_allele"])
    found = []
    for chrom, pos, start, tf, ref, alt in places[["chrom", "pos", "start", "tf", "ref_locus", "alt_locus"]].itertuples(
        index=False, name=None
    ):
        track = tracks.get(tf, "")
        here = instances[(instances.chrom == chrom) & (instances.tf == tf)]
        here = here[(here.start < pos) & (here.end >= pos)]
        if len(here) == 1 and (ref, track) in items and (alt, track) in items:
            strand, motif_start, motif_end = here[["strand", "start", "end"]].iloc[0].tolist()
            found.append(Broken(tf, strand, motif_start, motif_end, start, items[ref, track], items[alt, track]))
    return [broken for broken in found if inside(broken, attributions.projected.shape[1])]


def locus_pairs(loci: pd.DataFrame) -> pd.DataFrame:
    """One row per variant locus: its place and the ids of its reference and alternative rows."""
    variants = loci[loci.kind == "variant"]
    reference = variants[variants.allele == "ref"].rename(columns={"locus_id": "ref_locus"})
    alternative = variants[variants.allele == "alt"].rename(columns={"locus_id": "alt_locus"})
    return reference.merge(alternative[["region_id", "alt_locus"]], on="region_id")


def inside(broken: Broken, window: int) -> bool:
    """Whether the motif and its margins lie inside the window."""
    return broken.window_start <= broken.start - MARGIN and broken.end + MARGIN <= broken.window_start + window


def centroid_offset(attributions: Attributions, broken: Broken) -> float:
    """Centroid of the difference minus the motif's middle, bases."""
    places = np.arange(broken.start - MARGIN, broken.end + MARGIN)
    reference, alternative = (
        attributions.projected[item][places - broken.window_start] for item in (broken.reference, broken.alternative)
    )
    weights = np.abs(alternative.astype(np.float64) - reference)
    if not weights.sum():
        return float("nan")
    return float((weights * places).sum() / weights.sum() - (broken.start + broken.end - 1) / 2)
