"""Codes and one-hot: the channel order is A, C, G, T and unknown bases are columns of zeros."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from cisweave.sequence import decode, encode, one_hot, reverse_complement
from cisweave.sequence.onehot import reverse_complement_tensor

dna = st.text("ACGTN", max_size=60)


def test_codes_follow_the_order_acgt_in_either_case():
    assert encode("ACGTacgt").tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_everything_else_is_unknown():
    assert encode("NnRY-*M.").tolist() == [4] * 8


def test_one_hot_has_one_per_known_base_and_zeros_for_unknown():
    tensor = one_hot(encode("ACGTN")[None])
    assert tensor.shape == (1, 4, 5)
    expected = torch.cat([torch.eye(4), torch.zeros(4, 1)], dim=1)
    assert torch.equal(tensor[0], expected)


@given(dna)
def test_decode_undoes_encode(sequence):
    assert decode(encode(sequence)) == sequence


@given(dna)
def test_reverse_complement_pairs_bases(sequence):
    pairs = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
    assert decode(reverse_complement(encode(sequence))) == "".join(pairs[base] for base in reversed(sequence))


def test_reverse_complement_of_tensors_is_the_same():
    codes = np.stack([encode("ACGTN"), encode("TTNAC")])
    assert reverse_complement_tensor(torch.from_numpy(codes)).numpy().tolist() == reverse_complement(codes).tolist()


def test_reverse_complement_works_on_batches():
    batch = np.stack([encode("AAC"), encode("GTN")])
    assert [decode(row) for row in reverse_complement(batch)] == ["GTT", "NAC"]
