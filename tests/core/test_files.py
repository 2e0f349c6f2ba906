"""Files that are either whole or absent, and what killed processes leave of them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cisweave.core import files
from cisweave.core.files import atomic_text, write_json


def left_by(process: int, name: str, folder: Path, seconds: float) -> Path:
    """A partial file that was last written so long ago."""
    path = folder / f".partial-{process}-{name}"
    path.write_text("half")
    os.utime(path, (time.time() - seconds, time.time() - seconds))
    return path


@pytest.fixture
def ended() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_of_a_file_is_removed_by_the_next_that_writes_it(tmp_path: Path, ended: int) -> None:
    long = 2 * files.STALE_S
    stale = left_by(ended, "a[1].json", tmp_path, long)
    kept = [
        left_by(ended, "b.json", tmp_path, long),
        left_by(ended, "other-a[1].json", tmp_path, long),
        left_by(os.getppid(), "a[1].json", tmp_path, long),
        tmp_path / ".partial-sort-a[1].json",
    ]
    kept[-1].write_text("")
    write_json(tmp_path / "a[1].json", {})
    assert not stale.exists()
    assert all(path.exists() for path in kept)


def test_a_partial_file_just_written_may_be_that_of_another_machine(tmp_path: Path, ended: int) -> None:
    fresh = left_by(ended, "a.json", tmp_path, 1)
    write_json(tmp_path / "a.json", {})
    assert fresh.exists()


def test_a_block_that_ends_early_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(TypeError), atomic_text(tmp_path / "a.txt") as handle:
        handle.write(1)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "before"
