"""Whole haplotypes against plain strings and loops, and what can go wrong in phased files and own sequences."""

import numpy as np
import pandas as pd
import pysam
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cisweave.cli.seal import app
from cisweave.config import EngineSettings, HaplotypeSettings, PredictSettings, ProfileSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.beluga import Beluga
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.seal.haplotype import (
    Edit,
    Gene,
    HaplotypeScorer,
    Tiling,
    edit_of,
    haplotype_effects,
    haplotype_region,
    score_haplotype_mode,
    sequence_effects,
)
from cisweave.seal.haplotype.cohort import GenePlace, blocks_of_genes, within_reach
from cisweave.seal.haplotype.genotypes import Carried, parse_genotype
from cisweave.seal.haplotype.windows import runs
from cisweave.seal.predict import score_variants
from cisweave.seal.profiles import profile_tss, read_profiles
from cisweave.sequence import Genome
from cisweave.sequence.onehot import decode
from cisweave.tables.ledger import read_ledger
from tests.seal import plain

WINDOW, BINS, STEP = 400, 8, 200
SHAPE = {"tracks": 3, "channels": [4, 4, 6, 6, 8, 8], "hidden": 12, "window": WINDOW}
GEOMETRY = ProfileSettings(bins=BINS)
GENES = {"G1": ("chr1", 2500, "+"), "G2": ("chr1", 3400, "-"), "G3": ("chr2", 300, "+"), "G4": ("chr2", 1750, "-")}
ENGINE = EngineSettings(batch_size=4)
CONTEXTS = ["Liver", "Brain"]
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A random genome with genes in its middle and at its ends, random models with strong heads, and profiles."""
    folder = tmp_path_factory.mktemp("haplotype")
    generator = np.random.default_rng(5)
    contigs = {name: "".join(generator.choice(list("ACGT"), size)) for name, size in (("chr1", 6000), ("chr2", 2000))}
    contigs["chr1"] = contigs["chr1"][:2700] + "CAAAAAAT" + contigs["chr1"][2708:]
    (folder / "genome.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
    rows = [f"{chrom}\t{tss - 1}\t{tss}\t{strand}\t{gene}\n" for gene, (chrom, tss, strand) in GENES.items()]
    (folder / "tss.bed").write_text("".join(rows))
    torch.manual_seed(0)
    history = pd.DataFrame({"epoch": [0]})
    network = Beluga(**SHAPE)
    network.head[-1].weight.data *= 4
    save_model(folder / "chromatin", network, ModelSpec("beluga", SHAPE, ["a", "b", "c"]), {}, history)
    head = {"features": 30, "hidden": 7, "contexts": 2}
    expression = ExpressionNetwork(**head)
    expression.layers[2].weight.data *= 4
    save_model(folder / "model", expression, ModelSpec("expression", head, CONTEXTS), {}, history)
    profile_tss(folder / "genome.fa", folder / "tss.bed", folder / "chromatin", folder / "profiles.h5", GEOMETRY)
    return folder, contigs


# --- plain ------------------------------------------------------------------------------------------------------------
def edited(contig, tss, edits):
    """The contig with alleles (1-based pos, ref, alt) put in from the right, and its TSS, which none of them spans."""
    for pos, ref, alt in sorted(edits, reverse=True):
        assert contig[pos - 1 : pos - 1 + len(ref)] == ref
        contig = contig[: pos - 1] + alt + contig[pos - 1 + len(ref) :]
        tss += len(alt) - len(ref) if pos - 1 + len(ref) < tss else 0
    return contig, tss


def plain_profile(folder, contig, tss, strand):
    network = load_model(folder / "chromatin").module
    return plain.gene_profile(network, contig, tss, strand, BINS, STEP, WINDOW)


def plain_expression(folder, contig, tss, strand):
    """Expression from all windows of a sequence, one by one."""
    centres = [-700 + 200 * j for j in range(BINS)]
    flat = plain.features(plain_profile(folder, contig, tss, strand), centres, GEOMETRY.decay)
    head = load_model(folder / "model").module.double()
    with torch.no_grad():
        return head(torch.from_numpy(flat)[None])[0].numpy()


def plain_difference(folder, contigs, gene, edits):
    chrom, tss, strand = GENES[gene]
    after = plain_expression(folder, *edited(contigs[chrom], tss, edits), strand)
    return after - plain_expression(folder, contigs[chrom], tss, strand)


# --- sequences of haplotypes ------------------------------------------------------------------------------------------
def tiling():
    return Tiling(np.arange(BINS) * STEP - 700, WINDOW, STEP)


def plain_region(contig, tss):
    start = tss - 700 - WINDOW // 2
    return "".join(contig[i] if 0 <= i < len(contig) else "N" for i in range(start, start + 1800))


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
        return score_haplotype_mode(table, genome, read_profiles(folder / "profiles.h5"), chromatin, model, engine)


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


def make_scorer(folder, genome, engine=ENGINE):
    return HaplotypeScorer(
        genome,
        read_profiles(folder / "profiles.h5"),
        load_model(folder / "chromatin"),
        load_model(folder / "model"),
        engine,
    )


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


# --- phased genotypes -------------------------------------------------------------------------------------------------
HEADER = (
    '##fileformat=VCFv4.3\n##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "##contig=<ID=chr1>\n##contig=<ID=chr2>\n"
)


def write_vcf(folder, rows, samples=("S1", "S2"), name="phased.vcf"):
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]
    lines = [
        "\t".join([chrom, str(pos), ".", ref, alt, ".", ".", ".", "GT", *gts]) for chrom, pos, ref, alt, *gts in rows
    ]
    (folder / name).write_text("\n".join([HEADER + "\t".join(columns), *lines]) + "\n")
    return folder / name


def run(folder, tmp_path, vcf, **changes):
    options = {
        "vcf": vcf,
        "fasta": folder / "genome.fa",
        "profiles": folder / "profiles.h5",
        "chromatin": folder / "chromatin",
        "model": folder / "model",
        "out": tmp_path / "haplotypes.parquet",
        "rejects": tmp_path / "rejects.tsv",
        "engine": ENGINE,
        "device": "cpu",
    }
    counts = haplotype_effects(**(options | changes))
    return pd.read_parquet(tmp_path / "haplotypes.parquet"), read_ledger(tmp_path / "rejects.tsv"), counts


def other_base(base):
    return {"A": "C", "C": "G", "G": "T", "T": "A"}[base]


def records(contigs):
    """Alleles of all kinds as (contig, pos, ref, alt), ascending."""
    one, two = contigs["chr1"], contigs["chr2"]
    return [
        ("chr1", 1700, one[1699:1712], one[1699]),
        ("chr1", 2100, one[2099], one[2099] + "ACGTACG"),
        ("chr1", 2450, one[2449], other_base(one[2449])),
        ("chr1", 2900, one[2899:2905], other_base(one[2899]) + one[2900:2905]),
        ("chr1", 3402, one[3401], one[3401] + "TT"),
        ("chr1", 4000, one[3999:4030], one[3999]),
        ("chr2", 100, two[99], other_base(two[99])),
        ("chr2", 1900, two[1899:1903], two[1899]),
    ]


GENOTYPES = [
    ("0|1", "1|1"),
    ("1|0", "0|1"),
    ("1|1", "0|0"),
    ("0|1", "0|1"),
    (".|1", "1|0"),
    ("1|0", "1|1"),
    ("1", "1|1"),
    ("0|1", "0|0"),
]


def test_all_variants_of_a_haplotype_together_equal_the_plain_difference(world, tmp_path):
    folder, contigs = world
    alleles = records(contigs)
    vcf = write_vcf(tmp_path, [(*allele, *gts) for allele, gts in zip(alleles, GENOTYPES, strict=True)])
    table, rejected, counts = run(folder, tmp_path, vcf, settings=HaplotypeSettings(reference_rows=True))
    assert len(rejected) == 0
    assert counts["alleles"] == {"in": 8, "outside": 0, "carried_by_none": 0, "used": 8, "rejected": 0, "reasons": {}}
    assert table.groupby("gene_id").size().to_dict() == dict.fromkeys(GENES, 4)
    spreads = []
    for row in table.to_dict("records"):
        chrom, tss, _ = GENES[row["gene_id"]]
        carried = [
            allele[1:]
            for allele, gts in zip(alleles, GENOTYPES, strict=True)
            for gt in [gts[int(row["sample"] == "S2")].split("|")]
            if allele[0] == chrom and len(gt) >= row["haplotype"] and gt[row["haplotype"] - 1] == "1"
        ]
        expected = plain_difference(folder, contigs, row["gene_id"], carried)
        np.testing.assert_allclose([row[name] for name in CONTEXTS], expected, atol=TOLERANCE)
        spreads.append(np.abs(expected).max())
        before, after = plain_region(contigs[chrom], tss), plain_region(*edited(contigs[chrom], tss, carried))
        windows = [before[i : i + WINDOW] != after[i : i + WINDOW] for i in range(0, 1401, STEP)]
        assert row["changed_bins"] == sum(windows)
        assert (row["variants"] > 0) == (row["alleles"] != "") == (before != after)
    assert sum(spread > 1e-3 for spread in spreads) >= 8
    first = table[(table.gene_id == "G1") & (table["sample"] == "S1") & (table.haplotype == 1)].iloc[0]
    assert first.alleles.split(",") == [f"chr1:{pos}:{ref}>{alt}" for _, pos, ref, alt in [alleles[1], alleles[2]]]
    assert first.variants == 2
    without = run(folder, tmp_path, vcf)[0]
    assert (without.variants > 0).all()
    pd.testing.assert_frame_equal(without, table[table.variants > 0].reset_index(drop=True))


def test_a_deletion_draws_in_a_variant_from_beyond_the_windows(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    beyond = 3402
    alleles = [
        ("chr1", 2600, one[2599:2609], one[2599]),
        ("chr1", beyond, one[beyond - 1], other_base(one[beyond - 1])),
    ]
    vcf = write_vcf(tmp_path, [(*alleles[0], "0|1", "0|0"), (*alleles[1], "1|1", "0|0")])
    table, _, _ = run(folder, tmp_path, vcf, genes=["G1"])
    assert table[["haplotype", "variants"]].to_numpy().tolist() == [[2, 2]]
    expected = plain_difference(folder, contigs, "G1", [allele[1:] for allele in alleles])
    np.testing.assert_allclose(table[CONTEXTS].to_numpy()[0], expected, atol=TOLERANCE)


def test_gzip_bcf_and_choices_give_the_same(world, tmp_path):
    folder, contigs = world
    vcf = write_vcf(tmp_path, [(*allele, *gts) for allele, gts in zip(records(contigs), GENOTYPES, strict=True)])
    whole, _, _ = run(folder, tmp_path, vcf)
    with pysam.VariantFile(str(vcf)) as source:
        for name, mode in (("phased.bcf", "wb"), ("phased.vcf.gz", "wz")):
            source.reset()
            with pysam.VariantFile(str(tmp_path / name), mode, header=source.header) as target:
                for record in source:
                    target.write(record)
    for name in ("phased.bcf", "phased.vcf.gz"):
        pd.testing.assert_frame_equal(run(folder, tmp_path, tmp_path / name)[0], whole)
    some, _, _ = run(folder, tmp_path, vcf, genes=["G2", "G1"], samples=["S2"])
    expected = whole[(whole["sample"] == "S2") & whole.gene_id.isin(["G1", "G2"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(some.drop(columns=CONTEXTS), expected.drop(columns=CONTEXTS))
    np.testing.assert_allclose(some[CONTEXTS], expected[CONTEXTS], atol=TOLERANCE)
    first = (tmp_path / "haplotypes.parquet").read_bytes()
    run(folder, tmp_path, vcf, genes=["G2", "G1"], samples=["S2"])
    assert (tmp_path / "haplotypes.parquet").read_bytes() == first


def test_identical_haplotypes_are_predicted_once(world, tmp_path):
    folder, contigs = world
    alleles = records(contigs)[:6]
    few = write_vcf(tmp_path, [(*allele, "1|0") for allele in alleles], ["S1"])
    one = run(folder, tmp_path, few)[2]
    samples = [f"S{number}" for number in range(50)]
    many = write_vcf(tmp_path, [(*allele, *["1|0"] * 50) for allele in alleles], samples)
    table, _, fifty = run(folder, tmp_path, many)
    assert fifty["windows"] == one["windows"]
    assert fifty["rows"] == 50 * one["rows"] == len(table)
    assert table[table.gene_id == "G1"]["sample"].tolist() == samples


def test_overlapping_alleles_of_one_haplotype_are_left_out_and_listed(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    rows = [
        ("chr1", 2400, one[2399:2411], one[2399], "1|0", "0|0"),
        ("chr1", 2400, one[2399], other_base(one[2399]), "1|0", "0|0"),
        ("chr1", 2405, one[2404], other_base(one[2404]), "1|1", "1|0"),
        ("chr1", 2410, one[2409], one[2409] + "GATTACA", "1|0", "0|0"),
        ("chr1", 2411, one[2410], one[2410] + "GG", "1|0", "0|0"),
        ("chr1", 2411, one[2410], one[2410] + "TT", "1|0", "0|0"),
    ]
    table, rejected, counts = run(folder, tmp_path, write_vcf(tmp_path, rows), genes=["G1"])
    assert rejected[["record", "code"]].to_numpy().tolist() == [
        [3, "overlapping_alleles"],
        [4, "overlapping_alleles"],
        [6, "overlapping_alleles"],
    ]
    assert "on haplotype S1|1 it overlaps chr1:2400:" in rejected.message[0]
    assert "left out of 1 haplotypes" in rejected.message[0]
    assert counts["alleles"]["reasons"] == {"overlapping_alleles": 3}
    assert counts["alleles"]["used"] == 3
    assert table[["sample", "haplotype", "variants", "left_out"]].to_numpy().tolist() == [
        ["S1", 1, 3, 3],
        ["S1", 2, 1, 0],
        ["S2", 1, 1, 0],
    ]
    kept = [row[1:4] for row in (rows[0], rows[1], rows[4])]
    trimmed = [(2401, one[2400:2411], ""), kept[1], (2412, "", "GG")]
    expected = plain_difference(folder, contigs, "G1", trimmed)
    np.testing.assert_allclose(table[CONTEXTS].to_numpy()[0], expected, atol=TOLERANCE)


def test_of_alleles_that_begin_together_the_one_that_comes_first_stays(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    deletion = ("chr1", 2430, one[2429:2432], one[2429], "1|0")
    change = ("chr1", 2431, one[2430], other_base(one[2430]), "1|0")
    table, rejected, _ = run(folder, tmp_path, write_vcf(tmp_path, [deletion, change], ["S1"]), genes=["G1"])
    assert rejected.record.tolist() == [2]
    assert table.alleles.tolist() == [f"chr1:2430:{deletion[2]}>{deletion[3]}"]


def test_genes_get_the_alleles_near_them_in_whatever_order_they_overlap():
    generator = np.random.default_rng(3)
    none = np.empty(0, dtype=np.int64)
    alleles = []
    for chrom in ("chr2", "chr1"):
        for start in np.sort(generator.integers(0, 1000, 60)).tolist():
            edit = Edit(start, start + int(generator.integers(0, 30)), "A")
            alleles.append(Carried(chrom, edit, "", none, none, ()))
    places = {
        chrom: sorted(
            (
                GenePlace(row, chrom, low, low + 150)
                for row, low in enumerate(generator.integers(-100, 1000, 25).tolist())
            ),
            key=lambda place: place.high,
        )
        for chrom in ("chr1", "chr2", "chr3")
    }
    taken = 0

    def counted():
        nonlocal taken
        for allele in alleles:
            taken += 1
            yield allele

    done = 0
    for done, (place, held) in enumerate(blocks_of_genes(counted(), places), start=1):
        assert held == [
            allele
            for allele in alleles
            if allele.chrom == place.gene_id and allele.edit.end >= place.low and allele.edit.start <= place.high
        ]
        assert done > 1 or taken < 30
    assert done == 75


def test_alleles_out_of_reach_are_left_aside_and_too_long_deletions_refused():
    place = GenePlace(0, "G1", 1000, 5000)
    spans = np.array([(1980, 1981, 0), (1995, 1996, 0), (3000, 3010, 10), (4011, 4012, 0)])
    assert within_reach(spans, np.array([0, 1, 2, 3]), place, 2000) == (1, 2)
    assert within_reach(spans, np.array([0, 1, 3]), place, 2000) == ()
    spans[2] = 3000, 4001, 1001
    with pytest.raises(CisweaveError, match=r"loses 1001 bases near gene G1, more than are read around it \(1000\)"):
        within_reach(spans, np.array([0, 2]), place, 2000)


def test_alleles_whose_edits_stand_in_another_order_than_their_records(world, tmp_path):
    """A deletion written with three bases before it stands behind the substitution of the next record."""
    folder, contigs = world
    one = contigs["chr1"]
    rows = [
        ("chr1", 2700, one[2699:2708], one[2699:2707], "1|0"),
        ("chr1", 2701, "C", "G", "1|0"),
        ("chr1", 2702, "A", "AG", "1|0"),
    ]
    table, rejected, _ = run(folder, tmp_path, write_vcf(tmp_path, rows, ["S1"]), genes=["G1"])
    assert len(rejected) == 0
    expected = plain_difference(folder, contigs, "G1", [(2701, "CAAAAAAT", "GAGAAAAA")])
    np.testing.assert_allclose(table[CONTEXTS].to_numpy()[0], expected, atol=TOLERANCE)
    assert table.variants.tolist() == [3]


@pytest.mark.parametrize(
    ("policy", "carried", "codes"), [("reject", [], ["unphased"]), ("haplotype_1", [("S1", 1), ("S2", 1)], [])]
)
def test_policies_for_genotypes_without_phase(world, tmp_path, policy, carried, codes):
    folder, contigs = world
    one = contigs["chr1"]
    rows = [("chr1", 2450, one[2449], other_base(one[2449]), "0/1", "1/0")]
    vcf = write_vcf(tmp_path, rows)
    with pytest.raises(CisweaveError, match=r"phased.vcf, line 6: sample S1: the genotype '0/1' is heterozygous"):
        run(folder, tmp_path, vcf)
    table, rejected, _ = run(folder, tmp_path, vcf, genes=["G1"], settings=HaplotypeSettings(unphased=policy))
    assert list(zip(table["sample"], table.haplotype, strict=True)) == carried
    assert rejected.code.tolist() == codes
    if codes:
        assert rejected.message[0] == "the first is sample S1 (left out of 4 haplotypes in all)"


def test_two_unphased_alts_go_to_two_haplotypes_and_homozygotes_need_no_phase(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    alts = ",".join(base for base in "ACGT" if base != one[2449])
    rows = [("chr1", 2450, one[2449], alts, "2/1", "3/3")]
    setting = HaplotypeSettings(unphased="haplotype_1")
    table, rejected, _ = run(folder, tmp_path, write_vcf(tmp_path, rows), genes=["G1"], settings=setting)
    shown = [(row["sample"], row["haplotype"], row["alleles"][-1]) for row in table.to_dict("records")]
    second = alts.split(",")
    assert shown == [("S1", 1, second[1]), ("S1", 2, second[0]), ("S2", 1, second[2]), ("S2", 2, second[2])]
    assert len(rejected) == 0


def test_alleles_that_cannot_be_placed_are_listed_and_counted_on_their_haplotypes(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    wrong = other_base(one[2429])
    rows = [
        ("chr1", 900, one[899], other_base(one[899]), "1|1", "1|1"),
        ("chr1", 2430, wrong, other_base(wrong) if other_base(wrong) != one[2429] else "N", "1|0", "0|0"),
        ("chr1", 2440, one[2439], "<DEL>", "0|1", "0|0"),
        ("chr1", 2450, one[2449], other_base(one[2449]) + ",*", "1|1", "2|2"),
        ("chr1", 2460, one[2459], other_base(one[2459]), "0|0", "0|0"),
        ("chr9", 5, "A", "C", "1|1", "1|1"),
    ]
    setting = HaplotypeSettings(max_allele_length=10)
    table, rejected, counts = run(folder, tmp_path, write_vcf(tmp_path, rows), genes=["G1"], settings=setting)
    assert rejected[["record", "allele"]].to_numpy().tolist() == [[2, 1], [3, 1], [4, 2], [6, 1]]
    assert rejected.code.tolist()[1:] == ["symbolic_allele", "spanning_deletion", "unknown_contig"]
    assert counts["alleles"]["in"] == 7
    assert counts["alleles"]["carried_by_none"] == 1
    assert counts["alleles"]["used"] == 2
    assert table[["sample", "haplotype", "variants", "left_out"]].to_numpy().tolist() == [
        ["S1", 1, 1, 1],
        ["S1", 2, 1, 1],
    ]


def test_genes_far_from_all_variants_are_told_apart_from_rejections(world, tmp_path):
    folder, contigs = world
    vcf = write_vcf(tmp_path, [("chr2", 50, contigs["chr2"][49], other_base(contigs["chr2"][49]), "1|1", "0|0")])
    table, rejected, counts = run(folder, tmp_path, vcf, genes=["G1"])
    assert len(table) == len(rejected) == 0
    assert table.columns.tolist()[-2:] == CONTEXTS
    assert counts["alleles"]["outside"] == 1
    table, _, _ = run(folder, tmp_path, vcf, settings=HaplotypeSettings(reference_rows=True))
    assert table.groupby("gene_id").variants.sum().to_dict() == {"G1": 0, "G2": 0, "G3": 2, "G4": 0}
    assert len(table) == 16
    assert (table[table.variants == 0][CONTEXTS] == 0).all(axis=None)


def test_carriers_of_an_exchanged_ref_carry_the_change(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    other = other_base(one[2449])
    vcf = write_vcf(tmp_path, [("chr1", 2450, other, one[2449], "0|1", "1|1")])
    assert run(folder, tmp_path, vcf, genes=["G1"])[1].code.tolist() == ["ref_mismatch"]
    table, _, _ = run(folder, tmp_path, vcf, genes=["G1"], settings=HaplotypeSettings(ref_policy="swap"))
    assert table[["sample", "haplotype", "alleles"]].to_numpy().tolist() == [
        ["S1", 1, f"chr1:2450:{one[2449]}>{other}"]
    ]
    expected = plain_difference(folder, contigs, "G1", [(2450, one[2449], other)])
    np.testing.assert_allclose(table[CONTEXTS].to_numpy()[0], expected, atol=TOLERANCE)


def test_parse_genotype():
    assert parse_genotype("0|1") == ((0, 1), True)
    assert parse_genotype("|0|1") == ((0, 1), True)
    assert parse_genotype("10/10") == ((10, 10), True)
    assert parse_genotype("0/1") == ((0, 1), False)
    assert parse_genotype("./1") == ((None, 1), False)
    assert parse_genotype(".") == ((None,), True)
    assert parse_genotype("1") == ((1,), True)
    assert parse_genotype("a|1") is None
    assert parse_genotype("|".join("0" * 9)) is None


def test_mistakes_in_phased_files_are_named(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    good = ("chr1", 2450, one[2449], other_base(one[2449]))
    mistakes = {
        r"line 7: the VCF is not sorted": [(*good, "0|1", "0|0"), ("chr1", 2440, one[2439], "A", "0|1", "0|0")],
        r"line 6: sample S2: '0\|2' is no genotype": [(*good, "0|1", "0|2")],
        r"line 6: sample S1: 'x' is no genotype": [(*good, "x", "0|2")],
        r"line 6: the record has no genotype": [(*good, "0|1")],
    }
    for message, rows in mistakes.items():
        with pytest.raises(CisweaveError, match=message):
            run(folder, tmp_path, write_vcf(tmp_path, rows))
    with pytest.raises(CisweaveError, match="stands in two columns"):
        run(folder, tmp_path, write_vcf(tmp_path, [(*good, "0|1", "0|0")], ["S1", "S1"]))
    vcf = write_vcf(tmp_path, [(*good, "0|1", "0|0")])
    with pytest.raises(CisweaveError, match="sample 'S9' is not in the file; it has S1, S2"):
        run(folder, tmp_path, vcf, samples=["S9"])
    with pytest.raises(CisweaveError, match="gene G9 has no profile"):
        run(folder, tmp_path, vcf, genes=["G9"])
    with pytest.raises(CisweaveError, match=r"must end in \.parquet"):
        run(folder, tmp_path, vcf, out=tmp_path / "out.csv")
    with pytest.raises(CisweaveError, match="has no samples"):
        run(folder, tmp_path, write_vcf(tmp_path, [], []))
    (tmp_path / "bare.vcf").write_text("chr1\t5\t.\tA\tC\n")
    with pytest.raises(CisweaveError, match="#CHROM … with the names of the samples is absent"):
        run(folder, tmp_path, tmp_path / "bare.vcf")


# --- own sequences ----------------------------------------------------------------------------------------------------
def flip(bases):
    return bases[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


def run_sequences(folder, tmp_path, text, **changes):
    (tmp_path / "own.fa").write_text(text)
    sequence_effects(
        **{
            "sequences": tmp_path / "own.fa",
            "fasta": folder / "genome.fa",
            "profiles": folder / "profiles.h5",
            "chromatin": folder / "chromatin",
            "model": folder / "model",
            "out": tmp_path / "own.tsv",
            "engine": ENGINE,
            "device": "cpu",
        }
        | changes
    )
    return pd.read_csv(tmp_path / "own.tsv", sep="\t", keep_default_na=False, na_values=[""])


def test_own_sequences_equal_the_plain_prediction(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    piece, tss = one[1000:5000], 2500 - 1000
    changed = piece[:1400] + "GATTACA" + piece[1420:]
    moved = tss - 13
    minus = one[1000:5500]
    text = (
        f">same tss={tss} strand=+ gene_id=G1\n{piece[:70]}\n{piece[70:].lower()}\n"
        f">turned tss={len(piece) + 1 - tss} strand=- gene_id=G1\n{flip(piece)}\n"
        f">changed tss={moved} strand=+ gene_id=G1\n{changed}\n"
        f">changed_turned tss={len(changed) + 1 - moved} strand=- gene_id=G1\n{flip(changed)}\n"
        f">no_gene strand=- tss=2400\n{minus}\n"
        f">minus_gene strand=- tss=2400 gene_id=G2\n{minus}\n"
    )
    table = run_sequences(folder, tmp_path, text)
    wide = table.pivot(index="sequence", columns="context", values=["predicted", "reference", "difference"])
    for name in ("same", "turned", "minus_gene"):
        assert (wide.loc[name, "difference"] == 0).all()
    reference = plain_expression(folder, one, 2500, "+")
    after = plain_expression(folder, changed, moved, "+")
    for name in ("changed", "changed_turned"):
        np.testing.assert_allclose(wide.loc[name, "predicted"][CONTEXTS], after, atol=TOLERANCE)
        np.testing.assert_allclose(wide.loc[name, "reference"][CONTEXTS], reference, atol=TOLERANCE)
        np.testing.assert_allclose(wide.loc[name, "difference"][CONTEXTS], after - reference, atol=TOLERANCE)
    expected = plain_expression(folder, minus, 2400, "-")
    np.testing.assert_allclose(wide.loc["no_gene", "predicted"][CONTEXTS], expected, atol=TOLERANCE)
    np.testing.assert_allclose(wide.loc["minus_gene", "predicted"][CONTEXTS], expected, atol=TOLERANCE)
    assert wide.loc["no_gene", "difference"].isna().all()
    assert np.abs(after - reference).max() > 1e-3
    facts = table.drop_duplicates("sequence").set_index("sequence")
    assert facts.changed_bins.to_dict() == {
        "same": 0, "turned": 0, "changed": 5, "changed_turned": 5, "no_gene": 8, "minus_gene": 0,
    }  # fmt: skip
    assert (facts.filled == 0).all()


def test_short_sequences_are_filled_as_the_settings_say(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    core_piece = one[2400:2499] + other_base(one[2499]) + one[2500:2600]
    text = f">short tss=100 strand=+ gene_id=G1\n{core_piece}\n"
    unknown = run_sequences(folder, tmp_path, text)
    genome = run_sequences(folder, tmp_path, text, settings=HaplotypeSettings(flanks="genome"))
    assert unknown.filled.tolist() == [1600, 1600]
    assert genome.changed_bins.tolist() == [2, 2]
    assert unknown.changed_bins.tolist() == [8, 8]
    np.testing.assert_allclose(unknown.predicted, plain_expression(folder, core_piece, 100, "+"), atol=TOLERANCE)
    expected = plain_difference(folder, contigs, "G1", [(2500, one[2499], other_base(one[2499]))])
    np.testing.assert_allclose(genome.difference, expected, atol=TOLERANCE)
    with pytest.raises(CisweaveError, match="names no gene"):
        run_sequences(folder, tmp_path, ">a tss=1 strand=+\nACGT\n", settings=HaplotypeSettings(flanks="genome"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ACGT\n", "line 1: a FASTA begins with '>'"),
        ("", "no sequence is in this file"),
        (">a strand=+\nACGT\n", "line 1: the header '>a strand=.*does not say what it must; write '>name tss="),
        (">a tss=1 strand=+ gen=G1\nACGT\n", "does not say what it must"),
        (">a tss=1 strand=x\nACGT\n", "strand must be"),
        (">a tss=5 strand=+\nACGT\n", "tss must be a base of the sequence, 1 to 4, not '5'"),
        (">a tss=0 strand=+\nACGT\n", "tss must be a base"),
        (">a tss=1 strand=+\nAC*T\n", "other signs than letters"),
        (">a tss=1 strand=+ gene_id=G9\nACGT\n", "gene G9 has no profile"),
        (">a tss=1 strand=+\nACGT\n>a tss=1 strand=+\nACGT\n", "line 3: sequence 'a' comes twice"),
    ],
)
def test_mistakes_in_own_sequences_are_named(world, tmp_path, text, message):
    folder, _ = world
    with pytest.raises(CisweaveError, match=message):
        run_sequences(folder, tmp_path, text)
    assert not (tmp_path / "own.tsv").exists()


# --- the command ------------------------------------------------------------------------------------------------------
def test_the_verb_takes_a_vcf_or_sequences(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    vcf = write_vcf(tmp_path, [("chr1", 2450, one[2449], other_base(one[2449]), "0|1", "0|0")])
    (tmp_path / "own.fa").write_text(f">a tss=100 strand=+ gene_id=G1\n{one[2400:2600]}\n")
    shared = [
        "haplotype", "--fasta", folder / "genome.fa", "--profiles", folder / "profiles.h5",
        "--chromatin", folder / "chromatin", "--model", folder / "model", "--device", "cpu",
    ]  # fmt: skip

    def call(*options):
        return CliRunner().invoke(app, list(map(str, [*shared, *options])))

    done = call("--vcf", vcf, "--out", tmp_path / "a.tsv", "--rejects", tmp_path / "r.tsv", "--gene", "G1")
    assert done.exit_code == 0, done.output
    assert len((tmp_path / "a.tsv").read_text().splitlines()) == 2
    assert (tmp_path / "a.tsv.receipt.json").exists()
    done = call("--sequences", tmp_path / "own.fa", "--out", tmp_path / "b.tsv", "--settings", '{"flanks": "genome"}')
    assert done.exit_code == 0, done.output
    assert pd.read_csv(tmp_path / "b.tsv", sep="\t").difference.tolist() == [0, 0]
    assert isinstance(call("--out", tmp_path / "c.tsv").exception, CisweaveError)
    assert "--rejects is missing" in str(call("--vcf", vcf, "--out", tmp_path / "c.tsv").exception)
    wrong = call("--sequences", tmp_path / "own.fa", "--out", tmp_path / "c.tsv", "--gene", "G1")
    assert "go with --vcf" in str(wrong.exception)


def test_edit_of_leaves_out_what_alleles_share():
    assert edit_of(10, "CTT", "C") == Edit(10, 12, "")
    assert edit_of(10, "A", "ACC") == Edit(10, 10, "CC")
    assert edit_of(10, "ACGT", "ATGT") == Edit(10, 11, "T")
