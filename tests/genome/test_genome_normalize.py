"""Normalising: contig names, REF policies, left-alignment, formats in and out, order, memory."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysam import bcftools

from cisweave.config import VariantSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome import normalize, stream
from cisweave.genome.alleles import left_align, trim
from cisweave.genome.contigs import ContigNames, read_aliases
from cisweave.genome.normalize import normalize_variants, read_variants
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import read_ledger
from tests.genome.assemblies import apply_allele, random_bases

#         1234567890123456789012345
REPEATS = "GCACACACATTTTTGATCGATNNAC"
WHERE = ["chrom", "pos", "ref", "alt"]


@pytest.fixture
def fasta(write_fasta: Callable[..., Path]) -> Path:
    return write_fasta({"chr1": REPEATS, "chr2": "ACGT" * 10})


def read(vcf: Path, fasta: Path, **keys: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    return read_variants(vcf, fasta, VariantSettings(**keys))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((6, "CAC", "C"), (1, "GCA", "G")),
        ((8, "C", "CAC"), (1, "G", "GCA")),
        ((14, "T", "TT"), (9, "A", "AT")),
        ((14, "TG", "T"), (14, "TG", "T")),
        ((10, "TTT", "TTG"), (12, "T", "G")),
        ((15, "GATC", "GTTC"), (16, "A", "T")),
        ((1, "GC", "G"), (1, "GC", "G")),
        ((1, "GCA", "A"), (1, "GCA", "A")),
        ((25, "C", "CACC"), (24, "A", "ACAC")),
        ((24, "AC", "A"), (24, "AC", "A")),
    ],
)
def test_alleles_are_left_aligned_and_short(
    fasta: Path, write_vcf: Callable[..., Path], row: tuple[int, str, str], expected: tuple[int, str, str]
) -> None:
    pos, ref, alt = row
    kept, _ = read(write_vcf([("chr1", pos, ".", ref, alt)]), fasta)
    assert kept[WHERE].values.tolist() == [["chr1", *expected]]
    assert kept[["source_pos", "source_ref", "source_alt"]].values.tolist() == [[pos, ref, alt]]
    raw, _ = read(write_vcf([("chr1", pos, ".", ref, alt)]), fasta, left_align=False)
    assert raw[WHERE].values.tolist() == [["chr1", pos, ref, alt]]


def test_an_indel_beside_unknown_bases_stays(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    kept, _ = read(write_vcf([("chr1", 24, ".", "A", "AA")]), fasta)
    assert kept[WHERE].values.tolist() == [["chr1", 24, "A", "AA"]]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_left_alignment_keeps_the_haplotype_and_is_final(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    bases = data.draw(st.text("AC", min_size=1, max_size=25))
    start = data.draw(st.integers(0, len(bases) - 1))
    ref = bases[start : start + data.draw(st.integers(1, 4))]
    alt = data.draw(st.text("AC", min_size=1, max_size=4).filter(lambda text: text != ref))
    folder = tmp_path_factory.getbasetemp() / "align"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "g.fa").write_text(f">c\n{bases}\n")
    with Genome(folder / "g.fa") as genome:
        placed = left_align(genome, "c", start + 1, ref, alt)
        assert apply_allele(bases, *placed) == apply_allele(bases, start + 1, ref, alt)
        assert left_align(genome, "c", *placed) == placed
        same = [
            left_align(genome, "c", *trim(pos, bases[pos - 1 : pos - 1 + len(ref)], alt_))
            for pos, alt_ in equivalents(bases, start + 1, ref, alt)
        ]
    assert set(same) <= {placed}


def equivalents(bases: str, pos: int, ref: str, alt: str) -> list[tuple[int, str]]:
    """All ways to write an allele with a REF of the same length."""
    haplotype = apply_allele(bases, pos, ref, alt)
    found = []
    for other in range(1, len(bases) - len(ref) + 2):
        middle = haplotype[other - 1 : other - 1 + len(alt)]
        if haplotype == bases[: other - 1] + middle + bases[other - 1 + len(ref) :]:
            found.append((other, middle))
    return found


def test_left_alignment_agrees_with_bcftools(tmp_path: Path, write_fasta: Callable[..., Path]) -> None:
    """bcftools norm on 1,500 random alleles of a repetitive contig (it lets alleles begin before position 1's base)."""
    generator = random.Random(7)
    bases = "".join(generator.choice(["A", "C", "CA", "GGT", "T"]) for _ in range(600))
    fasta = write_fasta({"chr1": bases})
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID=chr1,length={len(bases)}>",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    for number in range(1500):
        start = generator.randrange(20, len(bases) - 6)
        ref = bases[start : start + generator.randint(1, 5)]
        alt = ref[0] + random_bases(generator.randint(0, 4), number)
        if alt != ref:
            lines.append(f"chr1\t{start + 1}\tv{number}\t{ref}\t{alt}\t.\t.\t.")
    (tmp_path / "in.vcf").write_text("\n".join(lines) + "\n")
    with_bcftools = bcftools.norm("-f", str(fasta), str(tmp_path / "in.vcf"), split_lines=True)
    expected = {tuple(line.split("\t")[:5]) for line in with_bcftools if not line.startswith("#")}
    ours, rejected = read_variants(tmp_path / "in.vcf", fasta)
    found = {(*map(str, row),) for row in ours[["chrom", "pos", "name", "ref", "alt"]].itertuples(index=False)}
    assert set(rejected["code"]) <= {"duplicate"}
    assert found <= expected
    assert len(expected - found) == len(rejected)


def test_swap_exchanges_and_set_rewrites(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    rows = [
        ("chr2", 2, "swapped", "A", "C"),
        ("chr2", 3, "other", "A", "C"),
        ("chr2", 5, "mnv", "TT", "AC"),
        ("chr2", 9, "indel", "AT", "A"),
        ("chr2", 14, "one_of_two", "A", "C,T"),
    ]
    vcf = write_vcf(rows)
    columns = ["name", "ref", "alt", "swapped", "reference_genome_match"]
    kept, rejected = read(vcf, fasta, ref_policy="swap")
    assert kept[columns].values.tolist() == [
        ["swapped", "C", "A", True, True],
        ["mnv", "AC", "TT", True, True],
        ["one_of_two", "C", "A", True, True],
    ]
    assert rejected["code"].tolist() == ["ref_mismatch"] * 3
    assert kept[["source_ref", "source_alt"]].values.tolist() == [["A", "C"], ["TT", "AC"], ["A", "C"]]
    kept, rejected = read(vcf, fasta, ref_policy="set")
    assert kept[columns].values.tolist() == [
        ["swapped", "C", "A", False, True],
        ["other", "G", "C", False, True],
        ["mnv", "AC", "TT", False, True],
        ["indel", "AC", "A", False, True],
        ["one_of_two", "C", "A", False, True],
        ["one_of_two", "C", "T", False, True],
    ]
    assert rejected.empty
    kept, rejected = read(vcf, fasta)
    assert kept.empty
    assert rejected["message"].tolist()[0] == "REF is 'A', the genome has 'C', which is ALT"


def test_compat_seal_warns_and_leaves_indels_alone(
    fasta: Path, write_vcf: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    kept, rejected = read(write_vcf([("chr1", 6, ".", "CAC", "C"), ("chr2", 2, ".", "A", "T")]), fasta, compat="seal")
    assert kept[WHERE].values.tolist() == [["chr1", 6, "CAC", "C"], ["chr2", 2, "A", "T"]]
    assert kept["reference_genome_match"].tolist() == [True, False]
    assert rejected.empty
    assert "1 allele(s) kept" in caplog.text


def test_contigs_go_by_many_names(tmp_path: Path) -> None:
    small = ContigNames({"chr1": 500, "chrM": 100})
    names = ["chr1", "1", "NC_000001.10", "NC_000001.11", "CM000663.2", "MT", "NC_012920.1", "chr2", "NC_000002.11"]
    assert [small.resolve(name) for name in names] == ["chr1"] * 5 + ["chrM"] * 2 + [None] * 2
    hg19 = ContigNames({"chr1": 249250621})
    assert [hg19.resolve(name) for name in ("NC_000001.10", "CM000663.1", "NC_000001.11")] == ["chr1", "chr1", None]
    refseq = ContigNames({"NC_000001.11": 248956422})
    assert [refseq.resolve(name) for name in ("chr1", "1", "CM000663.2")] == ["NC_000001.11"] * 3
    (tmp_path / "a.tsv").write_text("# mine\nchr1\tfirst\tone\n")
    mine = ContigNames({"chr1": 5}, read_aliases(tmp_path / "a.tsv"))
    assert [mine.resolve(name) for name in ("first", "one", "two")] == ["chr1", "chr1", None]
    for text, message in (
        ("chr1\n", "line 1: a row needs two names"),
        ("a\tb\nc\tb\n", "line 2: b is already on line 1"),
    ):
        (tmp_path / "b.tsv").write_text(text)
        with pytest.raises(CisweaveError, match=message):
            read_aliases(tmp_path / "b.tsv")


def test_aliases_come_from_the_settings(tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path]) -> None:
    (tmp_path / "a.tsv").write_text("chr2\tscaffold_7\n")
    vcf = write_vcf([("scaffold_7", 2, ".", "C", "G")])
    assert read(vcf, fasta)[1]["code"].tolist() == ["unknown_contig"]
    assert read(vcf, fasta, aliases=tmp_path / "a.tsv")[0][WHERE].values.tolist() == [["chr2", 2, "C", "G"]]


ROWS = [
    ("chr2", 4, "b", "T", "A,<DEL>"),
    ("chr1", 14, "ins", "T", "TT"),
    ("chr1", 3, "a", "A", "C"),
    ("chr1", 10, "again", "T", "TT"),
    ("chr9", 3, "no", "A", "C"),
]


@pytest.mark.parametrize("name", ["o.vcf", "o.vcf.gz", "o.bcf"])
def test_output_is_a_sorted_vcf_that_leads_back(
    tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path], name: str
) -> None:
    normalize_variants(write_vcf(ROWS), tmp_path / name, tmp_path / "r.tsv", fasta)
    with pysam.VariantFile(str(tmp_path / name)) as written:
        found = [(record.chrom, record.pos, record.id, record.info["CW_RECORD"]) for record in written]
        assert dict(written.header.contigs.items())["chr1"].length == len(REPEATS)
    assert found == [("chr1", 3, "a", 3), ("chr1", 9, "ins", 2), ("chr2", 4, "b", 1)]
    ledger = read_ledger(tmp_path / "r.tsv")
    assert ledger[["line", "position", "code"]].values.tolist() == [
        [3, "4", "symbolic_allele"],
        [6, "10", "duplicate"],
        [7, "3", "unknown_contig"],
    ]
    back, _ = read_variants(tmp_path / name, fasta)
    original, _ = read_variants(write_vcf(ROWS), fasta)
    original = original.sort_values(["chrom", "pos"], ignore_index=True)
    pd.testing.assert_frame_equal(back, original)
    if name.endswith(".gz"):
        with pysam.TabixFile(str(tmp_path / name), index=str(tmp_path / name) + ".csi") as index:
            assert len(list(index.fetch("chr1", 0, 5))) == 1


def test_normalising_again_changes_no_byte(tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path]) -> None:
    first, second = tmp_path / "1.vcf.gz", tmp_path / "2.vcf.gz"
    normalize_variants(write_vcf(ROWS), first, tmp_path / "r.tsv", fasta)
    normalize_variants(first, second, tmp_path / "r.tsv", fasta)
    assert first.read_bytes() == second.read_bytes()
    assert read_ledger(tmp_path / "r.tsv").empty


def test_swapped_twice_is_not_swapped(fasta: Path, tmp_path: Path, write_vcf: Callable[..., Path]) -> None:
    normalize_variants(
        write_vcf([("chr2", 2, ".", "A", "C")]),
        tmp_path / "a.vcf",
        tmp_path / "r.tsv",
        fasta,
        VariantSettings(ref_policy="swap"),
    )
    assert "CW_SOURCE=chr2|2|A|C;CW_MATCH=1;CW_SWAPPED" in (tmp_path / "a.vcf").read_text()
    assert read_variants(tmp_path / "a.vcf", fasta)[0]["swapped"].tolist() == [True]


def test_merged_with_a_stranger_is_an_error(tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path]) -> None:
    normalize_variants(write_vcf(ROWS), tmp_path / "a.vcf", tmp_path / "r.tsv", fasta)
    with (tmp_path / "a.vcf").open("a") as handle:
        handle.write("chr2\t9\t.\tA\tC\t.\t.\t.\n")
    with pytest.raises(CisweaveError, match="some records carry CW_RECORD in INFO and some do not"):
        read_variants(tmp_path / "a.vcf", fasta)


def test_joined_files_are_refused(tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path]) -> None:
    for number, row in enumerate([("chr1", 3, ".", "A", "C"), ("chr2", 2, ".", "C", "G")]):
        normalize_variants(write_vcf([row]), tmp_path / f"{number}.vcf", tmp_path / "r.tsv", fasta)
    second = [line for line in (tmp_path / "1.vcf").read_text().splitlines() if not line.startswith("#")]
    with (tmp_path / "0.vcf").open("a") as handle:
        handle.write("\n".join(second) + "\n")
    with pytest.raises(CisweaveError, match=r"CW_RECORD=1, CW_ALLELE=1 stands in two records: files were joined"):
        read_variants(tmp_path / "0.vcf", fasta)


@pytest.mark.parametrize(
    "source",
    ["chr1|3|C|A%0Achr1", "chr1%0A|3|A|C", "chr1|3|A", "chr1|0|A|C", "|3|A|C", "chr1|3|<DEL>|C", "chr1|1_0|A|C"],
)
def test_forged_sources_are_refused(tmp_path: Path, fasta: Path, source: str) -> None:
    info = f"CW_RECORD=1;CW_ALLELE=1;CW_LINE=1;CW_SOURCE={source}"
    (tmp_path / "f.vcf").write_text(f"chr1\t3\t.\tA\tC\t.\t.\t{info}\n")
    with pytest.raises(CisweaveError, match=r"line 1: INFO/CW_\* is not as cisweave writes it"):
        read_variants(tmp_path / "f.vcf", fasta)


def test_a_users_own_tags_are_left_alone(tmp_path: Path, fasta: Path) -> None:
    (tmp_path / "f.vcf").write_text("chr1\t3\t.\tA\tC\t.\t.\tOLD_CW_RECORD=3\n")
    assert len(read_variants(tmp_path / "f.vcf", fasta)[0]) == 1


def test_letters_for_several_bases_stop_an_indel(
    write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]
) -> None:
    kept, _ = read(write_vcf([("c", 5, ".", "AA", "A")]), write_fasta({"c": "GGRAAAC"}, "iupac.fa"))
    assert kept[WHERE].values.tolist() == [["c", 4, "AA", "A"]]


def test_duplicates_name_the_line_of_the_first(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    _, rejected = read(write_vcf([("chr1", 14, "ins", "T", "TT"), ("chr1", 10, "again", "T", "TT")]), fasta)
    assert rejected["message"].tolist() == ["line 3 has the same allele, chr1:9 'A' > 'AT'"]


@pytest.mark.parametrize("name", ["o.txt", "o.VCF.GZ", "o", "-"])
def test_names_of_no_format_are_refused(tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path], name: str) -> None:
    with pytest.raises(CisweaveError, match=r"the name must end in \.vcf\.gz, "):
        normalize_variants(write_vcf(ROWS), tmp_path / name, tmp_path / "r.tsv", fasta)
    assert not (tmp_path / name).exists()
    assert not (tmp_path / "r.tsv").exists()


def test_files_of_another_kind_are_refused(tmp_path: Path, fasta: Path) -> None:
    with pytest.raises(CisweaveError, match="this is a FASTA"):
        read_variants(fasta)
    (tmp_path / "spaces.vcf").write_text("chr1 3 . A C\n" * 30)
    with pytest.raises(CisweaveError, match="no line has tabs between its columns"):
        read_variants(tmp_path / "spaces.vcf")


def test_compat_goes_with_no_other_policy(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    with pytest.raises(CisweaveError, match="ref_policy swap cannot go with it"):
        read(write_vcf(ROWS), fasta, compat="seal", ref_policy="swap")


def test_standard_input_is_read(tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path]) -> None:
    vcf = write_vcf(ROWS)
    words = ["genome", "normalize", "--fasta", fasta, "--out", tmp_path / "o.vcf", "--rejects", tmp_path / "r.tsv"]
    command = [sys.executable, "-m", "cisweave", *map(str, words), "--vcf", "-"]
    done = subprocess.run(command, input=gzip.compress(vcf.read_bytes()), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        b"normalize: 6 alleles in, 3 kept, 3 rejected (duplicate 1, symbolic_allele 1, unknown_contig 1)" in done.stderr
    )
    normalize_variants(vcf, tmp_path / "p.vcf", tmp_path / "r.tsv", fasta)
    assert (tmp_path / "o.vcf").read_bytes() == (tmp_path / "p.vcf").read_bytes()


def test_a_wrong_index_beside_the_file_does_not_matter(
    tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path]
) -> None:
    vcf = write_vcf([("chr2", 2, ".", "C", "G")])
    pysam.tabix_compress(str(vcf), str(vcf) + ".gz")
    Path(str(vcf) + ".gz.tbi").write_bytes(b"rubbish")
    assert len(read_variants(f"{vcf}.gz", fasta)[0]) == 1


def test_positions_beyond_32_bits_are_kept(write_vcf: Callable[..., Path], tmp_path: Path) -> None:
    vcf = write_vcf([("chr1", 3_000_000_000, ".", "A", "C"), ("chr1", 5, ".", "A", "C")])
    normalize_variants(vcf, tmp_path / "o.vcf", tmp_path / "r.tsv")
    assert read_variants(tmp_path / "o.vcf")[0]["pos"].tolist() == [5, 3_000_000_000]


@pytest.mark.parametrize("in_order", [True, False])
def test_duplicates_are_found_however_far(
    fasta: Path,
    write_fasta: Callable[..., Path],
    write_vcf: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    in_order: bool,
) -> None:
    monkeypatch.setattr(normalize, "REACH", 6)
    bases = random_bases(300, 3)
    fasta = write_fasta({"chr1": bases, "chr2": bases}, "long.fa")
    rows = [("chr1", pos, ".", bases[pos - 1], "T" if bases[pos - 1] != "T" else "G") for pos in range(1, 300)]
    doubled = [row for row in rows for _ in range(2)] if in_order else rows * 2
    kept, rejected = read_variants(write_vcf(doubled), fasta)
    assert (len(kept), len(rejected)) == (299, 299)
    kept, rejected = read_variants(write_vcf([*rows, *(("1", *row[1:]) for row in rows)]), fasta)
    assert (len(kept), len(rejected)) == (299, 299)


def test_sorted_files_are_not_remembered_whole(
    write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]
) -> None:
    seen = normalize.Seen()
    seen.forgets = True
    for pos in range(1, 3_000_000, 100):
        assert seen.add(("chr1", pos, "A", "C"), pos, pos) is None
        assert seen.add(("chr1", pos, "A", "C"), pos, pos + 1) == pos
    assert len(seen._lines) <= normalize.REACH / 100 + 1


def test_chunks_of_any_size_write_the_same(
    tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    normalize_variants(write_vcf(ROWS), tmp_path / "a.vcf", tmp_path / "a.tsv", fasta)
    monkeypatch.setattr(stream.read_chunks, "__defaults__", (1,))
    normalize_variants(write_vcf(ROWS), tmp_path / "b.vcf", tmp_path / "b.tsv", fasta)
    assert (tmp_path / "a.vcf").read_bytes() == (tmp_path / "b.vcf").read_bytes()
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


def test_nothing_is_left_when_reading_fails(tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path]) -> None:
    vcf = write_vcf(ROWS)
    packed = gzip.compress(vcf.read_bytes() * 500)
    vcf.write_bytes(packed[: len(packed) // 2])
    (tmp_path / "out").mkdir()
    with pytest.raises(CisweaveError, match="truncated or damaged"):
        normalize_variants(vcf, tmp_path / "out" / "o.vcf.gz", tmp_path / "out" / "r.tsv", fasta)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_step_that_loses_an_allele_is_an_error(fasta: Path, write_vcf: Callable[..., Path]) -> None:
    chunks = stream.read_chunks(write_vcf([("chr2", 2, ".", "C", "G"), ("chr2", 3, ".", "G", "A")]), "normalize")
    with pytest.raises(CisweaveError, match="the books do not balance: 2 alleles in, 1 kept, 0 rejected"):
        list(stream.apply_step(chunks, lambda frame: (frame.iloc[1:], stream.no_rejections())))


def test_a_vcf_of_another_assembly_is_suspected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    genome = "ACGT" * 50
    (tmp_path / "genome.fa").write_text(f">chr1\n{genome}\n")
    rows = [(4 * row + 1, "A" if row < 3 else "C", "G") for row in range(20)]
    (tmp_path / "other.vcf").write_text("".join(f"chr1\t{pos}\t.\t{ref}\t{alt}\n" for pos, ref, alt in rows))
    with caplog.at_level("WARNING", logger="cisweave"):
        normalize_variants(*(tmp_path / name for name in ("other.vcf", "out.vcf.gz", "rejects.tsv", "genome.fa")))
    assert "is this the assembly of the variants?" in caplog.text
