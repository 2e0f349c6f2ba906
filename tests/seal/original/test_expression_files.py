"""Seal's expression checkpoints: in, out, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, load_model, read_spec, save_model
from cisweave.seal.original.expression import (
    export_expression,
    import_expression,
    read_checkpoint,
    write_checkpoint,
)
from cisweave.seal.original.summary import read_model_summary
from tests.seal.original.published import SUMMARY, expression_weights, trained_checkpoint

FEATURES, HIDDEN, GENERAL, SPECIFIC = 40, 5, 3, 2


@pytest.fixture
def seal(tmp_path: Path) -> Path:
    """A folder as Seal's archive has it: two checkpoints and their summary."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    general = expression_weights(FEATURES, HIDDEN, GENERAL)
    specific = {**general, **{k: v for k, v in expression_weights(FEATURES, HIDDEN, SPECIFIC, 1).items() if "2" in k}}
    trained_checkpoint(general, folder / "tiny_seal_pt_model.pt")
    trained_checkpoint(specific, folder / "tiny_seal_ft_model.pt")
    (folder / "tiny_seal_model_summary.txt").write_text(SUMMARY)
    (folder / "losses.tsv").write_text("epoch\ttraining_loss\tvalidation_loss\n0\t3.0\t2.5\n1\t2.0\t2.25\n")
    (folder / "perf.tsv").write_text("\tmse_loss\tspearman_r\nearly_fetal.A1C\t1.5\t0.75\nearly_fetal.AMY\t2.5\t\n")
    return folder


def mlp(weights: dict[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    hidden = (features @ weights["layers.0.weight"].T + weights["layers.0.bias"]).clamp(min=0)
    return hidden @ weights["layers.2.weight"].T + weights["layers.2.bias"]


def test_the_imported_network_gives_the_expression_of_the_file(seal: Path, tmp_path: Path) -> None:
    import_expression(seal / "tiny_seal_model_summary.txt", tmp_path / "model")
    loaded = load_model(tmp_path / "model", architecture="expression")
    assert loaded.spec.outputs == ["early_fetal.A1C", "early_fetal.AMY"]
    assert loaded.spec.hyperparameters == {"features": FEATURES, "hidden": HIDDEN, "contexts": SPECIFIC}
    features = torch.randn(7, FEATURES, generator=torch.Generator().manual_seed(2))
    weights = torch.load(seal / "tiny_seal_ft_model.pt", weights_only=True)["model_state_dict"]
    expected = mlp(weights, features)
    with torch.inference_mode():
        np.testing.assert_allclose(loaded.module(features), expected, rtol=1e-5, atol=1e-5)


def test_published_scores_and_what_is_unknown(seal: Path, tmp_path: Path) -> None:
    metrics = import_expression(
        seal / "tiny_seal_model_summary.txt",
        tmp_path / "model",
        losses=seal / "losses.tsv",
        performance=seal / "perf.tsv",
    )
    assert metrics["test"]["spearman_median"] == 0.7670247023625263
    assert metrics["test"]["mse_median"] == 1.9749796390533447
    assert metrics["test"]["per_context"] == {
        "early_fetal.A1C": {"spearman": 0.75, "mse": 1.5},
        "early_fetal.AMY": {"spearman": None, "mse": 2.5},
    }
    assert read_json(tmp_path / "model/metrics.json") == {"epochs": 2, **metrics}
    assert pd.read_csv(tmp_path / "model/history.csv")["valid_loss"].tolist() == [2.5, 2.25]
    preprocessing = read_spec(tmp_path / "model").preprocessing
    assert preprocessing["pseudocounts"] is None
    assert preprocessing["test_chromosomes"] == ["chr8", "chr9"]
    assert preprocessing["imported_from"]["file"] == "tiny_seal_ft_model.pt"


def test_the_phase_is_told_by_the_name_or_asked_for(seal: Path, tmp_path: Path) -> None:
    summary = seal / "tiny_seal_model_summary.txt"
    import_expression(summary, tmp_path / "named", seal / "tiny_seal_pt_model.pt")
    import_expression(summary, tmp_path / "asked", phase="pretrain")
    for name in ("named", "asked"):
        assert read_spec(tmp_path / name).outputs == ["Brain_Amygdala", "Pituitary", "Brain_Cortex"]
    assert read_json(tmp_path / "named/metrics.json")["test"]["spearman_median"] == 0.8011156540759705
    with pytest.raises(CisweaveError, match="5 hidden units and 3 contexts, but the summary says 5 and 2 .finetune"):
        import_expression(summary, tmp_path / "wrong", seal / "tiny_seal_pt_model.pt", phase="finetune")
    assert not (tmp_path / "wrong").exists()


def test_out_again_the_files_are_the_same(seal: Path, tmp_path: Path) -> None:
    summary = seal / "tiny_seal_model_summary.txt"
    import_expression(summary, tmp_path / "general", phase="pretrain", losses=seal / "losses.tsv")
    import_expression(summary, tmp_path / "specific", performance=seal / "perf.tsv")
    written = export_expression(tmp_path / "general", tmp_path / "specific", tmp_path / "out/tiny")
    assert [path.name for path in written] == [
        "tiny_seal_pt_model.pt",
        "tiny_seal_pt_training_loss_summary.tsv",
        "tiny_seal_ft_model.pt",
        "tiny_seal_ft_testing_perf.tsv",
        "tiny_seal_model_summary.txt",
    ]
    for name in ("tiny_seal_pt_model.pt", "tiny_seal_ft_model.pt"):
        ours = torch.load(tmp_path / "out" / name, weights_only=True)
        theirs = torch.load(seal / name, weights_only=True)
        assert list(ours) == ["model_state_dict", "optimizer_state_dict"]
        assert list(ours["model_state_dict"]) == list(theirs["model_state_dict"])
        for key, tensor in theirs["model_state_dict"].items():
            assert torch.equal(ours["model_state_dict"][key], tensor)
        groups = [each["optimizer_state_dict"]["param_groups"][0]["params"] for each in (ours, theirs)]
        assert groups[0] == groups[1]
    told, original = read_model_summary(written[-1]), read_model_summary(summary)
    assert told.finetuned == str(tmp_path / "out/tiny_seal_ft_model.pt")
    assert (told.hidden, told.general_contexts, told.specific_contexts) == (
        original.hidden,
        original.general_contexts,
        original.specific_contexts,
    )
    assert (told.finetune_mse, told.pretrain_spearman) == (original.finetune_mse, original.pretrain_spearman)
    assert written[3].read_text() == (seal / "perf.tsv").read_text()
    assert written[1].read_text() == (
        "epoch\ttraining_loss\tvalidation_loss\n0\t3.00000\t2.50000\n1\t2.00000\t2.25000\n"
    )


def test_validation_losses_go_out_where_both_are_known(tmp_path: Path) -> None:
    network = ExpressionNetwork(FEATURES, HIDDEN, 2)
    for name, loss in (("general", 3.0), ("specific", 2.0)):
        spec = ModelSpec("expression", {"features": FEATURES, "hidden": HIDDEN, "contexts": 2}, ["a", "b"])
        save_model(tmp_path / name, network, spec, {"valid": {"mse": loss}}, pd.DataFrame({"epoch": [0]}))
    export_expression(tmp_path / "general", tmp_path / "specific", tmp_path / "x")
    assert (tmp_path / "x_seal_validation_perf.tsv").read_text() == (
        "pretrain_model_loss\t3.00000\nfinetune_model_loss\t2.00000\n"
    )


def test_a_model_must_stand_on_the_shared_layer_of_the_other(seal: Path, tmp_path: Path) -> None:
    summary = seal / "tiny_seal_model_summary.txt"
    import_expression(summary, tmp_path / "specific")
    trained_checkpoint(expression_weights(FEATURES, HIDDEN, GENERAL, 9), seal / "tiny_seal_pt_model.pt")
    import_expression(summary, tmp_path / "general", phase="pretrain")
    with pytest.raises(CisweaveError, match="the shared layer is not that of"):
        export_expression(tmp_path / "general", tmp_path / "specific", tmp_path / "x")
    assert not list(tmp_path.glob("x_seal*"))


def test_a_checkpoint_keeps_the_optimiser_it_is_given(tmp_path: Path) -> None:
    network = ExpressionNetwork(FEATURES, HIDDEN, 2)
    network.freeze_shared_layer()
    adam = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.25)
    network(torch.ones(1, FEATURES)).sum().backward()
    adam.step()
    write_checkpoint(network, tmp_path / "a.pt", adam.state_dict())
    state = torch.load(tmp_path / "a.pt", weights_only=True)["optimizer_state_dict"]
    assert state["param_groups"][0]["lr"] == 0.25
    assert sorted(state["state"]) == [0, 1]
    read = read_checkpoint(tmp_path / "a.pt")
    assert (read.features, read.hidden, read.contexts) == (FEATURES, HIDDEN, 2)
    assert torch.equal(read.weights["layers.0.weight"], cast("torch.Tensor", network.shared.weight))


def test_other_checkpoints_are_refused(seal: Path, tmp_path: Path) -> None:
    summary = seal / "tiny_seal_model_summary.txt"
    weights = expression_weights(FEATURES, HIDDEN, SPECIFIC)
    cases: list[tuple[dict[str, torch.Tensor], str]] = [
        ({name: tensor for name, tensor in weights.items() if name != "layers.2.bias"}, "lacks layers.2.bias"),
        ({**weights, "layers.2.weight": torch.zeros(SPECIFIC, 6)}, "layers.2.weight is of shape"),
        ({**weights, "layers.0.bias": torch.full((HIDDEN,), float("inf"))}, "not finite"),
        ({**weights, "layers.0.bias": torch.full((HIDDEN,), 1e300, dtype=torch.float64)}, "not finite"),
        ({**weights, "layers.0.bias": torch.zeros(HIDDEN).to_sparse()}, "no plain array of numbers .torch.sparse"),
        ({**weights, "layers.0.bias": torch.zeros(HIDDEN, device="meta")}, "no plain array of numbers .*meta"),
        (expression_weights(FEATURES, 7, SPECIFIC), "7 hidden units"),
    ]
    for content, message in cases:
        torch.save({"model_state_dict": content, "optimizer_state_dict": {}}, tmp_path / "bad.pt")
        with pytest.raises(CisweaveError, match=message):
            import_expression(summary, tmp_path / "model", tmp_path / "bad.pt")
    with pytest.raises(CisweaveError, match="the contexts of this table are not those"):
        import_expression(summary, tmp_path / "model", phase="pretrain", performance=seal / "perf.tsv")
    (seal / "tiny_seal_ft_model.pt").unlink()
    with pytest.raises(CisweaveError, match="does not exist"):
        import_expression(summary, tmp_path / "model")
    assert not (tmp_path / "model").exists()
