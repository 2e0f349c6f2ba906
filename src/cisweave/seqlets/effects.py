"""The motif each variant breaks or makes: seqlets of its two haplotypes, compared.

Dimension legend
    variants - regions of the locus table with a reference and an alternative haplotype
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cisweave.core.logs import get_logger
from cisweave.genome.table import as_in_file
from cisweave.seqlets.annotate import ANNOTATED_COLUMNS, UNASSIGNED
from cisweave.seqlets.loci import rank_variants
from cisweave.seqlets.table import allele_span, read_loci, typed
from cisweave.tables.frames import read_table, write_tsv
from cisweave.tables.ledger import KEY
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

MOTIF_EFFECT_COLUMNS: dict[str, str] = {
    "region_id": "int64",
    "record": "int64",
    "allele": "int64",
    "chrom": "str",
    "pos": "int64",
    "ref": "str",
    "alt": "str",
    "swapped": "bool",
    "gene_id": "str",
    "context": "str",
    "effect": "float64",
    "event": "str",
    "motif": "str",
    "matrix_id": "str",
    "family": "str",
    "strand": "str",
    "track": "str",
    "sign": "str",
    "ref_attribution": "float64",
    "alt_attribution": "float64",
    "attribution_change": "float64",
    "q_value": "float64",
    "seqlet_id": "Int64",
}
"""``record, allele`` name the variant. All is told from the REF to the ALT of the user's file: where ``swapped``, the
genome holds ALT. ``context`` and ``effect`` (ln expression,
alt - ref) are its strongest; ``event`` is breaks, makes or none; ``motif`` names the seqlet of the haplotype where it
is stronger (unassigned where nothing matches); attributions are sums over the called cores (logits of ``track``), 0
where no seqlet was called."""

TEXT = [column for column, kind in MOTIF_EFFECT_COLUMNS.items() if kind == "str"]
FIRST_EVENT_COLUMN = list(MOTIF_EFFECT_COLUMNS).index("event")

MIN_CHANGE = 0.2
"""Share of the stronger haplotype's attribution that must be lost for an event; below it both alleles hold the
motif."""


def motif_effects(
    annotated: str | Path, loci: str | Path, effects: Sequence[str | Path], out: str | Path
) -> pd.DataFrame:
    """Find what each attributed variant does to motifs and write the table, strongest variant first.

    In each track, the strongest seqlet over the variant is taken from either haplotype. The track whose attribution
    changes most decides, seqlets with a name before those without; the motif is broken where the reference is the
    stronger one, made where the alternative is.

    Parameters
    ----------
    annotated
        Annotated seqlets (Parquet).
    loci
        The locus table (TSV).
    effects
        The effect tables the variants were chosen from.
    out
        TSV, columns :data:`MOTIF_EFFECT_COLUMNS`, a row per variant of the locus table.
    """
    table = read_loci(loci)
    seqlets = read_table(annotated, ANNOTATED_COLUMNS)
    best = seqlets[seqlets["rank"] == 1]
    variants = table[table.kind == "variant"]
    over = seqlets_over_variants(best, variants)
    regions = variants.drop_duplicates("region_id").drop(columns="allele").rename(columns={"variant_allele": "allele"})
    events = pd.DataFrame(
        [{"region_id": region, **strongest_event(over[over.region_id == region])} for region in regions.region_id],
        columns=["region_id", *list(MOTIF_EFFECT_COLUMNS)[FIRST_EVENT_COLUMN:]],
    )
    strongest = rank_variants(effects)[[*KEY, "swapped", "context", "effect"]]
    strongest = strongest.astype({"record": "Int64", "allele": "Int64"})
    result = regions.merge(strongest, on=KEY, how="left").merge(events, on="region_id")
    result = typed(result.fillna({"swapped": False, **dict.fromkeys(TEXT, "")}), MOTIF_EFFECT_COLUMNS)
    result = as_in_file(turn_swapped(result))
    result = result.sort_values("effect", key=abs, ascending=False, kind="stable", ignore_index=True)
    write_tsv(result, out, float_format="%.6g")
    write_receipt(out, inputs=[annotated, loci, *effects], settings={"min_change": MIN_CHANGE})
    logger.info("%s", result.event.value_counts().to_dict())
    return result


def turn_swapped(events: pd.DataFrame) -> pd.DataFrame:
    """Tell the events of swapped alleles from the file's REF, the genome's ALT, to the file's ALT."""
    here = events["swapped"].to_numpy(dtype=bool)
    turned = events.copy()
    turned.loc[here, "event"] = events.loc[here, "event"].replace({"breaks": "makes", "makes": "breaks"})
    turned.loc[here, "ref_attribution"] = events.loc[here, "alt_attribution"]
    turned.loc[here, "alt_attribution"] = events.loc[here, "ref_attribution"]
    turned.loc[here, "attribution_change"] = -events.loc[here, "attribution_change"]
    return turned


def seqlets_over_variants(best: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """Seqlets, flanks included, that touch the bases in which a variant's alleles differ.

    Adds ``region_id`` and ``haplotype`` (ref or alt).
    """
    spans = pd.DataFrame(
        [(locus.locus_id, locus.region_id, locus.allele, *allele_span(locus)) for _, locus in variants.iterrows()],
        columns=["locus_id", "region_id", "haplotype", "span_start", "span_end"],
    )
    over = best.merge(spans, on="locus_id")
    return over[(over.start < over.span_end) & (over.span_start < over.end)]


def strongest_event(over: pd.DataFrame) -> dict[str, Any]:
    """What happens to the seqlets over one variant: the columns from ``event`` on."""
    candidates = [track_event(table) for _, table in over.groupby("track")]
    if not candidates:
        return {"event": "none", "ref_attribution": 0.0, "alt_attribution": 0.0, "attribution_change": 0.0}
    return max(
        candidates,
        key=lambda event: (event["event"] != "none", event["motif"] != UNASSIGNED, abs(event["attribution_change"])),
    )


def track_event(over: pd.DataFrame) -> dict[str, Any]:
    """The event in one track: its strongest seqlet against the strongest of the same sign on the other haplotype."""
    ordered = over.sort_values("attribution", key=abs, ascending=False, kind="stable")
    strongest = ordered.iloc[0]
    sums = {}
    for haplotype in ("ref", "alt"):
        same = ordered[(ordered.haplotype == haplotype) & (ordered.sign == strongest.sign)]
        sums[haplotype] = float(same.attribution.iloc[0]) if len(same) else 0.0
    change = sums["alt"] - sums["ref"]
    lost = abs(change) / abs(float(strongest.attribution))
    event = "none" if lost < MIN_CHANGE else "breaks" if strongest.haplotype == "ref" else "makes"
    return {
        "event": event,
        "motif": strongest.label,
        "matrix_id": strongest.matrix_id if strongest.assigned else "",
        "family": strongest.family if strongest.assigned else "",
        "strand": strongest.strand if strongest.assigned else "",
        "track": strongest.track,
        "sign": strongest.sign,
        "ref_attribution": sums["ref"],
        "alt_attribution": sums["alt"],
        "attribution_change": change,
        "q_value": strongest.q_value,
        "seqlet_id": strongest.seqlet_id,
    }
