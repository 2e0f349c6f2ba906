"""What every verb says of its paths before it works: one sentence, exit status 2, nothing touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

VCF = "chr1\t3\t.\tA\tC\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "genome.fa").write_text(">chr1\nGGAGGGGG\n")
    (tmp_path / "a.vcf").write_text(VCF)
    return tmp_path


def variants(folder: Path, **options: str) -> subprocess.CompletedProcess[str]:
    words = {"vcf": "a.vcf", "fasta": "genome.fa", "out": "v.tsv", "rejects": "r.tsv"} | options
    command = [sys.executable, "-m", "cisweave", "genome", "normalize"]
    command += [word for name, value in words.items() for word in (f"--{name}", value)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "a.vcf"}, "a.vcf: --out and --vcf are the same file; give each its own"),
        ({"rejects": "./v.tsv"}, "--rejects and --out are the same file"),
        ({"out": "."}, "--out is a folder, a device or a pipe; write the name of a file"),
        ({"rejects": "v.tsv.receipt.json"}, "--rejects and --out's receipt are the same file"),
        ({"rejects": "/dev/null"}, "--rejects is a folder, a device or a pipe; write the name of a file"),
        ({"out": "genome.fa/v.tsv"}, "--out cannot stand below a file"),
        ({"fasta": "."}, "this is a folder; write the path of a file"),
    ],
)
def test_paths_that_cannot_be(folder: Path, options: dict[str, str], message: str) -> None:
    done = variants(folder, **options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "a.vcf").read_text() == VCF
    assert not (folder / "v.tsv").exists()


def test_a_table_that_is_cut_off(folder: Path) -> None:
    assert variants(folder, out="v.tsv.gz").returncode == 0
    whole = (folder / "v.tsv.gz").read_bytes()
    (folder / "cut.tsv.gz").write_bytes(whole[: len(whole) // 2])
    command = [sys.executable, "-m", "cisweave", "genome", "ledger", "--variants", "cut.tsv.gz", "--scored", "v.tsv.gz"]
    command += ["--rejects", "r.tsv", "--out", "l.tsv", "--summary", "l.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cut.tsv.gz: the end marker of bgzip is absent" in done.stderr
