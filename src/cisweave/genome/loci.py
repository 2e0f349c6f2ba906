"""Loci, one window each: from tables of loci, TSS, peaks and variants.

All windows are 0-based half-open. A window of ``window`` bases around a TSS or a variant has that base at index
``window // 2 - 1``, as in Seal; around a peak's middle or summit it has it at ``window // 2``, as in tangermeme.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from cisweave.config import ExtractSettings
from cisweave.core.errors import CisweaveError, shorten
from cisweave.genome.bed import parse_interval
from cisweave.genome.reasons import Reason
from cisweave.genome.stream import read_chunks
from cisweave.genome.table import frame_of, table_line
from cisweave.genome.text import bed_lines, is_position
from cisweave.tables.frames import read_table, require_columns
from cisweave.tables.ledger import KEY

STAGE = "extract"
LOCUS_COLUMNS = ("locus_id", "chrom", "start", "end")
HAPLOTYPE_COLUMNS = ("pos", "ref", "alt", "allele")
PLACE_COLUMNS: dict[str, str] = {
    "locus_id": "object",
    "chrom": "str",
    "start": "int64",
    "end": "int64",
    "strand": "str",
    "pos": "int64",
    "ref": "str",
    "alt": "str",
    "allele": "str",
    "line": "int64",
    "record": "int64",
    "number": "int64",
    "position": "int64",
    "problem": "str",
}
"""Checked loci: ``allele`` is ``ref``, ``alt`` or empty, and where it is not, the variant is ``pos`` (1-based)``, ref,
alt``; ``line``, ``record``, ``number`` (of the ALT allele; 0 where there is none) and ``position`` say where the locus
stands in the user's file; ``problem`` is the code of the ledger where the locus cannot be a window at all."""
PEAK_MIDDLES = {"middle", "summit"}
SUMMIT_FIELD = 9
MAX_COORDINATE = 10**15


class Locus(NamedTuple):
    """A window (0-based half-open), and where ``allele`` is ``ref`` or ``alt`` the variant (1-based) it carries."""

    locus_id: Any
    chrom: str
    start: int
    end: int
    pos: int = 0
    ref: str = ""
    alt: str = ""
    allele: str = ""
    strand: str = "+"


WHOLE_ID = r"0|[1-9][0-9]{0,17}"
"""Ids that are numbers, and would be written the same again; 007 and 1e3 are text."""


# --- a table of loci --------------------------------------------------------------------------------------------------
def read_loci(path: str | Path) -> pd.DataFrame:
    """Read and check a table of loci (TSV or Parquet).

    Columns ``locus_id, chrom, start, end`` (0-based half-open); ``allele`` (``ref``, ``alt`` or empty) asks for one
    haplotype of the variant in ``pos`` (1-based)``, ref, alt``; ``strand`` (``+``, ``-``, ``.`` or empty) counts where
    the settings say so. Further columns are ignored.
    """
    text = dict.fromkeys(("locus_id", "chrom", "ref", "alt", "allele", "strand"), "str")
    frame = read_table(path, LOCUS_COLUMNS, dtype=text)
    if pd.api.types.is_string_dtype(frame["locus_id"]) and frame["locus_id"].str.fullmatch(WHOLE_ID).eq(True).all():
        frame = frame.astype({"locus_id": "int64"})
    return check_loci(frame, path, own_lines=True)


def check_loci(frame: pd.DataFrame, path: str | Path = "loci", own_lines: bool = False) -> pd.DataFrame:
    """The rows of a table of loci with exactly :data:`PLACE_COLUMNS`.

    All windows must have one length and every id stand once. With ``own_lines`` the rows are those of the file
    ``path``, and messages name the line.
    """
    require_columns(frame, LOCUS_COLUMNS, path)
    if "allele" in frame:
        require_columns(frame, HAPLOTYPE_COLUMNS, path)
    places = whole_columns(frame)
    if places is None:
        places = parse_rows(frame, path, own_lines)
    rows = np.arange(len(frame))
    lines = rows + (table_line(path, 0) if own_lines else 1)
    places = places.assign(line=lines, record=rows + 1, number=0, position=places["start"], problem="")
    lengths = np.unique((places["end"] - places["start"]).to_numpy())
    if len(lengths) > 1:
        raise CisweaveError(f"all windows must have one length, not {lengths[:5].tolist()}", path=path)
    if places["locus_id"].duplicated().any():
        raise CisweaveError("a locus_id stands in two rows", path=path)
    return places[list(PLACE_COLUMNS)]


def whole_columns(frame: pd.DataFrame) -> pd.DataFrame | None:
    """The loci column by column, or ``None`` where a row needs a closer look (:func:`parse_rows`)."""
    numbers = [frame["start"], frame["end"]]
    if not all(types.is_integer_dtype(column.dtype) and not column.hasnans for column in numbers):
        return None
    start, end = (column.to_numpy(dtype=np.int64) for column in numbers)
    if (end <= start).any() or (np.abs(start) >= MAX_COORDINATE).any() or (np.abs(end) >= MAX_COORDINATE).any():
        return None
    if any(len(frame) and (frame[name].isna().any() or (frame[name] == "").any()) for name in ("locus_id", "chrom")):
        return None
    if not all(isinstance(name, str) for name in pd.unique(frame["chrom"])):
        return None
    if "allele" in frame and (frame["allele"].notna() & (frame["allele"] != "")).any():
        return None
    strand = plain_strands(frame["strand"]) if "strand" in frame else "+"
    if strand is None:
        return None
    return pd.DataFrame(
        {
            "locus_id": frame["locus_id"].to_numpy(),
            "chrom": frame["chrom"].to_numpy(),
            "start": start,
            "end": end,
            "strand": strand,
        }
    ).assign(pos=0, ref="", alt="", allele="")


def plain_strands(strands: pd.Series) -> Any | None:
    """``+`` and ``-`` for each row (``+`` where there is no strand), or ``None`` if one is something else."""
    known = {"+": "+", "-": "-", ".": "+", "": "+"}
    found = strands.astype(object).where(strands.notna(), "").map(known)
    return None if found.isna().any() else found.to_numpy()


def parse_rows(frame: pd.DataFrame, path: str | Path, own_lines: bool) -> pd.DataFrame:
    """The loci row by row; the first that is wrong is an error that names it."""
    names = [*LOCUS_COLUMNS, *(HAPLOTYPE_COLUMNS if "allele" in frame else ())]
    strands = frame["strand"] if "strand" in frame else [""] * len(frame)
    loci = []
    for number, (row, strand) in enumerate(zip(frame[names].itertuples(index=False, name=None), strands, strict=True)):
        try:
            loci.append(parse_locus(row, strand))
        except (TypeError, ValueError) as error:
            line = table_line(path, number) if own_lines else None
            raise CisweaveError(f"locus {shorten(row[0])}: {error}", path=path, line=line) from error
    places = frame_of(loci, {name: PLACE_COLUMNS[name] for name in Locus._fields})
    return places.assign(locus_id=frame["locus_id"].to_numpy())


def parse_locus(row: tuple[Any, ...], strand: Any = "") -> Locus:
    """One locus from the fields of its row; what is wrong is a ``ValueError``."""
    locus_id, chrom, start, end, *variant = row
    for name, value in (("locus_id", locus_id), ("chrom", chrom)):
        if pd.isna(value) or value == "":
            raise ValueError(f"{name} is empty")
    start, end = whole("start", start), whole("end", end)
    if end <= start:
        raise ValueError(f"end {end} must be above start {start}")
    if pd.isna(strand) or strand in ("", "."):
        strand = "+"
    if strand not in ("+", "-"):
        raise ValueError(f"strand must be +, -, . or empty, not {shorten(strand)}")
    pos, ref, alt, allele = variant or (0, "", "", "")
    if pd.isna(allele) or allele == "":
        return Locus(locus_id, str(chrom), start, end, strand=strand)
    if allele not in ("ref", "alt"):
        raise ValueError(f"allele must be ref, alt or empty, not {shorten(allele)}")
    if any(pd.isna(value) or value == "" for value in (pos, ref, alt)):
        raise ValueError(f"allele is {allele}, so pos, ref and alt must be there")
    return Locus(locus_id, str(chrom), start, end, whole("pos", pos), str(ref), str(alt), str(allele), strand)


def whole(name: str, value: Any) -> int:
    """A whole number of at most 15 digits; anything else, 1.5 and an empty field too, is a ``ValueError``."""
    try:
        number = int(value)
        if abs(number) < MAX_COORDINATE and number == float(value):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} must be a whole number, not {'empty' if pd.isna(value) else shorten(value)}")


# --- around TSS -------------------------------------------------------------------------------------------------------
def tss_loci(
    tss: pd.DataFrame, window: int = 2000, strand: Literal["forward", "as_annotated"] = "forward"
) -> pd.DataFrame:
    """Loci of ``window`` bases around each TSS, which stands at index ``window // 2 - 1``.

    ``as_annotated`` gives the genes of the reverse strand windows that hold the TSS at that index after they are
    reverse-complemented: one base further left where ``window`` is even.
    """
    reverse = (tss["strand"] == "-") & (strand == "as_annotated")
    start = (tss["tss"] - window // 2).where(~reverse, tss["tss"] - 1 + window // 2 - window)
    rows = np.arange(1, len(tss) + 1)
    return (
        pd.DataFrame(
            {
                "locus_id": tss["gene_id"].astype(object),
                "chrom": tss["chrom"],
                "start": start,
                "end": start + window,
                "strand": tss["strand"].where(tss["strand"] == "-", "+"),
                "line": tss.get("line", rows),
                "record": rows,
                "position": tss["tss"],
            }
        )
        .assign(pos=0, ref="", alt="", allele="", number=0, problem="")[list(PLACE_COLUMNS)]
        .reset_index(drop=True)
    )


# --- around peaks -----------------------------------------------------------------------------------------------------
class Peak(NamedTuple):
    """One line of a BED; ``summit`` is the base (0-based) of a narrowPeak's column 10, -1 where there is none."""

    line: int
    chrom: str
    start: int
    end: int
    name: str
    strand: str
    summit: int


def read_peaks(path: str | Path, settings: ExtractSettings) -> pd.DataFrame:
    """Loci of the peaks of a BED (three columns or more) or narrowPeak.

    Around the middle base ``start + (end - start) // 2`` or the summit, or the whole peak, which all then must have one
    length. A peak goes by its name (column 4) where every peak has one of its own, else by ``contig:start-end``, with
    ``#2``, ``#3``, … for further peaks of one interval.
    """
    peaks = [parse_peak(fields, path, line) for line, fields in bed_lines(path)]
    frame = pd.DataFrame(peaks, columns=list(Peak._fields))
    summits = settings.centre == "summit"
    if settings.centre == "whole":
        start, end = frame["start"], frame["end"]
        if (end - start).nunique() > 1:
            lengths = sorted({int(length) for length in end - start})[:5]
            raise CisweaveError(
                f"whole peaks must have one length, not {lengths}; set centre: middle or summit", path=path
            )
    else:
        middle = frame["summit"] if summits else frame["start"] + (frame["end"] - frame["start"]) // 2
        start = middle - settings.window // 2
        end = start + settings.window
    places = frame[["chrom", "strand", "line"]].assign(
        locus_id=peak_names(frame), start=start, end=end, record=np.arange(1, len(frame) + 1), position=frame["start"]
    )
    problem = np.where(frame["summit"] < 0, str(Reason.NO_SUMMIT), "") if summits else ""
    places = places.assign(pos=0, ref="", alt="", allele="", number=0, problem=problem)
    return places[list(PLACE_COLUMNS)].astype(PLACE_COLUMNS)


def parse_peak(fields: list[str], path: str | Path, line: int) -> Peak:
    """One line of a BED or narrowPeak."""
    chrom, start, end = parse_interval(fields, path, line)
    name, _, strand = [*fields[3:], "", "", ""][:3]
    offset = fields[SUMMIT_FIELD] if len(fields) > SUMMIT_FIELD else "-1"
    summit = start + int(offset) if is_position(offset) and int(offset) < end - start else -1
    return Peak(line, chrom, start, end, "" if name == "." else name, "-" if strand == "-" else "+", summit)


def peak_names(peaks: pd.DataFrame) -> pd.Series:
    """An id for each peak."""
    names: pd.Series = peaks["name"]
    if (names == "").any() or names.duplicated().any():
        names = peaks["chrom"] + ":" + peaks["start"].astype("str") + "-" + peaks["end"].astype("str")
        repeat = peaks.groupby(names.to_numpy()).cumcount() + 1
        names = names.where(repeat == 1, names + "#" + repeat.astype("str"))
    return names.astype(object)


# --- around variants --------------------------------------------------------------------------------------------------
def variant_loci(variants: pd.DataFrame, window: int = 2000) -> pd.DataFrame:
    """Two loci of ``window`` bases, ref then alt, around each row of a variant table (Seal's window, shift 0).

    ``locus_id`` is ``<record>:<allele>:ref`` or ``…:alt``.
    """
    start = variants["pos"] - window // 2
    base = variants[["chrom", "pos", "ref", "alt", "record"]].assign(
        start=start,
        end=start + window,
        number=variants["allele"],
        line=variants["line"] if "line" in variants else variants["record"],
        position=variants["source_pos"] if "source_pos" in variants else variants["pos"],
        strand="+",
        problem="",
    )
    names = variants["record"].astype("str") + ":" + variants["allele"].astype("str")
    both = [base.assign(allele=allele, locus_id=names + f":{allele}") for allele in ("ref", "alt")]
    places = pd.concat(both).sort_index(kind="stable").reset_index(drop=True)
    return places[list(PLACE_COLUMNS)]


def variant_chunks(path: str | Path, window: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Loci around the alleles of any file of variants, part by part, and ledger rows of what is no allele.

    An allele with several genes stands in several rows of a table; it is extracted once.
    """
    last: tuple[int, int] | None = None
    for variants, rejected in read_chunks(path, STAGE):
        kept = variants.drop_duplicates(KEY).reset_index(drop=True)
        if len(kept):
            if last == tuple(kept[KEY].iloc[0]):
                kept = kept.iloc[1:].reset_index(drop=True)
            last = tuple(variants[KEY].iloc[-1])
        yield variant_loci(kept, window), rejected
