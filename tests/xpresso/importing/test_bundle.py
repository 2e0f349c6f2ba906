"""TensorFlow bundles that are whole, and those that are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.xpresso.importing.models import import_model
from cisweave.xpresso.importing.saved_model import group_layers, read_saved_model
from cisweave.xpresso.importing.tf_bundle import read_bundle
from tests.xpresso.importing.bundle_writer import KEY, block, crc, field, table, varint, write_bundle
from tests.xpresso.importing.networks import make, save_folder

INDEX = "variables/variables.index"
DATA = "variables/variables.data-00000-of-00001"


def tensors(number: int = 30) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3)
    return {
        f"layer_with_weights-{i}/kernel": draw.normal(size=(3, i % 5 + 1)).astype(np.float32) for i in range(number)
    }


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_folder(make("tfnet/TF"), tmp_path / "saved")


@pytest.mark.parametrize("shards", [1, 3])
def test_tensors_come_back(shards: int, tmp_path: Path) -> None:
    right = tensors() | {"variables/3": np.arange(6, dtype=np.int64), "step": np.array(2.5)}
    prefix = write_bundle(tmp_path / "v/variables", right, shards, _CHECKPOINTABLE_OBJECT_GRAPH=field(1, 7))
    found = read_bundle(prefix)
    assert set(found) == set(right)
    for name, values in right.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_a_bundle_has_many_names(saved: Path) -> None:
    right = read_bundle(saved)
    for name in ("variables", "variables/variables", INDEX):
        assert set(read_bundle(saved / name)) == set(right)
    assert all(name.startswith("layer_with_weights") for name in right)


def test_a_long_number_of_entries_spans_blocks(tmp_path: Path) -> None:
    right = tensors(300)
    assert len(read_bundle(write_bundle(tmp_path / "variables", right))) == 300


# --- the data file ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["variables.data-00000-of-00001.mp3", "variables.ppm", "photo.jpg"])
def test_a_data_file_that_lost_its_name_is_found(name: str, saved: Path) -> None:
    right = read_bundle(saved)
    (saved / DATA).rename(saved / "variables" / name)
    assert set(read_bundle(saved)) == set(right)
    (saved / "variables" / name).rename(saved / "elsewhere")
    with pytest.raises(CisweaveError, match="data file is absent, and no other file has its size"):
        read_bundle(saved)
    assert set(read_bundle(saved, saved / "elsewhere")) == set(right)
    import_model(saved, saved / "model", data=saved / "elsewhere")


def test_of_two_that_could_be_it_none_is_guessed(saved: Path) -> None:
    data = (saved / DATA).read_bytes()
    (saved / DATA).unlink()
    for name in ("variables (1).mp3", "variables.ppm"):
        (saved / "variables" / name).write_bytes(data)
    with pytest.raises(CisweaveError, match=r"variables \(1\).mp3, variables.ppm could be it"):
        read_bundle(saved)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path, place: int = 100) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(bytes(data))


def web(path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html><html><head><title>Sign in</title>")


def pointer(path: Path) -> None:
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        (INDEX, cut, "not the index of a TensorFlow bundle, or it is cut off"),
        (INDEX, flip, "checksum of a block is wrong"),
        (INDEX, web, "web page"),
        (INDEX, pointer, "pointer of Git LFS"),
        (INDEX, empty, "empty"),
        (INDEX, Path.unlink, "this folder has no index"),
        (DATA, cut, "this file has 47,143 bytes, the index needs 47,148"),
        (DATA, flip, "checksum of 'layer_with_weights-0"),
        (DATA, web, "web page"),
        (DATA, pointer, "pointer of Git LFS"),
        (DATA, empty, "empty"),
    ],
)
def test_damage_is_told(file: str, damage, message: str, saved: Path) -> None:
    damage(saved / file)
    with pytest.raises(CisweaveError, match=message):
        read_bundle(saved)


def test_no_byte_of_the_index_can_change_unseen(tmp_path: Path) -> None:
    prefix = write_bundle(tmp_path / "variables", tensors(3))
    index = tmp_path / "variables.index"
    right, whole = read_bundle(prefix), index.read_bytes()
    footer = len(whole) - 48
    padding = [i for i in range(footer, footer + 40) if whole[i : footer + 40] == bytes(footer + 40 - i)]
    for place in range(len(whole)):
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        if place in padding:
            assert set(read_bundle(prefix)) == set(right)
            continue
        with pytest.raises(CisweaveError):
            read_bundle(prefix)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (field(1, 1) + field(2, field(2, field(1, 1 << 40))) + field(5, 12), "does not have 12 bytes"),
        (field(1, 1) + field(2, field(2, field(1, -3))) + field(5, 12), "does not have 12 bytes"),
        (field(1, 1) + field(3, 9) + field(5, 4), "impossible place"),
        (field(1, 1) + field(4, -8) + field(5, 4), "impossible place"),
        (field(1, 1) + field(5, 1 << 50), "impossible place"),
        (field(1, 8) + field(5, 4), "type 8, which is not supported"),
        (field(1, 1) + field(5, 4) + field(7, b"\0"), "cut into slices"),
        (b"\xff" * 12, "more than 64 bits"),
        (field(2, b"abc")[:-1], "cut off"),
    ],
)
def test_impossible_entries_are_refused(entry: bytes, message: str, tmp_path: Path) -> None:
    write_bundle(tmp_path / "variables", tensors(2), **{KEY.format("odd"): entry})
    with pytest.raises(CisweaveError, match=message):
        read_bundle(tmp_path / "variables")


def test_a_compressed_block_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "variables", tensors(2))
    entries = [(b"", field(1, 1))]
    body = block(entries)[:-5] + b"\1"
    body += crc(body).to_bytes(4, "little")
    handle = varint(0) + varint(len(body) - 5)
    index = block([(b"z", handle)], interval=1)
    footer = (2 * (varint(len(body)) + varint(len(index) - 5))).ljust(40, b"\0")
    (tmp_path / "variables.index").write_bytes(body + index + footer + table([])[-8:])
    with pytest.raises(CisweaveError, match="a block is compressed"):
        read_bundle(tmp_path / "variables")


# --- which folder -----------------------------------------------------------------------------------------------------
def test_other_places_are_told(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="does not exist"):
        read_bundle(tmp_path / "nothing")
    with pytest.raises(CisweaveError, match=r"nothing.h5: this file does not exist"):
        import_model(tmp_path / "nothing.h5", tmp_path / "model")
    with pytest.raises(CisweaveError, match="name its .index or the folder"):
        import_model(saved / DATA, tmp_path / "model")
    (saved / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(CisweaveError, match="name its folder"):
        import_model(saved / "saved_model.pb", tmp_path / "model")
    for name in ("a", "b"):
        write_bundle(tmp_path / "two" / name, tensors(1))
    with pytest.raises(CisweaveError, match="2 indices"):
        read_bundle(tmp_path / "two")


# --- variables in lists -----------------------------------------------------------------------------------------------
def ones(number: int) -> np.ndarray:
    return np.full(2, number, dtype=np.float32)


def test_lists_go_on_over_named_layers() -> None:
    norm = {f"layer_with_weights-1/{name}": ones(i) for i, name in ((3, "moving_mean"), (4, "moving_variance"))}
    norm |= {"layer_with_weights-1/gamma": ones(1), "layer_with_weights-1/beta": ones(2)}
    trained = {"trainable_variables/0": ones(0), "trainable_variables/3": ones(5), "trainable_variables/4": ones(6)}
    every = {"variables/0": ones(0), "variables/5": ones(5), "variables/6": ones(6)}
    for listed in (trained, every):
        layers = group_layers(norm | listed, Path("x"))
        assert [float(values[0]) for weights in layers.values() for values in weights.values()] == list(range(7))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["layer_with_weights-0/kernel", "variables/2"], "variable 2 of the list of variables follows no layer"),
        (["variables/0", "trainable_variables/0"], "two lists"),
        (["layer_with_weights-0/att/query/kernel"], "not where Keras keeps"),
    ],
)
def test_lists_with_gaps_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        group_layers({name: ones(0) for name in names}, Path("x"))


def test_a_broken_description_does_not_stop_the_weights(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    (saved / "keras_metadata.pb").write_bytes(b"\x0a\xff")
    model = read_saved_model(saved)
    assert "cannot be read" in caplog.text
    assert [layer.name for layer in model.layers] == [f"layer_with_weights-{i}" for i in range(3)]
    assert not model.described
