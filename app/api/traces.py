"""`/api/v1/traces`: which traces there are, and one of them whole."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.answers import (
    ITEM_RESPONSES,
    LIST_RESPONSES,
    items_text,
    joined_list_response,
    joined_otlp_response,
    list_response,
    otlp_text,
)
from app.api.parameters import Asker, Format, TraceParameters, WholeTraceParameters, ask_of
from app.model import Signal
from app.query import records
from app.query.questions import Questions


def routes(questions: Questions) -> APIRouter:
    """The routes of this topic."""
    router = APIRouter(tags=["traces"])

    @router.get("/traces", summary="Find traces", responses=LIST_RESPONSES)
    async def search(request: Request, asker: Asker, parameters: Annotated[TraceParameters, Query()]) -> Response:
        """One summary a trace, newest first.

        A trace is found if one of its spans, started in the window, has all that is asked for.
        """
        return await list_response(request, await questions.traces.search(ask_of(request, asker, parameters)))

    @router.get("/traces/{trace_id}", summary="Read one trace", responses=ITEM_RESPONSES)
    async def whole(
        request: Request, asker: Asker, trace_id: str, parameters: Annotated[WholeTraceParameters, Query()]
    ) -> Response:
        """All spans of a trace, oldest first: up to 100,000 at once, beyond by cursor."""
        ask = ask_of(request, asker, parameters)
        if parameters.format is Format.OTLP:
            told = await questions.traces.whole(ask, trace_id, lambda rows: otlp_text(Signal.TRACES, rows))
            return joined_otlp_response(request, told.spans)
        trace = await questions.traces.whole(ask, trace_id, lambda rows: items_text(rows, records.span))
        return joined_list_response(request, trace.spans, trace_id=trace.summary["trace_id"], summary=trace.summary)

    return router
