"""Logging: one logger tree, one format, on standard error."""

from __future__ import annotations

import logging
import sys
import warnings


def get_logger(name: str) -> logging.Logger:
    """The logger of a module; pass ``__name__``."""
    return logging.getLogger(name)


def configure_logging(verbose: bool = False) -> None:
    """Send cisweave's messages to standard error, and quiet libraries that chatter."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger("cisweave")
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    root.propagate = False
    for noisy in ("lightning.pytorch", "lightning", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
