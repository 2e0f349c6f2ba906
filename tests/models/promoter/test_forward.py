"""Every family against a forward pass in plain NumPy with Keras's definitions, unknown bases included."""

import numpy as np
import pytest
import torch

from tests import keras_numpy as plain
from tests.models.promoter.networks import genes, keras_layers, one_hot, segment_vectors, shaken

WINDOW = 1000
TOLERANCE = 5e-6

TOKENS = (2, 2, 2, 4, 4, 16)
FORWARDS = {
    **{f"cnn/Xpresso{kind}": (plain.xpresso,) for kind in ("", "_nohalf", "_TF", "_micro", "_ort")},
    **{f"divide/DivideEtImpera{kind}": (plain.divide,) for kind in ("", "_TF", "_onlyPromo")},
    **{f"lstm/{kind}": (plain.recurrent, (4, 3)) for kind in ("classic", "tf", "only_promoter")},
    "tfnet/TF": (plain.factors,),
    **{f"deeplncloc/DeepLncLoc{kind}": (plain.segment_transformer, (4, 16), 4) for kind in ("", "_TF", "_onlyPromo")},
    **{f"token/{kind}": (plain.Tokens(), TOKENS) for kind in ("best", "TF")},
    "token/onlyPromo": (plain.Tokens(), TOKENS, 4),
    "token/globalP": (plain.Tokens(learned=False, flat=False), (1, *TOKENS[1:])),
    "token/posSkip": (plain.Tokens(positions_alone=True, blocks=3), (2, 2, 2, 4, 16, 16, 16)),
    "token/best_max": (plain.Tokens(how=np.max), TOKENS),
    "token/Original": (plain.original, (1, 16), 2),
}
"""Of each type: its forward pass, how many arrays its layers have before those of kernel and bias alone, its heads."""


@pytest.mark.parametrize("name", FORWARDS)
def test_forward_is_keras(name):
    network = shaken(name, WINDOW)
    codes, extras = genes(3, WINDOW, network.extras)
    if network.reads_promoter:
        extras[:] = extras[0]  # genes differ in nothing but their promoters
    forward, *shape = FORWARDS[name]
    promoter = segment_vectors(network, codes.numpy()) if network.reads_segments else codes.numpy()
    expected = forward(promoter, extras.numpy(), keras_layers(network, *shape))[:, None]
    with torch.inference_mode():
        found = network(one_hot(codes) if network.reads_promoter else None, extras if network.extras else None)
    assert found.shape == (3, 1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=TOLERANCE)
    assert np.ptp(expected) > 100 * TOLERANCE


@pytest.mark.parametrize("name", [name for name in FORWARDS if name != "tfnet/TF"])
def test_forward_with_gradients_of_the_bases_is_the_same(name):
    """What is looked up or counted without gradients is computed with them."""
    network = shaken(name, WINDOW)
    codes, extras = genes(2, WINDOW, network.extras)
    given = extras if network.extras else None
    with torch.inference_mode():
        looked_up = network(one_hot(codes), given)
    computed = network(one_hot(codes).requires_grad_(), given)
    torch.testing.assert_close(looked_up, computed.detach(), atol=1e-5, rtol=1e-5)
