"""`/api/v1/metrics`: which metrics there are, and one of them as series or as stored points."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.api.answers import LIST_RESPONSES, list_response, otlp_response
from app.api.parameters import Asker, Format, MetricParameters, SeriesParameters, ask_of
from app.model import Signal
from app.query.points import Aggregation
from app.query.questions import Questions
from app.query.series import Answer


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
        answer = await questions.metrics.series(ask, name)
        return await list_response(request, answer.page, name=name, **_about(answer))

    return router


def _about(answer: Answer) -> dict[str, Any]:
    """What was made of the points, also where it was not asked for by name."""
    question = answer.question
    if question is None:
        return {}
    about: dict[str, Any] = {"type": question.type, "aggregation": question.aggregation}
    if question.aggregation is not Aggregation.NONE:
        about["step_ns"] = question.grid.step_ns
    if question.aggregation is Aggregation.QUANTILE:
        about["quantile"] = question.quantile
    return about
