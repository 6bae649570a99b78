"""The port for pprof profiles. This version takes none: it says so, so that the port is known to be alive."""

from __future__ import annotations

from app.receivers.asgi import Disconnected, Exchange, Patience, Receive, Scope, Send


class PprofHttp:
    """The ASGI application of the pprof port."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 404."""
        if scope["type"] != "http":
            return
        try:
            exchange = Exchange(scope, receive, send, Patience())
            await exchange.answer(404, "text/plain; charset=utf-8", b"profiles are not taken by this version\n")
        except Disconnected:
            return
