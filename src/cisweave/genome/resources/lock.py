"""``resources.lock``: the bytes that were accepted at the first download, and that every later one must be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json, write_json
from cisweave.core.logs import get_logger

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOG = get_logger(__name__)
LOCK_NAME = "resources.lock"
#: Below the folder of resources: receipts, and what fetching needs for itself.
RECEIPTS = ".fetched"
WORK = ".fetched/work"
NO_LOCK = (
    'a resources.lock is {"files": {name: {"url", "bytes", "sha256"}}} and this is not; restore it, or delete it to '
    "lock anew"
)


@dataclass(frozen=True)
class Locked:
    """What is locked of a download: where it came from, its size in bytes, its SHA-256."""

    url: str
    bytes: int
    sha256: str


def read_lock(folder: Path) -> dict[str, Locked]:
    """What ``<folder>/resources.lock`` holds, by name; nothing if there is no such file yet."""
    path = folder / LOCK_NAME
    if not path.exists():
        return {}
    try:
        files = read_json(path)["files"]
        found = {name: Locked(entry["url"], entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise CisweaveError(NO_LOCK, path=path) from error
    if not all(isinstance(entry.bytes, int) and isinstance(entry.sha256, str) for entry in found.values()):
        raise CisweaveError(NO_LOCK, path=path)
    return found


def record(folder: Path, name: str, entry: Locked) -> None:
    """Lock a download that has no entry yet; an entry that is there is never changed."""
    with exclusive(folder, LOCK_NAME, timeout_s=60):
        sweep(folder, re.escape(LOCK_NAME))
        locked = read_lock(folder)
        if name in locked:
            return
        locked[name] = entry
        write_json(folder / LOCK_NAME, {"files": {name: asdict(locked[name]) for name in sorted(locked)}})


def sweep(folder: Path, ending: str) -> None:
    """Delete what killed processes left of files whose names match ``ending``; for who has exclusive use of them."""
    for path in folder.glob(".partial-*"):
        if re.fullmatch(rf"\.partial-\d+-{ending}", path.name):
            path.unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path, name: str, timeout_s: float) -> Iterator[None]:
    """Let one process or thread at a time work on ``name``; wait at most ``timeout_s`` seconds for another.

    The operating system lets go of the lock when its owner ends, however it ends.
    """
    from filelock import FileLock, Timeout

    path = folder / WORK / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock: BaseFileLock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            LOG.info("%s: another process is working on it; waiting", name)
            lock.acquire(timeout=timeout_s)
    except Timeout as error:
        raise CisweaveError(
            f"{name}: another process has been working on it for {timeout_s:g} s; try again when it is done", path=path
        ) from error
    try:
        yield
    finally:
        lock.release()
