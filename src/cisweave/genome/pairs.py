"""A user's table of which gene goes with which variant, instead of distances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger
from cisweave.genome.contigs import ContigNames
from cisweave.genome.table import frame_of
from cisweave.genome.text import is_position, numbered_lines
from cisweave.genome.vcf import seekable

logger = get_logger(__name__)

PAIR_COLUMNS = {"line": "int64", "gene_id": "str", "name": "str"} | {
    "chrom": "str",
    "pos": "int64",
    "ref": "str",
    "alt": "str",
}
Rows = NDArray[np.int64]


def read_pairs(path: str | Path) -> pd.DataFrame:
    """Read a table of gene–variant pairs.

    Parameters
    ----------
    path
        Tab-separated text with a header, plain or gzip: ``gene_id``, and either ``chrom, pos`` (1-based) and, as
        needed, ``ref, alt`` (empty or ``.``: any), or ``name`` (the variant's ID). With both, ``chrom, pos`` count.
        Further columns are ignored, blank lines and lines that begin with ``##`` too.

    Returns
    -------
    pandas.DataFrame
        ``line, gene_id, name, chrom, pos, ref, alt``; ``pos`` is 0 and the rest empty where the table has none.

    Raises
    ------
    CisweaveError
        If columns are missing, or at the first row that is no pair.
    """
    with seekable(path) as source:
        pairs = frame_of(pair_rows(source), PAIR_COLUMNS)
    unique = pairs.drop_duplicates([name for name in PAIR_COLUMNS if name != "line"], ignore_index=True)
    if len(unique) < len(pairs):
        logger.warning("%s: %d pair(s) stand there twice; each is taken once", path, len(pairs) - len(unique))
    return unique


def pair_rows(path: Path) -> list[tuple[Any, ...]]:
    """The rows of the table, checked."""
    rows: list[tuple[Any, ...]] = []
    columns: list[str] = []
    for line, text in numbered_lines(path):
        if not text.strip() or text.startswith("##"):
            continue
        fields = [field.strip() for field in text.split("\t")]
        if not columns:
            columns = check_header([fields[0].removeprefix("#"), *fields[1:]], path, line)
        else:
            rows.append(parse_pair(columns, fields, path, line))
    if not columns:
        raise CisweaveError(
            "this table of pairs is empty; it needs a header with gene_id and chrom, pos or name", path=path
        )
    return rows


def check_header(columns: list[str], path: str | Path, line: int) -> list[str]:
    """The column names, if they are enough."""
    if "gene_id" not in columns or not ({"chrom", "pos"} <= set(columns) or "name" in columns):
        raise CisweaveError(
            "the header must name the columns gene_id and chrom, pos (with ref, alt as needed) or name, separated by "
            f"tabs; it has {', '.join(columns)[:100]}",
            path=path,
            line=line,
        )
    return columns


def parse_pair(columns: list[str], fields: list[str], path: str | Path, line: int) -> tuple[Any, ...]:
    """One row of the table."""
    if len(fields) > len(columns):
        raise CisweaveError(f"{len(fields)} field(s) under {len(columns)} column names", path=path, line=line)
    row = dict.fromkeys(("gene_id", "name", "chrom", "pos", "ref", "alt"), "") | dict(
        zip(columns, fields, strict=False)
    )
    if not row["gene_id"]:
        raise CisweaveError("gene_id is empty", path=path, line=line)
    alleles = ["" if row[name] == "." else row[name].upper() for name in ("ref", "alt")]
    if "chrom" in columns and "pos" in columns:
        if not row["chrom"] or not is_position(row["pos"]) or int(row["pos"]) < 1:
            raise CisweaveError(
                f"chrom and pos (from 1 upwards) must be there, not {row['chrom'][:30]!r} and {row['pos'][:30]!r}",
                path=path,
                line=line,
            )
        return line, row["gene_id"], "", row["chrom"], int(row["pos"]), *alleles
    if row["name"] in ("", "."):
        raise CisweaveError("name (the variant's ID) is empty", path=path, line=line)
    return line, row["gene_id"], row["name"], "", 0, "", ""


class PairJoin:
    """Finds the pairs of each variant.

    Parameters
    ----------
    pairs
        As :func:`read_pairs` gives them.
    places
        Whether ``chrom, pos, ref, alt`` of the pairs are those of the user's VCF (``source``) or those of the variant
        now, after normalising and lifting (``current``). IDs are the same in both.
    """

    def __init__(self, pairs: pd.DataFrame, places: Literal["source", "current"] = "source"):
        self.pairs = pairs
        self.matched = np.zeros(len(pairs), dtype=bool)
        prefix = "source_" if places == "source" else ""
        self._columns = [prefix + name for name in ("chrom", "pos", "ref", "alt")]
        self._named = bool(len(pairs)) and bool(pairs["pos"].eq(0).all())
        self._contigs = ContigNames(set(pairs["chrom"]))
        numbered = pairs.assign(pair=np.arange(len(pairs)))
        self._names = numbered[["name", "pair"]]
        self._places = numbered[["chrom", "pos", "ref", "alt", "pair"]]

    def match(self, variants: pd.DataFrame) -> tuple[Rows, Rows]:
        """Numbers of the variants (rows of the frame, from 0) and of their pairs, match by match, in that order."""
        found = self._match_names(variants) if self._named else self._match_places(variants)
        found = found.drop_duplicates(["site", "pair"]).sort_values(["site", "pair"])
        sites, pairs = (found[name].to_numpy(dtype=np.int64) for name in ("site", "pair"))
        self.matched[pairs] = True
        return sites, pairs

    def _match_names(self, variants: pd.DataFrame) -> pd.DataFrame:
        names = variants["name"].reset_index(drop=True).str.split(";").explode().rename("name")
        return names.rename_axis("site").reset_index().merge(self._names, on="name")

    def _match_places(self, variants: pd.DataFrame) -> pd.DataFrame:
        place = variants[self._columns].set_axis(["chrom", "pos", "ref", "alt"], axis=1)
        spelling = {name: self._contigs.resolve(str(name)) for name in place["chrom"].unique()}
        place = place.assign(chrom=place["chrom"].map(spelling), site=np.arange(len(place))).dropna(subset=["chrom"])
        both = place.astype({"chrom": "str"}).merge(self._places, on=["chrom", "pos"], suffixes=("", "_pair"))
        keep = np.ones(len(both), dtype=bool)
        for allele in ("ref", "alt"):
            wanted = both[f"{allele}_pair"]
            keep &= (wanted.eq("") | wanted.eq(both[allele].str.upper())).to_numpy(dtype=bool)
        return both[keep]

    def report(self, genes: Sequence[str], path: str | Path) -> dict[str, int]:
        """Warn of pairs whose variant never came or whose gene is not known; how many there are of each."""
        known = self.pairs["gene_id"].isin(set(genes)).to_numpy(dtype=bool)
        counts = {"pairs": len(self.pairs)}
        for kind, missing, column in (("gene", ~known, "gene_id"), ("variant", ~self.matched, "line")):
            counts[f"pairs_without_{kind}"] = int(missing.sum())
            if missing.any():
                first = self.pairs[missing].iloc[0]
                logger.warning(
                    "%s: %d of %d pair(s) name a %s that is not there, the first on line %d (%s)",
                    path,
                    missing.sum(),
                    len(missing),
                    kind,
                    first["line"],
                    first["gene_id"] if column == "gene_id" else describe_variant(first),
                )
        return counts


def describe_variant(pair: pd.Series) -> str:
    """The variant of a pair in words."""
    return str(pair["name"] or f"{pair['chrom']}:{pair['pos']} {pair['ref']}>{pair['alt']}")
