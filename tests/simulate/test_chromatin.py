"""Motifs, instances and chromatin tracks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from cisweave.simulate.layout import FACTORS
from cisweave.simulate.motifs import aliases, load_motif
from cisweave.simulate.occupancy import scan
from tests.simulate.reader import World, plain_scan


def test_instances_equal_a_plain_scan(world: World) -> None:
    truth = world.table("truth/instances.tsv")
    for contig in ("chr2", "chr3"):
        found = plain_scan(world.sim19[contig], world.motifs).query("occupancy > 0.5").reset_index(drop=True)
        known = truth[truth["chrom"] == contig].sort_values(["start", "tf"], ignore_index=True)
        assert len(known) > 100
        assert known["start"].tolist() == found["start"].tolist()
        assert known["tf"].tolist() == found["tf"].tolist()
        assert (known["end"] - known["start"]).tolist() == found["width"].tolist()
        assert np.allclose(known["score"], found["score"], atol=2e-3)
        assert np.allclose(known["occupancy"], found["occupancy"], atol=2e-3)
        assert ((known["strand"] == found["strand"]) | found["tie"]).all()


def test_both_strands_and_few_doubtful_sites(world: World) -> None:
    truth = world.table("truth/instances.tsv")
    assert 0.4 < (truth["strand"] == "+").mean() < 0.6
    assert (truth["occupancy"] < 0.9).mean() < 0.03


@pytest.mark.parametrize("tf", FACTORS)
def test_motifs_are_strong(tf: str) -> None:
    motif = load_motif(tf)
    assert 10 <= motif.width <= 20
    assert (motif.probabilities * motif.log_odds).sum() >= 11
    assert np.allclose(motif.probabilities.sum(axis=0), 1)
    assert 10 < motif.threshold < 20


def test_aliases() -> None:
    assert aliases(load_motif("CTCF")) == ["MA1929.2", "MA1930.2"]
    assert aliases(load_motif("HNF1A")) == ["MA0153.2"]
    assert aliases(load_motif("REST")) == []


def test_strands_score_alike() -> None:
    motifs = [load_motif(tf) for tf in FACTORS]
    codes = np.random.default_rng(3).integers(0, 4, size=200_000).astype(np.uint8)
    forward, reverse = scan(codes, motifs, slack=3.0), scan((3 - codes)[::-1], motifs, slack=3.0)
    mirrored = sorted(zip((len(codes) - reverse.start - reverse.width).tolist(), reverse.tf.tolist(), strict=True))
    assert len(forward) > 50
    assert mirrored == list(zip(forward.start.tolist(), forward.tf.tolist(), strict=True))


def test_no_site_holds_n() -> None:
    motif = load_motif("CTCF")
    codes = motif.probabilities.argmax(axis=0).astype(np.uint8)
    assert len(scan(codes, [motif])) == 1
    codes[3] = 4
    assert len(scan(codes, [motif])) == 0


def peaks(world: World, track: str) -> pd.DataFrame:
    columns = ["chrom", "start", "end", "name", "score", "strand", "signal", "p", "q", "peak"]
    return pd.read_csv(world.folder / f"chromatin/{track}.narrowPeak", sep="\t", header=None, names=columns)


def members(world: World, track: str) -> list[str]:
    weights = world.table("truth/weights.tsv")
    return weights.loc[weights[f"track:{track}"] == 1, "tf"].tolist()


@pytest.mark.parametrize("track", ["REST", "NRF1", "ZNF410", "HNF1A", "DNase_A", "H3K27me3"])
def test_bins_are_labelled_where_a_motif_centre_lies(world: World, track: str) -> None:
    truth = world.table("truth/instances.tsv")
    truth = truth[truth["tf"].isin(members(world, track))]
    centres = truth["start"] + (truth["end"] - truth["start"]) // 2
    found = peaks(world, track)
    positives = 0
    for contig, length in world.manifest["contigs"].items():
        local = found[found["chrom"] == contig]
        for phase in (0, 37):
            bins = np.arange(phase, length - 200, 200)
            expected = np.zeros(len(bins), dtype=bool)
            index = (centres[truth["chrom"] == contig].to_numpy() - phase) // 200
            expected[index[(index >= 0) & (index < len(bins))]] = True
            starts, ends = local["start"].to_numpy()[:, None], local["end"].to_numpy()[:, None]
            overlap = np.minimum(ends, bins + 200) - np.maximum(starts, bins)
            assert (expected == (overlap >= 100).any(axis=0)).all()
            positives += int(expected.sum())
    assert positives > 300


def test_accessibility_joins_factors(world: World) -> None:
    assert members(world, "DNase_A") == ["NRF1", "HNF1A"]
    assert members(world, "H3K27me3") == ["REST", "ZNF410"]
    assert members(world, "REST") == ["REST"]


def test_track_table(world: World) -> None:
    table = world.table("chromatin/tracks.tsv")
    assert table["track"].tolist() == ["REST", "NRF1", "ZNF410", "HNF1A", "DNase_A", "H3K27me3"]
    assert table["tf"].tolist() == ["REST", "NRF1", "ZNF410", "HNF1A", "", ""]
    for column in ("peaks", "signal"):
        assert all((world.folder / "chromatin" / name).is_file() for name in table[column])


def test_signal_stands_at_the_peaks(world: World) -> None:
    found = peaks(world, "REST").query("chrom == 'chr1'")
    with pyBigWig.open(str(world.folder / "chromatin/REST.bw")) as handle:
        assert handle.chroms() == world.manifest["contigs"]
        at_peaks = [
            handle.values("chr1", int(start + offset), int(start + offset) + 1)[0]
            for start, offset in zip(found["start"], found["peak"], strict=True)
        ]
        overall = np.nanmean(handle.values("chr1", 0, 690_000, numpy=True))
        assert handle.header()["minVal"] >= 0
    assert min(at_peaks) > 5 * overall
