"""Searching transcription start sites (TSS): the closest one, by BEDOPS or in process, and all within reach.

Of several genes at the same distance one goes first, always by the same rule, that of BEDOPS ``closest-features
--closest`` on one-base intervals: the TSS on the left before the one on the right; of several genes at one TSS the last
in the order of the file where the TSS is at or left of the site, the first where it is on the right.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.genome.contigs import ContigNames

PROGRAM = "closest-features"
NONE = -1
BLOCK = 32_768
"""Sites searched at a time: few enough that their arrays stay in the processor's cache."""
LIMIT = 2**61
FARTHEST = 10**16
"""A distance beyond every position that can be read."""

Rows = NDArray[np.int64]
Names = Sequence[str] | NDArray[Any] | pd.Series


class TssIndex:
    """TSS sorted for searching.

    All contigs are laid one after the other on one line, with gaps wider than any distance on either side, so that one
    binary search serves all sites whatever their contigs.

    Parameters
    ----------
    tss
        ``chrom, tss`` (1-based), in the order that decides between genes at one TSS.
    """

    def __init__(self, tss: pd.DataFrame):
        codes, contigs = pd.factorize(tss["chrom"])
        places = tss["tss"].to_numpy(dtype=np.int64)
        order = np.lexsort((places, codes))
        last = np.zeros(len(contigs), dtype=np.int64)
        np.maximum.at(last, codes, places)
        total = sum(2 * int(place) + 8 for place in last)
        if total > LIMIT:
            raise CisweaveError("the positions of the TSS add up to more than a genome can have; look at their file")
        gaps = 2 * last + 8
        offsets = np.cumsum(gaps) - last - 2
        self.codes, self.places, self.order = codes[order], places[order], order
        self.contigs = [str(name) for name in contigs]
        self._code_of = {name: code for code, name in enumerate(self.contigs)}
        self._names = ContigNames(self._code_of)
        self._offsets, self._ends = np.append(offsets, 0), np.append(last + 1, 0)
        keys = offsets[self.codes] + self.places
        self._keys = np.concatenate([[-LIMIT], keys, [2 * LIMIT]]).astype(np.int64)
        self._rows = np.concatenate([[NONE], order, [NONE]]).astype(np.int64)

    def contig_codes(self, chroms: Names) -> Rows:
        """Number of each site's contig among those of the TSS, under any of its names; -1 where it is none of them."""
        numbers, names = pd.factorize(as_series(chroms))
        found = [self._code_of.get(self._names.resolve(str(name)) or "", NONE) for name in names]
        return np.array([*found, NONE], dtype=np.int64)[numbers]

    def closest(self, chroms: Names, positions: Rows) -> Rows:
        """Row of the closest TSS of each site by binary search (see :func:`find_closest`)."""
        codes = self.contig_codes(chroms)
        positions = np.asarray(positions, dtype=np.int64)
        found = np.empty(len(codes), dtype=np.int64)
        for start in range(0, len(codes), BLOCK):
            part = slice(start, start + BLOCK)
            code = codes[part]
            sites = self._offsets[code] + np.minimum(positions[part], self._ends[code])
            right = np.searchsorted(self._keys, sites, side="right")
            takes_left = sites - self._keys[right - 1] <= self._keys[right] - sites
            found[part] = np.where(code == NONE, NONE, self._rows[right - takes_left])
        return found

    def count_within(self, chroms: Names, positions: Rows, reach: int) -> Rows:
        """How many TSS lie within ``reach`` bases of each site."""
        codes = self.contig_codes(chroms)
        reach = min(reach, FARTHEST)
        ends, offsets = self._ends[codes], self._offsets[codes]
        first = offsets + np.clip(positions - reach, 0, ends)
        last = offsets + np.minimum(positions + reach, ends)
        counts = np.searchsorted(self._keys, last, side="right") - np.searchsorted(self._keys, first, side="left")
        return np.where(codes == NONE, 0, counts)

    def within(self, chroms: Names, positions: Rows, reach: int) -> tuple[Rows, Rows]:
        """All pairs of a site and a TSS at most ``reach`` bases apart, by an interval join of pyranges.

        Returns
        -------
        sites, rows
            Numbers of the sites and rows of the TSS, pair by pair (pairs,): by site, then by distance, then by the rule
            for equal distances, so that the first row of a site is that of :meth:`closest`.
        """
        codes = self.contig_codes(chroms)
        positions = np.asarray(positions, dtype=np.int64)
        reach = min(reach, FARTHEST)
        known = np.flatnonzero(codes != NONE)
        start = np.maximum(positions[known] - 1 - reach, 0)  # pyranges loses pairs where a start is negative
        around = {"Start": start, "End": positions[known] + reach, "site": known}
        at = {"Start": self.places - 1, "End": self.places, "row": self.order, "place": self.places}
        sites, rows, places = join_intervals(codes[known], around, self.codes, at)
        expected = int(self.count_within(chroms, positions, reach).sum())
        if len(sites) != expected:
            raise CisweaveError(f"pyranges joined {len(sites)} pairs of {expected}; please report this")
        distance = positions[sites] - places
        sort = np.lexsort((np.where(distance >= 0, NONE - rows, rows), distance < 0, np.abs(distance), sites))
        return sites[sort], rows[sort]


def as_series(names: Names) -> pd.Series:
    """Names as a column."""
    return names if isinstance(names, pd.Series) else pd.Series(names, dtype="str")


def join_intervals(
    first_codes: Rows, first: dict[str, Rows], second_codes: Rows, second: dict[str, Rows]
) -> tuple[Rows, Rows, Rows]:
    """``site, row, place`` of the overlapping intervals (0-based half-open) of two sets, by pyranges.

    pyranges gives a table without columns where nothing overlaps, and leaves out contigs that only one set has.
    """
    import pyranges

    nothing = np.empty(0, dtype=np.int64)
    if not len(first_codes) or not len(second_codes):
        return nothing, nothing, nothing
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        sites = pyranges.PyRanges(pd.DataFrame({"Chromosome": first_codes.astype(str), **first}))
        tss = pyranges.PyRanges(pd.DataFrame({"Chromosome": second_codes.astype(str), **second}))
        joined = sites.join(tss).df
    if joined.empty:
        return nothing, nothing, nothing
    site, row, place = (joined[name].to_numpy(dtype=np.int64) for name in ("site", "row", "place"))
    return site, row, place


class BedopsSearch:
    """The search of :meth:`TssIndex.closest` by BEDOPS ``closest-features --closest --dist``; a context manager.

    Contigs go to BEDOPS under numbers of equal width: neither odd or long names nor their order can matter.
    """

    def __init__(self, index: TssIndex):
        self.index = index
        self._folder = tempfile.TemporaryDirectory(prefix="cisweave-closest-")
        self._bed = Path(self._folder.name, "tss.bed")
        rows = zip(index.codes.tolist(), index.places.tolist(), index.order.tolist(), strict=True)
        self._bed.write_text("".join(f"c{code:09d}\t{place - 1}\t{place}\t{row}\n" for code, place, row in rows))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def closest(self, chroms: Names, positions: Rows) -> Rows:
        """Row of the closest TSS of each site (see :func:`find_closest`).

        Raises
        ------
        CisweaveError
            If the program is not on PATH or fails.
        """
        codes = self.index.contig_codes(chroms)
        positions = np.asarray(positions, dtype=np.int64)
        closest = np.full(len(codes), NONE, dtype=np.int64)
        known = np.flatnonzero(codes != NONE)
        if not len(known):
            return closest
        sites = known[np.lexsort((positions[known], codes[known]))]
        pairs = zip(codes[sites].tolist(), positions[sites].tolist(), strict=True)
        bed = "".join(f"c{code:09d}\t{pos - 1}\t{pos}\n" for code, pos in pairs)
        lines = run_closest_features(bed, self._bed)
        if len(lines) != len(sites):
            raise CisweaveError(
                f"{PROGRAM} gave {len(lines)} lines for {len(sites)} sites; engine: builtin does without"
            )
        closest[sites] = [parse_line(line) for line in lines]
        return closest


def run_closest_features(sites: str, tss_bed: Path) -> list[str]:
    """Run BEDOPS on sites (the text of a BED) and return its lines, one for each site."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise CisweaveError(
            f"closest.engine is bedops, but {PROGRAM} is not on PATH; install BEDOPS (apt-get install bedops, or "
            "conda) or set engine: builtin"
        )
    command = [program, "--closest", "--dist", "--delim", "\t", "-", str(tss_bed)]
    done = subprocess.run(command, input=sites, capture_output=True, text=True, check=False)
    if done.returncode:
        problem = done.stderr.strip() or f"exit status {done.returncode}"
        raise CisweaveError(f"{PROGRAM} failed: {problem}; engine: builtin does without it")
    return done.stdout.splitlines()


def parse_line(line: str) -> int:
    """Row of the TSS on one line of output (site, TSS with its row number, distance), -1 for ``NA``."""
    fields = line.split("\t")
    return NONE if fields[3] == "NA" else int(fields[6])


def find_closest(chroms: Names, positions: Rows, tss: pd.DataFrame) -> Rows:
    """Row of the closest TSS for each position, by binary search.

    Parameters
    ----------
    chroms, positions
        Contig and 1-based position of each site (sites,).
    tss
        ``chrom, tss`` (1-based), in the order that decides between genes at one TSS.

    Returns
    -------
    numpy.ndarray
        Row number (0-based) of ``tss`` for each site (sites,), -1 where the contig has no TSS.
    """
    return TssIndex(tss).closest(chroms, positions)


def find_closest_bedops(chroms: Names, positions: Rows, tss: pd.DataFrame) -> Rows:
    """The same as :func:`find_closest`, by BEDOPS.

    Raises
    ------
    CisweaveError
        If the program is not on PATH or fails.
    """
    with BedopsSearch(TssIndex(tss)) as search:
        return search.closest(chroms, positions)
