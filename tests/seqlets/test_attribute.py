"""DeepLIFT/SHAP."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config import AttributionSettings
from cisweave.core.errors import CisweaveError
from cisweave.seqlets.attribute import attribute_items, attribute_loci, constant_steps
from cisweave.seqlets.stores import read_attributions, read_sequences
from cisweave.seqlets.table import read_loci
from cisweave.sequence.onehot import one_hot
from tests.seqlets.conftest import Chain
from tests.seqlets.toy import PwmModel, World, consensus, save_toy_model

SETTINGS = AttributionSettings(shuffles=5, batch_size=20, seed=3)


class SmallNet(torch.nn.Module):
    """Convolutions, pooling and dense layers, all of kinds that DeepLIFT knows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv1d(4, 8, 7), torch.nn.ReLU(), torch.nn.MaxPool1d(4), torch.nn.Conv1d(8, 8, 5), torch.nn.ReLU(),
            torch.nn.Flatten(), torch.nn.Linear(8 * 20, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return out


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 4, (7, 102)).astype(np.uint8)


TARGETS = np.array([0, 2, 1, 0, 0, 2, 0])


def test_values_are_tangermemes_and_complete(codes: np.ndarray) -> None:
    from tangermeme.deep_lift_shap import deep_lift_shap

    model = SmallNet().eval()
    found, deltas = attribute_items(model, codes, TARGETS, SETTINGS)
    for item, target in enumerate(TARGETS):
        x = one_hot(codes[item : item + 1])
        expected = deep_lift_shap(
            model, x, target=int(target), n_shuffles=5, hypothetical=True, random_state=3, device="cpu"
        )
        np.testing.assert_allclose(found.hypothetical[item], expected[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(found.projected.sum(axis=1), deltas.pred - deltas.pred_ref_mean, atol=1e-5)
    assert (deltas.delta_rel < 1e-5).all()
    assert not any(module.training for module in model.modules())


def test_trap_7_projected_is_hypothetical_at_the_base_that_is_there(codes: np.ndarray) -> None:
    found, _ = attribute_items(SmallNet().eval(), codes, TARGETS, SETTINGS)
    at_base = (found.hypothetical * one_hot(codes).numpy()).sum(axis=1)
    np.testing.assert_array_equal(found.projected, at_base)
    assert not np.allclose(found.hypothetical, at_base[:, None])


def test_trap_5_one_seed_one_answer(codes: np.ndarray) -> None:
    model = SmallNet().eval()
    first, again = (attribute_items(model, codes, TARGETS, SETTINGS)[0] for _ in range(2))
    other, _ = attribute_items(model, codes, TARGETS, SETTINGS.model_copy(update={"seed": 4}))
    np.testing.assert_array_equal(first.hypothetical, again.hypothetical)
    assert np.abs(first.projected - other.projected).max() > 1e-4


def test_an_item_does_not_depend_on_what_is_attributed_with_it(codes: np.ndarray) -> None:
    model = SmallNet().eval()
    whole, _ = attribute_items(model, codes, TARGETS, SETTINGS)
    parts = [attribute_items(model, codes[rows], TARGETS[rows], SETTINGS)[0] for rows in (slice(0, 3), slice(3, 7))]
    np.testing.assert_array_equal(whole.hypothetical, np.concatenate([part.hypothetical for part in parts]))


@pytest.mark.parametrize("batch_size", [1, 4, 7, 64])
def test_batch_size_does_not_change_results(codes: np.ndarray, batch_size: int) -> None:
    model = SmallNet().eval()
    whole, deltas = attribute_items(model, codes, TARGETS, SETTINGS)
    other, other_deltas = attribute_items(model, codes, TARGETS, SETTINGS.model_copy(update={"batch_size": batch_size}))
    np.testing.assert_allclose(other.hypothetical, whole.hypothetical, atol=1e-6)
    np.testing.assert_allclose(other_deltas.pred, deltas.pred, atol=1e-6)


def test_steps_have_one_target_and_one_size() -> None:
    steps = [step.tolist() for step in constant_steps(TARGETS, 3)]
    assert steps == [[0, 3, 4], [6, 6, 6], [2, 2, 2], [1, 5, 5]]


def test_trap_19_each_item_explains_its_own_track(world: World) -> None:
    motifs = world.motifs
    codes = np.random.default_rng(2).integers(0, 4, (3, 200)).astype(np.uint8)
    for row, motif in enumerate(motifs.values()):
        bases = consensus(motif, "+-+"[row])
        codes[row, 90 : 90 + len(bases)] = bases
    found, _ = attribute_items(world.model, codes, np.arange(3), SETTINGS)
    others, _ = attribute_items(world.model, codes, np.array([1, 2, 0]), SETTINGS)
    for row, motif in enumerate(motifs.values()):
        inside = found.projected[row, 90 : 90 + motif.width].sum()
        assert inside > 5
        assert abs(others.projected[row].sum()) < 0.2 * inside


def test_channels_are_acgt_and_the_centre_is_exact(world: World) -> None:
    codes = np.random.default_rng(2).integers(0, 4, (1, 200)).astype(np.uint8)
    motif = world.motifs["SRF"]
    codes[0, 100 : 100 + motif.width] = consensus(motif, "+")
    found, _ = attribute_items(world.model, codes, np.array([2]), SETTINGS)
    spelled = found.hypothetical[0, :, 100 : 100 + motif.width].argmax(axis=0)
    strong = motif.pwm.max(axis=0) > 0.9
    np.testing.assert_array_equal(spelled[strong], motif.pwm.argmax(axis=0)[strong])
    weight = np.abs(found.projected[0])
    centroid = (np.arange(200) * weight).sum() / weight.sum()
    information = (motif.pwm * np.log2(np.maximum(motif.pwm, 1e-9) / 0.25)).sum(axis=0)
    expected = 100 + (np.arange(motif.width) * information).sum() / information.sum()
    assert abs(centroid - expected) < 1


# --- files ------------------------------------------------------------------------------------------------------------
def write_inputs(folder: Path, codes: np.ndarray, tracks: list[str]) -> None:
    from cisweave.seqlets.table import typed
    from cisweave.tables.attributions import LOCUS_COLUMNS
    from cisweave.tables.frames import write_tsv

    count, length = codes.shape
    frame = pd.DataFrame({"locus_id": range(count), "region_id": range(count), "kind": "promoter", "chrom": "chr1"})
    frame = frame.assign(start=0, end=length, core_start=0, core_end=length, ref="", alt="", allele="", gene_id="g")
    write_tsv(typed(frame.assign(tracks=tracks), LOCUS_COLUMNS), folder / "loci.tsv")
    with h5py.File(folder / "loci.h5", "w") as store:
        store["codes"], store["locus_id"] = codes, np.arange(count)


def attribute(folder: Path, **settings: object) -> pd.DataFrame:
    return attribute_loci(
        folder / "loci.tsv",
        folder / "loci.h5",
        folder / "model",
        folder / "attributions.h5",
        folder / "qc.tsv",
        AttributionSettings.model_validate({"shuffles": 3, **settings}),
        "cpu",
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    codes = np.random.default_rng(5).integers(0, 4, (4, 80)).astype(np.uint8)
    codes[1, 10] = 4
    codes[3, :20] = 4
    write_inputs(tmp_path, codes, ["a,b", "a", "b", "a"])
    torch.manual_seed(0)
    save_toy_model(tmp_path / "model", PwmModel(2, 8, 80), ["a", "b"])
    return tmp_path


def test_trap_1_and_3_unknown_bases_and_contig_ends_are_left_out_with_a_reason(files: Path) -> None:
    qc = attribute(files)
    assert qc.item_id.tolist() == [0, 1, 2, 3, 4]
    assert qc.locus_id.tolist() == [0, 0, 1, 2, 3]
    assert qc.track.tolist() == ["a", "b", "a", "b", "a"]
    assert qc.status.tolist() == ["ok", "ok", "unknown_base", "ok", "unknown_base"]
    store = read_attributions(files / "attributions.h5")
    assert store.item_id.tolist() == [0, 1, 3]
    assert store.locus_id.tolist() == [0, 0, 2]
    assert store.track == ["a", "b", "b"]
    written = pd.read_csv(files / "qc.tsv", sep="\t")
    assert written.status.tolist() == qc.status.tolist()
    assert written.pred.isna().tolist() == [False, False, True, False, True]
    np.testing.assert_allclose(qc.attr_sum.dropna(), (qc.pred - qc.pred_ref_mean).dropna(), atol=1e-5)


def test_the_same_call_gives_the_same_bytes(files: Path) -> None:
    attribute(files)
    first = (files / "attributions.h5").read_bytes()
    attribute(files)
    assert (files / "attributions.h5").read_bytes() == first


def test_trap_2_sequences_of_other_loci_are_refused(files: Path) -> None:
    with h5py.File(files / "loci.h5", "a") as store:
        store["locus_id"][:] = [1, 0, 2, 3]
    with pytest.raises(CisweaveError, match="not those of this locus table"):
        attribute(files)


def test_sequences_of_another_length_are_refused(files: Path) -> None:
    with h5py.File(files / "loci.h5", "a") as store:
        del store["codes"]
        store["codes"] = np.zeros((4, 70), dtype=np.uint8)
    with pytest.raises(CisweaveError, match="70 bp for windows of 80 bp"):
        read_sequences(files / "loci.h5", read_loci(files / "loci.tsv"))


def test_trap_19_an_unknown_track_is_an_error(files: Path) -> None:
    write_inputs(files, np.zeros((1, 80), dtype=np.uint8), ["c"])
    with pytest.raises(CisweaveError, match="track c"):
        attribute(files)


@pytest.mark.parametrize(("tracks", "codes"), [([], np.zeros((0, 80))), ([""], np.zeros((1, 80)))])
def test_trap_10_nothing_to_attribute_gives_empty_typed_files(
    files: Path, tracks: list[str], codes: np.ndarray
) -> None:
    write_inputs(files, codes.astype(np.uint8), tracks)
    assert len(attribute(files)) == 0
    store = read_attributions(files / "attributions.h5")
    assert len(store) == 0
    assert store.hypothetical.shape[1:] == (4, 80)
    assert store.track == []


def test_trap_6_an_operation_without_rule_is_caught_by_its_relative_delta(
    files: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from cisweave.models.folders import LoadedModel, load_model

    loaded = load_model(files / "model")
    inner = loaded.module

    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.exp(inner(x))

    broken = LoadedModel(Broken().eval(), loaded.spec, loaded.folder, loaded.device)
    monkeypatch.setattr("cisweave.seqlets.attribute.load_model", lambda *_: broken)
    with caplog.at_level("WARNING", logger="cisweave"):
        qc = attribute(files)
    assert qc.status.tolist() == ["delta", "delta", "unknown_base", "delta", "unknown_base"]
    assert "no DeepLIFT rule" in caplog.text
    assert len(read_attributions(files / "attributions.h5")) == 3
    attribute(files, on_delta="drop")
    assert len(read_attributions(files / "attributions.h5")) == 0
    with pytest.raises(CisweaveError, match="on_delta"):
        attribute(files, on_delta="fail")
    assert attribute(files, max_relative_delta=100).status.tolist().count("ok") == 3


def test_chain_holds_every_item_and_converges(chain: Chain) -> None:
    assert (chain.qc.status == "ok").all()
    assert chain.qc.delta_rel.max() < 1e-4
    assert (chain.folder / "attributions.h5.receipt.json").exists()


def test_windows_of_another_length_than_the_models_are_refused_before_computing(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cisweave.seqlets.attribute.attribute_items", None)
    write_inputs(files, np.zeros((2, 60), dtype=np.uint8), ["a", "b"])
    with pytest.raises(CisweaveError, match=r"loci\.tsv: windows of 60 bp for a model that reads 80 bp"):
        attribute(files)
    assert not (files / "attributions.h5").exists()
