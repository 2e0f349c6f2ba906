"""What is looked at once alleles are lifted: whether two fall together, and whether they find their way back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.logs import get_logger
from cisweave.genome.alleles import Rejection, left_align
from cisweave.genome.chain import Chain
from cisweave.genome.contigs import ContigNames
from cisweave.genome.normalize import REACH
from cisweave.sequence.genome import Genome

if TYPE_CHECKING:
    from cisweave.genome.liftover import LiftedAllele, Verdict

logger = get_logger(__name__)

Lift = Callable[[Sequence[str], Sequence[int], Sequence[str], Sequence[str]], "list[Verdict]"]
ALLELE = ["chrom", "pos", "ref", "alt"]


class Repeats:
    """Finds alleles that are lifted to the place and bases of an earlier one.

    Where several places of the source go to one place of the target, and where the alleles do not come sorted, every
    allele is remembered. Elsewhere only other spellings of one allele can meet, which lie near each other, so that
    alleles :data:`cisweave.genome.normalize.REACH` bases behind are forgotten: memory then grows not with the file, but
    where the chain is ambiguous.

    Parameters
    ----------
    chain, genome
        Those that the alleles are lifted by and to.
    is_sorted
        Whether each contig of the source comes in one piece, its positions never falling.
    """

    def __init__(self, chain: Chain, genome: Genome, is_sorted: bool = False):
        names = ContigNames(genome.contigs)
        self.chain, self.is_sorted = chain, is_sorted
        self._intervals = {names.resolve(chrom): found for chrom, found in chain.crowded.items()}
        self._known: set[str] = set()
        self._passing: deque[tuple[str, int, list[str]]] = deque()

    def repeated(self, frame: pd.DataFrame, kept: pd.DataFrame, lifted: Sequence[LiftedAllele]) -> NDArray[np.bool_]:
        """(rows,) which rows of ``kept`` repeat an earlier one, of this or of earlier chunks.

        ``frame`` is the variant table before it was lifted, ``lifted`` the verdicts behind the rows of ``kept``.
        """
        keys = [
            f"{chrom}\t{pos}\t{ref}\t{alt}"
            for chrom, pos, ref, alt in zip(*(kept[name].tolist() for name in ALLELE), strict=True)
        ]
        again = np.array([self._is_known(key) for key in keys], dtype=bool)
        if self.is_sorted and keys:
            passing = ~self._crowded(kept, lifted) & ~again
            chroms = frame["chrom"].loc[kept.index]
            last = chroms.iloc[-1]
            ends = [allele.source[1] for allele, chrom in zip(lifted, chroms, strict=True) if chrom == last]
            self._passing.append((last, max(ends), [keys[row] for row in np.flatnonzero(passing)]))
        if self.is_sorted and len(frame):
            self._forget(frame["chrom"].iloc[-1], int(frame["pos"].iloc[-1]))
        return again

    def _is_known(self, key: str) -> bool:
        """Whether an allele came before; it is known from now on."""
        before = len(self._known)
        self._known.add(key)
        return len(self._known) == before

    def _forget(self, chrom: str, pos: int) -> None:
        """Let go of chunks that nothing behind a place of the source can repeat."""
        here, passing = self.chain.source_name(chrom), self._passing
        while passing and (self.chain.source_name(passing[0][0]) != here or passing[0][1] < pos - REACH):
            self._known.difference_update(passing.popleft()[2])

    def _crowded(self, kept: pd.DataFrame, lifted: Sequence[LiftedAllele]) -> NDArray[np.bool_]:
        """(rows,) which rows touch a place where the chain is ambiguous, with the bases that decided where they are."""
        crowded = np.zeros(len(kept), dtype=bool)
        for chrom, rows in kept.groupby("chrom", sort=False).indices.items():
            starts, ends = self._intervals.get(str(chrom), (np.empty(0), np.empty(0)))
            if len(starts):
                span = np.sort(np.array([lifted[row].target for row in list(rows)], dtype=np.int64), axis=1)
                pos = kept["pos"].to_numpy()[rows]
                first = np.minimum(span[:, 0], pos) - 1
                found = np.searchsorted(ends, first, side="right")
                crowded[rows] = np.append(starts, np.iinfo(np.int64).max)[found] < np.maximum(span[:, 1], pos)
        return crowded


class RoundTrip:
    """Lifts what was kept back and counts what returns.

    With the FASTA of the source an allele returns if it comes back with the very contig, position, REF and ALT it had,
    left-aligned. Without it, if the bases that decided its place do: its own, or those beside an indel's repeat.

    Parameters
    ----------
    chain
        The chain that leads back.
    source
        The assembly that the alleles came from, or ``None``.
    lift
        Lifts alleles back; only with ``source``.
    """

    def __init__(self, chain: Chain, source: Genome | None, lift: Lift | None):
        self.chain, self.source, self.lift = chain, source, lift
        self.alleles = self.returned = 0
        self._homes = ContigNames(chain.target_sizes)

    def add(self, frame: pd.DataFrame, kept: pd.DataFrame, lifted: Sequence[LiftedAllele]) -> None:
        """Count the alleles of ``frame``, which became the rows of ``kept`` by the verdicts ``lifted``."""
        self.alleles += len(kept)
        if self.lift is not None and self.source is not None:
            self.returned += self._alleles_back(self.source, self.lift, frame, kept, lifted)
        else:
            self.returned += sum(map(self._places_back, frame["chrom"].tolist(), lifted))

    def _alleles_back(
        self, source: Genome, lift: Lift, frame: pd.DataFrame, kept: pd.DataFrame, lifted: Sequence[LiftedAllele]
    ) -> int:
        names = ContigNames(source.contigs)
        verdicts = lift(*(kept[name].tolist() for name in ALLELE))
        rows = zip(*(frame[name].tolist() for name in ALLELE), strict=True)
        number = 0
        for (chrom, pos, ref, alt), forward, back in zip(rows, lifted, verdicts, strict=True):
            contig = names.resolve(chrom)
            if isinstance(back, Rejection) or contig is None:
                continue
            place = left_align(source, contig, pos, ref, alt) if len(ref) > 1 or len(alt) > 1 else (pos, ref, alt)
            number += back[:4] == (contig, *place) and back.swapped == forward.swapped
        return number

    def _places_back(self, chrom: str, allele: LiftedAllele) -> bool:
        matches = self.chain.matches(allele.chrom, allele.target)
        home = self._homes.resolve(chrom)
        return all(
            len(places) == 1 and places[0][0] == home and places[0][1] == pos
            for places, pos in zip(matches, allele.source, strict=True)
        )

    def report(self, stage: str, unit: str = "alleles") -> dict[str, Any]:
        """Log how many returned, and give it as numbers for the receipt."""
        share = self.returned / self.alleles if self.alleles else None
        compared = "place and bases" if self.lift is not None else "place"
        text = "" if share is None else f" ({100 * share:.2f} %)"
        logger.info("%s: %d of %d %s return to the same %s%s", stage, self.returned, self.alleles, unit, compared, text)
        return {"alleles": self.alleles, "returned": self.returned, "share": share, "compared": compared}
