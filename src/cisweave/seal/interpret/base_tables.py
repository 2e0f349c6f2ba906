"""Tables and bigWig files of attributions to bases.

Dimension legend
    loci - haplotypes of variants or stretches around TSS, items - one locus attributed for one context,
    contexts - tissues or cell states, length - bases of a stretch
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.tables.attributions import LOCUS_COLUMNS, AttributionWriter
from cisweave.tables.bigwig import BaseValues, write_bigwig

if TYPE_CHECKING:
    from cisweave.config import BaseAttributionSettings
    from cisweave.models.attribution import SequenceAttributions
    from cisweave.seal.interpret.sequence import Stretch

logger = get_logger(__name__)

SMALL_DELTA = 1e-4
"""Deltas below this (ln expression) pass whatever the output difference; they are rounding."""

QC_COLUMNS: dict[str, str] = {
    "item_id": "int64",
    "locus_id": "int64",
    "track": "str",
    "pred": "float64",
    "pred_ref_mean": "float64",
    "delta_max": "float64",
    "delta_mean": "float64",
    "delta_rel": "float64",
    "attr_sum": "float64",
    "status": "str",
    "gene_id": "str",
    "record": "Int64",
    "variant_allele": "Int64",
    "allele": "str",
    "score": "float64",
}
"""``track`` is the context; ``pred`` and ``pred_ref_mean`` its predicted ln expression (of a variant: summed over the
shifts) for the sequence and on average for the shuffled references, ``attr_sum`` should be their difference;
``delta_*`` are the convergence deltas of the pairs; ``status`` is ok, delta (above ``max_relative_delta``) or
unknown_base (the stretch holds an N and was not attributed); ``allele`` is the haplotype, and ``score`` the variant's
score from REF to ALT of the user's file."""


@dataclass
class Place:
    """A stretch, and what the tables say of it.

    Attributes
    ----------
    stretch
        The function and the haplotypes.
    locus
        Columns of the locus table that all haplotypes share.
    alleles
        Names of the haplotypes: ref and alt, or one empty name.
    genome
        Per haplotype the place (length,) of each base on the genome, -1 where it has none.
    sign
        -1 where REF and ALT were exchanged against the user's file, else 1.
    """

    stretch: Stretch
    locus: dict[str, object]
    alleles: tuple[str, ...]
    genome: list[NDArray[np.int64]]
    sign: int = 1


@dataclass
class Explained:
    """A place with its attributions.

    Attributes
    ----------
    outputs
        Numbers of the contexts.
    scores
        float64 (contexts,), alternative minus reference of the user's file; of a gene NaN.
    found
        Attributions of all haplotypes per context; empty where the stretch holds an unknown base.
    """

    place: Place
    outputs: list[int]
    scores: NDArray[np.float64]
    found: list[SequenceAttributions]


class BaseTables:
    """Gathers what goes into the tables and the bigWig files."""

    def __init__(self, names: list[str], bin_size: int, settings: BaseAttributionSettings):
        self.names, self.bin_size, self.settings = names, bin_size, settings
        self._loci: list[dict[str, object]] = []
        self._items: list[dict[str, object]] = []
        self._values: dict[tuple[int, str], list[BaseValues]] = {}
        self._regions = 0

    def add(self, one: Explained, writer: AttributionWriter) -> None:
        """Add a place: its loci, its items, the values of its bases."""
        place = one.place
        for haplotype, allele in enumerate(place.alleles):
            locus_id = len(self._loci)
            self._loci.append(self._locus(one, allele, locus_id))
            for number, output in enumerate(one.outputs):
                found = one.found[number] if one.found else None
                item = {"item_id": len(self._items), "locus_id": locus_id, "track": self.names[output]}
                named = {name: place.locus.get(name) for name in ("gene_id", "record", "variant_allele")}
                score = {"allele": allele, "score": one.scores[number]}
                self._items.append(item | self._figures(found, haplotype) | named | score)
                if found is not None:
                    hypothetical, projected = found.hypothetical[haplotype], found.projected[haplotype]
                    codes = place.stretch.codes[haplotype]
                    writer.write(len(self._items) - 1, locus_id, self.names[output], codes, projected, hypothetical)
                    self._keep(output, allele, place, haplotype, projected)
        self._regions += 1
        logger.info("%d loci, %d items", len(self._loci), len(self._items))

    def _locus(self, one: Explained, allele: str, locus_id: int) -> dict[str, object]:
        """A row of the locus table."""
        stretch = one.place.stretch
        core = (stretch.end - stretch.start - self.bin_size) // 2
        return {
            **one.place.locus,
            "locus_id": locus_id,
            "region_id": self._regions,
            "chrom": stretch.chrom,
            "start": stretch.start,
            "end": stretch.end,
            "core_start": core,
            "core_end": core + self.bin_size,
            "allele": allele,
            "tracks": ",".join(self.names[output] for output in one.outputs),
        }

    def _figures(self, found: SequenceAttributions | None, haplotype: int) -> dict[str, object]:
        """Quality of one haplotype."""
        if found is None:
            return {"status": "unknown_base"}
        names = ("pred", "pred_ref_mean", "delta_max", "delta_mean", "delta_rel")
        figures: dict[str, object] = {name: float(getattr(found, name)[haplotype]) for name in names}
        bad = found.delta_rel[haplotype] > self.settings.max_relative_delta
        bad = bad and found.delta_mean[haplotype] > SMALL_DELTA
        total = float(found.projected[haplotype].sum(dtype=np.float64))
        return figures | {"attr_sum": total, "status": "delta" if bad else "ok"}

    def _keep(self, output: int, allele: str, place: Place, haplotype: int, projected: NDArray[np.float32]) -> None:
        """Keep the values of a haplotype for the bigWig of its context."""
        middle = (place.stretch.start + place.stretch.end) // 2
        bases = place.genome[haplotype]
        values = BaseValues(place.stretch.chrom, bases, projected, np.abs(bases - middle))
        self._values.setdefault((output, allele), []).append(values)

    def locus_table(self) -> pd.DataFrame:
        """The locus table."""
        return typed(pd.DataFrame(self._loci), LOCUS_COLUMNS)

    def quality(self) -> pd.DataFrame:
        """The quality table."""
        return typed(pd.DataFrame(self._items), QC_COLUMNS)

    def write_bigwigs(self, folder: Path, contigs: Mapping[str, int]) -> None:
        """One file per context and haplotype."""
        folder.mkdir(parents=True, exist_ok=True)
        files = file_names([self.names[output] for output in sorted({output for output, _ in self._values})])
        for (output, allele), pieces in self._values.items():
            name = files[self.names[output]] + (f".{allele}" if allele else "")
            write_bigwig(folder / f"{name}.bw", contigs, pieces)


def typed(frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Exactly these columns with their types, also where there is no row; absent text is empty."""
    result = pd.DataFrame(index=frame.index)
    for column, kind in columns.items():
        values = frame[column] if column in frame else pd.Series(index=frame.index, dtype="object")
        result[column] = (values.astype("object").fillna("") if kind == "str" else values).astype(kind)  # type: ignore[call-overload]
    return result


def file_names(contexts: Sequence[str]) -> dict[str, str]:
    """A name for files per context: letters, digits and ``._-+`` stay, the rest becomes ``_``; none twice."""
    names: dict[str, str] = {}
    for context in contexts:
        plain = re.sub(r"[^A-Za-z0-9._+-]", "_", context).lstrip(".") or "context"
        name, number = plain, 1
        while name in names.values():
            number += 1
            name = f"{plain}_{number}"
        names[context] = name
    return names


def report_quality(quality: pd.DataFrame, settings: BaseAttributionSettings) -> None:
    """Say what did not pass; stop if the settings say so."""
    unknown = quality[quality.status == "unknown_base"].locus_id.nunique()
    if unknown:
        logger.warning("%d loci hold unknown bases (N) and are not attributed", unknown)
    bad = quality[quality.status == "delta"]
    if not len(bad):
        return
    message = (
        f"{len(bad)} of {len(quality)} items have a convergence delta above {settings.max_relative_delta:.1%} of the "
        f"output difference (worst {bad.delta_rel.max():.1%})"
    )
    if settings.on_delta == "fail":
        raise CisweaveError(f"{message}; with integrated gradients write more steps, or set on_delta: warn")
    logger.warning("%s", message)
