"""What a request's records take in memory while they are Python values.

Python's columns take two to thirty times their body: an empty log record of 23 bytes takes 500, one with 2 kB of text
2,600. So neither bytes nor rows tell alone; texts, rows, attributes and list items together do. The weights were fitted
to the corpus and to generated requests (docs/decisions/0004-buffer-accounting.md) and are held to the truth by
tests/unit/pipeline/test_footprint.py.
"""

from __future__ import annotations

from functools import cache

from app.codec.contract import Encoding
from app.model import Chunk, Signal, table_of

_BYTES_A_BODY_BYTE = 1.3
"""Texts, which are copied out of the body; JSON bodies say the same in twice the bytes."""
_BYTES_A_CHUNK = 4000
"""The lists of all columns, before anything is in them."""
_BYTES_A_ROW = {Signal.TRACES: 720, Signal.METRICS: 660, Signal.LOGS: 450}
"""A pointer in each column, the smallest objects they point to, and the lists that hold attributes."""
_BYTES_AN_ATTRIBUTE = 115
"""A key and a value, beside their text."""
_BYTES_AN_ITEM = 38
"""An item of an Array column."""

_ESTIMATE_A_BODY_BYTE = {Encoding.PROTOBUF: 7, Encoding.JSON: 4}


def estimated_bytes(encoding: Encoding, body_bytes: int) -> int:
    """What a body and its records will take, before it is decoded: typical, right to a factor of two or so."""
    return _ESTIMATE_A_BODY_BYTE[encoding] * body_bytes


def decoded_bytes(chunk: Chunk, encoding: Encoding, body_bytes: int) -> int:
    """What a body and its records take, to within a half; 0 if there are none, since then nothing is kept."""
    if not chunk.rows:
        return 0
    texts = body_bytes if encoding is Encoding.PROTOBUF else body_bytes // 2
    items = sum(sum(map(len, chunk.columns[name])) for name in _lists(chunk.signal))
    attributes = sum(map(len, chunk.columns["attributes_types"]))  # one letter each
    return int(
        _BYTES_A_CHUNK
        + body_bytes
        + texts * _BYTES_A_BODY_BYTE
        + chunk.rows * _BYTES_A_ROW[chunk.signal]
        + attributes * _BYTES_AN_ATTRIBUTE
        + items * _BYTES_AN_ITEM
    )


@cache
def _lists(signal: Signal) -> tuple[str, ...]:
    return tuple(column.name for column in table_of(signal).decoded if column.type.startswith("Array("))
