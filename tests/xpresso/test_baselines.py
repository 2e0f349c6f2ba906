"""Linear baselines against scikit-learn, on data whose parts are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from cisweave.config import PromoterBaselineSettings, PromoterEvaluationSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.xpresso.baselines import PENALTIES, baselines_for, counted_slice, fit_baselines, fit_ridge, kmer_shares
from cisweave.xpresso.dataset import HALF_LIFE, PromoterData, open_data, write_data
from cisweave.xpresso.evaluate import evaluate_model

SETTINGS = PromoterBaselineSettings(kmer=2)
GENES, LENGTH = 400, 60


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data in which expression is G and C around the TSS, one half-life feature, one factor, and noise; and a split."""
    folder = tmp_path_factory.mktemp("baselines")
    rng = np.random.default_rng(4)
    share = rng.uniform(0.2, 0.8, GENES)
    strong = rng.random((GENES, LENGTH)) < share[:, None]
    codes = np.where(strong, rng.integers(1, 3, strong.shape), 3 * rng.integers(0, 2, strong.shape)).astype(np.uint8)
    codes[5, :30] = 4
    features = rng.uniform(0.2, 0.8, (GENES, 8))
    features[7] = np.nan
    factors, families = rng.integers(0, 2, (GENES, 3)), rng.integers(0, 2, (GENES, 2))
    shares = ((codes == 1) | (codes == 2)).mean(axis=1)
    log10 = 4 * shares + 2 * np.nan_to_num(features[:, 4], nan=0.5) + 0.8 * factors[:, 1] + rng.normal(0, 0.3, GENES)
    ids = [f"G{number:03d}" for number in range(GENES)]
    genes = pd.DataFrame({"gene_id": ids, "expression": 10**log10}).join(pd.DataFrame(features, columns=HALF_LIFE))
    tables = [
        pd.DataFrame(values, index=ids, columns=[f"{name}{number}" for number in range(values.shape[1])])
        for name, values in (("TF", factors), ("miR", families))
    ]
    write_data(folder / "data", genes, [codes], upstream=30, downstream=30, tf=tables[0], mirna=tables[1])
    splits = rng.permutation(["train"] * 240 + ["valid"] * 60 + ["test"] * 100)
    pd.DataFrame({"gene_id": ids, "fold": 1, "split": splits}).to_csv(folder / "split.tsv", sep="\t", index=False)
    return folder / "data", folder / "split.tsv"


@pytest.fixture(scope="module")
def fitted(world: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fitted") / "baselines"
    fit_baselines(*world, out, SETTINGS)
    return out


def test_the_table_is_that_of_a_run(world: tuple[Path, Path], fitted: Path) -> None:
    table = pd.read_parquet(fitted / "predictions.parquet")
    data, split = open_data(world[0]), pd.read_csv(world[1], sep="\t").set_index("gene_id")["split"]
    names = table["model"].drop_duplicates().tolist()
    assert names == [
        *("mean", "halflife", "kmer1", "kmer2", "kmer1+halflife", "kmer2+halflife"),
        *("tf", "tf+halflife", "kmer2+halflife+tf", "mirna", "mirna+halflife", "kmer2+halflife+mirna"),
    ]
    for _, rows in table.groupby("model"):
        assert rows.set_index("gene_id")["split"].to_dict() == split.to_dict()
        assert np.allclose(rows["measured"], data.label[data.rows(rows["gene_id"])])
    train = data.label[data.rows(split.index[split == "train"])]
    assert np.allclose(table["best"], train.mean() + train.std() * table["best_z"])
    assert (table["best"] == table["last"]).all()
    told = read_json(fitted / "metrics.json")
    assert told["fold"] == 1
    counts = {name: model["parameters"] for name, model in told["models"].items()}
    assert (counts["mean"], counts["kmer2+halflife"], counts["tf"], counts["mirna"]) == (1, 16 + 8 + 1, 4, 3)
    assert {name: told["models"][name]["inputs"] for name in ("mean", "kmer1+halflife", "kmer2+halflife+tf")} == {
        "mean": "",
        "kmer1+halflife": "PH",
        "kmer2+halflife+tf": "PHT",
    }


def test_each_input_adds_what_it_holds(fitted: Path, tmp_path: Path) -> None:
    scores = evaluate_model([fitted], tmp_path / "evaluation", PromoterEvaluationSettings(bootstrap=0)).scores
    rows = scores.query("split == 'test' and epoch == 'best' and scope == 'mean' and metric == 'r2'")
    r2 = rows.set_index("model")["value"]
    assert r2["mean"] == 0
    assert r2["kmer1"] > 0.2
    assert r2["kmer1+halflife"] > r2["kmer1"] + 0.05
    assert r2["kmer2+halflife+tf"] > r2["kmer2+halflife"] + 0.1
    assert r2["mirna"] < 0.05


def test_the_mean_is_that_of_the_training_genes(fitted: Path) -> None:
    table = pd.read_parquet(fitted / "predictions.parquet").query("model == 'mean'")
    assert np.allclose(table["best"], table.loc[table["split"] == "train", "measured"].mean())


def test_ridge_is_scikit_learns(world: tuple[Path, Path], fitted: Path) -> None:
    """Features by other means: base counts of the strings, scaled by their own mean and spread."""
    data, table = open_data(world[0]), pd.read_parquet(fitted / "predictions.parquet").query("model == 'kmer1'")
    codes = data.windows(data.rows(table["gene_id"]))
    shares = np.stack([(codes == base).sum(axis=1) for base in range(4)], axis=1) / (codes < 4).sum(axis=1)[:, None]
    train = (table["split"] == "train").to_numpy()
    scaled = (shares - shares[train].mean(axis=0)) / shares[train].std(axis=0)
    labels = table["measured_z"].to_numpy()
    penalty = read_json(fitted / "metrics.json")["models"]["kmer1"]["penalty"]
    expected = Ridge(alpha=penalty).fit(scaled[train], labels[train]).predict(scaled)
    assert np.allclose(table["best_z"], expected, atol=1e-8)
    valid = (table["split"] == "valid").to_numpy()
    errors = [
        ((Ridge(alpha=value).fit(scaled[train], labels[train]).predict(scaled[valid]) - labels[valid]) ** 2).mean()
        for value in PENALTIES
    ]
    assert penalty == PENALTIES[int(np.argmin(errors))]


def test_more_features_than_genes_are_no_obstacle() -> None:
    rng = np.random.default_rng(2)
    features = {part: rng.normal(size=(size, 90)) for part, size in (("train", 40), ("valid", 20), ("test", 20))}
    labels = {part: values[:, 0] + 1 for part, values in features.items()}
    found = fit_ridge(features, labels)
    mean, spread = features["train"].mean(axis=0), features["train"].std(axis=0)
    expected = Ridge(alpha=found.penalty).fit((features["train"] - mean) / spread, labels["train"])
    assert np.allclose(found.predicted["test"], expected.predict((features["test"] - mean) / spread), atol=1e-7)


def test_test_genes_have_no_say_in_the_fit() -> None:
    rng = np.random.default_rng(3)
    features = {part: rng.normal(size=(30, 4)) for part in ("train", "valid", "test")}
    labels = {part: rng.normal(size=30) for part in features}
    first = fit_ridge(features, labels)
    second = fit_ridge({**features, "test": features["test"] + 9}, {**labels, "test": labels["test"] * 5})
    assert first.penalty == second.penalty
    assert np.array_equal(first.predicted["valid"], second.predicted["valid"])


def test_features_that_help_no_validation_gene_leave_the_mean() -> None:
    """A correlation of what little is left of the weights would be that of a model that learned something."""
    rng = np.random.default_rng(6)
    features = {part: rng.normal(size=(40, 3)) for part in ("train", "valid", "test")}
    labels = {part: values[:, 0] * (-1 if part == "valid" else 1) for part, values in features.items()}
    found = fit_ridge(features, labels)
    assert found.penalty is None
    assert np.ptp(found.predicted["test"]) == 0
    assert found.valid_mse == pytest.approx(((labels["valid"] - labels["train"].mean()) ** 2).mean())


def test_shares_of_kmers_are_those_of_the_letters() -> None:
    text = ["ACGTACGTAA", "NNNNNNNNNN", "ACNGTTTTTT"]
    codes = np.array([["ACGTN".index(letter) for letter in sequence] for sequence in text], dtype=np.uint8)
    words = [first + second for first in "ACGT" for second in "ACGT"]
    shares = kmer_shares(codes, 2)
    for sequence, row in zip(text, shares, strict=True):
        pairs = [sequence[start : start + 2] for start in range(9)]
        known = [pair for pair in pairs if "N" not in pair]
        assert row.tolist() == [known.count(word) / max(len(known), 1) for word in words]
    assert not kmer_shares(codes[:, :2], 3).any()


def test_kmers_are_counted_around_the_tss(world: tuple[Path, Path]) -> None:
    class Long(PromoterData):
        def __init__(self) -> None:
            self.upstream, self.downstream, self.length = 10_000, 10_000, 20_000

    assert counted_slice(Long(), None) == (8500, 11_500)
    data = open_data(world[0])
    assert counted_slice(data, None) == (0, LENGTH)
    assert counted_slice(data, "10:40") == (10, 40)
    with pytest.raises(CisweaveError, match="no part of the promoters"):
        counted_slice(data, "10:80")


def test_data_without_an_input_have_no_baseline_of_it(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", pd.DataFrame({"gene_id": ["A", "B"], "expression": [1.0, 2.0]}), None)
    assert [baseline.name for baseline in baselines_for(data, 3)] == ["mean"]


def test_the_same_data_give_the_same_bytes(world: tuple[Path, Path], fitted: Path, tmp_path: Path) -> None:
    fit_baselines(*world, tmp_path / "again", SETTINGS)
    for name in ("predictions.parquet", "metrics.json"):
        assert (tmp_path / "again" / name).read_bytes() == (fitted / name).read_bytes()


def test_a_fold_that_is_not_there_is_refused(world: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="fold 2"):
        fit_baselines(*world, tmp_path / "out", SETTINGS, fold=2)


def test_a_split_without_validation_genes_is_refused(world: tuple[Path, Path], tmp_path: Path) -> None:
    split = pd.read_csv(world[1], sep="\t")
    split[split["split"] != "valid"].to_csv(tmp_path / "split.tsv", sep="\t", index=False)
    with pytest.raises(CisweaveError, match="no valid genes"):
        fit_baselines(world[0], tmp_path / "split.tsv", tmp_path / "out", SETTINGS)
