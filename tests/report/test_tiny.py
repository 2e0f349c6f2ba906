"""The tiny world of the mutation tests, and reading the truth of a world."""

from __future__ import annotations

from pathlib import Path

import pytest

from cisweave.core.errors import CisweaveError
from cisweave.report.mutations import Tiny, cache_key, tiny_world
from cisweave.report.world import read_world


@pytest.mark.slow
def test_the_truth_of_a_world(tiny: Tiny) -> None:
    world = tiny.world
    assert world.test_chromosomes == ["chr3"]
    assert world.valid_chromosomes == ["chr2"]
    assert set(world.tracks) == set(world.motifs.tf)
    assert len(world.contexts) == 14
    assert set(world.contexts) <= set(world.effects.columns)
    variants = tiny.variants()
    assert not variants.duplicated(["record", "allele"]).any()
    assert set(variants.gene_strand) == {"+", "-"}


@pytest.mark.slow
def test_the_tiny_world_is_made_once(tiny: Tiny) -> None:
    def build(folder: Path, size: str, seed: int) -> object:
        raise AssertionError("it is there already")

    assert tiny_world(tiny.folder.parent, build).folder == tiny.folder
    assert tiny.folder.name == cache_key()


def test_nothing_is_left_of_a_build_that_fails(tmp_path: Path) -> None:
    def build(folder: Path, size: str, seed: int) -> object:
        folder.mkdir(parents=True)
        raise CisweaveError("no room")

    with pytest.raises(CisweaveError, match="no room"):
        tiny_world(tmp_path, build)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_world_is_named(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match=r"manifest\.json"):
        read_world(tmp_path)
