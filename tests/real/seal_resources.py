"""Seal's own resources, for the tests that need them.

They are for academic use and never in the project: the environment variable ``CISWEAVE_SEAL_RESOURCES`` names a folder
in which what ``cisweave genome fetch`` brings lies, unpacked, in whatever folders below it (``deepsea.beluga.pth``,
``hg19.fa``, ``chromatin_tss``, ``all_gene_chromatin_exp.npy``, the checkpoints, ``beluga_test_expected.h5``).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

VARIABLE = "CISWEAVE_SEAL_RESOURCES"


@cache
def find(name: str) -> Path | None:
    """The file or folder of this name, the one in the fewest folders; None if there is none."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    found = sorted(Path(folder).rglob(name), key=lambda path: (len(path.parts), path))
    return found[0] if found else None


def need(*names: str) -> list[Path]:
    """Where these resources are; the test is skipped, with the reason, if one is not there."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} is not set")
    missing = [name for name in names if find(name) is None]
    if missing:
        pytest.skip(f"{VARIABLE} holds no {', '.join(missing)}")
    return [path for path in map(find, names) if path is not None]
