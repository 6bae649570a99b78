"""One HTTP request over ASGI: reading its body within bounds, and answering so that the sender can see the answer.

An answer given before the whole body was read is easily lost: closing a socket with unread bytes resets the
connection, and many clients look at the answer only after they have sent everything. So the rest of a short body is
read away first, which also keeps the connection usable; before a long one the answer goes out with `Connection:
close`, and what still arrives is thrown away for a while.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from app.errors import Stalled, TooLarge

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

SHORT_REST_BYTES = 1 << 20
LONG_REST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a sender may take.

    Attributes:
        piece_seconds: Between two pieces of a body.
        body_seconds: For the whole body.
        short_rest_seconds: For the rest of a short body, before a refusal is written.
        long_rest_seconds: For the rest of a long one, after it.
    """

    piece_seconds: float = 30.0
    body_seconds: float = 300.0
    short_rest_seconds: float = 1.0
    long_rest_seconds: float = 10.0


class Disconnected(Exception):
    """The sender went away before its request was whole; there is nobody to answer."""


class Exchange:
    """One request and its answer.

    Attributes:
        method: As sent.
        path: Percent-decoded, without the query.
        headers: Names in lower case; a repeated one joined by ", ".
        content_length: In bytes, None if the body is chunked.
        peer: Address of the sender.
        is_answered: Whether an answer has been begun.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, patience: Patience) -> None:
        self._receive = receive
        self._send = send
        self._patience = patience
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = _headers(scope["headers"])
        length = self.headers.get("content-length", "")
        is_chunked = "transfer-encoding" in self.headers
        self.content_length = None if is_chunked else int(length) if length.isdecimal() else 0
        self._is_unread = is_chunked or self.content_length != 0
        self._awaits_continue = self.headers.get("expect", "").lower() == "100-continue"
        self._received_bytes = 0
        self.is_answered = False
        client = scope.get("client")
        self.peer = f"{client[0]}:{client[1]}" if client else ""

    def check_declared_length(self, limit_bytes: int) -> None:
        """Look at Content-Length before anything is read.

        Raises:
            TooLarge: It is more than `limit_bytes`.
        """
        if self.content_length is not None and self.content_length > limit_bytes:
            raise _too_large(limit_bytes)

    async def read_body(self, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
        """Read the whole body.

        Args:
            limit_bytes: Largest body; reading stops there.
            hold: Called with the size of each piece of a chunked body; may refuse by raising.

        Raises:
            TooLarge: More than `limit_bytes` came.
            Stalled: The sender was too slow.
            Disconnected: The sender went away.
        """
        if not self._is_unread:
            return b""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience.body_seconds
        try:
            async with asyncio.timeout(self._patience.piece_seconds) as timeout:
                piece = await self._read_bounded(limit_bytes, hold)
                if not self._is_unread:  # a short body comes in one piece and is not copied
                    return piece
                pieces = io.BytesIO()
                pieces.write(piece)
                while self._is_unread:
                    timeout.reschedule(min(end, loop.time() + self._patience.piece_seconds))
                    pieces.write(await self._read_bounded(limit_bytes, hold))
                return pieces.getvalue()
        except TimeoutError as error:
            raise Stalled(
                f"the body stopped after {self._received_bytes} bytes; a sender has {self._patience.piece_seconds:g} s "
                f"for the next piece and {self._patience.body_seconds:g} s for all of it"
            ) from error

    async def _read_bounded(self, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
        piece = await self._read_piece()
        if self._received_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        if self.content_length is None:
            hold(len(piece))
        return piece

    async def answer(
        self, status: int, content_type: str, body: bytes, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Write the answer, and care for what is unread of the request."""
        closes = self._is_unread and not await self._read_short_rest()
        fields = [("content-type", content_type), ("content-length", str(len(body))), *headers]
        if closes:
            fields.append(("connection", "close"))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        self.is_answered = True
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        if closes and not self._awaits_continue:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            await self._read_away(LONG_REST_BYTES, self._patience.long_rest_seconds)
            body = b""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _read_short_rest(self) -> bool:
        """Whether the body has ended, after trying to read what may be left of a short one."""
        if self._awaits_continue and not self._received_bytes:
            return False
        if self.content_length is not None and self.content_length - self._received_bytes > SHORT_REST_BYTES:
            return False
        await self._read_away(SHORT_REST_BYTES, self._patience.short_rest_seconds)
        return not self._is_unread

    async def _read_away(self, limit_bytes: int, seconds: float) -> None:
        end_bytes = self._received_bytes + limit_bytes
        try:
            async with asyncio.timeout(seconds):
                while self._is_unread and self._received_bytes < end_bytes:
                    await self._read_piece()
        except (TimeoutError, Disconnected):
            return

    async def _read_piece(self) -> bytes:
        event = await self._receive()
        if event["type"] == "http.disconnect":
            raise Disconnected
        piece: bytes = event.get("body", b"")
        self._received_bytes += len(piece)
        self._is_unread = event.get("more_body", False)
        return piece


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit_bytes} bytes as sent, the limit server.max_request_bytes")
