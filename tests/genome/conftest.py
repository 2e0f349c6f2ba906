"""Small genomes and variant files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest


@pytest.fixture
def write_fasta(tmp_path: Path) -> Callable[[dict[str, str], str], Path]:
    def write(contigs: dict[str, str], name: str = "genome.fa") -> Path:
        path = tmp_path / name
        with path.open("w") as handle:
            for contig, bases in contigs.items():
                lines = [bases[start : start + 50] for start in range(0, len(bases), 50)]
                handle.write(f">{contig}\n" + "\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def write_vcf(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: Sequence[Sequence[object]], name: str = "variants.vcf", header: bool = True) -> Path:
        path = tmp_path / name
        lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"] if header else []
        lines += ["\t".join(map(str, row)) for row in rows]
        path.write_text("\n".join(lines) + "\n" if lines else "")
        return path

    return write
