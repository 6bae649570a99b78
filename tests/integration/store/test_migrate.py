"""Migrations are applied once and in order, by whoever comes first, and never quietly to the wrong database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from app.errors import MigrationFailed
from app.settings import StorageSettings
from app.store.client import ClickHouse
from app.store.embedded.server import EmbeddedServer
from app.store.migrate import Applied, Migration, migrate, migration_files
from tests.integration.store.stores import column, schema_store


def files(*texts: str) -> tuple[Migration, ...]:
    return tuple(Migration(number, f"{number:04}_step.sql", text) for number, text in enumerate(texts, start=1))


def table(name: str) -> str:
    return f"CREATE TABLE IF NOT EXISTS {{{{database}}}}.{name} (a UInt8) ENGINE = {{{{engine MergeTree}}}} ORDER BY a;"


@pytest.fixture
async def store(clickhouse: EmbeddedServer, database: str) -> AsyncIterator[ClickHouse]:
    async with schema_store(clickhouse, database) as opened:
        yield opened


async def apply(store: ClickHouse, migrations: Sequence[Migration]) -> list[int]:
    applied: list[Applied] = await migrate(store, migrations, cluster="", storage=StorageSettings())
    return [each.version for each in applied]


async def tables(store: ClickHouse) -> list[str]:
    return await column(store, "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")


async def test_a_database_that_is_not_there_is_made(clickhouse: EmbeddedServer, database: str) -> None:
    async with schema_store(clickhouse, f"{database}_new") as store:
        try:
            assert await apply(store, files(table("a"))) == [1]
        finally:
            await store.execute(f"DROP DATABASE {database}_new SYNC")


async def test_what_is_applied_is_not_applied_again(store: ClickHouse) -> None:
    assert (await apply(store, files(table("a"))), await apply(store, files(table("a")))) == ([1], [])


async def test_only_what_is_new_is_applied(store: ClickHouse) -> None:
    await apply(store, files(table("a")))
    assert await apply(store, files(table("a"), table("b"), table("c"))) == [2, 3]


async def test_all_statements_of_a_file_are_run(store: ClickHouse) -> None:
    await apply(store, files(f"{table('a')}\n-- then; another\n{table('b')}"))
    assert await tables(store) == ["a", "b", "schema_migrations"]


async def test_the_ledger_holds_name_and_checksum(store: ClickHouse) -> None:
    migration, *_ = migrations = files(table("a"))
    await apply(store, migrations)
    assert await column(store, "SELECT (version, name, checksum) FROM schema_migrations") == [
        [1, migration.name, migration.checksum]
    ]


async def test_five_starters_at_once_apply_each_migration_once(clickhouse: EmbeddedServer, database: str) -> None:
    # The second file can be run once only: that it succeeds shows that the starters took turns.
    migrations = files(table("a"), "CREATE TABLE {{database}}.once (a UInt8) ENGINE = Memory;", table("b"))

    async def start() -> list[int]:
        async with schema_store(clickhouse, database) as store:
            return await apply(store, migrations)

    applied = await asyncio.gather(*(start() for _ in range(5)))
    assert sorted(applied) == [[], [], [], [], [1, 2, 3]]


async def test_the_lock_is_gone_afterwards(store: ClickHouse) -> None:
    await apply(store, files(table("a")))
    assert await tables(store) == ["a", "schema_migrations"]


async def test_a_crash_inside_a_file_is_resumed(store: ClickHouse) -> None:
    with pytest.raises(MigrationFailed):
        await apply(store, files(table("a"), f"{table('b')}\nCREATE NONSENSE;\n{table('c')}"))
    assert await apply(store, files(table("a"), f"{table('b')}\n{table('c')}")) == [2]
    assert await tables(store) == ["a", "b", "c", "schema_migrations"]


async def test_an_edited_file_is_refused_by_name(store: ClickHouse) -> None:
    await apply(store, files(table("a")))
    with pytest.raises(MigrationFailed, match=r"0001_step\.sql was edited"):
        await apply(store, files(table("z"), table("b")))
    assert await tables(store) == ["a", "schema_migrations"]


async def test_a_newer_database_is_refused(store: ClickHouse) -> None:
    await apply(store, files(table("a"), table("b")))
    with pytest.raises(MigrationFailed, match=r"0002_step\.sql, which this version"):
        await apply(store, files(table("a")))


async def test_a_hole_in_the_ledger_is_refused(store: ClickHouse) -> None:
    await apply(store, files(table("a"), table("b")))
    await store.execute("ALTER TABLE schema_migrations DELETE WHERE version = 1 SETTINGS mutations_sync = 1")
    with pytest.raises(MigrationFailed, match=r"0001_step\.sql is not recorded"):
        await apply(store, files(table("a"), table("b")))


async def test_an_unknown_word_is_refused_before_anything_is_run(store: ClickHouse) -> None:
    with pytest.raises(MigrationFailed, match=r"0002_step\.sql: \{\{engin MergeTree\}\} is not a word"):
        await apply(store, files(table("a"), "CREATE TABLE b ENGINE = {{engin MergeTree}};"))
    assert await tables(store) == []


async def test_a_statement_that_is_refused_is_named(store: ClickHouse) -> None:
    with pytest.raises(MigrationFailed, match=r"0001_step\.sql: ClickHouse refuses 'CREATE TABLE x \(': Unknown"):
        await apply(store, files("-- what it is for\nCREATE TABLE x (\n  nonsense nonsense\n);"))


async def test_a_cluster_gets_a_distributed_table_before_the_local_one(store: ClickHouse) -> None:
    # The server of the tests is in no cluster: what it refuses is the table that was to be put in front.
    local = "CREATE TABLE IF NOT EXISTS {{database}}.{{local metrics}} (series_id UInt64) ENGINE = Memory;"
    with pytest.raises(
        MigrationFailed, match=r"Distributed\('main', '\w+', 'metrics_local', series_id\).*'main' not found"
    ):
        await migrate(store, files(local), cluster="main", storage=StorageSettings())
    assert "metrics_local" in await tables(store)


async def test_the_programs_own_migrations_run_twice_over_without_harm(store: ClickHouse) -> None:
    first = await apply(store, migration_files())
    before = await tables(store)
    await store.execute("TRUNCATE TABLE schema_migrations")
    second = await apply(store, migration_files())
    assert (first == second, await tables(store) == before) == (True, True)
