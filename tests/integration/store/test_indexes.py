"""A question about one trace or session reads the granules that hold it, by whatever name and table it is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from app.store.embedded.server import EmbeddedServer
from tests.integration.store.schema import Schema, migrated

GRANULES = 110
ROWS = GRANULES * 8192
WANTED = 12_345


@pytest.fixture(scope="module")
def schema(clickhouse: EmbeddedServer) -> Iterator[Schema]:
    """More than a hundred granules of spans and of logs, in one part; five rows a trace."""
    columns = f"""
        SELECT 'default', concat('service-', toString(intDiv(number, 5) % 10)), now64(9, 'UTC'),
            MD5(toString(intDiv(number, 5))), concat('session-', toString(intDiv(number, 5)))
        FROM numbers({ROWS})
        SETTINGS max_block_size = {ROWS}, min_insert_block_size_rows = {ROWS}, max_insert_threads = 1, max_threads = 1
    """
    with migrated(clickhouse) as made:
        for table in ("spans", "logs"):
            made.run(f"INSERT INTO {table} (tenant, service_name, timestamp, trace_id_bytes, session_id) {columns}")
        yield made


def granules(schema: Schema, sql: str) -> tuple[int, int]:
    """Granules after and before the last index of a plan with one."""
    plan = "\n".join(row["explain"] for row in schema.rows(f"EXPLAIN indexes = 1 {sql}"))
    assert "_bloom" in plan, plan
    left, before = re.findall(r"Granules: (\d+)/(\d+)", plan)[-1]
    return int(left), int(before)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT span_name FROM spans WHERE trace_id = {id}",
        "SELECT span_name FROM spans WHERE tenant = 'default' AND trace_id = {id}",
        "SELECT span_name FROM spans WHERE trace_id IN ({id}, 'unknown')",
        "SELECT SpanName FROM otel_traces WHERE TraceId = {id}",
        'SELECT "TraceId" as traceID, "SpanName" AS operationName FROM otel_traces WHERE traceID = {id}',
        "SELECT body FROM logs WHERE trace_id = {id}",
        "SELECT Body FROM otel_logs WHERE TraceId = {id}",
    ],
)
def test_a_trace_is_found_in_few_of_a_hundred_granules(schema: Schema, sql: str) -> None:
    trace = schema.value(f"SELECT trace_id FROM spans LIMIT 1 OFFSET {WANTED}")
    left, before = granules(schema, sql.format(id=f"'{trace}'"))
    assert before >= 100
    assert 1 <= left <= 5


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT trace_id, span_name FROM spans WHERE session_id = 'session-77' ORDER BY timestamp ASC",
        "SELECT TraceId FROM otel_traces WHERE session_id = 'session-77'",
    ],
)
def test_a_session_is_found_in_few_of_a_hundred_granules(schema: Schema, sql: str) -> None:
    left, before = granules(schema, sql)
    assert before >= 100
    assert 1 <= left <= 8


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() FROM otel_traces WHERE ServiceName = 'service-3' AND Timestamp >= now() - 3600",
        "SELECT count() FROM otel_logs WHERE ServiceName = 'service-3' AND Timestamp >= toDateTime(now()) - 3600",
    ],
)
def test_a_question_about_one_service_uses_the_key_through_the_view(schema: Schema, sql: str) -> None:
    plan = "\n".join(row["explain"] for row in schema.rows(f"EXPLAIN indexes = 1 {sql}"))
    left, before = re.findall(r"Granules: (\d+)/(\d+)", plan)[-1]
    assert int(left) <= int(before) // 5


@pytest.mark.parametrize("view", ["otel_traces", "otel_logs"])
def test_a_question_about_another_day_reads_nothing(schema: Schema, view: str) -> None:
    sql = f"SELECT ServiceName FROM {view} WHERE Timestamp >= toDateTime(now()) - 86400 * 7 AND Timestamp <= toDateTime(now()) - 86400 * 3"
    plan = "\n".join(row["explain"] for row in schema.rows(f"EXPLAIN indexes = 1 {sql}"))
    assert "Parts: 0/" in plan or "ReadNothing" in plan or "NullSource" in plan
