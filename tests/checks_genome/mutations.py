"""Damage to files: of text, of fields, of the bytes of packed forms; the same seed gives the same damage."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Sequence
from pathlib import Path

Mutation = Callable[[random.Random, bytes], bytes]

NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "00012",
    "+5",
    "1.5",
    "1e5",
    "0x10",
    "1_000",
    "1,000",
    "NaN",
    "inf",
    "2147483647",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999999",
    "１２",
    "²",
]
ALLELES = [
    "A",
    "C",
    "G",
    "T",
    "N",
    "R",
    "acgt",
    "AC",
    "a,A",
    "A,C,G",
    "A,,C",
    ",",
    "A,<DEL>,*",
    "<DEL>",
    "<*>",
    "<DEL",
    "*",
    ".",
    "-",
    "NA",
    "U",
    "=",
    "A]chr1:5]",
    "]chr1:5]A",
    ".A",
    "A.",
    "ACGTN",
    "🧬",
    "A|C",
    "A;C",
    "C,.",
    "A C",
    "",
    "A" * 300,
    "AC" * 40,
    "ACGT" * 2000,
]
TOKENS = [
    ".",
    "NA",
    "nan",
    "NULL",
    "None",
    "#",
    "##x",
    "chr1",
    "1",
    "MT",
    "chrM",
    "M",
    "NC_000001.10",
    "CM000663.2",
    "CHR1",
    "chr1;",
    "=chr1",
    "<chr1>",
    "'",
    "\\",
    "é",
    "日本",
    "|",
    ";;",
    "a;b;c",
    "%41",
    "%",
    "%zz",
    "a=b",
    "+",
    "-",
    "?",
    "{}",
    "%s%n",
    "../../x",
    "$HOME",
    "CW_RECORD=1",
    "chr1:1-2",
    ">",
    "@",
    "track",
    "browser",
    "chain",
    "MOTIF",
    "gene",
    "transcript",
    "exon",
    "CDS",
    "ref",
    "alt",
    "",
    " ",
    "chr 1",
    '"',
    '""',
    'a"b',
    "\ufeff",
    "\x00",
    "\x01",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\x0b",
    "\x0c",
    "\x1c",
    "x" * 5_000,
    "x" * 200_000,
]
RAW = [b"\xff", b"\x80\x81", b"\xef\xbb\xbf", b"\x1f\x8b", b"\x00" * 20, b"\r", b"\t", b"\n", b"\t\t\t", b"\n\n\n"]


def special(rng: random.Random) -> bytes:
    """Something that does not belong there, or hardly."""
    pool = rng.choice((NUMBERS, ALLELES, TOKENS))
    return rng.choice(RAW) if rng.random() < 0.1 else rng.choice(pool).encode()


def a_span(rng: random.Random, data: bytes, longest: int = 60) -> tuple[int, int]:
    """A short stretch of the data."""
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.randint(1, longest))


# --- bytes ------------------------------------------------------------------------------------------------------------
def flip_bytes(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def delete_span(rng: random.Random, data: bytes) -> bytes:
    start, end = a_span(rng, data)
    return data[:start] + data[end:]


def double_span(rng: random.Random, data: bytes) -> bytes:
    start, end = a_span(rng, data, 300)
    return data[:end] + data[start:end] * rng.randint(1, 3) + data[end:]


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def insert_special(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + special(rng) + data[start:]


def insert_noise(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.randbytes(rng.randint(1, 200)) + data[start:]


def begin_with(rng: random.Random, data: bytes) -> bytes:
    starts = (b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"<!DOCTYPE html>\n", b"\n\n", b"#\n", b"\t", b" ", b"PK\x03\x04")
    return rng.choice(starts) + data


def empty(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", b"\n", b" ", b"#", b"\x00", b"\xef\xbb\xbf", b"\t\t\t\t\n"))


BYTES: tuple[Mutation, ...] = (flip_bytes, delete_span, double_span, truncate, insert_noise)


# --- lines and fields -------------------------------------------------------------------------------------------------
def some_line(rng: random.Random, lines: Sequence[bytes]) -> int:
    """A line, most times one that is neither blank nor a comment."""
    full = [number for number, line in enumerate(lines) if line and not line.startswith(b"#")]
    return rng.choice(full) if full and rng.random() < 0.85 else rng.randrange(len(lines))


def on_fields(change: Callable[[random.Random, list[bytes]], list[bytes]]) -> Mutation:
    """A mutation of the fields of one to three lines."""

    def mutate(rng: random.Random, data: bytes) -> bytes:
        lines = data.split(b"\n")
        for _ in range(rng.randint(1, 3)):
            number = some_line(rng, lines)
            separator = next((mark for mark in (b"\t", b",", b" ") if mark in lines[number]), b"\t")
            lines[number] = separator.join(change(rng, lines[number].split(separator)))
        return b"\n".join(lines)

    mutate.__name__ = change.__name__
    return mutate


def replace_field(rng: random.Random, fields: list[bytes]) -> list[bytes]:
    fields[rng.randrange(len(fields))] = special(rng)
    return fields


def replace_number(rng: random.Random, fields: list[bytes]) -> list[bytes]:
    numbers = [index for index, field in enumerate(fields) if field.isdigit()] or range(len(fields))
    fields[rng.choice(numbers)] = rng.choice(NUMBERS).encode()
    return fields


def replace_allele(rng: random.Random, fields: list[bytes]) -> list[bytes]:
    fields[min(rng.choice((3, 4)), len(fields) - 1)] = rng.choice(ALLELES).encode()
    return fields


def shift_number(rng: random.Random, fields: list[bytes]) -> list[bytes]:
    numbers = [index for index, field in enumerate(fields) if field.isdigit() and len(field) < 12]
    if numbers:
        index = rng.choice(numbers)
        fields[index] = str(int(fields[index]) + rng.choice((-1000, -2, -1, 1, 2, 17, 1000))).encode()
    return fields


def drop_field(rng: random.Random, fields: list[bytes]) -> list[bytes]:
    del fields[rng.randrange(len(fields))]
    return fields


def add_fields(rng: random.Random, fields: list[bytes]) -> list[bytes]:
    where = rng.choice((len(fields), rng.randrange(len(fields) + 1)))
    return fields[:where] + [special(rng) for _ in range(rng.choice((1, 1, 2, 30)))] + fields[where:]


def swap_fields(rng: random.Random, fields: list[bytes]) -> list[bytes]:
    one, other = rng.randrange(len(fields)), rng.randrange(len(fields))
    fields[one], fields[other] = fields[other], fields[one]
    return fields


def swap_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    one, other = some_line(rng, lines), some_line(rng, lines)
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def shuffle_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def double_line(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    number = some_line(rng, lines)
    lines.insert(rng.randrange(len(lines) + 1), lines[number])
    return b"\n".join(lines)


def drop_line(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    del lines[some_line(rng, lines)]
    return b"\n".join(lines)


def damage_header(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    heads = [number for number, line in enumerate(lines) if line.startswith(b"#")] or [0]
    if rng.random() < 0.3:
        return b"\n".join(line for number, line in enumerate(lines) if number not in heads)
    number = rng.choice(heads)
    lines[number] = rng.choice((flip_bytes, truncate, insert_special, insert_noise))(rng, lines[number])
    return b"\n".join(lines)


def other_line_ends(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.3:
        return b"".join(line + rng.choice((b"\n", b"\r\n", b"\r")) for line in data.split(b"\n"))
    return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\n\r")))


def no_last_line_end(rng: random.Random, data: bytes) -> bytes:
    return data.rstrip(b"\n")


def blanks_for_tabs(rng: random.Random, data: bytes) -> bytes:
    return data.replace(b"\t", rng.choice((b" ", b"  ", b",")), rng.choice((1, 5, -1)))


def other_case(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((data.lower(), data.upper()))


TEXT: tuple[Mutation, ...] = (
    *(on_fields(replace_field),) * 5,
    *(on_fields(replace_number),) * 4,
    *(on_fields(replace_allele),) * 3,
    *(on_fields(shift_number),) * 3,
    on_fields(drop_field),
    on_fields(add_fields),
    on_fields(swap_fields),
    *(insert_special,) * 2,
    flip_bytes,
    delete_span,
    double_span,
    truncate,
    insert_noise,
    begin_with,
    swap_lines,
    shuffle_lines,
    double_line,
    drop_line,
    damage_header,
    other_line_ends,
    no_last_line_end,
    blanks_for_tabs,
    other_case,
)


def mutate_text(rng: random.Random, data: bytes) -> bytes:
    """Text with some damage; now and then with none, or with nothing left."""
    if rng.random() < 0.01:
        return empty(rng, data)
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2, 3, 5))):
        data = rng.choice(TEXT)(rng, data)
    return data


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes (of a binary or packed file) with some damage."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(BYTES)(rng, data)
    return data


# --- packed forms -----------------------------------------------------------------------------------------------------
def write_packed(rng: random.Random, data: bytes, path: Path, packable: bool = True) -> Path:
    """Write text plain, as gzip or as bgzip, the packed forms at times damaged; the path gets ``.gz`` where packed."""
    form = rng.choice(("plain",) * 6 + ("gzip", "gzip", "bgzip", "bgzip")) if packable else "plain"
    if form == "plain":
        path.write_bytes(data)
        return path
    path = path.with_name(path.name + ".gz")
    if form == "gzip":
        path.write_bytes(gzip.compress(data, mtime=0))
    else:
        bgzip(data, path)
    if rng.random() < 0.4:
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))
    return path


def bgzip(data: bytes, path: Path) -> None:
    """Write bytes as bgzip."""
    import pysam

    with pysam.BGZFile(str(path), "wb", None) as handle:
        handle.write(data)
