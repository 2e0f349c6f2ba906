"""Promoter networks as model folders and as models of sequence alone; how their attributions add up."""

import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.core.errors import CisweaveError
from cisweave.models.attribution import attribute_sequences, shuffled_references
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.models.promoter.build import build_network
from cisweave.models.promoter.sequence_view import SequenceView
from cisweave.models.protocol import SequenceModel, sequence_model
from tests.models.promoter.networks import genes, one_hot, shaken

SHAPES = {
    "cnn/Xpresso": {"window": 600, "halflife": 8},
    "lstm/only_promoter": {"window": 300, "k": 2, "segment": 20, "size": 16},
    "cnn/Xpresso_TF": {"window": 600, "halflife": 8, "tf": 3},
}


def folder_of(path, kind, shape, preprocessing=None):
    torch.manual_seed(0)
    network = build_network(kind, **shape).eval()
    if network.reads_segments:
        network.segments.set_vectors(torch.randn(16, 16), torch.randn(16), torch.rand(16) + 1)
    spec = ModelSpec("promoter", {"type": kind, **shape}, ["expression"], preprocessing or {})
    save_model(path, network, spec, {}, pd.DataFrame({"epoch": [0]}))
    return network


@pytest.mark.parametrize("kind", SHAPES)
def test_folder_round_trip(kind, tmp_path):
    network = folder_of(tmp_path / "model", kind, SHAPES[kind])
    loaded = load_model(tmp_path / "model", architecture="promoter")
    codes, extras = genes(3, network.window, network.extras)
    with torch.inference_mode():
        found, expected = (module(one_hot(codes), extras) for module in (loaded.module, network))
    assert torch.equal(found, expected)
    assert not loaded.module.training


def test_a_folder_of_an_unknown_type(tmp_path):
    folder_of(tmp_path / "model", "cnn/Xpresso", SHAPES["cnn/Xpresso"])
    spec = tmp_path / "model" / "model.yaml"
    spec.write_text(spec.read_text().replace("cnn/Xpresso", "cnn/Xpreso"))
    with pytest.raises(CisweaveError, match="cnn/Xpreso is no type of promoter model; did you mean cnn/Xpresso?"):
        load_model(tmp_path / "model")


def test_sequence_model_holds_the_average_gene_fast(tmp_path):
    scaling = {"tf_mean": [0.25, 0.5, 1.0], "mirna_mean": []}
    network = folder_of(tmp_path / "model", "cnn/Xpresso_TF", SHAPES["cnn/Xpresso_TF"], {"scaling": scaling})
    view = sequence_model(load_model(tmp_path / "model"))
    x = one_hot(genes(3, 600, 1)[0])
    with torch.inference_mode():
        average = torch.tensor([0.0] * 8 + [0.25, 0.5, 1.0]).expand(3, -1)
        assert torch.equal(view(x), network(x, average))
        given = torch.arange(11.0)
        assert torch.equal(sequence_model(load_model(tmp_path / "model"), given)(x), network(x, given.expand(3, -1)))
    assert isinstance(view, SequenceModel)
    assert not view.training


def test_other_models_are_themselves(tmp_path):
    shape = {"features": 3, "hidden": 2, "contexts": 1}
    save_model(tmp_path, ExpressionNetwork(**shape), ModelSpec("expression", shape, ["a"]), {}, pd.DataFrame())
    loaded = load_model(tmp_path)
    assert sequence_model(loaded) is loaded.module


def test_no_promoter_no_bases():
    with pytest.raises(CisweaveError, match="reads no promoter"):
        SequenceView(build_network("tfnet/TF", 0, tf=4))


def test_wrong_extras():
    with pytest.raises(ValueError, match=r"extras must be \(8,\), not \(3,\)"):
        SequenceView(build_network("cnn/Xpresso", 600, halflife=8), torch.zeros(3))


@pytest.mark.parametrize("name", ["cnn/Xpresso", "cnn/Xpresso_nohalf", "cnn/Xpresso_ort", "divide/DivideEtImpera"])
def test_deeplift_of_convolutional_networks_adds_up(name):
    attributions = deeplift(name, "deeplift")
    assert (attributions.delta_rel < 1e-3).all()
    contributions = attributions.projected.sum(axis=1)
    np.testing.assert_allclose(contributions, attributions.pred - attributions.pred_ref_mean, rtol=5e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["lstm/only_promoter", "deeplncloc/DeepLncLoc_onlyPromo", "token/best"])
def test_integrated_gradients_of_the_others_add_up(name):
    attributions = deeplift(name, "integratedGradients", steps=100)
    assert (attributions.delta_rel < 0.05).all()


def deeplift(name, method, steps=50):
    view = SequenceView(shaken(name, 750))
    codes, _ = genes(2, 750, 1, letters=4)
    codes = codes.numpy().astype(np.uint8)
    references = shuffled_references(codes[0], 2, seed=0)
    return attribute_sequences(view, codes, references, 0, method, steps=steps)
