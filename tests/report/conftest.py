"""The tiny trained world that the mutation tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from cisweave.report.mutations import Tiny, tiny_world

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "tests"


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """A tiny world with a chromatin model trained on it; made on first use (about half a minute of one core)."""
    import torch

    from cisweave.simulate import build_world

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return tiny_world(CACHE, build_world)
    finally:
        torch.set_num_threads(threads)
