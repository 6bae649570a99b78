"""How a stored row is read without losing anything: one expression a column, derived from its type.

JSON between ClickHouse and us would lose NaN, the sign of zero, doubled keys of a Map and times beyond 2262; so

    FixedString(n)            lowercase hex
    DateTime64(9)             nanoseconds as UInt64 (stored signed: modulo 2^64, as the sender said it)
    DateTime                  seconds
    Float64                   its shortest exact text, turned into a float here
    Enum8                     its number
    Map                       [keys, values], in the order received, doubles kept
    Array(T)                  element by element

Statements must write columns of their tables with the table's alias in front (`s.timestamp`): the bare name means the
expression of the select list in ClickHouse, which no index serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from app.model import Column, Table
from app.query.ask import fill

_SQL = """
SELECT
    $columns
FROM $table AS s
WHERE s.tenant = {tenant:String}$conditions
ORDER BY
    $order
LIMIT {limit:UInt32}
"""

_ADDRESS = ("batch", "row")
_WRAPPED = re.compile(r"(Array|LowCardinality)\((.*)\)")


def select_rows(table: Table, conditions: Sequence[str], *, order: str) -> str:
    """The SELECT of whole records of a table, which it calls `s`; `exact` finishes what it finds.

    Args:
        table: Whose rows.
        conditions: Which of the tenant's.
        order: Sort key.
    """
    return fill(_SQL, columns=_select_list(table), table=table.name, conditions=conditions, order=order)


def exact(table: Table, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Finish rows that were read with `select_rows`: texts of floats become floats, in place."""
    found = list(rows)
    for column in table.decoded:
        if column.type == "Float64":
            for row in found:
                row[column.name] = float(row[column.name])
        elif column.type == "Array(Float64)":
            for row in found:
                row[column.name] = [float(text) for text in row[column.name]]
    return found


def _select_list(table: Table) -> tuple[str, ...]:
    """Expressions for every decoded column and the row's address, named as the columns are."""
    return tuple(_selected(column) for column in (*table.decoded, *(table.column(name) for name in _ADDRESS)))


def _selected(column: Column) -> str:
    name = ".".join(f"`{part}`" for part in column.name.split(".")) if "." in column.name else column.name
    expression = _expression(column.type, f"s.{name}")
    target = f"`{column.name}`" if "." in column.name else column.name
    return f"{expression} AS {target}"


def _expression(kind: str, source: str) -> str:
    wrapped = _WRAPPED.fullmatch(kind)
    if wrapped and wrapped[1] == "LowCardinality":
        return _expression(wrapped[2], source)
    if wrapped:
        element = _expression(wrapped[2], "x")
        return source if element == "x" else f"arrayMap(x -> {element}, {source})"
    for prefix, template in _READ.items():
        if kind.startswith(prefix):
            return template.replace("?", source)
    return source


_READ = {
    "FixedString": "lower(hex(?))",
    "DateTime64": "toUInt64(toUnixTimestamp64Nano(?))",
    "DateTime": "toUInt32(?)",
    "Float64": "toString(?)",
    "Enum8": "toInt16(?)",
    "Map": "[mapKeys(?), mapValues(?)]",
    "UUID": "toString(?)",
}
