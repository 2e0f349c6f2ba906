"""Training a model of the zoo: what is written, what resumes, what collapses, what is refused."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config import EmbeddingSettings, PromoterDataSettings, TrainingSettings, ZooModel
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.core.seeds import derive_seed
from cisweave.models.folders import load_model
from cisweave.sequence.onehot import one_hot
from cisweave.xpresso import training as module
from cisweave.xpresso.build import build_data
from cisweave.xpresso.collapse import Starts
from cisweave.xpresso.dataset import open_data
from cisweave.xpresso.embedding import embed_data
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.scaling import Scaling
from cisweave.xpresso.training import train_model
from tests.xpresso.training_data import QUIET, write_promoters, xpresso

SEED = 4


@pytest.fixture(scope="module")
def promoters(tmp_path_factory):
    return write_promoters(tmp_path_factory.mktemp("promoters"))


def run(promoters, out, entry=None, settings=QUIET, **options):
    options = {"seed": SEED, "device": "cpu", **options}
    return train_model(*promoters, out, entry or xpresso(), training=settings, **options)


@pytest.fixture(scope="module")
def trained(promoters, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    return out, run(promoters, out, xpresso(max_epochs=12))


def digests(folder):
    names = [
        "predictions.parquet",
        "metrics.json",
        "history.csv",
        "best/weights.safetensors",
        "last/weights.safetensors",
        "best/model.yaml",
        "last/model.yaml",
    ]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def interrupt(monkeypatch, epochs):
    """Make a training be killed at the end of its so-many-th epoch, counted over all starts."""
    from cisweave.training.loop import History

    whole, count = History.on_train_epoch_end, iter(range(1, 1000))

    def stop(self, trainer, pl_module):
        if next(count) > epochs:
            raise KeyboardInterrupt
        whole(self, trainer, pl_module)

    monkeypatch.setattr(History, "on_train_epoch_end", stop)


# --- what is written --------------------------------------------------------------------------------------------------
def test_it_learns(trained):
    metrics = trained[1]
    assert metrics["best"]["test"]["r2"] > 0.5
    assert metrics["restarts"] == 0
    assert metrics["trained_with_seed"] == SEED
    assert metrics["genes"] == {"train": 160, "valid": 40, "test": 40}


def test_predictions_come_from_the_model_folders(trained, promoters):
    out, data = trained[0], open_data(promoters[0])
    table = pd.read_parquet(out / "predictions.parquet")
    assert list(table) == ["gene_id", "split", "measured", "best", "last", "measured_z", "best_z", "last_z"]
    split = pd.read_csv(promoters[1], sep="\t")
    ordered = pd.concat([split[split.split == name] for name in ("train", "valid", "test")])
    assert table.gene_id.tolist() == ordered.gene_id.tolist()
    assert table.split.tolist() == ordered.split.tolist()
    rows = data.rows(table.gene_id)
    np.testing.assert_allclose(table.measured, np.log10(data.genes.expression.to_numpy()[rows] + 0.1), rtol=1e-12)
    for epoch in ("best", "last"):
        loaded = load_model(out / epoch)
        how = loaded.spec.preprocessing
        assert how["promoter"] == {"upstream": 200, "downstream": 200, "slice": [100, 400], "compat": None}
        assert how["inputs"] == "PH"
        scaling = Scaling.from_dict(how["scaling"])
        promoter = one_hot(data.windows(np.arange(len(data)))[rows, 100:400])
        halflife = data.halflife[rows]
        train = data.halflife[data.rows(table.gene_id[table.split == "train"])]
        extras = torch.from_numpy(((halflife - train.mean(0)) / train.std(0)).astype(np.float32))
        with torch.inference_mode():
            z = loaded.module(promoter, extras)[:, 0].numpy()
        np.testing.assert_allclose(table[f"{epoch}_z"], z, atol=1e-5)
        np.testing.assert_allclose(table[epoch], scaling.unlabel(table[f"{epoch}_z"]), rtol=1e-12)


def test_labels_are_scaled_by_the_training_genes(trained):
    table = pd.read_parquet(trained[0] / "predictions.parquet")
    measured = table[table.split == "train"].measured_z.to_numpy()
    assert measured.mean() == pytest.approx(0, abs=1e-12)
    assert measured.std() == pytest.approx(1)
    assert abs(table.measured_z.std(ddof=0) - 1) > 1e-4


def test_best_and_last_are_the_epochs_they_say(trained):
    out, metrics = trained
    history = pd.read_csv(out / "history.csv")
    table = pd.read_parquet(out / "predictions.parquet").query("split == 'valid'")
    loss = {epoch: ((table[f"{epoch}_z"] - table.measured_z) ** 2).mean() for epoch in ("best", "last")}
    assert loss["best"] == pytest.approx(history.valid_loss.min(), rel=1e-4)
    assert loss["last"] == pytest.approx(history.valid_loss.iloc[-1], rel=1e-4)
    assert metrics["best_epoch"] == history.valid_loss.idxmin()
    correlation = np.corrcoef(table.last, table.measured)[0, 1]
    assert history.valid_r2.iloc[-1] == pytest.approx(correlation**2, rel=1e-4)
    assert history.valid_spread.iloc[-1] == pytest.approx(table["last"].std() / table.measured.std(), rel=1e-4)


def test_metrics_and_receipts_are_there(trained):
    out, metrics = trained
    assert read_json(out / "metrics.json") == metrics
    receipt = read_json(out / "predictions.parquet.receipt.json")["identity"]
    assert receipt["seed"] == SEED
    assert [Path(name).name for name in receipt["inputs"]] == ["dataset.json", "split.tsv"]
    assert (out / "best" / "model.yaml.receipt.json").exists()
    assert load_model(out / "best").spec.training_data == receipt["inputs"]


def test_the_same_seed_gives_the_same_bytes_and_another_others(promoters, tmp_path):
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        run(promoters, tmp_path / name, xpresso(max_epochs=2), seed=seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert digests(tmp_path / "one")["predictions.parquet"] != digests(tmp_path / "other")["predictions.parquet"]


def test_data_that_are_built_anew_are_the_same_data(tmp_path):
    """Receipts tell times; a model must not depend on them, nor must going on with it."""
    random = np.random.default_rng(3)
    genes = [f"G{number}" for number in range(60)]
    fasta, table = tmp_path / "promoters.fa", tmp_path / "expression.tsv"
    fasta.write_text("".join(f">{gene}\n{''.join(random.choice(list('ACGT'), 200))}\n" for gene in genes))
    table.write_text("gene_id\tLiver\n" + "".join(f"{gene}\t{random.random():.4f}\n" for gene in genes))
    split = tmp_path / "split.tsv"
    split.write_text(
        "gene_id\tfold\tsplit\n"
        + "".join(f"{gene}\t1\t{('train', 'valid', 'test')[max(0, place - 57)]}\n" for place, gene in enumerate(genes))
    )
    entry, found, made = xpresso(kind="cnn/Xpresso_nohalf", slice="0:200", max_epochs=2), [], []
    for _ in range(2):
        settings = PromoterDataSettings(upstream=100, downstream=100)
        build_data(tmp_path / "data", PromoterFiles(promoters=fasta), expression=table, settings=settings)
        made.append((tmp_path / "data" / "dataset.json.receipt.json").read_bytes())
        run((tmp_path / "data", split), tmp_path / "model", entry)
        found.append(digests(tmp_path / "model"))
    assert made[0] != made[1]
    assert found[0] == found[1]


# --- going on ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("epochs", [2, 3])
def test_a_killed_training_ends_as_if_it_had_not_been(promoters, tmp_path, monkeypatch, epochs):
    entry = xpresso(optimizer="sgd", learning_rate=0.02, max_epochs=5, reduce_epoch=3, reduce_factor=0.1)
    run(promoters, tmp_path / "whole", entry)
    with monkeypatch.context() as patch:
        interrupt(patch, epochs)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run(promoters, tmp_path / "killed", entry)
    assert not (tmp_path / "killed" / "metrics.json").exists()
    run(promoters, tmp_path / "killed", entry)
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


def test_the_drop_of_the_learning_rate_slows_training_down(promoters, tmp_path):
    options = {"optimizer": "sgd", "learning_rate": 0.01, "max_epochs": 5}
    dropping = {**options, "reduce_epoch": 2, "reduce_factor": 1e-6}
    run(promoters, tmp_path / "even", xpresso(momentum=0, **options))
    run(promoters, tmp_path / "drop", xpresso(momentum=0, **dropping))
    even, drop = (pd.read_csv(tmp_path / name / "history.csv").valid_loss for name in ("even", "drop"))
    assert even[:2].tolist() == drop[:2].tolist()
    assert drop[2:].to_numpy() == pytest.approx(drop[1], rel=1e-4)
    assert even[4] < drop[4]


# --- collapse ---------------------------------------------------------------------------------------------------------
def kill_network(monkeypatch, seeds):
    """Let networks of these seeds have dead units in their last hidden layer, as some have by chance."""
    whole = module.Task.network

    def network(self, seed):
        made = whole(self, seed)
        if seed in seeds:
            with torch.no_grad():
                made.head.dense_layers[-2].bias.fill_(-1e6)
        return made

    monkeypatch.setattr(module.Task, "network", network)


SECOND = derive_seed(SEED, "restart", 1)


def test_a_collapsed_model_is_started_again(promoters, tmp_path, monkeypatch, caplog):
    kill_network(monkeypatch, {SEED})
    metrics = run(promoters, tmp_path / "model", xpresso(max_epochs=6))
    assert (metrics["restarts"], metrics["seed"], metrics["trained_with_seed"]) == (1, SEED, SECOND)
    assert "collapsed to one prediction for all genes after 3 epochs" in caplog.text
    assert metrics["best"]["test"]["r2"] > 0.1
    run(promoters, tmp_path / "direct", xpresso(max_epochs=6), seed=SECOND)
    one, two = (pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("model", "direct"))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize("epochs", [2, 5])
def test_a_training_killed_before_or_after_a_restart_goes_on(promoters, tmp_path, monkeypatch, epochs):
    kill_network(monkeypatch, {SEED})
    run(promoters, tmp_path / "whole", xpresso(max_epochs=6))
    with monkeypatch.context() as patch:
        interrupt(patch, epochs)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run(promoters, tmp_path / "killed", xpresso(max_epochs=6))
    assert read_json(tmp_path / "killed/run/starts.json")["collapsed"] == (1 if epochs > 3 else 0)
    run(promoters, tmp_path / "killed", xpresso(max_epochs=6))
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


def test_too_many_collapses_are_an_error(promoters, tmp_path, monkeypatch):
    kill_network(monkeypatch, {SEED, SECOND})
    with pytest.raises(CisweaveError, match="in each of 2 starts; lower the learning rate"):
        run(promoters, tmp_path / "model", xpresso(restarts=1))
    assert not (tmp_path / "model" / "best").exists()


def test_starts_of_another_training_are_forgotten(tmp_path, caplog):
    caplog.set_level("INFO")
    first = Starts(tmp_path / "run", {"a": 1}, 7, 3)
    first.give_up()
    assert Starts(tmp_path / "run", {"a": 1}, 7, 3).current_seed == derive_seed(7, "restart", 1)
    assert "removed" not in caplog.text
    assert Starts(tmp_path / "run", {"a": 2}, 7, 3).current_seed == 7
    assert "of another training; its checkpoints are removed" in caplog.text
    assert Starts(tmp_path / "run", {"a": 1}, 7, 3).collapsed == 0


@pytest.mark.parametrize("content", ["{}", "[]", '{"settings_sha256": null, "collapsed": 1}'])
def test_a_broken_record_of_starts_is_that_of_another_training(tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "starts.json").write_text(content)
    assert Starts(tmp_path / "run", {"a": 1}, 7, 3).collapsed == 0


def test_results_of_an_earlier_training_do_not_outlive_another_that_fails(promoters, tmp_path):
    run(promoters, tmp_path, xpresso(max_epochs=1))
    assert all((tmp_path / name).exists() for name in module.RESULTS)
    with pytest.raises(CisweaveError, match="diverged"):
        run(promoters, tmp_path, xpresso(optimizer="sgd", learning_rate=1e12))
    assert not any((tmp_path / name).exists() for name in module.RESULTS)


def test_a_training_cut_by_time_goes_on(promoters, tmp_path):
    """What is logged and how long a process may train does not make another training of it."""
    entry = xpresso(max_epochs=3)
    run(promoters, tmp_path / "whole", entry)
    cut = QUIET.model_copy(update={"trainer": TrainingSettings(trainer={"max_time": "00:00:00:00"}).trainer})
    with pytest.raises(CisweaveError, match="raise max_time"):
        run(promoters, tmp_path / "cut", entry, cut)
    start = tmp_path / "cut" / "run" / "start0"
    assert not (start / "finished.json").exists()
    begun = (start / "identity.json").read_bytes()
    run(promoters, tmp_path / "cut", entry, TrainingSettings(tensorboard=False))
    assert (start / "identity.json").read_bytes() == begun
    assert read_json(tmp_path / "cut" / "metrics.json") == read_json(tmp_path / "whole" / "metrics.json")
    assert read_json(tmp_path / "cut" / "metrics.json")["stopped_by"] is None


def test_no_rate_is_looked_for_where_none_is_used(promoters, tmp_path):
    settings = QUIET.model_copy(update={"find_learning_rate": True})
    with pytest.raises(CisweaveError, match="find_learning_rate: noam has rates of its own"):
        run(promoters, tmp_path, ZooModel(type="token/Original", train={"slice": "0:20"}), settings)


def test_a_folder_of_another_kind_is_left_alone(promoters, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(CisweaveError, match="files of another kind"):
        run(promoters, tmp_path)
    assert (tmp_path / "run" / "thesis.txt").exists()


# --- types, settings, refusals ----------------------------------------------------------------------------------------
def test_a_model_without_promoter_learns_from_factors(promoters, tmp_path):
    network = {"dense": [8], "dropout": [0.0]}
    metrics = run(promoters, tmp_path, xpresso(network, "tfnet/TF", slice=None, max_epochs=8))
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    factors = pd.read_parquet(promoters[0] / "tf.parquet").set_index("gene_id")
    bound = factors.loc[table.gene_id, "TF2"].to_numpy() == 1
    assert table.best[bound].mean() > table.best[~bound].mean() + 0.1
    assert metrics["slice"] == [0, 0]
    spec = load_model(tmp_path / "best").spec
    assert spec.preprocessing["scaling"]["tf_names"] == [f"TF{number}" for number in range(5)]


def test_names_of_what_is_not_read_are_not_kept(trained):
    scaling = load_model(trained[0] / "best").spec.preprocessing["scaling"]
    assert scaling["tf_names"] == scaling["tf_mean"] == []


SEGMENTS = EmbeddingSettings(slice="100:400", segment=50, k=2)
SMALL = {"heads": 1, "hidden": 8, "dense": [8], "dropout": [0.0]}


@pytest.fixture(scope="module")
def embedded(promoters, tmp_path_factory):
    path = tmp_path_factory.mktemp("embedded") / "segments.h5"
    embed_data(*promoters, path, SEGMENTS)
    return path


def test_a_model_of_segments_reads_bases_once_trained(promoters, embedded, tmp_path):
    entry = xpresso(SMALL, "deeplncloc/DeepLncLoc", slice=None, max_epochs=6)
    metrics = run(promoters, tmp_path, entry, embedding=embedded)
    assert metrics["slice"] == [100, 400]
    assert metrics["best"]["test"]["r2"] > 0.2
    table, data = pd.read_parquet(tmp_path / "predictions.parquet"), open_data(promoters[0])
    loaded, rows = load_model(tmp_path / "best"), data.rows(table.gene_id)
    assert loaded.spec.preprocessing["embedding"] == SEGMENTS.model_dump()
    assert {"k": 2, "segment": 50, "size": 16}.items() <= loaded.spec.hyperparameters.items()
    scaling = Scaling.from_dict(loaded.spec.preprocessing["scaling"])
    with torch.inference_mode():
        extras = torch.from_numpy(scaling.extras(data, rows, "H"))
        z = loaded.module(one_hot(data.windows(rows, 100, 400)), extras)[:, 0].numpy()
    np.testing.assert_allclose(table.best_z, z, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding": SEGMENTS.model_copy(update={"segment": 30})}, r"\(segment 50 instead of 30\)"),
        ({"train": {"slice": "0:400"}}, "slice 100:400 instead of 0:400"),
        ({"type": "cnn/Xpresso"}, "leave --embedding out"),
    ],
)
def test_embedded_promoters_must_be_those_of_the_model(promoters, embedded, tmp_path, changes, message):
    entry = ZooModel(**{"type": "deeplncloc/DeepLncLoc", **changes})
    with pytest.raises(CisweaveError, match=message):
        run(promoters, tmp_path / "model", entry, embedding=embedded)
    with pytest.raises(CisweaveError, match="cisweave xpresso embed"):
        run(promoters, tmp_path / "model", ZooModel(type="lstm/classic"))


@pytest.mark.parametrize("key", ["segment", "k", "size"])
def test_segments_are_those_of_the_embedding(promoters, embedded, tmp_path, key):
    with pytest.raises(CisweaveError, match=rf"network.{key}: .* write embedding.{key}"):
        run(promoters, tmp_path, xpresso({key: 4}, "lstm/only_promoter", slice=None), embedding=embedded)


def test_an_embedding_shaped_by_other_genes_is_refused(promoters, embedded, tmp_path):
    split = pd.read_csv(promoters[1], sep="\t").replace({"split": {"train": "test", "test": "train"}})
    split.to_csv(tmp_path / "other.tsv", sep="\t", index=False)
    with pytest.raises(CisweaveError, match="other training genes"):
        run(
            (promoters[0], tmp_path / "other.tsv"),
            tmp_path,
            xpresso({"dense": [8], "dropout": [0.0]}, "lstm/classic", slice=None),
            embedding=embedded,
        )


def test_noam_trains_a_transformer(promoters, tmp_path):
    network = {"size": 8, "heads": 1, "hidden": 8, "dense": [8], "dropout": [0.0]}
    entry = xpresso(
        network, "token/Original", optimizer="noam", learning_rate=None, warmup=10, slice="150:250", max_epochs=2
    )
    assert run(promoters, tmp_path, entry)["epochs"] == 2


def test_mixed_precision(promoters, tmp_path):
    settings = QUIET.model_copy(update={"trainer": TrainingSettings(trainer={"precision": "bf16-mixed"}).trainer})
    metrics = run(promoters, tmp_path, xpresso(max_epochs=8), settings)
    assert metrics["best"]["valid"]["r2"] > 0.3
    weights = load_model(tmp_path / "best").module.state_dict()
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in weights.values())


def test_divergence_is_told(promoters, tmp_path):
    with pytest.raises(CisweaveError, match="diverged"):
        run(promoters, tmp_path, xpresso(optimizer="sgd", learning_rate=1e12))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (xpresso(kind="cnn/Xpresso_micro"), "no training gene has microRNAs, which cnn/Xpresso_micro reads"),
        (xpresso(slice="100:600"), "100:600 is no part of the promoters"),
        (xpresso(optimizer="noam"), "made for transformers"),
    ],
)
def test_what_does_not_fit_is_refused(promoters, tmp_path, entry, message):
    with pytest.raises(CisweaveError, match=message):
        run(promoters, tmp_path, entry)


def test_split_and_data_must_fit(promoters, tmp_path):
    split = pd.read_csv(promoters[1], sep="\t")
    split[split.split != "test"].to_csv(tmp_path / "short.tsv", sep="\t", index=False)
    with pytest.raises(CisweaveError, match="test"):
        run((promoters[0], tmp_path / "short.tsv"), tmp_path / "model")
    with pytest.raises(CisweaveError, match="fold"):
        run(promoters, tmp_path / "model", fold=2)
