"""The store over HTTP. This is the one module that knows aiochclient.

aiochclient 2.7 is used for what it does well, on one shared session, and kept from the rest:

* It would parse every statement with sqlparse on the event loop (0.85 ms CPU an insert, 16 ms a long SELECT, an error
  beyond 10,000 tokens). The two clients below say what their statements are, so nothing is parsed.
* Its own `params=` formats values into the text. They are never used: values go as `param_…` in the URL, bound by the
  server. What else is in the URL are this call's settings, so each call makes a client object of its own (2 µs).
* It takes every 200 for a success. A hook of the session looks at each answer first, so that whatever else listens at
  the address is not mistaken for ClickHouse, and takes the error code from the header, not from a text that may quote
  a sender's data.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
import zstandard
from aiochclient import ChClient
from aiochclient.exceptions import ChClientError

from app.errors import StoreMisconfigured, StoreUnavailable
from app.store import rows
from app.store.contract import Login, Parameter, ReadLimits
from app.store.faults import Work, from_answer, from_silence
from app.store.parameters import as_url
from app.store.sql import quoted

INSERT_TIMEOUT_SECONDS = 60.0
STATEMENT_TIMEOUT_SECONDS = 300.0
PING_TIMEOUT_SECONDS = 2.0
# ClickHouse ends a read itself; this much later its silence is a fault.
READ_GRACE_SECONDS = 5.0
# Below the server's own keep-alive (10 to 30 s), so that it is not the server who closes a connection we write to.
_IDLE_SECONDS = 5.0

# More take longer than others should wait for the event loop: 10,000 rows of 55 columns are 80 ms on an idle machine.
_QUICK_ROWS = 1_000

_UNKNOWN_DATABASE = 81

# With these one block stays one part a partition, in the base table and in every target of a materialized view, and a
# repeated token stores nothing. They do not lean on defaults, which have changed from version to version.
_INSERT_SETTINGS: Mapping[str, int] = {
    "async_insert": 0,
    "max_insert_threads": 1,
    "max_insert_block_size": 10_000_000,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "materialized_views_ignore_errors": 0,
    "parallel_view_processing": 0,
    "max_partitions_per_insert_block": 0,
    # A column that the table does not have is a fault, not something to leave out in silence.
    "input_format_skip_unknown_fields": 0,
    "distributed_foreground_insert": 1,
}

_READ_SETTINGS: Mapping[str, int | str] = {
    "result_overflow_mode": "throw",
    "timeout_overflow_mode": "throw",
    "cancel_http_readonly_queries_on_client_close": 1,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 1,
    "output_format_json_escape_forward_slashes": 0,
    # One row with broken UTF-8 must not make every page that holds it unreadable.
    "output_format_json_validate_utf8": 1,
}

# An outcome is told once, after the whole statement: never rows first and an error after them.
_WHOLE_ANSWER: Mapping[str, int] = {"wait_end_of_query": 1, "enable_http_compression": 0}


class _Writer(ChClient):  # type: ignore[misc]  # aiochclient is untyped
    """Statements that return nothing."""

    __slots__ = ()

    @staticmethod
    def _parse_squery(_query: str) -> tuple[bool, bool, str]:
        return False, False, ""

    @staticmethod
    def _check_insert_file_query(_query: str) -> None:
        return


class _Reader(ChClient):  # type: ignore[misc]  # aiochclient is untyped
    """Statements that return lines of JSON."""

    __slots__ = ()

    @staticmethod
    def _parse_squery(_query: str) -> tuple[bool, bool, str]:
        return True, True, ""


class _Refusal(Exception):
    """An answer of ClickHouse that is not a success."""

    def __init__(self, body: str, code: int) -> None:
        super().__init__(body)
        self.body = body
        self.code = code


class ClickHouse:
    """One ClickHouse as one user: `app.store.contract.Store` over a pool of HTTP connections.

    An async context manager opens and closes the pool. Contracts stand on the protocol.

    Args:
        address: Base URL, as `http://localhost:8123`.
        login: Whom to log in as.
        database: Where unqualified names are looked up. It need not exist before `create_database`.
        max_connections: Simultaneous requests; more wait inside their own time limit.
        connection_timeout_seconds: Time to connect.
        compress_inserts: Send blocks as zstd: for a server across a network. On loopback it only costs CPU.
    """

    def __init__(
        self,
        address: str,
        login: Login,
        *,
        database: str,
        max_connections: int = 10,
        connection_timeout_seconds: float = 5.0,
        compress_inserts: bool = False,
    ) -> None:
        self.database = database
        self._address = address.rstrip("/") + "/"
        self._login = login
        self._max_connections = max_connections
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connection_timeout_seconds)
        self._compress_inserts = compress_inserts
        self._session: aiohttp.ClientSession | None = None
        self._pulse: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool; connections are made when they are needed."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=_IDLE_SECONDS),
            timeout=self._timeout,
            raise_for_status=_refuse,
        )
        # A sign of life must not wait behind ten long reads.
        self._pulse = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1), timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the pool; requests in flight fail."""
        for session in (self._session, self._pulse):
            if session is not None:
                await session.close()

    async def insert(self, table: str, columns: Sequence[str], block: bytes, *, token: str) -> None:
        """Insert one Native block, once a token; an answer after a minute is a doubt (StoreUnavailable)."""
        names = ", ".join(quoted(column) for column in columns)
        writer = self._client(_Writer, insert_deduplication_token=token, **_INSERT_SETTINGS)
        body = block
        if self._compress_inserts:
            body = await asyncio.to_thread(zstandard.ZstdCompressor(level=1).compress, block)
            writer.headers["Content-Encoding"] = "zstd"
        async with _faults_of(Work.INSERT, INSERT_TIMEOUT_SECONDS):
            await writer.insert_file(f"INSERT INTO {quoted(table)} ({names}) FORMAT Native", io.BytesIO(body))

    async def fetch(self, sql: str, parameters: Mapping[str, Parameter], *, limits: ReadLimits) -> list[dict[str, Any]]:
        """Run one SELECT; how values come back is told in `app.store.rows`."""
        reader = self._client(
            _Reader,
            json=rows,
            max_execution_time=limits.seconds,
            max_memory_usage=limits.memory_bytes,
            max_result_rows=limits.rows,
            **_READ_SETTINGS,
            **as_url(parameters),
        )
        async with _faults_of(Work.READ, limits.seconds + READ_GRACE_SECONDS):
            # A line of its own: the statement may end in a comment.
            lines = await reader.fetch(f"{sql}\nFORMAT JSONCompactEachRowWithNamesAndTypes")
        return rows.rows_of(lines) if len(lines) <= _QUICK_ROWS else await asyncio.to_thread(rows.rows_of, lines)

    async def execute(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        """Run one statement that returns nothing, within five minutes."""
        async with _faults_of(Work.STATEMENT, STATEMENT_TIMEOUT_SECONDS):
            await self._client(_Writer, **as_url(parameters or {})).execute(sql)

    async def ping(self) -> None:
        """Ask `/ping`, within two seconds. It says nothing about the login."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_SECONDS), _open(self._pulse).get(f"{self._address}ping") as answer:
                text = await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise from_silence(error, Work.PING) from error
        if answer.status != 200 or not text.startswith("Ok."):
            raise StoreUnavailable(f"What answers at {self._address} is not a ClickHouse that is ready")

    async def create_database(self) -> None:
        """Create the database if it is not there. The right to do so is only needed then.

        Raises:
            StoreError: As `execute`.
        """
        try:
            await self.execute("SELECT 1")
        except StoreMisconfigured as error:
            if error.code != _UNKNOWN_DATABASE:
                raise
            # A request that names a database which is not there is refused whatever it says.
            async with _faults_of(Work.STATEMENT, STATEMENT_TIMEOUT_SECONDS):
                writer = self._client(_Writer)
                del writer.params["database"]
                await writer.execute(f"CREATE DATABASE IF NOT EXISTS {quoted(self.database)}")

    def _client(self, kind: type[Any], **settings: Any) -> Any:
        return kind(
            _open(self._session),
            url=self._address,
            user=self._login.user,
            password=self._login.password.get_secret_value(),
            database=self.database,
            **_WHOLE_ANSWER,
            **settings,
        )


def _open(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    if session is None or session.closed:
        raise RuntimeError("The store is used outside its context")
    return session


async def _refuse(response: aiohttp.ClientResponse) -> None:
    if response.status == 200:
        if "X-ClickHouse-Query-Id" not in response.headers:
            response.close()
            raise aiohttp.ClientError(f"what answers at {response.url.origin()} is not ClickHouse")
        return
    body = (await response.read()).decode(errors="replace")
    code = response.headers.get("X-ClickHouse-Exception-Code", "")
    raise _Refusal(body, int(code) if code.isdecimal() else 0)


@asynccontextmanager
async def _faults_of(work: Work, seconds: float) -> AsyncIterator[None]:
    """Bound the time of one statement, and turn every way in which it can fail into our errors."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except _Refusal as refusal:
        raise from_answer(refusal.body, work, code=refusal.code) from refusal
    except ChClientError as error:
        raise from_answer(str(error), work) from error
    except TimeoutError as error:
        raise from_silence(TimeoutError(f"{seconds:g} s"), work) from error
    except (aiohttp.ClientError, OSError, AssertionError) as error:
        # aiochclient asserts that the last line is whole.
        raise from_silence(error, work) from error
