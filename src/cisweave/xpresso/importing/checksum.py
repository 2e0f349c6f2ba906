"""CRC-32C (Castagnoli), the checksum in TensorFlow's files, with NumPy alone.

Long data are cut into lanes that go through the table side by side; what the lanes give is joined by the algebra of the
code: the register after ``a + b`` is the register after ``a`` moved on by the length of ``b``, plus that of ``b``.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78
"""Of CRC-32C, its bits reversed."""
MASK_DELTA = 0xA282EAD8
"""Added to a rotated checksum that is stored beside the data it is of."""
ONES = 0xFFFFFFFF
LANES = 1024
SHORT = 1 << 14
"""Bytes up to which the plain loop is as fast."""

Words = NDArray[np.uint32]


@cache
def byte_table() -> Words:
    """What each byte (256,) leaves in the register."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C of bytes."""
    return run(ONES, memoryview(data).cast("B")) ^ ONES


def masked_crc32c(data: bytes | memoryview) -> int:
    """The form of :func:`crc32c` that TensorFlow stores: rotated right by 15 bits, plus a constant."""
    plain = crc32c(data)
    return (((plain >> 15) | (plain << 17)) + MASK_DELTA) & ONES


def run(register: int, data: memoryview) -> int:
    """The register after these bytes."""
    if len(data) <= SHORT:
        return run_short(register, data)
    rest = len(data) % LANES
    register = run_short(register, data[:rest])
    lanes = np.frombuffer(data[rest:], dtype=np.uint8).reshape(LANES, -1)
    table = byte_table()
    registers = np.zeros(LANES, dtype=np.uint32)
    for column in np.ascontiguousarray(lanes.T):
        registers = table[(registers ^ column) & 0xFF] ^ (registers >> 8)
    step = zeros_operator(lanes.shape[1])
    for lane in registers.tolist():
        register = apply(step, register) ^ lane
    return register


def run_short(register: int, data: memoryview) -> int:
    """The register after these bytes, one by one."""
    table = byte_table().tolist()
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register


def zeros_operator(length: int) -> list[int]:
    """What ``length`` bytes of zero do to a register: the image of each of its 32 bits."""
    table = byte_table().tolist()
    power = [table[bit & 0xFF] ^ (bit >> 8) for bit in (1 << place for place in range(32))]
    result = [1 << place for place in range(32)]
    while length:
        if length & 1:
            result = [apply(power, image) for image in result]
        power = [apply(power, image) for image in power]
        length >>= 1
    return result


def apply(operator: list[int], register: int) -> int:
    """A linear map of the register, given by the images of its bits."""
    result, place = 0, 0
    while register:
        if register & 1:
            result ^= operator[place]
        register >>= 1
        place += 1
    return result
