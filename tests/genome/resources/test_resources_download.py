"""Downloads from a server that cuts, stalls, lies and moves: the file is right, or nothing is there."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from cisweave.core.errors import CisweaveError
from cisweave.genome.resources import download
from tests.genome.resources.conftest import Shop, sha256
from tests.genome.resources.server import Handler, Server, redirect, running, serve, status, trickle

DATA = random.Random(7).randbytes(40_000)
GOOD = [".fetched/a.bin.json", ".fetched/work/a.bin.state.json", "a.bin", "resources.lock"]


def test_a_file_is_fetched_checked_locked_and_not_asked_for_again(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)), checksum=sha256(DATA), bytes=str(len(DATA)))
    for _ in range(2):
        assert shop.fetch() == [shop.folder / "a.bin"]
        assert (shop.folder / "a.bin").read_bytes() == DATA
        assert shop.left() == GOOD
    assert len(server.seen) == 1


@pytest.mark.parametrize("options", [{"chunked": True}, {"ranges": False}, {"etag": None}], ids=str)
def test_servers_without_length_ranges_or_etag(server: Server, shop: Shop, options: dict) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA, **options)))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA


@pytest.mark.parametrize("cut", [0, 1, 511, 513, *random.Random(1).sample(range(len(DATA)), 3), len(DATA) - 1])
def test_a_cut_connection_is_resumed_from_the_next_byte(server: Server, shop: Shop, cut: int) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA, cut=cut), serve(DATA)))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA
    first, second = server.requests("/a")
    assert "Range" not in first
    if cut > 513:
        assert (second["Range"], second["If-Range"]) == (f"bytes={cut}-", '"one"')


def test_many_cuts_with_progress_do_not_use_up_the_tries(
    server: Server, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PROGRESS", 1000)
    shop.add("a.bin", server.on("/a", *[serve(DATA, cut=4000)] * 9, serve(DATA)))
    shop.fetch(attempts=2)
    assert (shop.folder / "a.bin").read_bytes() == DATA


def test_a_cut_without_end_leaves_what_can_be_resumed(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA, cut=9000)))
    with pytest.raises(CisweaveError, match=r"a\.bin could not be fetched .*connection.*after 2 tries.*local_paths"):
        shop.fetch(attempts=2)
    assert shop.left() == ["a.bin.partial"]
    assert (shop.folder / "a.bin.partial").read_bytes() == DATA[:18_000]
    server.on("/a", serve(DATA))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA
    assert server.requests("/a")[-1]["Range"] == "bytes=18000-"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("ranges", [False, True])
def test_a_file_that_changed_meanwhile_is_begun_anew(server: Server, shop: Shop, known: bool, ranges: bool) -> None:
    new = bytes(reversed(DATA))
    checksum = sha256(new) if known else ""
    answers = serve(DATA, cut=9000), serve(new, etag='"two"', ranges=ranges)
    shop.add("a.bin", server.on("/a", *answers), checksum=checksum)
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == new


def test_a_file_that_changed_between_runs_is_begun_anew(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA, cut=9000)))
    with pytest.raises(CisweaveError):
        shop.fetch(attempts=1)
    for new in (DATA[::-1], DATA[:5000], DATA[:9000]):
        server.on("/a", serve(new, etag='"two"'))
        partial = (shop.folder / "a.bin.partial").read_bytes()
        shop.fetch()
        assert (shop.folder / "a.bin").read_bytes() == new
        for name in ("a.bin", "resources.lock"):
            (shop.folder / name).unlink()
        (shop.folder / "a.bin.partial").write_bytes(partial)


class KilledError(BaseException):
    """Nothing catches it."""


@pytest.mark.parametrize("second", [0, 100, 511, 600, 5000])
@pytest.mark.parametrize("runs", ["one run", "three runs"])
def test_two_versions_are_never_mixed(server: Server, shop: Shop, second: int, runs: str) -> None:
    old, new = random.Random(1).randbytes(300_000), random.Random(2).randbytes(300_000)
    answers = serve(old, cut=200_000), serve(new, etag='"two"', cut=second), serve(new, etag='"two"')
    shop.add("a.bin", server.on("/a", *answers))
    for _ in range(2 if runs == "three runs" else 0):
        with pytest.raises(CisweaveError, match=r"after 1 try"):
            shop.fetch(attempts=1)
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == new
    assert len(server.seen) == 3


@pytest.mark.parametrize("second", [100, 5000])
@pytest.mark.parametrize("step", ["restart", "notes", "noted", "opened"])
def test_two_versions_are_never_mixed_by_a_kill_between(
    server: Server, shop: Shop, step: str, second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = random.Random(1).randbytes(300_000), random.Random(2).randbytes(300_000)
    shop.add("a.bin", server.on("/a", serve(old, cut=200_000)))
    with pytest.raises(CisweaveError, match=r"after 1 try"):
        shop.fetch(attempts=1)
    server.on("/a", serve(new, etag='"two"', cut=second), serve(new, etag='"two"'))
    write = download.write_json

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    def write_and_die(path: Path, value: object) -> None:
        write(path, value)
        raise KilledError

    with monkeypatch.context() as patch:
        if step == "restart":
            patch.setattr(download._Attempts, "restart", killed)
        elif step == "opened":
            patch.setattr(download, "show_progress", killed)
        else:
            patch.setattr(download, "write_json", killed if step == "notes" else write_and_die)
        with pytest.raises((KilledError, CisweaveError)):
            shop.fetch(attempts=1)
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == new


def test_a_page_to_log_in_does_not_cost_what_is_here(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA, cut=9000), serve(b"<html>log in", etag=None), serve(DATA)))
    for message in ("after 1 try", "web page"):
        with pytest.raises(CisweaveError, match=message):
            shop.fetch(attempts=1)
    shop.fetch()
    assert server.requests("/a")[-1]["Range"] == "bytes=9000-"
    assert (shop.folder / "a.bin").read_bytes() == DATA


def test_a_server_that_heeds_no_condition_is_found_out(server: Server, shop: Shop) -> None:
    def careless(handler: Handler) -> None:
        new = DATA[::-1]
        headers = {"ETag": '"two"', "Content_Range": f"bytes 9000-{len(DATA) - 1}/{len(DATA)}"}
        handler.head(206, Content_Length=len(DATA) - 9000, **headers)
        handler.wfile.write(new[9000:])

    shop.add("a.bin", server.on("/a", serve(DATA, cut=9000), careless, serve(DATA[::-1], etag='"two"')))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA[::-1]


def test_a_part_without_validators_keeps_those_known(server: Server, shop: Shop) -> None:
    def terse(handler: Handler) -> None:
        handler.head(206, Content_Length=31_000, Content_Range=f"bytes 9000-{len(DATA) - 1}/*")
        handler.wfile.write(DATA[9000:10_000])
        handler.hang_up()

    shop.add("a.bin", server.on("/a", serve(DATA, cut=9000), terse, serve(DATA)))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA
    assert (server.requests("/a")[2]["Range"], server.requests("/a")[2]["If-Range"]) == ("bytes=10000-", '"one"')


def test_a_cut_chunked_answer_is_no_whole_file(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA, chunked=True, cut=9000), serve(DATA, chunked=True)))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA


@pytest.mark.parametrize(
    ("name", "cells", "warned"),
    [
        ("a.bin", {}, True),
        ("a.bin", {"bytes": str(len(DATA))}, False),
        ("a.bin", {"checksum": sha256(DATA)}, False),
        ("a.gz", {}, False),
    ],
    ids=["nothing", "size", "checksum", "gzip"],
)
def test_an_end_that_cannot_be_told_is_warned_of(
    server: Server, shop: Shop, name: str, cells: dict, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    data = gzip.compress(DATA) if name == "a.gz" else DATA
    shop.add(name, server.on("/a", serve(data, endless=True)), **cells)
    shop.fetch()
    assert (shop.folder / name).read_bytes() == data
    assert ("did not say how long the file is" in caplog.text) == warned


@pytest.mark.parametrize("cells", [{"bytes": str(len(DATA))}, {"checksum": sha256(DATA)}], ids=["size", "checksum"])
def test_a_known_size_or_checksum_tells_a_cut_off_file(server: Server, shop: Shop, cells: dict) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA, endless=True, cut=9000), serve(DATA, endless=True)), **cells)
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA


def test_without_validators_only_a_checksum_allows_to_resume(server: Server, shop: Shop) -> None:
    for checksum, asked in ((sha256(DATA), "bytes=9000-"), ("", None)):
        server.seen.clear()
        shop.add("a.bin", server.on("/a", serve(DATA, etag=None, cut=9000), serve(DATA, etag=None)), checksum=checksum)
        shop.fetch()
        assert server.requests("/a")[1].get("Range") == asked
        assert (shop.folder / "a.bin").read_bytes() == DATA
        shutil.rmtree(shop.folder)


def test_a_weak_etag_is_no_proof_but_a_date_is(server: Server, shop: Shop) -> None:
    date = email.utils.formatdate(1e9, usegmt=True)
    answer = {"etag": 'W/"one"', "modified": date}
    shop.add("a.bin", server.on("/a", serve(DATA, cut=9000, **answer), serve(DATA, **answer)))
    shop.fetch()
    assert server.requests("/a")[1]["If-Range"] == date


def test_wrong_bytes_are_named_and_gone(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA[::-1])), checksum=sha256(DATA))
    wrong, right = hashlib.sha256(DATA[::-1]).hexdigest(), hashlib.sha256(DATA).hexdigest()
    with pytest.raises(CisweaveError, match=f"sha256 is {wrong}, not {right} as the catalogue says"):
        shop.fetch()
    assert shop.left() == []
    assert len(server.seen) == 2


def test_wrong_bytes_once_are_asked_for_again(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA[::-1]), serve(DATA)), checksum=sha256(DATA))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA


def test_a_publishers_md5_is_enforced_and_the_sha256_locked(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA)), checksum="md5:" + hashlib.md5(DATA).hexdigest())
    shop.fetch()
    assert hashlib.sha256(DATA).hexdigest() in (shop.folder / "resources.lock").read_text()
    shop.add("b.bin", server.url("/a"), checksum="md5:" + "0" * 32)
    with pytest.raises(CisweaveError, match="md5 is .* not 0{32}"):
        shop.fetch("b.bin")
    assert shop.left() == GOOD


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451, 204])
def test_a_refusal_is_not_asked_again(server: Server, shop: Shop, code: int) -> None:
    shop.add("a.bin", server.on("/a", status(code, b"" if code == 204 else b"no")))
    with pytest.raises(CisweaveError, match=f"HTTP {code}"):
        shop.fetch()
    assert shop.left() == []
    assert len(server.seen) == 1


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(server: Server, shop: Shop, code: int) -> None:
    shop.add("a.bin", server.on("/a", status(code), serve(DATA)))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA


def test_a_server_in_trouble_for_good(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", status(500)))
    with pytest.raises(CisweaveError, match="HTTP 500 .*after 3 tries"):
        shop.fetch()
    assert shop.left() == []
    assert len(server.seen) == 3


@pytest.mark.parametrize("dated", [False, True])
@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_respected(
    server: Server, shop: Shop, code: int, dated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    asked = email.utils.formatdate(time.time() + 31, usegmt=True) if dated else "30"
    shop.add("a.bin", server.on("/a", status(code, Retry_After=asked), serve(DATA)))
    shop.fetch()
    assert waits == [pytest.approx(30, abs=2)]


def test_a_wait_too_long_goes_to_the_mirror(server: Server, shop: Shop) -> None:
    busy = server.on("/a", status(503, Retry_After="9999"))
    shop.add("a.bin", busy, mirror=server.on("/b", serve(DATA)))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA
    assert len(server.requests("/a")) == 1


def test_waits_double(server: Server, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    shop.add("a.bin", server.on("/a", status(500)))
    with pytest.raises(CisweaveError):
        shop.fetch(attempts=6, backoff_s=1, longest_wait_s=7)
    assert waits == [1, 2, 4, 7, 7]


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Log in", b"\n\n <HTML><head>", b"\xef\xbb\xbf<html lang=en>"])
def test_a_web_page_instead_of_the_file(server: Server, shop: Shop, page: bytes, kind: str) -> None:
    shop.add("a.tar.gz", server.on("/a", serve(page, kind=kind)), unpack="tar")
    with pytest.raises(CisweaveError, match="web page"):
        shop.fetch()
    assert shop.left() == []


@pytest.mark.parametrize("name", ["a.gz", "a.zip", "a.h5", "a.bin"])
def test_something_else_instead_of_the_file(server: Server, shop: Shop, name: str) -> None:
    shop.add(name, server.on("/a", serve(b"" if name == "a.bin" else b"no such file, sorry")))
    with pytest.raises(CisweaveError, match="not a .* file|empty file"):
        shop.fetch()
    assert shop.left() == []


def test_a_text_that_a_server_calls_html_is_taken(server: Server, shop: Shop) -> None:
    shop.add("a.txt", server.on("/a", serve(b"gene\tvalue\n", kind="text/html")))
    shop.fetch()
    assert (shop.folder / "a.txt").read_bytes() == b"gene\tvalue\n"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Server, shop: Shop, code: int) -> None:
    server.on("/b", serve(DATA))
    shop.add("a.bin", server.on("/a", redirect("/b", code)))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA


def test_a_redirect_in_a_circle(server: Server, shop: Shop) -> None:
    server.on("/b", redirect("/a"))
    shop.add("a.bin", server.on("/a", redirect("/b")))
    with pytest.raises(CisweaveError, match="redirects again and again"):
        shop.fetch()
    assert shop.left() == []


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://example.invalid/x", "http://[:/"]
)
def test_a_redirect_to_where_nothing_is_fetched_from(server: Server, shop: Shop, address: str) -> None:
    shop.add("a.bin", server.on("/a", redirect(address)))
    with pytest.raises(CisweaveError, match=r"could not be fetched"):
        shop.fetch()
    assert shop.left() == []
    assert len(server.seen) == 1


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("length", [len(DATA) - 100, len(DATA) + 100])
def test_a_wrong_content_length(server: Server, shop: Shop, length: int, known: bool) -> None:
    size = str(len(DATA)) if known else ""
    shop.add("a.bin", server.on("/a", serve(DATA, length=length, ranges=False)), bytes=size, checksum=sha256(DATA))
    with pytest.raises(CisweaveError, match="connection|sha256|bytes, the catalogue says"):
        shop.fetch(attempts=2)
    assert [name for name in shop.left() if name != "a.bin.partial"] == []


def test_a_silent_server(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA, stall=9000), serve(DATA)))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA
    assert server.requests("/a")[1]["Range"] == "bytes=9000-"


def test_a_server_that_stays_silent(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", serve(DATA, stall=0)))
    with pytest.raises(CisweaveError, match="did not answer in time, after 2 tries"):
        shop.fetch(attempts=2, read_timeout_s=0.2)
    assert shop.left() == []


def test_a_crawling_server(server: Server, shop: Shop) -> None:
    shop.add("a.bin", server.on("/a", trickle(DATA, 0.05)))
    with pytest.raises(CisweaveError, match="bytes per second"):
        shop.fetch(attempts=1, read_timeout_s=0.3, lowest_speed=5000)
    assert shop.left() == ["a.bin.partial"]


@pytest.mark.parametrize("first", ["404", "cut", "wrong", "closed", "html"])
def test_a_mirror_takes_over(server: Server, shop: Shop, first: str) -> None:
    with running() as closed:
        dead = closed.url("/a")
    answers = {
        "404": status(404),
        "cut": serve(DATA, cut=9000),
        "wrong": serve(DATA[::-1]),
        "html": serve(b"<html>"),
        "closed": status(404),
    }
    address = server.on("/a", answers[first])
    mirror = f"{server.on('/b', serve(DATA, etag=None))} {server.url('/none')}"
    shop.add("a.bin", dead if first == "closed" else address, mirror=mirror, checksum=sha256(DATA))
    shop.fetch(attempts=2)
    assert (shop.folder / "a.bin").read_bytes() == DATA
    assert shop.left() == GOOD


def test_all_mirrors_are_named(server: Server, shop: Shop) -> None:
    addresses = [server.on("/a", status(404)), server.on("/b", status(410)), server.on("/c", serve(b"<html>"))]
    shop.add("a.bin", addresses[0], mirror=" ".join(addresses[1:]))
    with pytest.raises(CisweaveError, match="/a: HTTP 404.*/b: HTTP 410.*/c: a web page"):
        shop.fetch()


def test_the_proxy_of_the_environment_is_used(server: Server, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY" if os.name == "nt" else "http_proxy", server.url(""))
    server.on("http://example.invalid/a", serve(DATA))
    shop.add("a.bin", "http://example.invalid/a", checksum=sha256(DATA))
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA
    monkeypatch.setenv("no_proxy", "example.invalid")
    shop.add("b.bin", "http://example.invalid/a", checksum=sha256(DATA))
    with pytest.raises(CisweaveError, match="connection failed"):
        shop.fetch("b.bin", attempts=1)


def test_a_dead_proxy(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as closed:
        monkeypatch.setenv("https_proxy", closed.url(""))
    shop.add("a.bin", "https://example.invalid/a")
    with pytest.raises(CisweaveError, match="proxy failed"):
        shop.fetch(attempts=1)


def test_a_full_disk_is_seen_before(server: Server, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    shop.add("a.bin", server.on("/a", serve(DATA)))
    with pytest.raises(CisweaveError, match=r"a\.bin needs at least .* of free space, 1.0 kB are left"):
        shop.fetch()
    assert shop.left() == []


def test_a_disk_that_fills_up_meanwhile(server: Server, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    shop.add("a.bin", server.on("/a", serve(DATA)))
    with pytest.raises(CisweaveError, match="No space left on device; check"):
        shop.fetch()
    assert shop.left() == ["a.bin.partial"]


def test_an_interrupt_leaves_only_what_can_be_resumed(
    server: Server, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    shop.add("a.bin", server.on("/a", serve(DATA)))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            shop.fetch()
    assert shop.left() == ["a.bin.partial"]
    shop.fetch()
    assert (shop.folder / "a.bin").read_bytes() == DATA
    assert shop.left() == GOOD


def test_a_cut_off_gzip_file_of_unknown_checksum_is_seen(server: Server, shop: Shop) -> None:
    shop.add("a.gz", server.on("/a", serve(gzip.compress(DATA)[:-9])))
    with pytest.raises(CisweaveError, match="cut off or damaged"):
        shop.fetch()
    assert shop.left() == []


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\xff nonsense \x1b[31m",
        b"HTTP/1.1 404 \x1b[2J\rgone",
        b"HTTP/1.1 " + b"9" * 5000,
        b"HTTP/1.1 200 OK\r\nno",
    ],
    ids=len,
)
def test_an_answer_that_makes_no_sense(shop: Shop, answer: bytes) -> None:
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            for _ in range(2):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.recv(1000)
                connection.sendall(answer + b"\r\n\r\n")
                connection.close()

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        shop.add("a.bin", f"http://127.0.0.1:{listener.getsockname()[1]}/a")
        with pytest.raises(CisweaveError, match="could not be fetched") as error:
            shop.fetch(attempts=2)
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 1000
        thread.join(0.1)
    assert shop.left() == []


def test_a_compressed_answer_is_refused(server: Server, shop: Shop) -> None:
    shop.add("a.txt", server.on("/a", status(200, gzip.compress(b"text"), Content_Encoding="gzip")))
    with pytest.raises(CisweaveError, match=r"compressed \(gzip\)"):
        shop.fetch()
    assert shop.left() == []


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_is_drawn_on_a_terminal_only(
    server: Server, shop: Shop, terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    shop.add("a.bin", server.on("/a", serve(DATA)))
    shop.fetch()
    assert ("\x1b[" in capsys.readouterr().err) == terminal
