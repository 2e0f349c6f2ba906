"""PyTorch files of others: tensors are read, code is never run."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import atomic_path, existing, first_bytes, refuse_web_page, sha256

if TYPE_CHECKING:
    import torch

WRAPPERS = ("model_state_dict", "state_dict", "model")
"""Keys under which training programs keep the weights."""
PARALLEL = "module."
"""What ``torch.nn.DataParallel`` puts before each name."""
FIRST = 512
"""Bytes that tell a web page."""


def read_torch(path: str | Path) -> Any:
    """What a PyTorch file holds, on the CPU.

    Raises
    ------
    CisweaveError
        If the file is absent, cut off or no PyTorch file, or holds anything but tensors and plain values: such a file
        could run code, and is refused.
    """
    import torch

    path = existing(path)
    refuse_web_page(first_bytes(path, FIRST), path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CisweaveError(
            "this file is damaged, or holds more than tensors, and reading that could run code; save it again as a "
            f"state dict ({reason(error)})",
            path=path,
        ) from error
    except damages() as error:
        raise CisweaveError(f"this is not a PyTorch file, or it is cut off ({reason(error)})", path=path) from error


def damages() -> tuple[type[Exception], ...]:
    """What PyTorch raises for files that are not its own, cut off or damaged."""
    return (
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        AssertionError,
        zipfile.BadZipFile,
    )


def reason(error: Exception) -> str:
    """The first line of an error, without the advice that follows."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def write_torch(value: Any, out: str | Path) -> None:
    """Write a PyTorch file, whole or not at all; the same value gives the same bytes whatever the file is called."""
    import torch

    with atomic_path(out) as temporary, open(temporary, "wb") as handle:
        torch.save(value, handle)


def state_dict(value: object, path: str | Path) -> dict[str, torch.Tensor]:
    """The weights in what a file holds, bare or wrapped, without the prefix of ``DataParallel``."""
    import torch

    if isinstance(value, Mapping):
        for wrapper in WRAPPERS:
            if isinstance(value.get(wrapper), Mapping):
                return state_dict(value[wrapper], path)
    if (
        not isinstance(value, Mapping)
        or not value
        or not all(isinstance(each, torch.Tensor) for each in value.values())
    ):
        raise CisweaveError(
            "this file holds no weights; a state dict is needed, bare or under model_state_dict", path=path
        )
    parallel = all(str(name).startswith(PARALLEL) for name in value)
    return {str(name)[len(PARALLEL) if parallel else 0 :]: tensor for name, tensor in value.items()}


def require_tensors(weights: Mapping[str, torch.Tensor], names: Mapping[str, int], what: str, path: str | Path) -> None:
    """Raise unless the weights are exactly these names with these numbers of dimensions, finite as 32-bit numbers.

    Parameters
    ----------
    names
        Number of dimensions by name.
    what
        What the file should hold, for the message.
    """
    import torch

    missing = [name for name in names if name not in weights]
    strange = [name for name in weights if name not in names]
    if missing or strange:
        lacks = f"lacks {', '.join(missing)}" if missing else ""
        has = f"has {', '.join(map(shorten, strange[:5]))}" if strange else ""
        raise CisweaveError(
            f"these are not the weights of {what}: the file {' and '.join(filter(None, (lacks, has)))}", path=path
        )
    for name, dimensions in names.items():
        tensor = weights[name]
        if tensor.layout != torch.strided or tensor.is_nested or tensor.device.type != "cpu":
            raise CisweaveError(
                f"{name} is no plain array of numbers ({tensor.layout}, {tensor.device}); save the weights as such",
                path=path,
            )
        if tensor.ndim != dimensions or not tensor.is_floating_point() or not tensor.numel():
            raise CisweaveError(
                f"{name} is {tensor.dtype} of shape {tuple(tensor.shape)}; {what} has {dimensions} dimension(s) of "
                "floating-point numbers there",
                path=path,
            )
        if not bool(torch.isfinite(tensor.float()).all()):
            raise CisweaveError(f"{name} holds numbers that are not finite; get the file again", path=path)


def md5(path: str | Path) -> str:
    """MD5 of a file's bytes in hexadecimal, as archives publish it."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest()


def source_of(path: str | Path) -> dict[str, str]:
    """Name and checksums of an imported file, for the model folder."""
    return {"file": Path(path).name, "sha256": sha256(path), "md5": md5(path)}
