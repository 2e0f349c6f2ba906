"""Options that several verbs share, worded once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from cisweave.config.load import validate
from cisweave.config.sections import Section
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError

S = TypeVar("S", bound=Section)

Settings = Annotated[
    str | None,
    typer.Option(help="Settings of this verb: JSON text or a YAML/JSON file. Without it every key has its default."),
]
Training = Annotated[
    str | None,
    typer.Option(help="What all training runs share (config section 'training'): JSON text or a YAML/JSON file."),
]
Seed = Annotated[
    int,
    typer.Option(min=0, max=2**31 - 1, help="Seed; the same seed gives the same result on the same device."),
]
Device = Annotated[
    DeviceName, typer.Option(help="auto, cpu or cuda; cuda where PyTorch sees no GPU is an error, never a fall-back.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of PyTorch. Default: as the environment says.")]
Fasta = Annotated[Path, typer.Option(help="Genome FASTA, plain or bgzip; .fai is made when absent.")]


OUTPUTS = (
    "out",
    "tsv",
    "metrics",
    "qc",
    "summary",
    "rejects",
    "chromatin_effects",
    "features_out",
    "annotated_vcf",
    "best",
    "contexts_table",
    "performance",
    "bigwig",
    "loci_out",
    "strongest",
    "table_out",
    "sequences_out",
    "segments",
)
"""Parameters of verbs that name one file to write, whatever the verb; given as a list, the same names are inputs."""
FOLDERS = ("bigwig_folder", "out_folder")
"""Parameters that name a folder to write files to."""


def with_options(settings: S, **options: object) -> S:
    """Settings with those options of the command line that were given in place of their keys, checked together."""
    written = {key: getattr(settings, key) for key in settings.model_fields_set}
    given = {key: value for key, value in options.items() if value is not None}
    return validate(type(settings), {**written, **given}, "the settings with these options")


def run_program(main: Callable[..., None]) -> None:
    """Run a program of ``scripts/``: a mistake is one message on standard error and exit status 2."""
    try:
        typer.run(main)
    except CisweaveError as error:
        print(f"cisweave: {error}", file=sys.stderr)
        sys.exit(2)


SIDECARS = {"receipt": ".receipt.json", "index": ".csi"}
INDEXES = (".fai", ".gzi", ".csi", ".tbi")
"""Endings of what stands beside an input and belongs to it."""
MODEL_FILES = ("model.yaml", "weights.safetensors", "metrics.json", "history.csv", "genes.tsv", "performance.tsv")
"""What stands in the folder of a model; the first makes it one."""
DATA_FILES = ("dataset.json", "genes.parquet", "promoters.h5", "tf.parquet", "mirna.parquet")
"""What stands in a folder of promoter data; the first makes it one."""


class Verb(TyperCommand):
    """A verb that looks at its paths before it works, and turns what the file system says into one sentence."""

    def invoke(self, context: Any) -> object:
        """Check the outputs, run the verb."""
        try:
            if self.name != "simulate":
                check_outputs(context.params, option_names(self.params))
            return super().invoke(context)
        except EOFError as error:
            raise CisweaveError(f"an input file is cut off ({error}); make or fetch it again") from error
        except OSError as error:
            raise CisweaveError(f"{error.strerror or error}; check the path", path=error.filename) from error
        except MemoryError as error:
            raise CisweaveError("there is not enough memory for this; take smaller windows or fewer loci") from error
        except UnicodeEncodeError as error:
            raise CisweaveError("a path or text cannot be written in this locale; set LC_ALL=C.UTF-8") from error


def is_file(path: Path) -> bool:
    """Whether there is such a file; what is too long for a name is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def sidecars(path: Path) -> list[tuple[str, Path]]:
    """What is written beside an output."""
    return [(kind, path.with_name(path.name + ending)) for kind, ending in SIDECARS.items() if path.name]


def option_names(parameters: Iterable[Any]) -> dict[str, str]:
    """What the parameters of a verb are called on the command line: ``--option``, or ``ARGUMENT``."""
    return {each.name: each.opts[0] if each.opts[0].startswith("--") else each.name.upper() for each in parameters}


def check_outputs(options: Mapping[str, object], called: Mapping[str, str]) -> None:
    """Raise if an output cannot be placed, or is another output or an input of the same command.

    Parameters
    ----------
    options
        Values by parameter.
    called
        What the parameters are called on the command line.
    """
    outputs = {name: value for name, value in options.items() if name in OUTPUTS and isinstance(value, Path)}
    taken: dict[Path, str] = {}
    for name in FOLDERS:
        if isinstance(options.get(name), Path):
            check_inside(name, options, called)
    for name, value in options.items():
        if name in FOLDERS and isinstance(value, Path):
            check_folder(value, called[name])
        elif name not in outputs:
            values = value if isinstance(value, list | tuple) else [value]
            paths = [Path(str(each)) for each in values if isinstance(each, Path) or (each and name == "settings")]
            taken |= {file.resolve(): called[name] + of for path in paths for file, of in files_of(path)}
    for name, path in outputs.items():
        taken |= {beside.resolve(): f"{called[name]}'s {kind}" for kind, beside in sidecars(path)}
    for name, path in outputs.items():
        option = called[name]
        if path.exists() and not path.is_file():
            raise CisweaveError(f"{option} is a folder, a device or a pipe; write the name of a file", path=path)
        check_parents(path, option)
        other = taken.setdefault(path.resolve(), option)
        if other != option:
            raise CisweaveError(f"{option} and {other} are the same file; give each its own", path=path)


def check_inside(folder: str, options: Mapping[str, object], called: Mapping[str, str]) -> None:
    """Raise if another path of the command is the folder that ``folder`` names, or a file right in it."""
    written = Path(str(options[folder])).resolve()
    for name, value in options.items():
        for path in value if isinstance(value, list | tuple) else [value]:
            if name == folder or not isinstance(path, Path):
                continue
            if path.resolve() == written:
                raise CisweaveError(f"{called[folder]} and {called[name]} are the same; give each its own", path=path)
            if path.resolve().parent == written and not path.is_dir():
                raise CisweaveError(
                    f"{called[name]} lies in the folder of {called[folder]}, whose files are written anew; write the "
                    "name of another folder",
                    path=path,
                )


def files_of(path: Path) -> Iterator[tuple[Path, str]]:
    """The files that belong to what a path names, each with how it does: itself, its index, its part, its file."""
    if is_file(path):
        yield path, ""
        for ending in INDEXES:
            yield path.with_name(path.name + ending), "'s index"
        if path.suffix == ".json":
            for part in parts_of(path):
                yield part, "'s part"
    for names in (MODEL_FILES, DATA_FILES):
        if is_file(path / names[0]):
            for name in names:
                yield path / name, "'s file"


def parts_of(index: Path) -> list[Path]:
    """The shards that an index of TSS profiles names; none of another JSON."""
    try:
        return [index.parent / row["file"] for row in json.loads(index.read_bytes())["shards"]]
    except (ValueError, KeyError, TypeError):
        return []


def check_folder(path: Path, option: str) -> None:
    """Raise if a folder to write to is a file or stands below one."""
    if is_file(path):
        raise CisweaveError(f"{option} is a file; write the name of a folder", path=path)
    check_parents(path, option)


def check_parents(path: Path, option: str) -> None:
    """Raise if what an option names would stand below a file."""
    if any(parent.exists() and not parent.is_dir() for parent in path.parents):
        raise CisweaveError(f"{option} cannot stand below a file; write another name", path=path)
