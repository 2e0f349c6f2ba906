"""The published size of Beluga on real variants."""

import os
from pathlib import Path

import pytest

from tests.real.full_size import full_size_check

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


@pytest.mark.skipif(not os.environ.get("CISWEAVE_REAL_DATA"), reason="CISWEAVE_REAL_DATA is not set")
def test_full_size_scores_equal_the_plain_ones():
    result = full_size_check(Path(os.environ["CISWEAVE_REAL_DATA"]))
    assert result["full_size_variants"] == 20
    assert result["full_size_indels"] == 4
    assert result["full_size_max_difference"] <= 1e-4 * max(result["full_size_score_sd"], 1e-2)
    assert result["full_size_profile_max_difference"] <= 1e-5
