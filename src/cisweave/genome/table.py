"""The variant table: one row per allele, the same columns from reading to scoring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cisweave.core.errors import CisweaveError
from cisweave.tables.frames import read_table, require_columns, write_parquet, write_tsv
from cisweave.tables.ledger import KEY

VARIANT_COLUMNS: dict[str, str] = {
    "record": "int64",
    "allele": "int64",
    "name": "str",
    "source_chrom": "str",
    "source_pos": "int64",
    "source_ref": "str",
    "source_alt": "str",
    "chrom": "str",
    "pos": "int64",
    "ref": "str",
    "alt": "str",
    "reference_genome_match": "boolean",
}
"""Record (1-based number in the VCF), allele (1-based number within ALT), name (ID); ``source_*`` as the VCF has it;
``chrom, pos, ref, alt`` (1-based, upper case) in the assembly of the moment; whether REF is what that genome holds
(missing where no genome was given)."""
LIFT_COLUMNS: dict[str, str] = {"lift_strand": "str"}
"""``+`` or ``-``: how the variant's stretch of the source assembly lies in the target assembly."""
GENE_COLUMNS: dict[str, str] = {"gene_id": "str", "gene_strand": "str", "tss": "int64", "dist_to_tss": "int64"}
"""The closest gene; ``tss`` is 1-based, ``dist_to_tss`` = pos - tss, positive to the right whatever the strand."""
TEXT = [column for column, kind in {**VARIANT_COLUMNS, **LIFT_COLUMNS, **GENE_COLUMNS}.items() if kind == "str"]


def frame_of(rows: Sequence[tuple[Any, ...]], columns: Mapping[str, str]) -> pd.DataFrame:
    """A table of ``rows`` with exactly these columns and types, also where there is no row."""
    return pd.DataFrame(rows, columns=list(columns)).astype(dict(columns))


def read_variant_table(path: str | Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read a variant table (TSV or Parquet) and check it; ``columns`` are needed beside the usual ones."""
    frame = read_table(path, dtype=dict.fromkeys(TEXT, "str"))
    require_columns(frame, [*VARIANT_COLUMNS, *columns], path)
    for column, kind in {**VARIANT_COLUMNS, **LIFT_COLUMNS, **GENE_COLUMNS}.items():
        if column in frame:
            filled = frame.fillna({column: ""}) if kind == "str" else frame
            try:
                frame = filled.astype({column: kind})
            except (TypeError, ValueError) as error:
                raise CisweaveError(f"column {column} does not hold {kind} throughout ({error})", path=path) from error
    check_variants(frame, path)
    return frame


def write_variant_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a variant table: Parquet where the name ends so, else TSV."""
    if Path(path).suffix == ".parquet":
        write_parquet(frame, path)
    else:
        write_tsv(frame, path)


def check_variants(frame: pd.DataFrame, path: str | Path = "variant table") -> None:
    """Raise unless ``frame`` has the columns of a variant table and (record, allele) names each row once."""
    require_columns(frame, VARIANT_COLUMNS, path)
    twice = frame[frame.duplicated(KEY)]
    if len(twice):
        first = twice.iloc[0]
        raise CisweaveError(f"record {first['record']}, allele {first['allele']} stands in two rows", path=path)


def table_line(path: str | Path, row: int) -> int:
    """Where a row (from 0) stands: the line of a text table, whose first is the header, or the record of a Parquet."""
    return row + (1 if Path(path).suffix == ".parquet" else 2)
