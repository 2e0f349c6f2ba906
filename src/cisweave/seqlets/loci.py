"""Choosing what to explain: the strongest variants of all context sets, and the most active promoter windows.

Dimension legend
    variants - alleles, genes - rows of the profile store, bins - places around a TSS in gene orientation,
    tracks - chromatin outputs
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config.sections import LociSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.genome.table import GENE_COLUMNS, VARIANT_COLUMNS, read_flags
from cisweave.models.folders import SPEC, WEIGHTS, read_spec
from cisweave.models.profiles import ProfileStore, read_profiles
from cisweave.seqlets.table import empty_loci, typed
from cisweave.tables.attributions import LOCUS_COLUMNS
from cisweave.tables.frames import read_table, write_tsv
from cisweave.tables.ledger import KEY
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

Floats = NDArray[np.floating]

PROMOTER_REACH = 1000
"""Bins whose centre lies within this many bases of a TSS are its promoter."""


def select_loci(
    effects: Sequence[str | Path],
    chromatin_effects: Sequence[str | Path],
    profiles: str | Path,
    model: str | Path,
    out: str | Path,
    settings: LociSettings | None = None,
) -> pd.DataFrame:
    """Choose the loci to attribute and the tracks to attribute at each, and write the locus table.

    A variant counts by its largest absolute effect over all contexts of all sets; both its haplotypes become loci. Its
    tracks are the one it changes most, then those most specific to the place on either allele. A promoter counts by
    the sum of its probabilities over tracks; of each gene the best bin within 1 kb of the TSS can be chosen, and
    windows with overlapping cores only once.

    Parameters
    ----------
    effects
        Tables of variant effects, one per context set: the variant table and a column per context (alt - ref, ln
        expression).
    chromatin_effects
        Tables with record, allele and a column per track: change of probability (alt - ref).
    profiles
        Store of TSS profiles (HDF5).
    model
        Folder of the chromatin model; gives the window, the bin and the tracks. Its weights must be those that
        the profiles were made with.
    out
        Locus table (TSV), columns :data:`cisweave.tables.attributions.LOCUS_COLUMNS`.
    """
    settings = settings or LociSettings()
    spec = read_spec(model)
    window, bin_size = int(spec.hyperparameters["window"]), int(spec.preprocessing["bin_size"])
    store = read_profiles(profiles)
    store.check_model(model)
    ranked = rank_variants(effects)
    warn_about_contigs(settings.chromosomes, {*ranked.chrom, *store.genes.chrom})
    ranked = strongest_variants(ranked, settings)
    changes = read_changes(chromatin_effects, ranked, store.tracks)
    base_rate, best = promoter_bins(store, settings)
    variants = variant_loci(ranked, changes, store, base_rate, window, settings)
    promoters = promoter_loci(best, store, base_rate, window, bin_size, settings)
    loci = number_loci([variants, promoters], window, bin_size)
    write_tsv(loci, out)
    write_receipt(
        out,
        settings=settings.model_dump(mode="json"),
        inputs=[*effects, *chromatin_effects, profiles, Path(model) / SPEC, Path(model) / WEIGHTS],
    )
    logger.info("%d variants and %d promoter windows to attribute", len(variants) // 2, len(promoters))
    return loci


# --- variants ---------------------------------------------------------------------------------------------------------
def context_columns(effects: pd.DataFrame) -> list[str]:
    """Columns of an effect table that are contexts: what is not part of the variant table."""
    known = {*VARIANT_COLUMNS, *GENE_COLUMNS}
    return [column for column in effects.columns if column not in known]


def strongest_effects(path: str | Path) -> pd.DataFrame:
    """The variant table of one context set with each row's strongest context: columns ``context`` and ``effect``."""
    table = read_table(path, [*KEY, "chrom", "pos", "ref", "alt", "gene_id", "gene_strand", "dist_to_tss"])
    contexts = context_columns(table)
    if not contexts:
        raise CisweaveError("the table of effects has no context column", path=path)
    values = np.nan_to_num(table[contexts].to_numpy(dtype=np.float64))
    strongest = np.abs(values).argmax(axis=1) if len(values) else np.empty(0, dtype=np.int64)
    return (
        read_flags(table, path)
        .assign(
            context=pd.Series([contexts[column] for column in strongest], index=table.index, dtype="str"),
            effect=values[np.arange(len(values)), strongest],
        )
        .drop(columns=contexts)
    )


def rank_variants(paths: Sequence[str | Path]) -> pd.DataFrame:
    """All variants of several effect tables, each once with its strongest context, by falling absolute effect."""
    tables = [strongest_effects(path) for path in paths]
    if not tables:
        return pd.DataFrame(columns=[*KEY, "chrom", "pos", "ref", "alt", "swapped", "gene_id", "context", "effect"])
    ranked = pd.concat(tables, ignore_index=True)
    ranked["strength"] = ranked.effect.abs()
    ranked = ranked.sort_values(["strength", *KEY], ascending=[False, True, True], kind="stable")
    return ranked.drop_duplicates(KEY).drop(columns="strength").reset_index(drop=True)


def warn_about_contigs(chromosomes: Sequence[str], found: set[str]) -> None:
    """Say which contigs of the settings hold neither a variant nor a gene."""
    strangers = [chrom for chrom in chromosomes if chrom not in found]
    if strangers:
        logger.warning(
            "chromosomes: no variant and no gene lies on %s; contigs are written as in the tables, such as %s",
            ", ".join(strangers),
            ", ".join(sorted(found)[:3]) or "(there are none)",
        )


def strongest_variants(ranked: pd.DataFrame, settings: LociSettings) -> pd.DataFrame:
    """The variants to attribute of all those ranked, strongest first; those without any effect are left out."""
    ranked = ranked[ranked.effect.astype(float) != 0]
    if settings.chromosomes:
        ranked = ranked[ranked.chrom.isin(settings.chromosomes)]
    return ranked.head(settings.top_variants).reset_index(drop=True)


def read_changes(paths: Sequence[str | Path], variants: pd.DataFrame, tracks: list[str]) -> Floats:
    """Change of each track's probability (variants, tracks) from the tables of chromatin effects."""
    tables = [read_table(path, [*KEY, *tracks]) for path in paths]
    if not len(variants):
        return np.zeros((0, len(tracks)))
    if not tables:
        raise CisweaveError("give the chromatin effects of the variants (--chromatin-effects)")
    changes = pd.concat(tables, ignore_index=True).drop_duplicates(KEY).set_index(KEY)[tracks]
    found = changes.reindex(pd.MultiIndex.from_frame(variants[KEY]))
    missing = found.isna().all(axis=1).to_numpy()
    if missing.any():
        first = variants[missing].iloc[0]
        raise CisweaveError(
            f"record {first['record']}, allele {first['allele']} has an effect but no chromatin effect", path=paths[0]
        )
    values: Floats = found.to_numpy(dtype=np.float64)
    return values


def variant_loci(
    variants: pd.DataFrame, changes: Floats, store: ProfileStore, base_rate: Floats, window: int, settings: LociSettings
) -> pd.DataFrame:
    """Two rows a variant, the reference haplotype first."""
    if not len(variants):
        return empty_loci()
    probability = place_probability(variants, store)
    rows = []
    for number, variant in enumerate(variants.itertuples(index=False)):
        first = int(np.abs(changes[number]).argmax())
        change = -changes[number] if variant.swapped else changes[number]
        either = np.maximum(probability[number], probability[number] + change)
        others = [track for track in specific_tracks(either, base_rate, settings) if track != first]
        tracks = [first, *others][: settings.tracks_per_locus]
        rows.append(
            {
                "region_id": number,
                "kind": "variant",
                "chrom": variant.chrom,
                "start": int(variant.pos) - window // 2,  # type: ignore[arg-type]
                "pos": variant.pos,
                "ref": variant.ref,
                "alt": variant.alt,
                "record": variant.record,
                "variant_allele": variant.allele,
                "gene_id": variant.gene_id,
                "tracks": ",".join(store.tracks[track] for track in tracks),
            }
        )
    frame = pd.DataFrame(rows)
    both = pd.concat([frame.assign(allele="ref"), frame.assign(allele="alt")])
    return both.sort_values("region_id", kind="stable", ignore_index=True)


def place_probability(variants: pd.DataFrame, store: ProfileStore) -> Floats:
    """Reference probability (variants, tracks) of the bin of the variant's gene that holds it; 0 for unknown genes."""
    strand = np.where(variants.gene_strand == "-", -1, 1)
    distance = variants.dist_to_tss.to_numpy(dtype=np.int64) * strand
    return store.at(store.rows(variants.gene_id), store.bins_of(distance))


def specific_tracks(probability: Floats, base_rate: Floats, settings: LociSettings) -> list[int]:
    """Tracks above ``min_probability``, by how far they stand above their usual rate.

    A track that is on nearly everywhere (open chromatin) says less about a place than a factor's own, so tracks are
    ordered by probability over base rate.
    """
    order = np.argsort(-probability / np.maximum(base_rate, 1e-6), kind="stable")
    return [int(track) for track in order if probability[track] >= settings.min_probability]


# --- promoters --------------------------------------------------------------------------------------------------------
def promoter_bins(store: ProfileStore, settings: LociSettings) -> tuple[Floats, pd.DataFrame]:
    """Base rate (tracks,) of each track over all promoter bins, and the best bin of each gene.

    Returns
    -------
    base_rate
        Mean probability per track.
    best
        Columns ``row`` (of the store), ``place`` (bin) and ``strength`` (sum over tracks of the probabilities that
        reach ``min_probability``), strongest first.
    """
    near = np.flatnonzero(np.abs(store.centres) <= PROMOTER_REACH)
    if not len(near):
        near = np.array([store.settings.bins // 2 - 1, store.settings.bins // 2])
    first, last = int(near[0]), int(near[-1]) + 1
    total = np.zeros(len(store.tracks))
    best = []
    for row, block in store.blocks(first, last):
        total += block.sum(axis=(0, 1), dtype=np.float64)
        strength = np.where(block >= settings.min_probability, block, 0.0).sum(axis=2, dtype=np.float64)
        best += [(row + gene, first + int(s.argmax()), float(s.max())) for gene, s in enumerate(strength)]
    base_rate = total / max(1, len(store.genes) * (last - first))
    frame = pd.DataFrame(best, columns=["row", "place", "strength"])
    return base_rate, frame.sort_values(["strength", "row"], ascending=[False, True], ignore_index=True)


def promoter_loci(
    best: pd.DataFrame, store: ProfileStore, base_rate: Floats, window: int, bin_size: int, settings: LociSettings
) -> pd.DataFrame:
    """The strongest promoter windows whose cores do not overlap."""
    best = best[best.strength > 0]
    if settings.chromosomes:
        best = best[store.genes.chrom.iloc[best.row].isin(settings.chromosomes).to_numpy()]
    chosen: list[dict[str, object]] = []
    taken: dict[str, list[int]] = {}
    for place in best.itertuples(index=False):
        if len(chosen) == settings.promoters:
            break
        gene = store.genes.iloc[int(place.row)]  # type: ignore[arg-type]
        offset = int(store.centres[int(place.place)])  # type: ignore[arg-type]
        start = int(gene.tss) + (offset if gene.strand == "+" else -offset) - window // 2
        starts = taken.setdefault(gene.chrom, [])
        if any(abs(start - other) < bin_size for other in starts):
            continue
        starts.append(start)
        chosen.append(
            {"row": place.row, "place": place.place, "chrom": gene.chrom, "start": start, "gene_id": gene.gene_id}
        )
    if not chosen:
        return empty_loci()
    frame = pd.DataFrame(chosen)
    probability = store.at(frame.row.to_numpy(np.int64), frame.place.to_numpy(np.int64))
    tracks = [specific_tracks(row, base_rate, settings)[: settings.tracks_per_locus] for row in probability]
    frame["tracks"] = [",".join(store.tracks[track] for track in row) for row in tracks]
    return frame.drop(columns=["row", "place"]).assign(kind="promoter", region_id=np.arange(len(frame)))


# --- the table --------------------------------------------------------------------------------------------------------
def number_loci(parts: Sequence[pd.DataFrame], window: int, bin_size: int) -> pd.DataFrame:
    """Put the parts together: rows numbered, regions numbered on, columns and types complete."""
    regions = 0
    numbered = []
    for part in parts:
        if len(part):
            numbered.append(part.assign(region_id=part.region_id + regions))
            regions = int(numbered[-1].region_id.max()) + 1
    if not numbered:
        return empty_loci()
    loci = pd.concat(numbered, ignore_index=True)
    loci["locus_id"] = np.arange(len(loci))
    loci["end"] = loci.start + window
    loci["core_start"] = (window - bin_size) // 2
    loci["core_end"] = loci.core_start + bin_size
    loci = loci.reindex(columns=list(LOCUS_COLUMNS))
    text = [column for column, kind in LOCUS_COLUMNS.items() if kind == "str"]
    return typed(loci.fillna(dict.fromkeys(text, "")), LOCUS_COLUMNS)
