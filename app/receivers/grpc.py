"""OTLP/gRPC: generic handlers on raw bytes, one a row of the table of doors, beside `grpc.health.v1`.

The handlers are declared as taking a stream although OTLP sends one message: the two look the same on the wire, but a
stream's handler runs before the message is read, so a caller is named and room is asked for first.

What the library does by itself, seen with grpcio 1.85: a length prefix above the receive limit is refused before the
message is read, and decompression stops at the same limit, both with RESOURCE_EXHAUSTED without RetryInfo, which is
what OTLP wants for a body that is too large. The limit is one number for both sides of decompression and a handler
cannot see the size on the wire, so the smaller of our two limits holds here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from app.codec.contract import Encoding
from app.errors import BufferFull, PortUnavailable, Stalled, TooLarge, Undecodable
from app.pipeline.contract import Accepted, Intake, Request
from app.receivers.answers import answer_for, encode_success, sentence_of, status_of
from app.receivers.doors import DOORS, EXPORT, Authenticate, Door, anonymous, authorized_writer
from app.receivers.outcomes import Outcomes
from app.settings import ServerSettings

MAX_IN_FLIGHT = 4_096
"""Requests of all connections; beyond: RESOURCE_EXHAUSTED with RetryInfo."""

MAX_READING = 64
"""Messages that are being received at once, whose size nobody knows yet; others wait, held back by flow control."""

READ_SECONDS = 60.0
"""For a message to arrive, waiting for its turn included."""

_STREAMS_PER_CONNECTION = 256
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_DETAILS = "grpc-status-details-bin"
_PORT_KEY = "server.otlp_grpc_port"

Handler = Callable[[Any, Any], Awaitable[bytes]]


class OtlpGrpc:
    """The gRPC server of the OTLP port.

    `start` it once; leaving the context stops it. Before `start`, and after a stop, leaving does nothing.

    Args:
        intake: Where bodies go.
        settings: Sizes of bodies.
        authenticate: Names the caller by its metadata.
        read_seconds: How long a message may take to arrive.
    """

    def __init__(
        self,
        intake: Intake,
        settings: ServerSettings,
        *,
        authenticate: Authenticate = anonymous,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._intake = intake
        self._authenticate = authenticate
        self._read_seconds = read_seconds
        self._limit_bytes = min(settings.max_request_bytes, settings.max_decompressed_bytes)
        self._outcomes = Outcomes("grpc")
        self._health = health.aio.HealthServicer()
        self._reading = asyncio.Semaphore(MAX_READING)
        self._in_flight = 0
        self._server: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop(grace_seconds=0)

    async def start(self, host: str, port: int) -> int:
        """Bind and serve; health says NOT_SERVING until `report_serving`.

        Args:
            host: Address of our own.
            port: 0 takes any free one.

        Returns:
            The port that was bound.

        Raises:
            PortUnavailable: The port is taken, or the address is not ours.
        """
        _probe(host, port)
        server = grpc.aio.server(
            options=(
                # With it, a second server would share the port in silence and get half of the requests.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", self._limit_bytes),
                ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
                # A peer that vanished without a word is noticed within 80 s; a client may ping as often as every 10 s.
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            )
        )
        server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    door.service, {EXPORT: grpc.stream_unary_rpc_method_handler(self._handler(door))}
                )
                for door in DOORS
            )
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        await self.report_serving(is_serving=False)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound: int = server.add_insecure_port(address)
        except RuntimeError as error:  # somebody was faster between the two
            raise PortUnavailable(_PORT_KEY, host, port, OSError(errno.EADDRINUSE, "")) from error
        await server.start()
        self._server = server
        return bound

    async def stop(self, *, grace_seconds: float) -> None:
        """Say NOT_SERVING, refuse new requests, let running ones end for `grace_seconds`, then end them."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await self._health.enter_graceful_shutdown()
        await server.stop(grace_seconds)

    async def report_serving(self, *, is_serving: bool) -> None:
        """Tell `grpc.health.v1`, those who watch it included, whether requests will be taken."""
        states = health_pb2.HealthCheckResponse
        for service in ("", *(door.service for door in DOORS)):
            await self._health.set(service, states.SERVING if is_serving else states.NOT_SERVING)

    def _handler(self, door: Door) -> Handler:
        async def export(_messages: Any, context: Any) -> bytes:
            peer = context.peer()
            try:
                accepted = await self._export(door, context)
                return encode_success(door, accepted, Encoding.PROTOBUF)
            except Exception as error:  # noqa: BLE001 - what escapes a handler is UNKNOWN, on which exporters drop
                refusal = error
            answer = answer_for(refusal)
            self._outcomes.refused(door.signal, answer, refusal, peer)
            await context.abort(
                _CODES[answer.grpc], sentence_of(refusal), ((_DETAILS, status_of(refusal).SerializeToString()),)
            )
            raise AssertionError("abort raises")

        return export

    async def _export(self, door: Door, context: Any) -> Accepted:
        received_unix_nano = time.time_ns()
        if self._in_flight >= MAX_IN_FLIGHT:
            raise BufferFull(f"{self._in_flight} requests are in flight, the limit")
        self._in_flight += 1
        try:
            principal = authorized_writer(self._authenticate, _headers(context))
            with self._intake.admit(door.signal, 0) as reservation:
                body = await self._read(context)
                self._outcomes.received(door.signal, len(body))
                reservation.grow(len(body))
                request = Request(principal.tenant, door.signal, Encoding.PROTOBUF, body, received_unix_nano)
                accepted = await self._intake.accept(request)
        finally:
            self._in_flight -= 1
        self._outcomes.accepted(door.signal, accepted, len(body))
        return accepted

    async def _read(self, context: Any) -> bytes:
        try:
            async with asyncio.timeout(self._read_seconds), self._reading:
                message = await context.read()
        except TimeoutError as error:
            raise Stalled(f"the message did not arrive within {self._read_seconds:g} s") from error
        if message is grpc.aio.EOF:
            if context.peer():
                raise Undecodable("the request ended without a message")
            # The call is over and no longer knows its peer: the library has answered, just as this error would be.
            raise TooLarge(
                f"the message is larger than {self._limit_bytes} bytes, the limit server.max_request_bytes or "
                "server.max_decompressed_bytes, or its sender gave up"
            )
        body: bytes = message
        return body


def _headers(context: Any) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in context.invocation_metadata():
        if isinstance(value, str):
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _probe(host: str, port: int) -> None:
    """Bind the port for a moment, because grpc does not say why it could not.

    Raises:
        PortUnavailable: The port is taken, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortUnavailable(_PORT_KEY, host, port, error) from error
