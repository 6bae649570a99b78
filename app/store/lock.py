"""One migrator at a time, in plain ClickHouse: no Keeper, no transactions, no conditional updates.

What ClickHouse does atomically is to create a table, and to rename one to a name that must be free. So the lock is a
table: who creates `migration_lock` holds it, and keeps it alive by writing its comment again (the server notes when).
A holder that died must not lock for ever, so a lock that has not been renewed for a while is taken over, and this is
where naive schemes break: of two that find it stale, the slower would take away the fresh lock of the faster. Here
taking over means renaming the table to a name made of *its* UUID. The slower one finds that name in use and waits on.
A holder lets go by the same rename, so it cannot let go of somebody else's lock either.

A holder that is stopped for longer than the bound and then goes on is not prevented from sending one more statement.
That is why each statement of a migration can be run twice (`IF NOT EXISTS`), and why the lock is not the only guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.errors import MigrationFailed, StoreError, StoreMisconfigured
from app.store.contract import ReadLimits, Store
from app.store.sql import quoted

LOCK = "migration_lock"
STALE_SECONDS = 15.0
RENEWAL_SECONDS = 3.0
PATIENCE_SECONDS = 300.0
_POLL_SECONDS = 0.2

_TABLE_EXISTS = 57
_NO_SUCH_TABLE = 60
_LIMITS = ReadLimits(seconds=30, memory_bytes=1 << 28, rows=10)


@dataclass(frozen=True, slots=True)
class _Held:
    """A lock as the server sees it.

    Attributes:
        uuid: Which lock table it is.
        idle_seconds: Since it was made or renewed, by the server's clock.
        comment: Who holds it.
    """

    uuid: str
    idle_seconds: float
    comment: str


@asynccontextmanager
async def migration_lock(
    store: Store,
    database: str,
    *,
    stale_seconds: float = STALE_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[None]:
    """Hold the lock of a database's schema; wait for it first.

    Args:
        store: Where.
        database: Which database.
        stale_seconds: Without a sign of life for so long, a lock is taken over.
        patience_seconds: How long to wait for a holder that is alive.

    Raises:
        MigrationFailed: Somebody else holds it for longer than that.
        StoreError: ClickHouse is away or does not allow it.
    """
    lock = _Lock(store, database, stale_seconds)
    uuid = await lock.acquire(patience_seconds)
    # Not a TaskGroup: it would wrap the migration's error, and the renewal itself never fails.
    renewal = asyncio.create_task(lock.renew())
    try:
        yield
    finally:
        renewal.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewal
        # If this fails, the lock has been taken over or goes stale: either way it needs no more of us.
        with contextlib.suppress(StoreError):
            await lock.release(uuid)


class _Lock:
    def __init__(self, store: Store, database: str, stale_seconds: float) -> None:
        self._store = store
        self._database = database
        self._stale_seconds = stale_seconds
        self._table = quoted(database, LOCK)
        # A comment cannot be a parameter; what is left of the host's name needs no quoting.
        host = re.sub(r"[^\w.-]", "_", socket.gethostname())
        self._comment = f"Held by process {os.getpid()} on {host}"

    async def acquire(self, patience_seconds: float) -> str:
        """Wait until the lock is ours.

        Returns:
            Its UUID.
        """
        try:
            async with asyncio.timeout(patience_seconds):
                while not await self._create():
                    await self._wait_or_take_over()
        except TimeoutError as error:
            held = await self._look()
            raise MigrationFailed(
                f"The schema of {self._database} has been locked for more than {patience_seconds:g} s: "
                f"{held.comment if held else 'by several processes in turn'}"
            ) from error
        mine = await self._look()
        if mine is None:
            raise MigrationFailed(f"{self._database}.{LOCK} disappeared right after it was made")
        await self._sweep()
        return mine.uuid

    async def renew(self) -> None:
        """Say that the holder is alive, for ever."""
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            with contextlib.suppress(StoreError):
                await self._comment_on(self._table, self._comment)

    async def release(self, uuid: str) -> None:
        """Let go of the lock with this UUID, and of no other."""
        if await self._set_aside(uuid):
            await self._store.execute(f"DROP TABLE IF EXISTS {quoted(self._database, _name_of(uuid))}")

    async def _create(self) -> bool:
        statement = f"CREATE TABLE {self._table} (nothing UInt8) ENGINE = Null COMMENT '{self._comment}'"
        return await self._succeeds(statement, unless=(_TABLE_EXISTS,))

    async def _wait_or_take_over(self) -> None:
        held = await self._look()
        if held is None:
            return
        if held.idle_seconds <= self._stale_seconds:
            await asyncio.sleep(_POLL_SECONDS)
        elif await self._set_aside(held.uuid):
            # The name stays in the way of whoever judged like us; this note says since when.
            await self._comment_on(quoted(self._database, _name_of(held.uuid)), "Taken over")

    async def _set_aside(self, uuid: str) -> bool:
        """Rename the lock to the name made of `uuid`; False if that was done before, or there is none."""
        statement = f"RENAME TABLE {self._table} TO {quoted(self._database, _name_of(uuid))}"
        return await self._succeeds(statement, unless=(_TABLE_EXISTS, _NO_SUCH_TABLE))

    async def _succeeds(self, statement: str, *, unless: tuple[int, ...]) -> bool:
        try:
            await self._store.execute(statement)
        except StoreMisconfigured as error:
            if error.code in unless:
                return False
            raise
        return True

    async def _comment_on(self, table: str, text: str) -> None:
        await self._store.execute(f"ALTER TABLE {table} MODIFY COMMENT '{text}'")

    async def _look(self) -> _Held | None:
        rows = await self._store.fetch(
            """
            SELECT
                toString(uuid) AS uuid,
                toFloat64(now64(3) - metadata_modification_time) AS idle_seconds,
                comment
            FROM system.tables
            WHERE database = {database:String} AND name = {name:String}
            """,
            {"database": self._database, "name": LOCK},
            limits=_LIMITS,
        )
        return _Held(**rows[0]) if rows else None

    async def _sweep(self) -> None:
        """Drop what takeovers left, but not the latest, whose names are still in somebody's way."""
        rows = await self._store.fetch(
            """
            SELECT name
            FROM system.tables
            WHERE database = {database:String} AND startsWith(name, {prefix:String})
                AND now64(3) - metadata_modification_time > {age:Float64}
            LIMIT 10
            """,
            {"database": self._database, "prefix": f"{LOCK}_", "age": 10 * self._stale_seconds},
            limits=_LIMITS,
        )
        for row in rows:
            await self._store.execute(f"DROP TABLE IF EXISTS {quoted(self._database, row['name'])}")


def _name_of(uuid: str) -> str:
    return f"{LOCK}_{uuid.replace('-', '_')}"
