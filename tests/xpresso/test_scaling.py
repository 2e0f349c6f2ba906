"""Scales of labels and further inputs: against NumPy by hand, by name, and told where they do not fit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.preprocessing import StandardScaler

from cisweave.core.errors import CisweaveError
from cisweave.xpresso.dataset import HALF_LIFE, PromoterData, write_data
from cisweave.xpresso.scaling import Scaling, fit_scaling, mean_sd

IDS = ["a", "b", "c", "d", "e"]
TRAIN = np.array([3, 0, 1])
RAW = np.random.default_rng(2).uniform(0.1, 0.9, (5, 8)) * np.array([100, 900, 5000, 400, 1, 1, 1, 9])
TF = pd.DataFrame({"CTCF": [1, 0, 1], "REST": [1, 1, 0], "SP1": [0, 0, 0]}, index=["a", "b", "c"])
MIRNA = pd.DataFrame({"let-7": [1, 0, 1, 1, 0]}, index=IDS)


def make_data(folder: Path, **changes: object) -> PromoterData:
    """Five genes without promoters; c has no expression, e no half-life features, d and e no factors."""
    genes = pd.DataFrame({"gene_id": IDS, "expression": [9.9, 0.0, np.nan, 99.9, 999.9]})
    genes[list(HALF_LIFE)] = RAW
    genes.loc[4, list(HALF_LIFE)] = np.nan
    return write_data(folder, genes, None, **{"tf": TF, "mirna": MIRNA, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PromoterData:
    return make_data(tmp_path_factory.mktemp("scaling") / "data")


def transformed() -> np.ndarray:
    """What models see of the half-life features before scaling."""
    logged = np.log10(RAW + 0.1)
    logged[:, 4:7] = RAW[:, 4:7]
    return logged


# --- labels -----------------------------------------------------------------------------------------------------------
def test_labels_by_hand(data: PromoterData) -> None:
    scaling = fit_scaling(data, TRAIN)
    # log10 of 100, 10 and 0.1: mean 2/3, population variance (16 + 1 + 25) / 27
    assert scaling.label_mean == pytest.approx(2 / 3)
    assert scaling.label_sd == pytest.approx(math.sqrt(42 / 27))
    z = scaling.labels(data.label[TRAIN])
    assert z.mean() == pytest.approx(0, abs=1e-12)
    assert z.std() == pytest.approx(1)
    assert scaling.unlabel(z.astype(np.float32)) == pytest.approx([2, 1, -1], abs=1e-6)


def test_all_takes_every_gene_with_expression(data: PromoterData) -> None:
    scaling = fit_scaling(data, TRAIN, "all")
    assert scaling.label_mean == pytest.approx((1 - 1 + 2 + 3) / 4)
    assert scaling.halflife_mean == pytest.approx(transformed()[[0, 1, 3]].mean(0))


def test_none_leaves_z_scores(data: PromoterData) -> None:
    scaling = fit_scaling(data, TRAIN, "none")
    assert (scaling.label_mean, scaling.label_sd) == (0, 1)
    assert scaling.labels(data.label[TRAIN]).tolist() == data.label[TRAIN].tolist()
    assert scaling.extras(data, TRAIN, "H") == pytest.approx(transformed()[TRAIN], rel=1e-6)


def test_standardised_data_keep_their_unit(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", expression="standardised", halflife="standardised")
    scaling = fit_scaling(data, TRAIN)
    assert (scaling.label_unit, scaling.halflife_unit) == ("standardised", "standardised")
    assert scaling.unlabel(scaling.labels(data.label[TRAIN])) == pytest.approx([99.9, 9.9, 0.0])


def test_training_genes_need_expression(data: PromoterData) -> None:
    with pytest.raises(CisweaveError, match="training genes need expression"):
        fit_scaling(data, np.array([0, 2]))


# --- further inputs ---------------------------------------------------------------------------------------------------
def test_halflife_as_sklearn_scales_it(data: PromoterData) -> None:
    scaling = fit_scaling(data, TRAIN)
    scaler = StandardScaler().fit(transformed()[TRAIN])
    rows = np.array([2, 3, 0])
    found = scaling.extras(data, rows, "PH")
    assert found.dtype == np.float32
    assert found == pytest.approx(scaler.transform(transformed()[rows]), abs=1e-5)


def test_order_is_halflife_factors_mirna_whatever_the_text(data: PromoterData) -> None:
    scaling = fit_scaling(data, TRAIN)
    rows = np.array([1, 0])
    found = scaling.extras(data, rows, "MTPH")
    assert found.shape == (2, 8 + 3 + 1)
    assert found[:, :8].tolist() == scaling.extras(data, rows, "H").tolist()
    assert found[:, 8:].tolist() == [[0, 1, 0, 0], [1, 1, 0, 1]]
    assert scaling.widths("MTPH") == {"halflife": 8, "tf": 3, "mirna": 1}
    assert scaling.widths("PT") == {"halflife": 0, "tf": 3, "mirna": 0}
    assert scaling.extras(data, rows, "P").shape == (2, 0)


def test_unknown_inputs_are_the_mean_of_training_genes(data: PromoterData) -> None:
    scaling = fit_scaling(data, TRAIN)
    assert scaling.tf_mean == [0.5, 1.0, 0.0]  # of a and b; d trains, but has no factors
    found = scaling.extras(data, np.array([4]), "HTM")[0]
    assert found.tolist() == [0.0] * 8 + [0.5, 1.0, 0.0] + [0.0]


def test_one_unknown_feature_is_its_mean(tmp_path: Path, data: PromoterData) -> None:
    genes = data.genes.copy()
    genes.loc[0, "CDSGC"] = np.nan
    partial = write_data(tmp_path / "data", genes, None)
    found = fit_scaling(data, TRAIN).extras(partial, np.array([0]), "H")[0]
    whole = fit_scaling(data, TRAIN).extras(data, np.array([0]), "H")[0]
    assert found[5] == 0 != whole[5]
    assert np.delete(found, 5).tolist() == np.delete(whole, 5).tolist()


def test_unknown_inputs_can_be_refused(data: PromoterData) -> None:
    scaling = fit_scaling(data, TRAIN)
    assert scaling.lacks(data, np.arange(5), "HT").tolist() == [False, False, False, True, True]
    assert scaling.lacks(data, np.arange(5), "PM").tolist() == [False] * 5
    with pytest.raises(CisweaveError, match="2 of 5 genes have no half-life features or transcription factors, the f"):
        scaling.extras(data, np.arange(5), "HT", missing="error")


def test_columns_are_found_by_name(data: PromoterData, tmp_path: Path) -> None:
    scaling = fit_scaling(data, TRAIN)
    other = make_data(tmp_path / "data", tf=TF[["SP1", "REST", "CTCF"]].assign(YY1=1), mirna=None)
    assert scaling.extras(other, np.arange(3), "T").tolist() == TF.to_numpy().tolist()
    lacking = make_data(tmp_path / "lacking", tf=TF[["REST"]], mirna=None)
    with pytest.raises(CisweaveError, match=r"reads transcription factors that the data do not have: CTCF, SP1 \(2 of"):
        scaling.extras(lacking, np.arange(3), "T")
    assert scaling.extras(lacking, np.arange(2), "M").ravel().tolist() == pytest.approx([2 / 3, 2 / 3])


def test_some_halflife_features_only(data: PromoterData) -> None:
    names = ["CDSLEN", "UTR5GC"]
    scaling = Scaling(halflife_names=names, halflife_mean=[1.0, 0.5], halflife_sd=[2.0, 0.1])
    expected = (transformed()[:2, [1, 4]] - [1.0, 0.5]) / [2.0, 0.1]
    assert scaling.extras(data, np.arange(2), "H") == pytest.approx(expected, rel=1e-5)
    assert scaling.widths("PH")["halflife"] == 2


def test_other_units_are_told(data: PromoterData, tmp_path: Path) -> None:
    scaling = fit_scaling(data, TRAIN)
    z_scores = make_data(tmp_path / "z", halflife="standardised")
    with pytest.raises(CisweaveError, match="half-life features are standardised here, but the model was trained on r"):
        scaling.extras(z_scores, np.arange(2), "H")
    assert not scaling.extras(z_scores, np.array([4]), "H").any()
    with pytest.raises(CisweaveError, match=r"1\.0 is added to half-life features here, 0\.1 in the training data"):
        scaling.extras(make_data(tmp_path / "one", pseudocount=1.0), np.arange(2), "H")


def test_a_model_with_factors_needs_them_in_training(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", tf=None)
    with pytest.raises(CisweaveError, match="reads transcription factors, but its training data have none"):
        fit_scaling(data, TRAIN).extras(data, TRAIN, "T")


# --- kept with the model ----------------------------------------------------------------------------------------------
def test_scaling_survives_yaml(data: PromoterData) -> None:
    scaling = fit_scaling(data, TRAIN)
    back = Scaling.from_dict(yaml.safe_load(yaml.safe_dump(scaling.to_dict())))
    assert back == scaling


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"other": 1}, "unknown key other"),
        ({"halflife_mean": [0.0]}, "halflife_mean has 1 values for 8 columns"),
        ({"halflife_names": ["LENGTH"], "halflife_mean": [0.0], "halflife_sd": [1.0]}, "LENGTH is no half-life f"),
        ({"label_sd": 0.0}, "a standard deviation is not above 0"),
    ],
)
def test_damaged_scalings_are_told(values: dict, message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        Scaling.from_dict(values)


def test_columns_without_spread() -> None:
    mean, sd = mean_sd(np.array([[0.1, np.nan, 1.0], [0.1, np.nan, np.nan], [0.1, np.nan, 3.0]]))
    assert mean == pytest.approx([0.1, 0.0, 2.0])
    assert sd == [1.0, 1.0, 1.0]
    _, steady = mean_sd(np.full((1000, 1), 0.1))
    assert steady == [1.0]
