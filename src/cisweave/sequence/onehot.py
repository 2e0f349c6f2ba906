"""DNA letters as codes and one-hot tensors.

Dimension legend
    batch - sequences, length - bases, 4 - channels A, C, G, T
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    import torch

Codes = NDArray[np.uint8]

LETTERS = "ACGT"
UNKNOWN = 4

_ENCODE = np.full(256, UNKNOWN, dtype=np.uint8)
for _code, _letter in enumerate(LETTERS):
    _ENCODE[ord(_letter)] = _ENCODE[ord(_letter.lower())] = _code
_DECODE = np.frombuffer(b"ACGTN", dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)


def encode(sequence: str) -> Codes:
    """Codes of a DNA string: A 0, C 1, G 2, T 3 in either case, everything else 4. Shape (length,)."""
    return _ENCODE[np.frombuffer(sequence.encode("latin-1", "replace"), dtype=np.uint8)]


def decode(codes: Codes) -> str:
    """The upper-case DNA string of codes of shape (length,); 4 becomes N."""
    return _DECODE[codes].tobytes().decode()


def reverse_complement(codes: Codes) -> Codes:
    """Reverse complement along the last axis."""
    return _COMPLEMENT[codes[..., ::-1]]


def reverse_complement_tensor(codes: torch.Tensor) -> torch.Tensor:
    """Reverse complement of a tensor of codes along the last axis."""
    import torch

    return torch.where(codes < UNKNOWN, len(LETTERS) - 1 - codes, codes).flip(-1)


def one_hot(codes: Codes | torch.Tensor, device: torch.device | str = "cpu") -> torch.Tensor:
    """One-hot tensor float32 (..., 4, length) of codes (..., length); unknown bases are columns of zeros."""
    import torch

    indices = torch.as_tensor(codes, device=device)
    channels = torch.arange(4, dtype=indices.dtype, device=device)[:, None]
    return (indices.unsqueeze(-2) == channels).float()


def one_hot_array(codes: Codes, dtype: DTypeLike = np.int8) -> NDArray[Any]:
    """One-hot array (..., 4, length) of codes (..., length); unknown bases are columns of zeros."""
    channels = np.arange(len(LETTERS), dtype=np.uint8)[:, None]
    found: NDArray[Any] = (codes[..., None, :] == channels).astype(dtype)
    return found
