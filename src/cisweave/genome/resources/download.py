"""One file over HTTP into a ``.partial`` file: resumed, tried again, from mirrors, and checked to the last byte."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import os
import re
import shutil
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3

from cisweave import __version__
from cisweave.config.sections import FetchSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import WEB_PAGE, read_json, write_json
from cisweave.core.logs import get_logger
from cisweave.genome.resources.catalogue import Resource, check_address, readable_bytes
from cisweave.genome.resources.lock import LOCK_NAME

LOG = get_logger(__name__)
CHUNK = 1 << 20
#: Bytes of a file that are looked at before any are kept.
SNIFF = 512
#: Free space left over after a download, in bytes.
MARGIN = 16 << 20
#: A try that brought this many new bytes does not count against the tries.
PROGRESS = 1 << 20
#: Statuses of a server that may do better a moment later.
PASSING = {408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524}
MAGIC = {
    (".gz", ".tgz"): (b"\x1f\x8b", "gzip"),
    (".zip",): (b"PK", "zip"),
    (".bz2",): (b"BZh", "bzip2"),
    (".xz",): (b"\xfd7zXZ", "xz"),
    (".h5", ".hdf5"): (b"\x89HDF", "HDF5"),
}
HINT = "check the network, or name a copy that you have in genome.fetch.local_paths"


@dataclass(frozen=True)
class Download:
    """A complete, checked download: its file, where it came from, its size in bytes and its digests by algorithm."""

    path: Path
    source: str
    bytes: int
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Validators:
    """What tells whether the file behind an address is still the one a ``.partial`` file began with."""

    url: str
    etag: str | None
    modified: str | None
    total: int | None

    @property
    def condition(self) -> str | None:
        """The value of If-Range, or None where the server gave nothing strong enough."""
        return self.strong or self.modified

    @property
    def strong(self) -> str | None:
        """The ETag if equal ones mean equal bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else None

    def allows(self, now: Validators) -> bool:
        """Whether an answer may be of the same file: neither its size nor its ETag, or else its date, differ."""
        tags = (self.strong, now.strong) if self.strong and now.strong else (self.modified, now.modified)
        return all(then is None or later is None or then == later for then, later in (tags, (self.total, now.total)))


class FailedTryError(Exception):
    """Why a try failed, in one printable line: servers put anything into their answers."""

    def __init__(self, reason: str):
        words = "".join(character if character.isprintable() else " " for character in reason).split()
        text = " ".join(words)
        super().__init__(text if len(text) <= 600 else text[:600] + "…")


class RefusedError(FailedTryError):
    """An address will not give the file, however often it is asked."""


class BrokenError(FailedTryError):
    """A try failed, the next may not; ``wait`` is what the server asks to wait, in seconds."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


class _Session(requests.Session):
    """A session that never follows a redirect to an address that the catalogue would not be allowed to hold."""

    def __init__(self, resource: Resource, has_checksum: bool):
        super().__init__()
        self.resource = resource if has_checksum else replace(resource, checksum=None)
        self.max_redirects = 10
        self.headers.update({"User-Agent": f"cisweave/{__version__}", "Accept-Encoding": "identity"})

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """The address a response points to, if it does and if it may."""
        target = super().get_redirect_target(resp)
        if target is not None:
            address = urljoin(resp.url, target)
            try:
                check_address(address, self.resource.checksum)
            except ValueError as error:
                raise RefusedError(f"redirected to where nothing is fetched from: {error}") from error
        return target


def download(
    resource: Resource, partial: Path, notes: Path, settings: FetchSettings, expected: Mapping[str, str], locked: bool
) -> Download:
    """Download a resource into ``partial``.

    Parameters
    ----------
    resource
        Its addresses are tried in order, each up to ``settings.attempts`` times without progress.
    partial
        File the bytes go to. What is in it already is continued if the server can prove that its file is the same;
        after an error or an interrupt it is left to be continued, unless its bytes are known to be wrong.
    notes
        JSON beside it: address, validators and size of the file that ``partial`` is the beginning of.
    expected
        Digests that the file must have, by algorithm; may be empty.
    locked
        Whether ``expected`` holds the digest of resources.lock (for the message).

    Raises
    ------
    CisweaveError
        When no address gives the file, with the reason for each, or when the disk is too small.
    """
    failures = []
    with closing(_Session(resource, bool(expected))) as session:
        for address in resource.addresses:
            attempt = _Attempts(resource, partial, notes, settings, expected, locked, session, address)
            try:
                return attempt.run()
            except RefusedError as reason:
                if not attempt.size():
                    attempt.restart()
                LOG.warning("%s: %s: %s", resource.name, address, reason)
                failures.append(f"{address}: {reason}")
    raise CisweaveError(f"{resource.name} could not be fetched ({'; '.join(failures)}); {HINT}")


@dataclass
class _Attempts:
    """All tries at one address."""

    resource: Resource
    partial: Path
    notes: Path
    settings: FetchSettings
    expected: Mapping[str, str]
    locked: bool
    session: _Session
    address: str
    mismatches: int = 0

    def run(self) -> Download:
        """Try until the file is there; RefusedError when that is not to be."""
        tries, best = 0, self.size()
        while True:
            try:
                return self.once()
            except BrokenError as reason:
                if self.size() >= best + PROGRESS:
                    tries, best = 0, self.size()
                tries += 1
                if tries >= self.settings.attempts:
                    raise RefusedError(f"{reason}, after {tries} {'try' if tries == 1 else 'tries'}") from reason
                self.wait(reason, tries)

    def wait(self, reason: BrokenError, tries: int) -> None:
        """Wait as long as the server asks, or exponentially longer."""
        seconds = self.settings.backoff_s * 2 ** (tries - 1)
        if reason.wait is not None:
            seconds = max(seconds, reason.wait)
            if reason.wait > self.settings.longest_wait_s:
                raise RefusedError(f"{reason}, and the server asks to wait {reason.wait:.0f} s") from reason
        seconds = min(seconds, self.settings.longest_wait_s)
        LOG.info("%s: %s; next try in %.1f s", self.resource.name, reason, seconds)
        time.sleep(seconds)

    def size(self) -> int:
        """Bytes that are there already."""
        return self.partial.stat().st_size if self.partial.is_file() else 0

    def restart(self) -> None:
        """Forget what is there."""
        self.partial.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def resumable(self) -> tuple[int, str | None]:
        """How many bytes can be continued, and the If-Range condition; a condition is needed without a checksum."""
        size = self.size()
        if not size:
            return 0, None
        noted = read_validators(self.notes)
        condition = noted.condition if noted is not None and noted.url == self.address else None
        if noted is None or (condition is None and not self.expected):
            self.restart()
            return 0, None
        return size, condition

    def once(self) -> Download:
        """One request; none if the bytes are all here and only have to be checked."""
        if self.expected and self.size() and self.size() == (read_total(self.notes) or self.resource.bytes):
            return self.verify()
        offset, condition = self.resumable()
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        if offset and condition is not None:
            headers["If-Range"] = condition
        timeout = (self.settings.connect_timeout_s, self.settings.read_timeout_s)
        with network_errors():
            response = self.session.get(self.address, headers=headers, stream=True, timeout=timeout)
        with closing(response):
            accepted = self.accept(response, offset)
            if accepted is not None:
                self.receive(response, *accepted)
        return self.verify()

    def accept(self, response: requests.Response, offset: int) -> tuple[int, Validators] | None:
        """The byte the body begins at and what the server says of its file; None where everything is here already."""
        status = response.status_code
        if status == 416 and offset:
            if response.headers.get("Content-Range", "").strip() == f"bytes */{offset}":
                return None
            self.restart()
            raise BrokenError("the file there is shorter than what is here", wait=0)
        if status == 206 and offset:
            match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
            noted = read_validators(self.notes)
            total = None if match is None or match[3] == "*" else int(match[3])
            validators = self.describe(response, total)
            if match is None or int(match[1]) != offset or noted is None or not noted.allows(validators):
                self.restart()
                raise BrokenError("the server answered with another part of the file", wait=0)
            return offset, replace(noted, total=total or noted.total)
        if status != 200:
            reason = f"HTTP {status} {response.reason or ''}".rstrip()
            if status in PASSING:
                raise BrokenError(reason, wait=retry_after(response))
            raise RefusedError(reason)
        length = response.headers.get("Content-Length", "")
        return 0, self.describe(response, int(length) if length.isascii() and length.isdecimal() else None)

    def describe(self, response: requests.Response, total: int | None) -> Validators:
        """What the server says of its file, checked; the free space is looked at too."""
        known = self.resource.bytes
        if total is not None and known is not None and total != known:
            raise RefusedError(f"the file there has {total} bytes, the catalogue says {known}")
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding not in ("identity", "") and not self.resource.name.endswith((".gz", ".tgz")):
            raise RefusedError(f"the server sends it compressed ({encoding}) though asked not to")
        headers = response.headers
        check_space(self.partial.parent, self.resource, total or known, self.size())
        return Validators(self.address, headers.get("ETag"), headers.get("Last-Modified"), total)

    def receive(self, response: requests.Response, start: int, validators: Validators) -> None:
        """Write the body from byte ``start`` on.

        The notes tell of the bytes on the disk only: what is there of an older file goes before they are written anew.
        """
        pieces = self.pieces(response)
        head = b""
        if start == 0:
            for piece in pieces:
                head += piece
                if len(head) >= SNIFF:
                    break
            check_head(head, self.resource, response)
            self.restart()
        write_json(self.notes, validators.__dict__)
        with (
            show_progress(self.resource.name, validators.total, start) as advance,
            open(self.partial, "ab" if start else "wb") as handle,
        ):
            handle.write(head)
            advance(len(head))
            for piece in pieces:
                handle.write(piece)
                advance(len(piece))
            handle.flush()
            os.fsync(handle.fileno())
        self.warn_of_unknown_end(response)

    def warn_of_unknown_end(self, response: requests.Response) -> None:
        """Say so where nothing tells a whole file from one that was cut off."""
        told = (
            "Content-Length" in response.headers or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        )
        checked = bool(self.expected) or self.resource.bytes is not None or has_own_end(self.resource)
        if not told and not checked:
            LOG.warning(
                "%s: the server did not say how long the file is and no checksum is known, so a connection that broke "
                "early would not show; compare the file with its source, or give its size or checksum in the catalogue",
                self.resource.name,
            )

    def pieces(self, response: requests.Response) -> Iterator[bytes]:
        """The body as it comes; BrokenError when it stops, stalls or crawls."""
        began, count = time.monotonic(), 0
        while True:
            with network_errors():
                piece: bytes = response.raw.read1(CHUNK, decode_content=False)
            if not piece:
                return
            yield piece
            count += len(piece)
            elapsed = time.monotonic() - began
            if elapsed > self.settings.read_timeout_s:
                if count < elapsed * self.settings.lowest_speed:
                    raise BrokenError(f"only {count / elapsed:.0f} bytes per second came")
                began, count = time.monotonic(), 0

    def verify(self) -> Download:
        """Check size and digests; wrong bytes are deleted and asked for once more."""
        size, total = self.size(), read_total(self.notes) or self.resource.bytes
        if total is not None and size < total:
            raise BrokenError(f"the connection ended after {size} of {total} bytes")
        digests = digest_file(self.partial, {"sha256", *self.expected})
        wrong = [algorithm for algorithm, digest in self.expected.items() if digests[algorithm] != digest]
        if not wrong and (total is None or size == total):
            return Download(self.partial, self.address, size, digests)
        self.restart()
        if not wrong:
            raise RefusedError(f"{size} bytes came instead of {total}")
        reason = f"its {wrong[0]} is {digests[wrong[0]]}, not {self.expected[wrong[0]]}"
        self.mismatches += 1
        if self.mismatches < 2 and self.settings.attempts > 1:
            raise BrokenError(reason, wait=0)
        raise RefusedError(reason + self.advice(wrong[0]))

    def advice(self, algorithm: str) -> str:
        """What to do about bytes that are not the expected ones."""
        published = self.resource.checksum
        if self.locked and (published is None or published.algorithm != algorithm):
            return (
                f" as locked in {LOCK_NAME} at the first download: the file there has changed; if you trust the new "
                f"one, delete the entry {self.resource.name} from {LOCK_NAME} and fetch again"
            )
        return " as the catalogue says"


@contextmanager
def network_errors() -> Iterator[None]:
    """Turn what requests and urllib3 raise into RefusedError or BrokenError."""
    try:
        yield
    except requests.exceptions.TooManyRedirects as error:
        raise RefusedError("it redirects again and again") from error
    except requests.exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise RefusedError("its certificate cannot be verified") from error
        raise BrokenError(f"the encrypted connection failed ({innermost(error)})") from error
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
        raise BrokenError("the server did not answer in time") from error
    except requests.exceptions.ProxyError as error:
        raise BrokenError(f"the proxy failed ({innermost(error)})") from error
    except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        if isinstance(innermost(error), TimeoutError):
            raise BrokenError("the server did not answer in time") from error
        raise BrokenError(f"the connection failed ({innermost(error)})") from error
    except requests.exceptions.RequestException as error:
        raise RefusedError(str(error)) from error
    except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as error:
        raise BrokenError(f"the connection failed ({innermost(error)})") from error
    except ValueError as error:
        raise RefusedError(f"the server's answer makes no sense ({error})") from error


def innermost(error: BaseException) -> BaseException:
    """The first cause of an error, whose message is the plain one."""
    while True:
        cause = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(cause, BaseException) or cause is error:
            return error
        error = cause


def retry_after(response: requests.Response) -> float | None:
    """Seconds that a Retry-After header asks to wait, be it a number or a date; None without one."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


def has_own_end(resource: Resource) -> bool:
    """Whether a file that was cut off shows as such when it is read: archives and compressed files."""
    return resource.unpack != "none" or resource.name.endswith((".gz", ".bgz"))


def check_head(head: bytes, resource: Resource, response: requests.Response) -> None:
    """Raise RefusedError if the first bytes show that this is not the file, but a web page for example."""
    kind = response.headers.get("Content-Type", "").lower()
    if WEB_PAGE.match(head) or ("text/html" in kind and head.lstrip()[:1] == b"<"):
        raise RefusedError("a web page came instead of the file (a notice, or a page to log in)")
    if not head:
        raise RefusedError("an empty file came")
    for endings, (magic, kind) in MAGIC.items():
        if resource.name.endswith(endings) and not head.startswith(magic):
            raise RefusedError(f"what came is not a {kind} file")


def check_space(folder: Path, resource: Resource, total: int | None, there: int) -> None:
    """Raise unless the disk holds the rest of the download and, at the least, as much again if it is unpacked."""
    if total is None:
        return
    needed = total - min(there, total) + (total if resource.unpack != "none" else 0) + MARGIN
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CisweaveError(
            f"{resource.name} needs at least {readable_bytes(needed)} of free space, {readable_bytes(free)} are left; "
            "make room, or fetch into another folder",
            path=folder,
        )


def read_validators(notes: Path) -> Validators | None:
    """What was noted when a partial file was begun; None if that cannot be told."""
    try:
        found: dict[str, Any] = read_json(notes)
        return Validators(**found)
    except (CisweaveError, OSError, TypeError):
        return None


def read_total(notes: Path) -> int | None:
    """Size of the whole file as the server told it, if it did."""
    noted = read_validators(notes)
    return noted.total if noted is not None and isinstance(noted.total, int) else None


def digest_file(path: Path, algorithms: set[str]) -> dict[str, str]:
    """Digests of a file, all in one reading."""
    digests = {algorithm: hashlib.new(algorithm) for algorithm in sorted(algorithms)}
    with open(path, "rb") as handle:
        while chunk := handle.read(CHUNK):
            for digest in digests.values():
                digest.update(chunk)
    return {algorithm: digest.hexdigest() for algorithm, digest in digests.items()}


@contextmanager
def show_progress(name: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """Give a function to be told of every new byte: a bar on a terminal, else a line at the start and every 30 s."""
    size = "" if total is None else f" of {readable_bytes(total)}"
    if sys.stderr.isatty():
        with _bar(name, total, done) as advance:
            yield advance
        return
    LOG.info("%s: downloading%s%s", name, size, f", from {readable_bytes(done)} on" if done else "")
    count, told = done, time.monotonic()

    def advance_quietly(new: int) -> None:
        nonlocal count, told
        count += new
        if time.monotonic() - told > 30:
            told = time.monotonic()
            LOG.info("%s: %s%s", name, readable_bytes(count), size)

    yield advance_quietly


@contextmanager
def _bar(name: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """Rich's progress bar, drawn at most five times a second and without a thread of its own."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as progress:
        task = progress.add_task(name, total=total, completed=done)
        drawn = 0.0

        def advance(new: int) -> None:
            nonlocal drawn
            progress.advance(task, new)
            if time.monotonic() - drawn > 0.2:
                drawn = time.monotonic()
                progress.refresh()

        yield advance
