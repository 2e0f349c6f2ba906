"""Seal's model summary and the small tables beside it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.seal.original.records import (
    read_losses,
    read_performance,
    read_validation,
    write_losses,
    write_performance,
    write_validation,
)
from cisweave.seal.original.summary import read_model_summary, write_model_summary
from tests.seal.original.published import SUMMARY


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_summary_is_read_and_written_back_to_the_byte(tmp_path: Path) -> None:
    summary = read_model_summary(written(tmp_path / "a.txt", SUMMARY))
    assert summary.hidden == 5
    assert summary.general_contexts == ["Brain_Amygdala", "Pituitary", "Brain_Cortex"]
    assert summary.specific_contexts == ["early_fetal.A1C", "early_fetal.AMY"]
    assert summary.pretrained == "model/tiny/tiny_seal_pt_model.pt"
    assert summary.finetuned == "model/tiny/tiny_seal_ft_model.pt"
    scores = (summary.pretrain_mse, summary.pretrain_spearman, summary.finetune_mse, summary.finetune_spearman)
    assert scores == (3.930577754974365, 0.8011156540759705, 1.9749796390533447, 0.7670247023625263)
    write_model_summary(summary, tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_text() == SUMMARY


def test_blanks_and_the_colon_of_the_last_key_are_put_up_with(tmp_path: Path) -> None:
    odd = SUMMARY.replace("pt_model.pt\n", "pt_model.pt \r\n").replace("model: (median", "model (median")
    assert read_model_summary(written(tmp_path / "odd.txt", odd)) == read_model_summary(
        written(tmp_path / "plain.txt", SUMMARY)
    )


def test_an_unknown_score_is_nan(tmp_path: Path) -> None:
    summary = read_model_summary(written(tmp_path / "a.txt", SUMMARY))
    write_model_summary(replace(summary, finetune_mse=math.nan), tmp_path / "b.txt")
    assert math.isnan(read_model_summary(tmp_path / "b.txt").finetune_mse)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("Number of latent features: 5\n", "", "it lacks Number of latent features"),
        ("features: 5", "features: five", "a number from 1 upwards is needed, not 'five'"),
        ("contexts: 3\n", "contexts: 4\n", "3 names of contexts, but the summary says 4"),
        (",Pituitary", ",Brain_Amygdala", "a context is named twice"),
        (": 3.93", ": x3.93", "a number is needed"),
        ("Number of latent", "Number of latent features: 5\nNumber of latent", "already on line 2"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in SUMMARY
    with pytest.raises(CisweaveError, match=message):
        read_model_summary(written(tmp_path / "bad.txt", SUMMARY.replace(before, after, 1)))


def test_losses_have_five_decimals(tmp_path: Path) -> None:
    history = pd.DataFrame({"epoch": [0, 1], "valid_loss": [2.0, 1.2345678], "train_loss": [3.0, 0.1], "lr": [1, 1]})
    write_losses(history, tmp_path / "losses.tsv")
    assert (tmp_path / "losses.tsv").read_text() == (
        "epoch\ttraining_loss\tvalidation_loss\n0\t3.00000\t2.00000\n1\t0.10000\t1.23457\n"
    )
    read = read_losses(tmp_path / "losses.tsv")
    assert read.to_dict("list") == {"epoch": [0, 1], "train_loss": [3.0, 0.1], "valid_loss": [2.0, 1.23457]}


def test_scores_per_context_are_written_in_full(tmp_path: Path) -> None:
    frame = pd.DataFrame({"context": ["a", "NA"], "spearman": [0.8011156540759705, 0.5], "mse": [1 / 3, 2.0]})
    write_performance(frame, tmp_path / "perf.tsv")
    assert (tmp_path / "perf.tsv").read_text() == (
        "\tmse_loss\tspearman_r\na\t0.3333333333333333\t0.8011156540759705\nNA\t2.0\t0.5\n"
    )
    read = read_performance(tmp_path / "perf.tsv")
    assert read.columns.tolist() == ["context", "mse", "spearman"]
    assert read.to_numpy().tolist() == [["a", 1 / 3, 0.8011156540759705], ["NA", 2.0, 0.5]]


def test_validation_losses(tmp_path: Path) -> None:
    write_validation(3.0, 1.2345678, tmp_path / "v.tsv")
    assert (tmp_path / "v.tsv").read_text() == "pretrain_model_loss\t3.00000\nfinetune_model_loss\t1.23457\n"
    assert read_validation(tmp_path / "v.tsv") == (3.0, 1.23457)
    with pytest.raises(CisweaveError, match="finetune_model_loss missing"):
        read_validation(written(tmp_path / "w.tsv", "pretrain_model_loss\t3\n"))


def test_tables_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="validation_loss missing"):
        read_losses(written(tmp_path / "l.tsv", "epoch\ttraining_loss\n1\t2\n"))
    with pytest.raises(CisweaveError, match="must hold numbers"):
        read_losses(written(tmp_path / "l.tsv", "epoch\ttraining_loss\tvalidation_loss\n1\tx\t2\n"))
    with pytest.raises(CisweaveError, match="first column must name the contexts"):
        read_performance(written(tmp_path / "p.tsv", "mse_loss\tspearman_r\n1\t2\n"))
