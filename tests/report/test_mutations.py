"""Each probe passes on sound code and fails when the defect it is for is planted."""

from __future__ import annotations

import pytest

from cisweave.report.mutations import MUTATIONS, Mutation, Tiny, run_mutation

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_is_caught(mutation: Mutation, tiny: Tiny) -> None:
    outcome = run_mutation(tiny, mutation)
    assert outcome["caught"], outcome
