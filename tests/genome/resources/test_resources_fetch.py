"""What is there stays and is checked; what is not is fetched once, by one process, in one step."""

from __future__ import annotations

import gzip
import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cisweave.core.errors import CisweaveError
from cisweave.genome.resources import fetch
from cisweave.genome.resources.lock import read_lock
from tests.genome.resources.conftest import Shop, sha256
from tests.genome.resources.server import Server, in_two, serve, status, trickle
from tests.genome.resources.test_resources_unpack import DATA as INSIDE
from tests.genome.resources.test_resources_unpack import GOOD as TAR

DATA = random.Random(5).randbytes(20_000)


def test_unpacked_files_stand_with_a_receipt_and_a_lock(server: Server, shop: Shop) -> None:
    packed = gzip.compress(DATA)
    shop.add("genome.fa.gz", server.on("/g", serve(packed)), unpack="gz", citation="doi:1")
    shop.add("models.tar.gz", server.on("/m", serve(gzip.compress(TAR))), unpack="tar")
    places = shop.fetch("genome.fa.gz", "models.tar.gz", "genome.fa.gz")
    assert places == [shop.folder / "genome.fa", shop.folder / "models"]
    assert (shop.folder / "genome.fa").read_bytes() == DATA
    assert (shop.folder / "models/top/a.bin").read_bytes() == INSIDE
    assert not (shop.folder / "genome.fa.gz").exists()
    receipt = json.loads((shop.folder / ".fetched/genome.fa.gz.json").read_text())
    assert receipt["digests"] == {"sha256": hashlib.sha256(packed).hexdigest()}
    assert (receipt["path"], receipt["unpacked_bytes"], receipt["citation"]) == ("genome.fa", len(DATA), "doi:1")
    assert read_lock(shop.folder)["genome.fa.gz"].bytes == len(packed)
    before = (shop.folder / ".fetched/genome.fa.gz.json").read_bytes()
    shop.fetch("genome.fa.gz", "models.tar.gz", recheck=True)
    assert (shop.folder / ".fetched/genome.fa.gz.json").read_bytes() == before
    assert len(server.seen) == 2


def test_archives_can_be_kept_and_are_unpacked_again(server: Server, shop: Shop) -> None:
    shop.add("a.tar", server.on("/a", serve(TAR)), unpack="tar")
    shop.fetch(keep_archives=True)
    assert (shop.folder / "a.tar").read_bytes() == TAR
    (shop.folder / "a").rename(shop.folder / "elsewhere")
    shop.fetch(keep_archives=True, offline=True)
    assert (shop.folder / "a/top/a.bin").read_bytes() == INSIDE
    assert (shop.folder / "a.tar").exists()


@pytest.mark.parametrize("later", [b"x" * len(DATA), DATA[:-1]])
@pytest.mark.parametrize("name", ["a.bin", "a.gz"])
def test_a_file_that_was_changed_is_an_error_with_both_hashes(
    server: Server, shop: Shop, name: str, later: bytes
) -> None:
    packed = gzip.compress(DATA) if name == "a.gz" else DATA
    shop.add(name, server.on("/a", serve(packed)), unpack="gz" if name == "a.gz" else "none")
    (place,) = shop.fetch()
    place.write_bytes(later)
    now, then = hashlib.sha256(later).hexdigest(), hashlib.sha256(DATA).hexdigest()
    with pytest.raises(CisweaveError, match=f"has changed .*{now}, it was {then}; delete {place} and fetch it again"):
        shop.fetch()
    assert place.read_bytes() == later
    place.unlink()
    shop.fetch()
    assert place.read_bytes() == DATA


def test_a_touched_file_is_hashed_and_kept(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)))
    (place,) = shop.fetch()
    os.utime(place, (1, 1))
    shop.fetch()
    assert len(server.seen) == 1


def test_a_part_that_is_gone_is_an_error(server: Server, shop: Shop) -> None:
    shop.add("a.tar", server.on("/a", serve(TAR)), unpack="tar")
    (place,) = shop.fetch()
    (place / "top/later").unlink()
    with pytest.raises(CisweaveError, match=r"part of a\.tar is gone; delete"):
        shop.fetch()


def test_another_file_than_the_locked_one_is_refused(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)))
    (place,) = shop.fetch()
    place.unlink()
    server.on("/a", serve(DATA[::-1]))
    then, now = hashlib.sha256(DATA).hexdigest(), hashlib.sha256(DATA[::-1]).hexdigest()
    with pytest.raises(CisweaveError, match=rf"{now}, not {then} as locked .*delete the entry a\.bin"):
        shop.fetch()
    assert shop.left() == [".fetched/work/a.bin.state.json", "resources.lock"]
    (shop.folder / "resources.lock").unlink()
    shop.fetch()
    assert place.read_bytes() == DATA[::-1]


def test_the_catalogue_and_the_lock_disagree(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)))
    (place,) = shop.fetch()
    shop.add("a.bin", server.url("/a"), checksum="sha256:" + "0" * 64)
    with pytest.raises(CisweaveError, match="catalogue says sha256 0{64} .*resources.lock says"):
        shop.fetch()
    (shop.folder / "resources.lock").unlink()
    with pytest.raises(CisweaveError, match="was fetched with sha256 .* now says 0{64}"):
        shop.fetch()
    assert place.exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"files": 1}', '{"files": {"a": {}}}', "\xff"])
def test_a_broken_lock_is_named(server: Server, shop: Shop, text: str) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)))
    shop.folder.mkdir()
    (shop.folder / "resources.lock").write_bytes(text.encode("latin1"))
    with pytest.raises(CisweaveError, match=r"resources\.lock"):
        shop.fetch()
    assert shop.left() == ["resources.lock"]


def test_a_broken_note_is_not_used(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)))
    shop.fetch()
    for text in ("{", "[]", '{"files": []}', '{"files": [{}]}'):
        (shop.folder / ".fetched/work/a.bin.state.json").write_text(text)
        shop.fetch()
    assert len(server.seen) == 1


def test_an_unknown_file_is_never_trusted(server: Server, shop: Shop) -> None:
    server.on("/a", serve(DATA))
    shop.folder.mkdir()
    for name in ("a.bin", "b.bin", "c"):
        (shop.folder / name).write_bytes(DATA)
    shop.add("a.bin", server.url("/a"), checksum=sha256(DATA))
    shop.add("b.bin", server.url("/a"))
    shop.add("c.gz", server.url("/a"), unpack="gz")
    shop.add("d.bin", server.url("/a"), checksum=sha256(DATA))
    assert shop.fetch("a.bin") == [shop.folder / "a.bin"]
    with pytest.raises(CisweaveError, match=r"no checksum of b\.bin is known"):
        shop.fetch("b.bin")
    with pytest.raises(CisweaveError, match="was not put here by 'genome fetch'"):
        shop.fetch("c.gz")
    assert shop.fetch("c.gz", local_paths={"c.gz": shop.folder / "c"}) == [shop.folder / "c"]
    (shop.folder / "d.bin").write_bytes(b"other")
    with pytest.raises(CisweaveError, match=r"this is not d\.bin: its sha256 is .*expected is"):
        shop.fetch("d.bin")
    assert server.seen == []


def test_offline(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)))
    with pytest.raises(CisweaveError, match=r"a\.bin is not in .* genome\.fetch\.offline is set"):
        shop.fetch(offline=True)
    assert shop.left() == []
    shop.fetch()
    assert shop.fetch(offline=True) == [shop.folder / "a.bin"]
    assert len(server.seen) == 1


def test_a_licence_has_to_be_accepted(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)), licence="academic use only, see there", accept="some-academic")
    with pytest.raises(
        CisweaveError,
        match=r"genome\.fetch\.accept_licences: \[\] lacks some-academic; a\.bin .*academic use only, see there",
    ):
        shop.fetch()
    assert not shop.folder.exists()
    shop.fetch(accept_licences=["some-academic"])
    assert (shop.folder / "a.bin").exists()


def test_a_local_file_is_used_where_it_stands_and_checked(server: Server, shop: Shop, tmp_path: Path) -> None:
    local = tmp_path / "mine.bin"
    local.write_bytes(DATA)
    shop.add("a.bin", server.on("/a", serve(DATA)), checksum=sha256(DATA))
    link = shop.folder / "a.bin"
    for _ in range(2):
        assert shop.fetch(local_paths={"a.bin": local}, offline=True) == [link]
        assert link.readlink() == local
    local.write_bytes(b"changed")
    with pytest.raises(CisweaveError, match="has changed since it was fetched.*restore it"):
        shop.fetch(local_paths={"a.bin": local})
    assert local.read_bytes() == b"changed"
    with pytest.raises(CisweaveError, match="it is not there"):
        shop.fetch(local_paths={"a.bin": tmp_path / "none"})
    with pytest.raises(CisweaveError, match="names a folder"):
        shop.fetch(local_paths={"a.bin": tmp_path})
    assert server.seen == []
    assert shop.fetch() == [link]
    assert not link.is_symlink()
    assert local.read_bytes() == b"changed"
    with pytest.raises(CisweaveError, match=r"a\.bin is there from http.*and genome\.fetch\.local_paths says .*mine"):
        shop.fetch(local_paths={"a.bin": local})


@pytest.mark.parametrize("name", ["a.bin", "a.gz", "a.tar"])
def test_a_link_leads_to_what_is_used_where_it_stands(server: Server, shop: Shop, tmp_path: Path, name: str) -> None:
    shop.add(name, server.on("/a", status(404)), unpack=name.removeprefix("a.").replace("bin", "none"))
    one, two = tmp_path / "one", tmp_path / "two"
    for local in (one, two):
        file = local / "part" if name == "a.tar" else local
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(DATA)
    link = shop.folder / ("a.bin" if name == "a.bin" else "a")
    for local in (one, one, two, one):
        assert shop.fetch(local_paths={name: local}) == [link]
        assert link.readlink() == local
    link.unlink()
    shop.fetch(local_paths={name: one})
    inode = link.lstat().st_ino
    shop.fetch(local_paths={name: one})
    assert link.lstat().st_ino == inode, "a link that is right is left alone"
    (shop.folder / f".fetched/work/{name}.state.json").unlink()
    assert shop.fetch(local_paths={name: one}) == [link]
    assert shop.fetch(local_paths={name: link}) == [link]
    one.rename(tmp_path / "elsewhere")
    with pytest.raises(CisweaveError, match=rf"local_paths names this for {name}, and it is not there"):
        shop.fetch(local_paths={name: one})
    assert not link.is_symlink()
    (tmp_path / "elsewhere").rename(one)
    shop.fetch(local_paths={name: one})
    one.rename(tmp_path / "elsewhere")
    with pytest.raises(CisweaveError, match="is not in .* genome.fetch.offline is set"):
        shop.fetch(offline=True)
    assert not [left for left in shop.left() if left.endswith(".link")]


@pytest.mark.parametrize("name", ["a.bin", "a.gz"])
def test_a_link_takes_no_place_that_is_taken(server: Server, shop: Shop, tmp_path: Path, name: str) -> None:
    shop.add(name, server.on("/a", status(404)), unpack="gz" if name == "a.gz" else "none")
    (tmp_path / "mine").write_bytes(DATA)
    (tmp_path / "other").write_bytes(b"other")
    shop.folder.mkdir()
    place = shop.folder / ("a" if name == "a.gz" else name)
    place.write_bytes(b"kept")
    for _ in range(2):
        with pytest.raises(CisweaveError, match="was not put here by 'genome fetch'.*move it away"):
            shop.fetch(local_paths={name: tmp_path / "mine"})
        assert place.read_bytes() == b"kept"
    place.unlink()
    place.symlink_to("../other")
    with pytest.raises(CisweaveError, match="was not put here by 'genome fetch'.*move it away"):
        shop.fetch(local_paths={name: tmp_path / "mine"})
    assert place.readlink() == Path("../other")
    place.unlink()
    place.symlink_to("../mine")
    assert shop.fetch(local_paths={name: tmp_path / "mine"}) == [place]
    assert place.readlink() == Path("../mine"), "a link that somebody else made, and that is right"


@pytest.mark.parametrize("step", ["save", "replace", "receipt"])
def test_an_end_while_linking_is_mended_by_the_next_run(
    server: Server, shop: Shop, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCutError(BaseException):
        """Nothing catches it."""

    def cut(*_: object, **__: object) -> None:
        raise PowerCutError

    local = tmp_path / "mine"
    local.write_bytes(DATA)
    shop.add("a.bin", server.on("/a", status(404)))
    targets = {"save": (fetch.Product, "save"), "replace": (fetch.os, "replace"), "receipt": (fetch, "write_receipt")}
    with monkeypatch.context() as patch:
        patch.setattr(*targets[step], cut)
        with pytest.raises(PowerCutError):
            shop.fetch(local_paths={"a.bin": local})
    (place,) = shop.fetch(local_paths={"a.bin": local})
    assert place.readlink() == local
    assert not [left for left in shop.left() if left.endswith(".link")]


def test_a_wrong_local_file_is_refused(server: Server, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes(DATA[::-1])
    shop.add("a.bin", server.on("/a", serve(DATA)), checksum=sha256(DATA))
    with pytest.raises(CisweaveError, match=r"this is not a\.bin"):
        shop.fetch(local_paths={"a.bin": tmp_path / "mine.bin"})
    with pytest.raises(CisweaveError, match=r"local_paths: there is no resource 'a\.bim'.*did you mean a\.bin"):
        shop.fetch(local_paths={"a.bim": tmp_path / "mine.bin"})
    assert shop.left() == []


def test_local_archives_are_unpacked_and_unpacked_ones_used(server: Server, shop: Shop, tmp_path: Path) -> None:
    shop.add("a.tar", server.on("/a", serve(TAR)), unpack="tar")
    shop.add("g.fa.gz", server.on("/g", serve(gzip.compress(DATA))), unpack="gz", checksum="md5:" + "0" * 32)
    (tmp_path / "mine.tar").write_bytes(TAR)
    (tmp_path / "g.fa").write_bytes(b">chr1\nACGT\n")
    local = {"a.tar": tmp_path / "mine.tar", "g.fa.gz": tmp_path / "g.fa"}
    for _ in range(2):
        assert shop.fetch("a.tar", "g.fa.gz", local_paths=local) == [shop.folder / "a", shop.folder / "g.fa"]
    assert not (shop.folder / "a").is_symlink()
    assert (shop.folder / "g.fa").readlink() == tmp_path / "g.fa"
    assert (tmp_path / "mine.tar").exists()
    assert shop.fetch("a.tar") == [shop.folder / "a"]
    with pytest.raises(CisweaveError, match=r"a\.tar is there from .*mine\.tar, and genome\.fetch\.local_paths says"):
        shop.fetch("a.tar", local_paths={"a.tar": tmp_path / "other.tar"})
    assert shop.fetch("a.tar", local_paths={"a.tar": shop.folder / "a"}) == [shop.folder / "a"]
    assert server.seen == []


def test_a_folder_that_cannot_be_written_to(server: Server, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)))
    shop.folder.write_text("a file")
    with pytest.raises(CisweaveError, match="check that the folder can be written to"):
        shop.fetch()
    assert shop.folder.read_text() == "a file"
    shop.folder.unlink()
    replace = os.replace

    def read_only(source: Path, target: Path) -> None:
        if Path(target).name == "a.bin":
            raise OSError(30, "Read-only file system", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", read_only)
    with pytest.raises(CisweaveError, match="Read-only file system; check"):
        shop.fetch()
    assert "a.bin" not in shop.left()


def test_a_folder_where_nobody_may_write(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)))
    shop.folder.mkdir(mode=0o555)
    shop.folder = Path("/proc/resources") if os.geteuid() == 0 else shop.folder
    with pytest.raises(CisweaveError, match="check that the folder can be written to"):
        shop.fetch()
    assert server.seen == []


def fetch_elsewhere(shop: Shop, done: multiprocessing.Queue) -> None:
    done.put(str(shop.fetch(read_timeout_s=5)[0]))


def test_several_processes_and_threads_fetch_once(server: Server, shop: Shop) -> None:
    shop.add("a.tar", server.on("/a", in_two(TAR, 0.4)), unpack="tar")
    context = multiprocessing.get_context("fork")
    done = context.Queue()
    workers: list = [context.Process(target=fetch_elsewhere, args=(shop, done)) for _ in range(2)]
    workers += [threading.Thread(target=fetch_elsewhere, args=(shop, done)) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert {done.get(timeout=10) for _ in workers} == {str(shop.folder / "a")}
    for worker in workers:
        worker.join(5)
    assert len(server.seen) == 1


def test_waiting_for_another_process_ends(server: Server, shop: Shop) -> None:
    from filelock import FileLock

    shop.add("a.bin", server.on("/a", serve(DATA)))
    (shop.folder / ".fetched/work").mkdir(parents=True)
    with FileLock(shop.folder / ".fetched/work/a.bin.lock"), pytest.raises(CisweaveError, match="another process"):
        shop.fetch(queue_timeout_s=0.2)


PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from cisweave.config.sections import FetchSettings
from cisweave.genome.resources.fetch import fetch_resources
fetch_resources(["a.tar"], sys.argv[1], FetchSettings(read_timeout_s=5, lowest_speed=0), sys.argv[2])
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_process_leaves_what_can_be_resumed(server: Server, shop: Shop, kind: int) -> None:
    shop.add("a.tar", server.on("/a", trickle(TAR, 0.01), serve(TAR)), unpack="tar")
    command = [sys.executable, "-c", PROGRAM, str(shop.folder), str(shop.catalogue)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        for _ in range(1000):
            if (shop.folder / "a.tar.partial").exists():
                break
            time.sleep(0.01)
        time.sleep(0.05)
        process.send_signal(kind)
        try:
            process.wait(10)
        finally:
            process.kill()
    assert shop.left() == ["a.tar.partial"]
    shop.fetch()
    assert (shop.folder / "a/top/a.bin").read_bytes() == INSIDE


@pytest.mark.parametrize("name", ["a.bin", "a.tar"])
@pytest.mark.parametrize("step", ["record", "save", "replace", "receipt"])
def test_an_end_at_any_step_is_mended_by_the_next_run(
    server: Server, shop: Shop, name: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCutError(BaseException):
        """Nothing catches it."""

    def cut(*_: object, **__: object) -> None:
        raise PowerCutError

    targets = {
        "record": (fetch, "record"),
        "save": (fetch.Product, "save"),
        "replace": (fetch.os, "replace"),
        "receipt": (fetch, "write_receipt"),
    }
    shop.add(name, server.on("/a", serve(TAR)), unpack="tar" if name == "a.tar" else "none")
    with monkeypatch.context() as patch:
        patch.setattr(*targets[step], cut)
        with pytest.raises(PowerCutError):
            shop.fetch()
    (place,) = shop.fetch()
    file = place / "top/a.bin" if name == "a.tar" else place
    assert file.read_bytes() == (INSIDE if name == "a.tar" else TAR)
    assert not [left for left in shop.left() if "partial" in left or "unpacking" in left]


def test_what_killed_processes_left_is_cleared_away(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)))
    work = shop.folder / ".fetched/work"
    (work / "a.bin.unpacking").mkdir(parents=True)
    mine = [work / ".partial-12-a.bin.state.json", work / ".partial-9-a.bin.partial.json"]
    mine += [shop.folder / ".partial-3-resources.lock", shop.folder / ".fetched/.partial-7-a.bin.json"]
    others = [work / ".partial-12-x-a.bin.state.json", shop.folder / ".fetched/.partial-7-another.bin.json"]
    for path in (*mine, *others):
        path.write_text("{")
    shop.fetch()
    assert not any(path.exists() for path in mine)
    assert all(path.exists() for path in others)
    assert not (work / "a.bin.unpacking").exists()


def test_the_receipt_goes_when_the_file_is_gone(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA), status(404)))
    (place,) = shop.fetch()
    place.unlink()
    with pytest.raises(CisweaveError, match="404"):
        shop.fetch()
    assert not (shop.folder / ".fetched/a.bin.json").exists()


def test_the_file_stays_known_when_the_receipt_is_gone(server: Server, shop: Shop) -> None:
    shop.add("a.tar", server.on("/a", serve(TAR)), unpack="tar")
    shop.fetch()
    (shop.folder / ".fetched/a.tar.json").unlink()
    shop.fetch()
    assert (shop.folder / ".fetched/a.tar.json").exists()
    assert len(server.seen) == 1
