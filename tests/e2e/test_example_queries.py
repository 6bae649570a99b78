"""The example queries run as they stand on what arrived over OTLP, asked by the reader."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.conftest import Service, running, until
from tests.example_queries import AGENTS, SESSION, SLOW, TOKENS

pytestmark = pytest.mark.xdist_group("example-queries")

SECOND = 1_000_000_000
# name, agent, seconds, failed, session, model, tokens
SPANS = [
    *(("agent.run", "planner", float(n), n == 3, "sess-123" if n % 2 else "sess-9", "", 0) for n in range(1, 11)),
    ("agent.run", "critic", 0.5, True, "sess-9", "", 0),
    *(("llm.generate", "", 0.25, False, "sess-123", "model-a", 100 + n) for n in range(4)),
    ("llm.generate", "", 0.75, False, "sess-9", "model-b", 7),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: the queries look at everything there is."""
    with running(tmp_path_factory.mktemp("examples")) as started:
        request: Any = ExportTraceServiceRequest()
        scoped = request.resource_spans.add().scope_spans.add()
        now = time.time_ns()
        for number, (name, agent, seconds, failed, session, model, tokens) in enumerate(SPANS):
            start = now - 600 * SECOND + (len(SPANS) - number) * SECOND
            span = scoped.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name=name, kind=1)
            span.start_time_unix_nano, span.end_time_unix_nano = start, start + round(seconds * SECOND)
            span.status.code = 2 if failed else 0
            for key, text in (("agent_name", agent), ("session.id", session), ("gen_ai.request.model", model)):
                if text:
                    span.attributes.add(key=key).value.string_value = text
            if tokens:
                span.attributes.add(key="token_count").value.int_value = tokens
        assert started.post("/v1/traces", request.SerializeToString(), Content_Type="application/x-protobuf")[0] == 200
        until(lambda: started.sql("SELECT count() FROM spans") == str(len(SPANS)))
        yield started


def rows(service: Service, statement: str) -> list[list[str]]:
    return [line.split("\t") for line in service.sql(statement).splitlines()]


def test_all_spans_of_a_session_come_in_time_order(service: Service) -> None:
    """A session is found by its id alone."""
    found = rows(service, SESSION)
    assert [row[1] for row in found] == ["llm.generate"] * 4 + ["agent.run"] * 5
    assert [row[2] for row in found] == sorted(row[2] for row in found)
    assert [(float(row[3]), row[4]) for row in found[4:]] == [
        (9.0, "UNSET"), (7.0, "UNSET"), (5.0, "UNSET"), (3.0, "ERROR"), (1.0, "UNSET"),
    ]  # fmt: skip
    assert all(len(row[0]) == 32 for row in found)


def test_agents_are_summed_up_with_right_averages(service: Service) -> None:
    """Of the last day, failures in percent."""
    found = rows(service, AGENTS)
    assert [(row[0], row[1], float(row[2]), round(float(row[3]), 2), float(row[4])) for row in found] == [
        ("planner", "10", 5.5, 9.55, 10.0),
        ("critic", "1", 0.5, 0.5, 100.0),
    ]


def test_the_slow_traces_come_slowest_first(service: Service) -> None:
    """Of the last hour."""
    found = rows(service, SLOW)
    assert [float(row[4]) for row in found] == [10.0, 9.0, 8.0, 7.0, 6.0]


def test_tokens_are_read_from_the_typed_json(service: Service) -> None:
    """They are integers in there, as they were sent."""
    found = rows(service, TOKENS)
    assert sorted((row[0], row[1], row[2], float(row[3])) for row in found) == [
        ("model-a", "4", "406", 0.25),
        ("model-b", "1", "7", 0.75),
    ]
