"""Naming seqlets: Tomtom (Gupta et al. 2007) by memelite, against a motif database.

Dimension legend
    seqlets - rows of the seqlet table, motifs - rows of the database, nearest - matches kept per seqlet
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config.sections import AnnotationSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.kernels import prepare_numba
from cisweave.core.logs import get_logger
from cisweave.motifs.meme import read_meme
from cisweave.motifs.motif import Motif
from cisweave.motifs.prepare import MIN_TARGETS
from cisweave.seqlets.call import SEQLET_COLUMNS
from cisweave.seqlets.table import typed
from cisweave.sequence.onehot import Codes
from cisweave.tables.frames import read_table, write_parquet, write_tsv
from cisweave.tables.hdf5 import open_store
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

UNASSIGNED = "unassigned"
MIN_EDGE_WEIGHT = 4
"""Flanks are cut back to the outermost base of at least this weight (of 9)."""
MATCH_COLUMNS: dict[str, str] = {
    "rank": "int64",
    "motif_idx": "int64",
    "matrix_id": "str",
    "motif_name": "str",
    "family": "str",
    "tomtom_p": "float64",
    "e_value": "float64",
    "q_value": "float64",
    "offset": "int64",
    "overlap": "int64",
    "strand": "str",
    "assigned": "bool",
    "label": "str",
}
"""``rank`` counts a seqlet's matches from 1; ``motif_idx`` is the row of the database; ``e_value`` = ``tomtom_p`` x
motifs; ``q_value`` belongs to the seqlet (see :func:`seqlet_q_values`); ``offset`` is the seqlet's start relative to
the motif on ``strand``; ``assigned`` and ``label`` tell whether the best match names the seqlet, and how
(``unassigned`` where not)."""
ANNOTATED_COLUMNS = {**SEQLET_COLUMNS, **MATCH_COLUMNS}


@dataclass
class Matches:
    """Tomtom's best matches, arrays (seqlets, nearest), best first.

    Attributes
    ----------
    p_value
        Per comparison.
    motif
        Row of the motif.
    offset, overlap
        In bases.
    reverse
        True where the motif's reverse complement matches.
    """

    p_value: NDArray[np.float64]
    motif: NDArray[np.int64]
    offset: NDArray[np.int64]
    overlap: NDArray[np.int64]
    reverse: NDArray[np.bool_]


def annotate_seqlets(
    seqlets: str | Path,
    sequences: str | Path,
    motifs: str | Path,
    table: str | Path,
    out: str | Path,
    tsv: str | Path,
    settings: AnnotationSettings | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Match every seqlet with a motif database and write the annotated table.

    Parameters
    ----------
    seqlets
        Seqlet table (TSV).
    sequences
        Sequences of the loci (HDF5).
    motifs, table
        The prepared database: MEME file and table of names, rows in the same order.
    out, tsv
        The same rows as Parquet and TSV: the seqlet table and :data:`MATCH_COLUMNS`, one row per seqlet and rank.
    threads
        Threads of Tomtom; all where ``None``.
    """
    settings = settings or AnnotationSettings()
    called = read_seqlets(seqlets)
    database, names = read_database(motifs, table)
    with open_store(sequences, "extracted sequences") as store:
        codes = store["codes"][:] if len(called) else np.empty((0, 0), dtype=np.uint8)
    queries, trimmed = seqlet_queries(called, codes)
    matches = match_seqlets(queries, database, settings.nearest, threads)
    matches.offset -= trimmed[:, None]
    annotated = annotation_table(called, matches, names, settings)
    write_parquet(annotated, out)
    write_tsv(annotated, tsv, float_format="%.6g")
    for result in (out, tsv):
        write_receipt(
            result,
            settings=settings.model_dump(mode="json"),
            inputs=[seqlets, sequences, motifs, table],
        )
    best = annotated[annotated["rank"] == 1]
    logger.info("%d of %d seqlets named, %d names", best.assigned.sum(), len(best), best.label[best.assigned].nunique())
    return annotated


def read_seqlets(path: str | Path) -> pd.DataFrame:
    """Read a seqlet table."""
    text = {column: kind for column, kind in SEQLET_COLUMNS.items() if kind in {"str", "Int64"}}
    return typed(read_table(path, SEQLET_COLUMNS, dtype=text), SEQLET_COLUMNS, path)


def read_database(motifs: str | Path, table: str | Path) -> tuple[list[Motif], pd.DataFrame]:
    """Read a prepared motif database and check that its two files belong together."""
    database = read_meme(motifs)
    names = read_table(table, ["idx", "matrix_id", "name", "family"], dtype=dict.fromkeys(("matrix_id", "name"), "str"))
    if [motif.matrix_id for motif in database] != names.matrix_id.tolist():
        raise CisweaveError(f"its rows are not the motifs of {motifs}; prepare the database again", path=table)
    return database, names


def seqlet_queries(seqlets: pd.DataFrame, codes: Codes) -> tuple[list[NDArray[np.float64]], NDArray[np.int64]]:
    """What is looked up for each seqlet: its sequence as a PWM (4, width) in which a base counts by its contribution.

    A base of weight w (0 to 1) has probability w + (1 - w) / 4, the others (1 - w) / 4. The bare sequence would give
    every base the same say, those the model ignores too, and a motif with free positions is lost among hundreds.
    Flanks without weight are cut off: near-uniform columns make Tomtom's p-values too small.

    Returns
    -------
    queries
        One PWM per seqlet.
    trimmed
        Bases (seqlets,) cut off on the left.
    """
    queries, trimmed = [], np.zeros(len(seqlets), dtype=np.int64)
    columns = ["locus_id", "start", "end", "core_start", "core_end", "weights"]
    for number, seqlet in enumerate(seqlets[columns].itertuples(index=False, name=None)):
        locus, start, _, core_start, core_end, digits = seqlet
        level = np.frombuffer(digits.encode(), dtype=np.uint8).astype(np.int64) - ord("0")
        heavy = np.flatnonzero(level >= MIN_EDGE_WEIGHT)
        first = min([core_start - start, *heavy[:1]])
        last = max([core_end - start, *(heavy[-1:] + 1)])
        weight = level[first:last] / 9
        query = np.repeat((1 - weight)[None] / 4, 4, axis=0)
        query[codes[locus, start + first : start + last], np.arange(last - first)] += weight
        queries.append(query)
        trimmed[number] = first
    return queries, trimmed


def match_seqlets(
    queries: Sequence[NDArray[np.float64]], motifs: Sequence[Motif], nearest: int = 1, threads: int | None = None
) -> Matches:
    """The best matches of sequences or PWMs (4, width) among motifs, both strands, complete scores, Euclidean distance.

    memelite.tomtom is called rather than tangermeme's annotate_seqlets, which keeps neither overlap, offset nor
    strand. With ``n_nearest`` its memory grows with the matches kept, not with the database.
    """
    nearest = min(nearest, len(motifs))
    if not queries:
        empty = np.empty((0, nearest))
        whole = empty.astype(np.int64)
        return Matches(empty, whole, whole, whole, empty.astype(bool))
    prepare_numba(threads)
    import numba
    from memelite import tomtom

    if len(motifs) < MIN_TARGETS:
        logger.warning("%d motifs are too few for reliable p-values (Tomtom needs about %d)", len(motifs), MIN_TARGETS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="tomtom was given")
        p_value, _, offset, overlap, strand, index = tomtom(
            list(queries), [motif.pwm for motif in motifs], n_nearest=nearest, n_jobs=numba.get_num_threads()
        )
    return Matches(p_value, index.astype(np.int64), offset.astype(np.int64), overlap.astype(np.int64), strand > 0)


def seqlet_q_values(p_value: NDArray[np.float64], motifs: int) -> NDArray[np.float64]:
    """q-value (seqlets,) of each seqlet's best match.

    The best of many comparisons is small by chance: a random 12-mer has a best p of about 0.002 among 900 motifs. So
    each best p is first corrected for the number of motifs (Bonferroni), and Benjamini and Hochberg's procedure then
    runs over seqlets.
    """
    corrected = np.minimum(p_value * motifs, 1.0)
    order = np.argsort(corrected, kind="stable")
    ranked = corrected[order] * len(corrected) / np.arange(1, len(corrected) + 1)
    q_value = np.empty_like(corrected)
    q_value[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return q_value


def annotation_table(
    seqlets: pd.DataFrame, matches: Matches, names: pd.DataFrame, settings: AnnotationSettings
) -> pd.DataFrame:
    """One row per seqlet and rank, in the order of the seqlet table."""
    count, nearest = matches.p_value.shape
    repeated = seqlets.loc[np.repeat(seqlets.index.to_numpy(), nearest)].reset_index(drop=True)
    motif = matches.motif.ravel()
    q_value = seqlet_q_values(matches.p_value[:, 0], len(names)) if count else np.empty(0)
    assigned = q_value <= settings.max_qvalue
    if count:
        assigned &= matches.overlap[:, 0] >= settings.min_overlap
    best = names.name.to_numpy()[matches.motif[:, 0]] if count else np.empty(0, dtype=object)
    columns = {
        "rank": np.tile(np.arange(1, nearest + 1), count),
        "motif_idx": motif,
        "matrix_id": names.matrix_id.to_numpy()[motif],
        "motif_name": names.name.to_numpy()[motif],
        "family": names.family.fillna("").to_numpy()[motif],
        "tomtom_p": matches.p_value.ravel(),
        "e_value": matches.p_value.ravel() * len(names),
        "q_value": np.repeat(q_value, nearest),
        "offset": matches.offset.ravel(),
        "overlap": matches.overlap.ravel(),
        "strand": np.where(matches.reverse.ravel(), "-", "+"),
        "assigned": np.repeat(assigned, nearest),
        "label": np.repeat(np.where(assigned, best, UNASSIGNED), nearest),
    }
    return typed(repeated.assign(**columns), ANNOTATED_COLUMNS)
