"""The schema: numbered templates, applied once and in order, and the retention that follows the settings.

Each server of a cluster is migrated for itself (there is no ON CLUSTER here), so the ledger is a table of the server.
In a cluster the templates make the physical tables, and this module puts the Distributed ones in front of them.

A crash between two statements of a file leaves the file unrecorded, and the next start runs all of it again: every
statement of a migration can be run twice. Concurrent starters take turns (`app.store.lock`).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import MigrationFailed, StoreMisconfigured, StoreRefused
from app.model import LOGS, METRICS, SPANS, TABLES
from app.settings import StorageSettings
from app.store.client import ClickHouse
from app.store.contract import ReadLimits, Store
from app.store.lock import migration_lock
from app.store.sql import quoted, split_list
from app.store.templates import Words, statements

LEDGER = "schema_migrations"

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_DAYS = re.compile(r"toIntervalDay\((\d+)\)")
_TTL = re.compile(r" TTL (.+?)(?: SETTINGS .*)?$", re.DOTALL)
_LIMITS = ReadLimits(seconds=30, memory_bytes=1 << 30, rows=100_000)

# Where a row goes must follow from the row: sent again, a batch must reach the same shards, or the token protects none.
# A trace stays together. Logs mostly have no trace, so their address spreads them.
_SHARDING = {
    SPANS.name: "xxHash64(trace_id_bytes)",
    LOGS.name: "xxHash64(batch, row)",
    METRICS.name: "series_id",
}


@dataclass(frozen=True, slots=True)
class Migration:
    """One file.

    Attributes:
        version: Its number, from 1 without gaps.
        name: File name.
        text: The template.
    """

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the template, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration that was run just now.

    Attributes:
        version: Its number.
        name: File name.
        seconds: How long it took.
    """

    version: int
    name: str
    seconds: float


def migrations_folder() -> Path:
    """Where the files are: beside this module in a wheel, at the top of a checkout."""
    packed = Path(__file__).with_name("migrations_sql")
    return packed if packed.is_dir() else Path(__file__).parents[2] / "migrations"


def migration_files(folder: Path | None = None) -> tuple[Migration, ...]:
    """The migrations of a folder, in order; by default those of this program.

    Raises:
        MigrationFailed: There is none, a name is not `NNNN_name.sql`, or a number is missing or used twice.
    """
    folder = folder or migrations_folder()
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if not match:
            raise MigrationFailed(f"{path.name}: the name of a migration is NNNN_name.sql, in lowercase")
        found.append(Migration(int(match[1]), path.name, path.read_text(encoding="utf-8")))
    if not found:
        raise MigrationFailed(f"There are no migrations in {folder}")
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            reason = "is used twice" if migration.version < expected else f"leaves out {expected:04}"
            raise MigrationFailed(f"{migration.name}: the number {reason}")
    return tuple(found)


async def migrate(
    store: ClickHouse, files: Sequence[Migration], *, cluster: str, storage: StorageSettings
) -> list[Applied]:
    """Bring the schema of the store's database to the newest of `files`.

    Args:
        store: As a user who may create the database and change the schema.
        files: All migrations of this program (`migration_files`).
        cluster: Name of the cluster; empty: plain MergeTree tables.
        storage: Days of retention for new tables; tables that are there are `reconcile_retention`'s.

    Returns:
        What was applied; nothing if the schema is up to date.

    Raises:
        MigrationFailed: An applied file was edited, the database is newer than this program, a template is wrong, or
            ClickHouse does not accept a statement. What was applied before stays applied.
        StoreUnavailable: ClickHouse is away; migrating again goes on where it stopped.
    """
    words = Words(database=store.database, cluster=cluster, days=storage.model_dump())
    scripts = {migration.version: _script(migration, words) for migration in files}
    await store.create_database()
    await store.execute(_ledger_statement(store.database))
    if not _pending(files, await _recorded(store)):
        return []
    applied: list[Applied] = []
    async with migration_lock(store, store.database):
        # Another starter may have done it while we waited.
        for migration in _pending(files, await _recorded(store)):
            started = time.monotonic()
            for statement in scripts[migration.version]:
                await _run(store, migration, statement)
                if cluster:
                    for front in await _fronts(store, words):
                        await _run(store, migration, front)
            await _record(store, migration)
            applied.append(Applied(migration.version, migration.name, time.monotonic() - started))
    return applied


async def reconcile_retention(store: ClickHouse, storage: StorageSettings) -> list[str]:
    """Give every table the retention that the settings say; tables that have it are not touched.

    Expired rows go within hours, when ClickHouse next looks; longer retention holds for what is still there. Parts note
    when they expire, so without `materialize_ttl_after_modify` (the default, 1) rows that are stored already would keep
    their old date, in either direction. As the tables have `ttl_only_drop_parts`, only that note is written again, not
    the rows (measured on 26.9: 0 of 208 MB, against half of them without).

    Args:
        store: As a user who may change the schema.
        storage: `[storage]`.

    Returns:
        Names of the tables that were changed.
    """
    by_name = {name: table for table in TABLES for name in (table.name, f"{table.name}_local")}
    rows = await store.fetch(
        """
        SELECT name, engine_full
        FROM system.tables
        WHERE database = {database:String} AND name IN {names:Array(String)} AND endsWith(engine, 'MergeTree')
        ORDER BY name
        """,
        {"database": store.database, "names": list(by_name)},
        limits=_LIMITS,
    )
    changed: list[str] = []
    for row in rows:
        table = by_name[row["name"]]
        days = storage.model_dump()[table.retention.value]
        found = _TTL.search(row["engine_full"])
        elements = split_list(found[1]) if found else []
        wanted = _with_days(elements, days, plain=table.ttl(days))
        if elements == wanted:
            continue
        target = quoted(store.database, row["name"])
        await store.execute(f"ALTER TABLE {target} MODIFY TTL {', '.join(wanted)}")
        changed.append(row["name"])
    return changed


async def system_logs_without_ttl(store: Store) -> list[str]:
    """Names of ClickHouse's own logs that grow for ever.

    They cannot be cured from here: a system log that differs from the server's configuration is renamed and made anew
    at its next start. The cure is `<ttl>` in that configuration; all that can be done is to say so.
    """
    rows = await store.fetch(
        """
        SELECT name
        FROM system.tables
        WHERE database = 'system' AND match(name, '_log(_[0-9]+)?$') AND endsWith(engine, 'MergeTree')
            AND position(engine_full, ' TTL ') = 0
        ORDER BY name
        """,
        {},
        limits=_LIMITS,
    )
    return [row["name"] for row in rows]


def _script(migration: Migration, words: Words) -> list[str]:
    try:
        return statements(words.render(migration.text))
    except MigrationFailed as error:
        raise MigrationFailed(f"{migration.name}: {error}") from error


def _ledger_statement(database: str) -> str:
    return f"""
        CREATE TABLE IF NOT EXISTS {quoted(database, LEDGER)}
        (
            version UInt32,
            name String,
            checksum String,
            applied_at DateTime64(3, 'UTC')
        )
        ENGINE = ReplacingMergeTree
        ORDER BY version
        SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
    """


async def _recorded(store: Store) -> dict[int, dict[str, Any]]:
    rows = await store.fetch(
        "SELECT version, name, checksum FROM schema_migrations ORDER BY version, applied_at LIMIT 1 BY version",
        {},
        limits=_LIMITS,
    )
    return {row["version"]: row for row in rows}


async def _record(store: Store, migration: Migration) -> None:
    await store.execute(
        """
        INSERT INTO schema_migrations (version, name, checksum, applied_at)
        SELECT {version:UInt32}, {name:String}, {checksum:String}, now64(3)
        """,
        {"version": migration.version, "name": migration.name, "checksum": migration.checksum},
    )


def _pending(files: Sequence[Migration], recorded: Mapping[int, Mapping[str, Any]]) -> list[Migration]:
    """The files that are not recorded yet, once what is recorded has been checked against the rest."""
    newest = max(recorded, default=0)
    if newest > len(files):
        raise MigrationFailed(
            f"The database has migration {recorded[newest]['name']}, which this version of rak-ingest does not know: "
            f"run the newer version"
        )
    for migration in files[:newest]:
        row = recorded.get(migration.version)
        if row is None:
            raise MigrationFailed(f"{migration.name} is not recorded in {LEDGER} although a later migration is")
        if row["checksum"] != migration.checksum:
            raise MigrationFailed(
                f"{migration.name} was edited after it had been applied (as {row['name']}); undo that, and put the "
                f"change into a new migration"
            )
    return list(files[newest:])


async def _run(store: Store, migration: Migration, statement: str) -> None:
    try:
        await store.execute(statement)
    except (StoreMisconfigured, StoreRefused) as error:
        start = next(line for line in statement.splitlines() if not line.startswith("--"))
        raise MigrationFailed(f"{migration.name}: ClickHouse refuses {start.strip()!r}: {error}") from error


async def _fronts(store: ClickHouse, words: Words) -> list[str]:
    """Statements that put a Distributed table before each physical one that has none, or one with other columns."""
    pairs = {table.name: words.local(table.name) for table in TABLES}
    rows = await store.fetch(
        """
        SELECT table, groupArray((name, type, default_kind, default_expression)) AS columns
        FROM (
            SELECT table, name, type, default_kind, default_expression
            FROM system.columns
            WHERE database = {database:String} AND table IN {tables:Array(String)}
            ORDER BY table, position
        )
        GROUP BY table
        """,
        {"database": store.database, "tables": [*pairs, *pairs.values()]},
        limits=_LIMITS,
    )
    columns = {row["table"]: row["columns"] for row in rows}
    made: list[str] = []
    for front, local in pairs.items():
        if local not in columns or columns.get(front) == columns[local]:
            continue
        # Without a sharding key nothing can be inserted: these are filled by materialized views, shard by shard.
        sharding = f", {_SHARDING[front]}" if front in _SHARDING else ""
        made.append(
            f"CREATE OR REPLACE TABLE {quoted(store.database, front)} AS {quoted(store.database, local)} "
            f"ENGINE = Distributed('{words.cluster}', '{store.database}', '{local}'{sharding})"
        )
    return made


def _with_days(elements: Sequence[str], days: int, *, plain: str) -> list[str]:
    """The same clause, with its plain deletion after `days`. What an operator added (moves, recompression) stays.

    Args:
        elements: Of the clause as it is.
        days: Of retention.
        plain: The deletion for a table that has none, or not one that is understood.
    """
    deletions = [
        element for element in elements if not re.search(r" (TO DISK|TO VOLUME|RECOMPRESS|GROUP BY|WHERE) ", element)
    ]
    if len(deletions) == 1 and len(_DAYS.findall(deletions[0])) == 1:
        wanted = _DAYS.sub(f"toIntervalDay({days})", deletions[0])
        return [wanted if element is deletions[0] else element for element in elements]
    return [plain, *(element for element in elements if element not in deletions)]
