"""What a built-in world holds: sizes, names of contigs, contexts and tracks, and every file it writes.

Light on purpose (standard library only): the workflow and the command line ask here for names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from cisweave.core.errors import CisweaveError

Size = Literal["tiny", "demo", "large"]
SIZES: tuple[Size, ...] = get_args(Size)

#: Contexts per set. The specific sets are what fine-tuning sees; ``general`` pre-trains.
CONTEXTS: dict[str, list[str]] = {
    "general": ["brain", "heart", "kidney", "liver", "lung", "muscle"],
    "tissue": ["fetal_cortex", "adult_cortex", "fetal_cerebellum", "adult_cerebellum", "adult_hippocampus"],
    "cell": ["excitatory_neuron", "astrocyte", "microglia"],
}

#: Transcription factors: name, JASPAR 2024 matrix id, sign of their activity. The order is the order of the columns.
FACTORS: dict[str, tuple[str, int]] = {
    "CTCF": ("MA0139.2", 1),
    "REST": ("MA0138.3", -1),
    "NRF1": ("MA0506.3", 1),
    "TP53": ("MA0106.3", 1),
    "ZNF143": ("MA0088.2", 1),
    "RFX1": ("MA0509.3", -1),
    "SRF": ("MA0083.3", 1),
    "ZNF410": ("MA0752.2", -1),
    "HNF1A": ("MA0046.3", 1),
    "MEF2D": ("MA0773.1", 1),
    "PROX1": ("MA0794.1", 1),
    "HSF1": ("MA0486.2", 1),
}


@dataclass(frozen=True)
class Layout:
    """The dimensions of a world.

    Attributes
    ----------
    contigs
        Length of each sim19 contig in bases.
    valid, test
        Contigs for early stopping, and contigs never seen in training; the others train.
    factors
        Planted transcription factors (keys of :data:`FACTORS`).
    accessibility
        Names of the accessibility tracks.
    repressive
        Names of the repressive marks.
    gene_spacing
        Bases per gene slot; a slot holds at most one gene.
    sites_per_mb
        Strong motif instances per factor and megabase.
    records
        Records of the VCF, bad ones included.
    pair
        Two factors that stand together in a share of the distal elements and interact in accessibility.
    peaks
        Rows of the accessibility matrix.
    desert
        Gene-free slots in the first contig, so that some variants have no TSS within reach.
    promoters
        Promoters of the library.
    """

    contigs: dict[str, int]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    factors: tuple[str, ...]
    accessibility: tuple[str, ...]
    repressive: tuple[str, ...]
    gene_spacing: int
    sites_per_mb: int
    records: int
    pair: tuple[str, str]
    peaks: int
    desert: int
    promoters: int


LAYOUTS: dict[str, Layout] = {
    "tiny": Layout(
        contigs={"chr1": 700_000, "chr2": 150_000, "chr3": 250_000},
        valid=("chr2",),
        test=("chr3",),
        factors=("REST", "NRF1", "ZNF410", "HNF1A"),
        accessibility=("DNase_A",),
        repressive=("H3K27me3",),
        gene_spacing=7_500,
        sites_per_mb=400,
        records=160,
        pair=("REST", "NRF1"),
        peaks=600,
        desert=7,
        promoters=150,
    ),
    "demo": Layout(
        contigs={"chr1": 1_600_000, "chr2": 1_400_000, "chr3": 800_000, "chr4": 800_000, "chr5": 600_000},
        valid=("chr3",),
        test=("chr4", "chr5"),
        factors=tuple(FACTORS),
        accessibility=("DNase_A", "DNase_B", "DNase_C"),
        repressive=("H3K27me3",),
        gene_spacing=7_500,
        sites_per_mb=140,
        records=620,
        pair=("SRF", "ZNF143"),
        peaks=4_000,
        desert=6,
        promoters=5_000,
    ),
    "large": Layout(
        contigs={f"chr{number}": 13_000_000 - 1_000_000 * number for number in range(1, 10)},
        valid=("chr7",),
        test=("chr8", "chr9"),
        factors=tuple(FACTORS),
        accessibility=("DNase_A", "DNase_B", "DNase_C"),
        repressive=("H3K27me3",),
        gene_spacing=20_000,
        sites_per_mb=140,
        records=5_000,
        pair=("SRF", "ZNF143"),
        peaks=40_000,
        desert=4,
        promoters=10_000,
    ),
}

FILES: list[str] = [
    "genome/sim19.fa",
    "genome/sim19.fa.fai",
    "genome/sim38.fa",
    "genome/sim38.fa.fai",
    "genome/sim38ToSim19.over.chain",
    "genome/sim19ToSim38.over.chain",
    "annotation/genes.gtf",
    "annotation/tss.bed",
    "chromatin/tracks.tsv",
    "expression/general.tsv",
    "expression/tissue.tsv",
    "expression/cell.tsv",
    "xpresso/halflife.tsv",
    "xpresso/tf.tsv",
    "xpresso/mirna.tsv",
    "xpresso/expression.tsv",
    "xpresso/library/promoters.fa",
    "xpresso/library/halflife.tsv",
    "xpresso/library/tf.tsv",
    "xpresso/library/mirna.tsv",
    "xpresso/library/expression.tsv",
    "accessibility/matrix.tsv",
    "accessibility/peaks.bed",
    "accessibility/peaks.fa",
    "accessibility/cell_types.tsv",
    "transcripts/transcripts.fa",
    "transcripts/tis.tsv",
    "variants/variants.vcf",
    "truth/motifs.tsv",
    "truth/instances.tsv",
    "truth/expression.tsv",
    "truth/effects.tsv",
    "truth/bad_records.tsv",
    "truth/weights.tsv",
    "truth/xpresso_weights.tsv",
    "truth/xpresso_expression.tsv",
    "truth/accessibility_weights.tsv",
    "truth/library_instances.tsv",
    "truth/library_weights.tsv",
    "truth/library_expression.tsv",
]
#: Written last: whoever finds it finds a whole world.
MANIFEST = "manifest.json"


def layout(size: str) -> Layout:
    """The dimensions of ``size``; an unknown size is a :class:`CisweaveError`."""
    if size not in LAYOUTS:
        raise CisweaveError(f"size: {size!r} is no size of the built-in world; write one of {', '.join(LAYOUTS)}")
    return LAYOUTS[size]


def tracks(size: str) -> dict[str, str]:
    """Chromatin tracks of a world: name to the factor it maps, empty for accessibility and repressive marks."""
    dimensions = layout(size)
    marks = dimensions.accessibility + dimensions.repressive
    return {factor: factor for factor in dimensions.factors} | dict.fromkeys(marks, "")


def files(size: str) -> list[str]:
    """Every file of a world but the manifest, relative to its folder."""
    found = list(FILES)
    for track in tracks(size):
        found += [f"chromatin/{track}.narrowPeak", f"chromatin/{track}.bw"]
    return sorted(found)


def expression_columns(context_set: str) -> list[str]:
    """Columns of ``expression/<context_set>.tsv``."""
    return ["gene_id", *CONTEXTS[context_set]]


def all_contexts() -> list[str]:
    """The contexts of all sets, in the order of the truth tables."""
    return [context for contexts in CONTEXTS.values() for context in contexts]
