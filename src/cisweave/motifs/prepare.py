"""Motif databases ready for annotation: a MEME file with one-word names, and a table that says what each is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cisweave.config.sections import MotifDatabase
from cisweave.core.logs import get_logger
from cisweave.motifs.jaspar import jaspar_motifs
from cisweave.motifs.meme import read_meme, write_meme
from cisweave.motifs.motif import Motif
from cisweave.tables.frames import write_tsv
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

TABLE_COLUMNS = ["idx", "matrix_id", "name", "width", "ic_bits", "nsites", "family", "class"]
MIN_TARGETS = 25
"""Fewer motifs than this make Tomtom's p-values unreliable."""
MIN_BITS = 2.0
"""Motifs below this match nearly everything; they are kept, with a warning."""


def database_motifs(entry: MotifDatabase) -> list[Motif]:
    """The motifs of a database entry, identifiers unique and free of white space."""
    if entry.source == "jaspar":
        motifs = jaspar_motifs(entry.release, entry.collection, entry.tax_group, entry.species, entry.data_type)
    else:
        assert entry.path is not None
        motifs = read_meme(entry.path)
    return unique_ids(motifs)


def unique_ids(motifs: Sequence[Motif]) -> list[Motif]:
    """Give the second and later motifs of one identifier a number: ``X``, ``X_2``, ``X_3``."""
    taken = {motif.matrix_id for motif in motifs}
    seen: Counter[str] = Counter()
    unique = []
    for motif in motifs:
        matrix_id = re.sub(r"\s+", "_", motif.matrix_id)
        seen[matrix_id] += 1
        if seen[matrix_id] > 1:
            while (numbered := f"{matrix_id}_{seen[matrix_id]}") in taken:
                seen[matrix_id] += 1
            taken.add(numbered)
            matrix_id = numbered
        unique.append(replace(motif, matrix_id=matrix_id))
    return unique


def motif_table(motifs: Sequence[Motif]) -> pd.DataFrame:
    """One row a motif, in the order of the MEME file: ``idx`` from 0, ``width`` in bases, ``ic_bits`` in bits."""
    rows = [
        (
            index,
            motif.matrix_id,
            motif.name,
            motif.width,
            round(motif.information_content, 3),
            motif.nsites,
            motif.family,
            motif.tf_class,
        )
        for index, motif in enumerate(motifs)
    ]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def prepare_database(entry: MotifDatabase, out: str | Path, table: str | Path, name: str = "database") -> pd.DataFrame:
    """Write a motif database as MEME and as TSV, and return the table.

    Parameters
    ----------
    entry
        Where the motifs come from.
    out
        The MEME file; each ``MOTIF`` line holds the unique identifier alone.
    table
        The TSV, columns :data:`TABLE_COLUMNS`, rows in the order of the MEME file.
    name
        The database's name, for messages.
    """
    motifs = database_motifs(entry)
    frame = motif_table(motifs)
    if len(motifs) < MIN_TARGETS:
        logger.warning("%s holds %d motifs; below %d Tomtom's p-values are unreliable", name, len(motifs), MIN_TARGETS)
    weak = frame.matrix_id[frame.ic_bits < MIN_BITS].tolist()
    if weak:
        logger.warning(
            "%s: %d motifs carry under %g bits and match nearly everything: %s", name, len(weak), MIN_BITS, weak
        )
    write_meme(out, motifs, names=False)
    write_tsv(frame, table)
    inputs = [entry.path] if entry.path else []
    for result in (out, table):
        write_receipt(result, settings=entry.model_dump(mode="json"), inputs=inputs, notes={"database": name})
    logger.info("%s: %d motifs, %d names", name, len(motifs), frame["name"].nunique())
    return frame
