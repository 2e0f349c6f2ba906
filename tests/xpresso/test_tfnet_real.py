"""TFNet on real factors and expression, trained here on a CPU, against ridge regression on the same test genes."""

import pytest

from tests.real.checks import data_folder
from tests.real.tfnet import tfnet_on_real

FOLDER, REASON = data_folder()


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_tfnet_beats_ridge_regression():
    found = tfnet_on_real(FOLDER)
    assert found["tfnet_genes"] == 14_806
    assert found["ridge_r2"] > 0.55
    assert found["tfnet_r2"] > found["ridge_r2"]
