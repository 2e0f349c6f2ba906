"""What the programs that prove a room share."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts.checks import Found, run_checks


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    """A check quietens the package's log; that must not outlive the test."""
    logger = logging.getLogger("cisweave")
    before = logger.level
    yield
    logger.setLevel(before)


def good(scale: str) -> Found:
    return {"a": scale}, []


def bad(scale: str) -> Found:
    return {"b": 1}, ["b is wrong"]


PARTS = {"good": ("what is good", good), "bad": ("what is bad", bad)}


def run(monkeypatch: pytest.MonkeyPatch, capsys: Any, out: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    monkeypatch.setattr(sys, "argv", ["check", *words])
    status = run_checks("room", "text", PARTS, ("b", "a"), out, ("whole", "little"))
    said = capsys.readouterr()
    return status, json.loads(said.out.splitlines()[-1]), said.err


def test_a_problem_fails_the_check_and_the_figures_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    status, figures, said = run(monkeypatch, capsys, tmp_path / "room.json")
    assert status == 1
    assert list(figures)[:2] == ["b", "a"]
    assert figures | {"seconds": {}} == {"a": "whole", "b": 1, "quick": False, "seconds": {}}
    assert "check-room: b is wrong" in said
    assert json.loads((tmp_path / "room.json").read_text()) == figures


def test_some_parts_are_run_alone_and_not_kept(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    status, figures, _ = run(monkeypatch, capsys, tmp_path / "room.json", "good", "--quick")
    assert (status, figures["a"], figures["b"]) == (0, "little", None)
    assert not (tmp_path / "room.json").exists()


def test_an_unknown_part_is_a_mistake(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, tmp_path / "room.json", "ugly")
    assert "there is no part ugly; there are good, bad" in capsys.readouterr().err
