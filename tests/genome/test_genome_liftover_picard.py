"""Picard's LiftoverVcf as a second opinion (opt-in: it needs Java and picard-tools)."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cisweave.genome.liftover import liftover_variants
from cisweave.genome.normalize import normalize_variants
from cisweave.genome.table import read_variant_table
from cisweave.simulate import build_world
from cisweave.tables.frames import read_table
from cisweave.tables.ledger import read_ledger
from tests.genome.assemblies import Segment, make_assemblies, random_bases
from tests.genome.edits import left_aligned, random_edit

PICARD = shutil.which("PicardCommandLine") or shutil.which("picard-tools")
pytestmark = [
    pytest.mark.picard,
    pytest.mark.slow,
    pytest.mark.skipif(not (PICARD and shutil.which("java")), reason="Picard (picard-tools) or Java is not installed"),
]

EXPLAINED = {
    ("only Picard", "lift_split", ""),
    ("only Picard", "lift_repeat", ""),
    ("only ours", "", "MismatchedRefAllele"),
    ("only ours", "", "CannotLiftOver"),
}
"""Picard looks at the bases of REF alone: it keeps an indel at the edge of a block, though the target holds other bases
beside it; and it rejects one whose anchor base differs in the target, though that base is not changed (on an inverted
block as CannotLiftOver)."""

Key = tuple[int, int]
Place = tuple[str, int, str, str, bool]


def picard(vcf: Path, chain: Path, fasta: Path, folder: Path) -> tuple[dict[Key, Place], dict[Key, str]]:
    """Place (with whether it was swapped) or reason of rejection per record and allele."""
    copy = folder / fasta.name
    shutil.copy(fasta, copy)
    run("CreateSequenceDictionary", f"R={copy}", f"O={copy.with_suffix('.dict')}")
    files = [f"I={vcf}", f"O={folder / 'p.vcf'}", f"REJECT={folder / 'pr.vcf'}", f"CHAIN={chain}", f"R={copy}"]
    run("LiftoverVcf", *files, "RECOVER_SWAPPED_REF_ALT=true", "WARN_ON_MISSING_CONTIG=true")
    kept = {
        key_of(row[7]): (row[0], int(row[1]), row[3], row[4], "SwappedAlleles" in row[7])
        for row in rows(folder / "p.vcf")
    }
    return kept, {key_of(row[7]): row[6] for row in rows(folder / "pr.vcf")}


def run(*words: str) -> None:
    assert PICARD is not None
    done = subprocess.run(
        [PICARD, *words, "VALIDATION_STRINGENCY=LENIENT"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines() if not line.startswith("#")]


def key_of(info: str) -> Key:
    fields = dict(part.partition("=")[::2] for part in info.split(";"))
    return int(fields["CW_RECORD"]), int(fields["CW_ALLELE"])


def ours(vcf: Path, chain: Path, fasta: Path, folder: Path) -> tuple[dict[Key, Place], dict[Key, str]]:
    liftover_variants(vcf, chain, fasta, folder / "o.parquet", folder / "or.tsv")
    frame, ledger = read_variant_table(folder / "o.parquet"), read_ledger(folder / "or.tsv")
    columns = [frame[name].tolist() for name in ("record", "allele", "chrom", "pos", "ref", "alt", "swapped")]
    kept = {(row[0], row[1]): (*row[2:],) for row in zip(*columns, strict=True)}
    codes = dict(zip(zip(ledger["record"], ledger["allele"], strict=True), ledger["code"], strict=True))
    return kept, codes


def differences(mine: dict[Key, Place], other: dict[Key, Place], keys: set[Key]) -> dict[Key, str]:
    """Where the two disagree."""
    found = {}
    for key in keys:
        if key in mine and key in other and mine[key] != other[key]:
            found[key] = "place"
        elif (key in mine) != (key in other):
            found[key] = "only ours" if key in mine else "only Picard"
    return found


def test_the_built_in_world(tmp_path: Path) -> None:
    """The same verdict and place for all alleles but indels whose ALT the target holds, which Picard never swaps."""
    world = tmp_path / "world"
    build_world(world, "tiny", 1)
    genome, vcf = world / "genome", tmp_path / "n.vcf"
    normalize_variants(world / "variants/variants.vcf", vcf, tmp_path / "r.tsv", genome / "sim38.fa")
    chain = genome / "sim38ToSim19.over.chain"
    mine, codes = ours(vcf, chain, genome / "sim19.fa", tmp_path)
    theirs, filters = picard(vcf, chain, genome / "sim19.fa", tmp_path)
    assert set(mine) | set(codes) == set(theirs) | set(filters)
    truth = read_table(world / "truth/effects.tsv").drop_duplicates(["record", "allele"])
    indels = truth[(truth["swapped"] == 1) & (truth["ref"].str.len() != truth["alt"].str.len())]
    swapped_indels = set(zip(indels["record"], indels["allele"], strict=True))
    found = differences(mine, theirs, set(mine) | set(codes))
    unexplained = {key: kind for key, kind in found.items() if key not in swapped_indels}
    assert not unexplained, [
        (kind, mine.get(key), theirs.get(key), codes.get(key)) for key, kind in unexplained.items()
    ]
    assert len(mine) > 150
    assert any(place[4] for place in theirs.values())


def test_random_assemblies(tmp_path: Path, write_fasta: Callable[..., Path], write_vcf: Callable[..., Path]) -> None:
    """Offsets, gaps and inverted blocks with some substitutions in the target (:data:`EXPLAINED`)."""
    choose = random.Random(5)
    segments = [
        Segment(choice, choose.randint(40, 120))
        for _ in range(12)
        for choice in (choose.choice(["same", "inverted"]), choose.choice(["lost", "gained"]))
    ]
    pair = make_assemblies(segments, 7, random_bases(sum(part.length for part in segments if part.kind != "gained"), 7))
    bases = list(pair.target)
    for place in choose.sample(range(len(bases)), len(bases) // 40):
        bases[place] = choose.choice("ACGT")
    target, source = "".join(bases), pair.source
    lines = []
    for place in range(10, len(source) - 10, 4):
        edit = random_edit(choose, source, place)
        pos, ref, alt = left_aligned(source, edit)
        if len(ref) == 1 or len(alt) == 1:
            lines.append(("chrS", pos, ".", ref, alt))
    lines += [
        ("chrS", pos, ".", source[pos - 1], choose.choice(sorted(set("ACGT") - {source[pos - 1]})))
        for pos in range(3, len(source), 5)
    ]
    (tmp_path / "s.chain").write_text(pair.chain)
    origin, fasta = write_fasta({"chrS": source}, "s.fa"), write_fasta({"chrT": target}, "t.fa")
    (tmp_path / "p").mkdir()
    normalize_variants(write_vcf(sorted(lines, key=lambda row: row[1])), tmp_path / "n.vcf", tmp_path / "r.tsv", origin)
    mine, codes = ours(tmp_path / "n.vcf", tmp_path / "s.chain", fasta, tmp_path)
    theirs, filters = picard(tmp_path / "n.vcf", tmp_path / "s.chain", fasta, tmp_path / "p")
    assert set(mine) | set(codes) == set(theirs) | set(filters)
    found = differences(mine, theirs, set(mine) | set(codes))
    snvs = {key for key, place in (mine | theirs).items() if len(place[2]) == len(place[3]) == 1}
    assert not {key: kind for key, kind in found.items() if key in snvs}
    kinds = Counter((kind, codes.get(key, ""), filters.get(key, "")) for key, kind in found.items())
    assert set(kinds) <= EXPLAINED
    assert sum(kinds.values()) < 0.05 * len(theirs)
