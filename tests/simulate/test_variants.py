"""The VCF: records, reasons and true effects."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from liftover import ChainFile
from scipy.stats import spearmanr

from tests.simulate.reader import World, plain_expression, plain_scan, revcomp

REASONS = {
    "ref_mismatch", "symbolic_allele", "spanning_deletion", "missing_alt", "invalid_allele", "breakend",
    "ref_equals_alt", "allele_too_long", "unknown_contig", "out_of_contig", "duplicate", "lift_unmapped",
    "lift_split", "lift_ref_mismatch", "too_far_from_tss",
}  # fmt: skip


@pytest.fixture(scope="module")
def lifter(world: World) -> ChainFile:
    return ChainFile(str(world.folder / "genome/sim38ToSim19.over.chain"), one_based=False)


@pytest.fixture(scope="module")
def good(world: World) -> pd.DataFrame:
    return world.effects.drop_duplicates(["record", "allele"]).reset_index(drop=True)


@pytest.fixture(scope="module")
def bad(world: World) -> pd.DataFrame:
    return world.table("truth/bad_records.tsv")


def test_every_allele_is_good_or_bad(world: World, good: pd.DataFrame, bad: pd.DataFrame) -> None:
    alleles = {
        (record, allele) for record, row in enumerate(world.vcf, start=1) for allele in range(1, len(row[3]) + 1)
    }
    one, two = (set(zip(table["record"], table["allele"], strict=True)) for table in (good, bad))
    assert not one & two
    assert one | two == alleles


def test_records_are_sorted_and_have_contig_lines(world: World) -> None:
    head = [line for line in (world.folder / "variants/variants.vcf").read_text().splitlines() if line.startswith("##")]
    for contig, sequence in world.sim38.items():
        assert f"##contig=<ID={contig},length={len(sequence)}>" in head
    order = [*world.sim38, "chrUn_1"]
    keys = [(order.index(row[0]), row[1]) for row in world.vcf]
    assert keys == sorted(keys)


def test_good_records_lift_to_the_truth(world: World, good: pd.DataFrame, lifter: ChainFile) -> None:
    strands = []
    for row in good.itertuples():
        contig, position, ref, alts = world.vcf[row.record - 1]
        alt = alts[row.allele - 1]
        if row.swapped:
            continue
        assert world.sim38[contig][position - 1 : position - 1 + len(ref)].upper() == ref
        hits = [lifter[contig][place][0] for place in range(position - 1, position - 1 + len(ref))]
        strand = hits[0][2]
        place = min(hit[1] for hit in hits)
        turned = (ref, alt) if strand == "+" else (revcomp(ref), revcomp(alt))
        if strand == "+" or len(ref) == len(alt):
            assert (row.pos, row.ref, row.alt) == (place + 1, *turned)
        else:
            assert haplotype(world, row.chrom, row.pos - 1, row.ref, row.alt) == haplotype(
                world, row.chrom, place, *turned
            )
        assert world.sim19[row.chrom][row.pos - 1 : row.pos - 1 + len(row.ref)].upper() == row.ref
        strands.append(strand)
    assert strands.count("-") >= 10


def test_swapped_alleles_turn_sim19_into_sim38(world: World, good: pd.DataFrame, lifter: ChainFile) -> None:
    """REF of the record is what sim38 holds and its ALT what sim19 holds, between the same aligned bases."""
    swapped = good[good["swapped"] == 1]
    assert len(swapped) >= 2
    assert set(swapped["kind"]) == {"swapped"}
    assert (swapped["ref"].str.len() != swapped["alt"].str.len()).any()
    for row in swapped.itertuples():
        contig, position, ref, alts = world.vcf[row.record - 1]
        old, new = world.sim38[contig].upper(), world.sim19[row.chrom].upper()
        assert old[position - 1 : position - 1 + len(ref)] == ref
        assert new[row.pos - 1 : row.pos - 1 + len(row.ref)] == row.ref
        first, last = position - 4, position + len(ref) + 9
        left, right = lifter[contig][first][0], lifter[contig][last][0]
        turn = str if left[2] == "+" else revcomp
        start, end = sorted((left[1], right[1]))
        edited = new[start : row.pos - 1] + row.alt + new[row.pos - 1 + len(row.ref) : end + 1]
        assert turn(edited) == old[first : last + 1]
        back = old[first : position - 1] + alts[row.allele - 1] + old[position - 1 + len(ref) : last + 1]
        assert turn(new[start : end + 1]) == back


def haplotype(world: World, chrom: str, start: int, ref: str, alt: str) -> str:
    sequence = world.sim19[chrom].upper()
    return sequence[:start] + alt + sequence[start + len(ref) :]


@pytest.mark.parametrize("assembly", ["sim19", "sim38"])
def test_indels_are_left_aligned(world: World, good: pd.DataFrame, assembly: str) -> None:
    alleles = [(row.ref, row.alt) for row in good.itertuples()]
    if assembly == "sim38":
        alleles = [
            (world.vcf[row.record - 1][2], world.vcf[row.record - 1][3][row.allele - 1]) for row in good.itertuples()
        ]
    for ref, alt in alleles:
        if len(ref) != len(alt):
            assert ref[0] == alt[0]
            assert min(len(ref), len(alt)) == 1
            assert ref[-1] != alt[-1]


def test_kinds_of_good_records(world: World, good: pd.DataFrame) -> None:
    counts = good["kind"].value_counts()
    assert counts[["break", "make", "neutral", "indel"]].min() >= 15
    assert 0.55 < good["chrom"].isin(world.manifest["test_chromosomes"]).mean() < 0.85
    assert sum(len(row[3]) > 1 for row in world.vcf) >= 5
    growth = good["alt"].str.len() - good["ref"].str.len()
    assert (growth > 0).sum() >= 5
    assert (growth < 0).sum() >= 5
    assert (growth[~good["kind"].isin(["indel", "swapped"])] == 0).all()


def test_every_reason_is_there(bad: pd.DataFrame) -> None:
    assert set(bad["reason"]) == REASONS


def test_reasons_are_true(world: World, good: pd.DataFrame, bad: pd.DataFrame, lifter: ChainFile) -> None:
    seen: set[tuple[object, ...]] = set()
    rows = {(row.record, row.allele): row.reason for row in bad.itertuples()}
    swapped = set(good.loc[good["swapped"] == 1, "record"])
    for record, (contig, position, ref, alts) in enumerate(world.vcf, start=1):
        for allele, alt in enumerate(alts, start=1):
            reason = rows.get((record, allele))
            key = (contig, position, ref, alt)
            assert (reason == "duplicate") == (key in seen)
            seen.add(key)
            if contig not in world.sim38 or position > len(world.sim38[contig]):
                assert reason in {"unknown_contig", "out_of_contig"}
                continue
            stands = world.sim38[contig][position - 1 : position - 1 + len(ref)].upper()
            assert (stands != ref) == (reason == "ref_mismatch")
            hits = [lifter[contig][place] for place in range(position - 1, position - 1 + len(ref))]
            assert (not any(hits)) == (reason == "lift_unmapped")
            places = [hit[0] for hit in hits if hit]
            apart = any(b[1] - a[1] != (1 if a[2] == "+" else -1) for a, b in pairwise(places))
            if record not in swapped:
                assert (any(hits) and (apart or not all(hits))) == (reason == "lift_split")
            if reason == "lift_ref_mismatch":
                assert world.sim19[contig][hits[0][0][1]].upper() not in (ref, alt)
            if reason == "too_far_from_tss":
                assert (world.tss.query("chrom == @contig")["end"] - hits[0][0][1]).abs().min() > 20_000
            if reason == "allele_too_long":
                assert len(alt) > 100


def test_effects_reach_20_kb(world: World) -> None:
    effects = world.effects
    assert effects["dist_to_tss"].abs().max() <= 20_000
    assert effects.groupby(["record", "allele"])["dist_to_tss"].agg(lambda values: values.abs().min()).max() <= 15_000
    tss = world.tss.set_index("gene_id")
    assert (effects["pos"] - effects["gene_id"].map(tss["end"]) == effects["dist_to_tss"]).all()


def test_signs_of_effects(world: World) -> None:
    sign = world.table("truth/motifs.tsv").set_index("tf")["sign"]
    for kind, way in (("break", -1), ("make", 1)):
        rows = world.effects[world.effects["kind"] == kind]
        expected = rows["tf"].map(sign).to_numpy()[:, None] * way
        values = rows[world.contexts].to_numpy()
        assert (
            values[np.abs(values) > 1e-4] * np.broadcast_to(expected, values.shape)[np.abs(values) > 1e-4] > 0
        ).all()
        assert np.abs(values).max() > 0.3
    neutral = world.effects[world.effects["kind"] == "neutral"][world.contexts]
    assert neutral.abs().max(axis=None) < 0.03


@pytest.mark.parametrize("kind", ["break", "make", "insertion", "deletion"])
def test_effects_equal_the_generator_on_both_haplotypes(world: World, kind: str) -> None:
    effects = world.effects[world.effects["chrom"] == "chr3"]
    growth = effects["alt"].str.len() - effects["ref"].str.len()
    which = {"insertion": growth > 0, "deletion": growth < 0}.get(kind, effects["kind"] == kind)
    chosen = effects[which & (effects["tf"] != "")]
    first = chosen.drop_duplicates(["record", "allele"]).iloc[0]
    chosen = chosen[(chosen["record"] == first["record"]) & (chosen["allele"] == first["allele"])]
    reference, weights, start = world.sim19["chr3"].upper(), world.table("truth/weights.tsv"), first["pos"] - 1
    changed = reference[:start] + first["alt"] + reference[start + len(first["ref"]) :]
    before, after = plain_scan(reference, world.motifs), plain_scan(changed, world.motifs)
    tss = world.tss.set_index("gene_id")["start"]
    for row in chosen.itertuples():
        place = tss[row.gene_id]
        moved = place + (len(first["alt"]) - len(first["ref"]) if place >= start + len(first["ref"]) else 0)
        expected = plain_expression(after, moved, weights, world.contexts)
        expected = expected - plain_expression(before, place, weights, world.contexts)
        found = np.array([getattr(row, context) for context in world.contexts])
        assert np.allclose(found, expected, atol=2e-4)
        assert np.abs(found).max() > 0


def test_simple_trends_do_not_tell_effects(world: World) -> None:
    effects = world.effects[world.effects["tf"] != ""]
    best = effects.loc[effects["dist_to_tss"].abs().groupby([effects["record"], effects["allele"]]).idxmin()]
    gc = [
        sum(map(alt.count, "GC")) - sum(map(ref.count, "GC")) for ref, alt in zip(best["ref"], best["alt"], strict=True)
    ]
    for trend in (gc, best["dist_to_tss"].abs()):
        assert abs(np.median([spearmanr(trend, best[context])[0] for context in world.contexts])) < 0.25
