"""The published DeepLIFT attributions of Seal against its published scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.seal.interpret.output import Attributed, TrackTables, read_upstream, upstream_path
from tests.real.checks import SEAL_TABLE, data_folder

FOLDER, REASON = data_folder()
ARRAY = "parity/Seal_deeplift_outcome_0.npy"
PRINTED = 5e-6
"""Half of the last of five decimals."""


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_published_attributions_add_up_to_the_published_scores() -> None:
    """Row sums equal the first context's column, up to printing and upstream's float32, and no other column."""
    array = read_upstream(FOLDER / ARRAY)
    table = pd.read_csv(FOLDER / SEAL_TABLE, sep="\t")
    sums = array.sum(axis=1, dtype=np.float64)
    contexts = table.columns[8:]
    differences = {context: float(np.abs(sums - table[context]).max()) for context in contexts}
    assert array.shape == (206, 2002)
    assert differences["early_fetal.A1C"] < 5.9e-6
    assert min(differences[context] for context in contexts[1:]) > 20 * PRINTED
    assert np.corrcoef(sums, table["early_fetal.A1C"])[0, 1] > 0.9999998
    assert np.mean(np.round(sums, 5) == table["early_fetal.A1C"]) > 0.9


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_our_writer_and_reader_keep_the_published_array(tmp_path: Path) -> None:
    """Written by us from its own values, in batches, the file is the published one byte for byte."""
    array = read_upstream(FOLDER / ARRAY)
    table = pd.read_csv(FOLDER / SEAL_TABLE, sep="\t")
    variants = table[["chrom", "pos", "ref", "alt", "gene_id"]].assign(record=np.arange(206) + 1, allele=1)
    path = upstream_path(tmp_path / "test", "deeplift", 0)
    tracks = [f"track {number}" for number in range(2002)]
    with TrackTables(
        tmp_path / "out.parquet", tmp_path / "out.tsv", ["early_fetal.A1C"], tracks, 3, variants, (path, 0)
    ) as writer:
        for start in range(0, 206, 50):
            rows = slice(start, min(start + 50, 206))
            values = array[rows, None].astype(np.float64)
            score = table["early_fetal.A1C"].to_numpy()[rows, None]
            writer.write(Attributed(variants.iloc[rows], score, values.sum(axis=2), np.zeros_like(score), values))
    np.testing.assert_array_equal(read_upstream(path), array)
    assert path.read_bytes() == (FOLDER / ARRAY).read_bytes()
    written = pd.read_parquet(tmp_path / "out.parquet")
    np.testing.assert_array_equal(written[tracks].to_numpy(), array)
    assert written.delta.abs().max() < 5.9e-6
