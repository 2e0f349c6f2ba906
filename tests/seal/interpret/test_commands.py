"""The two verbs, run as a user would."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cisweave.cli.seal import app
from cisweave.core.errors import CisweaveError

WINDOWS = '{"max_shift": 100, "shift_step": 100}'


def run(world, folder, verb, *words):
    files = {name: path for name, path in world.files.items() if name != "variants"}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    options += [
        "--out",
        str(folder / "out"),
        "--tsv",
        str(folder / "out.tsv"),
        "--rejects",
        str(folder / "rejects.tsv"),
    ]
    done = CliRunner().invoke(app, [verb, *options, "--predict", WINDOWS, *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_interpret(world, tmp_path):
    run(
        world, tmp_path, "interpret", "--variants", world.files["variants"], "--method", "kernalShap", "--contexts",
        "Brain,Heart", "--outcome-id", 2, "--compat-prefix", tmp_path / "run", "--engine", '{"batch_size": 2}',
        "--seed", 3, "--settings", '{"top_tracks": 1}',
    )  # fmt: skip
    table = pd.read_parquet(tmp_path / "out")
    assert table.context.unique().tolist() == ["Brain", "Heart"]
    array = np.load(tmp_path / "run_kernalShap_attribution_score_outcome_2.npy")
    np.testing.assert_allclose(array.sum(axis=1), table.score[table.context == "Heart"], atol=1e-6)
    assert pd.read_csv(tmp_path / "out.tsv", sep="\t")["rank"].unique().tolist() == [1]
    receipt = json.loads((tmp_path / "out.receipt.json").read_text())["identity"]
    assert receipt["settings"]["interpret"]["method"] == "kernelShap"
    assert receipt["seed"] == 3
    assert receipt["max_abs_delta"] < 1e-6


def test_attribute_variants_and_genes(world, tmp_path):
    quick = '{"shuffles": 2, "reach": 300}'
    (tmp_path / "genes.txt").write_text("G2\n\n")
    run(
        world, tmp_path, "attribute", "--qc", tmp_path / "qc.tsv", "--gene", "G1", "--genes", tmp_path / "genes.txt",
        "--contexts", "Liver", "--settings", quick, "--bigwig", tmp_path / "tracks",
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


def test_clear_errors(world, tmp_path):
    with pytest.raises(CisweaveError, match="method"):
        run(world, tmp_path, "interpret", "--variants", world.files["variants"], "--method", "magic")
    (tmp_path / "genes.txt").write_text("\n")
    with pytest.raises(CisweaveError, match="names no gene"):
        run(world, tmp_path, "attribute", "--qc", tmp_path / "qc.tsv", "--genes", tmp_path / "genes.txt")
