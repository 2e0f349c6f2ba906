"""The data of promoter models: one folder that every model, split and baseline reads.

===================  ================================================================================================
File                 Content
===================  ================================================================================================
``genes.parquet``    a row per gene: :data:`GENE_COLUMNS`
``promoters.h5``     promoters as codes uint8 (genes, length), rows as in ``genes.parquet``; absent in data without any
``tf.parquet``       occupancy of transcription factors, ``gene_id`` and 0 or 1 per factor; rows as above, if there
``mirna.parquet``    sites of microRNA families, in the same way
``dataset.json``     units, geometry, checksums of the files; written last, so that it stands for a whole folder
===================  ================================================================================================

A promoter is oriented 5' to 3' on its gene's strand; the TSS is its base ``upstream`` (0-based) on either strand. What
is unknown of a gene is NaN; a gene without a row in a matrix has zeros there and ``has_tf`` or ``has_mirna`` False.

Dimension legend
    genes - rows, length - bases of a promoter, 8 - half-life features, factors, families - columns of the matrices
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import existing, read_json, sha256, write_json
from cisweave.sequence.onehot import UNKNOWN, Codes
from cisweave.sequence.store import SequenceStore, create_store
from cisweave.tables.frames import read_table, write_parquet
from cisweave.tables.receipts import receipt_path

HALF_LIFE = ("UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY")
"""Half-life features in Xpresso's order: lengths in bases, GC fractions, coding exons per 1,000 bases of CDS."""
LOGGED = np.array([not name.endswith("GC") for name in HALF_LIFE])
"""Which of them (8,) models see as log10; the GC fractions they see as they are."""
GENE_COLUMNS: dict[str, Any] = {
    "gene_id": "",
    "symbol": "",
    "chrom": "",
    "start": -1,
    "end": -1,
    "strand": "",
    "expression": np.nan,
    **dict.fromkeys(HALF_LIFE, np.nan),
    "unknown_bases": 0,
    "has_tf": False,
    "has_mirna": False,
    "split": "",
}
"""Columns of ``genes.parquet`` and what stands where nothing is known. ``start`` and ``end`` (0-based half-open) are
the promoter's place in the genome; ``unknown_bases`` counts its letters other than A, C, G and T; ``split`` is that of
data that came with one."""
TEXT_COLUMNS = ("gene_id", "symbol", "chrom", "strand", "split")

FORMAT = "cisweave promoter data 1"
DESCRIPTION = "dataset.json"
GENES = "genes.parquet"
PROMOTERS = "promoters.h5"
MATRICES = {"tf": "tf.parquet", "mirna": "mirna.parquet"}
DATA_FILES = (GENES, PROMOTERS, *MATRICES.values())
BATCH = 1024
"""Promoters read at a time."""
SPLITS = ("train", "valid", "test")
REJECT_COLUMNS = ["gene_id", "code", "message"]
"""Columns of every table of genes that are left out."""

Stored = Literal["linear", "log10", "standardised"]
"""Unit of the column ``expression``: linear (RPKM, TPM), its log10, or z-scores."""
HalfLifeUnit = Literal["raw", "standardised"]
Matrix = Literal["tf", "mirna"]


# --- reading ----------------------------------------------------------------------------------------------------------
class PromoterData:
    """Data of promoter models, opened by :func:`open_data`; sequences and matrices are read when asked for.

    Can be pickled and forked, as the workers of a data loader do it.

    Attributes
    ----------
    folder
        Where it is.
    genes
        Table (genes,) with :data:`GENE_COLUMNS`.
    upstream, downstream, length
        Bases of a promoter before its TSS, from the TSS on, and in all; all 0 in data without promoters.
    stored_unit
        Unit of the table's ``expression`` (:data:`Stored`).
    expression_unit
        Unit of :attr:`label`: ``log10`` or ``standardised``.
    halflife_unit
        ``raw`` (bases, fractions, exons per kb) or ``standardised`` (z-scores of Xpresso's own files).
    pseudocount
        Added to linear expression, lengths and density before log10.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any], genes: pd.DataFrame, store: SequenceStore | None):
        self.folder = folder
        self.description = dict(description)
        self.genes = genes
        self.upstream = int(description["upstream"])
        self.downstream = int(description["downstream"])
        self.length = self.upstream + self.downstream
        self.stored_unit: Stored = description["expression"]
        self.expression_unit: Literal["log10", "standardised"] = (
            "standardised" if self.stored_unit == "standardised" else "log10"
        )
        self.halflife_unit: HalfLifeUnit = description["halflife"]
        self.pseudocount = float(description["pseudocount"])
        self._store = store

    def __len__(self) -> int:
        return len(self.genes)

    # --- genes --------------------------------------------------------------------------------------------------------
    @cached_property
    def gene_ids(self) -> list[str]:
        """Ids in the order of rows."""
        return [str(name) for name in self.genes["gene_id"]]

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.gene_ids)}

    def rows(self, gene_ids: Iterable[str]) -> NDArray[np.int64]:
        """Rows (k,) of genes, in the order asked for; an unknown gene is an error."""
        asked = [str(name) for name in gene_ids]
        missing = [name for name in asked if name not in self._row_of]
        if missing:
            others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise CisweaveError(f"gene {shorten(missing[0])}{others} is not in these data", path=self.folder)
        return np.array([self._row_of[name] for name in asked], dtype=np.int64)

    @cached_property
    def label(self) -> NDArray[np.float64]:
        """What models learn (genes,): log10(expression + pseudocount), or the z-scores given; NaN unknown."""
        values = self.genes["expression"].to_numpy(dtype=np.float64)
        return np.log10(values + self.pseudocount) if self.stored_unit == "linear" else values

    @cached_property
    def has_expression(self) -> NDArray[np.bool_]:
        """Genes (genes,) whose expression is known."""
        return np.asarray(np.isfinite(self.label))

    # --- half-life features -------------------------------------------------------------------------------------------
    @cached_property
    def halflife(self) -> NDArray[np.float64]:
        """Half-life features (genes, 8) as models see them before scaling.

        Of raw data log10(value + pseudocount), but the GC fractions as they are; standardised data as they are.
        """
        values = self.genes[list(HALF_LIFE)].to_numpy(dtype=np.float64)
        return transform_halflife(values, self.pseudocount) if self.halflife_unit == "raw" else values

    @cached_property
    def has_halflife(self) -> NDArray[np.bool_]:
        """Genes (genes,) of which all eight are known."""
        return np.asarray(np.isfinite(self.halflife).all(axis=1))

    # --- matrices -----------------------------------------------------------------------------------------------------
    @cached_property
    def tf(self) -> NDArray[np.uint8] | None:
        """Occupancy of factors (genes, factors), 0 or 1; ``None`` in data without it."""
        return self._matrix("tf")

    @cached_property
    def mirna(self) -> NDArray[np.uint8] | None:
        """Sites of microRNA families (genes, families), 0 or 1; ``None`` in data without them."""
        return self._matrix("mirna")

    @property
    def tf_names(self) -> list[str]:
        """Factors, in the order of columns."""
        return list(self.description["tf"])

    @property
    def mirna_names(self) -> list[str]:
        """MicroRNA families, in the order of columns."""
        return list(self.description["mirna"])

    @property
    def has_tf(self) -> NDArray[np.bool_]:
        """Genes (genes,) with a row in the matrix of factors."""
        return self.genes["has_tf"].to_numpy(dtype=np.bool_)

    @property
    def has_mirna(self) -> NDArray[np.bool_]:
        """Genes (genes,) with a row in the matrix of microRNAs."""
        return self.genes["has_mirna"].to_numpy(dtype=np.bool_)

    def _matrix(self, kind: Matrix) -> NDArray[np.uint8] | None:
        names = list(self.description[kind])
        if not names:
            return None
        path = self.folder / MATRICES[kind]
        table = read_table(path, ["gene_id", *names])
        if table["gene_id"].tolist() != self.gene_ids:
            raise CisweaveError(f"its rows are not the genes of {GENES}; build the data anew", path=path)
        return np.ascontiguousarray(table[names].to_numpy(dtype=np.uint8))

    # --- promoters ----------------------------------------------------------------------------------------------------
    @property
    def has_promoters(self) -> bool:
        """Whether the data hold sequences."""
        return self._store is not None

    def check_slice(self, left: int, right: int) -> None:
        """Raise unless ``left:right`` is a part of the promoters."""
        if self._store is None:
            raise CisweaveError("these data hold no promoters; build them with sequences", path=self.folder)
        if not 0 <= left < right <= self.length:
            raise CisweaveError(
                f"the slice {left}:{right} is no part of the promoters, which have {self.length} bases",
                path=self.folder,
            )

    def windows(self, rows: Sequence[int] | NDArray[Any], left: int = 0, right: int | None = None) -> Codes:
        """Codes uint8 (k, right - left) of the bases ``left:right`` of the promoters of ``rows``; no more is read."""
        right = self.length if right is None else right
        self.check_slice(left, right)
        assert self._store is not None
        codes = self._store.read(rows, left, right)
        if codes.size and codes.max() > UNKNOWN:
            raise CisweaveError("this file is damaged: it holds what is no base; build the data anew",
                                path=self.folder / PROMOTERS)  # fmt: skip
        return codes

    def unknown(self, left: int = 0, right: int | None = None) -> NDArray[np.bool_]:
        """Genes (genes,) with a letter other than A, C, G and T in that part of their promoters."""
        right = self.length if right is None else right
        self.check_slice(left, right)
        found = self.genes["unknown_bases"].to_numpy() > 0
        rows = np.flatnonzero(found)
        if (left, right) != (0, self.length):
            for part in np.array_split(rows, range(BATCH, len(rows), BATCH)):
                found[part] = (self.windows(part, left, right) >= UNKNOWN).any(axis=1)
        return found

    def close(self) -> None:
        """Let go of the sequences' file; it opens again when asked."""
        if self._store is not None:
            self._store.close()


def transform_halflife(values: NDArray[np.float64], pseudocount: float) -> NDArray[np.float64]:
    """Raw half-life features (genes, 8) as models see them: log10(value + pseudocount); GC fractions as they are."""
    logged = np.log10(np.where(LOGGED, values, 1.0) + pseudocount)
    return np.where(LOGGED, logged, values)


def open_data(folder: str | Path) -> PromoterData:
    """Open a folder of promoter data.

    Raises
    ------
    CisweaveError
        If it is none, files are absent or of another size than when written, or they do not belong together.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CisweaveError("this is not a folder of promoter data; make one with: cisweave xpresso build", path=folder)
    description = read_description(folder)
    genes = read_table(folder / GENES, GENE_COLUMNS)
    store = SequenceStore(folder / PROMOTERS) if PROMOTERS in description["files"] else None
    if len(genes) != description["genes"]:
        raise CisweaveError(f"{len(genes)} genes instead of {description['genes']}; build the data anew", path=folder)
    if store is not None:
        fits = len(store) == len(genes) and store.ids == genes["gene_id"].tolist()
        if not fits or store.length != description["upstream"] + description["downstream"]:
            raise CisweaveError(f"{PROMOTERS} does not belong to {GENES}; build the data anew", path=folder)
    return PromoterData(folder, description, genes, store)


def read_description(folder: Path) -> dict[str, Any]:
    """``dataset.json`` of a folder; what it says of the files is checked but for their checksums."""
    path = folder / DESCRIPTION
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CisweaveError(f"this does not describe promoter data ({FORMAT}); build them anew", path=path)
    try:
        known = content["expression"] in get_args(Stored) and content["halflife"] in get_args(HalfLifeUnit)
        sizes = {str(name): int(file["bytes"]) for name, file in content["files"].items()}
        numbers = [int(content[key]) for key in ("genes", "upstream", "downstream")]
        whole = known and min(numbers) >= 0 and float(content["pseudocount"]) > 0 and GENES in sizes
        whole = whole and all(isinstance(content[kind], list) for kind in MATRICES)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CisweaveError(f"this does not describe promoter data ({error}); build them anew", path=path) from error
    if not whole:
        raise CisweaveError("this does not describe promoter data; build them anew", path=path)
    for name, size in sizes.items():
        if existing(folder / name).stat().st_size != size:
            raise CisweaveError(
                f"this file is not the one that {DESCRIPTION} names; build the data anew", path=folder / name
            )
    return content


# --- writing ----------------------------------------------------------------------------------------------------------
def write_data(
    folder: str | Path,
    genes: pd.DataFrame,
    codes: Iterable[Codes] | None,
    *,
    upstream: int = 0,
    downstream: int = 0,
    expression: Stored = "linear",
    halflife: HalfLifeUnit = "raw",
    pseudocount: float = 0.1,
    tf: pd.DataFrame | None = None,
    mirna: pd.DataFrame | None = None,
    notes: Mapping[str, Any] | None = None,
) -> PromoterData:
    """Write a folder of promoter data and open it. The same content gives the same bytes.

    Parameters
    ----------
    folder
        Made where absent; data that stand there are replaced once the new ones are whole, and not before.
    genes
        ``gene_id`` and any of :data:`GENE_COLUMNS`; what is absent is filled in. ``unknown_bases``, ``has_tf`` and
        ``has_mirna`` are told from sequences and matrices.
    codes
        Promoters in the order of ``genes``, in blocks uint8 (k, upstream + downstream); ``None``: data without.
    expression, halflife, pseudocount
        Units (:class:`PromoterData`).
    tf, mirna
        Matrices indexed by gene id, a column of 0 and 1 per factor or family; rows of other genes are left out.
    notes
        Further things to keep in ``dataset.json``.

    Raises
    ------
    CisweaveError
        If an id is empty, repeated or not printable, there are not as many promoters as genes, or files of these names
        stand in the folder that are no such data.
    """
    folder = Path(folder)
    table = complete_genes(genes)
    check_replaceable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ids = table["gene_id"].tolist()
    names: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix=".partial-data-", dir=folder) as hidden:
        made = Path(hidden)
        files = [GENES]
        if codes is None:
            upstream = downstream = 0
        else:
            table["unknown_bases"] = write_promoters(made / PROMOTERS, ids, codes, upstream + downstream)
            files.append(PROMOTERS)
        for kind, matrix in (("tf", tf), ("mirna", mirna)):
            table[f"has_{kind}"] = write_matrix(made / MATRICES[kind], ids, matrix)
            names[kind] = [] if matrix is None else [str(name) for name in matrix.columns]
            files += [] if matrix is None else [MATRICES[kind]]
        write_parquet(table, made / GENES)
        content = {
            "format": FORMAT,
            "genes": len(table),
            "upstream": upstream,
            "downstream": downstream,
            "expression": expression,
            "halflife": halflife,
            "pseudocount": pseudocount,
            "files": {name: file_note(made / name) for name in files},
            **dict(notes or {}),
            **names,
        }
        swap_files(made, folder, files)
    write_json(folder / DESCRIPTION, content)
    return open_data(folder)


def check_replaceable(folder: Path) -> None:
    """Raise if the folder holds files of these names that :func:`write_data` has not made."""
    there = [name for name in (DESCRIPTION, *DATA_FILES) if (folder / name).exists()]
    blocked = next((name for name in there if (folder / name).is_dir()), None)
    if blocked is not None:
        raise CisweaveError("this is a folder; name another one for the data", path=folder / blocked)
    if there and not is_description(folder / DESCRIPTION) and not receipt_path(folder / DESCRIPTION).exists():
        raise CisweaveError(
            f"cisweave has not made this {there[0]} and does not write over it; name another folder for the data, or "
            "move it away",
            path=folder,
        )


def is_description(path: Path) -> bool:
    """Whether a file is the ``dataset.json`` of promoter data."""
    if not path.is_file():
        return False
    try:
        content = read_json(path)
    except CisweaveError:
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def swap_files(made: Path, folder: Path, files: Sequence[str]) -> None:
    """Put new files in the place of old ones; meanwhile the description says that the folder is not whole."""
    write_json(folder / DESCRIPTION, {"format": FORMAT})
    for name in DATA_FILES:
        if name in files:
            os.replace(made / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def complete_genes(genes: pd.DataFrame) -> pd.DataFrame:
    """The table with all columns, in order and of their kinds; ids are checked."""
    table = pd.DataFrame({name: genes.get(name, pd.Series(empty, genes.index)) for name, empty in GENE_COLUMNS.items()})
    for name in GENE_COLUMNS:
        if name in TEXT_COLUMNS:
            table[name] = table[name].fillna("").astype("str")
        else:
            table[name] = table[name].astype(kind_of_column(name))
    check_ids(table["gene_id"].tolist())
    return table.reset_index(drop=True)


def kind_of_column(name: str) -> type[Any]:
    """Kind of a column of ``genes.parquet`` that is no text."""
    if name in ("start", "end", "unknown_bases"):
        return np.int64
    return np.bool_ if name.startswith("has_") else np.float64


def check_ids(ids: Sequence[str]) -> None:
    """Raise for an id that is empty, not printable or comes twice."""
    seen: set[str] = set()
    for name in ids:
        if not name or not name.isprintable():
            raise CisweaveError(f"{shorten(name)} cannot be a gene id: give each gene a name of printable letters")
        if name in seen:
            raise CisweaveError(f"gene {shorten(name)} stands twice; keep one row a gene")
        seen.add(name)


def write_promoters(path: Path, ids: Sequence[str], blocks: Iterable[Codes], length: int) -> NDArray[np.int64]:
    """Write promoters block by block; the number of unknown bases (genes,) of each."""
    unknown = np.zeros(len(ids), dtype=np.int64)
    done = 0
    with create_store(path, length=length) as store:
        for block in blocks:
            if block.shape[1:] != (length,) or done + len(block) > len(ids):
                raise CisweaveError(f"promoters {block.shape} do not fit {len(ids)} genes of {length} bases")
            store.append(block, ids[done : done + len(block)])
            unknown[done : done + len(block)] = (block >= UNKNOWN).sum(axis=1)
            done += len(block)
        if done != len(ids):
            raise CisweaveError(f"{done} promoters for {len(ids)} genes")
    return unknown


def write_matrix(path: Path, ids: Sequence[str], matrix: pd.DataFrame | None) -> NDArray[np.bool_]:
    """Write a matrix with a row per gene; which genes (genes,) have a row of their own."""
    if matrix is None:
        return np.zeros(len(ids), dtype=np.bool_)
    found = pd.Index(ids).isin(matrix.index)
    values = matrix.reindex(pd.Index(ids), fill_value=0).astype(np.uint8)
    write_parquet(values.rename_axis("gene_id").reset_index(), path)
    return found


def file_note(path: Path) -> dict[str, Any]:
    """Size and checksum of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def blocks_of(data: PromoterData, rows: NDArray[np.int64], left: int = 0, right: int | None = None) -> Iterator[Codes]:
    """Promoters (or a part of each) of ``rows`` in blocks of at most :data:`BATCH`, in order."""
    for start in range(0, len(rows), BATCH):
        yield data.windows(rows[start : start + BATCH], left, right)
