"""Effects of variants on expression through promoters: the promoter with the allele against the promoter without.

A promoter is read around its TSS, so an insertion or deletion leaves the TSS at its index in the window: bases enter or
leave at the end of the window on the allele's side of the TSS. Half-life features, factors and microRNAs stay those of
the gene.

Dimension legend
    variants - alleles, genes - rows of the promoter data, pairs - allele x gene whose window it changes,
    window - bases that the model reads
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import PromoterPredictSettings, VariantSettings
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.logs import get_logger
from cisweave.genome.alleles import core
from cisweave.genome.contigs import ContigNames
from cisweave.genome.normalize import normalized_chunks
from cisweave.genome.pairs import PairJoin, read_pairs
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import Chunk, apply_step, write_stage
from cisweave.genome.table import GENE_COLUMNS, VARIANT_COLUMNS
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, encode, reverse_complement
from cisweave.tables.ledger import ledger_rows
from cisweave.xpresso.models import Geometry, PromoterModel, load_promoter_model
from cisweave.xpresso.predict import batches, check_table_name
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.sources import Source, gene_problems, open_source

logger = get_logger(__name__)

STAGE = "xpresso_variants"
EFFECT_COLUMNS = ["ref_z", "alt_z", "effect_z", "effect"]
"""Predictions with ``ref`` and ``alt`` of the row as z-scores, and their difference as z and as log10 expression,
always from the REF to the ALT of the user's file: where ``swapped`` it is ``ref_z - alt_z``."""
SHOWN = 3
"""Genes that a message names."""

Rows = NDArray[np.int64]


class Edit(NamedTuple):
    """What an allele changes on the genome: ``removed`` bases from ``place`` (0-based) on become ``inserted``."""

    place: int
    removed: int
    inserted: Codes

    @property
    def change(self) -> int:
        """How much longer the allele is than what it replaces."""
        return len(self.inserted) - self.removed

    def moves(self, tss: int) -> bool:
        """Whether the place of a TSS is lost."""
        return bool(self.change) and self.place <= tss < self.place + self.removed


def edit_of(pos: int, ref: str, alt: str, matches: bool) -> Edit:
    """The edit of an allele (``pos`` 1-based): without bases that REF and ALT share, where REF is the genome's."""
    if matches:
        pos, ref, alt = core(pos, ref, alt)
    return Edit(pos - 1, len(ref), encode(alt))


def anchored_window(stretch: Codes, first: int, start: int, length: int, tss: int, edit: Edit) -> Codes:
    """The window (length,) of a haplotype that keeps the TSS where it is, in genome orientation.

    Parameters
    ----------
    stretch
        Bases of the reference from ``first`` (0-based) on; they hold the window, the edit, and as many bases beyond
        either end of the window as the edit removes or adds.
    start, length
        The window on the reference.
    tss
        0-based place of the base that stays at its index, which may lie outside the window.
    edit
        What is changed; it must not move the TSS.
    """
    begin = edit.place - first
    haplotype = np.concatenate([stretch[:begin], edit.inserted, stretch[begin + edit.removed :]])
    before_tss = edit.place + edit.removed <= tss
    offset = start - first + (edit.change if before_tss else 0)
    return haplotype[offset : offset + length]


class ReferencePromoters:
    """Reference windows of genes on a genome, and their predictions, each made once.

    Parameters
    ----------
    model, source
        What predicts, and the genes.
    genome
        The assembly of genes and variants.
    settings
        What becomes of genes with unknown bases or inputs.
    """

    def __init__(self, model: PromoterModel, source: Source, genome: Genome, settings: PromoterPredictSettings):
        self.model, self.source, self.genome, self.settings = model, source, genome, settings
        self.geometry: Geometry = model.geometry
        self.gene_ids = np.array(source.data.gene_ids, dtype=object)
        self.reverse, self.tss, self.start = source.reverse, source.tss, source.starts
        names = ContigNames(genome.contigs)
        chroms = source.data.genes["chrom"].astype("str")
        spelling = {name: names.resolve(name) or "" for name in chroms.unique()}
        self.contig = chroms.map(spelling).to_numpy(dtype=object)
        self.problem = gene_problems(model, source, settings).reindex(range(len(source)))["code"].fillna("").to_numpy()
        self._z = np.full(len(source), np.nan)
        placed = self.contig != ""
        if not placed.any():
            raise CisweaveError(
                "none of these promoters has a place on this genome; give promoters of an annotation or a BED, or data "
                "built from one",
                path=source.data.folder,
            )
        if not placed.all():
            logger.warning(
                "%d of %d genes have no place on this genome, %s for one; no variant is scored with them",
                (~placed).sum(), len(placed), self.gene_ids[~placed][0],
            )  # fmt: skip
        low, high = np.minimum(self.start, self.tss), np.maximum(self.start + self.geometry.window, self.tss + 1)
        self.low, self.high, self._longest = low, high, int((high - low).max(initial=0))
        self._sorted = {
            str(name): rows[np.argsort(low[rows], kind="stable")]
            for name in np.unique(self.contig[placed].astype(str))
            for rows in [np.flatnonzero(self.contig == name)]
        }

    def over(self, chrom: str, edit: Edit) -> Rows:
        """Rows of the genes whose window an edit changes; in the order of the data.

        Where the TSS lies outside the window, an insertion or deletion between the two moves other bases into it.
        """
        rows = self._sorted.get(chrom)
        if rows is None:
            return np.zeros(0, dtype=np.int64)
        end = edit.place + edit.removed
        first, last = np.searchsorted(self.low[rows], [edit.place - self._longest, end])
        near = np.sort(rows[first:last])
        low, high = (self.low, self.high) if edit.change else (self.start, self.start + self.geometry.window)
        return near[(low[near] < end) & (high[near] > edit.place)]

    def stretch(self, row: int, reach: int) -> tuple[Codes, int]:
        """Reference bases around the window and the TSS of a gene with ``reach`` more on either side; where from."""
        first = int(self.low[row]) - reach
        return self.genome.codes(self.contig[row], first, int(self.high[row]) + reach), first

    def oriented(self, row: int, window: Codes) -> Codes:
        """A window as the model reads it."""
        return reverse_complement(window) if self.reverse[row] else window

    def extras(self, rows: Rows) -> NDArray[np.float32]:
        """Further inputs (k, extras) of genes."""
        return self.model.scaling.extras(self.source.data, rows, self.model.extra_inputs)

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        """Predictions (k,) of the reference promoters of genes, as z-scores."""
        new = np.unique(rows[np.isnan(self._z[rows])])
        for part in batches(len(new), self.settings.batch_size):
            some = new[part]
            start = self.start[some].tolist()
            windows = [
                self.oriented(row, self.genome.codes(self.contig[row], first, first + self.geometry.window))
                for row, first in zip(some.tolist(), start, strict=True)
            ]
            codes = np.stack(windows)
            self._check_assembly(some, codes)
            self._z[some] = self.model.predict(codes, self.extras(some), self.settings.batch_size)
        return self._z[rows]

    def _check_assembly(self, rows: Rows, codes: Codes) -> None:
        """Raise unless the genome holds the promoters of the data."""
        other = np.flatnonzero((self.source.codes(rows) != codes).any(axis=1))
        if len(other):
            gene = self.gene_ids[rows[other[0]]]
            raise CisweaveError(
                f"the promoter of gene {gene} in the data is not what this FASTA holds at its place; give the genome "
                "that the data were made from",
                path=self.genome.path,
            )


class Scorer:
    """Scores the alleles of one chunk after another with every gene whose promoter they change.

    Parameters
    ----------
    promoters
        The genes.
    join
        The user's pairs of variants and genes; ``None``: all genes count.

    Attributes
    ----------
    scored
        Pairs of allele and gene so far.
    dropped
        Pairs that were not scored though the gene's window holds the allele, by code; the ledger has those alleles only
        that are scored with no gene at all.
    """

    def __init__(self, promoters: ReferencePromoters, join: PairJoin | None = None):
        self.promoters, self.join = promoters, join
        self.scored = 0
        self.dropped = Counter[str]()
        self._row_of = {name: row for row, name in enumerate(promoters.gene_ids)}

    def __call__(self, variants: pd.DataFrame) -> Chunk:
        """The pairs of allele and gene with their effects, and ledger rows of the alleles without any."""
        variants = variants.reset_index(drop=True)
        columns = (variants[name].tolist() for name in ("pos", "ref", "alt"))
        matches = variants["reference_genome_match"].fillna(True).tolist()
        edits = list(map(edit_of, *columns, matches))
        wanted = self._wanted(variants)
        sites: list[int] = []
        rows: list[int] = []
        codes, messages = [""] * len(edits), [""] * len(edits)
        for site, (chrom, edit) in enumerate(zip(variants["chrom"].tolist(), edits, strict=True)):
            over = self.promoters.over(chrom, edit)
            chosen, codes[site], messages[site] = self._choose(over, edit, None if wanted is None else wanted[site])
            sites += [site] * len(chosen)
            rows += chosen
        kept = self._score(variants, edits, np.array(sites, dtype=np.int64), np.array(rows, dtype=np.int64))
        reasons = pd.Series(codes, index=variants.index, dtype="str")
        left = reasons != ""
        details = pd.Series(messages, index=variants.index, dtype="str")
        return kept, ledger_rows(variants[left], STAGE, reasons[left], details[left])

    def _wanted(self, variants: pd.DataFrame) -> list[list[str]] | None:
        """The genes that the user pairs with each variant."""
        if self.join is None:
            return None
        wanted: list[list[str]] = [[] for _ in range(len(variants))]
        for site, pair in zip(*self.join.match(variants), strict=True):
            wanted[site].append(self.join.pairs["gene_id"].iloc[pair])
        return wanted

    def pair_counts(self) -> dict[str, Any]:
        """Pairs of allele and gene for the receipt; a line of the log says them, too."""
        codes = dict(sorted(self.dropped.items()))
        listed = ", ".join(f"{code} {number}" for code, number in codes.items())
        logger.info(
            "%s: %d pairs of allele and gene, %d not scored%s",
            STAGE, self.scored, self.dropped.total(), f" ({listed})" if listed else "",
        )  # fmt: skip
        return {"scored": self.scored, "not_scored": codes}

    def _choose(self, over: Rows, edit: Edit, wanted: list[str] | None) -> tuple[list[int], str, str]:
        """The genes (rows) an allele is scored with; where there is none, a code and a message."""
        if wanted is not None:
            known = [self._row_of[name] for name in wanted if name in self._row_of]
            if not wanted:
                return [], str(Reason.NO_PAIR), "no pair names this variant"
            if not known:
                return [], str(Reason.UNKNOWN_GENE), f"no promoter is known of {named(wanted)}"
            over = over[np.isin(over, known)]
        rows = over.tolist()
        if not rows:
            of = f"of {named(wanted)} does not hold it" if wanted else "of no gene holds it"
            return [], str(Reason.NO_PROMOTER), f"the window {of}"
        problems = [
            str(Reason.TSS_LOST) if edit.moves(int(self.promoters.tss[row])) else str(self.promoters.problem[row])
            for row in rows
        ]
        chosen = [row for row, problem in zip(rows, problems, strict=True) if not problem]
        self.scored += len(chosen)
        self.dropped.update(filter(None, problems))
        if chosen:
            return chosen, "", ""
        return [], problems[0], named([str(self.promoters.gene_ids[row]) for row in rows])

    def _score(self, variants: pd.DataFrame, edits: list[Edit], sites: Rows, rows: Rows) -> pd.DataFrame:
        """The table of pairs with their effects."""
        promoters = self.promoters
        reference = promoters.reference(rows)
        differs = ~variants["reference_genome_match"].fillna(True).to_numpy(dtype=np.bool_)[sites]
        if differs.any():
            own = [
                Edit(edits[site].place, edits[site].removed, encode(variants["ref"].iloc[site]))
                for site in sites[differs].tolist()
            ]
            reference[differs] = self._predict(own, rows[differs])
        alternative = self._predict([edits[site] for site in sites.tolist()], rows)
        return effect_table(variants.iloc[sites], promoters, rows, reference, alternative)

    def _predict(self, edits: list[Edit], rows: Rows) -> NDArray[np.float64]:
        """Predictions (pairs,) of promoters with an edit each; genes one after the other, so that each is read once."""
        promoters, size = self.promoters, self.promoters.settings.batch_size
        found = np.zeros(len(rows))
        order = np.argsort(rows, kind="stable")
        reach = max((max(edit.removed, len(edit.inserted)) for edit in edits), default=0)
        row, stretch, first = -1, np.zeros(0, dtype=np.uint8), 0
        for part in batches(len(order), size):
            pairs = order[part]
            codes = np.empty((len(pairs), promoters.geometry.window), dtype=np.uint8)
            for number, pair in enumerate(pairs.tolist()):
                if rows[pair] != row:
                    row = int(rows[pair])
                    stretch, first = promoters.stretch(row, reach)
                place = int(promoters.start[row]), promoters.geometry.window, int(promoters.tss[row])
                codes[number] = promoters.oriented(row, anchored_window(stretch, first, *place, edits[pair]))
            found[pairs] = promoters.model.predict(codes, promoters.extras(rows[pairs]), size)
        return found


def named(genes: list[str]) -> str:
    """Genes for a message."""
    more = f" and {len(genes) - SHOWN} more" if len(genes) > SHOWN else ""
    return ("gene " if len(genes) == 1 else "genes ") + ", ".join(shorten(name) for name in genes[:SHOWN]) + more


def effect_table(
    variants: pd.DataFrame,
    promoters: ReferencePromoters,
    rows: Rows,
    reference: NDArray[np.float64],
    alternative: NDArray[np.float64],
) -> pd.DataFrame:
    """The variant table, the gene of each row, and :data:`EFFECT_COLUMNS`."""
    variants = variants.reset_index(drop=True)
    tss = promoters.tss[rows] + 1
    sign = np.where(variants["swapped"].to_numpy(dtype=np.bool_), -1.0, 1.0)
    effect = sign * (alternative - reference)
    genes: Mapping[str, Any] = {
        "gene_id": pd.Series(promoters.gene_ids[rows], dtype="str"),
        "gene_strand": pd.Series(np.where(promoters.reverse[rows], "-", "+"), dtype="str"),
        "tss": tss,
        "dist_to_tss": variants["pos"].to_numpy(dtype=np.int64) - tss,
    }
    scores = {
        "ref_z": reference,
        "alt_z": alternative,
        "effect_z": effect,
        "effect": effect * promoters.model.log10_per_z,
    }
    return variants.assign(**genes, **scores)[[*VARIANT_COLUMNS, *GENE_COLUMNS, *EFFECT_COLUMNS]]


# --- the command ------------------------------------------------------------------------------------------------------
def predict_variants(
    model: str | Path,
    vcf: str | Path,
    out: str | Path,
    files: PromoterFiles,
    *,
    rejects: str | Path,
    pairs: str | Path | None = None,
    settings: PromoterPredictSettings | None = None,
    device: DeviceName = "auto",
) -> dict[str, Any]:
    """Score every allele with every gene whose promoter window it changes, chunk by chunk (``predict-variants``).

    Parameters
    ----------
    model
        Folder of a promoter model that reads promoters.
    vcf
        Variants in any format of :func:`cisweave.genome.stream.read_chunks`; indels are left-aligned.
    out
        ``.tsv``, ``.tsv.gz`` or ``.parquet``: the variant table
        (:data:`cisweave.genome.table.VARIANT_COLUMNS`), the gene with its TSS (1-based) and the distance from it, and
        :data:`EFFECT_COLUMNS`; a row per allele and gene, alleles in the order of the file, genes in that of their
        source.
    files
        The genes: ``gtf``, ``bed`` or ``data`` with ``fasta``, the assembly of the variants.
    rejects
        Ledger of the alleles that are scored with no gene.
    pairs
        Table of pairs (:func:`cisweave.genome.pairs.read_pairs`): alleles are scored with these genes only.
    settings
        Batches, and what becomes of a REF that is not the genome's and of genes with unknown bases or inputs.

    Returns
    -------
    dict
        ``in, kept, rejected, reasons`` in alleles.
    """
    settings = settings or PromoterPredictSettings()
    check_table_name(out)
    if files.fasta is None or files.promoters is not None:
        raise CisweaveError("variants need promoters with a place in the genome: give gtf, bed or data, and the FASTA")
    loaded = load_promoter_model(model, device)
    if not loaded.reads_promoter:
        raise CisweaveError("this model reads no promoter, so no variant changes what it predicts", path=loaded.folder)
    reading = VariantSettings(ref_policy=settings.ref_policy, max_allele_length=loaded.geometry.window)
    join = PairJoin(read_pairs(pairs)) if pairs is not None else None
    with open_source(loaded, files, Path(out).parent) as source, Genome(files.fasta) as genome:
        if len(source.rejected):
            logger.warning("%d genes have no promoter, %s for one; no variant is scored with them",
                           len(source.rejected), source.rejected["gene_id"].iloc[0])  # fmt: skip
        promoters = ReferencePromoters(loaded, source, genome, settings)
        scorer = Scorer(promoters, join)
        chunks = apply_step(normalized_chunks(vcf, genome, reading), scorer)
        return write_stage(
            chunks,
            out,
            rejects,
            stage=STAGE,
            inputs=[vcf, *files.inputs, *loaded.files, *([pairs] if pairs is not None else [])],
            settings=settings.model_dump(mode="json"),
            notes=lambda: {
                "device": str(loaded.device),
                "dtype": "float32",
                "genes": len(source),
                "pairs": scorer.pair_counts(),
                **(join.report(source.data.gene_ids, pairs) if join is not None and pairs is not None else {}),
            },
        )
