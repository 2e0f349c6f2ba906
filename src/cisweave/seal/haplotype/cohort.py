"""Phased genotypes: all variants of a haplotype together, around every gene.

Dimension legend
    haplotypes - chromosome copies of samples, contexts - tissues or cell states
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import EngineSettings, HaplotypeSettings
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.genome.stream import open_sink
from cisweave.genome.vcf import seekable
from cisweave.models.profiles import ProfileStore
from cisweave.seal.haplotype.genotypes import MAX_PLOIDY, STAGE, AlleleReader, Carried, Haplotypes, merged, read_cohort
from cisweave.seal.haplotype.scorer import Floats, HaplotypeScorer
from cisweave.seal.inputs import open_inputs
from cisweave.seal.predict import Progress
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import write_ledger
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

ROW_COLUMNS = {
    "gene_id": "str",
    "chrom": "str",
    "tss": "int64",
    "strand": "str",
    "sample": "str",
    "haplotype": "int64",
    "variants": "int64",
    "left_out": "int64",
    "changed_bins": "int64",
    "alleles": "str",
}
"""Gene and its TSS (1-based); sample; haplotype (place in GT, from 1); alleles that change the windows of the gene on
it; alleles near the gene that it should have but that were left out (they are in the ledger); windows that differ from
the reference; the alleles as ``contig:position:ref>alt`` (1-based), separated by commas."""
REACH_IN_ALLELES, LEAST_REACH = 20, 10_000
"""How far beyond the windows of a gene alleles are held, in longest alleles and in bases: deletions draw them in."""


def haplotype_effects(
    vcf: str | Path,
    fasta: str | Path,
    profiles: str | Path,
    chromatin: str | Path,
    model: str | Path,
    out: str | Path,
    rejects: str | Path,
    genes: Sequence[str] | None = None,
    samples: Sequence[str] | None = None,
    settings: HaplotypeSettings | None = None,
    engine: EngineSettings | None = None,
    device: DeviceName = "auto",
) -> dict[str, Any]:
    """Score the haplotypes of a phased VCF: every gene, sample and haplotype with all its variants together.

    Parameters
    ----------
    vcf
        VCF (plain, gzip, bgzip) or BCF with phased genotypes, sorted by contig and position, on the assembly of
        ``fasta``; positions 1-based.
    profiles
        Store of TSS profiles, made with the model ``chromatin``.
    chromatin, model
        Model folders of the chromatin and the expression model.
    out
        ``.parquet``, ``.tsv`` or ``.tsv.gz``: :data:`ROW_COLUMNS`, then per context haplotype minus reference, ln
        expression. Haplotypes that are the reference around a gene have no row unless ``reference_rows`` is set.
    rejects
        Ledger (TSV) of alleles that were left out, wholly or of some haplotypes.
    genes, samples
        Only these; ``None``: all of the store and of the VCF.

    Returns
    -------
    dict
        Counts: alleles by what became of them, rows written.

    Raises
    ------
    CisweaveError
        If a gene or sample is unknown, the VCF is not sorted or has no genotypes, or a genotype is heterozygous and
        not phased (``unphased: error``).
    """
    settings, engine = settings or HaplotypeSettings(), engine or EngineSettings()
    refuse_other_names(out)
    inputs = open_inputs(fasta, profiles, chromatin, model, device)
    written = 0
    with ExitStack() as stack:
        genome, path = stack.enter_context(Genome(fasta)), stack.enter_context(seekable(vcf))
        cohort = read_cohort(path, samples)
        scorer = HaplotypeScorer(genome, inputs.store, inputs.chromatin, inputs.expression, engine)
        places = gene_places(scorer, chosen_genes(inputs.store, genes), reach(settings))
        near = {chrom: merged([(place.low, place.high) for place in found]) for chrom, found in places.items()}
        alleles = AlleleReader(path, genome, cohort, settings, near)
        sink = stack.enter_context(open_sink(out))
        sink.write(table_of([], [], scorer.contexts))
        progress = Progress(sum(map(len, places.values())), "genes")
        for place, held in blocks_of_genes(alleles, places):
            frame = score_gene(scorer, place, held, cohort.names, settings, engine)
            if len(frame):
                sink.write(frame)
                written += len(frame)
            progress.add(1)
    counts = {"alleles": alleles.books.counts(), "rows": written, "windows": scorer.windows.predicted}
    write_ledger([alleles.books.ledger()], rejects)
    write_receipt(
        out,
        settings=settings.model_dump(mode="json"),
        inputs=[vcf, *inputs.files],
        device=str(inputs.chromatin.device),
        dtype="float32 (chromatin), float64 (expression)",
        notes=counts,
    )
    logger.info("%s", summary(counts))
    return counts


def summary(counts: Mapping[str, Any]) -> str:
    """One line about what became of the alleles and how many rows there are."""
    found, reasons = counts["alleles"], counts["alleles"]["reasons"]
    listed = ", ".join(f"{code} {number}" for code, number in reasons.items())
    return (
        f"{STAGE}: {found['in']} alleles in, {found['used']} used, {found['outside']} near no gene, "
        f"{found['carried_by_none']} carried by no sample, {found['rejected']} rejected"
        f"{f' ({listed})' if listed else ''}; {counts['rows']} rows"
    )


def refuse_other_names(out: str | Path) -> None:
    """Raise unless the name of an output is that of a table."""
    if not str(out).endswith((".parquet", ".tsv", ".tsv.gz")):
        raise CisweaveError("the name must end in .parquet, .tsv or .tsv.gz", path=out)


# --- genes ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class GenePlace:
    """A gene of the store and the interval (0-based half-open) in which alleles may change its windows."""

    row: int
    gene_id: str
    low: int
    high: int


def reach(settings: HaplotypeSettings) -> int:
    """Bases beyond the windows of a gene from which deletions may draw sequence in."""
    return max(LEAST_REACH, REACH_IN_ALLELES * settings.max_allele_length)


def chosen_genes(store: ProfileStore, genes: Sequence[str] | None) -> list[int]:
    """Rows of the chosen genes, or of all."""
    if genes is None:
        return list(range(len(store.genes)))
    rows = store.rows(pd.Series(list(dict.fromkeys(genes)), dtype="str"))
    unknown = [gene for gene, row in zip(dict.fromkeys(genes), rows, strict=True) if row < 0]
    if unknown:
        raise CisweaveError(f"gene {unknown[0]} has no profile; check its id", path=store.path)
    return [int(row) for row in rows]


def gene_places(scorer: HaplotypeScorer, rows: Iterable[int], margin: int) -> dict[str, list[GenePlace]]:
    """Genes by contig, in ascending order."""
    places: dict[str, list[GenePlace]] = {}
    for row in rows:
        gene = scorer.gene(row)
        low = gene.tss + scorer.tiling.first(gene.sign)
        gene_id = str(scorer.store.genes.gene_id.iat[row])
        place = GenePlace(row, gene_id, low - margin, low + scorer.tiling.length + margin)
        places.setdefault(gene.chrom, []).append(place)
    for found in places.values():
        found.sort(key=lambda place: (place.high, place.row))
    return places


def blocks_of_genes(
    alleles: Iterable[Carried], places: Mapping[str, list[GenePlace]]
) -> Iterator[tuple[GenePlace, list[Carried]]]:
    """Each gene with the alleles near it, from alleles in ascending order, contig after contig.

    Only the alleles near the genes that are not done yet are held. Genes on contigs without alleles come last.
    """
    chrom, pending, held = "", list[GenePlace](), list[Carried]()
    without = dict(places)
    for allele in alleles:
        if allele.chrom != chrom:
            yield from ((place, near(held, place)) for place in pending)
            chrom, pending, held = allele.chrom, list(without.pop(allele.chrom, ())), []
        while pending and pending[0].high < allele.edit.start:
            place = pending.pop(0)
            yield place, near(held, place)
            lowest = min((other.low for other in pending), default=allele.edit.start)
            held = [each for each in held if each.edit.end >= lowest]
        held.append(allele)
    yield from ((place, near(held, place)) for place in pending)
    yield from ((place, []) for found in without.values() for place in found)


def near(held: Iterable[Carried], place: GenePlace) -> list[Carried]:
    """The alleles that may change the windows of a gene."""
    return [allele for allele in held if allele.edit.end >= place.low and allele.edit.start <= place.high]


# --- haplotypes -------------------------------------------------------------------------------------------------------
def score_gene(
    scorer: HaplotypeScorer,
    place: GenePlace,
    alleles: Sequence[Carried],
    samples: Sequence[str],
    settings: HaplotypeSettings,
    engine: EngineSettings,
) -> pd.DataFrame:
    """Rows of one gene: each haplotype that differs from the reference, in the order of samples."""
    spans = np.array([(*allele.edit[:2], allele.edit.loss) for allele in alleles], dtype=np.int64).reshape(-1, 3)
    carried = {
        haplotype: within_reach(spans, members, place, scorer.tiling.length)
        for haplotype, members in alleles_of_haplotypes(alleles).items()
    }
    left_out = left_out_within(scorer, place.row, alleles)
    distinct: dict[tuple[int, ...], list[int]] = {}
    for haplotype, members in carried.items():
        distinct.setdefault(members, []).append(haplotype)
    if settings.reference_rows:
        others = [number for number in all_haplotypes(alleles, len(samples)).tolist() if number not in carried]
        distinct.setdefault((), []).extend(others)
    gene = scorer.gene(place.row)
    facts: list[tuple[Any, ...]] = []
    values: list[NDArray[np.float32]] = []
    groups = [(members, owners) for members, owners in distinct.items() if owners]
    for start in range(0, len(groups), engine.batch_size):
        batch = groups[start : start + engine.batch_size]
        scored = score_together(scorer, place, alleles, [members for members, _ in batch])
        for (_, owners), (shown, changed, difference) in zip(batch, scored, strict=True):
            if shown or settings.reference_rows:
                labels = ",".join(alleles[number].label for number in shown)
                facts += [(owner, len(shown), left_out.get(owner, 0), changed, labels) for owner in owners]
                values += [difference] * len(owners)
    order = sorted(range(len(facts)), key=lambda row: facts[row][0])
    whole = [
        (place.gene_id, *gene, samples[owner // MAX_PLOIDY], owner % MAX_PLOIDY + 1, *rest)
        for owner, *rest in (facts[row] for row in order)
    ]
    return table_of(whole, [values[row] for row in order], scorer.contexts)


def score_together(
    scorer: HaplotypeScorer, place: GenePlace, alleles: Sequence[Carried], sets: Sequence[tuple[int, ...]]
) -> list[tuple[list[int], int, NDArray[np.float32]]]:
    """Per set of alleles: those that lie in the windows, windows changed, and haplotype minus reference (contexts,)."""
    regions = [scorer.region(place.row, [alleles[number].edit for number in members]) for members in sets]
    scored = scorer.expression([place.row] * len(sets), [region.codes for region in regions])
    difference = require_finite(scored.difference, place.gene_id).astype(np.float32)
    return [
        ([number for number, inside in zip(members, region.inside, strict=True) if inside], int(changed), values)
        for members, region, changed, values in zip(sets, regions, scored.touched, difference, strict=True)
    ]


def alleles_of_haplotypes(alleles: Sequence[Carried]) -> dict[int, NDArray[np.int64]]:
    """Numbers of the alleles of each haplotype that has any, ascending."""
    carriers = np.concatenate([np.empty(0, np.int64), *(allele.carriers for allele in alleles)])
    numbers = np.repeat(np.arange(len(alleles)), [len(allele.carriers) for allele in alleles])
    order = np.argsort(carriers, kind="stable")
    owners, starts = np.unique(carriers[order], return_index=True)
    if not len(owners):
        return {}
    return {int(owner): members for owner, members in zip(owners, np.split(numbers[order], starts[1:]), strict=True)}


def within_reach(
    spans: NDArray[np.int64], members: NDArray[np.int64], place: GenePlace, length: int
) -> tuple[int, ...]:
    """Those alleles of a haplotype that may stand in the windows (``length`` bases) of a gene.

    What it loses elsewhere cannot bring the others in; so haplotypes that are one within the windows are known as one.

    Parameters
    ----------
    spans
        (alleles, 3): start, end and loss of each allele's edit.
    members
        Numbers of the haplotype's alleles, ascending.
    """
    margin = (place.high - place.low - length) // 2
    start, end, loss = spans[members].T
    lost = int(loss.sum())
    if lost > margin:
        raise CisweaveError(
            f"a haplotype loses {lost} bases near gene {place.gene_id}, more than are read around it ({margin}); leave "
            "long deletions out with a smaller max_allele_length"
        )
    near_by = (end >= place.low + margin - lost) & (start <= place.high - margin + lost)
    return tuple(members[near_by].tolist())


def left_out_within(scorer: HaplotypeScorer, row: int, alleles: Sequence[Carried]) -> dict[int, int]:
    """How many alleles within the windows of a gene each haplotype lacks because they were left out."""
    gene = scorer.gene(row)
    low = gene.tss + scorer.tiling.first(gene.sign)
    high = low + scorer.tiling.length
    missing = [allele.left_out for allele in alleles if allele.edit.end > low and allele.edit.start < high]
    owners, numbers = np.unique(np.concatenate([np.empty(0, np.int64), *missing]), return_counts=True)
    return dict(zip(owners.tolist(), numbers.tolist(), strict=True))


def all_haplotypes(alleles: Sequence[Carried], samples: int) -> Haplotypes:
    """Both haplotypes of every sample, and whatever further ones genotypes name."""
    diploid = [sample * MAX_PLOIDY + place for sample in range(samples) for place in (0, 1)]
    named = [allele.carriers for allele in alleles]
    return np.unique(np.concatenate([np.array(diploid, dtype=np.int64), *named]))


def require_finite(difference: Floats, gene_id: str) -> Floats:
    """Refuse to write a score that is not a number."""
    if not np.isfinite(difference).all():
        raise CisweaveError(f"scores of gene {gene_id} are not finite; check the models' weights")
    return difference


def table_of(
    rows: Sequence[tuple[Any, ...]], values: Sequence[NDArray[np.float32]], contexts: Sequence[str]
) -> pd.DataFrame:
    """Rows and their scores (contexts,) as a table of fixed columns and types, also where there is none."""
    facts = pd.DataFrame(rows, columns=list(ROW_COLUMNS)).astype(ROW_COLUMNS)
    scores = np.array(values, dtype=np.float32).reshape(len(rows), len(contexts))
    return pd.concat([facts, pd.DataFrame(scores, columns=list(contexts))], axis=1)
