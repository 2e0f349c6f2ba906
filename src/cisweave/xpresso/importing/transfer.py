"""Keras's tensors into the layers of a promoter network, one by one, each shape checked.

Keras has channels last: a convolution's kernel (width, in, out) is (out, in, width) in PyTorch, a dense kernel
(in, out) is (out, in). The gates of an LSTM stand in the same order; PyTorch's second bias is 0.

Dimension legend
    in, out - channels or units, width - positions under a filter, heads, key - number and size of attention heads
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.blocks import AttentionBlock, Head
from cisweave.models.promoter.cnn import ConvolutionalTrunk
from cisweave.models.promoter.divide import IntervalTrunk
from cisweave.models.promoter.keras import SameConv
from cisweave.models.promoter.recurrent import RecurrentTrunk
from cisweave.models.promoter.segments import SegmentTransformer
from cisweave.models.promoter.tokens import TokenEmbedding, TokenTrunk, WholeTransformer
from cisweave.xpresso.importing.records import Weight, finite
from cisweave.xpresso.importing.structure import agrees

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from cisweave.models.promoter.network import PromoterNetwork


class Slot(NamedTuple):
    """A tensor of the network and the axes in which Keras has it (``target.permute(axes)`` has Keras's order)."""

    target: torch.Tensor
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of Keras's tensor, the axes of heads and their channels as one."""
        return tuple(self.target.shape[axis] for axis in self.axes)


def transfer(network: PromoterNetwork, weights: Sequence[Weight], path: Path) -> None:
    """Put Keras's tensors into a network.

    Parameters
    ----------
    weights
        All tensors in Keras's order, the normalisation of convolutions before that of the path without them.

    Raises
    ------
    CisweaveError
        If a tensor has another shape than the network's, or holds a number that is not finite; the layer is named.
    """
    places = list(slots(network))
    if len(places) != len(weights):
        raise CisweaveError(f"the model has {len(weights)} tensors, the network {len(places)}", path=path)
    with torch.no_grad():
        for slot, weight in zip(places, weights, strict=True):
            slot.target.copy_(converted(slot, weight, path))


def converted(slot: Slot, weight: Weight, path: Path) -> torch.Tensor:
    """A tensor as the network has it."""
    if not agrees(weight.values.shape, slot.shape):
        raise CisweaveError(
            f"layer {weight.layer}: {weight.name} has shape {weight.values.shape}, the network needs {slot.shape}",
            path=path,
        )
    if not finite(weight.values):
        raise CisweaveError(
            f"layer {weight.layer}: {weight.name} holds numbers that are not finite; get the file again", path=path
        )
    ours = np.argsort(slot.axes)
    values = weight.values.astype(np.float32).reshape(slot.shape).transpose(ours)
    return torch.from_numpy(np.ascontiguousarray(values))


# --- where Keras's tensors go, in its order ---------------------------------------------------------------------------
def slots(network: PromoterNetwork) -> Iterator[Slot]:
    """The tensors of a network in Keras's order."""
    trunk = network.trunk
    if isinstance(trunk, ConvolutionalTrunk):
        yield from layers(trunk.convolutions)
    elif isinstance(trunk, IntervalTrunk):
        yield from interval_slots(trunk)
    elif isinstance(trunk, RecurrentTrunk):
        yield from norm_slots(trunk.norm)
        yield from lstm_slots(trunk.lstm)
    elif isinstance(trunk, SegmentTransformer):
        yield from norm_slots(trunk.norm)
        yield from block_slots(trunk.blocks)
    elif isinstance(trunk, TokenTrunk):
        yield from token_slots(trunk)
    elif isinstance(trunk, WholeTransformer):
        yield from embedding_slots(trunk.embedding)
        yield from block_slots(trunk.blocks)
    yield from head_slots(network.head)


def plain(*targets: torch.Tensor | None) -> Iterator[Slot]:
    """Tensors whose axes are Keras's."""
    for target in targets:
        assert target is not None
        yield Slot(target, tuple(range(target.ndim)))


def layers(found: Sequence[nn.Module]) -> Iterator[Slot]:
    """Kernel and bias of convolutions and dense layers."""
    for layer in found:
        weight, bias = layer.weight, layer.bias
        assert isinstance(weight, torch.Tensor)
        assert isinstance(bias, torch.Tensor)
        yield Slot(weight, tuple(reversed(range(weight.ndim))))
        yield from plain(bias)


def interval_slots(trunk: IntervalTrunk) -> Iterator[Slot]:
    """First, second and third convolution of every interval, then those over all."""
    branches = [convolutions(branch) for branch in trunk.branches]
    for level in zip(*branches, strict=True):
        yield from layers(level)
    yield from layers(convolutions(trunk.joined))


def convolutions(module: nn.Module) -> list[SameConv]:
    """The convolutions in a module."""
    return [layer for layer in module.modules() if isinstance(layer, SameConv)]


def norm_slots(norm: nn.Module) -> Iterator[Slot]:
    """The four vectors of batch normalisation."""
    assert isinstance(norm, torch.nn.BatchNorm1d)
    yield from plain(norm.weight, norm.bias, norm.running_mean, norm.running_var)


def lstm_slots(lstm: nn.LSTM) -> Iterator[Slot]:
    """Kernel, recurrent kernel and bias of an LSTM."""
    kernel, recurrent, bias = (lstm.get_parameter(f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih"))
    yield Slot(kernel, (1, 0))
    yield Slot(recurrent, (1, 0))
    yield from plain(bias)


def embedding_slots(embedding: TokenEmbedding) -> Iterator[Slot]:
    """Vectors of tokens, then those of positions where they are learned."""
    yield from plain(embedding.tokens)
    if isinstance(embedding.positions, torch.nn.Parameter):
        yield from plain(embedding.positions)


def token_slots(trunk: TokenTrunk) -> Iterator[Slot]:
    """Embedding, convolutions, normalisations and blocks of a token transformer."""
    yield from embedding_slots(trunk.embedding)
    yield from layers([trunk.first, trunk.second])
    yield from norm_slots(trunk.norm)
    if isinstance(trunk.skip_norm, torch.nn.BatchNorm1d):
        yield from norm_slots(trunk.skip_norm)
    yield from block_slots(trunk.blocks)


def block_slots(blocks: nn.Sequential) -> Iterator[Slot]:
    """Sixteen tensors of each attention block."""
    for block in blocks:
        assert isinstance(block, AttentionBlock)
        yield from layers([block.query, block.key, block.value, block.output, block.expand, block.contract])
        for norm in (block.attention_norm, block.dense_norm):
            yield from plain(norm.weight, norm.bias)


def head_slots(head: Head) -> Iterator[Slot]:
    """Kernel and bias of the dense layers at the end."""
    yield from layers(head.dense_layers)
