"""The MEME reader and writer."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.motifs import Motif, read_meme, read_meme_file, write_meme

HEADER = "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n"
ROWS = " 0.5 0.25 0.125 0.125\n 0 0 1 0\n"


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def motif(title: str, rows: str = ROWS, fields: str = "alength= 4 w= 2 nsites= 20 E= 0") -> str:
    return f"MOTIF {title}\nletter-probability matrix: {fields}\n{rows}"


def test_values_are_read_as_acgt_rows(tmp_path: Path) -> None:
    (found,) = read_meme(write(tmp_path / "a.meme", HEADER + motif("MA0001.1 FOO")))
    assert found.pwm.dtype == np.float64
    np.testing.assert_array_equal(found.pwm, [[0.5, 0.0], [0.25, 0.0], [0.125, 1.0], [0.125, 0.0]])
    assert (found.matrix_id, found.name, found.nsites, found.width) == ("MA0001.1", "FOO", 20, 2)


@pytest.mark.parametrize(
    ("title", "matrix_id", "name"),
    [
        ("MA0036.3 GATA2", "MA0036.3", "GATA2"),
        ("MA0147.3 MA0147.3.MYC", "MA0147.3", "MYC"),
        ("MA0065.2 MA0065.2.Pparg::Rxra", "MA0065.2", "Pparg::Rxra"),
        ("MA0002.1 Z.names.with.dots", "MA0002.1", "Z.names.with.dots"),
        ("Nobox+M1945_1.02+D", "Nobox+M1945_1.02+D", "Nobox+M1945_1.02+D"),
        ("GGATTA MEME-1\twidth =   2  sites =  15  llr = 30  E-value = 1.2e-3", "GGATTA", "MEME-1"),
        ("1 width=2 sites=5", "1", "1"),
    ],
)
def test_trap_12_names_of_every_download_route(tmp_path: Path, title: str, matrix_id: str, name: str) -> None:
    (found,) = read_meme(write(tmp_path / "a.meme", HEADER + motif(title)))
    assert (found.matrix_id, found.name) == (matrix_id, name)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_motifs_may_follow_without_blank_line_and_carry_urls(tmp_path: Path, newline: str) -> None:
    text = (
        HEADER + motif("A a") + "URL http://x/a\n" + motif("B b") + "\n\nURL http://x/b\n\n" + motif("C c").rstrip("\n")
    )
    found = read_meme(write(tmp_path / "a.meme", text.replace("\n", newline)))
    assert [(m.matrix_id, m.url, m.width) for m in found] == [
        ("A", "http://x/a", 2),
        ("B", "http://x/b", 2),
        ("C", "", 2),
    ]


def test_width_may_be_unstated(tmp_path: Path) -> None:
    (found,) = read_meme(write(tmp_path / "a.meme", HEADER + motif("A", fields="")))
    assert found.width == 2
    assert found.nsites is None


def test_background_over_several_lines_and_gzip(tmp_path: Path) -> None:
    text = HEADER + "Background letter frequencies (from unknown source):\nA 0.3 C 0.2\nG 0.2 T 0.3\n\n" + motif("A")
    path = tmp_path / "a.meme.gz"
    path.write_bytes(gzip.compress(text.encode()))
    np.testing.assert_allclose(read_meme_file(path).background, [0.3, 0.2, 0.2, 0.3])


def test_version_5_alphabet_block_and_full_meme_output(tmp_path: Path) -> None:
    text = (
        "****\nMEME - Motif discovery tool\n****\nMEME version 5.5.7 (Release date: x)\n\n"
        'ALPHABET "DNA" DNA-LIKE\nA "Adenine" CC0000 ~ T "Thymine" 008000\nEND ALPHABET\n\n'
        "MOTIF GGATTA MEME-1\twidth =   2  sites =  15\n\nsome text\n"
        "log-odds matrix: alength= 4 w= 2 n= 1 bayes= 1 E= 1\n -10 20 30 -40\n 1 2 3 4\n\n"
        f"letter-probability matrix: alength= 4 w= 2 nsites= 15 E= 1.2e-3\n{ROWS}\nTime 1.2 secs.\n"
    )
    file = read_meme_file(write(tmp_path / "a.meme", text))
    assert file.version == "5.5.7"
    assert file.motifs[0].pwm[2, 1] == 1.0


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "MEME version"),
        ("ACGT\n", 1, "MEME version"),
        (HEADER, 6, "no motif"),
        (HEADER.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY") + motif("A"), 3, "alphabet"),
        (HEADER + "MOTIF A a\n\nMOTIF B b\n", 7, "no letter-probability matrix"),
        (HEADER + motif("A", fields="alength= 4 w= 3"), 8, "2 rows"),
        (HEADER + motif("A", rows=" 0.5 0.5 0.5 0.5\n 0 0 1 0\n"), 9, "sums to 2"),
        (HEADER + motif("A", rows=" 0.5 0.5 0 0\n 1.5 -0.5 0 0\n"), 10, "probabilities"),
        (HEADER + motif("A", rows=" 0.5 0.5 0\n 0 0 1\n"), 9, "4 probabilities"),
        (HEADER + motif("A", rows=" 0.5 0.5 0 x\n"), 9, "'x' should be a number"),
        (HEADER + motif("A", fields="alength= 20 w= 2"), 8, "alength"),
        (HEADER + motif("A", fields="alength= 4 w= two"), 8, "'two' should be a number"),
        (HEADER + "Background letter frequencies\nA 0.25 C x\n\n" + motif("A"), 7, "background"),
        (HEADER + "MOTIF\n", 7, "identifier"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = write(tmp_path / "bad.meme", text)
    with pytest.raises(CisweaveError, match=message) as caught:
        read_meme(path)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_round_trip_keeps_names_sites_urls_and_probabilities(tmp_path: Path) -> None:
    pwm = np.array([[0.1, 0.97], [0.2, 0.01], [0.3, 0.01], [0.4, 0.01]])
    motifs = [Motif("MA1.1", "MAX::MYC", pwm, 31.0, url="http://x"), Motif("X", "X", pwm[:, :1])]
    write_meme(tmp_path / "a.meme", motifs, background=(0.3, 0.2, 0.2, 0.3))
    file = read_meme_file(tmp_path / "a.meme")
    assert [(m.matrix_id, m.name, m.url) for m in file.motifs] == [("MA1.1", "MAX::MYC", "http://x"), ("X", "X", "")]
    assert file.motifs[0].nsites == 31
    np.testing.assert_allclose(file.motifs[0].pwm, pwm, atol=1e-6)
    np.testing.assert_allclose(file.background, [0.3, 0.2, 0.2, 0.3])


def test_trap_12_one_word_per_motif_for_programs_that_read_the_whole_line(tmp_path: Path) -> None:
    from tangermeme.io import read_meme as read_whole_line

    write_meme(tmp_path / "a.meme", [Motif("MA0139.2", "CTCF", np.full((4, 3), 0.25))], names=False)
    assert list(read_whole_line(str(tmp_path / "a.meme"))) == ["MA0139.2"]


def test_information_content_in_bits() -> None:
    certain = Motif("a", "a", np.array([[1.0, 0.5, 0.25], [0, 0.5, 0.25], [0, 0, 0.25], [0, 0, 0.25]]))
    assert certain.information_content == pytest.approx(2 + 1 + 0)


def test_reverse_complement_turns_both_axes() -> None:
    motif_ = Motif("a", "a", np.array([[0.7, 0.0], [0.1, 1.0], [0.1, 0.0], [0.1, 0.0]]))
    np.testing.assert_array_equal(motif_.reverse_complement().pwm, [[0.0, 0.1], [0.0, 0.1], [1.0, 0.1], [0.0, 0.7]])
