"""Logos of attributions: the two haplotypes of a variant one above the other, and promoter windows track by track.

Dimension legend
    length - bases of a window; a view is the part of it that is drawn
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.files import atomic_path, write_json
from cisweave.core.logs import get_logger
from cisweave.seqlets.annotate import ANNOTATED_COLUMNS, UNASSIGNED
from cisweave.seqlets.effects import MOTIF_EFFECT_COLUMNS
from cisweave.seqlets.stores import Attributions, read_attributions
from cisweave.seqlets.table import allele_span, read_loci, typed
from cisweave.tables.frames import read_table
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = get_logger(__name__)

KNOWN = ("record", "allele", "chrom", "pos", "ref", "alt", "swapped", "gene_id", "context", "effect", "event")
"""What the index of the figures says of a variant."""
VARIANT_VIEW = 80
"""Bases drawn around a variant."""
PROMOTER_VIEW = 200
"""Most bases drawn of a promoter, around the middle of its core."""
FAINT = 0.2
"""Seqlets without a name and below this share of the row's strongest are not marked."""
DPI = 110
ROW_HEIGHT = 1.35
"""Inches per row."""


@dataclass
class Row:
    """One row of a figure.

    Attributes
    ----------
    title
        Text above the row.
    heights
        (4, view), attribution of the base that is there, zero elsewhere.
    seqlets
        Annotated seqlets of rank 1 in this item, window-relative.
    start
        Window index of the first base drawn.
    shaded
        Window-relative span to shade (the variant), or None.
    """

    title: str
    heights: NDArray[np.float32]
    seqlets: pd.DataFrame
    start: int
    shaded: tuple[int, int] | None = None


def draw_logos(
    attributions: str | Path,
    annotated: str | Path,
    loci: str | Path,
    motif_effects: str | Path,
    out: str | Path,
    index: str | Path,
    variants: int = 8,
    promoters: int = 4,
) -> list[dict[str, Any]]:
    """Draw the best variants (reference over alternative) and the best promoters as PNG files, and write an index.

    Variants that break or make a motif come first, by absolute effect; promoters in the order of the locus table. The
    same input gives the same bytes.

    Parameters
    ----------
    attributions
        HDF5 of attributions.
    annotated
        Annotated seqlets (Parquet).
    loci
        The locus table (TSV).
    motif_effects
        What the variants do to motifs (TSV).
    out
        Folder for the PNG files; PNG files already in it are removed.
    index
        JSON, written last: a list with ``file``, ``title``, ``kind``, ``locus_ids`` and what is known of the variant.
    variants, promoters
        Most figures of each kind.
    """
    table = read_loci(loci)
    store = read_attributions(attributions)
    seqlets = read_table(annotated, ANNOTATED_COLUMNS)
    seqlets = seqlets[seqlets["rank"] == 1]
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.png"):
        old.unlink()
    text = {column: "str" for column, kind in MOTIF_EFFECT_COLUMNS.items() if kind == "str"}
    events = read_table(motif_effects, MOTIF_EFFECT_COLUMNS, dtype=text).fillna(dict.fromkeys(text, ""))
    entries = [
        *variant_figures(best_variants(typed(events, MOTIF_EFFECT_COLUMNS), variants), table, store, seqlets, out),
        *promoter_figures(table[table.kind == "promoter"], promoters, store, seqlets, out),
    ]
    write_json(index, entries)
    write_receipt(
        index,
        settings={"variants": variants, "promoters": promoters},
        inputs=[attributions, annotated, loci, motif_effects],
    )
    logger.info("%d logos in %s", len(entries), out)
    return entries


def best_variants(events: pd.DataFrame, count: int) -> pd.DataFrame:
    """The variants to draw: those with an event first, then by absolute effect."""
    order = events.assign(nothing=events.event == "none", strength=-events.effect.abs())
    return events.loc[order.sort_values(["nothing", "strength"], kind="stable").index[:count]]


# --- what to draw -----------------------------------------------------------------------------------------------------
def variant_figures(
    events: pd.DataFrame, loci: pd.DataFrame, store: Attributions, seqlets: pd.DataFrame, out: Path
) -> list[dict[str, Any]]:
    """Draw each variant; those whose windows were not attributed are left out."""
    entries: list[dict[str, Any]] = []
    for _, event in events.iterrows():
        haplotypes = loci[loci.region_id == event.region_id]
        track = event.track or haplotypes.tracks.iloc[0].split(",")[0]
        rows = []
        for _, locus in haplotypes.iloc[:: -1 if event.swapped else 1].iterrows():
            item = find_item(store, int(locus.locus_id), track)
            if item is None:
                continue
            span = allele_span(locus)
            start = min(max(0, span[0] - VARIANT_VIEW // 2), store.codes.shape[1] - VARIANT_VIEW)
            name = "reference" if (locus.allele == "ref") != event.swapped else "alternative"
            bases = locus.ref if locus.allele == "ref" else locus["alt"]
            title = f"{name} ({shorten(bases)})"
            rows.append(make_row(store, item, seqlets, title, start, VARIANT_VIEW, span))
        if len(rows) < 2:
            continue
        place = f"{event.chrom}:{event.pos} {shorten(event.ref)}>{shorten(event['alt'])}"
        name = f"{event.event} {event.motif}" if event.event != "none" else "no motif changed"
        title = f"{place}, {name}; {event.gene_id} {event.context} {event.effect:+.2f}; attribution of {track}"
        file = file_name("variant", len(entries) + 1, event.chrom, event.pos, event.record, event.allele)
        save_figure(make_figure(title, rows), out / file)
        known = {column: plain(event[column]) for column in KNOWN}
        entries.append(
            {
                "file": file,
                "title": title,
                "kind": "variant",
                "locus_ids": haplotypes.locus_id.tolist(),
                "track": track,
                "motif": event.motif,
                **known,
            }
        )
    return entries


def promoter_figures(
    promoters: pd.DataFrame, count: int, store: Attributions, seqlets: pd.DataFrame, out: Path
) -> list[dict[str, Any]]:
    """Draw the core of each promoter window, a row per attributed track."""
    entries: list[dict[str, Any]] = []
    for _, locus in promoters.iterrows():
        if len(entries) == count:
            break
        middle = (int(locus.core_start) + int(locus.core_end)) // 2
        width = min(PROMOTER_VIEW, int(locus.core_end - locus.core_start))
        start = middle - width // 2
        tracks = [
            track for track in locus.tracks.split(",") if find_item(store, int(locus.locus_id), track) is not None
        ]
        rows = []
        for track in tracks:
            item = find_item(store, int(locus.locus_id), track)
            assert item is not None
            rows.append(make_row(store, item, seqlets, track, start, width))
        if not rows:
            continue
        first = int(locus.start) + start
        title = f"promoter of {locus.gene_id}, {locus.chrom}:{first + 1:,}-{first + width:,}"
        file = file_name("promoter", len(entries) + 1, locus.chrom, first + 1, locus.gene_id)
        save_figure(make_figure(title, rows), out / file)
        entries.append(
            {
                "file": file,
                "title": title,
                "kind": "promoter",
                "locus_ids": [int(locus.locus_id)],
                "track": ",".join(tracks),
                "gene_id": locus.gene_id,
                "chrom": locus.chrom,
            }
        )
    return entries


def find_item(store: Attributions, locus_id: int, track: str) -> int | None:
    """Row of the store that holds a locus attributed for a track."""
    for row in np.flatnonzero(store.locus_id == locus_id).tolist():
        if store.track[row] == track:
            return int(row)
    return None


def make_row(
    store: Attributions,
    item: int,
    seqlets: pd.DataFrame,
    title: str,
    start: int,
    width: int,
    shaded: tuple[int, int] | None = None,
) -> Row:
    """A row that shows ``width`` bases of an item from window index ``start``."""
    codes = store.codes[item, start : start + width]
    heights = np.zeros((4, len(codes)), dtype=np.float32)
    heights[codes, np.arange(len(codes))] = store.projected[item, start : start + width]
    here = seqlets[(seqlets.item_id == store.item_id[item]) & (seqlets.end > start) & (seqlets.start < start + width)]
    size = here.attribution.abs()
    here = here[(here.label != UNASSIGNED) | (size >= FAINT * size.max())]
    return Row(title, heights, here.sort_values("start"), start, shaded)


# --- drawing ----------------------------------------------------------------------------------------------------------
def make_figure(title: str, rows: list[Row]) -> Figure:
    """A figure of rows that share one scale."""
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(max(8.0, rows[0].heights.shape[1] / 12), ROW_HEIGHT * len(rows) + 0.5), layout="constrained"
    )
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    axes = np.atleast_1d(figure.subplots(len(rows), 1, squeeze=True))
    top = max(float(row.heights.max()) for row in rows)
    bottom = min(float(row.heights.min()) for row in rows)
    reach = max(top - bottom, 1e-6)
    for row, axis in zip(rows, axes, strict=True):
        draw_row(row, axis, (bottom - 0.45 * reach, top + 0.05 * reach), bottom)
    return figure


def draw_row(row: Row, axis: Axes, limits: tuple[float, float], bottom: float) -> None:
    """Draw letters, then the seqlets below them.

    The seqlets are drawn here and not by plot_logo, which leaves out those that touch the edge of the view.
    """
    from tangermeme.plot import plot_logo

    with warnings.catch_warnings():
        # plot_logo first sets limits of its own, which are equal where nothing is attributed.
        warnings.filterwarnings("ignore", message="Attempting to set identical")
        plot_logo(row.heights, ax=axis, ylim=limits)
    axis.set_title(row.title, fontsize=9, loc="left", pad=2)
    axis.set_xticks([])
    axis.tick_params(labelsize=7)
    axis.axhline(0, color="0.6", linewidth=0.5)
    width = row.heights.shape[1]
    if row.shaded is not None:
        axis.axvspan(row.shaded[0] - row.start, row.shaded[1] - row.start, color="gold", alpha=0.3, linewidth=0)
    step = (limits[1] - limits[0]) * 0.15
    ends = [-1.0, -1.0]
    for seqlet in row.seqlets.itertuples(index=False):
        first = max(int(seqlet.start) - row.start, 0)  # type: ignore[arg-type]
        last = min(int(seqlet.end) - row.start, width)  # type: ignore[arg-type]
        line = 0 if first >= ends[0] else 1
        named = seqlet.label != UNASSIGNED
        label = f"{seqlet.label} ({seqlet.strand})" if named else "?"
        ends[line] = max(last, first + len(label) * 1.1) + 1
        height = bottom - step * (0.4 + line)
        colour = "black" if named else "0.6"
        axis.plot([first, last], [height, height], color=colour, linewidth=1.5, solid_capstyle="butt")
        axis.text(first, height - 0.1 * step, label, fontsize=7, color=colour, va="top")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG without anything that changes from run to run."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, metadata={"Software": None})


def file_name(*parts: object) -> str:
    """A file name of the parts, made of letters, digits, dots and dashes only."""
    words = [f"{part:02d}" if number == 1 and isinstance(part, int) else str(part) for number, part in enumerate(parts)]
    return re.sub(r"[^A-Za-z0-9.-]+", "-", "_".join(words).replace("_", "-")) + ".png"


def shorten(bases: str) -> str:
    """An allele for people: long ones by their length."""
    return bases if len(bases) <= 10 else f"{bases[:6]}…{len(bases)} bp"


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    return value.item() if isinstance(value, np.generic) else value
