"""Reading configuration: every mistake is one line that names the key, the value and what to write instead."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from cisweave.config.messages import NAME, NAME_RULE, describe_errors, join_mistakes
from cisweave.config.model import Config
from cisweave.config.promoters import ZooModel
from cisweave.config.sections import MotifDatabase, Section
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_text

S = TypeVar("S", bound=Section)

CONTEXT_COLUMNS = ["set", "context"]
TRACK_COLUMNS = ["track", "peaks"]
#: Names of folders beside those of the context sets, and of columns beside those of the contexts.
RESERVED_SETS = {"chromatin", "pretrained"}
RESERVED_CONTEXTS = {
    *(
        "record",
        "allele",
        "line",
        "name",
        "source_chrom",
        "source_pos",
        "source_ref",
        "source_alt",
        "chrom",
        "pos",
        "ref",
        "alt",
    ),
    *("reference_genome_match", "swapped", "lift_strand", "gene_id", "gene_strand", "tss", "dist_to_tss"),
}


class UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML in which a key written twice is an error instead of a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse duplicate keys, then build the mapping as usual."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value!r} is written twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_config(source: str | Path | Mapping[str, Any]) -> Config:
    """Validate a whole configuration.

    Parameters
    ----------
    source
        A YAML or JSON file, or the mapping read from one or several (as Snakemake merges them). ``{run}`` in any text
        stands for the run's name.

    Raises
    ------
    CisweaveError
        Naming each wrong key with its value and what to write instead, one line each.
    """
    path = None if isinstance(source, Mapping) else Path(source)
    data = source if path is None else read_yaml(path) or {}
    if not isinstance(data, Mapping):
        raise CisweaveError("the configuration must consist of keys and values, for example 'run: demo'", path=path)
    run = str(data.get("run", Config.model_fields["run"].default))
    return validate(Config, fill_run(data, run), "the configuration", path)


def merge_files(paths: Iterable[str | Path]) -> dict[str, Any]:
    """Read configuration files, later ones overriding earlier ones key by key (as Snakemake does)."""
    merged: dict[str, Any] = {}
    for path in paths:
        data = read_yaml(path) or {}
        if not isinstance(data, dict):
            raise CisweaveError("the configuration must consist of keys and values, for example 'run: demo'", path=path)
        merged = overlay(merged, data)
    return merged


def load_settings(section: type[S], settings: str | None, **options: object) -> S:
    """Validate what ``--settings`` gave, with those ``options`` that are not ``None`` in place of its keys.

    Parameters
    ----------
    settings
        JSON text, a YAML or JSON file, or ``None`` for the defaults.
    """
    path, data = (None, {}) if settings is None else read_settings(settings)
    given = {key: value for key, value in options.items() if value is not None}
    what = "--settings with these options" if given else "--settings"
    return validate(section, {**data, **given}, what, path)


def read_settings(settings: str) -> tuple[Path | None, Mapping[str, Any]]:
    """The file that ``--settings`` names, if it names one, and its keys."""
    path = None
    if settings.lstrip().startswith("{"):
        try:
            data = json.loads(settings)
        except json.JSONDecodeError as error:
            raise CisweaveError(
                f"--settings is not valid JSON: {error.msg} at character {error.pos + 1}; put keys and texts in double "
                "quotes, or name a YAML file"
            ) from error
    else:
        path = Path(settings)
        if not path.is_file():
            raise CisweaveError(f"--settings {settings!r} is neither JSON text starting with '{{' nor an existing file")
        data = read_yaml(path) or {}
    if not isinstance(data, Mapping):
        raise CisweaveError("--settings must consist of keys and values", path=path)
    return path, data


def read_contexts(path: str | Path) -> dict[str, list[str]]:
    """Read a contexts table (TSV, columns ``set`` and ``context``) as set -> contexts, in the order of the rows."""
    contexts: dict[str, list[str]] = {}
    rows = table_rows(path)
    number, header = next(rows, (1, []))
    if header[:2] != CONTEXT_COLUMNS:
        raise CisweaveError("the header must be 'set', a tab, 'context'", path=path, line=number)
    for number, fields in rows:
        if len(fields) < len(CONTEXT_COLUMNS) or not fields[0] or not fields[1]:
            raise CisweaveError("write a set and a context, separated by a tab", path=path, line=number)
        name, context = fields[:2]
        if not NAME.fullmatch(name):
            raise CisweaveError(f"the set {name!r} is not a name ({NAME_RULE})", path=path, line=number)
        if name in RESERVED_SETS:
            raise CisweaveError(f"the set cannot be called {name!r}; choose another name", path=path, line=number)
        if context in RESERVED_CONTEXTS:
            raise CisweaveError(
                f"the context cannot be called {context!r}, like a column of the variant table; rename the column",
                path=path,
                line=number,
            )
        refuse_comma("context", context, path, number)
        if context in contexts.setdefault(name, []):
            raise CisweaveError(f"context {context!r} of set {name!r} is listed twice", path=path, line=number)
        contexts[name].append(context)
    if not contexts:
        raise CisweaveError("the table lists no context; add rows of a set, a tab and a context", path=path)
    return contexts


def read_tracks(path: str | Path) -> dict[str, Path]:
    """Read a track table (TSV, columns ``track`` and ``peaks``) as track -> peak file, in the order of the rows.

    Peak files are relative to the table's folder; further columns are ignored.
    """
    tracks: dict[str, Path] = {}
    rows = table_rows(path)
    number, header = next(rows, (1, []))
    missing = [column for column in TRACK_COLUMNS if column not in header]
    if missing:
        raise CisweaveError(f"the header lacks {', '.join(missing)}; write track, a tab, peaks", path=path, line=number)
    track_column, peaks_column = (header.index(column) for column in TRACK_COLUMNS)
    for number, fields in rows:
        track, peaks = ("".join(fields[column : column + 1]) for column in (track_column, peaks_column))
        if not track or not peaks:
            raise CisweaveError("write a track and its peak file, separated by a tab", path=path, line=number)
        refuse_comma("track", track, path, number)
        if track in tracks:
            raise CisweaveError(f"track {track} stands twice; names must differ", path=path, line=number)
        tracks[track] = Path(path).parent / peaks
    if not tracks:
        raise CisweaveError("the table lists no track; add rows of a track, a tab and a peak file", path=path)
    return tracks


def refuse_comma(kind: str, name: str, path: str | Path, line: int) -> None:
    """Names stand in lists separated by commas, so they hold none (nor a tab, which would end the field)."""
    if "," in name:
        raise CisweaveError(f"the {kind} {name!r} has a comma; write a name without one", path=path, line=line)


def read_databases(path: str | Path) -> dict[str, MotifDatabase]:
    """Read the motif databases (YAML: name -> entry) as name -> :class:`MotifDatabase`, in the order of the file."""
    return read_entries(path, MotifDatabase, "database", "jaspar2024: {source: jaspar}")


def read_zoo(path: str | Path) -> dict[str, ZooModel]:
    """Read the table of promoter models (YAML: name -> entry) as name -> :class:`ZooModel`, in the file's order."""
    return read_entries(path, ZooModel, "model", "Xpresso: {type: cnn/Xpresso}")


def read_entries(path: str | Path, section: type[S], what: str, example: str) -> dict[str, S]:
    """Read a YAML file of named entries of one kind; ``what`` and ``example`` are for messages."""
    data = read_yaml(path)
    if not isinstance(data, Mapping) or not data:
        raise CisweaveError(f"list at least one {what}, for example '{example}'", path=path)
    entries = {}
    for name, entry in data.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise CisweaveError(f"{name!r} is not a name for a {what} ({NAME_RULE})", path=path)
        if not isinstance(entry, Mapping):
            raise CisweaveError(
                f"{name}: write keys and values below it, for example '{example.partition('{')[2][:-1]}'", path=path
            )
        entries[name] = validate(section, entry, name, Path(path), (name,))
    return entries


def read_yaml(path: str | Path) -> Any:
    """Read a YAML (or JSON) file; a missing or broken file is a :class:`CisweaveError` with its line."""
    try:
        return yaml.load(read_text(path), Loader=UniqueKeyLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise CisweaveError(f"this is not valid YAML: {error.problem}", path=path, line=line) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CisweaveError(f"this is not valid YAML: {error}", path=path) from error


def table_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a small tab-separated table with their 1-based line numbers; blank and # lines are skipped."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, [field.strip() for field in line.split("\t")]


def overlay(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Put the keys of ``above`` over those of ``below``, descending where both hold mappings."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = overlay(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def fill_run(value: Any, run: str) -> Any:
    """Put the run's name in place of ``{run}`` in every text of ``value``."""
    if isinstance(value, str):
        return value.replace("{run}", run)
    if isinstance(value, Mapping):
        return {key: fill_run(item, run) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_run(item, run) for item in value]
    return value


def validate(
    section: type[S], data: Mapping[str, Any], what: str, path: Path | None = None, prefix: tuple[str, ...] = ()
) -> S:
    """Validate ``data`` as ``section``; all mistakes are reported together, one line each."""
    try:
        return section.model_validate(dict(data))
    except ValidationError as error:
        lines = describe_errors(section, error.errors(), prefix)
        raise CisweaveError(join_mistakes(what, lines), path=path) from error
