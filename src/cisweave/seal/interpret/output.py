"""What the attribution to tracks writes, batch by batch: Parquet, a TSV of the strongest tracks, Seal's own array.

Dimension legend
    variants - rows of the variant table, contexts - tissues or cell states, tracks - chromatin outputs
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, existing
from cisweave.genome.table import as_in_file

FIGURES = ["context", "score", "attribution_sum", "delta", "other_tracks"]
"""Beside the variant: the context; the score (alternative minus reference, ln expression) as seal predict computes it;
the sum of all attributions; their difference; and what the tracks without a column of their own do together."""
TSV_COLUMNS = [
    "record", "allele", "chrom", "pos", "ref", "alt", "gene_id", "context", "score", "delta", "rank", "track",
    "attribution",
]  # fmt: skip

Floats = NDArray[np.float64]


@dataclass
class Attributed:
    """A batch of variants with their attributions.

    Attributes
    ----------
    variants
        Rows of the variant table.
    score
        (variants, contexts), ln expression.
    total
        (variants, contexts), sum of the attributions.
    others
        (variants, contexts), share of tracks without attribution of their own.
    tracks
        (variants, contexts, tracks).
    """

    variants: pd.DataFrame
    score: Floats
    total: Floats
    others: Floats
    tracks: Floats

    @property
    def delta(self) -> Floats:
        """Sum of the attributions minus score (variants, contexts)."""
        return self.total - self.score


class TrackTables:
    """Writes batches to all outputs; they appear when the block ends well.

    Parameters
    ----------
    out
        Parquet, a row per variant and context: the variant, :data:`FIGURES`, a float32 column per track.
    strongest
        TSV, :data:`TSV_COLUMNS`, the ``top`` strongest tracks of each variant and context.
    upstream
        Seal's array, float32 (variants, tracks) of one context, with the number of that context; or nothing.
    """

    def __init__(
        self,
        out: str | Path,
        strongest: str | Path,
        contexts: Sequence[str],
        tracks: Sequence[str],
        top: int,
        variants: pd.DataFrame,
        upstream: tuple[Path, int] | None = None,
    ):
        self.contexts, self.tracks, self.top = list(contexts), list(tracks), top
        self.columns = [*variants.columns, *FIGURES]
        self.track_columns = unique_names(tracks, self.columns)
        self.example, self.count = variants, len(variants)
        self.paths, self.upstream = (Path(out), Path(strongest)), upstream
        self.done = 0
        self._files = ExitStack()

    def __enter__(self) -> TrackTables:
        import pyarrow as pa
        from pyarrow import parquet

        with ExitStack() as files:
            out, tsv = (files.enter_context(atomic_path(path)) for path in self.paths)
            empty = self._frame(self._nothing())
            self.schema = pa.Schema.from_pandas(empty, preserve_index=False)
            self._parquet = files.enter_context(parquet.ParquetWriter(out, self.schema))
            self._text = files.enter_context(text_writer(tsv))
            self._text.write(("\t".join(TSV_COLUMNS) + "\n").encode())
            self._array: NDArray[np.float32] | None = None
            if self.upstream is not None:
                path = files.enter_context(atomic_path(self.upstream[0]))
                self._array = new_array(path, (self.count, len(self.tracks)))
            self._files = files.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(self._array, np.memmap):
            self._array.flush()
        self._files.__exit__(kind, error, traceback)

    def write(self, batch: Attributed) -> None:
        """Add a batch."""
        import pyarrow as pa

        frame = self._frame(batch)
        self._parquet.write_table(pa.Table.from_pandas(frame, schema=self.schema, preserve_index=False))
        strongest = strongest_tracks(batch, self.contexts, self.tracks, self.top)
        self._text.write(
            strongest.to_csv(sep="\t", index=False, header=False, float_format="%.6g", lineterminator="\n").encode()
        )
        if self._array is not None and self.upstream is not None:
            self._array[self.done : self.done + len(batch.variants)] = batch.tracks[:, self.upstream[1]]
        self.done += len(batch.variants)

    def _frame(self, batch: Attributed) -> pd.DataFrame:
        """One row per variant and context."""
        count, contexts = batch.score.shape
        variants = batch.variants.loc[batch.variants.index.repeat(contexts)].reset_index(drop=True)
        variants["context"] = pd.Series(np.tile(np.array(self.contexts, dtype=object), count), dtype="str")
        for name, values in (
            ("score", batch.score), ("attribution_sum", batch.total), ("delta", batch.delta),
            ("other_tracks", batch.others),
        ):  # fmt: skip
            variants[name] = values.ravel()
        tracks = pd.DataFrame(
            batch.tracks.reshape(count * contexts, len(self.tracks)).astype(np.float32), columns=self.track_columns
        )
        return pd.concat([variants, tracks], axis=1)

    def _nothing(self) -> Attributed:
        """A batch of no variants, which has the types of the table."""
        empty = np.zeros((0, len(self.contexts)))
        return Attributed(
            self.example.iloc[:0], empty, empty, empty, np.zeros((0, len(self.contexts), len(self.tracks)))
        )


def unique_names(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Names that occur once among themselves and beside ``taken``: a repeated one gets a number, ``name (2)``."""
    seen = set(taken)
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate in seen:
            number += 1
            candidate = f"{name} ({number})"
        seen.add(candidate)
        unique.append(candidate)
    return unique


def text_writer(path: Path) -> Any:
    """A file for bytes of text; bgzip where the name ends in .gz, so that the same text gives the same bytes."""
    if path.suffix == ".gz":
        import pysam

        return pysam.BGZFile(str(path), "wb", None)
    return path.open("wb")


def strongest_tracks(batch: Attributed, contexts: Sequence[str], tracks: Sequence[str], top: int) -> pd.DataFrame:
    """The ``top`` tracks of each variant and context by absolute attribution, as rows with :data:`TSV_COLUMNS`."""
    count, width = batch.score.shape
    top = min(top, len(tracks))
    order = np.argsort(-np.abs(batch.tracks), axis=2, kind="stable")[:, :, :top]
    values = np.take_along_axis(batch.tracks, order, axis=2)
    variants = as_in_file(batch.variants)
    frame = variants.loc[variants.index.repeat(width * top)].reset_index(drop=True)
    frame["context"] = np.tile(np.repeat(np.array(contexts, dtype=object), top), count)
    frame["score"] = np.repeat(batch.score.ravel(), top)
    frame["delta"] = np.repeat(batch.delta.ravel(), top)
    frame["rank"] = np.tile(np.arange(1, top + 1), count * width)
    frame["track"] = np.array(tracks, dtype=object)[order.ravel()]
    frame["attribution"] = values.ravel()
    return frame[TSV_COLUMNS]


# --- Seal's own file --------------------------------------------------------------------------------------------------
def upstream_path(prefix: str | Path, method: str, outcome_id: int) -> Path:
    """The name Seal gives its array; it spells kernelShap its own way."""
    method = "kernalShap" if method == "kernelShap" else method
    return Path(f"{prefix}_{method}_attribution_score_outcome_{outcome_id}.npy")


def new_array(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A float32 array that lives in an ``.npy`` file."""
    if not shape[0]:
        with path.open("wb") as handle:
            np.save(handle, np.zeros(shape, dtype=np.float32))
        return np.zeros(shape, dtype=np.float32)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)


def read_upstream(path: str | Path) -> NDArray[np.float32]:
    """Read an array of attributions in Seal's format, float32 (variants, tracks); nothing is unpickled."""
    try:
        array = np.load(existing(path), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise CisweaveError(f"this is not an array of attributions ({error})", path=path) from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != np.float32:
        raise CisweaveError("an array of attributions is float32 with a row per variant, this is not", path=path)
    return array
