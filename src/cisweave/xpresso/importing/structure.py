"""What the shapes of a model's weights tell: its family, its hyper-parameters, how many inputs its head has.

Keras's order of layers is known for every family, so the tensors are read one after the other: a convolution is a
kernel (width, channels in, channels out) and a bias; batch normalisation four vectors; an attention block sixteen
tensors (query, key, value, output, two dense layers, two normalisations).

Dimension legend
    width - bases or positions under a filter, size - channels of a token or segment, units - of a dense layer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from cisweave.core.errors import CisweaveError
from cisweave.xpresso.importing.records import KerasModel, Weight

Shape = tuple[int, ...]

BLOCK = 16
"""Tensors of an attention block."""
GATES = 4


@dataclass(frozen=True)
class Structure:
    """What was read off the weights.

    Attributes
    ----------
    family
        Key of :data:`cisweave.models.promoter.settings.FAMILY_SETTINGS`.
    network
        Hyper-parameters of the network that the shapes tell.
    dense
        Units of the hidden layers of the head.
    inputs
        Inputs of the head: features of the trunk, then half-life, factors and microRNAs.
    window
        Bases read, where a vector for each position tells it.
    head
        Number of the tensor, from 0, with which the head begins.
    """

    family: str
    network: dict[str, Any]
    dense: list[int]
    inputs: int
    head: int
    window: int | None = field(default=None)


class Tape:
    """The tensors of a model, read from the first to the last."""

    def __init__(self, model: KerasModel):
        self.model = model
        self.weights = list(model.weights())
        self.place = 0

    @property
    def shapes(self) -> list[Shape]:
        """Shapes of the tensors that are still to be read."""
        return [weight.values.shape for weight in self.weights[self.place :]]

    def begins(self, *kinds: Callable[[Shape], bool]) -> bool:
        """Whether the next tensors are of these kinds."""
        ahead = self.shapes[: len(kinds)]
        return len(ahead) == len(kinds) and all(kind(shape) for kind, shape in zip(kinds, ahead, strict=True))

    def take(self, number: int = 1) -> list[Shape]:
        """Shapes of the next tensors, which are then read."""
        taken = self.shapes[:number]
        self.place += number
        return taken

    def refuse(self, wanted: str) -> CisweaveError:
        """The error for a next tensor that is not what the family has there."""
        if self.place >= len(self.weights):
            return CisweaveError(f"the model ends where {wanted} should come", path=self.model.path)
        weight: Weight = self.weights[self.place]
        return CisweaveError(
            f"layer {weight.layer}: {weight.name} has shape {weight.values.shape}, where {wanted} should come; this is "
            "none of the published promoter networks",
            path=self.model.path,
        )


def read_structure(model: KerasModel) -> Structure:
    """Family and shape of a model.

    Raises
    ------
    CisweaveError
        If the layers are those of no family; the message names the first layer that does not fit.
    """
    tape = Tape(model)
    if tape.begins(is_convolution(4), is_vector, is_convolution(4)):
        return read_intervals(tape)
    if tape.begins(is_convolution(4), is_vector):
        return read_convolutional(tape)
    if tape.begins(is_vector, is_vector, is_vector, is_vector, is_matrix, is_matrix, is_vector):
        return read_recurrent(tape)
    if tape.begins(is_vector, is_vector, is_vector, is_vector):
        return read_segments(tape)
    if tape.begins(is_vocabulary, is_vector):
        return read_factors(tape)
    if tape.begins(is_vocabulary):
        return read_tokens(tape)
    return read_factors(tape)


# --- kinds of tensors -------------------------------------------------------------------------------------------------
def is_vector(shape: Shape) -> bool:
    """A bias, or one of the vectors of a normalisation."""
    return len(shape) == 1


def is_matrix(shape: Shape) -> bool:
    """A dense kernel or an embedding."""
    return len(shape) == 2


def is_vocabulary(shape: Shape) -> bool:
    """An embedding of 4 or 5 tokens."""
    return len(shape) == 2 and shape[0] in (4, 5)


def is_convolution(channels: int) -> Callable[[Shape], bool]:
    """A convolution over so many channels."""
    return lambda shape: len(shape) == 3 and shape[1] == channels


def is_projection(size: int) -> Callable[[Shape], bool]:
    """The kernel that makes queries of positions: (size, heads, size of a head), or the last two as one."""
    return lambda shape: len(shape) in (2, 3) and shape[0] == size


# --- families ---------------------------------------------------------------------------------------------------------
def read_convolutional(tape: Tape) -> Structure:
    """Xpresso: convolutions, each over the filters of the one before."""
    channels, filters, widths = 4, [], []
    while tape.begins(is_convolution(channels), is_vector):
        kernel, _ = tape.take(2)
        widths.append(kernel[0])
        channels = kernel[2]
        filters.append(channels)
    return read_head(tape, "cnn", {"filters": filters, "widths": widths})


def read_intervals(tape: Tape) -> Structure:
    """DivideEtImpera: first, second and third convolution of every interval, then four over all."""
    width, _, filters = tape.shapes[0]
    intervals = 0
    while tape.begins(is_convolution(4), is_vector):
        tape.take(2)
        intervals += 1
    for number in range(2 * intervals + 4):
        if not tape.begins(is_convolution(filters), is_vector):
            raise tape.refuse(f"convolution {intervals + number + 1} of {3 * intervals + 4}")
        tape.take(2)
    return read_head(tape, "divide", {"intervals": intervals, "filters": filters, "width": width})


def read_recurrent(tape: Tape) -> Structure:
    """BioLSTM: normalisation, then the kernel, the recurrent kernel and the bias of the LSTM."""
    size = tape.take(4)[0][0]
    kernel, recurrent, bias = tape.shapes[:3]
    units = recurrent[0]
    if kernel != (size, GATES * units) or recurrent[1] != GATES * units or bias != (GATES * units,):
        raise tape.refuse(f"an LSTM over {size} channels")
    tape.take(3)
    return read_head(tape, "lstm", {"size": size, "units": units})


def read_segments(tape: Tape) -> Structure:
    """The DeepLncLoc transformer: normalisation, then attention blocks."""
    size = tape.take(4)[0][0]
    return read_head(tape, "deeplncloc", {"size": size, **read_blocks(tape, size)})


def read_factors(tape: Tape) -> Structure:
    """TFNet: dense layers alone."""
    return read_head(tape, "tfnet", {})


def read_tokens(tape: Tape) -> Structure:
    """A token transformer: vectors of tokens, and of positions where they are learned, two paths, attention blocks."""
    vocabulary, size = tape.take()[0]
    network: dict[str, Any] = {"vocabulary": vocabulary, "size": size}
    window = None
    if tape.begins(lambda shape: is_matrix(shape) and shape[1] == size, is_convolution(size), is_vector):
        window = tape.take()[0][0]
    if not tape.begins(is_convolution(size), is_vector):
        return read_head(tape, "whole", network | read_blocks(tape, size))
    first, _ = tape.take(2)
    if not tape.begins(is_convolution(first[2]), is_vector):
        raise tape.refuse(f"a convolution over {first[2]} channels")
    second, _ = tape.take(2)
    if second[2] != size:
        raise CisweaveError(
            f"the second convolution has {second[2]} filters, the tokens {size} channels; they must be as many",
            path=tape.model.path,
        )
    norms = read_norms(tape, size)
    network |= {
        "filters": first[2],
        "widths": [first[0], second[0]],
        "positions": "sinusoid" if window is None else "learned",
        "skip": "tokens" if norms == 2 else "positions",
        **read_blocks(tape, size),
    }
    return read_head(tape, "token", network, window)


def read_norms(tape: Tape, size: int) -> int:
    """Number of batch normalisations, one or two."""
    norms = 0
    while norms < 2 and tape.begins(*[lambda shape: shape == (size,)] * 4):
        tape.take(4)
        norms += 1
    if not norms:
        raise tape.refuse(f"batch normalisation of {size} channels")
    return norms


def read_blocks(tape: Tape, size: int) -> dict[str, int]:
    """Number of attention blocks, their heads and hidden units; all blocks are alike."""
    blocks, found = 0, None
    while tape.begins(is_projection(size), lambda shape: len(shape) in (1, 2), is_projection(size)):
        block = read_block(tape, size)
        if found not in (None, block):
            raise CisweaveError("the attention blocks of this model differ from each other", path=tape.model.path)
        blocks, found = blocks + 1, block
    if found is None:
        raise tape.refuse("an attention block")
    heads, hidden = found
    return {"blocks": blocks, "hidden": hidden} | ({"heads": heads} if heads else {})


def read_block(tape: Tape, size: int) -> tuple[int, int]:
    """Heads (0 where the file does not tell) and hidden units of an attention block."""
    shapes = tape.shapes[:BLOCK]
    query, hidden = shapes[0], shapes[8][-1] if len(shapes) == BLOCK else 0
    inner = prod(query[1:])
    wanted = [
        *[(size, inner), (inner,)] * 3,
        *[(inner, size), (size,), (size, hidden), (hidden,), (hidden, size)],
        *[(size,)] * 5,
    ]
    for number, shape in enumerate(wanted):
        if number >= len(shapes) or not agrees(shapes[number], shape):
            tape.place += number
            raise tape.refuse(f"tensor {number + 1} of the {BLOCK} of an attention block")
    tape.take(BLOCK)
    return (query[1] if len(query) == 3 else 0), hidden


def agrees(shape: Shape, flat: Shape) -> bool:
    """Whether a tensor has this shape once the axes of heads and their channels are one."""
    if len(shape) == len(flat):
        return shape == flat
    if len(shape) != len(flat) + 1:
        return False
    return flat in ((*shape[:-2], shape[-2] * shape[-1]), (shape[0] * shape[1], *shape[2:]))


def read_head(tape: Tape, family: str, network: dict[str, Any], window: int | None = None) -> Structure:
    """The dense layers at the end, the last with one unit."""
    start = tape.place
    kernels: list[Shape] = []
    while tape.begins(is_matrix, is_vector):
        kernel, bias = tape.take(2)
        if bias != (kernel[1],) or (kernels and kernels[-1][1] != kernel[0]):
            tape.place -= 2
            raise tape.refuse(f"a dense layer of {kernels[-1][1] if kernels else kernel[0]} inputs")
        kernels.append(kernel)
    if tape.shapes or not kernels or kernels[-1][1] != 1:
        if tape.shapes or not kernels:
            raise tape.refuse("a dense layer")
        tape.place -= 2
        raise tape.refuse("a dense layer of one unit")
    units: Sequence[int] = [kernel[1] for kernel in kernels[:-1]]
    return Structure(family, network, list(units), kernels[0][0], start, window)
