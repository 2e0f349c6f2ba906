"""Embedded promoters: against plain counting, against the front of the models, and word2vec that is really trained."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config.promoters import EmbeddingSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import sha256
from cisweave.models.promoter.fronts import KmerSegments
from cisweave.sequence.onehot import decode, encode, one_hot
from cisweave.tables.frames import write_tsv
from cisweave.xpresso import embedding as module
from cisweave.xpresso.dataset import PromoterData, write_data
from cisweave.xpresso.embedding import (
    Sentences,
    check_seen,
    embed_data,
    make_vectors,
    open_embedding,
    sentence_rows,
    word_codes,
)

LENGTH, LEFT, RIGHT, SEGMENT = 60, 7, 52, 10
GENES = 9
TRAIN = [6, 0, 3, 1, 7]
SMALL = {"slice": f"{LEFT}:{RIGHT}", "segment": SEGMENT}
RANDOM = np.random.default_rng(8)
CODES = RANDOM.integers(0, 4, (GENES, LENGTH), dtype=np.uint8)
CODES[0, 10] = CODES[2, 30] = 4  # one unknown base in a training and in another gene
CODES[3, LEFT : LEFT + SEGMENT] = 4  # a segment without any word
ALL = np.arange(GENES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PromoterData:
    folder = tmp_path_factory.mktemp("embedding")
    ids = [f"G{number}" for number in range(GENES)]
    write_split(folder / "split.tsv", TRAIN)
    return write_data(folder / "data", pd.DataFrame({"gene_id": ids}), [CODES], upstream=30, downstream=30)


def write_split(path: Path, train: list[int]) -> None:
    rows = [(f"G{number}", "train" if number in train else "test") for number in [*train, *sorted(set(ALL) - {*train})]]
    write_tsv(pd.DataFrame(rows, columns=["gene_id", "split"]), path)


def embed(data: PromoterData, out: Path, **settings: object) -> module.Embedding:
    split = data.folder.parent / "split.tsv"
    embed_data(data.folder, split, out, EmbeddingSettings(**{**SMALL, **settings}))
    return open_embedding(out)


def counted(k: int) -> np.ndarray:
    """Shares of words in segments (genes, segments, 4^k), counted letter by letter; NaN without any word."""
    words = [""]
    for _ in range(k):
        words = [word + letter for word in words for letter in "ACGT"]
    shares = np.zeros((GENES, (RIGHT - LEFT) // SEGMENT, 4**k))
    for gene in range(GENES):
        text = decode(CODES[gene])[LEFT:RIGHT]
        for segment in range(shares.shape[1]):
            piece = text[segment * SEGMENT : (segment + 1) * SEGMENT]
            found = [piece[start : start + k] for start in range(SEGMENT - k + 1)]
            known = [word for word in found if "N" not in word]
            for word in known:
                shares[gene, segment, words.index(word)] += 1 / len(known)
            if not known:
                shares[gene, segment] = np.nan
    return shares


# --- segments ---------------------------------------------------------------------------------------------------------
def test_words_by_hand() -> None:
    assert word_codes(encode("AACGTTNACG"), 3).tolist() == [1, 6, 27, 47, -1, -1, -1, 6]
    assert word_codes(encode("TTTTTT"), 6).tolist() == [4095]


@pytest.mark.parametrize("k", [1, 3])
def test_shares_of_words(data: PromoterData, tmp_path: Path, k: int) -> None:
    found = embed(data, tmp_path / "e.h5", k=k, standardise=False)
    expected = counted(k)
    assert np.isnan(expected[3, 0]).all()
    assert found.shape == (GENES, 4, 4**k)
    assert found.read(ALL) == pytest.approx(np.nan_to_num(expected), abs=1e-6)
    assert (found.mean.tolist(), found.sd.tolist()) == ([0] * 4**k, [1] * 4**k)


def test_standardised_over_segments_of_training_genes(data: PromoterData, tmp_path: Path) -> None:
    found = embed(data, tmp_path / "e.h5", k=1)
    training = counted(1)[TRAIN].reshape(-1, 4)
    mean, sd = np.nanmean(training, axis=0), np.nanstd(training, axis=0)
    assert found.mean == pytest.approx(mean, abs=1e-6)
    assert found.sd == pytest.approx(sd, abs=1e-6)
    assert found.read(ALL) == pytest.approx(np.nan_to_num((counted(1) - mean) / sd), abs=1e-4)
    assert not found.read(ALL)[3, 0].any()


def test_a_word_that_training_genes_lack_has_no_spread_to_divide_by(data: PromoterData, tmp_path: Path) -> None:
    found = embed(data, tmp_path / "e.h5", k=4)
    lacking = np.nansum(counted(4)[TRAIN], axis=(0, 1)) == 0
    assert lacking.any()
    assert (found.sd[lacking] == 1).all()
    assert np.isfinite(found.read(ALL)).all()


@pytest.mark.parametrize("mode", ["kmer_freq", "random_projection", "word2vec"])
@pytest.mark.parametrize("standardise", [True, False])
def test_models_make_the_same_of_bases(data: PromoterData, tmp_path: Path, mode: str, standardise: bool) -> None:
    found = embed(data, tmp_path / "e.h5", mode=mode, size=5, k=2, standardise=standardise)
    front = KmerSegments(SEGMENT, 2, found.vectors.shape[1])
    front.set_vectors(*(torch.from_numpy(part) for part in (found.vectors, found.mean, found.sd)))
    made = front(one_hot(data.windows(ALL, LEFT, RIGHT)))
    assert np.abs(made.numpy() - found.read(ALL)).max() < 1e-5
    if not standardise:
        assert np.abs(made.numpy() - found.read(ALL)).max() < 1e-6


def test_rows_in_any_order_and_in_workers(data: PromoterData, tmp_path: Path) -> None:
    found = embed(data, tmp_path / "e.h5")
    rows = np.array([8, 0, 8, 3])
    taken = found.read(rows)
    assert taken.dtype == np.float32
    assert taken.flags.writeable
    with h5py.File(tmp_path / "e.h5") as store:
        assert (taken == store["segments"][:][rows]).all()
    assert (pickle.loads(pickle.dumps(found)).read(rows) == taken).all()


def test_parts_do_not_show(data: PromoterData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = embed(data, tmp_path / "whole.h5").read(ALL)
    monkeypatch.setattr(module, "PART_VALUES", 4 * 64 * 2)
    assert embed(data, tmp_path / "parts.h5").read(ALL) == pytest.approx(whole, abs=1e-5)


# --- vectors ----------------------------------------------------------------------------------------------------------
def test_random_projection_is_what_the_published_models_saw() -> None:
    vectors = make_vectors(EmbeddingSettings(mode="random_projection"), [])
    assert vectors.shape == (64, 64)
    assert np.abs(vectors).max() < 1 / 128
    assert vectors.std() == pytest.approx(1 / 128 / np.sqrt(3), rel=0.05)
    promoters = np.random.default_rng(1).integers(0, 4, (100, 10_500), dtype=np.uint8)
    segments = module.segment_means(module.segment_words(promoters, 50, 3), vectors)
    assert segments.shape == (100, 210, 64)
    # means and variances that the saved models' first BatchNorm holds
    assert np.abs(segments.mean((0, 1))).max() < 0.0021
    variance = segments.var((0, 1))
    assert variance.min() > 1e-7
    assert variance.max() < 1.2e-6


def test_seeds_of_random_vectors() -> None:
    one, two = (make_vectors(EmbeddingSettings(mode="random_projection", seed=seed), []) for seed in (1, 2))
    assert (one != two).all()
    assert (make_vectors(EmbeddingSettings(mode="random_projection"), []) == one).all()


def corpus() -> list[np.ndarray]:
    """Promoters that are mixes of A and C, or of G and T, never of both."""
    random = np.random.default_rng(0)
    return [(random.integers(0, 2, 400) + 2 * (number % 2)).astype(np.uint8) for number in range(30)]


def test_word2vec_learns_what_stands_together() -> None:
    settings = EmbeddingSettings(mode="word2vec", size=8, k=2, epochs=15)
    vectors = make_vectors(settings, corpus())
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    first, second = [0, 1, 4, 5], [10, 11, 14, 15]  # words of A and C, words of G and T
    alike = (unit @ unit.T)[np.ix_(first, first)][np.triu_indices(4, 1)]
    unlike = (unit @ unit.T)[np.ix_(first, second)]
    assert alike.min() > unlike.max() + 0.3
    assert np.abs(vectors).max() > 1 / 16  # beyond the ±1/(2 size) that it begins with
    mixed = np.setdiff1d(np.arange(16), [*first, *second])
    assert not vectors[mixed].any()


def test_word2vec_is_told_apart_from_an_untrained_one() -> None:
    with pytest.raises(CisweaveError, match="give a list of them, not an iterator"):
        make_vectors(EmbeddingSettings(mode="word2vec"), iter(corpus()))
    with pytest.raises(CisweaveError, match="saw 0 words instead of 300"):
        check_seen(0, 0, 300)
    with pytest.raises(CisweaveError, match="left all words out by chance"):
        check_seen(0, 300, 300)
    with pytest.raises(CisweaveError, match="no training promoter holds a k-mer of 3 known bases"):
        make_vectors(EmbeddingSettings(mode="word2vec"), [np.full(20, 4, np.uint8)])


def test_sentences_end_at_unknown_bases_and_before_gensim_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = Sentences([encode("ACGTNNACG"), encode("TT")], 2)
    assert list(sentences) == [["AC", "CG", "GT"], ["AC", "CG"], ["TT"]]
    assert list(sentences) == list(sentences)
    from gensim.models.word2vec import MAX_WORDS_IN_BATCH

    assert module.SENTENCE <= MAX_WORDS_IN_BATCH
    monkeypatch.setattr(module, "SENTENCE", 2)
    assert list(Sentences([encode("ACGTA")], 2)) == [["AC", "CG"], ["GT", "TA"]]


def test_some_training_genes_for_word2vec() -> None:
    train = np.array([3, 5, 8, 11])
    assert sentence_rows(EmbeddingSettings(), train).tolist() == train.tolist()
    drawn = sentence_rows(EmbeddingSettings(max_sentences=2), train)
    assert len(set(drawn) & set(train)) == 2
    assert sentence_rows(EmbeddingSettings(max_sentences=2), train).tolist() == drawn.tolist()


def test_same_bytes_in_every_process(data: PromoterData, tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        out = tmp_path / f"e{number}.h5"
        code = (
            "from cisweave.xpresso.embedding import embed_data;"
            "from cisweave.config.promoters import EmbeddingSettings;"
            f"embed_data({str(data.folder)!r}, {str(data.folder.parent / 'split.tsv')!r}, {str(out)!r},"
            f"EmbeddingSettings(mode='word2vec', size=4, slice='{LEFT}:{RIGHT}', segment={SEGMENT}))"
        )
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": str(number), "OMP_NUM_THREADS": "1"},
        )
        digests.add(sha256(out))
    assert len(digests) == 1


# --- errors -----------------------------------------------------------------------------------------------------------
def test_an_embedding_belongs_to_its_data_and_split(data: PromoterData, tmp_path: Path) -> None:
    found = embed(data, tmp_path / "e.h5")
    found.check_belongs(data, np.array(TRAIN))
    with pytest.raises(CisweaveError, match=r"shaped by other training genes \(fold 1\)"):
        found.check_belongs(data, np.array(TRAIN[1:]))
    other = write_data(tmp_path / "other", pd.DataFrame({"gene_id": ["A"]}), None)
    with pytest.raises(CisweaveError, match="the embedded genes are not those of"):
        found.check_belongs(other, np.array(TRAIN))
    shifted = write_data(tmp_path / "shifted", data.genes, [np.roll(CODES, 1, axis=1)], upstream=30, downstream=30)
    with pytest.raises(CisweaveError, match="the embedded promoters are not those that .* holds now"):
        found.check_belongs(shifted, np.array(TRAIN))


def test_wrong_slices_and_data(data: PromoterData, tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="the slice 3000:13500 is no part of the promoters, which have 60 bases"):
        embed(data, tmp_path / "e.h5", slice="3000:13500")
    with pytest.raises(CisweaveError, match="no fold 2"):
        embed_data(data.folder, data.folder.parent / "split.tsv", tmp_path / "e.h5", EmbeddingSettings(**SMALL), fold=2)
    assert not (tmp_path / "e.h5").exists()


def test_foreign_and_damaged_files(data: PromoterData, tmp_path: Path) -> None:
    embed(data, tmp_path / "e.h5")
    whole = (tmp_path / "e.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.h5").write_text("gene\n")
    with pytest.raises(CisweaveError, match="not a store of embedded promoters"):
        open_embedding(tmp_path / "cut.h5")
    with pytest.raises(CisweaveError, match="not a store of embedded promoters"):
        open_embedding(tmp_path / "text.h5")
    with pytest.raises(CisweaveError, match="not a store of embedded promoters"):
        open_embedding(data.folder / "promoters.h5")
    for name, value in {"format": "other", "settings": "{}x", "fold": "one"}.items():
        (tmp_path / "changed.h5").write_bytes(whole)
        with h5py.File(tmp_path / "changed.h5", "a") as store:
            store.attrs[name] = value
        with pytest.raises(CisweaveError, match="not a store of embedded promoters"):
            open_embedding(tmp_path / "changed.h5")
    wrong = [
        ("vectors", np.zeros((63, 64), np.float32)),
        ("mean", np.zeros(65)),
        ("sd", np.ones(3)),
        ("sd", np.zeros(64)),
        ("mean", np.full(64, np.nan)),
        ("vectors", np.full((64, 64), np.inf, np.float32)),
        ("train_rows", [GENES]),
    ]
    for name, values in wrong:
        (tmp_path / "changed.h5").write_bytes(whole)
        with h5py.File(tmp_path / "changed.h5", "a") as store:
            del store[name]
            store[name] = values
        with pytest.raises(CisweaveError, match="parts do not fit each other"):
            open_embedding(tmp_path / "changed.h5")
    for values in (np.zeros(64), 1.0, h5py.SoftLink("/vectors")):
        (tmp_path / "changed.h5").write_bytes(whole)
        with h5py.File(tmp_path / "changed.h5", "a") as store:
            del store["vectors"]
            store["vectors"] = values
        with pytest.raises(CisweaveError, match="not a store of embedded promoters"):
            open_embedding(tmp_path / "changed.h5")
