"""Optimisers and learning rates of the zoo, with Keras's constants.

What a step does is a function of the step's number alone, so that a resumed run goes on exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from cisweave.config import PromoterTrainingSettings

KERAS_EPS = 1e-7
"""What Keras adds to the denominators of Adam, Adamax and Adadelta."""


@dataclass(frozen=True)
class Rates:
    """Learning rate by step.

    Attributes
    ----------
    factor
        From the number of a step (from 0) and its epoch (from 0) to what the learning rate is multiplied with.
    drop_epoch, drop_factor
        Epoch at whose start the rate drops, once, and to what share; ``None``: it does not.
    """

    factor: Callable[[int, int], float]
    drop_epoch: int | None = None
    drop_factor: float | None = None


def make_optimizer(
    parameters: Iterable[torch.nn.Parameter], settings: PromoterTrainingSettings, learning_rate: float
) -> torch.optim.Optimizer:
    """The optimiser that resolved settings name; with ``noam`` the learning rate is that of :func:`noam_rate`.

    Keras adds its constant before the bias of Adam's second moment is corrected, PyTorch after; they differ in the
    first steps of parameters with tiny gradients only.
    """
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    if settings.optimizer == "sgd":
        assert settings.momentum is not None
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=settings.momentum)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=learning_rate, eps=KERAS_EPS)
    if settings.optimizer == "adadelta":
        return torch.optim.Adadelta(parameters, lr=learning_rate, rho=0.95, eps=KERAS_EPS)
    if settings.optimizer == "adamax":
        return torch.optim.Adamax(parameters, lr=learning_rate, betas=(0.9, 0.999), eps=KERAS_EPS)
    return torch.optim.Adam(parameters, lr=1.0, betas=(0.9, 0.98), eps=1e-9)


def make_rates(settings: PromoterTrainingSettings, width: int | None) -> Rates:
    """The course of the learning rate that resolved settings ask for.

    Parameters
    ----------
    settings
        With ``noam``, ``warmup`` counts; else the rate drops once at ``reduce_epoch``.
    width
        Width of the model's vectors, which noam's rate depends on; ``None``: the model has none.
    """
    if settings.optimizer == "noam":
        assert width is not None
        assert settings.warmup is not None
        known_width, warmup = width, settings.warmup
        return Rates(lambda step, _: noam_rate(step + 1, known_width, warmup))
    epoch, share = settings.reduce_epoch, settings.reduce_factor
    if epoch is None or share is None:
        return Rates(lambda *_: 1.0)
    return Rates(lambda _, now: share if now >= epoch else 1.0, epoch, share)


def noam_rate(step: int, width: int, warmup: int) -> float:
    """Learning rate of the Transformer's schedule at a step (from 1): rises for ``warmup`` steps, then falls."""
    return float(width**-0.5 * min(step**-0.5, step * warmup**-1.5))


def keep_velocity(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Let what SGD is moving by outlive a drop of the learning rate to ``share``, as in Keras.

    Keras keeps the way of the last step (gradients times the rate of their time), PyTorch their sum without the rate.
    """
    for state in optimizer.state.values():
        if state.get("momentum_buffer") is not None:
            state["momentum_buffer"] /= share
