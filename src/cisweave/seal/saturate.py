"""Saturation mutagenesis: every substitution (and, where asked for, every deletion of a base) around promoters.

Dimension legend
    alleles - substitutions and deletions, contexts - tissues or cell states
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import EngineSettings, PredictSettings, SaturateSettings
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError, check_balance, shorten
from cisweave.core.files import atomic_path
from cisweave.core.logs import get_logger
from cisweave.genome.genes import read_genes
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import Closing, ParquetSink, Sink, TextSink, stage_counts, summary_line
from cisweave.models.folders import LoadedModel
from cisweave.models.profiles import ProfileStore
from cisweave.seal.assigned import COLUMNS
from cisweave.seal.engine import ChromatinEngine, make_engine
from cisweave.seal.engine.dense import LONGEST_STRETCH, DenseEngine
from cisweave.seal.head import ExpressionHead, places_of
from cisweave.seal.inputs import open_inputs
from cisweave.seal.outputs import Views, write_views
from cisweave.seal.predict import (
    VariantEffects,
    beside,
    require_finite,
    require_names,
    window_shifts,
)
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import LETTERS
from cisweave.tables.bigwig import BaseValues, write_bigwig
from cisweave.tables.ledger import ledger_rows
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    from cisweave.models.beluga import Beluga

logger = get_logger(__name__)

STAGE = "seal_saturate"
REGION = re.compile(r"([^\s:]+):([0-9][0-9,]*)-([0-9][0-9,]*)")
ALLELES_AT_A_TIME = 192
"""Alleles of one matrix product, unless the engine's batches are larger."""
SAMPLE = 8
"""Alleles on which the error of bfloat16 is measured."""


# --- what is saturated ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Promoter:
    """A stretch of the genome whose bases are changed, and the gene whose expression is looked at.

    Attributes
    ----------
    tss
        1-based.
    first, last
        Lowest and highest place (1-based, both included).
    """

    gene_id: str
    chrom: str
    strand: str
    tss: int
    first: int
    last: int

    def clipped(self, length: int) -> Promoter:
        """The part on a contig of ``length`` bases."""
        first, last = max(1, self.first), min(length, self.last)
        if first > last:
            raise CisweaveError(f"{self.chrom}:{self.first}-{self.last} (gene {self.gene_id}) lies off its contig")
        if (first, last) != (self.first, self.last):
            logger.warning("%s: only %s:%d-%d lies on the contig", self.gene_id, self.chrom, first, last)
        return Promoter(self.gene_id, self.chrom, self.strand, self.tss, first, last)


def choose_promoters(
    store: ProfileStore,
    settings: SaturateSettings,
    genes: Sequence[str] = (),
    region: str | None = None,
    tss: str | Path | None = None,
) -> list[Promoter]:
    """The promoters that are asked for: of named genes, of the genes of a file, or one region.

    Parameters
    ----------
    genes
        Ids of genes of the store; with ``region`` at most one.
    region
        ``contig:first-last``, 1-based, both included; without a gene, that of the TSS closest to its middle.
    tss
        File of genes (:func:`cisweave.genome.genes.read_genes`); the TSS are those of the store.
    """
    if region is not None:
        if len(genes) > 1 or tss is not None:
            raise CisweaveError("a region goes with one gene, or with none; ask for further genes in another run")
        return [promoter_of_region(store, region, genes[0] if genes else None)]
    if (tss is None) == (not genes):
        raise CisweaveError("say which promoters: --gene, --region, or --tss with a file of genes")
    names = list(genes) if tss is None else read_genes(tss)["gene_id"].tolist()
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise CisweaveError(f"gene {twice[0]} is asked for twice")
    return [promoter_of_gene(store, name, settings) for name in names]


def promoter_of_gene(store: ProfileStore, gene_id: str, settings: SaturateSettings) -> Promoter:
    """The stretch around the TSS of a gene, upstream and downstream as it is transcribed."""
    gene = gene_row(store, gene_id)
    before, after = settings.upstream, settings.downstream - 1
    tss, strand = int(gene["tss"]), str(gene["strand"])
    first, last = (tss - before, tss + after) if strand == "+" else (tss - after, tss + before)
    return Promoter(gene_id, str(gene["chrom"]), strand, tss, first, last)


def promoter_of_region(store: ProfileStore, region: str, gene_id: str | None) -> Promoter:
    """A stretch given by its place, with its gene or the closest one."""
    found = REGION.fullmatch(region.strip())
    first, last = (int(text.replace(",", "")) for text in found.groups()[1:]) if found else (1, 0)
    if found is None or not 1 <= first <= last:
        raise CisweaveError(f"{shorten(region)} is not a region; write contig:first-last, 1-based, as chr1:10000-12000")
    chrom = found[1]
    if gene_id is None:
        near = store.genes[store.genes["chrom"] == chrom]
        if near.empty:
            raise CisweaveError(f"the store has no TSS on contig {chrom}; name a contig it has", path=store.path)
        away = np.abs(near["tss"].to_numpy(np.int64) - (first + last) // 2)
        gene_id = str(near["gene_id"].iloc[int(away.argmin())])
        logger.info("the gene of %s is %s, whose TSS is the closest", region, gene_id)
    gene = gene_row(store, gene_id)
    if gene["chrom"] != chrom:
        raise CisweaveError(f"gene {gene_id} lies on {gene['chrom']}, the region on {chrom}")
    return Promoter(gene_id, chrom, str(gene["strand"]), int(gene["tss"]), first, last)


def gene_row(store: ProfileStore, gene_id: str) -> pd.Series:
    """The row of a gene of the store."""
    row = int(store.rows(pd.Series([gene_id]))[0])
    if row < 0:
        raise CisweaveError(f"the store of TSS profiles has no gene {gene_id}; check its id", path=store.path)
    found: pd.Series = store.genes.iloc[row]
    return found


# --- alleles ----------------------------------------------------------------------------------------------------------
def all_alleles(
    genome: Genome, promoter: Promoter, deletions: bool, first_record: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every change of a promoter as a variant table with its gene, and ledger rows of what an unknown base forbids.

    Rows go by place; at each place the three substitutions in the order A, C, G, T, then the deletion of that base,
    written as in a VCF, with the base before it.

    Returns
    -------
    tuple
        Variants (each a record of its own, from ``first_record`` on) and rejected bases.
    """
    bases = genome.fetch(promoter.chrom, promoter.first - 2, promoter.last)
    rows, unknown = [], []
    for number, base in enumerate(bases[1:]):
        place, before = promoter.first + number, bases[number]
        if base not in LETTERS:
            unknown.append((place, base, ""))
            continue
        rows += [(place, base, letter) for letter in LETTERS if letter != base]
        if deletions and before in LETTERS:
            rows.append((place - 1, before + base, before))
        elif deletions:
            unknown.append((place, base, ""))
    kept = as_variants(rows, promoter, first_record)
    rejected = as_variants(unknown, promoter, first_record + len(rows))
    return kept, ledger_rows(rejected, STAGE, Reason.UNKNOWN_BASE.value)


def as_variants(rows: Sequence[tuple[int, str, str]], promoter: Promoter, first_record: int) -> pd.DataFrame:
    """A variant table with genes, of places (1-based), REF and ALT."""
    places = np.array([place for place, _, _ in rows], dtype=np.int64)
    record = np.arange(first_record, first_record + len(rows))
    ref, alt = ([row[part] for row in rows] for part in (1, 2))
    frame = pd.DataFrame(
        {
            "record": record,
            "allele": 1,
            "line": record,
            "name": ".",
            "source_chrom": promoter.chrom,
            "source_pos": places,
            "source_ref": ref,
            "source_alt": alt,
            "chrom": promoter.chrom,
            "pos": places,
            "ref": ref,
            "alt": alt,
            "reference_genome_match": True,
            "swapped": False,
            "lift_strand": "+",
            "gene_id": promoter.gene_id,
            "gene_strand": promoter.strand,
            "tss": promoter.tss,
            "dist_to_tss": places - promoter.tss,
        }
    )
    return frame.astype(COLUMNS)[list(COLUMNS)]


# --- scoring ----------------------------------------------------------------------------------------------------------
class Saturator:
    """Scores all changes of promoters, sharing the reference of a stretch among them.

    The scores are those of :func:`cisweave.seal.predict.score_variants` in mode ``seal``.

    Parameters
    ----------
    windows
        Shifts of the windows (``mode: seal``).
    engine
        ``path: plain`` computes every window by itself.
    """

    def __init__(
        self,
        genome: Genome,
        store: ProfileStore,
        chromatin: LoadedModel,
        expression: LoadedModel,
        windows: PredictSettings,
        engine: EngineSettings | None = None,
    ):
        if windows.mode != "seal":
            raise CisweaveError("saturation works with shifted windows; set seal.predict.mode: seal for it")
        engine = engine or EngineSettings()
        self.genome, self.store, self.chromatin, self.settings = genome, store, chromatin, engine
        self._measured = engine.precision != "bfloat16"
        self.engine: ChromatinEngine = (
            make_engine(chromatin, engine)
            if engine.path == "plain"
            else DenseEngine(cast("Beluga", chromatin.module), chromatin.device, engine)
        )
        self.head = ExpressionHead(expression, store)
        self.shifts = window_shifts(windows, self.engine.network.window)
        self.contexts = expression.spec.outputs
        self.at_a_time = max(ALLELES_AT_A_TIME, engine.batch_size)

    def score(self, variants: pd.DataFrame) -> NDArray[np.float32]:
        """Effects (alleles, contexts), alternative minus reference in ln expression, of alleles of one promoter."""
        self.measure_error(variants)
        effects = np.zeros((len(variants), len(self.contexts)), dtype=np.float32)
        for rows in self.batches(variants):
            batch = variants.iloc[rows]
            predictions = self.engine.predict(batch, self.genome, self.shifts)
            effects[rows] = self.head.effects(predictions, places_of(batch, self.store, self.shifts, self.genome))
        return effects

    def measure_error(self, variants: pd.DataFrame) -> None:
        """Let the engine for single variants say, once, how far bfloat16 is off on the first alleles."""
        if not self._measured and len(variants):
            make_engine(self.chromatin, self.settings).predict(variants.head(SAMPLE), self.genome, self.shifts)
            self._measured = True

    def batches(self, variants: pd.DataFrame) -> Iterator[NDArray[np.int64]]:
        """Rows that are computed together: alleles of one length, stretch by stretch of the promoter."""
        position = variants["pos"].to_numpy(np.int64)
        stretch = (position - position.min(initial=0)) // LONGEST_STRETCH if len(position) else position
        shortened = variants["ref"].str.len().to_numpy(np.int64)
        for number in np.unique(stretch):
            inside = stretch == number
            if isinstance(self.engine, DenseEngine):
                ends = int(position[inside].min()), int(position[inside].max())
                self.engine.prepare(self.genome, str(variants["chrom"].iloc[0]), *ends, self.shifts)
            for length in np.unique(shortened[inside]):
                rows = np.flatnonzero(inside & (shortened == length))
                yield from np.split(rows, range(self.at_a_time, len(rows), self.at_a_time))


def strongest_by_base(variants: pd.DataFrame, effects: NDArray[np.float32]) -> BaseValues:
    """The largest absolute effect of any change of a base in any context, for a bigWig."""
    deleted = (variants["ref"].str.len() - variants["alt"].str.len()).to_numpy(np.int64)
    places = variants["pos"].to_numpy(np.int64) - 1 + deleted
    strength = np.abs(effects).max(axis=1, initial=0)
    frame = pd.DataFrame({"place": places, "strength": strength}).groupby("place")["strength"].max()
    values = frame.to_numpy(np.float32)
    chrom = str(variants["chrom"].iloc[0]) if len(variants) else ""
    return BaseValues(chrom, frame.index.to_numpy(np.int64), values, np.argsort(np.argsort(-values, kind="stable")))


# --- the command ------------------------------------------------------------------------------------------------------
def saturate(
    fasta: str | Path,
    profiles: str | Path,
    chromatin: str | Path,
    model: str | Path,
    *,
    out: str | Path,
    rejects: str | Path,
    genes: Sequence[str] = (),
    region: str | None = None,
    tss: str | Path | None = None,
    bigwig: str | Path | None = None,
    views: Views | None = None,
    settings: SaturateSettings | None = None,
    windows: PredictSettings | None = None,
    engine: EngineSettings | None = None,
    device: DeviceName = "auto",
) -> dict[str, Any]:
    """Score every change of every base of promoters.

    Parameters
    ----------
    fasta
        Genome (FASTA) of the assembly of the profiles.
    profiles
        Store of TSS profiles, made with the model ``chromatin``.
    chromatin, model
        Model folders of the chromatin and the expression model.
    out
        Parquet: a variant table with genes (each change a record of its own; ``pos`` 1-based, deletions as in a VCF)
        and one column per context, alternative minus reference, ln expression.
    rejects
        Ledger rows of the bases that the genome does not know.
    genes, region, tss
        Which promoters: :func:`choose_promoters`.
    bigwig
        Largest absolute effect of any change in any context, at each base.
    views
        Further tables to write of the same scores.
    settings, windows
        Reach and kinds of changes; shifts of the windows as in :func:`cisweave.seal.predict.predict`.

    Returns
    -------
    dict
        ``in, kept, rejected, reasons`` in alleles (an unknown base counts once).
    """
    settings, windows, views = settings or SaturateSettings(), windows or PredictSettings(), views or Views()
    engine = engine or EngineSettings()
    views.check()
    opened = open_inputs(fasta, profiles, chromatin, model, device)
    require_names(opened.expression.spec.outputs, model)
    asked = list(genes) or ([] if region or tss else settings.genes)
    promoters = choose_promoters(opened.store, settings, asked, region, tss)
    with Genome(fasta) as genome, ExitStack() as stack:
        promoters = [promoter.clipped(genome.length(promoter.chrom)) for promoter in promoters]
        tables = open_tables(stack, out, rejects)
        saturator = Saturator(genome, opened.store, opened.chromatin, opened.expression, windows, engine)
        counts, bases = saturate_promoters(saturator, promoters, settings.deletions, *tables)
        if bigwig is not None:
            write_bigwig(bigwig, genome.contigs, [piece for piece in bases if len(piece.places)])
    write_receipt(
        out,
        settings={
            **settings.model_dump(mode="json"),
            "predict": windows.model_dump(mode="json"),
            "engine": engine.model_dump(mode="json"),
        },
        inputs=[*opened.files, *([] if tss is None else [tss])],
        device=str(opened.chromatin.device),
        dtype="as engine.precision (chromatin), float64 reference and float32 change (expression)",
        notes={"promoters": [f"{p.gene_id} {p.chrom}:{p.first}-{p.last}" for p in promoters], "alleles": counts},
    )
    write_views(out, views)
    logger.info("%s", summary_line(STAGE, counts))
    return counts


def saturate_promoters(
    saturator: Saturator, promoters: Sequence[Promoter], deletions: bool, scores: Sink, ledger: Sink
) -> tuple[dict[str, Any], list[BaseValues]]:
    """Score promoters one after the other into tables; counts of alleles, and per promoter its strongest effects."""
    kept, reasons, bases = 0, Counter[str](), []
    for number, promoter in enumerate(promoters, start=1):
        variants, unknown = all_alleles(saturator.genome, promoter, deletions, kept + sum(reasons.values()) + 1)
        effects = saturator.score(variants)
        require_finite(VariantEffects(effects, effects), variants)
        scores.write(beside(variants, effects, saturator.contexts))
        ledger.write(unknown)
        bases.append(strongest_by_base(variants, effects))
        kept += len(variants)
        reasons.update(unknown["code"].tolist())
        logger.info("%d of %d promoters: %s, %d alleles", number, len(promoters), promoter.gene_id, len(variants))
    counts = stage_counts(kept, reasons)
    check_balance(counts["in"], kept, counts["rejected"], "alleles")
    return counts, bases


def open_tables(stack: ExitStack, out: str | Path, rejects: str | Path) -> tuple[Sink, Sink]:
    """The table of effects and the ledger, which appear when the stack is left without an error."""
    scores = ParquetSink(stack.enter_context(atomic_path(out)))
    ledger = TextSink(stack.enter_context(atomic_path(rejects)), Path(rejects))
    return stack.enter_context(Closing(scores)), stack.enter_context(Closing(ledger))
