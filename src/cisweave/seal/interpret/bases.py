"""Which bases make a prediction: from a context's output through all three modules down to single nucleotides.

Dimension legend
    haplotypes - reference and alternative of a variant, or the genome alone, contexts - tissues or cell states,
    length - bases of a stretch
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
import torch

from cisweave.config import BaseAttributionSettings, PredictSettings
from cisweave.core.devices import DeviceName, float32_arithmetic
from cisweave.core.errors import CisweaveError
from cisweave.models.attribution import attribute_sequences, shuffled_references
from cisweave.seal.head import ExpressionHead
from cisweave.seal.inputs import open_inputs
from cisweave.seal.interpret.base_tables import BaseTables, Explained, Place, report_quality
from cisweave.seal.interpret.sequence import gene_stretch, variant_stretch
from cisweave.seal.interpret.tracks import attributed_shifts
from cisweave.seal.interpret.variants import choose_variants, chosen_outputs
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import UNKNOWN, one_hot
from cisweave.sequence.windows import haplotype_places
from cisweave.tables.attributions import new_attributions
from cisweave.tables.frames import write_tsv
from cisweave.tables.ledger import write_ledger
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    from cisweave.models.beluga import Beluga
    from cisweave.models.profiles import ProfileStore

STAGE = "seal_attribute"


def attribute_bases(
    fasta: str | Path,
    profiles: str | Path,
    chromatin: str | Path,
    model: str | Path,
    *,
    out: str | Path,
    loci: str | Path,
    qc: str | Path,
    rejects: str | Path,
    variants: str | Path | None = None,
    genes: Sequence[str] | None = None,
    bigwig_folder: str | Path | None = None,
    settings: BaseAttributionSettings | None = None,
    windows: PredictSettings | None = None,
    device: DeviceName = "auto",
) -> pd.DataFrame:
    """Attribute predicted expression to bases: of both haplotypes of variants, or around the TSS of genes.

    A variant's function is the one whose difference between the alleles is its score: the sum over the shifted windows
    of the expression predicted with the window in the place of its bin. Both haplotypes are compared with the same
    references, dinucleotide shuffles of the reference haplotype, so that the sums of their attributions differ by the
    score. A gene's function is its predicted expression.

    Parameters
    ----------
    variants
        Variant table with genes (Parquet), or the table of effects of ``seal predict``.
    genes
        Gene ids; give either variants or genes, for all windows of a store have one length.
    out
        Store of attributions (HDF5), as ``seqlets call --attributions`` reads it, in ln expression.
    loci
        TSV, the locus table that goes with it (``seqlets call --loci``): windows 0-based half-open, ``tracks`` are
        contexts.
    qc
        TSV, columns :data:`cisweave.seal.interpret.base_tables.QC_COLUMNS`, a row per item.
    rejects
        Ledger of the variants that cannot be scored.
    bigwig_folder
        Folder for bigWig files, ``<context>.ref.bw`` and ``<context>.alt.bw`` of variants, ``<context>.bw`` of genes,
        on the coordinates of ``fasta``. Inserted bases have no place there; where stretches overlap, the one whose
        middle is nearest counts.

    Returns
    -------
    pandas.DataFrame
        The quality table.
    """
    settings, windows = settings or BaseAttributionSettings(), windows or PredictSettings()
    if variants is None and genes is None:
        raise CisweaveError("give variants (--variants) or genes (--gene, --gene-list) to explain")
    if variants is not None and genes is not None:
        raise CisweaveError("give either variants or genes, not both: all windows of a store have one length")
    opened = open_inputs(fasta, profiles, chromatin, model, device)
    names = usable_names(opened.expression.spec.outputs, model)
    network, head = cast("Beluga", opened.chromatin.module), ExpressionHead(opened.expression, opened.store)
    rejected = pd.DataFrame()
    results = BaseTables(names, opened.store.settings.bin_size, settings)
    with Genome(fasta) as genome:
        if variants is not None:
            shifts = attributed_shifts(windows, opened.window)
            wanted = [names[output] for output in chosen_outputs(settings.contexts, names)]
            table, rejected = choose_variants(
                variants, genome, opened.store, opened.window, shifts, wanted, settings.top_variants, STAGE
            )
            places: Iterator[Place] = variant_places(table, genome, network, head, shifts)
        else:
            places = gene_places(gene_rows(genes or [], opened.store), genome, network, head, settings.reach)
        with new_attributions(out) as writer, float32_arithmetic(tf32=False):
            for place in places:
                results.add(explain(place, settings, names, head.device), writer)
            quality = results.quality()
            report_quality(quality, settings)
        write_tsv(results.locus_table(), loci)
        write_tsv(quality, qc, float_format="%.9g")
        if bigwig_folder is not None:
            results.write_bigwigs(Path(bigwig_folder), genome.contigs)
    write_ledger([rejected], rejects)
    write_receipt(
        out,
        settings={"attribute": settings.model_dump(mode="json"), "windows": windows.model_dump(mode="json")},
        inputs=[*([] if variants is None else [variants]), *opened.files],
        seed=settings.seed,
        device=str(head.device),
        dtype="float32 (chromatin), float64 (expression)",
        notes={} if genes is None else {"genes": list(genes)},
    )
    return quality


def usable_names(outputs: list[str], model: str | Path) -> list[str]:
    """The contexts; a name with a comma cannot stand in a locus table."""
    wrong = [name for name in outputs if "," in name or not name]
    if wrong:
        raise CisweaveError(f"the context {wrong[0]!r} holds a comma or is empty; give it another name", path=model)
    return outputs


def gene_rows(genes: Sequence[str], store: ProfileStore) -> list[int]:
    """Rows of the genes in the store; one that is not there is an error."""
    rows = store.rows(pd.Series(list(genes), dtype="str"))
    strangers = [gene for gene, row in zip(genes, rows, strict=True) if row < 0]
    if strangers:
        raise CisweaveError(f"no TSS profile of {', '.join(strangers[:5])}; is it the id of the annotation?")
    return list(dict.fromkeys(rows.tolist()))


# --- places -----------------------------------------------------------------------------------------------------------
def variant_places(
    table: pd.DataFrame, genome: Genome, network: Beluga, head: ExpressionHead, shifts: list[int]
) -> Iterator[Place]:
    """The stretches of variants, one after the other."""
    for number in range(len(table)):
        row = table.iloc[[number]]
        variant = row.iloc[0]
        stretch = variant_stretch(row, genome, network, head, shifts)
        pos, ref, alt = int(variant.pos), variant.ref, variant["alt"]
        locus = {
            "kind": "variant",
            "pos": pos,
            "ref": ref,
            "alt": alt,
            "record": variant["record"],
            "variant_allele": variant["allele"],
            "gene_id": variant.gene_id,
        }
        length = stretch.codes.shape[1]
        bases = [haplotype_places(pos, ref, allele, length) for allele in (ref, alt)]
        yield Place(stretch, locus, ("ref", "alt"), bases, -1 if variant["swapped"] else 1)


def gene_places(
    rows: list[int], genome: Genome, network: Beluga, head: ExpressionHead, reach: int | None
) -> Iterator[Place]:
    """The stretches around the TSS of genes, one after the other."""
    for row in rows:
        stretch = gene_stretch(row, genome, network, head, reach)
        locus = {"kind": "promoter", "gene_id": head.store.genes.gene_id.iloc[row]}
        yield Place(stretch, locus, ("",), [np.arange(stretch.start, stretch.end)])


# --- attribution ------------------------------------------------------------------------------------------------------
def explain(place: Place, settings: BaseAttributionSettings, names: Sequence[str], device: torch.device) -> Explained:
    """Attribute the contexts of a place: those of the settings, or the strongest."""
    codes, function = place.stretch.codes, place.stretch.function
    with torch.inference_mode():
        predicted = torch.cat([function(one_hot(one[None], device)) for one in codes]).cpu().numpy()
    score = (predicted[1] - predicted[0]) * place.sign if len(codes) > 1 else np.full(len(names), np.nan)
    outputs = chosen_outputs(settings.contexts, names)
    if not settings.contexts:
        strength = np.abs(score) if len(codes) > 1 else predicted[0]
        outputs = np.argsort(-strength, kind="stable")[: settings.contexts_each].tolist()
    if (codes == UNKNOWN).any():
        return Explained(place, outputs, score[outputs], [])
    references = shuffled_references(codes[0], settings.shuffles, settings.seed)
    found = [
        attribute_sequences(
            function, codes, references, output, settings.method, settings.batch_size, settings.steps, device
        )
        for output in outputs
    ]
    return Explained(place, outputs, score[outputs], found)
