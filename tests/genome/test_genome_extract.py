from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisweave.core.errors import CisweaveError
from cisweave.genome.extract import extract_codes, extract_sequences
from cisweave.genome.variants import normalise_variants
from cisweave.sequence.onehot import decode
from cisweave.tables.frames import write_parquet, write_tsv
from tests.genome.assemblies import random_bases

GENOME = random_bases(300, seed=3)


@pytest.fixture
def fasta(write_fasta: Callable[..., Path]) -> Path:
    return write_fasta({"chr1": GENOME[:150] + GENOME[150:].lower(), "chr2": "ACGTNRY"})


def oracle(pos: int, ref: str, allele: str, start: int, window: int) -> str:
    """Seal's haplotype window, letter by letter: crop around the middle of the changed, padded stretch."""
    padded = [GENOME[i].upper() if 0 <= i < len(GENOME) else "N" for i in range(start - 50, start + window + 50)]
    offset = pos - 1 - (start - 50)
    changed = padded[:offset] + list(allele) + padded[offset + len(ref) :]
    low = (len(changed) - window) // 2
    return "".join(changed[low : low + window])


def test_windows_of_the_genome(fasta: Path) -> None:
    loci = pd.DataFrame(
        {"locus_id": [4, 2, 9], "chrom": ["chr1", "2", "chr1"], "start": [148, -2, 296], "end": [156, 6, 304]}
    )
    codes = extract_codes(loci, fasta)
    assert codes.dtype == np.uint8
    assert [decode(row) for row in codes] == [GENOME[148:156], "NNACGTNN", GENOME[296:] + "NNNN"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), pos=st.integers(1, 300), window=st.sampled_from([40, 64]))
def test_haplotypes_follow_seals_crop(fasta: Path, data: st.DataObject, pos: int, window: int) -> None:
    ref = GENOME[pos - 1 : pos - 1 + data.draw(st.integers(1, 6))]
    alt = data.draw(st.text("ACGT", min_size=1, max_size=6))
    start = pos - window // 2 + data.draw(st.integers(-8, 8))
    rows = [
        {
            "locus_id": n,
            "chrom": "chr1",
            "start": start,
            "end": start + window,
            "pos": pos,
            "ref": ref,
            "alt": alt,
            "allele": a,
        }
        for n, a in enumerate(("ref", "alt"))
    ]
    ref_codes, alt_codes = extract_codes(pd.DataFrame(rows), fasta)
    assert decode(ref_codes) == oracle(pos, ref, ref, start, window)
    assert decode(alt_codes) == oracle(pos, ref, alt, start, window)
    plain = pd.DataFrame({"locus_id": [0], "chrom": ["chr1"], "start": [start], "end": [start + window]})
    assert (extract_codes(plain, fasta)[0] == ref_codes).all()


@pytest.mark.parametrize("write", [write_tsv, write_parquet])
def test_file_holds_codes_and_ids_and_is_reproducible(tmp_path: Path, fasta: Path, write) -> None:
    loci = pd.DataFrame(
        {
            "locus_id": [7, 8, 9],
            "chrom": "chr1",
            "start": 80,
            "end": 120,
            "pos": [np.nan, 100, 100],
            "ref": [None, GENOME[99], GENOME[99]],
            "alt": [None, "ACG", "ACG"],
            "allele": [None, "ref", "alt"],
            "kind": "x",
        }
    )
    path = tmp_path / ("loci.tsv" if write is write_tsv else "loci.parquet")
    write(loci, path)
    extract_sequences(fasta, tmp_path / "a.h5", path)
    time.sleep(1.1)  # HDF5 keeps times in whole seconds, if it is let to
    extract_sequences(fasta, tmp_path / "b.h5", path)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert (tmp_path / "a.h5.receipt.json").exists()
    with h5py.File(tmp_path / "a.h5") as store:
        assert store["locus_id"][:].tolist() == [7, 8, 9]
        assert store["locus_id"].dtype == np.int64
        assert store["codes"].dtype == np.uint8
        first, ref, alt = (decode(row) for row in store["codes"][:])
    assert first == ref == GENOME[80:120]
    assert alt == oracle(100, GENOME[99], "ACG", 80, 40)


def test_no_loci_give_an_empty_file(tmp_path: Path, fasta: Path) -> None:
    (tmp_path / "loci.tsv").write_text("locus_id\tchrom\tstart\tend\tpos\tref\talt\tallele\n")
    extract_sequences(fasta, tmp_path / "a.h5", tmp_path / "loci.tsv")
    with h5py.File(tmp_path / "a.h5") as store:
        assert store["codes"].shape[0] == 0
        assert store["locus_id"].shape == (0,)
        assert store["locus_id"].dtype == np.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": [120, 121]}, r"one length, not \[40, 41\]"),
        ({"locus_id": [1, 1]}, "locus_id stands in two rows"),
        ({"start": [120, 120]}, "locus 0: end 120 must be above start 120"),
        ({"chrom": ["chr1", "chr9"]}, "locus 1: contig chr9 is not in the FASTA"),
        ({"allele": ["", "both"], "pos": 100, "ref": "A", "alt": "C"}, "locus 1: allele must be ref, alt or empty"),
        ({"allele": ["", "alt"], "pos": 100, "ref": "A", "alt": ""}, "so pos, ref and alt must be there"),
        ({"allele": ["", "alt"]}, r"column\(s\) pos, ref, alt missing"),
        ({"start": ["x", "y"]}, "locus 0: start must be a whole number, not x"),
        ({"start": [80, 80.5], "end": 120.5}, r"locus 0: end must be a whole number, not 120\.5"),
        ({"end": [120, float("inf")]}, "locus 1: end must be a whole number, not inf"),
        ({"end": [120, 10**30]}, "locus 1: end must be a whole number"),
    ],
)
def test_broken_loci_are_named(fasta: Path, change: dict[str, object], message: str) -> None:
    loci = pd.DataFrame({"locus_id": [0, 1], "chrom": "chr1", "start": 80, "end": 120}).assign(**change)
    with pytest.raises(CisweaveError, match=message):
        extract_codes(loci, fasta)


def test_windows_around_variants_and_tss(tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path]) -> None:
    normalise_variants(
        write_vcf([("chr1", 100, ".", GENOME[99], "N,ACGTA")]), tmp_path / "v.tsv", tmp_path / "r.tsv", fasta
    )
    extract_sequences(fasta, tmp_path / "v.h5", variants=tmp_path / "v.tsv", window=20)
    with h5py.File(tmp_path / "v.h5") as store:
        assert store["locus_id"][:].tolist() == [b"1:2:ref", b"1:2:alt"]
        ref, alt = (decode(row) for row in store["codes"][:])
    assert ref == GENOME[90:110]
    assert ref[9] == GENOME[99]
    assert alt == oracle(100, GENOME[99], "ACGTA", 90, 20)
    (tmp_path / "tss.bed").write_text("chr1\t99\t100\t-\tg1\nchr2\t0\t1\t+\tg2\n")
    extract_sequences(fasta, tmp_path / "t.h5", tss=tmp_path / "tss.bed", window=20)
    with h5py.File(tmp_path / "t.h5") as store:
        assert store["locus_id"][:].tolist() == [b"g1", b"g2"]
        assert [decode(row) for row in store["codes"][:]] == [GENOME[90:110], "N" * 9 + "ACGTNNN" + "N" * 4]
    with pytest.raises(CisweaveError, match="exactly one of loci, tss and variants"):
        extract_sequences(fasta, tmp_path / "x.h5", tss=tmp_path / "tss.bed", variants=tmp_path / "v.tsv")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b\tchr1\t1.5\t41", r"line 3: locus b: start must be a whole number, not 1\.5"),
        ("b\tchr1\t\t41", "line 3: locus b: start must be a whole number, not empty"),
        ("\tchr1\t1\t41", "line 3: .*locus_id is empty"),
        ("b\t\t1\t41", "line 3: locus b: chrom is empty"),
    ],
)
def test_a_broken_locus_is_named_with_its_line(tmp_path: Path, fasta: Path, line: str, message: str) -> None:
    (tmp_path / "loci.tsv").write_text(f"locus_id\tchrom\tstart\tend\na\tchr1\t0\t40\n{line}\n")
    with pytest.raises(CisweaveError, match=rf"loci\.tsv, {message}"):
        extract_sequences(fasta, tmp_path / "a.h5", tmp_path / "loci.tsv")
    assert not (tmp_path / "a.h5").exists()
