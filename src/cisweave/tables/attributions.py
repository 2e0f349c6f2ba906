"""Attributions to bases that rooms hand to each other: a store (HDF5) and the table of the loci they lie at.

Dimension legend
    loci - rows of the locus table, items - one locus attributed for one output of a model, length - bases of a window
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisweave.core.files import atomic_path

LOCUS_COLUMNS: dict[str, str] = {
    "locus_id": "int64",
    "region_id": "int64",
    "kind": "str",
    "chrom": "str",
    "start": "int64",
    "end": "int64",
    "core_start": "int64",
    "core_end": "int64",
    "pos": "Int64",
    "ref": "str",
    "alt": "str",
    "allele": "str",
    "record": "Int64",
    "variant_allele": "Int64",
    "gene_id": "str",
    "tracks": "str",
}
"""The locus table: one row per window and haplotype. ``start, end`` 0-based half-open on the genome, ``core_*``
relative to the window; ``allele`` is ref, alt or empty; ``tracks`` the outputs that are attributed, separated by
commas."""


class AttributionWriter:
    """Adds items to a store one by one."""

    def __init__(self, store: Any):
        self._store, self._done = store, 0

    def write(
        self,
        item_id: int,
        locus_id: int,
        track: str,
        codes: NDArray[np.uint8],
        projected: NDArray[np.float32],
        hypothetical: NDArray[np.float32],
    ) -> None:
        """Write the next item: ``codes`` and ``projected`` (length,), ``hypothetical`` (4, length; A, C, G, T)."""
        if not self._done:
            self._create(len(codes))
        values = {
            "item_id": item_id,
            "locus_id": locus_id,
            "track": track,
            "codes": codes,
            "projected": projected,
            "hypothetical": hypothetical,
        }
        for name, value in values.items():
            self._store[name].resize(self._done + 1, axis=0)
            self._store[name][self._done] = value
        self._done += 1

    def finish(self) -> None:
        """Make the datasets of a store without items."""
        if not self._done:
            self._create(1, items=0)

    def _create(self, length: int, items: int = 1) -> None:
        """Datasets with room for the first item."""
        import h5py

        for name, dtype, shape in (
            ("item_id", np.int64, ()),
            ("locus_id", np.int64, ()),
            ("codes", np.uint8, (length,)),
            ("projected", np.float32, (length,)),
            ("hypothetical", np.float32, (4, length)),
            ("track", h5py.string_dtype(), ()),
        ):
            self._store.create_dataset(
                name,
                (items, *shape),
                dtype,
                maxshape=(None, *shape),
                chunks=(1, *shape) if shape else (1024,),
                track_times=False,
            )


@contextmanager
def new_attributions(path: str | Path) -> Iterator[AttributionWriter]:
    """A store of attributions (HDF5), which appears when the block ends well.

    ``item_id``, ``locus_id``, ``track`` (items,), ``codes`` uint8 (items, length; A 0, C 1, G 2, T 3), ``projected``
    float32 (items, length), ``hypothetical`` float32 (items, 4, length). The same content gives the same bytes.
    """
    import h5py

    with atomic_path(path) as temporary, h5py.File(temporary, "w") as store:
        writer = AttributionWriter(store)
        yield writer
        writer.finish()
