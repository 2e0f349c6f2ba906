"""The motif each variant breaks or makes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cisweave.seqlets.annotate import ANNOTATED_COLUMNS, UNASSIGNED
from cisweave.seqlets.effects import MOTIF_EFFECT_COLUMNS, motif_effects, strongest_event
from cisweave.seqlets.table import empty_loci, typed
from cisweave.tables.frames import write_tsv
from tests.seqlets.conftest import Chain
from tests.seqlets.toy import World


def test_every_event_of_the_toy_world_is_right(world: World, chain: Chain) -> None:
    assert len(chain.effects) == len(world.variants)
    names = {"CTCF": {"CTCF", "ZNF417"}, "NRF1": {"Nrf1"}, "SRF": {"SRF"}}
    for row in chain.effects.itertuples():
        event, tf = world.truth[row.record]
        assert row.event == event, row
        if event != "none":
            assert row.track == tf
            assert row.motif in names[tf]


def test_strongest_context_of_all_sets_is_given(world: World, chain: Chain) -> None:
    first = chain.effects.iloc[0]
    assert first.context == "neuron"
    assert abs(first.effect) == pytest.approx(0.7)
    assert chain.effects.effect.abs().is_monotonic_decreasing
    source = world.variants.set_index("record").loc[first.record]
    assert (first.pos, first.ref, first["alt"], first.gene_id) == (
        source.pos,
        source.ref,
        source["alt"],
        source.gene_id,
    )


def seqlet(
    haplotype: str, attribution: float, label: str = "CTCF", track: str = "t", **more: object
) -> dict[str, object]:
    return {
        "haplotype": haplotype, "attribution": attribution, "sign": "+" if attribution > 0 else "-", "label": label,
        "track": track, "assigned": label != UNASSIGNED, "matrix_id": "M1", "family": "f", "strand": "+",
        "q_value": 0.01, "seqlet_id": 5, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "event", "motif", "change"),
    [
        ([seqlet("ref", 2.0)], "breaks", "CTCF", -2.0),
        ([seqlet("alt", 2.0)], "makes", "CTCF", 2.0),
        ([seqlet("ref", 2.0), seqlet("alt", 1.9)], "none", "CTCF", -0.1),
        ([seqlet("ref", 2.0), seqlet("alt", 1.0)], "breaks", "CTCF", -1.0),
        ([seqlet("ref", 1.0, "REST"), seqlet("alt", 3.0, "NRF1")], "makes", "NRF1", 2.0),
        ([seqlet("ref", -2.0), seqlet("alt", 0.5)], "breaks", "CTCF", 2.0),
        ([seqlet("ref", 2.0, UNASSIGNED)], "breaks", UNASSIGNED, -2.0),
        ([seqlet("ref", 9.0, UNASSIGNED), seqlet("ref", 2.0, track="u")], "breaks", "CTCF", -2.0),
        ([seqlet("ref", 9.0), seqlet("alt", 9.0), seqlet("alt", 1.0, track="u")], "makes", "CTCF", 1.0),
    ],
)
def test_events(rows: list[dict[str, object]], event: str, motif: str, change: float) -> None:
    found = strongest_event(pd.DataFrame(rows))
    assert (found["event"], found["motif"]) == (event, motif)
    assert found["attribution_change"] == pytest.approx(change)


def test_trap_10_no_variant_gives_an_empty_typed_table(tmp_path: Path) -> None:
    write_tsv(empty_loci(), tmp_path / "loci.tsv")
    typed(pd.DataFrame(), ANNOTATED_COLUMNS).to_parquet(tmp_path / "annotated.parquet", index=False)
    result = motif_effects(tmp_path / "annotated.parquet", tmp_path / "loci.tsv", [], tmp_path / "out.tsv")
    assert len(result) == 0
    assert (tmp_path / "out.tsv").read_text() == "\t".join(MOTIF_EFFECT_COLUMNS) + "\n"


def test_events_of_swapped_alleles_go_from_the_ref_of_the_file(world: World, chain: Chain, tmp_path: Path) -> None:
    effects = pd.read_parquet(world.files["tissue"])
    effects["swapped"] = effects["record"] % 2 == 1
    effects.to_parquet(tmp_path / "tissue.parquet")
    loci, annotated = chain.folder / "loci.tsv", chain.folder / "annotated.parquet"
    plain = motif_effects(annotated, loci, [world.files["tissue"]], tmp_path / "p.tsv").set_index("record")
    turned = motif_effects(annotated, loci, [tmp_path / "tissue.parquet"], tmp_path / "t.tsv").set_index("record")
    turned = turned.loc[plain.index]
    even, odd = plain.index % 2 == 0, plain.index % 2 == 1
    pd.testing.assert_frame_equal(turned[even], plain[even])
    exchanged = {"ref": "alt", "alt": "ref", "ref_attribution": "alt_attribution", "alt_attribution": "ref_attribution"}
    for column, other in exchanged.items():
        assert turned.loc[odd, column].tolist() == plain.loc[odd, other].tolist()
    assert turned.loc[odd, "attribution_change"].tolist() == (-plain.loc[odd, "attribution_change"]).tolist()
    opposite = plain["event"].replace({"breaks": "makes", "makes": "breaks"})
    assert turned.loc[odd, "event"].tolist() == opposite[odd].tolist()
    assert {"breaks", "makes"} & set(turned.loc[odd, "event"])
    assert turned["swapped"].tolist() == odd.tolist()


def test_trap_10_variants_without_any_seqlet_are_still_listed(world: World, chain: Chain, tmp_path: Path) -> None:
    typed(pd.DataFrame(), ANNOTATED_COLUMNS).to_parquet(tmp_path / "annotated.parquet", index=False)
    result = motif_effects(
        tmp_path / "annotated.parquet", chain.folder / "loci.tsv", [world.files["tissue"]], tmp_path / "out.tsv"
    )
    assert len(result) == len(world.variants)
    assert set(result.event) == {"none"}
    assert (result.attribution_change == 0).all()
