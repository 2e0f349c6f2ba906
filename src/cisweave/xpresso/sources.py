"""Where the promoters to predict come from: a FASTA of promoters, a BED, an annotation, or promoter data.

Whatever is given becomes promoter data (:mod:`cisweave.xpresso.dataset`), so that half-life features, factors and
microRNAs are read and computed as for training. The TSS is where the model had it.

Dimension legend
    genes - rows of the data, window - bases that the model reads, extras - inputs that are no sequence
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import PromoterDataSettings, PromoterPredictSettings
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.logs import get_logger
from cisweave.genome.bed import parse_interval
from cisweave.genome.reasons import Reason
from cisweave.genome.text import bed_lines, numbered_lines
from cisweave.sequence.onehot import Codes
from cisweave.tables.frames import read_table
from cisweave.xpresso.build import REJECT_COLUMNS, build_data
from cisweave.xpresso.dataset import DESCRIPTION, HALF_LIFE, PromoterData, open_data
from cisweave.xpresso.models import INPUTS, Geometry, PromoterModel

logger = get_logger(__name__)

KINDS = ("promoters", "bed", "data")


@dataclass(frozen=True)
class PromoterFiles:
    """What is to be predicted: one of ``promoters``, ``bed``, ``gtf`` and ``data``, and what goes with it.

    Attributes
    ----------
    promoters
        FASTA of promoters in gene orientation, a record per gene: the model's window, or the whole promoter of which
        the window is cut.
    bed
        BED6 of such windows (0-based half-open, the name is the gene, the strand says how to read), with ``fasta``.
    gtf
        GTF or GFF3, with ``fasta``: protein-coding genes, whose TSS and half-life features come from the chosen
        transcript. Beside ``promoters`` or ``bed`` it gives half-life features alone.
    data
        Folder of promoter data.
    fasta
        The genome.
    cage
        BED of CAGE peaks that replace TSS (with ``gtf``).
    halflife, tf, mirna
        Tables of half-life features, factors and microRNAs (not with ``data``, which holds them).
    symbols
        Table of gene ids and symbols, for tables that name genes by symbol.
    """

    promoters: Path | None = None
    bed: Path | None = None
    gtf: Path | None = None
    data: Path | None = None
    fasta: Path | None = None
    cage: Path | None = None
    halflife: Path | None = None
    tf: Path | None = None
    mirna: Path | None = None
    symbols: Path | None = None

    def check(self) -> None:
        """Raise unless the files go together."""
        given = [name for name in KINDS if getattr(self, name) is not None]
        if len(given) + (self.gtf is not None) == 0 or len(given) > 1:
            found = ", ".join(given) or "none"
            raise CisweaveError(f"give exactly one of promoters, bed, gtf and data; given: {found}")
        kind = given[0] if given else "gtf"
        if (self.bed is not None or self.gtf is not None) and self.fasta is None:
            raise CisweaveError(f"{kind if kind == 'bed' else 'gtf'} needs the genome: give its FASTA, too")
        if self.cage is not None and kind != "gtf":
            raise CisweaveError("CAGE peaks move the TSS of an annotation: give them with gtf, or leave them out")
        for name in ("gtf", "halflife", "tf", "mirna", "symbols"):
            if kind == "data" and getattr(self, name) is not None:
                raise CisweaveError(f"promoter data hold what models read: leave {name} out, or build data with it")

    @property
    def inputs(self) -> list[Path]:
        """The files given, for receipts; of promoter data their description, which has the checksums."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        data = given.pop("data")
        return [path for path in given.values() if path is not None] + ([data / DESCRIPTION] if data else [])


@dataclass
class Source:
    """Promoters ready for a model.

    Attributes
    ----------
    data
        The genes, in order.
    offset
        Where the model's window begins in a promoter of the data.
    geometry
        The model's.
    rejected
        Genes that did not get into the data (:data:`REJECT_COLUMNS`).
    """

    data: PromoterData
    offset: int
    geometry: Geometry
    rejected: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=REJECT_COLUMNS))

    def __len__(self) -> int:
        return len(self.data)

    def codes(self, rows: NDArray[np.int64]) -> Codes:
        """Windows uint8 (k, window) of some genes, in gene orientation."""
        return self.data.windows(rows, self.offset, self.offset + self.geometry.window)

    @property
    def reverse(self) -> NDArray[np.bool_]:
        """Genes (genes,) on the minus strand."""
        return self.data.genes["strand"].eq("-").to_numpy(dtype=np.bool_)

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Genes (genes,) whose place in the genome is known."""
        return self.data.genes["chrom"].ne("").to_numpy(dtype=np.bool_)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where windows begin on the genome (genes,), 0-based; without meaning for genes without a place."""
        start, end = (self.data.genes[name].to_numpy(dtype=np.int64) for name in ("start", "end"))
        return np.where(self.reverse, end - self.offset - self.geometry.window, start + self.offset)

    @property
    def tss(self) -> NDArray[np.int64]:
        """Places of the TSS (genes,), 0-based; without meaning for genes without a place."""
        early = 1 if self.data.description.get("compat") == "xpresso" else 0  # as published, on the plus strand alone
        first, anchor = self.starts, self.geometry.anchor
        return np.where(self.reverse, first + self.geometry.window - 1 - anchor, first + anchor - early)

    def places(self) -> pd.DataFrame:
        """``gene_id, chrom, start, end, strand`` of the windows; missing where no place is known or nothing is read.

        ``start`` and ``end`` are 0-based half-open and may leave the contig.
        """
        start = pd.Series(self.starts, dtype="Int64")
        genes = self.data.genes[["gene_id", "chrom", "strand"]].reset_index(drop=True)
        places = genes.assign(start=start, end=start + self.geometry.window)
        unknown = ~self.placed | (not self.geometry.window)
        places.loc[unknown, ["start", "end"]] = pd.NA
        return places[["gene_id", "chrom", "start", "end", "strand"]]


@contextmanager
def open_source(model: PromoterModel, files: PromoterFiles, folder: str | Path) -> Iterator[Source]:
    """Open what is to be predicted; files become promoter data in a hidden folder that is removed at the end.

    Parameters
    ----------
    folder
        Where the hidden folder is made: that of the result.

    Raises
    ------
    CisweaveError
        If the files do not go together, or hold promoters that the model cannot read.
    """
    files.check()
    if files.data is not None:
        data = open_data(files.data)
        yield Source(data, offset_in(data, model), model.geometry)
        data.close()
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-promoters-", dir=folder) as hidden:
        source = build_source(model, files, Path(hidden))
        yield source
        source.data.close()


def offset_in(data: PromoterData, model: PromoterModel) -> int:
    """Where the model's window begins in the promoters of data, the TSS being in its place."""
    if not model.reads_promoter:
        return 0
    if not data.has_promoters:
        raise CisweaveError("these data hold no promoters, which the model reads; build them with sequences",
                            path=data.folder)  # fmt: skip
    offset = data.upstream - model.geometry.anchor
    if not 0 <= offset <= data.length - model.geometry.window:
        wanted = describe(model.geometry)
        raise CisweaveError(
            f"the promoters of these data have {data.upstream} bases before the TSS and {data.downstream} from it on, "
            f"which do not hold {wanted}; build data with a longer promoter",
            path=data.folder,
        )
    return offset


def describe(geometry: Geometry) -> str:
    """What a model reads, in words."""
    first, last = -geometry.anchor, geometry.window - geometry.anchor
    return f"the model's window of {geometry.window} bases ({first:+d} to {last:+d} of the TSS)"


# --- from files -------------------------------------------------------------------------------------------------------
def build_source(model: PromoterModel, files: PromoterFiles, folder: Path) -> Source:
    """Promoter data of files, with the geometry of a model."""
    settings, offset = data_settings(model, files)
    rejects = folder / "rejects.tsv"
    data = build_data(
        folder / "data",
        expression=None,
        gtf=files.gtf,
        fasta=files.fasta,
        promoters=files.promoters,
        bed=files.bed,
        cage=files.cage,
        halflife=files.halflife,
        tf=files.tf,
        mirna=files.mirna,
        symbols=files.symbols,
        rejects=rejects,
        settings=settings,
    )
    if files.halflife is None and model.scaling.halflife_unit == "standardised" and "H" in model.inputs:
        forget_halflife(data)
    rejected = read_table(rejects, REJECT_COLUMNS, dtype=dict.fromkeys(REJECT_COLUMNS, "str"))
    return Source(data, offset, model.geometry, rejected[REJECT_COLUMNS])


def forget_halflife(data: PromoterData) -> None:
    """Take half-life features out that a model cannot read: it knows z-scores, whose scale it was never told."""
    if data.has_halflife.any():
        logger.warning(
            "the model was trained on half-life features as z-scores of unknown scale: those computed here are not "
            "used, every gene has the mean"
        )
    data.genes[list(HALF_LIFE)] = np.nan
    for name in ("halflife", "has_halflife"):
        data.__dict__.pop(name, None)


def data_settings(model: PromoterModel, files: PromoterFiles) -> tuple[PromoterDataSettings, int]:
    """How files become promoter data for a model, and where its window begins in their promoters."""
    geometry = model.geometry
    length = None if files.promoters is None and files.bed is None else first_length(files)
    if not model.reads_promoter:
        upstream = max(1, (length or 2) // 2)
        return settings_of(model, upstream, max(1, (length or 2) - upstream)), 0
    if length not in (None, geometry.window, geometry.promoter):
        name, path = first_name(files), files.promoters or files.bed
        hint = "; pad it with N" if length is not None and length < geometry.window else ""
        raise CisweaveError(
            f"{shorten(name)} has {length} bases; give {describe(geometry)}, or the whole promoter of "
            f"{geometry.promoter} bases ({geometry.upstream} before the TSS){hint}",
            path=path,
        )
    holds_tss = 1 <= geometry.anchor < geometry.window
    if length == geometry.promoter or (length is None and not holds_tss):
        return settings_of(model, geometry.upstream, geometry.downstream), geometry.left
    upstream = min(max(geometry.anchor, 1), geometry.window - 1)
    return settings_of(model, upstream, geometry.window - upstream), 0


def settings_of(model: PromoterModel, upstream: int, downstream: int) -> PromoterDataSettings:
    """Settings of promoter data that are to be predicted: histone genes count, too."""
    return PromoterDataSettings.model_validate(
        {
            "upstream": upstream,
            "downstream": downstream,
            "skip_histones": False,
            "pseudocount": model.scaling.pseudocount,
            "compat": model.geometry.compat or None,
        }
    )


def first_record(files: PromoterFiles) -> tuple[str, int]:
    """Name and length of the first promoter of a FASTA or BED."""
    if files.bed is not None:
        for line, row in bed_lines(files.bed):
            _, start, end = parse_interval(row, files.bed, line)
            return (row[3] if len(row) > 3 else f"the row on line {line}"), end - start
        raise CisweaveError("this BED holds no promoter", path=files.bed)
    assert files.promoters is not None
    name, length = "", 0
    for line, text in numbered_lines(files.promoters):
        if text.startswith(">"):
            if name:
                break
            name = (text[1:].split() or [f"the record on line {line}"])[0]
        else:
            length += len(text.strip())
    if not name:
        raise CisweaveError("this is no FASTA: no line begins with '>'", path=files.promoters)
    return name, length


def first_length(files: PromoterFiles) -> int:
    """Bases of the first promoter; all others must have as many."""
    return first_record(files)[1]


def first_name(files: PromoterFiles) -> str:
    """Gene of the first promoter."""
    return first_record(files)[0]


# --- which genes can be predicted -------------------------------------------------------------------------------------
def gene_problems(model: PromoterModel, source: Source, settings: PromoterPredictSettings) -> pd.DataFrame:
    """Genes that the settings do not let through: :data:`REJECT_COLUMNS`, indexed by row of the data.

    Raises
    ------
    CisweaveError
        At the first of them where the settings say ``error``.
    """
    data, rows = source.data, np.arange(len(source))
    lacking = model.scaling.lacks(data, rows, model.extra_inputs)
    what = " or ".join(INPUTS[letter] for letter in model.extra_inputs)
    if lacking.any() and settings.missing == "mean":
        logger.warning(
            "%d of %d genes have no %s; the mean of the training genes stands for them",
            lacking.sum(), len(rows), what,
        )  # fmt: skip
    code = np.full(len(rows), "", dtype=object)
    message = code.copy()
    if settings.unknown != "keep" and model.reads_promoter:
        unknown = data.unknown(source.offset, source.offset + source.geometry.window)
        code[unknown], message[unknown] = str(Reason.UNKNOWN_BASE), "its window holds letters other than A, C, G and T"
    if settings.missing != "mean":
        code[lacking], message[lacking] = str(Reason.MISSING_INPUTS), f"it has no {what}"
    bad = np.flatnonzero(code != "")
    policies = {str(Reason.UNKNOWN_BASE): settings.unknown, str(Reason.MISSING_INPUTS): settings.missing}
    for row in bad.tolist():
        if policies[code[row]] == "error":
            raise CisweaveError(f"gene {shorten(data.gene_ids[row])}: {message[row]}")
    values = {"gene_id": [data.gene_ids[row] for row in bad], "code": code[bad], "message": message[bad]}
    return pd.DataFrame(values, index=bad, columns=REJECT_COLUMNS)
