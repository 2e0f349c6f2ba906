"""DeepLIFT/SHAP of a sequence model (Lundberg and Lee 2017; Shrikumar et al. 2017), by tangermeme.

Dimension legend
    loci - rows of the locus table, items - one locus attributed for one track, shuffles - dinucleotide-shuffled
    references, pairs - item x reference, length - bases of a window
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.config.sections import AttributionSettings
from cisweave.core.devices import DeviceName, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.kernels import prepare_numba
from cisweave.core.logs import get_logger
from cisweave.models.folders import ModelSpec, load_model
from cisweave.models.protocol import sequence_model
from cisweave.seqlets.stores import Attributions, read_sequences, write_attributions
from cisweave.seqlets.table import read_loci, typed
from cisweave.sequence.onehot import UNKNOWN, Codes, one_hot, reverse_complement
from cisweave.tables.frames import read_table, write_tsv
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

QC_COLUMNS: dict[str, str] = {
    "item_id": "int64",
    "locus_id": "int64",
    "track": "str",
    "pred": "float64",
    "pred_ref_mean": "float64",
    "delta_max": "float64",
    "delta_mean": "float64",
    "delta_rel": "float64",
    "attr_sum": "float64",
    "status": "str",
}
"""``pred`` and ``pred_ref_mean`` are the track's output for the window and on average for its references (logits),
``attr_sum`` should be their difference; ``delta_*`` are the convergence deltas of the pairs; ``status`` is ok, delta
(above ``max_relative_delta``) or unknown_base (the window holds an N and was not attributed)."""

SMALL_DELTA = 1e-4
"""Deltas below this (logits) pass whatever the output difference; they are rounding."""


@dataclass
class ItemDeltas:
    """How well DeepLIFT's sum rule holds, per item.

    Attributes
    ----------
    pred, pred_ref_mean
        Output for the sequence and on average for its references.
    delta_max, delta_mean, delta_rel
        Largest and mean |f(x) - f(r) - sum((x - r) m)| over references, and the mean over mean |f(x) - f(r)|.
    """

    pred: NDArray[np.float64]
    pred_ref_mean: NDArray[np.float64]
    delta_max: NDArray[np.float64]
    delta_mean: NDArray[np.float64]
    delta_rel: NDArray[np.float64]


class SelectedOutput(torch.nn.Module):
    """One output of a model, as (batch, 1); keeps what it returned, in each batch sequences before references."""

    def __init__(self, module: torch.nn.Module, target: int):
        super().__init__()
        self.module, self.target = module, target
        self.seen: list[torch.Tensor] = []
        self.train(module.training)  # DeepLIFT puts the mode of what it is given back onto all modules

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output (batch, 1) of one-hot sequences (batch, 4, length)."""
        output: torch.Tensor = self.module(x)[:, self.target : self.target + 1]
        self.seen.append(output.detach().cpu()[:, 0])
        return output

    def pairs(self, shuffles: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs (items, shuffles) of the sequences and of their references."""
        halves = [batch.chunk(2) for batch in self.seen]
        sequences, references = (torch.cat(part).reshape(-1, shuffles) for part in zip(*halves, strict=True))
        return sequences, references


def attribute_loci(
    loci: str | Path,
    sequences: str | Path,
    model: str | Path,
    out: str | Path,
    qc: str | Path,
    settings: AttributionSettings | None = None,
    device: DeviceName = "auto",
) -> pd.DataFrame:
    """Attribute every track named in a locus table at its locus; write attributions (HDF5) and quality (TSV).

    Windows with an unknown base are not attributed, and items whose convergence delta is too large are treated as
    ``settings.on_delta`` says; the quality table has a row for every item asked for, with the reason. Sequences and
    attributions are those of the forward strand of the genome at every locus.

    Parameters
    ----------
    loci
        Locus table (TSV). Where it has a column ``strand``, the model reads the loci with ``-`` there as their reverse
        complement, as promoter models read genes of the minus strand.
    sequences
        Sequences extracted for it (HDF5: ``codes``, ``locus_id``).
    model
        Model folder.
    out
        HDF5: ``item_id``, ``locus_id``, ``track``, ``codes`` (items, length), ``projected`` (items, length) and
        ``hypothetical`` (items, 4, length), float32, channel order A, C, G, T.
    qc
        TSV, columns :data:`QC_COLUMNS`.

    Returns
    -------
    pandas.DataFrame
        The quality table.
    """
    settings = settings or AttributionSettings()
    table = read_loci(loci)
    codes = read_sequences(sequences, table)
    loaded = load_model(model, resolve_device(device))
    check_window(codes, loaded.spec, loci)
    items = item_table(table, loaded.spec.outputs)
    known = ~(codes == UNKNOWN).any(axis=1)
    items["status"] = np.where(known[items.locus_id], "ok", "unknown_base")
    kept = items[items.status == "ok"]
    stranded = loaded.spec.architecture == "promoter"
    reverse = read_reverse(loci, len(table), stranded)[kept.locus_id]
    read = np.where(reverse[:, None], reverse_complement(codes[kept.locus_id]), codes[kept.locus_id])
    attributions, deltas = attribute_items(
        sequence_model(loaded), read, kept.target.to_numpy(), settings, loaded.device
    )
    turn_back(attributions, reverse)
    attributions.item_id, attributions.locus_id = kept.item_id.to_numpy(), kept.locus_id.to_numpy()
    attributions.track = kept.track.tolist()
    quality = quality_table(items, attributions, deltas, settings)
    report_quality(quality, settings)
    if settings.on_delta == "drop":
        passed = quality.status.to_numpy()[kept.index] == "ok"
        attributions = attributions.subset(passed)
    write_attributions(out, attributions)
    write_tsv(quality, qc, float_format="%.6g")
    for result in (out, qc):
        write_receipt(
            result,
            settings=settings.model_dump(mode="json"),
            inputs=[loci, sequences, Path(model) / "weights.safetensors"],
            seed=settings.seed,
            device=str(loaded.device),
            dtype="float32",
        )
    return quality


def check_window(codes: Codes, spec: ModelSpec, loci: str | Path) -> None:
    """Raise if the windows (loci, length) have not the length that the model reads."""
    window = spec.hyperparameters.get("window")
    if len(codes) and window is not None and codes.shape[1] != int(window):
        raise CisweaveError(
            f"windows of {codes.shape[1]} bp for a model that reads {window} bp; select and extract the loci again "
            "with this model",
            path=loci,
        )


def read_reverse(loci: str | Path, count: int, stranded: bool = False) -> NDArray[np.bool_]:
    """Loci (loci,) whose reverse complement the model reads: those with ``-`` in a column ``strand``, if there is one.

    A model that reads promoters in gene orientation (``stranded``) needs the strand of every locus.

    Raises
    ------
    CisweaveError
        If a strand is neither ``+``, ``-`` nor empty, or is not told though it is needed.
    """
    table = read_table(loci, dtype={"strand": "str"})
    if stranded and ("strand" not in table or table["strand"].fillna("").eq("").any()):
        raise CisweaveError(
            "a model of promoters reads each on its gene's strand, which this table does not tell; make it with "
            "cisweave xpresso loci, or add a column strand (+ or -)",
            path=loci,
        )
    if "strand" not in table:
        return np.zeros(count, dtype=np.bool_)
    strand = table["strand"].fillna("")
    wrong = np.flatnonzero(~strand.isin(["+", "-", ""]))
    if len(wrong):
        raise CisweaveError(f"strand must be +, - or empty, not {strand.iloc[wrong[0]]!r}", path=loci)
    return strand.eq("-").to_numpy(dtype=np.bool_)


def turn_back(attributions: Attributions, reverse: NDArray[np.bool_]) -> None:
    """Turn items (items,) that were attributed as reverse complements to the genome's forward strand, in place."""
    attributions.codes = np.where(reverse[:, None], reverse_complement(attributions.codes), attributions.codes)
    attributions.projected[reverse] = attributions.projected[reverse, ::-1]
    attributions.hypothetical[reverse] = attributions.hypothetical[reverse, ::-1, ::-1]


def item_table(loci: pd.DataFrame, outputs: Sequence[str]) -> pd.DataFrame:
    """One row per locus and track: ``item_id`` (from 0), ``locus_id``, ``track``, ``target`` (index of the output)."""
    index = {name: number for number, name in enumerate(outputs)}
    rows: list[tuple[int, int, str, int]] = []
    for locus_id, tracks in zip(loci.locus_id, loci.tracks, strict=True):
        for track in filter(None, tracks.split(",")):
            if track not in index:
                raise CisweaveError(f"locus {locus_id} asks for the track {track}, which the model does not have")
            rows.append((len(rows), locus_id, track, index[track]))
    types = {"item_id": "int64", "locus_id": "int64", "track": "str", "target": "int64"}
    return typed(pd.DataFrame(rows, columns=list(types)), types)


def attribute_items(
    module: torch.nn.Module,
    codes: Codes,
    targets: NDArray[np.int64],
    settings: AttributionSettings,
    device: torch.device | str = "cpu",
) -> tuple[Attributions, ItemDeltas]:
    """DeepLIFT/SHAP attributions of one output per sequence.

    Reference k of every sequence is its dinucleotide shuffle with seed ``settings.seed + k``, so a sequence's
    attribution does not depend on what is attributed with it: steps have a constant number of pairs, the last one
    padded.

    Parameters
    ----------
    module
        Model from one-hot (batch, 4, length; A, C, G, T) to outputs (batch, outputs), in eval mode on ``device``. Its
        non-linear operations must be modules that tangermeme knows; the deltas tell.
    codes
        uint8 (items, length) without unknown bases.
    targets
        int64 (items,), the output to explain for each item.

    Returns
    -------
    attributions
        ``item_id`` and ``locus_id`` count the items; ``track`` is the target as text.
    deltas
        Quality per item.
    """
    prepare_numba()
    count, length = codes.shape
    numbers = np.arange(count)
    result = Attributions(
        numbers,
        numbers,
        [str(target) for target in targets],
        codes,
        np.zeros((count, length), dtype=np.float32),
        np.zeros((count, 4, length), dtype=np.float32),
    )
    deltas = ItemDeltas(*(np.zeros(count) for _ in range(5)))
    done = 0
    for step in constant_steps(targets, max(1, settings.batch_size // settings.shuffles)):
        members = np.unique(step)
        hypothetical, outputs = attribute_step(module, one_hot(codes[step]), int(targets[step[0]]), settings, device)
        first = np.searchsorted(step, members)
        result.hypothetical[members] = hypothetical[first]
        for name, values in outputs.items():
            getattr(deltas, name)[members] = values[first]
        if done // 100 != (done + len(members)) // 100:
            logger.info("%d of %d items attributed", done + len(members), count)
        done += len(members)
    result.projected = np.take_along_axis(result.hypothetical, codes[:, None, :].astype(np.int64), axis=1)[:, 0]
    return result, deltas


def constant_steps(targets: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Item numbers in steps of exactly ``size`` items of one target, in order; the last item fills up a short step."""
    for target in np.unique(targets):
        members = np.flatnonzero(targets == target)
        for start in range(0, len(members), size):
            step = members[start : start + size]
            yield np.pad(step, (0, size - len(step)), mode="edge")


def attribute_step(
    module: torch.nn.Module, x: torch.Tensor, target: int, settings: AttributionSettings, device: torch.device | str
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float64]]]:
    """Hypothetical attributions (items, 4, length) and convergence figures of one step.

    From the raw multipliers m of every pair: ``h[b, i] = mean over references r of m[b, i] - sum_c r[c, i] m[c, i]``.
    """
    from tangermeme.deep_lift_shap import deep_lift_shap

    selected = SelectedOutput(module, target)
    with warnings.catch_warnings():
        # The deltas are computed below, for every item, and reported once.
        warnings.filterwarnings("ignore", message="Convergence deltas", category=RuntimeWarning)
        multipliers, references = deep_lift_shap(
            selected,
            x,
            n_shuffles=settings.shuffles,
            batch_size=min(settings.batch_size, len(x) * settings.shuffles),
            raw_outputs=True,
            return_references=True,
            random_state=settings.seed,
            device=device,
        )
    removed = (references * multipliers).sum(dim=2)
    hypothetical = (multipliers - removed[:, :, None]).mean(dim=1)
    explained = (x[:, None] * multipliers).sum(dim=(2, 3)) - removed.sum(dim=2)
    of_sequence, of_references = selected.pairs(settings.shuffles)
    difference = of_sequence - of_references
    delta = (difference - explained).abs()
    figures = {
        "pred": of_sequence[:, 0],
        "pred_ref_mean": of_references.mean(dim=1),
        "delta_max": delta.amax(dim=1),
        "delta_mean": delta.mean(dim=1),
        "delta_rel": delta.mean(dim=1) / difference.abs().mean(dim=1).clamp_min(1e-12),
    }
    return hypothetical.numpy(), {name: value.double().numpy() for name, value in figures.items()}


def quality_table(
    items: pd.DataFrame, attributions: Attributions, deltas: ItemDeltas, settings: AttributionSettings
) -> pd.DataFrame:
    """The quality of every item asked for."""
    quality = items.copy()
    kept = (quality.status == "ok").to_numpy()
    for name in ("pred", "pred_ref_mean", "delta_max", "delta_mean", "delta_rel"):
        quality.loc[kept, name] = getattr(deltas, name)
    quality.loc[kept, "attr_sum"] = attributions.projected.sum(axis=1, dtype=np.float64)
    bad = (quality.delta_rel > settings.max_relative_delta) & (quality.delta_mean > SMALL_DELTA)
    quality.loc[bad, "status"] = "delta"
    return typed(quality, QC_COLUMNS)


def report_quality(quality: pd.DataFrame, settings: AttributionSettings) -> None:
    """Say what did not pass; stop if the settings say so."""
    unknown = quality[quality.status == "unknown_base"].locus_id.nunique()
    if unknown:
        logger.warning("%d loci hold unknown bases (N) and are not attributed", unknown)
    bad = quality[quality.status == "delta"]
    logger.info("%d items; median relative delta %.2g", len(quality), quality.delta_rel.median())
    if not len(bad):
        return
    message = (
        f"{len(bad)} of {len(quality)} items have a convergence delta above {settings.max_relative_delta:.1%} of the "
        f"output difference (worst {bad.delta_rel.max():.1%}, locus {bad.locus_id.iloc[int(bad.delta_rel.argmax())]}): "
        "an operation of the model has no DeepLIFT rule"
    )
    if settings.on_delta == "fail":
        raise CisweaveError(f"{message}; write it as a module that tangermeme knows, or set attribution.on_delta: warn")
    logger.warning("%s", message)
