"""The sequence of a haplotype around a gene: the genome with other bases put in, told off from its own TSS.

Dimension legend
    bins - windows tiled around the TSS, length - bases of all windows together
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cisweave.genome.alleles import core
from cisweave.models.profiles import ProfileStore
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, encode


class Edit(NamedTuple):
    """Bases that take the place of the 0-based half-open interval ``start`` to ``end`` of a contig."""

    start: int
    end: int
    bases: str

    @property
    def loss(self) -> int:
        """Bases by which the haplotype gets shorter; 0 where it does not."""
        return max(0, self.end - self.start - len(self.bases))


def edit_of(pos: int, ref: str, alt: str) -> Edit:
    """The edit that an allele (1-based) makes, without the bases that REF and ALT share."""
    place, ref, alt = core(pos, ref, alt)
    return Edit(place - 1, place - 1 + len(ref), alt)


class Gene(NamedTuple):
    """Where a gene starts: contig, TSS (1-based) and strand."""

    chrom: str
    tss: int
    strand: str

    @property
    def sign(self) -> int:
        """1 on the plus strand, -1 on the minus strand."""
        return 1 if self.strand == "+" else -1


@dataclass(frozen=True)
class BinTiling:
    """The windows around a TSS, as those of a store of profiles.

    Attributes
    ----------
    centres
        (bins,) middles of the windows in gene orientation, ascending and evenly spaced.
    window
        Bases of a window.
    step
        Bases between windows.
    """

    centres: NDArray[np.int64]
    window: int
    step: int

    @classmethod
    def of(cls, store: ProfileStore, window: int) -> BinTiling:
        """The windows of a store that was made with a model of this window."""
        return cls(store.centres, window, store.settings.bin_size)

    @property
    def length(self) -> int:
        """Bases of all windows together."""
        return self.window + (len(self.centres) - 1) * self.step

    def first(self, sign: int) -> int:
        """From the TSS (1-based) to the 0-based start of the lowest window; a window holds centre - window/2 + 1 …."""
        return int((sign * self.centres).min()) - self.window // 2

    def touched(self, reference: Codes, haplotype: Codes) -> NDArray[np.bool_]:
        """(bins,) which windows of two regions (length,) differ, lowest coordinate first."""
        changes = np.concatenate([[0], np.cumsum(reference != haplotype)])
        starts = np.arange(len(self.centres)) * self.step
        touched: NDArray[np.bool_] = changes[starts + self.window] > changes[starts]
        return touched


class HaplotypeRegion(NamedTuple):
    """The stretch of a haplotype that the windows of a gene cover.

    Attributes
    ----------
    codes
        uint8 (length,), lowest coordinate first.
    inside
        Which of the edits lie in it, in the order they were given.
    """

    codes: Codes
    inside: list[bool]


def haplotype_region(genome: Genome, gene: Gene, tiling: BinTiling, edits: Sequence[Edit] = ()) -> HaplotypeRegion:
    """Cut the windows of a gene out of a haplotype, in the haplotype's own coordinates.

    The windows are told off from the haplotype's TSS, so that an insertion or deletion moves everything beyond it.
    Bases outside the contig are N. Where the base of the TSS itself is replaced, the base at the same place of
    the new ones (from the upstream end) is the TSS; where there is none, the next base downstream.

    Parameters
    ----------
    edits
        In ascending order; no two overlap.
    """
    lost = sum(edit.loss for edit in edits)
    low = gene.tss + tiling.first(gene.sign) - lost
    high = low + tiling.length + 2 * lost
    near = [low <= edit.end and edit.start <= high for edit in edits]
    used = [edit for edit, is_near in zip(edits, near, strict=True) if is_near]
    low, high = min([low, *(edit.start for edit in used)]), max([high, *(edit.end for edit in used)])
    text, spans, tss = assemble(genome.fetch(gene.chrom, low, high), low, gene, used)
    begin = tss + 1 + tiling.first(gene.sign)
    end = begin + tiling.length
    shown = iter([start < end and stop > begin if stop > start else begin < start < end for start, stop in spans])
    return HaplotypeRegion(encode(text[begin:end]), [is_near and next(shown) for is_near in near])


def assemble(reference: str, low: int, gene: Gene, edits: Sequence[Edit]) -> tuple[str, list[tuple[int, int]], int]:
    """Put edits into the bases of a contig from 0-based ``low`` on.

    Returns
    -------
    tuple
        The new bases; where those of each edit stand in them; and where the TSS does (all 0-based).
    """
    pieces: list[str] = []
    spans = []
    at, length, tss = low, 0, None
    for edit in edits:
        if tss is None and gene.tss - 1 < edit.start:
            tss = length + gene.tss - 1 - at
        pieces += [reference[at - low : edit.start - low], edit.bases]
        length += edit.start - at
        if edit.start <= gene.tss - 1 < edit.end:
            tss = length + place_of_tss(edit, gene)
        spans.append((length, length + len(edit.bases)))
        at, length = edit.end, length + len(edit.bases)
    if tss is None:
        tss = length + gene.tss - 1 - at
    return "".join([*pieces, reference[at - low :]]), spans, tss


def place_of_tss(edit: Edit, gene: Gene) -> int:
    """Where the TSS stands among the new bases of an edit that replaces it; -1 or their number: just beside them."""
    if gene.strand == "+":
        return min(gene.tss - 1 - edit.start, len(edit.bases))
    return len(edit.bases) - 1 - min(edit.end - gene.tss, len(edit.bases))
