"""Stores: any row by number or id, shards that make one store, files that are cut off."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cisweave.core.errors import CisweaveError
from cisweave.sequence import SequenceDataset, SequenceStore, index_shards, one_hot_array
from cisweave.sequence.store import create_store

RANDOM = np.random.default_rng(0)
CODES = RANDOM.integers(0, 5, (1000, 333), dtype=np.uint8)


def write(path: Path, codes: np.ndarray, ids: list[object], parts: int = 3) -> Path:
    whole = not ids or isinstance(ids[0], int)
    with create_store(path, length=codes.shape[1], whole_ids=whole) as store:
        for rows in np.array_split(np.arange(len(codes)), parts):
            store.append(codes[rows], [ids[row] for row in rows])
    return path


def write_compressed(path: Path, codes: np.ndarray) -> Path:
    with h5py.File(path, "w") as store:
        store.create_dataset("codes", data=codes, chunks=(64, codes.shape[1]), compression="lzf")
        store.create_dataset("locus_id", data=np.arange(len(codes)))
    return path


@pytest.mark.parametrize("kind", ["parts", "compressed", "contiguous"])
def test_rows_in_any_order(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.h5"
    if kind == "parts":
        write(path, CODES, list(range(1000)), parts=7)
    elif kind == "compressed":
        write_compressed(path, CODES)
    else:
        with h5py.File(path, "w") as store:
            store["codes"], store["locus_id"] = CODES, np.arange(1000)
    with SequenceStore(path) as store:
        assert (len(store), store.length) == (1000, 333)
        order = RANDOM.permutation(1000)
        assert (store.read(order) == CODES[order]).all()
        assert (store.read() == CODES).all()
        assert (store[-1] == CODES[-1]).all()
        assert (store.locus(17) == CODES[17]).all()
        assert (store.one_hot([3, 1], np.int8) == one_hot_array(CODES[[3, 1]])).all()
        assert (store.tensor([3, 1]).numpy() == one_hot_array(CODES[[3, 1]])).all()
        assert (store.read(order, 100, 120) == CODES[order, 100:120]).all()
        assert (store.read([5], 330) == CODES[[5], 330:]).all()
        with pytest.raises(IndexError):
            store[1000]
        with pytest.raises(CisweaveError, match="locus x is not in this store"):
            store.locus("x")
        with pytest.raises(CisweaveError, match="330:334 is no part of 333 bases"):
            store.read([5], 330, 334)


def test_the_same_sequences_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write(tmp_path / name, CODES, [f"id{n}" for n in range(1000)])
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert (tmp_path / "a.h5").stat().st_size < 1.2 * CODES.nbytes


def test_one_store_of_several_shards(tmp_path: Path) -> None:
    ids = [f"locus{n}" for n in range(1000)]
    shards = [
        write(tmp_path / f"{n}.h5", CODES[rows], [ids[row] for row in rows])
        for n, rows in enumerate(np.array_split(np.arange(1000), 3))
    ]
    shards.insert(1, write(tmp_path / "empty.h5", CODES[:0], []))
    index = index_shards(shards, tmp_path / "sub/index.json")
    for source in (index, shards, [str(shard) for shard in shards]):
        with SequenceStore(source) as store:
            assert store.ids == ids
            order = RANDOM.permutation(1000)
            assert (store.read(order) == CODES[order]).all()
            assert (store.locus("locus999") == CODES[999]).all()
            assert [row.tolist() for row in store] == CODES.tolist()
    first = index.read_bytes()
    index_shards(shards, index)
    assert index.read_bytes() == first


def test_shards_that_do_not_fit_each_other(tmp_path: Path) -> None:
    one = write(tmp_path / "a.h5", CODES, list(range(1000)))
    again = write(tmp_path / "b.h5", CODES[:1], [999])
    other = write(tmp_path / "c.h5", CODES[:1, :20], [2000])
    with pytest.raises(CisweaveError, match=r"b\.h5: a locus_id stands in two rows"):
        index_shards([one, again], tmp_path / "i.json")
    with pytest.raises(CisweaveError, match=r"c\.h5: .* 20 bases, .* 333 bases"):
        SequenceStore([one, other])
    with pytest.raises(CisweaveError, match="no shard"):
        SequenceStore([])
    assert not (tmp_path / "i.json").exists()


def test_a_shard_that_changed_after_it_was_indexed(tmp_path: Path) -> None:
    one = write(tmp_path / "a.h5", CODES, list(range(1000)))
    index = index_shards([one], tmp_path / "i.json")
    content = bytearray(one.read_bytes())
    content[len(content) // 2] ^= 1
    one.write_bytes(content)
    SequenceStore(index).close()
    with pytest.raises(CisweaveError, match=r"a\.h5: this shard is not the one"):
        SequenceStore(index, verify=True)
    write(one, CODES[:10], list(range(10)))
    with pytest.raises(CisweaveError, match=r"a\.h5: this shard is not the one"):
        SequenceStore(index)
    one.unlink()
    with pytest.raises(CisweaveError, match=r"a\.h5: this file does not exist"):
        SequenceStore(index)


def test_files_that_are_cut_off_or_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", CODES, list(range(1000)))
    content = path.read_bytes()
    for size in [0, 1, 100, len(content) // 2, len(content) - 1, *RANDOM.integers(1, len(content), 30).tolist()]:
        path.write_bytes(content[:size])
        with pytest.raises(CisweaveError, match=r"a\.h5"):
            SequenceStore(path)
    for text in ("{}", "[]", "x", '{"format": 1, "shards": []}', '{"format": "cisweave sequence shards 1"}'):
        (tmp_path / "i.json").write_text(text)
        with pytest.raises(CisweaveError, match=r"i\.json"):
            SequenceStore(tmp_path / "i.json")


def test_damaged_bytes_never_give_a_traceback(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", CODES[:20, :30], [f"id{n}" for n in range(20)])
    content = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(content)
        for place in RANDOM.integers(0, len(content), 3):
            damaged[place] = RANDOM.integers(256)
        path.write_bytes(damaged)
        try:
            with SequenceStore(path) as store:
                assert len(store.read()) == len(store)
        except CisweaveError:
            pass


def test_nothing_is_left_where_a_job_dies(tmp_path: Path) -> None:
    def die() -> None:
        with create_store(tmp_path / "a.h5", length=333) as store:
            store.append(CODES, list(range(1000)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["plain", "compressed"])
def test_a_data_loader_gives_one_hot_batches(tmp_path: Path, workers: int, kind: str) -> None:
    path = tmp_path / "a.h5"
    write(path, CODES[:64], list(range(64))) if kind == "plain" else write_compressed(path, CODES[:64])
    store = SequenceStore(path)
    store.read([0])
    rows = RANDOM.permutation(64)[:50]
    loader = torch.utils.data.DataLoader(SequenceDataset(store, rows), batch_size=16, num_workers=workers)
    batches = torch.cat(list(loader))
    assert batches.dtype == torch.float32
    assert (batches.numpy() == one_hot_array(CODES[rows])).all()
    codes = torch.cat(list(torch.utils.data.DataLoader(SequenceDataset(store, rows, hot=False), batch_size=16)))
    assert (codes.numpy() == CODES[rows]).all()


def test_a_store_can_be_pickled(tmp_path: Path) -> None:
    store = SequenceStore(write(tmp_path / "a.h5", CODES, list(range(1000))))
    store.read([1])
    assert (pickle.loads(pickle.dumps(store)).read([5, 4]) == CODES[[5, 4]]).all()


def test_sequences_of_different_lengths(tmp_path: Path) -> None:
    rows = [CODES[n, : n % 7] for n in range(40)]
    for number, part in enumerate((rows[:20], rows[20:], [])):
        with create_store(tmp_path / f"{number}.h5", ragged=True) as store:
            for start in range(0, len(part), 8):
                ids = [f"t{20 * number + start + n}" for n in range(len(part[start : start + 8]))]
                store.append(part[start : start + 8], ids, cds_start=[1] * len(ids), strand=["+"] * len(ids))
    with SequenceStore([tmp_path / f"{number}.h5" for number in range(3)]) as store:
        assert store.length is None
        assert [row.tolist() for row in store] == [row.tolist() for row in rows]
        assert (store.locus("t13") == rows[13]).all()
        assert store.column("cds_start").tolist() == [1] * 40
        assert store.column("strand").tolist() == ["+"] * 40
        with pytest.raises(CisweaveError, match="there is no x in this shard; further columns: cds_start, strand"):
            store.column("x")
        with pytest.raises(CisweaveError, match="differ in length"):
            store.read()
