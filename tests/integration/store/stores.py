"""Stores as the user who may change the schema, and a few questions about it."""

from __future__ import annotations

from typing import Any

from app.store.client import ClickHouse
from app.store.contract import ReadLimits, Store
from app.store.embedded.server import EmbeddedServer

LIMITS = ReadLimits(seconds=30, memory_bytes=1 << 30, rows=100_000)


def schema_store(server: EmbeddedServer, database: str) -> ClickHouse:
    return ClickHouse(server.address.http_url, server.logins.migrate, database=database)


async def column(store: Store, sql: str, **parameters: str) -> list[Any]:
    """The only column of an answer."""
    rows = await store.fetch(sql, parameters, limits=LIMITS)
    return [next(iter(row.values())) for row in rows]
