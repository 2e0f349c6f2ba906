"""What is generated from the configuration model: the JSON schema and the YAML file of all defaults."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from cisweave.config.messages import nested
from cisweave.config.model import Config

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
HEADER = """\
# yaml-language-server: $schema=../workflow/schemas/config.schema.json
#
# Every key with its default. Your own file needs only the keys that differ:
#   snakemake --profile profiles/local --configfile my.yaml
# "{run}" in a path stands for the run's name. Written by `cisweave config defaults`.
"""


def config_schema() -> dict[str, Any]:
    """The JSON schema of the configuration file."""
    schema = Config.model_json_schema()
    return {
        "$schema": SCHEMA_DIALECT,
        "title": "cisweave configuration",
        **{k: v for k, v in schema.items() if k != "title"},
    }


def schema_text() -> str:
    """:func:`config_schema` as the text of ``workflow/schemas/config.schema.json``."""
    return json.dumps(config_schema(), indent=2) + "\n"


def defaults_text() -> str:
    """The text of ``config/config.yaml``: every key with its default and its description above it."""
    return HEADER + "\n".join(block(Config, Config().model_dump(mode="json"), 0)) + "\n"


def block(model: type[BaseModel], values: dict[str, Any], depth: int) -> list[str]:
    """YAML lines of one section, with each field's description as a comment."""
    indent = "  " * depth
    lines: list[str] = []
    for name, field in model.model_fields.items():
        below = nested(model, name)
        if depth == 0:
            lines.append("")
        lines.append(f"{indent}# {field.description}")
        if below is not None and isinstance(values[name], dict):
            lines.append(f"{indent}{name}:")
            lines.extend(block(below, values[name], depth + 1))
        else:
            lines.append(f"{indent}{name}: {scalar(values[name])}")
    return lines


def scalar(value: Any) -> str:
    """A value as YAML on one line; YAML 1.1 takes 1e-06 for text, so numbers with an exponent get a point."""
    if isinstance(value, float) and "e" in repr(value) and "." not in repr(value):
        return repr(value).replace("e", ".0e")
    return json.dumps(value)
