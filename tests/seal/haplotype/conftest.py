"""The world of the tests of haplotypes, made once."""

import pytest

from tests.seal.haplotype.world import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("haplotype"))
