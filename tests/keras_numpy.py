"""Keras's layers and the published networks in plain NumPy, channels last, with weights as Keras has them.

A network is a list of layers in Keras's order, each a list of arrays. Codes are 0 to 3, 4 for an unknown base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Arrays = list[np.ndarray]


def one_hot(codes: np.ndarray) -> np.ndarray:
    return (codes[..., None] == np.arange(4)).astype(float)


def conv(x: np.ndarray, weights: Arrays) -> np.ndarray:
    kernel, bias = weights
    width = len(kernel)
    padded = np.pad(x, ((0, 0), ((width - 1) // 2, width // 2), (0, 0)))
    out = sum(padded[:, i : i + x.shape[1]] @ kernel[i] for i in range(width)) + bias
    return np.maximum(out, 0)


def pool(x: np.ndarray, size: int, how: Callable = np.max) -> np.ndarray:
    number = x.shape[1] // size
    return how(x[:, : number * size].reshape(len(x), number, size, -1), axis=2)


def dense(x: np.ndarray, weights: Arrays, relu: bool = True) -> np.ndarray:
    out = x @ weights[0] + weights[1]
    return np.maximum(out, 0) if relu else out


def batch_norm(x: np.ndarray, weights: Arrays) -> np.ndarray:
    gamma, beta, mean, variance = weights
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * gamma + beta


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm(x: np.ndarray, weights: Arrays) -> np.ndarray:
    kernel, recurrent, bias = weights
    units = len(recurrent)
    hidden, cell = np.zeros((len(x), units)), np.zeros((len(x), units))
    for step in range(x.shape[1]):
        gates = x[:, step] @ kernel + hidden @ recurrent + bias
        take, forget, new, give = (gates[:, i * units : (i + 1) * units] for i in range(4))
        cell = sigmoid(forget) * cell + sigmoid(take) * np.tanh(new)
        hidden = sigmoid(give) * np.tanh(cell)
    return hidden


def block(x: np.ndarray, weights: Arrays) -> np.ndarray:
    q, qb, k, kb, v, vb, o, ob, w1, b1, w2, b2, g1, e1, g2, e2 = weights
    query, key, value = (np.einsum("btd,dhk->bhtk", x, w) + b[None, :, None] for w, b in ((q, qb), (k, kb), (v, vb)))
    scores = np.einsum("bhtk,bhsk->bhts", query, key) / np.sqrt(q.shape[2])
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    taken = np.einsum("bhts,bhsk->bthk", scores / scores.sum(-1, keepdims=True), value)
    x = layer_norm(x + np.einsum("bthk,hkd->btd", taken, o) + ob, g1, e1)
    return layer_norm(x + np.maximum(x @ w1 + b1, 0) @ w2 + b2, g2, e2)


def sinusoid(length: int, size: int) -> np.ndarray:
    code = np.zeros((length, size))
    for position in range(length):
        for channel in range(size):
            angle = position / 10_000 ** (2 * (channel // 2) / size)
            code[position, channel] = np.cos(angle) if channel % 2 else np.sin(angle)
    return code


def segment_means(
    codes: np.ndarray,
    vectors: np.ndarray,
    mean: np.ndarray | float = 0.0,
    spread: np.ndarray | float = 1.0,
    segment: int = 50,
    k: int = 3,
) -> np.ndarray:
    """Standardised mean vector of the words inside each segment of codes (n, length); 0 without a known word."""
    out = np.zeros((len(codes), codes.shape[1] // segment, vectors.shape[1]))
    for i, number in np.ndindex(out.shape[:2]):
        bases = codes[i, number * segment : (number + 1) * segment].tolist()
        words = [bases[start : start + k] for start in range(segment - k + 1)]
        found = [int("".join(map(str, word)), 4) for word in words if 4 not in word]
        if found:
            out[i, number] = (vectors[found].mean(axis=0) - mean) / spread
    return out


def token_vectors(codes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Vectors of bases; of an unknown one 0 where it has none."""
    return np.concatenate([table, np.zeros((5 - len(table), table.shape[1]))])[codes]


def head(x: np.ndarray, extras: np.ndarray, layers: Iterator[Arrays]) -> np.ndarray:
    rest = list(layers)
    x = np.concatenate([x, extras], axis=1)
    for weights in rest[:-1]:
        x = dense(x, weights)
    return dense(x, rest[-1], relu=False)[:, 0]


# --- the published networks -------------------------------------------------------------------------------------------
def xpresso(codes: np.ndarray, extras: np.ndarray, layers: list[Arrays]) -> np.ndarray:
    left = iter(layers)
    x = pool(conv(one_hot(codes), next(left)), 30)
    return head(pool(conv(x, next(left)), 10).reshape(len(x), -1), extras, left)


def divide(codes: np.ndarray, extras: np.ndarray, layers: list[Arrays]) -> np.ndarray:
    parts = np.split(one_hot(codes), 10, axis=1)
    done = []
    for i, part in enumerate(parts):
        x = pool(conv(part, layers[i]), 5)
        done.append(pool(conv(conv(x, layers[10 + i]), layers[20 + i]), 5))
    left = iter(layers[30:])
    x = pool(conv(np.concatenate(done, axis=1), next(left)), 5)
    for _ in range(3):
        x = conv(x, next(left))
    return head(x.reshape(len(x), -1), extras, left)


def recurrent(x: np.ndarray, extras: np.ndarray, layers: list[Arrays]) -> np.ndarray:
    left = iter(layers)
    return head(lstm(batch_norm(x, next(left)), next(left)), extras, left)


def segment_transformer(x: np.ndarray, extras: np.ndarray, layers: list[Arrays]) -> np.ndarray:
    left = iter(layers)
    x = batch_norm(x, next(left)) * np.sqrt(x.shape[2]) + sinusoid(*x.shape[1:])
    return head(block(x, next(left)).mean(axis=1), extras, left)


def factors(_: np.ndarray, extras: np.ndarray, layers: list[Arrays]) -> np.ndarray:
    return head(np.zeros((len(extras), 0)), extras, iter(layers))


@dataclass
class Tokens:
    """A token transformer of one of the layouts."""

    how: Callable = np.mean
    learned: bool = True
    positions_alone: bool = False
    blocks: int = 1
    flat: bool = True

    def __call__(self, codes: np.ndarray, extras: np.ndarray, layers: list[Arrays]) -> np.ndarray:
        left = iter(layers)
        table = next(left)
        size = table[0].shape[1]
        if self.learned:
            position = table[1]
            x = token_vectors(codes, table[0]) + position
        else:
            position = sinusoid(codes.shape[1], size)
            x = token_vectors(codes, table[0]) * np.sqrt(size) + position
        path = pool(conv(x, next(left)), 30, self.how)
        path = batch_norm(pool(conv(path, next(left)), 10, self.how), next(left))
        if self.positions_alone:
            skip = pool(np.broadcast_to(position, x.shape), 300, np.mean)
        else:
            skip = batch_norm(pool(x, 300, np.mean), next(left))
        x = path + skip
        for _ in range(self.blocks):
            x = block(x, next(left))
        return head(x.reshape(len(x), -1) if self.flat else x.mean(axis=1), extras, left)


def original(codes: np.ndarray, extras: np.ndarray, layers: list[Arrays]) -> np.ndarray:
    left = iter(layers)
    table = next(left)[0]
    x = token_vectors(codes, table) * np.sqrt(table.shape[1]) + sinusoid(codes.shape[1], table.shape[1])
    return head(block(x, next(left)).mean(axis=1), extras, left)


# --- random weights ---------------------------------------------------------------------------------------------------
class Draw:
    """Random weights of layers, as Keras shapes them."""

    def __init__(self, seed: int = 0):
        self.random = np.random.default_rng(seed)

    def array(self, *shape: int) -> np.ndarray:
        fan = np.prod(shape[:-1]) if len(shape) > 1 else 10
        return (self.random.normal(size=shape) / np.sqrt(fan)).astype(np.float32)

    def conv(self, width: int, before: int, after: int) -> Arrays:
        return [self.array(width, before, after), self.array(after)]

    def dense(self, *units: int) -> list[Arrays]:
        # high biases, so that a layer of two units does not die
        return [[self.array(a, b), 2 + self.array(b)] for a, b in pairwise(units)]

    def norm(self, size: int) -> Arrays:
        variance = self.random.uniform(0.01, 2, size).astype(np.float32)
        return [1 + self.array(size), self.array(size), self.array(size), variance]

    def block(self, size: int, heads: int, key: int, hidden: int) -> Arrays:
        projections = [self.array(*shape) for _ in range(3) for shape in ((size, heads, key), (heads, key))]
        rest = ((heads, key, size), (size,), (size, hidden), (hidden,), (hidden, size), (size,))
        norms = [1 + self.array(size), self.array(size), 1 + self.array(size), self.array(size)]
        return [*projections, *(self.array(*shape) for shape in rest), *norms]
