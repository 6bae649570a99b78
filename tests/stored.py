"""Rows as SQL gives them back, without the detour over ClickHouse."""

from __future__ import annotations

from typing import Any

from app.model import Chunk, table_of


def stored_rows(chunk: Chunk) -> list[dict[str, Any]]:
    """The rows of a chunk, ids as lowercase hex."""
    columns = {
        column.name: [value.hex() for value in chunk.columns[column.name]]
        if column.type.startswith("FixedString")
        else chunk.columns[column.name]
        for column in table_of(chunk.signal).decoded
    }
    return [{name: values[row] for name, values in columns.items()} for row in range(chunk.rows)]
