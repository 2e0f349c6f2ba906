"""One prepared folder with a finished run, shared by all tests of the workflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflow.snake import Done, Folder


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder in which nothing has run; tests must not change it."""
    return Folder.make(tmp_path_factory.mktemp("new") / "run")


@pytest.fixture(scope="session")
def plan(new_folder: Folder) -> Done:
    """All jobs of the demo."""
    done = new_folder.dry_run()
    assert done.status == 0, done.text
    return done


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder in which the demo has run; tests must not change it."""
    folder = Folder.make(
        tmp_path_factory.mktemp("finished") / "run"
    )  # as deep as its copies: paths to scripts are relative
    folder.finish()
    return folder


@pytest.fixture
def finished(finished_run: Folder, tmp_path: Path) -> Folder:
    """A copy of the finished run that a test may change."""
    return finished_run.copy(tmp_path / "run")
