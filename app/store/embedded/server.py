"""The embedded ClickHouse as the service holds it: started, watched, started again, stopped.

What is measured about it is in the tests; what surprises:

- The configuration, with the password hashes, exists only between the start of the child and its first open port.
- Passwords are made once per `EmbeddedServer` and live in this process; restarts keep them, and the ports.
- The kernel kills the child when the *thread* that started it ends. So enter from a thread that lives as long as the
  server does; the main thread and a thread that runs the event loop both do.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import importlib.util
import os
import random
import re
import secrets
import shutil
import signal
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from pydantic import SecretStr

from app.errors import EngineFailed, FolderUnusable, PortUnavailable, SettingsInvalid, StartupFailed
from app.settings import ClickHouseSettings
from app.store.contract import Login
from app.store.embedded.config import Layout, Logins, render_config, render_users
from app.store.embedded.engine import CLEAN_STOP_SECONDS

HOST = "127.0.0.1"
START_DEADLINE_SECONDS = 60.0
_LOCK_WAIT_SECONDS = 2.0  # a killed instance's child needs a moment to be gone
_LEAST_FREE_BYTES = 64 << 20
_BACKOFF_SECONDS = (0.2, 15.0)  # first and longest
_HEALTHY_SECONDS = 60.0  # after so long the backoff begins anew
_TAIL_BYTES = 4096

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens; ports are the ones really bound."""

    host: str
    http_port: int
    native_port: int

    @property
    def http_url(self) -> str:
        """For HTTP clients."""
        return f"http://{self.host}:{self.http_port}"


class EmbeddedServer:
    """One ClickHouse in a child process, as an async context manager.

    Args:
        settings: Folder, ports, memory, database and reader.
        also_databases: More databases that every grant covers, `*` at the end as a wildcard. For tests only.

    Attributes:
        address: Where it listens; the same after each restart.
        logins: Its users.
        version: ClickHouse's own.
        confined: Whether the kernel keeps the engine inside its folder and without outgoing TCP.
        restarts: How often `supervise` started it again.
    """

    def __init__(self, settings: ClickHouseSettings, *, also_databases: Iterable[str] = ()) -> None:
        self._settings = settings
        self._also_databases = tuple(also_databases)
        self._layout = Layout(settings.path.absolute())
        self._lock: int | None = None
        self._child: _Child | None = None
        self.address = Address(HOST, settings.embedded_http_port, settings.embedded_native_port)
        self.logins = Logins(
            migrate=Login("migrate", _password()),
            ingest=Login("ingest", _password()),
            query=Login("query", _password()),
            reader=Login(settings.reader_user, settings.reader_password),
        )
        self.version = ""
        self.confined = False
        self.restarts = 0

    @property
    def is_up(self) -> bool:
        """Whether the child has answered since its start and has not ended."""
        return self._child is not None and self._child.process.returncode is None

    @property
    def pid(self) -> int:
        """Of the child; 0 if there is none."""
        return self._child.process.pid if self._child is not None and self.is_up else 0

    async def __aenter__(self) -> Self:
        """Take the folder, start the child and wait until it answers.

        Raises:
            SettingsInvalid: The reader has the name of another user.
            PortUnavailable: A port is taken.
            FolderUnusable: The folder is taken by another instance, full, or not writable.
            EngineFailed: chdb-core is not installed, or the engine did not come up within the deadline.
        """
        ours = (self.logins.migrate.user, self.logins.ingest.user, self.logins.query.user, "default")
        if self.logins.reader.user in ours:
            raise SettingsInvalid(
                f"clickhouse.reader_user = {self.logins.reader.user!r}: ClickHouse has a user of this name for the "
                f"service itself; choose a name other than {', '.join(ours)}"
            )
        self._lock = await _take(self._layout)
        try:
            await self._start()
        except BaseException:
            self._give_up_folder()
            raise
        if not self.confined:
            _log.warning(
                "engine_unconfined",
                reason="this kernel has no usable Landlock (Linux 5.19 or later)",
                effect="whoever may send SQL to the embedded ClickHouse can read every file that this user can read",
                advice="keep its ports away from others, run in a container, or use clickhouse.mode = 'server'",
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the child, cleanly if it can, and give the folder back. Safe to call twice."""
        try:
            if self._child is not None:
                await self._child.stop()
                self._child = None
        finally:
            self._give_up_folder()

    async def supervise(self, on_restart: Callable[[], Awaitable[None]] | None = None) -> None:
        """Start the child again whenever it ends; runs until cancelled and never gives up.

        Args:
            on_restart: Awaited after each restart, once the server answers. Its errors are logged and end nothing.
        """
        first, longest = _BACKOFF_SECONDS
        pause = first
        while True:
            since = time.monotonic()
            reason = await self._until_down()
            if time.monotonic() - since > _HEALTHY_SECONDS:
                pause = first
            _log.error("engine_died", reason=reason, stderr=_tail(self._layout.stderr))
            while not self.is_up:
                # The jitter keeps instances that died together (out of memory) from starting together.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
                pause = min(pause * 2, longest)
                try:
                    await self._start()
                except StartupFailed as error:
                    _log.error("engine_restart_failed", reason=str(error), retry_seconds=pause)
            self.restarts += 1
            _log.warning("engine_restarted", restarts=self.restarts, http_port=self.address.http_port)
            if on_restart is not None:
                try:
                    await on_restart()
                except Exception:  # noqa: BLE001 - its fault is told, and the watch goes on
                    _log.exception("engine_restart_follow_up_failed")

    async def _until_down(self) -> str:
        """Wait until the child is of no use any more, and say why.

        An ended process is the only reason known here. A process that hangs belongs here as well: kill it, and return.
        """
        if self._child is None:
            return "was not started"
        return _how_it_ended(await self._child.process.wait())

    async def _start(self) -> None:
        library = _find_library()
        if self._child is not None:
            await self._child.stop()
            self._child = None
        self._prepare()
        try:
            self._child, ready = await _spawn(library, self._layout, self.address, self._lock)
        finally:
            _forget_configuration(self._layout)
        self.address = replace(self.address, http_port=ready.http_port, native_port=ready.native_port)
        self.version = ready.version
        self.confined = ready.landlock > 0

    def _prepare(self) -> None:
        """Check the ports and the disk, and write what the engine reads at its start."""
        settings, layout = self._settings, self._layout
        _check_port(self.address.http_port, "clickhouse.embedded_http_port")
        _check_port(self.address.native_port, "clickhouse.embedded_native_port")
        with _folder_errors(layout.root):
            free = shutil.disk_usage(layout.root).free
            if free < _LEAST_FREE_BYTES:
                raise FolderUnusable(
                    f"the disk of {layout.root} (clickhouse.path) is full: {free >> 20} MiB are free and ClickHouse "
                    f"needs {_LEAST_FREE_BYTES >> 20} MiB to start; free some space or move clickhouse.path"
                )
            for folder in (layout.data, layout.data / "metadata", layout.run, layout.log):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _put_system_on_disk(layout.data)
            config = render_config(
                layout,
                host=self.address.host,
                http_port=self.address.http_port,
                native_port=self.address.native_port,
                max_memory_bytes=settings.embedded_max_memory_bytes,
            )
            users = render_users(
                self.logins,
                database=settings.database,
                max_memory_bytes=settings.embedded_max_memory_bytes,
                also_databases=self._also_databases,
            )
            _write_private(layout.config, config)
            _write_private(layout.users, users)

    def _give_up_folder(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@dataclass(frozen=True, slots=True)
class _Ready:
    landlock: int
    http_port: int
    native_port: int
    version: str


@dataclass(frozen=True, slots=True)
class _Child:
    """A running engine and the socket whose end ends it."""

    process: asyncio.subprocess.Process
    lifeline: socket.socket

    async def stop(self) -> None:
        """End it: cleanly, else with SIGKILL after a while. Nothing happens if it has ended."""
        self.lifeline.close()
        if self.process.returncode is None:
            try:
                async with asyncio.timeout(CLEAN_STOP_SECONDS):
                    await self.process.wait()
            except TimeoutError:
                _log.warning("engine_killed", reason=f"no clean stop within {CLEAN_STOP_SECONDS:.0f} s")
                await self.kill()
            except asyncio.CancelledError:
                await self.kill()
                raise

    async def kill(self) -> None:
        """End it now."""
        self.lifeline.close()
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


async def _spawn(library: Path, layout: Layout, address: Address, lock: int | None) -> tuple[_Child, _Ready]:
    """Start the child and see it through to its first answer.

    The child inherits the lock, so that the folder is taken until the last of the two processes is gone.

    Raises:
        StartupFailed: It did not get there. No process is left behind.
    """
    lifeline, lifeline_of_child = socket.socketpair()
    gate, gate_of_child = socket.socketpair()
    gate.setblocking(False)
    with gate:
        try:
            with (
                lifeline_of_child,
                gate_of_child,
                _folder_errors(layout.root),
                layout.stderr.open("wb") as stderr,
            ):
                process = await asyncio.create_subprocess_exec(
                    *_command(library, layout, address, gate_of_child.fileno()),
                    stdin=lifeline_of_child.fileno(),
                    stdout=stderr.fileno(),
                    stderr=stderr.fileno(),
                    pass_fds=(gate_of_child.fileno(),) if lock is None else (gate_of_child.fileno(), lock),
                    cwd=layout.run,
                    env=_environment(),
                    start_new_session=True,  # SYSTEM SHUTDOWN and Ctrl-C mean a whole process group
                )
        except BaseException:
            lifeline.close()
            raise
        child = _Child(process, lifeline)
        try:
            async with asyncio.timeout(START_DEADLINE_SECONDS):
                return child, await _see_through(gate, layout, address.host)
        except (_EndedEarly, TimeoutError) as error:
            late = isinstance(error, TimeoutError)
            if late:
                await child.kill()
            how = f"no answer within {START_DEADLINE_SECONDS:.0f} s" if late else _how_it_ended(await process.wait())
            await child.stop()
            raise _why_not(layout, address, how) from error
        except BaseException:
            await child.kill()
            raise


class _EndedEarly(Exception):
    """The engine closed its reports before it listened."""


async def _see_through(gate: socket.socket, layout: Layout, host: str) -> _Ready:
    reports = _Reports(gate)
    _, abi = await reports.take("confined")
    await reports.take("loaded")
    _forget_configuration(layout)
    gate.shutdown(socket.SHUT_WR)  # go on
    _, http_port, native_port, version = await reports.take("listening")
    ready = _Ready(int(abi), int(http_port), int(native_port), version)
    while not await _answers(host, ready.http_port):  # noqa: ASYNC110 - another process: there is no event to await
        await asyncio.sleep(0.01)
    return ready


class _Reports:
    """Lines of tab-separated words from the child."""

    def __init__(self, gate: socket.socket) -> None:
        self._gate = gate
        self._unread = b""

    async def take(self, word: str) -> list[str]:
        """The next line, which must begin with `word`.

        Raises:
            _EndedEarly: There is none.
        """
        while b"\n" not in self._unread:
            try:
                more = await asyncio.get_running_loop().sock_recv(self._gate, 4096)
            except ConnectionError as error:
                raise _EndedEarly from error
            if not more:
                raise _EndedEarly
            self._unread += more
        line, self._unread = self._unread.split(b"\n", 1)
        words = line.decode().split("\t")
        if words[0] != word:
            raise _EndedEarly(f"{words[0]} instead of {word}")
        return words


async def _answers(host: str, port: int) -> bool:
    """Whether `/ping` says so."""
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /ping HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                return b" 200 " in await reader.read()  # to the end, or the server logs a broken pipe
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False


def _command(library: Path, layout: Layout, address: Address, gate: int) -> list[str]:
    return [
        sys.executable,
        "-P",  # the working directory is the server's folder: nothing is imported from there
        "-S",  # no site-packages: the child needs none, and this saves their start-up hooks
        "-m",
        "app.store.embedded.engine",
        f"--library={library}",
        f"--root={layout.root}",
        f"--http-port={address.http_port}",
        f"--native-port={address.native_port}",
        f"--gate-fd={gate}",
        f"--parent-pid={os.getpid()}",
    ]


def _environment() -> dict[str, str]:
    """Next to nothing, so that there is nothing to read in it; and the folder that holds this package."""
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    # Some builds of Python find their own library only there.
    libraries = os.environ.get("LD_LIBRARY_PATH")
    return environment | ({"LD_LIBRARY_PATH": libraries} if libraries else {})


def _find_library() -> Path:
    found = importlib.util.find_spec("chdb")
    for folder in (found.submodule_search_locations or ()) if found else ():
        library = Path(folder) / "_chdb.abi3.so"
        if library.is_file():
            return library
    raise EngineFailed(
        "the embedded ClickHouse is not installed: run pip install 'rak-ingest[embedded]', "
        "or set clickhouse.mode = 'server' and clickhouse.url"
    )


async def _take(layout: Layout) -> int:
    """Lock the folder, for this process and the child that inherits the lock."""
    with _folder_errors(layout.root):
        layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise _taken(layout) from None
            await asyncio.sleep(0.05)
        else:
            return lock


def _taken(layout: Layout) -> FolderUnusable:
    return FolderUnusable(
        f"{layout.root} (clickhouse.path) is in use by another running instance; stop that one or choose another folder"
    )


def _check_port(port: int, key: str) -> None:
    """Raise unless `port` can be listened on now; 0 always can."""
    if port == 0:
        return
    with socket.socket() as probe:
        # As the engine will: connections that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError as error:
            raise PortUnavailable(key, HOST, port, error) from error


@contextmanager
def _folder_errors(root: Path) -> Iterator[None]:
    """Turn what the file system says into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FolderUnusable(f"the disk of {root} (clickhouse.path) is full") from error
        raise FolderUnusable(f"{root} (clickhouse.path) cannot be used: {error.strerror} ({error.filename})") from error


def _put_system_on_disk(data: Path) -> None:
    """Give the database `system` a place on disk.

    In memory, which is the default here, a table that it keeps data of (a system log) could not be made again after a
    restart: its folder exists already.
    """
    system = data / "metadata" / "system.sql"
    if not system.exists():
        shutil.rmtree(data / "data" / "system", ignore_errors=True)
        system.write_text(f"ATTACH DATABASE _ UUID '{uuid.uuid4()}'\nENGINE = Atomic\n", encoding="utf-8")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _forget_configuration(layout: Layout) -> None:
    """The engine reads it once. What is gone cannot be read by anybody with `file()`."""
    layout.config.unlink(missing_ok=True)
    layout.users.unlink(missing_ok=True)


def _why_not(layout: Layout, address: Address, how: str) -> StartupFailed:
    """The sentence for an engine that did not come up, from what it printed."""
    said = _tail(layout.stderr)
    listen = re.search(r"Listen \[[^]]*\]:(\d+) failed", said)
    if listen is not None:
        port = int(listen.group(1))
        key = "embedded_native_port" if port == address.native_port else "embedded_http_port"
        return PortUnavailable(f"clickhouse.{key}", HOST, port, OSError(errno.EADDRINUSE, ""))
    if "Another server instance" in said:
        return _taken(layout)
    if "NOT_ENOUGH_SPACE" in said or "No space left on device" in said:
        return FolderUnusable(f"the disk of {layout.root} (clickhouse.path) is full")
    return EngineFailed(f"the embedded ClickHouse did not start: {how}; it said: {said or 'nothing'}")


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ", perhaps by the kernel for want of memory" if -code == signal.SIGKILL else ""
    return f"it was ended by {name}{hint}"


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in lines if not line.startswith("Logging ")).strip()


def _password() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(32))
