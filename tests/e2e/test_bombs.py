"""Bodies made to take memory or time hurt nobody but their senders."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.codec.contract import Encoding
from tests.e2e.conftest import Service, until
from tests.e2e.payloads import spans
from tests.integration.codec.bombs import BOMBS

MIB = 1 << 20
ANSWERS = {
    "attributes of many spans": (413, b"limits.max_decoded_bytes"),
    "items of one array": (200, b"too_many_fields"),
    "JSON spans": (413, b"limits.max_records"),
    "empty log records": (413, b"limits.max_records"),
}
PROTOBUF = {"Content_Type": Encoding.PROTOBUF.value}


class Everybody:
    """Who throws bombs, who sends good spans, and who asks for the service's health, all at once.

    Attributes:
        answers: Status and body for each bomb, once it is no longer asked to come back.
        statuses: Of the good requests.
        health: Status and seconds of each question.
    """

    def __init__(self, service: Service) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.statuses: Counter[int] = Counter()
        self.health: list[tuple[int, float]] = []
        self._service = service
        self._over = threading.Event()
        self._throwing = [threading.Thread(target=self._throw, args=(name, BOMBS[name][2]())) for name in ANSWERS]
        self._others = [threading.Thread(target=self._ask), threading.Thread(target=self._send)]

    def run(self, seconds: float) -> None:
        """Until the last bomb is answered, or the time is over."""
        threads = [*self._throwing, *self._others]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + seconds
        for thread in self._throwing:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._over.set()
        for thread in threads:
            thread.join(60)

    def _throw(self, name: str, body: bytes) -> None:
        signal, encoding, _ = BOMBS[name]
        while not self._over.is_set():
            answer = self._service.post(f"/v1/{signal}", body, Content_Type=encoding.value)
            if answer[0] not in {429, 503}:
                self.answers[name] = answer
                return
            self._over.wait(0.5)

    def _ask(self) -> None:
        while not self._over.wait(0.02):
            started = time.monotonic()
            status, _ = self._service.request("/health")
            self.health.append((status, time.monotonic() - started))

    def _send(self) -> None:
        while not self._over.wait(0.02):
            self.statuses[self._service.post("/v1/traces", spans("others", 10), **PROTOBUF)[0]] += 1


def peak_bytes(service: Service) -> int:
    """The most memory that the service's own process has held."""
    status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


@pytest.mark.timeout(180)
def test_bombs_hurt_nobody_else(start: Callable[..., Any]) -> None:
    """Four at once: /health answers within a second, others' spans are taken and stored, the memory is bounded."""
    with start() as service:
        everybody = Everybody(service)
        everybody.run(seconds=100)
        stored = 10 * everybody.statuses[200]
        until(lambda: int(service.sql("SELECT count() FROM spans WHERE service_name = 'others'")) == stored)
        assert {name: status for name, (status, _) in everybody.answers.items()} == {
            name: status for name, (status, _) in ANSWERS.items()
        }
        assert all(words in everybody.answers[name][1] for name, (_, words) in ANSWERS.items()), everybody.answers
        assert len(everybody.health) > 100
        assert {status for status, _ in everybody.health} == {200}
        assert max(seconds for _, seconds in everybody.health) < 1.0
        # 429 is for the moments in which the bombs fill the buffer; nobody is told anything worse.
        assert set(everybody.statuses) <= {200, 429}
        assert everybody.statuses[200] > 10 * everybody.statuses[429]
        assert peak_bytes(service) < 2_000 * MIB
