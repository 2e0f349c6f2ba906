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
from dataclasses import dataclass, field
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
from cisweave.sequence.onehot import UNKNOWN, Codes
from cisweave.tables.frames import read_table
from cisweave.xpresso.build import build_data
from cisweave.xpresso.dataset import BATCH, REJECT_COLUMNS, PromoterData, open_data
from cisweave.xpresso.models import INPUTS, Geometry, PromoterModel
from cisweave.xpresso.promoter_files import PromoterFiles

logger = get_logger(__name__)


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
    shift
        Bases that the window of a gene on the plus strand begins further on, where model and data cut promoters there
        by different rules (:func:`shift_in`).
    """

    data: PromoterData
    offset: int
    geometry: Geometry
    rejected: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=REJECT_COLUMNS))
    shift: int = 0

    def __len__(self) -> int:
        return len(self.data)

    def codes(self, rows: NDArray[np.int64]) -> Codes:
        """Windows uint8 (k, window) of some genes, in gene orientation."""
        codes = np.empty((len(rows), self.geometry.window), dtype=np.uint8)
        offsets = self.offsets[rows]
        for offset in np.unique(offsets).tolist():
            codes[offsets == offset] = self.data.windows(rows[offsets == offset], offset, offset + self.geometry.window)
        return codes

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where windows begin in the promoters of the data (genes,)."""
        forward = self.data.genes["strand"].eq("+").to_numpy(dtype=np.bool_)
        return self.offset + self.shift * forward.astype(np.int64)

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Genes (genes,) with a letter other than A, C, G and T in their windows."""
        offsets, found = self.offsets, np.zeros(len(self), dtype=np.bool_)
        for offset in np.unique(offsets).tolist():
            found |= (offsets == offset) & self.data.unknown(offset, offset + self.geometry.window)
        return found

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Genes (genes,) without any known base in their windows."""
        counts = self.data.genes["unknown_bases"].to_numpy()
        rows = np.flatnonzero(counts >= self.geometry.window)
        found = np.zeros(len(self), dtype=np.bool_)
        for part in np.array_split(rows, range(BATCH, len(rows), BATCH)):
            found[part] = (self.codes(part) >= UNKNOWN).all(axis=1)
        return found

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
        return np.where(self.reverse, end - self.offsets - self.geometry.window, start + self.offsets)

    @property
    def tss(self) -> NDArray[np.int64]:
        """Places of the TSS (genes,), 0-based; without meaning for genes without a place."""
        early = late_start(self.data.description.get("compat")) + self.shift
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
    files.check_for_predicting()
    if files.data is not None:
        data = open_data(files.data)
        offset = offset_in(data, model)
        yield Source(data, offset, model.geometry, shift=shift_in(data, model, offset))
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


def late_start(compat: str | None) -> int:
    """Bases by which a promoter on the plus strand begins too far on; as published it is one."""
    return 1 if compat == "xpresso" else 0


def shift_in(data: PromoterData, model: PromoterModel, offset: int) -> int:
    """Bases to move the windows of genes on the plus strand by, for the model to read them as in its training.

    As published (``compat: xpresso``) promoters on the plus strand begin a base further on. Where the data do not tell
    how their promoters were cut, or do not hold the base that lies beyond, nothing is moved and a warning says so.
    """
    cut = data.description.get("compat")
    shift = late_start(model.geometry.compat) - late_start(cut)
    if not model.reads_promoter or not shift:
        return 0
    strands = data.genes["strand"]
    told = strands.ne("").all() and (late_start(cut) or data.description.get("source") == "annotation")
    if told and 0 <= offset + shift <= data.length - model.geometry.window:
        logger.info("the windows of %d genes on the plus strand are read %+d base, where the model had them",
                    strands.eq("+").sum(), shift)  # fmt: skip
        return shift
    rules = ("promoters that were cut as published (compat: xpresso)", "promoters with the TSS in its place")
    trained, found = rules[:: 1 if shift > 0 else -1]
    logger.warning(
        "%s: the model was trained on %s, these data say that they hold %s: windows on the plus strand may lie a base "
        "beside; build the data with the compat of the model",
        data.folder, trained, found,
    )  # fmt: skip
    return 0


def describe(geometry: Geometry) -> str:
    """What a model reads, in words."""
    first, last = -geometry.anchor, geometry.window - geometry.anchor
    return f"the model's window of {geometry.window} bases ({first:+d} to {last:+d} of the TSS)"


# --- from files -------------------------------------------------------------------------------------------------------
def build_source(model: PromoterModel, files: PromoterFiles, folder: Path) -> Source:
    """Promoter data of files, with the geometry of a model."""
    settings, offset = data_settings(model, files)
    rejects = folder / "rejects.tsv"
    useful = "H" in model.inputs
    if useful and files.halflife is None and files.gtf is not None and model.scaling.halflife_unit == "standardised":
        useful = False
        logger.warning(
            "the model was trained on half-life features as z-scores of unknown scale: those of the annotation are not "
            "used, every gene has the mean"
        )
    data = build_data(folder / "data", files, rejects=rejects, settings=settings, compute_halflife=useful)
    check_columns(model, files, data)
    rejected = read_table(rejects, REJECT_COLUMNS, dtype=dict.fromkeys(REJECT_COLUMNS, "str"))
    return Source(data, offset, model.geometry, rejected[REJECT_COLUMNS])


def check_columns(model: PromoterModel, files: PromoterFiles, data: PromoterData) -> None:
    """Raise where a table of factors or microRNAs lacks one that the model reads."""
    read = {"T": (files.tf, model.scaling.tf_names, data.tf_names)}
    read["M"] = (files.mirna, model.scaling.mirna_names, data.mirna_names)
    for letter in set(model.extra_inputs) & set(read):
        path, wanted, held = read[letter]
        absent = [name for name in wanted if name not in set(held)]
        if path is not None and absent:
            raise CisweaveError(
                f"the model reads {INPUTS[letter]} that this table does not have: {', '.join(absent[:5])} "
                f"({len(absent)} of {len(wanted)})",
                path=path,
            )


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
            "contigs": None,
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
    policies = {str(Reason.UNKNOWN_BASE): settings.unknown, str(Reason.MISSING_INPUTS): settings.missing}
    empty = source.empty if model.reads_promoter else np.zeros(len(rows), dtype=np.bool_)
    if empty.any():
        logger.warning("%d of %d genes have no known base in their window; they are not predicted",
                       empty.sum(), len(rows))  # fmt: skip
    code[empty], message[empty] = str(Reason.UNKNOWN_BASE), "its window holds no known base"
    if settings.unknown != "keep" and model.reads_promoter:
        unknown = source.unknown & ~empty
        code[unknown], message[unknown] = str(Reason.UNKNOWN_BASE), "its window holds letters other than A, C, G and T"
    if settings.missing != "mean":
        code[lacking], message[lacking] = str(Reason.MISSING_INPUTS), f"it has no {what}"
    bad = np.flatnonzero(code != "")
    for row in bad.tolist():
        if policies[code[row]] == "error":
            raise CisweaveError(f"gene {shorten(data.gene_ids[row])}: {message[row]}")
    values = {"gene_id": [data.gene_ids[row] for row in bad], "code": code[bad], "message": message[bad]}
    return pd.DataFrame(values, index=bad, columns=REJECT_COLUMNS)
