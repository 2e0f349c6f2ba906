"""``cisweave genome fetch``: public files into one folder, each checked, unpacked and noted before it counts."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cisweave.config.sections import FetchSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import is_gzipped, write_json
from cisweave.core.logs import get_logger
from cisweave.genome.resources.catalogue import (
    Resource,
    check_licence,
    choose_resources,
    read_catalogue,
    readable_bytes,
    show_catalogue,
)
from cisweave.genome.resources.lock import RECEIPTS, WORK, Locked, exclusive, read_lock, record, sweep
from cisweave.genome.resources.product import (
    Product,
    ProductFile,
    list_files,
    load_product,
    receipt_path,
)
from cisweave.genome.resources.unpack import DamagedArchiveError, Limits, check_gzip, unpack

if TYPE_CHECKING:
    from cisweave.genome.resources.download import Download

__all__ = ["fetch_resources", "show_catalogue"]

LOG = get_logger(__name__)


def fetch_resources(
    names: Iterable[str], folder: str | Path, settings: FetchSettings, catalogue: str | Path | None = None
) -> list[Path]:
    """Bring resources of the catalogue into a folder, unless they are there.

    Each is downloaded into ``<folder>/<name>.partial`` (continued after an interrupt), checked against the checksum
    of the catalogue and of ``<folder>/resources.lock`` (where the first download is locked), unpacked aside, and put
    in place in one step. Its receipt, ``<folder>/.fetched/<name>.json``, is written last. After an error nothing stands
    under the final name. What is there already is checked, never replaced. What is used where it stands
    (``settings.local_paths``) gets a symbolic link in the folder. Several processes may do this at once.

    Parameters
    ----------
    names
        Names of the catalogue.
    folder
        Where the files go; made if need be.
    settings
        Config section ``genome.fetch``.
    catalogue
        A catalogue in place of ``settings.catalogue`` and of the built-in one.

    Returns
    -------
    list[Path]
        The file or the folder of each resource (or the link to it), in the order of ``names``.

    Raises
    ------
    CisweaveError
        For an unknown name, a licence that was not accepted, a download that fails from every address, bytes that are
        not the expected ones, an archive that is not safe to unpack, and anything the disk refuses.
    """
    folder = Path(folder)
    known = read_catalogue(catalogue if catalogue is not None else settings.catalogue)
    resources = choose_resources(names, known)
    choose_resources(settings.local_paths, known, "genome.fetch.local_paths: ")
    if not resources:
        raise CisweaveError("no resource is named; cisweave genome fetch --list shows them all")
    for resource in resources:
        check_licence(resource, settings.accept_licences)
    return [fetch_resource(resource, folder, settings) for resource in resources]


def fetch_resource(resource: Resource, folder: Path, settings: FetchSettings) -> Path:
    """Bring one resource into ``folder`` and return its place; see :func:`fetch_resources`."""
    with disk_errors(folder):
        (folder / WORK).mkdir(parents=True, exist_ok=True)
        with exclusive(folder, resource.name, settings.queue_timeout_s):
            for parent in (folder / RECEIPTS, folder / WORK):
                sweep(parent, re.escape(resource.name) + r"(\.state|\.partial)?\.json")
            shutil.rmtree(aside(folder, resource), ignore_errors=True)
            product = find_product(resource, folder, settings)
            if product is None:
                receipt_path(folder, resource.name).unlink(missing_ok=True)
                remove_link(resource, folder, settings)
                product = make_product(resource, folder, settings)
            make_link(resource, product, folder)
            write_receipt(resource, product, folder)
            for path in partial_paths(resource, folder):
                path.unlink(missing_ok=True)
    LOG.info("%s: %s (licence: %s)", resource.name, folder / resource.product, resource.licence)
    return folder / resource.product


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise CisweaveError(
            f"{reason}; check that the folder can be written to and that the disk is not full",
            path=error.filename or folder,
        ) from error


def find_product(resource: Resource, folder: Path, settings: FetchSettings) -> Product | None:
    """The resource if it is there, checked; None if it has to be made. Unknown files are an error, never trusted."""
    product = load_product(folder, resource.name)
    local = settings.local_paths.get(resource.name)
    itself = local is not None and is_same(local, folder / resource.product)
    if product is None or not product.place(folder).exists():
        if resource.unpack != "none" and not itself and not is_our_link(resource, folder, settings):
            refuse_strangers(resource, folder)
        return None
    if local is None and Path(product.path).is_absolute():
        return None
    if local is not None and not itself and product.source != str(local.absolute()):
        if not Path(product.path).is_absolute():
            raise CisweaveError(
                f"{resource.name} is there from {product.source}, and genome.fetch.local_paths says {local}; delete "
                f"{product.place(folder)}, or take {resource.name} out of local_paths"
            )
        return None
    product.verify(folder, settings.recheck)
    check_known_digests(resource, product, folder)
    return product


def is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one, by their names or, where both are there, by what they lead to."""
    if one.absolute() == other.absolute():
        return True
    return one.exists() and other.exists() and one.samefile(other)


def is_our_link(resource: Resource, folder: Path, settings: FetchSettings) -> bool:
    """Whether the place of a resource holds the link that fetching makes to what is used where it stands."""
    place, product = folder / resource.product, load_product(folder, resource.name)
    local = settings.local_paths.get(resource.name)
    targets = {product.path if product is not None else None, str(local.absolute()) if local is not None else None}
    return place.is_symlink() and str(place.readlink()) in targets


def remove_link(resource: Resource, folder: Path, settings: FetchSettings) -> None:
    """Remove a link made earlier; never what it leads to, and no link that somebody else made."""
    if is_our_link(resource, folder, settings):
        (folder / resource.product).unlink()


def make_link(resource: Resource, product: Product, folder: Path) -> None:
    """Put a link to a resource that is used where it stands into the folder, in one step; nothing is overwritten."""
    place, target = folder / resource.product, Path(product.path)
    if not target.is_absolute() or is_same(place, target):
        return
    refuse_strangers(resource, folder)
    link = folder / WORK / f"{resource.name}.link"
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    os.replace(link, place)
    LOG.info("%s: %s is a link to %s", resource.name, place, target)


def refuse_strangers(resource: Resource, folder: Path) -> None:
    """Raise if something stands in the place of a resource that fetching did not put there."""
    place = folder / resource.product
    if os.path.lexists(place):
        raise CisweaveError(
            f"this was not put here by 'genome fetch', so nothing is known of it; move it away, or name it in "
            f"genome.fetch.local_paths as {resource.name}",
            path=place,
        )


def check_known_digests(resource: Resource, product: Product, folder: Path) -> None:
    """Raise if the catalogue or the lock now expects other bytes than those that were fetched."""
    for algorithm, digest in expected_digests(resource, folder).items():
        found = product.digests.get(algorithm)
        if found is not None and found != digest:
            raise CisweaveError(
                f"{resource.name} was fetched with {algorithm} {found}, but the catalogue or resources.lock now says "
                f"{digest}; {product.remedy(folder)}, or correct the entry",
                path=product.place(folder),
            )


def expected_digests(resource: Resource, folder: Path) -> dict[str, str]:
    """Digests that a download must have, from the catalogue and from the lock; two that differ are an error."""
    expected = {}
    if resource.checksum is not None:
        expected[resource.checksum.algorithm] = resource.checksum.digest
    locked = read_lock(folder).get(resource.name)
    if locked is not None and expected.setdefault("sha256", locked.sha256) != locked.sha256:
        raise CisweaveError(
            f"the catalogue says sha256 {expected['sha256']} for {resource.name}, resources.lock says {locked.sha256}; "
            f"if the catalogue is right, delete {resource.product} and the entry {resource.name} of resources.lock",
            path=folder / "resources.lock",
        )
    return expected


def make_product(resource: Resource, folder: Path, settings: FetchSettings) -> Product:
    """Take the resource from a local path, an archive that was kept, or the network, and put it in place."""
    from cisweave.genome.resources.download import download

    expected = expected_digests(resource, folder)
    local = settings.local_paths.get(resource.name)
    if local is not None:
        return take_local(resource, local.absolute(), folder, settings, expected)
    there = folder / resource.name
    if os.path.lexists(there):
        return place(resource, check_file(resource, there, expected), folder, settings, owned=True)
    if settings.offline:
        raise CisweaveError(
            f"{resource.name} is not in {folder} and genome.fetch.offline is set; fetch it where there is a network, "
            "or name a copy in genome.fetch.local_paths"
        )
    partial, notes = partial_paths(resource, folder)
    locked = resource.name in read_lock(folder)
    loaded = download(resource, partial, notes, settings, expected, locked)
    try:
        return place(resource, loaded, folder, settings, owned=True)
    except DamagedArchiveError:
        partial.unlink(missing_ok=True)
        notes.unlink(missing_ok=True)
        raise


def partial_paths(resource: Resource, folder: Path) -> tuple[Path, Path]:
    """Where an unfinished download stands, and what is noted of it."""
    return folder / f"{resource.name}.partial", folder / WORK / f"{resource.name}.partial.json"


def check_file(resource: Resource, path: Path, expected: Mapping[str, str]) -> Download:
    """A file that is on the disk already, as if it had been downloaded; its digests must be known and right."""
    if not path.is_file():
        raise CisweaveError(f"this is not a file; move it away to fetch {resource.name}", path=path)
    if not expected:
        raise CisweaveError(
            f"this was not put here by 'genome fetch' and no checksum of {resource.name} is known; move it away, and "
            "name it in genome.fetch.local_paths if you trust it",
            path=path,
        )
    return compare(resource, path, expected)


def compare(resource: Resource, path: Path, expected: Mapping[str, str]) -> Download:
    """Digests of a file on the disk; those that are expected must be right."""
    from cisweave.genome.resources.download import Download, digest_file

    found = digest_file(path, {"sha256", *expected})
    for algorithm, digest in expected.items():
        if found[algorithm] != digest:
            raise CisweaveError(
                f"this is not {resource.name}: its {algorithm} is {found[algorithm]}, expected is {digest}; replace or "
                "delete the file",
                path=path,
            )
    return Download(path, str(path), path.stat().st_size, found)


def take_local(
    resource: Resource, local: Path, folder: Path, settings: FetchSettings, expected: Mapping[str, str]
) -> Product:
    """Use what the user has: the download itself, or what it unpacks to, which stays where it is."""
    if not local.exists():
        raise CisweaveError(f"genome.fetch.local_paths names this for {resource.name}, and it is not there", path=local)
    if local.is_dir() and resource.unpack in ("none", "gz"):
        raise CisweaveError(f"{resource.name} is a file; genome.fetch.local_paths names a folder", path=local)
    unpacked = local.is_dir() or (resource.unpack == "gz" and not is_gzipped(local))
    if not unpacked:
        return place(resource, compare(resource, local, expected), folder, settings, owned=False)
    LOG.warning("%s: %s is used as it is; checksums are known only of the archive", resource.name, local)
    product = Product(resource.name, str(local), str(local), 0, {})
    if local.is_file():
        loaded = compare(resource, local, {})
        product.files = list_files([(str(local), local, loaded.bytes, loaded.digests["sha256"])])
    product.save(folder)
    return product


def place(resource: Resource, loaded: Download, folder: Path, settings: FetchSettings, *, owned: bool) -> Product:
    """Put a checked download in place, unpacked if it is to be: noted and locked first, moved in one step last."""
    product = Product(resource.name, resource.product, loaded.source, loaded.bytes, dict(loaded.digests))
    if resource.unpack == "none":
        if resource.checksum is None and loaded.path.name.removesuffix(".partial").endswith((".gz", ".bgz")):
            check_gzip(loaded.path)
        product.path = resource.name if owned else str(loaded.path)
        product.files = list_files([(product.path, loaded.path, loaded.bytes, loaded.digests["sha256"])])
        lock_and_note(product, loaded, folder)
        if owned and loaded.path != folder / resource.name:
            os.replace(loaded.path, folder / resource.name)
        return product
    target = aside(folder, resource) / resource.product
    try:
        target.parent.mkdir()
        LOG.info("%s: unpacking %s", resource.name, readable_bytes(loaded.bytes))
        product.files = unpack_aside(resource, loaded.path, target, settings)
        lock_and_note(product, loaded, folder)
        refuse_strangers(resource, folder)
        os.replace(target, folder / resource.product)
    finally:
        shutil.rmtree(target.parent, ignore_errors=True)
    if owned and settings.keep_archives:
        os.replace(loaded.path, folder / resource.name)
    elif owned:
        loaded.path.unlink()
    return product


def aside(folder: Path, resource: Resource) -> Path:
    """Folder in which a resource is unpacked; it exists only meanwhile."""
    return folder / WORK / f"{resource.name}.unpacking"


def unpack_aside(resource: Resource, archive: Path, target: Path, settings: FetchSettings) -> list[ProductFile]:
    """Unpack an archive to ``target`` and list what came out."""
    limits = Limits(int(settings.max_unpacked_gb * 1e9), settings.max_files, settings.max_ratio)
    found = unpack(archive, resource.unpack, target, limits)
    if resource.unpack == "gz":
        return list_files([(resource.product, target, found[0].bytes, found[0].sha256)])
    return list_files(
        (f"{resource.product}/{file.path}", target / file.path, file.bytes, file.sha256) for file in found
    )


def lock_and_note(product: Product, loaded: Download, folder: Path) -> None:
    """Lock the download and note the product, so that what is moved into place next is known whatever happens."""
    record(folder, product.name, Locked(loaded.source, loaded.bytes, loaded.digests["sha256"]))
    product.save(folder)


def write_receipt(resource: Resource, product: Product, folder: Path) -> None:
    """Write the receipt: what was fetched, from where, its checksums, licence and citation; no times of day."""
    write_json(
        receipt_path(folder, resource.name),
        {
            "name": resource.name,
            "version": resource.version,
            "path": product.path,
            "source": product.source,
            "bytes": product.bytes,
            "digests": product.digests,
            "published_checksum": str(resource.checksum) if resource.checksum is not None else None,
            "files": len(product.files),
            "unpacked_bytes": sum(file.bytes for file in product.files),
            "licence": resource.licence,
            "citation": resource.citation,
        },
    )
