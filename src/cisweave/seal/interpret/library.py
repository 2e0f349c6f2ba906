"""The same methods by Captum, one context after the other: a second opinion on the native ones.

Dimension legend
    variants - alleles, tracks - chromatin outputs, basis - weight functions, hidden - units of the shared layer,
    contexts - tissues or cell states
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import linear

from cisweave.core.seeds import derive_seed
from cisweave.seal.interpret.methods import DRAWS
from cisweave.seal.interpret.surrogates import SPARE
from cisweave.seal.spatial import basis_weights

if TYPE_CHECKING:
    from cisweave.config import InterpretSettings, TrackMethod
    from cisweave.models.expression import ExpressionNetwork
    from cisweave.seal.engine import AllelePredictions
    from cisweave.seal.head import ExpressionHead, Places

STEPS = 50
"""Steps of integrated gradients where the settings name none: Captum's default, which Seal uses."""
AT_ONCE = 256
"""Coalitions evaluated at once."""
TOGETHER = ("saliency", "deeplift", "integratedGradients")
"""Methods for which Captum pairs each row of a batch with its own baseline."""


class TrackModel(torch.nn.Module):
    """Expression as a function of the chromatin of one window; all else stays as it is."""

    def __init__(self, network: ExpressionNetwork):
        super().__init__()
        self.shared = network.shared
        self.rest = network.layers[1:]

    def forward(self, tracks: torch.Tensor, background: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Predicted ln expression (variants, contexts).

        Parameters
        ----------
        tracks
            (variants, tracks), probabilities in the window.
        background
            (variants, hidden), what everything else brings to the hidden units.
        weights
            (variants, basis), weights at the window's distance from the TSS.
        """
        features = (weights[:, :, None] * tracks[:, None, :]).flatten(1)
        expression: torch.Tensor = self.rest(background + linear(features, self.shared.weight))
        return expression


class CaptumAttribution:
    """Attributes batches of variants by one of Captum's methods."""

    def __init__(self, method: TrackMethod, settings: InterpretSettings, head: ExpressionHead, outputs: list[int]):
        self.method, self.settings, self.head, self.outputs = method, settings, head, outputs
        self.model = TrackModel(head.network).eval()

    def attribute(self, predictions: AllelePredictions, places: Places) -> torch.Tensor:
        """Attributions (variants, contexts, tracks), float64, summed over the shifts."""
        alternative, reference = (
            allele.to(self.head.device).double() for allele in (predictions.alternative, predictions.reference)
        )
        total = torch.zeros((), device=self.head.device)
        for shift in range(places.distance.shape[1]):
            with torch.no_grad():
                background = self.head.background(places.genes, places.bins[:, shift])
            weights = basis_weights(places.distance[:, shift], self.head.store.settings.decay).T
            rest = background, torch.from_numpy(np.ascontiguousarray(weights)).to(background)
            total = total + self._window(alternative[:, shift], reference[:, shift], rest)
        return total

    def _window(
        self, alternative: torch.Tensor, reference: torch.Tensor, rest: tuple[torch.Tensor, ...]
    ) -> torch.Tensor:
        """Attributions (variants, contexts, tracks) in one window."""
        rows = [slice(None)] if self.method in TOGETHER else [slice(n, n + 1) for n in range(len(alternative))]
        by_context = []
        for output in self.outputs:
            with seeded(derive_seed(self.settings.seed, self.method)):
                found = [
                    self._attribute(alternative[row], reference[row], tuple(part[row] for part in rest), output)
                    for row in rows
                ]
            by_context.append(torch.cat(found).detach())
        return torch.stack(by_context, dim=1)

    def _attribute(
        self, alternative: torch.Tensor, reference: torch.Tensor, rest: tuple[torch.Tensor, ...], output: int
    ) -> torch.Tensor:
        """Attributions (variants, tracks) of one context."""
        from captum import attr
        from captum._utils.models.linear_model import SkLearnLinearRegression

        method, settings = self.method, self.settings
        common: dict[str, Any] = {"target": output, "additional_forward_args": rest}
        if method == "saliency":
            gradient: torch.Tensor = attr.Saliency(self.model).attribute(alternative, abs=False, **common)
            return gradient * (alternative - reference) if settings.times_change else gradient
        common |= {"inputs": alternative, "baselines": reference}
        coalitions = {"n_samples": settings.samples or 2 * alternative.shape[1] + SPARE,
                      "perturbations_per_eval": AT_ONCE}  # fmt: skip
        found: torch.Tensor
        if method == "deeplift":
            found = attr.DeepLift(self.model).attribute(**common)
        elif method == "integratedGradients":
            found = attr.IntegratedGradients(self.model).attribute(n_steps=settings.steps or STEPS, **common)
        elif method == "gradientShap":
            found = attr.GradientShap(self.model).attribute(n_samples=settings.samples or DRAWS, **common)
        elif method == "kernelShap":
            found = attr.KernelShap(self.model).attribute(**common, **coalitions)
        else:
            # Captum's default, a lasso, would set effects of this size to zero.
            surrogate = SkLearnLinearRegression()
            found = attr.Lime(self.model, interpretable_model=surrogate).attribute(**common, **coalitions)
        return found


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The generators that Captum draws from, seeded inside the block and as they were after it; without its advice."""
    before = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
