"""uvicorn's HTTP protocol, deaf to offers of another one.

httptools ends a request at its head when the head offers an upgrade, so the body of a POST with `Upgrade: h2c` would
be read as empty, and an empty request is a success: its telemetry would be lost with a 200. Clients do this by default
(java.net.http, curl --http2). A server may ignore the offer (RFC 9110 section 7.8), so the same head goes to a new
parser without it. uvicorn itself replays a head that way to hand a connection to its WebSocket protocol.
"""

from __future__ import annotations

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OFFER = frozenset({b"upgrade", b"http2-settings"})


class PlainHttpProtocol(HttpToolsProtocol):
    """Serves every request as the HTTP/1.1 that it is; give it to `uvicorn.Config(http=…)`."""

    @override
    def data_received(self, data: bytes) -> None:
        while data:
            rest = self._feed(data)
            data = self._head_without_offer() + rest if rest is not None else b""

    def _feed(self, data: bytes) -> bytes | None:
        """Parse; what is left after a head with an offer, None if there was none."""
        self._unset_keepalive_if_required()
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
