from __future__ import annotations

import bz2
import gzip
import os
import threading
from pathlib import Path

import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pysam import bcftools

from cisweave.core.errors import CisweaveError
from cisweave.genome.chain import read_chains
from cisweave.genome.genes import read_genes
from cisweave.genome.vcf import VcfRecord, read_records, seekable

SEAL_FORM = "chr1\t665024\t-\tA\tG\nchr1\t778112\t-\tG\tA\n"
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\n"


def records_of(path: Path, data: str | bytes) -> list[VcfRecord]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read_records(path))


def test_headerless_five_columns(tmp_path: Path) -> None:
    assert records_of(tmp_path / "seal.vcf", SEAL_FORM) == [
        VcfRecord(1, 1, "chr1", "665024", "-", "A", ("G",)),
        VcfRecord(2, 2, "chr1", "778112", "-", "G", ("A",)),
    ]


def test_header_shifts_lines_not_records(tmp_path: Path) -> None:
    (record,) = records_of(tmp_path / "a.vcf", HEADER + "chr1\t5\trs1\tA\tC,T\t.\tPASS\t.\tGT\t0|1\n")
    assert record == VcfRecord(1, 4, "chr1", "5", "rs1", "A", ("C", "T"), info=".")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.rstrip("\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace("\n", " \n"),
    ],
    ids=["unix", "windows", "old-mac", "no-final-newline", "byte-order-mark", "blank-lines", "trailing-blanks"],
)
def test_line_ends_and_blanks_do_not_matter(tmp_path: Path, change) -> None:
    plain = [record[2:] for record in records_of(tmp_path / "a.vcf", SEAL_FORM)]
    assert [record[2:] for record in records_of(tmp_path / "b.vcf", change(SEAL_FORM))] == plain


def test_gzip_and_bgzip_read_like_plain_text(tmp_path: Path) -> None:
    plain = records_of(tmp_path / "a.vcf", HEADER + SEAL_FORM)
    assert records_of(tmp_path / "a.vcf.gz", gzip.compress((HEADER + SEAL_FORM).encode())) == plain
    pysam.tabix_compress(str(tmp_path / "a.vcf"), str(tmp_path / "b.vcf.gz"))
    assert list(read_records(tmp_path / "b.vcf.gz")) == plain


def make_bcf(tmp_path: Path, text: str) -> Path:
    format_line = '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    (tmp_path / "in.vcf").write_text(text.replace("##contig", format_line + "##contig"))
    bcftools.view("-O", "b", "-o", str(tmp_path / "a.bcf"), str(tmp_path / "in.vcf"), catch_stdout=False)
    return tmp_path / "a.bcf"


def test_bcf_reads_like_text_with_records_for_lines(tmp_path: Path) -> None:
    text = HEADER + "".join(
        f"chr1\t{pos}\trs{pos}\tA\t{alt}\t.\tPASS\t.\tGT\t0|1\n" for pos, alt in ((5, "C,T"), (9, "<DEL>"), (12, "AT"))
    )
    text = text.replace(
        "##contig", '##ALT=<ID=DEL,Description="d">\n##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n##contig'
    )
    plain = records_of(tmp_path / "b.vcf", text)
    found = list(read_records(make_bcf(tmp_path, text)))
    assert [record[2:] for record in found] == [record[2:] for record in plain]
    assert [record.line for record in found] == [1, 2, 3]


def test_truncated_or_damaged_bcf_is_an_error(tmp_path: Path) -> None:
    bcf = make_bcf(tmp_path, HEADER + "chr1\t5\t.\tA\tC\t.\tPASS\t.\tGT\t0|1\n" * 3000)
    whole = bcf.read_bytes()
    for data in (whole[:-28], whole[: len(whole) // 2], whole[:300] + bytes(200) + whole[500:]):
        with pytest.raises(CisweaveError, match=r"truncated|damaged"):
            records_of(bcf, data)


def test_pipes_are_read_and_devices_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    packed = gzip.compress((HEADER + SEAL_FORM).encode())
    writer = threading.Thread(target=pipe.write_bytes, args=(packed,))
    writer.start()
    with seekable(pipe) as copy:
        assert [record.pos for record in read_records(copy)] == ["665024", "778112"]
    writer.join()
    with pytest.raises(CisweaveError, match="neither a file nor a pipe"), seekable("/dev/zero"):
        pass


def test_na_is_text(tmp_path: Path) -> None:
    (record,) = records_of(tmp_path / "a.vcf", "NA\t7\tNA\tNA\tNA\n")
    assert record == VcfRecord(1, 1, "NA", "7", "NA", "NA", ("NA",))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("chr1\t5\t.\tA", "4 tab-separated field(s) instead of at least 5"),
        ("chr1 5 . A C", "1 tab-separated field(s) instead of at least 5"),
        ("\t5\t.\tA\tC", "CHROM empty"),
        ("chr1\t\t.\t\tC", "POS and REF empty"),
        ("chr1\t5\t.\tA\x01\tC", "the line holds control characters"),
    ],
)
def test_malformed_lines_are_handed_on(tmp_path: Path, line: str, problem: str) -> None:
    records = records_of(tmp_path / "a.vcf", line + "\nchr1\t9\t.\tA\tC\n")
    assert [record.problem for record in records] == [problem, ""]
    assert [record.record for record in records] == [1, 2]


def test_empty_files_hold_no_record(tmp_path: Path) -> None:
    assert records_of(tmp_path / "a.vcf", "") == []
    assert records_of(tmp_path / "b.vcf", HEADER) == []
    assert records_of(tmp_path / "c.vcf.gz", gzip.compress(b"", mtime=0)) == []


def test_truncated_bgzip_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.vcf").write_text(HEADER + SEAL_FORM)
    pysam.tabix_compress(str(tmp_path / "a.vcf"), str(tmp_path / "a.vcf.gz"))
    whole = (tmp_path / "a.vcf.gz").read_bytes()
    for cut in (28, 1, 40):
        with pytest.raises(CisweaveError, match="end marker of bgzip is absent"):
            records_of(tmp_path / "b.vcf.gz", whole[:-cut])


def test_truncated_or_damaged_gzip_is_an_error(tmp_path: Path) -> None:
    whole = gzip.compress((HEADER + SEAL_FORM * 1000).encode())
    for data in (whole[: len(whole) // 2], whole[:-4], whole + b"rubbish", whole[:40] + b"\0" * 40 + whole[80:]):
        with pytest.raises(CisweaveError, match=r"truncated or damaged"):
            records_of(tmp_path / "a.vcf.gz", data)


def test_what_is_not_a_variant_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="this is a folder"):
        list(read_records(tmp_path))
    with pytest.raises(CisweaveError, match="does not exist"):
        list(read_records(tmp_path / "absent.vcf"))
    with pytest.raises(CisweaveError, match="web page"):
        records_of(tmp_path / "page.vcf", "<!DOCTYPE html>\n<html>404</html>\n")
    with pytest.raises(CisweaveError, match="the BCF is truncated or damaged"):
        records_of(tmp_path / "a.bcf", gzip.compress(b"BCF\x02\x02rest", mtime=0))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_any_bytes_give_records_or_one_message(tmp_path: Path, data: bytes) -> None:
    try:
        records = records_of(tmp_path / "fuzz.vcf", data)
    except CisweaveError:
        return
    assert [record.record for record in records] == list(range(1, len(records) + 1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 9, "this is an image"),
        (b"PK\x03\x04\x14" + b"\n" * 2000, "zip archive; unpack"),
        (bz2.compress(SEAL_FORM.encode()), "bunzip2"),
        (b"PAR1\x15\x04\n\n\n", "this is Parquet"),
        (SEAL_FORM.encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        (gzip.compress(SEAL_FORM.encode(), mtime=0), "this is gzip within gzip"),
        (SEAL_FORM.encode("utf-16-le"), "line 1: NUL bytes"),
        (SEAL_FORM.encode() + b"\0\n" * 1000, "line 3: NUL bytes"),
    ],
)
def test_binary_files_are_one_message_packed_or_not(tmp_path: Path, data: bytes, message: str) -> None:
    if not data.startswith(b"\x1f\x8b"):
        with pytest.raises(CisweaveError, match=message):
            records_of(tmp_path / "a.vcf", data)
    with pytest.raises(CisweaveError, match=message):
        records_of(tmp_path / "a.vcf.gz", gzip.compress(data, mtime=0))
    for read in (read_genes, read_chains):
        with pytest.raises(CisweaveError):
            list(read(tmp_path / "a.vcf.gz"))


def test_a_contig_may_be_named_like_a_magic_number(tmp_path: Path) -> None:
    names = ["PAR1", "BCF", "BZh9", "PK"]
    for name in names:
        assert records_of(tmp_path / "a.vcf", f"{name}\t5\t.\tA\tC\n")[0].chrom == name
