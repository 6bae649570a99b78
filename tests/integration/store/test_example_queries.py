"""The example queries run as they stand on rows of every kind, and give right answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.model import SPANS
from app.store.embedded.server import EmbeddedServer
from tests.example_queries import AGENTS, SESSION, SLOW, TOKENS
from tests.integration.store.schema import Schema, migrated
from tests.integration.store.spans import span

SECOND = 10**9
HOUR = 3600 * SECOND
NOW = time.time_ns() - 60 * SECOND


def run(number: int, agent: str, seconds: float, *, at: int = NOW, status: str = "UNSET") -> dict[str, Any]:
    return span(
        number, number, name="agent.run", agent_name=agent, seconds=seconds, at=at, status=status, session_id="s"
    )


def call(number: int, model: str, tokens: int, seconds: float, *, at: int = NOW) -> dict[str, Any]:
    attributes: dict[str, Any] = {"attributes_map": (["token_count"], [str(tokens)]), "attributes_types": "i"}
    return span(number, number, name="llm.generate", llm_model=model, seconds=seconds, at=at, **attributes)


@pytest.fixture(scope="module")
def schema(clickhouse: EmbeddedServer) -> Iterator[Schema]:
    """Runs of two agents, calls of two models, one session; and of each something that the query must leave out."""
    rows = [
        span(9, 90, name="second", at=NOW + SECOND, seconds=0.5, status="ERROR", session_id="sess-123"),
        span(9, 91, name="first", at=NOW, seconds=0.25, status="OK", session_id="sess-123", service="another"),
        span(9, 92, name="elsewhere", at=NOW, session_id="sess-1234"),
        *(run(number, "planner", float(number), status="ERROR" if number == 6 else "UNSET") for number in range(1, 9)),
        run(20, "critic", 30.0),
        run(21, "critic", 40.0, at=NOW - 2 * HOUR),
        run(22, "critic", 50.0, at=NOW - 26 * HOUR),
        *(run(number, "busy", 5.0) for number in range(30, 39)),
        call(40, "small", 100, 1.0),
        call(41, "small", 11, 2.0),
        call(42, "large", 9_007_199_254_740_993, 4.0),
        call(43, "large", 1000, 4.0, at=NOW - 26 * HOUR),
    ]
    with migrated(clickhouse) as made:
        made.plant(SPANS, rows)
        yield made


def test_all_spans_of_a_session_come_in_time_order(schema: Schema) -> None:
    found = [(row["span_name"], row["duration_seconds"], row["status_code"]) for row in schema.rows(SESSION)]
    assert found == [("first", 0.25, "OK"), ("second", 0.5, "ERROR")]


def test_ids_and_times_of_a_session_are_readable(schema: Schema) -> None:
    row = schema.rows(SESSION)[0]
    shown = schema.value("SELECT toString(fromUnixTimestamp64Nano({at:Int64}, 'UTC'))", param_at=str(NOW))
    assert (row["trace_id"], row["timestamp"]) == (f"{9:032x}", shown)


def test_each_agent_has_its_count_mean_and_error_rate_of_the_last_day(schema: Schema) -> None:
    found = [
        (row["agent_name"], row["execution_count"], row["avg_duration_seconds"], row["error_rate_percent"])
        for row in schema.rows(AGENTS)
    ]
    assert found == [("busy", 9, 5.0, 0.0), ("planner", 8, 4.5, 12.5), ("critic", 2, 35.0, 0.0)]


def test_the_95th_percentile_of_each_agent_is_interpolated(schema: Schema) -> None:
    found = {row["agent_name"]: row["p95_duration"] for row in schema.rows(AGENTS)}
    assert found == pytest.approx({"busy": 5.0, "planner": 7.65, "critic": 39.5})


def test_the_slowest_runs_of_the_last_hour_come_first(schema: Schema) -> None:
    found = [(int(row["trace_id"], 16), row["agent_name"], row["duration_seconds"]) for row in schema.rows(SLOW)]
    assert found == [(20, "critic", 30.0), (8, "planner", 8.0), (7, "planner", 7.0), (6, "planner", 6.0)]


def test_tokens_of_each_model_are_summed_exactly(schema: Schema) -> None:
    found = {
        row["llm_model"]: (row["call_count"], row["total_tokens"], row["avg_latency"]) for row in schema.rows(TOKENS)
    }
    assert found == {"small": (2, 111, 1.5), "large": (1, 9_007_199_254_740_993, 4.0)}
