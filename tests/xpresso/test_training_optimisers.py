"""Optimisers and learning rates of the zoo against Keras's formulas, worked out by hand."""

import numpy as np
import pytest
import torch

from cisweave.config import PromoterTrainingSettings
from cisweave.xpresso.optimisers import keep_velocity, make_optimizer, make_rates, noam_rate


def settings(**values):
    return PromoterTrainingSettings(**{"momentum": 0.9, **values})


def keras_sgd(rates, gradients, momentum=0.9, weight=1.0):
    """The weight after each step, by Keras's formula: v = m v - rate g, w = w + v."""
    velocity, weights = 0.0, []
    for rate, gradient in zip(rates, gradients, strict=True):
        velocity = momentum * velocity - rate * gradient
        weight += velocity
        weights.append(weight)
    return weights


def test_sgd_keeps_its_pace_over_a_drop_as_keras_does():
    rates, gradients = [0.1, 0.1, 0.1, 0.01, 0.01, 0.01], [1.0, -2.0, 0.5, 3.0, 1.0, 0.0]
    parameter = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = make_optimizer([parameter], settings(optimizer="sgd"), 0.1)
    found = []
    for step, (rate, gradient) in enumerate(zip(rates, gradients, strict=True)):
        if step == 3:
            keep_velocity(optimizer, 0.1)
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        found.append(parameter.item())
    assert found == pytest.approx(keras_sgd(rates, gradients), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "kind", "constants"),
    [
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.999), "eps": 1e-7}),
        ("adamax", torch.optim.Adamax, {"betas": (0.9, 0.999), "eps": 1e-7}),
        ("adadelta", torch.optim.Adadelta, {"rho": 0.95, "eps": 1e-7}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": False, "weight_decay": 0}),
        ("noam", torch.optim.Adam, {"betas": (0.9, 0.98), "eps": 1e-9, "lr": 1.0}),
    ],
)
def test_constants_are_those_published(name, kind, constants):
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(1))], settings(optimizer=name), 0.5)
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert {key: group[key] for key in constants} == constants
    assert group["lr"] == constants.get("lr", 0.5)


def test_frozen_parameters_are_left_alone():
    frozen = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
    learned = torch.nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer([frozen, learned], settings(optimizer="adam"), 0.1)
    assert optimizer.param_groups[0]["params"] == [learned]


def test_noam_rises_for_warmup_steps_and_falls_as_the_root():
    assert noam_rate(1, 128, 4000) == pytest.approx(128**-0.5 / 4000**1.5)
    rates = np.array([noam_rate(step, 128, 4000) for step in range(1, 20_001)])
    assert rates.argmax() == 3999
    assert rates.max() == pytest.approx(1.39754e-3, rel=1e-5)
    assert rates[15_999] == pytest.approx(rates.max() / 2)
    factor = make_rates(settings(optimizer="noam", warmup=4000), 128).factor
    assert factor(3999, 7) == rates.max()


def test_the_rate_drops_once_at_the_start_of_an_epoch():
    rates = make_rates(settings(optimizer="sgd", reduce_epoch=2, reduce_factor=0.1), None)
    assert [rates.factor(step, step // 3) for step in range(9)] == [1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1]
    assert (rates.drop_epoch, rates.drop_factor) == (2, 0.1)
    never = make_rates(settings(optimizer="sgd"), None)
    assert {never.factor(step, step) for step in range(300)} == {1.0}
