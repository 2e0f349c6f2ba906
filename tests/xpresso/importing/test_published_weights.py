"""The published Xpresso weights reproduce the published predictions."""

from pathlib import Path

import numpy as np
import pytest

from cisweave.models.folders import read_spec
from cisweave.xpresso.dataset import HALF_LIFE
from tests.real.checks import data_folder
from tests.real.xpresso_checks import HUMAN, predict_published, promoters_check

FOLDER, REASON = data_folder()
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(FOLDER is None, reason=REASON)]


def test_the_human_median_is_as_published_and_k562_differs() -> None:
    found = promoters_check(FOLDER)
    assert found["promoters"] == found["k562_promoters"] == 25
    assert found["promoters_max_abs_diff"] < 1e-6
    assert 0.3 < found["k562_correlation"] < 0.99


def test_six_half_life_features_are_kept_where_they_have_names(tmp_path: Path) -> None:
    found = predict_published(FOLDER, HUMAN, tmp_path, halflife_names=HALF_LIFE[:6])
    spec = read_spec(tmp_path / "model")
    assert spec.hyperparameters["type"] == "cnn/Xpresso"
    assert spec.hyperparameters["halflife"] == 6
    assert spec.preprocessing["scaling"]["halflife_names"] == list(HALF_LIFE[:6])
    assert found["published"].std() > 0.3
    np.testing.assert_allclose(found["prediction_z"], found["published"], atol=1e-6, rtol=0)
