"""Promoters as segments, each the mean of the vectors of the k-mers inside it: what DeepLncLoc and LSTM models read.

A file (HDF5) holds ``segments`` float32 (genes, segments, size), rows as in the data; ``vectors`` float32
(words, size); ``mean`` and ``sd`` (size,), by which segments are already standardised; ``gene_id``; and ``train_rows``,
the genes that vectors, mean and sd were made from. An attribute tells which promoters were
read. The same promoters, split and settings give the same bytes.

Dimension legend
    genes - rows of the data, length - bases of the slice, segments - stretches of ``segment`` bases side by side,
    words - the 4^k k-mers, inside - words inside a segment, size - length of a vector
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cisweave.config.promoters import EmbeddingSettings, slice_bounds
from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path, existing
from cisweave.core.logs import get_logger
from cisweave.core.seeds import derive_seed, generator
from cisweave.sequence.onehot import LETTERS, UNKNOWN, Codes
from cisweave.tables.hdf5 import open_store
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.dataset import DESCRIPTION, PROMOTERS, PromoterData, blocks_of, open_data
from cisweave.xpresso.split import read_split, split_rows

logger = get_logger(__name__)

WHAT = "embedded promoters"
FORMAT = "cisweave embedded promoters 1"
PROMOTERS_HASH = "promoters_sha256"
SENTENCE = 10_000
"""Words of the longest sentence; gensim does not read what comes after them."""
PART_VALUES = 1 << 23
"""Values that are made at a time."""
NO_WORD = -1
"""Index of a k-mer with an unknown base."""

Vectors = NDArray[np.float32]


# --- the command ------------------------------------------------------------------------------------------------------
def embed_data(
    data: str | Path, split: str | Path, out: str | Path, settings: EmbeddingSettings | None = None, fold: int = 1
) -> None:
    """Embed the promoters of all genes of a data set; vectors, mean and spread come from training genes alone.

    Parameters
    ----------
    data
        Folder of promoter data.
    split
        Table of the split, of which ``fold`` is taken.
    out
        HDF5, described above.

    Raises
    ------
    CisweaveError
        If the data have no promoters or shorter ones than the slice, or there is nothing to learn vectors from.
    """
    settings = settings or EmbeddingSettings()
    opened = open_data(data)
    bounds = slice_bounds(settings.slice)
    opened.check_slice(*bounds)
    train = np.sort(split_rows(read_split(split), opened, fold)["train"])
    vectors = make_vectors(settings, TrainingWindows(opened, sentence_rows(settings, train), *bounds))
    write_embedding(opened, out, settings, vectors, train, fold)
    segments = (bounds[1] - bounds[0]) // settings.segment
    notes = {"fold": fold, "genes": len(opened), "segments": segments, "size": vectors.shape[1]}
    inputs = [Path(data) / DESCRIPTION, split]
    write_receipt(out, settings=settings.model_dump(mode="json"), inputs=inputs, seed=settings.seed, notes=notes)
    logger.info("embedding: %d genes, %d segments of %d values (%s)", len(opened), segments, vectors.shape[1], out)


def write_embedding(
    data: PromoterData,
    out: str | Path,
    settings: EmbeddingSettings,
    vectors: Vectors,
    train: NDArray[np.int64],
    fold: int,
) -> None:
    """Write the file of an embedding: first the means of all segments, which are then standardised where they lie."""
    import h5py

    left, right = slice_bounds(settings.slice)
    size = vectors.shape[1]
    shape = (len(data), (right - left) // settings.segment, size)
    parts = row_parts(shape)
    with atomic_path(out) as temporary, h5py.File(temporary, "w") as store:
        segments = store.create_dataset("segments", shape, "float32", track_times=False)
        moments = Moments(size)
        for rows in parts:
            codes = data.windows(rows, left, right)
            means = segment_means(segment_words(codes, settings.segment, settings.k), vectors)
            segments[rows[0] : rows[-1] + 1] = means
            moments.add(means[np.isin(rows, train)].reshape(-1, size))
        mean, sd = moments.mean_sd() if settings.standardise else (np.zeros(size), np.ones(size))
        arrays = {"vectors": vectors, "mean": mean.astype(np.float32), "sd": sd.astype(np.float32)}
        for rows in parts:
            place = slice(rows[0], rows[-1] + 1)
            # a segment without any known word is what an average segment is
            segments[place] = np.nan_to_num((segments[place] - arrays["mean"]) / arrays["sd"], nan=0.0)
        for name, values in {**arrays, "train_rows": train, "gene_id": utf8(data.gene_ids)}.items():
            store.create_dataset(name, data=values, track_times=False)
        described = {"format": FORMAT, "settings": settings.model_dump_json(), "fold": fold}
        store.attrs.update({**described, PROMOTERS_HASH: promoters_hash(data)})


def promoters_hash(data: PromoterData) -> str:
    """SHA-256 of the file of promoters, as the description of the data has it; empty in data without promoters."""
    return str(data.description["files"].get(PROMOTERS, {}).get("sha256", ""))


def row_parts(shape: tuple[int, int, int]) -> list[NDArray[np.int64]]:
    """Rows of (genes, segments, size) in parts that fit in memory, one after the other."""
    number = max(1, PART_VALUES // (shape[1] * shape[2]))
    return [np.arange(start, min(start + number, shape[0])) for start in range(0, shape[0], number)]


def utf8(texts: Iterable[str]) -> NDArray[np.bytes_]:
    """Texts as HDF5 takes them."""
    return np.array([text.encode() for text in texts], dtype=np.bytes_)


class Moments:
    """Mean and population standard deviation of channels, from values (k, size) that come part by part."""

    def __init__(self, size: int):
        self.count = 0
        self.total = np.zeros(size)
        self.squares = np.zeros(size)

    def add(self, values: NDArray[np.floating]) -> None:
        """Take values (k, size) but for rows of NaN."""
        doubled = values[np.isfinite(values[:, 0])].astype(np.float64)
        self.count += len(doubled)
        self.total += doubled.sum(0)
        self.squares += (doubled**2).sum(0)

    def mean_sd(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation (size,); 1 in channels without spread."""
        count = max(1, self.count)
        mean = self.total / count
        spread = np.sqrt(np.maximum(0.0, self.squares / count - mean**2))
        # what is left of equal values after their squares were subtracted is rounding
        return mean, np.where(spread <= 1e-6 * np.abs(mean), 1.0, spread)


# --- words ------------------------------------------------------------------------------------------------------------
def word_codes(codes: Codes, k: int) -> NDArray[np.int32]:
    """Indices (…, length - k + 1) of the k-mers of codes (…, length); :data:`NO_WORD` where a base is unknown.

    The first base of a word is the highest digit in base 4 (A 0, C 1, G 2, T 3).
    """
    length = codes.shape[-1] - k + 1
    words = np.zeros((*codes.shape[:-1], length), dtype=np.int32)
    unknown = np.zeros(words.shape, dtype=bool)
    for place in range(k):
        bases = codes[..., place : place + length]
        words *= 4
        words += bases
        unknown |= bases >= UNKNOWN
    return np.where(unknown, np.int32(NO_WORD), words)


def segment_words(codes: Codes, segment: int, k: int) -> NDArray[np.int32]:
    """Indices (genes, segments, inside) of the words inside each segment of codes (genes, length).

    Words do not cross the borders of segments; bases after the last whole segment are not read.
    """
    number = codes.shape[1] // segment
    return word_codes(codes[:, : number * segment].reshape(len(codes), number, segment), k)


def segment_means(words: NDArray[np.int32], vectors: Vectors) -> Vectors:
    """Mean vectors float32 (genes, segments, size) of words (genes, segments, inside); NaN where no word is known."""
    from scipy import sparse

    known = (words != NO_WORD).sum(axis=-1)
    ends = np.concatenate([[0], np.cumsum(known.ravel())])
    found = words[words != NO_WORD]
    # one row per segment and one column per word: the product adds up the vectors of a segment's words
    counts = sparse.csr_matrix((np.ones(len(found), np.float32), found, ends), shape=(known.size, len(vectors)))
    sums = np.asarray(counts @ vectors, dtype=np.float32).reshape(*known.shape, vectors.shape[1])
    total = np.where(known > 0, known, np.nan).astype(np.float32)
    means: Vectors = sums / total[..., None]
    return means


# --- vectors ----------------------------------------------------------------------------------------------------------
class TrainingWindows:
    """The slice of training promoters, one after the other; can be gone through as often as wanted."""

    def __init__(self, data: PromoterData, rows: NDArray[np.int64], left: int, right: int):
        self.data, self.rows, self.left, self.right = data, rows, left, right

    def __iter__(self) -> Iterator[Codes]:
        for block in blocks_of(self.data, self.rows, self.left, self.right):
            yield from block


def sentence_rows(settings: EmbeddingSettings, train: NDArray[np.int64]) -> NDArray[np.int64]:
    """Training genes that word2vec learns from: all, or as many as ``max_sentences``, drawn at random."""
    if settings.max_sentences is None or settings.max_sentences >= len(train):
        return train
    drawn: NDArray[np.int64] = generator(settings.seed, "sentences").choice(train, settings.max_sentences, False)
    return np.sort(drawn)


def make_vectors(settings: EmbeddingSettings, windows: Iterable[Codes]) -> Vectors:
    """Vectors float32 (words, size) of all k-mers.

    Parameters
    ----------
    windows
        Codes (length,) of training promoters, for word2vec; anything that can be gone through more than once.
    """
    words = 4**settings.k
    if settings.mode == "kmer_freq":
        return np.eye(words, dtype=np.float32)
    if settings.mode == "random_projection":
        # where word2vec begins, and where the published embedding stayed: its training saw no sentence
        drawn = generator(settings.seed, "random_projection").uniform(-0.5, 0.5, (words, settings.size))
        return (drawn / settings.size).astype(np.float32)
    return word2vec_vectors(settings, windows)


class Sentences:
    """K-mers of promoters as lists of words, for gensim; starts anew whenever it is gone through.

    A sentence ends at an unknown base and after :data:`SENTENCE` words, so that gensim cuts nothing off in silence.
    """

    def __init__(self, windows: Iterable[Codes], k: int):
        if isinstance(windows, Iterator):
            raise CisweaveError("word2vec reads promoters several times; give a list of them, not an iterator")
        self.windows, self.k = windows, k
        self.words = np.array(["".join(letters) for letters in product(LETTERS, repeat=k)], dtype=object)

    def __iter__(self) -> Iterator[list[str]]:
        for codes in self.windows:
            words = word_codes(codes, self.k)
            gaps = np.flatnonzero(words == NO_WORD)
            for start, end in zip([0, *(gaps + 1)], [*gaps, len(words)], strict=True):
                for first in range(start, end, SENTENCE):
                    yield self.words[words[first : min(end, first + SENTENCE)]].tolist()


def word2vec_vectors(settings: EmbeddingSettings, windows: Iterable[Codes]) -> Vectors:
    """Skip-gram vectors of k-mers, trained by gensim on one thread, so that they can be had again.

    Words that no training promoter holds have vectors of zeros.

    Raises
    ------
    CisweaveError
        If there is no word to learn from, or gensim did not see every word in every pass.
    """
    from gensim.models import Word2Vec

    # its only warning is about too few words to keep several threads busy; there is one
    logging.getLogger("gensim").setLevel(logging.ERROR)
    sentences = Sentences(windows, settings.k)
    model = Word2Vec(
        vector_size=settings.size,
        window=settings.context,
        min_count=1,
        sg=1,
        epochs=settings.epochs,
        seed=derive_seed(settings.seed, "word2vec"),
        workers=1,
        hashfxn=stable_hash,
    )
    model.build_vocab(sentences)
    if not model.corpus_total_words:
        raise CisweaveError(f"no training promoter holds a k-mer of {settings.k} known bases; word2vec cannot learn")
    learned, seen = model.train(sentences, total_examples=model.corpus_count, epochs=settings.epochs)
    check_seen(learned, seen, model.corpus_total_words * settings.epochs)
    logger.info("word2vec: %d words seen, %d of them learned from, in %d passes", seen, learned, settings.epochs)
    vectors = np.zeros((4**settings.k, settings.size), dtype=np.float32)
    for index, word in enumerate(sentences.words):
        if word in model.wv:
            vectors[index] = model.wv[word]
    return vectors


def stable_hash(text: str) -> int:
    """A number for a text that, unlike Python's own, is the same in every process."""
    return zlib.crc32(text.encode())


def check_seen(learned: int, seen: int, expected: int) -> None:
    """Raise unless word2vec went through all words in all passes and learned from some."""
    if seen != expected:
        raise CisweaveError(
            f"word2vec saw {seen} words instead of {expected}; this is a fault of cisweave, please report it"
        )
    if not learned:
        raise CisweaveError("word2vec left all words out by chance; give it more training genes or more epochs")


# --- reading ----------------------------------------------------------------------------------------------------------
class Embedding:
    """Embedded promoters; made by :func:`open_embedding`. Segments are read when asked for.

    Can be pickled and forked, as the workers of a data loader do it.

    Attributes
    ----------
    settings
        How it was made.
    vectors, mean, sd
        Vectors float32 (words, size) of k-mers, and mean and standard deviation (size,) of channels.
    shape
        Genes, segments, size.
    fold
        Fold of the split whose training genes shaped it.
    promoters_hash
        SHA-256 of the file of promoters that was embedded; empty where segments were imported.
    """

    def __init__(self, path: Path, store: Any):
        self.path = path
        if store.attrs["format"] != FORMAT:
            raise CisweaveError(f"this is not a store of {WHAT}; make it anew", path=path)
        self.settings = EmbeddingSettings.model_validate_json(store.attrs["settings"])
        self.fold = int(store.attrs["fold"])
        self.promoters_hash = str(store.attrs.get(PROMOTERS_HASH, ""))
        self.vectors: Vectors = store["vectors"][:]
        self.mean: Vectors = store["mean"][:]
        self.sd: Vectors = store["sd"][:]
        self.gene_ids = [name.decode() for name in store["gene_id"][:].tolist()]
        self.train_rows: NDArray[np.int64] = store["train_rows"][:]
        segments = store["segments"]
        self.shape: tuple[int, int, int] = segments.shape
        self._offset = segments.id.get_offset()
        left, right = slice_bounds(self.settings.slice)
        expected = (len(self.gene_ids), (right - left) // self.settings.segment, self.vectors.shape[1])
        whole = self.shape == expected and segments.dtype == np.float32 and self._fits()
        if not whole or (self._offset is None and segments.size):
            raise CisweaveError(f"this is not a store of {WHAT}: its parts do not fit each other", path=path)
        self._map: NDArray[np.float32] | None = None

    def _fits(self) -> bool:
        """Whether vectors and scales have the sizes that settings and segments ask for, and training genes exist."""
        words, size = self.vectors.shape
        scales = self.mean.shape == self.sd.shape == (size,) and bool((self.sd > 0).all())
        scales = scales and all(bool(np.isfinite(values).all()) for values in (self.vectors, self.mean, self.sd))
        rows = self.train_rows
        inside = rows.ndim == 1 and (not len(rows) or bool(rows.min() >= 0 and rows.max() < len(self.gene_ids)))
        return words == 4**self.settings.k and scales and inside

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Segments float32 (k, segments, size) of rows of the data, as models read them."""
        if self._map is None:
            # the file is read by the operating system where it is asked for, without HDF5
            self._map = np.asarray(np.memmap(self.path, np.float32, "r", self._offset or 0, self.shape))
        taken: NDArray[np.float32] = self._map[np.asarray(rows, dtype=np.int64)]
        return taken

    def check_belongs(self, data: PromoterData, train: NDArray[np.int64]) -> None:
        """Raise unless it was made from these data, and shaped by these training genes (rows) alone."""
        if self.gene_ids != data.gene_ids:
            raise CisweaveError(f"the embedded genes are not those of {data.folder}; embed them anew", path=self.path)
        if self.promoters_hash != promoters_hash(data):
            raise CisweaveError(
                f"the embedded promoters are not those that {data.folder} holds now; embed them anew", path=self.path
            )
        if not np.array_equal(self.train_rows, np.sort(train)):
            raise CisweaveError(
                f"the embedding was shaped by other training genes (fold {self.fold}) than those of this split and "
                "fold; embed the promoters anew",
                path=self.path,
            )


def open_embedding(path: str | Path) -> Embedding:
    """Open embedded promoters.

    Raises
    ------
    CisweaveError
        If the file is none, or was not written to its end.
    """
    with open_store(path, WHAT) as store:
        try:
            return Embedding(existing(path), store)
        except ValidationError as error:
            raise CisweaveError(f"this is not a store of {WHAT}: its settings cannot be read", path=path) from error
        except (ValueError, TypeError, AttributeError, IndexError, RuntimeError, OverflowError) as error:
            raise CisweaveError(f"this is not a store of {WHAT}, or it is damaged ({error})", path=path) from error
