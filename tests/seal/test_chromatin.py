"""Training a chromatin model: which windows it sees, what it writes, and what it says when it does not learn."""

import numpy as np
import pytest

from cisweave.config import ChromatinSettings, NetworkSettings, TrainingSettings, read_tracks
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models.folders import load_model
from cisweave.seal.chromatin import labelled_bins, thin_negatives, train_chromatin
from cisweave.sequence import Genome, decode

NETWORK = NetworkSettings(channels=[8, 8, 8, 8, 8, 8], hidden=16, window=320, dropout_conv=0.0, dropout_dense=0.0)
SETTINGS = ChromatinSettings(
    network=NETWORK, valid_chromosomes=["chr2"], test_chromosomes=["chr3"], batch_size=16, max_epochs=6, patience=6,
    learning_rate=0.01,
)  # fmt: skip
QUIET = TrainingSettings(tensorboard=False, csv_log=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three contigs on which every third bin is poly-A in its middle and has a peak."""
    folder = tmp_path_factory.mktemp("chromatin")
    random = np.random.default_rng(0)
    fasta, bed = [], []
    for chrom, bins in (("chr1", 200), ("chr2", 60), ("chr3", 60)):
        bases = random.choice(list("CGT"), bins * 200)
        for start in range(0, bins * 200, 600):
            bases[start + 60 : start + 140] = "A"
            bed.append(f"{chrom}\t{start}\t{start + 199}\n")
        if chrom == "chr1":
            bases[1000] = "N"
        fasta.append(f">{chrom}\n{''.join(bases)}\n")
    (folder / "genome.fa").write_text("".join(fasta))
    (folder / "peaks.bed").write_text("".join(bed))
    (folder / "other.bed").write_text("chr9\t0\t200\n")
    (folder / "tracks.tsv").write_text("track\tpeaks\npolyA\tpeaks.bed\n")
    (folder / "empty.tsv").write_text("track\tpeaks\npolyA\tpeaks.bed\nother\tother.bed\n")
    return folder


def test_windows_are_centred_on_labelled_bins(world):
    tracks = read_tracks(world / "tracks.tsv")
    with Genome(world / "genome.fa") as genome:
        bins = labelled_bins(genome, tracks, ["chr2", "chr1"], 200, 320)
        assert len(bins) == 60 + 200 - 1
        assert decode(bins.windows([0])[0]) == genome.fetch("chr2", -60, 260)
        assert decode(bins.windows([3])[0]) == genome.fetch("chr2", 540, 860)
        assert decode(bins.windows([60 + 7])[0]) == genome.fetch("chr1", 1540, 1860)
    assert np.flatnonzero(bins.labels[:60, 0]).tolist() == list(range(0, 60, 3))


def test_thinning_keeps_every_positive(world):
    with Genome(world / "genome.fa") as genome:
        bins = labelled_bins(genome, read_tracks(world / "tracks.tsv"), ["chr1"], 200, 320)
    thinned = thin_negatives(bins, 1.0, seed=3)
    assert thinned.labels.sum() == bins.labels.sum()
    assert len(thinned) == 2 * bins.labels.sum()


def test_a_learnt_model_folder(world, tmp_path):
    metrics = train_chromatin(
        world / "genome.fa", world / "tracks.tsv", tmp_path, SETTINGS, QUIET, seed=1, device="cpu"
    )
    assert metrics["test_auc"]["polyA"] > 0.95
    assert read_json(tmp_path / "metrics.json") == metrics
    loaded = load_model(tmp_path)
    assert loaded.spec.outputs == ["polyA"]
    assert not any("running_mean" in name for name in loaded.module.state_dict())


def test_the_same_seed_gives_the_same_bytes(world, tmp_path):
    short = SETTINGS.model_copy(update={"max_epochs": 1, "min_auc": 0.0})
    for name in ("first", "second"):
        train_chromatin(world / "genome.fa", world / "tracks.tsv", tmp_path / name, short, QUIET, seed=2, device="cpu")
    for name in ("weights.safetensors", "model.yaml", "metrics.json", "history.csv"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_model_that_does_not_learn_is_not_written(world, tmp_path):
    stuck = SETTINGS.model_copy(update={"max_epochs": 1, "learning_rate": 1e-9, "min_auc": 0.99})
    with pytest.raises(
        CisweaveError, match=r"did not learn: median validation AUC 0\.\d+ after 1 epochs, below min_auc 0.99"
    ):
        train_chromatin(world / "genome.fa", world / "tracks.tsv", tmp_path, stuck, QUIET, device="cpu")
    assert not (tmp_path / "model.yaml").exists()


def test_track_without_peaks_on_training_contigs(world, tmp_path):
    with pytest.raises(CisweaveError, match="other have no peak on any training contig"):
        train_chromatin(world / "genome.fa", world / "empty.tsv", tmp_path, SETTINGS, QUIET, device="cpu")


def test_unknown_held_out_contig(world, tmp_path):
    settings = SETTINGS.model_copy(update={"test_chromosomes": ["chr8"]})
    with pytest.raises(CisweaveError, match="contig chr8 is not in this FASTA"):
        train_chromatin(world / "genome.fa", world / "tracks.tsv", tmp_path, settings, QUIET, device="cpu")


def test_asking_for_a_gpu_that_is_not_there(world, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(CisweaveError, match="device: cuda was asked for but PyTorch sees no GPU"):
        train_chromatin(world / "genome.fa", world / "tracks.tsv", tmp_path, SETTINGS, QUIET, device="cuda")
