"""The door for people on a real socket over a real engine, and records planted by the real decoder."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

import uvicorn
from google.protobuf.message import Message as Protobuf

from app.access import TenantId
from app.api import create_api
from app.codec.contract import Bounds, Encoding
from app.codec.reference import ReferenceDecoder
from app.model import Signal, table_of
from app.pipeline.batch import Entry, Part, encode_part, new_batch_id
from app.pipeline.contract import Request
from app.query import Questions
from app.settings import LimitSettings, QuerySettings, Settings, StorageSettings
from app.store.client import ClickHouse
from app.store.contract import Login, Store
from app.store.embedded.server import EmbeddedServer
from app.store.migrate import migrate, migration_files
from tests.integration.clickhouse import ask, must

FOR_EVER = StorageSettings(spans_retention_days=36500, logs_retention_days=36500, metrics_retention_days=36500)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the door said."""

    status: int
    headers: Message[str, str]
    body: bytes

    @property
    def tree(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Obstacles:
    """What `/ready` is told."""

    said: list[str] = field(default_factory=list)

    def reasons(self) -> list[str]:
        return list(self.said)


@dataclass(frozen=True, slots=True)
class Door:
    """One running API."""

    url: str
    obstacles: Obstacles

    def get(
        self, path: str, parameters: Sequence[tuple[str, str]] = (), /, *, method: str = "GET", **more: str
    ) -> Answer:
        """Ask; `more` are further parameters."""
        query = urllib.parse.urlencode([*parameters, *more.items()])
        address = path if path.startswith("http") else f"{self.url}{path}"
        request = urllib.request.Request(f"{address}?{query}" if query else address, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def items(self, path: str, parameters: Sequence[tuple[str, str]] = (), /, **more: str) -> list[dict[str, Any]]:
        """The items of a list that must be answered."""
        answer = self.get(path, parameters, **more)
        assert answer.status == 200, answer.body
        return list(answer.tree["items"])

    def walk(
        self, path: str, between: Callable[[], object] = lambda: None, /, **parameters: str
    ) -> list[dict[str, Any]]:
        """All items, page by page; `between` is called after each page."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            answer = self.get(path, **parameters, **cursor)
            assert answer.status == 200, answer.body
            found += answer.tree["items"]
            assert answer.tree["truncated"] == (answer.tree["next_cursor"] is not None)
            if answer.tree["next_cursor"] is None:
                return found
            cursor = {"cursor": answer.tree["next_cursor"]}
            between()


@contextmanager
def serving(store: AbstractAsyncContextManager[Store], settings: QuerySettings | None = None) -> Iterator[Door]:
    """Serve the API over a store, on an event loop in a thread."""
    obstacles = Obstacles()
    started = threading.Event()
    addresses: list[str] = []
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        async with store as opened:
            bounds = settings or QuerySettings()
            api = create_api(questions=Questions(opened, bounds), readiness=obstacles, settings=Settings(query=bounds))
            server = uvicorn.Server(
                uvicorn.Config(
                    api, port=0, lifespan="off", log_config=None, http="httptools", timeout_graceful_shutdown=1
                )
            )
            servers.append(server)
            running = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.002)
            host, port = server.servers[0].sockets[0].getsockname()[:2]
            addresses.append(f"http://{host}:{port}")
            started.set()
            await running

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="api")
    thread.start()
    assert started.wait(20)
    try:
        yield Door(addresses[0], obstacles)
    finally:
        servers[0].should_exit = True
        thread.join(20)


def client(clickhouse: EmbeddedServer, login: Login, database: str) -> ClickHouse:
    """A store as one user."""
    return ClickHouse(clickhouse.address.http_url, login, database=database)


@contextmanager
def migrated(clickhouse: EmbeddedServer) -> Iterator[str]:
    """A database with the whole schema, kept for ever while it lasts."""
    name = f"test_{uuid.uuid4().hex[:16]}"

    async def prepare() -> None:
        async with client(clickhouse, clickhouse.logins.migrate, name) as store:
            await migrate(store, migration_files(), cluster="", storage=FOR_EVER)

    must(ask(clickhouse.address, clickhouse.logins.migrate, f"CREATE DATABASE {name}"))
    try:
        asyncio.run(prepare())
        yield name
    finally:
        must(ask(clickhouse.address, clickhouse.logins.migrate, f"DROP DATABASE {name} SYNC"))


@dataclass(frozen=True, slots=True)
class Plot:
    """A database to plant records in."""

    clickhouse: EmbeddedServer
    database: str

    def plant(self, signal: Signal, request: Protobuf, tenant: str = "default") -> None:
        """Store a request's records, as one batch, by the code that does it in the service."""
        received = time.time_ns()
        bounds = Bounds(LimitSettings(), received, 0, 2**63 - 1)
        body = request.SerializeToString()
        chunk = ReferenceDecoder().decode(signal, Encoding.PROTOBUF, body, bounds)
        assert chunk.rejections.total == 0, chunk.rejections.message
        entry = Entry(Request(TenantId(tenant), signal, Encoding.PROTOBUF, body, received), chunk.rows)
        part = Part(new_batch_id(received), signal, (entry,))
        table = table_of(signal)

        async def insert() -> None:
            async with client(self.clickhouse, self.clickhouse.logins.ingest, self.database) as store:
                names = [column.name for column in table.stored]
                await store.insert(table.name, names, encode_part(part, [chunk]), token=part.token)

        asyncio.run(insert())
