"""Every family against a forward pass in plain NumPy with Keras's definitions, unknown bases included."""

from functools import partial

import numpy as np
import pytest
import torch

from tests.models.promoter import keras_forward as plain
from tests.models.promoter.networks import genes, one_hot, shaken

WINDOW = 1000
TOLERANCE = 5e-6

FORWARDS = {
    "cnn/Xpresso": plain.xpresso,
    "cnn/Xpresso_nohalf": plain.xpresso,
    "cnn/Xpresso_TF": plain.xpresso,
    "cnn/Xpresso_micro": plain.xpresso,
    "cnn/Xpresso_ort": plain.xpresso,
    "divide/DivideEtImpera": plain.divide,
    "divide/DivideEtImpera_TF": plain.divide,
    "divide/DivideEtImpera_onlyPromo": plain.divide,
    "lstm/classic": plain.bio_lstm,
    "lstm/tf": plain.bio_lstm,
    "lstm/only_promoter": plain.bio_lstm,
    "tfnet/TF": plain.tf_net,
    "deeplncloc/DeepLncLoc": plain.deeplncloc,
    "deeplncloc/DeepLncLoc_TF": plain.deeplncloc,
    "deeplncloc/DeepLncLoc_onlyPromo": plain.deeplncloc,
    "token/best": plain.token,
    "token/TF": plain.token,
    "token/onlyPromo": partial(plain.token, heads=4),
    "token/globalP": partial(plain.token, kind="globalP"),
    "token/posSkip": partial(plain.token, kind="posSkip"),
    "token/best_max": partial(plain.token, kind="best_max"),
    "token/Original": plain.original,
}


@pytest.mark.parametrize("name", FORWARDS)
def test_forward_is_keras(name):
    network = shaken(name, WINDOW)
    codes, extras = genes(3, WINDOW, network.extras)
    if network.reads_promoter:
        extras[:] = extras[0]  # genes differ in nothing but their promoters
    expected = FORWARDS[name](network, codes.numpy(), extras.numpy())
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
