"""Reading and writing tables: TSV for people, Parquet for programs; both whole or absent."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, existing, is_gzipped

PART = 100_000
"""Rows of a part of a table."""
TSV: dict[str, Any] = {"sep": "\t", "keep_default_na": False, "na_values": [""]}


def write_tsv(frame: pd.DataFrame, path: str | Path, float_format: str | None = None) -> None:
    """Write a tab-separated table with a header and no index; ``.gz`` paths are bgzipped (byte-stable)."""
    path = Path(path)
    with atomic_path(path) as temporary:
        if path.suffix == ".gz":
            import pysam

            with pysam.BGZFile(str(temporary), "wb", None) as handle:
                handle.write(
                    frame.to_csv(sep="\t", index=False, float_format=float_format, lineterminator="\n").encode()
                )
        else:
            frame.to_csv(temporary, sep="\t", index=False, float_format=float_format, lineterminator="\n")


def write_parquet(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a Parquet table without index."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def read_table(path: str | Path, columns: Iterable[str] = (), dtype: dict[str, str] | None = None) -> pd.DataFrame:
    """Read TSV (plain or gzipped) or Parquet by suffix and check that ``columns`` are there.

    Strings such as ``NA`` are kept as they are written; only empty fields are missing values.
    """
    path = existing(path)
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, dtype=dtype, compression=packed(path), **TSV)
    except damages() as error:
        raise unreadable(path, error) from error
    require_columns(frame, columns, path)
    return frame


def read_parts(
    path: str | Path, columns: Iterable[str], optional: Iterable[str] = (), dtype: Literal["str"] | None = None
) -> Iterator[pd.DataFrame]:
    """Read these columns of a table part by part, so that memory does not grow with its rows.

    The index counts the rows of the file from 0. ``columns`` must be there, ``optional`` ones need not; ``dtype`` is
    that of all columns of a text.
    """
    path, needed = existing(path), list(columns)
    wanted = {*needed, *optional}
    try:
        parts: Iterable[pd.DataFrame]
        if path.suffix == ".parquet":
            parts = parquet_parts(path, wanted)
        else:
            parts = pd.read_csv(
                path, dtype=dtype, compression=packed(path), usecols=lambda name: name in wanted, chunksize=PART, **TSV
            )
        for part in parts:
            require_columns(part, needed, path)
            yield part
    except damages() as error:
        raise unreadable(path, error) from error


def parquet_parts(path: Path, wanted: Collection[str]) -> Iterator[pd.DataFrame]:
    """The wanted columns of a Parquet table, as far as they are there, part by part; at least one part."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as table:
        names = [name for name in table.schema_arrow.names if name in wanted]
        done = 0
        for batch in table.iter_batches(batch_size=PART, columns=names):
            part = batch.to_pandas()
            yield part.set_index(pd.RangeIndex(done, done + len(part)))
            done += len(part)
        if not done:
            yield pd.DataFrame(columns=names)


def packed(path: Path) -> Literal["gzip"] | None:
    """How a text table is compressed."""
    return "gzip" if is_gzipped(path) else None


def damages() -> tuple[type[Exception], ...]:
    """What pandas and pyarrow raise for files that are no table, cut off or damaged."""
    from pyarrow import ArrowException

    return ValueError, TypeError, LookupError, NotImplementedError, EOFError, OSError, zlib.error, ArrowException


def unreadable(path: Path, error: Exception) -> CisweaveError:
    """The error of a file that is not the table it should be."""
    kind = "a Parquet table" if path.suffix == ".parquet" else "a tab-separated table with a header"
    return CisweaveError(f"this is not {kind}, or it is cut off ({str(error).strip()})", path=path)


def require_columns(frame: pd.DataFrame, columns: Iterable[str], path: str | Path = "table") -> None:
    """Raise a :class:`CisweaveError` that names every column of ``columns`` that ``frame`` lacks."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise CisweaveError(
            f"column(s) {', '.join(missing)} missing; the table has {', '.join(map(str, frame.columns))}", path=path
        )
