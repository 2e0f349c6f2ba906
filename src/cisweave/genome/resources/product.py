"""What fetching left in the folder: which files, of which bytes, from where; noted before they stand there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json, sha256, write_json
from cisweave.core.logs import get_logger
from cisweave.genome.resources.lock import RECEIPTS, WORK

LOG = get_logger(__name__)


@dataclass
class ProductFile:
    """One file: its path from the folder of resources (or an absolute one), size, time of change (ns), SHA-256."""

    path: str
    bytes: int
    mtime_ns: int
    sha256: str


@dataclass
class Product:
    """A fetched resource.

    ``path`` is the file or folder it is, from the folder of resources; ``source`` the address or local path; ``bytes``
    and ``digests`` those of the download (empty for something local that was unpacked before).
    """

    name: str
    path: str
    source: str
    bytes: int
    digests: dict[str, str]
    files: list[ProductFile] = field(default_factory=list)

    def place(self, folder: Path) -> Path:
        """Where it stands."""
        return folder / self.path

    def save(self, folder: Path) -> None:
        """Write the note, atomically."""
        write_json(state_path(folder, self.name), asdict(self))

    def verify(self, folder: Path, recheck: bool) -> None:
        """Check every file: by size and time of change, and by its bytes where these differ or if ``recheck``."""
        changed = False
        for file in self.files:
            path = folder / file.path
            try:
                facts = path.stat()
            except FileNotFoundError as error:
                raise CisweaveError(f"this part of {self.name} is gone; {self.remedy(folder)}", path=path) from error
            if facts.st_size == file.bytes and facts.st_mtime_ns == file.mtime_ns and not recheck:
                continue
            found = sha256(path)
            if found != file.sha256:
                raise CisweaveError(
                    f"{self.name} has changed since it was fetched: its sha256 is {found}, it was {file.sha256}; "
                    f"{self.remedy(folder)}",
                    path=path,
                )
            changed = changed or facts.st_mtime_ns != file.mtime_ns
            file.mtime_ns = facts.st_mtime_ns
        if changed:
            self.save(folder)

    def remedy(self, folder: Path) -> str:
        """What to do about a product that is not what was fetched."""
        if Path(self.path).is_absolute():
            return (
                f"restore it, or, if you trust the new one, delete {state_path(folder, self.name)} and the entry "
                f"{self.name} of resources.lock"
            )
        return f"delete {self.place(folder)} and fetch it again"


def state_path(folder: Path, name: str) -> Path:
    """Where the note of a resource stands."""
    return folder / WORK / f"{name}.state.json"


def receipt_path(folder: Path, name: str) -> Path:
    """Where the receipt of a resource stands; it is written last."""
    return folder / RECEIPTS / f"{name}.json"


def load_product(folder: Path, name: str) -> Product | None:
    """The note of a resource, or None if there is none that can be read."""
    path = state_path(folder, name)
    if not path.exists():
        return None
    try:
        found = read_json(path)
        files = [ProductFile(**file) for file in found.pop("files")]
        return Product(**found, files=files)
    except (CisweaveError, KeyError, TypeError, AttributeError):
        LOG.warning("%s: the note %s cannot be read and is not used", name, path)
        return None


def list_files(paths: Iterable[tuple[str, Path, int, str]]) -> list[ProductFile]:
    """Entries for files given as (path from the folder, where it is now, size, SHA-256)."""
    return [ProductFile(path, size, now.stat().st_mtime_ns, digest) for path, now, size, digest in paths]
