"""CRC-32C against the values of RFC 3720 and a calculation bit by bit."""

import numpy as np
import pytest

from cisweave.xpresso.importing.checksum import SHORT, crc32c, masked_crc32c
from tests.xpresso.importing.bundle_writer import crc


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_values(data: bytes, value: int) -> None:
    assert crc32c(data) == value


@pytest.mark.parametrize("length", [SHORT - 1, SHORT, SHORT + 1, SHORT + 1024, 3 * SHORT + 17])
def test_long_data_are_as_bit_by_bit(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assert masked_crc32c(data) == crc(data)
    assert masked_crc32c(data[:-1] + bytes([data[-1] ^ 1])) != crc(data)
