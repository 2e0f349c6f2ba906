from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisweave.core.errors import CisweaveError
from cisweave.genome.chain import Chain, read_chains
from cisweave.genome.liftover import LiftedAllele, left_align, lift_allele, lift_variants, liftover_variants
from cisweave.genome.reasons import Reason
from cisweave.genome.table import read_variant_table, write_variant_table
from cisweave.genome.variants import Rejection, read_variants
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import read_ledger
from tests.genome.assemblies import Assemblies, Segment, apply_allele, make_assemblies, random_bases, reverse_complement

SEGMENTS = [
    Segment("gained", 7),
    Segment("same", 40),
    Segment("lost", 6),
    Segment("same", 30),
    Segment("inverted", 45),
    Segment("gained", 11),
    Segment("same", 25),
]


@pytest.fixture
def lift(tmp_path: Path, write_fasta: Callable[..., Path]) -> Callable[..., LiftedAllele | Rejection]:
    """A function that lifts an allele between given assemblies."""

    def run(pair: Assemblies, pos: int, ref: str, alt: str, target: str | None = None, chain: str | None = None):
        (tmp_path / "s.chain").write_text(pair.chain if chain is None else chain)
        fasta = tmp_path / "target.fa"
        for old in tmp_path.glob("target.fa*"):
            old.unlink()
        write_fasta({"chrT": target or pair.target}, fasta.name)
        with Genome(fasta) as genome:
            return lift_allele(Chain(tmp_path / "s.chain"), genome, "chrS", pos, ref, alt)

    return run


def expected_haplotype(pair: Assemblies, pos: int, ref: str, alt: str) -> str:
    """The target with the allele put into the block it lies in, by plain string work on the source."""
    for start, end, to, strand in pair.blocks:
        if start < pos and pos - 1 + len(ref) <= end:
            edited = apply_allele(pair.source, pos, ref, alt)[start : end + len(alt) - len(ref)]
            edited = edited if strand == "+" else reverse_complement(edited)
            return pair.target[:to] + edited + pair.target[to + end - start :]
    raise AssertionError("the allele lies in no single block")


def in_one_block(pair: Assemblies, pos: int, length: int) -> bool:
    return any(start < pos and pos - 1 + length <= end for start, end, _, _ in pair.blocks)


def test_snv_on_each_kind_of_block(lift: Callable[..., LiftedAllele | Rejection]) -> None:
    pair = make_assemblies(SEGMENTS)
    first = pair.source[9]
    assert lift(pair, 10, first, "N") == LiftedAllele("chrT", 17, first, "N", "+")
    after_gap = pair.source[49]
    assert lift(pair, 50, after_gap, "N") == LiftedAllele("chrT", 51, after_gap, "N", "+")
    # The inverted block holds source 77..121 (1-based) and target 78..122: 77 lies at 122.
    inverted = pair.source[76]
    assert lift(pair, 77, inverted, "N") == LiftedAllele("chrT", 122, reverse_complement(inverted), "N", "-")


def test_deletion_on_the_inverted_block_is_anchored_anew(lift: Callable[..., LiftedAllele | Rejection]) -> None:
    source = "ACGT" * 3 + "CAGATTC" + "GGTT"
    pair = make_assemblies([Segment("same", 12), Segment("inverted", 7), Segment("same", 4)], bases=source)
    assert pair.target == "ACGT" * 3 + "GAATCTG" + "GGTT"
    # Source A[GA]: target (TC)T, its anchor now on the left: A[TC].
    assert lift(pair, 14, "AGA", "A") == LiftedAllele("chrT", 15, "ATC", "A", "-")
    # Insertion of CC behind the source's first A: GG before the target's T of 'CTG', after its C.
    assert lift(pair, 14, "A", "ACC") == LiftedAllele("chrT", 17, "C", "CGG", "-")
    # A substitution of several bases needs no anchor.
    assert lift(pair, 14, "AG", "TT") == LiftedAllele("chrT", 17, "CT", "AA", "-")


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
    if not in_one_block(pair, pos, len(ref)):
        assert isinstance(lifted, Rejection)
        assert lifted.reason in (Reason.LIFT_UNMAPPED, Reason.LIFT_SPLIT)
        return
    assert isinstance(lifted, LiftedAllele)
    haplotype = apply_allele(pair.target, lifted.pos, lifted.ref, lifted.alt)
    assert haplotype == expected_haplotype(pair, pos, ref, alt)
    if lifted.strand == "+":
        assert (lifted.ref, lifted.alt) == (ref, alt)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bases=st.text("AC", min_size=3, max_size=14), data=st.data())
def test_left_aligned_indels_are_leftmost_and_shortest(
    write_fasta: Callable[..., Path], tmp_path: Path, bases: str, data: st.DataObject
) -> None:
    pos = data.draw(st.integers(1, len(bases)))
    ref = bases[pos - 1 : pos - 1 + data.draw(st.integers(1, 4))]
    alt = data.draw(st.text("AC", min_size=1, max_size=4).filter(lambda text: len(text) != len(ref)))
    for old in tmp_path.glob("genome.fa*"):
        old.unlink()
    with Genome(write_fasta({"chrT": bases})) as genome:
        aligned = left_align(genome, "chrT", pos, ref, alt)
        assert left_align(genome, "chrT", *aligned) == aligned
    haplotype = apply_allele(bases, pos, ref, alt)
    change = len(haplotype) - len(bases)
    # Every way to write the same haplotype: the shortest alleles, and of these the leftmost.
    ways = [
        (len(bases[start:end]), start + 1, bases[start:end], haplotype[start : end + change])
        for start in range(len(bases))
        for end in range(start + 1, len(bases) + 1)
        if end + change > start and haplotype[:start] == bases[:start] and haplotype[end + change :] == bases[end:]
    ]
    _, *best = min(ways)
    assert list(aligned) == best


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
    swapped = lift(pair, 10, pair.source[9], other, target=changed)
    assert isinstance(swapped, Rejection)
    assert swapped.detail.endswith(", which is ALT")


def test_tables_keep_order_and_account_for_all(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]
) -> None:
    pair = make_assemblies(SEGMENTS)
    source, target = write_fasta({"chrS": pair.source}, "s.fa"), write_fasta({"chrT": pair.target}, "t.fa")
    with gzip.open(tmp_path / "s.chain.gz", "wt") as handle:
        handle.write(pair.chain)
    rows = [("chrS", pos, ".", base, "A,C,G,T") for pos, base in enumerate(pair.source, start=1)]
    variants, _ = read_variants(write_vcf(rows), source)
    write_variant_table(variants, tmp_path / "v.parquet")
    out, ledger = tmp_path / "lifted.parquet", tmp_path / "rejected.tsv"
    liftover_variants(tmp_path / "v.parquet", tmp_path / "s.chain.gz", target, out, ledger)
    lifted, rejected = read_variant_table(out, ["lift_strand"]), read_ledger(ledger)
    assert len(lifted) == 3 * (len(pair.source) - 6)
    assert len(rejected) == 3 * 6
    assert rejected["source_pos"].astype(int).unique().tolist() == list(range(41, 47))
    assert lifted["record"].is_monotonic_increasing
    assert lifted["reference_genome_match"].all()
    assert (lifted["lift_strand"] == "-").sum() == 3 * 45
    for row in lifted.itertuples():
        assert pair.target[row.pos - 1] == row.ref


def test_nothing_to_lift_and_nothing_lifted(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]
) -> None:
    pair = make_assemblies(SEGMENTS)
    target = write_fasta({"chrT": pair.target})
    (tmp_path / "s.chain").write_text(pair.chain)
    for rows, number in (([], 0), ([("chr7", 5, ".", "A", "C")], 1)):
        variants, _ = read_variants(write_vcf(rows, header=False))
        lifted, rejected = lift_variants(variants, tmp_path / "s.chain", target)
        assert lifted.empty
        assert "lift_strand" in lifted
        assert rejected["reason"].tolist() == ["lift_unmapped"] * number


def test_a_chain_of_another_assembly_is_noticed(
    tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    pair = make_assemblies(SEGMENTS)
    (tmp_path / "s.chain").write_text(pair.chain)
    variants, _ = read_variants(write_vcf([], header=False))
    lift_variants(variants, tmp_path / "s.chain", write_fasta({"chrT": pair.target + "A"}))
    assert "are they of the same assembly?" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no chain"),
        ("# only a comment\n", "holds no chain"),
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
        read_chains(tmp_path / "a.chain")


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
