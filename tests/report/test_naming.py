"""Placed seqlets are named as called ones are."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from cisweave.config import AnnotationSettings, MotifDatabase
from cisweave.motifs import jaspar_motifs, prepare_database
from cisweave.report.naming import tomtom_namer
from cisweave.seqlets.call import SEQLET_COLUMNS
from cisweave.seqlets.stores import Attributions, write_attributions
from cisweave.seqlets.table import typed

START = 40


@pytest.fixture
def store(tmp_path: Path) -> tuple[Path, int]:
    """One locus with CTCF's consensus from base 40, attributed on the motif and on every third base; its length."""
    motif = next(motif for motif in jaspar_motifs(tax_group=["vertebrates"]) if motif.matrix_id == "MA0139.2")
    codes = np.random.default_rng(0).integers(0, 4, (1, 100)).astype(np.uint8)
    codes[0, START : START + motif.width] = motif.pwm.argmax(axis=0)
    with h5py.File(tmp_path / "loci.h5", "w") as handle:
        handle["codes"], handle["locus_id"] = codes, [0]
    projected = np.zeros((2, 100), dtype=np.float32)
    projected[1, START::3] = 1.0
    projected[0, START : START + motif.width] = motif.pwm.max(axis=0)
    items = Attributions(
        np.array([7, 9]), np.zeros(2, dtype=np.int64), ["a", "b"], codes.repeat(2, 0), projected, np.zeros((2, 4, 100))
    )
    write_attributions(tmp_path / "attributions.h5", items)
    prepare_database(MotifDatabase(source="jaspar"), tmp_path / "motifs.meme", tmp_path / "motifs.tsv", "jaspar")
    return tmp_path, motif.width


def test_bases_count_by_the_attributions_of_the_item_at_the_place(store: tuple[Path, int]) -> None:
    folder, width = store
    name = tomtom_namer(
        folder / "loci.h5",
        folder / "attributions.h5",
        folder / "motifs.meme",
        folder / "motifs.tsv",
        AnnotationSettings(),
    )
    # The weights of the table are those of where the seqlets were called; they must not be used.
    row = {"locus_id": 0, "track": "a", "start": START, "end": START + width, "chrom": "c", "sign": "+"}
    row |= {"core_start": START, "core_end": START + width, "weights": "0" * width}
    row |= {"attribution": 1.0, "p_value": 0.1, "called_at": 0.1, "tangermeme_version": "x"}
    table = pd.DataFrame([row | {"seqlet_id": 0, "item_id": 9}, row | {"seqlet_id": 1, "item_id": 7}])
    third, whole = name(typed(table, SEQLET_COLUMNS))
    assert whole == "MA0139.2"
    assert third != "MA0139.2"
    assert name(typed(table.iloc[:0], SEQLET_COLUMNS)).tolist() == []
