"""The verbs of ``cisweave genome``, one after the other, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import typer
from typer.testing import CliRunner, Result

from cisweave.cli.genome import app
from cisweave.core.errors import CisweaveError
from cisweave.tables.frames import read_table
from tests.genome.assemblies import Segment, make_assemblies

PAIR = make_assemblies([Segment("same", 60), Segment("lost", 10), Segment("inverted", 50), Segment("same", 40)])


def run(*words: object) -> Result:
    plain = typer.Typer(rich_markup_mode=None)
    plain.add_typer(app, name="genome")
    return CliRunner().invoke(plain, ["genome", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def world(tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]) -> Path:
    """A folder with the inputs; the variants are good, rejected by each step, or far from any TSS."""
    write_fasta({"chrS": PAIR.source}, "s.fa")
    write_fasta({"chrT": PAIR.target}, "t.fa")
    (tmp_path / "s.chain").write_text(PAIR.chain)
    (tmp_path / "tss.bed").write_text("chrT\t29\t30\t+\tg1\nchrT\t99\t100\t-\tg2\n")
    rows = [(pos, PAIR.source[pos - 1]) for pos in (5, 28, 66, 75, 119, 150)]
    write_vcf([("chrS", pos, ".", ref, "AC,<DEL>") for pos, ref in rows])
    return tmp_path


def walk(world: Path, settings: str = '{"max_distance": 20}') -> dict[str, object]:
    steps = [
        ["normalize", "--vcf", world / "variants.vcf", "--fasta", world / "s.fa", "--out", world / "v.vcf.gz"],
        ["liftover", "--vcf", world / "v.vcf.gz", "--chain", world / "s.chain", "--fasta", world / "t.fa"],
        ["closest-tss", "--vcf", world / "l.vcf.gz", "--genes", world / "tss.bed", "--settings", settings],
    ]
    steps[1] += ["--out", world / "l.vcf.gz"]
    steps[2] += ["--out", world / "a.parquet"]
    for number, step in enumerate(steps):
        assert run(*step, "--rejects", world / f"r{number}.tsv").exit_code == 0
    rejected = [word for number in range(3) for word in ("--rejects", world / f"r{number}.tsv")]
    ledger = ["ledger", "--variants", world / "v.vcf.gz", *rejected, "--scored", world / "a.parquet"]
    done = run(*ledger, "--out", world / "l.tsv", "--summary", world / "l.json", "--vcf", world / "variants.vcf")
    assert done.exit_code == 0
    return json.loads((world / "l.json").read_text())


def test_verbs_in_a_row(world: Path) -> None:
    summary = walk(world)
    assert summary["alleles"] == 12
    assert summary["stages"] == {"closest_tss": 3, "liftover": 1, "normalize": 6}
    assert summary["reasons"] == {"lift_unmapped": 1, "symbolic_allele": 6, "too_far_from_tss": 3}
    assigned = read_table(world / "a.parquet")
    columns = ["source_pos", "pos", "lift_strand", "gene_id", "dist_to_tss"]
    assert assigned[columns].values.tolist() == [[28, 28, "+", "g1", -2], [75, 106, "-", "g2", 6]]
    for name in ("v.vcf.gz", "l.vcf.gz", "a.parquet", "l.tsv"):
        assert (world / f"{name}.receipt.json").exists()
    extract = ["extract", "--fasta", world / "t.fa", "--variants", world / "a.parquet", "--window", 30]
    assert run(*extract, "--out", world / "x.h5").exit_code == 0
    with h5py.File(world / "x.h5") as store:
        assert store["codes"].shape == (4, 30)


def test_an_empty_vcf_goes_through(world: Path) -> None:
    (world / "variants.vcf").write_text("")
    summary = walk(world)
    assert (summary["records"], summary["alleles"], summary["scored"], summary["rejected"]) == (0, 0, 0, 0)
    done = run("extract", "--fasta", world / "t.fa", "--variants", world / "a.parquet", "--out", world / "x.h5")
    assert done.exit_code == 0


def test_settings_are_checked(world: Path) -> None:
    with pytest.raises(CisweaveError, match="max_distance"):
        walk(world, '{"max_distance": -1}')


@pytest.mark.parametrize(
    ("verb", "phrases"),
    [
        ("normalize", ["(POS 1-based)", "max_allele_length in bases"]),
        ("liftover", ["(positions 1-based)", "UCSC chain"]),
        ("closest-tss", ["tss (1-based)", "dist_to_tss = pos - tss in bases"]),
        ("ledger", ["alleles read = alleles scored + alleles rejected"]),
        ("extract", ["(0-based half-open, one length)", "A 0, C 1, G 2, T 3"]),
    ],
)
def test_help_says_coordinates_and_units(verb: str, phrases: list[str]) -> None:
    text = " ".join(run(verb, "--help").output.split())
    assert [phrase for phrase in phrases if phrase not in text] == []
