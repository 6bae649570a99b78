"""What every Store promises, asked of the one over HTTP against a real ClickHouse."""

from __future__ import annotations

import asyncio
import math
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import sqlparse
from pydantic import SecretStr

from app.errors import QueryTooHeavy, StoreError, StoreMisconfigured, StoreRefused, StoreUnavailable
from app.store import client
from app.store.client import ClickHouse
from app.store.contract import Login, ReadLimits, Store
from app.store.embedded.server import EmbeddedServer
from tests.contract.wire import listening, relayed, silence, somebody_else

LIMITS = ReadLimits(seconds=10, memory_bytes=1 << 30, rows=10_000)

AWKWARD = {
    "empty": "",
    "backslash": "\\",
    "two-backslashes": "\\\\",
    "tab": "a\tb",
    "newline": "a\nb",
    "carriage-return": "a\rb\r\n",
    "nul": "a\0b",
    "single-quote": "it's",
    "doubled-quote": "''",
    "escaped-quote": "\\'",
    "double-quote": '"',
    "backtick": "`",
    "brace": "{",
    "parameter": "{value:String}",
    "format-field": "{0} {name!r}",
    "null-mark": "\\N",
    "null-word": "NULL",
    "escape-sequence": "\\t\\n\\x41\\0",
    "percent": "%41+%00&a=b;c#d?",
    "comment": "-- no /* end",
    "injection": "'; DROP TABLE rows; --",
    "brackets": "['a','b']",
    "spaces": "  around  ",
    "emoji": "é🙂\u2028",
    "controls": "\x01\x1b\x7f\x85",
    "bom": "\ufeff",
}

Opener = Callable[..., AbstractAsyncContextManager[ClickHouse]]


@pytest.fixture
def connect(clickhouse: EmbeddedServer, database: str) -> Opener:
    """Make a store for one of the server's users."""

    def make(login: Login, *, url: str = clickhouse.address.http_url, **options: Any) -> ClickHouse:
        return ClickHouse(url, login, **{"database": database, **options})

    return make


@pytest.fixture
async def admin(clickhouse: EmbeddedServer, connect: Opener) -> AsyncIterator[ClickHouse]:
    async with connect(clickhouse.logins.migrate) as store:
        yield store


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
async def store(
    request: pytest.FixtureRequest, clickhouse: EmbeddedServer, connect: Opener, rows_table: None
) -> AsyncIterator[Store]:
    """The store as the flusher has it, with an empty table `rows`."""
    async with connect(clickhouse.logins.ingest, compress_inserts=request.param) as opened:
        yield opened


@pytest.fixture
async def reader(clickhouse: EmbeddedServer, connect: Opener) -> AsyncIterator[Store]:
    """The store as the read side has it."""
    async with connect(clickhouse.logins.query) as opened:
        yield opened


@pytest.fixture
async def rows_table(admin: ClickHouse) -> None:
    await admin.execute(
        "CREATE TABLE rows (id UInt64, text String, day Date DEFAULT '2026-01-01') ENGINE = MergeTree "
        "PARTITION BY day ORDER BY id SETTINGS non_replicated_deduplication_window = 1000"
    )


def native(server: EmbeddedServer, sql: str) -> bytes:
    """The answer to a SELECT as one Native block."""
    query = urllib.parse.urlencode({"query": f"{sql} FORMAT Native", "max_block_size": 1_000_000})
    request = urllib.request.Request(f"{server.address.http_url}/?{query}")
    request.add_header("X-ClickHouse-User", server.logins.migrate.user)
    request.add_header("X-ClickHouse-Key", server.logins.migrate.password.get_secret_value())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


def rows_block(server: EmbeddedServer, count: int = 1000) -> bytes:
    return native(server, f"SELECT number AS id, toString(number) AS text FROM numbers({count})")


async def count(store: Store, table: str = "rows") -> int:
    rows = await store.fetch(f"SELECT count() AS n FROM {table}", {}, limits=LIMITS)
    return int(rows[0]["n"])


async def value(store: Store, expression: str) -> Any:
    rows = await store.fetch(f"SELECT {expression} AS value", {}, limits=LIMITS)
    return rows[0]["value"]


class TestInsert:
    async def test_a_block_comes_back_as_it_was(self, clickhouse: EmbeddedServer, store: Store) -> None:
        await store.insert("rows", ("id", "text"), rows_block(clickhouse, 3), token="a")
        assert await store.fetch("SELECT id, text FROM rows ORDER BY id", {}, limits=LIMITS) == [
            {"id": 0, "text": "0"},
            {"id": 1, "text": "1"},
            {"id": 2, "text": "2"},
        ]

    async def test_a_token_is_stored_once(self, clickhouse: EmbeddedServer, store: Store) -> None:
        block = rows_block(clickhouse)
        for _ in range(3):
            await store.insert("rows", ("id", "text"), block, token="a")
        assert await count(store) == 1000

    async def test_a_token_sent_five_times_at_once_is_stored_once(
        self, clickhouse: EmbeddedServer, store: Store
    ) -> None:
        block = rows_block(clickhouse)
        await asyncio.gather(*(store.insert("rows", ("id", "text"), block, token="a") for _ in range(5)))
        assert await count(store) == 1000

    async def test_equal_rows_with_another_token_are_stored_too(self, clickhouse: EmbeddedServer, store: Store) -> None:
        block = rows_block(clickhouse)
        await store.insert("rows", ("id", "text"), block, token="a")
        await store.insert("rows", ("id", "text"), block, token="b")
        assert await count(store) == 2000

    async def test_a_materialized_view_is_fed_once_a_token(
        self, clickhouse: EmbeddedServer, admin: ClickHouse, store: Store
    ) -> None:
        await admin.execute(
            "CREATE TABLE target (id UInt64) ENGINE = MergeTree ORDER BY id "
            "SETTINGS non_replicated_deduplication_window = 1000"
        )
        await admin.execute("CREATE MATERIALIZED VIEW feed TO target AS SELECT id FROM rows")
        block = rows_block(clickhouse)
        for _ in range(2):
            await store.insert("rows", ("id", "text"), block, token="a")
        assert await count(store, "target") == 1000

    async def test_a_block_is_one_part_in_the_table_and_in_a_views_target(
        self, clickhouse: EmbeddedServer, admin: ClickHouse, store: Store
    ) -> None:
        await admin.execute("CREATE TABLE target (id UInt64) ENGINE = MergeTree ORDER BY id")
        await admin.execute("CREATE MATERIALIZED VIEW feed TO target AS SELECT id FROM rows")
        await store.insert("rows", ("id", "text"), rows_block(clickhouse, 300_000), token="a")
        assert await admin.fetch(
            "SELECT table, count() AS parts FROM system.parts WHERE database = currentDatabase() GROUP BY table ORDER BY table",
            {},
            limits=LIMITS,
        ) == [{"table": "rows", "parts": 1}, {"table": "target", "parts": 1}]

    async def test_a_block_of_150_days_goes_in_one_insert(self, clickhouse: EmbeddedServer, store: Store) -> None:
        block = native(
            clickhouse, "SELECT number AS id, '' AS text, toDate('2026-01-01') + number AS day FROM numbers(150)"
        )
        await store.insert("rows", ("id", "text", "day"), block, token="a")
        assert await count(store) == 150

    async def test_a_broken_block_is_refused_and_stores_nothing(self, clickhouse: EmbeddedServer, store: Store) -> None:
        with pytest.raises(StoreRefused) as caught:
            await store.insert("rows", ("id", "text"), rows_block(clickhouse)[:-100], token="a")
        assert (caught.value.code, await count(store)) == (33, 0)

    async def test_garbage_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreRefused):
            await store.insert("rows", ("id", "text"), b"garbage" * 1000, token="a")

    async def test_a_column_that_the_statement_does_not_name_is_not_dropped_in_silence(
        self, clickhouse: EmbeddedServer, store: Store
    ) -> None:
        with pytest.raises((StoreRefused, StoreMisconfigured)):
            await store.insert("rows", ("id",), rows_block(clickhouse), token="a")

    @pytest.mark.parametrize("size", [1, 200_000], ids=["small-block", "large-block"])
    async def test_a_missing_table_is_a_wrong_setup(self, clickhouse: EmbeddedServer, store: Store, size: int) -> None:
        with pytest.raises(StoreMisconfigured) as caught:
            await store.insert("nowhere", ("id", "text"), rows_block(clickhouse, size), token="a")
        assert caught.value.code == 60

    async def test_a_missing_column_is_a_wrong_setup(self, clickhouse: EmbeddedServer, store: Store) -> None:
        with pytest.raises(StoreMisconfigured) as caught:
            await store.insert("rows", ("id", "words"), rows_block(clickhouse), token="a")
        assert caught.value.code == 16

    async def test_a_missing_grant_is_a_wrong_setup(
        self, clickhouse: EmbeddedServer, rows_table: None, reader: Store
    ) -> None:
        with pytest.raises(StoreMisconfigured):
            await reader.insert("rows", ("id", "text"), rows_block(clickhouse), token="a")

    @pytest.mark.parametrize("name", ["rows; DROP TABLE rows", "rows` (id) --", "", "a b", "1a", "a."])
    async def test_what_is_no_name_never_reaches_the_statement(self, store: Store, name: str) -> None:
        with pytest.raises(ValueError, match="not an identifier"):
            await store.insert(name, ("id",), b"", token="a")

    async def test_a_nested_column_is_named_with_its_dot(
        self, clickhouse: EmbeddedServer, admin: ClickHouse, store: Store
    ) -> None:
        await admin.execute("CREATE TABLE nested (id UInt64, `events.name` Array(String)) ENGINE = Memory")
        block = native(clickhouse, "SELECT 1::UInt64 AS id, ['a'] AS `events.name`")
        await store.insert("nested", ("id", "events.name"), block, token="a")
        assert await store.fetch("SELECT `events.name` AS names FROM nested", {}, limits=LIMITS) == [{"names": ["a"]}]


class TestFetch:
    async def test_many_rows_are_as_exact_as_few(self, reader: Store) -> None:
        """They are finished elsewhere, so that nobody waits for it."""
        sql = "SELECT number AS n, number / 2 AS half FROM numbers({count:UInt32})"
        few = await reader.fetch(sql, {"count": 10}, limits=LIMITS)
        many = await reader.fetch(sql, {"count": LIMITS.rows}, limits=LIMITS)
        assert many[:10] == few
        assert [(row["n"], row["half"]) for row in many] == [(number, number / 2) for number in range(LIMITS.rows)]
        assert {type(row["half"]) for row in many} == {float}

    @pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
    async def test_a_string_parameter_arrives_as_it_is(self, reader: Store, text: str) -> None:
        sql = "SELECT {value:String} AS value, length({value:String}) AS size"
        rows = await reader.fetch(sql, {"value": text}, limits=LIMITS)
        assert rows == [{"value": text, "size": len(text.encode())}]

    async def test_awkward_strings_arrive_in_an_array(self, reader: Store) -> None:
        texts = list(AWKWARD.values())
        rows = await reader.fetch("SELECT {value:Array(String)} AS value", {"value": texts}, limits=LIMITS)
        assert rows == [{"value": texts}]

    @pytest.mark.parametrize(
        ("type_", "sent"),
        [
            pytest.param("UInt64", 2**64 - 1, id="largest"),
            pytest.param("Int64", -(2**63), id="smallest"),
            pytest.param("Float64", 5e-324, id="tiny"),
            pytest.param("Float64", 1.7976931348623157e308, id="huge"),
            pytest.param("Float64", math.inf, id="infinite"),
            pytest.param("Bool", True, id="bool"),
            pytest.param("Array(UInt64)", [0, 2**64 - 1], id="integers"),
            pytest.param("Array(String)", [], id="empty-array"),
        ],
    )
    async def test_a_parameter_arrives_exact(self, reader: Store, type_: str, sent: Any) -> None:
        rows = await reader.fetch(f"SELECT {{value:{type_}}} AS value", {"value": sent}, limits=LIMITS)
        assert rows == [{"value": sent}]

    async def test_a_nan_parameter_is_nan(self, reader: Store) -> None:
        rows = await reader.fetch("SELECT isNaN({value:Float64}) AS value", {"value": math.nan}, limits=LIMITS)
        assert rows == [{"value": 1}]

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            pytest.param("nan", math.nan, id="nan"),
            pytest.param("-inf", -math.inf, id="infinite"),
            pytest.param("toFloat64(1)", 1.0, id="whole"),
            pytest.param("-0.0", -0.0, id="minus-zero"),
            pytest.param("1e20", 1e20, id="beyond-64-bits"),
            pytest.param("CAST(NULL, 'Nullable(Float64)')", None, id="null"),
            pytest.param("[0.0, nan, -0.0]", [0.0, math.nan, -0.0], id="array"),
            pytest.param("map('nan', inf)", {"nan": math.inf}, id="map"),
            pytest.param("(1::Float64, 'nan')", [1.0, "nan"], id="tuple"),
            pytest.param("CAST(('inf', [nan]), 'Tuple(a String, b Array(Float64))')", {"a": "inf", "b": [math.nan]}),
            pytest.param("'nan'", "nan", id="text-nan"),
            pytest.param("['-0', '\"-0,', '\\\\']", ["-0", '"-0,', "\\"], id="text-minus-zero"),
            pytest.param("toUInt64(18446744073709551615)", 2**64 - 1, id="largest"),
            pytest.param("toInt64(-9223372036854775808)", -(2**63), id="smallest"),
            pytest.param("'a/b'", "a/b", id="slash"),
            pytest.param("'\\0\\t\\r'", "\0\t\r", id="controls"),
        ],
    )
    async def test_a_value_comes_back_exact(self, reader: Store, expression: str, expected: Any) -> None:
        got = await value(reader, expression)
        assert (repr(got), type(got)) == (repr(expected), type(expected))

    async def test_broken_utf8_does_not_break_the_page(self, reader: Store) -> None:
        assert await value(reader, "unhex('61FF62')") == "a\ufffdb"

    async def test_no_rows_are_an_empty_list(self, reader: Store) -> None:
        assert await reader.fetch("SELECT 1 AS one WHERE 0", {}, limits=LIMITS) == []

    @pytest.mark.parametrize(
        "sql", ["SELECT 1 AS one -- why", "SELECT 1 AS one /* why */\n", "WITH 1 AS one SELECT one"]
    )
    async def test_a_statement_may_end_in_a_comment(self, reader: Store, sql: str) -> None:
        assert await reader.fetch(sql, {}, limits=LIMITS) == [{"one": 1}]

    async def test_braces_in_a_statement_are_left_alone(self, reader: Store) -> None:
        assert await value(reader, "'{}{x}{0!r}%s'") == "{}{x}{0!r}%s"

    @pytest.mark.parametrize(
        ("sql", "limits"),
        [
            pytest.param(
                "SELECT sleepEachRow(0.05) FROM numbers(60) SETTINGS max_block_size = 1",
                ReadLimits(seconds=0.2, memory_bytes=1 << 30, rows=100),
                id="time",
            ),
            pytest.param(
                "SELECT groupArray(number) FROM numbers(10000000)",
                ReadLimits(seconds=10, memory_bytes=1 << 24, rows=100),
                id="memory",
            ),
            pytest.param(
                "SELECT number FROM numbers(11)", ReadLimits(seconds=10, memory_bytes=1 << 30, rows=10), id="rows"
            ),
        ],
    )
    async def test_a_read_beyond_its_limits_is_too_heavy(self, reader: Store, sql: str, limits: ReadLimits) -> None:
        with pytest.raises(QueryTooHeavy):
            await reader.fetch(sql, {}, limits=limits)

    async def test_a_read_at_its_limit_of_rows_is_answered(self, reader: Store) -> None:
        limits = ReadLimits(seconds=10, memory_bytes=1 << 30, rows=10)
        assert len(await reader.fetch("SELECT number FROM numbers(10)", {}, limits=limits)) == 10

    @pytest.mark.parametrize(("size", "code"), [(200_000, 1000), (2_000_000, 0)], ids=["field", "url"])
    async def test_a_parameter_too_long_for_a_url_is_too_heavy(self, reader: Store, size: int, code: int) -> None:
        with pytest.raises(QueryTooHeavy, match="too long") as caught:
            await reader.fetch("SELECT {value:String} AS value", {"value": "a" * size}, limits=LIMITS)
        assert caught.value.code == code

    @pytest.mark.parametrize(
        ("sql", "code"),
        [("SELECT * FROM nowhere", 60), ("SELECT nothing", 47), ("SELEC 1", 62), ("SELECT {value:UInt8}", 457)],
    )
    async def test_a_wrong_statement_is_a_wrong_setup(self, reader: Store, sql: str, code: int) -> None:
        with pytest.raises(StoreMisconfigured) as caught:
            await reader.fetch(sql, {"value": "x"}, limits=LIMITS)
        assert caught.value.code == code

    async def test_an_error_after_many_rows_is_an_error(self, reader: Store) -> None:
        limits = ReadLimits(seconds=10, memory_bytes=1 << 30, rows=1_000_000)
        with pytest.raises(StoreError) as caught:
            await reader.fetch("SELECT throwIf(number = 499999) FROM numbers(500000)", {}, limits=limits)
        assert caught.value.code == 395

    async def test_an_error_code_in_a_value_is_not_the_error(self, reader: Store) -> None:
        with pytest.raises(StoreError) as caught:
            await reader.fetch(
                "SELECT throwIf(1, 'Code: 60. DB::Exception: no. (version 1)\\nCode: 62. DB::Exception: no')",
                {},
                limits=LIMITS,
            )
        assert caught.value.code == 395

    async def test_an_abandoned_read_ends_in_clickhouse(self, admin: ClickHouse, reader: Store) -> None:
        sql = "SELECT sleepEachRow(1) AS abandoned FROM numbers(60) SETTINGS max_block_size = 1"
        running = "SELECT query_id FROM system.processes WHERE position(query, 'AS abandoned FROM') > 0 AND is_initial_query AND query_id != queryID()"
        limits = ReadLimits(seconds=60, memory_bytes=1 << 30, rows=100)
        read = asyncio.create_task(reader.fetch(sql, {}, limits=limits))
        await until(admin, running, some=True)
        read.cancel()
        await asyncio.gather(read, return_exceptions=True)
        await until(admin, running, some=False)


async def until(store: Store, sql: str, *, some: bool) -> None:
    """Ask until there are rows, or none."""
    deadline = time.monotonic() + 10
    while bool(await store.fetch(sql, {}, limits=LIMITS)) is not some:
        assert time.monotonic() < deadline, f"{sql} has {'no' if some else 'still'} rows"
        await asyncio.sleep(0.02)


class TestExecute:
    async def test_values_are_parameters(self, admin: ClickHouse, rows_table: None) -> None:
        await admin.execute(
            "INSERT INTO rows (id, text) SELECT {id:UInt64}, {text:String}", {"id": 7, "text": "it's\t{}"}
        )
        assert await admin.fetch("SELECT id, text FROM rows", {}, limits=LIMITS) == [{"id": 7, "text": "it's\t{}"}]

    async def test_the_database_is_made_once(self, clickhouse: EmbeddedServer, connect: Opener, database: str) -> None:
        async with connect(clickhouse.logins.migrate, database=f"{database}_more") as store:
            try:
                await store.create_database()
                await store.create_database()
                assert await value(store, "currentDatabase()") == f"{database}_more"
            finally:
                await store.execute(f"DROP DATABASE {database}_more")

    async def test_the_database_is_not_made_without_the_right(
        self, clickhouse: EmbeddedServer, connect: Opener, database: str
    ) -> None:
        async with connect(clickhouse.logins.ingest, database=f"{database}_more") as store:
            with pytest.raises(StoreMisconfigured) as caught:
                await store.create_database()
        assert caught.value.code == 497


class TestFaults:
    @pytest.mark.parametrize("user", ["ingest", "nobody"])
    async def test_a_wrong_login_is_a_wrong_setup(self, connect: Opener, user: str) -> None:
        async with connect(Login(user, SecretStr("wrong"))) as store:
            with pytest.raises(StoreMisconfigured) as caught:
                await store.fetch("SELECT 1", {}, limits=LIMITS)
        assert caught.value.code == 516

    async def test_a_large_block_with_a_wrong_login_is_a_wrong_setup(
        self, clickhouse: EmbeddedServer, connect: Opener
    ) -> None:
        async with connect(Login("ingest", SecretStr("wrong"))) as store:
            with pytest.raises(StoreMisconfigured):
                await store.insert("rows", ("id", "text"), rows_block(clickhouse, 500_000), token="a")

    async def test_an_error_is_one_sentence_without_the_version(self, reader: Store) -> None:
        with pytest.raises(StoreMisconfigured) as caught:
            await reader.fetch("SELECT nothing", {}, limits=LIMITS)
        message = str(caught.value)
        assert message.startswith("Unknown expression identifier")
        assert "\n" not in message
        assert "version" not in message

    async def test_nobody_listening_is_unavailable(self, clickhouse: EmbeddedServer, connect: Opener) -> None:
        async with listening(silence) as free:
            pass
        async with connect(clickhouse.logins.ingest, url=free) as store:
            for attempt in all_kinds(store):
                with pytest.raises(StoreUnavailable) as caught:
                    await attempt
                assert caught.value.code == 0

    async def test_silence_is_unavailable(
        self, clickhouse: EmbeddedServer, connect: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("INSERT_TIMEOUT", "STATEMENT_TIMEOUT", "PING_TIMEOUT", "READ_GRACE"):
            monkeypatch.setattr(client, f"{name}_SECONDS", 0.1)
        async with listening(silence) as url, connect(clickhouse.logins.ingest, url=url) as store:
            for attempt in all_kinds(store):
                with pytest.raises(StoreUnavailable, match="in time"):
                    await attempt

    async def test_another_server_that_says_200_is_not_taken_for_clickhouse(
        self, clickhouse: EmbeddedServer, connect: Opener
    ) -> None:
        async with listening(somebody_else) as url, connect(clickhouse.logins.ingest, url=url) as store:
            for attempt in all_kinds(store):
                with pytest.raises(StoreUnavailable, match=r"not (a )?ClickHouse"):
                    await attempt

    async def test_a_lost_answer_is_unavailable_and_the_token_covers_it(
        self, clickhouse: EmbeddedServer, connect: Opener, store: Store
    ) -> None:
        block = rows_block(clickhouse)
        async with relayed(clickhouse.address) as relay, connect(clickhouse.logins.ingest, url=relay.url) as distant:
            relay.answer_bytes = 0
            with pytest.raises(StoreUnavailable):
                await distant.insert("rows", ("id", "text"), block, token="a")
            relay.answer_bytes = None
            await distant.insert("rows", ("id", "text"), block, token="a")
        assert await count(store) == 1000

    async def test_an_upload_that_is_cut_off_stores_nothing(
        self, clickhouse: EmbeddedServer, connect: Opener, store: Store
    ) -> None:
        block = rows_block(clickhouse, 200_000)
        async with relayed(clickhouse.address) as relay, connect(clickhouse.logins.ingest, url=relay.url) as distant:
            relay.upload_bytes = 100_000
            with pytest.raises(StoreUnavailable):
                await distant.insert("rows", ("id", "text"), block, token="a")
        assert await count(store) == 0

    async def test_an_answer_that_is_cut_off_is_unavailable(self, clickhouse: EmbeddedServer, connect: Opener) -> None:
        async with relayed(clickhouse.address) as relay, connect(clickhouse.logins.query, url=relay.url) as distant:
            relay.answer_bytes = 20_000
            with pytest.raises(StoreUnavailable):
                await distant.fetch("SELECT number, 'text' FROM numbers(5000)", {}, limits=LIMITS)

    async def test_a_store_outside_its_context_says_so(self, clickhouse: EmbeddedServer, connect: Opener) -> None:
        async with connect(clickhouse.logins.ingest) as store:
            pass
        with pytest.raises(RuntimeError, match="outside its context"):
            await store.execute("SELECT 1")


def all_kinds(store: Store) -> list[Any]:
    """One of each request."""
    return [
        store.ping(),
        store.insert("rows", ("id",), b"", token="a"),
        store.fetch("SELECT 1", {}, limits=ReadLimits(seconds=0.1, memory_bytes=1 << 30, rows=1)),
        store.execute("SELECT 1"),
    ]


class TestPing:
    async def test_clickhouse_is_alive(self, reader: Store) -> None:
        await reader.ping()

    async def test_a_sign_of_life_does_not_wait_behind_reads(self, clickhouse: EmbeddedServer, connect: Opener) -> None:
        async with connect(clickhouse.logins.query, max_connections=1) as store:
            sql = "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1"
            reads = [
                asyncio.create_task(store.fetch(sql, {}, limits=ReadLimits(seconds=60, memory_bytes=1 << 30, rows=100)))
                for _ in range(2)
            ]
            await store.ping()
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)


async def test_no_statement_is_parsed_on_our_side(
    clickhouse: EmbeddedServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("sqlparse was run")

    for name in ("parse", "parsestream", "split", "format"):
        monkeypatch.setattr(sqlparse, name, refuse)
    await store.insert("rows", ("id", "text"), rows_block(clickhouse), token="a")
    await store.execute("SELECT 1")
    assert await count(store) == 1000
