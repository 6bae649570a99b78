"""Dockerfile, compose, Kubernetes and ClickHouse's files say what the code knows: settings, ports, paths, bounds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from app.settings import ClickHouseMode, Settings, load_settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
KUBERNETES = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/rak-ingest.yaml").read_text(encoding="utf-8")))
(POD,) = (each["spec"]["template"]["spec"] for each in KUBERNETES if each["kind"] == "StatefulSet")
(CONTAINER,) = POD["containers"]
READER = ET.parse(ROOT / "deploy/clickhouse/users.d/reader.xml").getroot()

IMAGE = dict(re.findall(r"(RAK_\w+)=(\S+)", DOCKERFILE.split("\nENV ")[1].split("\nVOLUME")[0]))
ENVIRONMENTS = {
    "image": IMAGE | {"RAK_ACCESS__ALLOW_ANONYMOUS": "true"},
    "compose": IMAGE | COMPOSE["rak-ingest"]["environment"],
    "kubernetes": IMAGE | {each["name"]: each["value"] for each in CONTAINER["env"]},
}


def settings_of(environment: dict[str, str]) -> Settings:
    return load_settings(ROOT / "config.toml", environment)


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_every_variable_is_a_setting(environment: dict[str, str]) -> None:
    """An unknown one would end the start."""
    assert settings_of(environment).server.host == "0.0.0.0"


def test_the_image_alone_does_not_serve_strangers() -> None:
    """Who opens it to everybody says so."""
    assert "RAK_ACCESS__ALLOW_ANONYMOUS" not in IMAGE


def test_compose_serves_from_the_server_beside_it() -> None:
    """The same passwords on either side, under the names that the server gives its users."""
    clickhouse = COMPOSE["clickhouse"]["environment"]
    ours = COMPOSE["rak-ingest"]["environment"]
    assert settings_of(ENVIRONMENTS["compose"]).clickhouse.mode is ClickHouseMode.SERVER
    assert ours["RAK_CLICKHOUSE__USER"] == clickhouse["CLICKHOUSE_USER"]
    assert ours["RAK_CLICKHOUSE__PASSWORD"] == clickhouse["CLICKHOUSE_PASSWORD"]
    assert ours["RAK_CLICKHOUSE__READER_PASSWORD"] == clickhouse["READER_PASSWORD"]
    assert COMPOSE["grafana"]["environment"]["READER_PASSWORD"] == clickhouse["READER_PASSWORD"]
    assert READER.find(f"users/{ours['RAK_CLICKHOUSE__READER_USER']}") is not None
    assert clickhouse["CLICKHOUSE_DB"] == Settings().clickhouse.database


def mounts() -> list[tuple[str, str]]:
    """What compose mounts from this repository: from, to."""
    pairs = [volume.split(":") for service in COMPOSE.values() for volume in service.get("volumes", ())]
    return [(source, target) for source, target, *_ in pairs if source.startswith("./")]


@pytest.mark.parametrize(("source", "target"), mounts())
def test_what_compose_mounts_is_there(source: str, target: str) -> None:
    """Into ClickHouse's folders single files: its image keeps files of its own there, and writes one."""
    assert (ROOT / source).exists()
    if "clickhouse-server" in target:
        assert (ROOT / source).is_file()


def test_every_port_is_published_on_loopback_only() -> None:
    """Nothing in the composition authenticates."""
    published = [port for service in COMPOSE.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_image_is_built_from_what_its_context_holds() -> None:
    """`.dockerignore` lets in what is copied, and no more."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


PORTS = {"otlp-grpc": "otlp_grpc_port", "otlp-http": "otlp_http_port", "pprof": "pprof_port", "query": "query_api_port"}


def test_ports_are_those_of_the_settings() -> None:
    """In the image, the pod and its service."""
    server = Settings().server
    expected = {name: getattr(server, key) for name, key in PORTS.items()}
    (service,) = (each["spec"] for each in KUBERNETES if each["kind"] == "Service")
    assert {int(port) for port in re.findall(r"\d+", DOCKERFILE.split("EXPOSE")[1].splitlines()[0])} == {
        *expected.values()
    }
    assert {port["name"]: port["containerPort"] for port in CONTAINER["ports"]} == expected
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == expected


def test_nobody_ends_the_drain() -> None:
    """Compose and Kubernetes wait longer than the service takes."""
    drain = Settings().server.drain_timeout_seconds
    assert POD["terminationGracePeriodSeconds"] > drain + 30
    assert int(COMPOSE["rak-ingest"]["stop_grace_period"].removesuffix("s")) > drain + 20


def test_a_pod_has_memory_for_what_it_is_told_to_use() -> None:
    """The engine and the buffer together stay below the limit."""
    settings = settings_of(ENVIRONMENTS["kubernetes"])
    limit = int(CONTAINER["resources"]["limits"]["memory"].removesuffix("Gi")) << 30
    used = settings.clickhouse.embedded_max_memory_bytes + settings.server.max_buffer_bytes
    assert used < 0.75 * limit


def bound(name: str) -> tuple[float, float]:
    """Least and most that the reader may set."""
    least, most = (READER.findtext(f"profiles/rak_reader/constraints/{name}/{end}") for end in ("min", "max"))
    assert least is not None
    assert most is not None
    return float(least), float(most)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("max_execution_time", Settings().query.max_query_time_seconds),
        ("max_memory_usage", Settings().query.max_memory_bytes),
    ],
)
def test_questions_fit_the_readers_bounds(name: str, asked: Any) -> None:
    """REST asks as the reader with the bounds of `[query]`; and 0, without bound, is not among what may be set."""
    least, most = bound(name)
    assert 0 < least <= asked <= most
