"""Both phases in one command: model folders, Seal's files character by character, Seal's pre-trained models."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from cisweave.config import ExpressionSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.folders import load_model
from cisweave.seal.expression import evaluate
from cisweave.seal.original.expression import export_expression, import_expression
from cisweave.seal.original.summary import read_model_summary
from cisweave.seal.train import TrainFiles, train
from cisweave.tables.frames import read_table
from tests.seal.expression_world import GENERAL, QUIET, SETTINGS, SPECIFIC, gene, make_world

PHASE = {"learning_rate": 0.02, "l2": 0.001, "max_epochs": 3}
SHORT = ExpressionSettings.model_validate(
    SETTINGS.model_dump() | {"pretrain": PHASE, "finetune": PHASE, "bootstrap": 0}
)
FILES = {
    *(f"x_seal_{phase}_{name}" for phase in ("pt", "ft") for name in
      ("model.pt", "training_loss_summary.tsv", "testing_perf.tsv")),
    *("x_seal_validation_perf.tsv", "x_seal_model_summary.txt", "x_seal_model_summary.txt.receipt.json"),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("train"))


def files_of(world, folder, **more):
    given = {"annotation": world / "genes.csv", "compat_prefix": folder / "seal" / "x", **more}
    return TrainFiles(world / "profiles.h5", world / "tissue.tsv", folder / "tissue", **given)


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    """Both phases from scratch, with Seal's files."""
    folder = tmp_path_factory.mktemp("scratch")
    files = files_of(world, folder, general_expression=world / "general.tsv", pretrained_model=folder / "general")
    metrics = train(files, settings=SHORT, training=QUIET, seed=2, device="cpu")
    return folder, metrics


def state_of(path):
    return torch.load(path, weights_only=True)


def test_both_models_are_written(trained):
    folder, metrics = trained
    general, tissue = load_model(folder / "general"), load_model(folder / "tissue")
    assert (general.spec.outputs, tissue.spec.outputs) == (GENERAL, SPECIFIC)
    assert torch.equal(general.module.shared.weight, tissue.module.shared.weight)
    assert metrics["pretrain"] == json.loads((folder / "general" / "metrics.json").read_text())
    assert metrics["finetune"] == json.loads((folder / "tissue" / "metrics.json").read_text())
    assert read_table(folder / "tissue" / "performance.tsv").phase.tolist() == ["finetune"] * 3


def test_seal_checkpoints(trained):
    folder = trained[0]
    assert {path.name for path in (folder / "seal").iterdir()} == FILES
    for name, model, steps in (("pt", "general", 4), ("ft", "tissue", 2)):
        saved = state_of(folder / "seal" / f"x_seal_{name}_model.pt")
        assert set(saved) == {"model_state_dict", "optimizer_state_dict"}
        assert list(saved["model_state_dict"]) == [
            "layers.0.weight",
            "layers.0.bias",
            "layers.2.weight",
            "layers.2.bias",
        ]
        for key, tensor in load_model(folder / model).module.state_dict().items():
            assert torch.equal(saved["model_state_dict"][key], tensor)
        assert len(saved["optimizer_state_dict"]["state"]) == steps
        assert saved["optimizer_state_dict"]["param_groups"][0]["weight_decay"] == 0.001


def test_seal_tables(world, trained):
    folder, metrics = trained
    history = pd.read_csv(folder / "general" / "history.csv")
    lines = (folder / "seal" / "x_seal_pt_training_loss_summary.tsv").read_text().splitlines()
    assert lines[0] == "epoch\ttraining_loss\tvalidation_loss"
    assert [line.split("\t")[1:] for line in lines[1:]] == [
        [f"{first:.5f}", f"{second:.5f}"] for first, second in zip(history.train_loss, history.valid_loss, strict=True)
    ]
    lines = (folder / "seal" / "x_seal_validation_perf.tsv").read_text().splitlines()
    assert lines == [
        f"pretrain_model_loss\t{metrics['pretrain']['valid']['mse']:.5f}",
        f"finetune_model_loss\t{metrics['finetune']['valid']['mse']:.5f}",
    ]
    evaluate(world / "profiles.h5", world / "tissue.tsv", folder / "tissue", folder / "t.tsv", folder / "s.json")
    table = read_table(folder / "t.tsv")
    test = table[(table.split == "test") & (table.context == "Striatum")]
    lines = (folder / "seal" / "x_seal_ft_testing_perf.tsv").read_text().splitlines()
    assert lines[0] == "\tmse_loss\tspearman_r"
    name, mse, rho = lines[2].split("\t")
    assert name == "Striatum"
    assert float(mse) == pytest.approx(((test.predicted - test.measured) ** 2).mean(), rel=1e-4)
    assert float(rho) == pytest.approx(spearmanr(test.predicted, test.measured).statistic, abs=1e-9)
    assert len(rho) > 10  # not rounded


def test_seal_summary(trained):
    folder = trained[0]
    text = (folder / "seal" / "x_seal_model_summary.txt").read_text()
    assert len(text.splitlines()) == 11
    assert text.splitlines()[0] == f"Optimal pretrain model: {folder}/seal/x_seal_pt_model.pt"
    assert re.search(
        r"^Optimal testing Spearman r of finetune model: \(median of all contexts\): [0-9.-]+$", text, re.M
    )
    told = read_model_summary(folder / "seal" / "x_seal_model_summary.txt")
    assert (told.hidden, told.general_contexts, told.specific_contexts) == (8, GENERAL, SPECIFIC)
    for phase, mse, rho in (
        ("pt", told.pretrain_mse, told.pretrain_spearman),
        ("ft", told.finetune_mse, told.finetune_spearman),
    ):
        table = pd.read_csv(folder / "seal" / f"x_seal_{phase}_testing_perf.tsv", sep="\t", index_col=0)
        assert mse == pytest.approx(table.mse_loss.median(), rel=1e-12)
        assert rho == pytest.approx(table.spearman_r.median(), rel=1e-12)


def test_exported_folders_give_the_same_files(trained, tmp_path):
    folder = trained[0]
    export_expression(folder / "general", folder / "tissue", tmp_path / "x")
    for name in FILES:
        if name.endswith(".tsv"):
            assert (tmp_path / name).read_bytes() == (folder / "seal" / name).read_bytes(), name
    told = [(place / "x_seal_model_summary.txt").read_text() for place in (tmp_path, folder / "seal")]
    assert told[0] == told[1].replace(f"{folder}/seal/", f"{tmp_path}/")


def test_from_a_model_folder(world, trained, tmp_path):
    folder, first = trained
    files = files_of(world, tmp_path, pretrained=folder / "general")
    metrics = train(files, settings=SHORT, training=QUIET, seed=2, device="cpu", hidden=8)
    assert set(metrics) == {"finetune"}
    assert metrics["finetune"]["test"] == first["finetune"]["test"]
    for name in ("pt_testing_perf.tsv", "ft_testing_perf.tsv", "validation_perf.tsv"):
        found, expected = ((place / "seal" / f"x_seal_{name}").read_bytes() for place in (tmp_path, folder))
        assert found == expected, name
    for name in ("pt_model.pt", "ft_model.pt"):
        found, expected = (state_of(place / "seal" / f"x_seal_{name}") for place in (tmp_path, folder))
        for key, tensor in expected["model_state_dict"].items():
            assert torch.equal(found["model_state_dict"][key], tensor)
    told = [read_model_summary(place / "seal" / "x_seal_model_summary.txt") for place in (tmp_path, folder)]
    assert (told[0].pretrain_mse, told[0].pretrain_spearman) == (told[1].pretrain_mse, told[1].pretrain_spearman)
    with pytest.raises(CisweaveError, match="has 8 hidden units, not 9"):
        train(files, settings=SHORT, training=QUIET, device="cpu", hidden=9)


def test_from_seal_s_own_files(world, trained, tmp_path):
    folder, first = trained
    files = files_of(world, tmp_path, pretrained=folder / "seal" / "x", pretrained_model=tmp_path / "general")
    metrics = train(files, settings=SHORT, training=QUIET, seed=2, device="cpu")
    assert metrics["finetune"]["test"] == first["finetune"]["test"]
    assert load_model(tmp_path / "general").spec.outputs == GENERAL
    for name in ("pt_model.pt", "pt_training_loss_summary.tsv", "pt_testing_perf.tsv", "validation_perf.tsv"):
        found, expected = ((place / "seal" / f"x_seal_{name}").read_bytes() for place in (tmp_path, folder))
        assert found == expected, name
    told = [read_model_summary(place / "seal" / "x_seal_model_summary.txt") for place in (tmp_path, folder)]
    assert told[0].pretrain_spearman == told[1].pretrain_spearman
    assert told[0].pretrained == f"{tmp_path}/seal/x_seal_pt_model.pt"


def test_an_imported_model_is_evaluated(world, trained, tmp_path):
    folder, first = trained
    summary = folder / "seal" / "x_seal_model_summary.txt"
    import_expression(summary, tmp_path / "imported")
    spec = load_model(tmp_path / "imported").spec
    assert spec.preprocessing["pseudocounts"] is None
    text = (tmp_path / "imported" / "model.yaml").read_text()
    (tmp_path / "imported" / "model.yaml").write_text(text.replace("chr8", "chr3"))
    scores = evaluate(
        world / "profiles.h5", world / "tissue.tsv", tmp_path / "imported", tmp_path / "t.tsv", tmp_path / "s.json",
        annotation=world / "genes.csv",
    )  # fmt: skip
    assert scores["genes"] == first["finetune"]["test"]["genes"]
    assert scores["spearman_median"] == pytest.approx(first["finetune"]["test"]["spearman_median"], abs=0.05)
    values = pd.read_csv(world / "tissue.tsv", sep="\t").Cortex
    table = read_table(tmp_path / "t.tsv").query("context == 'Cortex'").set_index("gene_id")
    count = 10 ** (np.floor(np.log10(values.min())) + 1)
    assert table.measured[gene(5)] == pytest.approx(np.log(values[5] + count), rel=1e-4)


def test_last_epoch_goes_on_as_published(world, tmp_path):
    """Without early stop the fine-tuned model stands on the last general epoch; the file keeps the best one."""
    settings = ExpressionSettings.model_validate(
        SHORT.model_dump()
        | {"compat": "seal", "batch_size": 7, "pretrain": {"learning_rate": 0.3, "max_epochs": 6, "patience": 6}}
    )
    files = files_of(world, tmp_path, general_expression=world / "general.tsv", pretrained_model=tmp_path / "general")
    metrics = train(files, settings=settings, training=QUIET, device="cpu")
    assert metrics["pretrain"]["best_epoch"] < 5
    assert metrics["pretrain"]["measured_epoch"] == "last"
    last = state_of(tmp_path / "general/run/checkpoints/last.ckpt")["state_dict"]["network.layers.0.weight"]
    best = state_of(tmp_path / "general/run/checkpoints/best.ckpt")["state_dict"]["network.layers.0.weight"]
    assert not torch.equal(last, best)
    assert torch.equal(load_model(tmp_path / "tissue").module.shared.weight, last)
    assert torch.equal(load_model(tmp_path / "general").module.shared.weight, best)
    saved = [state_of(tmp_path / "seal" / f"x_seal_{name}_model.pt")["model_state_dict"] for name in ("pt", "ft")]
    assert torch.equal(saved[0]["layers.0.weight"], best)
    assert torch.equal(saved[1]["layers.0.weight"], last)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give the expression of the general contexts, or a pre-trained model"),
        ({"general_expression": "general.tsv"}, "say where to write the pre-trained model"),
        ({"pretrained": "no/such/prefix"}, "say where to write the pre-trained model"),
        ({"pretrained": "no/such/prefix", "pretrained_model": "here"}, "no/such/prefix_seal_pt_model.pt"),
    ],
)
def test_files_that_do_not_make_a_training(world, tmp_path, given, message):
    places = {key: world / name if key == "general_expression" else tmp_path / name for key, name in given.items()}
    with pytest.raises(CisweaveError, match=message):
        train(files_of(world, tmp_path, **places), settings=SHORT, training=QUIET, device="cpu")


@pytest.mark.parametrize("mistake", ["contexts", "groups", "hidden"])
def test_mistakes_of_the_second_phase_are_found_before_the_first(world, trained, tmp_path, mistake):
    (tmp_path / "groups.tsv").write_text("front\t1,9\n")
    places = {"general_expression": world / "general.tsv", "pretrained_model": tmp_path / "general"}
    if mistake == "hidden":
        places = {"pretrained": trained[0] / "seal" / "x", "pretrained_model": tmp_path / "general"}
    elif mistake == "groups":
        places["groups"] = tmp_path / "groups.tsv"
    message = {"contexts": "column.s. Skin missing", "groups": "there is no context 9", "hidden": "has 8 hidden units"}
    contexts, hidden = (["Skin"], None) if mistake == "contexts" else (None, 9)
    with pytest.raises(CisweaveError, match=message[mistake]):
        train(files_of(world, tmp_path, **places), contexts, settings=SHORT, training=QUIET, hidden=hidden)
    assert [path.name for path in tmp_path.iterdir()] == ["groups.tsv"]


def test_a_fine_tuned_model_in_place_of_a_pretrained_one_is_told(world, trained, tmp_path, caplog):
    folder, first = trained
    files = files_of(world, tmp_path, pretrained=folder / "tissue", compat_prefix=None)
    metrics = train(files, settings=SHORT, training=QUIET, seed=2, device="cpu")
    assert "was fine-tuned itself" in caplog.text
    assert metrics["finetune"]["test"] == first["finetune"]["test"]


def test_one_folder_for_two_models(world, tmp_path):
    files = files_of(world, tmp_path, general_expression=world / "general.tsv", pretrained_model=tmp_path / "tissue")
    with pytest.raises(CisweaveError, match="need a folder each"):
        train(files, settings=SHORT, training=QUIET, device="cpu")
