"""A small JSON beside each result that says how it came about."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cisweave import __version__
from cisweave.core.files import sha256, write_json

PACKAGES = ("torch", "numpy", "pandas", "tangermeme", "memelite", "lightning", "pysam", "snakemake")
STARTED = time.time()


@cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that shape results, without importing them."""
    found = {"cisweave": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def settings_hash(settings: Mapping[str, Any]) -> str:
    """SHA-256 of a settings mapping, independent of key order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def receipt_path(result: str | Path) -> Path:
    """Where the receipt of ``result`` stands: ``<result>.receipt.json``."""
    result = Path(result)
    return result.with_name(result.name + ".receipt.json")


def write_receipt(
    result: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    inputs: Iterable[str | Path] | Mapping[str, str] = (),
    seed: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Write the receipt of ``result`` and return its path.

    ``identity`` holds what must be equal for two runs to be the same run; ``run`` holds what may differ
    (wall time in seconds since the command started, peak memory in MiB, host platform). ``inputs`` are files, or files
    with their SHA-256 where it is known already.
    """
    identity = {
        "versions": dict(package_versions()),
        "settings": dict(settings or {}),
        "settings_sha256": settings_hash(settings or {}),
        "inputs": dict(inputs) if isinstance(inputs, Mapping) else hashes(inputs),
        "seed": seed,
        "device": device,
        "dtype": dtype,
        **dict(notes or {}),
    }
    run = {
        "wall_s": round(time.time() - STARTED, 2),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "platform": platform.platform(),
        "command": sys.argv,
    }
    path = receipt_path(result)
    write_json(path, {"identity": identity, "run": run})
    return path


def hashes(paths: Iterable[str | Path]) -> dict[str, str]:
    """Path -> SHA-256 of those that are files."""
    return {str(path): sha256(path) for path in paths if Path(path).is_file()}
