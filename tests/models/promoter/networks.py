"""Networks of every type for tests: the widths of the published inputs, and weights that are nowhere 0 or 1."""

import numpy as np
import torch
from torch.nn import functional as F

from cisweave.models.promoter.build import build_network
from cisweave.models.promoter.registry import TYPES
from cisweave.xpresso.importing.transfer import slots
from tests.keras_numpy import segment_means

WIDTHS = {"H": ("halflife", 8), "T": ("tf", 181), "M": ("mirna", 2064)}


def published(name, window=10_500, **network):
    """A network of a type with the published inputs."""
    inputs = TYPES[name].inputs
    widths = dict(WIDTHS[letter] for letter in inputs if letter != "P")
    return build_network(name, window if "P" in inputs else 0, **widths, **network)


def shaken(name, window, **network):
    """The same in eval mode, with every weight and every statistic drawn at random."""
    torch.manual_seed(3)
    built = published(name, window, **network).eval()
    with torch.no_grad():
        for key, tensor in built.state_dict().items():
            if "bias_hh" in key or not tensor.is_floating_point():
                continue
            drawn = torch.randn_like(tensor) * 0.1
            positive = "var" in key or "spread" in key or (tensor.ndim == 1 and key.endswith("weight"))
            tensor.copy_(drawn.abs() + 0.5 if positive else drawn)
        for layer in built.head.dense_layers:
            layer.weight.mul_(4 / layer.weight.shape[1] ** 0.5)
            layer.bias.add_(0.5)
    return built


def genes(count, window, extras, letters=5, seed=0):
    """Codes (count, window) with unknown bases where ``letters`` is 5, and extras (count, extras)."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, letters, (count, window), generator=generator)
    return codes, torch.randn(count, extras, generator=generator)


def one_hot(codes):
    return F.one_hot(codes, 5)[..., :4].transpose(1, 2).float()


def keras_layers(network, sizes=(), heads=1):
    """Arrays of a network as Keras has them, layer by layer: ``sizes`` of the first layers, then kernel and bias.

    The kernels of attention get back their ``heads``.
    """
    arrays = [slot.target.detach().permute(slot.axes).double().numpy() for slot in slots(network)]
    sizes = [*sizes, *[2] * ((len(arrays) - sum(sizes)) // 2)]
    ends = np.cumsum(sizes)
    layers = [arrays[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    return [with_heads(layer, heads) if len(layer) == 16 else layer for layer in layers]


def with_heads(layer, heads):
    size, inner = layer[0].shape
    into = [(size, heads, inner // heads), (heads, inner // heads)] * 3 + [(heads, inner // heads, size)]
    return [values.reshape(shape) for values, shape in zip(layer, into, strict=False)] + layer[len(into) :]


def segment_vectors(network, codes):
    """What a trunk of segments reads, counted one by one."""
    front = network.segments
    vectors, mean, spread = (part.double().numpy() for part in (front.vectors, front.mean, front.spread))
    return segment_means(codes, vectors, mean, spread, front.segment, front.k)
