"""What every verb that scores reads: a genome, the TSS profiles made of it, and the two models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cisweave.core.devices import DeviceName, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, sha256
from cisweave.core.logs import get_logger
from cisweave.models.folders import SPEC, WEIGHTS, LoadedModel, load_model
from cisweave.models.profiles import ProfileStore, read_profiles

logger = get_logger(__name__)


@dataclass(frozen=True)
class ScoringInputs:
    """Store and models that belong together.

    Attributes
    ----------
    store
        TSS profiles, made with ``chromatin``.
    chromatin, expression
        The models, on one device.
    files
        All files that were read, for receipts: FASTA, profiles, weights and description of both models.
    """

    store: ProfileStore
    chromatin: LoadedModel
    expression: LoadedModel
    files: tuple[Path, ...]

    @property
    def window(self) -> int:
        """Length of the chromatin model's window in bases."""
        return int(self.chromatin.spec.hyperparameters["window"])


def open_inputs(
    fasta: str | Path, profiles: str | Path, chromatin: str | Path, model: str | Path, device: DeviceName = "auto"
) -> ScoringInputs:
    """Open store and models, and check that they belong together.

    Parameters
    ----------
    fasta
        The genome of the profiles; another file than they were made with is logged, as it may be another assembly.
    profiles
        Store of TSS profiles (HDF5 or its index).
    chromatin, model
        Model folders of the chromatin and the expression model.

    Raises
    ------
    CisweaveError
        If the profiles were made with another chromatin model, or the expression model reads other features.
    """
    torch_device = resolve_device(device)
    store = read_profiles(profiles)
    chromatin_model = load_model(chromatin, torch_device, "beluga")
    expression_model = load_model(model, torch_device, "expression")
    store.check_model(chromatin)
    check_features(store, expression_model, model)
    warn_of_genome(store, fasta)
    models = [Path(folder) / name for folder in (chromatin, model) for name in (WEIGHTS, SPEC)]
    return ScoringInputs(store, chromatin_model, expression_model, (Path(fasta), Path(profiles), *models))


def check_features(store: ProfileStore, expression: LoadedModel, model: str | Path) -> None:
    """Raise unless the profiles give as many spatial features as the expression model reads."""
    read, given = int(expression.spec.hyperparameters["features"]), 2 * len(store.settings.decay) * len(store.tracks)
    if read != given:
        raise CisweaveError(
            f"the expression model reads {read} features, these TSS profiles give {given}; take the profiles it was "
            "trained with",
            path=model,
        )


def warn_of_genome(store: ProfileStore, fasta: str | Path) -> None:
    """Say so where the profiles were made with another FASTA: it may be another assembly."""
    if store.genome_sha256 and store.genome_sha256 != sha256(existing(fasta)):
        logger.warning(
            "the TSS profiles were not made with this very FASTA (%s); right only if it holds the same assembly",
            fasta,
        )
