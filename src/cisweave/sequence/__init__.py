"""Sequences: codes, one-hot, genomes, windows and stores. The channel order is A, C, G, T at every public boundary."""

from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import decode, encode, one_hot, one_hot_array, reverse_complement
from cisweave.sequence.store import SequenceDataset, SequenceStore, index_shards
from cisweave.sequence.windows import allele_window

__all__ = [
    "Genome",
    "SequenceDataset",
    "SequenceStore",
    "allele_window",
    "decode",
    "encode",
    "index_shards",
    "one_hot",
    "one_hot_array",
    "reverse_complement",
]
