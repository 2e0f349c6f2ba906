"""Phased files: all variants of a haplotype together, and what can go wrong."""

import numpy as np
import pandas as pd
import pysam
import pytest

from cisweave.config import HaplotypeSettings
from cisweave.core.errors import CisweaveError
from cisweave.seal.haplotype import Edit
from cisweave.seal.haplotype.cohort import GenePlace, blocks_of_genes, within_reach
from cisweave.seal.haplotype.genotypes import Carried, parse_genotype
from tests.seal.haplotype.world import (
    CONTEXTS,
    GENES,
    STEP,
    TOLERANCE,
    WINDOW,
    edited,
    other_base,
    plain_difference,
    plain_region,
    run,
    write_vcf,
)


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
    assert parse_genotype("٠|١") is None
    assert parse_genotype("+1|0") is None
    assert parse_genotype("0|") is None
    assert parse_genotype("|".join("0" * 9)) is None


def test_mistakes_in_phased_files_are_named(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    good = ("chr1", 2450, one[2449], other_base(one[2449]))
    mistakes = {
        r"line 7: the VCF is not sorted": [(*good, "0|1", "0|0"), ("chr1", 2440, one[2439], "A", "0|1", "0|0")],
        r"line 6: sample S2: '0\|2' is no genotype": [(*good, "0|1", "0|2")],
        r"line 6: sample S1: 'x' is no genotype": [(*good, "x", "0|2")],
        r"line 6: the record does not have one genotype \(GT\) for each of the 2 samples": [(*good, "0|1")],
        r"line 7: the record does not have one genotype": [(*good, "0|1", "0|0"), (*good, "0|1", "0|0", "1|1")],
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
