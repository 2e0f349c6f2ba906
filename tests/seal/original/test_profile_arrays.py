"""Seal's arrays of chromatin around TSS: into a store, out again, and which grid the features lie on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cisweave.config import ProfileSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models.profiles import read_profiles
from cisweave.seal.original.beluga import import_chromatin
from cisweave.seal.original.profiles import compare_grids, export_profiles, import_profiles
from tests.seal.original.published import TRACKS, WINDOW, beluga_weights

BINS, DECAY = 8, [0.01, 0.02, 0.05, 0.1, 0.2]
SETTINGS = ProfileSettings(bins=BINS)
#: Gene, contig, TSS, strand: in the order of the file, which is not that of the genome.
GENES = [("ENSG3", "chr2", 500, "+"), ("ENSG1", "chr1", 900, "-"), ("ENSG2", "chr10", 100, "+")]
IN_GENOME_ORDER = ["ENSG1", "ENSG2", "ENSG3"]


def plain_features(profile: np.ndarray, first: int) -> np.ndarray:
    """Sums over the bins at first, first + 200, … by hand; zero counts on both sides."""
    places = [first + 200 * number for number in range(len(profile))]
    rows = [
        sum(math.exp(-c * abs(place) / 200) * counts(place) * row for place, row in zip(places, profile, strict=True))
        for counts in (lambda place: place <= 0, lambda place: place >= 0)
        for c in DECAY
    ]
    return np.concatenate(rows)


@pytest.fixture
def chromatin(tmp_path: Path) -> Path:
    torch.save(beluga_weights(), tmp_path / "beluga.pth")
    import_chromatin(tmp_path / "beluga.pth", tmp_path / "chromatin", window=WINDOW)
    return tmp_path / "chromatin"


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    folder, draw = tmp_path / "chromatin_tss", np.random.default_rng(0)
    folder.mkdir()
    for gene, *_ in GENES:
        np.save(folder / f"{gene}.npy", draw.random((BINS, TRACKS)).astype(np.float32))
    return folder


@pytest.fixture
def tss(tmp_path: Path) -> Path:
    path = tmp_path / "genes.bed"
    path.write_text(
        "".join(f"{chrom}\t{place - 1}\t{place}\t{strand}\t{gene}\n" for gene, chrom, place, strand in GENES)
    )
    return path


@pytest.fixture
def annotation(tmp_path: Path) -> Path:
    """ExPecto's CSV: more genes, another order."""
    path = tmp_path / "geneanno.csv"
    rows = [("ENSG9", "chr1", 5, "+"), *reversed(GENES)]
    lines = [f"{gene},S,{chrom},{strand},{place + 7},{place},protein_coding" for gene, chrom, place, strand in rows]
    path.write_text("\n".join(["id,symbol,seqnames,strand,TSS,CAGE_representative_TSS,type", *lines]) + "\n")
    return path


def load(arrays: Path, gene: str) -> np.ndarray:
    return np.load(arrays / f"{gene}.npy").astype(np.float64)


def write_features(path: Path, arrays: Path, make: Callable[[np.ndarray], np.ndarray]) -> Path:
    """Rows of the annotation: a gene without profile, then the genes from the last to the first."""
    rows = [np.full(10 * TRACKS, 7.0), *(make(load(arrays, gene)) for gene, *_ in reversed(GENES))]
    np.save(path, np.stack(rows).astype(np.float32))
    return path


def test_arrays_become_a_store(arrays: Path, tss: Path, chromatin: Path, tmp_path: Path) -> None:
    summary = import_profiles(arrays, tss, chromatin, tmp_path / "store.h5", settings=SETTINGS)
    assert summary == {"genes": 3, "without_profile": [], "grid": "centred", "deviations": None}
    store = read_profiles(tmp_path / "store.h5")
    store.check_model(chromatin)
    assert store.genes.gene_id.tolist() == IN_GENOME_ORDER
    assert store.genes.tss.tolist() == [900, 100, 500]
    assert store.genes.strand.tolist() == ["-", "+", "+"]
    for row, gene in enumerate(IN_GENOME_ORDER):
        np.testing.assert_array_equal(store.profile(row), load(arrays, gene))
        np.testing.assert_allclose(store.features[row], plain_features(load(arrays, gene), -700), rtol=1e-6)
    assert read_json(tmp_path / "store.h5.receipt.json")["identity"]["genes"] == 3


def test_half_precision(arrays: Path, tss: Path, chromatin: Path, tmp_path: Path) -> None:
    import_profiles(
        arrays, tss, chromatin, tmp_path / "store.h5", settings=SETTINGS.model_copy(update={"dtype": "float16"})
    )
    store, half = read_profiles(tmp_path / "store.h5"), load(arrays, "ENSG1").astype(np.float16)
    np.testing.assert_array_equal(store.profile(0), half)
    np.testing.assert_allclose(store.features[0], plain_features(half.astype(np.float64), -700), rtol=1e-6)


@pytest.mark.parametrize(
    ("first", "noise", "grid", "setting"),
    [(-700, 0.0, "centred", "centred"), (-800, 0.0, "edge", "edge-weights"), (-800, 0.05, "edge", "edge")],
)
def test_features_are_taken_by_gene_and_their_grid_is_found(
    first: int, noise: float, grid: str, setting: str,
    arrays: Path, tss: Path, annotation: Path, chromatin: Path, tmp_path: Path,
) -> None:  # fmt: skip
    draw = np.random.default_rng(1)

    def make(profile: np.ndarray) -> np.ndarray:
        return plain_features(profile * (1 + noise * draw.standard_normal(profile.shape)), first)

    matrix = write_features(tmp_path / "features.npy", arrays, make)
    summary = import_profiles(arrays, tss, chromatin, tmp_path / "store.h5", matrix, annotation, SETTINGS)
    store = read_profiles(tmp_path / "store.h5")
    assert summary["grid"] == store.settings.grid == setting
    rows = np.load(matrix)
    np.testing.assert_array_equal(store.features[:], rows[[2, 1, 3]])
    sample = np.stack([load(arrays, gene) for gene in IN_GENOME_ORDER])
    match = compare_grids(sample, rows[[2, 1, 3]], DECAY)
    assert match.grid == grid
    other = "edge" if grid == "centred" else "centred"
    assert match.exact is (noise == 0)
    assert match.deviations[grid] < 1e-6 + noise < match.deviations[other]


def test_features_of_other_genes_are_refused(
    arrays: Path, tss: Path, annotation: Path, chromatin: Path, tmp_path: Path
) -> None:
    matrix = write_features(tmp_path / "features.npy", arrays, lambda profile: plain_features(profile, -700)[::-1])
    with pytest.raises(CisweaveError, match="the features are not those of the profiles"):
        import_profiles(arrays, tss, chromatin, tmp_path / "store.h5", matrix, annotation, SETTINGS)
    with pytest.raises(CisweaveError, match=r"shape \(4, 120\); \(3, 120\) is needed"):
        import_profiles(arrays, tss, chromatin, tmp_path / "store.h5", matrix, tss, SETTINGS)
    with pytest.raises(CisweaveError, match="the genes that are the rows of the features are needed"):
        import_profiles(arrays, tss, chromatin, tmp_path / "store.h5", matrix, settings=SETTINGS)
    assert not (tmp_path / "store.h5").exists()


def test_genes_without_an_array(arrays: Path, annotation: Path, chromatin: Path, tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="1 of 4 genes have no array, for instance ENSG9"):
        import_profiles(arrays, annotation, chromatin, tmp_path / "store.h5", settings=SETTINGS)
    summary = import_profiles(arrays, annotation, chromatin, tmp_path / "store.h5", settings=SETTINGS, missing="skip")
    assert summary["without_profile"] == ["ENSG9"]
    assert read_json(tmp_path / "store.h5.receipt.json")["identity"]["without_profile"] == ["ENSG9"]
    assert read_profiles(tmp_path / "store.h5").genes.tss.tolist() == [900, 100, 500]


def test_no_array_at_all(tss: Path, chromatin: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, message in ((tmp_path / "empty", "3 of 3 genes have no array"), (tmp_path / "none", "does not exist")):
        with pytest.raises(CisweaveError, match=message):
            import_profiles(folder, tss, chromatin, tmp_path / "store.h5", settings=SETTINGS, missing="skip")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((BINS, TRACKS + 1), np.float32), r"\(8, 13\); \(8, 12\) is needed"),
        (np.zeros(BINS, np.float32), "real numbers in 2 dimensions"),
        (np.zeros((BINS, TRACKS), np.int64), "real numbers in 2 dimensions"),
        (np.full((BINS, TRACKS), np.nan, np.float32), "no probabilities"),
        (np.full((BINS, TRACKS), 1.5, np.float32), "no probabilities"),
        (np.array([[print] * TRACKS] * BINS, dtype=object), "not an array of numbers"),
    ],
)
def test_other_arrays_are_refused(
    array: np.ndarray, message: str, arrays: Path, tss: Path, chromatin: Path, tmp_path: Path
) -> None:
    np.save(arrays / "ENSG2.npy", array, allow_pickle=True)
    with pytest.raises(CisweaveError, match=message) as raised:
        import_profiles(arrays, tss, chromatin, tmp_path / "store.h5", settings=SETTINGS)
    assert raised.value.path == arrays / "ENSG2.npy"
    assert sorted(path.name for path in tmp_path.glob("*store.h5*")) == []


def test_files_that_are_no_arrays_are_refused(arrays: Path, tss: Path, chromatin: Path, tmp_path: Path) -> None:
    whole = (arrays / "ENSG1.npy").read_bytes()
    np.savez(tmp_path / "two.npz", a=np.zeros(1), b=np.zeros(1))
    for content in (whole[: len(whole) // 2], b"", b"<html>", (tmp_path / "two.npz").read_bytes()):
        (arrays / "ENSG1.npy").write_bytes(content)
        with pytest.raises(CisweaveError) as raised:
            import_profiles(arrays, tss, chromatin, tmp_path / "store.h5", settings=SETTINGS)
        assert raised.value.path == arrays / "ENSG1.npy"


def test_a_gene_cannot_lead_out_of_the_folder(arrays: Path, chromatin: Path, tmp_path: Path) -> None:
    (tmp_path / "evil.bed").write_text("chr1\t0\t1\t+\t../secret\n")
    np.save(tmp_path / "secret.npy", np.zeros((BINS, TRACKS), np.float32))
    with pytest.raises(CisweaveError, match="'../secret' cannot be the name of a file"):
        import_profiles(arrays, tmp_path / "evil.bed", chromatin, tmp_path / "store.h5", settings=SETTINGS)


def test_features_on_edges_need_the_matrix(arrays: Path, tss: Path, chromatin: Path, tmp_path: Path) -> None:
    edge = SETTINGS.model_copy(update={"grid": "edge"})
    with pytest.raises(CisweaveError, match="have windows of their own"):
        import_profiles(arrays, tss, chromatin, tmp_path / "store.h5", settings=edge)


def test_out_again_the_arrays_are_the_same(
    arrays: Path, tss: Path, annotation: Path, chromatin: Path, tmp_path: Path
) -> None:
    matrix = write_features(tmp_path / "features.npy", arrays, lambda profile: plain_features(profile, -700))
    import_profiles(arrays, tss, chromatin, tmp_path / "store.h5", matrix, annotation, SETTINGS)
    assert export_profiles(tmp_path / "store.h5", tmp_path / "out", tmp_path / "all.npy", tss) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{gene}.npy" for gene in IN_GENOME_ORDER]
    for gene in IN_GENOME_ORDER:
        assert (tmp_path / "out" / f"{gene}.npy").read_bytes() == (arrays / f"{gene}.npy").read_bytes()
    exported = np.load(tmp_path / "all.npy")
    assert exported.dtype == np.float32
    np.testing.assert_array_equal(exported, np.load(matrix)[[3, 2, 1]])
    with pytest.raises(CisweaveError, match="1 of 4 genes are not in the store, for instance ENSG9"):
        export_profiles(tmp_path / "store.h5", tmp_path / "out", tmp_path / "all.npy", annotation)
