"""Run folders of invented models, as training writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cisweave.core.files import write_json

GENES = {"train": 60, "valid": 40, "test": 80}


def measured_genes(fold: int = 1, genes: dict[str, int] | None = None) -> pd.DataFrame:
    """Genes of a fold with their split and measured expression; not sorted by name."""
    genes = genes or GENES
    rng = np.random.default_rng(fold)
    splits = [split for split, number in genes.items() for _ in range(number)]
    names = [f"G{fold}_{number:03d}" for number in rng.permutation(len(splits))]
    return pd.DataFrame({"gene_id": names, "split": splits, "measured": rng.normal(0.5, 0.8, len(splits))})


def write_run(
    folder: Path,
    noise: float,
    seed: int = 0,
    fold: int = 1,
    kind: str = "cnn/Xpresso",
    inputs: str = "PH",
    genes: pd.DataFrame | None = None,
) -> Path:
    """A run whose predictions are 0.8 times the measurements and some noise; the last epoch has half more noise."""
    rng = np.random.default_rng([seed, fold, round(1000 * abs(noise))])
    table = measured_genes(fold) if genes is None else genes
    for epoch, size in (("best", noise), ("last", 1.5 * noise)):
        table[epoch] = 0.8 * table["measured"] + rng.normal(0, size, len(table)) if noise >= 0 else 0.25
    folder.mkdir(parents=True)
    table.to_parquet(folder / "predictions.parquet", index=False)
    known = {"type": kind, "inputs": inputs, "seed": seed, "fold": fold, "parameters": 112_485, "restarts": seed % 2}
    write_json(folder / "metrics.json", known)
    epochs = np.arange(6)
    history = pd.DataFrame(
        {"epoch": epochs, "train_loss": 1 / (1 + epochs), "valid_loss": 0.5 + (epochs - 3.0) ** 2 / 9}
    )
    history.to_csv(folder / "history.csv", index=False)
    return folder


def write_baselines(folder: Path, noises: dict[str, float], fold: int = 1) -> Path:
    """A folder of baselines, one table for all."""
    frames, told = [], {}
    for name, noise in noises.items():
        rng = np.random.default_rng([fold, len(name)])
        table = measured_genes(fold)
        table["best"] = 0.4 * table["measured"] + rng.normal(0, noise, len(table)) if noise >= 0 else 0.5
        frames.append(table.assign(last=table["best"], model=name))
        kind, inputs = ("baseline/ridge", "P") if noise >= 0 else ("baseline/mean", "")
        told[name] = {"type": kind, "inputs": inputs, "parameters": 9, "penalty": 1.0, "valid_mse": 0.5}
    folder.mkdir(parents=True)
    pd.concat(frames).to_parquet(folder / "predictions.parquet", index=False)
    write_json(folder / "metrics.json", {"fold": fold, "models": told})
    return folder
