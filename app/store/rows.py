"""Rows out of JSONCompactEachRowWithNamesAndTypes: names, types, then one array a row.

JSON has one kind of number and neither NaN nor infinities, so the types are needed to give back what was stored: in a
Float column `1` is 1.0, `"nan"` and `"-inf"` are floats, and `-0` keeps its sign; in a String column they stay text.
64-bit integers are exact; wider ones are not (orjson makes floats of them), and no column of ours has one. A Map is a
dict, so doubled keys are lost in it: read mapKeys and mapValues where they matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from app.store.sql import split_list

Convert = Callable[[Any], Any]

# A number stands behind one of these. The bare "-0" stands in nearly every UUID and would send each row to the regex,
# which costs four times what decoding it does.
_MINUS_ZERO = (b",-0", b"[-0", b":-0")
_STRING_OR_MINUS_ZERO = re.compile(rb'"(?:[^"\\]|\\.)*"|-0(?=[,\]}])')


def loads(line: bytes) -> Any:
    """One line of JSON, with the sign of `-0`, which JSON decoders drop."""
    if any(mark in line for mark in _MINUS_ZERO):
        line = _STRING_OR_MINUS_ZERO.sub(lambda found: b"-0.0" if found[0] == b"-0" else found[0], line)
    return orjson.loads(line)


def rows_of(lines: list[list[Any]]) -> list[dict[str, Any]]:
    """Rows as dicts by column name.

    Args:
        lines: The decoded lines: names, types, rows.
    """
    if len(lines) < 2:
        return []
    names, types, *rows = lines
    converts = [(place, convert) for place, type_ in enumerate(types) if (convert := _converter(type_))]
    for row in rows:
        for place, convert in converts:
            row[place] = convert(row[place])
    return [dict(zip(names, row, strict=True)) for row in rows]


def _converter(type_: str) -> Convert | None:
    """How a value of this type becomes exact; None if it is already."""
    name, arguments = _parts(type_)
    match name:
        case "Float64" | "Float32" | "BFloat16":
            return _float
        case "Nullable" | "LowCardinality" | "SimpleAggregateFunction":
            return _converter(arguments[-1])
        case "Array":
            inner = _converter(arguments[0])
            return inner and _in_list(inner)
        case "Map":
            inner = _converter(arguments[1])
            return inner and _in_map(inner)
        case "Tuple":
            # A named element is written `name Type`; without a name the type is all there is.
            members = [_converter(element) or _converter(element.partition(" ")[2]) for element in arguments]
            return _in_tuple(members) if any(members) else None
        case _:
            return None


def _parts(type_: str) -> tuple[str, list[str]]:
    """`Map(String, Array(Float64))` as `Map` and its two arguments."""
    name, bracket, rest = type_.partition("(")
    if not bracket:
        return name, []
    return name, split_list(rest[:-1])


def _float(value: Any) -> Any:
    return None if value is None else float(value)


def _in_list(inner: Convert) -> Convert:
    return lambda values: [inner(value) for value in values]


def _in_map(inner: Convert) -> Convert:
    return lambda values: {key: inner(value) for key, value in values.items()}


def _in_tuple(members: list[Convert | None]) -> Convert:
    def convert(values: Any) -> Any:
        # A tuple with names comes as an object, in the order of its elements.
        if isinstance(values, dict):
            return dict(zip(values, convert(list(values.values())), strict=True))
        return [member(value) if member else value for member, value in zip(members, values, strict=True)]

    return convert
