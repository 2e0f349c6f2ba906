"""The arithmetic of a device: one switch, put back, and nested."""

import pytest
import torch

from cisweave.core.devices import choose_precision, float32_arithmetic
from cisweave.core.errors import CisweaveError

CPU = torch.device("cpu")


def switches():
    return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision


def test_auto_precision_is_that_of_the_device():
    assert choose_precision("auto", CPU) == "float32"
    assert choose_precision("auto", torch.device("cuda")) == "tf32"
    assert choose_precision("float16", CPU) == "float16"
    with pytest.raises(CisweaveError, match=r"tf32 needs a GPU.*precision: auto"):
        choose_precision("tf32", CPU)


@pytest.mark.parametrize("tf32", [True, False])
def test_global_arithmetic_is_put_back(tf32):
    def fail():
        with float32_arithmetic(tf32):
            assert switches() == (("tf32", "tf32") if tf32 else ("ieee", "ieee"))
            raise KeyError

    before = switches()
    with pytest.raises(KeyError):
        fail()
    assert switches() == before


@pytest.mark.parametrize("tf32", [True, False])
def test_the_innermost_arithmetic_holds(tf32):
    with float32_arithmetic(tf32):
        outside = switches()
        with float32_arithmetic(not tf32):
            assert switches() == (("ieee", "ieee") if tf32 else ("tf32", "tf32"))
        assert switches() == outside
