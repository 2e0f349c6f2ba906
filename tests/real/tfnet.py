"""Transcription factors alone to the expression of real genes: TFNet against ridge regression."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from cisweave.config import PromoterSplitSettings, TrainingSettings, ZooModel
from cisweave.xpresso.dataset import PromoterData, write_data
from cisweave.xpresso.matrices import read_factors
from cisweave.xpresso.metrics import score
from cisweave.xpresso.split import read_split, split_genes, split_rows
from cisweave.xpresso.training import train_model

FACTORS = "expression/zoo_encode_tf_17465x181.xlsx"
EXPRESSION = "expression/Xpresso_1to1_orthologs_expression.txt"
QUIET = TrainingSettings(tensorboard=False, csv_log=False)
PUBLISHED = ZooModel(type="tfnet/TF")
"""Two hidden layers of 64 and 2, mean absolute error, SGD."""
CHOSEN = ZooModel(
    type="tfnet/TF",
    network={"dense": [1024], "dropout": [0.7]},
    train={
        "optimizer": "adam",
        "learning_rate": 5e-4,
        "reduce_epoch": 12,
        "reduce_factor": 0.1,
        "loss": "mse",
        "batch_size": 128,
        "max_epochs": 22,
        "patience": 22,
    },
)
"""One wide layer, much dropout, a drop of the learning rate: the best of a dozen on the validation genes of five other
random splits."""
ALPHAS = (1, 10, 30, 100, 300, 1000)
SPLITS = (1, 2, 3, 4, 5)


def real_factors(folder: Path, out: Path) -> PromoterData:
    """Data of the genes of which both ENCODE factors and expression (log10) are known."""
    table = pd.read_csv(folder / EXPRESSION, sep="\t", header=None, usecols=[0, 3])
    table.columns = ["gene_id", "expression"]
    factors = read_factors(folder / FACTORS)
    known = table[table.gene_id.isin(factors.index)].drop_duplicates("gene_id").sort_values("gene_id")
    return write_data(out, known[["gene_id", "expression"]], None, expression="log10", tf=factors)


def ridge_r2(data: PromoterData, rows: dict[str, NDArray[np.int64]]) -> float:
    """Test r² of ridge regression, its penalty chosen by the validation genes."""
    assert data.tf is not None
    x, y = data.tf.astype(np.float64), data.label
    models = [Ridge(alpha).fit(x[rows["train"]], y[rows["train"]]) for alpha in ALPHAS]
    best = max(models, key=lambda model: score(model.predict(x[rows["valid"]]), y[rows["valid"]])["r2"])
    return score(best.predict(x[rows["test"]]), y[rows["test"]])["r2"]


def tfnet_on_real(folder: Path, entry: ZooModel = CHOSEN) -> dict[str, Any]:
    """TFNet and ridge regression on the same 1,000 test genes, for several random splits.

    Returns
    -------
    dict
        ``tfnet_genes``; ``tfnet_r2`` and ``ridge_r2``, means over the splits of the test r² (Pearson, squared);
        ``tfnet_r2_by_split`` and ``ridge_r2_by_split``.
    """
    networks, ridges = [], []
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        data = real_factors(folder, here / "data")
        for seed in SPLITS:
            split = here / f"split{seed}.tsv"
            split_genes(here / "data", split, PromoterSplitSettings(seed=seed))
            run = train_model(
                here / "data", split, here / f"tfnet{seed}", entry, training=QUIET, seed=seed, device="cpu"
            )
            networks.append(run["best"]["test"]["r2"])
            ridges.append(ridge_r2(data, split_rows(read_split(split), data)))
    return {
        "tfnet_genes": len(data),
        "tfnet_r2": round(float(np.mean(networks)), 4),
        "ridge_r2": round(float(np.mean(ridges)), 4),
        "tfnet_r2_by_split": [round(value, 4) for value in networks],
        "ridge_r2_by_split": [round(value, 4) for value in ridges],
    }
