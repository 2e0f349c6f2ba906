"""Memory of a long variant file on its way through normalising, the TSS and the ledger."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
CONTIGS = ("chr1", "chr2")
CONTIG_LENGTH = 20_000_000
LINE = 60
TSS = 500
"""So few that six of ten variants are far from any and stand in the ledger, as in a real genome."""
SEED = 7
LETTERS = np.frombuffer(b"ACGT", dtype=np.uint8)
INTERVAL = 0.02
"""Seconds between two looks at the memory of child processes."""


class Stream(NamedTuple):
    """What a run took: peak memory in MB (1e6 bytes), the children's included, and seconds."""

    peak_mb: float
    seconds: float


# --- the files --------------------------------------------------------------------------------------------------------
def write_genome(folder: Path) -> list[NDArray[np.uint8]]:
    """Two contigs of random bases, indexed; their codes (bases,)."""
    import pysam

    generator = np.random.default_rng(SEED)
    contigs = [generator.integers(0, 4, CONTIG_LENGTH, dtype=np.uint8) for _ in CONTIGS]
    with (folder / "genome.fa").open("wb") as handle:
        for name, codes in zip(CONTIGS, contigs, strict=True):
            handle.write(f">{name}\n".encode())
            whole = CONTIG_LENGTH // LINE * LINE
            lines = np.full((whole // LINE, LINE + 1), ord("\n"), dtype=np.uint8)
            lines[:, :LINE] = LETTERS[codes[:whole]].reshape(-1, LINE)
            handle.write(lines.tobytes())
            handle.write(LETTERS[codes[whole:]].tobytes() + b"\n")
    pysam.faidx(str(folder / "genome.fa"))
    return contigs


def write_tss(path: Path) -> None:
    """Random TSS as Seal's BED."""
    generator = np.random.default_rng(SEED + 1)
    place = generator.integers(1, CONTIG_LENGTH, TSS)
    table = pd.DataFrame({"chrom": np.array(CONTIGS)[generator.integers(0, 2, TSS)], "start": place - 1, "end": place})
    table = table.assign(strand=np.array(["+", "-"])[generator.integers(0, 2, TSS)])
    table.assign(gene=[f"gene{number}" for number in range(TSS)]).to_csv(path, sep="\t", header=False, index=False)


def write_vcf(path: Path, contigs: list[NDArray[np.uint8]], n: int) -> None:
    """``n`` records in order: substitutions, insertions, deletions, and one in a hundred with a wrong REF."""
    generator = np.random.default_rng(SEED + 2)
    with path.open("w") as handle:
        handle.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for spelling, codes in zip(("1", "chr2"), contigs, strict=True):
            count = n // len(CONTIGS)
            pos = np.sort(generator.choice(np.arange(1, CONTIG_LENGTH - 10), count, replace=False))
            letters = LETTERS.view("S1").astype("U1").astype(object)
            first, second, third = (letters[codes[pos - 1 + shift]] for shift in range(3))
            other = letters[(codes[pos - 1] + generator.integers(1, 4, count, dtype=np.uint8)) % 4]
            kind = generator.random(count)
            ref = np.where(kind < 0.95, first, first + second + third)
            ref = np.where(kind < 0.01, other, ref)
            alt = np.where(kind < 0.9, np.where(kind < 0.01, first, other), np.where(kind < 0.95, first + other, first))
            rows = {
                "chrom": spelling,
                "pos": pos,
                "id": ".",
                "ref": ref,
                "alt": alt,
                "q": ".",
                "f": "PASS",
                "i": "AF=0.1",
            }
            pd.DataFrame(rows).to_csv(handle, sep="\t", header=False, index=False)


# --- the run ----------------------------------------------------------------------------------------------------------
def run_stream(folder: Path) -> None:
    """Normalise, assign and close the books by the public functions, in this process."""
    from cisweave.genome.closest import closest_tss
    from cisweave.genome.ledger import balance_ledger
    from cisweave.genome.normalize import normalize_variants

    vcf, out = folder / "variants.vcf", folder / "out"
    normalize_variants(vcf, out / "normalized.vcf.gz", out / "1.tsv", folder / "genome.fa")
    closest_tss(out / "normalized.vcf.gz", folder / "tss.bed", out / "assigned.parquet", out / "2.tsv")
    rejected = [out / "1.tsv", out / "2.tsv"]
    books = (out / "ledger.tsv", out / "ledger.json")
    balance_ledger(out / "normalized.vcf.gz", rejected, [out / "assigned.parquet"], *books, vcf)


def high_water(pid: int) -> int:
    """Most memory (bytes resident) that a process has had; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def programs_of(pid: int) -> list[int]:
    """Other programs that a process runs (what it has only just forked is itself)."""
    try:
        own = Path(f"/proc/{pid}/exe").readlink()
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
        return [child for child in children if Path(f"/proc/{child}/exe").readlink() != own]
    except OSError:
        return []


def measure_stream(n: int) -> Stream:
    """Peak memory and time of a fresh process that takes ``n`` records all the way."""
    with tempfile.TemporaryDirectory(prefix="cisweave-stream-") as name:
        folder = Path(name)
        (folder / "out").mkdir()
        write_tss(folder / "tss.bed")
        write_vcf(folder / "variants.vcf", write_genome(folder), n)
        command = [sys.executable, "-m", "tests.checks_genome.streaming", "--folder", str(folder)]
        started = time.monotonic()
        peak = programs = 0
        with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
            while process.poll() is None:
                peak = max(peak, high_water(process.pid))
                programs = max(programs, sum(map(high_water, programs_of(process.pid))))
                time.sleep(INTERVAL)
        if process.returncode:
            raise RuntimeError(f"the stream of {n} records ended with status {process.returncode}")
        return Stream((peak + programs) / 1e6, time.monotonic() - started)


def stream_peak_mb(n: int) -> float:
    """Peak memory (MB, 1e6 bytes) of ``n`` records through normalising, the TSS and the ledger."""
    return measure_stream(n).peak_mb


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--n", type=int, default=100_000)
    words = parser.parse_args()
    if words.folder:
        run_stream(words.folder)
    else:
        print(measure_stream(words.n))
