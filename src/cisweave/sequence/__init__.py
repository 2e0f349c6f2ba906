"""Sequences: codes, one-hot, genomes and windows. The channel order is A, C, G, T at every public boundary."""

from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import decode, encode, one_hot, reverse_complement
from cisweave.sequence.windows import allele_window

__all__ = ["Genome", "allele_window", "decode", "encode", "one_hot", "reverse_complement"]
