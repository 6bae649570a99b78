"""A whole service as a user runs it: its own process, real ports, a real ClickHouse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.processes import die_with_parent

START_SECONDS = 60.0


@dataclass
class Service:
    """A running `rak-ingest serve`."""

    process: subprocess.Popen[bytes]
    folder: Path
    addresses: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return (self.folder / "service.log").read_text(encoding="utf-8", errors="replace")

    def sql(self, statement: str) -> str:
        """Ask ClickHouse as the reader, as a SQL client would."""
        clickhouse = self.addresses["clickhouse"]
        query = urllib.parse.urlencode(
            {"user": clickhouse["user"], "password": clickhouse["password"], "database": clickhouse["database"]}
        )
        with urllib.request.urlopen(f"{clickhouse['http']}/?{query}", statement.encode(), timeout=30) as answer:
            return str(answer.read().decode()).strip()

    def get(self, path: str, **parameters: str | int) -> Any:
        """Ask the REST door; the answer has to be 200."""
        status, body = self.request(path, **parameters)
        assert status == 200, body
        return json.loads(body)

    def request(self, path: str, **parameters: str | int) -> tuple[int, bytes]:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        return http(f"{self.addresses['query']}{path}{query}")

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
        """Post to the OTLP/HTTP door."""
        return http(f"{self.addresses['otlp_http']}{path}", body, {k.replace("_", "-"): v for k, v in headers.items()})

    def stop(self, seconds: float = 60) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


def http(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def until(claim: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """Poll until `claim` is truthy; its value. Fails at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = claim()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not true within {seconds} s: {what or claim}; last value {value!r}")
        time.sleep(0.02)


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Service]:
    """Start a service on free ports in a folder of its own, and stop it whatever happens.

    Args:
        folder: Where its data and its log go.
        settings: `section__key` → value, as in the environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready.json"
    defaults = {
        "server__ready_file": str(ready),
        "server__otlp_grpc_port": "0",
        "server__otlp_http_port": "0",
        "server__pprof_port": "0",
        "server__query_api_port": "0",
        "clickhouse__embedded_http_port": "0",
        "clickhouse__embedded_native_port": "0",
        "clickhouse__embedded_max_memory_bytes": str(2 << 30),
        "storage__spans_retention_days": "36500",
        "storage__metrics_retention_days": "36500",
        "storage__logs_retention_days": "36500",
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAK_", "OTEL_"))}
    environment |= {f"RAK_{key.upper()}": value for key, value in (defaults | settings).items()}
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from app.cli import main; main()", "serve"],
            cwd=folder,
            env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one call into the C library, no lock is taken
        )
        service = Service(process, folder)
        try:
            until(
                lambda: ready.exists() or process.poll() is not None, START_SECONDS, f"ready file of {process.args!r}"
            )
            assert process.poll() is None, service.log
            service.addresses = json.loads(ready.read_text(encoding="utf-8"))
            yield service
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that only send and read, each with names of its own."""
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """For tests that stop, kill or configure a service: `with start(section__key=value) as service`."""
    return lambda **settings: running(tmp_path / "service", **settings)
