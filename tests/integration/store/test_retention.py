"""Retention follows the settings: tables that differ are altered, others left alone, and rows that expired go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from app.model import LOGS, TABLES
from app.settings import StorageSettings
from app.store.client import ClickHouse
from app.store.embedded.server import EmbeddedServer
from app.store.migrate import migrate, migration_files, reconcile_retention, system_logs_without_ttl
from tests.integration.store.stores import column, schema_store

OF_SPANS = sorted(table.name for table in TABLES if table.retention.value == "spans_retention_days")


@pytest.fixture
async def store(clickhouse: EmbeddedServer, database: str) -> AsyncIterator[ClickHouse]:
    """A migrated database with the default retention."""
    async with schema_store(clickhouse, database) as opened:
        await migrate(opened, migration_files(), cluster="", storage=StorageSettings())
        yield opened


async def ttl(store: ClickHouse, table: str) -> str:
    sql = "SELECT extract(engine_full, ' TTL (.*) SETTINGS') FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    return str((await column(store, sql, table=table))[0])


async def test_what_follows_the_settings_is_not_touched(store: ClickHouse) -> None:
    assert await reconcile_retention(store, StorageSettings()) == []


async def test_only_the_tables_of_a_changed_key_are_altered(store: ClickHouse) -> None:
    assert await reconcile_retention(store, StorageSettings(spans_retention_days=3)) == OF_SPANS


async def test_the_new_days_are_in_the_table(store: ClickHouse) -> None:
    await reconcile_retention(store, StorageSettings(logs_retention_days=3))
    assert await ttl(store, "logs") == "timestamp + toIntervalDay(3)"


async def test_a_second_time_changes_nothing(store: ClickHouse) -> None:
    settings = StorageSettings(spans_retention_days=3, logs_retention_days=4, metrics_retention_days=5)
    await reconcile_retention(store, settings)
    assert await reconcile_retention(store, settings) == []


async def test_a_ttl_that_was_removed_is_set_again(store: ClickHouse) -> None:
    await store.execute("ALTER TABLE logs REMOVE TTL")
    await reconcile_retention(store, StorageSettings())
    assert await ttl(store, "logs") == LOGS.ttl(30)


async def test_what_an_operator_added_stays(store: ClickHouse) -> None:
    tiered = "timestamp + toIntervalDay(30), timestamp + toIntervalDay(7) TO DISK 'default'"
    await store.execute(f"ALTER TABLE logs MODIFY TTL {tiered}")
    unchanged = await reconcile_retention(store, StorageSettings())
    changed = await reconcile_retention(store, StorageSettings(logs_retention_days=20))
    assert (unchanged, changed, await ttl(store, "logs")) == ([], ["logs"], tiered.replace("30", "20"))


async def test_rows_that_were_stored_before_expire_by_the_new_days(store: ClickHouse) -> None:
    await store.execute("ALTER TABLE logs MODIFY SETTING merge_with_ttl_timeout = 1")
    await store.execute(
        "INSERT INTO logs (tenant, timestamp) SELECT 'a', now64(9) - toIntervalDay(number) FROM numbers(20)"
    )
    await reconcile_retention(store, StorageSettings(logs_retention_days=7))
    deadline = time.monotonic() + 20
    while (left := await column(store, "SELECT count() FROM logs")) != [7]:
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.1)


async def test_rows_that_were_stored_before_live_by_the_longer_days(store: ClickHouse) -> None:
    await store.execute("INSERT INTO logs (tenant, timestamp) SELECT 'a', now64(9)")
    await reconcile_retention(store, StorageSettings(logs_retention_days=300))
    sql = (
        "SELECT dateDiff('day', now(), max(delete_ttl_info_max)) FROM system.parts "
        "WHERE database = currentDatabase() AND table = 'logs' AND active"
    )
    deadline = time.monotonic() + 20
    while (days := await column(store, sql)) != [300]:
        assert time.monotonic() < deadline, days
        await asyncio.sleep(0.1)


async def test_the_embedded_server_keeps_no_log_for_ever(store: ClickHouse) -> None:
    assert await system_logs_without_ttl(store) == []
