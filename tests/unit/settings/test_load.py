"""Settings come from defaults, one file and the environment, in that order; what does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.errors import SettingsInvalid
from app.settings import Settings, load_settings


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_any_source_the_defaults_hold() -> None:
    """No file and no environment give exactly the declared defaults."""
    assert load_settings(environment={}) == Settings()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "[server]\nbatch_size = 7\n"),
        ("a.yaml", "server:\n  batch_size: 7\nlog:\n"),
        ("a.yml", "server: {batch_size: 7}\n"),
        ("a.json", json.dumps({"server": {"batch_size": 7}})),
    ],
)
def test_a_file_of_each_format_is_read(tmp_path: Path, name: str, text: str) -> None:
    """TOML, YAML and JSON say the same thing."""
    assert load_settings(write(tmp_path, name, text), {}).server.batch_size == 7


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A variable replaces one key and leaves its neighbours alone."""
    path = write(tmp_path, "a.toml", "[server]\nbatch_size = 7\nbatch_timeout_seconds = 3\n")
    server = load_settings(path, {"RAK_SERVER__BATCH_SIZE": "9"}).server
    assert (server.batch_size, server.batch_timeout_seconds) == (9, 3)


def test_the_path_of_the_file_may_come_from_the_environment(tmp_path: Path) -> None:
    """RAK_CONFIG_PATH is a path and not a setting."""
    path = write(tmp_path, "elsewhere.toml", "[server]\nbatch_size = 7\n")
    assert load_settings(environment={"RAK_CONFIG_PATH": str(path)}).server.batch_size == 7


def test_config_toml_of_the_working_folder_is_read_unasked(tmp_path: Path) -> None:
    """A newcomer edits ./config.toml and it counts."""
    write(tmp_path, "config.toml", "[server]\nbatch_size = 7\n")
    assert load_settings(environment={}).server.batch_size == 7


def test_names_without_a_double_underscore_are_not_settings() -> None:
    """Kubernetes puts RAK_INGEST_SERVICE_HOST into every container."""
    assert load_settings(environment={"RAK_INGEST_SERVICE_HOST": "10.0.0.1"}) == Settings()


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"RAK_SERVER__FOO": "1"}, ["server.foo", "RAK_SERVER__FOO"]),
        ({"RAK_NOWHERE__FOO": "1"}, ["nowhere"]),
        ({"RAK_SERVER__BATCH_SIZE": "many"}, ["server.batch_size", "RAK_SERVER__BATCH_SIZE"]),
        ({"RAK_SERVER__OTLP_HTTP_PORT": "70000"}, ["server.otlp_http_port"]),
        ({"RAK_QUERY__MAX_QUERY_TIME_SECONDS": "inf"}, ["query.max_query_time_seconds"]),
        ({"RAK_CLICKHOUSE__CONNECTION_TIMEOUT_SECONDS": "nan"}, ["clickhouse.connection_timeout_seconds"]),
        ({"RAK_CLICKHOUSE__MODE": "cloud"}, ["clickhouse.mode"]),
        ({"RAK_CLICKHOUSE__DATABASE": "a; DROP"}, ["clickhouse.database"]),
        ({"RAK_CLICKHOUSE__DATABASE": "System"}, ["clickhouse.database", "System"]),
        ({"RAK_SERVER__A__B": "1"}, ["RAK_SERVER__A__B"]),
        ({"RAK_SERVER__HOST": "0.0.0.0"}, ["server.host", "access.allow_anonymous"]),
        ({"RAK_SERVER__FOO": "1", "RAK_SERVER__BATCH_SIZE": "-1"}, ["server.foo", "server.batch_size"]),
        ({"RAK_CONFIG_PATH": "missing.toml"}, ["missing.toml"]),
    ],
)
def test_what_does_not_fit_is_named(environment: dict[str, str], names: list[str]) -> None:
    """The sentence holds the key, and where it came from."""
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environment=environment)
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "[server\n"),
        ("a.yaml", "server: ["),
        ("a.json", "{"),
        ("deep.json", "[" * 100_000),
        ("deep.yaml", "[" * 10_000),
        ("deep.toml", "a = " + "[" * 100_000),
        ("a.ini", "[server]"),
        ("a.json", "[1]"),
        ("a.toml", "server = 3"),
        ("a.toml", "[server]\nbatch_sise = 1\n"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, name: str, text: str) -> None:
    """The sentence holds the file's name."""
    with pytest.raises(SettingsInvalid, match=name):
        load_settings(write(tmp_path, name, text), {})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_credentials(host: str) -> None:
    """Nobody else can reach it."""
    assert load_settings(environment={"RAK_SERVER__HOST": host}).server.host == host


def test_an_open_door_has_to_be_asked_for() -> None:
    """Behind a proxy that authenticates, anonymity is a choice."""
    environment = {"RAK_SERVER__HOST": "0.0.0.0", "RAK_ACCESS__ALLOW_ANONYMOUS": "true"}
    assert load_settings(environment=environment).server.host == "0.0.0.0"


def test_secrets_do_not_show() -> None:
    """A password never appears in a repr or a dump."""
    settings = load_settings(environment={"RAK_CLICKHOUSE__PASSWORD": "hunter2"})
    assert "hunter2" not in repr(settings) + json.dumps(settings.model_dump(mode="json"))
