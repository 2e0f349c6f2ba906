"""Damaged files: a few hundred of the ten thousand that ``make check-genome`` tries."""

from __future__ import annotations

import gzip
import logging
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cisweave.core.errors import CisweaveError
from cisweave.genome.normalize import normalize_variants
from cisweave.genome.table import read_variant_table
from cisweave.motifs.meme import read_meme
from tests.checks_genome import fuzz, journeys
from tests.checks_genome.mutations import mutate_text, write_packed

CASES = 300


def test_damaged_files_are_refused_or_used_right() -> None:
    report = fuzz.fuzz(CASES, seed=0, jobs=2)
    assert report.failures == []
    assert CASES // 4 < report.refused < CASES


def test_damaged_files_on_the_command_line() -> None:
    assert fuzz.fuzz_commands(6, seed=0) == []


def test_the_same_seed_gives_the_same_damage(tmp_path: Path) -> None:
    text = b"chr1\t5\t.\tA\tC\n" * 20
    made = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        rng = random.Random("1:1")
        path = write_packed(rng, mutate_text(rng, text), tmp_path / folder / "v.vcf")
        made.append((path.name, path.read_bytes()))
    assert made[0] == made[1]


def raise_key_error(journey: journeys.Journey) -> None:
    journey.step("read", [], lambda: {}["no such key"])


def leave_a_file(journey: journeys.Journey) -> None:
    def write() -> None:
        (journey.out / "half").write_text("x")
        raise CisweaveError("no")

    journey.step("write", ["whole"], write)


def lose_an_allele(journey: journeys.Journey) -> None:
    (journey.out / "1.tsv").write_text("record\tallele\n2\t1\n")
    journey.check_same([(1, 1), (2, 1), (3, 1)], [(1, 1)], "1.tsv")


def never_end(journey: journeys.Journey) -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (raise_key_error, "KeyError: 'no such key'"),
        (leave_a_file, r"write failed and left \['half'\]"),
        (lose_an_allele, "3 alleles in, 1 kept, 1 rejected"),
        (never_end, "HangError: hangs"),
    ],
)
def test_the_fuzzer_notices(
    action: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored: None
) -> None:
    monkeypatch.setattr(fuzz, "CASE_SECONDS", 0.2)
    monkeypatch.setattr(journeys, "KINDS", {"broken": (1, action)})
    problem, _ = fuzz.Fuzzer(1, tmp_path).run(7)
    assert re.match(rf"case 7 \(broken\): .*{message}", problem)


def test_a_crash_of_the_process_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    command = "import os, sys; print('{\"case\": 0}', flush=True); os.abort()"
    monkeypatch.setattr(fuzz, "command_of", lambda *words: [sys.executable, "-c", command])
    report = fuzz.fuzz(1, jobs=1)
    assert report.failures == ["case 0: dies of signal 6"]


@pytest.fixture
def restored() -> Iterator[None]:
    """Undo what a fuzzer changes in its process."""
    logger = logging.getLogger("cisweave")
    before = (logger.handlers, logger.propagate, logger.level, tempfile.tempdir)
    yield
    logger.handlers, logger.propagate, logger.level, tempfile.tempdir = before


# --- what it found ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("record", "0"),
        ("allele", "2147483648"),
        ("line", "99999999999999999999999"),
        ("pos", "0"),
        ("ref", "N"),
        ("alt", "a"),
        ("source_alt", "<DEL>"),
        ("chrom", "chr 1"),
        ("name", '"a\tb"'),
        ("lift_strand", "."),
    ],
)
def test_a_variant_table_holds_what_cisweave_writes(tmp_path: Path, column: str, value: str) -> None:
    (tmp_path / "v.vcf").write_text("chr1\t5\t.\tA\tC\nchr1\t6\t.\tA\tC\n")
    table = tmp_path / "t.tsv"
    normalize_variants(tmp_path / "v.vcf", table, tmp_path / "r.tsv")
    assert len(read_variant_table(table)) == 2
    header, first, second = (line.split("\t") for line in table.read_text().splitlines())
    second[header.index(column)] = value
    table.write_text("".join("\t".join(line) + "\n" for line in (header, first, second)))
    with pytest.raises(CisweaveError, match=rf"column {column} "):
        read_variant_table(table)


def test_nothing_is_left_while_the_error_is_still_held(tmp_path: Path) -> None:
    (tmp_path / "v.vcf").write_bytes(b"chr1\t5\t.\tA\tC\n\x00\n")
    (tmp_path / "out").mkdir()
    with pytest.raises(CisweaveError, match="line 2: NUL bytes") as held:
        normalize_variants(tmp_path / "v.vcf", tmp_path / "out/v.vcf", tmp_path / "out/r.tsv")
    assert held.tb is not None
    assert list((tmp_path / "out").iterdir()) == []


def test_a_vcf_that_cannot_be_written_leaves_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "v.vcf").write_text("chr1\t999999999999999\t.\tA\tC\n")
    for name, message in (("o.bcf", "a BCF holds no position beyond 2147483647"), ("o.vcf.gz", "cannot be written")):
        with pytest.raises(CisweaveError, match=message):
            normalize_variants(tmp_path / "v.vcf", tmp_path / name, tmp_path / "r.tsv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.vcf"]


def test_messages_can_be_shown() -> None:
    assert str(CisweaveError("a\x1b[31mb\x00 é\n")) == "a?[31mb? é"
    assert len(str(CisweaveError("x" * 100_000))) < 4000


def test_damaged_motifs_are_one_message(tmp_path: Path) -> None:
    path = tmp_path / "m.meme.gz"
    path.write_bytes(gzip.compress(b"MEME version 4\n" * 500)[:-20])
    with pytest.raises(CisweaveError, match="truncated or damaged"):
        read_meme(path)
