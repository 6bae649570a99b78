"""Hourly summaries of agents, model calls and tools: fed as spans arrive, keyed on the operation, exact after merges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.model import SPANS
from app.store.embedded.server import EmbeddedServer
from tests.integration.store.schema import Schema, migrated
from tests.integration.store.spans import NOW, span

HOUR = 3600 * 10**9
AGENT: dict[str, Any] = {"operation_name": "invoke_agent", "agent_name": "planner", "name": "invoke_agent planner"}
MODEL: dict[str, Any] = {"llm_system": "openai", "llm_model": "gpt"}
FIRST_COLUMNS = {
    "agent_execution_summary": {
        "hour": "DateTime('UTC')",
        "service_name": "LowCardinality(String)",
        "agent_name": "LowCardinality(String)",
        "execution_count": "UInt64",
        "avg_duration_seconds": "Float64",
        "p50_duration": "Float64",
        "p95_duration": "Float64",
        "p99_duration": "Float64",
        "error_count": "UInt64",
    },
    "llm_call_summary": {
        "hour": "DateTime('UTC')",
        "service_name": "LowCardinality(String)",
        "llm_model": "LowCardinality(String)",
        "call_count": "UInt64",
        "avg_duration_seconds": "Float64",
        "total_cpu_seconds": "Float64",
        "total_memory_mb": "Float64",
    },
    "tool_execution_summary": {
        "hour": "DateTime('UTC')",
        "service_name": "LowCardinality(String)",
        "tool_name": "LowCardinality(String)",
        "execution_count": "UInt64",
        "avg_duration_seconds": "Float64",
        "error_count": "UInt64",
    },
}


@pytest.fixture(scope="module")
def schema(clickhouse: EmbeddedServer) -> Iterator[Schema]:
    """Two batches, so that every figure is merged from two states; each tenant and hour apart."""
    first: list[dict[str, Any]] = [
        *(span(1, number, seconds=number, llm_input_tokens=10, **AGENT) for number in range(1, 100)),
        span(2, 1, seconds=7, tenant="another", **AGENT),
        span(2, 2, seconds=7, at=NOW - 2 * HOUR, **AGENT),
        span(3, 1, seconds=2, operation_name="chat", llm_input_tokens=100, llm_output_tokens=10, **MODEL),
        span(3, 2, seconds=4, operation_name="text_completion", llm_cached_tokens=5, **MODEL),
        span(3, 3, seconds=6, operation_name="execute_tool", tool_name="search"),
        span(3, 4, seconds=6, operation_name="execute_tool"),
        span(3, 5, seconds=6, name="agent.run", agent_name="by name only"),
        span(3, 6, seconds=6, name="llm.generate", **MODEL),
        span(3, 7, seconds=6, name="execute_tool", tool_name="by name only"),
        span(3, 8, seconds=6, operation_name="invoke_workflow", agent_name="workflow"),
    ]
    second: list[dict[str, Any]] = [
        span(4, 1, seconds=100, status="ERROR", llm_output_tokens=3, **AGENT),
        span(4, 2, seconds=6, operation_name="generate_content", status="ERROR", llm_reasoning_tokens=2, **MODEL),
        span(4, 3, seconds=8, operation_name="embeddings", resource_cpu_micros=1_500_000, **MODEL),
        span(
            4, 4, seconds=1, operation_name="chat", resource_memory_bytes=3 << 20, llm_system="azure", llm_model="gpt"
        ),
        span(4, 5, seconds=8, operation_name="execute_tool", tool_name="search", status="ERROR"),
    ]
    with migrated(clickhouse) as made:
        made.plant(SPANS, first)
        made.plant(SPANS, second)
        yield made


@pytest.mark.parametrize("suffix", ["", "_mv"])
@pytest.mark.parametrize("view", FIRST_COLUMNS)
def test_each_view_begins_with_the_columns_of_the_first_design(schema: Schema, view: str, suffix: str) -> None:
    columns = {row["name"]: row["type"] for row in schema.rows(f"DESCRIBE {view}{suffix}")}
    expected = FIRST_COLUMNS[view]
    assert dict(list(columns.items())[: len(expected)]) == expected
    assert "tenant" in columns


@pytest.mark.parametrize("view", ["agent_execution_summary", "agent_execution_summary_mv"])
def test_an_agent_has_its_figures_by_the_hour_and_tenant(schema: Schema, view: str) -> None:
    sql = f"""
        SELECT toUnixTimestamp(hour) * 1000000000 AS hour, tenant, agent_name, execution_count, avg_duration_seconds,
            error_count, input_tokens, output_tokens
        FROM {view} ORDER BY hour, tenant DESC
    """
    assert [tuple(row.values()) for row in schema.rows(sql)] == [
        (NOW - 2 * HOUR, "default", "planner", 1, 7.0, 0, 0, 0),
        (NOW, "default", "planner", 100, 50.5, 1, 990, 3),
        (NOW, "another", "planner", 1, 7.0, 0, 0, 0),
    ]


def test_quantiles_are_those_of_all_runs_not_means_of_batches(schema: Schema) -> None:
    row = schema.row(
        "SELECT p50_duration, p95_duration, p99_duration FROM agent_execution_summary WHERE execution_count = 100"
    )
    assert list(row.values()) == pytest.approx([50.5, 95.5, 99.5], abs=1)


def test_model_calls_are_kept_by_provider(schema: Schema) -> None:
    sql = """
        SELECT llm_system, llm_model, call_count, avg_duration_seconds, total_cpu_seconds, total_memory_mb, error_count,
            input_tokens, output_tokens, cached_tokens, reasoning_tokens
        FROM llm_call_summary ORDER BY llm_system
    """
    assert [tuple(row.values()) for row in schema.rows(sql)] == [
        ("azure", "gpt", 1, 1.0, 0.0, 3.0, 0, 0, 0, 0, 0),
        ("openai", "gpt", 4, 5.0, 1.5, 0.0, 1, 100, 10, 5, 2),
    ]


def test_the_first_designs_view_of_model_calls_has_one_row_a_model(schema: Schema) -> None:
    row = schema.row("SELECT llm_model, call_count, avg_duration_seconds, total_memory_mb FROM llm_call_summary_mv")
    assert tuple(row.values()) == ("gpt", 5, 4.2, 3.0)


@pytest.mark.parametrize("view", ["tool_execution_summary", "tool_execution_summary_mv"])
def test_a_tool_has_its_figures(schema: Schema, view: str) -> None:
    row = schema.row(f"SELECT tool_name, execution_count, avg_duration_seconds, error_count FROM {view}")
    assert tuple(row.values()) == ("search", 2, 7.0, 1)


def test_a_question_about_an_hour_reads_that_day_only(schema: Schema) -> None:
    plan = schema.rows(
        "EXPLAIN indexes = 1 SELECT agent_name, execution_count FROM agent_execution_summary "
        "WHERE tenant = 'default' AND hour >= now() + INTERVAL 2 DAY"
    )
    text = "\n".join(row["explain"] for row in plan)
    assert "Parts: 0/" in text


def test_figures_are_the_same_after_a_merge(schema: Schema) -> None:
    sql = "SELECT execution_count, avg_duration_seconds, error_count FROM agent_execution_summary ORDER BY hour, tenant"
    before = schema.rows(sql)
    schema.run("OPTIMIZE TABLE agent_execution_summary_states FINAL")
    assert schema.rows(sql) == before
