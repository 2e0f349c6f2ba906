"""Small promoter data for tests of training: expression follows the bases after the TSS, half-life and one factor."""

import numpy as np
import pandas as pd

from cisweave.config import TrainingSettings, ZooModel
from cisweave.xpresso.dataset import HALF_LIFE, write_data

GENES, UPSTREAM, DOWNSTREAM, FACTORS = 240, 200, 200, 5
QUIET = TrainingSettings(tensorboard=False, csv_log=False)
TINY = {"filters": [8, 4], "widths": [3, 3], "pools": [10, 4], "dense": [8, 4], "dropout": [0.1, 0.1]}
"""A network of type cnn/Xpresso that learns in seconds."""


def write_promoters(folder):
    """Data of 240 genes with all inputs, and a split of 160, 40 and 40; returns the paths of both."""
    random = np.random.default_rng(5)
    codes = random.integers(0, 4, (GENES, UPSTREAM + DOWNSTREAM)).astype(np.uint8)
    share = random.uniform(0.1, 0.9, GENES)
    rich = random.random((GENES, DOWNSTREAM)) < share[:, None]
    codes[:, UPSTREAM:] = np.where(rich, random.integers(1, 3, rich.shape), 3 * random.integers(0, 2, rich.shape))
    codes[3, :7] = 4
    halflife = random.uniform(0.1, 1, (GENES, 8))
    factors = random.integers(0, 2, (GENES, FACTORS))
    log10 = 2 * share + halflife[:, 4] + 0.5 * factors[:, 2] + random.normal(0, 0.1, GENES)
    ids = [f"G{number:03d}" for number in range(GENES)]
    genes = pd.DataFrame({"gene_id": ids, "expression": 10**log10 - 0.1}).join(
        pd.DataFrame(halflife, columns=HALF_LIFE)
    )
    tf = pd.DataFrame(factors, index=ids, columns=[f"TF{number}" for number in range(FACTORS)])
    write_data(folder / "data", genes, [codes], upstream=UPSTREAM, downstream=DOWNSTREAM, tf=tf)
    split = pd.DataFrame({"gene_id": ids, "fold": 1, "split": ["train"] * 160 + ["valid"] * 40 + ["test"] * 40})
    split = split.sample(frac=1, random_state=1)
    split.to_csv(folder / "split.tsv", sep="\t", index=False)
    return folder / "data", folder / "split.tsv"


def xpresso(network=None, kind="cnn/Xpresso", **train):
    """An entry of the table of models that trains in seconds."""
    quick = {"slice": "100:400", "optimizer": "adam", "learning_rate": 0.01, "batch_size": 32, "max_epochs": 4}
    return ZooModel(type=kind, network=TINY if network is None else network, train={**quick, **train})
