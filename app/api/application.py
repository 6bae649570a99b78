"""The application of the door for people: REST under `/api/v1`, operation and pages at the root."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from string import Template

from fastapi import APIRouter, FastAPI

from app.api import genai, metrics, ops, pages, paths, problems, records, services, traces
from app.api.guard import Guard
from app.api.ops import Readiness
from app.api.paths import PREFIX
from app.query.questions import Questions
from app.settings import Settings

TOPICS: tuple[Callable[[Questions], APIRouter], ...] = (
    traces.routes,
    records.routes,
    metrics.routes,
    services.routes,
    genai.routes,
)


_DESCRIPTION = """
Lists take `start`, `end`, `limit` and `cursor` and answer with `items`, `next_cursor`, `truncated` and `window`.
Times are RFC 3339 or integer nanoseconds since 1970, both ends included; in answers `…_unix_nano` is the integer beside
the text. Ids are lowercase hexadecimal, 64-bit integers exact. Errors are RFC 9457 problems that name the parameter.
Here `limit` is at most $rows, and a question may take $seconds s.
"""


def create_api(*, questions: Questions, readiness: Readiness, settings: Settings) -> FastAPI:
    """Build the application of port 8080.

    Args:
        questions: The read side.
        readiness: What `/ready` says.
        settings: For the bounds that the documentation names.
    """
    bounds = settings.query
    app = FastAPI(
        title="rak-ingest",
        summary="OTLP in, ClickHouse holds it, REST and SQL read it.",
        description=Template(_DESCRIPTION.strip()).substitute(
            rows=f"{bounds.max_result_rows:,}", seconds=f"{bounds.max_query_time_seconds:g}"
        ),
        version=_version(),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    problems.install(app)
    paths.register()
    for topic in TOPICS:
        app.include_router(topic(questions), prefix=PREFIX)
    app.include_router(ops.routes(readiness))
    app.include_router(pages.routes(app, readiness))
    app.add_middleware(Guard)
    return app


def _version() -> str:
    try:
        return version("rak-ingest")
    except PackageNotFoundError:  # run from a checkout without installing
        return "0"
