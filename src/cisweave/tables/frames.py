"""Reading and writing tables: TSV for people, Parquet for programs; both whole or absent."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, existing, is_gzipped


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
            packed: Literal["gzip"] | None = "gzip" if is_gzipped(path) else None
            frame = pd.read_csv(path, sep="\t", dtype=dtype, keep_default_na=False, na_values=[""], compression=packed)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        kind = "a Parquet table" if path.suffix == ".parquet" else "a tab-separated table with a header"
        raise CisweaveError(f"this is not {kind}, or it is cut off ({error})", path=path) from error
    require_columns(frame, columns, path)
    return frame


def require_columns(frame: pd.DataFrame, columns: Iterable[str], path: str | Path = "table") -> None:
    """Raise a :class:`CisweaveError` that names every column of ``columns`` that ``frame`` lacks."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise CisweaveError(
            f"column(s) {', '.join(missing)} missing; the table has {', '.join(map(str, frame.columns))}", path=path
        )
