"""Predictions of promoters against plain NumPy, whatever the promoters come from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import PromoterPredictSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.models.promoter.build import build_network
from cisweave.models.promoter.registry import TYPES
from cisweave.tables.receipts import receipt_path
from cisweave.xpresso.dataset import write_data
from cisweave.xpresso.models import load_promoter_model, models_table
from cisweave.xpresso.predict import PREDICTION_COLUMNS, predict_promoters
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.scaling import Scaling
from tests.xpresso.linear_promoters import (
    ANCHOR,
    DOWN,
    GENES,
    LABEL_MEAN,
    LABEL_SD,
    LEFT,
    RAW,
    RIGHT,
    UP,
    WINDOW,
    World,
    build_world,
    codes_of,
    make_data,
    save_linear_model,
    scaled_halflife,
    write_bed,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("linear"))


@pytest.fixture(scope="module")
def data(world: World) -> Path:
    make_data(world, world.folder / "data")
    return world.folder / "data"


def predict(world: World, out: Path, files: PromoterFiles, model: str = "model", **settings: object) -> pd.DataFrame:
    return predict_promoters(
        world.folder / model,
        out,
        files,
        rejects=out.with_name("rejects.tsv"),
        settings=PromoterPredictSettings.model_validate(settings),
        device="cpu",
    )


# --- the numbers ------------------------------------------------------------------------------------------------------
def test_promoters_of_data_are_read_on_their_strand_with_their_half_life(
    world: World, data: Path, tmp_path: Path
) -> None:
    table = predict(world, tmp_path / "out.tsv", PromoterFiles(data=data))
    assert list(table.columns) == PREDICTION_COLUMNS
    assert table.gene_id.tolist() == GENES.gene_id.tolist()
    for row, gene in enumerate(GENES.gene_id):
        halflife = scaled_halflife(world.scaling, RAW[row]) if row < 2 else None
        expected = world.score(world.promoter(gene, LEFT, RIGHT), halflife)
        assert table.prediction_z[row] == pytest.approx(expected, abs=1e-4)
        assert table.log10_expression[row] == pytest.approx(expected * LABEL_SD + LABEL_MEAN, abs=1e-4)
    assert table.unknown_bases.tolist() == [0, 0, 20, 0]
    written = pd.read_csv(tmp_path / "out.tsv", sep="\t")
    np.testing.assert_allclose(written.prediction_z, table.prediction_z, rtol=1e-8)
    notes = read_json(receipt_path(tmp_path / "out.tsv"))["identity"]
    assert notes["genes"] == {"in": 4, "kept": 4, "rejected": 0, "reasons": {}}
    assert any(name.endswith("weights.safetensors") for name in notes["inputs"])


def test_places_are_those_of_the_window(world: World, data: Path, tmp_path: Path) -> None:
    table = predict(world, tmp_path / "out.parquet", PromoterFiles(data=data))
    assert pd.read_parquet(tmp_path / "out.parquet").equals(table)
    for _, row in table.iterrows():
        assert row.end - row.start == WINDOW
        forward = world.bases(row.chrom, row.start, row.end)
        window = world.promoter(row.gene_id, LEFT, RIGHT)
        assert window == (forward if row.strand == "+" else reverse(forward))
    plus, minus = table.iloc[0], table.iloc[1]
    assert (plus.start + ANCHOR, minus.end - 1 - ANCHOR) == (500, 540)


def reverse(bases: str) -> str:
    return bases[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batches_change_nothing(world: World, data: Path, tmp_path: Path, batch_size: int) -> None:
    table = predict(world, tmp_path / "out.tsv", PromoterFiles(data=data), batch_size=batch_size)
    whole = predict(world, tmp_path / "whole.tsv", PromoterFiles(data=data))
    np.testing.assert_allclose(table.prediction_z, whole.prediction_z, atol=1e-5)


def test_the_tss_decides_where_a_longer_promoter_is_cut(world: World, tmp_path: Path) -> None:
    codes = np.stack([codes_of(world.promoter(gene, -5, UP + DOWN + 7)) for gene in GENES.gene_id])
    write_data(tmp_path / "long", GENES[["gene_id"]], [codes], upstream=UP + 5, downstream=DOWN + 7)
    table = predict(world, tmp_path / "out.tsv", PromoterFiles(data=tmp_path / "long"), model="promoter_only")
    expected = [world.score(world.promoter(gene, LEFT, RIGHT)) for gene in GENES.gene_id]
    np.testing.assert_allclose(table.prediction_z, expected, atol=1e-4)
    assert table.start.isna().all()
    write_data(tmp_path / "short", GENES[["gene_id"]], [codes[:, 40:]], upstream=UP - 35, downstream=DOWN + 7)
    with pytest.raises(CisweaveError, match=r"do not hold the model's window of 70 bases \(-40 to \+30 of the TSS\)"):
        predict(world, tmp_path / "out.tsv", PromoterFiles(data=tmp_path / "short"), model="promoter_only")


def test_factors_are_found_by_name_and_unknown_ones_are_the_mean(world: World, tmp_path: Path) -> None:
    scaling = Scaling(tf_names=["CTCF", "REST", "SP1"], tf_mean=[0.2, 0.4, 0.6])
    weights = np.array([1.0, 10.0, 100.0])
    save_linear_model(
        tmp_path / "model", world.weights, np.concatenate([np.zeros(8), weights]), scaling, "cnn/Xpresso_TF", "PHT",
        halflife=8, tf=3,
    )  # fmt: skip
    tf = pd.DataFrame({"SP1": [1, 0], "CTCF": [1, 1], "XX": [0, 0], "REST": [0, 1]}, index=["plus", "minus"])
    make_data(world, tmp_path / "data", tf=tf)
    table = predict_promoters(tmp_path / "model", tmp_path / "out.tsv", PromoterFiles(data=tmp_path / "data"))
    expected = np.array([world.score(world.promoter(gene, LEFT, RIGHT)) for gene in GENES.gene_id])
    np.testing.assert_allclose(table.prediction_z - expected, [101, 11, 64.2, 64.2], atol=1e-3)
    bed = write_bed(world, tmp_path / "promoters.bed", LEFT, RIGHT)
    tf.drop(columns="REST").rename_axis("gene_id").to_csv(tmp_path / "tf.tsv", sep="\t")
    files = PromoterFiles(bed=bed, fasta=world.fasta, tf=tmp_path / "tf.tsv")
    with pytest.raises(CisweaveError, match=r"tf.tsv: .* does not have: REST \(1 of 3\)"):
        predict_promoters(tmp_path / "model", tmp_path / "out.tsv", files)


def test_a_model_without_promoter_reads_factors_alone(tmp_path: Path) -> None:
    network = build_network("tfnet/TF", 0, tf=2).eval()
    spec = ModelSpec(
        "promoter",
        {"type": "tfnet/TF", "window": 0, "tf": 2},
        ["expression"],
        {"scaling": Scaling(tf_names=["A", "B"], tf_mean=[0.5, 0.5]).to_dict(), "inputs": "T"},
    )
    save_model(tmp_path / "model", network, spec, {}, pd.DataFrame({"epoch": [0]}))
    tf = pd.DataFrame({"A": [0, 1], "B": [1, 1]}, index=["x", "y"])
    write_data(tmp_path / "data", pd.DataFrame({"gene_id": ["x", "y"]}), None, tf=tf)
    table = predict_promoters(tmp_path / "model", tmp_path / "out.tsv", PromoterFiles(data=tmp_path / "data"))
    import torch

    with torch.no_grad():
        expected = network(None, torch.tensor([[0.0, 1.0], [1.0, 1.0]]))[:, 0].numpy()
    np.testing.assert_allclose(table.prediction_z, expected, atol=1e-6)
    assert table.start.isna().all()
    assert table.unknown_bases.tolist() == [0, 0]


def test_a_model_of_z_scores_has_no_log10_expression(world: World, data: Path, tmp_path: Path) -> None:
    scaling = Scaling(label_unit="standardised", halflife_unit="standardised")
    save_linear_model(tmp_path / "model", world.weights, np.zeros(0), scaling, "cnn/Xpresso_nohalf", "P")
    table = predict_promoters(tmp_path / "model", tmp_path / "out.tsv", PromoterFiles(data=data))
    assert table.log10_expression.isna().all()
    assert table.prediction_z.notna().all()


# --- what is left out -------------------------------------------------------------------------------------------------
def test_genes_without_half_life_are_kept_rejected_or_stop(
    world: World, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = PromoterFiles(data=data)
    with caplog.at_level("WARNING", logger="cisweave"):
        assert len(predict(world, tmp_path / "a.tsv", files)) == 4
    assert "2 of 4 genes have no half-life features" in caplog.text
    kept = predict(world, tmp_path / "b.tsv", files, missing="reject")
    assert kept.gene_id.tolist() == ["plus", "minus"]
    rejects = pd.read_csv(tmp_path / "rejects.tsv", sep="\t")
    assert rejects.gene_id.tolist() == ["edge", "other"]
    assert set(rejects.code) == {"missing_inputs"}
    with pytest.raises(CisweaveError, match="gene 'edge': it has no half-life features"):
        predict(world, tmp_path / "c.tsv", files, missing="error")
    assert not (tmp_path / "c.tsv").exists()
    assert len(predict(world, tmp_path / "d.tsv", files, model="promoter_only", missing="error")) == 4


def test_promoters_with_unknown_bases_are_rejected_or_stop(world: World, data: Path, tmp_path: Path) -> None:
    files = PromoterFiles(data=data)
    kept = predict(world, tmp_path / "out.tsv", files, unknown="reject")
    assert kept.gene_id.tolist() == ["plus", "minus", "other"]
    assert pd.read_csv(tmp_path / "rejects.tsv", sep="\t").code.tolist() == ["unknown_base"]
    with pytest.raises(CisweaveError, match="gene 'edge': its window holds letters other than A, C, G and T"):
        predict(world, tmp_path / "out.tsv", files, unknown="error")


def test_promoters_without_any_known_base_are_not_predicted(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codes = np.stack([codes_of(world.promoter(gene)) for gene in GENES.gene_id])
    codes[2, 10:] = 4
    write_data(tmp_path / "data", GENES, [codes], upstream=UP, downstream=DOWN)
    table = predict(world, tmp_path / "out.tsv", PromoterFiles(data=tmp_path / "data"), "promoter_only")
    assert table.gene_id.tolist() == ["plus", "minus", "other"]
    rejects = pd.read_csv(tmp_path / "rejects.tsv", sep="\t")
    assert rejects[["gene_id", "code"]].to_numpy().tolist() == [["edge", "unknown_base"]]
    assert "1 of 4 genes have no known base" in caplog.text


def test_half_life_features_that_a_model_does_not_read_may_be_unknown(world: World, tmp_path: Path) -> None:
    scaling = Scaling(halflife_names=["CDSLEN", "UTR3LEN"], halflife_mean=[3.0, 2.0], halflife_sd=[1.0, 1.0])
    save_linear_model(tmp_path / "model", world.weights, world.extras[:2], scaling, halflife=2)
    data = make_data(world, tmp_path / "data")
    data.genes.loc[0, ["UTR5LEN", "UTR5GC"]] = np.nan
    write_data(tmp_path / "data", data.genes, [data.windows(range(4))], upstream=UP, downstream=DOWN)
    table = predict_promoters(
        tmp_path / "model",
        tmp_path / "out.tsv",
        PromoterFiles(data=tmp_path / "data"),
        settings=PromoterPredictSettings(missing="reject"),
        device="cpu",
    )
    assert table.gene_id.tolist() == ["plus", "minus"]
    extras = (np.log10(RAW[0][[1, 3]] + 0.1) - [3.0, 2.0]) @ world.extras[:2]
    assert table.prediction_z[0] == pytest.approx(world.score(world.promoter("plus", LEFT, RIGHT)) + extras, abs=1e-4)


def test_files_must_go_together(world: World, data: Path, tmp_path: Path) -> None:
    for files, message in (
        (PromoterFiles(), "nothing to predict"),
        (PromoterFiles(bed=data, data=data), "given: bed, data"),
        (PromoterFiles(bed=data), "a BED alone holds no sequence"),
        (PromoterFiles(promoters=data, gtf=data), "an annotation need its genome"),
        (PromoterFiles(promoters=data, cage=data), "CAGE peaks"),
        (PromoterFiles(data=data, tf=data), "leave tf out"),
    ):
        with pytest.raises(CisweaveError, match=message):
            predict(world, tmp_path / "out.tsv", files)
    with pytest.raises(CisweaveError, match=r"must end in \.tsv"):
        predict(world, tmp_path / "out.vcf", PromoterFiles(data=data))


def test_a_folder_of_another_model_is_refused(world: World, data: Path, tmp_path: Path) -> None:
    loaded = load_model(world.model)
    spec = loaded.spec
    spec.preprocessing = {"inputs": "PH"}
    save_model(tmp_path / "model", loaded.module, spec, {}, pd.DataFrame({"epoch": [0]}))
    with pytest.raises(CisweaveError, match="preprocessing does not say how a promoter model is used"):
        load_promoter_model(tmp_path / "model", "cpu")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("upstream: 60", "upstream: .inf", "does not say how a promoter model is used"),
        ("  promoter:\n", "  promoter:\n    compat: foo\n", "does not say how a promoter model is used"),
        ("inputs: PH", "inputs: P", "the network reads"),
        ("label_unit: log10", "label_unit: foo", "unknown unit"),
    ],
)
def test_a_description_that_does_not_fit_the_network_is_refused(
    world: World, tmp_path: Path, old: str, new: str, message: str
) -> None:
    shutil.copytree(world.model, tmp_path / "model")
    text = (tmp_path / "model/model.yaml").read_text()
    assert old in text
    (tmp_path / "model/model.yaml").write_text(text.replace(old, new))
    with pytest.raises(CisweaveError, match=message):
        load_promoter_model(tmp_path / "model", "cpu")


def test_the_folder_of_a_training_names_its_models(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.model, tmp_path / "run/best")
    with pytest.raises(CisweaveError, match="the folder of a training; name a model in it: best"):
        load_promoter_model(tmp_path / "run", "cpu")


def test_the_table_of_models_names_every_type() -> None:
    table = models_table()
    assert table.type.tolist() == list(TYPES)
    xpresso = table.set_index("type").loc["cnn/Xpresso"]
    assert (xpresso.inputs, xpresso.slice, xpresso.parameters, xpresso.reads) == ("PH", "3000:13500", 112_485, "bases")
    assert table.set_index("type").loc["deeplncloc/DeepLncLoc", "published_r2"] == pytest.approx(0.61, abs=0.01)
