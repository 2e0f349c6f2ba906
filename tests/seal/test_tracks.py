"""Labels of bins: a bin is positive where one peak covers at least half of it."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisweave.config import read_tracks
from cisweave.core.errors import CisweaveError
from cisweave.seal.tracks import label_bins, read_peaks

intervals = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 400)), max_size=8)


@given(intervals, st.integers(0, 150), st.sampled_from([50, 101, 200]))
def test_labels_against_the_plain_rule(peaks, first, bin_size):
    spans = np.array([(start, start + length) for start, length in peaks], dtype=np.int64).reshape(-1, 2)
    starts = np.arange(first, 1000, bin_size)
    expected = [
        any(min(start + bin_size, end) - max(start, begin) >= bin_size / 2 for begin, end in spans) for start in starts
    ]
    assert label_bins({"chr1": spans}, "chr1", starts, bin_size).tolist() == [int(label) for label in expected]


def test_contig_without_peaks():
    assert label_bins({}, "chr1", np.arange(0, 600, 200), 200).tolist() == [0, 0, 0]


def test_peak_files_are_relative_to_the_table(tmp_path):
    (tmp_path / "a.bed").write_text("chr1\t100\t300\nchr2\t5\t10\tname\n")
    (tmp_path / "tracks.tsv").write_text("track\tpeaks\nCTCF\ta.bed\n")
    tracks = read_tracks(tmp_path / "tracks.tsv")
    peaks = read_peaks(tracks["CTCF"])
    assert peaks["chr1"].tolist() == [[100, 300]]
    assert peaks["chr2"].tolist() == [[5, 10]]


def test_track_names_must_differ(tmp_path):
    (tmp_path / "a.bed").write_text("chr1\t1\t2\n")
    (tmp_path / "tracks.tsv").write_text("track\tpeaks\nCTCF\ta.bed\nCTCF\ta.bed\n")
    with pytest.raises(CisweaveError, match="track CTCF stands twice"):
        read_tracks(tmp_path / "tracks.tsv")


def test_missing_peak_file_is_named(tmp_path):
    (tmp_path / "tracks.tsv").write_text("track\tpeaks\nCTCF\tnone.bed\n")
    with pytest.raises(CisweaveError, match=r"none\.bed: this file does not exist"):
        read_peaks(read_tracks(tmp_path / "tracks.tsv")["CTCF"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t5\t5\n", "line 1: the end of a peak"),
        ("# c\n\ntrack name=x\nbrowser position chr1\nchr1\t1\t2\nchr1\t5\t4\n", "line 6: the end of a peak"),
        ("chr1\t1\t2\n\nchr1\t1.5\t2\n", "line 3: this is not a BED file"),
        ("chr1\tx\t5\n", "not a BED file"),
        (f"chr1\t1\t{10**25}\n", "line 1: this is not a BED file"),
        ("# only a comment\n", "holds no peak"),
        ("a\0b\n", "line 1: NUL bytes"),
        ("chr1 1 5\n", "not a BED file"),
    ],
)
def test_broken_peaks(tmp_path, text, message):
    (tmp_path / "a.bed").write_text(text)
    with pytest.raises(CisweaveError, match=message):
        read_peaks(tmp_path / "a.bed")


def test_peaks_need_a_text_file(tmp_path):
    with pytest.raises(CisweaveError, match="this is a folder"):
        read_peaks(tmp_path)
    (tmp_path / "a.bw").write_bytes(b"\x26\xfc\x8f\x88\x04\x00\n")
    with pytest.raises(CisweaveError, match=r"a\.bw, line 1"):
        read_peaks(tmp_path / "a.bw")


def test_header_lines_are_left_out_and_gzip_is_read(tmp_path):
    text = "track name=x\n#c\nchr2\t7\t9\nchr1\t1\t5\tpeak\nchr1\t0\t2"
    (tmp_path / "a.bed.gz").write_bytes(gzip.compress(text.encode()))
    peaks = read_peaks(tmp_path / "a.bed.gz")
    assert {chrom: rows.tolist() for chrom, rows in peaks.items()} == {"chr1": [[1, 5], [0, 2]], "chr2": [[7, 9]]}
