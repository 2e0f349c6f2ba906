"""The pages of the room say what the code does: its table of types, its commands, its configurations."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from cisweave.cli.xpresso import app
from cisweave.config import Config, ZooModel
from cisweave.models.promoter.build import build_network
from cisweave.models.promoter.keras import count_parameters
from cisweave.models.promoter.registry import TYPES, ModelType, find_type, plain_name
from cisweave.simulate.promoters import PART_SD
from cisweave.xpresso.dataset import HALF_LIFE
from cisweave.xpresso.matrices import TF_NAMES
from cisweave.xpresso.zoo import check_zoo

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("xpresso.md", "xpresso-data.md", "xpresso-models.md")
ALL_PAGES = sorted(path.name for path in DOCS.glob("*.md"))
MICRORNAS = 2064
"""Columns of the published microRNA matrix."""


def page(name: str) -> str:
    return (DOCS / name).read_text()


def blocks(text: str, *kinds: str) -> list[str]:
    """Fenced blocks of some kinds."""
    return [body for kind, body in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL) if kind in kinds]


# --- the table of types -----------------------------------------------------------------------------------------------
def type_rows() -> dict[str, list[str]]:
    """Type -> the other cells of its row."""
    lines = re.findall(r"^\| (`\w+/\w+` \|.*)\|$", page("xpresso.md"), re.MULTILINE)
    rows = [line.split("|") for line in lines]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows}


def parameters(kind: ModelType) -> int:
    """Parameters of a type at its published size, counted on the network itself."""
    left, right = (int(part) for part in (kind.slice or "0:0").split(":"))
    widths = {"H": ("halflife", len(HALF_LIFE)), "T": ("tf", len(TF_NAMES)), "M": ("mirna", MICRORNAS)}
    extras = dict(widths[letter] for letter in kind.inputs if letter in widths)
    return count_parameters(build_network(kind.name, right - left, **extras))


def test_every_type_has_a_row_in_the_order_of_the_registry() -> None:
    assert list(type_rows()) == list(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_a_row_says_what_the_type_is(name: str) -> None:
    kind, (aliases, inputs, count, published, *_) = TYPES[name], type_rows()[name]
    own = {plain_name(name.split("/")[1])}
    assert inputs == kind.inputs
    assert int(count.replace(",", "")) == parameters(kind)
    told = {plain_name(alias) for alias in aliases.split(",") if alias}
    assert told == {plain_name(alias) for alias in kind.aliases} - own
    first = next(iter(kind.published), None)
    bounds = "" if first is None or first.low is None else f" [{first.low:.3f}, {first.high:.3f}]"
    assert re.sub(r" [¹²³⁴⁵⁶].*", "", published) == ("–" if first is None else f"{first.r2:.3f}{bounds}")


def test_the_names_in_the_text_are_types() -> None:
    for name in ("Xpresso_TF", "only promoter"):
        assert find_type(name).name in TYPES


# --- commands ---------------------------------------------------------------------------------------------------------
def commands(text: str) -> list[list[str]]:
    """Words of every ``cisweave xpresso`` command in the blocks of a page."""
    lines = "\n".join(blocks(text, "sh", "bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[2:] for line in lines if line.startswith("cisweave xpresso ")]


@pytest.mark.parametrize("name", ALL_PAGES)
def test_commands_of_the_pages_can_be_given(name: str) -> None:
    verbs = typer.main.get_command(app).commands
    for verb, *words in commands(page(name)):
        verbs[verb].make_context(verb, words)


def test_the_page_lists_every_command() -> None:
    for verb in typer.main.get_command(app).commands:
        assert any(re.search(rf"`[^`]*{verb}\b", line) for line in page("xpresso.md").splitlines() if line[:1] == "|")


# --- configurations ---------------------------------------------------------------------------------------------------
def yaml_blocks() -> list[tuple[str, dict[str, object]]]:
    return [(name, yaml.safe_load(body)) for name in PAGES for body in blocks(page(name), "yaml")]


@pytest.mark.parametrize(("name", "content"), yaml_blocks())
def test_configurations_of_the_pages_are_right(name: str, content: dict[str, object]) -> None:
    if set(content) <= set(Config.model_fields):
        Config.model_validate(content)
    else:
        assert check_zoo({name: ZooModel.model_validate(entry) for name, entry in content.items()}) == []


def test_the_parts_of_the_promoter_library_are_told() -> None:
    rows = re.findall(r"^\| `?(\w+)`? \| (\d\.\d\d) \|", page("simulate.md"), re.MULTILINE)
    assert {name: float(value) for name, value in rows} == PART_SD
