"""Protocol buffers and LevelDB blocks as bytes: the few forms that TensorFlow's files use.

Everything here checks its bounds and raises :class:`ValueError`, which the readers turn into a clear error.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of a protocol buffer."""
MOST_BITS = 64


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and the place after it."""
    value = 0
    for shift in range(0, MOST_BITS, 7):
        if place >= len(data):
            raise ValueError("a number is cut off")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number has more than 64 bits")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message; groups, which are no longer used, are refused."""
    place = 0
    while place < len(data):
        tag, place = read_varint(data, place)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, place = read_varint(data, place)
            yield number, value
            continue
        if wire == BYTES:
            length, place = read_varint(data, place)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"a message has a field of wire type {wire}")
        if place + length > len(data):
            raise ValueError("a message is cut off")
        part = data[place : place + length]
        place += length
        yield number, part if wire == BYTES else int.from_bytes(part, "little")


def messages(data: bytes, number: int) -> Iterator[bytes]:
    """The values of one repeated field that holds messages, texts or bytes."""
    for found, value in fields(data):
        if found == number and isinstance(value, bytes):
            yield value


def numbers(data: bytes) -> dict[int, int]:
    """The fields of a message that are numbers."""
    return {number: value for number, value in fields(data) if isinstance(value, int)}


def signed(value: int) -> int:
    """A 64-bit number with its sign."""
    return value - (1 << MOST_BITS) if value >> (MOST_BITS - 1) else value


def block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a LevelDB block, in order."""
    if len(block) < 4:
        raise ValueError("a block is cut off")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise ValueError("a block has more restart points than it is long")
    place, key = 0, b""
    while place < end:
        shared, place = read_varint(block, place)
        unshared, place = read_varint(block, place)
        length, place = read_varint(block, place)
        if shared > len(key) or place + unshared + length > end:
            raise ValueError("an entry reaches beyond its block")
        key = key[:shared] + block[place : place + unshared]
        place += unshared
        yield key, block[place : place + length]
        place += length
