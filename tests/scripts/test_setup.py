"""The set-up says in one sentence what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = [
    "awk",
    "basename",
    "bash",
    "cat",
    "cut",
    "df",
    "dirname",
    "env",
    "grep",
    "id",
    "mkdir",
    "mv",
    "rm",
    "sha256sum",
]
Checkout = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def set_up(tmp_path: Path) -> Checkout:
    """Run the set-up in a bare checkout, with only the programs named on the PATH."""
    checkout, programs = tmp_path / "checkout", tmp_path / "bin"
    programs.mkdir()
    for name in ("scripts/setup.sh", "constraints.txt", "pyproject.toml", "README.md", "LICENSE"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    for name in [*TOOLS, "uname", "timeout", "ln"]:
        found = shutil.which(name)
        assert found is not None, name
        (programs / name).symlink_to(found)

    def run(stubs: dict[str, str], **environment: str) -> subprocess.CompletedProcess[str]:
        for name, text in stubs.items():
            (programs / name).unlink(missing_ok=True)
            (programs / name).write_text(f"#!/bin/bash\n{text}\n")
            (programs / name).chmod(0o755)
        return subprocess.run(
            [programs / "bash", "scripts/setup.sh"],
            cwd=checkout,
            env={"PATH": str(programs), "HOME": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def real_python() -> str:
    """A stub that is this Python without its virtual environment."""
    return f'exec "{Path(sys.base_prefix) / "bin/python3"}" "$@"'


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("cisweave set-up: ")
    return line


def test_python_is_missing(set_up: Checkout) -> None:
    assert "Python 3.11 to 3.14 is needed and was not found (python3: none)" in one_sentence(set_up({}))


def test_python_is_too_old(set_up: Checkout) -> None:
    old = 'case "$*" in *platform*) echo 3.9.2 ;; *) exit 1 ;; esac'
    assert "Python 3.11 to 3.14 is needed and was not found (python3: 3.9.2)" in one_sentence(set_up({"python3": old}))


def test_venv_module_is_missing(set_up: Checkout) -> None:
    bare = 'case "$*" in *ensurepip*) exit 1 ;; *print*) echo python3.12 ;; esac'
    sentence = one_sentence(set_up({"python3": bare}))
    assert "venv module is missing; install it, for example: sudo apt-get install python3.12-venv" in sentence


def test_there_is_no_room(set_up: Checkout) -> None:
    df = "echo 'Filesystem 1024-blocks Used Available Capacity Mounted'; echo '/dev/x 9 9 2097152 9% /'"
    sentence = one_sentence(set_up({"python3": real_python(), "df": df}, TORCH_INDEX="pip"))
    assert "GB of free disk space are needed here and there are 2 GB" in sentence


@pytest.mark.slow
def test_there_is_no_network(set_up: Checkout) -> None:
    done = set_up(
        {"python3": real_python()},
        TORCH_INDEX="pip",
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_DEFAULT_TIMEOUT="2",
    )
    assert "pip could not download the build tools; check the network" in one_sentence(done)
