"""Compiled loops of :mod:`cisweave.models.promoter.words`; each releases the interpreter's lock.

Dimension legend
    genes - rows, 4 - channels A, C, G, T, length - bases, positions - places after pooling, filters - feature maps,
    words - numbers of all words of five letters, the fifth being "no known base"
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

LETTERS = 5


@numba.njit(nogil=True, cache=True)
def number_words(
    x: Any, width: int, dilation: int, left: int, out: Any, first: int, last: int
) -> bool:  # pragma: no cover - compiled
    """Number the word that a filter sees at every position of genes ``first`` to ``last - 1``.

    Parameters
    ----------
    x
        float32 (genes, 4, length).
    left
        Letters before the first base that the first word reaches over.
    out
        int32 (genes, read), words at the first positions.

    Returns
    -------
    bool
        Whether all columns are one-hot or zeros; otherwise ``out`` says nothing.
    """
    length, read = x.shape[2], out.shape[1]
    letters = np.full(length + (width - 1) * dilation, LETTERS - 1, np.int32)
    for i in range(first, last):
        strange = 0
        for j in range(length):
            a, c, g, t = x[i, 0, j], x[i, 1, j], x[i, 2, j], x[i, 3, j]
            total = a + c + g + t
            strange += (total != 0) & (total != 1)
            strange += a * a + c * c + g * g + t * t != total
            letters[left + j] = np.int32(c + 2 * g + 3 * t) if total == 1 else LETTERS - 1
        if strange > 0:
            return False
        for j in range(read):
            out[i, j] = letters[j]
        for k in range(1, width):
            for j in range(read):
                out[i, j] = out[i, j] * LETTERS + letters[j + k * dilation]
    return True


@numba.njit(nogil=True, cache=True)
def pool_words(words: Any, table: Any, pool: int, out: Any, first: int, last: int) -> None:  # pragma: no cover
    """Greatest table value of each pool, for genes ``first`` to ``last - 1``.

    Parameters
    ----------
    words
        int32 (genes, read).
    table
        float32 (words, filters).
    out
        float32 (genes, positions, filters).
    """
    filters = table.shape[1]
    for i in range(first, last):
        for j in range(out.shape[1]):
            best = out[i, j]
            best[:] = table[words[i, j * pool]]
            for p in range(j * pool + 1, (j + 1) * pool):
                values = table[words[i, p]]
                for f in range(filters):
                    best[f] = max(best[f], values[f])


@numba.njit(nogil=True, cache=True)
def choose_words(
    words: Any, table: Any, pool: int, out: Any, chosen: Any, first: int, last: int
) -> None:  # pragma: no cover - compiled
    """As :func:`pool_words`, and in ``chosen``, int16 (genes, positions, filters), the words of the greatest values."""
    filters = table.shape[1]
    for i in range(first, last):
        for j in range(out.shape[1]):
            best, word = out[i, j], chosen[i, j]
            best[:] = table[words[i, j * pool]]
            word[:] = words[i, j * pool]
            for p in range(j * pool + 1, (j + 1) * pool):
                number = np.int16(words[i, p])
                values = table[words[i, p]]
                for f in range(filters):
                    greater = values[f] > best[f]
                    best[f] = values[f] if greater else best[f]
                    word[f] = number if greater else word[f]


@numba.njit(nogil=True, cache=True)
def gather_gradient(chosen: Any, gradient: Any, out: Any, first: int, last: int) -> None:  # pragma: no cover
    """Add the gradients of the pools to the table's, for filters ``first`` to ``last - 1``.

    Parameters
    ----------
    chosen
        int16 (genes, positions, filters).
    gradient
        float32 (genes, positions, filters).
    out
        float32 (words, filters).
    """
    for i in range(chosen.shape[0]):
        for j in range(chosen.shape[1]):
            for f in range(first, last):
                out[chosen[i, j, f], f] += gradient[i, j, f]


@numba.njit(nogil=True, cache=True)
def average_words(
    words: Any, table: Any, added: Any, pool: int, out: Any, first: int, last: int
) -> None:  # pragma: no cover - compiled
    """Mean over each pool of ``max(0, table value + added)``, for genes ``first`` to ``last - 1``.

    Parameters
    ----------
    words
        int32 (genes, read).
    table
        float32 (words, filters).
    added
        float32 (read, filters), the same for all genes.
    out
        float32 (genes, positions, filters).
    """
    filters = table.shape[1]
    zero, share = np.float32(0), np.float32(1 / pool)
    for i in range(first, last):
        for j in range(out.shape[1]):
            total = out[i, j]
            total[:] = zero
            for p in range(j * pool, (j + 1) * pool):
                values, more = table[words[i, p]], added[p]
                for f in range(filters):
                    total[f] += max(values[f] + more[f], zero)
            for f in range(filters):
                total[f] *= share


@numba.njit(nogil=True, cache=True)
def share_gradient(
    words: Any, table: Any, added: Any, pool: int, gradient: Any, of_table: Any, of_added: Any, first: int, last: int
) -> None:  # pragma: no cover - compiled
    """Add the gradients of :func:`average_words` to those of its inputs, for filters ``first`` to ``last - 1``.

    Parameters
    ----------
    gradient
        float32 (genes, positions, filters).
    of_table, of_added
        float32, shaped as ``table`` and ``added``.
    """
    zero, share, width = np.float32(0), np.float32(1 / pool), last - first
    for i in range(gradient.shape[0]):
        for j in range(gradient.shape[1]):
            given = gradient[i, j, first:last]
            for p in range(j * pool, (j + 1) * pool):
                word = words[i, p]
                values, more = table[word, first:last], added[p, first:last]
                to_table, to_added = of_table[word, first:last], of_added[p, first:last]
                for f in range(width):
                    passed = given[f] * share if values[f] + more[f] > zero else zero
                    to_table[f] += passed
                    to_added[f] += passed
