"""The tables behind the room's figures, and the figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.seal.figures import FIGURES, TABLES, count_label, distance_labels, draw_seal_figures, filled_bins
from cisweave.seal.performance import performance_table
from cisweave.seal.summary import DISTANCES, summarize_seal
from cisweave.tables.frames import read_table, write_tsv


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two context sets with their accuracy, one of them with effects, and the history of one model."""
    rng = np.random.default_rng(3)
    for name, noise in (("general", 0.5), ("tissue", 2.0)):
        folder = tmp_path / name
        (folder / "model").mkdir(parents=True)
        measured = rng.normal(size=(40, 2))
        predicted = measured + noise * rng.normal(size=(40, 2))
        table = performance_table(predicted, measured, ["Liver", "Lung"], "evaluate", 50)
        write_tsv(table, folder / "performance.tsv")
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
        [run / "general/performance.tsv", run / "tissue/performance.tsv"],
        [run / "tissue/effects.parquet"],
        {"general": run / "general/model", "tissue": run / "tissue/model"},
        "general",
        out,
    )


def test_performance_is_that_of_the_evaluations(run: Path) -> None:
    tables = summarize_seal([run / "general/performance.tsv", run / "tissue/performance.tsv"], [], {}, "general")
    for name, phase in (("general", "pretrain"), ("tissue", "finetune")):
        found = tables.performance[tables.performance.set == name].reset_index(drop=True)
        assert found.phase.tolist() == [phase] * 2
        expected = read_table(run / name / "performance.tsv").drop(columns="phase")
        assert found.drop(columns=["set", "phase"]).equals(expected)


def test_performance_without_intervals_is_drawn(run: Path, tmp_path: Path) -> None:
    table = read_table(run / "tissue/performance.tsv").assign(spearman_low=np.nan, spearman_high=np.nan)
    write_tsv(table, run / "tissue/performance.tsv")
    draw(run, tmp_path / "figures")
    drawn = read_table(tmp_path / "figures/performance.tsv").set_index("set")
    assert drawn.spearman_low["tissue"].isna().all()
    assert drawn.spearman_low["general"].notna().all()


def test_effects_by_distance_and_context(run: Path) -> None:
    tables = summarize_seal([], [run / "tissue/effects.parquet"], {}, "general")
    distance = tables.distance.set_index("from")
    assert distance.alleles.to_dict() == {0: 2, 100: 1, 200: 0, 500: 0, 1000: 0, 2000: 0, 5000: 0, 10000: 0, 20000: 1}
    assert distance["median"][0] == pytest.approx((0.6 + 0.1) / 2)
    assert np.isnan(distance["median"][200])
    contexts = tables.contexts.set_index("context")
    assert contexts.strongest.to_dict() == {"Liver": 1, "Lung": 2}  # the allele without an effect counts for none
    assert contexts["median"]["Liver"] == pytest.approx(0.055)


def test_bins_beyond_the_last_allele_are_not_drawn(run: Path) -> None:
    effects = pd.read_parquet(run / "tissue/effects.parquet")
    assert filled_bins(summarize_seal([], [run / "tissue/effects.parquet"], {}, "general").distance) == len(DISTANCES)
    effects[:3].to_parquet(run / "tissue/effects.parquet")
    assert filled_bins(summarize_seal([], [run / "tissue/effects.parquet"], {}, "general").distance) == 2
    assert (count_label(3, 3), count_label(3, 4000)) == ("3", "3–4,000")


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
    assert distance_labels()[:4] == ["0–100 bp", "100–200 bp", "200–500 bp", "500 bp–1 kb"]
    assert distance_labels()[-4:] == ["2–5 kb", "5–10 kb", "10–20 kb", "≥ 20 kb"]
