"""Variants in chunks: any file of variants in, a file of variants and a ledger out, in constant memory.

A step of the room is a function from a chunk of the variant table to what it keeps and what it rejects; the rest is
here. The VCFs written carry the key of each allele and what the user's file had in INFO, so that the next step goes on
with both.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError, check_balance, shorten
from cisweave.core.files import atomic_path, first_bytes
from cisweave.core.logs import get_logger
from cisweave.genome.alleles import check_alleles
from cisweave.genome.reasons import Reason
from cisweave.genome.table import MAX_NUMBER, VARIANT_COLUMNS, frame_of, has_form, read_variant_table
from cisweave.genome.text import DIGITS
from cisweave.genome.vcf import BCF, VcfRecord, read_records, seekable
from cisweave.tables.ledger import KEY, LEDGER_COLUMNS, NUMBERS, is_among, key_numbers, split_number
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

Chunk = tuple[pd.DataFrame, pd.DataFrame]
Step = Callable[[pd.DataFrame], Chunk]

CHUNK = 50_000
FEW = 20
"""Alleles below which shares of them mean little."""
SORT_MEMORY = "64M"
LAST_OF_BCF = 2**31 - 1
LEDGER_TYPES = {column: "int64" if column in NUMBERS else "str" for column in LEDGER_COLUMNS}
CONTIG_NAME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*", re.ASCII)
"""What the VCF specification (4.3, section 1.4.7) allows as the name of a contig."""
PROVENANCE = ("CW_RECORD", "CW_ALLELE", "CW_LINE", "CW_SOURCE")
HEADER = """\
##fileformat=VCFv4.3
##source=cisweave
##INFO=<ID=CW_RECORD,Number=1,Type=Integer,Description="Number of the record in the user's file, from 1">
##INFO=<ID=CW_ALLELE,Number=1,Type=Integer,Description="Number of the allele within ALT of that record, from 1">
##INFO=<ID=CW_LINE,Number=1,Type=Integer,Description="Line of the user's file">
##INFO=<ID=CW_SOURCE,Number=1,Type=String,Description="CHROM|POS|REF|ALT of the user's file">
##INFO=<ID=CW_MATCH,Number=1,Type=Integer,Description="Whether REF is what the genome holds">
##INFO=<ID=CW_SWAPPED,Number=0,Type=Flag,Description="REF and ALT are exchanged against the user's file">
##INFO=<ID=CW_STRAND,Number=1,Type=String,Description="Strand of the user's alleles in this assembly">
"""
CARRIED = re.compile(r"(?:^|;)CW_RECORD=")
ADVICE = (
    "files were joined, merged or edited after cisweave wrote them; give each by itself, or drop what it wrote with "
    "'bcftools annotate -x INFO' and normalize again"
)
COLUMNS_LINE = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


# --- in ---------------------------------------------------------------------------------------------------------------
def read_chunks(path: str | Path, stage: str, chunk: int = CHUNK) -> Iterator[Chunk]:
    """Read variants as chunks of about ``chunk`` alleles: a variant table, and ledger rows of what is no allele.

    Parameters
    ----------
    path
        VCF, BCF or five-column text (:func:`cisweave.genome.vcf.read_records`), ``-`` or a pipe; or a variant table
        (``.parquet``, or text whose header begins with ``record``).
    stage
        The step that reads, for the ledger.

    Yields
    ------
    tuple
        Variant table (:data:`cisweave.genome.table.VARIANT_COLUMNS`) and ledger rows; at least once, be both empty. A
        VCF that cisweave wrote keeps the keys and the source of its alleles.
    """
    with seekable(path) as source:
        if is_variant_table(source):
            yield from table_chunks(source, chunk)
        else:
            yield from vcf_chunks(source, stage, chunk)


def is_variant_table(path: Path) -> bool:
    """Whether a file is a variant table and not a VCF: Parquet by its name, text by its header."""
    if path.suffix == ".parquet":
        return True
    start = first_bytes(path, 64)
    return not start.startswith(BCF) and start.lstrip(b"\xef\xbb\xbf").split(b"\t")[:2] == [b"record", b"allele"]


def table_chunks(path: Path, chunk: int) -> Iterator[Chunk]:
    """A variant table, part by part, each allele once; its genes, where it has any, are left out."""
    frame = read_variant_table(path)[list(VARIANT_COLUMNS)].drop_duplicates(KEY)
    for start in range(0, max(len(frame), 1), chunk):
        yield frame.iloc[start : start + chunk].reset_index(drop=True), no_rejections()


def vcf_chunks(path: Path, stage: str, chunk: int) -> Iterator[Chunk]:
    """A variant file, part by part."""
    kept: list[tuple[Any, ...]] = []
    rejected: list[tuple[Any, ...]] = []
    carried: bool | None = None
    keys = Keys(path)
    for record in read_records(path):
        has_source = CARRIED.search(record.info) is not None
        carried = has_source if carried is None else carried
        if has_source != carried:
            raise CisweaveError(
                f"some records carry CW_RECORD in INFO and some do not: {ADVICE}", path=path, line=record.line
            )
        for number, alt in enumerate(record.alts, start=1):
            row, reason, detail = parse_allele(record, number, alt, path if carried else None)
            if reason is None:
                kept.append(row)
            else:
                line, source = row[2], row[4:8]
                rejected.append((stage, line, row[0], row[1], *source, str(reason), detail))
        if len(kept) + len(rejected) >= chunk:
            yield frames_of(kept, rejected, keys if carried else None)
            kept, rejected = [], []
    yield frames_of(kept, rejected, keys if carried else None)


def frames_of(kept: list[tuple[Any, ...]], rejected: list[tuple[Any, ...]], keys: Keys | None) -> Chunk:
    """Rows as a chunk; with ``keys``, alleles whose key came before are an error."""
    chunk = frame_of(kept, VARIANT_COLUMNS), frame_of(rejected, LEDGER_TYPES)
    if keys is not None:
        keys.add(np.concatenate([key_numbers(frame) for frame in chunk]))
    return chunk


class Keys:
    """Keys of the alleles of a VCF that cisweave wrote, eight bytes each: none may come twice."""

    def __init__(self, path: Path):
        self.path = path
        self._known = np.empty(0, dtype=np.int64)

    def add(self, numbers: NDArray[np.int64]) -> None:
        """Remember keys (:func:`cisweave.tables.ledger.key_numbers`); one that is known is an error."""
        new, count = np.unique(numbers, return_counts=True)
        twice = new[(count > 1) | is_among(new, self._known)]
        if len(twice):
            record, allele = (int(part[0]) for part in split_number(twice))
            raise CisweaveError(
                f"CW_RECORD={record}, CW_ALLELE={allele} stands in two records: {ADVICE}", path=self.path
            )
        self._known = np.insert(self._known, np.searchsorted(self._known, new), new)


def parse_allele(
    record: VcfRecord, number: int, alt: str, carried: Path | None
) -> tuple[tuple[Any, ...], Reason | None, str]:
    """One allele as a row of the variant table; and why it is none, with a detail, where it is not.

    ``carried`` is the file where its INFO holds the source of the alleles.
    """
    chrom, ref = record.chrom, record.ref
    pos = int(record.pos) if DIGITS.fullmatch(record.pos) else 0
    key = (record.record, number, record.line, record.name, chrom, pos or record.pos, ref, alt)
    state: tuple[Any, ...] = (None, False, "+")
    if carried is not None:
        try:
            key, state = parse_source(record, number)
        except (KeyError, ValueError):
            raise CisweaveError(
                f"INFO/CW_* is not as cisweave writes it: {ADVICE}", path=carried, line=record.line
            ) from None
    if record.problem:
        return key, Reason.MALFORMED_RECORD, record.problem
    if pos < 1:
        return key, Reason.BAD_POSITION, f"POS {shorten(record.pos)} is not a whole number from 1 upwards"
    rejection = check_alleles(ref, alt)
    row = (*key, chrom, pos, ref.upper(), alt.upper(), *state)
    return (row, *rejection) if rejection else (row, None, "")


def parse_source(record: VcfRecord, number: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Key and source of an allele, and its state, from INFO; ``ValueError`` or ``KeyError`` where it is not ours."""
    fields = dict(part.partition("=")[::2] for part in record.info.split(";"))
    numbers = [fields[name] for name in PROVENANCE[:3]]
    contig, pos, ref, alt = fields["CW_SOURCE"].split("|")
    chrom, strand = unquote(contig), fields.get("CW_STRAND", "+")
    forms = ((chrom, "source_chrom"), (ref, "source_ref"), (alt, "source_alt"), (strand, "lift_strand"))
    if number > 1 or not all(map(DIGITS.fullmatch, [*numbers, pos])) or not all(has_form(*pair) for pair in forms):
        raise ValueError(record.info)
    row, allele, line = map(int, numbers)
    if min(row, allele, line, int(pos)) < 1 or max(row, allele, line) > MAX_NUMBER:
        raise ValueError(record.info)
    match = {"1": True, "0": False}.get(fields.get("CW_MATCH", ""))
    return (row, allele, line, record.name, chrom, int(pos), ref, alt), (match, "CW_SWAPPED" in fields, strand)


def no_rejections() -> pd.DataFrame:
    """Ledger rows of nothing."""
    return frame_of([], LEDGER_TYPES)


# --- through ----------------------------------------------------------------------------------------------------------
def apply_step(chunks: Iterable[Chunk], step: Step) -> Iterator[Chunk]:
    """Let ``step`` keep or reject what the chunks keep; an allele that is neither, or both, is an error."""
    for kept, rejected in chunks:
        passed, refused = step(kept)
        check_balance(len(kept), count_alleles(passed), len(refused), "alleles")
        both = pd.concat([rejected, refused], ignore_index=True) if len(refused) else rejected
        yield passed, both.sort_values(KEY, kind="stable", ignore_index=True)


# --- out --------------------------------------------------------------------------------------------------------------
class Sink(Protocol):
    """Takes frames one after the other and is whole when closed."""

    def write(self, frame: pd.DataFrame) -> None:
        """Add the rows of ``frame``."""

    def close(self) -> None:
        """Finish the file."""

    def discard(self) -> None:
        """Let go of a file that is not finished."""


class VcfSink:
    """A sites-only VCF (``.vcf``, ``.vcf.gz`` with its index, ``.bcf``), sorted by contig and position."""

    def __init__(self, path: Path, target: Path, contigs: Mapping[str, int] | None):
        self.path, self.target = path, target
        self.contigs = dict(contigs) if contigs is not None else {}
        self._grows = contigs is None
        self._body = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed in close()
            "w", encoding="utf-8", newline="\n", prefix=".partial-", suffix=".body", dir=path.parent
        )

    def write(self, frame: pd.DataFrame) -> None:
        """Add alleles."""
        if self.target.suffix == ".bcf" and len(frame) and frame["pos"].max() > LAST_OF_BCF:
            raise CisweaveError(
                f"a BCF holds no position beyond {LAST_OF_BCF}; write .vcf or .vcf.gz", path=self.target
            )
        if self._grows:
            self.contigs |= dict.fromkeys(frame["chrom"].unique(), 0)
        columns = (frame[name].tolist() for name in VARIANT_COLUMNS)
        self._body.writelines(map(vcf_line, *columns))

    def close(self) -> None:
        """Sort the body under its header, compress and index."""
        from pysam import bcftools, set_verbosity, tabix_index
        from pysam.utils import SamtoolsError

        self._body.flush()
        kind = next(kind for ending, kind in VCF_KINDS.items() if self.target.name.endswith(ending))
        verbosity = set_verbosity(0)
        with tempfile.TemporaryDirectory(prefix=".partial-sort-", dir=self.path.parent) as folder:
            unsorted = Path(folder, "unsorted.vcf")
            with (
                open(unsorted, "w", encoding="utf-8", newline="\n") as handle,
                open(self._body.name, encoding="utf-8") as body,
            ):
                handle.writelines(self._header())
                handle.writelines(body)
            options = ["-O", kind, "-m", SORT_MEMORY, "-T", f"{folder}/run-", "-o", str(self.path), str(unsorted)]
            try:
                bcftools.sort(*options, catch_stdout=False)
                if kind == "z":
                    tabix_index(str(self.path), preset="vcf", csi=True, force=True)
            except (SamtoolsError, OSError) as error:
                raise CisweaveError(f"the VCF cannot be written ({str(error).strip()})", path=self.target) from error
            finally:
                set_verbosity(verbosity)
                self._body.close()

    def discard(self) -> None:
        """Remove what was not sorted yet."""
        self._body.close()

    def _header(self) -> Iterator[str]:
        yield HEADER
        for contig, length in self.contigs.items():
            if CONTIG_NAME.fullmatch(contig):
                yield f"##contig=<ID={contig}" + (f",length={length}" if length else "") + ">\n"
        yield COLUMNS_LINE


VCF_KINDS = {".vcf.gz": "z", ".vcf.bgz": "z", ".vcf": "v", ".bcf": "b"}
"""How bcftools names the formats."""
TABLES = (".parquet", ".tsv", ".tsv.gz")


def vcf_line(
    record: int,
    allele: int,
    line: int,
    name: str,
    source_chrom: str,
    source_pos: int,
    source_ref: str,
    source_alt: str,
    chrom: str,
    pos: int,
    ref: str,
    alt: str,
    match: Any,
    swapped: bool,
    strand: str,
) -> str:
    """One record of the VCF."""
    source = f"{quote(source_chrom, safe='._*#+-:@/')}|{source_pos}|{source_ref}|{source_alt}"
    known = "" if pd.isna(match) else f";CW_MATCH={int(match)}"
    flag = ";CW_SWAPPED" if swapped else ""
    return (
        f"{chrom}\t{pos}\t{name}\t{ref}\t{alt}\t.\t.\tCW_RECORD={record};CW_ALLELE={allele};CW_LINE={line};"
        f"CW_SOURCE={source}{known}{flag};CW_STRAND={strand}\n"
    )


class TextSink:
    """A tab-separated table with a header; bgzipped where the target's name ends in ``.gz``."""

    def __init__(self, path: Path, target: Path):
        self._handle: IO[bytes] | Any
        if target.suffix == ".gz":
            import pysam

            self._handle = pysam.BGZFile(str(path), "wb", None)
        else:
            self._handle = open(path, "wb")  # noqa: SIM115 - closed in close()
        self._header = True

    def write(self, frame: pd.DataFrame) -> None:
        """Add rows; the first frame gives the header."""
        text = frame.to_csv(sep="\t", index=False, header=self._header, lineterminator="\n")
        self._handle.write(text.encode())
        self._header = False

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    discard = close


class ParquetSink:
    """A Parquet table, one row group a chunk."""

    def __init__(self, path: Path):
        self.path = path
        self._writer: Any = None

    def write(self, frame: pd.DataFrame) -> None:
        """Add rows; the first frame gives the schema."""
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.Table.from_pandas(frame, preserve_index=False)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self.path, table.schema)
        if len(frame) or not self._writer.is_open:
            self._writer.write_table(table.cast(self._writer.schema))

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    discard = close


class Closing:
    """Closes a sink at the end of a ``with`` block, and discards it where the block does not end well."""

    def __init__(self, sink: Sink):
        self.sink = sink

    def __enter__(self) -> Sink:
        return self.sink

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.sink.close()
        else:
            self.sink.discard()


@contextmanager
def open_sink(path: str | Path, contigs: Mapping[str, int] | None = None) -> Iterator[Sink]:
    """Open a file of variants to write, in the format its name asks for; it appears when the block ends well."""
    target = Path(path)
    is_vcf = target.name.endswith(tuple(VCF_KINDS))
    if not is_vcf and not target.name.endswith(TABLES):
        raise CisweaveError(f"the name must end in {', '.join([*VCF_KINDS, *TABLES])}", path=target)
    with atomic_path(target) as temporary:
        sink: Sink
        if is_vcf:
            sink = VcfSink(temporary, target, contigs)
        else:
            sink = ParquetSink(temporary) if target.suffix == ".parquet" else TextSink(temporary, target)
        with Closing(sink):
            yield sink
    if target.name.endswith((".vcf.gz", ".vcf.bgz")):
        temporary.with_name(temporary.name + ".csi").replace(target.with_name(target.name + ".csi"))


def write_stage(
    chunks: Iterable[Chunk],
    out: str | Path,
    rejects: str | Path,
    *,
    stage: str,
    contigs: Mapping[str, int] | None = None,
    inputs: Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
    notes: Callable[[], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write what a step keeps and what it rejects, and a receipt; log one summary line.

    Parameters
    ----------
    chunks
        What the step gives.
    out
        ``.vcf``, ``.vcf.gz`` (with a ``.csi`` index) or ``.bcf``, sorted by contig and position; or ``.parquet``, else
        TSV (``.gz``: bgzipped), in the order of the chunks.
    rejects
        The ledger (TSV).
    contigs
        Contigs of the assembly in their order, with lengths (for the header of a VCF).
    inputs, settings, notes
        For the receipt; ``notes`` is called at the end.

    Returns
    -------
    dict
        ``in, kept, rejected, reasons`` in alleles (an allele with several genes counts once).
    """
    kept, reasons = 0, Counter[str]()
    with (
        atomic_path(rejects) as temporary,
        Closing(TextSink(temporary, Path(rejects))) as ledger,
        open_sink(out, contigs) as variants,
    ):
        for frame, rejected in chunks:
            variants.write(frame)
            ledger.write(rejected[LEDGER_COLUMNS])
            kept += count_alleles(frame)
            reasons.update(rejected["code"].tolist())
    counts = stage_counts(kept, reasons)
    extra = dict(notes()) if notes else {}
    write_receipt(out, settings=settings, inputs=inputs, notes={"alleles": counts, **extra})
    if counts["in"] and not kept:
        most = max(counts["reasons"], key=counts["reasons"].get)
        logger.warning("%s: nothing is kept, mostly for %s; are these the right files, of one assembly?", stage, most)
    mismatches = counts["reasons"].get(Reason.REF_MISMATCH, 0)
    if kept and counts["in"] >= FEW and 2 * mismatches > counts["in"]:
        logger.warning("%s: REF of most alleles is not the genome's; is this the assembly of the variants?", stage)
    logger.info("%s", summary_line(stage, counts))
    return counts


def count_alleles(frame: pd.DataFrame) -> int:
    """Alleles of a frame, each once."""
    return len(frame) if "gene_id" not in frame else len(frame[KEY].drop_duplicates())


def stage_counts(kept: int, reasons: Iterable[str]) -> dict[str, Any]:
    """Alleles that went in, were kept and were rejected by code."""
    counted = reasons if isinstance(reasons, Counter) else Counter(reasons)
    rejected = sum(counted.values())
    return {"in": kept + rejected, "kept": kept, "rejected": rejected, "reasons": dict(sorted(counted.items()))}


def summary_line(stage: str, counts: Mapping[str, Any], unit: str = "alleles") -> str:
    """One line about a step for the log."""
    listed = ", ".join(f"{code} {number}" for code, number in counts["reasons"].items())
    return f"{stage}: {counts['in']} {unit} in, {counts['kept']} kept, {counts['rejected']} rejected" + (
        f" ({listed})" if listed else ""
    )
