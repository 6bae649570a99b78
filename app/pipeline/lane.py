"""One signal's way from decoded to stored.

    append → open batch → (rows, bytes or age) → sealed → encoder → ready → flusher → ClickHouse

The encoder turns a sealed batch into bytes at once, since columns of Python values take several times what their block
takes. The flusher sends one batch at a time, the same bytes with the same token until they are answered; what waits
behind it is bounded by the budget, whose bytes are given back when a batch is stored and not before.

A batch is sealed by age only while at most one other is under way: when ClickHouse is slow or away, batches grow to
their full size instead of queueing up as crumbs.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

import structlog

from app.errors import StoreError, StoreMisconfigured, StoreRefused
from app.model import Chunk, Signal, table_of
from app.pipeline.backoff import Backoff
from app.pipeline.batch import OpenBatch, Part, encode_part, first_key, new_batch_id
from app.pipeline.budget import Budget
from app.pipeline.contract import Request
from app.pipeline.quarantine import Quarantine
from app.store.contract import Store
from app.telemetry.metrics import (
    BATCH_SIZE,
    BATCHES_WAITING,
    FLUSH_SECONDS,
    INSERT_ATTEMPTS,
    OLDEST_SECONDS,
    RECORDS_QUARANTINED,
    RECORDS_STORED,
)

_T = TypeVar("_T")

_log = structlog.stdlib.get_logger(__name__)

_ALARM_EVERY_SECONDS = 60.0
_UNDER_WAY = 1  # batches beside which another may still be sealed by age


@dataclass(frozen=True, slots=True)
class SealBounds:
    """When an open batch is closed: whichever comes first.

    Attributes:
        rows: Rows it has; a request is never split, so a batch may be larger by one.
        held_bytes: Bytes that the budget holds for it.
        seconds: Age of its first row.
    """

    rows: int
    held_bytes: int
    seconds: float

    def is_full(self, batch: OpenBatch) -> bool:
        """Whether rows or bytes call for the end."""
        return batch.rows >= self.rows or batch.held_bytes >= self.held_bytes

    def seconds_left(self, batch: OpenBatch, now: float) -> float:
        """Until its age calls for the end; 0 or less: it does."""
        return batch.opened_at + self.seconds - now


@dataclass(slots=True)
class _Sealed:
    """A batch under way.

    Attributes:
        part: All of it.
        opened_at: When its first row came.
        sealed_at: When it was closed.
        held_bytes: What the budget holds for it.
        rows_left: Rows neither stored nor set aside.
        chunks: Its columns, until they are encoded.
        block: Its bytes, from then on; None if they could not be made.
    """

    part: Part
    opened_at: float
    sealed_at: float
    held_bytes: int
    rows_left: int
    chunks: Sequence[Chunk]
    block: bytes | None = None


class Lane:
    """The batches of one signal. `append` and `seal` never wait; `encode` and `flush` run for ever, one task each."""

    def __init__(
        self,
        signal: Signal,
        *,
        store: Store,
        budget: Budget,
        decode: Callable[[Request], Chunk],
        threads: Executor,
        quarantine: Quarantine,
        bounds: SealBounds,
        backoff: Backoff,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.signal = signal
        self._table = table_of(signal)
        self._columns = [column.name for column in self._table.stored]
        self._store = store
        self._budget = budget
        self._decode = decode
        self._threads = threads
        self._quarantine = quarantine
        self._bounds = bounds
        self._backoff = backoff
        self._now = now
        self._open: OpenBatch | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Both queues are bounded by the budget: no batch is in them without its bytes.
        self._sealed: asyncio.Queue[_Sealed] = asyncio.Queue()
        self._ready: asyncio.Queue[_Sealed] = asyncio.Queue()
        self._under_way: deque[_Sealed] = deque()
        self._wake = asyncio.Event()
        self._alarmed_at = -_ALARM_EVERY_SECONDS
        OLDEST_SECONDS.labels(signal).set_function(self.oldest_seconds)
        BATCHES_WAITING.labels(signal).set_function(lambda: len(self._under_way))

    @property
    def rows_waiting(self) -> int:
        """Rows that were accepted and are neither stored nor set aside."""
        return (self._open.rows if self._open else 0) + sum(batch.rows_left for batch in self._under_way)

    def oldest_seconds(self) -> float:
        """Age of the oldest row that is not stored; 0 if there is none."""
        oldest = self._under_way[0] if self._under_way else self._open
        return max(self._now() - oldest.opened_at, 0.0) if oldest else 0.0

    def append(self, request: Request, chunk: Chunk, held_bytes: int) -> None:
        """Take all rows of a request; `held_bytes` are in the budget for it and the lane's from now on."""
        if self._open is None:
            self._open = OpenBatch(self._now())
            self._set_timer(self._bounds.seconds)
        self._open.append(request, chunk, held_bytes)
        if self._bounds.is_full(self._open):
            self.seal()

    def seal(self) -> None:
        """Close the open batch, if there is one, and send it on its way."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        batch, self._open = self._open, None
        if batch is None:
            return
        sealed = _Sealed(
            part=batch.seal(new_batch_id(time.time_ns()), self.signal),
            opened_at=batch.opened_at,
            sealed_at=self._now(),
            held_bytes=batch.held_bytes,
            rows_left=batch.rows,
            chunks=batch.chunks,
        )
        self._under_way.append(sealed)
        self._sealed.put_nowait(sealed)

    async def drained(self) -> None:
        """Return when every sealed batch is stored or set aside."""
        await self._sealed.join()
        await self._ready.join()

    def retry_now(self) -> None:
        """Cut short the wait before the next attempt: something has changed at the store."""
        self._wake.set()

    def close(self) -> None:
        """Stop the clock of the open batch and let go of the gauges."""
        if self._timer:
            self._timer.cancel()
        OLDEST_SECONDS.labels(self.signal).set_function(lambda: 0.0)
        BATCHES_WAITING.labels(self.signal).set_function(lambda: 0.0)

    async def encode(self) -> None:
        """Turn sealed batches into bytes, in order."""
        while True:
            batch = await self._sealed.get()
            try:
                batch.block = await self._in_thread(encode_part, batch.part, batch.chunks)
            except Exception:  # noqa: BLE001 - the flusher finds the request that cannot be encoded
                self._count_attempt("fault")
                _log.exception("batch_not_encoded", signal=self.signal, batch=str(batch.part.batch))
            batch.chunks = ()
            size_bytes = batch.part.body_bytes + len(batch.block or b"")
            self._budget.resize(self.signal, batch.held_bytes, size_bytes)
            batch.held_bytes = size_bytes
            self._ready.put_nowait(batch)
            self._sealed.task_done()

    async def flush(self) -> None:
        """Deliver batches, in order."""
        while True:
            batch = await self._ready.get()
            failures = 0
            while True:
                try:
                    await self._deliver(batch)
                    break
                except Exception:  # noqa: BLE001 - a bug of ours: the batch stays, and its tokens stay the same
                    failures += 1
                    self._count_attempt("fault")
                    _log.exception("batch_not_delivered", signal=self.signal, batch=str(batch.part.batch))
                    await self._pause(self._backoff.wait_seconds(failures))
            self._under_way.popleft()
            self._budget.release_stored(self.signal, batch.held_bytes)
            FLUSH_SECONDS.labels(self.signal).observe(self._now() - batch.sealed_at)
            self._ready.task_done()
            self._seal_if_due()

    def _seal_if_due(self) -> None:
        if self._open is None or len(self._under_way) > _UNDER_WAY:
            return  # `flush` asks again after each batch
        seconds_left = self._bounds.seconds_left(self._open, self._now())
        if seconds_left <= 0:
            self.seal()
        else:  # a loop whose clock ticks in milliseconds (uvloop) may call early
            self._set_timer(seconds_left)

    def _set_timer(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._seal_if_due)

    async def _deliver(self, batch: _Sealed) -> None:
        """Store a batch; if it is refused, store its halves, down to the requests at fault, which are set aside."""
        batch.rows_left = batch.part.rows
        parts = [(batch.part, batch.block)]
        refusal: Exception = ValueError("its columns could not be encoded")
        while parts:
            part, block = parts.pop()
            if block is None:
                try:
                    block = await self._in_thread(self._encode_again, part)
                except Exception as error:  # noqa: BLE001 - whatever is wrong, it is wrong with this part alone
                    refusal = error
            if block is not None:
                refused = await self._store_part(part, block)
                if refused is None:
                    batch.rows_left -= part.rows
                    continue
                refusal = refused
            if len(part.entries) > 1:
                earlier, later = part.halves()
                parts += [(later, None), (earlier, None)]
            else:
                await self._set_aside(part, refusal)
                batch.rows_left -= part.rows

    async def _store_part(self, part: Part, block: bytes) -> StoreRefused | None:
        """Send the block until it is answered.

        Returns:
            None when it is stored, else why ClickHouse refused it.
        """
        failures = 0
        while True:
            try:
                await self._store.insert(self._table.name, self._columns, block, token=part.token)
            except StoreRefused as refused:
                self._count_attempt("refused")
                return refused
            except StoreMisconfigured as error:
                self._count_attempt("misconfigured")
                self._alarm("store_misconfigured", error, part)
                await self._pause(self._backoff.alarm_seconds)
            except StoreError as error:
                failures += 1
                self._count_attempt("unavailable")
                if failures == 1:
                    _log.warning("insert_delayed", signal=self.signal, batch=str(part.batch), reason=str(error))
                await self._pause(self._backoff.wait_seconds(failures))
            except Exception:  # noqa: BLE001 - a bug of ours: whether it was stored is not known, so as above
                failures += 1
                self._count_attempt("fault")
                _log.exception("insert_failed", signal=self.signal, batch=str(part.batch))
                await self._pause(self._backoff.wait_seconds(failures))
            else:
                if failures:
                    _log.info("insert_resumed", signal=self.signal, batch=str(part.batch), attempts=failures + 1)
                self._count_attempt("stored")
                RECORDS_STORED.labels(self.signal).inc(part.rows)
                BATCH_SIZE.labels(self.signal).observe(part.rows)
                return None

    async def _set_aside(self, part: Part, refusal: Exception) -> None:
        """Move the one request of a part to the quarantine, however long that takes."""
        while True:
            try:
                key, note = await self._in_thread(self._quarantine_now, part, str(refusal))
            except Exception as error:  # noqa: BLE001 - full, unwritable: what was accepted waits for room
                self._alarm("quarantine_unusable", error, part)
                await self._pause(self._backoff.alarm_seconds)
            else:
                RECORDS_QUARANTINED.labels(self.signal).inc(part.rows)
                _log.error(
                    "request_quarantined",
                    signal=self.signal,
                    tenant=part.entries[0].request.tenant,
                    rows=part.rows,
                    first_key=key,
                    reason=str(refusal),
                    note=str(note),
                )
                return

    def _quarantine_now(self, part: Part, reason: str) -> tuple[dict[str, str], str]:
        try:
            key = first_key(self.signal, self._decode(part.entries[0].request))
        except Exception:  # noqa: BLE001 - it may lie here because it cannot be decoded again
            key = {}
        return key, str(self._quarantine.put(part, reason, key))

    def _encode_again(self, part: Part) -> bytes:
        return encode_part(part, [self._decode(entry.request) for entry in part.entries])

    async def _in_thread(self, function: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _alarm(self, event: str, error: Exception, part: Part) -> None:
        """Say it once a minute: the lane is stuck until somebody acts."""
        if self._now() - self._alarmed_at >= _ALARM_EVERY_SECONDS:
            self._alarmed_at = self._now()
            _log.error(event, signal=self.signal, batch=str(part.batch), reason=str(error), waiting=self.rows_waiting)

    def _count_attempt(self, outcome: str) -> None:
        INSERT_ATTEMPTS.labels(self.signal, outcome).inc()
