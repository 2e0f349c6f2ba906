"""A convolution over one-hot DNA and the pool after it, by looking words up in a table.

A filter of width k over one-hot bases takes one of 5^k values (the fifth letter being an unknown base or the padding).
So the convolution is a table of words, filled by one small matrix product, and the pool a walk over its rows; its
gradient goes back to the words. On a processor that is many times faster than multiplying by zeros, and gives the same
up to rounding.

Dimension legend
    batch - genes, 4 - channels A, C, G, T, length - bases, positions - places after pooling, filters - feature maps,
    words - all words of five letters
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from cisweave.core.kernels import prepare_numba
from cisweave.models.promoter.keras import SameConv

LETTERS = 5
LONGEST_WORD = 6
"""Widest filter with a table: 15,625 words, whose numbers fit into 16 bits."""


def pooled_maxima(x: torch.Tensor, convolution: SameConv, pool: int) -> torch.Tensor | None:
    """Maxima (batch, filters, positions) of a convolution over one-hot DNA (batch, 4, length).

    ``None`` where it must be computed: on a GPU, for wide filters, where gradients with respect to the bases are
    wanted, and where ``x`` holds anything but bases (one 1 in a column) and unknown bases (none).
    """
    words = words_below(x, convolution, pool)
    if words is None:
        return None
    with torch.autocast("cpu", enabled=False):
        table = word_table(convolution.weight)
        maxima: torch.Tensor = TablePool.apply(table, words, pool)  # type: ignore[no-untyped-call]
        return (maxima if convolution.bias is None else maxima + convolution.bias).transpose(1, 2)


def pooled_averages(
    x: torch.Tensor, convolution: SameConv, filters: torch.Tensor, added: torch.Tensor, pool: int
) -> torch.Tensor | None:
    """Means (batch, filters, positions) of what is positive in a convolution over one-hot DNA (batch, 4, length).

    Parameters
    ----------
    convolution
        Gives width and padding.
    filters
        float (filters, 4, width) to convolve with.
    added
        float (filters, length), added at each position, the same for all genes.

    Returns
    -------
    torch.Tensor | None
        ``None`` where it must be computed, as in :func:`pooled_maxima`.
    """
    words = words_below(x, convolution, pool)
    if words is None:
        return None
    with torch.autocast("cpu", enabled=False):
        inputs = (word_table(filters.float()), added[:, : words.shape[1]].T.float(), words, pool)
        averages: torch.Tensor = TableAverage.apply(*inputs)  # type: ignore[no-untyped-call]
        return averages.transpose(1, 2)


def words_below(x: torch.Tensor, convolution: SameConv, pool: int) -> torch.Tensor | None:
    """Numbers, int32 (batch, read), of the words below the filters up to the end of the last whole pool, if any."""
    width, weight = convolution.kernel_size[0], convolution.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or width > LONGEST_WORD:
        return None
    read = x.shape[2] // pool * pool
    return numbered_words(x, width, read, convolution.dilation[0], convolution.around[0])


def word_table(filters: torch.Tensor) -> torch.Tensor:
    """Values (words, filters) of filters (filters, 4, width) at all words."""
    return all_words(filters.shape[2]) @ filters.flatten(1).T


def numbered_words(x: torch.Tensor, width: int, read: int, dilation: int = 1, left: int = 0) -> torch.Tensor | None:
    """Numbers, int32 (batch, read), of the words of ``width`` letters at the first ``read`` positions.

    The first word reaches over ``left`` letters before the first base. ``None`` where the words of ``x``
    (batch, 4, length) cannot be numbered: it is on a GPU, has gradients, or is not one-hot.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.requires_grad:
        return None
    kernels = compiled()
    bases = x.detach().contiguous().numpy()
    words = x.new_empty((len(x), read), dtype=torch.int32)

    def number(first: int, last: int) -> bool:
        fine: bool = kernels.number_words(bases, width, dilation, left, words.numpy(), first, last)
        return fine

    return words if all(in_parts(number, len(x))) else None


@lru_cache(maxsize=LONGEST_WORD)
def all_words(width: int) -> torch.Tensor:
    """All words of five letters as flattened filters, float32 (5^width, 4 * width); the fifth letter is zeros."""
    # Kept for later calls, so it must be an ordinary tensor whatever mode and device the first call is made in.
    with torch.inference_mode(mode=False), torch.device("cpu"):
        return F.one_hot(digits_of(width, LETTERS), LETTERS)[..., :4].transpose(1, 2).flatten(1).float()


def digits_of(width: int, letters: int) -> torch.Tensor:
    """The letters, int64 (letters^width, width), of all words in the order of their numbers, first letter highest."""
    return torch.arange(letters**width)[:, None] // letters ** torch.arange(width - 1, -1, -1) % letters


class TablePool(torch.autograd.Function):
    """Greatest value of each pool of words, by filter."""

    @staticmethod
    def forward(ctx: Any, table: torch.Tensor, words: torch.Tensor, pool: int) -> torch.Tensor:
        """Maxima (batch, positions, filters) of a table (words, filters) at words (batch, read)."""
        kernels = compiled()
        values, numbers = table.detach().contiguous().numpy(), words.numpy()
        shape = (len(words), words.shape[1] // pool, table.shape[1])
        out = table.new_empty(shape)
        if not ctx.needs_input_grad[0]:
            in_parts(lambda *part: kernels.pool_words(numbers, values, pool, out.numpy(), *part), len(words))
            return out
        chosen = table.new_empty(shape, dtype=torch.int16)
        in_parts(
            lambda *part: kernels.choose_words(numbers, values, pool, out.numpy(), chosen.numpy(), *part), len(words)
        )
        ctx.save_for_backward(chosen)
        ctx.words = len(table)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Gradient (words, filters) of the table."""
        kernels = compiled()
        (chosen,) = ctx.saved_tensors
        given = gradient.contiguous().numpy()
        out = gradient.new_zeros(ctx.words, gradient.shape[2])
        in_parts(lambda *part: kernels.gather_gradient(chosen.numpy(), given, out.numpy(), *part), gradient.shape[2])
        return out, None, None


class TableAverage(torch.autograd.Function):
    """Mean over each pool of words of what is positive."""

    @staticmethod
    def forward(ctx: Any, table: torch.Tensor, added: torch.Tensor, words: torch.Tensor, pool: int) -> torch.Tensor:
        """Means (batch, positions, filters) of a table (words, filters) plus ``added`` (read, filters)."""
        kernels = compiled()
        table, added = table.detach().contiguous(), added.detach().contiguous()
        inputs = (words.numpy(), table.numpy(), added.numpy(), pool)
        out = table.new_empty(len(words), words.shape[1] // pool, table.shape[1])
        in_parts(lambda *part: kernels.average_words(*inputs, out.numpy(), *part), len(words))
        ctx.save_for_backward(words, table, added)
        ctx.pool = pool
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        """Gradients of the table and of what was added."""
        kernels = compiled()
        words, table, added = ctx.saved_tensors
        inputs = (words.numpy(), table.numpy(), added.numpy(), ctx.pool, gradient.contiguous().numpy())
        of_table, of_added = torch.zeros_like(table), torch.zeros_like(added)
        in_parts(
            lambda *part: kernels.share_gradient(*inputs, of_table.numpy(), of_added.numpy(), *part), table.shape[1]
        )
        return of_table, of_added, None, None


def in_parts(work: Callable[[int, int], Any], number: int) -> list[Any]:
    """Results of ``work(first, last)`` on equal parts of ``range(number)``, one for each thread PyTorch uses."""
    threads = max(1, min(torch.get_num_threads(), number))
    bounds = [number * part // threads for part in range(threads + 1)]
    if threads == 1:
        return [work(0, number)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda bound: work(*bound), pairwise(bounds)))


def compiled() -> Any:
    """The compiled loops, loaded when first needed."""
    prepare_kernels()
    from cisweave.models.promoter import word_kernels

    return word_kernels


@lru_cache(maxsize=1)
def prepare_kernels() -> None:
    """Give numba its cache once."""
    prepare_numba()
