"""The two verbs, run as a user would."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cisweave.cli import build
from cisweave.core.errors import CisweaveError

WINDOWS = '{"max_shift": 100, "shift_step": 100}'


def run(world, folder, verb, *words):
    files = {name: path for name, path in world.files.items() if name != "variants"}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    options += [
        "--out",
        str(folder / "out"),
        "--strongest" if verb == "interpret" else "--loci",
        str(folder / "out.tsv"),
        "--rejects",
        str(folder / "rejects.tsv"),
    ]
    line = ["seal", verb, *options, "--predict", WINDOWS, *map(str, words)]
    done = CliRunner().invoke(build(["seal"]), line, catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_interpret(world, tmp_path):
    for _ in range(2):  # the same line again writes the same files anew
        run(
            world, tmp_path, "interpret", "--variants", world.files["variants"], "--method", "kernalShap",
            "--contexts", "Brain,Heart", "--outcome-id", 2, "--compat-prefix", tmp_path / "run",
            "--engine", '{"batch_size": 2}', "--seed", 3, "--settings", '{"top_tracks": 1}',
        )  # fmt: skip
    table = pd.read_parquet(tmp_path / "out")
    assert table.context.unique().tolist() == ["Brain", "Heart"]
    array = np.load(tmp_path / "run_kernalShap_attribution_score_outcome_2.npy")
    np.testing.assert_allclose(array.sum(axis=1), table.score[table.context == "Heart"], atol=1e-6)
    assert pd.read_csv(tmp_path / "out.tsv", sep="\t")["rank"].unique().tolist() == [1]
    receipt = json.loads((tmp_path / "out.receipt.json").read_text())["identity"]
    assert receipt["settings"]["method"] == "kernelShap"
    assert receipt["seed"] == 3
    assert receipt["max_abs_delta"] < 1e-6


def test_attribute_variants_and_genes(world, tmp_path):
    quick = '{"shuffles": 2, "reach": 300}'
    (tmp_path / "genes.txt").write_text("G2\n\n")
    for _ in range(2):
        run(
            world, tmp_path, "attribute", "--qc", tmp_path / "qc.tsv", "--gene", "G1",
            "--gene-list", tmp_path / "genes.txt", "--contexts", "Liver", "--settings", quick,
            "--bigwig-folder", tmp_path / "tracks",
        )  # fmt: skip
    quality = pd.read_csv(tmp_path / "qc.tsv", sep="\t")
    assert quality[["gene_id", "track"]].to_numpy().tolist() == [["G1", "Liver"], ["G2", "Liver"]]
    assert (tmp_path / "tracks/Liver.bw").is_file()
    world.variants.iloc[:1].to_parquet(tmp_path / "one.parquet")
    run(
        world, tmp_path, "attribute", "--qc", tmp_path / "qc.tsv", "--variants", tmp_path / "one.parquet",
        "--method", "integratedGradients", "--settings", quick,
    )  # fmt: skip
    assert pd.read_csv(tmp_path / "qc.tsv", sep="\t").allele.tolist() == ["ref", "alt"]


def test_the_shifts_by_an_option(world, tmp_path):
    words = "interpret", "--variants", world.files["variants"]
    for name, more in (("shifted", []), ("middle", ["--max-shift", 0])):
        run(world, tmp_path / name, *words, *more)
    receipt = json.loads((tmp_path / "middle/out.receipt.json").read_text())["identity"]
    assert receipt["settings"]["windows"]["max_shift"] == 0
    assert receipt["settings"]["windows"]["shift_step"] == 100
    shifted, middle = (pd.read_parquet(tmp_path / name / "out").score for name in ("shifted", "middle"))
    assert np.abs(shifted - middle).max() > 1e-4
    with pytest.raises(CisweaveError, match=r"max_shift \(50\) must be a multiple of shift_step \(100\)"):
        run(world, tmp_path, *words, "--max-shift", 50)


def test_clear_errors(world, tmp_path):
    with pytest.raises(AssertionError, match="'magic' is not one of 'saliency'"):
        run(world, tmp_path, "interpret", "--variants", world.files["variants"], "--method", "magic")
    (tmp_path / "genes.txt").write_text("\n")
    with pytest.raises(CisweaveError, match="names no gene"):
        run(world, tmp_path, "attribute", "--qc", tmp_path / "qc.tsv", "--gene-list", tmp_path / "genes.txt")
    words = ["--gene", "G1", "--bigwig-folder", tmp_path / "genes.txt"]
    with pytest.raises(CisweaveError, match="--bigwig-folder is a file"):
        run(world, tmp_path, "attribute", "--qc", tmp_path / "qc.tsv", *words)
