"""Liftover on the real chains: positions there and back, and alleles in the pieces that exist in both builds."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

import pandas as pd

from cisweave.config import LiftoverSettings
from cisweave.genome.chain import Chain
from cisweave.genome.lift_bed import liftover_bed
from cisweave.genome.liftover import liftover_variants
from cisweave.genome.normalize import read_variants
from cisweave.genome.table import read_variant_table
from cisweave.sequence import Genome
from cisweave.tables.ledger import read_ledger

CHR20 = "variants/1000G_p3.hg19.chr20_1M-2M.vcf.gz"
SEAL = "variants/Seal_test_var.vcf"
THERE, BACK = "chain/hg19ToHg38.over.chain.gz", "chain/hg38ToHg19.over.chain.gz"
HG19, HG38 = "genome/hg19_pieces.fa.gz", "genome/hg38_pieces.fa.gz"


def lift_real_roundtrip(data: Path) -> float:
    """Share of the 1000 Genomes positions of chr20 (REF as an interval) that come back from hg38 to where they were."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        variants, _ = read_variants(data / CHR20)
        start = variants["pos"] - 1
        bed = pd.DataFrame({"chrom": variants["chrom"], "start": start, "end": start + variants["ref"].str.len()})
        bed.to_csv(out / "a.bed", sep="\t", header=False, index=False)
        files = (out / "a.bed", data / THERE, out / "b.bed", out / "r.tsv")
        liftover_bed(*files, LiftoverSettings(min_match=1.0), data / BACK)
        notes = json.loads((out / "b.bed.receipt.json").read_text())["identity"]
        return float(notes["round_trip"]["returned"] / notes["intervals"]["in"])


def write_made_up(genome: Genome, path: Path, step: int = 100) -> int:
    """Substitutions, insertions, deletions and exchanges of the first megabase of chr1; their number."""
    choose, number = random.Random(1), 0
    with path.open("w") as handle:
        for pos in range(10_500, 990_000, step):
            ref = genome.fetch("chr1", pos - 1, pos - 1 + choose.choice([1, 1, 1, 2, 3, 6, 20]))
            alt = choose.choice(
                [
                    ref[0],
                    ref[0] + "".join(choose.choices("ACGT", k=choose.randint(1, 8))),
                    choose.choice("ACGT"),
                    ref * 2,
                ]
            )
            if ref != alt and "N" not in ref:
                handle.write(f"chr1\t{pos}\t.\t{ref}\t{alt}\n")
                number += 1
    return number


def write_differences(data: Path, path: Path) -> int:
    """Append what hg38 has instead of the bases of hg19 as alleles: substitutions and small gaps; their number."""
    chain, positions = Chain(data / THERE), range(10_500, 990_000)
    number, last = 0, (0, 0)
    with Genome(data / HG19) as old, Genome(data / HG38) as new, path.open("a") as handle:
        before, after = old.fetch("chr1", 0, 1_000_000), new.fetch("chr1", 0, 1_000_000)
        for pos, places in zip(positions, chain.matches("chr1", positions), strict=True):
            if len(places) != 1 or places[0][0] != "chr1" or places[0][2] != "+" or places[0][1] > 1_000_000:
                continue
            target = places[0][1]
            start, ref, alt = pos, before[pos - 1], after[target - 1]
            gaps = pos - last[0], target - last[1]
            if gaps[0] != gaps[1] and min(gaps) == 1 and max(gaps) < 20:
                start, ref, alt = last[0], before[last[0] - 1 : pos - 1], after[last[1] - 1 : target - 1]
            last = (pos, target)
            if ref != alt and "N" not in ref + alt:
                handle.write(f"chr1\t{start}\t.\t{ref}\t{alt}\n")
                number += 1
    return number


def lift_chr1(data: Path, folder: Path, with_source: bool) -> dict[str, float]:
    """Lift made-up alleles of chr1 0-1 Mb and Seal's to hg38 and back.

    Returns
    -------
    dict
        ``alleles``, ``lifted``, ``swapped``, ``wrong_ref`` (REF that pysam does not find in hg38), ``wrong_haplotype``
        (upright alleles whose sequence with 12 unchanged bases on both sides is not that of hg19) and ``returned``.
    """
    import pysam

    vcf, out = folder / "made_up.vcf", folder / f"lifted{with_source}.parquet"
    with Genome(data / HG19) as genome:
        number = write_made_up(genome, vcf)
    seal = [line for line in (data / SEAL).read_text().splitlines() if int(line.split("\t")[1]) < 990_000]
    with vcf.open("a") as handle:
        handle.writelines(f"{line}\n" for line in seal)
    differences = write_differences(data, vcf)
    settings = LiftoverSettings(source_fasta=data / HG19 if with_source else None)
    liftover_variants(vcf, data / THERE, data / HG38, out, folder / "rejected.tsv", settings, data / BACK)
    lifted, rejected = read_variant_table(out), read_ledger(folder / "rejected.tsv")
    trip = json.loads(out.with_name(out.name + ".receipt.json").read_text())["identity"]["round_trip"]
    assert len(lifted) + len(rejected) == number + len(seal) + differences
    wrong_ref = wrong_haplotype = 0
    with pysam.FastaFile(str(data / HG19)) as old, pysam.FastaFile(str(data / HG38)) as new:
        for row in lifted.to_dict("records"):
            chrom, pos, ref = row["chrom"], row["pos"], row["ref"]
            wrong_ref += new.fetch(chrom, pos - 1, pos - 1 + len(ref)).upper() != ref
            wrong_haplotype += not same_haplotype(old, new, row)
    return {
        "alleles": len(lifted) + len(rejected),
        "lifted": len(lifted),
        "differences": differences,
        "swapped": int(lifted["swapped"].sum()),
        "wrong_ref": wrong_ref,
        "wrong_haplotype": wrong_haplotype,
        "returned": trip["returned"],
    }


def same_haplotype(old: object, new: object, row: dict[str, object], flank: int = 40) -> bool:
    """Whether the alternative sequence of hg38 within ``flank`` bases stands in that of hg19, strand aside.

    Where the builds differ by something else within reach there is nothing to say, and the answer is yes.
    """
    from tests.genome.assemblies import reverse_complement

    def text(fasta: object, chrom: object, start: int, end: int) -> str:
        return str(fasta.fetch(chrom, max(start, 0), end).upper())  # type: ignore[attr-defined]

    pos, ref, alt = int(str(row["source_pos"])), str(row["source_ref"]), str(row["source_alt"])
    first = text(old, row["source_chrom"], pos - 1 - 3 * flank, pos - 1)
    last = text(old, row["source_chrom"], pos - 1 + len(ref), pos - 1 + len(ref) + 3 * flank)
    there = int(str(row["pos"]))
    target = [str(row[name]) for name in ("alt", "ref")][:: -1 if row["swapped"] else 1]
    left, right = (
        text(new, row["chrom"], there - 1 - flank, there - 1),
        text(new, row["chrom"], there - 1 + len(str(row["ref"])), there - 1 + len(str(row["ref"])) + flank),
    )
    pieces = [left + allele + right for allele in target]
    if row["lift_strand"] == "-":
        pieces = [reverse_complement(piece) for piece in pieces]
    found = [piece in first + allele + last for piece, allele in zip(pieces, (alt, ref), strict=True)]
    return all(found) or not any(found)


if __name__ == "__main__":
    root = Path(sys.argv[1])
    print("lift_real_roundtrip", lift_real_roundtrip(root))
    with tempfile.TemporaryDirectory() as name:
        for source in (False, True):
            print(source, lift_chr1(root, Path(name), source))
    print(len(Chain(root / BACK).headers))
