"""Cutting 50,000 windows of 2 kb out of a FASTA: cisweave against tangermeme's ``extract_loci`` and plain pyfaidx.

All give the same one-hot int8 tensor (loci, 4, length) from the same file and table, opened afresh each time; the
results are compared once, then runs are interleaved and the medians taken. ``codes`` is the same without one-hot (for
tangermeme, its packed form). Genome: three contigs of random bases; loci in random order.

Run: python benchmarks/genome_extract.py [--loci 50000] [--rounds 7] [--out TSV]; figures are kept in genome_extract.tsv
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TABLE = Path(__file__).with_suffix(".tsv")
CONTIGS = 3
CONTIG_LENGTH = 30_000_000
WINDOW = 2000
LINE = 60
OURS, TANGERMEME, PYFAIDX = "cisweave", "tangermeme", "pyfaidx"


def write_genome(path: Path, contig_length: int, seed: int = 0) -> None:
    """Write contigs of random bases in lines of 60."""
    random = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", np.uint8)
    with open(path, "wb") as handle:
        for number in range(1, CONTIGS + 1):
            lines = np.full((contig_length // LINE, LINE + 1), ord("\n"), np.uint8)
            lines[:, :LINE] = letters[random.integers(0, 4, (len(lines), LINE), dtype=np.uint8)]
            handle.write(f">chr{number}\n".encode() + lines.tobytes())


def random_loci(number: int, contig_length: int, seed: int = 1) -> pd.DataFrame:
    """Loci inside the contigs, in random order."""
    random = np.random.default_rng(seed)
    start = random.integers(0, contig_length - WINDOW, number)
    chrom = [f"chr{contig}" for contig in random.integers(1, CONTIGS + 1, number)]
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + WINDOW})


# --- the contestants --------------------------------------------------------------------------------------------------
def ours_one_hot(fasta: Path, loci: pd.DataFrame) -> Any:
    """Cisweave, one-hot."""
    from cisweave.genome.extract import extract_one_hot

    return extract_one_hot(loci, fasta)


def ours_codes(fasta: Path, loci: pd.DataFrame) -> Any:
    """Cisweave, codes."""
    from cisweave.sequence import Genome

    with Genome(fasta) as genome:
        return genome.bulk_codes(loci["chrom"].to_numpy(), loci["start"].to_numpy(), WINDOW)


def tangermeme_one_hot(fasta: Path, loci: pd.DataFrame) -> Any:
    """Tangermeme with its own defaults (up to four threads)."""
    from tangermeme.io import extract_loci

    return extract_loci(loci, str(fasta), in_window=WINDOW)


def tangermeme_codes(fasta: Path, loci: pd.DataFrame) -> Any:
    """Tangermeme's packed form."""
    from tangermeme.io import extract_loci

    return extract_loci(loci, str(fasta), in_window=WINDOW, return_packed=True)


def pyfaidx_one_hot(fasta: Path, loci: pd.DataFrame) -> Any:
    """Pyfaidx window by window, one-hot through a table."""
    import torch

    codes = pyfaidx_codes(fasta, loci)
    return torch.from_numpy((codes[:, None] == np.arange(4, dtype=np.uint8)[:, None]).view(np.int8))


def pyfaidx_codes(fasta: Path, loci: pd.DataFrame) -> Any:
    """Pyfaidx window by window, codes through a table."""
    import pyfaidx

    table = np.full(256, 4, np.uint8)
    table[np.frombuffer(b"ACGTacgt", np.uint8)] = [0, 1, 2, 3] * 2
    codes = np.empty((len(loci), WINDOW), np.uint8)
    with pyfaidx.Fasta(str(fasta), as_raw=True) as genome:
        for row, (chrom, start, end) in enumerate(loci.itertuples(index=False, name=None)):
            codes[row] = table[np.frombuffer(genome[chrom][start:end].encode(), np.uint8)]
    return codes


PRODUCTS: dict[str, dict[str, Callable[[Path, pd.DataFrame], Any]]] = {
    "one_hot": {OURS: ours_one_hot, TANGERMEME: tangermeme_one_hot, PYFAIDX: pyfaidx_one_hot},
    "codes": {OURS: ours_codes, TANGERMEME: tangermeme_codes, PYFAIDX: pyfaidx_codes},
}


# --- measuring --------------------------------------------------------------------------------------------------------
def check_same(fasta: Path, loci: pd.DataFrame) -> None:
    """Raise unless all give the same one-hot tensor, and cisweave the same codes as pyfaidx."""
    results = {name: run(fasta, loci) for name, run in PRODUCTS["one_hot"].items()}
    for name in (TANGERMEME, PYFAIDX):
        if not bool((results[OURS] == results[name]).all()):
            raise RuntimeError(f"{OURS} and {name} differ")
    if not (ours_codes(fasta, loci) == pyfaidx_codes(fasta, loci)).all():
        raise RuntimeError("the codes differ")


def rotated(
    contestants: dict[str, Callable[[Path, pd.DataFrame], Any]], turn: int
) -> list[tuple[str, Callable[[Path, pd.DataFrame], Any]]]:
    """The contestants, each round beginning with another one: the first pays for memory that the last gave back."""
    listed = list(contestants.items())
    turn %= len(listed)
    return listed[turn:] + listed[:turn]


def measure(number: int, rounds: int, contig_length: int, products: tuple[str, ...]) -> pd.DataFrame:
    """Median seconds of interleaved runs, and the others' time over ours.

    Returns
    -------
    pandas.DataFrame
        ``product, program, loci, rounds, median_s, min_s, time_over_cisweave`` (median of the rounds' ratios).
    """
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="genome_extract-") as folder:
        fasta = Path(folder) / "genome.fa"
        write_genome(fasta, contig_length)
        loci = random_loci(number, contig_length)
        check_same(fasta, loci.head(2000))
        for number_of_round in range(rounds):
            for product in products:
                for name, run in rotated(PRODUCTS[product], number_of_round):
                    start = time.perf_counter()
                    result = run(fasta, loci)
                    times.setdefault((product, name), []).append(time.perf_counter() - start)
                    del result
    rows = []
    for (product, name), values in times.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(values, times[product, OURS], strict=True))
        best = (round(statistics.median(values), 4), round(min(values), 4), round(ratio, 2))
        rows.append((product, name, number, rounds, *best))
    columns = ["product", "program", "loci", "rounds", "median_s", "min_s", "time_over_cisweave"]
    return pd.DataFrame(rows, columns=columns)


def extract_speed(n: int = 50_000, rounds: int = 5) -> dict[str, float]:
    """How many times longer tangermeme and pyfaidx take than cisweave for ``n`` one-hot windows of 2 kb.

    The genome shrinks with ``n`` (1,800 bases per locus, as in the full size), so that a small run is quick.
    """
    contig_length = max(CONTIG_LENGTH * min(n, 50_000) // 50_000, 50 * WINDOW) // LINE * LINE
    table = measure(n, rounds, contig_length, ("one_hot",)).set_index("program")
    return {
        "extract_speed_vs_tangermeme": float(table.loc[TANGERMEME, "time_over_cisweave"]),
        "extract_speed_vs_pyfaidx": float(table.loc[PYFAIDX, "time_over_cisweave"]),
    }


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loci", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
    table = measure(options.loci, options.rounds, CONTIG_LENGTH, tuple(PRODUCTS))
    table.to_csv(options.out, sep="\t", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
