from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pysam
import pytest
import torch
from benchmarks.genome_extract import extract_speed
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cisweave.config import ExtractSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome import extract
from cisweave.genome.extract import extract_codes, extract_one_hot, extract_sequences
from cisweave.genome.loci import read_loci
from cisweave.sequence import Genome, SequenceStore, index_shards, one_hot_array
from cisweave.sequence.onehot import decode, encode
from cisweave.tables.frames import write_parquet, write_tsv
from cisweave.tables.ledger import read_ledger
from tests.genome.assemblies import random_bases, reverse_complement

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


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
        ({"start": [120, 120]}, "locus '0': end 120 must be above start 120"),
        ({"chrom": ["chr1", "chr9"]}, "locus '1': contig 'chr9' is not in the FASTA"),
        ({"allele": ["", "both"], "pos": 100, "ref": "A", "alt": "C"}, "locus '1': allele must be ref, alt or empty"),
        ({"allele": ["", "alt"], "pos": 100, "ref": "A", "alt": ""}, "so pos, ref and alt must be there"),
        ({"allele": ["", "alt"]}, r"column\(s\) pos, ref, alt missing"),
        ({"start": ["x", "y"]}, "locus '0': start must be a whole number, not 'x'"),
        ({"start": [80, 80.5], "end": 120.5}, r"locus '0': end must be a whole number, not '120\.5'"),
        ({"end": [120, float("inf")]}, "locus '1': end must be a whole number, not 'inf'"),
        ({"end": [120, 10**30]}, "locus '1': end must be a whole number"),
    ],
)
def test_broken_loci_are_named(fasta: Path, change: dict[str, object], message: str) -> None:
    loci = pd.DataFrame({"locus_id": [0, 1], "chrom": "chr1", "start": 80, "end": 120}).assign(**change)
    with pytest.raises(CisweaveError, match=message):
        extract_codes(loci, fasta)


def test_windows_around_variants_and_tss(tmp_path: Path, fasta: Path, write_vcf: Callable[..., Path]) -> None:
    vcf = write_vcf([("chr1", 100, ".", GENOME[99], f"N,{GENOME[99]}CGTA")])
    settings = ExtractSettings(window=20)
    with pytest.raises(CisweaveError, match=r"vcf, line 3: .*N.*--rejects"):
        extract_sequences(fasta, tmp_path / "v.h5", variants=vcf, settings=settings)
    assert not (tmp_path / "v.h5").exists()
    extract_sequences(fasta, tmp_path / "v.h5", variants=vcf, rejects=tmp_path / "r.tsv", settings=settings)
    assert read_ledger(tmp_path / "r.tsv")["code"].tolist() == ["invalid_allele"]
    with h5py.File(tmp_path / "v.h5") as store:
        assert store["locus_id"][:].tolist() == [b"1:2:ref", b"1:2:alt"]
        ref, alt = (decode(row) for row in store["codes"][:])
    assert ref == GENOME[90:110]
    assert ref[9] == GENOME[99]
    assert alt == oracle(100, GENOME[99], GENOME[99] + "CGTA", 90, 20)
    (tmp_path / "tss.bed").write_text("chr1\t99\t100\t-\tg1\nchr2\t0\t1\t+\tg2\n")
    extract_sequences(fasta, tmp_path / "t.h5", tss=tmp_path / "tss.bed", settings=settings)
    with h5py.File(tmp_path / "t.h5") as store:
        assert store["locus_id"][:].tolist() == [b"g1", b"g2"]
        assert [decode(row) for row in store["codes"][:]] == [GENOME[90:110], "N" * 9 + "ACGTNNN" + "N" * 4]
    with pytest.raises(CisweaveError, match="exactly one of loci, tss, variants"):
        extract_sequences(fasta, tmp_path / "x.h5", tss=tmp_path / "tss.bed", variants=vcf)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b\tchr1\t1.5\t41", r"line 3: locus 'b': start must be a whole number, not '1\.5'"),
        ("b\tchr1\t\t41", "line 3: locus 'b': start must be a whole number, not empty"),
        ("\tchr1\t1\t41", "line 3: .*locus_id is empty"),
        ("b\t\t1\t41", "line 3: locus 'b': chrom is empty"),
    ],
)
def test_a_broken_locus_is_named_with_its_line(tmp_path: Path, fasta: Path, line: str, message: str) -> None:
    (tmp_path / "loci.tsv").write_text(f"locus_id\tchrom\tstart\tend\na\tchr1\t0\t40\n{line}\n")
    with pytest.raises(CisweaveError, match=rf"loci\.tsv, {message}"):
        extract_sequences(fasta, tmp_path / "a.h5", tmp_path / "loci.tsv")
    assert not (tmp_path / "a.h5").exists()


# --- policies ---------------------------------------------------------------------------------------------------------
def write_loci(path: Path, rows: list[tuple[object, ...]], columns: str = "locus_id chrom start end") -> Path:
    write_tsv(pd.DataFrame(rows, columns=columns.split()), path)
    return path


def test_rejected_loci_stand_in_the_ledger_and_the_books_balance(tmp_path: Path, fasta: Path, caplog) -> None:
    rows = [("a", "chr1", 100, 104), ("b", "chr1", -2, 2), ("c", "chr9", 0, 4), ("d", "chr2", 2, 6)]
    loci = write_loci(tmp_path / "loci.tsv", rows)
    policies = ExtractSettings(edges="reject", unknown="reject")
    with caplog.at_level("INFO"):
        counts = extract_sequences(fasta, tmp_path / "a.h5", loci, rejects=tmp_path / "r.tsv", settings=policies)
    assert counts["in"] == 4 == counts["kept"] + counts["rejected"]
    assert (
        "extract: 4 loci in, 1 kept, 3 rejected (unknown_base 1, unknown_contig 1, window_off_contig 1)" in caplog.text
    )
    ledger = pd.read_csv(tmp_path / "r.tsv", sep="\t")
    assert ledger["locus_id"].tolist() == ["b", "c", "d"]
    assert ledger["line"].tolist() == [3, 4, 5]
    assert ledger["code"].tolist() == ["window_off_contig", "unknown_contig", "unknown_base"]
    assert read_ledger(tmp_path / "r.tsv")["record"].tolist() == [2, 3, 4]
    with SequenceStore(tmp_path / "a.h5") as store:
        assert store.ids == ["a"]


@pytest.mark.parametrize(
    ("settings", "rejects", "message"),
    [
        (ExtractSettings(edges="reject"), False, "name a file for them: --rejects"),
        (ExtractSettings(unknown="error"), False, r"locus 'd': 2 base\(s\) of the window are not A, C, G or T"),
        (ExtractSettings(unknown="error"), True, r"locus 'd': 2 base\(s\) of the window are not A, C, G or T"),
    ],
)
def test_policies_that_stop(
    tmp_path: Path, fasta: Path, settings: ExtractSettings, rejects: bool, message: str
) -> None:
    loci = write_loci(tmp_path / "loci.tsv", [("a", "chr1", 0, 4), ("d", "chr2", 2, 6)])
    ledger = tmp_path / "r.tsv" if rejects else None
    with pytest.raises(CisweaveError, match=message):
        extract_sequences(fasta, tmp_path / "a.h5", loci, rejects=ledger, settings=settings)
    assert not (tmp_path / "a.h5").exists()


def test_padding_does_not_count_as_unknown(tmp_path: Path, fasta: Path) -> None:
    loci = write_loci(tmp_path / "loci.tsv", [("a", "chr1", -2, 2), ("b", "chr1", 298, 302)])
    settings = ExtractSettings(unknown="error")
    extract_sequences(fasta, tmp_path / "a.h5", loci, settings=settings)
    with SequenceStore(tmp_path / "a.h5") as store:
        assert [decode(row) for row in store] == ["NN" + GENOME[:2], GENOME[298:] + "NN"]


def test_an_allele_is_rejected_with_both_haplotypes(tmp_path: Path, fasta: Path, write_vcf) -> None:
    vcf = write_vcf(
        [
            ("chr1", 100, ".", GENOME[99], "T" if GENOME[99] != "T" else "A"),
            ("chr1", 150, ".", GENOME[149], GENOME[149] + "A" * 30),
        ]
    )
    settings = ExtractSettings(window=20)
    counts = extract_sequences(fasta, tmp_path / "a.h5", variants=vcf, rejects=tmp_path / "r.tsv", settings=settings)
    assert (counts["in"], counts["kept"], counts["reasons"]) == (2, 1, {"allele_outside_window": 1})
    ledger = read_ledger(tmp_path / "r.tsv")
    assert ledger[["line", "record", "allele", "position", "alt"]].iloc[0].tolist() == [
        4, 2, 1, "150", GENOME[149] + "A" * 30,
    ]  # fmt: skip
    with SequenceStore(tmp_path / "a.h5") as store:
        assert store.ids == ["1:1:ref", "1:1:alt"]


# --- strands, peaks ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("window", [20, 21])
def test_genes_of_the_reverse_strand_hold_their_tss_at_the_same_index(tmp_path: Path, fasta: Path, window: int) -> None:
    (tmp_path / "tss.bed").write_text("chr1\t99\t100\t+\tg1\nchr1\t99\t100\t-\tg2\n")
    settings = ExtractSettings(window=window, strand="as_annotated")
    extract_sequences(fasta, tmp_path / "t.h5", tss=tmp_path / "tss.bed", settings=settings)
    with SequenceStore(tmp_path / "t.h5") as store:
        forward, reverse = (decode(row) for row in store)
    index = window // 2 - 1
    assert forward == GENOME[99 - index : 99 - index + window]
    assert forward[index] == GENOME[99]
    assert reverse[: index + 1] == reverse_complement(GENOME[99 : 99 + index + 1])
    assert reverse == reverse_complement(GENOME[99 + index + 1 - window : 99 + index + 1])


def test_strands_of_loci_count_only_where_asked(tmp_path: Path, fasta: Path) -> None:
    rows = [("a", "chr1", 10, 20, "-"), ("b", "chr1", 10, 20, "."), ("c", "chr1", 10, 20, "+")]
    loci = write_loci(tmp_path / "loci.tsv", rows, "locus_id chrom start end strand")
    for strand, expected in (("forward", GENOME[10:20]), ("as_annotated", reverse_complement(GENOME[10:20]))):
        extract_sequences(fasta, tmp_path / "a.h5", loci, settings=ExtractSettings(strand=strand))
        with SequenceStore(tmp_path / "a.h5") as store:
            assert [decode(row) for row in store] == [expected, GENOME[10:20], GENOME[10:20]]


PEAKS = (
    "chr1\t100\t111\tp1\t0\t+\t1\t-1\t-1\t2\n"
    "chr1\t100\t111\tp2\t0\t-\t1\t-1\t-1\t8\n"
    "chr1\t50\t61\tp3\t0\t.\t1\t-1\t-1\t-1\n"
)


def test_peaks_by_middle_summit_and_whole(tmp_path: Path, fasta: Path) -> None:
    (tmp_path / "p.narrowPeak").write_text("track name=x\n" + PEAKS)

    def windows(**settings: object) -> dict[str, str]:
        extract_sequences(
            fasta,
            tmp_path / "p.h5",
            peaks=tmp_path / "p.narrowPeak",
            rejects=tmp_path / "r.tsv",
            settings=ExtractSettings(window=10, **settings),
        )
        with SequenceStore(tmp_path / "p.h5") as store:
            return dict(zip(store.ids, map(decode, store), strict=True))

    assert windows() == {"p1": GENOME[100:110], "p2": GENOME[100:110], "p3": GENOME[50:60]}
    assert windows(centre="summit") == {"p1": GENOME[97:107], "p2": GENOME[103:113]}
    assert read_ledger(tmp_path / "r.tsv")[["code", "line"]].iloc[0].tolist() == ["no_summit", 4]
    assert windows(centre="whole", strand="as_annotated") == {
        "p1": GENOME[100:111],
        "p2": reverse_complement(GENOME[100:111]),
        "p3": GENOME[50:61],
    }


def test_peaks_without_names_of_their_own_go_by_their_place(tmp_path: Path, fasta: Path) -> None:
    (tmp_path / "p.bed").write_text("chr1\t10\t20\nchr1\t10\t20\r\nchr1\t30\t40")
    extract_sequences(fasta, tmp_path / "p.h5", peaks=tmp_path / "p.bed", settings=ExtractSettings(window=4))
    with SequenceStore(tmp_path / "p.h5") as store:
        assert store.ids == ["chr1:10-20", "chr1:10-20#2", "chr1:30-40"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t5", "2 tab-separated"),
        ("chr1\t9\t9", "columns 2 and 3"),
        ("\t1\t2", "contig"),
        ("chr1\tx\t9", "columns 2"),
    ],
)
def test_broken_peaks_are_named_with_their_line(tmp_path: Path, fasta: Path, line: str, message: str) -> None:
    (tmp_path / "p.bed").write_text(f"chr1\t10\t20\n{line}\n")
    with pytest.raises(CisweaveError, match=rf"p\.bed, line 2: .*{message}"):
        extract_sequences(fasta, tmp_path / "p.h5", peaks=tmp_path / "p.bed")


def test_whole_peaks_need_one_length(tmp_path: Path, fasta: Path) -> None:
    (tmp_path / "p.bed").write_text("chr1\t10\t20\nchr1\t10\t21\n")
    with pytest.raises(CisweaveError, match=r"one length, not \[10, 11\]"):
        extract_sequences(fasta, tmp_path / "p.h5", peaks=tmp_path / "p.bed", settings=ExtractSettings(centre="whole"))


# --- scattered jobs ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("source", ["loci", "variants"])
@pytest.mark.parametrize("shards", [1, 3, 7])
def test_shards_together_are_the_whole(tmp_path: Path, fasta: Path, write_vcf, source: str, shards: int) -> None:
    if source == "loci":
        given: dict[str, Path] = {
            "loci": write_loci(tmp_path / "l.tsv", [(n, "chr1", 10 * n, 10 * n + 20) for n in range(5)])
        }
    else:
        rows = [
            ("chr1", 20 * n + 50, ".", "ACGT".replace(GENOME[20 * n + 49], "")[0], GENOME[20 * n + 49])
            for n in range(5)
        ]
        given = {"variants": write_vcf([*rows, ("chr1", 5, ".", "A", "<DEL>")])}
    settings = ExtractSettings(window=20)
    whole = extract_sequences(fasta, tmp_path / "w.h5", **given, rejects=tmp_path / "w.tsv", settings=settings)
    parts = [
        extract_sequences(
            fasta,
            tmp_path / f"{n}.h5",
            **given,
            rejects=tmp_path / f"{n}.tsv",
            settings=settings,
            shard=n,
            shards=shards,
        )
        for n in range(1, shards + 1)
    ]
    assert sum(part["in"] for part in parts) == whole["in"]
    index_shards([tmp_path / f"{n}.h5" for n in range(1, shards + 1)], tmp_path / "index.json")
    with SequenceStore(tmp_path / "w.h5") as one, SequenceStore(tmp_path / "index.json", verify=True) as many:
        assert one.ids == many.ids
        assert (one.read() == many.read()).all()
        for locus_id in one.ids:
            assert (one.locus(locus_id) == many.locus(locus_id)).all()


def test_a_shard_beyond_the_last_is_refused(tmp_path: Path, fasta: Path) -> None:
    with pytest.raises(CisweaveError, match="shard must be from 1 to 2, not 3"):
        extract_sequences(fasta, tmp_path / "x.h5", tmp_path / "l.tsv", shard=3, shards=2)


# --- the fast path ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("packed", [False, True])
def test_many_windows_at_once_are_those_one_by_one(tmp_path: Path, write_fasta, packed: bool) -> None:
    bases = {"chr1": random_bases(40_000, 1), "chr2": random_bases(777, 2).lower(), "chr3": "NNRYACGTUN-*" * 9}
    path = write_fasta(bases)
    if packed:
        pysam.tabix_compress(str(path), str(path) + ".gz")
        path = path.with_name(path.name + ".gz")
    random = np.random.default_rng(0)
    loci = pd.DataFrame({"chrom": random.choice(list(bases), 2500), "start": random.integers(-1500, 41_000, 2500)})
    loci["end"] = loci["start"] + 1000
    hot = extract_one_hot(loci, path)
    assert hot.shape == (2500, 4, 1000)
    assert hot.dtype == torch.int8
    codes = extract_codes(loci.assign(locus_id=loci.index), path)
    with Genome(path) as genome:
        for number, (chrom, start, end) in enumerate(loci.itertuples(index=False, name=None)):
            expected = "".join(
                bases[chrom][i].upper() if 0 <= i < len(bases[chrom]) else "N" for i in range(start, end)
            )
            assert genome.fetch(chrom, start, end) == expected
            assert (codes[number] == encode(expected)).all()
    assert (hot.numpy() == one_hot_array(codes)).all()


def test_speed_is_measured_against_peers() -> None:
    figures = extract_speed(200)
    assert set(figures) >= {"extract_speed_vs_tangermeme", "extract_speed_vs_pyfaidx"}
    assert all(value > 0 for value in figures.values())


@pytest.mark.parametrize("source", ["loci", "tss", "peaks", "variants", "transcripts"])
def test_a_lost_row_is_noticed(tmp_path: Path, fasta: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    text = {
        "loci": "locus_id\tchrom\tstart\tend\na\tchr1\t0\t40\nb\tchr1\t9\t49\n",
        "tss": "chr1\t59\t60\t+\ta\nchr1\t69\t70\t+\tb\n",
        "peaks": "chr1\t50\t60\nchr1\t60\t70\n",
        "variants": f"chr1\t50\t.\t{GENOME[49]}\tGATTACA\nchr1\t60\t.\t{GENOME[59]}\tGATTACA\n",
        "transcripts": "".join(
            f'chr1\tx\texon\t{start}\t{start + 9}\t.\t+\t.\tgene_id "g"; transcript_id "t{start}";\n'
            for start in (11, 31)
        ),
    }
    path = tmp_path / {"loci": "a.tsv", "transcripts": "a.gtf", "variants": "a.vcf"}.get(source, "a.bed")
    path.write_text(text[source])
    options = {source: path, "settings": ExtractSettings(window=20)}
    assert extract_sequences(fasta, tmp_path / "a.h5", **options)["in"] == 2
    whole, splice = extract.batches, extract.splice_parts
    monkeypatch.setattr(extract, "batches", lambda frame: whole(frame.iloc[: len(frame) // 2]))
    monkeypatch.setattr(extract, "splice_parts", lambda found, _, *rest: splice(found, (0, 1), *rest))
    with pytest.raises(CisweaveError, match=r"do not balance: 2 \w+ in, 1 kept, 0 rejected"):
        extract_sequences(fasta, tmp_path / "b.h5", **options)
    assert not (tmp_path / "b.h5").exists()


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["3", "12"], [3, 12]),
        (["007", "12"], ["007", "12"]),
        (["1e3", "2"], ["1e3", "2"]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        (["1.5", "2"], ["1.5", "2"]),
    ],
)
def test_ids_are_kept_as_they_are_written(tmp_path: Path, ids: list[str], expected: list[object]) -> None:
    rows = "".join(f"{name}\tchr1\t{start}\t{start + 5}\n" for start, name in enumerate(ids))
    (tmp_path / "loci.tsv").write_text("locus_id\tchrom\tstart\tend\n" + rows)
    assert read_loci(tmp_path / "loci.tsv")["locus_id"].tolist() == expected
