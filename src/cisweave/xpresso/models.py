"""Promoter models as this room uses them: where their window lies, what else they read, and what their output means.

Dimension legend
    genes - promoters, window - bases that a model reads, extras - inputs that are no sequence (half-life features,
    factors, microRNAs, in this order)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.devices import DeviceName, float32_arithmetic, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.models.folders import SPEC, WEIGHTS, LoadedModel, ModelSpec, load_model
from cisweave.sequence.onehot import Codes, one_hot
from cisweave.xpresso.scaling import Scaling

if TYPE_CHECKING:
    from cisweave.models.promoter.registry import ModelType

ARCHITECTURE = "promoter"
RUN_MODELS = ("best", "last")
"""Model folders of a training."""
INPUTS = {"P": "promoter", "H": "half-life features", "T": "transcription factors", "M": "microRNAs"}
"""Letters of a model's inputs."""


@dataclass(frozen=True)
class Geometry:
    """Where the window of a model lies.

    Attributes
    ----------
    upstream, downstream
        Bases of a promoter before its TSS, and from the TSS on.
    left, right
        The window within the promoter, 0-based half-open from the promoter's first base, in gene orientation.
    compat
        ``xpresso`` where promoters are cut as published; empty otherwise.
    """

    upstream: int
    downstream: int
    left: int
    right: int
    compat: str = ""

    @property
    def promoter(self) -> int:
        """Bases of a promoter."""
        return self.upstream + self.downstream

    @property
    def window(self) -> int:
        """Bases that the model reads."""
        return self.right - self.left

    @property
    def anchor(self) -> int:
        """Index of the TSS in the window, in gene orientation; outside it where the window does not hold the TSS."""
        return self.upstream - self.left


class PromoterModel:
    """A model folder ready to predict.

    Attributes
    ----------
    folder, spec, device
        Of the model.
    geometry
        Where its window lies; of a model that reads no promoter the window is empty.
    scaling
        What its inputs and its output were brought to mean 0 and standard deviation 1 with.
    inputs
        Letters of what it reads (:data:`INPUTS`).
    """

    def __init__(self, loaded: LoadedModel):
        self.folder, self.spec, self.device = loaded.folder, loaded.spec, loaded.device
        self.network = loaded.module
        try:
            self.inputs, self.geometry, self.scaling = read_preprocessing(loaded.spec)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CisweaveError(
                f"preprocessing does not say how a promoter model is used ({error!r:.80}); train or import it again",
                path=loaded.folder / SPEC,
            ) from error
        wanted = {"window": self.geometry.window, **self.scaling.widths(self.inputs)}
        network = {"window": loaded.spec.hyperparameters["window"] if "P" in self.inputs else 0}
        network |= {name: int(loaded.spec.hyperparameters.get(name, 0)) for name in self.scaling.widths("")}
        if wanted != network:
            raise CisweaveError(
                f"preprocessing gives {wanted}, the network reads {network}; train or import it again",
                path=loaded.folder / SPEC,
            )

    @property
    def reads_promoter(self) -> bool:
        """Whether the model reads sequence."""
        return "P" in self.inputs

    @property
    def extra_inputs(self) -> str:
        """Letters of what it reads beside the promoter."""
        return self.inputs.replace("P", "")

    @property
    def files(self) -> list[Path]:
        """The files that make its predictions, for receipts."""
        return [self.folder / SPEC, self.folder / WEIGHTS]

    def predict(self, codes: Codes | None, extras: NDArray[np.float32], batch_size: int = 128) -> NDArray[np.float64]:
        """Predictions (genes,), z-scores.

        Parameters
        ----------
        codes
            Windows uint8 (genes, window) in gene orientation; ``None`` for a model that reads none.
        extras
            Scaled inputs (genes, extras), without columns where the model reads none.
        batch_size
            Promoters per step.
        """
        import torch

        found = np.zeros(len(extras))
        with torch.inference_mode(), float32_arithmetic(tf32=False):
            for start in range(0, len(extras), batch_size):
                part = slice(start, start + batch_size)
                promoter = one_hot(codes[part], self.device) if codes is not None else None
                other = torch.as_tensor(extras[part], device=self.device)
                found[part] = self.network(promoter, other)[:, 0].double().cpu().numpy()
        if not np.isfinite(found).all():
            raise CisweaveError("predictions are not finite; check the model's weights", path=self.folder)
        return found

    def log10(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predictions (genes,) as log10(expression + pseudocount); NaN where the model only ever saw z-scores."""
        if self.scaling.label_unit == "standardised":
            return np.full(len(z), np.nan)
        return np.asarray(self.scaling.unlabel(z), dtype=np.float64)

    @property
    def log10_per_z(self) -> float:
        """Units of log10 expression in one of z; NaN where the model only ever saw z-scores."""
        return np.nan if self.scaling.label_unit == "standardised" else float(self.scaling.label_sd)


def read_preprocessing(spec: ModelSpec) -> tuple[str, Geometry, Scaling]:
    """Inputs, geometry and scales of a model; what is absent or wrong raises ``KeyError`` or its like."""
    inputs = str(spec.preprocessing["inputs"])
    if not inputs or not set(inputs) <= set(INPUTS):
        raise ValueError(f"inputs {inputs}")
    geometry = Geometry(0, 0, 0, 0)
    if "P" in inputs:
        place = spec.preprocessing["promoter"]
        left, right = (int(bound) for bound in place["slice"])
        geometry = Geometry(
            int(place["upstream"]), int(place["downstream"]), left, right, str(place.get("compat") or "")
        )
        if not 0 <= left < right <= geometry.promoter or geometry.window != int(spec.hyperparameters["window"]):
            raise ValueError(f"slice {left}:{right}")
        if geometry.compat not in ("", "xpresso"):
            raise ValueError(f"compat {geometry.compat}")
    return inputs, geometry, Scaling.from_dict(spec.preprocessing["scaling"])


def load_promoter_model(folder: str | Path, device: DeviceName = "auto") -> PromoterModel:
    """Load the folder of a promoter model; one of another kind is an error."""
    folder = Path(folder)
    runs = [name for name in RUN_MODELS if (folder / name / SPEC).is_file()]
    if runs and not (folder / SPEC).exists():
        raise CisweaveError(f"this is the folder of a training; name a model in it: {' or '.join(runs)}", path=folder)
    return PromoterModel(load_model(folder, resolve_device(device), ARCHITECTURE))


# --- the types --------------------------------------------------------------------------------------------------------
MODEL_COLUMNS: dict[str, Callable[[ModelType], Any]] = {
    "type": lambda kind: kind.name,
    "family": lambda kind: kind.family,
    "inputs": lambda kind: kind.inputs,
    "slice": lambda kind: kind.slice if "P" in kind.inputs else "",
    "reads": lambda kind: "" if "P" not in kind.inputs else "segments" if kind.embedding else "bases",
    "parameters": lambda kind: kind.parameters,
    "optimizer": lambda kind: kind.training.get("optimizer"),
    "learning_rate": lambda kind: kind.training.get("learning_rate"),
    "loss": lambda kind: kind.training.get("loss"),
    "batch_size": lambda kind: kind.training.get("batch_size"),
    "max_epochs": lambda kind: kind.training.get("max_epochs"),
    "patience": lambda kind: kind.training.get("patience"),
    "published_r2": lambda kind: kind.published[0].r2 if kind.published else None,
    "published_data": lambda kind: kind.published[0].data if kind.published else "",
    "aliases": lambda kind: ",".join(kind.aliases),
}
"""Columns of :func:`models_table` and what they hold of a type."""


def models_table() -> pd.DataFrame:
    """The types of the zoo with their inputs, published sizes, training and published r² (``xpresso models``)."""
    from cisweave.models.promoter.registry import TYPES

    rows = [{name: value(kind) for name, value in MODEL_COLUMNS.items()} for kind in TYPES.values()]
    return pd.DataFrame(rows).astype({"parameters": "Int64"})
