"""What became of each request at the telemetry doors: counted always, and one log line for a refused one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import structlog
from prometheus_client import Counter

from app.errors import ServiceError
from app.model import Signal
from app.pipeline.contract import Accepted
from app.receivers.answers import Answer, sentence_of
from app.telemetry import metrics

LINES_PER_SECOND = 10
"""Of one outcome at one door: an overload must not drown the log. The next line says how many were left out."""

_NO_SIGNAL = "none"
_log = structlog.stdlib.get_logger(__name__)
_stdlib = logging.getLogger(__name__)


class Outcomes:
    """The book of one door."""

    def __init__(self, transport: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._lines: dict[str, _Lines] = {}
        # Looking a child up by its labels costs more than counting does.
        self._bytes = {signal: metrics.REQUEST_BYTES.labels(signal.value) for signal in Signal}
        self._requests: dict[tuple[Signal | None, str], Counter] = {}

    def received(self, signal: Signal, size_bytes: int) -> None:
        """Count the bytes of a body as sent."""
        self._bytes[signal].inc(size_bytes)

    def accepted(self, signal: Signal, accepted: Accepted, size_bytes: int) -> None:
        """Count a body that was taken, whole or in part."""
        is_partial = accepted.rejections.total > 0
        self.count(signal, "partial" if is_partial else "ok")
        if _stdlib.isEnabledFor(logging.DEBUG):
            _log.debug(
                "request_accepted",
                transport=self._transport,
                signal=signal.value,
                bytes=size_bytes,
                records=accepted.records,
                rejected=accepted.rejections.total,
            )

    def refused(self, signal: Signal | None, answer: Answer, error: BaseException, peer: str) -> None:
        """Count a refusal and say why; a bug of ours also leaves its traceback."""
        self.count(signal, answer.outcome)
        lines = self._lines.setdefault(answer.outcome, _Lines())
        if not lines.may_write(self._clock()):
            return
        is_bug = not isinstance(error, ServiceError)
        _log.log(
            logging.ERROR if is_bug else logging.INFO,
            "request_failed" if is_bug else "request_refused",
            transport=self._transport,
            signal=signal.value if signal else _NO_SIGNAL,
            outcome=answer.outcome,
            status=answer.http,
            reason=sentence_of(error),
            peer=peer,
            unlogged=lines.take_skipped(),
            exc_info=error if is_bug else None,
        )

    def count(self, signal: Signal | None, outcome: str) -> None:
        """Count a request."""
        child = self._requests.get((signal, outcome))
        if child is None:
            child = metrics.REQUESTS.labels(signal.value if signal else _NO_SIGNAL, self._transport, outcome)
            self._requests[signal, outcome] = child
        child.inc()


class _Lines:
    """How many lines of one outcome the running second has seen."""

    __slots__ = ("_count", "_second", "_skipped")

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self._skipped = 0

    def may_write(self, now_seconds: float) -> bool:
        if int(now_seconds) != self._second:
            self._second = int(now_seconds)
            self._count = 0
        self._count += 1
        if self._count <= LINES_PER_SECOND:
            return True
        self._skipped += 1
        return False

    def take_skipped(self) -> int:
        skipped, self._skipped = self._skipped, 0
        return skipped
