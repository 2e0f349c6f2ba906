"""The one place where a compute device is chosen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from cisweave.core.errors import CisweaveError
from cisweave.core.logs import get_logger

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda"]

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


def set_threads(threads: int | None) -> None:
    """Limit PyTorch and the numeric libraries below it to ``threads`` CPU threads; ``None`` leaves them alone."""
    if threads is None:
        return
    import torch

    torch.set_num_threads(threads)
