"""In front of a ClickHouse server: the same service with a URL, whatever state that server is in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from app.store.embedded.server import EmbeddedServer
from tests.e2e.conftest import START_SECONDS, http, running, until
from tests.e2e.payloads import spans
from tests.integration import clickhouse as engine
from tests.processes import die_with_parent

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def server_mode(server: EmbeddedServer, database: str) -> dict[str, str]:
    """Settings for a server that knows two users: one that may change everything, and a reader."""
    return {
        "clickhouse__mode": "server",
        "clickhouse__url": server.address.http_url,
        "clickhouse__database": database,
        "clickhouse__user": server.logins.migrate.user,
        "clickhouse__password": server.logins.migrate.password.get_secret_value(),
        "clickhouse__reader_user": server.logins.query.user,
        "clickhouse__reader_password": server.logins.query.password.get_secret_value(),
    }


def command(verb: str, folder: Path, settings: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command line and its environment, with ports that are free unless `settings` say which."""
    free = {f"server__{name}_port": "0" for name in ("otlp_http", "otlp_grpc", "pprof", "query_api")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("RAK_", "OTEL_"))}
    environment |= {f"RAK_{key.upper()}": value for key, value in (free | settings).items()}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    folder.mkdir(exist_ok=True)
    return [sys.executable, "-c", "from app.cli import main; main()", verb], environment


def ended(verb: str, folder: Path, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    line, environment = command(verb, folder, settings)
    return subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, timeout=START_SECONDS, check=False
    )


@contextmanager
def begun(folder: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start `serve` without waiting until it is ready."""
    line, environment = command("serve", folder, settings)
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(
            line,
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - as in conftest
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def status_of(url: str, body: bytes | None = None) -> int:
    """HTTP status; 0 if nobody listens."""
    try:
        return http(url, body, PROTOBUF if body else None)[0]
    except OSError:
        return 0


def test_what_is_sent_is_in_the_server_and_in_rest(tmp_path: Path, clickhouse: EmbeddedServer, database: str) -> None:
    """Schema, inserts and reads, each as the user it is for; nothing is started on this side."""
    with running(tmp_path / "a", **server_mode(clickhouse, database)) as service:
        assert service.addresses["clickhouse"]["user"] == clickhouse.logins.query.user
        assert service.post("/v1/traces", spans("far", 7), Content_Type="application/x-protobuf")[0] == 200
        until(lambda: service.sql("SELECT count() FROM spans") == "7")
        assert len(service.get("/api/v1/spans", service="far")["items"]) == 7
        assert not (tmp_path / "a" / "data" / "clickhouse").exists()
        assert service.stop() == 0


def test_without_a_reader_the_one_user_does_all(tmp_path: Path, clickhouse: EmbeddedServer, database: str) -> None:
    """A reader without a password is one that nobody made on that server."""
    settings = server_mode(clickhouse, database) | {
        "clickhouse__reader_user": "reader",
        "clickhouse__reader_password": "",
    }
    with running(tmp_path / "a", **settings) as service:
        assert service.addresses["clickhouse"]["user"] == clickhouse.logins.migrate.user
        assert service.get("/api/v1/spans")["items"] == []


def test_a_stop_inserts_what_was_answered(tmp_path: Path, clickhouse: EmbeddedServer, database: str) -> None:
    """With a batch that would wait for a minute."""
    settings = server_mode(clickhouse, database) | {"server__batch_timeout_seconds": "60"}
    with running(tmp_path / "a", **settings) as service:
        assert service.post("/v1/traces", spans("late", 3), Content_Type="application/x-protobuf")[0] == 200
        assert service.stop() == 0
        assert service.sql("SELECT count() FROM spans") == "3"


def test_migrate_makes_the_schema_once(tmp_path: Path, clickhouse: EmbeddedServer, database: str) -> None:
    """The second run finds nothing to do."""
    settings = server_mode(clickhouse, database)
    first, second = ended("migrate", tmp_path, settings), ended("migrate", tmp_path, settings)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "applied 0001_spans.sql" in first.stdout
    assert second.stdout.startswith("0 migrations applied")


@pytest.mark.parametrize("verb", ["serve", "migrate"])
def test_a_wrong_password_is_one_sentence(tmp_path: Path, clickhouse: EmbeddedServer, database: str, verb: str) -> None:
    """Exit code 1, no traceback, and neither password in it."""
    settings = server_mode(clickhouse, database) | {"clickhouse__password": "not-the-password"}
    done = ended(verb, tmp_path, settings)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "Authentication failed" in done.stderr
    assert "not-the-password" not in done.stdout + done.stderr


def test_a_reader_that_cannot_read_ends_the_start(tmp_path: Path, clickhouse: EmbeddedServer, database: str) -> None:
    """Exit code 1 with the key's name, instead of a service whose every answer is an error."""
    settings = server_mode(clickhouse, database) | {"clickhouse__reader_password": "wrong"}
    done = ended("serve", tmp_path, settings)
    assert done.returncode == 1
    assert "clickhouse.reader_user" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_migrate_says_that_the_server_is_away(tmp_path: Path) -> None:
    """It waits for nobody: exit code 1 and one sentence."""
    (port,) = free_ports(1)
    done = ended("migrate", tmp_path, {"clickhouse__mode": "server", "clickhouse__url": f"http://127.0.0.1:{port}"})
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert f"127.0.0.1:{port}" in done.stderr


@pytest.fixture
def ports() -> dict[str, int]:
    """Ports of a service that cannot write its ready file yet, and of its ClickHouse."""
    names = ("otlp_http", "otlp_grpc", "query_api", "clickhouse")
    return dict(zip(names, free_ports(len(names)), strict=True))


def at(ports: dict[str, int], folder: Path) -> dict[str, str]:
    """Settings of a service on these ports."""
    return {f"server__{name}_port": str(port) for name, port in ports.items() if name != "clickhouse"} | {
        "server__ready_file": str(folder / "ready.json"),
        "clickhouse__mode": "server",
        "clickhouse__url": f"http://127.0.0.1:{ports['clickhouse']}",
    }


async def test_a_server_that_is_away_at_the_start_is_waited_for(tmp_path: Path, ports: dict[str, int]) -> None:
    """Meanwhile senders are told to come back and /ready says why; then everything works without a restart."""
    small = engine.small_settings(tmp_path / "server").model_copy(update={"embedded_http_port": ports["clickhouse"]})
    server = EmbeddedServer(small)
    settings = server_mode(server, "telemetry") | at(ports, tmp_path)
    query, otlp = f"http://127.0.0.1:{ports['query_api']}", f"http://127.0.0.1:{ports['otlp_http']}/v1/traces"
    with begun(tmp_path, settings) as process:
        until(lambda: status_of(f"{query}/ready") == 503, START_SECONDS)
        until(lambda: status_of(otlp, spans("early", 1)) == 503, START_SECONDS)
        until(lambda: "cannot be reached" in " ".join(json.loads(http(f"{query}/ready")[1])["reasons"]))
        assert status_of(f"{query}/health") == 200
        assert status_of(f"{query}/api/v1/spans") == 503
        assert serving(ports["otlp_grpc"]) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not (tmp_path / "ready.json").exists()
        async with server:
            until(lambda: status_of(f"{query}/ready") == 200, START_SECONDS)
            until(lambda: status_of(otlp, spans("early", 1)) == 200)
            until(lambda: json.loads(http(f"{query}/api/v1/spans")[1])["items"])
            until(lambda: serving(ports["otlp_grpc"]) == health_pb2.HealthCheckResponse.SERVING)
            until((tmp_path / "ready.json").exists)
            assert stopped(process) == 0


def test_a_stop_does_not_wait_for_a_server_that_is_away(tmp_path: Path, ports: dict[str, int]) -> None:
    """Nothing was taken, so there is nothing to wait for: exit code 0."""
    with begun(tmp_path, at(ports, tmp_path)) as process:
        until(lambda: status_of(f"http://127.0.0.1:{ports['query_api']}/ready") == 503, START_SECONDS)
        assert stopped(process) == 0


def stopped(process: subprocess.Popen[bytes]) -> int:
    """Exit code after SIGTERM."""
    process.terminate()
    return process.wait(20)


def serving(port: int) -> int:
    """What `grpc.health.v1` says."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    return int(answer.status)
