"""`/api/v1/services`: what there is to ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.answers import LIST_RESPONSES, list_response
from app.api.parameters import Asker, Paged, ask_of
from app.query.questions import Questions


def routes(questions: Questions) -> APIRouter:
    """The routes of this topic."""
    router = APIRouter(tags=["services"])

    @router.get("/services", summary="List services", responses=LIST_RESPONSES)
    async def services(request: Request, asker: Asker, parameters: Annotated[Paged, Query()]) -> Response:
        """Services that sent spans, logs or data points in the window, by name."""
        return await list_response(request, await questions.services.names(ask_of(request, asker, parameters)))

    @router.get("/services/{name:text}/operations", summary="List a service's operations", responses=LIST_RESPONSES)
    async def operations(request: Request, asker: Asker, name: str, parameters: Annotated[Paged, Query()]) -> Response:
        """Span names and kinds of one service in the window, with counts and durations."""
        ask = ask_of(request, asker, parameters)
        return await list_response(request, await questions.services.operations(ask, name))

    return router
