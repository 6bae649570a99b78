"""An Intake that keeps what it is given in memory, and a client that writes HTTP byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import uvicorn
from typing_extensions import override

from app.errors import BufferFull
from app.model import Rejections, Signal
from app.pipeline.contract import Accepted, Request
from app.receivers.plain_http import PlainHttpProtocol
from tests.polling import until

DEADLINE_SECONDS = 10.0


@dataclass
class MemoryReservation:
    """Counts what is held on the intake that gave it."""

    intake: MemoryIntake
    size_bytes: int

    def grow(self, size_bytes: int) -> None:
        self.intake.hold(size_bytes)
        self.size_bytes += size_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.intake.held_bytes -= self.size_bytes
        self.intake.open_reservations -= 1


@dataclass
class MemoryIntake:
    """An `Intake`; set its fields to make it refuse."""

    capacity_bytes: int = 1 << 30
    refuse_admission: BaseException | None = None
    refuse_body: BaseException | None = None
    rejections: Rejections = field(default_factory=Rejections)
    gate: asyncio.Event | None = None
    requests: list[Request] = field(default_factory=list)
    held_bytes: int = 0
    most_held_bytes: int = 0
    open_reservations: int = 0
    running: int = 0
    most_running: int = 0

    def hold(self, size_bytes: int) -> None:
        if self.held_bytes + size_bytes > self.capacity_bytes:
            raise BufferFull("no room in this test", retry_after_seconds=2.5)
        self.held_bytes += size_bytes
        self.most_held_bytes = max(self.most_held_bytes, self.held_bytes)

    def admit(self, signal: Signal, size_bytes: int) -> MemoryReservation:
        if self.refuse_admission:
            raise self.refuse_admission
        self.hold(size_bytes)
        self.open_reservations += 1
        return MemoryReservation(self, size_bytes)

    async def accept(self, request: Request) -> Accepted:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.gate:
                await self.gate.wait()
            if self.refuse_body:
                raise self.refuse_body
            self.requests.append(request)
            return Accepted(1, self.rejections)
        finally:
            self.running -= 1


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RawClient:
    """One connection, on which a test writes whatever bytes it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def read_reply(self) -> Reply:
        async with asyncio.timeout(DEADLINE_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(int(head[0].split()[1]), headers, body)

    async def is_closed(self, *, within_seconds: float) -> bool:
        """Whether the server closes the connection, with nothing more to say."""
        async with asyncio.timeout(within_seconds):
            return await self._reader.read(1) == b""

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()


@dataclass(frozen=True)
class HttpDoor:
    """A running HTTP server."""

    port: int

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[RawClient]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        client = RawClient(reader, writer)
        try:
            yield client
        finally:
            client.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def send(self, data: bytes) -> Reply:
        async with self.connect() as client:
            await client.write(data)
            return await client.read_reply()

    async def post(self, path: str = "/v1/traces", body: bytes = b"", **headers: str) -> Reply:
        return await self.send(post(path, body, **headers))


def post(path: str = "/v1/traces", body: bytes = b"", **headers: str) -> bytes:
    """Write a POST with Content-Length; `content_type=…` becomes Content-Type, which is protobuf unless said otherwise."""
    fields = {"content-type": "application/x-protobuf", "content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return head("POST", path, fields) + body


def head(method: str, path: str, fields: Mapping[str, str]) -> bytes:
    """Write a request line and headers; an empty value leaves the header out."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: test",
        *(f"{name}: {value}" for name, value in fields.items() if value),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; an empty one is the end."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


CHUNKED = head("POST", "/v1/traces", {"content-type": "application/x-protobuf", "transfer-encoding": "chunked"})


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(
    application: Any, *, protocol: type[PlainHttpProtocol] = PlainHttpProtocol, keep_alive_seconds: int = 5
) -> AsyncGenerator[HttpDoor]:
    """Serve an ASGI application on a free port, in the test's own loop."""
    config = uvicorn.Config(
        application, port=0, http=protocol, ws="none", lifespan="off", interface="asgi3", log_config=None,
        access_log=False, timeout_graceful_shutdown=1, timeout_keep_alive=keep_alive_seconds,
    )  # fmt: skip
    server = _Server(config)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started or running.done())
    try:
        yield HttpDoor(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await running


@contextmanager
def counting(counter: Any, **labels: str) -> Iterator[Callable[[], float]]:
    """How much a metric grew since the context was entered."""
    before = counter.labels(**labels)._value.get()
    yield lambda: counter.labels(**labels)._value.get() - before
