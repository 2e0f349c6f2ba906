"""How many alleles of a built-in world the liftover puts where the world knows them to be, by class."""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import pandas as pd

from cisweave.config import LiftoverSettings
from cisweave.genome.liftover import liftover_variants
from cisweave.genome.normalize import normalize_variants
from cisweave.genome.table import read_variant_table
from cisweave.simulate import build_world
from cisweave.tables.frames import read_table
from cisweave.tables.ledger import read_ledger

CLASSES = ("snv", "indel", "multi_allelic", "swapped", "inverted", "split")
PLACE = ["chrom", "pos", "ref", "alt"]


def inversions(chain: Path) -> dict[str, tuple[int, int]]:
    """Where the target of each contig is inverted (0-based half-open), by the chain file's text."""
    found = {}
    for line in chain.read_text().splitlines():
        words = line.split()
        if words and words[0] == "chain" and words[9] == "-":
            size, start, end = int(words[8]), int(words[10]), int(words[11])
            found[words[7]] = (size - end, size - start)
    return found


def truth_of(world: Path) -> pd.DataFrame:
    """Every allele whose fate in sim19 is known: its place there, or empty where it is split, and its classes."""
    lines = (world / "variants/variants.vcf").read_text().splitlines()
    alts = [line.split("\t")[4].split(",") for line in lines if not line.startswith("#")]
    turned = inversions(world / "genome/sim38ToSim19.over.chain")
    good = read_table(world / "truth/effects.tsv").drop_duplicates(["record", "allele"])
    rows = []
    for row in good.itertuples():
        start, end = turned.get(row.chrom, (0, 0))
        marks = {
            "snv": len(row.ref) == len(row.alt) == 1,
            "indel": len(row.ref) != len(row.alt),
            "multi_allelic": len(alts[row.record - 1]) > 1,
            "swapped": bool(row.swapped),
            "inverted": start < row.pos <= end,
        }
        classes = [name for name, mark in marks.items() if mark]
        rows.append((row.record, row.allele, row.chrom, row.pos, row.ref, row.alt, bool(row.swapped), classes))
    bad = read_table(world / "truth/bad_records.tsv")
    split = bad.loc[bad["reason"] == "lift_split", ["record", "allele"]].itertuples(index=False, name=None)
    rows += [(*key, "", 0, "", "", False, ["split"]) for key in split]
    return pd.DataFrame(rows, columns=["record", "allele", *PLACE, "swapped", "classes"])


def count_right(world: Path, with_source: bool = False) -> dict[str, tuple[int, int]]:
    """Per class: alleles of which place, bases and ``swapped`` are the true ones, and all alleles."""
    genome = world / "genome"
    settings = LiftoverSettings(source_fasta=genome / "sim38.fa" if with_source else None)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        normalize_variants(world / "variants/variants.vcf", out / "n.vcf.gz", out / "1.tsv", genome / "sim38.fa")
        chain = genome / "sim38ToSim19.over.chain"
        liftover_variants(out / "n.vcf.gz", chain, genome / "sim19.fa", out / "l.parquet", out / "2.tsv", settings)
        lifted = read_variant_table(out / "l.parquet").set_index(["record", "allele"])
        codes = read_ledger(out / "2.tsv").set_index(["record", "allele"])["code"]
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in truth_of(world).itertuples():
        key = (row.record, row.allele)
        if row.classes == ["split"]:
            right = codes.get(key) == "lift_split"
        else:
            right = key in lifted.index and [*lifted.loc[key, [*PLACE, "swapped"]]] == [
                row.chrom, row.pos, row.ref, row.alt, row.swapped,
            ]  # fmt: skip
        for name in row.classes:
            counts[name][0] += right
            counts[name][1] += 1
    return {name: (counts[name][0], counts[name][1]) for name in CLASSES}


def lift_world_right(world: Path, with_source: bool = False) -> dict[str, float]:
    """Share of right alleles per class; the figure ``lift_world_right`` is the lowest."""
    return {
        name: right / number if number else 0.0 for name, (right, number) in count_right(world, with_source).items()
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        build_world(folder, sys.argv[1], int(sys.argv[2]))
        print(count_right(Path(folder)), count_right(Path(folder), with_source=True))
