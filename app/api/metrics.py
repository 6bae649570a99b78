"""`/api/v1/metrics`: which metrics there are, and one of them as series or as stored points."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.answers import LIST_RESPONSES, list_response, otlp_response
from app.api.parameters import Asker, Format, MetricParameters, SeriesParameters, ask_of
from app.model import Signal
from app.query.questions import Questions


def routes(questions: Questions) -> APIRouter:
    """The routes of this topic."""
    router = APIRouter(tags=["metrics"])

    @router.get("/metrics", summary="List metrics", responses=LIST_RESPONSES)
    async def metrics(request: Request, asker: Asker, parameters: Annotated[MetricParameters, Query()]) -> Response:
        """Metrics with points in the window, by name; one item a name, type, unit and temporality."""
        return await list_response(request, await questions.metrics.names(ask_of(request, asker, parameters)))

    @router.get("/metrics/{name:text}", summary="Read one metric", responses=LIST_RESPONSES)
    async def metric(
        request: Request, asker: Asker, name: str, parameters: Annotated[SeriesParameters, Query()]
    ) -> Response:
        """The series of one metric; with `format=otlp` its stored points, newest first."""
        ask = ask_of(request, asker, parameters)
        if parameters.format is Format.OTLP:
            page = await questions.metrics.points(ask, name)
            return await otlp_response(request, Signal.METRICS, page.items, page.next_cursor)
        return await list_response(request, await questions.metrics.points(ask, name), lambda row: row["timestamp"])

    return router
