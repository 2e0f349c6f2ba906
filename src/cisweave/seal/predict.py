"""Effects of variants on chromatin and expression by shifted windows (Seal, Modules 1 to 3).

Dimension legend
    variants - alleles to score, shifts - places of the window around the variant, tracks - chromatin outputs,
    contexts - tissues or cell states
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import EngineSettings, PredictSettings
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError, check_balance
from cisweave.core.files import sha256
from cisweave.core.logs import get_logger
from cisweave.core.parts import Part
from cisweave.genome.contigs import resolve_contig
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import stage_counts, summary_line
from cisweave.models.folders import SPEC, LoadedModel
from cisweave.models.profiles import ProfileStore
from cisweave.seal.assigned import COLUMNS, AssignedVariants
from cisweave.seal.engine import AllelePredictions, make_engine
from cisweave.seal.head import ExpressionHead, holds_reference, places_of
from cisweave.seal.inputs import ScoringInputs, open_inputs
from cisweave.seal.outputs import ResultFiles, Views, check_places, write_views
from cisweave.sequence.genome import Genome
from cisweave.sequence.windows import MARGIN
from cisweave.tables.ledger import KEY, ledger_rows
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

STAGE = "seal_predict"
BLOCK = 2048
"""Rows scored between two writes."""
CHECKED = 1 << 14
"""Rows looked at together before the scoring."""
ALLELES = 512
"""Alleles that the engine is given at a time, in the order of their places: neighbours have work in common."""
ROWS = 256
"""Rows whose expression is worked out at a time."""
ALLELE = ["chrom", "pos", "ref", "alt"]
LOOKED_AT, FEWEST = 2048, 20
"""Alleles whose REF is held against the genome before scoring, and the fewest of which most tell another assembly."""


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


# --- what can be scored -----------------------------------------------------------------------------------------------
def window_shifts(settings: PredictSettings, window: int) -> list[int]:
    """Shifts of the window in bases, symmetric around 0 (-800, -600, …, +800 as published); 0 for whole haplotypes."""
    if settings.mode == "haplotype":
        return [0]
    if settings.max_shift >= window // 2:
        raise CisweaveError(
            f"seal.predict.max_shift is {settings.max_shift}, but a {window}-bp window must hold the variant: "
            f"write a multiple of shift_step below {window // 2}"
        )
    return list(range(-settings.max_shift, settings.max_shift + 1, settings.shift_step))


def rejection_reasons(
    variants: pd.DataFrame, genome: Genome, store: ProfileStore, window: int, shifts: list[int]
) -> pd.Series:
    """Why each variant cannot be scored; an empty string where it can."""
    reasons = pd.Series("", index=variants.index)
    longest = np.maximum(variants.ref.str.len(), variants["alt"].str.len())
    loss = variants.ref.str.len() - variants["alt"].str.len()
    room = window // 2 + 1 - max(shifts, default=0)
    reasons[(longest > room) | (loss > 2 * MARGIN)] = Reason.ALLELE_EXCEEDS_WINDOW.value
    reasons[store.rows(variants.gene_id) < 0] = Reason.NO_TSS_PROFILE.value
    length = variants["chrom"].map(genome.contigs).astype("float64")
    reasons[variants["pos"] - 1 + variants["ref"].str.len() > length] = Reason.OUT_OF_CONTIG.value
    reasons[length.isna()] = Reason.UNKNOWN_CONTIG.value
    return reasons


def check_genes(variants: pd.DataFrame, store: ProfileStore, path: str | Path) -> None:
    """Raise unless strand, contig and TSS of the variants' genes are those of the profiles: one annotation."""
    rows = store.rows(variants["gene_id"])
    known, genes = variants[rows >= 0], store.genes.iloc[rows[rows >= 0]]
    told = known["tss"] if "tss" in known else genes["tss"]
    for what, ours, theirs in (
        ("strand", known["gene_strand"], genes["strand"]),
        ("TSS", told, genes["tss"]),
        ("TSS (pos - dist_to_tss)", known["pos"] - known["dist_to_tss"], genes["tss"]),
        ("contig", known["chrom"], genes["chrom"]),
    ):
        other = ours.to_numpy() != theirs.to_numpy()
        for mine, stored, gene in zip(ours[other], theirs[other.tolist()], known["gene_id"][other], strict=True):
            if what == "contig" and resolve_contig(stored, [mine]):
                continue
            raise CisweaveError(
                f"the {what} of gene {gene} is {mine} here and {stored} in the TSS profiles ({store.path}); run genome "
                "closest-tss with the genes that the profiles were made of",
                path=path,
            )


def check_assembly(variants: pd.DataFrame, genome: Genome) -> None:
    """Raise if REF is not what the genome holds for most of enough variants: it is another assembly.

    Alleles of which reading the variants knew that (``reference_genome_match`` false) do not count.
    """
    expected = variants["reference_genome_match"].fillna(True).astype("bool") & variants["chrom"].isin(genome.contigs)
    alleles = variants[expected].drop_duplicates(KEY).head(LOOKED_AT)
    held = int(holds_reference(alleles, genome).sum())
    if len(alleles) >= FEWEST and held < len(alleles) / 2:
        raise CisweaveError(
            f"REF of {len(alleles) - held} of {len(alleles)} alleles is not what this FASTA holds there; is it the "
            "assembly of the variants?",
            path=genome.path,
        )


# --- scoring ----------------------------------------------------------------------------------------------------------
class Scorer:
    """Scores variants by shifted windows; what calls have in common is kept from one to the next.

    For every shift the reference and alternative window is predicted on both strands, put in the place of the bin
    that holds it in the gene's reference profile, and the difference of predicted expression is taken. The score is the
    sum of the differences over shifts.

    Parameters
    ----------
    genome, store
        The modelled assembly and its TSS profiles.
    chromatin, expression
        The models; ``store`` was made with ``chromatin``.
    settings, engine
        Shifts; how windows are computed.
    """

    def __init__(
        self,
        genome: Genome,
        store: ProfileStore,
        chromatin: LoadedModel,
        expression: LoadedModel,
        settings: PredictSettings,
        engine: EngineSettings | None = None,
    ):
        self.genome, self.store = genome, store
        self.windows = make_engine(chromatin, engine or EngineSettings())
        self.head = ExpressionHead(expression, store)
        self.shifts = window_shifts(settings, self.windows.network.window)
        self.outputs = len(expression.spec.outputs), len(chromatin.spec.outputs)

    def score(self, variants: pd.DataFrame) -> VariantEffects:
        """Effects of variants that passed :func:`rejection_reasons`.

        Parameters
        ----------
        variants
            Columns ``chrom``, ``pos`` (1-based), ``ref``, ``alt``, ``gene_id``, ``gene_strand``, ``dist_to_tss``, and
            ``swapped`` where REF and ALT may have been exchanged: the effects of such alleles are negated.
        """
        contexts, tracks = self.outputs
        effects = VariantEffects(
            np.zeros((len(variants), contexts), dtype=np.float32), np.zeros((len(variants), tracks), dtype=np.float32)
        )
        for alleles, rows, which in allele_batches(variants):
            predictions = self.windows.predict(alleles, self.genome, self.shifts)
            self._fill(effects, variants, predictions, rows, which)
        negate_swapped(variants, slice(None), effects)
        return effects

    def _fill(
        self,
        effects: VariantEffects,
        variants: pd.DataFrame,
        predictions: AllelePredictions,
        rows: NDArray[np.int64],
        which: NDArray[np.int64],
    ) -> None:
        """Effects of the rows that share a batch of alleles; ``which`` says which allele each row has."""
        centre = self.shifts.index(0)
        changes = (predictions.alternative[:, centre] - predictions.reference[:, centre]).cpu().numpy()
        effects.chromatin[rows] = changes[which]
        for start in range(0, len(rows), ROWS):
            some, alleles = rows[start : start + ROWS], which[start : start + ROWS]
            places = places_of(variants.iloc[some], self.store, self.shifts, self.genome)
            taken = AllelePredictions(predictions.reference[alleles], predictions.alternative[alleles])
            effects.expression[some] = self.head.effects(taken, places)


def allele_batches(
    variants: pd.DataFrame,
) -> Iterator[tuple[pd.DataFrame, NDArray[np.int64], NDArray[np.int64]]]:
    """Batches of different alleles by their places, with the rows that have them and which allele each row has.

    An allele with several genes, or one that stands in the table several times, is in one batch once.
    """
    number = variants.groupby(ALLELE, sort=True).ngroup().to_numpy(np.int64)
    order = np.argsort(number, kind="stable").astype(np.int64)
    first = order[np.flatnonzero(np.diff(number[order], prepend=-1))]
    for start in range(0, len(first), ALLELES):
        low, high = np.searchsorted(number[order], [start, start + ALLELES])
        rows = order[low:high]
        yield variants.iloc[first[start : start + ALLELES]], rows, (number[rows] - start).astype(np.int64)


def score_variants(
    variants: pd.DataFrame,
    genome: Genome,
    store: ProfileStore,
    chromatin: LoadedModel,
    expression: LoadedModel,
    settings: PredictSettings,
    engine: EngineSettings | None = None,
) -> VariantEffects:
    """Score variants that passed :func:`rejection_reasons`, in the mode of the settings (:class:`Scorer`)."""
    return make_scorer(genome, store, chromatin, expression, settings, engine)(variants)


def make_scorer(
    genome: Genome,
    store: ProfileStore,
    chromatin: LoadedModel,
    expression: LoadedModel,
    settings: PredictSettings,
    engine: EngineSettings | None = None,
) -> Callable[[pd.DataFrame], VariantEffects]:
    """What scores variants in the mode of the settings."""
    if settings.mode == "seal":
        return Scorer(genome, store, chromatin, expression, settings, engine).score
    from cisweave.seal.haplotype import AloneScorer

    return AloneScorer(genome, store, chromatin, expression, engine).score


def negate_swapped(batch: pd.DataFrame, rows: slice, effects: VariantEffects) -> None:
    """Turn the effects of alleles whose REF and ALT were exchanged, so that all go from the file's REF to its ALT."""
    if "swapped" in batch:
        sign = np.where(batch["swapped"].to_numpy(dtype=bool), -1, 1).astype(np.float32)[:, None]
        effects.expression[rows] *= sign
        effects.chromatin[rows] *= sign


# --- the command ------------------------------------------------------------------------------------------------------
def predict(
    variants: str | Path,
    fasta: str | Path,
    profiles: str | Path,
    chromatin: str | Path,
    model: str | Path,
    *,
    out: str | Path,
    chromatin_effects: str | Path,
    rejects: str | Path,
    views: Views | None = None,
    part: Part | None = None,
    settings: PredictSettings | None = None,
    engine: EngineSettings | None = None,
    device: DeviceName = "auto",
) -> dict[str, Any]:
    """Score the variants of a table that knows their genes, block by block in the order of the user's file.

    Memory does not grow with the variants but for a few bytes each.

    Parameters
    ----------
    variants
        Variant table with genes assigned (Parquet or TSV); positions 1-based on the assembly of ``fasta``.
    profiles
        Store of TSS profiles, made with the model ``chromatin``.
    chromatin, model
        Model folders of the chromatin and the expression model.
    out
        Parquet: the variant table and one column per context, alternative minus reference, ln expression.
    chromatin_effects
        Parquet: record, allele and per track the change of probability in the window centred on the variant.
    rejects
        Ledger rows of variants that could not be scored.
    views
        Further tables to write of the same scores.
    part
        Score only this part of the table, a stretch of it (:func:`cisweave.seal.gather.gather_effects` puts them
        together); an allele with all its genes is in one part.

    Returns
    -------
    dict
        ``in, kept, rejected, reasons`` in alleles.
    """
    settings, engine, views = settings or PredictSettings(), engine or EngineSettings(), views or Views()
    views.check()
    opened = open_inputs(fasta, profiles, chromatin, model, device)
    require_names(opened.expression.spec.outputs, model)
    table = AssignedVariants(variants)
    results = {"effects": out, "chromatin_effects": chromatin_effects, "rejects": rejects}
    check_places([*results.values(), *views.files])
    with Genome(fasta) as genome, ResultFiles.open(out, chromatin_effects, rejects) as files:
        counts = score_table(table, part, genome, opened, settings, engine, files)
    write_receipt(
        out,
        settings={**settings.model_dump(mode="json"), "engine": engine.model_dump(mode="json")},
        inputs=[variants, *opened.files],
        device=str(opened.chromatin.device),
        dtype="as engine.precision (chromatin), float64 reference and float32 change (expression)",
        notes={
            "part": str(part or Part()),
            "alleles": counts,
            "written": {name: sha256(path) for name, path in results.items()},
        },
    )
    write_views(out, views)
    logger.info("%s", summary_line(STAGE, counts))
    return counts


def score_table(
    table: AssignedVariants,
    part: Part | None,
    genome: Genome,
    opened: ScoringInputs,
    settings: PredictSettings,
    engine: EngineSettings,
    files: ResultFiles,
) -> dict[str, Any]:
    """Score a table, or one part of it, block by block into files; ``in, kept, rejected, reasons`` in alleles."""
    store, contexts, tracks = opened.store, opened.expression.spec.outputs, opened.chromatin.spec.outputs
    shifts = window_shifts(settings, opened.window)
    score = make_scorer(genome, store, opened.chromatin, opened.expression, settings, engine)
    progress = Progress(table.rows_of(part))
    kept, reasons, wrong = 0, Counter[str](), 0
    check_table(table, part, genome, store)
    for rows in table.blocks(BLOCK, part):
        why = rejection_reasons(rows, genome, store, opened.window, shifts)
        block, mismatches = with_matches(rows, genome, settings)
        wrong += mismatches
        scored = block[why == ""].reset_index(drop=True)
        effects = score(scored)
        require_finite(effects, scored)
        rejected = unscored_alleles(block, why, STAGE)
        files.effects.write(beside(scored, effects.expression, contexts))
        files.chromatin.write(beside(scored[KEY], effects.chromatin, tracks).drop_duplicates(KEY))
        files.rejects.write(rejected)
        alleles = len(scored[KEY].drop_duplicates())
        check_balance(len(block[KEY].drop_duplicates()), alleles, len(rejected), "alleles")
        kept += alleles
        reasons.update(rejected["code"].tolist())
        progress.add(len(block))
    if wrong:
        logger.warning("REF of %d rows is not what the FASTA holds, though reading the variants found so", wrong)
    if reasons and not kept:
        logger.warning("no allele could be scored; the ledger of rejects says why")
    return stage_counts(kept, reasons)


def check_table(table: AssignedVariants, part: Part | None, genome: Genome, store: ProfileStore) -> None:
    """Find what is wrong with a table, or part of it, before the first variant is scored."""
    for number, rows in enumerate(table.blocks(CHECKED, part)):
        check_genes(rows, store, table.path)
        if not number:
            check_assembly(rows, genome)


def with_matches(variants: pd.DataFrame, genome: Genome, settings: PredictSettings) -> tuple[pd.DataFrame, int]:
    """The variants with ``reference_genome_match`` known, and how many rows say so of a REF that is not the genome's.

    It is what reading the variants found; where that did not look, and under ``compat: seal`` everywhere, it is what
    comparing REF with the genome here tells. (Seal compares in the window of the last shift, which holds the same
    bases.)
    """
    known = variants["chrom"].isin(genome.contigs).to_numpy(dtype=bool)
    found = np.zeros(len(variants), dtype=np.bool_)
    found[known] = holds_reference(variants[known], genome)
    said = variants["reference_genome_match"]
    mismatches = int((said.fillna(False).to_numpy(dtype=bool) & ~found).sum())
    unknown = said.isna() | (settings.compat == "seal")
    return variants.assign(reference_genome_match=said.mask(unknown, pd.Series(found, variants.index))), mismatches


def beside(variants: pd.DataFrame, values: NDArray[np.float32], names: list[str]) -> pd.DataFrame:
    """The variants with one column per name."""
    return pd.concat([variants, pd.DataFrame(values, columns=names, index=variants.index)], axis=1)


def unscored_alleles(table: pd.DataFrame, reasons: pd.Series, stage: str) -> pd.DataFrame:
    """Ledger rows of the alleles that no gene could be scored with; genes left out of other alleles are counted.

    Parameters
    ----------
    table, reasons
        Variants with genes, and why each row cannot be scored (empty where it can).
    stage
        Name of the step in the ledger.
    """
    left_out = table[reasons != ""]
    scored = pd.MultiIndex.from_frame(table.loc[reasons == "", KEY])
    partly = pd.MultiIndex.from_frame(left_out[KEY]).isin(scored)
    if partly.any():
        logger.warning(
            "%d pairs of allele and gene are left out, the alleles are scored with other genes", partly.sum()
        )
    alleles = left_out[~partly].drop_duplicates(KEY)
    code = reasons[alleles.index]
    no_profile = code == Reason.NO_TSS_PROFILE.value
    return ledger_rows(alleles, stage, code, ("gene " + alleles["gene_id"]).where(no_profile, ""))


def require_finite(effects: VariantEffects, variants: pd.DataFrame) -> None:
    """Refuse to write a score that is not a number."""
    broken = ~np.isfinite(effects.expression).all(axis=1)
    if broken.any():
        first = variants[broken].iloc[0]
        raise CisweaveError(
            f"{int(broken.sum())} scores are not finite, the first at {first.chrom}:{first.pos} "
            f"{first.ref}>{first['alt']}; check the models' weights"
        )


def require_names(contexts: list[str], model: str | Path) -> None:
    """Refuse contexts that cannot be columns beside those of the variants."""
    taken = [name for name in contexts if name in COLUMNS]
    if taken:
        raise CisweaveError(
            f"context {taken[0]} is the name of a column of the variants; give the model's outputs other names",
            path=Path(model) / SPEC,
        )


class Progress:
    """Says in the log how far the scoring is, at most every half minute."""

    EVERY = 30.0

    def __init__(self, total: int, unit: str = "rows"):
        self.total, self.unit, self.done = total, unit, 0
        self._start = self._said = time.monotonic()

    def add(self, rows: int) -> None:
        """Count some more."""
        self.done += rows
        now = time.monotonic()
        if now - self._said >= self.EVERY:
            self._said = now
            logger.info("%d of %d %s, %.1f a second", self.done, self.total, self.unit, self.done / (now - self._start))
