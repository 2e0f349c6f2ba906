"""``cisweave config``: check a configuration, write its schema and its defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Check a configuration, write its schema and its defaults.")

Out = Annotated[Path | None, typer.Option(help="Write here (whole or not at all) instead of standard output.")]


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="YAML files; later ones override earlier ones, key by key.")],
) -> None:
    """Check configuration files and what they point to, as the workflow does before any job."""
    from cisweave.config.load import merge_files
    from cisweave.workflow import open_run

    run = open_run(merge_files(files))
    typer.echo(f"no mistakes found; the results of this run will stand in {run.folder}")


@app.command()
def schema(out: Out = None) -> None:
    """Write the JSON schema of the configuration file."""
    from cisweave.config.schema import schema_text

    write(schema_text(), out)


@app.command()
def defaults(out: Out = None) -> None:
    """Write a configuration file with every key, its default and its meaning."""
    from cisweave.config.schema import defaults_text

    write(defaults_text(), out)


def write(text: str, out: Path | None) -> None:
    """Write ``text`` to a file or to standard output."""
    from cisweave.core.files import atomic_text

    if out is None:
        typer.echo(text, nl=False)
        return
    with atomic_text(out) as handle:
        handle.write(text)
