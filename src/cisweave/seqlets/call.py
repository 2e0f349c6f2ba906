"""Seqlets: spans of high attribution, by tangermeme's recursive caller.

Dimension legend
    items - one locus attributed for one track, length - bases of a window
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.config.sections import CallingSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.kernels import prepare_numba
from cisweave.core.logs import get_logger
from cisweave.seqlets.stores import Attributions, read_attributions
from cisweave.seqlets.table import locus_positions, read_loci, typed
from cisweave.tables.frames import write_tsv
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

SEQLET_COLUMNS: dict[str, str] = {
    "seqlet_id": "int64",
    "item_id": "int64",
    "locus_id": "int64",
    "track": "str",
    "start": "int64",
    "end": "int64",
    "core_start": "int64",
    "core_end": "int64",
    "chrom": "str",
    "g_start": "Int64",
    "g_end": "Int64",
    "sign": "str",
    "attribution": "float64",
    "weights": "str",
    "p_value": "float64",
    "called_at": "float64",
    "tangermeme_version": "str",
}
"""``start, end`` are window-relative with flanks, ``core_start, core_end`` as called; ``g_start, g_end`` are ``start,
end`` on the genome (0-based half-open), empty where an end lies in inserted bases; ``attribution`` is the sum over the
core (logits); ``weights`` has a digit per base from ``start`` to ``end``: 0 contributes nothing, or against the sign, 9
as much as the strong bases of the core; ``p_value`` ranks spans within one call and one version of tangermeme, it is
no error rate."""

STRONG_QUANTILE = 0.8
"""The contribution that counts as full, as a quantile over the core."""


def call_seqlets(
    attributions: str | Path, loci: str | Path, out: str | Path, settings: CallingSettings | None = None
) -> pd.DataFrame:
    """Call seqlets in all items of an attribution store at once and write the seqlet table.

    The null distribution is that of all positions of all items given, so chunks of attributions must be gathered first.
    Background loci take part in the null; their seqlets are dropped.

    Parameters
    ----------
    attributions
        HDF5 of attributions.
    loci
        The locus table they belong to (TSV).
    out
        Seqlet table (TSV), columns :data:`SEQLET_COLUMNS`, best p-value first within positive and negative seqlets; a
        header alone where there is none.
    """
    settings = settings or CallingSettings()
    table = read_loci(loci)
    store = read_attributions(attributions)
    check_belongs(store, table, attributions)
    attributed = len(np.unique(store.locus_id))
    if attributed < settings.min_loci:
        logger.warning(
            "only %d loci are attributed; below %d the null distribution is poor and p-values mean little",
            attributed, settings.min_loci,
        )  # fmt: skip
    called = call_items(store, settings)
    seqlets = place_seqlets(called, store, table, settings)
    write_tsv(seqlets, out, float_format="%.6g")
    write_receipt(out, settings=settings.model_dump(mode="json"), inputs=[attributions, loci])
    logger.info(
        "%d seqlets in %d items: %d positive, %d negative",
        len(seqlets), len(store), (seqlets.sign == "+").sum(), (seqlets.sign == "-").sum(),
    )  # fmt: skip
    return seqlets


def check_belongs(store: Attributions, loci: pd.DataFrame, path: str | Path) -> None:
    """Raise unless each item is a locus of the table, attributed for one of its tracks over its whole window."""
    hint = "these attributions are not those of this locus table; attribute it again"
    asked = dict(zip(loci.locus_id, (set(tracks.split(",")) for tracks in loci.tracks), strict=True))
    for record, (locus_id, track) in enumerate(zip(store.locus_id.tolist(), store.track, strict=True), start=1):
        if track not in asked.get(locus_id, ()):
            known = f"is not asked for at locus {locus_id}" if locus_id in asked else f"is of no locus ({locus_id})"
            raise CisweaveError(f"the track {track} {known}: {hint}", path=path, line=record)
    if len(store) and store.codes.shape[1] != int(loci.end.iloc[0] - loci.start.iloc[0]):
        window = loci.end.iloc[0] - loci.start.iloc[0]
        raise CisweaveError(f"{store.codes.shape[1]} bp for windows of {window} bp: {hint}", path=path)


def call_items(store: Attributions, settings: CallingSettings) -> pd.DataFrame:
    """Call seqlets in both directions as asked.

    Returns
    -------
    pandas.DataFrame
        ``row`` (of the store), ``core_start``, ``core_end``, ``p_value``, ``sign``.
    """
    scaled = scale_tracks(store.projected, store.track)
    positive = call_positive(scaled, settings).assign(sign="+")
    if settings.sign == "positive":
        return positive
    # The caller finds high spans only, and the absolute value would mix both tails in one null.
    negative = call_positive(-scaled, settings).assign(sign="-")
    if settings.sign == "negative":
        return negative
    return pd.concat([positive, without_overlaps(negative, positive)], ignore_index=True)


def scale_tracks(projected: NDArray[np.float32], tracks: list[str]) -> NDArray[np.float32]:
    """Attributions divided by the root mean square of their track, so that tracks can share one null distribution."""
    scaled = projected.copy()
    names = np.array(tracks, dtype=object)
    for track in sorted(set(tracks)):
        members = names == track
        size = float(np.sqrt(np.mean(projected[members].astype(np.float64) ** 2)))
        if size > 0:
            scaled[members] /= size
    return scaled


def call_positive(values: NDArray[np.float32], settings: CallingSettings) -> pd.DataFrame:
    """Spans of high values (items, length), called without flanks so that the core is known exactly."""
    columns = {"row": "int64", "core_start": "int64", "core_end": "int64", "p_value": "float64"}
    if not values.size:
        return typed(pd.DataFrame(), columns)
    prepare_numba()
    from tangermeme.seqlet import recursive_seqlets

    called = recursive_seqlets(
        torch.from_numpy(np.ascontiguousarray(values)),
        threshold=settings.threshold,
        min_seqlet_len=settings.min_length,
        max_seqlet_len=settings.max_length,
        additional_flanks=0,
    )
    called = called.set_axis(["row", "core_start", "core_end", "attribution", "p_value"], axis=1)
    called = called.sort_values(["p_value", "row", "core_start"], kind="stable", ignore_index=True)
    return typed(called, columns)


def without_overlaps(spans: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The spans whose core overlaps none of the ``others`` in the same item."""
    pairs = spans.reset_index().merge(others, on="row", suffixes=("", "_other"))
    overlaps = pairs[(pairs.core_start < pairs.core_end_other) & (pairs.core_start_other < pairs.core_end)]
    return spans[~spans.index.isin(overlaps["index"])]


def place_seqlets(
    called: pd.DataFrame, store: Attributions, loci: pd.DataFrame, settings: CallingSettings
) -> pd.DataFrame:
    """Add flanks, attribution and the place on the genome to called spans."""
    length = store.codes.shape[1]
    row = called.row.to_numpy()
    locus_id = store.locus_id[row]
    seqlets = pd.DataFrame(
        {
            "item_id": store.item_id[row],
            "locus_id": locus_id,
            "track": pd.Series(np.array(store.track, dtype=object)[row], dtype="str"),
            "start": np.maximum(called.core_start.to_numpy() - settings.flanks, 0),
            "end": np.minimum(called.core_end.to_numpy() + settings.flanks, length),
            "core_start": called.core_start.to_numpy(),
            "core_end": called.core_end.to_numpy(),
            "chrom": loci.chrom.to_numpy()[locus_id],
            "sign": called.sign.to_numpy(),
            "p_value": called.p_value.to_numpy(),
            "called_at": settings.threshold,
            "tangermeme_version": version("tangermeme"),
        }
    )
    sums = np.concatenate([np.zeros((len(store), 1)), store.projected.cumsum(axis=1, dtype=np.float64)], axis=1)
    seqlets["attribution"] = sums[row, seqlets.core_end] - sums[row, seqlets.core_start]
    seqlets["weights"] = base_weights(seqlets, store.projected[row])
    seqlets["g_start"], seqlets["g_end"] = genome_spans(seqlets, loci)
    seqlets = seqlets[(loci.kind.to_numpy()[locus_id] != "background")].reset_index(drop=True)
    seqlets["seqlet_id"] = np.arange(len(seqlets))
    return typed(seqlets, SEQLET_COLUMNS)


def base_weights(seqlets: pd.DataFrame, projected: NDArray[np.float32]) -> list[str]:
    """A digit 0 to 9 per base of each seqlet: its contribution in the seqlet's direction over that of strong bases.

    Parameters
    ----------
    seqlets
        Columns ``start``, ``end``, ``core_start``, ``core_end``, ``sign``.
    projected
        (seqlets, length), the attributions of each seqlet's item.
    """
    weights = []
    places = seqlets[["start", "end", "core_start", "core_end", "sign"]].itertuples(index=False, name=None)
    for values, (start, end, core_start, core_end, sign) in zip(projected, places, strict=True):
        directed = np.maximum(values if sign == "+" else -values, 0)
        strong = max(float(np.quantile(directed[core_start:core_end], STRONG_QUANTILE)), 1e-12)
        digits = np.rint(np.minimum(directed[start:end] / strong, 1) * 9).astype(int)
        weights.append("".join(map(str, digits)))
    return weights


def genome_spans(seqlets: pd.DataFrame, loci: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Start and end on the genome (0-based half-open); missing where an end lies in bases the genome does not hold."""
    starts = pd.Series(pd.NA, index=seqlets.index, dtype="Int64")
    ends = starts.copy()
    for locus_id in seqlets.locus_id.unique().tolist():
        members = seqlets[seqlets.locus_id == locus_id]
        places = locus_positions(loci.iloc[locus_id])
        first = places[members.start.to_numpy()]
        last = places[members.end.to_numpy() - 1]
        known = (first >= 0) & (last >= 0)
        starts[members.index[known]] = first[known]
        ends[members.index[known]] = last[known] + 1
    return starts, ends
