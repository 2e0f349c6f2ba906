"""The sequences that variants make: one union of all shifted windows for each allele, every sequence only once.

Dimension legend
    variants - alleles to score, length - bases of the union of the shifted windows

The windows of one allele are all cut out of one edited sequence: Seal crops every window about its own centre, which
moves all of them by the same ``floor(net length change / 2)`` bases
(:func:`cisweave.sequence.windows.allele_window`). Their union is therefore the window of the union's length.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from cisweave.seal.engine.geometry import Cone, Span, Tiling
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, encode
from cisweave.sequence.windows import MARGIN, allele_window

WIDEST_CONE = 0.75
"""Share of the union up to which a change is computed as a cone; a wider one as a union of its own."""


def unions(
    variants: pd.DataFrame, genome: Genome, tiling: Tiling, shifts: Sequence[int]
) -> tuple[list[Codes], list[Codes]]:
    """Codes (length,) of the unions with the reference and with the alternative allele, for each variant.

    REF's bases are put in whatever the genome holds; bases outside the contig are N.

    Raises
    ------
    CisweaveError
        If an allele does not lie whole inside all windows, or the net loss exceeds what can be centred.
    """
    positions = variants.pos.to_numpy(np.int64)
    longest = int(variants.ref.str.len().max()) if len(variants) else 0
    before = bases_before(tiling.window, shifts) + MARGIN
    background = genome.bulk_codes(
        variants.chrom.to_numpy(object), positions - 1 - before, tiling.length + 2 * MARGIN + longest
    )
    references: list[Codes] = []
    alternatives: list[Codes] = []
    for codes, chrom, pos, ref, alt in zip(
        background, variants.chrom, positions.tolist(), variants.ref, variants["alt"], strict=True
    ):
        for allele, made in ((ref, references), (alt, alternatives)):
            require_fit(genome, chrom, pos, ref, allele, tiling.window, shifts)
            made.append(edited(codes, before, ref, allele, tiling.length))
    return references, alternatives


def bases_before(window: int, shifts: Sequence[int]) -> int:
    """Bases of the reference union in front of the variant's place."""
    return window // 2 - 1 - shifts[0]


def edited(codes: Codes, before: int, ref: str, allele: str, length: int) -> Codes:
    """The sequence with the bases of ``ref`` behind the first ``before`` replaced, cropped as Seal centres it."""
    low = MARGIN + (len(allele) - len(ref)) // 2
    haplotype = np.concatenate([codes[low:before], encode(allele)[max(0, low - before) :], codes[before + len(ref) :]])
    return np.ascontiguousarray(haplotype[:length])


def require_fit(
    genome: Genome, chrom: str, pos: int, ref: str, allele: str, window: int, shifts: Sequence[int]
) -> None:
    """Refuse an allele that the plain path refuses, with its message."""
    longest, half = max(len(ref), len(allele)), window // 2
    for shift in (shifts[0], shifts[-1]):
        if shift > half - 1 or half - 1 - shift + longest > window or len(allele) < len(ref) - 2 * MARGIN:
            allele_window(genome, chrom, pos, ref, allele, window, shift)


@dataclass(frozen=True)
class Change:
    """A sequence that differs from another one in some bases, one for one.

    Attributes
    ----------
    haplotype, reference
        Numbers of the two sequences.
    changed
        The bases that differ, counted on the forward strand.
    """

    haplotype: int
    reference: int
    changed: Span


@dataclass
class Haplotypes:
    """The distinct sequences of some variants.

    Attributes
    ----------
    codes
        The sequences, in the order in which they were met.
    references, alternatives
        Number of the sequence with either allele, for each variant.
    """

    codes: list[Codes]
    references: list[int]
    alternatives: list[int]

    @classmethod
    def distinct(cls, references: Sequence[Codes], alternatives: Sequence[Codes]) -> Haplotypes:
        """Number the sequences by their bytes: multi-allelic and repeated records share theirs."""
        codes: list[Codes] = []
        numbers: dict[bytes, int] = {}

        def number(sequence: Codes) -> int:
            known = numbers.setdefault(sequence.tobytes(), len(codes))
            if known == len(codes):
                codes.append(sequence)
            return known

        return cls(
            codes, [number(sequence) for sequence in references], [number(sequence) for sequence in alternatives]
        )

    def changes(self, spans: Sequence[Span | None], tiling: Tiling, wanted: Container[int]) -> list[Change]:
        """The wanted alternatives that are worth a cone of their reference (:func:`changed_span` for each variant).

        A sequence that is also a reference is left out: it goes through the whole trunk anyway.
        """
        references = set(self.references)
        found: dict[int, Change] = {}
        for reference, alternative, span in zip(self.references, self.alternatives, spans, strict=True):
            if span is None or alternative in references or alternative not in wanted:
                continue
            if share(tiling, span) <= WIDEST_CONE:
                found.setdefault(alternative, Change(alternative, reference, span))
        return list(found.values())


@lru_cache(maxsize=4096)
def share(tiling: Tiling, changed: Span) -> float:
    """What a cone costs of a whole pass."""
    return Cone(tiling, changed).share


def changed_span(ref_length: int, alt_length: int, before: int, tiling: Tiling) -> Span | None:
    """Bases of the union that may differ between the alleles, or ``None`` if that may be any of them.

    ``before`` bases stand in front of REF. Alleles of equal length leave both flanks where they are. As the crop moves
    by half the net change, rounded down, one inserted base leaves the left flank and one lost base the right one.
    """
    change = alt_length - ref_length
    if change not in (-1, 0, 1):
        return None
    return Span(0 if change < 0 else before, tiling.length if change > 0 else before + ref_length)
