"""FASTA files that are none, or not what their index says: one clear message or right bases, never a traceback."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pysam
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.sequence import Genome, decode

FASTA = ">chr1 first\nACGTNacgtn\nAAAA\n>chr2\nGGGGCCCC\n>chr3\nTT\n"
CHR1, CHR2 = "ACGTNACGTNAAAA", "GGGGCCCC"


def written(path: Path, content: bytes | str, packed: bool = False) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if not packed:
        return path
    pysam.tabix_compress(str(path), str(path) + ".gz", force=True)
    return path.with_name(path.name + ".gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "this file is empty"),
        ("\n\n\n", "not a FASTA"),
        (bytes(range(256)), "not a FASTA"),
        ("<!DOCTYPE html><html><body>404</body></html>", "web page"),
        ("@read\nACGT\n+\nIIII\n", "not a FASTA"),
        ("chr1\t0\t1\n", "not a FASTA"),
        (">chr1\n", "no index could be made|holds no bases"),
        (">chr1\nACGT\nACGTA\nAC\n", "lines of one length"),
        (">chr1\nACGT\n\nAC\n", "lines of one length|does not fit"),
        (">chr1\nAC\0T\nACGT\n", "no index|does not fit"),
        (">chr1\nAC GT\nACGT\n", "does not fit"),
        (">chr1\nACÿGT\nACGT\n", "does not fit|no index"),
        (">\nACGT\n", "no name"),
        (">a\nACGT\n>a\nGGGG\n>b\nTT\n", "contig a stands twice"),
        (">b\nTT\n>a\nACGT\n>a\nGGGG\n", "contig a stands twice"),
        (">a\rACGT\rAC\r", "no index"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_files_that_are_no_fasta(tmp_path: Path, content: bytes | str, message: str, packed: bool) -> None:
    path = written(tmp_path / "g.fa", content, packed)
    with pytest.raises(CisweaveError, match=message):
        Genome(path)


def test_a_folder_and_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="folder"):
        Genome(tmp_path)
    with pytest.raises(CisweaveError, match="does not exist"):
        Genome(tmp_path / "none.fa")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        FASTA,
        FASTA.replace("\n", "\r\n"),
        FASTA.removesuffix("\n"),
        "\n\n" + FASTA,
        FASTA + "\n\n",
        FASTA.replace(">chr2", "\n>chr2"),
        FASTA.replace(">chr2", ">empty\n>chr2"),
    ],
)
def test_ways_to_write_a_fasta(tmp_path: Path, content: str, packed: bool) -> None:
    path = written(tmp_path / "g.fa", content, packed)
    for _ in range(2):  # the second time with the index of the first
        with Genome(path) as genome:
            assert {name: length for name, length in genome.contigs.items() if length} == {
                "chr1": 14, "chr2": 8, "chr3": 2,
            }  # fmt: skip
            assert genome.fetch("chr1", 0, 14) == CHR1
            many = genome.bulk_codes(["chr2"] * 300_000, np.full(300_000, -1), 10)
            assert {decode(row) for row in many[::1000]} == {"N" + CHR2 + "N"}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("14\t", "15\t"), "does not fit"),
        (lambda text: text.replace("14\t", "1400\t"), "does not fit"),
        (lambda text: text.replace("chr2", "chrX"), "does not fit"),
        (lambda text: text.splitlines(keepends=True)[0], "does not fit"),
        (lambda text: "".join(text.splitlines(keepends=True)[1:]), "does not fit"),
        (lambda text: text + text, "stands twice"),
        (lambda text: "", "holds no bases"),
        (lambda text: "\x00\x01", "not a line of a FASTA index"),
        (lambda text: text.replace("\t10\t11", "\t0\t0"), "not a line of a FASTA index"),
        (lambda text: text.replace("\t14\t", "\t-14\t"), "not a line of a FASTA index"),
        (lambda text: "<html>\n", "not a line of a FASTA index"),
        (lambda text: "other\t5000000\t7\t60\t61\n", "does not fit"),
    ],
)
def test_an_index_of_another_file(tmp_path: Path, change, message: str, packed: bool) -> None:
    path = written(tmp_path / "g.fa", FASTA, packed)
    Genome(path).close()
    index = path.with_name(path.name + ".fai")
    index.write_text(change(index.read_text()))
    with pytest.raises(CisweaveError, match=message):
        Genome(path)


def test_a_fasta_cut_off_after_it_was_indexed(tmp_path: Path) -> None:
    path = written(tmp_path / "g.fa", FASTA)
    Genome(path).close()
    for size in range(1, len(FASTA) - 2):
        path.write_text(FASTA[:size])
        stamp = (path.with_name("g.fa.fai").stat().st_mtime - 10,) * 2
        os.utime(path, stamp)
        with pytest.raises(CisweaveError, match=r"does not fit|not a FASTA"):
            Genome(path)


def test_a_bgzip_file_cut_off(tmp_path: Path) -> None:
    path = written(tmp_path / "g.fa", ">chr1\n" + "ACGT" * 50_000 + "\n", packed=True)
    content = path.read_bytes()
    for size in random.Random(0).sample(range(20, len(content)), 20):
        path.write_bytes(content[:size])
        for suffix in (".fai", ".gzi"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        with pytest.raises(CisweaveError, match=r"truncated|damaged"):
            Genome(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("part", ["fasta", "fai", "gzi"])
def test_damaged_bytes_never_give_a_traceback(tmp_path: Path, packed: bool, part: str) -> None:
    choose = random.Random(1)
    bases = "".join(choose.choices("ACGT", k=3000))
    lines = "\n".join(bases[i : i + 60] for i in range(0, 3000, 60))
    path = written(tmp_path / "g.fa", f">chr1\n{lines}\n>chr2\n{lines}\n", packed)
    Genome(path).close()
    target = path if part == "fasta" else path.with_name(f"{path.name}.{part}")
    if not target.exists():
        return
    others = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for _ in range(150):
        for file, content in others.items():
            file.write_bytes(content)
        content = bytearray(others[target])
        for _ in range(choose.randint(1, 4)):
            content[choose.randrange(len(content))] = choose.randrange(256)
        target.write_bytes(content[: choose.choice([len(content), len(content), choose.randrange(len(content))])])
        os.utime(path.with_name(path.name + ".fai"))
        try:
            with Genome(path) as genome:
                for chrom, length in genome.contigs.items():
                    assert len(genome.fetch(chrom, 0, min(length, 10_000))) == min(length, 10_000)
                    assert genome.bulk_codes([chrom] * 1100, np.arange(1100), 2000).shape == (1100, 2000)
        except CisweaveError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017


def test_near_by_intervals_are_those_of_the_file(tmp_path: Path) -> None:
    choose = random.Random(2)
    bases = {name: "".join(choose.choices("ACGTN", k=length)) for name, length in (("a", 200_000), ("b", 70_000))}
    path = written(tmp_path / "g.fa", "".join(f">{name}\n{text}\n" for name, text in bases.items()))
    with Genome(path) as genome:
        place = {"a": 0, "b": 0}
        for _ in range(5000):
            chrom = choose.choices("ab", [9, 1])[0]
            place[chrom] = max(-20, place[chrom] + choose.choice([1, 3, 40, -30, 5000, -9000]))
            start = min(place[chrom], len(bases[chrom]) + 10)
            end = start + choose.choice([0, 1, 2, 50, 2100, 10_000])
            expected = "".join(bases[chrom][max(start, 0) : max(end, 0)])
            expected = "N" * (min(end, 0) - min(start, 0)) + expected
            assert genome.fetch(chrom, start, end) == expected + "N" * (end - start - len(expected))
