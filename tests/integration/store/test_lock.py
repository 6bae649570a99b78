"""At most one holds the lock of a schema; one that died does not hold it for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.errors import MigrationFailed
from app.store.client import ClickHouse
from app.store.embedded.server import EmbeddedServer
from app.store.lock import LOCK, migration_lock
from tests.integration.store.stores import column, schema_store

ABANDONED = f"CREATE TABLE {LOCK} (nothing UInt8) ENGINE = Null COMMENT 'Held by process 1 on nowhere'"


@pytest.fixture
async def store(clickhouse: EmbeddedServer, database: str) -> AsyncIterator[ClickHouse]:
    async with schema_store(clickhouse, database) as opened:
        yield opened


async def locks(store: ClickHouse) -> list[str]:
    return await column(store, "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")


async def test_it_is_held_inside_and_gone_outside(store: ClickHouse, database: str) -> None:
    async with migration_lock(store, database):
        inside = await locks(store)
    assert (inside, await locks(store)) == ([LOCK], [])


async def test_it_is_let_go_when_the_holder_fails(store: ClickHouse, database: str) -> None:
    with pytest.raises(KeyError):
        async with migration_lock(store, database):
            raise KeyError
    assert await locks(store) == []


async def test_a_second_one_waits_and_then_names_the_first(store: ClickHouse, database: str) -> None:
    async with migration_lock(store, database):
        with pytest.raises(MigrationFailed, match=r"locked for more than 0\.3 s: Held by process \d+ on "):
            async with migration_lock(store, database, patience_seconds=0.3):
                pass


async def test_ten_take_turns(store: ClickHouse, database: str) -> None:
    inside = most = 0

    async def turn() -> None:
        nonlocal inside, most
        async with migration_lock(store, database):
            inside += 1
            most = max(most, inside)
            await store.execute("SELECT 1")
            inside -= 1

    await asyncio.gather(*(turn() for _ in range(10)))
    assert most == 1


async def test_one_of_ten_takes_over_what_a_dead_one_left(store: ClickHouse, database: str) -> None:
    await store.execute(ABANDONED)
    inside = most = 0

    async def turn() -> None:
        nonlocal inside, most
        async with migration_lock(store, database, stale_seconds=2, patience_seconds=30):
            inside += 1
            most = max(most, inside)
            await store.execute("SELECT 1")
            inside -= 1

    await asyncio.gather(*(turn() for _ in range(10)))
    assert most == 1


async def test_a_slow_judge_cannot_take_the_fresh_lock(store: ClickHouse, database: str) -> None:
    await store.execute(ABANDONED)
    stale = await column(
        store, f"SELECT toString(uuid) FROM system.tables WHERE name = '{LOCK}' AND database = currentDatabase()"
    )
    async with migration_lock(store, database, stale_seconds=0.5, patience_seconds=30):
        # What a second starter does that saw the same stale lock and was slower to act.
        target = f"{LOCK}_{stale[0].replace('-', '_')}"
        with pytest.raises(Exception, match="already exists"):
            await store.execute(f"RENAME TABLE {LOCK} TO {target}")
        assert LOCK in await locks(store)


async def test_a_holder_that_was_taken_over_does_not_let_go_of_the_new_one(store: ClickHouse, database: str) -> None:
    async with migration_lock(store, database):
        uuid = await column(
            store, f"SELECT toString(uuid) FROM system.tables WHERE name = '{LOCK}' AND database = currentDatabase()"
        )
        await store.execute(f"RENAME TABLE {LOCK} TO {LOCK}_{uuid[0].replace('-', '_')}")
        await store.execute(ABANDONED)
    assert LOCK in await locks(store)
