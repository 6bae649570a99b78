"""What surrounds every request of this door: headers of safety, a metric, and a last net under bugs."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import problems
from app.api.paths import PREFIX
from app.telemetry.metrics import QUERIES, QUERY_SECONDS

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; connect-src 'self'; script-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_log = structlog.stdlib.get_logger(__name__)


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and watch what is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            _log.error("request_broken", path=scope["path"], exc_info=error)
            if status:
                raise  # half an answer is out: the server must break the connection, or it would look whole
            await problems.of_bug(scope["path"])(scope, receive, watched)
        finally:
            route = _route(scope)
            QUERY_SECONDS.labels(route).observe(time.perf_counter() - began)
            QUERIES.labels(route, str(status or 499)).inc()


def _route(scope: MutableMapping[str, Any]) -> str:
    """The route's template: paths as sent would be a label set without end."""
    template: str | None = getattr(scope.get("route"), "path", None)
    if template is None:
        return "unmatched"
    # A route knows its own router's part of the path only.
    return PREFIX + template if scope["path"].startswith(PREFIX + "/") else template
