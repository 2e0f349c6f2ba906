"""What verbs do with their options before they work: which name outputs, how they go before the settings."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import Field

from cisweave.cli.common import FOLDERS, OUTPUTS, check_outputs, with_options
from cisweave.config import ExpressionSettings, InterpretSettings, PredictSettings
from cisweave.config.sections import Section
from cisweave.core.errors import CisweaveError

WRITTEN = {
    "seal index_profiles": {"out"},
    "seal profile_tss": {"out"},
    "seal select": {"out"},
    "seal evaluate": {"out", "metrics", "performance"},
    "seal import_profiles": {"out"},
    "seal export_chromatin": {"out"},
    "seal export_profiles": {"features_out"},
    "seal haplotype": {"out", "rejects"},
    "seal interpret": {"out", "strongest", "rejects"},
    "seal attribute": {"out", "loci_out", "qc", "rejects", "bigwig_folder"},
    "seal predict": {
        "out", "chromatin_effects", "rejects", "tsv", "annotated_vcf", "best", "contexts_table",
    },
    "seal gather": {"out", "chromatin_effects", "rejects", "tsv", "annotated_vcf", "best", "contexts_table"},
    "seal saturate": {"out", "rejects", "bigwig", "tsv", "best"},
    "seal plan": {"out"},
    "xpresso build": {"out_folder", "rejects"},
    "xpresso split": {"out", "rejects"},
    "xpresso embed": {"out"},
    "xpresso import_data": {"out_folder", "segments"},
    "xpresso export_data": {"out_folder"},
    "xpresso models": {"out"},
    "xpresso train": {"out_folder"},
    "xpresso import_model": {"out_folder"},
    "xpresso baselines": {"out_folder"},
    "xpresso evaluate": {"out_folder"},
    "xpresso compare": {"out_folder"},
    "xpresso predict": {"out", "rejects"},
    "xpresso predict_variants": {"out", "rejects"},
    "xpresso loci": {"out", "sequences_out"},
    "seqlets select": {"out"},
    "seqlets attribute": {"out", "qc"},
    "seqlets call": {"out"},
    "seqlets prepare_motifs": {"out", "table_out"},
    "seqlets annotate": {"out", "tsv"},
    "seqlets motif_effects": {"out"},
}  # fmt: skip
"""Every parameter of a verb that names a file or folder of files to write."""


@pytest.mark.parametrize("room", ["seal", "xpresso", "seqlets"])
def test_every_output_is_looked_at_and_no_input_is_taken_for_one(room):
    found = {}
    for verb in import_module(f"cisweave.cli.{room}").app.registered_commands:
        hints = get_type_hints(verb.callback)
        paths = {name for name, kind in hints.items() if "Path" in str(kind) and "list[" not in str(kind)}
        found[f"{room} {verb.callback.__name__}"] = paths & {*OUTPUTS, *FOLDERS}
    assert {name: names for name, names in found.items() if names} == {
        name: names for name, names in WRITTEN.items() if name.startswith(room + " ")
    }


# --- files that are read ----------------------------------------------------------------------------------------------
CALLED = {
    "out": "--out",
    "chromatin": "--chromatin",
    "profiles": "--profiles",
    "fasta": "--fasta",
    "loci_out": "--loci",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "shards").mkdir()
    for name in ("model/model.yaml", "model/notes.tsv", "genome.fa", "shards/1.h5"):
        (tmp_path / name).write_text("")
    (tmp_path / "index.json").write_text(json.dumps({"shards": [{"file": "shards/1.h5"}]}))
    return tmp_path


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("model/weights.safetensors", "--out and --chromatin's file are the same file"),
        ("model/model.yaml", "--out and --chromatin's file are the same file"),
        ("shards/1.h5", "--out and --profiles's part are the same file"),
        ("genome.fa.fai", "--out and --fasta's index are the same file"),
        ("genome.fa.gzi", "--out and --fasta's index are the same file"),
    ],
)
def test_files_that_inputs_are_made_of_are_no_outputs(folder, out, message):
    options = {name: folder / path for name, path in {
        "chromatin": "model", "profiles": "index.json", "fasta": "genome.fa", "out": out
    }.items()}  # fmt: skip
    with pytest.raises(CisweaveError, match=message):
        check_outputs(options, CALLED)


def test_files_of_promoter_data_are_no_outputs(folder):
    (folder / "data").mkdir()
    (folder / "data/dataset.json").write_text("{}")
    options = {"data": folder / "data", "out": folder / "data/tf.parquet"}
    with pytest.raises(CisweaveError, match="--out and --data's file are the same file"):
        check_outputs(options, {"data": "--data", "out": "--out"})


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("fasta", "model/notes.tsv", "--fasta lies in the folder of --out, whose files are written anew"),
        ("rejects", "model/rejects.tsv", "--rejects lies in the folder of --out"),
        ("data", "model", "--out and --data are the same"),
        ("source", "model/model.yaml", "SOURCE lies in the folder of --out"),
    ],
)
def test_nothing_else_lies_in_a_folder_that_is_written(folder, name, path, message):
    called = {"out_folder": "--out", "source": "SOURCE", "fasta": "--fasta", "rejects": "--rejects", "data": "--data"}
    value = [folder / path] if name == "source" else folder / path
    with pytest.raises(CisweaveError, match=message):
        check_outputs({"out_folder": folder / "model", name: value}, called)
    check_outputs({"out_folder": folder / "new", name: value}, called)


def test_other_files_in_a_models_folder_may_be_written_again(folder):
    check_outputs({"chromatin": folder / "model", "out": folder / "model/notes.tsv"}, CALLED)


def test_messages_name_the_option_and_not_the_parameter(folder):
    with pytest.raises(CisweaveError, match="--loci and --fasta are the same file"):
        check_outputs({"fasta": folder / "genome.fa", "loci_out": folder / "genome.fa"}, CALLED)


def test_a_name_that_is_too_long_is_one_message(folder):
    words = ["index-profiles", "shards/1.h5", "--out", "x" * 300 + ".json"]
    command = [sys.executable, "-m", "cisweave", "seal", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 2
    assert "File name too long" in done.stderr
    assert "Traceback" not in done.stderr


# --- options and settings ---------------------------------------------------------------------------------------------
def test_options_go_before_settings_and_are_checked_with_them():
    settings = PredictSettings(max_shift=400)
    assert with_options(settings, max_shift=None, compat="seal") == PredictSettings(max_shift=400, compat="seal")
    with pytest.raises(CisweaveError, match="compat: seal goes with mode: seal"):
        with_options(settings, compat="seal", mode="haplotype")
    with pytest.raises(CisweaveError, match=r"max_shift \(300\) must be a multiple of shift_step \(200\)"):
        with_options(settings, max_shift=300)
    with pytest.raises(CisweaveError, match="seed: -1"):
        with_options(InterpretSettings(), seed=-1)
    assert settings.compat is None


def test_keys_that_nobody_wrote_stay_unwritten():
    """Defaults that depend on other keys are those of the options."""

    class Pair(Section):
        first: int = 1
        second: int = Field(default_factory=lambda data: 10 * data["first"])

    assert with_options(Pair(), first=2).second == 20
    assert with_options(Pair(second=5), first=2).second == 5
    chosen = with_options(ExpressionSettings(hidden=7), compat="seal")
    assert (chosen.hidden, chosen.pretrain.learning_rate) == (7, 1e-4)
