"""Looking words up against computing convolutions: outputs, gradients, and when it must not be done."""

import pytest
import torch
from torch.nn import functional as F

from cisweave.models.promoter import words
from cisweave.models.promoter.cnn import PooledConvolution
from cisweave.models.promoter.keras import SameConv
from cisweave.models.promoter.words import numbered_words, pooled_averages, pooled_maxima
from tests.models.promoter.networks import genes, one_hot, shaken

WINDOW = 631


def inputs(count=5):
    codes, _ = genes(count, WINDOW, 1)
    return one_hot(codes)


def gradients(outputs, parameters):
    torch.manual_seed(1)
    (outputs * torch.randn(outputs.shape)).sum().backward()
    found = [parameter.grad.clone() for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return found


@pytest.mark.parametrize(("width", "dilation", "pool"), [(6, 1, 30), (3, 1, 5), (1, 1, 7), (4, 3, 10), (5, 2, 1)])
@pytest.mark.parametrize("threads", [1, 3])
def test_maxima(width, dilation, pool, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    torch.manual_seed(0)
    convolution, x = SameConv(4, 9, width, dilation), inputs()
    torch.nn.init.normal_(convolution.bias)
    found, expected = pooled_maxima(x, convolution, pool), F.max_pool1d(convolution(x), pool)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    parameters = (convolution.weight, convolution.bias)
    for of_found, of_expected in zip(gradients(found, parameters), gradients(expected, parameters), strict=True):
        torch.testing.assert_close(of_found, of_expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 3])
def test_averages(threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    torch.manual_seed(0)
    convolution, x = SameConv(8, 7, 6), inputs()
    filters = torch.randn(7, 4, 6, requires_grad=True)
    added = torch.randn(7, WINDOW, requires_grad=True)
    found = pooled_averages(x, convolution, filters, added, 30)
    expected = F.avg_pool1d(F.relu(F.conv1d(F.pad(x, (2, 3)), filters) + added), 30)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    for of_found, of_expected in zip(
        gradients(found, (filters, added)), gradients(expected, (filters, added)), strict=True
    ):
        torch.testing.assert_close(of_found, of_expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["cnn/Xpresso", "divide/DivideEtImpera", "token/best", "token/TF", "token/posSkip"])
def test_whole_networks_learn_the_same(name, monkeypatch):
    network = shaken(name, 750)
    codes, extras = genes(4, 750, network.extras)
    found = gradients(network(one_hot(codes), extras), trained(network))
    monkeypatch.setattr(words, "words_below", lambda *_: None)
    expected = gradients(network(one_hot(codes), extras), trained(network))
    assert len(found) > 6
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4 * other.abs().max().item() + 1e-6, rtol=1e-4)


def trained(network):
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    torch.manual_seed(0)
    stage, x = PooledConvolution(4, 16, 6, 30), inputs(7)
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        outputs = stage(x)
        results.append((outputs, *gradients(outputs, list(stage.parameters()))))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_words_by_hand():
    """ACG with two letters of padding before and three after, N being the fifth letter."""
    x = one_hot(torch.tensor([[0, 1, 4]]))
    numbers = numbered_words(x, width=2, read=3, left=1)
    assert numbers.tolist() == [[4 * 5 + 0, 0 * 5 + 1, 1 * 5 + 4]]


@pytest.mark.parametrize(
    "column", [[0.5, 0.5, 0, 0], [1, 1, 0, 0], [2, 0, 0, 0], [2, -1, 0, 0], [0.25] * 4, [float("nan"), 0, 0, 0]]
)
def test_anything_but_bases_is_computed(column):
    x = inputs()
    x[3, :, 77] = torch.tensor(column)
    convolution = SameConv(4, 3, 6)
    assert pooled_maxima(x, convolution, 30) is None
    stage = PooledConvolution(4, 3, 6, 30)
    expected = F.relu(F.max_pool1d(stage.convolution(x), 30))
    torch.testing.assert_close(stage(x), expected, equal_nan=True)


def test_gradients_of_bases_wide_filters_and_other_precision_are_computed():
    x = inputs()
    assert pooled_maxima(x.requires_grad_(), SameConv(4, 3, 6), 30) is None
    assert pooled_maxima(x.detach(), SameConv(4, 3, 7), 30) is None
    assert pooled_maxima(x.detach().double(), SameConv(4, 3, 6).double(), 30) is None


def test_slices_of_longer_promoters():
    x, stage = inputs(), PooledConvolution(4, 3, 6, 30)
    part = x[:, :, 100:460]
    assert not part.is_contiguous()
    torch.testing.assert_close(stage(part), stage(part.clone().requires_grad_()), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("context", [torch.inference_mode(), torch.device("meta")])
def test_the_table_of_words_does_not_depend_on_the_first_call(context):
    words.all_words.cache_clear()
    stage, x = PooledConvolution(4, 3, 6, 30), inputs()
    with context:
        stage(x)
    stage(x).sum().backward()
    assert stage.convolution.weight.grad.abs().sum() > 0
