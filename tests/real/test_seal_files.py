"""Seal's published files: those that are small, and, where their folder is named, weights, arrays and genome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cisweave.config import EngineSettings, PredictSettings, ProfileSettings, VariantSettings
from cisweave.genome.closest import assign_closest
from cisweave.genome.genes import read_genes
from cisweave.genome.normalize import read_variants
from cisweave.models.beluga import Beluga
from cisweave.models.folders import LoadedModel, load_model
from cisweave.models.predict import predict_probabilities
from cisweave.models.profiles import read_profiles
from cisweave.seal.original.annotation import read_context_annotation
from cisweave.seal.original.beluga import PUBLISHED_MD5, import_chromatin, read_tracks
from cisweave.seal.original.expression import import_expression
from cisweave.seal.original.groups import read_context_groups
from cisweave.seal.original.profiles import FeatureMatrix, compare_grids, import_profiles
from cisweave.seal.original.summary import read_model_summary, write_model_summary
from cisweave.seal.original.torch_files import md5
from cisweave.seal.predict import score_variants
from cisweave.sequence import Genome
from cisweave.sequence.onehot import Codes, encode, reverse_complement
from cisweave.tables.frames import read_table
from tests.real.checks import SEAL_TABLE, SEAL_VCF, TSS, data_folder
from tests.real.seal_resources import find, need

DATA, REASON = data_folder()
FOLDER = DATA or Path()
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(DATA is None, reason=REASON)]

MODELS = {
    "tissue_state_early_fetal_to_adult": ("brain_region_state", 1000, 122, (3.9306, 0.80112, 1.9750, 0.76702)),
    "cell_state_early_fetal": ("cell_state_early_fetal", 700, 598, (3.7025, 0.81302, 2.2555, 0.82665)),
    "cell_state_mid_fetal_to_adult": ("cell_state_mid_fetal_to_adult", 700, 82, (3.7025, 0.81302, 2.7724, 0.73738)),
}
SUMMARIES = {name: FOLDER / f"parity/{name}_seal_model_summary.txt" for name in MODELS}
ANNOTATION = FOLDER / "annotation/Seal_cell_state_annotation.xlsx"
GROUPS = FOLDER / "annotation/Seal_brain_dev_exp_tissue_group.tsv"
FEATURES = FOLDER / "annotation/deepsea_beluga_2002_features.tsv"
EXAMPLE = "ExPecto_example.vcf"
SHIFTS = range(-800, 801, 200)


# --- small files ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", MODELS)
def test_shipped_summaries(name: str, tmp_path: Path) -> None:
    _, hidden, specific, scores = MODELS[name]
    summary = read_model_summary(SUMMARIES[name])
    assert (summary.hidden, len(summary.general_contexts), len(summary.specific_contexts)) == (hidden, 31, specific)
    assert len(set(summary.specific_contexts)) == specific
    assert summary.finetuned == f"model/{name}/{name}_seal_ft_model.pt"
    told = (summary.pretrain_mse, summary.pretrain_spearman, summary.finetune_mse, summary.finetune_spearman)
    assert told == pytest.approx(scores, abs=5e-5)
    write_model_summary(summary, tmp_path / "back.txt")
    shipped = SUMMARIES[name].read_bytes()
    assert shipped.count(b"\n") == 11
    assert (tmp_path / "back.txt").read_bytes() == shipped.replace(b".pt \n", b".pt\n")


def test_general_contexts_are_the_same_in_all_models() -> None:
    assert len({tuple(read_model_summary(path).general_contexts) for path in SUMMARIES.values()}) == 1


@pytest.mark.parametrize("name", MODELS)
def test_annotation_lists_the_contexts_of_each_model_in_order(name: str) -> None:
    sheet = MODELS[name][0]
    contexts = read_model_summary(SUMMARIES[name]).specific_contexts
    annotation = read_context_annotation(ANNOTATION, sheet)
    assert annotation.context.tolist() == contexts
    assert (annotation.name != "").all()
    assert (annotation.stage != "").all()
    together = read_context_annotation(ANNOTATION)
    assert len(together) == 598 + 82 + 122
    assert together[together.sheet == sheet].context.tolist() == contexts


def test_what_the_annotation_says() -> None:
    rows = read_context_annotation(ANNOTATION).set_index("context")
    region = rows.loc["early_fetal.A1C"]
    assert (region["name"], region.stage, region.region) == ("Primary auditory (A1) cortex", "early_fetal", "A1C")
    cell = rows.loc["Childhood.Astro.Astro_GFAP"]
    assert (cell["name"], cell.stage, cell.cell_type, cell.cells) == ("Astro_GFAP", "Childhood", "Astro", 3538)
    early = rows.loc["Early.Erythrocyte.233"]
    assert (early["name"], early.region, early.cells) == ("Erythrocyte 233", "Medulla", 361)


def test_groups_of_the_tissue_model() -> None:
    contexts = read_model_summary(SUMMARIES["tissue_state_early_fetal_to_adult"]).specific_contexts
    groups = read_context_groups(GROUPS, len(contexts))
    assert len(groups) == 26
    assert sorted(member for members in groups.values() for member in members) == list(range(122))
    assert sum(len(members) == 1 for members in groups.values()) == 10
    for name, members in groups.items():
        assert {contexts[member].rpartition(".")[2] for member in members} == {name}


def test_names_of_the_published_tracks() -> None:
    names = read_tracks(FEATURES)
    assert len(names) == len(set(names)) == 2002
    assert (names[0], names[130]) == ("8988T_DNase_None", "H1-hESC_CTCF_None")
    assert "H1-hESC_DNase_None.2" in names


def test_published_differences_are_whole() -> None:
    for shift in SHIFTS:
        difference = expecto_differences(shift)
        assert difference.shape == (20, 2002)
        assert np.isfinite(difference).all()
        forward, backward = difference[:10].ravel(), difference[10:].ravel()
        assert np.corrcoef(forward, backward)[0, 1] > 0.5
    at_middle = expecto_differences(0)
    assert (at_middle.min(), at_middle.max()) == (pytest.approx(-0.111, abs=5e-4), pytest.approx(0.191, abs=5e-4))


def expecto_differences(shift: int) -> np.ndarray:
    """Published alternative - reference (20, 2002): ten variants forward, then ten from the other strand."""
    with h5py.File(FOLDER / f"parity/{EXAMPLE}.shift_{shift}.diff.h5") as store:
        return store["pred"][:]


# --- weights, genome, arrays ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def beluga(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """The published chromatin model."""
    (weights,) = need("deepsea.beluga.pth")
    folder = tmp_path_factory.mktemp("beluga")
    metrics = import_chromatin(weights, folder, FEATURES)
    assert metrics["parameters"] == 149_536_251
    return load_model(folder)


def hg19() -> Path:
    """The whole genome."""
    return find("hg19.fa") or need("hg19.fa.gz")[0]


def test_the_published_weights(beluga: LoadedModel) -> None:
    assert md5(need("deepsea.beluga.pth")[0]) == PUBLISHED_MD5
    assert isinstance(beluga.module, Beluga)
    assert beluga.spec.outputs[0] == "8988T_DNase_None"
    assert beluga.spec.preprocessing["test_chromosomes"] == ["chr8", "chr9"]


@pytest.mark.slow
@pytest.mark.parametrize("shift", SHIFTS)
def test_published_differences_of_both_strands(shift: int, beluga: LoadedModel) -> None:
    published = expecto_differences(shift)
    variants, rejected = read_variants(FOLDER / f"variants/{EXAMPLE}")
    assert (len(variants), len(rejected)) == (10, 0)
    with Genome(hg19()) as genome:
        reference, alternative = (
            np.stack([window(genome, row.chrom, row.pos, getattr(row, allele), shift) for row in variants.itertuples()])
            for allele in ("ref", "alt")
        )
    for rows, turn in ((slice(10), np.asarray), (slice(10, 20), reverse_complement)):
        ours = predict_strand(beluga, turn(alternative)) - predict_strand(beluga, turn(reference))
        np.testing.assert_allclose(ours, published[rows], atol=1e-5)


def window(genome: Genome, chrom: str, pos: int, base: str, shift: int) -> Codes:
    """The 2,000 bases about pos + shift (1-based) with ``base`` at pos."""
    start = pos + shift - 1000
    codes = genome.codes(chrom, start, start + 2000).copy()
    codes[pos - 1 - start] = encode(base)[0]
    return codes


def predict_strand(model: LoadedModel, codes: Codes) -> np.ndarray:
    """Probabilities of windows as they stand."""
    return predict_probabilities(model.module, codes, strands="forward")


@pytest.mark.slow
def test_kipoi_vectors(beluga: LoadedModel) -> None:
    """Inputs (n, 4, 1, 2000), channels A, G, C, T, and probabilities of that strand, six decimals."""
    (path,) = need("beluga_test_expected.h5")
    arrays: list[np.ndarray] = []
    with h5py.File(path) as store:
        store.visititems(lambda _, item: arrays.append(item[:]) if isinstance(item, h5py.Dataset) else None)
    inputs = next((array for array in arrays if array.shape[1:] == (4, 1, 2000)), None)
    expected = next(array for array in arrays if array.shape[1:] == (2002,))
    if inputs is None:
        pytest.skip(f"{path} holds no inputs")
    hot = torch.from_numpy(inputs[:, [0, 2, 1, 3], 0]).float()
    with torch.inference_mode():
        probabilities = torch.sigmoid(beluga.module(hot)).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1.5e-6)


@pytest.mark.slow
def test_published_scores(beluga: LoadedModel, tmp_path: Path) -> None:
    """The published table of the test variants, through every step."""
    name = "tissue_state_early_fetal_to_adult"
    weights, arrays = need(f"{name}_seal_ft_model.pt", "chromatin_tss")
    import_expression(SUMMARIES[name], tmp_path / "model", weights)
    variants, _ = read_variants(FOLDER / SEAL_VCF, hg19(), VariantSettings(compat="seal"))
    assigned, _ = assign_closest(variants, read_genes(FOLDER / TSS))
    write_genes(assigned.gene_id.unique().tolist(), tmp_path / "genes.bed")
    import_profiles(arrays, tmp_path / "genes.bed", beluga.folder, tmp_path / "store.h5")
    with Genome(hg19()) as genome:
        effects = score_variants(
            assigned,
            genome,
            read_profiles(tmp_path / "store.h5"),
            beluga,
            load_model(tmp_path / "model"),
            PredictSettings(),
            EngineSettings(),
        )
    published = read_table(FOLDER / SEAL_TABLE)
    assert published.pos.tolist() == assigned.pos.tolist()
    contexts = read_model_summary(SUMMARIES[name]).specific_contexts
    np.testing.assert_allclose(effects.expression, published[contexts], atol=1.5e-5)


def write_genes(wanted: list[str], path: Path) -> None:
    """A TSS BED of these genes."""
    genes = read_genes(FOLDER / TSS)
    rows = genes[genes.gene_id.isin(wanted)].itertuples()
    path.write_text("".join(f"{row.chrom}\t{row.tss - 1}\t{row.tss}\t{row.strand}\t{row.gene_id}\n" for row in rows))


@pytest.mark.slow
def test_grid_of_the_published_features(record_property: Callable[[str, object], None]) -> None:
    """Which of the two grids the shipped training features lie on; one of them must explain them."""
    arrays, matrix = need("chromatin_tss", "all_gene_chromatin_exp.npy")
    annotation = FOLDER / "annotation/ExPecto_geneanno.csv"
    features = FeatureMatrix.open(matrix, annotation, ProfileSettings(), 2002)
    genes = [gene for gene in read_genes(annotation).gene_id if (arrays / f"{gene}.npy").is_file()][::1000]
    profiles = np.stack([np.load(arrays / f"{gene}.npy", allow_pickle=False) for gene in genes])
    match = compare_grids(profiles, np.stack([features.row(gene) for gene in genes]), ProfileSettings().decay)
    record_property("grid", match.grid)
    record_property("deviations", str(match.deviations))
    assert match.deviations[match.grid] < 0.05
