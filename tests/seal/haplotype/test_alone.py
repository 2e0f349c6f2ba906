"""Haplotypes of single variants against plain strings and loops."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cisweave.config import EngineSettings, PredictSettings
from cisweave.models.folders import load_model
from cisweave.seal.haplotype import AloneScorer, BinTiling, Edit, Gene, HaplotypeScorer, edit_of, haplotype_region
from cisweave.seal.haplotype import windows as windows_module
from cisweave.seal.haplotype.windows import runs
from cisweave.seal.predict import score_variants
from cisweave.seal.profiles import read_profiles
from cisweave.sequence import Genome
from cisweave.sequence.onehot import decode
from tests.seal import plain
from tests.seal.haplotype.world import (
    BINS,
    ENGINE,
    GENES,
    GEOMETRY,
    STEP,
    TOLERANCE,
    WINDOW,
    edited,
    flip,
    make_scorer,
    other_base,
    plain_difference,
    plain_region,
)


# --- sequences of haplotypes ------------------------------------------------------------------------------------------
def tiling():
    return BinTiling(np.arange(BINS) * STEP - 700, WINDOW, STEP)


@st.composite
def haplotypes(draw):
    """Alleles on a contig of 2,000 bases, apart from each other, none of which spans the TSS at 1,000."""
    places = draw(st.lists(st.integers(1, 1960), unique=True, max_size=8))
    alleles = []
    for pos in sorted(places):
        size = draw(st.integers(0, 30))
        bases = draw(st.text("ACGT", max_size=40))
        end = pos + size
        if (alleles and pos <= sum(alleles[-1][:2])) or pos <= 1000 < end:
            continue
        alleles.append((pos, size, bases))
    return alleles


@settings(max_examples=80, deadline=None)
@given(alleles=haplotypes(), strand=st.sampled_from("+-"))
def test_region_equals_the_edited_contig(world, alleles, strand):
    folder, contigs = world
    edits = [Edit(pos - 1, pos - 1 + size, bases) for pos, size, bases in alleles]
    whole = [(pos, contigs["chr2"][pos - 1 : pos - 1 + size], bases) for pos, size, bases in alleles]
    with Genome(folder / "genome.fa") as genome:
        found = haplotype_region(genome, Gene("chr2", 1000, strand), tiling(), edits)
    assert decode(found.codes) == plain_region(*edited(contigs["chr2"], 1000, whole))
    assert len(found.inside) == len(edits)


def test_only_edits_that_change_the_region_are_inside_it(world):
    folder, _ = world
    first = 2500 - 900
    edits = [
        Edit(first - 10, first - 10, "A"),
        Edit(first - 1, first, "N"),
        Edit(first + 5, first + 20, ""),
        Edit(first + 1799, first + 1800, "N"),
        Edit(first + 1814, first + 1815, "N"),
        Edit(first + 1815, first + 1816, "N"),
    ]
    with Genome(folder / "genome.fa") as genome:
        alone = [haplotype_region(genome, Gene("chr1", 2500, "+"), tiling(), [edit]).inside[0] for edit in edits]
        assert alone == [False, False, True, True, False, False]
        together = haplotype_region(genome, Gene("chr1", 2500, "+"), tiling(), edits).inside
        plus = haplotype_region(genome, Gene("chr1", 2500, "+"), tiling(), [Edit(2550, 2565, ""), *edits[4:]]).inside
    assert together == [True, True, True, True, False, False]
    assert plus == [True, True, False]


@pytest.mark.parametrize(
    ("strand", "edit", "base"),
    [
        ("+", Edit(995, 1005, ""), 1005),
        ("-", Edit(995, 1005, ""), 994),
        ("+", Edit(999, 1000, "G"), None),
        ("+", Edit(998, 1003, "NG"), None),
        ("-", Edit(997, 1001, "GN"), None),
        ("+", Edit(996, 1003, "NN"), 1003),
        ("-", Edit(996, 1003, "NN"), 995),
        ("+", Edit(999, 999, "NNN"), 999),
        ("-", Edit(1000, 1000, "NNN"), 999),
    ],
)
def test_where_the_tss_itself_is_replaced_the_next_base_downstream_takes_its_place(world, strand, edit, base):
    folder, contigs = world
    gene = Gene("chr2", 1000, strand)
    with Genome(folder / "genome.fa") as genome:
        region = decode(haplotype_region(genome, gene, tiling(), [edit]).codes)
    found = region[-1 - tiling().first(gene.sign)]
    assert found == ("G" if base is None else contigs["chr2"][base])
    haplotype = contigs["chr2"][: edit.start] + edit.bases + contigs["chr2"][edit.end :]
    assert region in "N" * 900 + haplotype + "N" * 900


def test_regions_touched_are_those_whose_window_changed():
    reference = np.zeros(1800, dtype=np.uint8)
    haplotype = reference.copy()
    haplotype[[399, 1000]] = 1
    assert np.flatnonzero(tiling().touched(reference, haplotype)).tolist() == [0, 1, 4, 5]


def test_gaps_that_cost_less_than_a_new_stretch_are_bridged():
    assert runs([1, 2, 4, 9], 1) == [(1, 4), (9, 9)]
    assert runs([1, 2, 4, 9], 0) == [(1, 2), (4, 4), (9, 9)]
    assert runs([], 3) == []


# --- each variant alone -----------------------------------------------------------------------------------------------
def cases(contigs):
    """Gene, position and alleles: substitutions, indels on both sides of both strands, in repeats, at contig ends."""
    listed = [
        ("G1", 2500, 1, "T"),
        ("G1", 2400, 1, "GT"),
        ("G1", 2733, 30, "A"),
        ("G1", 2600, 4, "TTTT"),
        ("G1", 1500, 1, "A"),
        ("G2", 3399, 1, "ACGTA"),
        ("G2", 3412, 40, "C"),
        ("G2", 4150, 1, "AT"),
        ("G3", 1, 1, "TT"),
        ("G3", 20, 5, "A"),
        ("G3", 900, 1, "C"),
        ("G4", 1990, 8, "G"),
        ("G4", 2000, 1, "GGG"),
    ]
    rows = []
    for gene, pos, size, alt in listed:
        chrom, tss, strand = GENES[gene]
        ref = contigs[chrom][pos - 1 : pos - 1 + size]
        other = other_base(ref) if ref == alt else alt
        rows.append((chrom, pos, ref, other, gene, strand, pos - tss))
    return pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt", "gene_id", "gene_strand", "dist_to_tss"])


def score(folder, table, engine=ENGINE):
    chromatin, model = load_model(folder / "chromatin"), load_model(folder / "model")
    with Genome(folder / "genome.fa") as genome:
        return AloneScorer(genome, read_profiles(folder / "profiles.h5"), chromatin, model, engine).score(table)


def test_each_variant_alone_equals_the_plain_difference(world):
    folder, contigs = world
    table = cases(contigs)
    effects = score(folder, table)
    expected = [
        plain_difference(folder, contigs, row.gene_id, [(row.pos, row.ref, row.alt)]) for row in table.itertuples()
    ]
    np.testing.assert_allclose(effects.expression, expected, atol=TOLERANCE)
    spread = np.abs(expected).max(axis=1)
    assert spread.std() > 5e-3
    assert np.abs(effects.expression - expected).max() < 1e-4 * spread.std()
    assert (spread > 1e-3).sum() == len(table) - 1
    assert (effects.expression[[4]] == 0).all()


def test_all_paths_batches_and_orders_give_the_same(world):
    folder, contigs = world
    table = cases(contigs)
    whole = score(folder, table)
    turned = score(folder, table.iloc[::-1], EngineSettings(batch_size=64))
    np.testing.assert_allclose(turned.expression[::-1], whole.expression, atol=TOLERANCE)
    np.testing.assert_allclose(turned.chromatin[::-1], whole.chromatin, atol=TOLERANCE)
    one_by_one = score(folder, table, EngineSettings(path="plain", batch_size=1))
    np.testing.assert_allclose(one_by_one.expression, whole.expression, atol=TOLERANCE)


def test_mode_haplotype_of_predict_gives_these_scores(world):
    folder, contigs = world
    table = cases(contigs)
    with Genome(folder / "genome.fa") as genome:
        effects = score_variants(
            table,
            genome,
            read_profiles(folder / "profiles.h5"),
            load_model(folder / "chromatin"),
            load_model(folder / "model"),
            PredictSettings(mode="haplotype"),
            ENGINE,
        )
    np.testing.assert_allclose(effects.expression, score(folder, table).expression, atol=TOLERANCE)


def test_exchanged_and_wrong_refs_are_scored_as_the_table_says(world):
    folder, contigs = world
    table = cases(contigs).iloc[:4]
    whole = score(folder, table).expression
    np.testing.assert_array_equal(score(folder, table.assign(swapped=True)).expression, -whole)
    exchanged = score(folder, table.rename(columns={"ref": "alt", "alt": "ref"}).iloc[[0, 3]]).expression
    np.testing.assert_allclose(exchanged, -whole[[0, 3]], atol=TOLERANCE)
    other = next(base for base in "ACGT" if base not in (contigs["chr1"][2499], "T"))
    wrong = score(folder, table.iloc[:1].assign(ref=other)).expression[0]
    expected = whole[0] - plain_difference(folder, contigs, "G1", [(2500, contigs["chr1"][2499], other)])
    np.testing.assert_allclose(wrong, expected, atol=TOLERANCE)


def test_the_case_of_bases_changes_nothing(world):
    """Not even where an insertion is written with the base of the TSS."""
    folder, contigs = world
    table = cases(contigs)
    anchor = contigs["chr1"][3399]
    table.loc[5, ["pos", "ref", "alt", "dist_to_tss"]] = [3400, anchor, f"{anchor}CGTA", 0]
    lower = table.assign(ref=table.ref.str.lower(), alt=table["alt"].str.lower())
    np.testing.assert_array_equal(score(folder, lower).expression, score(folder, table).expression)


def test_an_indel_that_leaves_the_sequence_as_it_is_changes_nothing_beyond(world):
    """A longer run of A: windows beyond move; the same base put in elsewhere in the run is the same haplotype."""
    folder, contigs = world
    assert contigs["chr1"][2700:2708] == "CAAAAAAT"
    table = cases(contigs).iloc[[1, 1]].assign(pos=[2701, 2706], ref=["C", "A"], alt=["CA", "AA"])
    one, other = score(folder, table).expression
    np.testing.assert_array_equal(one, other)
    assert np.abs(one).max() > 1e-4


def test_bfloat16_says_how_far_it_is_off(world, caplog):
    folder, contigs = world
    whole = score(folder, cases(contigs))
    half = score(folder, cases(contigs), EngineSettings(precision="bfloat16"))
    assert "precision bfloat16: probabilities of" in caplog.text
    difference = np.abs(half.expression - whole.expression).max()
    assert 1e-5 < difference < np.abs(whole.expression).max()


def test_a_network_in_float64_equals_the_plain_loops_to_ten_digits(world):
    folder, contigs = world
    chromatin = load_model(folder / "chromatin")
    chromatin.module.double()
    store, decay = read_profiles(folder / "profiles.h5"), GEOMETRY.decay
    centres = [-700 + 200 * j for j in range(BINS)]
    head = load_model(folder / "model").module.double()

    def rows(contig, tss, strand):
        found = []
        for centre in centres if strand == "+" else [-place for place in centres]:
            start = tss + centre - WINDOW // 2
            bases = "".join(contig[i] if 0 <= i < len(contig) else "N" for i in range(start, start + WINDOW))
            both = [chromatin.module(plain.one_hot(each).double()).sigmoid() for each in (bases, flip(bases))]
            found.append((sum(both) / 2)[0].numpy())
        return np.stack(found)

    with Genome(folder / "genome.fa") as genome, torch.no_grad():
        scorer = HaplotypeScorer(genome, store, chromatin, load_model(folder / "model"), EngineSettings())
        for row in cases(contigs).iloc[[0, 1, 5, 6, 9]].itertuples():
            chrom, tss, strand = GENES[row.gene_id]
            gene = int(store.rows(pd.Series([row.gene_id]))[0])
            region = scorer.region(gene, [edit_of(row.pos, row.ref, row.alt)])
            found = scorer.expression([gene], [region.codes]).difference[0]
            stored = plain.features(store.profile(gene).astype(np.float64), centres, decay)
            after = rows(*edited(contigs[chrom], tss, [(row.pos, row.ref, row.alt)]), strand)
            change = plain.features(after - rows(contigs[chrom], tss, strand), centres, decay)
            outputs = [head(torch.from_numpy(each)[None])[0].numpy() for each in (stored, stored + change)]
            np.testing.assert_allclose(found, outputs[1] - outputs[0], atol=1e-12)


@pytest.mark.parametrize("path", ["fast", "plain"])
def test_windows_share_the_trunk_on_the_fast_path_only(world, monkeypatch, path):
    folder, contigs = world
    shared, whole = [], windows_module.tiled_probabilities
    monkeypatch.setattr(
        windows_module,
        "tiled_probabilities",
        lambda trunk, codes, tiling: shared.append(tiling.windows) or whole(trunk, codes, tiling),
    )
    with Genome(folder / "genome.fa") as genome:
        scorer = make_scorer(folder, genome, EngineSettings(path=path))
        assert (scorer.windows.trunk is not None) == (path == "fast")
        scorer.expression([0], [scorer.region(0, [edit_of(2600, contigs["chr1"][2599:2601], "T")]).codes])
    assert (max(shared, default=0) > 1) == (path == "fast")


def test_only_changed_windows_are_predicted_and_none_twice(world):
    folder, contigs = world
    ref = contigs["chr1"][2599]
    with Genome(folder / "genome.fa") as genome:
        scorer = make_scorer(folder, genome)
        alts = [scorer.region(0, [Edit(2599, 2600, base)]).codes for base in "ACGT"]
        found = scorer.expression([0, 0, 0, 0], alts)
        assert found.touched.tolist() == [0 if base == ref else 2 for base in "ACGT"]
        assert scorer.windows.predicted == 2 + 3 * 2
        again = scorer.expression([0, 0, 0, 0], alts)
        assert scorer.windows.predicted == 2 + 3 * 2
        np.testing.assert_array_equal(again.expression, found.expression)
        assert (found.difference[found.touched == 0] == 0).all()
        downstream = scorer.expression([0], [scorer.region(0, [Edit(2599, 2599, "A")]).codes])
        minus = scorer.expression([1], [scorer.region(1, [Edit(3300, 3300, "AC")]).codes])
    assert downstream.touched.tolist() == [5]
    assert minus.touched.tolist() == [4]


def test_edit_of_leaves_out_what_alleles_share():
    assert edit_of(10, "CTT", "C") == Edit(10, 12, "")
    assert edit_of(10, "A", "ACC") == Edit(10, 10, "CC")
    assert edit_of(10, "ACGT", "ATGT") == Edit(10, 11, "T")
