"""The plain path as the judge of the others: nothing but the window decides on its numbers."""

import numpy as np
import pytest
import torch

from cisweave.config import EngineSettings, load_settings
from cisweave.core.errors import CisweaveError
from cisweave.seal.engine.plain import ROWS, PlainEngine
from cisweave.sequence import Genome
from tests.seal.engine.world import SHIFTS, expected, network, snv, take, variants, write_genome

CPU = torch.device("cpu")
TABLE = variants([snv("chr1", 1500), ("chr2", 1400, take("chr2", 1400, 1), "GTT"), snv("chr3", 1)])


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    with Genome(write_genome(tmp_path_factory.mktemp("plain"))) as opened:
        yield opened


def codes(number):
    return np.random.default_rng(1).integers(0, 5, (number, 600)).astype(np.uint8)


def test_both_alleles_in_all_windows(genome):
    model = network()
    found = PlainEngine(model, CPU).predict(TABLE, genome, SHIFTS)
    right = expected(model, TABLE)
    np.testing.assert_allclose(found.reference, right[0], atol=1e-13)
    np.testing.assert_allclose(found.alternative, right[1], atol=1e-13)


@pytest.mark.parametrize("windows", [1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS])
def test_every_pass_has_as_many_windows(windows, monkeypatch):
    passes, model = [], network(double=False)
    model.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
    assert PlainEngine(model, CPU).windows(codes(windows)).shape == (windows, 3)
    assert set(passes) == {ROWS}
    assert len(passes) == 2 * -(-windows // ROWS)


def test_what_else_is_predicted_changes_no_more_than_the_last_bits():
    plain, many = PlainEngine(network(double=False), CPU), codes(70)
    whole = plain.windows(many)
    order = np.random.default_rng(2).permutation(70)
    np.testing.assert_array_max_ulp(plain.windows(many[order]), whole[order], 4)
    np.testing.assert_array_max_ulp(np.concatenate([plain.windows(one[None]) for one in many]), whole, 4)


def test_no_windows_and_no_variants(genome):
    plain = PlainEngine(network(), CPU)
    assert plain.windows(codes(0)).shape == (0, 3)
    found = plain.predict(variants([]), genome, SHIFTS)
    assert found.reference.shape == found.alternative.shape == (0, 5, 3)


def test_a_gpu_would_compute_in_float32(genome):
    seen, model = set(), network(double=False)
    backends = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    model.register_forward_pre_hook(lambda *_: seen.update(each.fp32_precision for each in backends))
    assert torch.backends.cudnn.conv.fp32_precision != "ieee"
    PlainEngine(model, CPU).predict(TABLE, genome, SHIFTS)
    assert seen == {"ieee"}
    assert torch.backends.cudnn.conv.fp32_precision != "ieee"


@pytest.mark.parametrize("precision", ["tf32", "float16", "bfloat16"])
def test_another_arithmetic_is_refused(precision):
    asked = f'{{"path": "plain", "precision": "{precision}"}}'
    with pytest.raises(CisweaveError, match=f"path plain computes in float32, not in {precision}; set precision: auto"):
        load_settings(EngineSettings, asked)
