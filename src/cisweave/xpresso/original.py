"""The files of Xpresso and of the Torino zoo: read as promoter data, and written from them.

==============  ==========================  ========================================================================
Kind            Files                       Keys
==============  ==========================  ========================================================================
``xpresso``     train, valid, test          promoter (one-hot), data (half-life), label, geneName
``tf``          train_tf, validation_tf, …  promoter, halflife, tf, label, gene
``mirna``       microRNA_train, …_val, …    promoter, halflife, micro, tf (empty), label, gene (cut to ``ENSG0``)
``translated``  translated_transformers     train, valid, test: promoters as numbers, N = 4, and nothing else
``embedded``    etrain, evalidation, etest  promoter (segments), halflife, label, and tf in the ``_tf`` files; no genes
``table``       (text)                      ENSID, EXPRESSION, half-life features, PROMOTER: before transformation
==============  ==========================  ========================================================================

Labels and half-life features of the HDF5 files are z-scores whose mean and spread were not kept. Promoters are read and
written a block at a time.

Dimension legend
    genes - rows of a file, length - bases of a promoter, segments, size - of an embedding
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config.promoters import EmbeddingSettings, PromoterDataSettings, slice_bounds
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import atomic_path, first_bytes
from cisweave.core.logs import get_logger
from cisweave.genome.genes import without_version
from cisweave.genome.text import numbered_lines
from cisweave.sequence.onehot import UNKNOWN, Codes, encode
from cisweave.tables.frames import damages, packed, unreadable
from cisweave.tables.hdf5 import open_store
from cisweave.tables.receipts import hashes, write_receipt
from cisweave.xpresso.dataset import DESCRIPTION, HALF_LIFE, SPLITS, PromoterData, blocks_of, open_data, write_data
from cisweave.xpresso.embedding import FORMAT as EMBEDDING_FORMAT
from cisweave.xpresso.embedding import open_embedding, utf8
from cisweave.xpresso.matrices import TF_NAMES
from cisweave.xpresso.promoter_fasta import NO_BASE
from cisweave.xpresso.scaling import fit_scaling
from cisweave.xpresso.split import read_split, split_rows
from cisweave.xpresso.tables import (
    GENE,
    check_features,
    check_linear,
    numbers,
    read_gene_table,
    read_symbols,
    sniff,
    wanted_columns,
)

logger = get_logger(__name__)

Kind = Literal["xpresso", "tf", "mirna", "translated", "embedded"]
WHAT = "original promoter data"
HDF5_MAGIC = b"\x89HDF"
SPLIT_OF = {"train": "train", "val": "valid", "test": "test"}
"""What the name of a file holds, and the split it is."""
SPLIT_WORD = re.compile(r"(?<![a-z])e?(train|val|test)")
"""Such a word in the name of a file, be it longer (``validation``), or of embedded promoters (``etrain``)."""
BLOCK_BYTES = 1 << 26
"""One-hot bytes read or written at a time, about."""
NUMBERS, WHOLE_NUMBERS, TEXTS = "biuf", "iu", "SOU"
"""Kinds of values, as NumPy calls them."""
TABLE_ROWS = 512
GZIP_LEVEL = 1
TABLE_COLUMNS = ("EXPRESSION", *HALF_LIFE)


@dataclass(frozen=True)
class Layout:
    """Names of the files of a kind, by split, and of the keys in them; an empty key is not there."""

    files: dict[str, str]
    genes: str = ""
    halflife: str = "halflife"
    tf: str = ""
    mirna: str = ""


LAYOUTS: dict[Kind, Layout] = {
    "xpresso": Layout({split: f"{split}.h5" for split in SPLITS}, "geneName", "data"),
    "tf": Layout({"train": "train_tf.h5", "valid": "validation_tf.h5", "test": "test_tf.h5"}, "gene", tf="tf"),
    "mirna": Layout(
        {"train": "microRNA_train.h5", "valid": "microRNA_val.h5", "test": "microRNA_test.h5"}, "gene", mirna="micro"
    ),
    "translated": Layout(dict.fromkeys(SPLITS, "translated_transformers.h5"), halflife=""),
    "embedded": Layout({"train": "etrain.h5", "valid": "evalidation.h5", "test": "etest.h5"}, tf="tf"),
}


# --- reading ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Part:
    """The genes of one split in a file: where its promoters are, and everything else that is known of them."""

    path: Path
    split: str
    key: str
    shape: tuple[int, ...]
    genes: list[str] | None
    halflife: NDArray[np.float64] | None
    label: NDArray[np.float64] | None
    tf: NDArray[np.uint8] | None
    mirna: NDArray[np.uint8] | None


def import_original(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    genes: str | Path | None = None,
    symbols: str | Path | None = None,
    embedding: str | Path | None = None,
    upstream: int = 10_000,
) -> PromoterData:
    """Read original files as promoter data, with the split they came in (``split: table`` takes it from there).

    Parameters
    ----------
    paths
        Files of one kind, or their folder. Names with train, val and test say what they are. Or Xpresso's table.
    out
        Folder of the data.
    genes
        Gene ids in the order of rows (train, valid, test), the first column of a text: for files without ids.
    symbols
        Names of genes, two columns.
    embedding
        Where the segments of embedded files go; their data have no promoters.
    upstream
        Bases of a promoter before its TSS.

    Raises
    ------
    CisweaveError
        If files are of no or of several kinds, parts do not fit each other, or no gene ids are known.
    """
    files = original_files(paths)
    names = {} if symbols is None else read_symbols(symbols)
    if len(files) == 1 and first_bytes(files[0], 4) != HDF5_MAGIC:
        data = import_table(files[0], out, names, upstream)
    else:
        data = import_parts(files, out, genes, names, embedding, upstream)
    write_receipt(Path(out) / DESCRIPTION, inputs=files, notes={"genes": len(data)})
    logger.info("original: %d genes of %d file(s) in %s", len(data), len(files), out)
    return data


def original_files(paths: Sequence[str | Path]) -> list[Path]:
    """The files that were named, or those of the folders that were."""
    found: list[Path] = []
    for path in map(Path, paths):
        found += sorted(path.glob("*.h5")) if path.is_dir() else [path]
    if not found:
        raise CisweaveError(
            "there is no HDF5 file (.h5) here; name the files of the data", path=next(iter(paths), None)
        )
    return found


def import_parts(
    files: Sequence[Path],
    out: str | Path,
    genes: str | Path | None,
    names: dict[str, list[str]],
    embedding: str | Path | None,
    upstream: int,
) -> PromoterData:
    """The HDF5 files of one kind as promoter data."""
    kinds = {path: kind_of_file(path) for path in files}
    kind = kinds[files[0]]
    other = next((path for path in files if kinds[path] != kind), None)
    if other is not None:
        raise CisweaveError(
            f"this file is of kind {kinds[other]}, {files[0]} of kind {kind}; give one kind", path=other
        )
    parts = sorted(
        (part for path in files for part in read_parts_of(path, kind)), key=lambda part: SPLITS.index(part.split)
    )
    splits = [part.split for part in parts]
    if len(set(splits)) < len(splits):
        repeated = next(split for split in splits if splits.count(split) > 1)
        raise CisweaveError(f"two files are of the split {repeated}; name one per split", path=parts[0].path)
    check_shapes(parts)
    table = gene_table(parts, genes, names)
    ids = table[GENE].tolist()
    notes = {"source": kind, "compat": "xpresso"}
    tf = stacked([part.tf for part in parts], ids, tf_names)
    mirna = stacked([part.mirna for part in parts], ids, lambda width: [f"mirna_{n}" for n in range(1, width + 1)])
    if kind != "embedded":
        length = parts[0].shape[1]
        if not 0 <= upstream <= length:
            raise CisweaveError(f"promoters of {length} bases have no {upstream} before the TSS", path=parts[0].path)
        codes = (block for part in parts for block in promoter_blocks(part))
        return write_data(
            out,
            table,
            codes,
            upstream=upstream,
            downstream=length - upstream,
            expression="standardised",
            halflife="standardised",
            tf=tf,
            mirna=mirna,
            notes=notes,
        )
    if embedding is None:
        raise CisweaveError("these files hold embedded promoters; say where their segments go", path=parts[0].path)
    data = write_data(
        out, table, None, expression="standardised", halflife="standardised", tf=tf, mirna=mirna, notes=notes
    )
    write_segments(parts, data, embedding)
    return data


def kind_of_file(path: Path) -> Kind:
    """The kind of an HDF5 file, told by its keys."""
    with open_store(path, WHAT) as store:
        keys = set(store)
        if set(SPLITS) <= keys:
            return "translated"
        if "promoter" not in keys:
            listed = ", ".join(sorted(keys)) or "nothing"
            raise CisweaveError(f"this is no file of {WHAT}: it holds {listed}, but no promoter", path=path)
        if array_of(store, "promoter", 3, NUMBERS, path).shape[2] != len("ACGT"):
            return "embedded"
        if "micro" in keys:
            return "mirna"
        return "tf" if "tf" in keys else "xpresso"


def read_parts_of(path: Path, kind: Kind) -> list[Part]:
    """The splits of a file, without their promoters."""
    layout = LAYOUTS[kind]
    with open_store(path, WHAT) as store:
        if kind == "translated":
            shapes = {key: array_of(store, key, 2, WHOLE_NUMBERS, path).shape for key in SPLITS}
            return [Part(path, key, key, shapes[key], None, None, None, None, None) for key in SPLITS]
        shape = array_of(store, "promoter", 3, NUMBERS, path).shape
        arrays: dict[str, Any] = {
            name: array_of(store, key, 2, NUMBERS, path)[:] if key and key in store else None
            for name, key in (("halflife", layout.halflife), ("tf", layout.tf), ("mirna", layout.mirna))
        }
        label = array_of(store, "label", 1, NUMBERS, path)[:]
        named = bool(layout.genes) and layout.genes in store
        names = array_of(store, layout.genes, 1, TEXTS, path)[:] if named else None
    found = {**arrays, "label": label, "gene": names}
    lengths = {name: values.shape for name, values in found.items() if values is not None}
    wrong = next((f"{name} {size}" for name, size in lengths.items() if size[0] != shape[0]), None)
    if wrong is not None or lengths.get("halflife", (0, 8))[1:] != (8,):
        raise CisweaveError(
            f"its parts do not fit each other: promoter {shape}, {wrong or lengths}; half-life features must be eight",
            path=path,
        )
    infinite = next(
        (name for name in ("label", "halflife") if found[name] is not None and np.isinf(found[name]).any()), ""
    )
    if infinite:
        raise CisweaveError(f"{infinite} holds infinite values", path=path)
    return [
        Part(
            path,
            split_of(path),
            "promoter",
            shape,
            None if names is None else gene_names_of(names, path),
            None if arrays["halflife"] is None else arrays["halflife"].astype(np.float64),
            label.astype(np.float64),
            *(bits(arrays[name], name, path) for name in ("tf", "mirna")),
        )
    ]


def array_of(store: Any, key: str, dimensions: int, kinds: str, path: Path) -> Any:
    """The array of a key, not yet read, if it has so many dimensions and values of one of these kinds (NumPy's)."""
    import h5py

    try:
        found = store[key]
    except (RuntimeError, ValueError) as error:  # a link that leads nowhere
        raise CisweaveError(f"{key} cannot be read ({error})", path=path) from error
    if not isinstance(found, h5py.Dataset) or found.ndim != dimensions or found.dtype.kind not in kinds:
        what = {TEXTS: "names", WHOLE_NUMBERS: "whole numbers"}.get(kinds, "numbers")
        raise CisweaveError(f"{key} must be an array of {what} with {dimensions} dimension(s)", path=path)
    return found


def gene_names_of(values: NDArray[Any], path: Path) -> list[str] | None:
    """Gene ids of a file; ``None`` where a fault of their writer left the same few letters of all."""
    try:
        names = [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
    except UnicodeDecodeError as error:
        raise CisweaveError("its gene ids are no text (UTF-8)", path=path) from error
    if len(names) > 1 and len(set(names)) == 1:
        logger.warning("%s: all genes are named %s, a fault of its writer", path, shorten(names[0]))
        return None
    return names


def bits(values: NDArray[Any] | None, name: str, path: Path) -> NDArray[np.uint8] | None:
    """A matrix of 0 and 1; ``None`` where it is absent or empty."""
    if values is None or not values.size:
        return None
    if values.ndim != 2 or not np.isin(values, (0, 1)).all():
        raise CisweaveError(f"{name} must be a matrix of 0 and 1", path=path)
    return values.astype(np.uint8)


def split_of(path: Path) -> str:
    """The split that a file is of, by its name."""
    found = {SPLIT_OF[word] for word in SPLIT_WORD.findall(path.stem.lower())}
    if len(found) != 1:
        raise CisweaveError(
            "the name of this file must hold train, val or test, as a word, to say what it is", path=path
        )
    return found.pop()


def check_shapes(parts: Sequence[Part]) -> None:
    """Raise unless promoters, factors and microRNAs of all parts have one width."""
    first = parts[0]
    for part in parts:
        if part.shape[1:] != first.shape[1:]:
            raise CisweaveError(
                f"its promoters are {part.shape[1:]}, those of {first.path} {first.shape[1:]}", path=part.path
            )
        for name in ("tf", "mirna"):
            mine, others = getattr(part, name), getattr(first, name)
            if (None if mine is None else mine.shape[1]) != (None if others is None else others.shape[1]):
                raise CisweaveError(f"its {name} has another width than that of {first.path}", path=part.path)


def gene_table(parts: Sequence[Part], genes: str | Path | None, names: dict[str, list[str]]) -> pd.DataFrame:
    """Ids, names, labels, half-life features and split of all genes."""
    total = sum(part.shape[0] for part in parts)
    if not total:
        raise CisweaveError("these files hold no gene", path=parts[0].path)
    given = None if genes is None else read_gene_list(genes, total)
    ids: list[str] = []
    for part in parts:
        mine = given[len(ids) : len(ids) + part.shape[0]] if given is not None else part.genes
        if mine is None:
            raise CisweaveError(
                "the file does not tell its genes; give their ids in the order of rows, train, valid, test",
                path=part.path,
            )
        if given is not None and part.genes is not None and [without_version(name) for name in part.genes] != mine:
            raise CisweaveError("the list of genes is not that of this file; leave it out", path=part.path)
        ids += [without_version(name) for name in mine]
    table = pd.DataFrame({GENE: ids, "symbol": [next(iter(names.get(gene, [])), "") for gene in ids]})
    table["split"] = [part.split for part in parts for _ in range(part.shape[0])]
    table["expression"] = np.concatenate([filled(part.label, (part.shape[0],)) for part in parts])
    table[list(HALF_LIFE)] = np.concatenate([filled(part.halflife, (part.shape[0], 8)) for part in parts])
    return table


def filled(values: NDArray[np.float64] | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Values, or NaN where there are none."""
    return np.full(shape, np.nan) if values is None else values


def read_gene_list(path: str | Path, total: int) -> list[str]:
    """Gene ids of a text, one a line, further columns left out."""
    ids = [without_version(text.split("\t")[0].strip()) for _, text in numbered_lines(path) if text.strip()]
    if len(ids) != total:
        raise CisweaveError(f"this list has {len(ids)} genes, the files {total}", path=path)
    return ids


def tf_names(width: int) -> list[str]:
    """Factors of a matrix of so many columns: those of Harmonizome, else numbers."""
    return list(TF_NAMES) if width == len(TF_NAMES) else [f"tf_{number}" for number in range(1, width + 1)]


def stacked(
    matrices: Sequence[NDArray[np.uint8] | None], ids: Sequence[str], names: Callable[[int], list[str]]
) -> pd.DataFrame | None:
    """The matrices of all parts as one, by gene id."""
    there = [matrix for matrix in matrices if matrix is not None]
    if not there:
        return None
    return pd.DataFrame(np.concatenate(there), index=pd.Index(ids, name=GENE), columns=names(there[0].shape[1]))


def promoter_blocks(part: Part) -> Iterator[Codes]:
    """Promoters of a part as codes (k, length), a block at a time."""
    width = int(np.prod(part.shape[1:]))
    step = max(1, BLOCK_BYTES // max(1, width))
    with open_store(part.path, WHAT) as store:
        promoters = store[part.key]
        rows = promoters.chunks[0] if promoters.chunks else 1
        step = max(step // rows, 1) * rows if rows <= step else step
        for start in range(0, part.shape[0], step):
            values = promoters[start : start + step]
            yield one_hot_codes(values, part.path) if values.ndim == 3 else number_codes(values, part.path)


def one_hot_codes(values: NDArray[Any], path: Path) -> Codes:
    """Codes (k, length) of one-hot promoters (k, length, 4); rows of zeros are unknown bases."""
    hot = values.astype(bool)
    known = hot[..., 0].astype(np.uint8)
    codes = np.full(known.shape, UNKNOWN, dtype=np.uint8)
    codes[hot[..., 0]] = 0
    for code in (1, 2, 3):
        codes[hot[..., code]] = code
        known += hot[..., code]
    if (known > 1).any() or (values.dtype != bool and not np.isin(values, (0, 1)).all()):
        raise CisweaveError("promoters are not one-hot: a base must be a single 1, or four 0", path=path)
    return codes


def number_codes(values: NDArray[Any], path: Path) -> Codes:
    """Codes (k, length) of promoters written as numbers."""
    if values.size and (values.min() < 0 or values.max() > UNKNOWN):
        raise CisweaveError(f"promoters must hold numbers from 0 to {UNKNOWN} (A, C, G, T, other)", path=path)
    return values.astype(np.uint8)


def write_segments(parts: Sequence[Part], data: PromoterData, out: str | Path) -> None:
    """Embedded promoters as an embedding of the data; the vectors of k-mers, which the files do not tell, are zeros."""
    import h5py

    _, count, size = parts[0].shape
    settings = EmbeddingSettings(mode="random_projection", size=size, standardise=False)
    left, right = slice_bounds(settings.slice)
    settings = settings.model_copy(update={"slice": f"{left}:{left + count * settings.segment}"})
    if left + count * settings.segment != right:
        logger.warning("%d segments of %d bases are not the published %d bases", count, settings.segment, right - left)
    train = np.flatnonzero((data.genes["split"] == "train").to_numpy())
    arrays: dict[str, Any] = {
        "vectors": np.zeros((4**settings.k, size), np.float32),
        "mean": np.zeros(size, np.float32),
        "sd": np.ones(size, np.float32),
        "train_rows": train,
        "gene_id": utf8(data.gene_ids),
    }
    with atomic_path(out) as temporary, h5py.File(temporary, "w") as store:
        segments = store.create_dataset("segments", (len(data), count, size), "float32", track_times=False)
        done = 0
        for part in parts:
            with open_store(part.path, WHAT) as source:
                values = source[part.key][:]
            if not np.isfinite(values).all():
                raise CisweaveError("its segments hold what is no finite number", path=part.path)
            segments[done : done + part.shape[0]] = values
            done += part.shape[0]
        for name, values in arrays.items():
            store.create_dataset(name, data=values, track_times=False)
        store.attrs.update({"format": EMBEDDING_FORMAT, "settings": settings.model_dump_json(), "fold": 1})


# --- Xpresso's table --------------------------------------------------------------------------------------------------
def import_table(path: Path, out: str | Path, names: dict[str, list[str]], upstream: int) -> PromoterData:
    """Xpresso's table of raw expression, half-life features and promoters as promoter data, in its order."""
    values = numbers(read_gene_table(path, TABLE_COLUMNS), path)
    if not len(values):
        raise CisweaveError("this table holds no gene", path=path)
    check_linear(values[["EXPRESSION"]], path)
    check_features(values[list(HALF_LIFE)], path)
    table = values.rename(columns={"EXPRESSION": "expression"}).reset_index()
    table["symbol"] = [next(iter(names.get(gene, [])), "") for gene in table[GENE]]
    length = next(table_promoters(path, table[GENE].tolist())).shape[1]
    if upstream > length:
        raise CisweaveError(f"promoters of {length} bases have no {upstream} before the TSS", path=path)
    return write_data(
        out,
        table,
        table_promoters(path, table[GENE].tolist()),
        upstream=upstream,
        downstream=length - upstream,
        pseudocount=PromoterDataSettings().pseudocount,
        notes={"source": "table", "compat": "xpresso"},
    )


def table_promoters(path: Path, genes: Sequence[str]) -> Iterator[Codes]:
    """Promoters of the table, whose rows are of these genes, as codes (k, length), some rows at a time."""
    length, done = -1, 0
    separator, header = sniff(path)
    column = next(name for name, new in wanted_columns(header, ["PROMOTER"], path).items() if new == "PROMOTER")
    try:
        for part in pd.read_csv(
            path,
            sep=separator,
            names=header,
            header=None,
            skiprows=1,
            index_col=False,
            usecols=[column],
            dtype="str",
            compression=packed(path),
            chunksize=TABLE_ROWS,
            keep_default_na=False,
        ):
            for gene, text in zip(genes[done : done + len(part)], part[column], strict=True):
                length = len(text) if length < 0 else length
                check_promoter(text, gene, length, path)
            done += len(part)
            yield np.stack([encode(text) for text in part[column]])
    except damages() as error:
        raise unreadable(path, error) from error


def check_promoter(text: str, gene: str, length: int, path: Path) -> None:
    """Raise unless a promoter of the table has letters of bases alone, and as many as the first one."""
    wrong = NO_BASE.search(text)
    if wrong or not text:
        what = f"{shorten(wrong.group())}, which is no base" if wrong else "no base"
        raise CisweaveError(f"the promoter of gene {gene} holds {what}", path=path)
    if len(text) != length:
        raise CisweaveError(
            f"the promoter of gene {gene} has {len(text)} bases, the first one {length}; give all one length", path=path
        )


# --- writing ----------------------------------------------------------------------------------------------------------
def export_original(
    data: str | Path,
    split: str | Path,
    out: str | Path,
    kind: Kind = "xpresso",
    *,
    fold: int = 1,
    embedding: str | Path | None = None,
) -> list[Path]:
    """Write promoter data as the files of a kind; their paths, in the order train, valid, test.

    Labels and half-life features become z-scores over all genes of the split, as in the original files (data that are
    z-scores already stay as they are; an unknown feature is 0, the mean). Gene ids are written whole.

    Parameters
    ----------
    data
        Folder of promoter data.
    split
        Table of the split, of which ``fold`` is taken, in its order.
    out
        Folder of the files.
    embedding
        For kind ``embedded``: the embedded promoters.

    Raises
    ------
    CisweaveError
        If the data lack what the kind holds, or a split has no gene.
    """
    if kind not in get_args(Kind):
        raise CisweaveError(f"there is no kind {shorten(kind)}; the kinds are {', '.join(get_args(Kind))}")
    opened = open_data(data)
    rows = split_rows(read_split(split), opened, fold)
    check_export(opened, kind, embedding)
    label, halflife = standardised(opened, np.concatenate(list(rows.values())))
    layout, out = LAYOUTS[kind], Path(out)
    segments = None if embedding is None else open_embedding(embedding)
    paths = {name: out / layout.files[name] for name in SPLITS}
    if kind == "embedded" and opened.tf is not None:
        paths = {name: path.with_name(f"{path.stem}_tf.h5") for name, path in paths.items()}
    if kind == "translated":
        with created(paths["train"]) as store:
            for name in SPLITS:
                write_blocks(store, name, (len(rows[name]), opened.length), np.uint8, blocks_of(opened, rows[name]))
        note_export([paths["train"]], opened, split, embedding, kind, fold)
        return [paths["train"]]
    warn_of_unknown(opened, layout, np.concatenate(list(rows.values())))
    for name, path in paths.items():
        with created(path) as store:
            chosen = rows[name]
            if segments is not None:
                values = segments.read(chosen) * segments.sd + segments.mean
                store.create_dataset("promoter", data=values.astype(np.float32), **packing())
            else:
                blocks = (hot for part in blocks_of(opened, chosen) for hot in one_hot_blocks(part))
                write_blocks(store, "promoter", (len(chosen), opened.length, 4), np.bool_, blocks)
            write_values(store, layout, opened, chosen, halflife[chosen], label[chosen])
    note_export(list(paths.values()), opened, split, embedding, kind, fold)
    return list(paths.values())


def warn_of_unknown(data: PromoterData, layout: Layout, rows: NDArray[np.int64]) -> None:
    """Warn of genes without half-life features or a row in a matrix, which the files cannot tell from zeros."""
    unknown = {"half-life features": ~data.has_halflife[rows]}
    if layout.tf and data.tf is not None:
        unknown["factors"] = ~data.has_tf[rows]
    if layout.mirna and data.mirna is not None:
        unknown["microRNAs"] = ~data.has_mirna[rows]
    for what, genes in unknown.items():
        if genes.any():
            logger.warning(
                "%d of %d genes have no %s; the files cannot say so and hold 0: leave such genes out of the split "
                "(require)",
                genes.sum(), len(rows), what,
            )  # fmt: skip


def note_export(
    paths: Sequence[Path], data: PromoterData, split: str | Path, embedding: str | Path | None, kind: Kind, fold: int
) -> None:
    """Write the receipts of the files."""
    inputs = hashes([data.folder / DESCRIPTION, split, *([] if embedding is None else [embedding])])
    for path in paths:
        write_receipt(path, settings={"kind": kind, "fold": fold}, inputs=inputs)
    logger.info("original: %d file(s) of kind %s in %s", len(paths), kind, paths[0].parent)


def check_export(data: PromoterData, kind: Kind, embedding: str | Path | None) -> None:
    """Raise unless the data hold what the kind needs."""
    lacking = {
        "promoters": kind != "embedded" and not data.has_promoters,
        "factors": kind == "tf" and data.tf is None,
        "microRNAs": kind == "mirna" and data.mirna is None,
    }
    missing = [what for what, lacks in lacking.items() if lacks]
    if missing:
        raise CisweaveError(f"these data have no {' and no '.join(missing)}, which kind {kind} holds", path=data.folder)
    if (kind == "embedded") != (embedding is not None):
        raise CisweaveError("kind embedded and embedded promoters go together; make them with: cisweave xpresso embed")
    if embedding is not None and open_embedding(embedding).gene_ids != data.gene_ids:
        raise CisweaveError("the embedded genes are not those of the data; embed them anew", path=embedding)


def standardised(data: PromoterData, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels (genes,) and half-life features (genes, 8) of all genes as z-scores over ``rows``."""
    scaling = fit_scaling(data, rows)
    label = data.label if data.expression_unit == "standardised" else scaling.labels(data.label)
    halflife = data.halflife
    if data.halflife_unit == "raw":
        halflife = (halflife - np.array(scaling.halflife_mean)) / np.array(scaling.halflife_sd)
    return label, np.where(np.isfinite(halflife), halflife, 0.0)


def write_values(
    store: Any,
    layout: Layout,
    data: PromoterData,
    rows: NDArray[np.int64],
    halflife: NDArray[np.float64],
    label: NDArray[np.float64],
) -> None:
    """Write everything but the promoters of a split."""
    values: dict[str, Any] = {layout.halflife: halflife, "label": label}
    if layout.genes:
        values[layout.genes] = utf8(data.gene_ids[row] for row in rows.tolist())
    if layout.tf and data.tf is not None:
        values[layout.tf] = data.tf[rows]
    if layout.mirna and data.mirna is not None:
        values[layout.mirna] = data.mirna[rows].astype(np.int32)
    for name, array in values.items():
        store.create_dataset(name, data=array, **packing())
    if layout.mirna:
        store.create_dataset("tf", (0,), "float64", track_times=False)


@contextmanager
def created(path: Path) -> Iterator[Any]:
    """An HDF5 file to write, which appears when it is whole."""
    import h5py

    with atomic_path(path) as temporary, h5py.File(temporary, "w") as store:
        yield store


def packing() -> dict[str, Any]:
    """How the original files are compressed."""
    return {"compression": "gzip", "compression_opts": GZIP_LEVEL, "track_times": False}


def write_blocks(store: Any, name: str, shape: tuple[int, ...], kind: type, blocks: Iterator[NDArray[Any]]) -> None:
    """Write promoters block by block."""
    if not shape[0]:
        raise CisweaveError(f"no gene of the split is of the part that {name} is for; split the data anew")
    dataset = store.create_dataset(name, shape, kind, chunks=(1, *shape[1:]), **packing())
    done = 0
    for block in blocks:
        dataset[done : done + len(block)] = block
        done += len(block)


def one_hot_blocks(codes: Codes) -> Iterator[NDArray[np.bool_]]:
    """One-hot promoters (k, length, 4) of codes (genes, length), some genes at a time."""
    step = max(1, BLOCK_BYTES // max(1, 4 * codes.shape[1]))
    for start in range(0, len(codes), step):
        yield codes[start : start + step, :, None] == np.arange(4, dtype=np.uint8)
