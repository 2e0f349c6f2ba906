"""Baselines on small cases with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.report import baselines, scores
from cisweave.sequence import Genome


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    """One contig: 3,000 bases without G or C, of which 1,000 to 1,100 are G and C."""
    path = tmp_path / "g.fa"
    path.write_text(">chrT\n" + "AT" * 500 + "GC" * 50 + "AT" * 950 + "\n")
    return Genome(path)


def test_gc_content_leaves_unknown_bases_out() -> None:
    assert baselines.gc_content("GCNN") == 1.0
    assert baselines.gc_content("NNN") == 0.0
    assert baselines.gc_content("ACGT") == 0.5


def test_a_baseline_must_stay_below_half_of_the_score() -> None:
    assert baselines.compare(0.7, {"gc": 0.34, "tss": 0.1})["passed"]
    assert not baselines.compare(0.7, {"gc": 0.35, "tss": 0.1})["passed"]
    assert not baselines.compare(0.0, {"gc": 0.0})["passed"]


def test_sign_agreement_is_compared_by_skill() -> None:
    signs = baselines.compare(0.9, {"gc": 0.69}, baselines.skill)
    assert signs["limit"] == pytest.approx(0.4)
    assert signs["passed"]
    assert not baselines.compare(0.9, {"gc": 0.71}, baselines.skill)["passed"]


def test_the_better_direction_counts_and_ties_are_worth_one_half() -> None:
    assert baselines.best_agreement([1, 1, -1, -1], [-2, -1, 1, 2]) == 1.0
    assert baselines.best_agreement([1, -1], [5, 5]) == 0.5
    assert baselines.best_agreement([1, -1, 1, -1], [0, 0, 1, -1]) == 0.75


def test_tss_spacing() -> None:
    tss = pd.DataFrame(
        {"gene_id": list("abcd"), "chrom": ["c", "c", "c", "x"], "tss": [100, 500, 150, 70], "strand": "+"}
    )
    assert baselines.nearest_other_tss(tss) == {"a": 50, "c": 50, "b": 350, "d": 70}


def test_expression_baseline_is_an_absolute_median() -> None:
    genes = list("abcd")
    joined = pd.concat(
        pd.DataFrame({"set": 0, "context": name, "gene_id": genes, "noise_free": values})
        for name, values in (("one", [4.0, 3, 2, 1]), ("two", [4.0, 3, 2, 1]), ("three", [1.0, 2, 3, 4]))
    )
    assert baselines.expression_correlation(joined, dict(zip(genes, range(4), strict=True))) == pytest.approx(1.0)


def test_effect_features(genome: Genome) -> None:
    pairs = pd.DataFrame(
        {
            "chrom": "chrT",
            "pos": [1050, 200],
            "ref": ["G", "A"],
            "alt": ["A", "AGC"],
            "dist_to_tss": [-30, 40],
            "gene_strand": ["-", "+"],
        }
    )
    features = baselines.effect_features(pairs, genome)
    assert features.gc_change.tolist() == [-1, 2]
    assert features.gc_local.tolist() == pytest.approx([100 / 101, 0.0])
    assert features.closeness.tolist() == [-30, -40]
    assert features.downstream.tolist() == [30, 40]
    turned = baselines.effect_features(pairs.assign(swapped=[True, False]), genome)
    assert turned.gc_change.tolist() == [1, 2]


def test_greedy_places_takes_the_best_free_span() -> None:
    sequence = "AAAAGGGGAAAAAGGA"
    starts = baselines.greedy_places(sequence, [4, 2, 40], baselines.gc_score)
    assert starts == [4, 13, None]
    assert baselines.greedy_places("A" * 10, [4, 4, 4], baselines.centre_score) == [3, None, None]


def test_recall_baselines_place_as_many_seqlets_as_long_in_the_core(genome: Genome) -> None:
    loci = pd.DataFrame(
        {
            "locus_id": [0],
            "chrom": ["chrT"],
            "start": [800],
            "core_start": [100],
            "core_end": [300],
            "core_g_start": [900],
            "core_g_end": [1100],
        }
    )
    seqlets = pd.DataFrame(
        {
            "locus_id": [0, 7],
            "chrom": "chrT",
            "start": [110, 0],
            "end": [120, 9],
            "g_start": [910, 0],
            "g_end": [920, 9],
        }
    ).assign(core_start=[112, 2], core_end=[119, 8])
    instances = pd.DataFrame({"chrom": ["chrT"], "start": [1000], "end": [1010], "tf": ["A"], "matrix_id": ["MA1"]})
    motifs = pd.DataFrame({"tf": ["A"], "matrix_id": ["MA1"], "aliases": [""]})
    named: list[pd.DataFrame] = []

    def name(placed: pd.DataFrame) -> pd.Series:
        named.append(placed)
        return pd.Series(["MA1"] * len(placed))

    recalls = baselines.recall_baselines(instances, seqlets, loci, motifs, genome, name)
    by_gc, by_centre = named
    assert by_gc[["start", "end", "g_start", "g_end"]].to_numpy().tolist() == [[200, 210, 1000, 1010]]
    assert by_centre[["start", "end", "g_start", "g_end"]].to_numpy().tolist() == [[195, 205, 995, 1005]]
    # Flanks keep their length: two bases on the left, one on the right.
    assert by_gc[["core_start", "core_end"]].to_numpy().tolist() == [[202, 209]]
    assert by_centre[["core_start", "core_end"]].to_numpy().tolist() == [[197, 204]]
    assert recalls == {"gc_content": 1.0, "tss_distance": 1.0}


def test_effect_spearman_baseline_takes_the_best_feature() -> None:
    rising = np.arange(8.0)
    pairs = pd.DataFrame({"context": "one", "true": rising})
    flat = np.zeros(8)
    features = pd.DataFrame({"gc_change": flat, "gc_local": -rising, "closeness": flat, "downstream": flat})
    assert baselines.effect_spearman_baselines(pairs, features) == {"gc_content": 1.0, "tss_distance": 0.0}
    assert len(pairs) >= scores.MIN_PAIRS
