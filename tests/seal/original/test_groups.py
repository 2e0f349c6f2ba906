"""Groups of contexts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cisweave.core.errors import CisweaveError
from cisweave.seal.original.groups import read_context_groups


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_numbers_are_1_based_in_the_file_and_0_based_here(tmp_path: Path) -> None:
    path = write(tmp_path / "groups.tsv", "A1C\t1,4\nCGE\t3\r\n\nAMY\t2\n")
    assert read_context_groups(path, 5) == {"A1C": [0, 3], "CGE": [2], "AMY": [1]}


def test_contexts_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "groups.tsv", "A1C\tearly.A1C, late.A1C\nAMY\t2\n")
    assert read_context_groups(path, 3, ["early.A1C", "early.AMY", "late.A1C"]) == {"A1C": [0, 2], "AMY": [1]}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("A\t1\nB\t0\n", 2, "there is no context 0; numbers go from 1 to 4"),
        ("A\t5\n", 1, "there is no context 5"),
        ("A\t1\nA\t2\n", 2, "group 'A' is listed twice"),
        ("A\t1,2\nB\t2\n", 2, "context 2 is in group 'A' already"),
        ("A\t1,1\n", 1, "context 1 is in group 'A' already"),
        ("A\t1,,2\n", 1, "'' is no context"),
        ("A\tx\n", 1, "'x' is no context"),
        ("A 1\n", 1, "a line is the name of a group, a tab"),
        ("\t1\n", 1, "a line is the name of a group, a tab"),
        ("\n", None, "holds no group"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int | None, message: str) -> None:
    with pytest.raises(CisweaveError, match=message) as raised:
        read_context_groups(write(tmp_path / "groups.tsv", text), 4)
    assert raised.value.line == line
