"""The verbs that train, as a user types them."""

import json

import pytest
import typer
from typer.testing import CliRunner

from cisweave.cli.seal import app
from cisweave.core.errors import CisweaveError
from cisweave.models.folders import load_model
from cisweave.tables.frames import read_table
from tests.seal.expression_world import SPECIFIC, make_world

SETTINGS = {
    "hidden": 8, "valid_chromosomes": ["chr2"], "test_chromosomes": ["chr3"], "bootstrap": 20,
    "pretrain": {"max_epochs": 2}, "finetune": {"max_epochs": 2},
}  # fmt: skip
QUIET = '{"csv_log": false, "tensorboard": false}'


def run(*words):
    plain = typer.Typer(rich_markup_mode=None)
    plain.add_typer(app, name="seal")
    return CliRunner().invoke(plain, ["seal", *map(str, words)], catch_exceptions=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("commands"))


def options(world, expression="tissue"):
    return ["--profiles", world / "profiles.h5", "--expression", world / f"{expression}.tsv", "--device", "cpu",
            "--settings", json.dumps(SETTINGS), "--training", QUIET]  # fmt: skip


def test_train_with_every_option(world, tmp_path):
    (tmp_path / "groups.tsv").write_text("front\t1,2\nback\t3\n")
    done = run(
        "train", *options(world), "--general-expression", world / "general.tsv", "--model", tmp_path / "tissue",
        "--pretrained-model", tmp_path / "general", "--general-contexts", "Brain", "--contexts", "Striatum,Cortex",
        "--genes", world / "genes.csv", "--groups", tmp_path / "groups.tsv", "--general-groups", "NA",
        "--hidden", 6, "--lr-pretrain", 0.02, "--l2-pretrain", 0.003, "--lr-finetune", 0.04, "--l2-finetune", 0.005,
        "--gene-weight", 2, "--compat", "seal", "--compat-prefix", tmp_path / "seal" / "x", "--seed", 4, "--threads", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    first, second = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("general", "tissue"))
    assert (first["hidden"], first["learning_rate"], first["l2"], first["gene_weight"]) == (6, 0.02, 0.003, 2.0)
    assert (second["hidden"], second["learning_rate"], second["l2"], second["gene_weight"]) == (6, 0.04, 0.005, 2.0)
    assert first["seed"] == 0
    assert load_model(tmp_path / "general").spec.outputs == ["Brain"]
    assert load_model(tmp_path / "tissue").spec.outputs == ["Striatum", "Cortex"]
    assert load_model(tmp_path / "tissue").spec.preprocessing["compat"] == "seal"
    assert "Number of specific contexts: 2\n" in (tmp_path / "seal" / "x_seal_model_summary.txt").read_text()


def test_phase_by_phase_select_and_evaluate(world, tmp_path):
    rates = (0.01, 0.03)
    for rate in rates:
        done = run("pretrain", *options(world, "general"), "--contexts", "Liver,Brain",
                   "--model", tmp_path / "grid" / f"lr{rate}", "--learning-rate", rate, "--l2", 0.001)  # fmt: skip
        assert done.exit_code == 0, done.output
    folders = [word for rate in rates for word in ("--candidate", tmp_path / "grid" / f"lr{rate}")]
    done = run("select", *folders, "--model", tmp_path / "general", "--out", tmp_path / "grid.tsv", "--by", "spearman")
    assert done.exit_code == 0, done.output
    table = read_table(tmp_path / "grid.tsv")
    assert sorted(table.learning_rate) == list(rates)
    assert table.valid_spearman[0] == table.valid_spearman.max()
    done = run("finetune", *options(world), "--contexts", ",".join(SPECIFIC), "--pretrained", tmp_path / "general",
               "--model", tmp_path / "tissue", "--gene-weight", 3)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "tissue" / "metrics.json").read_text())["gene_weight"] == 3.0
    done = run("evaluate", "--profiles", world / "profiles.h5", "--expression", world / "tissue.tsv",
               "--model", tmp_path / "tissue", "--out", tmp_path / "e.tsv", "--metrics", tmp_path / "m.json",
               "--performance", tmp_path / "p.tsv", "--settings", '{"bootstrap": 0}')  # fmt: skip
    assert done.exit_code == 0, done.output
    performance = read_table(tmp_path / "p.tsv")
    assert performance.context.tolist() == SPECIFIC
    assert performance.spearman_low.isna().all()


def test_the_published_rate_comes_with_the_option(world, tmp_path):
    for name, more in (("published", []), ("own", ["--learning-rate", 0.01])):
        done = run("pretrain", *options(world, "general"), "--contexts", "Liver", "--model", tmp_path / name,
                   "--genes", world / "genes.csv", "--compat", "seal", *more)  # fmt: skip
        assert done.exit_code == 0, done.output
    rates = [
        json.loads((tmp_path / name / "metrics.json").read_text())["learning_rate"] for name in ("published", "own")
    ]
    assert rates == [1e-4, 0.01]


def test_mistakes_are_said(world, tmp_path):
    with pytest.raises(CisweaveError, match=r"give the expression of the general contexts, or a pre-trained model"):
        run("train", *options(world), "--model", tmp_path / "tissue")
    (tmp_path / "groups.tsv").write_text("front\t1,9\n")
    with pytest.raises(CisweaveError, match="there is no context 9"):
        run("pretrain", *options(world, "general"), "--contexts", "Liver", "--model", tmp_path / "m",
            "--groups", tmp_path / "groups.tsv")  # fmt: skip
    for wrong in (["--l2", -1], ["--seed", 2**70], ["--seed", -1]):
        assert run("pretrain", *options(world), "--contexts", "a", "--model", tmp_path / "m", *wrong).exit_code == 2
