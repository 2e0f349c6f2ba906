"""Liftover of the built-in world and of real pieces, allele by allele."""

from __future__ import annotations

from pathlib import Path

import pytest

from cisweave.simulate import build_world
from tests.checks_genome.lift_real import lift_chr1, lift_real_roundtrip
from tests.checks_genome.lift_world import CLASSES, count_right, lift_world_right
from tests.real.checks import data_folder

FOLDER, REASON = data_folder()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lift") / "world"
    build_world(folder, "tiny", 3)
    return folder


@pytest.mark.parametrize("with_source", [False, True])
def test_every_class_is_there_and_right(world: Path, with_source: bool) -> None:
    counts = count_right(world, with_source)
    assert set(counts) == set(CLASSES)
    assert min(number for _, number in counts.values()) >= 1
    assert {name: right for name, (right, _) in counts.items()} == {
        name: number for name, (_, number) in counts.items()
    }


@pytest.mark.slow
def test_the_demo_world_has_enough_of_each_class(tmp_path: Path) -> None:
    build_world(tmp_path / "world", "demo", 1)
    assert min(number for _, number in count_right(tmp_path / "world").values()) >= 10
    assert min(lift_world_right(tmp_path / "world").values()) == 1.0


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_positions_of_chr20_return() -> None:
    assert FOLDER is not None
    assert lift_real_roundtrip(FOLDER) > 0.999


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
@pytest.mark.parametrize("with_source", [False, True])
def test_alleles_of_chr1_are_right_in_hg38(tmp_path: Path, with_source: bool) -> None:
    """hg38ToHg19 leads 1,535 of 8,295 places of this megabase elsewhere, most to chr5: no more can return."""
    assert FOLDER is not None
    figures = lift_chr1(FOLDER, tmp_path, with_source)
    assert figures["lifted"] > 0.9 * figures["alleles"]
    assert figures["wrong_ref"] == figures["wrong_haplotype"] == 0
    assert figures["swapped"] == figures["differences"] > 0
    assert figures["returned"] > 0.75 * figures["lifted"]
