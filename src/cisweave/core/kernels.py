"""Numba, before anything that uses it is imported."""

from __future__ import annotations

import os
from pathlib import Path

from cisweave.core.logs import get_logger

logger = get_logger(__name__)


def prepare_numba(threads: int | None = None) -> None:
    """Give numba a persistent cache and a number of threads; call it before importing memelite or tangermeme.

    Compiling Tomtom takes 20 to 70 s, loading it from the cache under a second. ``NUMBA_CACHE_DIR`` is kept where it is
    set; otherwise the cache stands in the user's cache folder. A process that has run parallel kernels must not fork
    workers, so nothing here ever does.
    """
    if "NUMBA_CACHE_DIR" not in os.environ:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cisweave" / "numba"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            logger.warning("%s cannot be made (%s); set NUMBA_CACHE_DIR, or every job compiles anew", folder, error)
        else:
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
    from numba import config, set_num_threads

    config.reload_config()  # type: ignore[no-untyped-call]
    if threads is not None:
        set_num_threads(min(threads, int(getattr(config, "NUMBA_NUM_THREADS"))))  # noqa: B009
