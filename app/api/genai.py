"""`/api/v1/agents`, `/llm`, `/tools`, `/sessions/{id}`: what AI agents did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.api.answers import ITEM_RESPONSES, LIST_RESPONSES, list_response
from app.api.parameters import AgentParameters, Asker, ModelParameters, Paged, ToolParameters, ask_of
from app.query import records
from app.query.questions import Questions
from app.query.sessions import step_of


def routes(questions: Questions) -> APIRouter:
    """The routes of this topic."""
    router = APIRouter(tags=["agents"])

    @router.get("/agents", summary="Sum up agents", responses=LIST_RESPONSES)
    async def agents(request: Request, asker: Asker, parameters: Annotated[AgentParameters, Query()]) -> Response:
        """Runs, failures, durations and tokens of each agent in the window."""
        return await list_response(request, await questions.genai.agents(ask_of(request, asker, parameters)))

    @router.get("/llm", summary="Sum up model calls", responses=LIST_RESPONSES)
    async def models(request: Request, asker: Asker, parameters: Annotated[ModelParameters, Query()]) -> Response:
        """Calls, failures, durations and tokens of each model in the window."""
        return await list_response(request, await questions.genai.models(ask_of(request, asker, parameters)))

    @router.get("/tools", summary="Sum up tools", responses=LIST_RESPONSES)
    async def tools(request: Request, asker: Asker, parameters: Annotated[ToolParameters, Query()]) -> Response:
        """Runs, failures and durations of each tool in the window."""
        return await list_response(request, await questions.genai.tools(ask_of(request, asker, parameters)))

    @router.get("/sessions/{session_id:text}", summary="Read one session", responses=ITEM_RESPONSES)
    async def session(
        request: Request, asker: Asker, session_id: str, parameters: Annotated[Paged, Query()]
    ) -> Response:
        """A session as a story: its spans as steps, oldest first, each with what was logged in it.

        Without `start` all that is kept is looked at. `logs` holds the records of no step on this page.
        """
        story = await questions.sessions.story(ask_of(request, asker, parameters), session_id)
        of_steps, others = story.logs_by_step()

        def step(row: Mapping[str, Any]) -> dict[str, Any]:
            logged = of_steps.get((row["trace_id_bytes"], row["span_id_bytes"]), [])
            return {"step": step_of(row), **records.span(row), "logs": [records.log(record) for record in logged]}

        return await list_response(
            request,
            story.steps,
            step,
            session_id=session_id,
            summary=story.summary,
            logs=[records.log(record) for record in others],
            logs_truncated=story.logs_truncated,
        )

    return router
