"""The published chromatin weights: in, out, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from cisweave.config import NetworkSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models.beluga import Beluga
from cisweave.models.folders import ModelSpec, load_model, read_spec, save_model
from cisweave.models.predict import predict_probabilities
from cisweave.seal.original.beluga import (
    export_chromatin,
    import_chromatin,
    no_history,
    number_replicates,
    published_weights,
    read_tracks,
)
from cisweave.sequence.onehot import encode
from tests.seal.original.published import CHANNELS, HIDDEN, TRACKS, WINDOW, beluga_probabilities, beluga_weights

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(beluga_weights(), tmp_path / "deepsea.beluga.pth")
    return tmp_path / "deepsea.beluga.pth"


def random_sequences(number: int) -> list[str]:
    draw = np.random.default_rng(0)
    return ["".join(draw.choice(list("ACGTN"), WINDOW, p=[0.3, 0.1, 0.25, 0.3, 0.05])) for _ in range(number)]


def test_probabilities_are_those_of_the_published_layers(weights: Path, tmp_path: Path) -> None:
    import_chromatin(weights, tmp_path / "model", window=WINDOW)
    loaded = load_model(tmp_path / "model", architecture="beluga")
    sequences = random_sequences(5)
    codes = np.stack([encode(sequence) for sequence in sequences])
    expected = beluga_probabilities(beluga_weights(), sequences)
    flipped = beluga_probabilities(beluga_weights(), [s.translate(COMPLEMENT)[::-1] for s in sequences])
    assert expected.std(axis=0).min() > 1e-4
    ours = predict_probabilities(loaded.module, codes, strands="forward")
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    np.testing.assert_allclose(predict_probabilities(loaded.module, codes), (expected + flipped) / 2, atol=1e-6)


def test_the_folder_says_what_it_is(weights: Path, tmp_path: Path) -> None:
    metrics = import_chromatin(weights, tmp_path / "model", window=WINDOW)
    spec = read_spec(tmp_path / "model")
    assert spec.hyperparameters == {
        "tracks": TRACKS,
        "channels": list(CHANNELS),
        "hidden": HIDDEN,
        "window": WINDOW,
    }
    assert spec.outputs[0] == "track_1"
    assert len(spec.outputs) == TRACKS
    assert spec.channel_order == "ACGT"
    assert spec.preprocessing["bin_size"] == 200
    assert spec.preprocessing["test_chromosomes"] == []
    source = spec.preprocessing["imported_from"]
    assert source["file"] == "deepsea.beluga.pth"
    assert metrics["parameters"] == sum(tensor.numel() for tensor in beluga_weights().values())
    assert metrics["published_bytes"] is False
    receipt = read_json(tmp_path / "model/model.yaml.receipt.json")
    assert receipt["identity"]["md5"] == source["md5"]
    assert "/" not in yaml.safe_dump(source)


def test_the_published_bytes_are_known(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    digest = hashlib.md5(weights.read_bytes()).hexdigest()
    monkeypatch.setattr("cisweave.seal.original.beluga.PUBLISHED_MD5", digest)
    assert import_chromatin(weights, tmp_path / "model", window=WINDOW)["published_bytes"] is True
    assert read_spec(tmp_path / "model").preprocessing["test_chromosomes"] == ["chr8", "chr9"]


@pytest.mark.parametrize("form", ["old", "wrapped", "parallel", "half", "checkpoint"])
def test_other_forms_of_the_same_weights(form: str, weights: Path, tmp_path: Path) -> None:
    state, path = beluga_weights(), tmp_path / "other.pth"
    if form == "old":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif form == "wrapped":
        torch.save({"state_dict": state, "epoch": 3}, path)
    elif form == "parallel":
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    elif form == "half":
        torch.save({name: tensor.double() for name, tensor in state.items()}, path)
    else:
        torch.save({"model_state_dict": state, "optimizer_state_dict": {"state": {}, "param_groups": []}}, path)
    for name, source in (("a", weights), ("b", path)):
        import_chromatin(source, tmp_path / name, window=WINDOW)
    assert (tmp_path / "a/weights.safetensors").read_bytes() == (tmp_path / "b/weights.safetensors").read_bytes()


def test_out_again_the_weights_are_the_same(weights: Path, tmp_path: Path) -> None:
    import_chromatin(weights, tmp_path / "model", window=WINDOW)
    for name in ("one.pth", "two.pth"):
        export_chromatin(tmp_path / "model", tmp_path / name)
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "two.pth").read_bytes()
    exported, expected = torch.load(tmp_path / "one.pth", weights_only=True), beluga_weights()
    assert list(exported) == list(expected)
    for name, tensor in expected.items():
        assert exported[name].dtype == torch.float32
        assert torch.equal(exported[name], tensor)


def test_a_network_of_ours_goes_out_and_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Beluga.from_settings(3, NetworkSettings(channels=list(CHANNELS), hidden=HIDDEN, window=WINDOW)).eval()
    spec = ModelSpec(
        "beluga", {"tracks": 3, "channels": list(CHANNELS), "hidden": HIDDEN, "window": WINDOW}, ["a", "b", "c"]
    )
    save_model(tmp_path / "model", network, spec, {}, no_history())
    export_chromatin(tmp_path / "model", tmp_path / "out.pth")
    (tmp_path / "tracks.tsv").write_text("track\na\nb\nc\n")
    import_chromatin(tmp_path / "out.pth", tmp_path / "back", tmp_path / "tracks.tsv", WINDOW)
    assert read_spec(tmp_path / "back").outputs == ["a", "b", "c"]
    assert (tmp_path / "back/weights.safetensors").read_bytes() == (tmp_path / "model/weights.safetensors").read_bytes()


def test_names_of_tracks(tmp_path: Path) -> None:
    path = tmp_path / "features.tsv"
    path.write_bytes(
        b"\tCell type\tAssay\tTreatment\tAssay type\tSource\t\r\n1\tK562\tDNase\t\tDNase\tENCODE\tx\r\n"
        b"2\tK562\tDNase\t\tDNase\tENCODE\ty\r\n3\tA549\tGR\tDEX_5nM\tTF\tENCODE\tz\r\n"
    )
    assert read_tracks(path) == ["K562_DNase_None", "K562_DNase_None.2", "A549_GR_DEX_5nM"]
    assert number_replicates(["a", "b", "a", "a"]) == ["a", "b", "a.2", "a.3"]
    path.write_text("track\na\na\n")
    with pytest.raises(CisweaveError, match="a track of its own"):
        read_tracks(path)
    path.write_text("name\na\n")
    with pytest.raises(CisweaveError, match="neither a column track nor"):
        read_tracks(path)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("old", [False, True])
def test_a_file_with_code_is_refused_and_not_run(old: bool, tmp_path: Path) -> None:
    sign, path = tmp_path / "sign", tmp_path / "evil.pth"
    torch.save({**beluga_weights(), "evil": Evil(sign)}, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(CisweaveError, match="could run code"):
        import_chromatin(path, tmp_path / "model", window=WINDOW)
    assert not sign.exists()
    assert not (tmp_path / "model").exists()
    path.write_bytes(pickle.dumps(Evil(sign)))
    with pytest.raises(CisweaveError):
        import_chromatin(path, tmp_path / "model", window=WINDOW)
    assert not sign.exists()


def changed(**tensors: torch.Tensor | None) -> dict[str, torch.Tensor]:
    merged = {**beluga_weights(), **{name.replace("_", "."): tensor for name, tensor in tensors.items()}}
    return {name: tensor for name, tensor in merged.items() if tensor is not None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(model_0_0_bias=None), "lacks model.0.0.bias"),
        (changed(model_9_weight=torch.zeros(1)), "has 'model.9.weight'"),
        (changed(model_0_2_weight=torch.zeros(5, 3, 1, 8)), "Beluga needs .5, 4, 1, 8. and .5,. there"),
        (changed(model_0_2_weight=torch.zeros(5, 4, 8)), "has 4 dimension"),
        (changed(model_0_0_bias=torch.tensor([0, 0, 0, float("nan")])), "not finite"),
        (changed(model_0_0_bias=torch.zeros(4, dtype=torch.int64)), "floating-point"),
        (changed(model_1_4_1_weight=torch.zeros(TRACKS, HIDDEN + 1)), "model.1.4.1 has weight"),
        ({"state_dict": {}}, "holds no weights"),
        ([torch.zeros(3)], "holds no weights"),
        (3, "holds no weights"),
    ],
)
def test_other_weights_are_refused(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CisweaveError, match=message):
        import_chromatin(tmp_path / "other.pth", tmp_path / "model", window=WINDOW)
    assert not (tmp_path / "model").exists()


def test_files_of_other_kinds_are_refused(weights: Path, tmp_path: Path) -> None:
    cases = {
        "cut.pth": weights.read_bytes()[:4000],
        "text.pth": b"hello\n" * 100,
        "empty.pth": b"",
        "page.pth": b"<!DOCTYPE html><html>404</html>",
        "zip.pth": b"PK\x05\x06" + b"\0" * 18,
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CisweaveError):
            import_chromatin(tmp_path / name, tmp_path / "model", window=WINDOW)
    with pytest.raises(CisweaveError, match="does not exist"):
        import_chromatin(tmp_path / "none.pth", tmp_path / "model")


def test_window_and_names_must_fit_the_weights(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="windows of 2000 bases leave 106 positions, but the weights are for 19;"):
        import_chromatin(weights, tmp_path / "model")
    (tmp_path / "tracks.tsv").write_text("track\na\n")
    with pytest.raises(CisweaveError, match=f"1 names for the {TRACKS} outputs"):
        import_chromatin(weights, tmp_path / "model", tmp_path / "tracks.tsv", WINDOW)


@pytest.mark.slow
def test_full_size_shapes() -> None:
    weights = published_weights(Beluga(2002).eval())
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    assert sum(tensor.numel() for tensor in weights.values()) == 149_536_251
    assert shapes["model.0.0.weight"] == (320, 4, 1, 8)
    assert shapes["model.0.14.weight"] == (640, 640, 1, 8)
    assert shapes["model.1.2.1.weight"] == (2003, 67_840)
    assert shapes["model.1.4.1.weight"] == (2002, 2003)
