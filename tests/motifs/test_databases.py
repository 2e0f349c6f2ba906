"""JASPAR and prepared databases."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import MotifDatabase
from cisweave.core.errors import CisweaveError
from cisweave.motifs import Motif, jaspar_motifs, prepare_database, read_meme, write_meme
from cisweave.motifs.prepare import unique_ids


def test_jaspar_2024_vertebrates_are_complete_and_described() -> None:
    motifs = jaspar_motifs("JASPAR2024", tax_group=["vertebrates"])
    assert len(motifs) == 879
    by_id = {motif.matrix_id: motif for motif in motifs}
    ctcf = by_id["MA0139.2"]
    assert (ctcf.name, ctcf.width, ctcf.consensus) == ("CTCF", 15, "GCCACCAGGGGGCGC")
    assert ctcf.information_content == pytest.approx(16.192, abs=0.001)
    assert ctcf.family
    assert ctcf.tf_class == "C2H2 zinc finger factors"
    assert [motif.matrix_id for motif in motifs] == sorted(by_id)


def test_trap_12_jaspar_names_are_shared_so_ids_identify() -> None:
    names = [motif.name for motif in jaspar_motifs(tax_group=["vertebrates"])]
    assert names.count("CTCF") == 3


def test_filters_narrow_and_the_release_is_honoured() -> None:
    human = jaspar_motifs(species=["9606"], data_type=["ChIP-seq"])
    assert 150 < len(human) < 300
    assert len(jaspar_motifs("JASPAR2022", tax_group=["vertebrates"])) == 841
    assert len(jaspar_motifs("JASPAR2026", tax_group=["vertebrates"])) != 879


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"release": "JASPAR1999"}, "JASPAR2024"), ({"tax_group": ["dragons"]}, "dragons")],
)
def test_a_wrong_filter_is_an_error_that_names_it(keys: dict[str, object], message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        jaspar_motifs(**keys)  # type: ignore[arg-type]


def test_prepared_database_has_unique_ids_and_a_table_in_the_same_order(tmp_path: Path) -> None:
    table = prepare_database(MotifDatabase(source="jaspar"), tmp_path / "m.meme", tmp_path / "m.tsv", "jaspar")
    motifs = read_meme(tmp_path / "m.meme")
    read = pd.read_csv(tmp_path / "m.tsv", sep="\t", keep_default_na=False)
    assert list(read.columns) == ["idx", "matrix_id", "name", "width", "ic_bits", "nsites", "family", "class"]
    assert read.matrix_id.tolist() == [motif.matrix_id for motif in motifs] == table.matrix_id.tolist()
    assert read.idx.tolist() == list(range(879))
    assert read.set_index("matrix_id").loc["MA0139.2", "ic_bits"] == pytest.approx(16.192, abs=0.001)
    assert (tmp_path / "m.meme.receipt.json").exists()


def test_same_ids_are_numbered_and_white_space_goes() -> None:
    pwm = np.full((4, 6), 0.25)
    motifs = unique_ids([Motif(name, "n", pwm) for name in ("A", "A", "A_2", "A", "B b")])
    assert [motif.matrix_id for motif in motifs] == ["A", "A_3", "A_2", "A_4", "B_b"]


def test_few_or_empty_motifs_are_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_meme(tmp_path / "in.meme", [Motif("U", "U", np.full((4, 8), 0.25))])
    entry = MotifDatabase(source="meme", path=tmp_path / "in.meme")
    with caplog.at_level("WARNING", logger="cisweave"):
        prepare_database(entry, tmp_path / "m.meme", tmp_path / "m.tsv", "mine")
    assert "unreliable" in caplog.text
    assert "match nearly everything: ['U']" in caplog.text


@pytest.mark.real_data
def test_bundled_jaspar_equals_the_downloaded_file() -> None:
    folder = os.environ.get("CISWEAVE_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CISWEAVE_REAL_DATA is not set to the folder of real data")
    file = Path(folder) / "motifs" / "JASPAR2024_CORE_vertebrates_non-redundant.meme"
    downloaded = {motif.matrix_id: motif for motif in read_meme(file)}
    bundled = jaspar_motifs(tax_group=["vertebrates"])
    assert set(downloaded) == {motif.matrix_id for motif in bundled}
    for motif in bundled:
        assert downloaded[motif.matrix_id].name == motif.name
        np.testing.assert_allclose(downloaded[motif.matrix_id].pwm, motif.pwm, atol=2e-6)
