"""The catalogue that ships is sound; a broken one is refused line by line."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cisweave.config.sections import FetchSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome.resources.catalogue import (
    COLUMNS,
    builtin_catalogue,
    choose_resources,
    list_resources,
    read_catalogue,
    readable_bytes,
    resource_at,
    show_catalogue,
)
from cisweave.genome.resources.fetch import fetch_resources

ROOT = Path(__file__).parents[3]
GOOD = {"name": "a.gz", "url": "https://example.org/a.gz", "licence": "free", "unpack": "gz"}
NEEDED = [
    "hg19.fa.gz",
    "hg38.fa.gz",
    "mm10.fa.gz",
    "hg19ToHg38.over.chain.gz",
    "hg38ToHg19.over.chain.gz",
    "geneanno.csv",
    "geneanno.pc.sorted.bed",
    "deepsea.beluga.pth",
    "seal_model.tar.gz",
    "seal_resource.tar.gz",
    "expecto_resources.tar.gz",
    "gencode.v19.annotation.gtf.gz",
    "Homo_sapiens.GRCh37.75.gtf.gz",
    "Homo_sapiens.GRCh38.102.gtf.gz",
    "Xpresso-predict.zip",
    "57epigenomes.RPKM.pc.gz",
    "hg38.cage_peak.bb",
    "cisBP_mouse.meme",
    "ENCFF114VAI.bed.gz",
]


def write(path: Path, *rows: dict[str, str]) -> Path:
    lines = ["\t".join(COLUMNS), *("\t".join(row.get(column, "") for column in COLUMNS) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_catalogue_that_ships() -> None:
    catalogue = read_catalogue()
    assert set(NEEDED) <= set(catalogue)
    for resource in catalogue.values():
        assert all(urlsplit(address).scheme == "https" for address in resource.addresses)
        assert len(set(resource.addresses)) == len(resource.addresses)
        assert all((resource.licence, resource.used_by, resource.version))
        assert resource.citation.startswith("doi:10.")
        assert ("academic" in resource.licence or "non-commercial" in resource.licence) == (resource.accept is not None)
    digests = [resource.checksum for resource in catalogue.values() if resource.checksum]
    assert len(digests) == len(set(digests))


def test_the_package_and_the_checkout_hold_one_catalogue() -> None:
    assert builtin_catalogue().read_bytes() == (ROOT / "resources/catalogue.tsv").read_bytes()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"url": "http://example.org/a.gz"}, "not encrypted and there is no checksum"),
        ({"url": "ftp://example.org/a.gz"}, "not https"),
        ({"url": "file:///etc/passwd"}, "no address|not https"),
        ({"url": "/etc/passwd"}, "no address"),
        ({"url": ""}, "no address"),
        ({"url": "https://me:secret@example.org/a"}, "without a user name"),
        ({"url": "https://example.org:port/a"}, "no address"),
        ({"url": "https://[::1/a"}, "no address"),
        ({"mirror": "https://example.org/a http://example.org/b"}, "not encrypted"),
        ({"checksum": "sha256:abc"}, "checksum is"),
        ({"checksum": "sha1:" + "0" * 40}, "checksum is"),
        ({"checksum": "md5:" + "A" * 32}, "checksum is"),
        ({"bytes": "-1"}, "bytes is"),
        ({"bytes": "1e9"}, "bytes is"),
        ({"bytes": "²"}, "bytes is"),
        ({"bytes": "0"}, "bytes is"),
        ({"licence": ""}, "licence is empty"),
        ({"accept": "Some Key"}, "accept is"),
        ({"unpack": "rar"}, "unpack is"),
        ({"unpack": ""}, "unpack is"),
        ({"unpack": "tar"}, "cannot be unpacked as tar"),
        ({"name": ".gz"}, "cannot be used"),
        ({"name": "../a.gz"}, "cannot be used"),
        ({"name": "a b.gz"}, "cannot be used"),
        ({"name": "resources.lock", "unpack": "none"}, "cannot be used"),
        ({"name": "a.partial", "unpack": "none"}, "cannot be used"),
        ({"name": "n" * 101, "unpack": "none"}, "cannot be used"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, cells: dict[str, str], message: str) -> None:
    path = write(tmp_path / "c.tsv", {**GOOD, "name": "ok.gz"}, {**GOOD, **cells})
    with pytest.raises(CisweaveError, match=rf"c\.tsv, line 3: .*({message})"):
        read_catalogue(path)


@pytest.mark.parametrize("other", ["a.gz", "A.gz"])
def test_a_name_twice(tmp_path: Path, other: str) -> None:
    with pytest.raises(CisweaveError, match=r"line 3: .*already the place of a\.gz"):
        read_catalogue(write(tmp_path / "c.tsv", GOOD, {**GOOD, "name": other}))


def test_two_resources_that_unpack_to_one_place(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="already the place"):
        read_catalogue(write(tmp_path / "c.tsv", GOOD, {**GOOD, "name": "a", "unpack": "none"}))


@pytest.mark.parametrize("text", ["", "name\turl\n", "\n\n", "\x00\x01", "<html>", "\t".join(COLUMNS) + "\nshort\n"])
def test_something_that_is_no_catalogue(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.tsv").write_text(text)
    with pytest.raises(CisweaveError, match=r"c\.tsv"):
        read_catalogue(tmp_path / "c.tsv")
    with pytest.raises(CisweaveError, match="does not exist"):
        read_catalogue(tmp_path / "none.tsv")


def test_notes_and_http_with_a_checksum_or_on_this_machine(tmp_path: Path) -> None:
    safe = {**GOOD, "url": "http://example.org/a.gz", "checksum": "md5:" + "0" * 32}
    near = {**GOOD, "name": "b.gz", "url": "http://[::1]:80/b.gz", "mirror": "http://127.0.0.1/b http://localhost/b"}
    path = write(tmp_path / "c.tsv", safe, near)
    path.write_text("# a note\n" + path.read_text())
    assert list(read_catalogue(path)) == ["a.gz", "b.gz"]


@pytest.mark.parametrize(("name", "near"), [("hg19", "hg19.fa.gz"), ("hg38.fa", "hg38.fa.gz"), ("SEAL", "seal_model")])
def test_an_unknown_name_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(CisweaveError, match=f"no resource '{name}' .*did you mean .*{near}"):
        choose_resources([name], read_catalogue())
    with pytest.raises(CisweaveError, match="--list"):
        choose_resources(["qqqqqqqqqqqq"], read_catalogue())


def test_nothing_named(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="no resource is named"):
        fetch_resources([], tmp_path, FetchSettings())


def test_the_list(tmp_path: Path) -> None:
    (tmp_path / "hg19.fa").write_text(">chr1\n")
    rows = {row["name"]: row for row in list_resources(folder=tmp_path)}
    assert list(rows) == list(read_catalogue())
    assert (rows["hg19.fa.gz"]["here"], rows["hg38.fa.gz"]["here"]) == ("yes", "")
    assert rows["hg38.fa.gz"]["size"] == "983.7 MB"
    assert rows["seal_model.tar.gz"]["checksum"] == "unknown"
    header, *lines = show_catalogue(folder=tmp_path).splitlines()
    assert header.split() == ["name", "size", "checksum", "accept", "used_by", "here", "version"]
    assert len(lines) == len(rows)
    assert lines[0].split()[:3] == ["hg19.fa.gz", "-", "md5"]


def test_which_resource_a_path_belongs_to() -> None:
    catalogue = read_catalogue()
    assert resource_at("resources/hg19.fa", "resources", catalogue) == catalogue["hg19.fa.gz"]
    assert resource_at("resources/seal_model/model/x.pt", "resources", catalogue) == catalogue["seal_model.tar.gz"]
    assert resource_at("resources/hg19.fa.gz", "resources", catalogue) is None
    assert resource_at("elsewhere/hg19.fa", "resources", catalogue) is None
    assert resource_at("resources", "resources", catalogue) is None


def test_resources_are_known_through_links(tmp_path: Path) -> None:
    catalogue, folder = read_catalogue(), tmp_path / "resources"
    folder.mkdir()
    (folder / "hg19.fa").symlink_to(tmp_path / "none.fa")
    assert resource_at(folder / "hg19.fa", folder, catalogue) == catalogue["hg19.fa.gz"]
    (tmp_path / "alias").symlink_to(folder)
    assert resource_at(tmp_path / "alias/hg38.fa", folder, catalogue) == catalogue["hg38.fa.gz"]
    assert resource_at(tmp_path / "alias/../resources/hg38.fa", folder, catalogue) == catalogue["hg38.fa.gz"]


def test_sizes_for_people() -> None:
    assert [readable_bytes(count) for count in (0, 999, 1000, 2.5e9, 4e15)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.5 GB",
        "4000.0 TB",
    ]
