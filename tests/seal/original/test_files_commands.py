"""The commands for Seal's files, from files to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from cisweave.cli import build
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models.folders import read_spec
from cisweave.models.profiles import read_profiles
from tests.seal.original.published import SUMMARY, TRACKS, WINDOW, beluga_weights, expression_weights


def run(*words: object) -> Result:
    return CliRunner().invoke(build(["seal"]), ["seal", *map(str, words)], catch_exceptions=False)


def test_a_user_of_seal_moves_over_and_back(tmp_path: Path) -> None:
    torch.save(beluga_weights(), tmp_path / "deepsea.beluga.pth")
    chromatin = tmp_path / "chromatin"
    run("import-chromatin", "--weights", tmp_path / "deepsea.beluga.pth", "--model", chromatin, "--window", WINDOW)
    arrays = tmp_path / "chromatin_tss"
    arrays.mkdir()
    np.save(arrays / "ENSG1.npy", np.full((4, TRACKS), 0.25, np.float32))
    (tmp_path / "genes.bed").write_text("chr1\t99\t100\t+\tENSG1\nchr1\t199\t200\t+\tENSG2\n")
    store = tmp_path / "store.h5"
    words = ["import-profiles", "--folder", arrays, "--tss", tmp_path / "genes.bed", "--chromatin", chromatin]
    words += ["--out", store, "--settings", '{"bins": 4}']
    with pytest.raises(CisweaveError, match="--missing skip"):
        run(*words)
    run(*words, "--missing", "skip")
    assert read_profiles(store).genes.gene_id.tolist() == ["ENSG1"]

    (tmp_path / "tiny_seal_model_summary.txt").write_text(SUMMARY)
    general = expression_weights(10 * TRACKS, 5, 3)
    specific = {**general, "layers.2.weight": torch.ones(2, 5), "layers.2.bias": torch.zeros(2)}
    for name, weights in (("pt", general), ("ft", specific)):
        torch.save({"model_state_dict": weights, "optimizer_state_dict": {}}, tmp_path / f"tiny_seal_{name}_model.pt")
        summary = ["--model-summary", tmp_path / "tiny_seal_model_summary.txt", "--model", tmp_path / name]
        if name == "pt":
            summary += ["--phase", "pretrain"]
        else:
            (tmp_path / "perf.tsv").write_text(
                "\tmse_loss\tspearman_r\nearly_fetal.A1C\t1\t0.5\nearly_fetal.AMY\t2\t0.25\n"
            )
            summary += ["--performance", tmp_path / "perf.tsv"]
        run("import-expression", *summary)
    per_context = read_json(tmp_path / "ft/metrics.json")["test"]["per_context"]
    assert per_context["early_fetal.AMY"] == {"spearman": 0.25, "mse": 2.0}
    assert read_spec(tmp_path / "ft").outputs == ["early_fetal.A1C", "early_fetal.AMY"]

    out = tmp_path / "out"
    run("export-chromatin", "--chromatin", chromatin, "--out", out / "deepsea.beluga.pth")
    run("export-expression", "--pretrained", tmp_path / "pt", "--model", tmp_path / "ft", "--prefix", out / "tiny")
    run("export-profiles", "--profiles", store, "--folder", out / "tss", "--features-out", out / "all.npy")
    exported = torch.load(out / "deepsea.beluga.pth", weights_only=True)
    assert all(torch.equal(exported[name], tensor) for name, tensor in beluga_weights().items())
    exported = torch.load(out / "tiny_seal_ft_model.pt", weights_only=True)["model_state_dict"]
    assert all(torch.equal(exported[name], tensor) for name, tensor in specific.items())
    assert (out / "tss/ENSG1.npy").read_bytes() == (arrays / "ENSG1.npy").read_bytes()
    assert np.load(out / "all.npy").shape == (1, 10 * TRACKS)
    assert (out / "tiny_seal_model_summary.txt").read_text() == SUMMARY.replace("model/tiny/", f"{out}/")


def test_an_output_cannot_be_an_input(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(CisweaveError, match="--features-out and --profiles are the same file"):
        run(
            "export-profiles",
            "--profiles",
            tmp_path / "a.h5",
            "--folder",
            tmp_path,
            "--features-out",
            tmp_path / "a.h5",
        )
