"""HDF5 files that rooms hand to each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing


@contextmanager
def open_store(path: str | Path, what: str) -> Iterator[Any]:
    """Open an HDF5 file to read; a file of another kind or without what is asked of it is a clear error.

    Parameters
    ----------
    what
        What the file should be, in words, for the error.
    """
    import h5py

    try:
        with h5py.File(existing(path)) as store:
            yield store
    except (OSError, KeyError) as error:
        raise CisweaveError(f"this is not a store of {what} ({error})", path=path) from error
