from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from app.store.embedded.server import EmbeddedServer
from tests.integration.clickhouse import ask, must, running, small_settings


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One engine for the whole run (one per worker of pytest-xdist). Databases named `test_…` are covered by its grants."""
    with running(small_settings(tmp_path_factory.mktemp("clickhouse"))) as server:
        must(ask(server.address, server.logins.migrate, "CREATE DATABASE telemetry"))
        yield server


@pytest.fixture
def database(clickhouse: EmbeddedServer) -> Iterator[str]:
    """The name of a fresh, empty database of this test, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    must(ask(clickhouse.address, clickhouse.logins.migrate, f"CREATE DATABASE {name}"))
    yield name
    must(ask(clickhouse.address, clickhouse.logins.migrate, f"DROP DATABASE {name} SYNC"))
