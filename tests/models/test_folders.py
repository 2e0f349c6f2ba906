"""Model folders: what is written comes back; what does not fit is one clear message."""

import pandas as pd
import pytest
import torch
import yaml

from cisweave.core.errors import CisweaveError
from cisweave.models.beluga import Beluga
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, load_model, save_model

SHAPE = {"tracks": 2, "channels": [4, 4, 4, 4, 4, 4], "hidden": 5, "window": 320}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    spec = ModelSpec("beluga", SHAPE, ["CTCF", "REST"], {"bin_size": 200})
    save_model(tmp_path / "model", Beluga(**SHAPE), spec, {"auc": 0.9}, pd.DataFrame({"epoch": [0], "loss": [1.0]}))
    return tmp_path / "model"


def test_round_trip(folder):
    loaded = load_model(folder)
    torch.manual_seed(0)
    original = Beluga(**SHAPE)
    assert not loaded.module.training
    assert loaded.spec.outputs == ["CTCF", "REST"]
    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, loaded.module.state_dict()[name])
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv", "metrics.json", "model.yaml", "weights.safetensors",
    ]  # fmt: skip


def test_unknown_architecture(folder):
    spec = folder / "model.yaml"
    spec.write_text(spec.read_text().replace("architecture: beluga", "architecture: os.system"))
    with pytest.raises(CisweaveError, match=r"unknown architecture os\.system; known are beluga"):
        load_model(folder)


def test_weights_of_another_shape(folder):
    spec = folder / "model.yaml"
    spec.write_text(spec.read_text().replace("hidden: 5", "hidden: 6"))
    with pytest.raises(CisweaveError, match="do not fit"):
        load_model(folder)


def test_truncated_weights(folder):
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CisweaveError, match="do not fit"):
        load_model(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(CisweaveError, match="does not exist"):
        load_model(tmp_path / "none")


@pytest.mark.parametrize("outputs", [["Liver"], ["Liver", "Liver"], "Liver", None, ["Liver", "Brain", "Lung"], [1, 2]])
def test_outputs_are_as_many_names_as_the_network_has(tmp_path, outputs):
    head = {"features": 3, "hidden": 2, "contexts": 2}
    spec = ModelSpec("expression", head, ["Liver", "Brain"])
    save_model(tmp_path, ExpressionNetwork(**head), spec, {}, pd.DataFrame({"epoch": [0]}))
    load_model(tmp_path)
    text = yaml.safe_load((tmp_path / "model.yaml").read_text())
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(text | {"outputs": outputs}))
    with pytest.raises(CisweaveError, match="outputs must be"):
        load_model(tmp_path)
