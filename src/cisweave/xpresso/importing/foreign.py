"""What a file must not be before a reader takes it for a model: a web page, a pointer, a newer archive, too large."""

from __future__ import annotations

import json
from pathlib import Path

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, first_bytes, refuse_web_page

LFS_POINTER = b"version https://git-lfs"
ZIP_MAGIC = b"PK\x03\x04"
FIRST = 512
"""Bytes that tell what a file is."""
MOST_BYTES = 4 << 30
"""Bytes of the weights of a model; the largest published one has 8 million."""


def checked(path: str | Path) -> Path:
    """The path of a file that is there and is no web page, pointer to a large file, or archive."""
    path = existing(path)
    start = first_bytes(path, FIRST)
    refuse_web_page(start, path)
    if start.startswith(LFS_POINTER):
        raise CisweaveError(
            "this is a pointer of Git LFS, not the file itself; fetch it with git lfs pull, or download it", path=path
        )
    if start.startswith(ZIP_MAGIC):
        raise CisweaveError(
            "this is an archive; unpack it, or save a .keras file as HDF5 (model.save('model.h5')) first", path=path
        )
    if not start:
        raise CisweaveError("this file is empty; get it again", path=path)
    return path


def read_config(text: str | bytes) -> object:
    """What JSON written by Keras says; :class:`ValueError` where it is none."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
