"""The store of TSS profiles: reading what is asked for, several shards as one, and files that are refused."""

import json
import pickle

import h5py
import numpy as np
import pandas as pd
import pytest

from cisweave.config import ProfileSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.parts import Part
from cisweave.genome.genes import read_genes
from cisweave.models import profile_shards
from cisweave.models import profiles as reader
from cisweave.models.profile_shards import ShardHeader, index_profiles, store_order, write_shard
from cisweave.models.profiles import read_profiles
from tests.real.checks import data_folder

BINS, TRACKS = 6, ["a", "b", "c"]
SETTINGS = ProfileSettings(bins=BINS)
WIDTH = 10 * len(TRACKS)
FOLDER, REASON = data_folder()
KNOWN = {"model_sha256": "m", "genome_sha256": "g"}


def genes_of(count, first=0):
    return pd.DataFrame(
        {
            "gene_id": [f"G{n}" for n in range(first, first + count)],
            "chrom": "chr1",
            "tss": range(1, count + 1),
            "strand": "+",
        }
    )


def arrays(count, seed=0):
    random = np.random.default_rng(seed)
    return random.random((count, BINS, 3), dtype=np.float32), random.random((count, WIDTH), dtype=np.float32)


def write(path, genes, profile, features, header=None, **more):
    with write_shard(path, header or ShardHeader(genes, TRACKS, SETTINGS, **KNOWN | more), {}) as writer:
        for row in range(writer.whole, len(genes)):
            writer.append(profile[row], features[row])
    return path


@pytest.fixture(params=["one shard", "three shards", "chunked", "compressed", "big-endian"])
def store(request, tmp_path):
    """The same eleven genes, kept in every way a store may keep them."""
    profile, features = arrays(11)
    genes = genes_of(11)
    if request.param == "three shards":
        cuts = [(0, 4), (4, 4), (4, 11)]
        shards = [
            write(tmp_path / f"{low}-{high}-{n}.h5", genes.iloc[low:high], profile[low:high], features[low:high])
            for n, (low, high) in enumerate(cuts)
        ]
        path = index_profiles(shards, tmp_path / "index.json")
    else:
        path = write(tmp_path / "one.h5", genes, profile, features)
    if request.param in ("chunked", "compressed", "big-endian"):
        keep = {"chunks": (2, 4, 3)} | ({"compression": "gzip"} if request.param == "compressed" else {})
        kind = ">f4" if request.param == "big-endian" else "<f4"
        with h5py.File(path, "r+") as file:
            for name, values in (("profile", profile), ("features", features)):
                del file[name]
                options = keep if name == "profile" and kind == "<f4" else {}
                file.create_dataset(name, data=values.astype(kind), **options)
    return read_profiles(path, verify=True), profile, features


def test_profiles_and_their_columns(store):
    found, profile, _ = store
    assert len(found) == 11
    assert found.tracks == TRACKS
    assert (found.model_sha256, found.genome_sha256) == ("m", "g")
    assert found.genes.gene_id.tolist() == [f"G{n}" for n in range(11)]
    assert found.rows(pd.Series(["G10", "other", "G0"])).tolist() == [10, -1, 0]
    for row, values in found.profiles(np.array([7, 2, 7, 10])).items():
        np.testing.assert_array_equal(values, profile[row])
    assert found.profile(3).dtype == np.float32


def test_bins_of_genes_in_any_order(store):
    found, profile, _ = store
    random = np.random.default_rng(3)
    rows, bins = random.integers(0, 11, (40, 1)), random.integers(0, BINS, (40, 9))
    np.testing.assert_array_equal(found.at(rows, bins), profile[rows, bins])
    np.testing.assert_array_equal(found.at(rows[:, 0], bins[:, 0]), profile[rows[:, 0], bins[:, 0]])
    with_unknown = found.at(np.array([3, -1]), np.array([2, 5]))
    np.testing.assert_array_equal(with_unknown, [profile[3, 2], np.zeros(3)])
    assert found.at(np.array([-1]), np.array([0])).tolist() == [[0, 0, 0]]
    assert found.at(np.zeros(0, int), np.zeros(0, int)).shape == (0, 3)
    for rows, bins in ((11, 0), (0, BINS), (0, -1)):
        with pytest.raises(IndexError):
            found.at(np.array([rows]), np.array([bins]))


def test_features_as_an_array(store):
    found, _, features = store
    lazy = found.features
    assert lazy.shape == features.shape
    assert len(lazy) == 11
    np.testing.assert_array_equal(lazy, features)
    mask = np.arange(11) % 3 == 1
    for rows in (mask, slice(2, 9, 2), np.array([9, 1, 9, 4]), 5, -1, np.zeros(0, int), slice(None)):
        np.testing.assert_array_equal(lazy[rows], features[rows])
        assert lazy[rows].shape == features[rows].shape
    with pytest.raises(IndexError):
        lazy[11]


@pytest.mark.parametrize("bytes_", [1, 100, 1 << 26])
def test_blocks(store, monkeypatch, bytes_):
    found, profile, _ = store
    monkeypatch.setattr(reader, "BLOCK_BYTES", bytes_)
    blocks = list(found.blocks(1, 4))
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), profile[:, 1:4])
    assert [row for row, _ in blocks] == np.cumsum([0, *(len(block) for _, block in blocks)]).tolist()[:-1]


def test_a_store_can_be_pickled_and_opens_again(store):
    found, profile, _ = store
    found.profile(1)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.profile(8), profile[8])
    found.close()
    np.testing.assert_array_equal(found.profile(1), profile[1])


def test_memory_for_profiles_is_bounded(store, monkeypatch):
    found, profile, _ = store
    monkeypatch.setattr(reader, "CACHE_BYTES", 3 * profile[0].nbytes)
    for row in (0, 1, 2, 0, 3):
        np.testing.assert_array_equal(found.profile(row), profile[row])
    assert list(found._kept) == [2, 0, 3]
    with pytest.raises(ValueError, match="read-only"):
        found.profile(3)[0] = 1


def test_a_bin_is_read_without_the_rest_of_its_gene(tmp_path, monkeypatch):
    profile, features = arrays(4)
    found = read_profiles(write(tmp_path / "p.h5", genes_of(4), profile, features))
    sizes = []
    preadv = profile_shards.os.preadv

    def counted(file, buffers, offset):
        sizes.append(len(buffers[0]))
        return preadv(file, buffers, offset)

    monkeypatch.setattr(profile_shards.os, "preadv", counted)
    found.at(np.array([[2], [0]]), np.array([[1, 2, 3, 4], [2, 3, 4, 5]]))
    assert sizes == [4 * 3 * 4] * 2


def test_a_store_of_no_genes(tmp_path):
    found = read_profiles(write(tmp_path / "p.h5", genes_of(0), *arrays(0)))
    assert len(found) == 0
    assert found.features[:].shape == (0, WIDTH)
    assert list(found.blocks(0, 2)) == []
    assert found.rows(pd.Series(["G0"])).tolist() == [-1]


def test_features_that_are_absent_are_missed_only_where_needed(tmp_path):
    path = write(tmp_path / "p.h5", genes_of(2), *arrays(2))
    with h5py.File(path, "r+") as file:
        del file["features"]
    found = read_profiles(path)
    assert found.profile(1).shape == (BINS, 3)
    with pytest.raises(CisweaveError, match="these TSS profiles hold no features; build them again"):
        _ = found.features


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_the_published_bed_stands_in_the_order_of_a_store():
    genes = read_genes(FOLDER / "annotation/ExPecto_geneanno.pc.sorted.bed")
    assert store_order(genes).tolist() == list(range(18_625))


def test_an_index_is_known_by_its_content(tmp_path):
    write(tmp_path / "p.h5", genes_of(2), *arrays(2))
    index = index_profiles([tmp_path / "p.h5"], tmp_path / "index")
    assert len(read_profiles(index)) == 2


def test_order_of_a_store():
    genes = pd.DataFrame({"chrom": ["chr2", "chr10", "chr1", "chr1", "chr1"], "tss": [1, 9, 7, 5, 7]})
    assert store_order(genes).tolist() == [3, 2, 4, 1, 0]


# --- writing ----------------------------------------------------------------------------------------------------------
def test_a_shard_that_is_not_whole_is_refused_and_left_to_go_on(tmp_path):
    profile, features = arrays(3)
    header = ShardHeader(genes_of(3), TRACKS, SETTINGS)
    with (
        pytest.raises(CisweaveError, match="1 of 3 genes were written"),
        write_shard(tmp_path / "p.h5", header, {"input": 1}) as writer,
    ):
        writer.append(profile[0], features[0])
    assert not (tmp_path / "p.h5").exists()
    with write_shard(tmp_path / "p.h5", header, {"input": 1}) as writer:
        assert writer.whole == 1
        for row in (1, 2):
            writer.append(profile[row], features[row])
    write(tmp_path / "q.h5", genes_of(3), profile, features, header)
    assert (tmp_path / "p.h5").read_bytes() == (tmp_path / "q.h5").read_bytes()


def test_work_that_is_cut_short_more_than_once(tmp_path):
    profile, features = arrays(5)
    header, journal = ShardHeader(genes_of(5), TRACKS, SETTINGS), tmp_path / ".resume-p.h5.journal"

    def go_on(before, after):
        with write_shard(tmp_path / "p.h5", header, {}) as writer:
            assert writer.whole == before
            for row in range(before, after):
                writer.append(profile[row], features[row])

    with pytest.raises(CisweaveError, match="2 of 5 genes"):
        go_on(0, 2)
    journal.write_bytes(journal.read_bytes()[:-3])
    with pytest.raises(CisweaveError, match="3 of 5 genes"):
        go_on(1, 3)
    go_on(3, 5)
    np.testing.assert_array_equal(read_profiles(tmp_path / "p.h5").features, features)


@pytest.mark.parametrize(
    "change",
    [
        {"identity": {"input": 2}},
        {"genes": genes_of(3, first=1)},
        {"tracks": ["a", "b", "d"]},
        {"settings": ProfileSettings(bins=BINS, dtype="float16")},
        {"model_sha256": "other"},
        {"genome_sha256": "other"},
        {"part": Part(1, 2)},
    ],
)
def test_other_work_begins_anew(tmp_path, change):
    profile, features = arrays(3)
    parts = {"genes": genes_of(3), "tracks": TRACKS, "settings": SETTINGS}
    with (
        pytest.raises(CisweaveError, match="1 of 3"),
        write_shard(tmp_path / "p.h5", ShardHeader(**parts), {"input": 1}) as writer,
    ):
        writer.append(profile[0], features[0])
    identity = change.pop("identity", {"input": 1})
    with (
        pytest.raises(CisweaveError, match="0 of 3"),
        write_shard(tmp_path / "p.h5", ShardHeader(**parts | change), identity) as writer,
    ):
        assert writer.whole == 0


def test_work_without_identity_leaves_nothing(tmp_path):
    header = ShardHeader(genes_of(3), TRACKS, SETTINGS)
    with pytest.raises(CisweaveError, match="0 of 3"), write_shard(tmp_path / "p.h5", header):
        pass
    assert list(tmp_path.iterdir()) == []


def test_one_writer_at_a_time(tmp_path):
    header = ShardHeader(genes_of(1), TRACKS, SETTINGS)
    profile, features = arrays(1)
    with write_shard(tmp_path / "p.h5", header, {}) as writer:
        writer.append(profile[0], features[0])
        for identity in ({}, None):
            with (
                pytest.raises(CisweaveError, match="another process is writing this file"),
                write_shard(tmp_path / "p.h5", header, identity),
            ):
                pass
    np.testing.assert_array_equal(read_profiles(tmp_path / "p.h5").profile(0), profile[0])


@pytest.mark.parametrize(
    ("profile", "features", "message"),
    [
        (np.zeros((BINS, 2)), np.zeros(WIDTH), r"the profile of gene G0 has the shape \(6, 2\), not \(6, 3\)"),
        (np.zeros((BINS, 3)), np.zeros(1), r"the features of gene G0 has the shape \(1,\), not \(30,\)"),
        (np.full((BINS, 3), np.inf), np.zeros(WIDTH), "the profile of gene G0 holds values that are not finite"),
    ],
)
def test_numbers_that_do_not_fit(tmp_path, profile, features, message):
    header = ShardHeader(genes_of(1), TRACKS, SETTINGS)
    with pytest.raises(CisweaveError, match=message), write_shard(tmp_path / "p.h5", header) as writer:
        writer.append(profile, features)


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "link.h5").symlink_to(tmp_path / "real.h5")
    write(tmp_path / "link.h5", genes_of(2), *arrays(2))
    assert (tmp_path / "link.h5").is_symlink()
    assert len(read_profiles(tmp_path / "real.h5")) == 2


# --- the index --------------------------------------------------------------------------------------------------------
def two_shards(folder, **second):
    profile, features = arrays(4)
    given = {"part": Part(1, 2)} | KNOWN
    first = write(folder / "1.h5", genes_of(2), profile[:2], features[:2], **given)
    tracks, settings = second.pop("tracks", TRACKS), second.pop("settings", SETTINGS)
    header = ShardHeader(second.pop("genes", genes_of(2, 2)), tracks, settings, **given | {"part": Part(2, 2)} | second)
    shape = header.shapes
    zeros = np.zeros(shape["profile"]), np.zeros(shape["features"])
    return [first, write(folder / "2.h5", header.genes, *zeros, header)]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"tracks": ["a", "b", "d"]}, "2.h5: this shard was made with other tracks than .*1.h5"),
        ({"settings": ProfileSettings(bins=BINS, grid="edge")}, "2.h5: this shard was made with other settings"),
        ({"model_sha256": "other"}, "2.h5: this shard was made with another chromatin model"),
        ({"genome_sha256": "other"}, "2.h5: this shard was made with another FASTA"),
        ({"genes": genes_of(2, 1)}, "2.h5: gene G1 stands here and in .*1.h5; keep it once"),
        ({"part": None}, "these shards are not the parts of one store"),
        ({"part": Part(2, 3)}, "these shards are not the parts of one store"),
        ({"part": Part(1, 2)}, "part 2/2 is not here; name the shards of all parts"),
    ],
)
def test_shards_that_make_no_store_are_refused(tmp_path, second, message):
    with pytest.raises(CisweaveError, match=message):
        index_profiles(two_shards(tmp_path, **second), tmp_path / "index.json")
    assert not (tmp_path / "index.json").exists()


def test_an_index_says_what_it_names_and_notices_changes(tmp_path):
    shards = two_shards(tmp_path)
    index = index_profiles(shards[::-1], tmp_path / "index.json")
    content = json.loads(index.read_text())
    assert [(row["file"], row["part"], row["genes"]) for row in content["shards"]] == [
        ("1.h5", "1/2", 2),
        ("2.h5", "2/2", 2),
    ]
    assert (content["genes"], content["tracks"], content["settings"]["bins"]) == (4, 3, BINS)
    assert len(read_profiles(index)) == 4
    bytes_ = bytearray(shards[1].read_bytes())
    bytes_[-1] ^= 1
    shards[1].write_bytes(bytes_)
    read_profiles(index)
    with pytest.raises(CisweaveError, match="this shard is not the one that .*index.json names"):
        read_profiles(index, verify=True)
    shards[1].write_bytes(bytes_[:-1])
    with pytest.raises(CisweaveError, match="this shard is not the one that .*index.json names"):
        read_profiles(index)
    shards[1].unlink()
    with pytest.raises(CisweaveError, match="2.h5: this file does not exist"):
        read_profiles(index)


@pytest.mark.parametrize("content", ["[]", '{"format": "other", "shards": []}', "{}", '{"format": 1, "shards": [1]}'])
def test_a_json_that_is_no_index(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(CisweaveError, match="this is not an index of TSS profiles"):
        read_profiles(tmp_path / "index.json")


def test_no_shard_at_all(tmp_path):
    with pytest.raises(CisweaveError, match="there is no shard; name at least one"):
        index_profiles([], tmp_path / "index.json")


# --- files that are refused -------------------------------------------------------------------------------------------
def test_a_store_that_is_cut_off(tmp_path):
    path = write(tmp_path / "p.h5", genes_of(4), *arrays(4))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CisweaveError, match=r"this is not a store of TSS profiles|cut off"):
        read_profiles(path)


def test_a_store_that_shrinks_while_it_is_open(tmp_path):
    path = write(tmp_path / "p.h5", genes_of(4), *arrays(4))
    found = read_profiles(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CisweaveError, match="cut off; make or fetch it again"):
        found.features[:]


def damaged(name, change):
    def damage(file):
        values = change(file[name][:])
        del file[name]
        file[name] = values

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        damaged("profile", lambda values: values[:1]),
        damaged("profile", lambda values: values.astype(int)),
        damaged("features", lambda values: values[:, :4]),
        damaged("tss", lambda values: values[:1]),
        lambda file: file.__delitem__("profile"),
        lambda file: file.__delitem__("gene_id"),
        lambda file: file.attrs.__delitem__("settings"),
    ],
)
def test_parts_that_do_not_fit_each_other(tmp_path, damage):
    path = write(tmp_path / "p.h5", genes_of(4), *arrays(4))
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(CisweaveError, match="this is not a store of TSS profiles"):
        read_profiles(path)


def test_settings_of_another_version(tmp_path):
    path = write(tmp_path / "p.h5", genes_of(1), *arrays(1))
    with h5py.File(path, "r+") as file:
        file.attrs["settings"] = '{"bins": 6, "unheard_of": 1}'
    with pytest.raises(CisweaveError, match="another version made these TSS profiles"):
        read_profiles(path)


def test_other_files_are_no_store(tmp_path):
    (tmp_path / "p.h5").write_text("no store")
    for path in (tmp_path / "p.h5", tmp_path, tmp_path / "absent.h5", tmp_path / "absent.json"):
        with pytest.raises(CisweaveError, match=r"not a store of TSS profiles|is a folder|does not exist"):
            read_profiles(path)


@pytest.mark.parametrize("change", [{"genes": 999}, {"model_sha256": "other"}, {"shards": 1}])
def test_an_index_that_says_something_else_is_refused(tmp_path, change):
    index = index_profiles(two_shards(tmp_path), tmp_path / "index.json")
    content = json.loads(index.read_text())
    if "shards" in change:
        change = {"shards": content["shards"][: change["shards"]]}
    index.write_text(json.dumps(content | change))
    with pytest.raises(CisweaveError, match="does not fit its shards|is not here"):
        read_profiles(index)
