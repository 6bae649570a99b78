"""Through the real decoder into the real engine: what was accepted is there, once, in rows that name their place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.access import TenantId
from app.codec.contract import Encoding
from app.codec.reference import ReferenceDecoder
from app.errors import StoreRefused, StoreUnavailable
from app.model import Signal, Table, table_of
from app.pipeline.backoff import Backoff
from app.pipeline.contract import Request
from app.pipeline.intake import Pipeline
from app.settings import Settings
from app.store.client import ClickHouse
from app.store.contract import Parameter, ReadLimits
from app.store.embedded.server import EmbeddedServer
from app.store.migrate import migrate, migration_files

LIMITS = ReadLimits(seconds=30, memory_bytes=1 << 30, rows=1_000_000)
CORPUS = Path(__file__).parents[2] / "data" / "otlp"


class Flaky:
    """A real store whose answers are lost, or whose inserts are refused or cut off, as told."""

    def __init__(self, store: ClickHouse) -> None:
        self._store = store
        self.lose_answers = 0
        self.refuse: bytes = b""
        self.attempts = 0

    async def insert(self, table: str, columns: Sequence[str], block: bytes, *, token: str) -> None:
        self.attempts += 1
        if self.refuse and self.refuse in block:
            raise StoreRefused("a value is not liked here", code=27)
        await self._store.insert(table, columns, block, token=token)
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("the answer was lost")

    async def fetch(self, sql: str, parameters: Mapping[str, Parameter], *, limits: ReadLimits) -> list[dict[str, Any]]:
        return await self._store.fetch(sql, parameters, limits=limits)

    async def execute(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        await self._store.execute(sql, parameters)

    async def ping(self) -> None:
        await self._store.ping()


@pytest.fixture
async def store(clickhouse: EmbeddedServer, database: str) -> AsyncIterator[ClickHouse]:
    """The migrated database of this test, as the user who may do everything in it."""
    async with ClickHouse(clickhouse.address.http_url, clickhouse.logins.migrate, database=database) as made:
        await migrate(made, migration_files(), cluster="", storage=Settings().storage)
        yield made


@asynccontextmanager
async def running(store: Flaky | ClickHouse, folder: Path, **server: Any) -> AsyncIterator[Pipeline]:
    """A pipeline with the real decoder."""
    tree = {
        "server": {"batch_timeout_seconds": 0.05} | server,
        "spool": {"path": folder},
        "storage": {"spans_retention_days": 3650, "metrics_retention_days": 3650, "logs_retention_days": 3650},
    }
    async with Pipeline(
        Settings.model_validate(tree),
        store=store,
        decoder=ReferenceDecoder(),
        is_ready=lambda: True,
        backoff=Backoff(0.01, 0.05, 0.05),
    ) as pipeline:
        yield pipeline


def request(signal: Signal, body: bytes, encoding: Encoding = Encoding.PROTOBUF, tenant: str = "acme") -> Request:
    """A request of now."""
    return Request(TenantId(tenant), signal, encoding, body, time.time_ns())


def spans(*names: str, service: str = "shop") -> bytes:
    """A body with spans of these names, each starting when the one before did, less a millisecond."""
    sent = ExportTraceServiceRequest()
    resource = sent.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_spans.add()
    now = time.time_ns()
    for place, name in enumerate(names):
        at = now - place * 1_000_000
        scope.spans.add(
            name=name, trace_id=b"0123456789abcdef", span_id=b"01234567", start_time_unix_nano=at, end_time_unix_nano=at
        )
    return sent.SerializeToString()


async def rows(store: ClickHouse, columns: str, table: Table, tail: str = "") -> list[dict[str, Any]]:
    """What a table of this test holds."""
    return await store.fetch(f"SELECT {columns} FROM {table.name} {tail}", {}, limits=LIMITS)


def corpus() -> list[tuple[Signal, Encoding, bytes]]:
    """Every body of the corpus."""
    words = {"trace": Signal.TRACES, "metrics": Signal.METRICS, "logs": Signal.LOGS}
    found = []
    for file in sorted(CORPUS.glob("*/0*")):
        if file.suffix in {".pb", ".json"} and not file.name.endswith(".meta.json"):
            signal = next(signal for word, signal in words.items() if word in file.name)
            encoding = Encoding.JSON if file.suffix == ".json" else Encoding.PROTOBUF
            found.append((signal, encoding, file.read_bytes()))
    return found


async def test_every_record_of_the_corpus_is_stored(store: ClickHouse, tmp_path: Path) -> None:
    """As many rows as records were accepted, none rejected, none twice, although every first answer is lost."""
    flaky = Flaky(store)
    flaky.lose_answers = 3
    accepted = dict.fromkeys(Signal, 0)
    async with running(flaky, tmp_path) as pipeline:
        for signal, encoding, body in corpus():
            answer = await pipeline.accept(request(signal, body, encoding))
            assert answer.rejections.message == ""
            accepted[signal] += answer.records
        assert await pipeline.drain(30) == {}
    assert min(accepted.values()) > 100
    for signal, records in accepted.items():
        (found,) = await rows(store, "count() AS n, uniqExact(batch, row) AS addresses", table_of(signal))
        assert found == {"n": records, "addresses": records}


async def test_rows_keep_tenant_place_and_time_of_their_request(store: ClickHouse, tmp_path: Path) -> None:
    """Two tenants share a block; `row` counts as received although the block is sorted."""
    async with running(store, tmp_path) as pipeline:
        for body, tenant in ((spans("b", "a", service="z"), "two"), (spans("c"), "one")):
            await pipeline.accept(request(Signal.TRACES, body, tenant=tenant))
        assert await pipeline.drain(30) == {}
    table = table_of(Signal.TRACES)
    found = await rows(store, "tenant, span_name, row", table, "ORDER BY row")
    assert [tuple(row.values()) for row in found] == [("two", "b", 0), ("two", "a", 1), ("one", "c", 2)]
    (facts,) = await rows(
        store,
        "uniqExact(batch) AS batches, abs(dateDiff('second', min(ingested_at), now())) < 60 AS recent",
        table,
    )
    assert facts == {"batches": 1, "recent": 1}
    parts = await store.fetch(
        "SELECT rows FROM system.parts WHERE database = {d:String} AND table = 'spans' AND active",
        {"d": store.database},
        limits=LIMITS,
    )
    assert parts == [{"rows": 3}]


async def test_a_refused_request_leaves_the_rest_of_its_batch_stored(store: ClickHouse, tmp_path: Path) -> None:
    """And its body lies in the quarantine, byte for byte."""
    flaky = Flaky(store)
    flaky.refuse = b"poison"
    bad = spans("fine", "poison")
    async with running(flaky, tmp_path, batch_size=7) as pipeline:
        for number in range(7):
            await pipeline.accept(request(Signal.TRACES, bad if number == 3 else spans(f"good {number}")))
        assert await pipeline.drain(30) == {}
    found = await rows(store, "span_name", table_of(Signal.TRACES), "ORDER BY span_name")
    assert [row["span_name"] for row in found] == [f"good {number}" for number in (0, 1, 2, 4, 5, 6)]
    assert [file.read_bytes() for file in (tmp_path / "quarantine").glob("*.body")] == [bad]


async def test_parts_of_a_refused_batch_are_deduplicated_too(store: ClickHouse, tmp_path: Path) -> None:
    """Their answers are lost, they are sent again, and are there once."""
    flaky = Flaky(store)
    flaky.refuse, flaky.lose_answers = b"poison", 4
    async with running(flaky, tmp_path, batch_size=8) as pipeline:
        for number in range(8):
            await pipeline.accept(request(Signal.TRACES, spans("poison" if number == 5 else f"good {number}")))
        assert await pipeline.drain(30) == {}
    (found,) = await rows(store, "count() AS n", table_of(Signal.TRACES))
    assert found == {"n": 7}


async def test_a_value_that_clickhouse_itself_refuses_does_not_stop_the_lane(store: ClickHouse, tmp_path: Path) -> None:
    """A constraint stands for any refusal by the data's sake."""
    await store.execute("ALTER TABLE logs ADD CONSTRAINT no_poison CHECK body != 'poison'")
    async with running(store, tmp_path, batch_size=4) as pipeline:
        for text in ("a", "poison", "b", "c"):
            sent = ExportLogsServiceRequest()
            record = sent.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
            record.body.string_value = text
            await pipeline.accept(request(Signal.LOGS, sent.SerializeToString()))
        assert await pipeline.drain(30) == {}
    found = await rows(store, "body", table_of(Signal.LOGS), "ORDER BY body")
    assert [row["body"] for row in found] == ["a", "b", "c"]


async def test_two_hundred_senders_at_once_lose_and_double_nothing(store: ClickHouse, tmp_path: Path) -> None:
    """Answers are lost now and then while they send; the drain brings in the rest."""
    flaky = Flaky(store)
    flaky.lose_answers = 5
    async with running(flaky, tmp_path, batch_size=500) as pipeline:

        async def send(number: int) -> int:
            names = [f"{number}-{place}" for place in range(10)]
            with pipeline.admit(Signal.TRACES, 1000):
                return (await pipeline.accept(request(Signal.TRACES, spans(*names)))).records

        assert await asyncio.gather(*(send(number) for number in range(200))) == [10] * 200
        assert await pipeline.drain(30) == {}
    (found,) = await rows(store, "count() AS n, uniqExact(span_name) AS names", table_of(Signal.TRACES))
    assert found == {"n": 2000, "names": 2000}
