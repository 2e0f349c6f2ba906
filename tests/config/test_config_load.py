"""Reading configuration files, settings and tables: what is right is kept, what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cisweave.config import (
    ChromatinSettings,
    Config,
    PredictSettings,
    load_config,
    load_settings,
    read_contexts,
    read_databases,
    read_tracks,
)
from cisweave.config.load import RESERVED_CONTEXTS, merge_files
from cisweave.core.errors import CisweaveError


def test_empty_configuration_is_all_defaults() -> None:
    assert load_config({}) == Config()


def test_run_name_is_filled_into_paths() -> None:
    config = load_config({"run": "trial", "genome": {"fasta": "results/{run}/simulate/genome/sim19.fa"}})
    assert config.genome.fasta == Path("results/trial/simulate/genome/sim19.fa")


def test_later_files_override_key_by_key(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("run: one\nseal:\n  chromatin:\n    max_epochs: 3\n    bin_size: 100\n")
    second.write_text("seal:\n  chromatin:\n    max_epochs: 5\n")
    config = load_config(merge_files([first, second]))
    assert config.run == "one"
    assert config.seal.chromatin.max_epochs == 5
    assert config.seal.chromatin.bin_size == 100


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sed": 2}, "sed: 2 is an unknown key; did you mean seed?"),
        (
            {"device": "gpu"},
            "device: \"gpu\" cannot be used; write 'auto', 'cpu' or 'cuda' "
            "(auto, cpu or cuda; cuda where there is none is an error)",
        ),
        (
            {"seal": {"chromatin": {"batch_size": "many"}}},
            'seal.chromatin.batch_size: "many" cannot be used; write a whole number (Windows per batch)',
        ),
        (
            {"seal": {"chromatin": {"network": {"channels": [1, 2]}}}},
            "seal.chromatin.network.channels: [1, 2] cannot be used; write a list of at least 6 values "
            "(Channels of the six convolutions)",
        ),
        (
            {"seal": {"chromatin": {"network": {"window": 601}}}},
            "seal.chromatin.network: window must be even, not 601",
        ),
        (
            {"training": {"trainer": {"devices": "two"}}},
            'training.trainer.devices: "two" cannot be used; write a whole number or a list, for example [a, b] or '
            "'auto' (How many devices, or which)",
        ),
        ({"genome": [1]}, "genome: [1] cannot be used; write keys and values below this key"),
        ({"run": "a/b"}, 'run: "a/b" cannot be used; write a name (letters, digits, - and _ only'),
        ({"seal": {"expression": {"a b": "x.tsv"}}}, 'seal.expression.a b: "a b" cannot be used; write a name'),
        ({"truth": {"floors": {"sign": "high"}}}, 'truth.floors.sign: "high" cannot be used; write a number'),
        (
            {"seed": -1},
            "seed: -1 cannot be used; write a value greater than or equal to 0",
        ),
    ],
)
def test_mistake_names_key_value_and_remedy(data: dict[str, object], message: str) -> None:
    with pytest.raises(CisweaveError) as caught:
        load_config(data)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_several_mistakes_have_a_line_each() -> None:
    with pytest.raises(CisweaveError) as caught:
        load_config({"device": "gpu", "sed": 1, "training": {"trainer": {"devices": "two", "num_nodes": 0}}})
    lines = str(caught.value).splitlines()
    assert lines[0] == "the configuration has 4 mistakes:"
    assert sorted(line.split(":")[0].strip() for line in lines[1:]) == [
        "device",
        "sed",
        "training.trainer.devices",
        "training.trainer.num_nodes",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: a\nrun: b\n", "line 2: this is not valid YAML: 'run' is written twice"),
        ("run: [a\n", "line 2: this is not valid YAML"),
        ("- a\n- b\n", "the configuration must consist of keys and values"),
    ],
)
def test_broken_yaml_is_one_message_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(CisweaveError, match="broken.yaml") as caught:
        load_config(path)
    assert message in str(caught.value)


def test_settings_from_json_file_and_nothing(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("max_epochs: 2\nlearning_rate: 1e-3\n")
    assert load_settings(ChromatinSettings, None) == ChromatinSettings()
    assert load_settings(ChromatinSettings, str(path)) == ChromatinSettings(max_epochs=2, learning_rate=0.001)
    assert load_settings(ChromatinSettings, json.dumps({"max_epochs": 4})).max_epochs == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{bad", "--settings is not valid JSON"),
        ("nowhere.yaml", "neither JSON text starting with '{' nor an existing file"),
        ('{"max_shift": 100}', "max_shift (100) must be a multiple of shift_step (200)"),
        ('{"max_shft": 800}', "max_shft: 800 is an unknown key; did you mean max_shift?"),
    ],
)
def test_wrong_settings(settings: str, message: str) -> None:
    with pytest.raises(CisweaveError) as caught:
        load_settings(PredictSettings, settings)
    assert message in str(caught.value)


def test_contexts_keep_the_order_of_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "contexts.tsv"
    path.write_text("# a comment\nset\tcontext\ntissue\tLiver\n\ncell\tMast cell\ntissue\tBrain\n")
    assert read_contexts(path) == {"tissue": ["Liver", "Brain"], "cell": ["Mast cell"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("context\tset\n", "line 1: the header must be 'set', a tab, 'context'"),
        ("set\tcontext\n", "the table lists no context"),
        ("set\tcontext\ntissue\n", "line 2: write a set and a context, separated by a tab"),
        ("set\tcontext\na b\tLiver\n", "line 2: the set 'a b' is not a name"),
        ("set\tcontext\na\tLiver\na\tLiver\n", "line 3: context 'Liver' of set 'a' is listed twice"),
        ("set\tcontext\na\tT cell, CD4\n", "line 2: the context 'T cell, CD4' has a comma; write a name without one"),
    ],
)
def test_wrong_contexts(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "contexts.tsv"
    path.write_text(text)
    with pytest.raises(CisweaveError, match="contexts.tsv") as caught:
        read_contexts(path)
    assert message in str(caught.value)


def test_track_with_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "tracks.tsv"
    path.write_text("track\tpeaks\nCTCF\ta.bed\nREST,1\tb.bed\n")
    with pytest.raises(CisweaveError, match=r"tracks.tsv.*line 3: the track 'REST,1' has a comma; write a name"):
        read_tracks(path)


def test_databases(tmp_path: Path) -> None:
    path = tmp_path / "motifs.yaml"
    path.write_text("jaspar:\n  source: jaspar\n  tax_group: [plants]\nown:\n  source: meme\n  path: own.meme\n")
    databases = read_databases(path)
    assert list(databases) == ["jaspar", "own"]
    assert databases["jaspar"].tax_group == ["plants"]
    assert databases["own"].path == Path("own.meme")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "list at least one database"),
        ("a/b: {source: jaspar}", "'a/b' is not a name for a database"),
        ("own: meme", "own: write keys and values below it"),
        ("own: {source: meme}", "own: source: meme needs path: the MEME file"),
        ("own: {}", "own.source is missing; write Where the motifs come from"),
        (
            "own: {source: jaspar, relase: JASPAR2022}",
            'own.relase: "JASPAR2022" is an unknown key; did you mean release?',
        ),
        ("own: {source: jaspar}\nown: {source: jaspar}", "'own' is written twice"),
    ],
)
def test_wrong_databases(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "motifs.yaml"
    path.write_text(text)
    with pytest.raises(CisweaveError, match="motifs.yaml") as caught:
        read_databases(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "context"), [("pretrained", "Liver"), ("chromatin", "Liver"), ("tissue", "pos")])
def test_names_that_would_clash_are_refused(tmp_path: Path, name: str, context: str) -> None:
    (tmp_path / "contexts.tsv").write_text(f"set\tcontext\ngeneral\tBrain\n{name}\t{context}\n")
    with pytest.raises(CisweaveError, match=r"contexts\.tsv, line 3: the (set|context) cannot be called"):
        read_contexts(tmp_path / "contexts.tsv")


def test_reserved_contexts_are_the_columns_of_the_variant_table() -> None:
    from cisweave.genome.table import GENE_COLUMNS, VARIANT_COLUMNS

    assert {*VARIANT_COLUMNS, *GENE_COLUMNS} == RESERVED_CONTEXTS
