"""What operators and probes ask: `/health`, `/ready`, `/metrics`."""

from __future__ import annotations

from typing import Protocol

from fastapi import APIRouter, Response

from app.api.answers import json_response
from app.telemetry.metrics import exposition

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class Readiness(Protocol):
    """Who knows whether the service can do its work."""

    def reasons(self) -> list[str]:
        """Why not, one sentence each; nothing: it can. Never waits."""


def routes(readiness: Readiness) -> APIRouter:
    """The routes of this topic, at the root of the port."""
    router = APIRouter(tags=["operation"])

    @router.get("/health", summary="Is the process alive?", responses={200: {"description": "It is."}})
    async def health() -> Response:
        """Answers if the event loop runs; says nothing of the store."""
        return json_response({"status": "ok"})

    @router.get(
        "/ready",
        summary="Can it do its work?",
        responses={200: {"description": "It can."}, 503: {"description": "It cannot; `reasons` says why."}},
    )
    async def ready() -> Response:
        """200, or 503 with reasons. Nothing is asked of anybody here, so it answers at once whatever hangs."""
        reasons = readiness.reasons()
        response = json_response({"status": "not ready" if reasons else "ready", "reasons": reasons})
        if reasons:
            response.status_code = 503
            response.headers["Retry-After"] = "1"
        return response

    @router.get("/metrics", summary="Our own metrics", responses={200: {"description": "Prometheus' text format."}})
    async def metrics() -> Response:
        """In Prometheus' text format."""
        return Response(exposition(), media_type=_EXPOSITION)

    for path, endpoint in (("/health", health), ("/ready", ready)):  # load balancers like HEAD
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return router
