"""Archives that nobody vouches for: what is good comes out whole, what is not leaves nothing behind."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import random
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cisweave.core.errors import CisweaveError
from cisweave.genome.resources import unpack as unpacking
from cisweave.genome.resources.unpack import Limits, check_gzip, unpack
from tests.genome.resources.conftest import Shop
from tests.genome.resources.server import Server, serve

DATA = random.Random(3).randbytes(30_000)
LIMITS = Limits(10**9, 100, 100)
Edit = Callable[[tarfile.TarInfo], None]


def member(name: str, data: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in facts.items():
        setattr(info, key, value)
    return info, data


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as packed:
        for info, data in members:
            packed.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members:
            packed.writestr(name, data)
    return buffer.getvalue()


def special(name: str, mode: int, data: bytes) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info, data


GOOD = tar(
    member("./", type=tarfile.DIRTYPE),
    member("top/", type=tarfile.DIRTYPE),
    member("top/a.bin", DATA, mode=0o4777),
    member("./top/deep/er/b.txt", b"text"),
    member("top/empty"),
    member("top/" + "long" * 40, b"long"),
    member("top/again", type=tarfile.LNKTYPE, linkname="top/a.bin"),
    member("top/deep/soft", type=tarfile.SYMTYPE, linkname="../later"),
    member("top/later", b"later"),
)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=lambda pack: pack.__module__)
def test_a_good_tar(tmp_path: Path, pack: Callable[[bytes], bytes], form: int) -> None:
    (tmp_path / "a.tar").write_bytes(pack(GOOD))
    found = {file.path: file for file in unpack(tmp_path / "a.tar", "tar", tmp_path / "a", LIMITS)}
    here = {str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if not path.is_dir()}
    assert here == set(found)
    assert len(found) == 7
    assert (tmp_path / "a/top/again").read_bytes() == (tmp_path / "a/top/a.bin").read_bytes() == DATA
    assert (tmp_path / "a/top/deep/soft").read_bytes() == b"later"
    assert not any(path.is_symlink() for path in (tmp_path / "a").rglob("*"))
    assert (tmp_path / "a/top/a.bin").stat().st_mode & 0o6111 == 0


def test_a_good_zip_and_a_good_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(("top/", b""), ("top/a.bin", DATA), ("b", b"")))
    assert [file.path for file in unpack(tmp_path / "a.zip", "zip", tmp_path / "a", LIMITS)] == ["top/a.bin", "b"]
    assert (tmp_path / "a/top/a.bin").read_bytes() == DATA
    (tmp_path / "b.gz").write_bytes(gzip.compress(DATA) + gzip.compress(b"more"))
    (file,) = unpack(tmp_path / "b.gz", "gz", tmp_path / "b", LIMITS)
    assert (tmp_path / "b").read_bytes() == DATA + b"more"
    assert file.bytes == len(DATA) + 4
    check_gzip(tmp_path / "b.gz")


def out(name: str) -> bytes:
    return tar(member("ok", b"ok"), member(name, b"out"))


BAD = {
    "dots": out("../outside"),
    "dots within": out("top/../../outside"),
    "absolute": out("/tmp/outside"),
    "backslash": out("..\\outside"),
    "drive": out("C:outside"),
    "control": out("new\nline"),
    "long part": out("n" * 300),
    "symlink out": tar(member("link", type=tarfile.SYMTYPE, linkname="../..")),
    "symlink absolute": tar(member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "write through": tar(member("link", type=tarfile.SYMTYPE, linkname=".."), member("link/outside", b"out")),
    "write through within": tar(
        member("top/", type=tarfile.DIRTYPE),
        member("link", type=tarfile.SYMTYPE, linkname="top"),
        member("link/x", b"out"),
    ),
    "overwrite link": tar(
        member("a", b"a"), member("link", type=tarfile.SYMTYPE, linkname="a"), member("link", b"out")
    ),
    "hardlink out": tar(member("link", type=tarfile.LNKTYPE, linkname="../../outside")),
    "hardlink absolute": tar(member("link", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
    "link to nothing": tar(member("link", type=tarfile.SYMTYPE, linkname="none")),
    "link circle": tar(
        member("a", type=tarfile.SYMTYPE, linkname="b"), member("b", type=tarfile.SYMTYPE, linkname="a")
    ),
    "root is a link": tar(member(".", type=tarfile.SYMTYPE, linkname="x")),
    "character device": tar(member("zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5)),
    "block device": tar(member("disk", type=tarfile.BLKTYPE, devmajor=8, devminor=0)),
    "fifo": tar(member("pipe", type=tarfile.FIFOTYPE)),
    "twice": tar(member("a", b"one"), member("a", b"two")),
    "file as folder": tar(member("a", b"one"), member("a/b", b"two")),
    "folder as file": tar(member("a/", type=tarfile.DIRTYPE), member("a", b"two")),
    "empty": tar(),
    "no tar": b"nothing of the kind" * 100,
    "no bytes": b"",
    "cut in a file": GOOD[:20_000],
    "cut between members": tar(member("a", b"a" * 512))[:1024],
    "cut gzip": gzip.compress(GOOD)[:-20],
    "cut gzip end": gzip.compress(GOOD)[:-4],
    "damaged gzip": gzip.compress(GOOD)[:-8] + b"\0" * 8,
    "cut bzip2": bz2.compress(GOOD)[:-20],
    "cut xz": lzma.compress(GOOD)[:-20],
    "damaged header": GOOD[:100] + b"\xff" * 200 + GOOD[300:],
    "endless name": gzip.compress(
        tarfile.TarInfo.create_gnu_header(
            tarfile.TarInfo("x"), {**tarfile.TarInfo("@").get_info(), "type": b"L", "size": 17 << 20}, "utf-8", "strict"
        )
        + b"a" * (17 << 20)
    ),
}
BAD_ZIP = {
    "dots": zipped(("ok", b"ok"), ("../outside", b"out")),
    "absolute": zipped(("/tmp/outside", b"out")),
    "backslash": zipped(("..\\outside", b"out")),
    "symlink": zipped(special("link", 0o120777, b"/etc/passwd")),
    "device": zipped(special("zero", 0o020666, b"")),
    "twice": zipped(("a", b"one"), ("./a", b"two")),
    "cut": zipped(("a", DATA))[:-30],
    "damaged": zipped(("a", DATA)).replace(DATA[100:110], b"0" * 10),
    "crc": re.sub(rb"(PK\x01\x02.{12}).{4}", rb"\1\0\0\0\0", zipped(("a", b"aaaa")), flags=re.DOTALL),
    "encrypted": zipped(("a", b"a")).replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
    "no zip": b"PK nothing",
    "empty": zipped(),
}


def refuse(tmp_path: Path, server: Server, shop: Shop, name: str, kind: str, data: bytes) -> None:
    """Fetch an archive that has to be refused, and find nothing of it anywhere."""
    shop.add(name, server.on("/a", serve(data)), unpack=kind)
    before = {path for path in tmp_path.iterdir() if path != shop.folder}
    with pytest.raises(CisweaveError) as error:
        shop.fetch()
    assert "archive" in str(error.value) or "empty file" in str(error.value) or "not a" in str(error.value)
    assert "\n" not in str(error.value)
    assert shop.left() == []
    assert {path for path in tmp_path.iterdir() if path != shop.folder} == before
    assert not Path("/tmp/outside").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", BAD)
def test_a_bad_tar_leaves_nothing(tmp_path: Path, server: Server, shop: Shop, case: str) -> None:
    refuse(tmp_path, server, shop, "a.tar", "tar", BAD[case])


@pytest.mark.parametrize("case", BAD_ZIP)
def test_a_bad_zip_leaves_nothing(tmp_path: Path, server: Server, shop: Shop, case: str) -> None:
    refuse(tmp_path, server, shop, "a.zip", "zip", BAD_ZIP[case])


@pytest.mark.parametrize(
    "data", [gzip.compress(DATA)[:-1], gzip.compress(DATA)[:-9], gzip.compress(DATA)[:100], b"\x1f\x8bno"], ids=len
)
def test_a_bad_gzip_leaves_nothing(tmp_path: Path, server: Server, shop: Shop, data: bytes) -> None:
    refuse(tmp_path, server, shop, "a.gz", "gz", data)


BOMBS = {
    "a.gz": ("gz", gzip.compress(bytes(5 << 20))),
    "a.tar.gz": ("tar", gzip.compress(tar(member("zeros", bytes(5 << 20))), 1)),
    "a.zip": ("zip", zipped(("zeros", bytes(5 << 20)))),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize(("limit", "value"), [("max_ratio", 2), ("max_unpacked_gb", 0.001)])
def test_a_bomb_is_stopped(
    server: Server, shop: Shop, name: str, limit: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "GRACE", 1 << 20)
    kind, data = BOMBS[name]
    shop.add(name, server.on("/a", serve(data)), unpack=kind)
    with pytest.raises(CisweaveError, match="unpacks to more than .*raise the limit"):
        shop.fetch(**{limit: value})
    assert shop.left() == [f"{name}.partial"]


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_too_many_files(server: Server, shop: Shop, name: str) -> None:
    many = [(f"f{number}", b"") for number in range(30)]
    data = zipped(*many) if name == "a.zip" else tar(*(member(*entry) for entry in many))
    shop.add(name, server.on("/a", serve(data)), unpack=name[2:])
    with pytest.raises(CisweaveError, match="more than 20 files"):
        shop.fetch(max_files=20)
    shop.fetch(max_files=30)
    assert len(list((shop.folder / "a").iterdir())) == 30


def test_the_disk_fills_up_while_unpacking(server: Server, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([10**9, 10**9, 1000, 1000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, next(free)))
    shop.add("a.tar", server.on("/a", serve(GOOD)), unpack="tar")
    with pytest.raises(CisweaveError, match=r"no space left to unpack a\.tar"):
        shop.fetch()
    assert shop.left() == ["a.tar.partial"]
    monkeypatch.undo()
    shop.fetch()
    assert (shop.folder / "a/top/a.bin").read_bytes() == DATA
    assert len(server.requests("/a")) == 2
    assert server.requests("/a")[1]["Range"] == f"bytes={len(GOOD)}-"


def test_no_bytes_of_an_archive_can_escape_as_another_error(tmp_path: Path) -> None:
    chance = random.Random(11)
    packs = [
        ("tar", GOOD[:4096]),
        ("zip", zipped(("a", b"text" * 50), ("b/c", DATA[:50]))),
        ("gz", gzip.compress(b"ab")),
    ]
    for number in range(300):
        kind, data = chance.choice(packs)
        broken = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        path, target = tmp_path / f"{number}.x", tmp_path / f"out{number}"
        path.write_bytes(broken[: chance.randint(1, len(broken))])
        with contextlib.suppress(CisweaveError):
            unpack(path, kind, target, LIMITS)
    assert {path.name.rstrip("0123456789") for path in tmp_path.iterdir()} <= {"out", *(f"{n}.x" for n in range(300))}
