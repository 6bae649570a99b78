"""A real ClickHouse for tests: one embedded server in a thread of its own, and the plainest way to ask it."""

from __future__ import annotations

import asyncio
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import ClickHouseSettings
from app.store.contract import Login
from app.store.embedded.server import Address, EmbeddedServer

TEST_DATABASES = "test_*"
_CODE = re.compile(r"Code: (\d+)\. DB::")


@dataclass(frozen=True, slots=True)
class Answer:
    """What ClickHouse said; `code` is 0 unless it refused."""

    status: int
    code: int
    text: str


def ask(address: Address, login: Login | None, sql: str, data: bytes | None = None, /, **parameters: str) -> Answer:
    """Send one statement over HTTP.

    Args:
        address: Of the server.
        login: None sends no user at all.
        sql: The statement.
        data: What to insert, for `INSERT … FORMAT`.
        parameters: Settings and query parameters of the URL.
    """
    query = dict(parameters)
    if data is not None:
        query["query"] = sql
    request = urllib.request.Request(  # always http://127.0.0.1
        f"{address.http_url}/?{urllib.parse.urlencode(query)}", data=sql.encode() if data is None else data
    )
    if login is not None:
        request.add_header("X-ClickHouse-User", login.user)
        request.add_header("X-ClickHouse-Key", login.password.get_secret_value())
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            status, text = response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode(errors="replace")
    codes = _CODE.findall(text)
    return Answer(status, int(codes[-1]) if codes and status != 200 else 0, text)


def must(answer: Answer) -> str:
    """The text of an answer that is not an error."""
    assert answer.status == 200, answer.text
    return answer.text


def small_settings(path: Path) -> ClickHouseSettings:
    """A small server on free ports."""
    return ClickHouseSettings(
        path=path, embedded_http_port=0, embedded_native_port=0, embedded_max_memory_bytes=2 << 30
    )


@contextmanager
def running(
    settings: ClickHouseSettings, *, also_databases: tuple[str, ...] = (TEST_DATABASES,)
) -> Iterator[EmbeddedServer]:
    """Run a server, supervised, on an event loop in a thread, for callers that have no loop or a short one."""
    server = EmbeddedServer(settings, also_databases=also_databases)
    started = threading.Event()
    failure: list[BaseException] = []
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        asked = asyncio.Event()
        stop.append((asyncio.get_running_loop(), asked))
        async with server, asyncio.TaskGroup() as group:
            watch = group.create_task(server.supervise())
            started.set()
            await asked.wait()
            watch.cancel()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            failure.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="embedded-clickhouse")
    thread.start()
    started.wait()
    try:
        if failure:
            raise failure[0]
        yield server
    finally:
        if not failure:
            loop, asked = stop[0]
            loop.call_soon_threadsafe(asked.set)
        thread.join()
    if failure:
        raise failure[0]
