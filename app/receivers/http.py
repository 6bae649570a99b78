"""OTLP/HTTP: a bare ASGI application, because routing and validation by a framework would cost more than the decode.

In order: path, method, credential, content type, content encoding, declared length, room, and only then the body.
Every refusal is a `google.rpc.Status` in the request's encoding. Who has no OTLP encoding to name, a browser at a
wrong path say, is answered by a plain sentence.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from app.codec.contract import Encoding
from app.errors import Draining, MethodNotAllowed, NotFound, UnsupportedEncoding
from app.pipeline.contract import Intake, Request
from app.receivers.answers import (
    answer_for,
    encode_message,
    encode_success,
    retry_after_seconds,
    sentence_of,
    status_of,
)
from app.receivers.asgi import Disconnected, Exchange, Patience, Receive, Scope, Send
from app.receivers.decompress import content_encoding, decompress
from app.receivers.doors import DOOR_BY_PATH, PROFILE_PATHS, Authenticate, Door, anonymous, authorized_writer
from app.receivers.outcomes import Outcomes
from app.settings import ServerSettings

_PLAIN = "text/plain; charset=utf-8"


class OtlpHttp:
    """The ASGI application of the OTLP/HTTP port.

    Args:
        intake: Where bodies go.
        settings: Sizes of bodies.
        authenticate: Names the caller by its headers.
        patience: How long senders may take.
    """

    def __init__(
        self,
        intake: Intake,
        settings: ServerSettings,
        *,
        authenticate: Authenticate = anonymous,
        patience: Patience | None = None,
    ) -> None:
        self._intake = intake
        self._settings = settings
        self._authenticate = authenticate
        self._patience = patience or Patience()
        self._outcomes = Outcomes("http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, self._patience)
        door = DOOR_BY_PATH.get(exchange.path)
        try:
            await self._export(exchange, door)
        except Disconnected:
            self._outcomes.count(door.signal if door else None, "disconnected")
        except asyncio.CancelledError:
            # A stop that ran out of patience. The server would say 500, on which an exporter drops its data.
            if not exchange.is_answered:
                await self._refuse(exchange, door, Draining("the service is stopping"))
            raise
        except Exception as error:  # noqa: BLE001 - the door is where errors end; the table knows what each means
            await self._refuse(exchange, door, error)

    async def _export(self, exchange: Exchange, door: Door | None) -> None:
        received_unix_nano = time.time_ns()
        if door is None:
            raise _not_found(exchange.path)
        if exchange.method != "POST":
            raise MethodNotAllowed(f"{exchange.path} takes POST, not {exchange.method}")
        principal = authorized_writer(self._authenticate, exchange.headers)
        encoding = _encoding_named(exchange.headers.get("content-type", ""))
        if encoding is None:
            raise UnsupportedEncoding(
                f"Content-Type {exchange.headers.get('content-type', '')[:64]!r} is not taken; "
                f"taken are {', '.join(Encoding)}"
            )
        compression = content_encoding(exchange.headers.get("content-encoding", ""))
        # Before room is asked for: a body that will never fit must not be told to come back.
        exchange.check_declared_length(self._settings.max_request_bytes)
        with self._intake.admit(door.signal, exchange.content_length or 0) as reservation:
            body = await exchange.read_body(self._settings.max_request_bytes, reservation.grow)
            self._outcomes.received(door.signal, len(body))
            body = await decompress(compression, body, self._settings.max_decompressed_bytes, reservation.grow)
            request = Request(principal.tenant, door.signal, encoding, body, received_unix_nano)
            accepted = await self._intake.accept(request)
        self._outcomes.accepted(door.signal, accepted, len(body))
        await exchange.answer(200, encoding.value, encode_success(door, accepted, encoding))

    async def _refuse(self, exchange: Exchange, door: Door | None, error: BaseException) -> None:
        answer = answer_for(error)
        self._outcomes.refused(door.signal if door else None, answer, error, exchange.peer)
        headers = []
        if answer.is_retryable:
            headers.append(("retry-after", str(retry_after_seconds(error))))
        if answer.http == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("allow", "POST"))
        encoding = _encoding_of_refusal(exchange.headers, answer.http)
        if encoding is None:
            await exchange.answer(answer.http, _PLAIN, f"{sentence_of(error)}\n".encode(), headers)
        else:
            body = encode_message(status_of(error), encoding)
            await exchange.answer(answer.http, encoding.value, body, headers)


def _not_found(path: str) -> NotFound:
    if path in PROFILE_PATHS:
        return NotFound("profiles are not taken by this version")
    return NotFound(f"there is no {path[:64]!r} here; telemetry goes to {', '.join(DOOR_BY_PATH)}")


def _encoding_named(content_type: str) -> Encoding | None:
    """The OTLP encoding that a media type names; its parameters do not matter."""
    try:
        return Encoding(content_type.partition(";")[0].strip().lower())
    except ValueError:
        return None


def _encoding_of_refusal(headers: dict[str, str], http: int) -> Encoding | None:
    """As the request is written, else as Accept says; else protobuf, or None for plain text to who lost the way."""
    named = _encoding_named(headers.get("content-type", ""))
    if named is not None:
        return named
    accept = headers.get("accept", "").lower()
    for encoding in (Encoding.JSON, Encoding.PROTOBUF):
        if encoding.value in accept:
            return encoding
    is_misdirected = http in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    return None if is_misdirected else Encoding.PROTOBUF
