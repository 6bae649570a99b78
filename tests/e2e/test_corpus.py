"""Promise P5: every payload that real SDKs sent comes back through `format=otlp` equal to what was sent."""

from __future__ import annotations

import gzip
import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from tests.e2e.conftest import Service, running, until
from tests.e2e.otlp import from_json, from_protobuf, records

pytestmark = pytest.mark.xdist_group("corpus")

CORPUS = Path(__file__).parents[1] / "data" / "otlp"
EVERYTHING = "start=2020-01-01T00:00:00Z&limit=500"


@dataclass(frozen=True)
class Payload:
    """One capture: the body as it went over the wire, and what it says."""

    name: str
    signal: str
    content_type: str
    encoding: str
    method: str
    body: bytes

    @property
    def request(self) -> Any:
        plain = gzip.decompress(self.body) if self.encoding == "gzip" else self.body
        return from_json(self.signal, plain) if "json" in self.content_type else from_protobuf(self.signal, plain)


def captures() -> Iterator[Payload]:
    for path in sorted(CORPUS.rglob("*")):
        if not path.name.endswith((".pb", ".gz", ".json")) or path.name.endswith(".meta.json"):
            continue
        about = path.with_name(path.name.split(".")[0] + ".meta.json")
        method = json.loads(about.read_text()).get("method", "") if about.exists() else ""
        signal = next(word for word in ("traces", "metrics", "logs") if word.removesuffix("s") in path.name)
        yield Payload(
            name=str(path.relative_to(CORPUS)),
            signal=signal,
            content_type="application/json" if ".json" in path.name else "application/x-protobuf",
            encoding="gzip" if path.name.endswith(".gz") else "",
            method=method,
            body=path.read_bytes(),
        )


PAYLOADS = list(captures())


@pytest.fixture(scope="module")
def returned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Counter[tuple[bytes, ...]]]]:
    """Send every payload once, each by the door it was captured at, and read everything back."""
    with running(tmp_path_factory.mktemp("corpus")) as service:
        with grpc.insecure_channel(service.addresses["otlp_grpc"]) as channel:
            for payload in PAYLOADS:
                if payload.method:
                    channel.unary_unary(payload.method)(payload.body, timeout=30)
                else:
                    headers = {"Content_Type": payload.content_type}
                    if payload.encoding:
                        headers["Content_Encoding"] = payload.encoding
                    status, body = service.post(f"/v1/{payload.signal}", payload.body, **headers)
                    assert status == 200, (payload.name, body)
        sent = {signal: expected(signal).total() for signal in ("traces", "metrics", "logs")}
        for table, signal in (("spans", "traces"), ("metrics", "metrics"), ("logs", "logs")):
            until(partial(has_rows, service, table, sent[signal]))
        yield {signal: read_back(service, signal) for signal in ("traces", "metrics", "logs")}


def has_rows(service: Service, table: str, count: int) -> bool:
    return int(service.sql(f"SELECT count() FROM {table}")) >= count


def expected(signal: str) -> Counter[tuple[bytes, ...]]:
    total: Counter[tuple[bytes, ...]] = Counter()
    for payload in PAYLOADS:
        if payload.signal == signal:
            total += records(signal, payload.request)
    return total


def read_back(service: Service, signal: str) -> Counter[tuple[bytes, ...]]:
    """Follow the Link headers to the end."""
    if signal == "metrics":
        names = {
            item["name"] for item in service.get("/api/v1/metrics", start="2020-01-01T00:00:00Z", limit=1000)["items"]
        }
        paths = [f"/api/v1/metrics/{quote(name)}?format=otlp&{EVERYTHING}" for name in names]
    else:
        paths = [f"/api/v1/{'spans' if signal == 'traces' else 'logs'}?format=otlp&{EVERYTHING}"]
    found: Counter[tuple[bytes, ...]] = Counter()
    for path in paths:
        url = f"{service.addresses['query']}{path}"
        while url:
            with urllib.request.urlopen(url, timeout=30) as answer:
                found += records(signal, from_json(signal, answer.read()))
                link = answer.headers.get("Link", "")
            target = link.split(">")[0].removeprefix("<") if 'rel="next"' in link else ""
            url = target if target.startswith("http") else f"{service.addresses['query']}{target}" if target else ""
    return found


@pytest.mark.parametrize("payload", PAYLOADS, ids=[payload.name for payload in PAYLOADS])
def test_a_capture_comes_back_equal(payload: Payload, returned: dict[str, Counter[tuple[bytes, ...]]]) -> None:
    """Each record of the capture is among what was read back, byte for byte."""
    missing = records(payload.signal, payload.request) - returned[payload.signal]
    assert not missing


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_nothing_else_comes_back(signal: str, returned: dict[str, Counter[tuple[bytes, ...]]]) -> None:
    """As many records as were sent, and no other."""
    assert returned[signal] == expected(signal)
