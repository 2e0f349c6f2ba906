"""Liftover of alleles: what must come out is put together by plain string work."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisweave.config import LiftoverSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome import lift_check, liftover
from cisweave.genome.alleles import Rejection
from cisweave.genome.chain import Chain, overlaps, read_chains
from cisweave.genome.liftover import LiftedAllele, Lifter, Verdict, lift_variants, liftover_variants, open_step
from cisweave.genome.normalize import read_variants
from cisweave.genome.reasons import Reason
from cisweave.genome.table import read_variant_table
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import read_ledger
from tests.genome.assemblies import (
    SEGMENTS,
    Assemblies,
    Segment,
    apply_allele,
    make_assemblies,
    random_bases,
    reverse_complement,
)
from tests.genome.edits import Edit, left_aligned, make_pair, outcomes, random_edit


class Bench:
    """Lifts alleles between assemblies given as text."""

    def __init__(self, folder: Path, write_fasta: Callable[..., Path]):
        self.folder, self.write_fasta, self.number = folder, write_fasta, 0

    def genome(self, contigs: dict[str, str]) -> Genome:
        self.number += 1
        return Genome(self.write_fasta(contigs, f"genome{self.number}.fa"))

    def chain(self, text: str) -> Chain:
        path = self.folder / "text.chain"
        path.write_text(text)
        return Chain(path)

    def clear(self) -> None:
        for old in self.folder.glob("genome*.fa*"):
            old.unlink()

    def __call__(
        self,
        chain: str,
        target: str,
        allele: tuple[int, str, str],
        source: str | None = None,
        names: tuple[str, str] = ("chrS", "chrT"),
        swapped: str = "swap",
    ) -> Verdict:
        options = LiftoverSettings.model_validate({"swapped": swapped})
        genome = self.genome({names[1]: target})
        origin = self.genome({names[0]: source}) if source is not None else None
        lifter = Lifter(self.chain(chain), genome, options, origin)
        (verdict,) = lifter.lift([names[0]], [allele[0]], [allele[1]], [allele[2]])
        genome.close()
        if origin is not None:
            origin.close()
        self.clear()
        return verdict


@pytest.fixture
def bench(tmp_path: Path, write_fasta: Callable[..., Path]) -> Bench:
    return Bench(tmp_path, write_fasta)


@pytest.fixture
def lift(bench: Bench) -> Callable[..., Verdict]:
    """A function that lifts an allele between given assemblies."""

    def run(pair: Assemblies, pos: int, ref: str, alt: str, target: str | None = None, chain: str | None = None):
        return bench(pair.chain if chain is None else chain, target or pair.target, (pos, ref, alt))

    return run


def expected_haplotype(pair: Assemblies, edit: Edit) -> str:
    """The target with the edit put into the block it lies in, by plain string work on the source."""
    for start, end, to, strand in pair.blocks:
        if start <= edit.start and edit.end <= end:
            edited = edit.apply(pair.source)[start : end + len(edit.alt) - len(edit.ref)]
            edited = edited if strand == "+" else reverse_complement(edited)
            return pair.target[:to] + edited + pair.target[to + end - start :]
    raise AssertionError("the allele lies in no single block")


def reach(source: str, edit: Edit) -> set[int]:
    """1-based positions of the bases on both sides of all spellings of an insertion or deletion."""
    spellings = edit.spellings(source)
    return {min(one.start for one in spellings), max(one.end for one in spellings) + 1}


def test_snv_on_each_kind_of_block(lift: Callable[..., LiftedAllele | Rejection]) -> None:
    pair = make_assemblies(SEGMENTS)
    first = pair.source[9]
    assert lift(pair, 10, first, "N")[:6] == ("chrT", 17, first, "N", "+", False)
    after_gap = pair.source[49]
    assert lift(pair, 50, after_gap, "N")[:6] == ("chrT", 51, after_gap, "N", "+", False)
    # The inverted block holds source 77..121 (1-based) and target 78..122: 77 lies at 122.
    inverted = pair.source[76]
    assert lift(pair, 77, inverted, "N")[:5] == ("chrT", 122, reverse_complement(inverted), "N", "-")


def test_deletion_on_the_inverted_block_is_anchored_anew(lift: Callable[..., LiftedAllele | Rejection]) -> None:
    source = "ACGT" * 3 + "CAGATTC" + "GGTT"
    pair = make_assemblies([Segment("same", 12), Segment("inverted", 7), Segment("same", 4)], bases=source)
    assert pair.target == "ACGT" * 3 + "GAATCTG" + "GGTT"
    # Source A[GA]: target (TC)T, its anchor now on the left: A[TC].
    assert lift(pair, 14, "AGA", "A")[:5] == ("chrT", 15, "ATC", "A", "-")
    # Insertion of CC behind the source's first A: GG before the target's T of 'CTG', after its C.
    assert lift(pair, 14, "A", "ACC")[:5] == ("chrT", 17, "C", "CGG", "-")
    # A substitution of several bases needs no anchor.
    assert lift(pair, 14, "AG", "TT")[:5] == ("chrT", 17, "CT", "AA", "-")


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 50), repetitive=st.booleans())
def test_lifted_alleles_make_the_right_haplotype(
    lift: Callable[..., LiftedAllele | Rejection], data: st.DataObject, seed: int, repetitive: bool
) -> None:
    length = sum(part.length for part in SEGMENTS if part.kind != "gained")
    bases = random_bases(length, seed)
    pair = make_assemblies(SEGMENTS, seed, bases.replace("C", "A").replace("G", "A") if repetitive else bases)
    pos = data.draw(st.integers(1, length))
    ref = pair.source[pos - 1 : pos - 1 + data.draw(st.integers(1, 6))]
    anchored = data.draw(st.booleans())
    alt = ref[0] * anchored + data.draw(st.text("ACGT", min_size=1 - anchored, max_size=6))
    if alt == ref:
        return
    lifted = lift(pair, pos, ref, alt)
    edit = Edit(pos - 1, ref, alt).trimmed()
    if not any(start <= edit.start and edit.end <= end for start, end, _, _ in pair.blocks):
        assert isinstance(lifted, Rejection)
        assert lifted.reason in (Reason.LIFT_UNMAPPED, Reason.LIFT_SPLIT, Reason.LIFT_REPEAT)
        return
    others = {edit.start + 1, edit.end} if len(edit.ref) == len(edit.alt) else reach(pair.source, edit)
    if not any(start < min(others) and max(others) <= end for start, end, _, _ in pair.blocks):
        assert isinstance(lifted, Rejection) or not repetitive
    if isinstance(lifted, Rejection):
        assert not any(start < min(others) and max(others) <= end for start, end, _, _ in pair.blocks)
        return
    if lifted.swapped:
        return  # by chance; see test_one_difference
    haplotype = apply_allele(pair.target, lifted.pos, lifted.ref, lifted.alt)
    assert haplotype == expected_haplotype(pair, edit)
    assert lifted[1:4] == left_aligned(pair.target, Edit(lifted.pos - 1, lifted.ref, lifted.alt))


def test_each_reason(lift: Callable[..., LiftedAllele | Rejection]) -> None:
    pair = make_assemblies(SEGMENTS)

    def reason(pos: int, length: int = 1, alt: str = "N", **change: str) -> Reason:
        verdict = lift(pair, pos, pair.source[pos - 1 : pos - 1 + length], alt, **change)
        assert isinstance(verdict, Rejection)
        assert verdict.detail
        return verdict.reason

    assert reason(43) == Reason.LIFT_UNMAPPED
    assert reason(39, 4) == Reason.LIFT_SPLIT  # reaches into what the target lacks
    assert reason(38, 12) == Reason.LIFT_SPLIT  # begins and ends in blocks
    assert reason(75, 4) == Reason.LIFT_SPLIT  # from an upright into an inverted block
    assert reason(10, chain=pair.chain + "\n" + pair.chain) == Reason.LIFT_MULTIPLE
    assert reason(10, chain=pair.chain.replace("chrT", "chrZ")) == Reason.LIFT_UNKNOWN_CONTIG
    other = {"A": "C", "C": "A", "G": "A", "T": "A"}[pair.target[16]]
    changed = pair.target[:16] + other + pair.target[17:]
    assert reason(10, target=changed) == Reason.LIFT_REF_MISMATCH


def test_a_target_that_holds_alt(bench: Bench) -> None:
    pair = make_assemblies(
        [Segment("same", 12), Segment("inverted", 20)], bases="ACGTTGCAACGT" + "GATTACAGATTACCGGTTAA"
    )
    changed = pair.target[:5] + "A" + pair.target[6:]
    assert bench(pair.chain, changed, (6, "G", "A"))[:6] == ("chrT", 6, "A", "G", "+", True)
    assert bench(pair.chain, changed, (5, "TG", "TA"))[:6] == ("chrT", 6, "A", "G", "+", True)
    refused = bench(pair.chain, changed, (6, "G", "A"), swapped="reject")
    assert isinstance(refused, Rejection)
    assert refused.reason == Reason.LIFT_SWAPPED
    # Source 14 (A of GATTACA) lies at target 31 on the other strand.
    assert pair.target[30] == "T"
    turned = pair.target[:30] + "C" + pair.target[31:]
    assert bench(pair.chain, turned, (14, "A", "G"))[:6] == ("chrT", 31, "C", "T", "-", True)


def test_a_repeat_is_looked_at_as_a_whole(bench: Bench) -> None:
    """The target lacks one of three CA: wherever the chain puts the gap, it holds ALT of the deletion."""
    source, target = "GGATTG" + "CACACA" + "TTGACC", "GGATTG" + "CACA" + "TTGACC"
    for start in (6, 7, 8, 10):
        pair = make_pair(source, Edit(start, source[start : start + 2], ""), inverted=False)
        assert pair.target == target
        found = bench(pair.chain, target, (6, "GCA", "G"), source)
        assert found[:6] == ("chrT", 6, "G", "GCA", "+", True)
        without = bench(pair.chain, target, (6, "GCA", "G"))
        if start == 6:
            assert without[:6] == found[:6]
        else:
            assert isinstance(without, Rejection)
            assert without.reason in (Reason.LIFT_SPLIT, Reason.LIFT_REPEAT)
        longer = bench(pair.chain, target, (6, "GCACA", "G"), source)
        assert isinstance(longer, Rejection)
        assert longer.reason == Reason.LIFT_SPLIT
    # The other way round: an insertion that the target holds. All bases of the source are aligned, so it is known.
    for start in (6, 7, 8, 10):
        pair = make_pair(target, Edit(start, "", "CA" if start % 2 == 0 else "AC"), inverted=False)
        assert pair.target == source
        for origin in (None, target):
            assert bench(pair.chain, source, (6, "G", "GCA"), origin)[:6] == ("chrT", 6, "GCA", "G", "+", True)


def test_a_substitution_inside_a_repeat_does_not_matter(bench: Bench) -> None:
    source = "GGATTG" + "CACACA" + "TTGACC"
    pair = make_pair(source, Edit(9, "A", "G"), inverted=False)
    for origin in (None, source):
        assert bench(pair.chain, pair.target, (6, "GCA", "G"), origin)[:6] == ("chrT", 6, "GCA", "G", "+", False)
        mismatch = bench(pair.chain, pair.target, (9, "CA", "C"), origin)
        assert isinstance(mismatch, Rejection)
        assert mismatch.reason == Reason.LIFT_REF_MISMATCH
    anchor = make_pair(source, Edit(5, "G", "T"), inverted=False)
    assert bench(anchor.chain, anchor.target, (6, "GCA", "G"), source)[:5] == ("chrT", 6, "TCA", "T", "+")


@pytest.mark.parametrize("unknown", "NRM")
def test_an_anchor_of_an_unknown_base_is_no_allele(bench: Bench, unknown: str) -> None:
    pair = make_pair("GGATTGCACATTGACC", Edit(2, "A", "A" + "C"), inverted=False)
    target = pair.target.replace("TTGCA", f"TT{unknown}CA")
    found = bench(pair.chain, target, (6, "GCA", "G"), pair.source)
    assert isinstance(found, Rejection)
    assert found.reason == Reason.LIFT_REF_MISMATCH


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9), letters=st.sampled_from(["ACGT", "AC", "A"]), inverted=st.booleans())
def test_one_difference(bench: Bench, seed: int, letters: str, inverted: bool) -> None:
    """Assemblies that differ by one edit, and a variant on it or beside it.

    With the source's FASTA: what is lifted makes the one right sequence, a swapped allele exactly the source, and
    every variant that stands apart from the edit, or is the edit, is lifted. Without it: right, or rejected.
    """
    choose = random.Random(seed)
    middle = "".join(choose.choices(letters, k=choose.randint(6, 16)))
    source = random_bases(30, seed) + middle + random_bases(30, seed + 1)
    edit = random_edit(choose, source, 30 + choose.randrange(len(middle)))
    edit = choose.choice([one for one in edit.spellings(source) if 20 < one.start < len(source) - 20] or [edit])
    pair = make_pair(source, edit, inverted)
    place = min(max(edit.start + choose.randint(-6, 6), 25), len(source) - 25)
    variant = edit if choose.random() < 0.3 else random_edit(choose, source, place)
    allele = left_aligned(source, variant)
    is_edit = variant.apply(source) == edit.apply(source)
    for origin in (None, source):
        lifted = bench(pair.chain, pair.target, allele, origin)
        if isinstance(lifted, Rejection):
            low, high = min(reach(source, variant)), max(reach(source, variant))
            apart = high < edit.start or edit.end < low
            assert not (origin and (apart or (is_edit and len(edit.ref) != len(edit.alt))))
            continue
        result = apply_allele(pair.target, *lifted[1:4])
        result = reverse_complement(result) if inverted else result
        assert lifted.strand == ("-" if inverted else "+")
        assert lifted[1:4] == left_aligned(pair.target, Edit(lifted.pos - 1, lifted.ref, lifted.alt))
        if not lifted.swapped:
            assert result in outcomes(source, variant, edit)
            assert not is_edit
        elif len(edit.ref) == len(edit.alt):
            target = edit.apply(source)
            assert target[variant.start : variant.end] == variant.alt
            assert result == target[: variant.start] + variant.ref + target[variant.end :]
        else:
            assert result == source
            assert is_edit


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 10**6), repetitive=st.booleans())
def test_unknown_bases_of_the_target_are_in_no_allele(
    lift: Callable[..., LiftedAllele | Rejection], data: st.DataObject, seed: int, repetitive: bool
) -> None:
    """N, R, M in the target: what is lifted is made of A, C, G and T, and REF is what the target holds."""
    length = sum(part.length for part in SEGMENTS if part.kind != "gained")
    bases = random_bases(length, seed)
    pair = make_assemblies(SEGMENTS, seed, bases.replace("C", "A").replace("G", "A") if repetitive else bases)
    pos = data.draw(st.integers(1, length))
    ref = pair.source[pos - 1 : pos - 1 + data.draw(st.integers(1, 6))]
    alt = data.draw(st.text("ACGT", min_size=1, max_size=6))
    masked = data.draw(st.dictionaries(st.integers(0, len(pair.target) - 1), st.sampled_from("NRM"), max_size=40))
    target = "".join(masked.get(place, base) for place, base in enumerate(pair.target))
    lifted = lift(pair, pos, ref, alt, target=target)
    if ref != alt and isinstance(lifted, LiftedAllele):
        assert set(lifted.ref + lifted.alt) <= set("ACGT")
        assert target[lifted.pos - 1 : lifted.pos - 1 + len(lifted.ref)] == lifted.ref


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9), letters=st.sampled_from(["ACGT", "AC"]), inverted=st.booleans())
def test_there_and_back(bench: Bench, seed: int, letters: str, inverted: bool) -> None:
    """What is lifted and lifted back is the allele it was, left-aligned."""
    choose = random.Random(seed)
    source = random_bases(30, seed) + "".join(choose.choices(letters, k=14)) + random_bases(30, seed + 1)
    edit = random_edit(choose, source, 30 + choose.randrange(14))
    pair = make_pair(source, edit, inverted)
    variant = edit if choose.random() < 0.3 else random_edit(choose, source, choose.randint(27, 46))
    allele = left_aligned(source, variant)
    lifted = bench(pair.chain, pair.target, allele, source)
    near = min(reach(source, variant)) - 8 < edit.end and edit.start < max(reach(source, variant)) + 8
    if isinstance(lifted, Rejection) or (len(edit.ref) == len(edit.alt) and len(allele[1]) != len(allele[2]) and near):
        return  # a substitution beside an indel may lengthen the repeat it is left-aligned in
    back = bench(pair.back, source, lifted[1:4], pair.target, names=("chrT", "chrS"))
    assert isinstance(back, LiftedAllele)
    assert back[1:4] == allele
    assert (back.strand, back.swapped) == (lifted.strand, lifted.swapped)


def test_tables_keep_order_and_account_for_all(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]
) -> None:
    pair = make_assemblies(SEGMENTS)
    source, target = write_fasta({"chrS": pair.source}, "s.fa"), write_fasta({"chrT": pair.target}, "t.fa")
    with gzip.open(tmp_path / "s.chain.gz", "wt") as handle:
        handle.write(pair.chain)
    rows = [("chrS", pos, ".", base, ",".join(sorted(set("ACGT") - {base}))) for pos, base in enumerate(pair.source, 1)]
    vcf = write_vcf(rows)
    out, ledger = tmp_path / "lifted.parquet", tmp_path / "rejected.tsv"
    liftover_variants(vcf, tmp_path / "s.chain.gz", target, out, ledger)
    lifted, rejected = read_variant_table(out), read_ledger(ledger)
    assert len(lifted) == 3 * (len(pair.source) - 6)
    assert len(rejected) == 3 * 6
    assert rejected["position"].astype(int).unique().tolist() == list(range(41, 47))
    assert rejected["line"].tolist() == [line for line in range(43, 49) for _ in range(3)]
    assert lifted["record"].is_monotonic_increasing
    assert lifted["reference_genome_match"].all()
    assert (lifted["lift_strand"] == "-").sum() == 3 * 45
    for row in lifted.itertuples():
        assert pair.target[row.pos - 1] == row.ref
    receipt = json.loads(out.with_name(out.name + ".receipt.json").read_text())["identity"]
    assert (
        receipt["alleles"]
        == {"in": 3 * 146 - 3 * 6 + 18, "kept": 420, "rejected": 18, "reasons": {"lift_unmapped": 18}}
        or receipt
    )
    variants, _ = read_variants(vcf, source)
    again, refused = lift_variants(variants, tmp_path / "s.chain.gz", target)
    pd.testing.assert_frame_equal(again, lifted)
    assert len(refused) == len(rejected)


def test_swapped_and_strand_add_up(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]
) -> None:
    """Two liftovers in a row: what is exchanged twice is not exchanged."""
    source, target = "A" * 20 + "GATTACAGGC", "A" * 20 + "GATCACAGGC"
    there, back = make_pair(source, Edit(23, "T", "C"), True), make_pair(source, Edit(23, "T", "C"), True)
    assert reverse_complement(there.target) == target
    (tmp_path / "there.chain").write_text(there.chain)
    (tmp_path / "back.chain").write_text(back.back)
    fasta = write_fasta({"chrT": there.target}, "t.fa")
    origin = write_fasta({"chrS": source}, "s.fa")
    vcf = write_vcf([("chrS", 24, "x", "T", "C,G"), ("chrS", 28, "y", "G", "T")])
    liftover_variants(vcf, tmp_path / "there.chain", fasta, tmp_path / "1.vcf", tmp_path / "1.tsv")
    liftover_variants(tmp_path / "1.vcf", tmp_path / "back.chain", origin, tmp_path / "2.parquet", tmp_path / "2.tsv")
    variants, _ = read_variants(tmp_path / "1.vcf")
    first = variants.set_index("name")
    assert first.loc["x", ["chrom", "pos", "ref", "alt", "swapped", "lift_strand"]].tolist() == [
        "chrT", 7, "G", "A", True, "-",
    ]  # fmt: skip
    second = read_variant_table(tmp_path / "2.parquet").set_index("name")
    assert second.loc["x", ["chrom", "pos", "ref", "alt", "swapped", "lift_strand"]].tolist() == [
        "chrS", 24, "T", "C", False, "+",
    ]  # fmt: skip
    assert read_ledger(tmp_path / "1.tsv")["code"].tolist() == ["lift_ref_mismatch"]
    assert read_ledger(tmp_path / "2.tsv").empty


def test_nothing_to_lift_and_nothing_lifted(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]
) -> None:
    pair = make_assemblies(SEGMENTS)
    target = write_fasta({"chrT": pair.target})
    (tmp_path / "s.chain").write_text(pair.chain)
    rows: list[tuple[object, ...]]
    for rows, codes in (([], []), ([("chr7", 5, ".", "A", "C"), ("chr7", 9, ".", "AC", "A")], ["lift_unmapped"] * 2)):
        variants, _ = read_variants(write_vcf(rows, header=False))
        lifted, rejected = lift_variants(variants, tmp_path / "s.chain", target)
        assert lifted.empty
        assert "lift_strand" in lifted
        assert rejected["code"].tolist() == codes
        out = tmp_path / "out.vcf.gz"
        liftover_variants(
            write_vcf(rows), tmp_path / "s.chain", target, out, tmp_path / "r.tsv", None, tmp_path / "s.chain"
        )
        assert read_variants(out)[0].empty


def test_alleles_need_a_target(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="give it with --fasta, or lift a BED"):
        liftover_variants("a.vcf", "a.chain", None, tmp_path / "o.vcf", tmp_path / "r.tsv")


def test_alleles_that_fall_together_are_kept_once(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]
) -> None:
    """Two stretches of the source lead to one of the target; and two spellings of one insertion are the same."""
    bases = "GATTACAGATCCCCATGACA"
    chain = "".join(f"chain 1 {name} 20 + 0 20 chrT 20 + 0 20 1\n20\n\n" for name in ("chrA", "chrB"))
    (tmp_path / "s.chain").write_text(chain)
    assert {name: (a.tolist(), b.tolist()) for name, (a, b) in Chain(tmp_path / "s.chain").crowded.items()} == {
        "chrT": ([0], [20])
    }
    rows = [(name, pos, ".", bases[pos - 1], "N") for name in ("chrA", "chrB") for pos in (3, 4)]
    rows = [(chrom, pos, name, ref, "G") for chrom, pos, name, ref, _ in rows]
    rows += [("chrA", 10, ".", "T", "TC"), ("chrA", 12, ".", "C", "CC"), ("chrB", 13, ".", "CC", "C")]
    variants, _ = read_variants(write_vcf(rows))
    lifted, rejected = lift_variants(variants, tmp_path / "s.chain", write_fasta({"chrT": bases}))
    assert lifted["record"].tolist() == [1, 2, 5, 7]
    assert rejected["record"].tolist() == [3, 4, 6]
    assert set(rejected["code"]) == {"lift_duplicate"}


def test_memory_of_what_was_lifted_is_bounded(
    tmp_path: Path,
    write_fasta: Callable[..., Path],
    write_vcf: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lift_check, "REACH", 5)
    bases = random_bases(200, 1)
    (tmp_path / "s.chain").write_text(
        "chain 1 chrA 200 + 0 200 chrT 200 + 0 200 1\n200\n\nchain 1 chrB 200 + 0 20 chrT 200 + 30 50 2\n20\n"
    )
    rows = [("chrA", pos, ".", base, "ACGT"["CGTA".index(base)]) for pos, base in enumerate(bases, 1)]
    variants, _ = read_variants(write_vcf(rows))
    twin, _ = read_variants(write_vcf([("chrB", 3, ".", bases[32], "ACGT"["CGTA".index(bases[32])])]))
    with ExitStack() as stack:
        files = tmp_path / "s.chain", write_fasta({"chrT": bases})
        step = open_step(stack, *files, LiftoverSettings(), vcf=write_vcf(rows))
        for start in range(0, 200, 10):
            assert len(step(variants.iloc[start : start + 10])[0]) == 10
        assert len(step._repeats._known) == 20 + 10  # where the chain is ambiguous, and the last chunk
        assert step(twin)[1]["code"].tolist() == ["lift_duplicate"]


@pytest.mark.parametrize("in_order", [False, True])
def test_spellings_of_one_allele_meet_however_far_apart(
    tmp_path: Path,
    write_fasta: Callable[..., Path],
    write_vcf: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    in_order: bool,
) -> None:
    """One record a chunk, and two spellings of one insertion with others between them, in a sorted file and not."""
    monkeypatch.setattr(liftover, "read_chunks", partial(liftover.read_chunks, chunk=1))
    (tmp_path / "s.chain").write_text("chain 1 chrA 20 + 0 20 chrT 20 + 0 20 1\n20\n\n")
    fasta = write_fasta({"chrT": "GATTACAGATCCCCATGACA"})
    between = [("chrA", 11, ".", "C", "G"), ("chrA", 11, ".", "C", "T"), ("chrA", 12, ".", "C", "T")]
    others = between if in_order else [("chrA", 3, ".", "T", "G"), *between]
    rows = [("chrA", 10, ".", "T", "TC"), *others, ("chrA", 12, ".", "C", "CC")]
    liftover_variants(write_vcf(rows), tmp_path / "s.chain", fasta, tmp_path / "o.tsv", tmp_path / "r.tsv")
    rejected = read_ledger(tmp_path / "r.tsv")
    assert rejected[["record", "code"]].values.tolist() == [[len(rows), "lift_duplicate"]]


def test_an_indel_that_moves_out_of_an_ambiguous_place_is_found_again(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]
) -> None:
    """The target's repeat begins left of where the second chain leads; that of the second contig within it."""
    target = "GATTACAGTC" * 2 + "CCTGG" + "A" * 11 + "GTCATTGACCTGAG"
    second = "G" + target[31:50]
    (tmp_path / "s.chain").write_text(
        "chain 1 chrA 50 + 0 50 chrT 50 + 0 50 1\n50\n\nchain 1 chrB 20 + 0 20 chrT 50 + 30 50 2\n20\n"
    )
    origin = LiftoverSettings(source_fasta=write_fasta({"chrA": target, "chrB": second}, "s.fa"))
    rows = [("chrA", 25, ".", "G", "GA"), ("chrA", 45, ".", target[44], "N"), ("chrB", 3, ".", "A", "AA")]
    rows[1] = (*rows[1][:4], "ACGT"["CGTA".index(target[44])])
    variants, _ = read_variants(write_vcf(rows))
    with ExitStack() as stack:
        files = tmp_path / "s.chain", write_fasta({"chrT": target}, "t.fa")
        step = open_step(stack, *files, origin, vcf=write_vcf(rows))
        found = [step(variants.iloc[row : row + 1]) for row in range(3)]
    assert found[0][0]["pos"].tolist() == [25]
    assert found[2][1]["code"].tolist() == ["lift_duplicate"]


@pytest.mark.parametrize("with_source", [False, True])
def test_round_trip_is_reported(
    tmp_path: Path,
    write_fasta: Callable[..., Path],
    write_vcf: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
    with_source: bool,
) -> None:
    source = random_bases(60, 3) + "CACACA" + random_bases(60, 4)
    pair = make_pair(source, Edit(60, "CA", ""), inverted=True)
    (tmp_path / "there.chain").write_text(pair.chain)
    (tmp_path / "back.chain").write_text(pair.back)
    target, origin = write_fasta({"chrT": pair.target}, "t.fa"), write_fasta({"S": source}, "s.fa")
    rows: list[tuple[object, ...]] = [
        ("S", pos, ".", source[pos - 1], "ACGT"["CGTA".index(source[pos - 1])]) for pos in range(20, 110, 3)
    ]
    rows += [("S", pos, ".", source[pos - 1 : pos + 3], source[pos - 1]) for pos in (10, 30, 90)]
    rows += [("S", pos, ".", source[pos - 1], source[pos - 1] + "GAT") for pos in (12, 33, 95)]
    settings_ = LiftoverSettings(source_fasta=origin if with_source else None)
    out = tmp_path / "o.vcf.gz"
    caplog.set_level("INFO")
    liftover_variants(
        write_vcf(rows), tmp_path / "there.chain", target, out, tmp_path / "r.tsv", settings_, tmp_path / "back.chain"
    )
    receipt = json.loads(out.with_name(out.name + ".receipt.json").read_text())["identity"]
    trip = receipt["round_trip"]
    compared = "place and bases" if with_source else "place"
    assert trip == {
        "alleles": receipt["alleles"]["kept"],
        "returned": trip["alleles"],
        "share": 1.0,
        "compared": compared,
    }
    assert trip["alleles"] >= len(rows) - 3
    assert f"return to the same {compared} (100.00 %)" in caplog.text
    assert caplog.messages[-1].startswith(f"liftover: {len(rows)} alleles in, ")
    # A chain that leads elsewhere brings nothing back.
    (tmp_path / "shifted.chain").write_text(f"chain 1 chrT {len(pair.target)} + 0 100 chrS 9999 + 500 600 1\n100\n")
    liftover_variants(
        write_vcf(rows),
        tmp_path / "there.chain",
        target,
        out,
        tmp_path / "r.tsv",
        settings_,
        tmp_path / "shifted.chain",
    )
    receipt = json.loads(out.with_name(out.name + ".receipt.json").read_text())["identity"]
    assert receipt["round_trip"]["returned"] == 0


def test_a_chain_of_another_assembly_is_noticed(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    pair = make_assemblies(SEGMENTS)
    (tmp_path / "s.chain").write_text(pair.chain)
    variants, _ = read_variants(write_vcf([], header=False))
    target = write_fasta({"chrT": pair.target}, "t.fa")
    lift_variants(variants, tmp_path / "s.chain", target)
    assert "are they of the same assembly?" not in caplog.text
    other = LiftoverSettings(source_fasta=write_fasta({"S": pair.source + "A"}, "s.fa"))
    lift_variants(variants, tmp_path / "s.chain", target, other)
    assert "are they of the same assembly?" in caplog.text
    caplog.clear()
    lift_variants(variants, tmp_path / "s.chain", write_fasta({"chrT": pair.target + "A"}))
    assert "are they of the same assembly?" in caplog.text


def test_chains_are_read_as_they_are_written(tmp_path: Path) -> None:
    """Windows line ends, comments, spaces, a header without number, empty blocks, no final newline."""
    text = "#c\r\nchain 1 a 100 + 0 20 b 100 - 0 22\r\n4 2 2\r\n0 1 3\r\n10\t3\t3\r\n\r\n"
    text += "chain 5 a 100 + 30 40 c 50 + 5 15 2\r\n10"
    (tmp_path / "a.chain").write_bytes(text.encode())
    chain = Chain(tmp_path / "a.chain")
    assert chain.source_sizes == {"a": 100}
    assert chain.target_sizes == {"b": 100, "c": 50}
    first, _ = read_chains(tmp_path / "a.chain")
    assert [tuple(block) for block in first.blocks] == [(0, 0, 4), (7, 9, 10)]
    assert chain.hits("a", 1) == [("b", 100, "-")]
    assert chain.hits("a", 8) == [("b", 91, "-")]
    assert chain.hits("a", 6) == []
    assert chain.hits("chra", 31) == [("c", 6, "+")]
    assert chain.hits("d", 1) == []
    columns = chain.blocks["a"]
    assert columns.target.tolist() == [96, 81, 5]


@settings(max_examples=100, deadline=None)
@given(intervals=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=8))
def test_overlaps_are_what_counting_gives(intervals: list[tuple[int, int]]) -> None:
    import numpy as np

    start = np.array([low for low, _ in intervals], dtype=np.int64)
    end = np.array([low + size for low, size in intervals], dtype=np.int64)
    depth = [sum(low <= base < high for low, high in zip(start, end, strict=True)) for base in range(50)]
    found = [base for low, high in zip(*overlaps(start, end), strict=True) for base in range(low, high)]
    assert found == [base for base in range(50) if depth[base] > 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no chain"),
        ("# only a comment\n", "holds no chain"),
        ("chain 1 a 1 + 0 99999999999999999999 b 1 + 0 1 1\n1\n", "line 1: a chain line is"),
        ("chain 1 a 100 + 0 1_0 b 100 + 0 10 1\n10\n", "line 1: a chain line is"),
        ("chain 1 a 999999999999999 + 0 10 b 100 + 0 10 1\n10\n", "outside its contig"),
        ("chain 1 a 100 + 0 10 b 100 + 0 10 1\n" + "9" * 5000 + "\n", "line 2: a block must be"),
        ("100\n", "line 1: a block without its chain line"),
        ("chain 1 a 100 + 0 10 b 100 + 0\n10\n", "line 1: a chain line is"),
        ("chain 1 a 100 + 0 ten b 100 + 0 10 1\n10\n", "line 1: a chain line is"),
        ("chain 1 a 100 - 0 10 b 100 + 0 10 1\n10\n", "strands of a chain"),
        ("chain 1 a 100 + 0 200 b 100 + 0 10 1\n10\n", "outside its contig"),
        ("chain 1 a 100 + 0 10 b 100 + 0 10 1\n5 x 2\n", "line 2: a block must be"),
        ("chain 1 a 100 + 0 10 b 100 + 0 10 1\n9\n", "end at 9 and 9, its chain line says 10 and 10"),
        ("chain 1 a 100 + 0 10 b 100 + 0 10 1\n10\n\n10\n", "line 4: a block without its chain line"),
        ("<html>404</html>\n", "web page"),
    ],
)
def test_broken_chains_are_one_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.chain").write_text(text)
    with pytest.raises(CisweaveError, match=message):
        Chain(tmp_path / "a.chain")


def test_a_chain_the_other_way_round_is_noticed(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    pair = make_assemblies(SEGMENTS)
    (tmp_path / "s.chain").write_text(pair.chain)
    target = write_fasta({"chrT": pair.target})
    bases = {pos: pair.source[pos - 1] for pos in (1, 10, 60)}
    right = [("chrS", pos, ".", base, "A" if base != "A" else "C") for pos, base in bases.items()]
    wrong = [("chrS", pos, ".", "CGTA"["ACGT".index(base)], base) for pos, base in bases.items()]
    for rows, warned in ((right + wrong, False), (right[:2] + wrong, True)):
        variants, _ = read_variants(write_vcf(rows, header=False))
        caplog.clear()
        lift_variants(variants, tmp_path / "s.chain", target)
        assert ("the other way round" in caplog.text) is warned
    assert "3 of 5 alleles find another REF" in caplog.text
