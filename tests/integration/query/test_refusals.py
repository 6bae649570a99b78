"""Every refusal is a problem that names the parameter; nothing of the inside gets out."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from typing_extensions import override

from app.errors import QueryTooHeavy, StoreMisconfigured
from app.query.cursor import encode_cursor
from app.query.window import Window
from app.store.client import ClickHouse
from app.store.contract import Login, Parameter, ReadLimits
from tests.integration.query.serving import Answer, Door, serving
from tests.integration.query.world import MAX_ROWS, WINDOW

LISTS = [
    "/api/v1/traces",
    "/api/v1/spans",
    "/api/v1/logs",
    "/api/v1/metrics",
    "/api/v1/metrics/a/b",
    "/api/v1/services",
    "/api/v1/services/a/operations",
    "/api/v1/agents",
    "/api/v1/llm",
    "/api/v1/tools",
    "/api/v1/sessions/x",
]


def problem_of(answer: Answer, status: int, parameter: str = "") -> dict[str, Any]:
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    tree: dict[str, Any] = answer.tree
    assert set(tree) == {"type", "title", "status", "detail", "instance"} | ({"parameter"} if parameter else set())
    assert tree["status"] == status
    if parameter:
        assert tree["parameter"] == parameter
        assert parameter in tree["detail"]
    return tree


BAD = {
    "start": ["", "x", "-1", "1e9", "2023-11-14", "9" * 30, "1; DROP TABLE spans", "\x00"],
    "end": ["", "x", "-1", "2023-13-14T00:00:00Z", "0x1"],
    "limit": ["", "0", "-1", "x", "1.5", str(MAX_ROWS + 1), "9" * 30],
    "cursor": ["", "x", "W10", "A" * 9000, "\x00", "é"],
    "bogus": ["1"],
    "tenant": ["other"],
}
CASES = [(parameter, text) for parameter, texts in BAD.items() for text in texts]


@pytest.mark.parametrize(("parameter", "text"), CASES, ids=[f"{name}={text[:12]!r}" for name, text in CASES])
@pytest.mark.parametrize("path", LISTS)
def test_a_bad_parameter_is_named(door: Door, path: str, parameter: str, text: str) -> None:
    """P6, on every list."""
    problem_of(door.get(path, [(parameter, text)]), 400, parameter)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("parameter", ["start", "limit", "cursor"])
def test_a_parameter_sent_twice_is_refused(door: Door, path: str, parameter: str) -> None:
    """Which of the two would it be?"""
    answer = door.get(path, [(parameter, "1"), (parameter, "1")])
    problem_of(answer, 400, parameter)


def test_the_bound_of_limit_is_named(door: Door) -> None:
    """The value seen and the bound."""
    detail = problem_of(door.get("/api/v1/spans", limit=str(MAX_ROWS + 1)), 400, "limit")["detail"]
    assert str(MAX_ROWS + 1) in detail
    assert f"to {MAX_ROWS}" in detail


def test_the_largest_limit_is_taken(door: Door) -> None:
    """The bound itself is allowed."""
    assert door.get("/api/v1/spans", limit=str(MAX_ROWS)).status == 200


@pytest.mark.parametrize(
    ("path", "parameter", "text"),
    [
        ("/api/v1/spans", "kind", "boss"),
        ("/api/v1/spans", "status", "fine"),
        ("/api/v1/spans", "min_duration", "soon"),
        ("/api/v1/spans", "max_duration", "-1s"),
        ("/api/v1/spans", "attribute", "nocolon"),
        ("/api/v1/spans", "trace_id", "xyz"),
        ("/api/v1/spans", "format", "xml"),
        ("/api/v1/spans", "severity", "warn"),
        ("/api/v1/logs", "severity", "loud"),
        ("/api/v1/logs", "query", "  "),
        ("/api/v1/logs", "span_id", "1"),
        ("/api/v1/logs", "kind", "server"),
        ("/api/v1/traces", "format", "otlp"),
        ("/api/v1/services", "service", "a"),
    ],
)
def test_a_filter_that_does_not_fit_is_named(door: Door, path: str, parameter: str, text: str) -> None:
    """P6, for the rest."""
    problem_of(door.get(path, **{parameter: text}), 400, parameter)


def test_an_attribute_may_be_sent_often(door: Door) -> None:
    """It is the one that is repeatable."""
    assert door.get("/api/v1/spans", [("attribute", "a:b"), ("attribute", "c:d")]).status == 200


def test_a_cursor_of_another_question_is_refused(door: Door) -> None:
    """Other filters, other route, other window."""
    door_window = dict(WINDOW)
    cursor = next(iter(_cursors(door)))
    problem_of(door.get("/api/v1/services", **door_window, cursor=cursor, limit="1"), 400, "cursor")


def _cursors(door: Door) -> Iterator[str]:

    yield encode_cursor('["spans","default",{}]', Window(0, 1), (1, "01940000-0000-7000-8000-000000000001", 2))


def test_a_cursor_with_another_window_is_refused(door: Door) -> None:
    """The window belongs to the question."""
    (cursor,) = _cursors(door)
    assert door.get("/api/v1/spans", cursor=cursor).status == 200
    assert door.get("/api/v1/spans", cursor=cursor, start="0", end="1").status == 200
    problem_of(door.get("/api/v1/spans", cursor=cursor, start="1"), 400, "cursor")


@pytest.mark.parametrize("path", ["/nope", "/api/v1/", "/api/v1/trace", "/api/v1/traces/", "/api/v2/traces", "/%00"])
def test_an_unknown_route_is_a_problem(door: Door, path: str) -> None:
    """Also one that is nearly right."""
    assert door.get(path).status in {400, 404}
    assert door.get(path).headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_a_problem(door: Door, method: str) -> None:
    """With the methods that there are."""
    answer = door.get("/api/v1/traces", method=method)
    problem_of(answer, 405)
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/api/v1/spans", "/nope"])
def test_every_answer_carries_the_safe_headers(door: Door, path: str) -> None:
    """Pages and refusals too."""
    headers = door.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


def test_an_absent_store_is_unavailable(door: Door) -> None:
    """503 with a delay, and no address of it in the text."""
    nobody = ClickHouse("http://127.0.0.1:9", Login("query", SecretStr("")), database="telemetry")
    with serving(nobody) as lonely:
        answer = lonely.get("/api/v1/spans")
        problem_of(answer, 503)
        assert int(answer.headers["Retry-After"]) >= 1
        assert b"127.0.0.1" not in answer.body


class _Failing:
    """A store whose reads fail in one way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def fetch(self, sql: str, parameters: Mapping[str, Parameter], *, limits: ReadLimits) -> list[dict[str, Any]]:
        raise self._error

    async def insert(self, table: str, columns: Sequence[str], block: bytes, *, token: str) -> None:
        raise NotImplementedError

    async def execute(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        raise NotImplementedError

    async def ping(self) -> None:
        raise NotImplementedError


@asynccontextmanager
async def failing(error: Exception) -> AsyncIterator[_Failing]:
    yield _Failing(error)


def test_a_question_that_is_too_heavy_names_the_bound() -> None:
    """422: it is well formed, and asking again changes nothing."""
    with serving(failing(QueryTooHeavy("Memory limit of 2 GiB exceeded", code=241))) as door:
        assert "2 GiB" in problem_of(door.get("/api/v1/spans"), 422)["detail"]


@pytest.mark.parametrize(
    "error", [StoreMisconfigured("Unknown column s.secret", code=47), RuntimeError("secret"), KeyError("secret")]
)
def test_a_bug_tells_nothing_of_the_inside(error: Exception) -> None:
    """500, the rest is in the log; the door stays open."""
    with structlog.testing.capture_logs() as logged, serving(failing(error)) as door:
        answer = door.get("/api/v1/spans")
        problem_of(answer, 500)
        assert b"secret" not in answer.body
        assert door.get("/health").status == 200
    assert [line["exc_info"] for line in logged] == [error]


class _Hanging(_Failing):
    """A store that never answers."""

    @override
    async def fetch(self, sql: str, parameters: Mapping[str, Parameter], *, limits: ReadLimits) -> list[dict[str, Any]]:
        await asyncio.Event().wait()
        return []


@asynccontextmanager
async def hanging() -> AsyncIterator[_Failing]:
    yield _Hanging(RuntimeError())


def test_health_and_readiness_answer_while_the_store_hangs() -> None:
    """Within a second, whatever hangs."""

    with serving(hanging()) as door:

        def wait() -> None:
            with contextlib.suppress(OSError):
                door.get("/api/v1/spans")

        threading.Thread(target=wait, daemon=True).start()
        for path in ("/health", "/ready"):
            began = time.monotonic()
            assert door.get(path).status == 200
            assert time.monotonic() - began < 1


def test_readiness_says_what_is_missing(door: Door) -> None:
    """503 with the reasons, and 200 once there is none."""
    door.obstacles.said.append("schema is not there yet")
    try:
        answer = door.get("/ready")
        assert (answer.status, answer.tree["reasons"]) == (503, ["schema is not there yet"])
        assert "schema is not there yet" in door.get("/").body.decode()
        assert door.get("/health").status == 200
    finally:
        door.obstacles.said.clear()
    assert door.get("/ready").status == 200
