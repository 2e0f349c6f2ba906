"""The command line: ``cisweave <room> <verb>``, one file a room, loaded only when its room is asked for."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from cisweave import __version__
from cisweave.cli.common import Verb
from cisweave.core.errors import CisweaveError
from cisweave.core.logs import configure_logging

GROUPS = {
    "genome": "Resources, variants, liftover, closest TSS, sequences, reject ledger.",
    "seal": "Chromatin model, TSS profiles, transfer-learned expression, variant effects.",
    "xpresso": "Promoters, half-life, factors and microRNAs to expression: the zoo of models.",
    "seqlets": "Attribution, seqlets, motif annotation, the motif each variant breaks or makes.",
    "report": "The HTML report and the truth check of the built-in world.",
    "config": "Check a configuration, write its schema and its defaults.",
}
COMMANDS = {"simulate": "Build the built-in world: genomes, genes, tracks, expression, variants and their truth."}


def build(words: Sequence[str] | None = None) -> typer.Typer:
    """Build the application.

    Parameters
    ----------
    words
        The command line; only rooms named in it are imported, the others stand as names with a line of help.
        ``None`` imports all.
    """
    app = typer.Typer(
        name="cisweave",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="From DNA sequence to expression and back to the motifs that explain it.",
    )
    app.callback()(common)
    for name, text in COMMANDS.items():
        if words is None or name in words:
            app.command(name, cls=Verb)(import_module(f"cisweave.cli.{name}").simulate)
        else:
            app.command(name, help=text)(absent)
    for name, text in GROUPS.items():
        if words is None or name in words:
            room = import_module(f"cisweave.cli.{name}").app
            for verb in room.registered_commands:
                verb.cls = Verb
            app.add_typer(room, name=name, help=text)
        else:
            app.command(name, help=text)(absent)
    return app


def absent() -> None:
    """Stand in for a room that the command line does not name."""
    raise AssertionError("a room that was not loaded was called")


def show_version(value: bool) -> None:
    """Print the version and stop."""
    if value:
        typer.echo(f"cisweave {__version__}")
        raise typer.Exit


def common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more (debug messages).")] = False,
    version: Annotated[  # noqa: ARG001 (typer calls show_version)
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """From DNA sequence to expression and back to the motifs that explain it."""
    configure_logging(verbose)


def main() -> None:
    """Run the command line; a :class:`CisweaveError` is one message on standard error and exit status 2."""
    # Threads that wait give up their core: on a shared machine spinning ones cost several times the wall time.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A job that is asked to end clears away what it has not finished.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        build(sys.argv[1:])(prog_name="cisweave")
    except CisweaveError as error:
        print(f"cisweave: {error}", file=sys.stderr)
        sys.exit(2)
