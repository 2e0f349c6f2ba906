"""One tiny world for all tests of the room."""

from __future__ import annotations

from pathlib import Path

import pytest

from cisweave.simulate import build_world
from tests.simulate.reader import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("tiny")
    build_world(folder, "tiny", 1)
    return World(Path(folder))
