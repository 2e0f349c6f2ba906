"""Sequences of loci as codes in one HDF5 file, the genome's own or one haplotype of a variant.

Dimension legend
    loci - windows, length - bases of a window
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path
from cisweave.core.logs import get_logger
from cisweave.genome.contigs import resolve_contig
from cisweave.genome.table import read_variant_table, table_line
from cisweave.genome.tss import read_tss
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import LETTERS, Codes
from cisweave.sequence.windows import allele_window
from cisweave.tables.frames import read_table, require_columns
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

LOCUS_COLUMNS = ("locus_id", "chrom", "start", "end")
HAPLOTYPE_COLUMNS = ("pos", "ref", "alt", "allele")
BATCH = 1024


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


def read_loci(path: str | Path) -> list[Locus]:
    """Read and check a table of loci (TSV or Parquet).

    Columns ``locus_id, chrom, start, end`` (0-based half-open); ``allele`` (``ref``, ``alt`` or empty) asks for one
    haplotype of the variant in ``pos`` (1-based)``, ref, alt``. Further columns are ignored.
    """
    text = dict.fromkeys(("chrom", "ref", "alt", "allele"), "str")
    return check_loci(read_table(path, LOCUS_COLUMNS, dtype=text), path, own_lines=True)


def check_loci(frame: pd.DataFrame, path: str | Path = "loci", own_lines: bool = False) -> list[Locus]:
    """The rows of a table of loci; all windows must have one length and every id stand once.

    With ``own_lines`` the rows are those of the file ``path``, and messages name the line.
    """
    require_columns(frame, LOCUS_COLUMNS, path)
    haplotypes = "allele" in frame
    if haplotypes:
        require_columns(frame, HAPLOTYPE_COLUMNS, path)
    names = [*LOCUS_COLUMNS, *(HAPLOTYPE_COLUMNS if haplotypes else ())]
    loci = []
    for number, row in enumerate(frame[names].itertuples(index=False, name=None)):
        try:
            loci.append(parse_locus(row))
        except (TypeError, ValueError) as error:
            line = table_line(path, number) if own_lines else None
            raise CisweaveError(f"locus {row[0]}: {error}", path=path, line=line) from error
    lengths = {locus.end - locus.start for locus in loci}
    if len(lengths) > 1:
        raise CisweaveError(f"all windows must have one length, not {sorted(lengths)[:5]}", path=path)
    if len({locus.locus_id for locus in loci}) < len(loci):
        raise CisweaveError("a locus_id stands in two rows", path=path)
    return loci


def parse_locus(row: tuple[Any, ...]) -> Locus:
    """One locus from the fields of its row; what is wrong is a ``ValueError``."""
    locus_id, chrom, start, end, *variant = row
    for name, value in (("locus_id", locus_id), ("chrom", chrom)):
        if pd.isna(value) or value == "":
            raise ValueError(f"{name} is empty")
    start, end = whole("start", start), whole("end", end)
    if end <= start:
        raise ValueError(f"end {end} must be above start {start}")
    pos, ref, alt, allele = variant or (0, "", "", "")
    if pd.isna(allele) or allele == "":
        return Locus(locus_id, str(chrom), start, end)
    if allele not in ("ref", "alt"):
        raise ValueError(f"allele must be ref, alt or empty, not {allele!r}")
    if any(pd.isna(value) or value == "" for value in (pos, ref, alt)):
        raise ValueError(f"allele is {allele}, so pos, ref and alt must be there")
    return Locus(locus_id, str(chrom), start, end, whole("pos", pos), str(ref), str(alt), str(allele))


def whole(name: str, value: Any) -> int:
    """A whole number of at most 15 digits; anything else, 1.5 and an empty field too, is a ``ValueError``."""
    try:
        number = int(value)
        if abs(number) < 10**15 and number == float(value):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} must be a whole number, not {'empty' if pd.isna(value) else str(value)[:30]}")


def locus_codes(genome: Genome, locus: Locus) -> Codes:
    """Codes (length,) of a locus: A 0, C 1, G 2, T 3, anything else and what lies outside the contig 4.

    The haplotypes of a variant follow Seal's rule (:func:`cisweave.sequence.windows.allele_window`): the window is
    cropped around the middle of the changed sequence.
    """
    chrom = resolve_contig(locus.chrom, genome.contigs)
    if chrom is None:
        raise CisweaveError(f"locus {locus.locus_id}: contig {locus.chrom} is not in the FASTA", path=genome.path)
    if not locus.allele:
        return genome.codes(chrom, locus.start, locus.end)
    window = locus.end - locus.start
    shift = locus.start + window // 2 - locus.pos
    bases = locus.ref if locus.allele == "ref" else locus.alt
    return allele_window(genome, chrom, locus.pos, locus.ref, bases, window, shift)


def codes_of(loci: list[Locus], genome: Genome, batch: int = BATCH) -> Iterator[Codes]:
    """Codes (up to ``batch``, length) of consecutive loci."""
    for start in range(0, len(loci), batch):
        yield np.stack([locus_codes(genome, locus) for locus in loci[start : start + batch]])


def extract_codes(loci: pd.DataFrame, fasta: str | Path) -> Codes:
    """Codes (loci, length) of a table of loci (columns as :func:`read_loci` describes them)."""
    checked = check_loci(loci)
    with Genome(fasta) as genome:
        parts = list(codes_of(checked, genome))
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.uint8)


def tss_loci(tss: pd.DataFrame, window: int = 2000) -> pd.DataFrame:
    """Loci of ``window`` bases around each TSS (``window // 2`` bases before it, the TSS next), forward strand."""
    start = tss["tss"] - window // 2
    return pd.DataFrame(
        {"locus_id": tss["gene_id"], "chrom": tss["chrom"], "start": start, "end": start + window}
    ).reset_index(drop=True)


def variant_loci(variants: pd.DataFrame, window: int = 2000) -> pd.DataFrame:
    """Two loci of ``window`` bases, ref then alt, around each row of a variant table (Seal's window, shift 0).

    ``locus_id`` is ``<record>:<allele>:ref`` or ``…:alt``.
    """
    start = variants["pos"] - window // 2
    base = variants[["chrom", "pos", "ref", "alt"]].assign(start=start, end=start + window)
    names = variants["record"].astype("str") + ":" + variants["allele"].astype("str")
    both = [base.assign(allele=allele, locus_id=names + f":{allele}") for allele in ("ref", "alt")]
    return pd.concat(both).sort_index(kind="stable").reset_index(drop=True)


def id_array(loci: list[Locus]) -> NDArray[Any]:
    """Ids (loci,) as whole numbers where they are, else as UTF-8 bytes."""
    ids = [locus.locus_id for locus in loci]
    if all(isinstance(value, int | np.integer) for value in ids):
        return np.asarray(ids, dtype=np.int64)
    return np.asarray([str(value).encode() for value in ids])


def write_codes(loci: list[Locus], genome: Genome, out: str | Path) -> None:
    """Write ``codes`` uint8 (loci, length) and ``locus_id`` (loci,) to HDF5; the same loci give the same bytes."""
    import h5py

    length = loci[0].end - loci[0].start if loci else 0
    with atomic_path(out) as temporary, h5py.File(temporary, "w") as store:
        store.attrs["alphabet"] = LETTERS + "N"
        chunks = (min(64, len(loci)), length) if loci else None
        codes = store.create_dataset(
            "codes", (len(loci), length), "uint8", chunks=chunks, compression="lzf" if loci else None, track_times=False
        )
        store.create_dataset("locus_id", data=id_array(loci), track_times=False)
        done = 0
        for batch in codes_of(loci, genome):
            codes[done : done + len(batch)] = batch
            done += len(batch)


def extract_sequences(
    fasta: str | Path,
    out: str | Path,
    loci: str | Path | None = None,
    tss: str | Path | None = None,
    variants: str | Path | None = None,
    window: int = 2000,
) -> None:
    """Write the sequences of loci, and a receipt (``cisweave genome extract``).

    Parameters
    ----------
    fasta
        The genome.
    out
        HDF5: ``codes`` uint8 (loci, length), A 0, C 1, G 2, T 3, N and outside the contig 4; ``locus_id`` (loci,).
    loci, tss, variants
        Exactly one of: a table as :func:`read_loci` describes it; a TSS BED (one window per gene, its id is the
        gene's); a variant table (two windows per allele, ids as :func:`variant_loci` gives them).
    window
        Bases per window around TSS or variants.
    """
    given = [path for path in (loci, tss, variants) if path is not None]
    if len(given) != 1:
        raise CisweaveError("give exactly one of loci, tss and variants")
    if loci is not None:
        checked = read_loci(loci)
    elif tss is not None:
        checked = check_loci(tss_loci(read_tss(tss), window), tss)
    else:
        checked = check_loci(variant_loci(read_variant_table(given[0]), window), given[0])
    with Genome(fasta) as genome:
        write_codes(checked, genome, out)
    write_receipt(out, settings={"window": window}, inputs=[fasta, *given], notes={"loci": len(checked)})
    logger.info("extract: %d loci", len(checked))
