"""Every layout goes from Keras's weights to a network that gives the same numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models.folders import load_model, read_spec
from cisweave.sequence.onehot import one_hot
from cisweave.xpresso.dataset import open_data
from cisweave.xpresso.importing.models import import_model
from cisweave.xpresso.models import load_promoter_model
from tests.keras_numpy import segment_means
from tests.xpresso.importing.networks import MAKERS, Case, make, save_folder, save_h5
from tests.xpresso.training_data import FACTORS, write_promoters


def inputs(case: Case, number: int = 4) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(5)
    return draw.integers(0, 4, (number, case.window)), draw.normal(size=(number, sum(case.widths))).astype(np.float32)


def expected(case: Case, codes: np.ndarray, extras: np.ndarray, vectors: np.ndarray | None) -> np.ndarray:
    promoter = segment_means(codes, vectors) if case.segments else codes
    return case.forward(promoter, extras, case.layers)


def options(case: Case, folder: Path) -> tuple[dict, np.ndarray | None]:
    told = {"slice": f"0:{case.window}"} if case.window else {}
    vectors = None
    if case.segments:
        vectors = np.random.default_rng(2).normal(size=(64, 64)).astype(np.float32)
        np.save(folder / "vectors.npy", vectors)
        told["vectors"] = folder / "vectors.npy"
    return told, vectors


def predictions(folder: Path, case: Case, codes: np.ndarray, extras: np.ndarray) -> np.ndarray:
    network = load_model(folder, architecture="promoter").module
    with torch.inference_mode():
        promoter = one_hot(codes.astype(np.uint8)) if case.window else None
        return network(promoter, torch.from_numpy(extras))[:, 0].numpy()


@pytest.mark.parametrize("scheme", ["variables", "trainable_variables", "h5"])
@pytest.mark.parametrize("name", MAKERS)
def test_predictions_are_those_of_plain_keras(name: str, scheme: str, tmp_path: Path) -> None:
    case = make(name)
    told, vectors = options(case, tmp_path)
    source = save_h5(case, tmp_path / "model.h5") if scheme == "h5" else save_folder(case, tmp_path / "saved", scheme)
    import_model(source, tmp_path / "model", type=name, **told)
    codes, extras = inputs(case)
    right = expected(case, codes, extras, vectors)
    assert right.std() > 1e-3
    np.testing.assert_allclose(predictions(tmp_path / "model", case, codes, extras), right, atol=2e-5)


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ("cnn/Xpresso_micro", "cnn/Xpresso_ort")])
def test_types_are_told_by_their_weights(name: str, tmp_path: Path) -> None:
    case = make(name)
    told, _ = options(case, tmp_path)
    import_model(save_folder(case, tmp_path / "saved"), tmp_path / "model", **told)
    spec = read_spec(tmp_path / "model")
    assert spec.hyperparameters["type"] == name
    assert tuple(spec.hyperparameters[key] for key in ("halflife", "tf", "mirna")) == case.widths
    assert spec.outputs == ["expression"]
    number = sum(values.size for arrays in case.layers for values in arrays)
    assert read_json(tmp_path / "model/metrics.json")["parameters"] == number


def test_the_folder_says_how_it_is_used(tmp_path: Path) -> None:
    case = make("cnn/Xpresso_TF")
    import_model(save_folder(case, tmp_path / "saved"), tmp_path / "model", slice="9000:9610")
    model = load_promoter_model(tmp_path / "model", "cpu")
    assert model.inputs == "PHT"
    assert (model.geometry.left, model.geometry.right, model.geometry.compat) == (9000, 9610, "xpresso")
    assert model.scaling.label_unit == "standardised"
    assert model.scaling.tf_names[:3] == ["ARID3A", "ATF1", "ATF2"]
    assert np.isnan(model.log10(np.zeros(2))).all()
    files = [each["file"] for each in model.spec.preprocessing["imported_from"]]
    assert files == ["variables.index", "variables.data-00000-of-00001"]
    assert "/" not in "".join(files)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    case = make("token/best")
    for name in ("one", "two"):
        import_model(save_folder(case, tmp_path / "saved"), tmp_path / name, slice="0:610")
    for file in ("weights.safetensors", "model.yaml"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


# --- half-life features without names ---------------------------------------------------------------------------------
def test_features_without_names_are_held_at_their_mean(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    case = make("cnn/Xpresso")
    case.layers[2][0] = case.layers[2][0][:-2]
    case.widths = (6, 0, 0)
    source = save_folder(case, tmp_path / "saved")
    import_model(source, tmp_path / "model", slice="0:610")
    assert "does not name the 6 half-life features" in caplog.text
    spec = read_spec(tmp_path / "model")
    assert spec.hyperparameters["type"] == "cnn/Xpresso_nohalf"
    assert spec.preprocessing["halflife_held_at_mean"] == 6
    codes, _ = inputs(case)
    right = case.forward(codes, np.zeros((len(codes), 6)), case.layers)
    found = predictions(tmp_path / "model", case, codes, np.zeros((len(codes), 0), dtype=np.float32))
    np.testing.assert_allclose(found, right, atol=2e-5)

    names = ["UTR5LEN", "CDSLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC"]
    import_model(source, tmp_path / "named", slice="0:610", halflife_names=names)
    assert read_spec(tmp_path / "named").preprocessing["scaling"]["halflife_names"] == names
    assert "give the data, too (--data)" in caplog.text
    for wrong, message in (
        (names[:5], "5 different names for the 6"),
        (["LENGTH", *names[1:]], "no half-life feature"),
    ):
        with pytest.raises(CisweaveError, match=message):
            import_model(source, tmp_path / "wrong", slice="0:610", halflife_names=wrong)


@pytest.mark.parametrize("text", ["x", "5", "1:2:3", "3000:", "3000.0:3610", "-5:605", "3_000:3_610", "610:0"])
def test_a_slice_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    source = save_folder(make("cnn/Xpresso"), tmp_path / "saved")
    with pytest.raises(CisweaveError, match="slice: "):
        import_model(source, tmp_path / "model", slice=text)
    assert not (tmp_path / "model").exists()


# --- scales of a data set ---------------------------------------------------------------------------------------------
def test_scales_and_names_come_from_data(tmp_path: Path) -> None:
    data, _ = write_promoters(tmp_path)
    case = make("cnn/Xpresso_TF")
    case.layers[2][0] = case.layers[2][0][: 10 + 8 + FACTORS]
    source = save_folder(case, tmp_path / "saved")
    told = {"slice": "0:610", "type": "cnn/Xpresso_TF", "upstream": 400, "downstream": 400}
    import_model(source, tmp_path / "model", genes=data, **told)
    receipt = (tmp_path / "model/model.yaml.receipt.json").read_text()
    assert "dataset.json" in receipt
    assert '"upstream": 400' in receipt
    scaling = load_promoter_model(tmp_path / "model", "cpu").scaling
    opened = open_data(data)
    assert scaling.label_mean == pytest.approx(opened.label.mean())
    assert scaling.label_sd == pytest.approx(opened.label.std())
    np.testing.assert_allclose(scaling.halflife_sd, opened.halflife.std(axis=0))
    assert (scaling.label_unit, scaling.halflife_unit) == ("log10", "raw")
    assert scaling.tf_names == [f"TF{number}" for number in range(FACTORS)]
    import_model(source, tmp_path / "alone", **told)
    assert load_promoter_model(tmp_path / "alone", "cpu").scaling.tf_names[-1] == f"factor_{FACTORS}"
    with pytest.raises(CisweaveError, match="reads 181 columns of tf, these data have 5"):
        import_model(save_folder(make("tfnet/TF"), tmp_path / "tf"), tmp_path / "other", genes=data)


# --- what does not fit ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "told", "message"),
    [
        ("cnn/Xpresso", {"type": "tfnet/TF"}, "family of cnn/Xpresso, not of tfnet/TF"),
        ("cnn/Xpresso", {}, "first dense layer has 18 inputs, but a window of 10,500 bases leaves 175"),
        ("cnn/Xpresso", {"slice": "0:300"}, "13 inputs beside the promoter, by which its type cannot be told"),
        ("cnn/Xpresso", {"slice": "0:610", "type": "Xpresso_nohalf"}, "Xpresso_nohalf reads none"),
        ("cnn/Xpresso", {"slice": "0:610", "type": "Xpresso_TF"}, "reads half-life and a matrix"),
        ("cnn/Xpresso_micro", {"slice": "0:610"}, "108 inputs beside the promoter"),
        ("cnn/Xpresso", {"slice": "19900:20510"}, "does not lie in a promoter of 20,000"),
        ("token/best", {}, "reads 610 bases, the slice 9500:20000 has 10,500"),
        ("cnn/Xpresso", {"slice": "0:610", "type": "TF"}, "several types are called TF"),
        ("cnn/Xpresso", {"slice": "0:610", "vectors": "v.npy"}, "reads no segments"),
    ],
)
def test_wrong_words_are_told(name: str, told: dict, message: str, tmp_path: Path) -> None:
    source = save_folder(make(name), tmp_path / "saved")
    with pytest.raises(CisweaveError, match=message):
        import_model(source, tmp_path / "model", **told)
    assert not (tmp_path / "model/model.yaml").exists()


@pytest.mark.parametrize(
    ("layer", "tensor", "shape", "message"),
    [
        (1, 0, (9, 6, 5), "layer_with_weights-1: kernel has shape .9, 6, 5."),
        (2, 0, (17, 64), "17 inputs|7 inputs"),
        (3, 0, (63, 2), "layer_with_weights-3: kernel has shape .63, 2."),
        (1, 1, (4,), "layer_with_weights-1: bias has shape .4,., the network needs .5,."),
    ],
)
def test_the_layer_that_does_not_fit_is_named(
    layer: int, tensor: int, shape: tuple, message: str, tmp_path: Path
) -> None:
    case = make("cnn/Xpresso")
    case.layers[layer][tensor] = np.ones(shape, dtype=np.float32)
    with pytest.raises(CisweaveError, match=message):
        import_model(save_folder(case, tmp_path / "saved"), tmp_path / "model", slice="0:610")


def test_an_attention_block_that_is_cut_is_named(tmp_path: Path) -> None:
    case = make("deeplncloc/DeepLncLoc")
    case.layers[1] = case.layers[1][:12]
    with pytest.raises(CisweaveError, match="tensor 13 of the 16 of an attention block"):
        import_model(save_folder(case, tmp_path / "saved"), tmp_path / "model", slice="0:200")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    case = make("tfnet/TF")
    case.layers[1][0][3, 1] = np.inf
    with pytest.raises(CisweaveError, match="layer_with_weights-1: kernel holds numbers that are not finite"):
        import_model(save_folder(case, tmp_path / "saved"), tmp_path / "model")


def test_segments_without_vectors_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = save_folder(make("deeplncloc/DeepLncLoc"), tmp_path / "saved")
    import_model(source, tmp_path / "model", slice="0:200")
    assert "vectors of k-mers that this network was trained on are not in the file" in caplog.text
    assert read_spec(tmp_path / "model").preprocessing["vectors_known"] is False
    np.save(tmp_path / "small.npy", np.ones((64, 32), dtype=np.float32))
    with pytest.raises(CisweaveError, match=r"shape \(64, 32\), the network needs \(64, 64\)"):
        import_model(source, tmp_path / "model", slice="0:200", vectors=tmp_path / "small.npy")
    np.save(tmp_path / "pickled.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(CisweaveError, match="no vectors"):
        import_model(source, tmp_path / "model", slice="0:200", vectors=tmp_path / "pickled.npy")
