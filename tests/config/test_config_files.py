"""The committed configuration files agree with the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from cisweave.config import Config, load_config, read_contexts, read_databases
from cisweave.config.load import merge_files
from cisweave.config.messages import nested
from cisweave.config.schema import defaults_text, schema_text
from cisweave.simulate import layout

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config/config.yaml"
REMEDY = "write it anew: cisweave config defaults --out config/config.yaml"


def test_default_file_has_every_key_and_default() -> None:
    assert yaml.safe_load(CONFIG.read_text()) == Config().model_dump(mode="json"), REMEDY
    assert CONFIG.read_text() == defaults_text(), REMEDY
    assert load_config(CONFIG) == Config()


def test_schema_does_not_drift() -> None:
    path = ROOT / "workflow/schemas/config.schema.json"
    assert path.read_text() == schema_text(), "write it anew: cisweave config schema --out " + str(path)


def test_schema_accepts_the_files_and_refuses_mistakes() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(schema_text())
    for name in ("config.yaml", "demo.yaml"):
        jsonschema.validate(yaml.safe_load((ROOT / "config" / name).read_text()), schema)
    for wrong in ({"sed": 1}, {"device": "gpu"}, {"seal": {"chromatin": {"batch_size": "many"}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_every_key_has_a_description() -> None:
    def walk(model: type[BaseModel], place: str) -> list[str]:
        bare = [f"{place}{name}" for name, field in model.model_fields.items() if not field.description]
        for name in model.model_fields:
            below = nested(model, name)
            bare += walk(below, f"{place}{name}.") if below else []
        return bare

    assert walk(Config, "") == []


def test_demo_has_the_contigs_and_contexts_of_the_world() -> None:
    config = load_config(merge_files([CONFIG, ROOT / "config/demo.yaml"]))
    world = layout.layout(config.simulate.size)
    assert config.simulate.enabled
    assert config.seal.chromatin.valid_chromosomes == config.seal.model.valid_chromosomes == list(world.valid)
    assert config.seal.chromatin.test_chromosomes == config.seal.model.test_chromosomes == list(world.test)
    assert read_contexts(ROOT / config.seal.contexts) == layout.CONTEXTS
    assert list(read_databases(ROOT / config.seqlets.databases)) == ["jaspar2024"]


def test_demo_has_a_floor_for_every_headline_figure() -> None:
    floors = load_config(merge_files([CONFIG, ROOT / "config/demo.yaml"])).truth.floors
    assert set(floors) == {"expression_spearman", "effect_sign_agreement", "effect_spearman", "motif_recall"}
    assert all(0 < floor < 1 for floor in floors.values())


def test_user_tables_are_readable() -> None:
    config: Any = load_config(CONFIG)
    assert config.seal.general in read_contexts(ROOT / config.seal.contexts)
