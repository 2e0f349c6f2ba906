"""The command line as a user meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cisweave.cli import COMMANDS, GROUPS

ROOT = Path(__file__).parents[2]


def cisweave(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cisweave", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_help_lists_the_rooms_without_loading_them() -> None:
    code = (
        "import sys; from cisweave.cli import main; sys.argv = ['cisweave', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'lightning', 'tangermeme', 'numba', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for room in (*COMMANDS, *GROUPS):
        assert f"\n  {room} " in done.stdout


def test_version() -> None:
    assert cisweave("--version").stdout.startswith("cisweave 0.")


def test_user_mistake_is_one_line_and_status_2() -> None:
    done = cisweave("config", "validate", "config/nowhere.yaml")
    assert done.returncode == 2
    assert done.stderr == "cisweave: config/nowhere.yaml: this file does not exist; check the path\n"


def test_validate_accepts_the_demo() -> None:
    done = cisweave("config", "validate", "config/config.yaml", "config/demo.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "no mistakes found; the results of this run will stand in results/demo\n"


@pytest.mark.parametrize("verb", ["schema", "defaults"])
def test_generated_files_go_to_standard_output_or_a_file(verb: str, tmp_path: Path) -> None:
    printed = cisweave("config", verb).stdout
    assert cisweave("config", verb, "--out", str(tmp_path / "file")).returncode == 0
    assert (tmp_path / "file").read_text() == printed
