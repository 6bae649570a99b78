"""The embedded server comes up, says in one sentence why not, survives its child, and never outlives its parent."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.errors import EngineFailed, FolderUnusable, PortUnavailable, SettingsInvalid
from app.settings import ClickHouseSettings
from app.store.embedded import server as server_module
from app.store.embedded.server import EmbeddedServer
from tests.integration.clickhouse import Answer, ask, must, small_settings
from tests.polling import until

DEADLINE_SECONDS = 30.0
CONFIGURED = {
    "max_server_memory_usage": str(2 << 30),
    "background_pool_size": "4",
    "background_schedule_pool_size": "8",
    "max_concurrent_queries": "200",
    "max_partition_size_to_drop": "0",
}


async def run(server: EmbeddedServer, who: str, sql: str) -> str:
    return must(await asyncio.to_thread(ask, server.address, getattr(server.logins, who), sql))


@asynccontextmanager
async def supervised(server: EmbeddedServer) -> AsyncIterator[asyncio.Event]:
    """Run `supervise` beside the test; the event is set after a restart."""
    restarted = asyncio.Event()

    async def tell() -> None:
        restarted.set()

    async with asyncio.TaskGroup() as group:
        watch = group.create_task(server.supervise(tell))
        yield restarted
        watch.cancel()


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that waits to be reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def listening() -> set[tuple[str, int]]:
    """Address, as the kernel writes it, and port of every listening TCP socket."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {(local.split(":")[0], int(local.split(":")[1], 16)) for _, local, _, state, *_ in lines if state == "0A"}


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def fill(server: EmbeddedServer) -> None:
    await run(server, "migrate", "CREATE DATABASE IF NOT EXISTS telemetry")
    await run(server, "migrate", "CREATE TABLE telemetry.t (a UInt64) ENGINE = MergeTree ORDER BY a")
    await run(server, "ingest", "INSERT INTO telemetry.t SELECT number FROM numbers(1000)")


# Coming up and going down


async def test_it_answers_on_free_ports_and_stops_cleanly(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        assert (server.is_up, server.address.http_port > 0, server.address.native_port > 0) == (True, True, True)
        process = server._child.process if server._child else None
        with socket.create_connection((server.address.host, server.address.native_port), timeout=5):
            pass
    assert process is not None
    assert (process.returncode, server.is_up, is_gone(process.pid)) == (0, False, True)


async def test_rows_are_there_after_a_stop_and_a_start(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as first:
        await fill(first)
    async with EmbeddedServer(small_settings(tmp_path)) as second:
        assert await run(second, "reader", "SELECT count() FROM t") == "1000\n"


async def test_sigterm_stops_the_child_cleanly(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        assert server._child is not None
        os.kill(server.pid, signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await server._child.process.wait() == 0


async def test_the_child_leads_a_process_group_of_its_own(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        assert os.getpgid(server.pid) == server.pid != os.getpgid(0)


async def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        ports = {server.address.http_port, server.address.native_port}
        assert {host for host, port in listening() if port in ports} == {"0100007F"}


async def test_the_reader_has_the_password_that_is_configured(tmp_path: Path) -> None:
    settings = small_settings(tmp_path).model_copy(
        update={"reader_user": "grafana", "reader_password": SecretStr("se<ret & more")}
    )
    async with EmbeddedServer(settings) as server:
        await run(server, "migrate", "CREATE DATABASE telemetry")
        assert await run(server, "reader", "SELECT currentUser()") == "grafana\n"
        refused: Answer = await asyncio.to_thread(ask, server.address, None, "SELECT 1", user="grafana", password="")
        assert refused.code == 516


async def test_memory_is_capped(tmp_path: Path) -> None:
    settings = small_settings(tmp_path).model_copy(update={"embedded_max_memory_bytes": 512 << 20})
    async with EmbeddedServer(settings) as server:
        answer: Answer = await asyncio.to_thread(
            ask, server.address, server.logins.migrate, "SELECT length(groupArray(number)) FROM numbers(100000000)"
        )
        assert answer.code == 241, answer.text


async def test_what_was_configured_is_in_force(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        rows = await run(server, "migrate", "SELECT name, value FROM system.server_settings")
        in_force = dict(line.split("\t", 1) for line in rows.splitlines())
        assert {name: in_force[name] for name in CONFIGURED} == CONFIGURED
        caches = {name: int(value) for name, value in in_force.items() if re.search("_cache_size(_bytes)?$", name)}
        assert {
            name: size for name, size in caches.items() if size > server._settings.embedded_max_memory_bytes // 4
        } == {}
        sql = "SELECT value FROM system.merge_tree_settings WHERE name = 'old_parts_lifetime'"
        assert await run(server, "migrate", sql) == "480\n"


# What each user may do


async def test_views_fill_their_targets_after_a_restart(tmp_path: Path) -> None:
    """A materialized view runs with the rights of the user that made it, who must be there again."""
    async with EmbeddedServer(small_settings(tmp_path)) as first:
        await fill(first)
        await run(first, "migrate", "CREATE TABLE telemetry.s (n UInt64) ENGINE = SummingMergeTree ORDER BY tuple()")
        await run(
            first,
            "migrate",
            "CREATE MATERIALIZED VIEW telemetry.m TO telemetry.s AS SELECT count() AS n FROM telemetry.t",
        )
    async with EmbeddedServer(small_settings(tmp_path)) as second:
        await run(second, "ingest", "INSERT INTO telemetry.t VALUES (1), (2)")
        assert await run(second, "query", "SELECT sum(n) FROM s") == "2\n"


async def test_a_batch_can_be_repaired_by_the_ingesting_user(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        await fill(server)
        await run(server, "migrate", "CREATE TABLE telemetry.staging AS telemetry.t")
        await run(server, "ingest", "DELETE FROM t WHERE a >= 500 SETTINGS lightweight_deletes_sync = 2")
        await run(server, "ingest", "INSERT INTO staging SELECT number FROM numbers(500, 500)")
        await run(server, "ingest", "ALTER TABLE t ATTACH PARTITION tuple() FROM staging")
        await run(server, "ingest", "TRUNCATE TABLE staging")
        assert await run(server, "reader", "SELECT count(), sum(a) FROM t") == "1000\t499500\n"
        await run(server, "ingest", "INSERT INTO staging VALUES (7)")
        await run(server, "ingest", "ALTER TABLE t REPLACE PARTITION tuple() FROM staging")
        assert await run(server, "reader", "SELECT a FROM t") == "7\n"


@pytest.mark.parametrize("who", ["ingest", "query", "reader"])
@pytest.mark.parametrize("sql", ["CREATE TABLE telemetry.x (a UInt8) ENGINE = Memory", "DROP TABLE telemetry.t"])
async def test_only_the_migrating_user_changes_the_schema(tmp_path: Path, who: str, sql: str) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        await fill(server)
        answer: Answer = await asyncio.to_thread(ask, server.address, getattr(server.logins, who), sql)
        assert answer.code == 497


async def test_a_dropped_table_goes_although_the_engine_is_confined(tmp_path: Path) -> None:
    """It is renamed from folder to folder, which the kernel must allow."""
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        await fill(server)
        await run(server, "migrate", "RENAME TABLE telemetry.t TO telemetry.u")
        await run(server, "migrate", "DROP TABLE telemetry.u SYNC")
        assert await run(server, "reader", "SHOW TABLES") == ""


# A child that dies


async def test_a_killed_child_is_started_again_on_its_ports_with_its_rows(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as server, supervised(server) as restarted:
        await fill(server)
        before, pid = server.address, server.pid
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await restarted.wait()
        assert (server.address, server.restarts, server.is_up, server.pid != pid) == (before, 1, True, True)
        assert await run(server, "reader", "SELECT count() FROM t") == "1000\n"


async def test_it_is_down_while_the_child_is(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: not server.is_up, DEADLINE_SECONDS)
        assert server.pid == 0


async def test_supervision_goes_on_while_a_restart_is_impossible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_BACKOFF_SECONDS", (0.01, 0.05))
    async with EmbeddedServer(small_settings(tmp_path)) as server, supervised(server) as restarted:
        before = server.address
        folder = tmp_path / "run"
        folder.rmdir()
        folder.touch()  # a file is in the way
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await restarted.wait()
        folder.unlink()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await restarted.wait()
        assert (server.is_up, server.address, server.restarts) == (True, before, 1)


async def test_a_failing_follow_up_does_not_end_the_supervision(tmp_path: Path) -> None:
    calls: list[int] = []

    async def fail() -> None:
        calls.append(1)
        raise RuntimeError("follow-up")

    async with EmbeddedServer(small_settings(tmp_path)) as server, asyncio.TaskGroup() as group:
        watch = group.create_task(server.supervise(fail))
        for expected in (1, 2):
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda expected=expected: len(calls) == expected and server.is_up, DEADLINE_SECONDS)  # type: ignore[misc]
        watch.cancel()
    assert server.restarts == 2


# A parent that dies


PARENT = """
    import asyncio, sys
    from pathlib import Path
    from app.settings import ClickHouseSettings
    from app.store.embedded.server import EmbeddedServer

    async def main() -> None:
        settings = ClickHouseSettings(path=Path(sys.argv[1]), embedded_http_port=0, embedded_native_port=0)
        async with EmbeddedServer(settings) as server:
            print(server.pid, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


@contextmanager
def parent_of(path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A service of its own, with a child; the number is the child's."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(server_module.__file__).parents[3],
    ) as parent:
        try:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            try:
                yield parent, child
            finally:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        finally:
            parent.kill()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
async def test_a_child_is_gone_soon_after_its_parent_was_killed(tmp_path: Path, stopped: bool) -> None:
    with parent_of(tmp_path) as (parent, child):
        if stopped:
            os.kill(child, signal.SIGSTOP)
        parent.kill()
        started = time.monotonic()
        await until(lambda: is_gone(child), DEADLINE_SECONDS)
        assert time.monotonic() - started < 5


async def test_the_folder_is_free_at_once_after_the_parent_was_killed(tmp_path: Path) -> None:
    with parent_of(tmp_path) as (parent, _):
        parent.kill()
        parent.wait()
        async with EmbeddedServer(small_settings(tmp_path)) as server:
            assert server.is_up


# One sentence why not


@pytest.mark.parametrize("key", ["embedded_http_port", "embedded_native_port"])
async def test_a_taken_port_is_named_with_its_setting(tmp_path: Path, key: str) -> None:
    with taken_port() as port:
        server = EmbeddedServer(small_settings(tmp_path).model_copy(update={key: port}))
        with pytest.raises(
            PortUnavailable, match=rf"^clickhouse\.{key}: port {port} on 127\.0\.0\.1 is taken by another"
        ):
            await server.__aenter__()


async def test_a_port_taken_in_the_last_moment_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our look and the engine's bind; so the look is left out here."""
    monkeypatch.setattr(server_module, "_check_port", lambda port, key: None)
    with taken_port() as port:
        server = EmbeddedServer(small_settings(tmp_path).model_copy(update={"embedded_native_port": port}))
        with pytest.raises(
            PortUnavailable, match=rf"^clickhouse\.embedded_native_port: port {port} on 127\.0\.0\.1 is taken"
        ):
            await server.__aenter__()
        assert not server.is_up


async def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    async with EmbeddedServer(small_settings(tmp_path)):
        with pytest.raises(
            FolderUnusable, match=rf"^{tmp_path} \(clickhouse\.path\) is in use by another running instance"
        ):
            await EmbeddedServer(small_settings(tmp_path)).__aenter__()


async def test_a_folder_is_in_use_as_long_as_its_lock_is_held(tmp_path: Path) -> None:
    """By a service between two runs of its engine, say."""
    with (tmp_path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FolderUnusable, match="is in use by another running instance"):
            await EmbeddedServer(small_settings(tmp_path)).__aenter__()
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        assert server.is_up


async def test_a_folder_in_use_by_a_bare_engine_is_refused(tmp_path: Path) -> None:
    """One that was not started by us, so that only the engine's own lock says so."""
    async with EmbeddedServer(small_settings(tmp_path / "one")):
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "data").symlink_to(tmp_path / "one" / "data")
        with pytest.raises(FolderUnusable, match="is in use by another running instance"):
            await EmbeddedServer(small_settings(tmp_path / "two")).__aenter__()


async def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FolderUnusable, match=rf"^{file} \(clickhouse\.path\) cannot be used: File exists"):
        await EmbeddedServer(small_settings(file)).__aenter__()


async def test_a_folder_that_may_not_be_written_is_named() -> None:
    folder = Path("/proc/clickhouse")  # where root may not make one either
    with pytest.raises(FolderUnusable, match=rf"^{folder} \(clickhouse\.path\) cannot be used"):
        await EmbeddedServer(small_settings(folder)).__aenter__()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        if os.geteuid() == 0
        else None
    )
    if mounted is None or mounted.returncode != 0:
        pytest.skip(f"a full disk needs root and mount(8): {mounted.stderr.strip() if mounted else 'not root'}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_is_named(tiny_disk: Path) -> None:
    with pytest.raises(
        FolderUnusable, match=rf"^the disk of {tiny_disk} \(clickhouse\.path\) is full: \d+ MiB are free"
    ):
        await EmbeddedServer(small_settings(tiny_disk)).__aenter__()


async def test_a_disk_without_a_byte_left_is_named(tiny_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_LEAST_FREE_BYTES", 0)
    with suppress(OSError), (tiny_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1 << 16))
    with pytest.raises(FolderUnusable, match=rf"^the disk of {tiny_disk} \(clickhouse\.path\) is full"):
        await EmbeddedServer(small_settings(tiny_disk)).__aenter__()


async def test_a_missing_engine_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "chdb").exists()])
    monkeypatch.delitem(sys.modules, "chdb", raising=False)
    with pytest.raises(EngineFailed, match=r"pip install 'rak-ingest\[embedded\]'"):
        await EmbeddedServer(small_settings(tmp_path)).__aenter__()


async def test_an_engine_that_dies_during_its_start_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(server_module, "_find_library", lambda: broken)
    server = EmbeddedServer(small_settings(tmp_path / "data"))
    with pytest.raises(EngineFailed, match=r"did not start: it ended with exit code 1; it said: (.|\n)*broken\.so"):
        await server.__aenter__()
    assert not server.is_up


async def test_an_engine_that_never_answers_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "START_DEADLINE_SECONDS", 0.5)
    monkeypatch.setattr(server_module, "_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(EngineFailed, match=r"did not start: no answer within"):
        await EmbeddedServer(small_settings(tmp_path)).__aenter__()


@pytest.mark.parametrize("name", ["default", "migrate", "ingest", "query"])
async def test_the_reader_cannot_have_the_name_of_another_user(tmp_path: Path, name: str) -> None:
    server = EmbeddedServer(ClickHouseSettings(path=tmp_path, reader_user=name))
    with pytest.raises(SettingsInvalid, match=rf"^clickhouse\.reader_user = '{name}'"):
        await server.__aenter__()


async def test_a_failed_start_leaves_the_folder_to_others(tmp_path: Path) -> None:
    with taken_port() as port, suppress(PortUnavailable):
        await EmbeddedServer(small_settings(tmp_path).model_copy(update={"embedded_http_port": port})).__aenter__()
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        assert server.is_up


async def test_a_cancelled_start_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    create = asyncio.create_subprocess_exec

    async def remember(*arguments: str, **options: object) -> asyncio.subprocess.Process:
        process = await create(*arguments, **options)  # type: ignore[arg-type]
        started.append(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", remember)
    start = asyncio.create_task(EmbeddedServer(small_settings(tmp_path)).__aenter__())
    await until(lambda: bool(started), DEADLINE_SECONDS)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert is_gone(started[0].pid)


# Confinement


async def test_an_unconfined_engine_is_announced_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_module._Reports, "take", _without_landlock(server_module._Reports.take))
    async with EmbeddedServer(small_settings(tmp_path)) as server:
        assert not server.confined
    assert "engine_unconfined" in capfd.readouterr().out


def _without_landlock(take: Callable[..., object]) -> Callable[..., object]:
    async def pretend(self: object, word: str) -> list[str]:
        words: list[str] = await take(self, word)  # type: ignore[misc]
        return ["confined", "0"] if word == "confined" else words

    return pretend


async def test_the_child_imports_nothing_heavy() -> None:
    """It would pay for it at each start, and could not read it once confined."""
    probe = "import sys, app.store.embedded.engine; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    root = Path(server_module.__file__).parents[3]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-S", "-c", probe, stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(root)}
    )
    output, _ = await process.communicate()
    foreign = set(output.decode().split()) - set(sys.stdlib_module_names) - {"__main__", "_distutils_hack"}
    assert (process.returncode, foreign) == (0, {"app"})
