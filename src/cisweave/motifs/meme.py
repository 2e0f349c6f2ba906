"""The one reader and writer of the MEME motif format (https://meme-suite.org/meme/doc/meme-format.html).

Read are the minimal format of versions 3 to 5 and the full text output of MEME: ``ALPHABET= ACGT`` or a version 5
alphabet block, Windows line ends, gzip, alternative names, ``URL`` lines, background frequencies over several lines,
matrices that end at the next motif without a blank line. Every mistake is reported with its line.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_text, existing, is_gzipped
from cisweave.motifs.motif import Motif

UNIFORM = (0.25, 0.25, 0.25, 0.25)
ROW_TOLERANCE = 0.02
"""How far the probabilities of a position may be from a sum of 1 (files are rounded); they are then normalised."""
DEFAULT_NSITES = 20
"""What MEME assumes, and the writer writes, where the number of sites is unknown."""

HEADER_FIELD = re.compile(r"(\w+)\s*=\s*(\S+)")
MATRIX = re.compile(r"letter-probability matrix\s*:(.*)", re.IGNORECASE)


@dataclass
class MemeFile:
    """What a MEME file holds.

    Attributes
    ----------
    motifs
        The motifs in file order.
    background
        Background frequencies (4,) of A, C, G, T; uniform where the file gives none.
    version
        The format version as it is written, for example ``5.4.1``.
    """

    motifs: list[Motif]
    background: NDArray[np.float64] = field(default_factory=lambda: np.array(UNIFORM))
    version: str = "4"


def read_meme(path: str | Path) -> list[Motif]:
    """The motifs of a MEME file, in file order; see :func:`read_meme_file`."""
    return read_meme_file(path).motifs


def read_meme_file(path: str | Path) -> MemeFile:
    """Read a MEME file (plain or gzipped).

    The identifier of a motif is the first word after ``MOTIF``; its name is the second, less a leading copy of the
    identifier (``MA0147.3 MA0147.3.MYC`` is MYC), or the identifier where there is no second word.

    Raises
    ------
    CisweaveError
        With file and line: not a MEME file, another alphabet than DNA, a matrix that is missing, of the wrong size or
        not made of probabilities.
    """
    path = existing(path)
    opener = gzip.open if is_gzipped(path) else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", errors="replace") as handle:
            lines = handle.read().removesuffix("\n").split("\n")
    except (OSError, EOFError, zlib.error) as error:
        raise CisweaveError(f"the file is truncated or damaged ({error}), get it again", path=path) from error
    return Parser(lines, path).parse()


class Parser:
    """A pass over the lines of one file; ``at`` is the 0-based index of the line being read."""

    def __init__(self, lines: list[str], path: Path):
        self.lines = lines
        self.path = path
        self.at = 0
        self.file = MemeFile([])

    def error(self, message: str, at: int | None = None) -> CisweaveError:
        """An error at a line (the current one unless ``at`` is given)."""
        return CisweaveError(message, path=self.path, line=(self.at if at is None else at) + 1)

    def parse(self) -> MemeFile:
        """Read everything."""
        self.read_version()
        while self.at < len(self.lines):
            line = self.lines[self.at].strip()
            if line.startswith("ALPHABET"):
                self.read_alphabet(line)
            elif line.startswith("Background letter frequencies"):
                self.read_background()
            elif line.split(maxsplit=1)[:1] == ["MOTIF"]:
                self.read_motif(line)
            else:
                self.at += 1
        if not self.file.motifs:
            raise self.error("the file holds no motif (no line that starts with MOTIF)", len(self.lines) - 1)
        return self.file

    def read_version(self) -> None:
        """Find the line ``MEME version …``, which comes before everything else that matters."""
        for number, line in enumerate(self.lines):
            if line.startswith("MEME version"):
                self.file.version = line.split()[2] if len(line.split()) > 2 else ""
                self.at = number + 1
                return
        raise self.error("this is not a MEME motif file: no line 'MEME version 4' at the top", 0)

    def read_alphabet(self, line: str) -> None:
        """Accept DNA, as ``ALPHABET= ACGT`` or as a block that ends with ``END ALPHABET``."""
        _, equals, letters = line.partition("=")
        start = self.at
        self.at += 1
        if equals:
            if letters.strip() not in {"ACGT", "DNA"}:
                raise self.error(f"the alphabet is {letters.strip()!r}; only DNA motifs (ACGT) can be read", start)
            return
        if '"' in line and "DNA" not in line:
            raise self.error(f"the alphabet is {line.partition(' ')[2]}; only DNA motifs can be read", start)
        while self.at < len(self.lines) and not self.lines[self.at].startswith("END ALPHABET"):
            self.at += 1
        if self.at == len(self.lines):
            raise self.error("the alphabet block never ends (no line 'END ALPHABET')", start)
        self.at += 1

    def read_background(self) -> None:
        """Read ``A 0.25 C 0.25 G 0.25 T 0.25``, which may run over several lines."""
        start = self.at
        words: list[str] = []
        self.at += 1
        while self.at < len(self.lines) and len(words) < 8 and self.lines[self.at].strip():
            words += self.lines[self.at].split()
            self.at += 1
        try:
            frequencies = dict(zip(words[::2], map(float, words[1::2]), strict=True))
            background = np.array([frequencies[base] for base in "ACGT"])
        except (ValueError, KeyError) as error:
            raise self.error("background frequencies must read 'A 0.25 C 0.25 G 0.25 T 0.25'", start) from error
        if (background < 0).any() or abs(background.sum() - 1) > ROW_TOLERANCE:
            raise self.error("background frequencies must lie between 0 and 1 and sum to 1", start)
        self.file.background = background / background.sum()

    def read_motif(self, line: str) -> None:
        """Read one motif, from its ``MOTIF`` line to the end of its matrix and its URL."""
        start = self.at
        matrix_id, name = motif_names(line)
        if not matrix_id:
            raise self.error("MOTIF must be followed by an identifier")
        self.at += 1
        header = self.find_matrix(start, matrix_id)
        fields = dict(HEADER_FIELD.findall(header))
        pwm = self.read_matrix(matrix_id, fields)
        nsites = self.number(fields["nsites"], "nsites") if "nsites" in fields else None
        self.file.motifs.append(Motif(matrix_id, name, pwm, nsites, url=self.read_url()))

    def find_matrix(self, start: int, matrix_id: str) -> str:
        """Go to the line after ``letter-probability matrix:`` and return that header's fields."""
        while self.at < len(self.lines):
            line = self.lines[self.at].strip()
            if line.split(maxsplit=1)[:1] == ["MOTIF"]:
                break
            self.at += 1
            if found := MATRIX.match(line):
                return found.group(1)
        raise self.error(f"motif {matrix_id} has no letter-probability matrix", start)

    def read_matrix(self, matrix_id: str, fields: dict[str, str]) -> NDArray[np.float64]:
        """Read rows of four probabilities until the stated width or the first line that is not one."""
        start = self.at - 1
        if fields.get("alength", "4") != "4":
            raise self.error(f"motif {matrix_id} has alength= {fields['alength']}; only DNA motifs can be read", start)
        width = int(self.number(fields["w"], "w", start)) if "w" in fields else None
        rows: list[list[float]] = []
        while self.at < len(self.lines) and (width is None or len(rows) < width):
            words = self.lines[self.at].split()
            if not words and not rows:
                self.at += 1
                continue
            if not words or not is_number(words[0]):
                break
            rows.append(self.read_row(matrix_id, words))
            self.at += 1
        if not rows or (width is not None and len(rows) != width):
            raise self.error(f"motif {matrix_id} has {len(rows)} rows, its header says w= {width or 'nothing'}", start)
        return np.ascontiguousarray(np.array(rows).T)

    def read_row(self, matrix_id: str, words: list[str]) -> list[float]:
        """One position: four probabilities, normalised to a sum of 1."""
        if len(words) != 4:
            raise self.error(
                f"motif {matrix_id}: a row must hold 4 probabilities (A, C, G, T), this one has {len(words)}"
            )
        row = [self.number(word, "a probability") for word in words]
        if min(row) < 0 or abs(sum(row) - 1) > ROW_TOLERANCE:
            raise self.error(
                f"motif {matrix_id}: the row sums to {sum(row):g}; probabilities lie between 0 and 1 and sum to 1 "
                "(counts and log-odds must be converted)"
            )
        return [value / sum(row) for value in row]

    def read_url(self) -> str:
        """The URL line that may follow a matrix, after blank lines."""
        for number in range(self.at, len(self.lines)):
            line = self.lines[number].strip()
            if line:
                if line.startswith("URL"):
                    self.at = number + 1
                    return line[3:].strip()
                break
        return ""

    def number(self, word: str, what: str, at: int | None = None) -> float:
        """A number, or an error that says what it should have been."""
        if not is_number(word):
            raise self.error(f"{word!r} should be a number ({what})", at)
        return float(word)


def is_number(word: str) -> bool:
    """Tell whether a word is a finite number."""
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def motif_names(line: str) -> tuple[str, str]:
    """Identifier and name of a ``MOTIF`` line.

    In MEME's own output the words ``width = 15 sites = …`` follow on the same line and are no names.
    """
    words = line.split()[1:]
    for number, word in enumerate(words):
        if word.startswith("width") and (word.startswith("width=") or words[number + 1 : number + 2] == ["="]):
            words = words[:number]
            break
    if not words:
        return "", ""
    matrix_id = words[0]
    name = words[1] if len(words) > 1 else matrix_id
    return matrix_id, name.removeprefix(f"{matrix_id}.") or matrix_id


def write_meme(
    path: str | Path, motifs: Iterable[Motif], background: Iterable[float] = UNIFORM, names: bool = True
) -> None:
    """Write motifs in MEME's minimal format, version 4.

    Parameters
    ----------
    path
        The file to write.
    motifs
        The motifs, in the order wanted.
    background
        Frequencies of A, C, G, T.
    names
        Write the name after the identifier. Without it a motif's line holds one word, which is what programs need that
        take everything after ``MOTIF`` for the name.
    """
    with atomic_text(path) as handle:
        handle.write("MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\n")
        handle.write(" ".join(f"{base} {value:.6g}" for base, value in zip("ACGT", background, strict=True)) + "\n")
        for motif in motifs:
            title = f"{motif.matrix_id} {motif.name}" if names and motif.name != motif.matrix_id else motif.matrix_id
            nsites = DEFAULT_NSITES if motif.nsites is None else motif.nsites
            handle.write(f"\nMOTIF {title}\n")
            handle.write(f"letter-probability matrix: alength= 4 w= {motif.width} nsites= {nsites:g} E= 0\n")
            for row in motif.pwm.T:
                handle.write(" ".join(f"{value:.6f}" for value in row) + "\n")
            if motif.url:
                handle.write(f"URL {motif.url}\n")
