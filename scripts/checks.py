"""What the programs that prove a room share: run parts, gather figures and problems, print one line of JSON."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from cisweave.core.files import write_json

Found = tuple[dict[str, Any], list[str]]
"""Figures of a part, and what is not as it must be."""


def run_checks(
    room: str,
    text: str,
    parts: Mapping[str, tuple[str, Callable[..., Found]]],
    figures: Collection[str],
    out: Path,
    scales: tuple[Any, Any] | None = None,
) -> int:
    """Run the parts that the command line names (all by default), print the figures, return the exit status.

    Parameters
    ----------
    room
        Whose check this is.
    text
        What it does, for ``--help``.
    parts
        Name -> what it is about, and its function.
    figures
        Figures that are printed first, in this order, also where no part gives them.
    out
        JSON file that keeps the figures of a run of all parts.
    scales
        What parts are called with, and what with ``--quick``; without it they are called with nothing.
    """
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"which parts: {', '.join(parts)} (default: all)")
    if scales is not None:
        parser.add_argument("--quick", action="store_true", help="little of everything, for development")
    words = parser.parse_args()
    unknown = [name for name in words.parts if name not in parts]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(parts)}")
    logging.getLogger("cisweave").setLevel(logging.ERROR)
    told = {} if scales is None else {"quick": words.quick}
    given = () if scales is None else (scales[words.quick],)
    gathered: dict[str, Any] = dict.fromkeys(figures)
    seconds: dict[str, int] = {}
    problems: list[str] = []
    for name in words.parts or parts:
        about, part = parts[name]
        say(room, about)
        started = time.monotonic()
        found, wrong = part(*given)
        seconds[name] = round(time.monotonic() - started)
        gathered |= found
        problems += wrong
    for problem in problems:
        say(room, problem)
    gathered |= {**told, "seconds": seconds}
    if not words.parts:
        write_json(out, gathered)
    print(json.dumps(gathered))
    return 1 if problems else 0


def say(room: str, text: str) -> None:
    """Tell what is going on; standard output is for the figures."""
    print(f"check-{room}: {text}", file=sys.stderr, flush=True)
