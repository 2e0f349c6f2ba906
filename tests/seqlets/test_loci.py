"""Choosing loci."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from cisweave.config import LociSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.profiles import read_profiles
from cisweave.seqlets.loci import place_probability, rank_variants, select_loci, specific_tracks
from cisweave.tables.attributions import LOCUS_COLUMNS
from tests.seqlets.conftest import Chain
from tests.seqlets.toy import BIN, SPACING, WINDOW, PwmModel, World, save_toy_model, write_profiles

TRACKS = ["open", "A", "B"]


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """Three genes of four bins; two variants of G1, one of G2, in two context sets."""
    model = PwmModel(3, 8, WINDOW)
    save_toy_model(tmp_path / "model", model, TRACKS)
    genes = pd.DataFrame({"gene_id": ["G1", "G2", "G3"], "chrom": ["chr1", "chr1", "chr2"], "tss": [5001, 5101, 7001]})
    genes["strand"] = ["+", "-", "-"]
    profile = np.full((3, 4, 3), 0.05, dtype=np.float32)
    profile[:, :, 0] = 0.9
    profile[0, 1] = [0.9, 0.8, 0.1]
    profile[1, 2] = [0.9, 0.1, 0.7]
    profile[2, 3] = [0.9, 0.6, 0.6]
    write_profiles(tmp_path / "profiles.h5", genes, profile, TRACKS, tmp_path / "model")
    variants = pd.DataFrame(
        {
            "record": [1, 1, 2], "allele": [1, 2, 1], "name": ".", "chrom": "chr1", "pos": [4900, 4900, 5050],
            "ref": ["A", "A", "CT"], "alt": ["C", "G", "C"], "gene_id": ["G1", "G1", "G2"],
            "gene_strand": ["+", "+", "-"], "dist_to_tss": [-101, -101, -51],
        }
    )  # fmt: skip
    variants.assign(liver=[0.1, 0.3, 0.0], brain=[-0.2, np.nan, 0.05]).to_parquet(tmp_path / "t.parquet")
    variants.assign(neuron=[0.15, 0.1, -0.9]).to_parquet(tmp_path / "c.parquet")
    changes = pd.DataFrame({"record": [1, 1, 2], "allele": [1, 2, 1], "open": 0.01, "A": [-0.4, 0.0, 0.0]})
    changes["B"] = [0.05, 0.35, 0.05]
    changes.to_parquet(tmp_path / "changes.parquet")
    return {name: tmp_path / name for name in ("model", "profiles.h5", "t.parquet", "c.parquet", "changes.parquet")}


def select(inputs: dict[str, Path], **settings: object) -> pd.DataFrame:
    return select_loci(
        [inputs["t.parquet"], inputs["c.parquet"]],
        [inputs["changes.parquet"]],
        inputs["profiles.h5"],
        inputs["model"],
        inputs["model"].parent / "loci.tsv",
        LociSettings.model_validate(settings),
    )


def test_variants_are_ranked_by_their_strongest_context_of_all_sets(inputs: dict[str, Path]) -> None:
    ranked = rank_variants([inputs["t.parquet"], inputs["c.parquet"]])
    assert ranked[["record", "allele", "context", "effect"]].values.tolist() == [
        [2, 1, "neuron", -0.9],
        [1, 2, "liver", 0.3],
        [1, 1, "brain", -0.2],
    ]


def test_trap_11_each_allele_gives_both_haplotypes_in_a_window_of_its_own(inputs: dict[str, Path]) -> None:
    loci = select(inputs, promoters=0)
    assert list(loci.columns) == list(LOCUS_COLUMNS)
    assert loci.locus_id.tolist() == [0, 1, 2, 3, 4, 5]
    assert loci.region_id.tolist() == [0, 0, 1, 1, 2, 2]
    assert loci.allele.tolist() == ["ref", "alt"] * 3
    assert loci.variant_allele.tolist() == [1, 1, 2, 2, 1, 1]
    assert loci.start.tolist()[:2] == [5050 - WINDOW // 2] * 2
    assert (loci.end - loci.start == WINDOW).all()
    assert (loci.core_start[0], loci.core_end[0]) == ((WINDOW - BIN) // 2, (WINDOW + BIN) // 2)


def test_variant_tracks_are_the_most_changed_then_the_specific_ones(inputs: dict[str, Path]) -> None:
    loci = select(inputs, promoters=0, tracks_per_locus=2)
    tracks = {(row.record, row.variant_allele): row.tracks for row in loci.itertuples()}
    # Record 1, allele 1 takes A away (0.8 on the reference); allele 2 brings B, A stays.
    assert tracks[1, 1] == "A,open"
    assert tracks[1, 2] == "B,A"


def test_tracks_of_swapped_alleles_are_those_of_the_same_windows(inputs: dict[str, Path]) -> None:
    plain = select(inputs)
    for name in ("t", "c"):
        table = pd.read_parquet(inputs["model"].parent / f"{name}.parquet")
        table.assign(swapped=True).to_parquet(inputs["model"].parent / f"{name}.parquet")
    for path in inputs["model"].parent.glob("*changes*.parquet"):
        changes = pd.read_parquet(path)
        changes[TRACKS] = -changes[TRACKS]
        changes.to_parquet(path)
    pd.testing.assert_frame_equal(select(inputs), plain)


def test_strongest_variants_and_contigs_can_be_limited(inputs: dict[str, Path]) -> None:
    assert select(inputs, promoters=0, top_variants=1).record.tolist() == [2, 2]
    assert len(select(inputs, promoters=0, chromosomes=["chr2"])) == 0
    assert select(inputs, top_variants=0, chromosomes=["chr2"]).gene_id.tolist() == ["G3"]


def test_promoters_are_the_best_bins_on_either_strand_without_overlap(inputs: dict[str, Path]) -> None:
    loci = select(inputs, top_variants=0, tracks_per_locus=3)
    centre = dict(zip(loci.gene_id, loci.start + WINDOW // 2, strict=True))
    # G3 (minus strand): bin 3 is 300 bp downstream, that is to the left. G2's best bin is 100 bp downstream, at 5001.
    # G1's best bin lies 100 bp upstream: 5001 - 100 = 4901, whose core overlaps G2's, which is weaker.
    assert centre == {"G3": 7001 - 300, "G1": 5001 - 100}
    assert loci.tracks.tolist() == ["B,A,open", "A,open"]
    assert loci.kind.unique().tolist() == ["promoter"]


def test_specific_tracks_prefers_rare_tracks_over_those_on_everywhere() -> None:
    order = specific_tracks(np.array([0.95, 0.5, 0.2]), np.array([0.9, 0.1, 0.01]), LociSettings(min_probability=0.3))
    assert order == [1, 0]


def test_without_variants_promoters_remain_and_without_both_the_table_is_empty_but_typed(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    loci = select_loci([], [], inputs["profiles.h5"], inputs["model"], tmp_path / "l.tsv", LociSettings())
    assert set(loci.kind) == {"promoter"}
    empty = select_loci([], [], inputs["profiles.h5"], inputs["model"], tmp_path / "l.tsv", LociSettings(promoters=0))
    assert len(empty) == 0
    assert (tmp_path / "l.tsv").read_text() == "\t".join(LOCUS_COLUMNS) + "\n"


def test_profiles_of_another_model_are_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    retrained = tmp_path / "retrained"
    save_toy_model(retrained, PwmModel(3, 8, WINDOW), TRACKS)
    with pytest.raises(CisweaveError, match="another chromatin model"):
        select_loci([], [], inputs["profiles.h5"], retrained, tmp_path / "l.tsv")
    renamed = shutil.copytree(inputs["model"], tmp_path / "renamed")
    (renamed / "model.yaml").write_text((renamed / "model.yaml").read_text().replace("- open", "- closed"))
    with pytest.raises(CisweaveError, match="another chromatin model"):
        select_loci([], [], inputs["profiles.h5"], renamed, tmp_path / "l.tsv")


def test_profiles_that_do_not_tell_their_model_are_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    with h5py.File(inputs["profiles.h5"], "a") as store:
        del store.attrs["model_sha256"]
    with pytest.raises(CisweaveError, match="build them again"):
        select_loci([], [], inputs["profiles.h5"], inputs["model"], tmp_path / "l.tsv")


def test_a_variants_place_is_the_bin_that_holds_it_in_gene_orientation(inputs: dict[str, Path]) -> None:
    store = read_profiles(inputs["profiles.h5"])
    variants = pd.DataFrame(
        {
            "gene_id": ["G1", "G2", "G3", "G1", "gone"],
            "gene_strand": ["+", "-", "-", "+", "+"],
            "dist_to_tss": [-101, -51, -300, 9999, 0],
        }
    )
    # Bins of 200 bp reach from -400 to 400; upstream comes first.
    expected = [[0.9, 0.8, 0.1], [0.9, 0.1, 0.7], [0.9, 0.6, 0.6], [0.9, 0.05, 0.05], [0, 0, 0]]
    np.testing.assert_allclose(place_probability(variants, store), expected, rtol=1e-6)


def test_a_variant_without_chromatin_effect_is_an_error(inputs: dict[str, Path]) -> None:
    pd.read_parquet(inputs["changes.parquet"]).iloc[:1].to_parquet(inputs["changes.parquet"])
    with pytest.raises(CisweaveError, match="no chromatin effect"):
        select(inputs)


def test_the_toy_worlds_promoters_are_found_where_motifs_stand(world: World, chain: Chain) -> None:
    promoters = chain.loci[chain.loci.kind == "promoter"]
    assert len(promoters) == 40
    for locus in promoters.itertuples():
        tss = (int(locus.gene_id[1:]) + 1) * SPACING
        assert abs(locus.start + WINDOW // 2 - tss) <= 301


def test_contigs_without_variant_and_gene_are_warned_about(
    inputs: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    select(inputs, chromosomes=["chr2", "1", "chr9"])
    assert "no variant and no gene lies on 1, chr9; contigs are written as in the tables, such as chr1" in caplog.text
    caplog.clear()
    select(inputs, chromosomes=["chr1", "chr2"])
    assert "no variant and no gene" not in caplog.text
