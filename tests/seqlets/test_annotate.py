"""Naming seqlets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import AnnotationSettings
from cisweave.core.errors import CisweaveError
from cisweave.motifs import Motif, jaspar_motifs
from cisweave.seqlets.annotate import (
    ANNOTATED_COLUMNS,
    UNASSIGNED,
    Matches,
    annotate_seqlets,
    annotation_table,
    match_seqlets,
    seqlet_q_values,
    seqlet_queries,
)
from cisweave.seqlets.call import SEQLET_COLUMNS
from cisweave.seqlets.table import typed
from cisweave.tables.frames import write_tsv
from tests.seqlets.conftest import Chain
from tests.seqlets.toy import World, consensus


@pytest.fixture(scope="module")
def jaspar() -> list[Motif]:
    return jaspar_motifs(tax_group=["vertebrates"])


def annotate(folder: Path, chain: Chain, **settings: object) -> pd.DataFrame:
    return annotate_seqlets(
        folder / "seqlets.tsv",
        chain.folder / "loci.h5",
        chain.folder / "motifs.meme",
        chain.folder / "motifs.tsv",
        folder / "annotated.parquet",
        folder / "annotated.tsv",
        AnnotationSettings.model_validate(settings),
    )


def test_planted_motifs_get_their_own_name_among_879(world: World, chain: Chain) -> None:
    best = chain.annotated[(chain.annotated["rank"] == 1) & (chain.annotated.sign == "+")]
    named = {"CTCF": {"CTCF"}, "NRF1": {"Nrf1"}, "SRF": {"SRF"}}
    right = [seqlet.motif_name in named[seqlet.track] for seqlet in best.itertuples() if seqlet.assigned]
    assert len(right) > 60
    assert np.mean(right) >= 0.9
    assert (best.e_value[best.assigned] < 0.05).all()


@pytest.mark.parametrize("strand", ["+", "-"])
def test_offset_overlap_and_strand_are_those_of_the_seqlet_in_the_motif(jaspar: list[Motif], strand: str) -> None:
    motif = next(motif for motif in jaspar if motif.matrix_id == "MA0139.2")
    codes = consensus(motif, "+")[2:14]
    codes = codes if strand == "+" else 3 - codes[::-1]
    matches = match_seqlets([np.eye(4)[codes].T], jaspar, nearest=10)
    rank = matches.motif[0].tolist().index(jaspar.index(motif))
    assert rank < 3
    assert matches.overlap[0, rank] == 12
    assert ("-" if matches.reverse[0, rank] else "+") == strand
    assert matches.offset[0, rank] == (2 if strand == "+" else 1)
    assert (np.diff(matches.p_value[0]) >= 0).all()


def test_a_base_counts_by_its_contribution_and_flanks_without_any_are_cut() -> None:
    codes = np.array([[0, 0, 1, 2, 3, 3, 0, 1, 2, 3]], dtype=np.uint8)
    frame = table_of(1).assign(start=1, end=9, core_start=3, core_end=7, weights="05093099"[:8])
    (query,), trimmed = seqlet_queries(frame, codes)
    # Base 1 (weight 0) goes, base 2 (5) stays; base 5 (0) is inside the core and free; bases 7 and 8 (9) stay.
    assert trimmed.tolist() == [1]
    assert query.shape == (4, 7)
    np.testing.assert_allclose(query.sum(axis=0), 1)
    np.testing.assert_allclose(query[:, 0], [1 / 9, 5 / 9 + 1 / 9, 1 / 9, 1 / 9])
    np.testing.assert_allclose(query[:, 1], [0.25] * 4)
    np.testing.assert_allclose(query[:, 2], [0, 0, 0, 1])


def test_a_core_is_looked_up_whole_whatever_its_weights() -> None:
    frame = table_of(1).assign(start=0, end=8, core_start=2, core_end=6, weights="00000000")
    (query,), trimmed = seqlet_queries(frame, np.zeros((1, 8), dtype=np.uint8))
    assert (trimmed[0], query.shape[1]) == (2, 4)


def test_weights_name_motifs_that_the_bare_sequence_does_not(jaspar: list[Motif]) -> None:
    motif = next(motif for motif in jaspar if motif.matrix_id == "MA0139.2")
    rng = np.random.default_rng(1)
    width = motif.width
    codes = np.stack([[rng.choice(4, p=column) for column in motif.pwm.T] for _ in range(60)]).astype(np.uint8)
    columns = np.arange(width)
    information = 2 + (motif.pwm * np.log2(np.maximum(motif.pwm, 1e-9))).sum(axis=0)
    odds = np.log2(np.maximum(motif.pwm[codes, columns], 0.01) / 0.25)
    digits = np.rint(np.clip(np.minimum(odds, information) / 1.5, 0, 1) * 9).astype(int)
    frame = pd.concat([table_of(1)] * 60, ignore_index=True)
    frame = frame.assign(locus_id=range(60), start=0, end=width, core_start=0, core_end=width)
    named = {}
    for kind, weights in {"weighted": ["".join(map(str, row)) for row in digits], "bare": ["9" * width] * 60}.items():
        queries, _ = seqlet_queries(frame.assign(weights=weights), codes)
        matches = match_seqlets(queries, jaspar)
        right = [jaspar[index].name == "CTCF" for index in matches.motif[:, 0]]
        named[kind] = np.mean(np.array(right) & (seqlet_q_values(matches.p_value[:, 0], len(jaspar)) <= 0.05))
    assert named["weighted"] >= 0.9
    assert named["weighted"] > named["bare"] + 0.3


def test_trap_13_random_sequences_stay_unassigned(jaspar: list[Motif]) -> None:
    rng = np.random.default_rng(0)
    queries = [np.eye(4)[rng.integers(0, 4, width)].T for width in rng.integers(8, 20, 300)]
    p_value = match_seqlets(queries, jaspar).p_value[:, 0]
    assert (p_value < 0.05).mean() > 0.99
    assert (seqlet_q_values(p_value, len(jaspar)) <= 0.05).mean() <= 0.02


def test_q_values_are_benjamini_hochberg_over_corrected_p_values() -> None:
    p_value = np.array([0.001, 0.0001, 0.02, 0.5])
    corrected = [0.01, 0.001, 0.2, 1.0]
    expected = [corrected[0] * 4 / 2, corrected[1] * 4, corrected[2] * 4 / 3, 1.0]
    np.testing.assert_allclose(seqlet_q_values(p_value, 10), expected)
    assert (np.diff(seqlet_q_values(np.array([0.001, 0.0011, 0.0012]), 10)) >= 0).all()


def table_of(count: int) -> pd.DataFrame:
    frame = pd.DataFrame({"seqlet_id": range(count), "item_id": 0, "locus_id": 0, "track": "t", "start": 0, "end": 9})
    frame = frame.assign(
        core_start=2, core_end=7, chrom="c", sign="+", weights="9" * 9, attribution=1.0, p_value=0.1, called_at=0.1
    )
    return typed(frame.assign(tangermeme_version="x"), SEQLET_COLUMNS)


def test_trap_13_small_overlap_or_large_q_is_unassigned_and_ranks_are_kept() -> None:
    names = pd.DataFrame({"matrix_id": ["M1", "M2"], "name": ["one", "two"], "family": ["f", None]})
    matches = Matches(
        np.array([[1e-6, 0.01], [1e-6, 0.01], [0.4, 0.5]]),
        np.array([[0, 1], [1, 0], [0, 1]]),
        np.zeros((3, 2), dtype=np.int64),
        np.array([[9, 9], [4, 9], [9, 9]]),
        np.zeros((3, 2), dtype=bool),
    )
    annotated = annotation_table(table_of(3), matches, names, AnnotationSettings())
    assert annotated.dtypes.astype(str).to_dict() == dict(ANNOTATED_COLUMNS)
    assert annotated["rank"].tolist() == [1, 2] * 3
    assert annotated.label.tolist() == ["one"] * 2 + [UNASSIGNED] * 4
    assert annotated.assigned.tolist() == [True, True, False, False, False, False]
    assert annotated.motif_name.tolist() == ["one", "two", "two", "one", "one", "two"]
    np.testing.assert_allclose(annotated.e_value, annotated.tomtom_p * 2)


def test_trap_10_no_seqlet_gives_an_empty_typed_table(tmp_path: Path, chain: Chain) -> None:
    write_tsv(table_of(0), tmp_path / "seqlets.tsv")
    annotated = annotate(tmp_path, chain)
    assert len(annotated) == 0
    assert (tmp_path / "annotated.tsv").read_text() == "\t".join(ANNOTATED_COLUMNS) + "\n"
    assert list(pd.read_parquet(tmp_path / "annotated.parquet").columns) == list(ANNOTATED_COLUMNS)


def test_a_second_run_gives_the_same_bytes(tmp_path: Path, chain: Chain) -> None:
    shutil.copy(chain.folder / "seqlets.tsv", tmp_path)
    annotate(tmp_path, chain)
    for name in ("annotated.parquet", "annotated.tsv"):
        assert (tmp_path / name).read_bytes() == (chain.folder / name).read_bytes()


def test_a_table_of_another_database_is_refused(tmp_path: Path, chain: Chain) -> None:
    lines = (chain.folder / "motifs.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "motifs.tsv").write_text("".join(lines[:-1]))
    with pytest.raises(CisweaveError, match="prepare the database again"):
        annotate_seqlets(
            chain.folder / "seqlets.tsv",
            chain.folder / "loci.h5",
            chain.folder / "motifs.meme",
            tmp_path / "motifs.tsv",
            tmp_path / "a.parquet",
            tmp_path / "a.tsv",
        )


def test_trap_17_ids_stay_whole_numbers_and_no_column_is_overwritten(chain: Chain) -> None:
    best = chain.annotated[chain.annotated["rank"] == 1]
    pd.testing.assert_frame_equal(
        best[list(SEQLET_COLUMNS)].reset_index(drop=True), chain.seqlets, check_exact=False, rtol=1e-5
    )
    assert best.locus_id.dtype == "int64"


def test_trap_21_more_threads_than_numba_has_are_capped(jaspar: list[Motif]) -> None:
    query = np.eye(4)[np.arange(12) % 4].T
    one, many = (match_seqlets([query], jaspar, threads=threads) for threads in (1, 4096))
    np.testing.assert_array_equal(one.p_value, many.p_value)


def test_fewer_motifs_than_ranks(jaspar: list[Motif], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="cisweave"):
        matches = match_seqlets([np.eye(4)[np.arange(12) % 4].T], jaspar[:2], nearest=3)
    assert matches.p_value.shape == (1, 2)
    assert "too few" in caplog.text


def test_numba_gets_a_persistent_cache_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    from cisweave.core.kernels import prepare_numba

    monkeypatch.setenv("NUMBA_CACHE_DIR", "kept")
    prepare_numba()
    assert os.environ["NUMBA_CACHE_DIR"] == "kept"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    prepare_numba()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "cisweave" / "numba")
