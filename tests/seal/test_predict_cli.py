"""The verbs predict and gather from the command line."""

import subprocess
import sys

import pandas as pd
import pytest

from tests.seal.small import build, variant_table

SETTINGS = '{"max_shift": 100, "shift_step": 100}'


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Models, profiles and variants in a folder."""
    folder = tmp_path_factory.mktemp("cli")
    variant_table(build(folder)).to_parquet(folder / "variants.parquet")
    return folder


def cisweave(folder, *words):
    command = [sys.executable, "-m", "cisweave", "seal", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def predict(folder, out, *words, settings=SETTINGS):
    options = ["--variants", "variants.parquet", "--fasta", "genome.fa", "--profiles", "profiles.h5"]
    options += ["--chromatin", "chromatin", "--model", "model", "--settings", settings, "--device", "cpu"]
    options += ["--out", f"{out}/effects.parquet", "--chromatin-effects", f"{out}/chromatin_effects.parquet"]
    return cisweave(folder, "predict", *options, "--rejects", f"{out}/rejects.tsv", *words)


@pytest.mark.slow
def test_parts_and_their_gathering(world):
    for number in (1, 2):
        done = predict(world, f"part{number}", "--part", f"{number}/2")
        assert done.returncode == 0, done.stderr
        assert f"seal_predict: {3 if number == 1 else 4} alleles in" in done.stderr
    words = ["--out", "effects.parquet", "--chromatin-effects", "tracks.parquet", "--rejects", "rejects.tsv"]
    words += ["--tsv", "effects.tsv", "--annotated-vcf", "effects.vcf.gz", "--best", "best.tsv.gz"]
    done = cisweave(world, "gather", "part2/effects.parquet", "part1/effects.parquet", *words)
    assert done.returncode == 0, done.stderr
    assert "seal_gather: 7 alleles in, 7 kept, 0 rejected" in done.stderr
    assert pd.read_parquet(world / "effects.parquet")["record"].tolist() == list(range(1, 8))
    assert len(pd.read_csv(world / "best.tsv.gz", sep="\t")) == 7
    assert (world / "effects.vcf.gz.csi").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--part", "3/2"], "part 3/2 does not exist"),
        (["--part", "two"], "'two' is not a part"),
        (["--mode", "haplotype", "--compat", "seal"], "compat: seal goes with mode: seal"),
        (["--tsv", "x/effects.parquet"], "--tsv and --out are the same file"),
        (["--best", "genome.fa"], "--best and --fasta are the same file"),
        (["--annotated-vcf", "effects.xlsx"], "the name must end in .vcf.gz"),
        (["--context-annotation", "absent.tsv"], "absent.tsv: this file does not exist"),
    ],
)
def test_mistakes_are_one_message(world, words, message):
    done = predict(world, "x", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (world / "x/effects.parquet").exists()
