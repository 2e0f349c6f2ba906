"""Turning pydantic's errors into lines that name the key, its value and what to write instead."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
NAME_RULE = "letters, digits, - and _ only, starting with a letter or digit"
LONGEST_VALUE = 60

WANTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list, for example [a, b]",
    "dict_type": "keys and values below this key",
    "mapping_type": "keys and values below this key",
    "model_type": "keys and values below this key",
    "path_type": "the path of a file",
    "string_pattern_mismatch": f"a name ({NAME_RULE})",
    "string_type": "text",
}

Place = tuple[str, ...]


def describe_errors(
    section: type[BaseModel], problems: Iterable[Mapping[str, Any]], prefix: tuple[str, ...] = ()
) -> list[str]:
    """One line per wrong key, in the order pydantic met them; alternatives of one key are joined by 'or'."""
    grouped: dict[Place, list[Mapping[str, Any]]] = {}
    for problem in problems:
        grouped.setdefault(key_path(section, problem["loc"]), []).append(problem)
    return [describe(section, place, group, prefix) for place, group in grouped.items()]


def join_mistakes(what: str, lines: list[str]) -> str:
    """Bring mistakes into one message: alone on its line, or a list below a first line."""
    if len(lines) == 1:
        return lines[0]
    return f"{what} has {len(lines)} mistakes:" + "".join(f"\n  {line}" for line in lines)


def describe(
    section: type[BaseModel], place: Place, problems: list[Mapping[str, Any]], prefix: tuple[str, ...] = ()
) -> str:
    """One line about one key: its value and what to write instead."""
    first = problems[0]
    key = ".".join((*prefix, *place)) or "value"
    if first["type"] == "missing":
        return f"{key} is missing; write {field_description(section, place) or 'it'}"
    shown = f"{key}: {shorten(first['input'])}"
    if first["type"] == "extra_forbidden":
        return f"{shown} is an unknown key; {suggest(place[-1], list(owner(section, place).model_fields))}"
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}"
    wanted = " or ".join(dict.fromkeys(want(problem) for problem in problems))
    text = field_description(section, place)
    return f"{shown} cannot be used; write {wanted}" + (f" ({text.rstrip('.')})" if text else "")


def shorten(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def suggest(word: str, known: list[str]) -> str:
    """Advice for a word that is not among those known."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"use one of {', '.join(known)}" if known else "remove it"


def want(problem: Mapping[str, Any]) -> str:
    """What to write, from one pydantic error."""
    kind: str = problem["type"]
    if kind == "literal_error":
        return str(problem["ctx"]["expected"])
    if kind in {"too_short", "too_long"}:
        bound, length = ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
        return f"a list of {bound} {problem['ctx'][length]} values"
    message: str = problem["msg"]
    return WANTED.get(kind, message.replace("Input should be ", "a value "))


def key_path(section: type[BaseModel], location: tuple[str | int, ...]) -> Place:
    """Pydantic's error location without the parts that name alternatives of a union or a key's own check."""
    place: list[str] = []
    model: type[BaseModel] | None = section
    for part in map(str, location):
        if model is None and (part == "[key]" or re.match(r"(int|float|bool|str|list|literal)(\[|$)", part)):
            continue
        place.append(part)
        model = nested(model, part) if model is not None else None
    return tuple(place)


def nested(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The model below a key, if there is one."""
    field = model.model_fields.get(key)
    if field is None:
        return None
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def owner(section: type[BaseModel], place: Place) -> type[BaseModel]:
    """The model that should hold the last key of ``place``."""
    model = section
    for part in place[:-1]:
        model = nested(model, part) or model
    return model


def field_description(section: type[BaseModel], place: Place) -> str:
    """The description of the field at ``place``, or nothing."""
    field = owner(section, place).model_fields.get(place[-1]) if place else None
    return (field.description or "") if field is not None else ""
