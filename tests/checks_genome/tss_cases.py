"""Sites and TSS of every awkward kind, and what BEDOPS itself says about them."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cisweave.genome.nearest import PROGRAM, BedopsSearch, TssIndex

CONTIGS = ["chr1", "chr10", "chr2", "Chr1", "chrX", "HLA-A*01:01", "1_random", "chr1_KI270706v1_random"]
EMPTY = "chrEmpty"
"""A contig that never has a TSS."""
TABLES = 400
SITES = 30
Case = tuple[list[str], list[int], pd.DataFrame]


def made_up_cases(tables: int = TABLES, seed: int = 20_000) -> Iterator[Case]:
    """Contigs and positions of sites with a table of TSS: ``chrom, tss, strand, gene_id``.

    Narrow stretches make ties, several genes at one TSS and sites on a TSS common; some lie beyond 32 bits; some tables
    have one TSS or leave most contigs without.
    """
    choose = random.Random(seed)
    for number in range(tables):
        contigs = choose.sample(CONTIGS, choose.randint(1, len(CONTIGS)))
        width = choose.choice([2, 6, 25, 400])
        bases = [0, choose.choice([0, 0, 2**31 - 10, 2**32, 10**11, 999_999_999_999_000])]

        def place(bases: list[int] = bases, width: int = width) -> int:
            return choose.choice(bases) + choose.randint(1, width)

        count = choose.choice([1, 2, 5, 20, 40])
        rows = [(choose.choice(contigs), place(), choose.choice("+-"), f"g{number}_{row}") for row in range(count)]
        tss = pd.DataFrame(rows, columns=["chrom", "tss", "strand", "gene_id"])
        sites = 0 if number % 100 == 99 else SITES
        names = [choose.choice([*contigs, *CONTIGS[:2], EMPTY]) for _ in range(sites)]
        yield names, [place() for _ in range(sites)], tss


def plain_search(chroms: list[str], positions: list[int], tss: pd.DataFrame) -> list[int]:
    """The rules spelt out, every site against every TSS: row of ``tss`` or -1."""
    found = []
    places = list(zip(tss["chrom"], tss["tss"].tolist(), strict=True))
    for chrom, pos in zip(chroms, positions, strict=True):
        best = -1
        for row, (contig, new) in enumerate(places):
            if contig != chrom:
                continue
            old = places[best][1]
            nearer = abs(new - pos) < abs(old - pos)
            tie_left = abs(new - pos) == abs(old - pos) and new < old
            same_left = new == old and new <= pos
            if best < 0 or nearer or tie_left or same_left:
                best = row
        found.append(best)
    return found


def plain_window(chroms: list[str], positions: list[int], tss: pd.DataFrame, reach: int) -> list[tuple[int, int]]:
    """Every site and TSS (row) within ``reach``: by site, distance, left first, and the rule for one place."""
    pairs = []
    for site, (chrom, pos) in enumerate(zip(chroms, positions, strict=True)):
        near = [
            (abs(place - pos), place > pos, row if place > pos else -row, row)
            for row, (contig, place) in enumerate(zip(tss["chrom"], tss["tss"].tolist(), strict=True))
            if contig == chrom and abs(place - pos) <= reach
        ]
        pairs += [(site, key[-1]) for key in sorted(near)]
    return pairs


def bedops_itself(chroms: list[str], positions: list[int], tss: pd.DataFrame) -> list[str]:
    """Gene of each site, or ``NA``, as a user gets it: files sorted by name (bytes) and position, names as they are."""
    order = sorted(range(len(chroms)), key=lambda site: (chroms[site].encode(), positions[site]))
    rows = sorted(tss.itertuples(index=False), key=lambda row: (row.chrom.encode(), row.tss))
    with tempfile.TemporaryDirectory(prefix="cisweave-tss-") as folder:
        sites_bed, tss_bed = Path(folder, "sites.bed"), Path(folder, "tss.bed")
        sites_bed.write_text("".join(f"{chroms[i]}\t{positions[i] - 1}\t{positions[i]}\n" for i in order))
        tss_bed.write_text("".join(f"{r.chrom}\t{r.tss - 1}\t{r.tss}\t{r.strand}\t{r.gene_id}\n" for r in rows))
        command = [PROGRAM, "--closest", "--dist", "--delim", "\t", str(sites_bed), str(tss_bed)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    genes = ["NA"] * len(chroms)
    for site, line in zip(order, lines, strict=True):
        fields = line.split("\t")
        genes[site] = fields[7] if len(fields) > 5 else "NA"
    return genes


def tss_cases(tables: int = TABLES) -> tuple[int, int | None]:
    """How many sites were looked up, and for how many both engines name the gene that BEDOPS itself names.

    ``None`` without BEDOPS.
    """
    cases = equal = 0
    has_bedops = shutil.which(PROGRAM) is not None
    for chroms, positions, tss in made_up_cases(tables):
        cases += len(chroms)
        if not has_bedops:
            continue
        genes = np.append(tss["gene_id"].to_numpy(dtype=object), "NA")
        index = TssIndex(tss)
        builtin = genes[index.closest(chroms, np.array(positions, dtype=np.int64))]
        with BedopsSearch(index) as search:
            wrapped = genes[search.closest(chroms, np.array(positions, dtype=np.int64))]
        found = zip(builtin, wrapped, bedops_itself(chroms, positions, tss), strict=True)
        equal += sum(len(set(trio)) == 1 for trio in found)
    return cases, equal if has_bedops else None
