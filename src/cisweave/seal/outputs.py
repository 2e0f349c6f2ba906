"""The files that scores are written to: tables for programs, Seal's own format, an annotated VCF, summaries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path
from cisweave.core.logs import get_logger
from cisweave.genome.stream import Closing, ParquetSink, Sink, TextSink
from cisweave.genome.table import as_in_file
from cisweave.seal.annotate import check_name, open_vcf, vcf_records
from cisweave.seal.assigned import SEAL_COLUMNS
from cisweave.seal.original.annotation import describe_contexts, read_context_annotation
from cisweave.seal.strongest import Strongest, allele_blocks, context_names, strongest_contexts
from cisweave.tables.frames import write_tsv
from cisweave.tables.ledger import KEY

logger = get_logger(__name__)

DECIMALS = 5
"""Of the scores in Seal's format."""
BEST_COLUMNS = [
    *KEY,
    "name",
    *("source_chrom", "source_pos", "source_ref", "source_alt"),
    *("chrom", "pos", "ref", "alt", "swapped"),
    *("gene_id", "gene_strand", "dist_to_tss"),
    *("context", "context_name", "stage", "effect", "quantile", "rank"),
    *("up_context", "up_effect", "down_context", "down_effect"),
]
"""An allele with one gene; where it stands in the user's file and (alleles in the file's order, REF to ALT) in the
modelled assembly; the context of its largest absolute effect, the effect (alternative minus reference, ln expression),
the share of all rows whose absolute effect in that context is no larger, and its rank among all rows; the contexts that
rise and fall most, empty where none does."""


@dataclass(frozen=True)
class Views:
    """Tables made of the scores, each only where it is asked for.

    Attributes
    ----------
    tsv
        Seal's format: eight columns, then one per context with five decimals.
    annotated_vcf
        ``.vcf.gz`` (with its index), ``.vcf`` or ``.bcf``: the user's variants with genes, contexts and effects.
    best
        TSV, columns :data:`BEST_COLUMNS`.
    contexts_table
        TSV: a row per context with its name, stage and other annotation, and quantiles of its absolute effects.
    annotation
        What the contexts are (:func:`cisweave.seal.original.annotation.read_context_annotation`); an input.
    listed
        Contexts of the strongest effects that the annotated VCF lists per gene.
    """

    tsv: Path | None = None
    annotated_vcf: Path | None = None
    best: Path | None = None
    contexts_table: Path | None = None
    annotation: Path | None = None
    listed: int = 5

    def check(self) -> None:
        """Raise at what would only be found once everything is scored: a wrong name, an annotation that is none."""
        if self.annotated_vcf:
            check_name(self.annotated_vcf)
        self.read_annotation()

    @property
    def files(self) -> list[Path]:
        """The files to write."""
        named = (self.tsv, self.annotated_vcf, self.best, self.contexts_table)
        return [path for path in named if path is not None]

    def read_annotation(self) -> pd.DataFrame | None:
        """The annotation, where there is one."""
        return None if self.annotation is None else read_context_annotation(self.annotation)


def check_places(paths: Iterable[str | Path]) -> None:
    """Raise at the first file to be written that its folder would not take; folders are made as needed."""
    for path in map(Path, paths):
        folder = path.resolve().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise CisweaveError(
                f"this cannot be written ({error.strerror or error}); choose another folder", path=path
            ) from error


# --- while scoring ----------------------------------------------------------------------------------------------------
@dataclass
class ResultFiles:
    """The tables that are written block by block.

    Attributes
    ----------
    effects, chromatin
        Parquet: variants with contexts; alleles with tracks.
    rejects
        Ledger (TSV).
    """

    effects: Sink
    chromatin: Sink
    rejects: Sink

    @classmethod
    @contextmanager
    def open(cls, effects: str | Path, chromatin: str | Path, rejects: str | Path) -> Iterator[ResultFiles]:
        """Open all three; they appear together when the block ends well."""
        with ExitStack() as stack:
            paths = [stack.enter_context(atomic_path(path)) for path in (effects, chromatin, rejects)]
            sinks: list[Sink] = [ParquetSink(paths[0]), ParquetSink(paths[1]), TextSink(paths[2], Path(rejects))]
            yield cls(*(stack.enter_context(Closing(sink)) for sink in sinks))


# --- afterwards -------------------------------------------------------------------------------------------------------
def write_views(effects: str | Path, views: Views) -> None:
    """Write the views of a table of effects (Parquet), block by block.

    Parameters
    ----------
    effects
        Variants and one column per context, in the order of the user's file.
    """
    contexts = context_names(effects)
    described = describe_contexts(contexts, views.read_annotation())
    warn_of_strangers(described, views)
    wants_summary = views.annotated_vcf or views.best or views.contexts_table
    strongest, figures = strongest_contexts(effects, contexts) if wants_summary else (None, None)
    if views.contexts_table and figures is not None:
        table = described.merge(figures, on="context", how="left", validate="one_to_one")
        write_tsv(table, views.contexts_table, float_format="%.6g")
    if not (views.tsv or views.annotated_vcf or views.best):
        return
    with ExitStack() as stack:
        seal = SealText(stack.enter_context(open_bytes(views.tsv))) if views.tsv else None
        best = SummaryText(stack.enter_context(open_bytes(views.best))) if views.best else None
        vcf = stack.enter_context(open_vcf(views.annotated_vcf)) if views.annotated_vcf else None
        first = 0
        for frame in allele_blocks(effects):
            if seal:
                seal.write(as_in_file(frame), contexts)
            if best and strongest:
                best.write(best_table(frame, described, strongest, first))
            if vcf and strongest:
                vcf.write(vcf_records(frame, contexts, strongest, first, views.listed))
            first += len(frame)


def warn_of_strangers(described: pd.DataFrame, views: Views) -> None:
    """Say so where the annotation knows none of the contexts."""
    if views.annotation and (described["name"] == described["context"]).all() and (described["stage"] == "").all():
        logger.warning("%s has no name and no stage for any context of the model", views.annotation)


def best_table(frame: pd.DataFrame, described: pd.DataFrame, strongest: Strongest, first: int) -> pd.DataFrame:
    """The rows of :data:`BEST_COLUMNS` for a block of effects that begins with row ``first``."""
    rows = slice(first, first + len(frame))
    names = described["context"].to_numpy(dtype=object)
    number = strongest.context[rows]
    up, down = strongest.up_effect[rows], strongest.down_effect[rows]
    return (
        as_in_file(frame)
        .assign(
            context=names[number],
            context_name=described["name"].to_numpy(dtype=object)[number],
            stage=described["stage"].to_numpy(dtype=object)[number],
            effect=strongest.effect[rows],
            quantile=strongest.quantile[rows],
            rank=strongest.rank[rows],
            up_context=np.where(up > 0, names[strongest.up[rows]], ""),
            up_effect=np.where(up > 0, up, np.nan),
            down_context=np.where(down < 0, names[strongest.down[rows]], ""),
            down_effect=np.where(down < 0, down, np.nan),
        )
        .reindex(columns=BEST_COLUMNS)
    )


class SummaryText:
    """A tab-separated table with six significant digits."""

    def __init__(self, handle: IO[bytes] | Any):
        self._handle, self._header = handle, True

    def write(self, frame: pd.DataFrame) -> None:
        """Add rows; the first frame gives the header."""
        text = frame.to_csv(sep="\t", index=False, header=self._header, float_format="%.6g", lineterminator="\n")
        self._handle.write(text.encode())
        self._header = False


class SealText:
    """Seal's table (section 4.4): eight columns, then the scores with five decimals, as ``%.5f`` writes them."""

    def __init__(self, handle: IO[bytes] | Any):
        self._handle, self._header = handle, True

    def write(self, frame: pd.DataFrame, contexts: Sequence[str]) -> None:
        """Add variants, alleles and effects from the file's REF to its ALT; the first frame gives the header."""
        if self._header:
            self._handle.write(("\t".join([*SEAL_COLUMNS, *contexts]) + "\n").encode())
            self._header = False
        if len(frame):
            left = frame[SEAL_COLUMNS].to_csv(sep="\t", index=False, header=False, lineterminator="\n").encode()
            scores = fixed_cells(frame[list(contexts)].to_numpy(np.float32))
            self._handle.write(b"".join(map(bytes.__add__, left.splitlines(), scores)))


def fixed_cells(values: NDArray[np.float32]) -> list[bytes]:
    """Lines of numbers (rows, columns) with five decimals, a tab before each and a line end behind.

    The same characters as ``%.5f``, many times faster: a float32 times 100,000 is exact in float64, so that rounding
    half to even is that of the decimal expansion.
    """
    if not np.isfinite(values).all():
        raise CisweaveError("a score is not finite; score the variants again")
    scaled = np.rint(np.abs(values.astype(np.float64)) * 10**DECIMALS).astype(np.int64)
    whole, fraction = np.divmod(scaled, 10**DECIMALS)
    digits = len(str(int(whole.max(initial=0))))
    cells = np.zeros((*values.shape, digits + DECIMALS + 3), dtype=np.uint8)
    cells[..., 0] = ord("\t")
    cells[..., 1] = np.where(np.signbit(values), ord("-"), 0)
    cells[..., -DECIMALS - 1] = ord(".")
    for place in range(DECIMALS):
        cells[..., -1 - place] = ord("0") + fraction // 10**place % 10
    for place in range(digits):
        shown = (whole >= 10**place) | (place == 0)
        cells[..., -DECIMALS - 2 - place] = np.where(shown, ord("0") + whole // 10**place % 10, 0)
    return [line[line != 0].tobytes() + b"\n" for line in cells.reshape(len(values), math.prod(cells.shape[1:]))]


@contextmanager
def open_bytes(path: str | Path) -> Iterator[IO[bytes] | Any]:
    """Open a text to write, bgzipped where its name ends in ``.gz``; it appears when the block ends well."""
    target = Path(path)
    with atomic_path(target) as temporary:
        if target.suffix == ".gz":
            import pysam

            handle: Any = pysam.BGZFile(str(temporary), "wb", None)
        else:
            handle = open(temporary, "wb")  # noqa: SIM115 - closed below
        try:
            yield handle
        finally:
            handle.close()
