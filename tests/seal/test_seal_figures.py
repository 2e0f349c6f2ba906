"""The tables behind the room's figures, and the figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from cisweave.seal.figures import FIGURES, TABLES, distance_labels, draw_seal_figures
from cisweave.seal.summary import summarize_seal


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two context sets with evaluations, one of them with effects, and the history of one model."""
    rng = np.random.default_rng(3)
    for name, noise in (("general", 0.5), ("tissue", 2.0)):
        folder = tmp_path / name
        (folder / "model").mkdir(parents=True)
        frames = []
        for context in ("Liver", "Lung"):
            measured = rng.normal(size=60)
            frame = pd.DataFrame({"gene_id": np.arange(60), "chrom": "chr8", "context": context, "measured": measured})
            frame["predicted"] = measured + noise * rng.normal(size=60)
            frame["split"] = ["train"] * 20 + ["test"] * 40
            frames.append(frame)
        pd.concat(frames).to_csv(folder / "evaluation.tsv", sep="\t", index=False)
        pd.DataFrame({"epoch": [0, 1, 2], "train_loss": [3.0, 2.0, 1.0], "valid_loss": [3.0, 1.5, 2.0]}).to_csv(
            folder / "model/history.csv", index=False
        )
    effects = pd.DataFrame({"record": [1, 2, 3, 4], "dist_to_tss": [-5, 99, 100, -30_000]})
    effects["Liver"] = [0.5, -0.1, 0.0, 0.01]
    effects["Lung"] = [-0.6, 0.05, 0.0, 0.02]
    effects.to_parquet(tmp_path / "tissue/effects.parquet")
    return tmp_path


def draw(run: Path, out: Path) -> None:
    draw_seal_figures(
        [run / "general/evaluation.tsv", run / "tissue/evaluation.tsv"],
        [run / "tissue/effects.parquet"],
        {"general": run / "general/model", "tissue": run / "tissue/model"},
        "general",
        out,
    )


def test_performance_is_that_of_the_test_genes(run: Path) -> None:
    tables = summarize_seal([run / "general/evaluation.tsv", run / "tissue/evaluation.tsv"], [], {}, "general")
    whole = pd.read_csv(run / "tissue/evaluation.tsv", sep="\t")
    genes = whole[(whole.split == "test") & (whole.context == "Lung")]
    row = tables.performance.query("set == 'tissue' and context == 'Lung'").iloc[0]
    assert row.genes == 40
    assert row.spearman == pytest.approx(spearmanr(genes.measured, genes.predicted).statistic, abs=1e-6)
    assert row.mse == pytest.approx(((genes.measured - genes.predicted) ** 2).mean(), abs=1e-6)
    assert row.spearman_low < row.spearman < row.spearman_high
    assert dict(zip(tables.performance.set, tables.performance.phase, strict=True)) == {
        "general": "pretrain",
        "tissue": "finetune",
    }


def test_effects_by_distance_and_context(run: Path) -> None:
    tables = summarize_seal([], [run / "tissue/effects.parquet"], {}, "general")
    distance = tables.distance.set_index("from")
    assert distance.alleles.to_dict() == {0: 2, 100: 1, 200: 0, 500: 0, 1000: 0, 2000: 0, 5000: 0, 10000: 0, 20000: 1}
    assert distance["median"][0] == pytest.approx((0.6 + 0.1) / 2)
    assert np.isnan(distance["median"][200])
    contexts = tables.contexts.set_index("context")
    assert contexts.strongest.to_dict() == {"Liver": 1, "Lung": 2}  # the allele without an effect counts for none
    assert contexts["median"]["Liver"] == pytest.approx(0.055)


def test_same_data_same_bytes(run: Path, tmp_path: Path) -> None:
    draw(run, tmp_path / "first")
    draw(run, tmp_path / "second")
    names = [*(f"{name}.tsv" for name in TABLES), *(f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg"))]
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_run_with_nothing_has_figures_that_say_so(tmp_path: Path) -> None:
    draw_seal_figures([], [], {}, "general", tmp_path / "figures")
    assert all((tmp_path / f"figures/{name}.svg").stat().st_size for name in FIGURES)
    assert len(pd.read_csv(tmp_path / "figures/performance.tsv", sep="\t")) == 0


def test_distances_in_words() -> None:
    assert distance_labels()[:2] == ["0–100", "100–200"]
    assert distance_labels()[-4:] == ["2–5 kb", "5–10 kb", "10–20 kb", "≥ 20 kb"]
