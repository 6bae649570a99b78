"""Which ClickHouse, and as which of its users: a child process of ours with users of its own, or somebody's server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from app.settings import ClickHouseMode, ClickHouseSettings
from app.store.client import ClickHouse
from app.store.contract import Login
from app.store.embedded.server import EmbeddedServer


@dataclass(frozen=True, slots=True)
class Backend:
    """One ClickHouse and its users.

    Attributes:
        url: HTTP address.
        native: `host:port` of the native protocol; empty if not known.
        migrate: Changes the schema.
        ingest: Inserts.
        query: Answers REST.
        reader: What is offered to Grafana and SQL clients.
        embedded: The child process, if it is ours.
    """

    url: str
    native: str
    migrate: Login
    ingest: Login
    query: Login
    reader: Login
    embedded: EmbeddedServer | None


@contextlib.asynccontextmanager
async def open_backend(settings: ClickHouseSettings) -> AsyncGenerator[Backend]:
    """Start the embedded server, or take the address of one that others run; leaving stops what was started.

    Raises:
        StartupFailed: The embedded server does not start.
    """
    if settings.mode is ClickHouseMode.SERVER:
        writer = Login(settings.user, settings.password)
        # A server knows the reader only if somebody made it there: its password being set says so.
        reader = Login(settings.reader_user, settings.reader_password)
        has_reader = bool(settings.reader_password.get_secret_value())
        yield Backend(
            url=settings.url,
            native="",
            migrate=writer,
            ingest=writer,
            query=reader if has_reader else writer,
            reader=reader if has_reader else writer,
            embedded=None,
        )
        return
    async with EmbeddedServer(settings) as server:
        logins = server.logins
        yield Backend(
            url=server.address.http_url,
            native=f"{server.address.host}:{server.address.native_port}",
            migrate=logins.migrate,
            ingest=logins.ingest,
            query=logins.query,
            reader=logins.reader,
            embedded=server,
        )


def client_of(settings: ClickHouseSettings, backend: Backend, login: Login) -> ClickHouse:
    """A client of the backend as one of its users, not opened yet."""
    return ClickHouse(
        backend.url,
        login,
        database=settings.database,
        max_connections=settings.max_connections,
        connection_timeout_seconds=settings.connection_timeout_seconds,
        compress_inserts=settings.mode is ClickHouseMode.SERVER,  # a network lies between; on loopback it only costs
    )
