"""`/api/v1/traces`: which traces there are, and one of them whole."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.answers import ITEM_RESPONSES, LIST_RESPONSES, list_response, otlp_response
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
        trace = await questions.traces.whole(ask_of(request, asker, parameters), trace_id)
        if parameters.format is Format.OTLP:
            return await otlp_response(request, Signal.TRACES, trace.spans.items, trace.spans.next_cursor)
        return await list_response(
            request, trace.spans, records.span, trace_id=trace.summary["trace_id"], summary=trace.summary
        )

    return router
