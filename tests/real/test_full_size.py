"""The published size of Beluga on real variants."""

from __future__ import annotations

from typing import Any

import pytest

from tests.real.checks import data_folder, full_size_is_right
from tests.real.full_size import full_size_check

FOLDER, REASON = data_folder()
GOOD: dict[str, Any] = {
    "full_size_variants": 20,
    "full_size_indels": 4,
    "full_size_max_difference": 2e-7,
    "full_size_score_sd": 4e-3,
    "full_size_profile_max_difference": 1e-6,
}


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_full_size_scores_equal_the_plain_ones() -> None:
    figures = full_size_check(FOLDER)
    assert figures["full_size_indels"] == 4
    assert full_size_is_right(figures), figures


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({}, True),
        ({"full_size_max_difference": 5e-7}, False),
        ({"full_size_score_sd": 1e-3}, False),
        ({"full_size_score_sd": 1.0, "full_size_max_difference": 2e-6}, False),
        ({"full_size_profile_max_difference": 2e-5}, False),
        ({"full_size_variants": 19}, False),
    ],
)
def test_tolerance_is_absolute_and_relative_to_the_spread(change: dict[str, Any], right: bool) -> None:
    assert full_size_is_right({**GOOD, **change}) is right
