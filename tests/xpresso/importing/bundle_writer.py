"""TensorFlow bundles written by hand, after the description of the format, to test the reader with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}
MAGIC = 0xDB4775248B80FB57
KEY = "{}/.ATTRIBUTES/VARIABLE_VALUE"


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number * 8) + varint(value)
    return varint(number * 8 + 2) + varint(len(value)) + value


def crc(data: bytes) -> int:
    """Bit by bit, and masked."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    register ^= 0xFFFFFFFF
    return ((register >> 15 | register << 17) + 0xA282EAD8) & 0xFFFFFFFF


def block(entries: Sequence[tuple[bytes, bytes]], interval: int = 16, checksum: bool = True) -> bytes:
    out, restarts, before = b"", [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % interval == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    for restart in restarts or [0]:
        out += restart.to_bytes(4, "little")
    out += len(restarts or [0]).to_bytes(4, "little") + b"\0"
    return out + (crc(out) if checksum else 0).to_bytes(4, "little")


def table(entries: Sequence[tuple[bytes, bytes]], per_block: int = 7) -> bytes:
    out, handles = b"", []
    for start in range(0, len(entries), per_block):
        part = block(entries[start : start + per_block])
        handles.append((entries[min(start + per_block, len(entries)) - 1][0], varint(len(out)) + varint(len(part) - 5)))
        out += part
    tail = []
    for part in (block([]), block(handles, interval=1)):
        tail.append(varint(len(out)) + varint(len(part) - 5))
        out += part
    return out + (tail[0] + tail[1]).ljust(40, b"\0") + MAGIC.to_bytes(8, "little")


def write_bundle(prefix: Path, tensors: Mapping[str, np.ndarray], shards: int = 1, **extra: bytes) -> Path:
    """Index and data; ``extra`` are further entries of the index as they are (with a text as tensor)."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    data = [b""] * shards
    entries = {b"": field(1, shards) + field(3, field(1, 1))}
    for number, (name, values) in enumerate(sorted(tensors.items())):
        shard, raw = number % shards, np.ascontiguousarray(values).tobytes()
        shape = b"".join(field(2, field(1, size)) for size in values.shape)
        entry = field(1, TYPES[str(values.dtype)]) + field(2, shape) + (field(3, shard) if shard else b"")
        entry += field(4, len(data[shard])) + field(5, len(raw))
        entries[KEY.format(name).encode()] = entry + varint(6 * 8 + 5) + crc(raw).to_bytes(4, "little")
        data[shard] += raw
    entries |= {name.encode(): value for name, value in extra.items()}
    prefix.with_name(prefix.name + ".index").write_bytes(table(sorted(entries.items())))
    for shard, raw in enumerate(data):
        prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(raw)
    return prefix


def write_metadata(folder: Path, layers: Sequence[dict], names: Mapping[int, str], whole: bool = True) -> None:
    """``keras_metadata.pb`` with the description of a functional model and of each of its layers.

    Keras leaves the settings of the whole model out (``whole`` False) where it cannot write those of a layer.
    """
    model = {"class_name": "Functional"}
    nodes = [("root", model | ({"config": {"name": "model", "layers": list(layers)}} if whole else {}))]
    numbers = {name: number for number, name in names.items()}
    for number, each in enumerate(layers):
        own = numbers.get(each["name"])
        nodes.append((f"root.layer-{number}" if own is None else f"root.layer_with_weights-{own}", each))
    out = b""
    for number, (place, value) in enumerate(nodes):
        out += field(1, field(2, number) + field(3, place.encode()) + field(5, json.dumps(value).encode()))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "keras_metadata.pb").write_bytes(out)
