"""Options that several verbs share, worded once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

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
Seed = Annotated[int, typer.Option(help="Seed; the same seed gives the same result on the same device.")]
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
)
"""Options that name one file to write, whatever the verb; given as a list, the same names are inputs."""


def with_options(settings: S, **options: object) -> S:
    """Settings with those options of the command line that were given in place of their keys."""
    given = {key: value for key, value in options.items() if value is not None}
    return settings.model_copy(update=given)


SIDECARS = {"receipt": ".receipt.json", "index": ".csi"}


class Verb(TyperCommand):
    """A verb that looks at its paths before it works, and turns what the file system says into one sentence."""

    def invoke(self, context: Any) -> object:
        """Check the outputs, run the verb."""
        if self.name != "simulate":
            check_outputs(context.params)
        try:
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


def check_outputs(options: Mapping[str, object]) -> None:
    """Raise if an output is a folder, cannot be placed, or is another output or an input of the same command."""
    outputs = {name: value for name, value in options.items() if name in OUTPUTS and isinstance(value, Path)}
    taken: dict[Path, str] = {}
    for name, value in options.items():
        values = value if isinstance(value, list | tuple) else [value]
        if name not in outputs:
            paths = [Path(str(each)) for each in values if isinstance(each, Path) or (each and name == "settings")]
            taken |= {path.resolve(): name for path in paths if is_file(path)}
    taken |= {beside.resolve(): f"{name}'s {kind}" for name, path in outputs.items() for kind, beside in sidecars(path)}
    for name, path in outputs.items():
        option = "--" + name.replace("_", "-")
        if path.exists() and not path.is_file():
            raise CisweaveError(f"{option} is a folder, a device or a pipe; write the name of a file", path=path)
        if any(parent.exists() and not parent.is_dir() for parent in path.parents):
            raise CisweaveError(f"{option} cannot stand below a file; write another name", path=path)
        other = taken.setdefault(path.resolve(), name)
        if other != name:
            raise CisweaveError(
                f"{option} and --{other.replace('_', '-')} are the same file; give each its own", path=path
            )
