"""What can go wrong between us and ClickHouse: a relay that cuts the line at a chosen point, and servers that are none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.store.embedded.server import Address


@dataclass(slots=True)
class Relay:
    """Where a relay listens, and how much it lets pass; None: everything.

    Attributes:
        url: Its address.
        upload_bytes: Towards ClickHouse, on each connection, before both sides are cut.
        answer_bytes: Back from ClickHouse, likewise.
    """

    url: str = ""
    upload_bytes: int | None = None
    answer_bytes: int | None = None


@asynccontextmanager
async def relayed(target: Address) -> AsyncIterator[Relay]:
    """A relay to ClickHouse that can be told to cut."""
    relay = Relay()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, allowed: int | None) -> None:
        while data := await source.read(65536):
            if allowed is not None:
                data, allowed = data[:allowed], allowed - len(data)
            sink.write(data)
            await sink.drain()
            if allowed is not None and allowed <= 0:
                return

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(target.host, target.http_port)
        ways = [
            asyncio.ensure_future(carry(reader, far_writer, relay.upload_bytes)),
            asyncio.ensure_future(carry(far_reader, writer, relay.answer_bytes)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await _cut(far_writer)
            await _cut(writer)

    async with listening(connected) as relay.url:
        yield relay


@asynccontextmanager
async def listening(
    connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server on a free port of loopback; gives its URL and ends what it serves."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await connected(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            serving.discard(task)
            await _cut(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for task in tuple(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()


async def _cut(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Listen and never answer."""
    while await reader.read(65536):
        pass


async def somebody_else(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200 to everything, as a web server that is not ClickHouse may."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\nConnection: close\r\n\r\nHello")
    await writer.drain()
