"""Columns to one ClickHouse Native block, uncompressed, and the order that its rows should stand in.

A block is the number of columns and of rows (varints), then per column its name, its type and its data. What surprises:

* LowCardinality writes its version once per column, before everything else of the column and so before the offsets of
  an Array or Map around it; then dictionary and indexes, or nothing if there are no values. A column of no rows is no
  bytes at all, the version left out.
* Map(K, V) is Array(Tuple(K, V)): offsets, all keys, all values. Doubled keys are kept.
* A UUID is two little-endian halves, the high one first.
* DateTime64 is a signed integer; unsigned nanoseconds are written modulo 2^64.

The type text is read once into an encoder; values are packed column by column, in bulk, so a wrong one shows as a
failure of the whole column, and only then is the row looked for.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain, count
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from app.model import Column, Table

_LATIN: Final = "latin-1"


def encode_block(
    columns: Sequence[Column],
    data: Mapping[str, Sequence[Any]],
    rows: int,
    order: Sequence[int] | None = None,
) -> bytes:
    """Encode one Native block.

    Args:
        columns: The block's columns, in its order.
        data: Values by column name, in the types that `app.model.Chunk` names; a UUID as `uuid.UUID` or as a
            128-bit integer.
        rows: Length of every column.
        order: Which row stands at which place, such as `row_order` gives; None: as they are.

    Raises:
        ValueError: A value does not fit its column; names both and the row, as counted in `data`.
    """
    parts = [_varint(len(columns)), _varint(rows)]
    for column in columns:
        values = data[column.name]
        if len(values) != rows:
            raise ValueError(f"column {column.name} has {len(values)} values for {rows} rows")
        encoder = _encoder(column.type)
        ordered = values if order is None or rows < 2 else itemgetter(*order)(values)
        try:
            body = encoder.encode(ordered)
        except (ValueError, TypeError, OverflowError, struct.error) as error:
            raise _named(column, encoder, values, error) from error
        parts += (_blob(column.name), _blob(column.type), encoder.prefix if rows else b"", body)
    return b"".join(parts)


def row_order(table: Table, data: Mapping[str, Sequence[Any]]) -> list[int]:
    """The order that sorts rows by the table's key as ClickHouse would; rows with equal keys stay as they are.

    A key column that `data` lacks is taken to be the same in all rows (a decoder does not know the tenant).
    """
    keys = [(table.column(name).type, data[name]) for name in table.key if name in data]
    rows = len(keys[0][1]) if keys else 0
    order = list(range(rows))
    if rows < 2:
        return order
    for type_text, values in reversed(keys):
        if all(map(values[0].__eq__, values)):
            continue
        sortable = _signed(values) if type_text.startswith("DateTime64") else values
        order.sort(key=sortable.__getitem__)  # code points sort as their UTF-8 bytes do
    return order


def _signed(values: Sequence[int]) -> Sequence[int]:
    if max(values) < 1 << 63:
        return values
    return [value - (1 << 64) if value >= 1 << 63 else value for value in values]


def _named(column: Column, encoder: _Encoder, values: Sequence[Any], error: Exception) -> ValueError:
    """The error that says which row it was: the first that cannot be encoded alone."""
    for row, value in enumerate(values):
        try:
            encoder.encode((value,))
        except (ValueError, TypeError, OverflowError, struct.error) as found:
            shown = repr(value)
            shown = shown if len(shown) <= 80 else f"{shown[:76]}…"
            return ValueError(f"column {column.name} ({column.type}), row {row}: {shown} does not fit: {found}")
    return ValueError(f"column {column.name} ({column.type}): {error}")


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _blob(text: str) -> bytes:
    raw = text.encode()
    return _varint(len(raw)) + raw


Encode = Callable[[Sequence[Any]], bytes]
"""Packs all values; a ValueError, TypeError, OverflowError or struct.error says that one of them does not fit."""


@dataclass(frozen=True, slots=True)
class _Encoder:
    """How the values of one type are written.

    Attributes:
        encode: Values to bytes.
        prefix: What stands before the data of the whole column.
    """

    encode: Encode
    prefix: bytes = b""


def _packed(code: str, values: Iterable[Any]) -> bytes:
    numbers = array(code, values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _number(code: str) -> _Encoder:
    """Numbers of fixed width; `code` as in `array`."""
    return _Encoder(lambda values: _packed(code, values))


def _choice(numbers: Iterable[int]) -> _Encoder:
    """One signed byte out of a closed set: Bool and Enum8."""
    allowed = frozenset(numbers)

    def encode(values: Sequence[Any]) -> bytes:
        if not allowed.issuperset(values):
            raise ValueError(f"not one of {sorted(allowed)}")
        return _packed("b", values)

    return _Encoder(encode)


def _fixed_string(length: int) -> _Encoder:
    """Bytes of one length."""

    def encode(values: Sequence[Any]) -> bytes:
        if not {length}.issuperset(map(len, values)):
            raise ValueError(f"not {length} bytes")
        return b"".join(values)

    return _Encoder(encode)


def _encode_uuids(values: Sequence[Any]) -> bytes:
    if values and values.count(values[0]) == len(values):  # a block has one batch
        return _uuid(values[0]) * len(values)
    return b"".join(map(_uuid, values))


def _uuid(value: UUID | int) -> bytes:
    number = value.int if isinstance(value, UUID) else value
    return struct.pack("<QQ", number >> 64, number & (1 << 64) - 1)


def _length_mark(length: int) -> str:
    return _varint(length).decode(_LATIN)


_SHORT_MARKS: Final = tuple(map(_length_mark, range(1 << 12)))
_RUN: Final = 1 << 12
"""Texts that are joined at a time: a single text beyond ASCII, or a very long one, slows down no more than these."""


def _encode_strings(values: Sequence[Any]) -> bytes:
    """Texts, each behind its length in UTF-8 bytes."""
    if len(values) > _RUN:
        return b"".join(_encode_strings(values[start : start + _RUN]) for start in range(0, len(values), _RUN))
    together = "".join(values)
    if not together:
        return bytes(len(values))
    texts = values
    if not together.isascii():
        # UTF-8 bytes dressed as Latin-1 characters: then all that follows is the same for every text.
        texts = [text if text.isascii() else text.encode().decode(_LATIN) for text in values]
    marked = [""] * (2 * len(texts))
    marked[1::2] = texts
    try:
        marked[::2] = map(_SHORT_MARKS.__getitem__, map(len, texts))
    except IndexError:
        marked[::2] = map(_length_mark, map(len, texts))
    return "".join(marked).encode(_LATIN)


_OWN_KEYS: Final = 1 << 9 | 1 << 10
"""LowCardinality: the block brings its own keys, and they are the whole dictionary."""


def _encode_low_cardinality(values: Sequence[Any]) -> bytes:
    """A dictionary of the different texts, and an index a value."""
    if not values:
        return b""
    places: dict[str, int] = defaultdict(count().__next__)
    indexes = list(map(places.__getitem__, values))
    dictionary = tuple(places)
    width = 0 if len(dictionary) <= 1 << 8 else 1 if len(dictionary) <= 1 << 16 else 2
    return b"".join(
        (
            struct.pack("<QQ", _OWN_KEYS | width, len(dictionary)),
            _encode_strings(dictionary),
            struct.pack("<Q", len(values)),
            _packed("BHI"[width], indexes),
        )
    )


def _array(inner: _Encoder) -> _Encoder:
    """Lists: where each ends, then the values of all."""

    def encode(values: Sequence[Any]) -> bytes:
        ends = _packed("Q", accumulate(map(len, values)))
        return ends + inner.encode(list(chain.from_iterable(values)))

    return _Encoder(encode, inner.prefix)


def _map(of_keys: _Encoder, of_values: _Encoder) -> _Encoder:
    """(keys, values) pairs: where those of each row end, then the keys of all, then the values of all."""

    def encode(values: Sequence[Any]) -> bytes:
        keys, texts = zip(*values, strict=True) if values else ((), ())
        lengths = list(map(len, keys))
        if lengths != list(map(len, texts)):
            raise ValueError("not as many values as keys")
        return b"".join(
            (
                _packed("Q", accumulate(lengths)),
                of_keys.encode(list(chain.from_iterable(keys))),
                of_values.encode(list(chain.from_iterable(texts))),
            )
        )

    return _Encoder(encode, of_keys.prefix + of_values.prefix)


_TYPE: Final = re.compile(r"(\w+)(?:\((.*)\))?")
_ENUM_NUMBER: Final = re.compile(r"'(?:[^'\\]|\\.)*' = (-?\d+)")
_SIMPLE: Final = {
    "UInt8": _number("B"),
    "UInt32": _number("I"),
    "UInt64": _number("Q"),
    "Int32": _number("i"),
    "Int64": _number("q"),
    "Float64": _number("d"),
    "DateTime": _number("I"),
    "DateTime64": _number("Q"),
    "Bool": _choice((0, 1)),
    "UUID": _Encoder(_encode_uuids),
    "String": _Encoder(_encode_strings),
    "LowCardinality(String)": _Encoder(_encode_low_cardinality, struct.pack("<Q", 1)),
}


@cache
def _encoder(type_text: str) -> _Encoder:
    """The encoder of a type, as `system.columns` prints it."""
    match = _TYPE.fullmatch(type_text)
    name, inner = match.groups("") if match else ("", "")
    simple = _SIMPLE.get(type_text if name == "LowCardinality" else name)
    if simple is not None and not (name == "DateTime64" and inner.partition(",")[0] != "9"):
        return simple
    match name:
        case "FixedString":
            return _fixed_string(int(inner))
        case "Enum8":
            return _choice(map(int, _ENUM_NUMBER.findall(inner)))
        case "Array":
            return _array(_encoder(inner))
        case "Map":
            of_keys, _, of_values = inner.partition(", ")  # the type of a key never holds a comma
            return _map(_encoder(of_keys), _encoder(of_values))
    raise ValueError(f"no encoder for the type {type_text}")
