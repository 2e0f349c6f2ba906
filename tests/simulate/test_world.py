"""Files, bytes and sequences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.core.files import sha256
from cisweave.simulate import build_world, layout
from tests.simulate.reader import World


def test_same_seed_same_bytes_in_another_process(world: World, tmp_path: Path) -> None:
    code = f"from cisweave.simulate import build_world; build_world({str(tmp_path / 'again')!r}, 'tiny', 1)"
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    again = sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file())
    first = sorted(path.relative_to(world.folder) for path in world.folder.rglob("*") if path.is_file())
    assert again == first
    for path in first:
        assert (tmp_path / "again" / path).read_bytes() == (world.folder / path).read_bytes(), path


def test_other_seed_other_world(world: World, tmp_path: Path) -> None:
    other = build_world(tmp_path, "tiny", 2)
    same = [path for path, digest in other.files.items() if world.manifest["files"][path] == digest]
    tables = {"chromatin/tracks.tsv", "accessibility/cell_types.tsv", "truth/motifs.tsv"}
    assert set(same) == {"genome/sim19.fa.fai", *tables}


def test_manifest_names_every_file(world: World) -> None:
    present = {str(path.relative_to(world.folder)) for path in world.folder.rglob("*") if path.is_file()}
    assert present == {*layout.files("tiny"), layout.MANIFEST}
    assert all(sha256(world.folder / path) == digest for path, digest in world.manifest["files"].items())
    assert world.manifest["test_chromosomes"] == ["chr3"]
    assert {name: len(bases) for name, bases in world.sim19.items()} == world.manifest["contigs"]


def test_manifest_goes_first_and_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setattr("cisweave.simulate.world.write_variants", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_world(tmp_path, "tiny", 1)
    assert not (tmp_path / "manifest.json").exists()


def test_unknown_size() -> None:
    with pytest.raises(CisweaveError, match="'huge'.*tiny, demo, large"):
        build_world("nowhere", "huge")


def test_layout_is_light() -> None:
    code = "import sys, cisweave.simulate.layout; assert not {'numpy', 'pandas', 'pyjaspar'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_layout_names() -> None:
    assert layout.expression_columns("cell") == ["gene_id", *layout.CONTEXTS["cell"]]
    assert len(layout.CONTEXTS["tissue"]) + len(layout.CONTEXTS["cell"]) == 8
    assert len(layout.tracks("demo")) == 16
    signs = [sign for _, sign in layout.FACTORS.values()]
    assert (len(signs), signs.count(-1)) == (12, 3)


@pytest.mark.parametrize("name", ["sim19.fa", "sim38.fa"])
def test_index_is_what_samtools_writes(world: World, tmp_path: Path, name: str) -> None:
    copy = tmp_path / name
    copy.write_bytes((world.folder / "genome" / name).read_bytes())
    pysam.faidx(str(copy))
    assert (tmp_path / f"{name}.fai").read_bytes() == (world.folder / "genome" / f"{name}.fai").read_bytes()


def test_sequence_looks_like_a_genome(world: World) -> None:
    for sequence in (*world.sim19.values(), *world.sim38.values()):
        assert set(sequence) == set("ACGTacgtN")
        assert 0.02 < sum(map(str.islower, sequence)) / len(sequence) < 0.4
    contig = world.sim19["chr1"]
    assert contig[:2000] == contig[-2000:] == "N" * 2000
    assert contig[2000] != "N"
    assert contig.count("N") > 4500


def test_some_promoters_are_cpg_islands(world: World) -> None:
    ratios = []
    for row in world.tss.itertuples():
        part = world.sim19[row.chrom][row.start - 250 : row.start + 250].upper()
        c, g = part.count("C"), part.count("G")
        ratios.append(part.count("CG") * len(part) / (c * g))
    assert 0.25 < np.mean(np.array(ratios) > 0.65) < 0.75


@pytest.mark.slow
def test_demo_is_large_enough(tmp_path: Path) -> None:
    build_world(tmp_path, "demo", 1)
    world = World(tmp_path)
    test = world.manifest["test_chromosomes"]
    train = [name for name in world.sim19 if name not in test + world.manifest["valid_chromosomes"]]
    assert len(world.tss) >= 400
    assert world.tss["chrom"].isin(test).sum() >= 120
    instances = world.table("truth/instances.tsv")
    counts = instances[instances["chrom"].isin(train)].groupby("tf").size()
    assert len(counts) == 12
    assert counts.min() >= 100
    effects = world.effects
    strong = effects[(effects[world.contexts].abs().max(axis=1) >= 0.1) & (effects["tf"] != "")]
    assert len(strong[strong["chrom"].isin(test)].drop_duplicates(["record", "allele"])) >= 150
