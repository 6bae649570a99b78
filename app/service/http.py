"""The HTTP servers: uvicorn on sockets bound here, in the service's own loop, without its signal handling."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from typing import Any

import uvicorn
from typing_extensions import override

from app.errors import PortUnavailable, StartupFailed
from app.receivers.plain_http import PlainHttpProtocol

# Exporters send every 5 s by default: a shorter keep-alive would close connections just as they are used again.
_KEEP_ALIVE_SECONDS = 120
_BACKLOG = 2048


class _Server(uvicorn.Server):
    """Leaves signals to the service, which stops its doors in an order of its own."""

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Generator[None]:
        yield


def bind(host: str, port: int, key: str) -> socket.socket:
    """Bind a TCP socket.

    Args:
        host: Address of our own.
        port: 0 takes any free one.
        key: Name of the setting, for the sentence when it fails.

    Raises:
        PortUnavailable: The port is taken, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortUnavailable(key, host, port, error) from error
    return bound


def address(host: str, port: int) -> str:
    """`host:port` as a client would write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_of(bound: socket.socket) -> str:
    """The address that a socket has really got."""
    return address(*bound.getsockname()[:2])


@contextlib.asynccontextmanager
async def http_server(application: Any, bound: socket.socket, *, grace_seconds: float) -> AsyncGenerator[None]:
    """Serve an ASGI application while the context is open.

    Leaving it stops accepting, lets requests in flight finish for `grace_seconds`, and closes.
    """
    server = _Server(
        uvicorn.Config(
            application,
            http=PlainHttpProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(grace_seconds)),
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[bound]), name=f"http {address_of(bound)}")
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.002)
        if serving.done():
            serving.result()
            raise StartupFailed(f"the server on {address_of(bound)} ended while starting")
        yield
    finally:
        server.should_exit = True
        await serving
        bound.close()
