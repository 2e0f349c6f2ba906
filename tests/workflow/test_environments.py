"""Every rule's conda environment, and the package itself, name the libraries that its verb can import."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.workflow.snake import ROOT
from tests.workflow.test_rules import blocks

SOURCE = ROOT / "src"
# Only functions that no verb of the room calls import these (the walk goes by modules).
UNCALLED = {"genome.yaml": {"torch"}}
DISTRIBUTIONS = {"pyBigWig": "pybigwig", "sklearn": "scikit-learn", "yaml": "pyyaml"}


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names a piece of code imports, lazily too; not those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and re.fullmatch(r"cisweave(\.\w+)+:\w+", str(node.value)):
            yield str(node.value).replace(":", ".")  # an entry of a registry
        yield from imports(node)


def libraries(trees: list[ast.AST]) -> set[str]:
    """Distributions that code needs, through all modules of cisweave it leads to."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [name for tree in trees for name in imports(tree)]
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        if parts[0] != "cisweave":
            found.add(DISTRIBUTIONS.get(parts[0], parts[0]))
            continue
        for end in range(1, len(parts) + 1):  # importing a module runs the packages above it
            place = SOURCE.joinpath(*parts[:end])
            path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            if str(path) not in seen and path.is_file():
                seen.add(str(path))
                waiting += imports(outside_verbs(ast.parse(path.read_text()), path))
    return found - set(sys.stdlib_module_names)


def outside_verbs(module: ast.Module, path: Path) -> ast.Module:
    """What importing a file of the command line runs: not the verbs, which import when they are called."""
    if SOURCE / "cisweave/cli" not in path.parents:
        return module
    return ast.Module([node for node in module.body if not isinstance(node, ast.FunctionDef)], [])


def needed(rule: str) -> set[str]:
    """Distributions that the verb (or script) of a rule can import."""
    room, _, verb = rule.partition("_")
    script = ROOT / f"scripts/{rule}.py"
    if script.is_file():
        return libraries([ast.parse(script.read_text())])
    place = SOURCE / "cisweave/cli" / room  # a room with many verbs is a package
    files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    nodes = [node for path in files for node in ast.parse(path.read_text()).body]
    verbs = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    others = [node for node in nodes if node not in verbs]
    verbs = [node for node in verbs if node.name == (verb or room)]
    assert len(verbs) == 1, rule
    main = ast.parse((SOURCE / "cisweave/__main__.py").read_text())
    return libraries([main, ast.Module(others, []), *verbs])


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[ <>=!~\[]", line.lower())[0] for line in requirements}


@pytest.mark.parametrize(("rule", "block"), sorted(blocks().items()))
def test_libraries_of_a_rule_are_declared(rule: str, block: str) -> None:
    file = re.search(r'"\.\./envs/(\w+\.yaml)"', block)
    assert file is not None
    listed = yaml.safe_load((ROOT / "envs" / file[1]).read_text())["dependencies"]
    pip = [line for entry in listed if isinstance(entry, dict) for line in entry["pip"]]
    environment = names([entry for entry in listed if isinstance(entry, str)] + pip)
    environment = {"torch" if name == "pytorch" else name for name in environment}
    project = names(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    assert needed(rule) - environment - UNCALLED.get(file[1], set()) == set(), f"add them to envs/{file[1]}"
    assert needed(rule) - project == set(), "add them to pyproject.toml"


def test_the_walk_follows_lazy_imports() -> None:
    assert {"lightning", "torchmetrics", "scikit-learn", "pysam", "torch"} <= needed("report_truth")
    assert "lightning" not in needed("genome_normalize")
