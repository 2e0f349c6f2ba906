"""What the built-in world knows and the workflow does not: the tables of its ``truth`` folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cisweave.core.files import read_json
from cisweave.tables.frames import read_table

INSTANCE_COLUMNS = ["chrom", "start", "end", "strand", "tf", "matrix_id"]
EFFECT_COLUMNS = ["record", "allele", "chrom", "pos", "ref", "alt", "gene_id", "kind", "tf"]


@dataclass(frozen=True)
class World:
    """The truth of one built-in world.

    Attributes
    ----------
    folder
        The folder ``cisweave simulate`` wrote.
    valid_chromosomes
        Contigs for early stopping.
    test_chromosomes
        Contigs never trained on; every figure of the truth check is computed there.
    motifs
        One row per transcription factor: ``tf``, ``matrix_id``, ``aliases`` (matrices its sites cannot be told from).
    instances
        Occupied motif instances of the final sequence: ``chrom, start, end`` (0-based half-open), ``strand, tf,
        matrix_id``.
    expression
        Noise-free ln expression: ``gene_id``, then one column per context.
    effects
        One row per variant allele and gene within reach: the key columns, then the true difference in ln expression
        (alternative - reference) per context. Positions are 1-based.
    tracks
        Name of the chromatin track of each transcription factor.
    """

    folder: Path
    valid_chromosomes: list[str]
    test_chromosomes: list[str]
    motifs: pd.DataFrame
    instances: pd.DataFrame
    expression: pd.DataFrame
    effects: pd.DataFrame
    tracks: dict[str, str]

    @property
    def contexts(self) -> list[str]:
        """Names of all contexts, in the order of the truth table."""
        return [str(name) for name in self.expression.columns if name != "gene_id"]


def read_world(folder: str | Path) -> World:
    """Read the truth of a built-in world; missing files and columns are errors that name them."""
    folder = Path(folder)
    truth = folder / "truth"
    manifest = read_json(folder / "manifest.json")
    effects = truth / "effects.parquet"
    text = {"tf": "str", "ref": "str", "alt": "str", "kind": "str"}
    return World(
        folder=folder,
        valid_chromosomes=[str(name) for name in manifest["valid_chromosomes"]],
        test_chromosomes=[str(name) for name in manifest["test_chromosomes"]],
        motifs=read_table(truth / "motifs.tsv", ["tf", "matrix_id", "aliases"], dtype={"aliases": "str"}),
        instances=read_table(truth / "instances.tsv", INSTANCE_COLUMNS),
        expression=read_table(truth / "expression.tsv", ["gene_id"]),
        effects=read_table(effects if effects.exists() else truth / "effects.tsv", EFFECT_COLUMNS, dtype=text),
        tracks=tf_tracks(folder / "chromatin" / "tracks.tsv"),
    )


def tf_tracks(path: str | Path) -> dict[str, str]:
    """Track of each transcription factor, from the track table's column ``tf`` (empty for accessibility)."""
    tracks = read_table(path, ["track", "tf"], dtype={"track": "str", "tf": "str"})
    named = tracks[tracks.tf.notna()]
    return dict(zip(named.tf, named.track, strict=True))


def accepted_matrices(motifs: pd.DataFrame) -> dict[str, set[str]]:
    """For each transcription factor, the matrices that name its sites right: its own and its aliases."""
    names = motifs.aliases.fillna("").str.split(",")
    return {
        tf: {matrix, *(alias.strip() for alias in aliases if alias.strip())}
        for tf, matrix, aliases in zip(motifs.tf, motifs.matrix_id, names, strict=True)
    }
