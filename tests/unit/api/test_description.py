"""What the API says of itself is complete, and its parameters are those of the filters."""

from __future__ import annotations

from typing import Any

import pytest

from app.api import create_api
from app.api.parameters import LogParameters, SpanParameters, TraceParameters
from app.query import Questions
from app.query.filters import LOG_FILTERS, SPAN_FILTERS, TRACE_FILTERS
from app.settings import Settings

GENERAL = {"start", "end", "limit", "cursor", "format"}


class Ready:
    """Nothing stands in the way."""

    def reasons(self) -> list[str]:
        return []


def schema() -> dict[str, Any]:
    settings = Settings()
    questions = Questions(None, settings.query)  # type: ignore[arg-type]  # nothing is asked here
    return create_api(questions=questions, readiness=Ready(), settings=settings).openapi()


ROUTES = [(path, operation) for path, methods in schema()["paths"].items() for operation in methods.values()]
every_route = pytest.mark.parametrize(("path", "operation"), ROUTES, ids=[path for path, _ in ROUTES])


@every_route
def test_every_parameter_is_explained(path: str, operation: dict[str, Any]) -> None:
    """In OpenAPI itself; what stands in the path explains itself."""
    for parameter in operation.get("parameters", []):
        assert parameter["in"] == "path" or parameter["description"]
    assert operation["description"]


@pytest.mark.parametrize(
    ("parameters", "filters"),
    [(TraceParameters, TRACE_FILTERS), (SpanParameters, SPAN_FILTERS), (LogParameters, LOG_FILTERS)],
    ids=["traces", "spans", "logs"],
)
def test_the_door_has_the_parameters_that_the_filters_have(parameters: Any, filters: Any) -> None:
    """Declared on both sides, so compared; repeatable ones are lists."""
    assert set(parameters.model_fields) - GENERAL == {declared.parameter for declared in filters}
    for declared in filters:
        annotation = parameters.model_fields[declared.parameter].annotation
        assert (annotation == list[str]) == declared.is_repeatable
