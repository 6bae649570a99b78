"""What was answered with success is stored, through stops and through the death of ClickHouse; and the service comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e.conftest import Service, running, until
from tests.e2e.payloads import spans
from tests.processes import die_with_parent

PROTOBUF = {"Content_Type": "application/x-protobuf"}
SPANS_A_REQUEST = 50


class Load:
    """Senders that post until they are stopped, and count what was answered with 200."""

    def __init__(self, service: Service, senders: int = 4) -> None:
        self._service = service
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.accepted = 0
        self.statuses: dict[int, int] = {}
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(senders)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _send(self) -> None:
        while not self._stop.is_set():
            try:
                status, _ = self._service.post("/v1/traces", spans("load", SPANS_A_REQUEST), **PROTOBUF)
            except OSError:  # the door is closed, or closing: nothing was answered
                status = 0
            with self._lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
                self.accepted += SPANS_A_REQUEST if status == 200 else 0
            if status != 200:
                self._stop.wait(0.02)


def clickhouse_process(service: Service) -> int:
    """The engine's process, a child of the service."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    engines = [int(pid) for pid in children if b"embedded" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(engines) == 1, children
    return engines[0]


def test_sigterm_under_load_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """Counted after the service has ended, by a second one on the same folder."""
    with running(tmp_path / "a") as service:
        with Load(service) as load:
            until(lambda: load.accepted > 2_000)
            assert service.stop() == 0
        assert load.accepted > 2_000
    with running(tmp_path / "a") as again:
        assert int(again.sql("SELECT count() FROM spans")) == load.accepted


def test_a_killed_clickhouse_comes_back_and_nothing_in_memory_is_lost(tmp_path: Path) -> None:
    """kill -9 under load: 503 while it is away, everything answered is there once afterwards."""
    with running(tmp_path / "a") as service:
        with Load(service) as load:
            until(lambda: load.accepted > 2_000)
            os.kill(clickhouse_process(service), signal.SIGKILL)
            until(lambda: service.request("/ready")[0] == 503, what="/ready says that ClickHouse is away")
            until(lambda: service.request("/ready")[0] == 200, seconds=60, what="recovery")
            before = load.accepted
            until(lambda: load.accepted > before + 1_000)
        until(lambda: int(service.sql("SELECT count() FROM spans")) >= load.accepted)
        assert int(service.sql("SELECT count() FROM spans")) == load.accepted
        assert set(load.statuses) <= {200, 503, 0}


def test_clickhouse_dies_with_a_killed_service(tmp_path: Path) -> None:
    """kill -9 of the service leaves no orphan on the ports and the folder."""
    with running(tmp_path / "a") as service:
        engine = clickhouse_process(service)
        service.process.kill()
        until(lambda: not Path(f"/proc/{engine}").exists(), what="the engine is gone")


def test_the_ready_file_is_whole_private_and_removed(tmp_path: Path) -> None:
    """Mode 0600, every key of the contract, gone after the stop."""
    with running(tmp_path / "a") as service:
        path = tmp_path / "a" / "ready.json"
        assert path.stat().st_mode & 0o777 == 0o600
        assert set(service.addresses) == {"pid", "otlp_http", "otlp_grpc", "pprof", "query", "clickhouse"}
        assert set(service.addresses["clickhouse"]) == {"http", "native", "database", "user", "password"}
        assert service.addresses["pid"] == service.process.pid
        service.stop()
        assert not path.exists()


@pytest.mark.parametrize("key", ["otlp_http_port", "otlp_grpc_port", "pprof_port", "query_api_port"])
def test_a_taken_port_ends_the_start_with_one_sentence(tmp_path: Path, key: str) -> None:
    """Exit code 1 and the name of the setting; never a share of somebody else's port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve(tmp_path, {f"RAK_SERVER__{key.upper()}": str(taken.getsockname()[1])})
    assert done.returncode == 1
    assert f"server.{key}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_key_ends_the_start_with_its_name(tmp_path: Path) -> None:
    """Exit code 1, before anything is opened."""
    done = serve(tmp_path, {"RAK_SERVER__BATCHSIZE": "1"})
    assert (done.returncode, "server.batchsize" in done.stderr) == (1, True)


def serve(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    free = {f"RAK_SERVER__{k}_PORT": "0" for k in ("OTLP_HTTP", "OTLP_GRPC", "PPROF", "QUERY_API")}
    free |= {f"RAK_CLICKHOUSE__EMBEDDED_{k}_PORT": "0" for k in ("HTTP", "NATIVE")}
    return subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "serve"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **free, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=die_with_parent,
    )


def is_one(service: Service, statement: str) -> bool:
    return service.sql(statement) == "1"


def test_what_is_sent_is_visible_within_three_seconds(start: Callable[..., Any]) -> None:
    """At the default settings, for each of 30 requests: from the answer to a row in a query."""
    with start() as service:
        seen = []
        for number in range(30):
            name = f"visible-{number}"
            assert service.post("/v1/traces", spans(name, 1), **PROTOBUF)[0] == 200
            answered = time.monotonic()
            count = f"SELECT count() FROM spans WHERE service_name = '{name}'"
            until(partial(is_one, service, count), 10)
            seen.append(time.monotonic() - answered)
        assert max(seen) < 3.0
