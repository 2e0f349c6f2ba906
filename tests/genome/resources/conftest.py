"""A catalogue, a folder and a misbehaving server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cisweave.config.sections import FetchSettings
from cisweave.genome.resources.catalogue import COLUMNS
from cisweave.genome.resources.fetch import fetch_resources
from tests.genome.resources.server import Server, running

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "resources"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Shop:
    """Writes a catalogue and fetches from it."""

    def __init__(self, tmp_path: Path, folder: Path):
        self.catalogue, self.folder = tmp_path / "catalogue.tsv", folder
        self.rows: list[dict[str, str]] = []

    def add(self, name: str, url: str, **cells: str) -> None:
        row = {"name": name, "version": "1", "url": url, "licence": "free", "unpack": "none", **cells}
        self.rows = [other for other in self.rows if other["name"] != name] + [row]
        lines = ["\t".join(COLUMNS), *("\t".join(row.get(column, "") for column in COLUMNS) for row in self.rows)]
        self.catalogue.write_text("\n".join(lines) + "\n")

    def fetch(self, *names: str, **settings: object) -> list[Path]:
        quick = {"backoff_s": 0.01, "connect_timeout_s": 2, "read_timeout_s": 0.4, "attempts": 3, "lowest_speed": 10}
        chosen = FetchSettings.model_validate({**quick, **settings})
        return fetch_resources(names or [self.rows[0]["name"]], self.folder, chosen, self.catalogue)

    def left(self) -> list[str]:
        """What stands in the folder, without locks of processes and the note beside a partial file."""
        found = []
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            if path.is_dir() and not any(path.iterdir()) and name != ".fetched/work":
                found.append(name + "/")
            lock = name.startswith(".fetched/work/") and name.endswith(".lock")
            note = name.endswith(".partial.json") and (self.folder / path.name.removesuffix(".json")).exists()
            if not path.is_dir() and not lock and not note:
                found.append(name)
        return sorted(found)


@pytest.fixture
def shop(tmp_path: Path, folder: Path) -> Shop:
    return Shop(tmp_path, folder)
