"""The migrations make what `app.model` declares, and every table keeps what all tables promise."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from app.model import COMPANION, SPANS, SUMMARIES, TABLES, Table
from app.settings import StorageSettings
from app.store.embedded.server import EmbeddedServer
from tests.integration.store.schema import Schema, apply, migrated
from tests.integration.store.spans import NOW, span

WINDOW = 100_000
EACH_TABLE = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


@pytest.fixture(scope="module")
def schema(clickhouse: EmbeddedServer) -> Iterator[Schema]:
    """One schema for questions about its shape."""
    with migrated(clickhouse) as made:
        yield made


UNMERGED = "ALTER TABLE otel_traces_trace_id_ts MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1"


@pytest.fixture
def fresh(clickhouse: EmbeddedServer) -> Iterator[Schema]:
    """A schema of the test's own; what is doubled in the companion is not merged away."""
    with migrated(clickhouse) as made:
        made.run(UNMERGED)
        yield made


def expression(schema: Schema, sql: str) -> str:
    """An expression as ClickHouse prints it."""
    return str(schema.value("SELECT formatQuerySingleLine({sql:String})", param_sql=f"SELECT {sql}")) if sql else ""


def about(schema: Schema, table: str, field: str) -> str:
    sql = f"SELECT {field} FROM system.tables WHERE database = currentDatabase() AND name = {{table:String}}"
    return str(schema.value(sql, param_table=table))


@EACH_TABLE
def test_columns_are_those_of_the_model(schema: Schema, table: Table) -> None:
    sql = """
        SELECT name, type, default_kind, default_expression
        FROM system.columns
        WHERE database = currentDatabase() AND table = {table:String}
        ORDER BY position
    """
    found = [
        (row["name"], row["type"], row["default_kind"], expression(schema, row["default_expression"]))
        for row in schema.rows(sql, param_table=table.name)
    ]
    declared = [
        (column.name, column.type, "ALIAS" if column.alias else "", expression(schema, column.alias))
        for column in table.columns
    ]
    assert found == declared


@EACH_TABLE
def test_sort_keys_are_those_of_the_model(schema: Schema, table: Table) -> None:
    assert about(schema, table.name, "sorting_key") == ", ".join(table.key)


@EACH_TABLE
def test_partitions_are_those_of_the_model(schema: Schema, table: Table) -> None:
    assert about(schema, table.name, "partition_key") == table.partition


@EACH_TABLE
def test_each_table_expires_as_the_model_says(schema: Schema, table: Table) -> None:
    days = StorageSettings().model_dump()[table.retention.value]
    assert f" TTL {table.ttl(days)} SETTINGS " in about(schema, table.name, "engine_full")


def test_every_table_of_rows_is_declared(schema: Schema) -> None:
    sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree')"
    bookkeeping = {"schema_migrations", "migration_lock"}
    assert {row["name"] for row in schema.rows(sql)} - bookkeeping == {table.name for table in TABLES}


@EACH_TABLE
def test_the_tenant_comes_first_in_columns_and_key(schema: Schema, table: Table) -> None:
    sql = (
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} AND position = 1"
    )
    key = about(schema, table.name, "sorting_key")
    assert (schema.value(sql, param_table=table.name), key.split(", ")[0]) == ("tenant", "tenant")


@pytest.mark.parametrize(
    "setting",
    [
        f"non_replicated_deduplication_window = {WINDOW}",
        f"replicated_deduplication_window = {WINDOW}",
        "replicated_deduplication_window_seconds = 604800",
        "fsync_after_insert = 1",
        "fsync_part_directory = 1",
        "ttl_only_drop_parts = 1",
    ],
)
@EACH_TABLE
def test_each_table_is_durable_remembers_tokens_and_drops_whole_days(
    schema: Schema, table: Table, setting: str
) -> None:
    assert re.search(rf"[ ,]{setting}(,|$)", about(schema, table.name, "engine_full"))


def test_each_materialized_view_writes_to_a_table_of_the_model(schema: Schema) -> None:
    sql = "SELECT create_table_query AS q FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView'"
    targets = {re.search(r" TO \w+\.(\w+)", row["q"])[1] for row in schema.rows(sql)}  # type: ignore[index]
    assert targets == {COMPANION.name, *(table.name for table in SUMMARIES)}


def test_a_second_run_of_every_statement_changes_nothing(fresh: Schema) -> None:
    shape = "SELECT name, create_table_query, uuid FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    before = fresh.rows(shape)
    fresh.run("TRUNCATE TABLE schema_migrations")
    assert apply(fresh.server, fresh.database)
    assert fresh.rows(shape) == before


COUNTS = """
    SELECT
        (SELECT count() FROM spans) AS spans,
        (SELECT count() FROM otel_traces_trace_id_ts) AS traces,
        (SELECT sum(execution_count) FROM agent_execution_summary) AS agents,
        (SELECT sum(call_count) FROM llm_call_summary) AS calls,
        (SELECT sum(execution_count) FROM tool_execution_summary) AS tools
"""
BATCH = [
    span(1, 1, operation_name="invoke_agent"),
    span(1, 2, operation_name="chat", at=NOW - 86_400 * 10**9),
    span(2, 3, operation_name="execute_tool", tool_name="search"),
]


def test_a_batch_sent_twice_under_its_token_feeds_every_table_once(fresh: Schema) -> None:
    for _ in range(2):
        fresh.plant(SPANS, BATCH, token="0193-one")
    assert fresh.row(COUNTS) == {"spans": 3, "traces": 2, "agents": 1, "calls": 1, "tools": 1}


def test_the_same_batch_under_another_token_is_another_batch(fresh: Schema) -> None:
    for token in ("0193-one", "0193-two"):
        fresh.plant(SPANS, BATCH, token=token)
    assert fresh.row(COUNTS) == {"spans": 6, "traces": 4, "agents": 2, "calls": 2, "tools": 2}


def test_a_trace_over_midnight_has_one_beginning_and_one_end(fresh: Schema) -> None:
    fresh.plant(SPANS, BATCH)
    sql = "SELECT toUnixTimestamp(min(Start)) AS a, toUnixTimestamp(max(End)) AS b FROM otel_traces_trace_id_ts WHERE TraceId = {id:String}"
    assert fresh.row(sql, param_id=f"{1:032x}") == {"a": NOW // 10**9 - 86_400, "b": NOW // 10**9}


def test_a_retention_of_a_century_keeps_what_is_stored(fresh: Schema) -> None:
    """Seconds in 32 bits end in 2106: what expires after that must not count as expired."""
    fresh.plant(SPANS, BATCH)
    for table in (SPANS, COMPANION, *SUMMARIES):
        fresh.run(f"ALTER TABLE {table.name} MODIFY TTL {table.ttl(36500)}")
        fresh.run(f"OPTIMIZE TABLE {table.name} FINAL")
    assert fresh.row(COUNTS) == {"spans": 3, "traces": 2, "agents": 1, "calls": 1, "tools": 1}


def test_a_day_beyond_its_retention_is_dropped(fresh: Schema) -> None:
    fresh.plant(SPANS, [span(1, 1), span(2, 2, at=NOW - 31 * 86_400 * 10**9)])
    fresh.run("OPTIMIZE TABLE spans FINAL")
    assert fresh.value("SELECT count() FROM spans") == 1
