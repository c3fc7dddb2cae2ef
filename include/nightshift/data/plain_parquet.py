"""Parquet files of flat columns, written without Arrow.

Serving hosts write requests to the lake, and their runtime has no pyarrow: it would be the largest
part of it (156 MB on disk, 50 MB in memory once imported). What a table of a few thousand rows
needs of the format is little: one row group, one gzipped page a column, plain encoding, nulls.
Field numbers are those of https://github.com/apache/parquet-format (``parquet.thrift``), in
Thrift's compact protocol.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping, Sequence
from enum import Enum

Value = str | bytes | int | float | None

_MAGIC = b"PAR1"
_OPTIONAL = 1
_GZIP = 2
_PLAIN, _RLE = 0, 3
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12


class Kind(Enum):
    """What a column holds: Parquet's physical type, and its note that bytes are text."""

    INT = (2, None)
    FLOAT = (5, None)
    BYTES = (6, None)
    STRING = (6, 0)


def plain_parquet(columns: Mapping[str, tuple[Kind, Sequence[Value]]]) -> bytes:
    """A whole file.

    Args:
        columns: Name to its kind and one value a row, None for null; all of one length.

    Raises:
        ValueError: Columns of different lengths, or no column.
    """
    lengths = {len(values) for _, values in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"columns of one length are needed, found {sorted(lengths)}")
    rows = lengths.pop()
    body = bytearray(_MAGIC)
    chunks = []
    for name, (kind, values) in columns.items():
        page = _page(kind, values)
        packed = gzip.compress(page, mtime=0)
        header = _page_header(rows, len(page), len(packed))
        sizes = (len(header) + len(page), len(header) + len(packed))
        chunks.append(_chunk(name, kind, rows, at=len(body), sizes=sizes))
        body += header + packed
    footer = _footer(columns, rows, chunks, len(body) - len(_MAGIC))
    return bytes(body) + footer + struct.pack("<I", len(footer)) + _MAGIC


def _page(kind: Kind, values: Sequence[Value]) -> bytes:
    """Which values are there, then those values."""
    there = _bits([value is not None for value in values])
    levels = _varint((len(there) << 1) | 1) + there
    found = [value for value in values if value is not None]
    return struct.pack("<I", len(levels)) + levels + _plain(kind, found)


def _plain(kind: Kind, values: Sequence[Value]) -> bytes:
    if kind is Kind.INT:
        return struct.pack(f"<{len(values)}q", *values)
    if kind is Kind.FLOAT:
        return struct.pack(f"<{len(values)}d", *values)
    raw = [value.encode() if isinstance(value, str) else bytes(value) for value in values]  # type: ignore[arg-type]
    return b"".join(struct.pack("<I", len(value)) + value for value in raw)


def _bits(flags: Sequence[bool]) -> bytes:
    packed = bytearray((len(flags) + 7) // 8)
    for at, flag in enumerate(flags):
        packed[at >> 3] |= flag << (at & 7)
    return bytes(packed)


# --- What the format says of itself ------------------------------------------------------------


def _page_header(rows: int, size: int, packed: int) -> bytes:
    of_data = _struct({1: rows, 2: _PLAIN, 3: _RLE, 4: _RLE})
    return _struct({1: 0, 2: size, 3: packed, 5: of_data})


def _chunk(name: str, kind: Kind, rows: int, *, at: int, sizes: tuple[int, int]) -> bytes:
    """Of one page at an offset; ``sizes`` with its header, as it was and packed."""
    metadata = _struct(
        {
            1: kind.value[0],
            2: _list(_I32, [_zigzag(_PLAIN), _zigzag(_RLE)]),
            3: _list(_BINARY, [_text(name)]),
            4: _GZIP,
            5: _Long(rows),
            6: _Long(sizes[0]),
            7: _Long(sizes[1]),
            9: _Long(at),
        }
    )
    return _struct({2: _Long(at), 3: metadata})


def _footer(
    columns: Mapping[str, tuple[Kind, Sequence[Value]]], rows: int, chunks: list[bytes], size: int
) -> bytes:
    root = _struct({4: "schema", 5: len(columns)})
    schema = [root, *(_element(name, kind) for name, (kind, _) in columns.items())]
    group = _struct({1: _list(_STRUCT, chunks), 2: _Long(size), 3: _Long(rows)})
    return _struct(
        {
            1: 1,
            2: _list(_STRUCT, schema),
            3: _Long(rows),
            4: _list(_STRUCT, [group]),
            6: "nightshift",
        }
    )


def _element(name: str, kind: Kind) -> bytes:
    physical, converted = kind.value
    fields: dict[int, _Field] = {1: physical, 3: _OPTIONAL, 4: name}
    if converted is not None:
        fields[6] = converted
    return _struct(fields)


# --- Thrift's compact protocol -----------------------------------------------------------------


class _Long(int):
    """A number that the format declares as i64."""


class _List(bytes):
    """An encoded list."""


_Field = int | str | bytes
"""A number (i32 unless ``_Long``), text, an encoded struct, or an encoded ``_List``."""


def _struct(fields: Mapping[int, _Field]) -> bytes:
    encoded, last = bytearray(), 0
    for number, value in sorted(fields.items()):
        kind, content = _encoded(value)
        encoded.append((number - last) << 4 | kind)
        encoded += content
        last = number
    return bytes(encoded) + b"\0"


def _encoded(value: _Field) -> tuple[int, bytes]:
    if isinstance(value, int):
        return (_I64 if isinstance(value, _Long) else _I32), _zigzag(value)
    if isinstance(value, str):
        return _BINARY, _text(value)
    return (_LIST if isinstance(value, _List) else _STRUCT), bytes(value)


def _list(kind: int, items: Sequence[bytes]) -> _List:
    count = len(items)
    head = bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + _varint(count)
    return _List(head + b"".join(items))


def _text(value: str) -> bytes:
    raw = value.encode()
    return _varint(len(raw)) + raw


def _zigzag(value: int) -> bytes:
    return _varint((value << 1) ^ (value >> 63))


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
