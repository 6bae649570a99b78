"""uvicorn's HTTP protocol, deaf to offers of another one, and bounded before a request begins.

httptools ends a request at its head when the head offers an upgrade, so the body of a POST with `Upgrade: h2c` would
be read as empty, and an empty request is a success: its telemetry would be lost with a 200. Clients do this by default
(java.net.http, curl --http2). A server may ignore the offer (RFC 9110 section 7.8), so the same head goes to a new
parser without it. uvicorn itself replays a head that way to hand a connection to its WebSocket protocol.

uvicorn takes heads and trailers of any length and waits for them for ever, so a connection could fill the memory or
hold its place before any handler, with its limits and its patience, has heard of it. Both are bounded here. A head that
does not come is not answered: 408 would tell an exporter to drop its data, a closed connection lets it try again.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 128 << 10
"""Of a head or of trailers, beyond the packet that they begin in; so much is held for a connection at most."""

_OFFER = frozenset({b"upgrade", b"http2-settings"})


class PlainHttpProtocol(HttpToolsProtocol):
    """Serves every request as the HTTP/1.1 that it is; give it to `uvicorn.Config(http=…)`.

    Attributes:
        head_seconds: How long a head may take from its first byte to its last. A connection on which none begins is
            closed after uvicorn's time for keep-alive.
    """

    head_seconds: ClassVar[float] = 30.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_in_head = False
        self._has_progressed = False
        self._idle_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.timeout_keep_alive, self._give_up)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        while data:
            rest = self._feed(data)
            data = self._head_without_offer() + rest if rest is not None else b""
        if not self._is_in_head:
            self._stop_timer()
        elif self._has_progressed:
            self._stop_timer()
            self._timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self.transport.close()

    @override
    def on_message_begin(self) -> None:
        self._is_in_head = self._has_progressed = True
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._has_progressed = True
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._has_progressed = True
        super().on_body(body)

    def _feed(self, data: bytes) -> bytes | None:
        """Parse; what is left after a head with an offer, None if there was none."""
        self._unset_keepalive_if_required()
        self._has_progressed = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self.scope["method"] == "CONNECT":  # not an offer: what follows is never HTTP
                self.send_400_response("this is not a proxy")
                return None
            rest: bytes = data[offer.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            return rest
        except httptools.HttpParserError:
            self.send_400_response("invalid HTTP request")
            return None
        # What gives neither a head nor a piece of a body is kept by the parser: a part of a header or of trailers.
        self._idle_bytes = 0 if self._has_progressed else self._idle_bytes + len(data)
        if self._idle_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        return None

    def _refuse_head(self) -> None:
        sentence = b"the head or the trailers of this request are too large"
        lines = (
            STATUS_LINE[HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE].rstrip(),
            b"content-type: text/plain; charset=utf-8",
            b"content-length: %d" % len(sentence),
            b"connection: close",
        )
        self.transport.write(b"\r\n".join([*lines, b"", sentence]))
        self.transport.close()

    def _head_without_offer(self) -> bytes:
        version = self.scope["http_version"].encode()
        lines = [self.scope["method"].encode() + b" " + self.url + b" HTTP/" + version]
        for name, value in self.headers:
            if name == b"connection":
                kept = [word for word in value.split(b",") if word.strip().lower() not in _OFFER]
                value = b",".join(kept)  # noqa: PLW2901 - the header without the offer
            if name not in _OFFER:
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

    @override
    def _should_upgrade(self) -> bool:
        """Keep the callbacks of the first parse from starting a request."""
        return True
