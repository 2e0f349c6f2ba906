"""What linear models reach on the genes of a split: every model of the zoo must beat them to have learned anything.

Ridge regression of the label on half-life features, shares of k-mers around the TSS, occupancy of factors and sites of
microRNAs, alone and together, and the mean of the training genes. The penalty is chosen by the squared error on the
validation genes; test genes are predicted once.

Dimension legend
    genes - rows, features - columns, words - 4^k, penalties - values tried
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import PromoterBaselineSettings
from cisweave.config.promoters import slice_bounds
from cisweave.core.errors import CisweaveError
from cisweave.core.files import write_json
from cisweave.core.logs import get_logger
from cisweave.sequence.onehot import Codes
from cisweave.tables.frames import write_parquet
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.dataset import DESCRIPTION, SPLITS, PromoterData, blocks_of, open_data
from cisweave.xpresso.embedding import NO_WORD, word_codes
from cisweave.xpresso.evaluate import BASELINE, METRICS_FILE, PREDICTIONS
from cisweave.xpresso.scaling import Scaling, fit_scaling
from cisweave.xpresso.split import read_split, split_rows

logger = get_logger(__name__)

AROUND_TSS = 1500
"""Bases on each side of the TSS whose k-mers are counted where no slice is given, as Xpresso's baselines did."""
PENALTIES = 10.0 ** np.arange(-2, 7.5, 0.5)
"""Penalties that are tried, on standardised features; the largest leaves the mean of the training genes."""
RIDGE, MEAN = f"{BASELINE}ridge", f"{BASELINE}mean"


@dataclass(frozen=True)
class Baseline:
    """A linear model.

    Attributes
    ----------
    name
        Its inputs in words, joined by ``+``.
    inputs
        Codes of the inputs, as in the table of models: P promoter, H half-life, T factors, M microRNAs.
    k
        Length of its k-mers; 0: none.
    """

    name: str
    inputs: str
    k: int = 0


def fit_baselines(
    data: str | Path, split: str | Path, out: str | Path, settings: PromoterBaselineSettings, fold: int = 1
) -> pd.DataFrame:
    """Fit every baseline that the data allow, and write a run folder with all of them.

    Parameters
    ----------
    data, split
        Promoter data and the split of its genes.
    out
        Folder for ``predictions.parquet`` (columns of a run's, and ``model``) and ``metrics.json``.
    settings
        Longest k-mers and the part of the promoter they are counted in.
    fold
        Fold of the split.

    Returns
    -------
    pandas.DataFrame
        The predictions.

    Raises
    ------
    CisweaveError
        If the split has no training, validation or test genes.
    """
    opened = open_data(data)
    rows = split_rows(read_split(split), opened, fold)
    for part in SPLITS:
        if not len(rows.get(part, ())):
            raise CisweaveError(f"fold {fold} has no {part} genes; baselines need all three parts", path=split)
    features = Features(opened, rows, settings)
    frames, told = [], {}
    for baseline in baselines_for(opened, settings.kmer):
        fitted = fit_ridge(features.of(baseline), features.labels)
        frames.append(prediction_table(opened, rows, features.scaling, baseline.name, fitted.predicted))
        told[baseline.name] = describe(baseline, fitted)
        logger.info("%s: %s, validation error %.4f", baseline.name, penalty_text(fitted), fitted.valid_mse)
    table = pd.concat(frames, ignore_index=True)
    out = Path(out)
    write_parquet(table, out / PREDICTIONS)
    write_json(out / METRICS_FILE, {"fold": fold, "models": told})
    inputs = [Path(data) / DESCRIPTION, Path(split)]
    write_receipt(out / PREDICTIONS, settings=settings.model_dump(mode="json"), inputs=inputs)
    return table


def baselines_for(data: PromoterData, longest: int) -> list[Baseline]:
    """Baselines whose inputs the data have, from the simplest."""
    halflife = bool(data.has_halflife.any())
    found = [Baseline("mean", "")]
    found += [Baseline("halflife", "H")] if halflife else []
    kmers = [Baseline(f"kmer{k}", "P", k) for k in range(1, longest + 1)] if data.has_promoters else []
    found += kmers
    found += [Baseline(f"{kmer.name}+halflife", "PH", kmer.k) for kmer in kmers] if halflife else []
    for name, code, names in (("tf", "T", data.tf_names), ("mirna", "M", data.mirna_names)):
        if not names:
            continue
        found.append(Baseline(name, code))
        found += [Baseline(f"{name}+halflife", f"H{code}")] if halflife else []
        if kmers and halflife:
            found.append(Baseline(f"{kmers[-1].name}+halflife+{name}", f"PH{code}", longest))
    return found


def penalty_text(fitted: Ridge) -> str:
    """How strongly a model was held back, in words."""
    return "the mean" if fitted.penalty is None else f"penalty {fitted.penalty:g}"


def describe(baseline: Baseline, fitted: Ridge) -> Mapping[str, object]:
    """What ``metrics.json`` tells of a baseline."""
    return {
        "type": RIDGE if baseline.inputs else MEAN,
        "inputs": baseline.inputs,
        "parameters": fitted.features + 1,
        "penalty": fitted.penalty,
        "valid_mse": fitted.valid_mse,
    }


def prediction_table(
    data: PromoterData,
    rows: Mapping[str, NDArray[np.int64]],
    scaling: Scaling,
    name: str,
    predicted: Mapping[str, NDArray[np.float64]],
) -> pd.DataFrame:
    """Predictions of one baseline in the columns of a run's; best and last epoch are the same."""
    frames = []
    for part in SPLITS:
        z = predicted[part]
        value = scaling.unlabel(z)
        measured = data.label[rows[part]]
        frame = {
            "model": name,
            "gene_id": [data.gene_ids[row] for row in rows[part]],
            "split": part,
            "measured": measured,
            "best": value,
            "last": value,
            "measured_z": scaling.labels(measured),
            "best_z": z,
            "last_z": z,
        }
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


# --- features ---------------------------------------------------------------------------------------------------------
class Features:
    """Features of the genes of each part of a split; scaled as the models of the zoo see them."""

    def __init__(self, data: PromoterData, rows: Mapping[str, NDArray[np.int64]], settings: PromoterBaselineSettings):
        self.data, self.rows = data, rows
        self.left, self.right = counted_slice(data, settings.kmer_slice)
        self.scaling = fit_scaling(data, rows["train"], "train")
        self.labels = {part: self.scaling.labels(data.label[rows[part]]) for part in SPLITS}
        self._shares: dict[int, dict[str, NDArray[np.float64]]] = {}

    def of(self, baseline: Baseline) -> dict[str, NDArray[np.float64]]:
        """Features (genes, features) of a baseline, per part."""
        extras = baseline.inputs.replace("P", "")
        found = {}
        for part in SPLITS:
            columns = [self.shares(baseline.k)[part]] if baseline.k else []
            if extras:
                given = self.scaling.extras(self.data, self.rows[part], extras)
                columns.append(given.astype(np.float64))
            found[part] = np.concatenate(columns, axis=1) if columns else np.zeros((len(self.rows[part]), 0))
        return found

    def shares(self, k: int) -> dict[str, NDArray[np.float64]]:
        """Shares (genes, words) of k-mers in the slice, per part."""
        if k not in self._shares:
            self._shares[k] = {part: self.count(self.rows[part], k) for part in SPLITS}
        return self._shares[k]

    def count(self, rows: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Shares of k-mers of some genes."""
        blocks: Iterator[Codes] = blocks_of(self.data, rows, self.left, self.right)
        return np.concatenate([kmer_shares(block, k) for block in blocks])


def counted_slice(data: PromoterData, asked: str | None) -> tuple[int, int]:
    """Part of the promoter whose k-mers are counted: as asked, or :data:`AROUND_TSS` bases on each side of the TSS."""
    if asked is not None:
        left, right = slice_bounds(asked)
        data.check_slice(left, right)
        return left, right
    return max(0, data.upstream - AROUND_TSS), min(data.length, data.upstream + AROUND_TSS)


def kmer_shares(codes: Codes, k: int) -> NDArray[np.float64]:
    """Share of each k-mer (genes, 4^k) among the known ones of sequences (genes, length); the first base counts most.

    A k-mer with an unknown base is not counted; a sequence without any known k-mer has zeros.
    """
    genes, size = len(codes), 4**k
    if codes.shape[1] < k:
        return np.zeros((genes, size))
    words = word_codes(codes, k)
    places = words + size * np.arange(genes)[:, None]
    counts = np.bincount(places[words != NO_WORD], minlength=genes * size).reshape(genes, size)
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


# --- ridge regression -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Ridge:
    """A fitted linear model: its predictions per part of the genes, penalty, and error on the validation genes.

    Without a penalty it is the mean of the training genes.
    """

    predicted: dict[str, NDArray[np.float64]]
    penalty: float | None
    valid_mse: float
    features: int


def fit_ridge(features: Mapping[str, NDArray[np.float64]], labels: Mapping[str, NDArray[np.float64]]) -> Ridge:
    """Ridge regression with the penalty of :data:`PENALTIES` that does best on the validation genes.

    Features are standardised over the training genes; the intercept is not penalised. One decomposition of the
    training features gives the weights of all penalties. Where the largest does best, the features help no validation
    gene: what is left of the weights is dropped, for its correlation would still look like something learned.
    """
    from scipy.linalg import eigh

    train = features["train"]
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled = {part: (values - mean) / spread for part, values in features.items()}
    middle = labels["train"].mean()
    if train.shape[1]:
        values, vectors = eigh(scaled["train"].T @ scaled["train"])
        projected = vectors.T @ (scaled["train"].T @ (labels["train"] - middle))
        weights = vectors @ (projected[:, None] / (np.maximum(values, 0)[:, None] + PENALTIES))
    else:
        weights = np.zeros((0, len(PENALTIES)))
    weights[:, -1] = 0
    errors = ((scaled["valid"] @ weights + middle - labels["valid"][:, None]) ** 2).mean(axis=0)
    best = int(np.argmin(errors))
    predicted = {part: values @ weights[:, best] + middle for part, values in scaled.items()}
    penalty = float(PENALTIES[best]) if weights[:, best].any() else None
    return Ridge(predicted, penalty, float(errors[best]), train.shape[1])
