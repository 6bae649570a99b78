"""The write path as one object: what the doors call, and the tasks behind it.

Opening it starts two tasks a lane; leaving it ends them. `drain` comes before leaving: what is still waiting then is
lost with the process, so it is counted and handed back to whoever stops the service.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from app.codec.contract import Bounds, Decoder
from app.errors import Busy, Draining, NotReady
from app.model import Chunk, Signal, table_of
from app.pipeline.backoff import Backoff
from app.pipeline.budget import Budget, Holding
from app.pipeline.contract import Accepted, Request
from app.pipeline.footprint import decoded_bytes, estimated_bytes
from app.pipeline.lane import Lane, SealBounds
from app.pipeline.quarantine import Quarantine
from app.settings import Settings
from app.store.contract import Store
from app.telemetry.metrics import DECODE_SECONDS, RECORDS_RECEIVED, RECORDS_REJECTED, SPANS_RECEIVED

_NANO = 1_000_000_000
_DAY_NANO = 86_400 * _NANO

INLINE_BYTES = 64 << 10
"""Bodies up to this are decoded on the event loop: a hand-over to a thread and back costs more than it spares."""

_BATCH_FRACTION = 8
"""A batch is sealed when it holds this part of the whole budget, so that several are always under way."""


class Pipeline:
    """The `Intake` of the service. Everything but `__init__` belongs on one event loop.

    Args:
        settings: The whole tree: batches, limits, retention and the quarantine's folder are taken from it.
        store: Where batches go.
        decoder: How bodies become columns.
        is_ready: Whether what comes could be stored: ClickHouse answers, the schema is there; else nothing is admitted.
        backoff: How long failed inserts wait.
        now: A monotonic clock in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        decoder: Decoder,
        is_ready: Callable[[], bool],
        backoff: Backoff | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._decoder = decoder
        self._is_ready = is_ready
        self._budget = Budget(settings.server.max_buffer_bytes, now=now)
        self._threads = ThreadPoolExecutor(max_workers=min(4, (os.cpu_count() or 1) + 1), thread_name_prefix="pipeline")
        quarantine = Quarantine(settings.spool.path / "quarantine", settings.spool.max_bytes)
        bounds = SealBounds(
            rows=settings.server.batch_size,
            held_bytes=max(settings.server.max_buffer_bytes // _BATCH_FRACTION, 1),
            seconds=settings.server.batch_timeout_seconds,
        )
        self._lanes = {
            signal: Lane(
                signal,
                store=store,
                budget=self._budget,
                decode=self._decode,
                threads=self._threads,
                quarantine=quarantine,
                bounds=bounds,
                backoff=backoff or Backoff(),
                now=now,
            )
            for signal in Signal
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()
        self._is_draining = False
        self._is_closed = False
        self._accepting = 0
        self._none_accepting = asyncio.Event()
        self._none_accepting.set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        for lane in self._lanes.values():
            self._tasks.append(self._group.create_task(lane.encode(), name=f"encode {lane.signal}"))
            self._tasks.append(self._group.create_task(lane.flush(), name=f"flush {lane.signal}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_draining = self._is_closed = True
        for lane in self._lanes.values():
            lane.close()
        for task in self._tasks:
            task.cancel()
        try:
            await self._group.__aexit__(kind, error, traceback)
        finally:
            await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def admit(self, signal: Signal, size_bytes: int) -> Holding:
        """See `Intake.admit`."""
        self._refuse_if_draining()
        if not self._is_ready():
            raise NotReady(
                "the service is not ready, /ready says why; what was accepted is kept", retry_after_seconds=5
            )
        return self._budget.reserve(signal, size_bytes)

    async def accept(self, request: Request) -> Accepted:
        """See `Intake.accept`."""
        self._refuse_if_draining()
        self._accepting += 1
        self._none_accepting.clear()
        try:
            return await self._accept(request)
        finally:
            self._accepting -= 1
            if not self._accepting:
                self._none_accepting.set()

    async def drain(self, timeout_seconds: float) -> dict[Signal, int]:
        """Refuse new work, finish what was begun, and send everything that waits.

        Args:
            timeout_seconds: When to give up.

        Returns:
            Rows that were accepted and are not stored, by signal; empty if there are none.
        """
        self._is_draining = True
        try:
            async with asyncio.timeout(timeout_seconds):
                self._seal_all()  # the bulk is on its way while the last bodies are still decoded
                await self._none_accepting.wait()
                self._seal_all()
                for lane in self._lanes.values():
                    await lane.drained()
        except TimeoutError:
            pass
        return {signal: rows for signal, rows in self.rows_waiting().items() if rows}

    def rows_waiting(self) -> dict[Signal, int]:
        """Rows that were accepted and are neither stored nor set aside, by signal."""
        return {signal: lane.rows_waiting for signal, lane in self._lanes.items()}

    def retry_now(self) -> None:
        """Send waiting batches without further delay: ClickHouse is back."""
        for lane in self._lanes.values():
            lane.retry_now()

    def _seal_all(self) -> None:
        for lane in self._lanes.values():
            lane.seal()
            lane.retry_now()

    async def _accept(self, request: Request) -> Accepted:
        signal = request.signal
        held_bytes = estimated_bytes(request.encoding, len(request.body))
        self._budget.keep(signal, held_bytes)
        if len(request.body) <= INLINE_BYTES:
            try:
                chunk = self._decode_timed(request)
            except BaseException:
                self._budget.release(signal, held_bytes)
                raise
        else:
            chunk = await self._decode_in_thread(request, held_bytes)
        size_bytes = decoded_bytes(chunk, request.encoding, len(request.body))
        try:
            if self._is_closed:
                raise Draining("the service has stopped")
            self._budget.correct(signal, held_bytes, size_bytes)
        except Busy:
            self._budget.release(signal, held_bytes)
            raise
        # The seam for durability: a spool record of `request` is written and synced here, before anything is promised,
        # and the lane's batches become its segments.
        if chunk.rows:
            self._lanes[signal].append(request, chunk, size_bytes)
        self._count(signal, chunk)
        return Accepted(chunk.rows, chunk.rejections)

    async def _decode_in_thread(self, request: Request, held_bytes: int) -> Chunk:
        """Decode, and on any failure give `held_bytes` back, but not before the thread has let go of the body."""
        loop = asyncio.get_running_loop()
        decoding = self._threads.submit(self._decode_timed, request)
        try:
            return await asyncio.wrap_future(decoding)
        except BaseException:
            decoding.add_done_callback(
                lambda _: loop.call_soon_threadsafe(self._budget.release, request.signal, held_bytes)
            )
            raise

    def _decode_timed(self, request: Request) -> Chunk:
        with DECODE_SECONDS.labels(request.signal).time():
            return self._decode(request)

    def _decode(self, request: Request) -> Chunk:
        """A function of the request and the settings alone: a refused batch is decoded again to be split."""
        retention_days: int = getattr(self._settings.storage, table_of(request.signal).retention)
        received = request.received_unix_nano
        bounds = Bounds(
            limits=self._settings.limits,
            received_unix_nano=received,
            oldest_unix_nano=received - retention_days * _DAY_NANO,
            newest_unix_nano=received + self._settings.limits.max_future_seconds * _NANO,
        )
        return self._decoder.decode(request.signal, request.encoding, request.body, bounds)

    def _count(self, signal: Signal, chunk: Chunk) -> None:
        RECORDS_RECEIVED.labels(signal).inc(chunk.rows + chunk.rejections.total)
        for reason, count in chunk.rejections.counts.items():
            RECORDS_REJECTED.labels(signal, reason).inc(count)
        if signal is Signal.TRACES:
            SPANS_RECEIVED.inc(chunk.rows)

    def _refuse_if_draining(self) -> None:
        if self._is_draining:
            raise Draining("the service is stopping; another instance may take it")
