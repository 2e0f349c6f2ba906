"""Effects of variants on chromatin and expression by shifted windows (Seal, Modules 1 to 3).

Dimension legend
    variants - alleles to score, shifts - places of the window around the variant, tracks - chromatin outputs,
    contexts - tissues or cell states
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import EngineSettings, PredictSettings
from cisweave.core.devices import DeviceName, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.genome.reasons import Reason
from cisweave.genome.table import as_in_file, read_flags
from cisweave.models.folders import LoadedModel, load_model
from cisweave.seal.engine import make_engine
from cisweave.seal.head import ExpressionHead, places_of
from cisweave.seal.profiles import ProfileStore, read_profiles
from cisweave.sequence.genome import Genome
from cisweave.sequence.windows import MARGIN
from cisweave.tables.frames import read_table, write_parquet, write_tsv
from cisweave.tables.ledger import ledger_rows, write_ledger
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

VARIANT_KEY = ["record", "allele"]
SEAL_COLUMNS = ["chrom", "pos", "ref", "alt", "gene_strand", "gene_id", "dist_to_tss", "reference_genome_match"]


@dataclass
class VariantEffects:
    """Scores of variants, row by row with the table they were computed from.

    Attributes
    ----------
    expression
        float32 (variants, contexts): alternative minus reference, ln expression, summed over shifts.
    chromatin
        float32 (variants, tracks): alternative minus reference probability in the window centred on the variant.
    """

    expression: NDArray[np.float32]
    chromatin: NDArray[np.float32]


def window_shifts(settings: PredictSettings, window: int) -> list[int]:
    """Shifts of the window in bases, symmetric around 0 (-800, -600, …, +800 as published)."""
    if settings.max_shift >= window // 2:
        raise CisweaveError(
            f"seal.predict.max_shift is {settings.max_shift}, but a {window}-bp window must hold the variant: "
            f"write a multiple of shift_step below {window // 2}"
        )
    return list(range(-settings.max_shift, settings.max_shift + 1, settings.shift_step))


def rejection_reasons(variants: pd.DataFrame, store: ProfileStore, window: int, shifts: list[int]) -> pd.Series:
    """Why each variant cannot be scored; an empty string where it can."""
    reasons = pd.Series("", index=variants.index)
    longest = np.maximum(variants.ref.str.len(), variants["alt"].str.len())
    loss = variants.ref.str.len() - variants["alt"].str.len()
    room = window // 2 + 1 - max(shifts, default=0)
    reasons[(longest > room) | (loss > 2 * MARGIN)] = Reason.ALLELE_EXCEEDS_WINDOW.value
    reasons[store.rows(variants.gene_id) < 0] = Reason.NO_TSS_PROFILE.value
    return reasons


def score_variants(
    variants: pd.DataFrame,
    genome: Genome,
    store: ProfileStore,
    chromatin: LoadedModel,
    expression: LoadedModel,
    settings: PredictSettings,
    engine: EngineSettings | None = None,
) -> VariantEffects:
    """Score variants that passed :func:`rejection_reasons`.

    For every shift the reference and alternative window is predicted on both strands, put in the place of the bin
    that holds it in the gene's reference profile, and the difference of predicted expression is taken. The score is the
    sum of the differences over shifts.

    Parameters
    ----------
    variants
        Columns ``chrom``, ``pos`` (1-based), ``ref``, ``alt``, ``gene_id``, ``gene_strand``, ``dist_to_tss``, and
        ``swapped`` where REF and ALT may have been exchanged: the effects of such alleles are negated.
    """
    engine = engine or EngineSettings()
    windows, head = make_engine(chromatin, engine), ExpressionHead(expression, store)
    shifts = window_shifts(settings, windows.network.window)
    effects = VariantEffects(
        np.zeros((len(variants), len(expression.spec.outputs)), dtype=np.float32),
        np.zeros((len(variants), len(chromatin.spec.outputs)), dtype=np.float32),
    )
    for start in range(0, len(variants), engine.batch_size):
        rows = slice(start, start + engine.batch_size)
        batch = variants.iloc[rows]
        predictions = windows.predict(batch, genome, shifts)
        centre = shifts.index(0)
        effects.expression[rows] = head.effects(predictions, places_of(batch, store, shifts))
        effects.chromatin[rows] = (predictions.alternative[:, centre] - predictions.reference[:, centre]).cpu().numpy()
        negate_swapped(batch, rows, effects)
        logger.info("%d of %d variants", min(rows.stop, len(variants)), len(variants))
    return effects


def negate_swapped(batch: pd.DataFrame, rows: slice, effects: VariantEffects) -> None:
    """Turn the effects of alleles whose REF and ALT were exchanged, so that all go from the file's REF to its ALT."""
    if "swapped" in batch:
        sign = np.where(batch["swapped"].to_numpy(dtype=bool), -1, 1).astype(np.float32)[:, None]
        effects.expression[rows] *= sign
        effects.chromatin[rows] *= sign


def predict(
    variants: str | Path,
    fasta: str | Path,
    profiles: str | Path,
    chromatin: str | Path,
    model: str | Path,
    out: str | Path,
    tsv: str | Path,
    chromatin_effects: str | Path,
    rejects: str | Path,
    settings: PredictSettings | None = None,
    engine: EngineSettings | None = None,
    device: DeviceName = "auto",
) -> None:
    """Score the variants of a table that knows their closest TSS.

    Parameters
    ----------
    variants
        Variant table with genes assigned (Parquet); positions 1-based on the assembly of ``fasta``.
    profiles
        Store of TSS profiles, made with the model ``chromatin``.
    chromatin, model
        Model folders of the chromatin and the expression model.
    out
        Parquet: the variant table and one column per context, alternative minus reference, ln expression.
    tsv
        The same scores in Seal's format (five decimals).
    chromatin_effects
        Parquet: record, allele and per track the change of probability in the window centred on the variant.
    rejects
        Ledger rows of variants that could not be scored.
    """
    settings = settings or PredictSettings()
    torch_device = resolve_device(device)
    store, chromatin_model, expression_model = (
        read_profiles(profiles),
        load_model(chromatin, torch_device, "beluga"),
        load_model(model, torch_device, "expression"),
    )
    store.check_model(chromatin)
    table = read_flags(read_table(variants, [*VARIANT_KEY, *SEAL_COLUMNS]), variants)
    table = table.sort_values(VARIANT_KEY, kind="stable", ignore_index=True)
    window = int(chromatin_model.spec.hyperparameters["window"])
    reasons = rejection_reasons(table, store, window, window_shifts(settings, window))
    scored = table[reasons == ""].reset_index(drop=True)
    with Genome(fasta) as genome:
        effects = score_variants(scored, genome, store, chromatin_model, expression_model, settings, engine)
    require_finite(effects, scored)
    contexts = pd.DataFrame(effects.expression, columns=expression_model.spec.outputs)
    tracks = pd.DataFrame(effects.chromatin, columns=chromatin_model.spec.outputs)
    write_parquet(pd.concat([scored, contexts], axis=1), out)
    write_tsv(pd.concat([as_in_file(scored)[SEAL_COLUMNS], contexts], axis=1), tsv, float_format="%.5f")
    per_allele = pd.concat([scored[VARIANT_KEY], tracks], axis=1).drop_duplicates(VARIANT_KEY)
    write_parquet(per_allele, chromatin_effects)
    write_ledger([unscored_alleles(table, reasons)], rejects)
    write_receipt(
        out,
        settings=settings.model_dump(mode="json"),
        inputs=[
            variants,
            fasta,
            profiles,
            Path(chromatin) / "weights.safetensors",
            Path(model) / "weights.safetensors",
        ],
        device=str(torch_device),
        dtype="float32 (chromatin), float64 (expression)",
    )


def unscored_alleles(table: pd.DataFrame, reasons: pd.Series) -> pd.DataFrame:
    """Ledger rows of the alleles that no gene could be scored with; genes left out of other alleles are counted."""
    left_out = table[reasons != ""]
    scored = pd.MultiIndex.from_frame(table.loc[reasons == "", VARIANT_KEY])
    partly = pd.MultiIndex.from_frame(left_out[VARIANT_KEY]).isin(scored)
    if partly.any():
        logger.warning(
            "%d pairs of allele and gene are left out, the alleles are scored with other genes", partly.sum()
        )
    alleles = left_out[~partly].drop_duplicates(VARIANT_KEY)
    return ledger_rows(alleles, "seal_predict", reasons[alleles.index])


def require_finite(effects: VariantEffects, variants: pd.DataFrame) -> None:
    """Refuse to write a score that is not a number."""
    broken = ~np.isfinite(effects.expression).all(axis=1)
    if broken.any():
        first = variants[broken].iloc[0]
        raise CisweaveError(
            f"{int(broken.sum())} scores are not finite, the first at {first.chrom}:{first.pos} "
            f"{first.ref}>{first['alt']}; check the models' weights"
        )
