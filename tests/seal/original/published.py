"""Networks in the shape of Seal's files, computed layer by layer from the published table, and such files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

CHANNELS = (4, 5, 6, 7, 8, 9)
HIDDEN, TRACKS, WINDOW, POSITIONS = 11, 12, 600, 19
NAMES = ("model.0.0", "model.0.2", "model.0.6", "model.0.8", "model.0.12", "model.0.14")


def beluga_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the names and in the shapes of ``deepsea.beluga.pth``, narrow."""
    draw = torch.Generator().manual_seed(seed)
    weights, before = {}, 4
    for name, after in zip(NAMES, CHANNELS, strict=True):
        weights[f"{name}.weight"] = torch.randn(after, before, 1, 8, generator=draw) * (2 / (8 * before)) ** 0.5
        weights[f"{name}.bias"] = torch.randn(after, generator=draw) * 0.1
        before = after
    flat = CHANNELS[-1] * POSITIONS
    weights["model.1.2.1.weight"] = torch.randn(HIDDEN, flat, generator=draw) * (2 / flat) ** 0.5
    weights["model.1.2.1.bias"] = torch.randn(HIDDEN, generator=draw) * 0.1
    weights["model.1.4.1.weight"] = torch.randn(TRACKS, HIDDEN, generator=draw)
    weights["model.1.4.1.bias"] = torch.randn(TRACKS, generator=draw)
    return weights


def beluga_probabilities(weights: dict[str, torch.Tensor], sequences: list[str]) -> np.ndarray:
    """Probabilities (sequences, tracks) of one strand, channels in the order A, G, C, T."""
    x = torch.tensor([[[[base == letter for base in s]] for letter in "AGCT"] for s in sequences], dtype=torch.float32)
    for number, name in enumerate(NAMES):
        x = F.relu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"]))
        if number in (1, 3):
            x = F.max_pool2d(x, (1, 4), (1, 4))
    x = x.reshape(len(sequences), -1)
    x = F.relu(F.linear(x, weights["model.1.2.1.weight"], weights["model.1.2.1.bias"]))
    return torch.sigmoid(F.linear(x, weights["model.1.4.1.weight"], weights["model.1.4.1.bias"])).numpy()


def expression_weights(features: int, hidden: int, contexts: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of an expression network."""
    draw = torch.Generator().manual_seed(seed)
    return {
        "layers.0.weight": torch.randn(hidden, features, generator=draw),
        "layers.0.bias": torch.randn(hidden, generator=draw),
        "layers.2.weight": torch.randn(contexts, hidden, generator=draw),
        "layers.2.bias": torch.randn(contexts, generator=draw),
    }


def trained_checkpoint(weights: dict[str, torch.Tensor], path: Path) -> Path:
    """A checkpoint with the state of Adam after a step, as training leaves it."""
    parameters = [torch.nn.Parameter(tensor.clone()) for tensor in weights.values()]
    adam = torch.optim.Adam(parameters, lr=1e-3, weight_decay=1e-5)
    sum((parameter**2).sum() for parameter in parameters).backward()
    adam.step()
    torch.save({"model_state_dict": weights, "optimizer_state_dict": adam.state_dict()}, path)
    return path


SUMMARY = """\
Optimal pretrain model: model/tiny/tiny_seal_pt_model.pt
Number of latent features: 5
Number of general contexts: 3
Name of general contexts: Brain_Amygdala,Pituitary,Brain_Cortex
Optimal testing MSE of pretrain model (median of all contexts): 3.930577754974365
Optimal testing Spearman r of pretrain model (median of all contexts): 0.8011156540759705
Optimal finetune model: model/tiny/tiny_seal_ft_model.pt
Number of specific contexts: 2
Name of specific contexts: early_fetal.A1C,early_fetal.AMY
Optimal testing MSE of finetune model (median of all contexts): 1.9749796390533447
Optimal testing Spearman r of finetune model: (median of all contexts): 0.7670247023625263
"""
