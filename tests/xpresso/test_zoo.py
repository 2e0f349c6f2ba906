"""The table of models: what an entry is trained with, and which mistakes are told before any job."""

import subprocess
import sys
from pathlib import Path

import pytest

from cisweave.config import EmbeddingSettings, PromoterSplitSettings, ZooModel, load_config, load_settings, read_zoo
from cisweave.config.model import XpressoConfig
from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.registry import TYPES
from cisweave.xpresso.dataset import open_data
from cisweave.xpresso.zoo import check_zoo, resolve_training
from tests.xpresso.training_data import write_promoters

CONFIG = Path(__file__).resolve().parents[2] / "config"


def problems(entry, **config):
    """Mistakes of one entry, called A, without its name."""
    found = check_zoo({"A": ZooModel(**entry)}, XpressoConfig(**config) if config else None)
    assert all(line.startswith("A.") for line in found)
    return [line.removeprefix("A.") for line in found]


# --- how entries are trained ------------------------------------------------------------------------------------------
def test_published_training_is_taken_where_nothing_is_said():
    settings = resolve_training(ZooModel(type="divide/DivideEtImpera", train={"batch_size": 64}))
    assert (settings.optimizer, settings.learning_rate, settings.momentum) == ("sgd", 1e-3, 0.9)
    assert (settings.max_epochs, settings.reduce_epoch, settings.patience, settings.batch_size) == (300, 70, 15, 64)
    assert resolve_training(ZooModel(type="tfnet/TF")).loss == "mae"
    original = resolve_training(ZooModel(type="token/Original"))
    assert (original.optimizer, original.warmup, original.learning_rate) == ("noam", 4000, None)
    assert resolve_training(ZooModel(type="token/best", train={"optimizer": "noam"})).warmup == 8000


@pytest.mark.parametrize("name", sorted(TYPES))
def test_an_entry_is_trained_alike_from_python_and_from_json(name):
    entry = ZooModel(type=name)
    assert resolve_training(load_settings(ZooModel, entry.model_dump_json())) == resolve_training(entry)
    assert resolve_training(entry).max_epochs > 0


# --- mistakes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(TYPES))
def test_published_models_are_right(name):
    entry = {"type": name}
    assert problems(entry) == []
    assert problems(entry, tf="tf.tsv", mirna="mirna.tsv") == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "cnn/Xpresso", "network": {"fliters": [3]}}, "network.fliters: [3] is an unknown key; did you mean"),
        ({"type": "cnn/Xpresso", "network": {"filters": [3]}}, "network: filters, widths, pools and dilations need"),
        ({"type": "cnn/Xpresso", "network": {"type": "token/best"}}, 'network.type: "token/best" is an unknown key'),
        ({"type": "cnn/Xpresso", "network": {"window": 2000}}, "network.window: 2000 is an unknown key"),
        ({"type": "lstm/classic", "train": {"optimizer": "noam"}}, "train.optimizer: noam is made for transformers, a"),
        ({"type": "lstm/tf", "seeds": [3, 3]}, "seeds: a seed stands twice"),
        ({"type": "lstm/tf", "network": {"size": 32}}, "network.size: segments are those of the embedding; write em"),
        ({"type": "cnn/Xpresso", "train": {"slice": "0:299"}}, "train.slice: a window of 299 bases is pooled away"),
        ({"type": "token/TF", "train": {"slice": "0:299"}}, "train.slice: a window of 299 bases is pooled away"),
        ({"type": "divide/DivideEtImpera", "train": {"slice": "0:10010"}}, "train.slice: a window of 10010 bases cann"),
        (
            {"type": "lstm/classic", "train": {"slice": "0:49"}},
            "train.slice: slice 0:49 is shorter than a segment of 5",
        ),
        ({"type": "tfnet/TF", "train": {"slice": "0:500"}}, "train.slice: tfnet/TF reads no promoter; leave it out"),
        ({"type": "token/Original", "network": {"heads": 3}}, "network: size 128 cannot be shared out among 3 heads"),
        (
            {"type": "token/Original", "train": {"optimizer": "adam"}},
            "train.learning_rate: token/Original has no publi",
        ),
        ({"type": "token/Original", "train": {"learning_rate": 0.1}}, "train.learning_rate: noam has rates of its own"),
        ({"type": "cnn/Xpresso", "train": {"optimizer": "noam"}}, "train.optimizer: noam is made for transformers, a"),
        ({"type": "cnn/Xpresso", "train": {"warmup": 9}}, "train.warmup: only noam has one, and the optimizer is sgd"),
        (
            {"type": "lstm/tf", "train": {"momentum": 0.5}},
            "train.momentum: only sgd has one, and the optimizer is adam",
        ),
        (
            {"type": "cnn/Xpresso", "train": {"reduce_epoch": 9}},
            "train.reduce_epoch: reduce_epoch and reduce_factor go",
        ),
    ],
)
def test_mistakes_of_an_entry(entry, message):
    (found,) = problems(entry)
    assert found.startswith(message)


@pytest.mark.parametrize(
    ("entry", "config", "message"),
    [
        (
            {"type": "cnn/Xpresso", "train": {"slice": "9000:30000"}},
            {"seeds": [1]},
            "train.slice: 9000:30000 is no part",
        ),
        ({"type": "cnn/Xpresso"}, {"data": {"upstream": 5000}, "seeds": [1]}, None),
        ({"type": "token/best"}, {"data": {"upstream": 5000}}, "train.slice: 9500:20000 is no part of the promoters"),
        ({"type": "lstm/classic", "embedding": {"slice": "0:20001"}}, {"seeds": [1]}, "embedding.slice: 0:20001 is no"),
        ({"type": "tfnet/TF"}, {"seeds": [1]}, "type: tfnet/TF reads tf, which the data lack; write xpresso.tf"),
        ({"type": "lstm/tf"}, {"mirna": "m.tsv"}, "type: lstm/tf reads tf, which the data lack; write xpresso.tf"),
        ({"type": "cnn/Xpresso_micro"}, {"tf": "t.tsv"}, "type: cnn/Xpresso_micro reads mirna, which the data lack"),
        ({"type": "cnn/Xpresso"}, {"promoters": "p.fa"}, "type: cnn/Xpresso reads halflife, which the data lack; writ"),
        ({"type": "cnn/Xpresso"}, {"promoters": "p.fa", "halflife": "h.tsv"}, None),
        ({"type": "cnn/Xpresso_nohalf"}, {"promoters": "p.fa"}, None),
        ({"type": "tfnet/TF"}, {"tf": "t.tsv", "predicted": ["A"]}, "type: tfnet/TF reads no promoter, whose variants"),
    ],
)
def test_mistakes_on_the_data_of_a_run(entry, config, message):
    found = problems(entry, **config)
    assert [line[: len(message or "")] for line in found] == ([] if message is None else [message])


@pytest.mark.parametrize("name", ["baselines", "mean", "halflife", "tf", "mirna", "kmer4"])
def test_no_model_is_called_as_a_baseline(name):
    (line,) = check_zoo({name: ZooModel(type="cnn/Xpresso"), "TF": ZooModel(type="token/TF")})
    assert line.startswith(f"{name}: a baseline is called this")


def test_ready_made_data_tell_what_they_hold(tmp_path):
    folder, _ = write_promoters(tmp_path)
    length = open_data(folder).length
    near = {"slice": f"{length - 300}:{length}"}
    assert problems({"type": "cnn/Xpresso_TF", "train": near}, dataset=folder) == []
    assert "build the data with them" in problems({"type": "cnn/Xpresso_micro", "train": near}, dataset=folder)[0]
    (line,) = problems({"type": "cnn/Xpresso"}, dataset=folder)
    assert f"which have {length} bases" in line


@pytest.mark.parametrize("files", [["config.yaml"], ["demo.yaml", "demo_all.yaml"]])
def test_tables_that_come_along_are_right(files):
    import yaml

    content = {key: value for name in files for key, value in yaml.safe_load((CONFIG / name).read_text()).items()}
    config = load_config(content).xpresso
    zoo = read_zoo(CONFIG.parent / config.models)
    assert check_zoo(zoo, config) == []


def test_tables_are_checked_without_pytorch():
    program = "import sys, cisweave.xpresso.zoo; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- values -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["500:500", "600:500", "a:b", "1:2:3", "-3:5", "5"])
def test_a_slice_is_a_part_of_a_promoter(text):
    with pytest.raises(CisweaveError, match=r"slice: .*write left:right"):
        load_settings(EmbeddingSettings, f'{{"slice": "{text}"}}')


def test_seeds_are_those_that_the_command_takes():
    with pytest.raises(CisweaveError, match="seeds"):
        load_settings(ZooModel, '{"type": "cnn/Xpresso", "seeds": [2147483648]}')


@pytest.mark.parametrize("number", ["1.5", "1.0", "1000.0", "true"])
def test_genes_to_validate_are_a_number_or_a_share(number):
    with pytest.raises(CisweaveError, match="neither a whole number of genes nor a share"):
        load_settings(PromoterSplitSettings, f'{{"valid": {number}}}')
    assert load_settings(PromoterSplitSettings, '{"valid": 1, "test": 0.2}').test == 0.2
