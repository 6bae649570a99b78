"""A migrated schema, rows planted as batches are, and answers to SQL."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.codec.native import encode_block, row_order
from app.model import Column, Table
from app.settings import StorageSettings
from app.store.client import ClickHouse
from app.store.embedded.server import EmbeddedServer
from app.store.migrate import migrate, migration_files
from tests.integration.clickhouse import ask, must
from tests.integration.store.stores import schema_store

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """One database with our tables."""

    server: EmbeddedServer
    database: str

    def rows(self, sql: str, **parameters: str) -> list[dict[str, Any]]:
        """What a statement without FORMAT answers to the user that Grafana and SQL clients have."""
        settings = {
            "default_format": "JSONEachRow",
            "output_format_json_quote_64bit_integers": "0",
            "output_format_json_quote_denormals": "1",
        }
        reader = self.server.logins.reader
        text = must(ask(self.server.address, reader, sql, database=self.database, **settings, **parameters))
        return [json.loads(line) for line in text.splitlines()]

    def row(self, sql: str, **parameters: str) -> dict[str, Any]:
        """The only row of an answer."""
        (row,) = self.rows(sql, **parameters)
        return row

    def value(self, sql: str, **parameters: str) -> Any:
        """The only value of an answer."""
        (value,) = self.row(sql, **parameters).values()
        return value

    def run(self, sql: str) -> None:
        """Run one statement as the user that may change the schema."""
        must(ask(self.server.address, self.server.logins.migrate, sql, database=self.database))

    def plant(self, table: Table, rows: Sequence[Row], *, token: str = "") -> None:
        """Insert rows as one batch, sorted by the key; columns that a row leaves out are empty."""
        data = {column.name: [row.get(column.name, empty(column)) for row in rows] for column in table.stored}
        data["tenant"] = [row.get("tenant", "default") for row in rows]
        block = encode_block(table.stored, data, len(rows), row_order(table, data))

        async def send() -> None:
            store = ClickHouse(self.server.address.http_url, self.server.logins.ingest, database=self.database)
            async with store:
                names = [column.name for column in table.stored]
                await store.insert(table.name, names, block, token=token or str(uuid.uuid4()))

        asyncio.run(send())


def empty(column: Column) -> Any:
    """The default of a column's type, as encoders take it."""
    match column.type.partition("(")[0]:
        case "String" | "LowCardinality":
            return ""
        case "FixedString":
            return bytes(int(column.type.removeprefix("FixedString(").removesuffix(")")))
        case "Map":
            return ([], [])
        case "Array":
            return []
        case "Float64":
            return 0.0
        case "Enum8":
            return int(column.type.partition("= ")[2].split(",")[0].removesuffix(")"))
        case "UUID":
            return uuid.UUID(int=0)
        case _:
            return 0


def apply(server: EmbeddedServer, database: str) -> list[str]:
    """Migrate a database; the names of the files that were run."""

    async def run() -> list[str]:
        async with schema_store(server, database) as store:
            done = await migrate(store, migration_files(), cluster="", storage=StorageSettings())
            return [applied.name for applied in done]

    return asyncio.run(run())


@contextmanager
def migrated(server: EmbeddedServer) -> Iterator[Schema]:
    """A database with our tables, dropped at the end."""
    database = f"test_{uuid.uuid4().hex[:16]}"
    apply(server, database)
    try:
        yield Schema(server, database)
    finally:
        must(ask(server.address, server.logins.migrate, f"DROP DATABASE {database} SYNC"))
