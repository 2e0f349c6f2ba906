"""Mapping variants to their closest TSS: ours beside BEDOPS, pyranges and bioframe, measured in one interleaved run.

``files``: a sorted BED of variants and one of TSS in, a BED with gene and signed distance out (what ``closest-features
--closest --dist`` does; the two outputs must be equal byte for byte). ``frames``: pandas tables in, the gene and the
distance of each variant out. ``shuffled``: the same with variants in random order, which BEDOPS does not take.

Run: python benchmarks/genome_tss.py [--variants 1000000] [--tss 20000 60000] [--rounds 7] [--write]
``--write`` keeps the table in genome_tss.tsv. A tool that is not installed has no row.
"""

from __future__ import annotations

import argparse
import filecmp
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from cisweave.genome.nearest import PROGRAM, TssIndex

TABLE = Path(__file__).with_name("genome_tss.tsv")
OURS = "cisweave"
MEGABASES = [249, 243, 198, 191, 181, 171, 159, 146, 141, 136, 135, 134, 115, 107, 103, 90, 81, 78, 59, 63, 48, 51]
"""Of the human chromosomes 1 to 22."""
Run = Callable[[], Any]


class Result(NamedTuple):
    """One row of the table.

    ``ratio`` is this tool's time over ours, ``same_gene`` the share of variants for which it names our gene (others
    settle equal distances by other rules).
    """

    variants: int
    tss: int
    case: str
    tool: str
    median_s: float
    ratio: float
    same_gene: float


def places(count: int, seed: int) -> pd.DataFrame:
    """``chrom, start, end``: one-base intervals spread over a human genome, in the order of ``sort-bed``."""
    rng = np.random.default_rng(seed)
    sizes = np.array(MEGABASES) * 1_000_000
    number = rng.choice(len(sizes), count, p=sizes / sizes.sum())
    start = (rng.random(count) * sizes[number]).astype(np.int64)
    names = np.array([f"chr{index + 1}" for index in range(len(sizes))])
    frame = pd.DataFrame({"chrom": names[number], "start": start, "end": start + 1})
    return frame.sort_values(["chrom", "start"], kind="stable", ignore_index=True)


def tss_places(count: int) -> pd.DataFrame:
    """TSS, each place once, with ``strand`` and ``gene_id``."""
    frame = places(count, seed=2).drop_duplicates(ignore_index=True)
    strand = np.where(np.arange(len(frame)) % 2, "+", "-")
    return frame.assign(strand=strand, gene_id=[f"ENSG{index:011d}" for index in range(len(frame))])


# --- from tables ------------------------------------------------------------------------------------------------------
def by_cisweave(variants: pd.DataFrame, tss: pd.DataFrame) -> pd.DataFrame:
    """Ours."""
    index = TssIndex(tss.rename(columns={"end": "tss"}))
    rows = index.closest(variants["chrom"], variants["end"].to_numpy())
    genes = tss["gene_id"].take(rows).reset_index(drop=True)
    return variants.assign(gene_id=genes, distance=variants["end"].to_numpy() - tss["end"].to_numpy()[rows])


def by_pyranges(variants: pd.DataFrame, tss: pd.DataFrame) -> pd.DataFrame:
    """``PyRanges.nearest``."""
    import pyranges

    names = {"chrom": "Chromosome", "start": "Start", "end": "End"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sites = pyranges.PyRanges(variants.rename(columns=names))
        genes = pyranges.PyRanges(tss[["chrom", "start", "end", "gene_id"]].rename(columns=names))
        found: pd.DataFrame = sites.nearest(genes).df
    return found


def by_bioframe(variants: pd.DataFrame, tss: pd.DataFrame) -> pd.DataFrame:
    """``bioframe.closest``."""
    import bioframe

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: pd.DataFrame = bioframe.closest(variants, tss[["chrom", "start", "end", "gene_id"]])
    return found.rename(columns={"gene_id_": "gene_id"})


def same_gene(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """Share of variants to which both give one gene; both tables carry the variant's number."""
    numbered = theirs.set_index("number")["gene_id"].astype("str")
    return float((numbered.reindex(ours["number"]).to_numpy() == ours["gene_id"].to_numpy()).mean())


# --- from files -------------------------------------------------------------------------------------------------------
def files_by_cisweave(variants: Path, tss: Path, out: Path) -> None:
    """Ours: read both BED files, search, write what ``closest-features`` writes."""
    read = csv.ReadOptions(autogenerate_column_names=True)
    tabs = csv.ParseOptions(delimiter="\t", quote_char=False)
    sites, genes = csv.read_csv(variants, read, tabs), csv.read_csv(tss, read, tabs)
    index = TssIndex(pd.DataFrame({"chrom": genes["f0"].to_pandas(), "tss": genes["f2"].to_numpy()}))
    ends = sites["f2"].to_numpy()
    found = genes.take(pa.array(index.closest(sites["f0"].to_pandas(), ends)))
    distance = pa.array(found["f2"].to_numpy() - ends)
    columns = [*sites.columns, *found.columns, distance]
    table = pa.table(columns, names=[str(number) for number in range(len(columns))])
    csv.write_csv(table, out, csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none"))


def files_by_bedops(variants: Path, tss: Path, out: Path) -> None:
    """BEDOPS."""
    with open(out, "wb") as handle:
        command = [PROGRAM, "--closest", "--dist", "--delim", "\t", str(variants), str(tss)]
        subprocess.run(command, stdout=handle, check=True)


# --- measuring --------------------------------------------------------------------------------------------------------
def medians(tools: Mapping[str, Run], rounds: int) -> dict[str, float]:
    """Median wall time of each tool in seconds; they take turns, after one round that does not count."""
    times: dict[str, list[float]] = {tool: [] for tool in tools}
    for number in range(rounds + 1):
        for tool, run in tools.items():
            start = time.perf_counter()
            run()
            if number:
                times[tool].append(time.perf_counter() - start)
    return {tool: statistics.median(values) for tool, values in times.items()}


def frame_results(count: int, tss: pd.DataFrame, case: str, rounds: int) -> list[Result]:
    """Measure on tables."""
    variants = places(count, seed=1).assign(number=np.arange(count))
    if case == "shuffled":
        variants = variants.sample(frac=1, random_state=3, ignore_index=True)
    functions = {OURS: by_cisweave, "pyranges": by_pyranges, "bioframe": by_bioframe}
    functions = {tool: function for tool, function in functions.items() if tool == OURS or find_spec(tool)}
    tools: dict[str, Run] = {tool: partial(function, variants, tss) for tool, function in functions.items()}
    ours = by_cisweave(variants, tss)
    equal = {tool: same_gene(ours, run()) for tool, run in tools.items()}
    return results(count, len(tss), case, medians(tools, rounds), equal)


def file_results(count: int, tss: pd.DataFrame, rounds: int) -> list[Result]:
    """Measure on BED files."""
    with tempfile.TemporaryDirectory(prefix="cisweave-benchmark-") as folder:
        variants_bed, tss_bed, ours, theirs = (Path(folder, name) for name in ("v.bed", "t.bed", "ours", "theirs"))
        places(count, seed=1).to_csv(variants_bed, sep="\t", header=False, index=False)
        tss.to_csv(tss_bed, sep="\t", header=False, index=False)
        tools: dict[str, Run] = {OURS: lambda: files_by_cisweave(variants_bed, tss_bed, ours)}
        if shutil.which(PROGRAM):
            tools["bedops"] = lambda: files_by_bedops(variants_bed, tss_bed, theirs)
        times = medians(tools, rounds)
        equal = {OURS: 1.0}
        if "bedops" in tools:
            equal["bedops"] = 1.0 if filecmp.cmp(ours, theirs, shallow=False) else float("nan")
    return results(count, len(tss), "files", times, equal)


def results(count: int, tss: int, case: str, times: Mapping[str, float], equal: Mapping[str, float]) -> list[Result]:
    """Rows of the table."""
    return [
        Result(count, tss, case, tool, round(seconds, 4), round(seconds / times[OURS], 2), round(equal[tool], 6))
        for tool, seconds in times.items()
    ]


def tss_speed(variants: int = 1_000_000, tss: int = 20_000, rounds: int = 5) -> dict[str, float | None]:
    """Time of each other tool over ours (more than 1: ours is faster); ``None`` where it is not installed.

    BEDOPS reads and writes files, so against it ours does too; pyranges and bioframe start from tables.
    """
    genes = tss_places(tss)
    rows = [*file_results(variants, genes, rounds), *frame_results(variants, genes, "frames", rounds)]
    ratios = {row.tool: row.ratio for row in rows}
    return {f"tss_speed_vs_{tool}": ratios.get(tool) for tool in ("bedops", "pyranges", "bioframe")}


def versions() -> str:
    """The machine and the tools, for the head of the table."""
    found = [f"Python {platform.python_version()}"]
    for package in ("numpy", "pandas", "pyarrow", "pyranges", "bioframe"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    if shutil.which(PROGRAM):
        text = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False)
        lines = (text.stdout + text.stderr).splitlines()
        found.append("BEDOPS " + next((line.split()[1] for line in lines if "version:" in line), "?"))
    else:
        found.append("BEDOPS not installed")
    return ", ".join(found)


def main() -> None:
    """Measure, print and (with ``--write``) keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=1_000_000)
    parser.add_argument("--tss", type=int, nargs="+", default=[20_000, 60_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows: list[Result] = []
    for count in options.tss:
        genes = tss_places(count)
        rows += file_results(options.variants, genes, options.rounds)
        for case in ("frames", "shuffled"):
            rows += frame_results(options.variants, genes, case, options.rounds)
    table = pd.DataFrame(rows)
    head = f"# medians of {options.rounds} interleaved rounds; {versions()}\n"
    sys.stdout.write(head + table.to_string(index=False) + "\n")
    if options.write:
        TABLE.write_text(head + table.to_csv(sep="\t", index=False))


if __name__ == "__main__":
    main()
