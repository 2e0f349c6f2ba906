"""Calling seqlets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import CallingSettings, load_settings
from cisweave.core.errors import CisweaveError
from cisweave.genome.extract import extract_codes
from cisweave.seqlets.call import SEQLET_COLUMNS, base_weights, call_items, call_seqlets, scale_tracks, without_overlaps
from cisweave.seqlets.stores import Attributions, read_attributions, write_attributions
from cisweave.seqlets.table import read_loci, typed
from cisweave.tables.attributions import LOCUS_COLUMNS
from cisweave.tables.frames import write_tsv
from tests.seqlets.conftest import Chain
from tests.seqlets.toy import World


def store_of(projected: np.ndarray, tracks: list[str] | None = None) -> Attributions:
    count, length = projected.shape
    return Attributions(
        np.arange(count) + 10,
        np.arange(count),
        tracks or ["t"] * count,
        np.zeros((count, length), dtype=np.uint8),
        projected.astype(np.float32),
        np.zeros((count, 4, length), dtype=np.float32),
    )


def signal(count: int = 30, length: int = 120) -> np.ndarray:
    values = np.random.default_rng(0).normal(0, 0.02, (count, length))
    values[:, 50:60] += 1.0
    values[:, 90:97] -= 1.0
    values[0, 0:8] += 1.0
    values[1, 112:120] += 1.0
    return values


def write_inputs(folder: Path, store: Attributions, kinds: list[str] | None = None) -> None:
    count, length = store.projected.shape
    frame = pd.DataFrame({"locus_id": range(count), "region_id": range(count)})
    frame = frame.assign(kind=kinds or ["promoter"] * count, chrom="chr1", start=1000, end=1000 + length)
    frame = frame.assign(core_start=0, core_end=length, ref="", alt="", allele="", gene_id="g", tracks="t")
    write_tsv(typed(frame, LOCUS_COLUMNS), folder / "loci.tsv")
    write_attributions(folder / "attributions.h5", store)


def call(folder: Path, **settings: object) -> pd.DataFrame:
    return call_seqlets(
        folder / "attributions.h5",
        folder / "loci.tsv",
        folder / "seqlets.tsv",
        CallingSettings.model_validate(settings),
    )


def test_both_signs_are_called_where_they_stand_with_core_and_flanks_exact(tmp_path: Path) -> None:
    write_inputs(tmp_path, store_of(signal()))
    seqlets = call(tmp_path, flanks=3)
    assert list(seqlets.columns) == list(SEQLET_COLUMNS)
    positive = seqlets[(seqlets.sign == "+") & (seqlets.core_start > 40) & (seqlets.core_start < 70)]
    negative = seqlets[seqlets.sign == "-"]
    assert len(positive) == len(negative) == 30
    assert positive.core_start.between(47, 51).all()
    assert positive.core_end.between(59, 63).all()
    assert (positive.start == positive.core_start - 3).all()
    assert (positive.end == positive.core_end + 3).all()
    assert (positive.g_start == positive.start + 1000).all()
    assert (positive.g_end == positive.end + 1000).all()
    assert (negative.attribution < 0).all()
    first = positive.iloc[0]
    store = read_attributions(tmp_path / "attributions.h5")
    row = store.item_id.tolist().index(first.item_id)
    assert first.attribution == pytest.approx(
        float(store.projected[row, first.core_start : first.core_end].sum()), rel=1e-5
    )


def test_weights_are_digits_in_the_direction_of_the_seqlet() -> None:
    values = np.array([[0.0, -1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 2.0]] * 2, dtype=np.float32)
    spans = pd.DataFrame({"start": 0, "end": 8, "core_start": 2, "core_end": 7, "sign": ["+", "-"]}, index=[0, 1])
    assert base_weights(spans, values)[0] == "00499999"
    assert base_weights(spans.assign(core_start=1, core_end=2), values)[1] == "09000000"


def test_flanks_are_clipped_at_the_window_and_the_core_is_kept(tmp_path: Path) -> None:
    write_inputs(tmp_path, store_of(signal()))
    seqlets = call(tmp_path, flanks=5)
    left = seqlets[(seqlets.locus_id == 0) & (seqlets.core_start < 10)].iloc[0]
    right = seqlets[(seqlets.locus_id == 1) & (seqlets.core_end > 110)].iloc[0]
    assert (left.start, left.core_start) == (0, 0)
    assert (right.end, right.core_end) == (120, 120)
    assert left.end == left.core_end + 5


def test_one_sign_only(tmp_path: Path) -> None:
    write_inputs(tmp_path, store_of(signal()))
    assert set(call(tmp_path, sign="positive").sign) == {"+"}
    assert set(call(tmp_path, sign="negative").sign) == {"-"}


def test_trap_8_the_null_is_pooled_so_parts_are_not_called_apart() -> None:
    values = signal()
    values[15:] = np.random.default_rng(1).normal(0, 0.02, (15, 120))
    settings = CallingSettings(sign="positive", threshold=0.05)
    whole = call_items(store_of(values), settings)
    alone = call_items(store_of(values[:2]), settings)
    spans = ["row", "core_start", "core_end"]
    both = whole.merge(alone, on=spans, suffixes=("_whole", "_alone"))
    assert len(both) >= 2
    # Among quiet items the same span is rarer.
    assert (both.p_value_whole < both.p_value_alone).all()


def test_trap_8_few_loci_are_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_inputs(tmp_path, store_of(signal(5)))
    with caplog.at_level("WARNING", logger="cisweave"):
        call(tmp_path, min_loci=6)
    assert "only 5 loci" in caplog.text


def test_background_joins_the_null_and_leaves(tmp_path: Path) -> None:
    write_inputs(tmp_path, store_of(signal()), ["promoter"] * 10 + ["background"] * 20)
    seqlets = call(tmp_path)
    assert seqlets.locus_id.max() == 9
    assert seqlets.seqlet_id.tolist() == list(range(len(seqlets)))


def test_trap_19_tracks_on_different_scales_share_one_null() -> None:
    values = signal(20)
    values[10:] *= 100
    tracks = ["small"] * 10 + ["large"] * 10
    scaled = scale_tracks(values.astype(np.float32), tracks)
    assert np.sqrt((scaled[:10] ** 2).mean()) == pytest.approx(1, rel=1e-4)
    assert np.sqrt((scaled[10:] ** 2).mean()) == pytest.approx(1, rel=1e-4)
    called = call_items(store_of(values, tracks), CallingSettings(sign="positive"))
    assert set(called.row) == set(range(20))


def test_trap_9_threshold_and_version_are_in_the_table(tmp_path: Path) -> None:
    from importlib.metadata import version

    write_inputs(tmp_path, store_of(signal()))
    seqlets = call(tmp_path, threshold=0.005)
    assert set(seqlets.called_at) == {0.005}
    assert set(seqlets.tangermeme_version) == {version("tangermeme")}


@pytest.mark.parametrize("values", [np.zeros((0, 120)), np.zeros((3, 120)), np.ones((3, 120))])
def test_trap_10_no_seqlet_gives_an_empty_typed_table(tmp_path: Path, values: np.ndarray) -> None:
    write_inputs(tmp_path, store_of(values))
    seqlets = call(tmp_path)
    assert len(seqlets) == 0
    assert seqlets.dtypes.astype(str).to_dict() == dict(SEQLET_COLUMNS)
    assert (tmp_path / "seqlets.tsv").read_text() == "\t".join(SEQLET_COLUMNS) + "\n"


def test_negative_spans_over_positive_ones_are_dropped_per_item() -> None:
    spans = pd.DataFrame({"row": [0, 0, 1], "core_start": [10, 30, 10], "core_end": [20, 40, 20]})
    others = pd.DataFrame({"row": [0], "core_start": [19], "core_end": [25]})
    assert without_overlaps(spans, others).index.tolist() == [1, 2]


def test_every_seqlet_spells_the_genome_or_has_no_place(world: World, chain: Chain) -> None:
    loci = read_loci(chain.folder / "loci.tsv")
    codes = extract_codes(loci, world.files["genome.fa"])
    placed = 0
    for seqlet in chain.seqlets.itertuples():
        locus = loci.iloc[seqlet.locus_id]
        if pd.isna(seqlet.g_start) or locus.allele == "alt":
            continue
        window = codes[seqlet.locus_id, seqlet.start : seqlet.end]
        np.testing.assert_array_equal(window, world.codes[seqlet.g_start : seqlet.g_end])
        placed += 1
    assert placed > 50


def test_planted_motifs_are_found(world: World, chain: Chain) -> None:
    loci = chain.loci[chain.loci.allele != "alt"].copy()
    broken = {row.pos for row in world.variants.itertuples() if world.truth[row.record][0] == "makes"}
    found, planted = 0, 0
    for plant in world.plants:
        if any(plant.start < pos <= plant.end for pos in broken):
            continue
        inside = loci[(loci.start + loci.core_start <= plant.start) & (plant.end <= loci.start + loci.core_end)]
        inside = inside[inside.tracks.str.split(",").map(lambda tracks, tf=plant.tf: tf in tracks)]
        if not len(inside):
            continue
        planted += 1
        here = chain.seqlets[chain.seqlets.locus_id.isin(inside.locus_id) & (chain.seqlets.track == plant.tf)]
        overlap = np.minimum(here.g_end.astype(int), plant.end) - np.maximum(here.g_start.astype(int), plant.start)
        found += bool((overlap >= 0.5 * (plant.end - plant.start)).any())
    assert planted > 30
    assert found / planted >= 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"locus_id": np.array([0, 1, 7])}, r"line 3: the track t is of no locus \(7\)"),
        ({"locus_id": np.array([0, -1, 2])}, r"line 2: the track t is of no locus \(-1\)"),
        ({"track": ["t", "u", "t"]}, "line 2: the track u is not asked for at locus 1"),
        ({"codes": np.zeros((3, 90), dtype=np.uint8)}, "90 bp for windows of 120 bp"),
    ],
)
def test_attributions_of_other_loci_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    store = store_of(signal(3))
    write_inputs(tmp_path, store)
    write_attributions(tmp_path / "attributions.h5", replace(store, **change))  # type: ignore[arg-type]
    with pytest.raises(CisweaveError, match=message):
        call(tmp_path)


def test_the_shortest_core_is_not_longer_than_the_longest() -> None:
    with pytest.raises(CisweaveError, match=r"min_length \(30\) must not exceed max_length \(25\)"):
        load_settings(CallingSettings, '{"min_length": 30}')
    assert load_settings(CallingSettings, '{"min_length": 25}').min_length == 25
