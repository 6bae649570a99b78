"""Bytes held for telemetry: one budget for the process, and a share of it that no other lane can take.

Two kinds of bytes count against it: bodies that a door is reading, and records that are decoded and not stored yet.
Everything here runs on the event loop's thread, so no lock is needed.

The share: of `limit_bytes`, each lane has an eighth to itself; the rest goes to whoever asks first. So a flood of spans
cannot keep a log record out, and a process that only takes spans may still use three quarters of the memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

from app.errors import BufferFull, TooLarge
from app.model import Signal
from app.telemetry.metrics import BUFFER_BYTES, BUFFER_LIMIT_BYTES

_OWN_FRACTION = 8
_RATE_WINDOW_SECONDS = 10.0
_LEAST_RETRY_SECONDS = 1.0
_MOST_RETRY_SECONDS = 30.0


class DrainRate:
    """Bytes a second that leave because they were stored: an exponential mean over about ten seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._at = now()
        self._bytes_per_second = 0.0

    def count(self, size_bytes: int) -> None:
        """Note that `size_bytes` were stored now."""
        self._bytes_per_second = self.value() + size_bytes / _RATE_WINDOW_SECONDS
        self._at = self._now()

    def value(self) -> float:
        """Bytes a second, fading while nothing is stored."""
        return self._bytes_per_second * math.exp((self._at - self._now()) / _RATE_WINDOW_SECONDS)


class Budget:
    """How many bytes each lane holds, and whether there is room for more.

    Attributes:
        limit_bytes: All lanes together (`server.max_buffer_bytes`).
        lane_limit_bytes: The most that one lane can hold, when the others hold nothing.
    """

    def __init__(self, limit_bytes: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self.limit_bytes = limit_bytes
        self._own_bytes = limit_bytes // _OWN_FRACTION
        self.lane_limit_bytes = limit_bytes - self._own_bytes * (len(Signal) - 1)
        self._held = dict.fromkeys(Signal, 0)
        self._kept = dict.fromkeys(Signal, 0)
        self._rate = DrainRate(now)
        BUFFER_LIMIT_BYTES.set(limit_bytes)
        for signal in Signal:
            BUFFER_BYTES.labels(signal).set_function(partial(self.held_bytes, signal))

    def held_bytes(self, signal: Signal) -> int:
        """What a lane holds now: bodies being read, and records that are not stored."""
        return self._held[signal]

    def reserve(self, signal: Signal, size_bytes: int) -> Holding:
        """Hold room for a body before it is read.

        Raises:
            BufferFull: There is no room now.
            TooLarge: There never will be.
        """
        holding = Holding(self, signal)
        holding.grow(size_bytes)
        return holding

    def keep(self, signal: Signal, size_bytes: int) -> None:
        """Hold room for the records of a body.

        A lane that keeps no records takes those of any one body: records are larger than their body, and a body that
        could be read must not be pressed back for ever. The budget is overdrawn by that one body at most.

        Raises:
            BufferFull: There is no room now.
        """
        if self._kept[signal]:
            self._refuse_if_full(signal, size_bytes)
        self._kept[signal] += size_bytes
        self._add(signal, size_bytes)

    def correct(self, signal: Signal, held_bytes: int, size_bytes: int) -> None:
        """Replace an estimate that `keep` held by what the records really take.

        Raises:
            BufferFull: They take more, and there is no room for it; `held_bytes` stay held.
        """
        if size_bytes > held_bytes and self._kept[signal] > held_bytes:
            self._refuse_if_full(signal, size_bytes - held_bytes)
        self.resize(signal, held_bytes, size_bytes)

    def resize(self, signal: Signal, held_bytes: int, size_bytes: int) -> None:
        """Note that records take another size now: a fact, so it is never refused."""
        self._kept[signal] += size_bytes - held_bytes
        self._add(signal, size_bytes - held_bytes)

    def release(self, signal: Signal, size_bytes: int) -> None:
        """Give back what `keep` held for records that were not taken after all."""
        self._kept[signal] -= size_bytes
        self._add(signal, -size_bytes)

    def release_stored(self, signal: Signal, size_bytes: int) -> None:
        """Give back what records held that are stored now; the speed of this decides what a refused sender is told."""
        self._rate.count(size_bytes)
        self.release(signal, size_bytes)

    def retry_after_seconds(self, size_bytes: int) -> float:
        """When `size_bytes` will have been stored, if it goes on as in the last seconds; 1 to 30 seconds."""
        rate = self._rate.value()
        wanted = size_bytes / rate if rate > 0 else _MOST_RETRY_SECONDS
        return min(_MOST_RETRY_SECONDS, max(_LEAST_RETRY_SECONDS, wanted))

    def _free(self, signal: Signal) -> int:
        untouchable = sum(max(self._own_bytes - held, 0) for other, held in self._held.items() if other is not signal)
        shared = self.limit_bytes - sum(self._held.values()) - untouchable
        return max(shared, self._own_bytes - self._held[signal])  # its own share, even if another lane is overdrawn

    def _refuse_if_full(self, signal: Signal, size_bytes: int) -> None:
        missing = size_bytes - self._free(signal)
        if missing > 0:
            raise BufferFull(
                f"no room for {size_bytes} more bytes of {signal}: telemetry that is being read or waits for "
                f"ClickHouse holds {sum(self._held.values())} of {self.limit_bytes} bytes (server.max_buffer_bytes)",
                retry_after_seconds=self.retry_after_seconds(missing),
            )

    def _take(self, signal: Signal, size_bytes: int, of_body_bytes: int) -> None:
        if of_body_bytes > self.lane_limit_bytes:
            raise TooLarge(
                f"a body of {of_body_bytes} bytes can never fit: {signal} may hold {self.lane_limit_bytes} bytes "
                f"of server.max_buffer_bytes = {self.limit_bytes}"
            )
        self._refuse_if_full(signal, size_bytes)
        self._add(signal, size_bytes)

    def _add(self, signal: Signal, size_bytes: int) -> None:
        self._held[signal] += size_bytes


class Holding:
    """Room for one body while it is read; leaving the context gives it back, once."""

    def __init__(self, budget: Budget, signal: Signal) -> None:
        self._budget = budget
        self._signal = signal
        self.size_bytes = 0

    def grow(self, size_bytes: int) -> None:
        """Hold `size_bytes` more.

        Raises:
            BufferFull: There is no room; what is held stays held until the context is left.
            TooLarge: The whole body could never fit.
        """
        self._budget._take(self._signal, size_bytes, self.size_bytes + size_bytes)  # noqa: SLF001 - one noun in two classes
        self.size_bytes += size_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        size, self.size_bytes = self.size_bytes, 0
        self._budget._add(self._signal, -size)  # noqa: SLF001 - as above
