"""The one place where a compute device and its arithmetic are chosen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "tf32", "float16", "bfloat16"]

logger = get_logger(__name__)


def resolve_device(name: DeviceName = "auto") -> torch.device:
    """Turn the configured device into a torch device, never falling back in silence.

    ``cuda`` where torch sees no GPU is an error; ``auto`` there means CPU and says so in the log.
    """
    import torch

    if name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if name == "cuda":
        raise CisweaveError(
            "device: cuda was asked for but PyTorch sees no GPU (CUDA_VISIBLE_DEVICES="
            f"{os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}, torch {torch.__version__}); "
            "run on a GPU node with a CUDA build of PyTorch, or set device: cpu"
        )
    logger.info("device: auto resolved to cpu, because PyTorch sees no GPU")
    return torch.device("cpu")


def choose_precision(asked: Literal["auto"] | Precision, device: torch.device) -> Precision:
    """The arithmetic of a network: ``auto`` is float32 on a processor and TF32 on a GPU."""
    if asked == "auto":
        return "tf32" if device.type == "cuda" else "float32"
    if asked == "tf32" and device.type != "cuda":
        raise CisweaveError(f"precision tf32 needs a GPU, and the device is {device}; set precision: auto")
    return asked


@contextmanager
def float32_arithmetic(tf32: bool) -> Iterator[None]:
    """Whether float32 products on a GPU may be rounded to TF32; the global settings are put back afterwards.

    May be nested, the innermost holds. PyTorch's older switches (``allow_tf32``) must not be used beside it.
    """
    import torch

    wanted = "tf32" if tf32 else "ieee"
    settings = cast("Any", torch.backends)
    backends = [settings.cudnn.conv, settings.cuda.matmul]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = wanted
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def set_threads(threads: int | None) -> None:
    """Limit PyTorch and the numeric libraries below it to ``threads`` CPU threads; ``None`` leaves them alone."""
    if threads is None:
        return
    import torch

    torch.set_num_threads(threads)
