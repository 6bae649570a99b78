"""What exists while the service runs. Each context opens after what it needs; reading it backwards is the stop.

    embedded ClickHouse, or a URL          supervised: a child that dies is started again
      store clients, one a user            migrate, ingest, query
        pipeline                           lanes and flushers; refuses work until the schema is there
          doors                            all of them, so that /ready can say what is missing
            schema, retention              retried while ClickHouse is away
              ready file, ready line

A stop goes the same way back: refuse new work, let requests finish, close the doors, drain the lanes, close ClickHouse.
8080 stays open until the lanes are drained, so that somebody can watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
import uvloop

from app.api import create_api
from app.codec.reference import ReferenceDecoder
from app.errors import QueryTooHeavy, ServiceError, StartupFailed, StoreMisconfigured, StoreUnavailable
from app.model import Signal
from app.pipeline.intake import Pipeline
from app.query import Questions
from app.receivers.grpc import OtlpGrpc
from app.receivers.http import OtlpHttp
from app.receivers.pprof import PprofHttp
from app.service.backend import Backend, client_of, open_backend
from app.service.http import address, address_of, bind, http_server
from app.service.readiness import Readiness
from app.service.ready_file import ready_file, remove_stale
from app.settings import ClickHouseMode, QuerySettings, ServerSettings, Settings
from app.store.client import ClickHouse
from app.store.contract import ReadLimits
from app.store.migrate import migrate, migration_files, reconcile_retention, system_logs_without_ttl
from app.telemetry import metrics

_log = structlog.stdlib.get_logger(__name__)

# Threads that decode and encode hold the interpreter; with Python's default of 5 ms the loop answered others late
# (p99 156-334 ms instead of 66-93 ms beside large bodies, at the same CPU).
_SWITCH_SECONDS = 0.0005
# Decoded rows are many objects without cycles, and Python's default of 700 walks them again and again. Set for the
# loop's sake: those walks held the interpreter for 0.5-0.8 s beside large bodies. The gain in CPU a span is not
# settled: in three alternating pairs on a noisy machine it took 0.96, 0.97 and 0.69 of the default's.
_COLLECTIONS = (100_000, 50, 100)
_PING_SECONDS = 1.0
# One late answer on a busy machine is no outage, and what comes in meanwhile waits in memory anyway.
_PINGS_MISSED = 2
_HEALTH_SECONDS = 0.25
_RETRY_SECONDS = 2.0
_GRACE_SECONDS = 10.0

_SCHEMA = "schema"
_STORE = "clickhouse"
_DRAINING = "draining"


def _bounds(settings: Settings) -> QuerySettings:
    """`[query]`; an embedded server refuses a read that asks for more memory than the whole server may have."""
    if settings.clickhouse.mode is ClickHouseMode.SERVER:
        return settings.query
    most = min(settings.query.max_memory_bytes, settings.clickhouse.embedded_max_memory_bytes)
    return settings.query.model_copy(update={"max_memory_bytes": most})


async def _bring_up_to_date(store: ClickHouse, settings: Settings) -> list[str]:
    applied = await migrate(
        store,
        migration_files(),
        cluster=settings.clickhouse.cluster,
        storage=settings.storage,
    )
    await reconcile_retention(store, settings.storage)
    if settings.clickhouse.mode is ClickHouseMode.SERVER:
        try:
            unbounded = await system_logs_without_ttl(store)
        except StoreMisconfigured:  # a user without a grant on `system`: the advice is all that is lost
            unbounded = []
        if unbounded:
            _log.warning(
                "system_logs_unbounded",
                tables=unbounded,
                advice="they fill the server's disk: give them a <ttl>, as deploy/clickhouse/config.d does",
            )
    return [each.name for each in applied]


def migrate_once(settings: Settings) -> list[str]:
    """Bring the schema to this version and stop.

    Returns:
        Names of the migrations that were applied.

    Raises:
        StartupFailed: ClickHouse cannot be started.
        StoreError: It does not answer, or refuses.
        MigrationFailed: The schema cannot be brought to this version.
    """

    async def migrating() -> list[str]:
        async with open_backend(settings.clickhouse) as backend:
            async with client_of(settings.clickhouse, backend, backend.migrate) as store:
                return await _bring_up_to_date(store, settings)

    return uvloop.run(migrating())


def run(settings: Settings) -> int:
    """Serve until a signal says stop.

    Returns:
        The exit code: 0 after an orderly stop.

    Raises:
        StartupFailed: Something cannot be opened; the sentence names it.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(*_COLLECTIONS)
    try:
        uvloop.run(_serve(settings))
    except BaseExceptionGroup as group:
        fault = _named_fault(group)
        if fault is None:
            raise
        raise fault from group
    return 0


def _named_fault(group: BaseExceptionGroup[BaseException]) -> ServiceError | None:
    """What ended a TaskGroup, if it is a fault with a sentence."""
    named = group.subgroup(ServiceError)
    error: BaseException | None = named
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, ServiceError) else None


async def _serve(settings: Settings) -> None:
    readiness = Readiness()
    readiness.add(_SCHEMA, "the schema has not been brought up to date yet")
    with _stop_signals() as stop, _bound_sockets(settings.server) as sockets:
        remove_stale(settings.server.ready_file)
        async with (
            open_backend(settings.clickhouse) as backend,
            client_of(settings.clickhouse, backend, backend.migrate) as schema,
            client_of(settings.clickhouse, backend, backend.ingest) as inserts,
            client_of(settings.clickhouse, backend, backend.query) as reads,
            Pipeline(
                settings, store=inserts, decoder=ReferenceDecoder(), is_ready=lambda: readiness.is_ready
            ) as pipeline,
            _background(_watch(inserts, readiness), _supervise(backend, readiness, pipeline)),
        ):
            api = create_api(questions=Questions(reads, _bounds(settings)), readiness=readiness, settings=settings)
            async with http_server(api, sockets.query, grace_seconds=_GRACE_SECONDS):
                async with _telemetry_doors(settings, pipeline, readiness, sockets) as grpc_address:
                    if await _is_usable(schema, reads, settings, readiness, stop):
                        facts = _facts(settings, sockets, grpc_address, backend)
                        with ready_file(settings.server.ready_file, facts):
                            _log.info("service_ready", **_flat(facts))
                            await stop.requested.wait()
                    _log.info("service_stopping", drain_timeout_seconds=settings.server.drain_timeout_seconds)
                    readiness.add(_DRAINING, "the service is stopping")
                    # From here on new work is refused; requests that were being read when the signal came get 503.
                    draining = asyncio.create_task(pipeline.drain(settings.server.drain_timeout_seconds))
                await _until_drained(draining, pipeline, stop)


async def _until_drained(draining: asyncio.Task[dict[Signal, int]], pipeline: Pipeline, stop: _Stop) -> None:
    impatient = asyncio.create_task(stop.repeated.wait())
    await asyncio.wait({draining, impatient}, return_when=asyncio.FIRST_COMPLETED)
    impatient.cancel()
    if draining.done():
        left = draining.result()
    else:
        draining.cancel()
        left = {signal: rows for signal, rows in pipeline.rows_waiting().items() if rows}
    if left:
        _log.error("rows_lost", reason="ClickHouse did not take them in time", **{str(k): v for k, v in left.items()})
    else:
        _log.info("service_drained")


class _Stop:
    """Whether somebody asked to stop, and whether they asked again."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.repeated = asyncio.Event()

    def ask(self) -> None:
        """Note one more request."""
        (self.repeated if self.requested.is_set() else self.requested).set()


@contextlib.contextmanager
def _stop_signals() -> Generator[_Stop]:
    stop, loop = _Stop(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.ask)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@dataclass(frozen=True, slots=True)
class _Sockets:
    """The bound sockets of the HTTP doors. They listen when their server starts; until then clients are refused."""

    otlp: socket.socket
    pprof: socket.socket
    query: socket.socket


@contextlib.contextmanager
def _bound_sockets(settings: ServerSettings) -> Generator[_Sockets]:
    with contextlib.ExitStack() as stack:

        def open_one(port: int, key: str) -> socket.socket:
            return stack.enter_context(contextlib.closing(bind(settings.host, port, key)))

        yield _Sockets(
            otlp=open_one(settings.otlp_http_port, "server.otlp_http_port"),
            pprof=open_one(settings.pprof_port, "server.pprof_port"),
            query=open_one(settings.query_api_port, "server.query_api_port"),
        )


@contextlib.asynccontextmanager
async def _background(*work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run `work` beside the body of the context; its end ends them, and a bug in one ends the service."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _watch(store: ClickHouse, readiness: Readiness) -> None:
    """Ask ClickHouse for a sign of life every second, and say so when it stays away."""
    missed = 0
    while True:
        try:
            await store.ping()
        except StoreUnavailable as error:
            missed += 1
            metrics.STORE_UP.set(0)
            if missed >= _PINGS_MISSED:
                readiness.add(_STORE, str(error))
        else:
            missed = 0
            readiness.remove(_STORE)
            metrics.STORE_UP.set(1)
        await asyncio.sleep(_PING_SECONDS)


async def _supervise(backend: Backend, readiness: Readiness, pipeline: Pipeline) -> None:
    """Keep the embedded server alive; a server of somebody else's is theirs to keep."""
    embedded = backend.embedded
    if embedded is None:
        return

    async def send_what_waits() -> None:
        metrics.STORE_RESTARTS.inc()
        readiness.remove(_STORE)
        pipeline.retry_now()

    readiness.ask(lambda: "" if embedded.is_up else "the embedded ClickHouse has ended and is being started again")
    await embedded.supervise(send_what_waits)


@contextlib.asynccontextmanager
async def _telemetry_doors(
    settings: Settings, pipeline: Pipeline, readiness: Readiness, sockets: _Sockets
) -> AsyncGenerator[str]:
    """Open 4317 to 4319; the value is the gRPC address. Leaving lets requests in flight finish."""
    server = settings.server
    async with (
        http_server(OtlpHttp(pipeline, server), sockets.otlp, grace_seconds=_GRACE_SECONDS),
        http_server(PprofHttp(), sockets.pprof, grace_seconds=_GRACE_SECONDS),
        OtlpGrpc(pipeline, server) as grpc,
    ):
        port = await grpc.start(server.host, server.otlp_grpc_port)
        async with _background(_report_health(grpc, readiness)):
            yield address(server.host, port)
        await grpc.stop(grace_seconds=_GRACE_SECONDS)


async def _report_health(grpc: OtlpGrpc, readiness: Readiness) -> None:
    """Keep `grpc.health.v1` at what `/ready` says."""
    told = False
    while True:
        if readiness.is_ready != told:
            told = not told
            await grpc.report_serving(is_serving=told)
        await asyncio.sleep(_HEALTH_SECONDS)


async def _is_usable(
    schema: ClickHouse, reads: ClickHouse, settings: Settings, readiness: Readiness, stop: _Stop
) -> bool:
    """Bring the schema up to date and try a read, waiting for ClickHouse as long as it takes.

    Returns:
        False if the stop came first.
    """

    async def usable() -> list[str]:
        applied = await _bring_up_to_date(schema, settings)
        await _try_to_read(reads, settings)
        return applied

    stopping = asyncio.create_task(stop.requested.wait())
    try:
        while not stop.requested.is_set():
            work = asyncio.create_task(usable())
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                break
            try:
                applied = work.result()
            except StoreUnavailable as error:
                readiness.add(_SCHEMA, f"the schema cannot be brought up to date yet: {error}")
                _log.warning("schema_waits", reason=str(error), retry_seconds=_RETRY_SECONDS)
                await asyncio.wait({stopping}, timeout=_RETRY_SECONDS)
                continue
            _log.info("schema_ready", applied=applied)
            readiness.remove(_SCHEMA)
            return True
        return False
    finally:
        stopping.cancel()


async def _try_to_read(reads: ClickHouse, settings: Settings) -> None:
    """Ask one question as people's questions will be asked, so that a wrong login is told now and not to them."""
    bounds = _bounds(settings)
    limits = ReadLimits(bounds.max_query_time_seconds, bounds.max_memory_bytes, rows=1)
    try:
        await reads.fetch(
            "SELECT count() AS spans FROM spans WHERE tenant = {tenant:String}", {"tenant": ""}, limits=limits
        )
    except (StoreMisconfigured, QueryTooHeavy) as error:
        raise StartupFailed(f"the user of clickhouse.reader_user cannot read within [query]: {error}") from error


def _facts(settings: Settings, sockets: _Sockets, grpc_address: str, backend: Backend) -> dict[str, Any]:
    """What the ready file says: the addresses really bound, and the user for SQL clients."""
    return {
        "pid": os.getpid(),
        "otlp_http": f"http://{address_of(sockets.otlp)}",
        "otlp_grpc": grpc_address,
        "pprof": f"http://{address_of(sockets.pprof)}",
        "query": f"http://{address_of(sockets.query)}",
        "clickhouse": {
            "http": backend.url,
            "native": backend.native,
            "database": settings.clickhouse.database,
            "user": backend.reader.user,
            "password": backend.reader.password.get_secret_value(),
        },
    }


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same for the ready line, without the password."""
    clickhouse = facts["clickhouse"]
    return {key: value for key, value in facts.items() if key != "clickhouse"} | {
        "clickhouse": clickhouse["http"],
        "clickhouse_native": clickhouse["native"],
        "reader": clickhouse["user"],
    }
