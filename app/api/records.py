"""`/api/v1/spans` and `/api/v1/logs`: stored records as rows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.answers import LIST_RESPONSES, list_response, otlp_response
from app.api.parameters import Asker, Format, LogParameters, SpanParameters, ask_of
from app.model import Signal
from app.query import records
from app.query.questions import Questions


def routes(questions: Questions) -> APIRouter:
    """The routes of this topic."""
    router = APIRouter()

    @router.get("/spans", summary="Find spans", tags=["traces"], responses=LIST_RESPONSES)
    async def spans(request: Request, asker: Asker, parameters: Annotated[SpanParameters, Query()]) -> Response:
        """Spans that started in the window, newest first."""
        page = await questions.spans.page(ask_of(request, asker, parameters))
        if parameters.format is Format.OTLP:
            return await otlp_response(request, Signal.TRACES, page.items, page.next_cursor)
        return await list_response(request, page, records.span)

    @router.get("/logs", summary="Find log records", tags=["logs"], responses=LIST_RESPONSES)
    async def logs(request: Request, asker: Asker, parameters: Annotated[LogParameters, Query()]) -> Response:
        """Log records of the window, newest first."""
        page = await questions.logs.page(ask_of(request, asker, parameters))
        if parameters.format is Format.OTLP:
            return await otlp_response(request, Signal.LOGS, page.items, page.next_cursor)
        return await list_response(request, page, records.log)

    return router
