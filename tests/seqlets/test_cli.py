"""The verbs, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cisweave.cli.seqlets import app
from cisweave.core.errors import CisweaveError
from tests.seqlets.conftest import Chain
from tests.seqlets.toy import World

OPTIONS = {
    "select": ("--effects", "--chromatin-effects", "--profiles", "--model", "--out", "--settings"),
    "attribute": ("--loci", "--sequences", "--model", "--out", "--qc", "--seed", "--device"),
    "call": ("--attributions", "--loci", "--out"),
    "prepare-motifs": ("--database", "--entry", "--out", "--table"),
    "annotate": ("--seqlets", "--sequences", "--motifs", "--table", "--out", "--tsv"),
    "motif-effects": ("--annotated", "--loci", "--effects", "--out"),
}


@pytest.mark.parametrize("verb", OPTIONS)
def test_help(verb: str) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    for option in OPTIONS[verb]:
        assert option in result.output


def run(*words: object) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_the_verbs_give_what_the_functions_give(world: World, chain: Chain, tmp_path: Path) -> None:
    files, out = world.files, tmp_path
    run(
        "select", "--effects", files["tissue"], "--effects", files["cell"],
        "--chromatin-effects", files["chromatin_effects"], "--profiles", files["profiles.h5"],
        "--model", files["model"], "--out", out / "loci.tsv", "--settings", '{"tracks_per_locus": 2}',
    )  # fmt: skip
    run(
        "attribute", "--loci", out / "loci.tsv", "--sequences", chain.folder / "loci.h5", "--model", files["model"],
        "--out", out / "attributions.h5", "--qc", out / "qc.tsv", "--settings", '{"shuffles": 8, "seed": 9}',
        "--seed", 0, "--device", "cpu", "--threads", 1,
    )  # fmt: skip
    run("call", "--attributions", out / "attributions.h5", "--loci", out / "loci.tsv", "--out", out / "seqlets.tsv")
    entry = json.dumps({"source": "jaspar"})
    run(
        "prepare-motifs",
        "--database",
        "j",
        "--entry",
        entry,
        "--out",
        out / "motifs.meme",
        "--table",
        out / "motifs.tsv",
    )
    run(
        "annotate", "--seqlets", out / "seqlets.tsv", "--sequences", chain.folder / "loci.h5",
        "--motifs", out / "motifs.meme", "--table", out / "motifs.tsv", "--out", out / "annotated.parquet",
        "--tsv", out / "annotated.tsv", "--threads", 1,
    )  # fmt: skip
    run(
        "motif-effects", "--annotated", out / "annotated.parquet", "--loci", out / "loci.tsv",
        "--effects", files["tissue"], "--effects", files["cell"], "--out", out / "motif_effects.tsv",
    )  # fmt: skip
    for name in ("loci.tsv", "seqlets.tsv", "motifs.meme", "motifs.tsv", "annotated.tsv", "motif_effects.tsv"):
        assert (out / name).read_bytes() == (chain.folder / name).read_bytes(), name
        assert (out / f"{name}.receipt.json").exists()


def test_a_wrong_setting_is_one_clear_error(chain: Chain, tmp_path: Path) -> None:
    words = ["call", "--attributions", "a", "--loci", "l", "--out", "o", "--settings", '{"treshold": 0.1}']
    with pytest.raises(CisweaveError, match="treshold"):
        CliRunner().invoke(app, words, catch_exceptions=False)
