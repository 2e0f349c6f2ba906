"""Published weights to model folders, with what is known of the scales of their inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cisweave.config.promoters import EmbeddingSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, sha256
from cisweave.core.logs import get_logger
from cisweave.models.folders import ModelSpec, save_model
from cisweave.models.promoter.build import build_network
from cisweave.models.promoter.keras import count_parameters
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.dataset import DESCRIPTION, HALF_LIFE, PromoterData, open_data
from cisweave.xpresso.importing.keras_h5 import is_hdf5, read_keras_weights
from cisweave.xpresso.importing.plan import Plan, hold_halflife, make_plan
from cisweave.xpresso.importing.records import KerasModel
from cisweave.xpresso.importing.saved_model import read_saved_model
from cisweave.xpresso.importing.settings import order_norms
from cisweave.xpresso.importing.structure import read_structure
from cisweave.xpresso.importing.transfer import transfer
from cisweave.xpresso.scaling import Scaling, fit_scaling

if TYPE_CHECKING:
    from cisweave.models.promoter.network import PromoterNetwork

logger = get_logger(__name__)

UPSTREAM = DOWNSTREAM = 10_000
"""Bases around the TSS of the promoters that published slices count from."""

HDF5_SUFFIXES = (".h5", ".hdf5", ".keras")


def import_model(
    source: str | Path,
    out: str | Path,
    *,
    type: str | None = None,  # noqa: A002 - the key of model.yaml
    data: str | Path | None = None,
    slice: str | None = None,  # noqa: A002 - the key of the settings
    upstream: int = UPSTREAM,
    downstream: int = DOWNSTREAM,
    compat: Literal["xpresso"] | None = "xpresso",
    halflife_names: Sequence[str] | None = None,
    genes: str | Path | None = None,
    vectors: str | Path | None = None,
) -> Path:
    """Turn the weights of a Keras promoter model into a model folder.

    Parameters
    ----------
    source
        A Keras HDF5 file (``.h5``), a SavedModel folder, or the index of a TensorFlow bundle.
    out
        Model folder to write.
    type
        Type of the zoo (:func:`~cisweave.models.promoter.registry.find_type`); None: told by the weights.
    data
        Data file of a bundle that has lost its name.
    slice
        Part of a promoter that the model reads, ``left:right``; None: its type's, if that has the right length.
    upstream, downstream
        Bases of a promoter before its TSS and from it on.
    compat
        ``xpresso``: windows are cut as published, one base off on the plus strand; None: the TSS is base ``upstream``.
    halflife_names
        Names of the half-life features, in the model's order. Eight are Xpresso's. The weights of 2018 take six, which
        the file does not name; without names they are held at their mean (0), and the model reads the promoter alone.
    genes
        Folder of promoter data over which half-life features and expression were standardised: gives means, spreads
        and the names of factors and microRNAs. None: features and predictions are z-scores.
    vectors
        Vectors of k-mers (``.npy``, 4^k x size) that segments were made with, which weights files do not hold.

    Returns
    -------
    Path
        The model folder.

    Raises
    ------
    CisweaveError
        If the source cannot be read, or is of no type or of another than is told; the first layer that does not fit
        is named.
    """
    out = Path(out)
    model = read_source(source, data)
    structure = read_structure(model)
    plan = make_plan(model, structure, type, slice, halflife_names, upstream + downstream)
    weights = list(order_norms(model, structure).weights())
    plan, weights, held = hold_halflife(plan, weights, structure, halflife_names, model.path)
    network = build_network(**plan.hyperparameters)
    transfer(network, weights, model.path)
    take_vectors(network, vectors, model.path)
    if halflife_names and genes is None:
        logger.warning(
            "%s: without the data that half-life features were standardised over their scale is unknown, and raw ones "
            "cannot be used; give the data, too (--data)",
            model.path,
        )
    scaling = scaling_of(plan, halflife_names, None if genes is None else open_data(genes))
    notes = {
        "imported_from": [{"file": path.name, "sha256": sha256(path)} for path in model.files],
        **({"halflife_held_at_mean": held} if held else {}),
        **({"vectors_known": vectors is not None} if network.reads_segments else {}),
    }
    spec = ModelSpec(
        architecture="promoter",
        hyperparameters=plan.hyperparameters,
        outputs=["expression"],
        preprocessing={
            "promoter": {
                "upstream": upstream,
                "downstream": downstream,
                "slice": list(plan.bounds),
                "compat": compat,
            },
            "scaling": scaling.to_dict(),
            "embedding": embedding_of(network, plan),
            "inputs": plan.kind.inputs,
            **notes,
        },
    )
    metrics = {"type": plan.kind.name, "inputs": plan.kind.inputs, "parameters": count_parameters(network)}
    save_model(out, network, spec, metrics, no_history())
    write_receipt(
        out / "model.yaml",
        settings={
            "type": type,
            "slice": slice,
            "upstream": upstream,
            "downstream": downstream,
            "compat": compat,
            "halflife_names": list(halflife_names or []),
        },
        inputs=[*model.files, *([vectors] if vectors else []), *([Path(genes) / DESCRIPTION] if genes else [])],
        dtype="float32",
    )
    return out


def read_source(source: str | Path, data: str | Path | None = None) -> KerasModel:
    """The layers of a Keras file, SavedModel or bundle."""
    path = Path(source)
    if (not path.is_file() and path.suffix not in HDF5_SUFFIXES) or path.suffix == ".index":
        return read_saved_model(path, data)
    if data is not None:
        raise CisweaveError("a data file goes with the index of a bundle, not with this file", path=path)
    if path.name.partition(".data-")[1] and not is_hdf5(path):
        raise CisweaveError("this is the data file of a bundle; name its .index or the folder", path=path)
    if path.suffix == ".pb":
        raise CisweaveError("this is the description of a SavedModel; name its folder", path=path)
    return read_keras_weights(path)


def no_history() -> Any:
    """The history of a model that was trained elsewhere."""
    import pandas as pd

    return pd.DataFrame(columns=["epoch", "train_loss", "valid_loss"])


# --- scales and names -------------------------------------------------------------------------------------------------
def scaling_of(plan: Plan, halflife_names: Sequence[str] | None, genes: PromoterData | None) -> Scaling:
    """Scales and names of the inputs: of a data set, or z-scores in and out."""
    names = list(halflife_names or HALF_LIFE)
    if genes is None:
        return Scaling(
            halflife_mean=[0.0] * len(names),
            halflife_sd=[1.0] * len(names),
            halflife_names=names,
            tf_names=factor_names(plan.widths["tf"]),
            tf_mean=[0.0] * plan.widths["tf"],
            mirna_names=[f"mirna_{number}" for number in range(1, plan.widths["mirna"] + 1)],
            mirna_mean=[0.0] * plan.widths["mirna"],
            label_unit="standardised",
            halflife_unit="standardised",
        )
    rows = np.flatnonzero(np.isfinite(genes.label))
    fitted = fit_scaling(genes, rows, "none" if genes.expression_unit == "standardised" else "all")
    for name, held in (("tf", fitted.tf_names), ("mirna", fitted.mirna_names)):
        if plan.widths[name] not in (0, len(held)):
            raise CisweaveError(
                f"the model reads {plan.widths[name]} columns of {name}, these data have {len(held)}",
                path=genes.folder,
            )
    places = [fitted.halflife_names.index(name) for name in names]
    fitted = replace(
        fitted,
        halflife_names=names,
        halflife_mean=[fitted.halflife_mean[place] for place in places],
        halflife_sd=[fitted.halflife_sd[place] for place in places],
    )
    fitted = fitted if plan.widths["tf"] else replace(fitted, tf_names=[], tf_mean=[])
    return fitted if plan.widths["mirna"] else replace(fitted, mirna_names=[], mirna_mean=[])


def factor_names(number: int) -> list[str]:
    """The 181 published factors in their order; numbers where there are more or fewer."""
    from cisweave.xpresso.matrices import TF_NAMES

    if number == len(TF_NAMES):
        logger.warning("the factors are taken to be ENCODE's 181 in alphabetical order, as the file does not name them")
        return list(TF_NAMES)
    return [f"factor_{place}" for place in range(1, number + 1)]


# --- vectors of k-mers ------------------------------------------------------------------------------------------------
def take_vectors(network: PromoterNetwork, vectors: str | Path | None, path: Path) -> None:
    """Give a network that reads segments the vectors of k-mers; warn where it has none of its own."""
    if not network.reads_segments:
        if vectors is not None:
            raise CisweaveError("this model reads no segments, so it has no use for vectors", path=path)
        return
    if vectors is None:
        logger.warning(
            "%s: the vectors of k-mers that this network was trained on are not in the file, and without them its "
            "predictions mean nothing; give them (--vectors)",
            path,
        )
        return
    front = network.segments
    values = read_vectors(existing(vectors))
    if values.shape != tuple(front.vectors.shape):
        raise CisweaveError(
            f"the vectors have shape {values.shape}, the network needs {tuple(front.vectors.shape)}", path=vectors
        )
    front.set_vectors(torch.from_numpy(values))


def read_vectors(path: Path) -> NDArray[np.float32]:
    """Vectors float32 (4^k, size) from a ``.npy``, rows in the order AAA, AAC, …, TTT; nothing is unpickled."""
    try:
        values = np.load(path, allow_pickle=False)
        values = np.asarray(values, dtype=np.float32)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise CisweaveError(f"these are no vectors as NumPy writes them ({error})", path=path) from error
    if values.ndim != 2 or not np.isfinite(values).all():
        raise CisweaveError("vectors must be a table of finite numbers, a row per k-mer", path=path)
    return values


def embedding_of(network: PromoterNetwork, plan: Plan) -> dict[str, Any] | None:
    """Settings of the embedding, for a network that reads segments; they were not standardised."""
    if not network.reads_segments:
        return None
    front = network.segments
    return EmbeddingSettings(
        mode="random_projection",
        slice=f"{plan.bounds[0]}:{plan.bounds[1]}",
        segment=front.segment,
        k=front.k,
        size=front.size,
        standardise=False,
    ).model_dump(mode="json")
