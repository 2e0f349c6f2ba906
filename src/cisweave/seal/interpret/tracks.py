"""Which chromatin tracks make a variant's score: six methods by name (Seal, section "Interpret").

Dimension legend
    variants - alleles, contexts - tissues or cell states, tracks - chromatin outputs, shifts - places of the window
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cisweave.config import EngineSettings, InterpretSettings, PredictSettings, TrackMethod
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.models.folders import LoadedModel
from cisweave.models.profiles import ProfileStore
from cisweave.seal.engine import AllelePredictions, ChromatinEngine, make_engine
from cisweave.seal.head import ExpressionHead, Places, places_of
from cisweave.seal.inputs import open_inputs
from cisweave.seal.interpret.game import Games
from cisweave.seal.interpret.library import CaptumAttribution
from cisweave.seal.interpret.methods import TrackAttribution, along_path, path_slopes
from cisweave.seal.interpret.output import Attributed, TrackTables, upstream_path
from cisweave.seal.interpret.surrogates import Surrogate
from cisweave.seal.interpret.variants import choose_variants, chosen_outputs
from cisweave.seal.predict import window_shifts
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import write_ledger
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

STAGE = "seal_interpret"
SURROGATES = ("kernelShap", "lime")
Explain = Callable[[AllelePredictions, Places], list[TrackAttribution]]
Floats = NDArray[np.float64]


class TrackExplainer:
    """Attributes variants, given the chromatin of their alleles.

    Parameters
    ----------
    model
        Expression model.
    store
        TSS profiles of the genes.
    method, settings
        The method, how it works and for which contexts.
    """

    def __init__(self, model: LoadedModel, store: ProfileStore, method: TrackMethod, settings: InterpretSettings):
        self.method, self.settings = method, settings
        self.outputs = chosen_outputs(settings.contexts, model.spec.outputs)
        self.contexts = [model.spec.outputs[output] for output in self.outputs]
        self.head = ExpressionHead(model, store)
        self._explain = self._by_captum() if settings.backend == "captum" else self._natively(len(store.tracks))

    def attribute(self, batch: pd.DataFrame, predictions: AllelePredictions, places: Places) -> Attributed:
        """Scores and attributions of a batch of variants, both from REF to ALT of the user's file."""
        sign = np.where(batch["swapped"].to_numpy(dtype=bool), -1.0, 1.0)
        score = np.asarray(self.head.effects(predictions, places), dtype=np.float64)[:, self.outputs]
        found = self._explain(predictions, places)
        tracks = stacked([one.tracks for one in found])
        total = stacked([one.total for one in found])
        if self.method == "saliency" and not self.settings.times_change:
            total[:] = np.nan
        return Attributed(
            batch,
            score=score * sign[:, None],
            total=total * sign[:, None],
            others=stacked([one.others for one in found]) * sign[:, None],
            tracks=tracks * sign[:, None, None],
        )

    def _natively(self, tracks: int) -> Explain:
        """All contexts in one pass."""
        games, method, settings = Games(self.head, self.outputs), self.method, self.settings
        if method in SURROGATES:
            surrogate = Surrogate(method, settings, tracks, games.device)
            return lambda *alleles: [surrogate.attribute(variant, games.head) for variant in games.of_batch(*alleles)]
        slopes = path_slopes(method, settings)
        times_change = method != "saliency" or settings.times_change
        return lambda *alleles: [
            along_path(variant, games.head, slopes, times_change) for variant in games.of_batch(*alleles)
        ]

    def _by_captum(self) -> Explain:
        """One context after the other."""
        captum = CaptumAttribution(self.method, self.settings, self.head, self.outputs)
        return lambda *alleles: [
            TrackAttribution(variant, variant.new_zeros(len(variant))) for variant in captum.attribute(*alleles)
        ]


def stacked(parts: list[torch.Tensor]) -> Floats:
    """The values of several variants as one array."""
    values: Floats = torch.stack(parts).cpu().numpy()
    return values


def interpret_variants(
    variants: str | Path,
    fasta: str | Path,
    profiles: str | Path,
    chromatin: str | Path,
    model: str | Path,
    *,
    out: str | Path,
    strongest: str | Path,
    rejects: str | Path,
    method: TrackMethod = "deeplift",
    outcome_id: int = 0,
    compat_prefix: str | Path | None = None,
    settings: InterpretSettings | None = None,
    windows: PredictSettings | None = None,
    engine: EngineSettings | None = None,
    device: DeviceName = "auto",
) -> None:
    """Attribute the scores of variants to chromatin tracks, in all contexts in one pass.

    The attributed input is the set of tracks in the windows of a variant, from their values with the reference allele
    to those with the alternative one; the attribution of a track is the sum over its ten features and all shifts. Input
    and baseline of a variant are paired, every draw has a seed, and the sum of the attributions is held against the
    score.

    Parameters
    ----------
    variants
        Variant table with genes (Parquet), or the table of effects of ``seal predict``.
    profiles, chromatin, model
        Store of TSS profiles, folders of the chromatin and the expression model.
    out
        Parquet, a row per variant and context: variant, score, attribution_sum, delta, other_tracks, and a column per
        track.
    strongest
        TSV: the strongest tracks of each variant and context.
    rejects
        Ledger of the variants that cannot be scored.
    compat_prefix, outcome_id
        Write ``<prefix>_<method>_attribution_score_outcome_<id>.npy`` as well: Seal's array, float32 (variants,
        tracks), of the context with that number (from 0), rows in the order of Seal's table of scores.
    settings, windows
        How the method works; the shifts of the windows.

    Raises
    ------
    CisweaveError
        If a context is none of the model's, the profiles were made with another chromatin model, or the attributions of
        an exact method do not add up to the score (``on_delta: fail``).
    """
    settings, windows = settings or InterpretSettings(), windows or PredictSettings()
    engine = engine or EngineSettings()
    opened = open_inputs(fasta, profiles, chromatin, model, device)
    shifts = attributed_shifts(windows, opened.window)
    explainer = TrackExplainer(opened.expression, opened.store, method, settings)
    array = None
    if compat_prefix is not None:
        number = attributed_context(outcome_id, opened.expression.spec.outputs, explainer.contexts)
        array = upstream_path(compat_prefix, method, outcome_id), number
    alleles = make_engine(opened.chromatin, engine)
    with Genome(fasta) as genome:
        table, rejected = choose_variants(
            variants, genome, opened.store, opened.window, shifts, explainer.contexts, settings.top_variants, STAGE
        )
        tables = TrackTables(
            out, strongest, explainer.contexts, opened.chromatin.spec.outputs, settings.top_tracks, table, array
        )
        with tables:
            worst = attribute_table(table, genome, alleles, shifts, explainer, engine.batch_size, tables)
    write_ledger([rejected], rejects)
    for result in (out, strongest, *([array[0]] if array else [])):
        write_receipt(
            result,
            settings={
                "method": method,
                "interpret": settings.model_dump(mode="json"),
                "windows": windows.model_dump(mode="json"),
                "engine": engine.model_dump(mode="json"),
            },
            inputs=[variants, *opened.files],
            seed=settings.seed,
            device=str(opened.expression.device),
            dtype="as engine.precision (chromatin), float64 (attribution)",
            notes={"max_abs_delta": worst},
        )


def attribute_table(
    table: pd.DataFrame,
    genome: Genome,
    alleles: ChromatinEngine,
    shifts: list[int],
    explainer: TrackExplainer,
    at_a_time: int,
    tables: TrackTables,
) -> float:
    """Attribute variants batch by batch into tables; the largest |sum of attributions - score|."""
    worst, store, settings = 0.0, explainer.head.store, explainer.settings
    for start in range(0, len(table), at_a_time):
        batch = table.iloc[start : start + at_a_time]
        predictions = alleles.predict(batch, genome, shifts)
        places = places_of(batch, store, shifts, genome)
        for first in range(0, len(batch), settings.batch_size):
            rows = slice(first, first + settings.batch_size)
            some = AllelePredictions(predictions.reference[rows], predictions.alternative[rows])
            found = explainer.attribute(batch.iloc[rows], some, places.part(rows))
            worst = max(worst, check_sums(found, explainer.method, settings))
            tables.write(found)
        logger.info("%d of %d variants", start + len(batch), len(table))
    return worst


def attributed_shifts(windows: PredictSettings, window: int) -> list[int]:
    """The shifts that the score is a sum over; a score without shifts is an error."""
    if windows.mode != "seal":
        raise CisweaveError("attribution explains the sum over shifted windows; set seal.predict.mode to seal")
    return window_shifts(windows, window)


def attributed_context(outcome_id: int, outputs: list[str], contexts: list[str]) -> int:
    """Which of the attributed contexts a number among the model's stands for."""
    if outcome_id >= len(outputs):
        raise CisweaveError(f"outcome_id is {outcome_id}, the model has {len(outputs)} contexts, from 0")
    context = outputs[outcome_id]
    if context not in contexts:
        raise CisweaveError(f"outcome_id {outcome_id} is {context}; name it among the contexts, or none")
    return contexts.index(context)


def is_exact(method: TrackMethod, settings: InterpretSettings) -> bool:
    """Whether the attributions of this method must add up to the score."""
    if settings.backend == "captum":
        return method == "deeplift"
    return method in ("deeplift", "kernelShap") or (method == "integratedGradients" and settings.steps is None)


def check_sums(found: Attributed, method: TrackMethod, settings: InterpretSettings) -> float:
    """Largest |sum - score| of a batch; above the limit it is reported, or an error, where the method is exact."""
    if not found.delta.size or not np.isfinite(found.delta).any():
        return 0.0
    worst = float(np.nanmax(np.abs(found.delta)))
    if is_exact(method, settings) and not worst <= settings.max_delta:
        variant, context = np.unravel_index(np.nanargmax(np.abs(found.delta)), found.delta.shape)
        row = found.variants.iloc[int(variant)]
        message = (
            f"the attributions of {row.chrom}:{row.pos} {row.ref}>{row['alt']} ({row.gene_id}, context number "
            f"{int(context)}) miss the score by {worst:.2g}"
        )
        if settings.on_delta == "fail":
            raise CisweaveError(f"{message}, more than max_delta ({settings.max_delta:g})")
        logger.warning("%s", message)
    return worst
