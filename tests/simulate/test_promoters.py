"""The promoter library: files, and expression recomputed from the finished sequences."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from cisweave.simulate import build_world, layout
from cisweave.simulate.motifs import load_motif
from cisweave.simulate.promoters import Library, make_library
from tests.simulate.reader import World, plain_scan, revcomp

TSS = 1_000


@pytest.fixture(scope="module")
def sequences(world: World) -> dict[str, str]:
    with pysam.FastxFile(str(world.folder / "xpresso/library/promoters.fa")) as handle:
        return {entry.name: entry.sequence for entry in handle}


@pytest.fixture(scope="module")
def library() -> Library:
    """The motifs of the demo in fewer genes."""
    return make_library(1_500, [load_motif(tf) for tf in layout.layout("demo").factors], 3)


def known_weights(world: World, table: str) -> pd.Series:
    weights = world.table("truth/library_weights.tsv")
    return weights[weights["table"] == table].set_index("feature")["weight"]


def truth_of(world: World, part: str) -> pd.Series:
    return world.table("truth/library_expression.tsv").set_index("gene_id")[part]


def motif_part(world: World, sequences: dict[str, str]) -> np.ndarray:
    """Occupancy, weight and distance of every site, added up."""
    weights = known_weights(world, "motifs")
    motifs = [motif for motif in world.motifs if motif[0] in weights.index]
    values = []
    for sequence in sequences.values():
        sites = plain_scan(sequence, motifs)
        offset = sites["start"] + (sites["width"] - 1) / 2 - TSS
        effect = np.exp(-offset.abs() / 400) * np.where(offset < 0, 1, -0.3)
        weight = np.array([weights[tf] for tf in sites["tf"]], dtype=float)
        values.append((sites["occupancy"] * effect * weight).sum())
    return np.array(values) - np.mean(values)


def test_files(world: World, sequences: dict[str, str]) -> None:
    assert len(sequences) == 150
    assert {len(sequence) for sequence in sequences.values()} == {2_000}
    assert next(iter(sequences)) == "LIBG00000001"
    tables = {name: world.table(f"xpresso/library/{name}.tsv") for name in ("expression", "halflife", "tf", "mirna")}
    assert tables["expression"]["gene_id"].tolist() == tables["halflife"]["gene_id"].tolist() == list(sequences)
    for name in ("tf", "mirna"):
        values = tables[name].set_index("gene_id")
        assert set(values.index) <= set(sequences)
        assert values.isin([0, 1]).all(axis=None)
        assert values.columns.is_unique
    assert (tables["expression"]["expression"] >= 0).all()


def test_motif_part_equals_a_plain_sum_over_sites(world: World, sequences: dict[str, str]) -> None:
    assert np.allclose(motif_part(world, sequences), truth_of(world, "motifs"), atol=2e-4)


def test_cpg_part_counts_the_first_bases_of_the_transcript(world: World, sequences: dict[str, str]) -> None:
    counts = np.array([sequence[TSS : TSS + 401].count("CG") for sequence in sequences.values()])
    expected = (counts - counts.mean()) * known_weights(world, "cpg")["CpG"]
    assert np.allclose(expected, truth_of(world, "cpg"), atol=1e-5)


def test_table_parts_follow_the_weights(world: World) -> None:
    halflife = world.table("xpresso/library/halflife.tsv").set_index("gene_id")
    logged = [column for column in halflife if not column.endswith("GC")]
    halflife[logged] = np.log10(halflife[logged] + 0.1)
    scaled = (halflife - halflife.mean()) / halflife.std(ddof=0)
    weights = known_weights(world, "halflife")
    assert scaled.columns.tolist() == weights.index.tolist()
    assert np.allclose(scaled @ weights, truth_of(world, "halflife"), atol=1e-5)
    for name in ("tf", "mirna"):
        table, weights = world.table(f"xpresso/library/{name}.tsv").set_index("gene_id"), known_weights(world, name)
        difference = table[weights.index] @ weights - truth_of(world, name).loc[table.index]
        assert np.ptp(difference) < 1e-5


def test_expression_is_the_sum_and_noise(world: World) -> None:
    truth = world.table("truth/library_expression.tsv").set_index("gene_id")
    parts = truth.drop(columns="log10_expression")
    assert parts.columns.tolist() == ["motifs", "cpg", "halflife", "tf", "mirna"]
    assert np.allclose(parts.sum(axis=1) + 0.9, truth["log10_expression"], atol=1e-5)
    values = world.table("xpresso/library/expression.tsv").set_index("gene_id")["expression"]
    noise = (np.log10(values + 0.1) - truth["log10_expression"])[values > 0]
    assert 0.17 < noise.std() < 0.27


def test_instances_are_the_occupied_places(world: World, sequences: dict[str, str]) -> None:
    instances = world.table("truth/library_instances.tsv")
    weights = known_weights(world, "motifs")
    motifs = [motif for motif in world.motifs if motif[0] in weights.index]
    for name in list(sequences)[:20]:
        sites = plain_scan(sequences[name], motifs).query("occupancy > 0.5")
        found = instances[instances["gene_id"] == name]
        assert list(zip(found["start"], found["tf"], strict=True)) == list(
            zip(sites["start"], sites["tf"], strict=True)
        )
        clear = ~sites["tie"].to_numpy()
        assert (found["strand"].to_numpy() == sites["strand"].to_numpy())[clear].all()
        assert (found["end"] - found["start"]).tolist() == sites["width"].tolist()


def test_order_and_strand_matter(world: World, sequences: dict[str, str]) -> None:
    """The other strand tells the opposite, and bases in the wrong order tell little."""
    truth = truth_of(world, "motifs").to_numpy()
    turned = {name: revcomp(sequence) for name, sequence in sequences.items()}
    backwards = {name: sequence[::-1] for name, sequence in sequences.items()}
    assert np.corrcoef(motif_part(world, turned), truth)[0, 1] < -0.3
    assert abs(np.corrcoef(motif_part(world, backwards), truth)[0, 1]) < 0.45


def test_parts_have_their_spread(library: Library) -> None:
    spread = library.parts.drop(columns="gene_id").std(ddof=0)
    expected = {"motifs": 0.5, "cpg": 0.36, "halflife": 0.28, "tf": 0.34, "mirna": 0.16}
    assert spread[list(expected)].to_dict() == pytest.approx(expected, abs=1e-3)
    correlation = library.parts[list(expected)].corr().to_numpy()
    assert np.abs(correlation - np.eye(5)).max() < 0.12


def test_some_genes_lack_something(library: Library) -> None:
    unknown = (library.codes == 4).any(axis=1)
    assert 0.002 < unknown.mean() < 0.03
    for table in (library.tf, library.mirna):
        assert 0.97 < len(table) / 1_500 < 1
    zero = (library.expression["expression"] == 0).mean()
    assert zero < 0.02


def test_factor_table_has_errors(library: Library) -> None:
    instances = library.instances
    table = library.tf.set_index("gene_id")
    for tf in instances["tf"].unique():
        occupied = table.index.isin(instances.loc[instances["tf"] == tf, "gene_id"])
        assert 0.92 < (table[tf].to_numpy() == occupied).mean() < 0.98


def test_kmers_tell_less_than_the_promoter(library: Library) -> None:
    """A linear model of k-mer counts stays well below what the sequence holds."""
    codes, promoter = np.minimum(library.codes[:, 250:1750], 3), library.parts["motifs"] + library.parts["cpg"]
    words = codes[:, :-2] * 16 + codes[:, 1:-1] * 4 + codes[:, 2:]
    counts = np.stack([np.bincount(row, minlength=64) for row in words]).astype(float)
    train, test = slice(0, 1_000), slice(1_000, 1_500)
    counts = (counts - counts[train].mean(axis=0)) / counts[train].std(axis=0)
    centred = promoter[train] - promoter[train].mean()
    fitted = np.linalg.solve(counts[train].T @ counts[train] + 100 * np.eye(64), counts[train].T @ centred)
    r2 = np.corrcoef(counts[test] @ fitted, promoter[test])[0, 1] ** 2
    assert 0.05 < r2 < 0.35


def test_library_leaves_other_files_alone(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smaller = dataclasses.replace(layout.LAYOUTS["tiny"], promoters=10)
    monkeypatch.setitem(layout.LAYOUTS, "tiny", smaller)
    files = build_world(tmp_path, "tiny", 1).files
    changed = {path for path, digest in files.items() if world.manifest["files"][path] != digest}
    assert changed == {path for path in layout.FILES if "library" in path}
