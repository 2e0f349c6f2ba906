"""Beluga's layers, in the chosen arithmetic and the layout that suits it.

Dimension legend
    rows - sequences (a strand of a haplotype each), channels - feature maps, positions - places along the sequence,
    hidden - units of the first fully connected layer, tracks - chromatin outputs

The convolutions work on (rows, channels, positions). On a processor the positions lie side by side in memory, as in
PyTorch's own one-dimensional convolution, whose sums are therefore repeated to the last bit; oneDNN's kernel for the
other layout is a tenth faster, but adds up thousands of products in one chain and is four times less accurate. On a GPU
the channels lie side by side, which the tensor cores ask for. The fully connected layer takes (rows, positions,
channels): a stretch of positions, flattened, then meets a stretch of rows of its weights, and neither is copied.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as nnf

from cisweave.core.devices import Precision, float32_arithmetic
from cisweave.models.beluga import POOL, Beluga
from cisweave.seal.engine.geometry import REACH, Tiling
from cisweave.sequence.onehot import one_hot


class Layers:
    """The weights of a Beluga, and its layers as functions.

    The convolutions and the first fully connected layer over whole windows run in the trunk's precision; differences
    between alleles and the output layer are computed in float32 (float64 if the network is).

    Parameters
    ----------
    network
        In eval mode, without batch normalisation (:meth:`cisweave.models.beluga.Beluga.folded`).
    precision
        Arithmetic of the trunk. ``float32`` keeps the network's own type.

    Attributes
    ----------
    dtype
        Type of the trunk's activations.
    """

    def __init__(self, network: Beluga, device: torch.device, precision: Precision = "float32"):
        linear = [layer for layer in network.head if isinstance(layer, nn.Linear)]
        convolutions = [
            layer
            for block in (network.stem, network.middle, network.top)
            for layer in block
            if isinstance(layer, nn.Conv1d)
        ]
        if any(isinstance(layer, nn.BatchNorm1d) for layer in network.modules()):
            raise ValueError("fold the batch normalisation into the weights first")
        self.device, self.precision = device, precision
        self.exact_dtype = linear[0].weight.dtype
        self.dtype = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(precision, self.exact_dtype)
        self.positions, self.hidden, self.tracks = network.positions, linear[0].out_features, linear[1].out_features
        self.channels = [layer.out_channels for layer in convolutions]
        with torch.no_grad():
            self._convolutions = [self._convolution(layer) for layer in convolutions]
            self._onednn_stem = self._in_onednn_layout(self._convolutions[:2])
            self._dense = position_major(linear[0].weight.to(device), network.positions)
            self._dense_trunk = self._dense.to(self.dtype)
            self._dense_bias = linear[0].bias.detach().to(device)
            self._output, self._output_bias = (
                tensor.detach().to(device) for tensor in (linear[1].weight, linear[1].bias)
            )

    def _convolution(self, layer: nn.Conv1d) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias; on a GPU for a two-dimensional convolution over images of height 1, channels last."""
        weight = layer.weight.detach().to(self.device, self.dtype)
        if self.device.type == "cuda":
            weight = weight[:, :, None].contiguous(memory_format=torch.channels_last)
        return weight, cast("torch.Tensor", layer.bias).detach().to(self.device, self.dtype)

    def _in_onednn_layout(
        self, convolutions: list[tuple[torch.Tensor, torch.Tensor]]
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The same weights for oneDNN's own layout; an empty list where it is not to be used."""
        if self.device.type != "cpu" or self.dtype != torch.float32 or not has_onednn():
            return []
        return [(weight[:, :, None].to_mkldnn(), bias.to_mkldnn()) for weight, bias in convolutions]

    def arithmetic(self) -> AbstractContextManager[None]:
        """To be entered around the layers' functions: sets what products in float32 mean on a GPU, and puts it back."""
        return float32_arithmetic(self.precision == "tf32") if self.device.type == "cuda" else nullcontext()

    def _exactly(self) -> AbstractContextManager[None]:
        """Products in float32 proper, whatever the trunk's precision."""
        return float32_arithmetic(False) if self.device.type == "cuda" else nullcontext()

    def empty(self, *shape: int) -> torch.Tensor:
        """Room for activations of the trunk."""
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def activation_bytes(self, tiling: Tiling) -> int:
        """Bytes of all activations of one row."""
        c1, c2, c3, c4, c5, c6 = self.channels
        first = tiling.conv1 * c1 + (tiling.conv2 + tiling.pool1) * c2 + tiling.conv3 * c3 + tiling.conv4 * c4
        last = sum(phase.pooled * c4 + (phase.trunk + REACH) * c5 + phase.trunk * c6 for phase in tiling.phases)
        return (first + last) * self.dtype.itemsize

    def bases(self, codes: torch.Tensor) -> torch.Tensor:
        """One-hot (rows, 4, positions) of codes (rows, positions) on the device."""
        return one_hot(codes, self.device).to(self.dtype)

    def stem(self, codes: torch.Tensor) -> torch.Tensor:
        """First two convolutions and the first pool (rows, channels, positions) of codes (rows, positions).

        On a processor in oneDNN's own layout, where these long layers would else be copied to and fro.
        """
        if not self._onednn_stem:
            return self.pool(self.convolve(2, self.convolve(1, self.bases(codes))))
        image = self.bases(codes)[:, :, None].to_mkldnn()
        for weight, bias in self._onednn_stem:
            image = nnf.relu_(nnf.conv2d(image, weight, bias))
        return nnf.max_pool2d(image, (1, POOL)).to_dense()[:, :, 0]

    def convolve(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        """Convolution ``layer`` (1 to 6) and its ReLU."""
        weight, bias = self._convolutions[layer - 1]
        if self.device.type == "cuda":
            image = x[:, :, None].contiguous(memory_format=torch.channels_last)
            return nnf.relu_(nnf.conv2d(image, weight, bias))[:, :, 0]
        return nnf.relu_(nnf.conv1d(x, weight, bias))

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """Maximum of every 4 positions; a tail that does not fill a pool is dropped."""
        return nnf.max_pool1d(x, POOL)

    def windows_to_hidden(self, x: torch.Tensor) -> torch.Tensor:
        """First fully connected layer before its ReLU (rows, hidden) of whole windows (rows, positions, channels)."""
        flat = x.flatten(1)
        if self.device.type == "cuda" and self.dtype != self.exact_dtype:
            product = torch.mm(flat, self._dense_trunk, out_dtype=self.exact_dtype)
        else:
            product = multiply(flat, self._dense_trunk).to(self.exact_dtype)
        return product.add_(self._dense_bias)

    def change_of_hidden(self, difference: torch.Tensor, first: int) -> torch.Tensor:
        """Change of the first fully connected layer (rows, hidden) by a change of some positions of its input.

        Parameters
        ----------
        difference
            (rows, some positions, channels), alternative minus reference.
        first
            Position in the window of the first of them.
        """
        channels = difference.shape[2]
        weight = self._dense[first * channels : (first + difference.shape[1]) * channels]
        with self._exactly():
            return multiply(difference.flatten(1), weight)

    def probabilities(self, hidden: torch.Tensor) -> torch.Tensor:
        """Probabilities (…, tracks) from the first fully connected layer before its ReLU (…, hidden).

        Through PyTorch's default library: this product is small, and its sums are twice as accurate there.
        """
        with self._exactly():
            logits = nnf.linear(torch.relu(hidden.reshape(-1, self.hidden)), self._output, self._output_bias)
        return torch.sigmoid_(logits).view(*hidden.shape[:-1], self.tracks)


def position_major(weight: torch.Tensor, positions: int) -> torch.Tensor:
    """Weights (positions * channels, hidden) of a linear layer (hidden, channels * positions) behind a flattening.

    The channels of one position follow each other, so the weights of a stretch of positions are a stretch of rows.
    """
    per_channel = weight.detach().reshape(len(weight), -1, positions)
    return per_channel.permute(2, 1, 0).flatten(0, 1).contiguous()


def multiply(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Matrix product (rows, outputs) of x (rows, inputs) and a weight (inputs, outputs).

    On processors through oneDNN where PyTorch has it: twice as fast in float32 as the default library.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32 and len(x) and has_onednn():
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight.t(), None, "none", [], "")
        return product
    return x @ weight


def has_onednn() -> bool:
    """Whether PyTorch offers oneDNN's layouts and its matrix product."""
    return bool(cast("Any", torch.backends.mkldnn).is_available()) and hasattr(torch.ops.mkldnn, "_linear_pointwise")
